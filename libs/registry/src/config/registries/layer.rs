//! What one file says.

use std::collections::BTreeMap;
use std::path::Path;

use ctr_core::config::{Finding, Why};
use ctr_core::reference::{Name, Spelling};
use ctr_core::toml::{self, Table, Value};

use super::{AUTH_FILES, Alias, Asked, Mirror, Mode, Problem, RegistriesError, Registry};
use crate::config::helper::is_name;

/// What one file says; lists that it does not have are `None`.
#[derive(Debug, Default)]
pub(super) struct Layer {
    pub(super) registries: BTreeMap<String, Registry>,
    pub(super) search: Option<Vec<String>>,
    pub(super) mode: Option<Mode>,
    pub(super) aliases: BTreeMap<String, Alias>,
    pub(super) helpers: Option<Vec<String>>,
    pub(super) findings: Vec<Finding>,
}

/// Aliases by their short names.
type Aliases = BTreeMap<String, Alias>;

const SEARCH: &str = "unqualified-search-registries";
const MODE: &str = "short-name-mode";
const HELPERS: &str = "credential-helpers";
const LAYER_STORE: &str = "additional-layer-store-auth-helper";
const WHEN: &str = "pull-from-mirror";

/// Reads a file.
pub(super) fn parse(text: &str, path: &Path) -> Result<Layer, RegistriesError> {
    let mut top = Section::top(text, path)?;
    if matches!(top.table.get("registries"), Some(Value::Table(_))) {
        return Err(RegistriesError::FirstVersion { path: path.to_owned() });
    }
    let mut layer = Layer::default();
    let mut conflicts = Conflicts::default();
    for section in top.sections("registry")? {
        let registry = parse_registry(section, &mut layer.findings)?;
        conflicts.add(path, &registry)?;
        // The first of two with one prefix counts.
        layer.registries.entry(registry.prefix.clone()).or_insert(registry);
    }
    layer.search = top.texts(SEARCH)?;
    for entry in layer.search.iter_mut().flatten() {
        *entry = search_registry(entry).map_err(|problem| top.wrong(SEARCH, problem))?;
    }
    let mode = top.text(MODE)?.filter(|mode| !mode.is_empty());
    layer.mode = mode.map(parse_mode).transpose().map_err(|problem| top.wrong(MODE, problem))?;
    layer.helpers = top.texts(HELPERS)?;
    let nameless = |helper: &&String| *helper != AUTH_FILES && !is_name(helper);
    if let Some(helper) = layer.helpers.iter().flatten().find(nameless) {
        return Err(top.wrong(HELPERS, Problem::NoHelper { value: helper.clone() }));
    }
    if let Some(section) = top.section("aliases")? {
        layer.aliases = parse_aliases(section)?;
    }
    if top.text(LAYER_STORE)?.is_some_and(|helper| !helper.is_empty()) {
        let why = Why::Void("there are no additional layer stores");
        layer.findings.push(Finding { path: path.to_owned(), key: LAYER_STORE.to_owned(), why });
    }
    top.leave(&mut layer.findings);
    Ok(layer)
}

/// Reads a file that has aliases; whatever else is in it is nobody's.
pub(in crate::config) fn parse_alias_file(text: &str, path: &Path) -> Result<Aliases, RegistriesError> {
    let section = Section::top(text, path)?.section("aliases")?;
    section.map_or_else(|| Ok(Aliases::new()), parse_aliases)
}

fn parse_registry(
    mut section: Section<'_>,
    findings: &mut Vec<Finding>,
) -> Result<Registry, RegistriesError> {
    let location = section.location("location")?;
    let prefix = section.location("prefix")?;
    let prefix = match (prefix.is_empty(), location.is_empty()) {
        (true, true) => return Err(section.wrong("", Problem::Nameless)),
        (true, false) => location.clone(),
        (false, true) if !prefix.starts_with("*.") => {
            return Err(section.wrong("location", Problem::NoLocation));
        }
        (false, _) => prefix,
    };
    if prefix.starts_with("*.") && prefix.contains(['/', '@', ':']) {
        return Err(section.wrong("prefix", Problem::Wildcard { value: prefix }));
    }
    if section.text(WHEN)?.is_some_and(|when| !when.is_empty()) {
        return Err(section.wrong(WHEN, Problem::NotAMirror));
    }
    let by_digest = section.bool("mirror-by-digest-only")?;
    let mut mirrors = Vec::new();
    for mirror in section.sections("mirror")? {
        mirrors.push(parse_mirror(mirror, by_digest, findings)?);
    }
    let registry = Registry {
        prefix,
        location: Some(location).filter(|location| !location.is_empty()),
        insecure: section.bool("insecure")?,
        blocked: section.bool("blocked")?,
        mirrors,
        origin: section.path.to_owned(),
    };
    section.leave(findings);
    Ok(registry)
}

