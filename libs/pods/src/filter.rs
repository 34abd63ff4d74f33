//! `--filter` of `ps` and `rm`: which containers are meant.
//!
//! Values of one key are alternatives, except labels, of which all must fit; different keys must all fit.

use ctr_core::foreign::Foreign;
use regex_lite::Regex;

use crate::brief::Brief;
use crate::status::Status;

/// A filter cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// Not `key=value`.
    #[error("invalid filter: {0:?} must be in the format of filter=value")]
    Format(String),
    /// No such key.
    #[error("{0} is an invalid filter")]
    Unknown(String),
    /// A value that the key cannot have.
    #[error("invalid value {value:?} for the filter {key}")]
    Value {
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
    /// No such policy.
    #[error("{0} invalid restart policy")]
    Policy(String),
    /// Not a regular expression.
    #[error("invalid pattern {0:?}")]
    Pattern(String, #[source] regex_lite::Error),
    /// The container of `before` or `since`.
    #[error("no container with name or ID {0:?} found: no such container")]
    NoContainer(String),
    /// It could be any of several.
    #[error("more than one result for container name or ID {0:?}")]
    Ambiguous(String),
}

/// States that `status` can name.
const STATES: [&str; 10] = [
    "created",
    "configured",
    "initialized",
    "running",
    "paused",
    "stopped",
    "stopping",
    "exited",
    "removing",
    "unknown",
];

/// What `restart-policy` can name.
const POLICIES: [&str; 6] = ["no", "none", "never", "always", "on-failure", "unless-stopped"];

/// One condition.
#[derive(Debug)]
enum Filter {
    Id(String),
    IdPattern(Regex),
    Name(Regex),
    Label(String, Option<String>),
    NotLabel(String, Option<String>),
    Status(String),
    Exited(i64),
    Ancestor(String),
    AncestorPattern(Regex),
    Before(u64),
    Since(u64),
    Volume(String),
    Network(String),
    Pod,
    Health(String),
    Restart(String),
    Command(Regex),
    StartOnBoot(bool),
}

/// All conditions.
#[derive(Debug, Default)]
pub struct Filters(Vec<(String, Filter)>);

impl Filters {
    /// Parses all values of the flag. `made` tells when the container was made that `before` and `since` name; `moment`
    /// reads the value of `until`; both in nanoseconds since 1970.
    ///
    /// # Errors
    /// Refuses what is malformed, and keys nobody knows.
    pub fn parse(
        values: &[String],
        made: impl Fn(&str) -> Result<u64, FilterError>,
        moment: impl Fn(&str) -> Option<u64>,
    ) -> Result<Self, FilterError> {
        let parse = |text: &String| {
            let (key, value) = text.split_once('=').ok_or_else(|| FilterError::Format(text.clone()))?;
            Ok((key.trim_end_matches('!').to_owned(), parse_one(key, value, &made, &moment)?))
        };
        values.iter().map(parse).collect::<Result<_, _>>().map(Self)
    }

    /// No condition at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a state is asked for, so that those who do not run are meant too.
    #[must_use]
    pub fn names_states(&self) -> bool {
        self.0.iter().any(|(_, filter)| matches!(filter, Filter::Status(_) | Filter::Exited(_)))
    }

    /// Whether a container is meant.
    #[must_use]
    pub fn fit(&self, container: &Brief, status: Status) -> bool {
        let fits = |filter: &Filter| filter.fits(container, status);
        self.0.iter().all(|(key, filter)| match filter {
            Filter::Label(..) | Filter::NotLabel(..) => fits(filter),
            _ => self.0.iter().filter(|(other, _)| other == key).any(|(_, filter)| fits(filter)),
        })
    }
}

/// When the container was made that is called so, or whose id alone begins so.
///
/// # Errors
/// None is, or several are.
pub fn made<'a>(all: impl Iterator<Item = &'a Brief> + Clone, text: &str) -> Result<u64, FilterError> {
    let mut exactly = all.clone().filter(|one| one.name == text || one.id.as_str() == text);
    if let Some(one) = exactly.next() {
        return Ok(one.created);
    }
    let mut beginning = all.filter(|one| !text.is_empty() && one.id.as_str().starts_with(text));
    match (beginning.next(), beginning.next()) {
        (Some(one), None) => Ok(one.created),
        (None, _) => Err(FilterError::NoContainer(text.to_owned())),
        (Some(_), Some(_)) => Err(FilterError::Ambiguous(text.to_owned())),
    }
}

