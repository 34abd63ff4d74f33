//! What differs between two trees, as `diff` prints it.

use ctr_cli::json;
use ctr_cli::template::asks_for_json;
use ctr_cli::ui::Ui;
use ctr_cli::usage::Flag;
use ctr_store::diff::Kind;
use ctr_store::worker::Changed;

/// `--format`.
pub const FORMAT: Flag = Flag::string("format", "Change the output format (json)");

/// How it is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A line for each path.
    Lines,
    /// An object with a list for each kind.
    Json,
}

impl Format {
    /// The one of that name; none is lines.
    ///
    /// # Errors
    /// There is no other.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        match text {
            "" => Ok(Self::Lines),
            text if asks_for_json(text) => Ok(Self::Json),
            _ => Err("only supported value for '--format' is 'json'"),
        }
    }

    /// What is printed.
    #[must_use]
    pub fn text(self, ui: &Ui, changes: &[Changed]) -> String {
        match self {
            Self::Lines => lines(ui, changes),
            Self::Json => as_json(changes),
        }
    }
}

fn lines(ui: &Ui, changes: &[Changed]) -> String {
    let line = |change: &Changed| {
        let letter = match change.kind {
            Kind::Added => 'A',
            Kind::Changed => 'C',
            Kind::Deleted => 'D',
        };
        format!("{letter} {}\n", ui.foreign(&change.path))
    };
    changes.iter().map(line).collect()
}

fn as_json(changes: &[Changed]) -> String {
    let mut object = serde_json::Map::new();
    for (key, kind) in [("changed", Kind::Changed), ("added", Kind::Added), ("deleted", Kind::Deleted)] {
        let paths: Vec<_> =
            changes.iter().filter(|change| change.kind == kind).map(|change| change.path.clone()).collect();
        if !paths.is_empty() {
            object.insert(key.to_owned(), paths.into());
        }
    }
    json::document(&object.into(), json::Style::DIFF) + "\n"
}