fn parse_mirror(
    mut section: Section<'_>,
    by_digest: bool,
    findings: &mut Vec<Finding>,
) -> Result<Mirror, RegistriesError> {
    let location = section.location("location")?;
    if location.is_empty() {
        return Err(section.wrong("location", Problem::NoMirrorLocation));
    }
    let when = section.text(WHEN)?.unwrap_or_default();
    let asked = match (when.as_str(), by_digest) {
        ("", true) => Asked::ByDigest,
        ("", false) => Asked::Always,
        (_, true) => return Err(section.wrong(WHEN, Problem::Twice)),
        ("all", _) => Asked::Always,
        ("digest-only", _) => Asked::ByDigest,
        ("tag-only", _) => Asked::ByTag,
        _ => {
            let allowed = "all, digest-only, tag-only";
            return Err(section.wrong(WHEN, Problem::Value { value: when, allowed }));
        }
    };
    let mirror = Mirror { location, insecure: section.bool("insecure")?, asked };
    section.leave(findings);
    Ok(mirror)
}

/// What registries of one location must agree on.
#[derive(Debug, Default)]
struct Conflicts(BTreeMap<String, (bool, bool)>);

impl Conflicts {
    fn add(&mut self, path: &Path, registry: &Registry) -> Result<(), RegistriesError> {
        let location = registry.location.as_ref().unwrap_or(&registry.prefix).clone();
        let now = (registry.insecure, registry.blocked);
        let before = *self.0.entry(location.clone()).or_insert(now);
        let setting = match before {
            (insecure, _) if insecure != now.0 => "insecure",
            (_, blocked) if blocked != now.1 => "blocked",
            _ => return Ok(()),
        };
        let problem = Problem::Conflict { location, setting };
        Err(RegistriesError::Key { path: path.to_owned(), key: "registry".to_owned(), problem })
    }
}

/// A registry that is searched.
fn search_registry(entry: &str) -> Result<String, Problem> {
    let host = entry.trim_end_matches('/');
    if has_scheme(host) {
        return Err(Problem::Scheme { value: entry.to_owned() });
    }
    match Name::parse(&format!("{host}/x")) {
        Ok(_) if !host.contains('/') => Ok(host.to_owned()),
        _ => Err(Problem::NoRegistry { value: entry.to_owned() }),
    }
}

fn parse_mode(mode: String) -> Result<Mode, Problem> {
    match mode.as_str() {
        "enforcing" => Ok(Mode::Enforcing),
        "permissive" => Ok(Mode::Permissive),
        "disabled" => Ok(Mode::Disabled),
        _ => Err(Problem::Value { value: mode, allowed: "enforcing, permissive, disabled" }),
    }
}

fn parse_aliases(mut section: Section<'_>) -> Result<Aliases, RegistriesError> {
    let mut aliases = Aliases::new();
    for (short, value) in std::mem::take(&mut section.table) {
        let Value::Text(text) = value else {
            return Err(section.kind(&short, "string", &value));
        };
        if !is_short(&short) {
            return Err(section.wrong(&short, Problem::NoShortName));
        }
        let name = match text.as_str() {
            "" => None,
            _ => match Name::parse(&text) {
                Ok(name) => Some(name),
                Err(_) => return Err(section.wrong(&short, Problem::NoAlias { value: text })),
            },
        };
        aliases.insert(short, Alias { name, origin: section.path.to_owned() });
    }
    Ok(aliases)
}

