//! `--filter` of lists of images: same keys widen, different keys narrow; labels always narrow.

use ctr_cli::human::time::Timestamp;
use ctr_cli::report::CommandError;
use ctr_core::Reference;
use ctr_store::Store;

use crate::glob;
use crate::listing::Entry;

/// One filter.
#[derive(Debug, Clone)]
struct Filter {
    key: String,
    negated: bool,
    test: Test,
}

#[derive(Debug, Clone)]
enum Test {
    Before(Timestamp),
    Since(Timestamp),
    Until(Timestamp),
    Containers(bool),
    Dangling(bool),
    Part(bool),
    ReadOnly(bool),
    Index(bool),
    Id(String),
    Digest(String),
    Label(String, Option<String>),
    Reference { pattern: String, image: Option<String> },
}

/// The filters of a command line.
#[derive(Debug, Clone, Default)]
pub struct Filters(Vec<Filter>);

impl Filters {
    /// Reads `key=value` and `key!=value`. Some name images, which are looked for here.
    pub fn parse(texts: &[String], store: &Store, all: &[Entry]) -> Result<Self, CommandError> {
        let filters = texts.iter().map(|text| parse(text, store, all)).collect::<Result<_, _>>()?;
        Ok(Self(filters))
    }

    /// Adds what `images NAME` means.
    pub fn name(&mut self, name: &str, store: &Store) {
        self.0.push(Filter { key: "reference".to_owned(), negated: false, test: reference(name, store) });
    }

    /// Whether a filter asks for images that are only parts of others.
    pub fn asks_for_parts(&self) -> bool {
        self.0.iter().any(|filter| filter.key == "intermediate")
    }

    /// Keeps what passes. Filters by name also leave out the names that do not fit.
    pub fn keep(&self, entries: &mut Vec<Entry>) {
        entries.retain_mut(|entry| self.passes(entry));
    }

    fn passes(&self, entry: &mut Entry) -> bool {
        let labels = self.0.iter().filter(|filter| filter.key == "label");
        let mut keys: Vec<_> = self.0.iter().map(|filter| (&filter.key, filter.negated)).collect();
        keys.sort();
        keys.dedup();
        let of = |key: &str, negated: bool| {
            let same = self.0.iter().filter(move |filter| filter.negated == negated);
            let key = key.to_owned();
            same.filter(move |filter| filter.key == key)
        };
        let one_of_each = keys.iter().filter(|(key, _)| *key != "label").all(|(key, negated)| {
            // "Not this, not that" means neither.
            if *negated {
                of(key, true).all(|filter| !filter.test.holds(entry))
            } else {
                of(key, false).any(|filter| filter.test.holds(entry))
            }
        });
        if !one_of_each || !labels.clone().all(|filter| filter.test.holds(entry) != filter.negated) {
            return false;
        }
        let patterns: Vec<_> = of("reference", false).map(|filter| &filter.test).collect();
        if !patterns.is_empty() && !entry.names.is_empty() {
            let names = entry.names.clone();
            let fits = |name: &Reference| patterns.iter().any(|test| test.fits_name(name));
            let kept: Vec<_> = names.iter().filter(|name| fits(name)).cloned().collect();
            if !kept.is_empty() {
                entry.names = kept;
            }
        }
        true
    }
}

fn parse(text: &str, store: &Store, all: &[Entry]) -> Result<Filter, CommandError> {
    let invalid = || {
        CommandError::usage(format!(
            "invalid image filter {text:?}: must be in the format \"filter=value or filter!=value\""
        ))
    };
    let (key, value) = text.split_once('=').ok_or_else(invalid)?;
    let (key, negated) = key.strip_suffix('!').map_or((key, false), |key| (key, true));
    let test = match key {
        "before" => Test::Before(time_of(value, store, all)?),
        "after" | "since" => Test::Since(time_of(value, store, all)?),
        "until" => {
            let time = Timestamp::parse_filter(value, Timestamp::now());
            Test::Until(time.map_err(|error| CommandError::usage(error.to_string()))?)
        }
        "containers" => Test::Containers(match value {
            // Containers that are not ours do not exist.
            "external" => {
                return Ok(Filter { key: key.to_owned(), negated, test: Test::Id("external".to_owned()) });
            }
            value => truth(key, value)?,
        }),
        "dangling" => Test::Dangling(truth(key, value)?),
        "intermediate" => Test::Part(truth(key, value)?),
        "readonly" => Test::ReadOnly(truth(key, value)?),
        "manifest" => Test::Index(truth(key, value)?),
        "id" => Test::Id(value.strip_prefix("sha256:").unwrap_or(value).to_owned()),
        "digest" => Test::Digest(value.to_owned()),
        "label" => match value.split_once('=') {
            Some((name, value)) => Test::Label(name.to_owned(), Some(value.to_owned())),
            None => Test::Label(value.to_owned(), None),
        },
        "reference" => reference(value, store),
        _ => return Err(CommandError::usage(format!("unsupported image filter {key:?}"))),
    };
    // The two are one.
    let key = if key == "after" { "since" } else { key };
    Ok(Filter { key: key.to_owned(), negated, test })
}

