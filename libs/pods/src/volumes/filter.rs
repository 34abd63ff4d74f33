//! `--filter` of lists of volumes: same keys widen, different keys narrow, and labels always narrow.

use ctr_core::Foreign;
use ctr_store::volume::{Record, Volume};
use regex_lite::Regex;

/// A filter that is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// No `=`.
    #[error("invalid filter: {0:?} must be in the format of filter=value")]
    Format(String),
    /// A key nobody knows, or not of this verb.
    #[error("{0:?} is an invalid volume filter")]
    Unknown(String),
    /// A value the key cannot have.
    #[error("{value:?} is not a valid value for the {key:?} filter - must be true or false")]
    Truth {
        /// The key.
        key: String,
        /// What was given.
        value: String,
    },
    /// A pattern that is none.
    #[error("invalid pattern {0:?}")]
    Pattern(String),
    /// A moment that is none.
    #[error("{0:?} is no moment and no duration")]
    Moment(String),
    /// A volume that is not there.
    #[error("no volume with name {0:?} found: no such volume")]
    NotFound(String),
}

/// For which verb a filter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum For {
    /// `volume ls`.
    List,
    /// `volume prune`, which knows fewer keys.
    Prune,
}

#[derive(Debug)]
enum Test {
    Name(Regex),
    Driver(String),
    Scope(String),
    Label(String, Option<String>),
    Option(String, Option<String>),
    Until(u64),
    After(u64),
    Dangling(bool),
    Anonymous(bool),
}

/// The filters of a command line.
#[derive(Debug, Default)]
pub struct Filters(Vec<(String, Test)>);

impl Filters {
    /// Reads `key=value` and `label!=value`. `moment` understands a time; `after` names one of `all`.
    ///
    /// # Errors
    /// One is none.
    pub fn parse(
        texts: &[String],
        verb: For,
        all: &[Volume],
        moment: impl Fn(&str) -> Option<u64>,
    ) -> Result<Self, FilterError> {
        let one = |text: &String| {
            let (key, value) = text.split_once('=').ok_or_else(|| FilterError::Format(text.clone()))?;
            Ok((key.to_owned(), test(key, value, verb, all, &moment)?))
        };
        Ok(Self(texts.iter().map(one).collect::<Result<_, _>>()?))
    }

    /// Whether a volume passes, which containers use or not.
    #[must_use]
    pub fn fit(&self, record: &Record, is_used: bool) -> bool {
        let labels = self.0.iter().filter(|(key, _)| key == "label");
        let negated = self.0.iter().filter(|(key, _)| key == "label!");
        let others: Vec<_> = self.0.iter().filter(|(key, _)| !key.starts_with("label")).collect();
        labels.into_iter().all(|(_, test)| test.fits(record, is_used))
            && negated.into_iter().all(|(_, test)| !test.fits(record, is_used))
            && others
                .iter()
                .all(|(key, _)| others.iter().any(|(other, test)| other == key && test.fits(record, is_used)))
    }
}

fn test(
    key: &str,
    value: &str,
    verb: For,
    all: &[Volume],
    moment: &impl Fn(&str) -> Option<u64>,
) -> Result<Test, FilterError> {
    let unknown = || FilterError::Unknown(Foreign::from(key).for_terminal());
    if verb == For::Prune && matches!(key, "name" | "driver" | "scope" | "opt" | "dangling") {
        return Err(unknown());
    }
    let truth = || match value.to_ascii_lowercase().as_str() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(FilterError::Truth { key: key.to_owned(), value: value.to_owned() }),
    };
    let pair = || match value.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned()).filter(|value| !value.is_empty())),
        None => (value.to_owned(), None),
    };
    Ok(match key {
        "name" => Test::Name(Regex::new(value).map_err(|_not_one| FilterError::Pattern(value.to_owned()))?),
        "driver" => Test::Driver(value.to_owned()),
        "scope" => Test::Scope(value.to_owned()),
        "label" | "label!" => {
            let (name, value) = pair();
            Test::Label(name, value)
        }
        "opt" => {
            let (name, value) = pair();
            Test::Option(name, value)
        }
        "until" => Test::Until(moment(value).ok_or_else(|| FilterError::Moment(value.to_owned()))?),
        "after" | "since" => {
            let named = all.iter().find(|volume| volume.record.name == value);
            let named = named.ok_or_else(|| FilterError::NotFound(value.to_owned()))?;
            Test::After(named.record.created)
        }
        "dangling" => Test::Dangling(truth()?),
        "anonymous" => Test::Anonymous(truth()?),
        _ => return Err(unknown()),
    })
}

