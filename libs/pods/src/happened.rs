//! What happens to containers, as the log of events has it.
//!
//! Whoever does something writes it down: a verb what it did, the process that starts a container that it runs, and the
//! one that was its monitor that it died. So the order of a container's lines is that of its life, whoever was faster.

use ctr_core::events::{Event, Kind, Status};
use ctr_store::Image;

use crate::record::Record;
use crate::request::Request;

/// Who a container is to those who read events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// The name its image was found by; empty without one.
    pub image: String,
    /// Metadata, that of its image too.
    pub labels: Vec<(String, String)>,
}

impl Who {
    /// Something that happened to it just now.
    #[must_use]
    pub fn event(&self, status: Status) -> Event {
        let event = Event::now(Kind::Container, status).of(&*self.id, &*self.name).with_image(&*self.image);
        event.with_attributes(self.labels.iter().cloned())
    }
}

impl From<&Record> for Who {
    fn from(record: &Record) -> Self {
        Self {
            id: record.id.to_string(),
            name: record.name.clone(),
            image: record.image_name.clone(),
            labels: record.labels.clone(),
        }
    }
}

/// The labels of a container: its image's, and on top its own.
pub(crate) fn labels(image: Option<&Image>, request: &Request) -> Vec<(String, String)> {
    let mut labels: Vec<(String, String)> = Vec::new();
    if let Some(image) = image {
        labels.extend(image.config.config.labels.iter().map(|(key, value)| (key.clone(), value.clone())));
    }
    for (key, value) in &request.labels {
        labels.retain(|(known, _)| known != key);
        labels.push((key.clone(), value.clone()));
    }
    labels
}
