//! What every `inspect` verb does with what it found.

use ctr_cli::app::Call;
use ctr_cli::json;
use ctr_cli::report::CommandError;
use ctr_cli::template::{Report, TemplateError, Value, asks_for_json};

/// Prints what was found as the flag `--format` says.
///
/// # Errors
/// The template is none, or asks for what one of them has not.
pub fn print(call: &Call, found: Vec<Value>) -> Result<(), CommandError> {
    let format = call.flags.string("format");
    if format.is_empty() || asks_for_json(format) {
        let list = found.iter().map(Value::to_json).collect();
        return Ok(call.ui.line(&json::document(&serde_json::Value::Array(list), json::Style::INSPECT))?);
    }
    let failed = |error: TemplateError| CommandError::usage(error.to_string());
    let report = Report::parse("inspect", &renamed(format)).map_err(failed)?;
    Ok(call.ui.print(&report.render(found, None).map_err(failed)?)?)
}

/// Docker's names of fields that Podman calls otherwise.
fn renamed(format: &str) -> String {
    let words = [(".Id", ".ID"), (".Src", ".Source"), (".Dst", ".Destination"), (".ImageID", ".Image")];
    words.into_iter().fold(format.to_owned(), |text, (theirs, ours)| replace_word(&text, theirs, ours))
}

/// Replaces a name where it is not the beginning of a longer one.
fn replace_word(text: &str, word: &str, by: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(word) {
        let after = &rest[at + word.len()..];
        let longer = after.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        out.push_str(&rest[..at]);
        out.push_str(if longer { word } else { by });
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_dockers_are_understood() {
        assert_eq!(
            renamed("{{.Id}} {{.IdX}} {{.ImageID}} {{.ImageName}}"),
            "{{.ID}} {{.IdX}} {{.Image}} {{.ImageName}}"
        );
        assert_eq!(renamed("{{range .Mounts}}{{.Dst}}{{end}}"), "{{range .Mounts}}{{.Destination}}{{end}}");
    }
}
