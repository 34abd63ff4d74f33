//! A report with three faces: Go templates see the names of podman's fields, JSON and YAML those of its tags.

use serde_json::{Map, Value};

/// A value, or a record of fields.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Tree {
    /// Anything without names of its own.
    Plain(Value),
    /// Values.
    List(Vec<Self>),
    /// Fields, in podman's order.
    Record(Vec<Field>),
}

/// A field of a record.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Field {
    /// What a template calls it.
    go: &'static str,
    /// What JSON calls it.
    json: &'static str,
    value: Tree,
}

/// A field with the two names.
pub(crate) fn field(go: &'static str, json: &'static str, value: impl Into<Tree>) -> Field {
    Field { go, json, value: value.into() }
}

/// A field that has the same name in both.
pub(crate) fn same(name: &'static str, value: impl Into<Tree>) -> Field {
    field(name, name, value)
}

/// These are values as they are.
macro_rules! plain {
    ($($kind:ty),*) => { $(
        impl From<$kind> for Tree {
            fn from(value: $kind) -> Self {
                Self::Plain(value.into())
            }
        }
    )* };
}

plain!(Value, bool, i32, u32, u64, usize, f64, &str, String, Vec<String>);

impl From<Vec<Field>> for Tree {
    fn from(fields: Vec<Field>) -> Self {
        Self::Record(fields)
    }
}

impl From<Vec<Self>> for Tree {
    fn from(values: Vec<Self>) -> Self {
        Self::List(values)
    }
}

impl Tree {
    /// As a template sees it.
    pub(crate) fn for_template(&self) -> Value {
        self.named(|field| field.go)
    }

    /// As JSON has it.
    pub(crate) fn for_json(&self) -> Value {
        self.named(|field| field.json)
    }

    fn named(&self, name: fn(&Field) -> &'static str) -> Value {
        match self {
            Self::Plain(value) => value.clone(),
            Self::List(values) => Value::Array(values.iter().map(|value| value.named(name)).collect()),
            Self::Record(fields) => {
                let pairs = fields.iter().map(|field| (name(field).to_owned(), field.value.named(name)));
                Value::Object(pairs.collect::<Map<_, _>>())
            }
        }
    }
}

/// The value as YAML in the form of Go's library: keys in the order of their bytes, lists not indented.
pub(crate) fn yaml(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Object(_) | Value::Array(_) => block(value, 0, &mut text),
        _ => {
            text.push_str(&scalar(value, 0));
            text.push('\n');
        }
    }
    text
}

fn block(value: &Value, indent: usize, text: &mut String) {
    let pad = " ".repeat(indent);
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by(|one, other| one.0.cmp(other.0));
            for (key, value) in fields {
                text.push_str(&pad);
                text.push_str(&quoted_if_needed(key));
                text.push(':');
                after_mark(value, indent, text);
            }
        }
        Value::Array(values) => {
            for value in values {
                text.push_str(&pad);
                text.push('-');
                match value {
                    Value::Object(fields) if !fields.is_empty() => {
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
fn after_mark(value: &Value, indent: usize, text: &mut String) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            text.push('\n');
            block(value, indent + 2, text);
        }
        Value::Array(values) if !values.is_empty() => {
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

fn scalar(value: &Value, indent: usize) -> String {
    match value {
        Value::Object(_) => "{}".to_owned(),
        Value::Array(_) => "[]".to_owned(),
        Value::String(text) if text.contains('\n') => {
            let pad = " ".repeat(indent);
            let keep = if text.ends_with('\n') { "|" } else { "|-" };
            let lines = text.trim_end_matches('\n').lines();
            lines.fold(keep.to_owned(), |all, line| format!("{all}\n{pad}{line}"))
        }
        Value::String(text) => quoted_if_needed(text),
        other => other.to_string(),
    }
}

/// Quotes what YAML would take for something else than this text.
fn quoted_if_needed(text: &str) -> String {
    if text.chars().any(char::is_control) {
        // JSON's quotes are YAML's double ones.
        return Value::from(text).to_string();
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
        let tree: Tree = vec![
            field("OCIRuntime", "ociRuntime", vec![field("Name", "name", "crun")]),
            same("Os", "linux"),
            field("UIDMap", "uidmap", vec![Tree::from(vec![field("HostID", "host_id", 5)])]),
        ]
        .into();
        assert_eq!(
            tree.for_template(),
            json!({"OCIRuntime": {"Name": "crun"}, "Os": "linux", "UIDMap": [{"HostID": 5}]})
        );
        assert_eq!(
            tree.for_json().to_string(),
            r#"{"ociRuntime":{"name":"crun"},"Os":"linux","uidmap":[{"host_id":5}]}"#
        );
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
