//! JSON as Go's encoder writes it.
//!
//! [`Style`] has the two choices that podman's verbs make differently: the indent, and whether `<`, `>` and `&` are
//! escaped. Broken UTF-8 becomes the sign for it, so that the output always is JSON.

use crate::template::{Map, Struct, Value};
use crate::text::Put as _;
use std::borrow::Cow;

/// How deep a value may nest.
const DEPTH: usize = 200;

/// How JSON is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Spaces for each level; none for all in one line.
    pub indent: Option<usize>,
    /// Whether what HTML would read is escaped.
    pub html: bool,
}

impl Style {
    /// One space: `mount`.
    pub const ONE: Self = Self { indent: Some(1), html: true };
    /// Two spaces: `ps`, `info`, `pod ps`, `network ls`, `volume ls`.
    pub const TWO: Self = Self { indent: Some(2), html: true };
    /// Four spaces: `images`, `search`, `system df`, `system connection ls`.
    pub const FOUR: Self = Self { indent: Some(4), html: true };
    /// Five spaces: everything that inspects.
    pub const INSPECT: Self = Self { indent: Some(5), html: false };
    /// Five spaces, with HTML escaped: `diff`.
    pub const DIFF: Self = Self { indent: Some(5), html: true };
    /// In one line, with HTML escaped: `history`.
    pub const LINE: Self = Self { indent: None, html: true };
    /// In one line, as the template function has it.
    pub const COMPACT: Self = Self { indent: None, html: false };
}

/// A value that JSON cannot hold.
#[derive(Debug, Clone, Copy, thiserror::Error, PartialEq, Eq)]
pub enum JsonError {
    /// Functions, complex numbers, infinity.
    #[error("json: unsupported value")]
    Unsupported,
    /// It nests too deep.
    #[error("json: value nests too deep")]
    Deep,
}

/// Writes a value in one line.
///
/// # Errors
/// JSON cannot hold the value.
pub fn compact(value: &Value) -> Result<String, JsonError> {
    write(value, Style::COMPACT)
}

/// Writes a value.
///
/// # Errors
/// JSON cannot hold the value.
pub fn write(value: &Value, style: Style) -> Result<String, JsonError> {
    let mut writer = Writer { out: String::new(), style, depth: 0 };
    writer.value(value)?;
    Ok(writer.out)
}

/// Writes a document that is one already, its keys in their order.
#[must_use]
pub fn document(json: &serde_json::Value, style: Style) -> String {
    let mut writer = Writer { out: String::new(), style, depth: 0 };
    match writer.document(json) {
        Ok(()) => writer.out,
        // Deeper than what any reader of ours lets in: without layout.
        Err(_) => json.to_string(),
    }
}

struct Writer {
    out: String,
    style: Style,
    depth: usize,
}

impl Writer {
    fn line(&mut self) {
        if let Some(indent) = self.style.indent {
            self.out.push('\n');
            self.out.extend(std::iter::repeat_n(' ', indent * self.depth));
        }
    }

    fn value(&mut self, value: &Value) -> Result<(), JsonError> {
        match value {
            Value::Nil | Value::NilPointer(_) => self.out.push_str("null"),
            Value::Bool(bool) => self.out.put(format_args!("{bool}")),
            Value::Int(number) | Value::Duration(number) => self.out.put(format_args!("{number}")),
            Value::Uint(number) => self.out.put(format_args!("{number}")),
            Value::Float(number) if number.is_finite() => {
                self.out.push_str(&crate::template::json_float(*number));
            }
            Value::String(text) => string(text, self.style.html, &mut self.out),
            Value::Time(time) => string(time.rfc3339().as_bytes(), false, &mut self.out),
            Value::List(list) => match &list.items {
                None => self.out.push_str("null"),
                Some(items) => self.group('[', ']', items.iter(), Self::value)?,
            },
            Value::Map(map) => self.map(map)?,
            Value::Struct(record) => self.record(record)?,
            Value::Func(_) | Value::Complex(..) | Value::Float(_) => return Err(JsonError::Unsupported),
        }
        Ok(())
    }