fn parse_one(
    key: &str,
    value: &str,
    made: &impl Fn(&str) -> Result<u64, FilterError>,
    moment: &impl Fn(&str) -> Option<u64>,
) -> Result<Filter, FilterError> {
    let wrong = || FilterError::Value { key: key.to_owned(), value: value.to_owned() };
    let regex = |text: &str| Regex::new(text).map_err(|error| FilterError::Pattern(value.to_owned(), error));
    let pattern = || regex(value);
    let pair = || match value.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => (value.to_owned(), None),
    };
    Ok(match key {
        // What can be the beginning of an id is one; all else is a pattern.
        "id" if value.bytes().all(|byte| byte.is_ascii_hexdigit()) => Filter::Id(value.to_ascii_lowercase()),
        "id" => Filter::IdPattern(pattern()?),
        // A name can be spelled with a slash before it, as with Docker.
        "name" => Filter::Name(regex(&value.replace('/', ""))?),
        "label" => Filter::Label(pair().0, pair().1),
        "label!" => Filter::NotLabel(pair().0, pair().1),
        "status" if STATES.contains(&value) => Filter::Status(value.to_owned()),
        "status" => return Err(wrong()),
        "exited" => Filter::Exited(value.parse::<i32>().map_err(|_not_one| wrong())?.into()),
        // What no name of an image has in it is a pattern.
        "ancestor" if value.contains(|it| "^$*+?()[]|\\".contains(it)) => Filter::AncestorPattern(pattern()?),
        "ancestor" => Filter::Ancestor(value.to_owned()),
        "before" => Filter::Before(made(value)?),
        "since" => Filter::Since(made(value)?),
        "until" => Filter::Before(moment(value).ok_or_else(wrong)?),
        "volume" => Filter::Volume(value.to_owned()),
        "network" => Filter::Network(value.to_owned()),
        "pod" => Filter::Pod,
        "health" => Filter::Health(value.to_owned()),
        "restart-policy" if POLICIES.contains(&value) => Filter::Restart(value.to_owned()),
        "restart-policy" => return Err(FilterError::Policy(value.to_owned())),
        "command" => Filter::Command(pattern()?),
        "should-start-on-boot" => match value {
            "true" => Filter::StartOnBoot(true),
            "false" => Filter::StartOnBoot(false),
            _ => return Err(wrong()),
        },
        other => return Err(FilterError::Unknown(Foreign::from(other).for_terminal())),
    })
}

impl Filter {
    fn fits(&self, container: &Brief, status: Status) -> bool {
        let has = |key: &str, value: &Option<String>| {
            let same =
                |(name, have): &(String, String)| name == key && value.as_ref().is_none_or(|it| it == have);
            container.labels.iter().any(same)
        };
        match self {
            Self::Id(prefix) => container.id.as_str().starts_with(prefix),
            Self::IdPattern(pattern) => pattern.is_match(container.id.as_str()),
            Self::Name(pattern) => pattern.is_match(&container.name),
            Self::Label(key, value) => has(key, value),
            Self::NotLabel(key, value) => !has(key, value),
            Self::Status(state) => match state.as_str() {
                // Podman's other words for the two.
                "stopped" => status.word() == "exited",
                "configured" => status.word() == "created",
                state => state == status.word(),
            },
            Self::Exited(code) => status.exit().is_some_and(|exit| exit.shown() == *code),
            Self::Ancestor(text) => is_ancestor(container, text),
            Self::AncestorPattern(pattern) => pattern.is_match(&container.image_name),
            Self::Before(moment) => container.created < *moment,
            Self::Since(moment) => container.created > *moment,
            Self::Volume(text) => container.mounts.iter().any(|mount| {
                let source = |text: &str| mount.source == text || mount.volume.as_deref() == Some(text);
                let both = |(from, to)| source(from) && mount.destination == to;
                source(text) || mount.destination == *text || text.split_once(':').is_some_and(both)
            }),
            Self::Network(name) => container.network == *name,
            Self::Pod => false,
            Self::Health(state) => state == "none",
            Self::Restart(policy) => matches!(policy.as_str(), "no" | "never" | "none"),
            Self::Command(pattern) => container.command.first().is_some_and(|arg| pattern.is_match(arg)),
            Self::StartOnBoot(asked) => !asked,
        }
    }
}

