//! Lists: of tags, of repositories, and of what refers to a manifest.

use serde_json::{Value, json};

use super::message::{Answer, Body, Request};
use super::state::Repository;
use super::{Shared, api};

pub(super) fn catalog(shared: &Shared, request: &Request) -> Answer {
    if request.method != "GET" {
        return api::unsupported();
    }
    let names: Vec<_> = shared.state().repositories.keys().cloned().collect();
    paged(shared, request, Names::of(names), "/v2/_catalog", "{\"repositories\":")
}

/// What is found, where searching is answered: whatever has the words in its name.
pub(super) fn search(shared: &Shared, request: &Request) -> Answer {
    let Some(all) = shared.state().found.clone() else { return Answer::bytes(404, "404 page not found") };
    let part = request.parameter("q").unwrap_or_default();
    let most = request.parameter("n").and_then(|n| n.parse().ok()).unwrap_or(25);
    let fits = |one: &&Value| one["name"].as_str().is_some_and(|name| name.contains(part.as_str()));
    let results: Vec<_> = all.iter().filter(fits).take(most).collect();
    Answer::json(200, &json!({ "num_results": results.len(), "query": part, "results": results }))
}

pub(super) fn tags(shared: &Shared, request: &Request, name: &str) -> Answer {
    if request.method != "GET" {
        return api::unsupported();
    }
    let state = shared.state();
    let Some(repository) = state.repositories.get(name) else {
        return Answer::error(404, "NAME_UNKNOWN", "repository name not known to registry");
    };
    let names = match repository.made_up {
        0 => Names::of(repository.tags.keys().cloned().collect()),
        count => Names::made_up(count),
    };
    drop(state);
    let start = format!("{{\"name\":{},\"tags\":", Value::from(name));
    paged(shared, request, names, &format!("/v2/{name}/tags/list"), &start)
}

/// Names in their order, which need not all be in memory.
struct Names {
    count: u64,
    name: Box<dyn Fn(u64) -> String + Send>,
}

impl Names {
    fn of(mut names: Vec<String>) -> Self {
        names.sort();
        let name = move |n| usize::try_from(n).ok().and_then(|n| names.get(n)).cloned().unwrap_or_default();
        let count = u64::MAX;
        let mut all = Self { count, name: Box::new(name) };
        all.count = (0..).find(|n| (all.name)(*n).is_empty()).unwrap_or(0);
        all
    }

    fn made_up(count: u64) -> Self {
        Self { count, name: Box::new(|n| format!("tag-{n:09}")) }
    }

    /// The place of the first name that is greater than this one.
    fn after(&self, last: &str) -> u64 {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = u64::midpoint(low, high);
            if (self.name)(middle).as_str() <= last { low = middle + 1 } else { high = middle }
        }
        low
    }
}

/// A page, made while it is sent, and the link to the next one.
fn paged(shared: &Shared, request: &Request, names: Names, path: &str, start: &str) -> Answer {
    let wanted = request.parameter("n").map(|n| n.parse::<u64>());
    let Ok(wanted) = wanted.transpose() else {
        return Answer::error(400, "PAGINATION_NUMBER_INVALID", "invalid number of results requested");
    };
    let server = shared.options().page.map(|page| page as u64);
    let page = wanted.into_iter().chain(server).min().unwrap_or(u64::MAX);
    let first = request.parameter("last").map_or(0, |last| names.after(&last));
    let end = first.saturating_add(page).min(names.count);
    let mut answer = Answer::status(200).with("Content-Type", "application/json");
    if page > 0 && end < names.count {
        let next = format!("{path}?last={}&n={page}", (names.name)(end - 1));
        answer = answer.with("Link", format!("<{}>; rel=\"next\"", api::location(shared, &next)));
    }
    let head = std::iter::once(format!("{start}[").into_bytes());
    let entries = (first..end).map(move |n| {
        let comma = if n == first { "" } else { "," };
        format!("{comma}{}", Value::from((names.name)(n))).into_bytes()
    });
    let body = Gathered(head.chain(entries).chain(std::iter::once(b"]}\n".to_vec())));
    answer.body = Body::Pieces(Box::new(body));
    answer
}

/// Small pieces as larger ones.
struct Gathered<I>(I);

impl<I: Iterator<Item = Vec<u8>>> Iterator for Gathered<I> {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let mut piece = self.0.next()?;
        while piece.len() < 8192 {
            let Some(more) = self.0.next() else { break };
            piece.extend(more);
        }
        Some(piece)
    }
}

/// What names a manifest as its subject.
pub(super) fn referrers(shared: &Shared, request: &Request, name: &str, subject: &str) -> Answer {
    if !shared.options().referrers {
        return Answer::bytes(404, "404 page not found");
    }
    if request.method != "GET" {
        return api::unsupported();
    }
    let wanted = request.parameter("artifactType");
    let mut state = shared.state();
    let all = referring(state.repository(name), subject);
    let same = |one: &Value| wanted.as_ref().is_none_or(|wanted| one["artifactType"] == wanted.as_str());
    let list: Vec<_> = all.into_iter().filter(same).collect();
    let kind = "application/vnd.oci.image.index.v1+json";
    let index = json!({ "schemaVersion": 2, "mediaType": kind, "manifests": list });
    let answer = Answer::json(200, &index).with("Content-Type", kind);
    if wanted.is_some() { answer.with("OCI-Filters-Applied", "artifactType") } else { answer }
}

/// The descriptors of all manifests with this subject.
fn referring(repository: &Repository, subject: &str) -> Vec<Value> {
    let all = repository.manifests.iter().map(|(digest, manifest)| (digest, manifest, manifest.value()));
    let those = all.filter(|(_, _, value)| value["subject"]["digest"] == subject);
    those
        .map(|(digest, manifest, value)| {
            let mut one =
                json!({ "mediaType": manifest.kind, "digest": digest, "size": manifest.bytes.len() });
            let kind = value.get("artifactType").unwrap_or(&value["config"]["mediaType"]);
            if !kind.is_null() {
                one["artifactType"] = kind.clone();
            }
            if let Some(annotations) = value.get("annotations") {
                one["annotations"] = annotations.clone();
            }
            one
        })
        .collect()
}