/// Whether a name is short, and nothing but a name.
pub(in crate::config) fn is_short(text: &str) -> bool {
    match Spelling::parse(text) {
        Ok(Spelling::Short(short)) => short.tag.is_none() && short.digest.is_none(),
        _ => false,
    }
}

fn has_scheme(location: &str) -> bool {
    location.starts_with("http://") || location.starts_with("https://")
}

/// A table of the file, of which what is known is taken out.
struct Section<'a> {
    path: &'a Path,
    name: String,
    table: Table,
}

impl<'a> Section<'a> {
    fn top(text: &str, path: &'a Path) -> Result<Self, RegistriesError> {
        let parsed = toml::parse(text);
        let table = parsed.map_err(|source| RegistriesError::Toml { path: path.to_owned(), source })?;
        Ok(Self { path, name: String::new(), table })
    }

    fn key(&self, name: &str) -> String {
        match (self.name.is_empty(), name.is_empty()) {
            (true, _) => name.to_owned(),
            (_, true) => self.name.clone(),
            _ => format!("{}.{name}", self.name),
        }
    }

    fn wrong(&self, name: &str, problem: Problem) -> RegistriesError {
        RegistriesError::Key { path: self.path.to_owned(), key: self.key(name), problem }
    }

    fn kind(&self, name: &str, wanted: &'static str, found: &Value) -> RegistriesError {
        self.wrong(name, Problem::Kind { wanted, found: found.kind() })
    }

    fn text(&mut self, name: &str) -> Result<Option<String>, RegistriesError> {
        match self.table.remove(name) {
            None => Ok(None),
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(other) => Err(self.kind(name, "string", &other)),
        }
    }

    fn bool(&mut self, name: &str) -> Result<bool, RegistriesError> {
        match self.table.remove(name) {
            None => Ok(false),
            Some(Value::Bool(on)) => Ok(on),
            Some(other) => Err(self.kind(name, "boolean", &other)),
        }
    }

    fn list(&mut self, name: &str, wanted: &'static str) -> Result<Option<Vec<Value>>, RegistriesError> {
        match self.table.remove(name) {
            None => Ok(None),
            Some(Value::List(list)) => Ok(Some(list)),
            Some(other) => Err(self.kind(name, wanted, &other)),
        }
    }

    fn texts(&mut self, name: &str) -> Result<Option<Vec<String>>, RegistriesError> {
        const WANTED: &str = "array of strings";
        let Some(list) = self.list(name, WANTED)? else { return Ok(None) };
        let text = |value| match value {
            Value::Text(text) => Ok(text),
            other => Err(self.kind(name, WANTED, &other)),
        };
        list.into_iter().map(text).collect::<Result<_, _>>().map(Some)
    }

    /// A host with what may be behind it, without slashes at the end; empty if it is not set.
    fn location(&mut self, name: &str) -> Result<String, RegistriesError> {
        let value = self.text(name)?.unwrap_or_default();
        let location = value.trim_end_matches('/').to_owned();
        if has_scheme(&location) { Err(self.wrong(name, Problem::Scheme { value })) } else { Ok(location) }
    }

    fn section(&mut self, name: &str) -> Result<Option<Self>, RegistriesError> {
        match self.table.remove(name) {
            None => Ok(None),
            Some(Value::Table(table)) => Ok(Some(Self { path: self.path, name: self.key(name), table })),
            Some(other) => Err(self.kind(name, "table", &other)),
        }
    }

    fn sections(&mut self, name: &str) -> Result<Vec<Self>, RegistriesError> {
        const WANTED: &str = "array of tables";
        let list = self.list(name, WANTED)?.unwrap_or_default();
        let section = |(at, value)| match value {
            Value::Table(table) => {
                Ok(Section { path: self.path, name: format!("{}[{at}]", self.key(name)), table })
            }
            other => Err(self.kind(name, WANTED, &other)),
        };
        list.into_iter().enumerate().map(section).collect()
    }

    /// Says of what is left that nobody knows it.
    fn leave(self, findings: &mut Vec<Finding>) {
        for name in self.table.keys() {
            let finding = Finding { path: self.path.to_owned(), key: self.key(name), why: Why::Unknown };
            findings.push(finding);
        }
    }
}