/// The image by id, by its full name, or by its name without a tag, at the boundary of a component.
fn is_ancestor(container: &Brief, text: &str) -> bool {
    let id = container.image.map(|id| id.to_string()).unwrap_or_default();
    let bare = text.strip_prefix("sha256:").unwrap_or(text);
    if bare.len() >= 3 && id.starts_with(bare) {
        return true;
    }
    let name = container.image_name.as_str();
    let untagged = match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => name,
    };
    [name, untagged].into_iter().any(|name| {
        !text.is_empty() && (name == text || name.strip_suffix(text).is_some_and(|rest| rest.ends_with('/')))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::containers::Container;
    use crate::record::{HostRecord, MountRecord, ProcessRecord, Record};
    use ctr_core::id::ContainerId;

    fn container(id: char, name: &str, created: u64) -> Brief {
        let mount = MountRecord {
            volume: None,
            kind: "bind".to_owned(),
            source: "/src".to_owned(),
            destination: "/dst".to_owned(),
            options: vec![],
            rw: true,
            propagation: String::new(),
        };
        let id = ContainerId::parse(&id.to_string().repeat(64)).unwrap();
        let record = Record {
            image: ctr_store::ImageId::parse(&"f".repeat(64)).ok(),
            image_name: "quay.io/team/app:v1".to_owned(),
            labels: vec![("a".to_owned(), "1".to_owned()), ("b".to_owned(), String::new())],
            process: ProcessRecord { args: vec!["sleep".to_owned()], ..ProcessRecord::default() },
            host: HostRecord { network: "none".to_owned(), ..HostRecord::default() },
            mounts: vec![mount],
            ..Record::sample(id, name, created)
        };
        Brief::of(&Container::sample(record))
    }

    fn fit(values: &[&str]) -> Result<Vec<String>, FilterError> {
        let all = [container('a', "web", 10), container('b', "db", 20)];
        let values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
        let filters = Filters::parse(&values, |text| made(all.iter(), text), |text| text.parse().ok())?;
        Ok(all.iter().filter(|it| filters.fit(it, Status::Running)).map(|it| it.name.clone()).collect())
    }

    #[test]
    fn each_key_means_what_podman_means() {
        let both = ["web", "db"];
        for (values, want) in [
            (&["name=^w"][..], &["web"][..]),
            (&["name=w", "name=d"], &both),
            (&["name=^/web$"], &["web"]),
            (&["id=aa"], &["web"]),
            (&["id=AA"], &["web"]),
            (&["id=^b+$"], &["db"]),
            (&["restart-policy=no"], &both),
            (&["restart-policy=always"], &[]),
            (&["label=a=1", "label=b"], &both),
            (&["label=a=1", "label=c"], &[]),
            (&["label!=c"], &both),
            (&["label!=a"], &[]),
            (&["status=running"], &both),
            (&["status=exited"], &[]),
            (&["exited=0"], &[]),
            (&["ancestor=app"], &both),
            (&["ancestor=team/app:v1"], &both),
            (&["ancestor=pp"], &[]),
            (&["ancestor=fff"], &both),
            (&["ancestor=^quay.*/app:v[12]$"], &both),
            (&["ancestor=^app"], &[]),
            (&["before=db"], &["web"]),
            (&["since=web"], &["db"]),
            (&["until=15"], &["web"]),
            (&["volume=/dst"], &both),
            (&["volume=/src:/dst"], &both),
            (&["volume=/src:/other"], &[]),
            (&["network=none", "name=web"], &["web"]),
            (&["command=sle+p"], &both),
            (&["should-start-on-boot=true"], &[]),
        ] {
            assert_eq!(fit(values).unwrap(), want, "{values:?}");
        }
    }

    #[test]
    fn what_nobody_knows_is_refused() {
        for (value, message) in [
            ("name", "invalid filter: \"name\" must be in the format of filter=value"),
            ("nope=1", "nope is an invalid filter"),
            ("status=nope", "invalid value \"nope\" for the filter status"),
            ("restart-policy=x", "x invalid restart policy"),
            ("exited=x", "invalid value \"x\" for the filter exited"),
            ("until=x", "invalid value \"x\" for the filter until"),
            ("before=nope", "no container with name or ID \"nope\" found: no such container"),
        ] {
            assert_eq!(fit(&[value]).unwrap_err().to_string(), message);
        }
        assert!(matches!(fit(&["name=["]), Err(FilterError::Pattern(..))));
        assert_eq!(fit(&["before=bbb"]).unwrap(), ["web"]);
        let twins = ["one", "two"].map(|name| container('a', name, 1));
        assert!(matches!(made(twins.iter(), "aa"), Err(FilterError::Ambiguous(_))));
        assert_eq!(made(twins.iter(), "two").unwrap(), 1);
    }
}
