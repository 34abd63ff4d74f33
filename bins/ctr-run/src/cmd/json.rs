//! JSON as Podman's commands indent it, each in its own way.

use ctr_cli::report::CommandError;
use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{PrettyFormatter, Serializer};

/// A list with this indentation.
pub(super) fn pretty(list: &Vec<Value>, indent: &str) -> Result<String, CommandError> {
    if list.is_empty() {
        return Ok("[]".to_owned());
    }
    let mut bytes = Vec::new();
    let mut serializer =
        Serializer::with_formatter(&mut bytes, PrettyFormatter::with_indent(indent.as_bytes()));
    list.serialize(&mut serializer).map_err(CommandError::internal)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
