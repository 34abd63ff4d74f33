//! Manifests, by tag and by digest.

use std::io::Result;
use std::sync::Arc;

use super::message::{Answer, Body, Request};
use super::state::{Manifest, State, digest_like};
use super::wire::Incoming;
use super::{Shared, api};

/// The longest manifest that is taken.
const MOST: u64 = 4 << 20;

pub(super) fn answer(
    shared: &Shared,
    request: &Request,
    body: &mut Incoming<'_>,
    name: &str,
    reference: &str,
) -> Result<Answer> {
    match request.method.as_str() {
        "GET" | "HEAD" => Ok(get(shared, request, name, reference)),
        "PUT" => put(shared, request, body, name, reference),
        "DELETE" => Ok(delete(shared, name, reference)),
        _ => Ok(api::unsupported()),
    }
}

fn unknown() -> Answer {
    Answer::error(404, "MANIFEST_UNKNOWN", "manifest unknown")
}

fn get(shared: &Shared, request: &Request, name: &str, reference: &str) -> Answer {
    let state = shared.state();
    let Some(repository) = state.repositories.get(name) else {
        return Answer::error(404, "NAME_UNKNOWN", "repository name not known to registry");
    };
    let Some((digest, manifest)) = repository.manifest(reference) else { return unknown() };
    if !accepts(request.headers.list("Accept").as_deref(), &manifest.kind) {
        let why = format!("{} found, but the accept header does not support it", manifest.kind);
        return Answer::error(404, "MANIFEST_UNKNOWN", &why);
    }
    let mut answer =
        Answer::status(200).with("Content-Type", &manifest.kind).with("ETag", format!("\"{digest}\""));
    if shared.options().digest_header {
        answer = answer.with("Docker-Content-Digest", digest);
    }
    answer.body = Body::Bytes(Arc::clone(&manifest.bytes), 0..manifest.bytes.len());
    answer
}

/// Whether a list of media types has this one. Who names none takes any.
fn accepts(list: Option<&str>, kind: &str) -> bool {
    list.is_none_or(|list| {
        let mut names = list.split(',').map(|one| one.split(';').next().unwrap_or_default().trim());
        names.any(|one| one == kind || one == "*/*" || one == "application/*")
    })
}

fn put(
    shared: &Shared,
    request: &Request,
    body: &mut Incoming<'_>,
    name: &str,
    reference: &str,
) -> Result<Answer> {
    let Some(bytes) = body.whole(MOST)? else {
        return Ok(Answer::error(413, "SIZE_INVALID", "the manifest is too large"));
    };
    let invalid = |why: &str| Ok(Answer::error(400, "MANIFEST_INVALID", why));
    let Some(kind) = request.headers.get("Content-Type") else { return invalid("no Content-Type") };
    let manifest = Manifest { kind: kind.to_owned(), bytes: Arc::new(bytes) };
    let value = manifest.value();
    if !value.is_object() || value.get("mediaType").is_some_and(|told| told != kind) {
        return invalid("its type is not that of Content-Type");
    }
    let tag = (!reference.contains(':')).then_some(reference);
    if tag.is_none() && digest_like(reference, &manifest.bytes).as_deref() != Some(reference) {
        return Ok(Answer::error(400, "DIGEST_INVALID", "the digest is another one"));
    }
    let options = shared.options();
    let mut state = shared.state();
    if let Some(missing) = missing(&state, name, &value).filter(|_| !options.sparse) {
        return Ok(Answer::error(
            400,
            "MANIFEST_BLOB_UNKNOWN",
            &format!("{missing} is unknown to the registry"),
        ));
    }
    let digest = state.put_manifest(name, tag, kind, manifest.bytes.to_vec());
    let location = format!("/v2/{name}/manifests/{digest}");
    drop(state);
    let mut answer = Answer::status(201).with("Location", api::location(shared, &location));
    if options.digest_header {
        answer = answer.with("Docker-Content-Digest", digest);
    }
    if let Some(subject) = value["subject"]["digest"].as_str().filter(|_| options.referrers) {
        answer = answer.with("OCI-Subject", subject);
    }
    Ok(answer)
}

/// The first of the things a manifest names that is not there. Layers of other hosts need not be.
fn missing(state: &State, name: &str, manifest: &serde_json::Value) -> Option<String> {
    let list = |key: &str| manifest[key].as_array().cloned().unwrap_or_default();
    let named = |one: &serde_json::Value| one["digest"].as_str().map(str::to_owned);
    let blobs = list("layers").into_iter().filter(|layer| layer.get("urls").is_none());
    let mut blobs = blobs.chain(manifest.get("config").cloned());
    let blob = blobs.find_map(|one| named(&one).filter(|digest| state.blob(name, digest).is_none()));
    let has = |digest: &String| {
        state.repositories.get(name).is_some_and(|repository| repository.manifests.contains_key(digest))
    };
    blob.or_else(|| list("manifests").iter().find_map(|one| named(one).filter(|digest| !has(digest))))
}

fn delete(shared: &Shared, name: &str, reference: &str) -> Answer {
    let options = shared.options();
    let mut state = shared.state();
    let repository = state.repository(name);
    let is_tag = !reference.contains(':');
    if !options.deletion || is_tag && !options.tag_deletion {
        return api::unsupported();
    }
    let gone = if is_tag {
        repository.tags.remove(reference).is_some()
    } else {
        repository.tags.retain(|_, digest| digest != reference);
        repository.manifests.remove(reference).is_some()
    };
    if gone { Answer::status(202) } else { unknown() }
}

#[cfg(test)]
mod tests {
    use super::accepts;

    #[test]
    fn lists_of_types() {
        let list = "application/vnd.a+json, application/vnd.b+json;q=0.5";
        assert!(
            accepts(Some(list), "application/vnd.b+json") && !accepts(Some(list), "application/vnd.c+json")
        );
        assert!(accepts(None, "x/y") && accepts(Some("text/plain, */*"), "x/y") && !accepts(Some(""), "x/y"));
    }
}