    /// A map. Go sorts the keys as strings, also where they are numbers.
    fn map(&mut self, map: &Map) -> Result<(), JsonError> {
        let Some(entries) = &map.entries else {
            self.out.push_str("null");
            return Ok(());
        };
        let mut named = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let key: Cow<'_, [u8]> = match key {
                Value::String(text) => Cow::Borrowed(text),
                Value::Int(number) => Cow::Owned(number.to_string().into_bytes()),
                Value::Uint(number) => Cow::Owned(number.to_string().into_bytes()),
                _ => return Err(JsonError::Unsupported),
            };
            named.push((key, value));
        }
        named.sort_by(|(left, _), (right, _)| left.cmp(right));
        self.group('{', '}', named.into_iter(), |writer, (key, value)| {
            string(&key, writer.style.html, &mut writer.out);
            writer.colon();
            writer.value(value)
        })
    }

    fn document(&mut self, json: &serde_json::Value) -> Result<(), JsonError> {
        match json {
            serde_json::Value::String(text) => string(text.as_bytes(), self.style.html, &mut self.out),
            serde_json::Value::Array(items) => self.group('[', ']', items.iter(), Self::document)?,
            serde_json::Value::Object(entries) => {
                self.group('{', '}', entries.iter(), |writer, (key, value)| {
                    string(key.as_bytes(), writer.style.html, &mut writer.out);
                    writer.colon();
                    writer.document(value)
                })?;
            }
            other => self.out.put(format_args!("{other}")),
        }
        Ok(())
    }

    fn colon(&mut self) {
        self.out.push_str(if self.style.indent.is_some() { ": " } else { ":" });
    }

    fn record(&mut self, record: &Struct) -> Result<(), JsonError> {
        self.group('{', '}', record.json_fields(), |writer, (name, value)| {
            string(name.as_bytes(), writer.style.html, &mut writer.out);
            writer.colon();
            writer.value(value)
        })
    }

    fn group<T>(
        &mut self,
        open: char,
        close: char,
        items: impl Iterator<Item = T>,
        mut each: impl FnMut(&mut Self, T) -> Result<(), JsonError>,
    ) -> Result<(), JsonError> {
        self.out.push(open);
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(JsonError::Deep);
        }
        let mut some = false;
        for item in items {
            if some {
                self.out.push(',');
            }
            some = true;
            self.line();
            each(self, item)?;
        }
        self.depth -= 1;
        if some {
            self.line();
        }
        self.out.push(close);
        Ok(())
    }
}

/// A string with its quotes.
fn string(text: &[u8], html: bool, out: &mut String) {
    out.push('"');
    for chunk in text.utf8_chunks() {
        for letter in chunk.valid().chars() {
            match letter {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '<' | '>' | '&' if html => out.put(format_args!("\\u{:04x}", letter as u32)),
                '\u{2028}' | '\u{2029}' => out.put(format_args!("\\u{:04x}", letter as u32)),
                letter if letter < ' ' => out.put(format_args!("\\u{:04x}", letter as u32)),
                letter => out.push(letter),
            }
        }
        chunk.invalid().iter().for_each(|_| out.push_str("\\ufffd"));
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::human::time::Timestamp;
    use crate::template::Type;

    fn sample() -> Value {
        Struct::new("T")
            .named("ID", Some("Id"), "a<b>\u{2028}\u{1}\n")
            .field("Names", Value::strings(["x", "y"]))
            .field("Empty", Value::strings([""; 0]))
            .field("Null", Value::nil_list(Type::String))
            .field("Labels", Value::string_map([("b", "2"), ("a", "1")]))
            .optional("Pod", "Pod", "")
            .field("Time", Timestamp::from_seconds(0))
            .method("Hidden", 0, |_| Ok("x".into()))
            .into()
    }

    #[test]
    fn documents_are_gos() {
        assert_eq!(
            compact(&sample()).expect("json"),
            "{\"Id\":\"a<b>\\u2028\\u0001\\n\",\"Names\":[\"x\",\"y\"],\"Empty\":[],\"Null\":null,\"Labels\":{\"a\":\"1\",\
             \"b\":\"2\"},\"Time\":\"1970-01-01T00:00:00Z\"}"
        );
        let list = Value::any_list(vec![Value::string_map([("a", "1")]), Value::any_list(vec![])]);
        assert_eq!(write(&list, Style::TWO).expect("json"), "[\n  {\n    \"a\": \"1\"\n  },\n  []\n]");
        assert_eq!(write(&Value::any_list(vec![]), Style::FOUR).expect("json"), "[]");
        let html = Style { indent: None, html: true };
        assert_eq!(write(&"<&>".into(), html).expect("json"), "\"\\u003c\\u0026\\u003e\"");
    }

    #[test]
    fn documents_keep_their_order() {
        let json = serde_json::json!({"b": ["<b>"], "a": [], "d": {}, "n": 1.5});
        assert_eq!(
            document(&json, Style::TWO),
            "{\n  \"b\": [\n    \"\\u003cb\\u003e\"\n  ],\n  \"a\": [],\n  \"d\": {},\n  \"n\": 1.5\n}"
        );
        assert_eq!(document(&json, Style::COMPACT), "{\"b\":[\"<b>\"],\"a\":[],\"d\":{},\"n\":1.5}");
    }

    #[test]
    fn what_is_written_is_json() {
        for bytes in [&b"\xff\x00\x1f\x7f"[..], "\u{1f600}\"\\/".as_bytes()] {
            let text = compact(&Value::bytes(bytes)).expect("json");
            assert!(serde_json::from_str::<String>(&text).is_ok(), "{text}");
        }
        for number in [0.1, 1e300, -1e-9, 5e-324, 1e21] {
            let text = compact(&Value::Float(number)).expect("json");
            assert_eq!(
                serde_json::from_str::<f64>(&text).expect("a number").to_bits(),
                number.to_bits(),
                "{text}"
            );
        }
    }

    #[test]
    fn what_json_cannot_hold_is_an_error() {
        assert_eq!(compact(&Value::Float(f64::NAN)), Err(JsonError::Unsupported));
        let mut deep = Value::Nil;
        for _ in 0..500 {
            deep = Value::any_list(vec![deep]);
        }
        assert_eq!(compact(&deep), Err(JsonError::Deep));
    }
}