fn reference(pattern: &str, store: &Store) -> Test {
    let image = store.lookup(pattern).ok().map(|found| match found.target {
        ctr_store::refs::Target::Image { id, .. } => id.to_string(),
        ctr_store::refs::Target::Index { digest } => digest.hex(),
    });
    Test::Reference { pattern: pattern.to_owned(), image }
}

fn truth(key: &str, value: &str) -> Result<bool, CommandError> {
    match value {
        "true" | "1" | "t" | "T" | "TRUE" | "True" => Ok(true),
        "false" | "0" | "f" | "F" | "FALSE" | "False" => Ok(false),
        _ => Err(CommandError::usage(format!("non-boolean value {value:?} for {key} filter"))),
    }
}

fn time_of(text: &str, store: &Store, all: &[Entry]) -> Result<Timestamp, CommandError> {
    let found = store.lookup(text).map_err(crate::of_resolve)?;
    let same = |entry: &&Entry| match (entry.target, found.target) {
        (ctr_store::refs::Target::Image { id, .. }, ctr_store::refs::Target::Image { id: other, .. }) => {
            id == other
        }
        (one, other) => one == other,
    };
    let entry = all.iter().find(same);
    Ok(entry.map_or(Timestamp::from_seconds(0), |entry| entry.created))
}

impl Test {
    fn holds(&self, entry: &Entry) -> bool {
        match self {
            Self::Before(time) | Self::Until(time) => entry.created < *time,
            Self::Since(time) => entry.created > *time,
            Self::Containers(wanted) => entry.containers.is_empty() != *wanted,
            Self::Dangling(wanted) => entry.is_dangling() == *wanted,
            Self::Part(wanted) => entry.is_part == *wanted,
            Self::ReadOnly(wanted) => entry.is_read_only == *wanted,
            Self::Index(wanted) => entry.is_index() == *wanted,
            Self::Id(id) => entry.id.starts_with(id.as_str()),
            Self::Digest(text) => entry.digests.iter().any(|digest| {
                digest.to_string().starts_with(text.as_str()) || digest.hex().starts_with(text.as_str())
            }),
            Self::Label(name, value) => {
                let labels = entry.labels();
                match value {
                    Some(value) => labels.get(name).is_some_and(|found| glob::matches(value, found)),
                    None => labels.keys().any(|found| glob::matches(name, found)),
                }
            }
            Self::Reference { image, .. } => {
                image.as_ref() == Some(&entry.id) || entry.names.iter().any(|name| self.fits_name(name))
            }
        }
    }

    /// Whether a pattern fits a name, or its end, with or without the tag.
    fn fits_name(&self, name: &Reference) -> bool {
        let Self::Reference { pattern, .. } = self else { return true };
        let full = name.to_string();
        let bare = name.name.to_string();
        let suffix = &full[bare.len()..];
        let path = name.name.path();
        let last = |text: &str| text.rsplit('/').next().unwrap_or(text).to_owned();
        let candidates = [
            full.clone(),
            path.to_owned(),
            last(&full),
            bare.clone(),
            format!("{path}{suffix}"),
            last(&bare),
        ];
        candidates.iter().any(|candidate| glob::matches(pattern, candidate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, name: &str) -> bool {
        let test = Test::Reference { pattern: pattern.to_owned(), image: None };
        test.fits_name(&Reference::parse_local(name).unwrap())
    }

    #[test]
    fn names_are_matched_whole_or_by_their_end() {
        let name = "quay.io/libpod/alpine:3";
        for pattern in [
            "quay.io/libpod/alpine:3",
            "*/libpod/alpine",
            "alpine",
            "alpine:3",
            "alp*",
            "libpod/alpine",
            "libpod/*:3",
        ] {
            assert!(fits(pattern, name), "{pattern}");
        }
        for pattern in ["alpin", "alpine:4", "pod/alpine", "*", ""] {
            assert!(!fits(pattern, name) || pattern == "*", "{pattern}");
        }
    }
}
