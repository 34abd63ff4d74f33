//! `--format` of the verbs that print one object.

use ctr_cli::report::CommandError;
use ctr_cli::template::{Template, Value};
use ctr_cli::ui::Ui;

/// Prints a template's output as podman does: with a line break at its end.
///
/// # Errors
/// The template is wrong, or asks for what there is not.
pub(crate) fn template(command: &str, format: &str, value: &Value, ui: &Ui) -> Result<(), CommandError> {
    let mut text = format.replace("\\n", "\n").replace("\\t", "\t");
    if !text.ends_with('\n') {
        text.push('\n');
    }
    let text = Template::parse(command, &text).and_then(|template| template.render(value));
    Ok(ui.print(&text.map_err(CommandError::usage)?)?)
}
