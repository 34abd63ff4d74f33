//! `--format` of the verbs that print one object.

use ctr_cli::report::CommandError;
use ctr_cli::template::{Template, Value};
use ctr_cli::ui::Ui;

/// Prints a template's output as podman does: with a line break at its end.
///
/// # Errors
/// The template is wrong, or asks for what there is not.
pub(crate) fn template(command: &str, format: &str, value: &Value, ui: &Ui) -> Result<(), CommandError> {
    let text = parsed(command, format)?.render(value).map_err(CommandError::usage)?;
    Ok(ui.print(&text)?)
}

/// A template as podman takes it.
///
/// # Errors
/// The template is wrong.
pub(crate) fn parsed(command: &str, format: &str) -> Result<Template, CommandError> {
    let mut text = format.replace("\\n", "\n").replace("\\t", "\t");
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Template::parse(command, &text).map_err(CommandError::usage)
}
