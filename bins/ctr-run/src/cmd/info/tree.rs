//! A report with three faces: Go templates see the names of podman's fields, JSON and YAML those of its tags.

use ctr_cli::template::{Struct, Value};
use serde_json::Value as Json;

/// A field: what a template calls it, what JSON calls it, and what it holds.
pub(crate) type Entry = (&'static str, &'static str, Value);

/// A field with two names.
pub(crate) fn field(go: &'static str, json: &'static str, value: impl Into<Value>) -> Entry {
    (go, json, value.into())
}

/// A field that has the same name in both.
pub(crate) fn same(name: &'static str, value: impl Into<Value>) -> Entry {
    field(name, name, value)
}

/// A record of a type that the errors of templates name.
pub(crate) fn record(name: &'static str, entries: Vec<Entry>) -> Value {
    let all = entries
        .into_iter()
        .fold(Struct::new(name), |all, (go, json, value)| all.named(go, Some(json), value));
    all.into()
}

/// A number of things.
pub(crate) fn count(number: usize) -> Value {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

/// The value as YAML in the form of Go's library: keys in the order of their bytes, lists not indented.
pub(crate) fn yaml(value: &Json) -> String {
    let mut text = String::new();
    match value {
        Json::Object(_) | Json::Array(_) => block(value, 0, &mut text),
        _ => {
            text.push_str(&scalar(value, 0));
            text.push('\n');
        }
    }
    text
}

fn block(value: &Json, indent: usize, text: &mut String) {
    let pad = " ".repeat(indent);
    match value {
        Json::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by(|one, other| one.0.cmp(other.0));
            for (key, value) in fields {
                text.push_str(&pad);
                text.push_str(&quoted_if_needed(key));
                text.push(':');
                after_mark(value, indent, text);
            }
        }
        Json::Array(values) => {
            for value in values {
                text.push_str(&pad);
                text.push('-');
                match value {
                    Json::Object(fields) if !fields.is_empty() => {
                        let mut inner = String::new();
                        block(value, indent + 2, &mut inner);
                        text.push(' ');
                        text.push_str(inner.trim_start());
                    }
                    _ => after_mark(value, indent, text),
                }
            }
        }
        _ => {}
    }
}

/// What follows `key:` or `-`.
fn after_mark(value: &Json, indent: usize, text: &mut String) {
    match value {
        Json::Object(fields) if !fields.is_empty() => {
            text.push('\n');
            block(value, indent + 2, text);
        }
        Json::Array(values) if !values.is_empty() => {
            text.push('\n');
            block(value, indent, text);
        }
        _ => {
            text.push(' ');
            text.push_str(&scalar(value, indent + 2));
            text.push('\n');
        }
    }
}

fn scalar(value: &Json, indent: usize) -> String {
    match value {
        Json::Object(_) => "{}".to_owned(),
        Json::Array(_) => "[]".to_owned(),
        Json::String(text) if text.contains('\n') => {
            let pad = " ".repeat(indent);
            let keep = if text.ends_with('\n') { "|" } else { "|-" };
            let lines = text.trim_end_matches('\n').lines();
            lines.fold(keep.to_owned(), |all, line| format!("{all}\n{pad}{line}"))
        }
        Json::String(text) => quoted_if_needed(text),
        other => other.to_string(),
    }
}

/// Quotes what YAML would take for something else than this text.
fn quoted_if_needed(text: &str) -> String {
    if text.chars().any(char::is_control) {
        // JSON's quotes are YAML's double ones.
        return Json::from(text).to_string();
    }
    let words = ["", "~", "null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    let word = words.contains(&text.to_ascii_lowercase().as_str());
    let number = text.parse::<f64>().is_ok() || text.starts_with("0x") || text.starts_with("0o");
    let start = text.starts_with(|c: char| "-?:,[]{}#&*!|>'\"%@` ".contains(c));
    let inside = text.contains(": ") || text.contains(" #") || text.ends_with([':', ' ']);
    if word && !text.is_empty() {
        return format!("\"{text}\"");
    }
    if number {
        return format!("\"{text}\"");
    }
    if text.is_empty() {
        return "\"\"".to_owned();
    }
    if start || inside { format!("'{}'", text.replace('\'', "''")) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_names_differ() {
        let runtime = record("OCIRuntimeInfo", vec![field("Name", "name", "crun")]);
        let all = record("Host", vec![field("OCIRuntime", "ociRuntime", runtime), same("Os", "linux")]);
        assert_eq!(all.to_json().to_string(), r#"{"ociRuntime":{"name":"crun"},"Os":"linux"}"#);
        let template = ctr_cli::template::Template::parse("info", "{{.OCIRuntime.Name}}").unwrap();
        assert_eq!(template.render(&all).unwrap(), "crun");
    }

    /// Lines of what podman 4.3 printed.
    #[test]
    fn yaml_is_as_go_writes_it() {
        let value = json!({
            "host": {
                "cgroupControllers": ["hugetlb"],
                "conmon": {"version": "conmon version 2.1.6, commit: unknown"},
                "cpuUtilization": {"idlePercent": 94.24},
                "distribution": {"version": "12", "codename": "bookworm"},
                "idMappings": {"uidmap": [{"container_id": 0, "host_id": 1001}, {"container_id": 1, "host_id": 100_000}]},
                "ociRuntime": {"version": "crun version 1.8.1\n+SYSTEMD"},
                "empty": "", "none": null, "rootless": true,
            },
            "registries": {}, "names": [], "version": {"APIVersion": "4.3.1", "BuiltTime": "Thu Jan  1 00:00:00 1970"},
        });
        let expected = "\
host:
  cgroupControllers:
  - hugetlb
  conmon:
    version: 'conmon version 2.1.6, commit: unknown'
  cpuUtilization:
    idlePercent: 94.24
  distribution:
    codename: bookworm
    version: \"12\"
  empty: \"\"
  idMappings:
    uidmap:
    - container_id: 0
      host_id: 1001
    - container_id: 1
      host_id: 100000
  none: null
  ociRuntime:
    version: |-
      crun version 1.8.1
      +SYSTEMD
  rootless: true
names: []
registries: {}
version:
  APIVersion: 4.3.1
  BuiltTime: Thu Jan  1 00:00:00 1970
";
        assert_eq!(yaml(&value), expected);
    }

    #[test]
    fn what_would_be_misread_is_quoted() {
        for (text, expected) in [
            ("yes", "\"yes\""),
            ("1.5", "\"1.5\""),
            ("- a", "'- a'"),
            ("it's: x", "'it''s: x'"),
            ("a\u{1b}b", "\"a\\u001bb\""),
            ("plain words", "plain words"),
        ] {
            assert_eq!(quoted_if_needed(text), expected);
        }
    }
}
