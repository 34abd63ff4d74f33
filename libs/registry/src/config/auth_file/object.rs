//! A JSON object whose members stay as they were written.

use serde::de::{Deserialize, Deserializer};

use super::AuthFileError;
use crate::config::members::Members;

/// Names and texts of values, in the order in which they were written.
#[derive(Debug, Clone, Default)]
pub(super) struct Object(Vec<(String, String)>);

impl Object {
    pub(super) fn parse(text: &[u8]) -> Result<Self, AuthFileError> {
        serde_json::from_slice(text).map_err(|error| AuthFileError::Json {
            line: error.line(),
            column: error.column(),
            problem: match error.classify() {
                serde_json::error::Category::Eof => "the file ends in the middle of it",
                serde_json::error::Category::Data => "this is no object of JSON",
                _ => "this is no JSON",
            },
        })
    }

    pub(super) fn of<'a>(members: impl IntoIterator<Item = (&'a str, String)>) -> Self {
        Self(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// A member's text; of two with one name the last counts.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Puts a member in the place of those of its name, or at the end.
    pub(super) fn set(&mut self, name: &str, value: String) {
        let place = self.0.iter().position(|(known, _)| known == name);
        let mut kept = 0;
        self.0.retain(|(known, _)| {
            let first = known != name || kept == 0;
            kept += usize::from(known == name);
            first
        });
        match place.and_then(|place| self.0.get_mut(place)) {
            Some(member) => member.1 = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    /// Takes out all members of a name; whether there were any.
    pub(super) fn remove(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|(known, _)| known != name);
        self.0.len() < before
    }

    /// The members as texts, if they all are; of two with one name both.
    pub(super) fn texts(&self) -> Option<Vec<(String, String)>> {
        let text = |(name, value): &(String, String)| {
            let value = serde_json::from_str::<Option<String>>(value).ok()?;
            Some((name.clone(), value.unwrap_or_default()))
        };
        self.0.iter().map(text).collect()
    }

    /// The object's text, in which so many tabs stand before its end.
    pub(super) fn text(&self, depth: usize) -> String {
        if self.0.is_empty() {
            return "{}".to_owned();
        }
        let indent = "\t".repeat(depth);
        let members: Vec<_> =
            self.0.iter().map(|(name, value)| format!("{indent}\t{}: {value}", quoted(name))).collect();
        format!("{{\n{}\n{indent}}}", members.join(",\n"))
    }
}

/// A text as JSON has it.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Members(members) = Members::deserialize(deserializer)?;
        Ok(Self(members.into_iter().map(|(name, value)| (name, value.get().to_owned())).collect()))
    }
}
