//! JSON as Go prints it.

use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{PrettyFormatter, Serializer};

/// Prints a value with an indent, and with a line break at its end.
pub(crate) fn pretty(value: &Value, indent: usize) -> String {
    let spaces = " ".repeat(indent);
    let mut bytes = Vec::new();
    let mut serializer =
        Serializer::with_formatter(&mut bytes, PrettyFormatter::with_indent(spaces.as_bytes()));
    // Writing a value into memory cannot fail.
    drop(value.serialize(&mut serializer));
    let mut text = String::from_utf8(bytes).unwrap_or_default();
    text.push('\n');
    text
}

/// Escapes what `encoding/json` escapes unless it is told not to. These letters stand in strings only.
pub(crate) fn html_safe(text: &str) -> String {
    text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indents_and_escapes() {
        let value = serde_json::json!({"a": ["<b>"], "c": [], "d": {}});
        assert_eq!(pretty(&value, 2), "{\n  \"a\": [\n    \"<b>\"\n  ],\n  \"c\": [],\n  \"d\": {}\n}\n");
        assert_eq!(html_safe("\"<b>&\""), "\"\\u003cb\\u003e\\u0026\"");
    }
}
