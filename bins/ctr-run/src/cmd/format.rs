//! `--format` of the verbs that print one object.

use ctr_cli::report::CommandError;
use ctr_cli::ui::Ui;
use serde_json::Value;

/// `json`, with or without a template around it, is JSON.
pub(crate) fn is_json(format: &str) -> bool {
    matches!(format.split_whitespace().collect::<String>().as_str(), "json" | "{{json.}}")
}

/// Refuses a template until there are any.
pub(crate) fn template(_format: &str, _value: &Value, _ui: &Ui) -> Result<(), CommandError> {
    Err(CommandError::not_supported("--format with a template"))
}
