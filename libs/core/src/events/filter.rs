//! Which events are shown.

use super::event::{Event, Kind};
use crate::time::Timestamp;

/// A condition that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is an invalid filter")]
pub struct FilterError(pub String);

/// Conditions: of one key any, of all keys each.
#[derive(Debug, Clone, Default)]
pub struct Filters {
    /// By key, as it was written: podman takes `event` and `status` for two.
    by_key: Vec<(String, Vec<Condition>)>,
    /// Only what is later.
    pub since: Option<Timestamp>,
    /// Only what is earlier.
    pub until: Option<Timestamp>,
}

#[derive(Debug, Clone)]
enum Condition {
    /// The object, by its name or the beginning of its id.
    Object(Kind, String),
    /// A volume, by the beginning of its name.
    Volume(String),
    Status(String),
    Kind(String),
    Label(String, Option<String>),
}

impl Filters {
    /// Reads conditions `KEY=VALUE`.
    ///
    /// # Errors
    /// One is none.
    pub fn parse<'a>(conditions: impl IntoIterator<Item = &'a str>) -> Result<Self, FilterError> {
        let mut filters = Self::default();
        for text in conditions {
            let (key, value) = text.split_once('=').ok_or_else(|| FilterError(text.to_owned()))?;
            let condition = Condition::parse(key, value).ok_or_else(|| FilterError(key.to_owned()))?;
            match filters.by_key.iter_mut().find(|(known, _)| known == key) {
                Some((_, conditions)) => conditions.push(condition),
                None => filters.by_key.push((key.to_owned(), vec![condition])),
            }
        }
        Ok(filters)
    }

    /// Whether an event is shown.
    #[must_use]
    pub fn fit(&self, event: &Event) -> bool {
        self.since.is_none_or(|since| event.time > since)
            && self.until.is_none_or(|until| event.time < until)
            && self.by_key.iter().all(|(_, conditions)| conditions.iter().any(|it| it.fits(event)))
    }
}

impl Condition {
    fn parse(key: &str, value: &str) -> Option<Self> {
        let value = value.to_owned();
        Some(match key.to_ascii_lowercase().as_str() {
            "artifact" => Self::Object(Kind::Artifact, value),
            "container" => Self::Object(Kind::Container, value),
            "image" => Self::Object(Kind::Image, value),
            "pod" => Self::Object(Kind::Pod, value),
            "volume" => Self::Volume(value),
            // Docker's word.
            "event" | "status" if value == "die" => Self::Status("died".into()),
            "event" | "status" => Self::Status(value),
            "type" => Self::Kind(value),
            "label" => match value.split_once('=') {
                Some((key, value)) => Self::Label(key.to_owned(), Some(value.to_owned())),
                None => Self::Label(value, None),
            },
            _ => return None,
        })
    }

    fn fits(&self, event: &Event) -> bool {
        match self {
            Self::Object(kind, text) => {
                event.kind == *kind && (event.name == *text || event.id.starts_with(text.as_str()))
            }
            Self::Volume(text) => event.kind == Kind::Volume && event.name.starts_with(text.as_str()),
            Self::Status(text) => event.status.name() == text,
            Self::Kind(text) => event.kind.name() == text,
            Self::Label(key, value) => event
                .attributes
                .iter()
                .any(|(known, is)| known == key && value.as_ref().is_none_or(|value| value == is)),
        }
    }
}