impl Test {
    fn fits(&self, record: &Record, is_used: bool) -> bool {
        match self {
            Self::Name(pattern) => pattern.is_match(&record.name),
            Self::Driver(name) => record.driver.name() == name,
            Self::Scope(scope) => scope == "local",
            Self::Label(name, value) => record
                .labels
                .get(name)
                .is_some_and(|have| value.as_ref().is_none_or(|value| fits(value, have))),
            Self::Option(name, value) => {
                record.options.get(name).is_some_and(|have| value.as_ref().is_none_or(|value| value == have))
            }
            Self::Until(moment) => record.created < *moment,
            Self::After(moment) => record.created > *moment,
            Self::Dangling(asked) => is_used != *asked,
            Self::Anonymous(asked) => record.anonymous == *asked,
        }
    }
}

/// A value of a label, where a star at its end stands for anything.
fn fits(pattern: &str, text: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => text.starts_with(beginning),
        None => pattern == text,
    }
}

#[cfg(test)]
mod tests {
    use ctr_store::volume::NewVolume;
    use ctr_store::{Driver, Layout, Store};

    use super::*;

    fn fit(texts: &[&str], verb: For) -> Result<Vec<String>, FilterError> {
        let home = tempfile::tempdir().unwrap();
        let (data, run) = (home.path().join("data"), home.path().join("run"));
        let store = Store::open(&Layout::new(data, run, Driver::Overlay)).unwrap();
        let make = |name: &str, created: u64, labels: &[(&str, &str)], anonymous: bool| {
            let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            let mut new = NewVolume::plain(name.to_owned(), created);
            (new.labels, new.anonymous) = (labels.collect(), anonymous);
            store.volumes().create(&new).unwrap();
        };
        make("db", 10, &[("a", "1"), ("b", "")], false);
        make("web", 20, &[("a", "12")], true);
        let all = store.volumes().list().unwrap().good;
        let texts: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
        let filters = Filters::parse(&texts, verb, &all, |text| text.parse().ok())?;
        let fits = |volume: &&Volume| filters.fit(&volume.record, volume.record.name == "db");
        Ok(all.iter().filter(fits).map(|volume| volume.record.name.clone()).collect())
    }

    #[test]
    fn each_key_means_what_podman_means() {
        let cases: [(&[&str], &[&str]); 18] = [
            (&[], &["db", "web"]),
            (&["name=^d"], &["db"]),
            (&["name=^d", "name=eb"], &["db", "web"]),
            (&["name=^d", "anonymous=true"], &[]),
            (&["driver=local"], &["db", "web"]),
            (&["driver=other"], &[]),
            (&["scope=local"], &["db", "web"]),
            (&["label=a=1"], &["db"]),
            (&["label=a=1*"], &["db", "web"]),
            (&["label=a", "label=b"], &["db"]),
            (&["label!=b"], &["web"]),
            (&["opt=type"], &[]),
            (&["until=15"], &["db"]),
            (&["after=db"], &["web"]),
            (&["since=web"], &[]),
            (&["dangling=true"], &["web"]),
            (&["dangling=0"], &["db"]),
            (&["anonymous=false"], &["db"]),
        ];
        for (filters, wanted) in cases {
            assert_eq!(fit(filters, For::List).unwrap(), wanted, "{filters:?}");
        }
    }

    #[test]
    fn what_is_no_filter() {
        for (text, verb, message) in [
            ("name", For::List, "invalid filter: \"name\" must be in the format of filter=value"),
            ("x=y", For::List, "\"x\" is an invalid volume filter"),
            ("name=y", For::Prune, "\"name\" is an invalid volume filter"),
            (
                "dangling=x",
                For::List,
                "\"x\" is not a valid value for the \"dangling\" filter - must be true or false",
            ),
            ("until=x", For::Prune, "\"x\" is no moment and no duration"),
            ("after=x", For::List, "no volume with name \"x\" found: no such volume"),
            ("name=(", For::List, "invalid pattern \"(\""),
        ] {
            assert_eq!(fit(&[text], verb).unwrap_err().to_string(), message);
        }
    }
}
