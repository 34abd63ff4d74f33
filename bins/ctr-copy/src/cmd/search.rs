//! `search`: repositories of registries by a part of their names, or the tags of one.

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::json::{self, Style};
use ctr_cli::report::CommandError;
use ctr_cli::template::{Report, Struct, TemplateError, Value, asks_for_json, headers};
use ctr_cli::usage::{Arity, Flag, Verb};
use ctr_core::Reference;
use ctr_registry::client::search::Hit;

use crate::error::{of, of_registry};
use crate::registries::{Access, Registries};

/// How many are shown of each registry where nothing is said.
const MOST: usize = 25;
/// Bytes of a description that are shown.
const SHOWN: usize = 44;

pub(super) const VERB: Verb = Verb::new("[options] TERM", "Search registry for image")
    .long(
        "Search registries for a given image. Can search all the default registries or a specific registry.\n\n\tUsers can limit the number of results, and filter the output based on certain conditions.",
    )
    .examples(&[
        "search --filter=is-official --limit 3 alpine",
        "search registry.fedoraproject.org/  # only works with v2 registries",
        "search --format \"table {{.Index}} {{.Name}}\" registry.fedoraproject.org/fedora",
    ])
    .flags(&[
        Flag::path("authfile", "Path of the authentication file. Use REGISTRY_AUTH_FILE environment variable to override"),
        Flag::path("cert-dir", "`Pathname` of a directory containing TLS certificates and keys"),
        Flag::bool("compatible", "List stars, official and automated columns (Docker compatibility)"),
        Flag::string("creds", "`Credentials` (USERNAME:PASSWORD) to use for authenticating to a registry"),
        Flag::array("filter", "Filter output based on conditions provided (default [])").short('f'),
        Flag::string("format", "Change the output format to JSON or a Go template"),
        Flag::int("limit", "Limit the number of results"),
        Flag::bool("list-tags", "List the tags of the input registry"),
        Flag::bool("no-trunc", "Do not truncate the output"),
        Flag::bool("tls-verify", "Require HTTPS and verify certificates when contacting registries").default("true"),
    ])
    .arity(Arity::Exactly(1));

/// What is shown of a repository or a tag.
struct Row {
    index: String,
    name: String,
    hit: Hit,
    tag: String,
}

pub(super) fn run(call: &Call) -> Result<Exit, CommandError> {
    let text = call.flags.texts()?[0];
    let filters = Filters::parse(&call.flags.strings("filter"))?;
    let wants_tags = call.flags.bool("list-tags");
    if wants_tags && !call.flags.strings("filter").is_empty() {
        return Err(CommandError::usage("filters are not applicable to list tags result"));
    }
    let limit = call.flags.int("limit").and_then(|limit| usize::try_from(limit).ok());
    let limit = limit.filter(|limit| *limit > 0).unwrap_or(MOST);
    let registries = Registries::new(call)?;
    let access = Access::of(call, "")?;
    let (hosts, term) = match text.split_once('/') {
        Some((host, term)) => (vec![host.to_owned()], term),
        None => (searched(&registries), text),
    };
    let (mut rows, mut errors) = (Vec::new(), Vec::new());
    for host in hosts {
        let search = Search { registries: &registries, access: &access, host: &host, term, limit };
        match if wants_tags { search.tags() } else { search.repositories(&filters) } {
            Ok(found) => rows.extend(found),
            Err(error) => errors.push(error),
        }
    }
    // What one registry found is an answer, whatever the others said.
    if rows.is_empty() {
        return CommandError::several(errors).map_or(Ok(Exit::SUCCESS), Err);
    }
    print(call, &rows, wants_tags)?;
    Ok(Exit::SUCCESS)
}

/// Where one searches that names no registry.
fn searched(registries: &Registries) -> Vec<String> {
    let configured = registries.configured().search().map(|(hosts, _)| hosts.to_vec());
    configured.unwrap_or_else(|| vec![ctr_core::reference::DOCKER.to_owned()])
}

/// A search at one registry.
struct Search<'a> {
    registries: &'a Registries,
    access: &'a Access,
    host: &'a str,
    term: &'a str,
    limit: usize,
}

impl Search<'_> {
    fn repositories(&self, filters: &Filters) -> Result<Vec<Row>, CommandError> {
        let registry = self.registries.whole(self.host, self.access)?;
        let hits = registry.search(self.term, self.limit).map_err(of_registry)?;
        let hits = hits.into_iter().filter(|hit| filters.pass(hit));
        let row = |hit: Hit| {
            let is_hub = self.host == "docker.io" || self.host.ends_with(".docker.io");
            let is_of_the_hub = is_hub && !hit.name.contains('/');
            let name = if is_of_the_hub {
                format!("docker.io/library/{}", hit.name)
            } else {
                format!("{}/{}", self.host, hit.name)
            };
            Row { index: self.host.to_owned(), name, hit, tag: String::new() }
        };
        Ok(hits.map(row).collect())
    }

    fn tags(&self) -> Result<Vec<Row>, CommandError> {
        let text = format!("{}/{}", self.host, self.term);
        let reference = Reference::parse(&text).map_err(of)?;
        let registry = self.registries.registry(&reference.name, self.access)?;
        let tags = registry.tags(reference.name.path()).map_err(of_registry)?;
        let name = reference.name.to_string();
        let row = |tag| Row { index: self.host.to_owned(), name: name.clone(), hit: Hit::default(), tag };
        Ok(tags.into_iter().take(self.limit).map(row).collect())
    }
}

/// What is wanted of what was found.
#[derive(Debug, Default, PartialEq, Eq)]
struct Filters {
    stars: i64,
    is_automated: Option<bool>,
    is_official: Option<bool>,
}

impl Filters {
    fn parse(texts: &[String]) -> Result<Self, CommandError> {
        let mut filters = Self::default();
        for text in texts {
            let (key, value) =
                text.split_once('=').map_or((text.as_str(), None), |(key, value)| (key, Some(value)));
            match key {
                "stars" => {
                    let wrong = || format!("invalid filter {texts:?}, should be stars=<value>");
                    let value = value.ok_or_else(|| CommandError::usage(wrong()))?;
                    let wrong = || format!("incorrect value type for stars filter: {value:?} is no number");
                    filters.stars = value.parse().ok().ok_or_else(|| CommandError::usage(wrong()))?;
                }
                "is-automated" => filters.is_automated = Some(value != Some("false")),
                "is-official" => filters.is_official = Some(value != Some("false")),
                _ => return Err(CommandError::usage(format!("invalid filter type {text:?}"))),
            }
        }
        Ok(filters)
    }

    fn pass(&self, hit: &Hit) -> bool {
        hit.stars >= self.stars
            && self.is_automated.is_none_or(|wanted| wanted == hit.is_automated)
            && self.is_official.is_none_or(|wanted| wanted == hit.is_official)
    }
}

fn print(call: &Call, rows: &[Row], tags: bool) -> Result<(), CommandError> {
    let flags = &call.flags;
    let format = flags.get("format");
    let as_json = format.is_some_and(asks_for_json);
    if as_json {
        let list = if tags {
            tags_by_name(rows)
        } else {
            rows.iter().map(|row| value(row, false).to_json()).collect()
        };
        return Ok(call.ui.line(&json::document(&serde_json::Value::Array(list), Style::FOUR))?);
    }
    let failed = |error: TemplateError| CommandError::usage(error.to_string());
    let report = match format {
        Some(format) => Report::parse("search", format).map_err(failed)?,
        None => Report::table("search", columns(tags, flags.bool("compatible"))).map_err(failed)?,
    };
    let headers = headers(FIELDS, &[]);
    let values = rows.iter().map(|row| value(row, !flags.bool("no-trunc"))).collect();
    Ok(call.ui.print(&report.render(values, Some(&headers)).map_err(failed)?)?)
}

const fn columns(tags: bool, compatible: bool) -> &'static str {
    match (tags, compatible) {
        (true, _) => "{{.Name}}\t{{.Tag}}",
        (false, true) => "{{.Name}}\t{{.Description}}\t{{.Stars}}\t{{.Official}}\t{{.Automated}}",
        (false, false) => "{{.Name}}\t{{.Description}}",
    }
}

/// What templates can ask for.
const FIELDS: &[&str] = &["Index", "Name", "Description", "Stars", "Official", "Automated", "Tag"];

fn value(row: &Row, shortens: bool) -> Value {
    let mark = |holds: bool| if holds { "[OK]" } else { "" };
    Struct::new("types.ImageSearchReport")
        .field("Index", row.index.clone())
        .field("Name", row.name.clone())
        .field("Description", description(&row.hit.description, shortens))
        .field("Stars", row.hit.stars)
        .field("Official", mark(row.hit.is_official))
        .field("Automated", mark(row.hit.is_automated))
        .field("Tag", row.tag.clone())
        .into()
}

/// A description in one line, and not too long a one: a letter that the end would cut goes.
fn description(text: &str, shortens: bool) -> String {
    let text = text.replace('\n', " ");
    let end = text.floor_char_boundary(SHOWN);
    if shortens && text.len() > SHOWN { format!("{}...", text[..end].trim()) } else { text }
}

/// Each name once, with its tags.
fn tags_by_name(rows: &[Row]) -> Vec<serde_json::Value> {
    let tags: Vec<&str> = rows.iter().map(|row| row.tag.as_str()).collect();
    let mut names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    names.dedup();
    let of = |name: &&str| {
        let own = rows.iter().zip(&tags).filter(|(row, _)| row.name == *name).map(|(_, tag)| *tag);
        serde_json::json!({ "Name": name, "Tags": own.collect::<Vec<_>>() })
    };
    names.iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_podmans() {
        let parse =
            |texts: &[&str]| Filters::parse(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        let filters = parse(&["stars=3", "is-official", "is-automated=false"]).unwrap();
        assert_eq!(filters, Filters { stars: 3, is_automated: Some(false), is_official: Some(true) });
        let hit = Hit { stars: 3, is_official: true, ..Hit::default() };
        assert!(filters.pass(&hit));
        assert!(!filters.pass(&Hit { stars: 2, ..hit.clone() }));
        assert!(!filters.pass(&Hit { is_automated: true, ..hit }));
        for bad in ["stars", "stars=x", "other=1"] {
            assert!(parse(&[bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn descriptions_fit() {
        assert_eq!(description("one\ntwo", true), "one two");
        let long = "ä".repeat(30);
        assert_eq!(description(&long, true), format!("{}...", "ä".repeat(22)));
        assert_eq!(description(&long, false), long);
    }
}
