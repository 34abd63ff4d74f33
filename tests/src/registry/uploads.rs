//! Uploads of blobs: at once, as a stream, in chunks, gone on with, or mounted from another repository.

use std::io::{Read as _, Result};

use super::message::{Answer, Request};
use super::state::{Upload, digest_like};
use super::wire::Incoming;
use super::{Shared, api};

/// What is written to an upload at once.
const PIECE: usize = 1 << 16;

/// POST: a mount, a whole blob, or the beginning of an upload.
pub(super) fn begin(
    shared: &Shared,
    request: &Request,
    body: &mut Incoming<'_>,
    name: &str,
) -> Result<Answer> {
    if request.method != "POST" {
        return Ok(api::unsupported());
    }
    if let Some(mounted) = mount(shared, request, name) {
        return Ok(mounted);
    }
    let mut state = shared.state();
    state.counted += 1;
    let id = format!("upload-{}", state.counted);
    let upload = Upload { repository: name.to_owned(), ..Upload::default() };
    state.uploads.insert(id.clone(), upload);
    drop(state);
    if let Some(digest) = request.parameter("digest") {
        if let Some(refused) = write(shared, body, &id)? {
            return Ok(refused);
        }
        return Ok(finish(shared, name, &id, &digest));
    }
    Ok(progress(shared, 202, name, &id))
}

/// The blob as it is in another repository. Who names none gets it from wherever it is.
fn mount(shared: &Shared, request: &Request, name: &str) -> Option<Answer> {
    let digest = request.parameter("mount")?;
    let from = request.parameter("from")?;
    let mut state = shared.state();
    let there = shared.options().mounts && state.blob(&from, &digest).is_some();
    there.then(|| {
        state.repository(name).blobs.insert(digest.clone());
        created(shared, name, &digest)
    })
}

fn created(shared: &Shared, name: &str, digest: &str) -> Answer {
    let location = api::location(shared, &format!("/v2/{name}/blobs/{digest}"));
    Answer::status(201).with("Location", location).with("Docker-Content-Digest", digest)
}

/// Where an upload stands.
fn progress(shared: &Shared, status: u16, name: &str, id: &str) -> Answer {
    let (len, step) =
        shared.state().uploads.get(id).map_or((0, 0), |upload| (upload.bytes.len(), upload.step));
    let location = api::location(shared, &format!("/v2/{name}/blobs/uploads/{id}?step={step}"));
    let answer = Answer::status(status)
        .with("Location", location)
        .with("Range", format!("0-{}", len.saturating_sub(1)))
        .with("Docker-Upload-UUID", id);
    match shared.options().min_chunk {
        Some(min) => answer.with("OCI-Chunk-Min-Length", min.to_string()),
        None => answer,
    }
}

/// GET, PATCH, PUT and DELETE of an upload.
pub(super) fn go_on(
    shared: &Shared,
    request: &Request,
    body: &mut Incoming<'_>,
    name: &str,
    id: &str,
) -> Result<Answer> {
    let known = shared.state().uploads.get(id).is_some_and(|upload| upload.repository == name);
    if !known {
        return Ok(Answer::error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry"));
    }
    match request.method.as_str() {
        "GET" => Ok(progress(shared, 204, name, id)),
        "DELETE" => {
            shared.state().uploads.remove(id);
            Ok(Answer::status(204))
        }
        "PATCH" => {
            let refused = refusal(shared, request, body, name, id);
            let refused = if refused.is_some() { refused } else { write(shared, body, id)? };
            Ok(refused.unwrap_or_else(|| progress(shared, 202, name, id)))
        }
        "PUT" => put(shared, request, body, name, id),
        _ => Ok(api::unsupported()),
    }
}

fn put(shared: &Shared, request: &Request, body: &mut Incoming<'_>, name: &str, id: &str) -> Result<Answer> {
    let Some(digest) = request.parameter("digest") else {
        return Ok(Answer::error(400, "DIGEST_INVALID", "no digest"));
    };
    let refused = refusal(shared, request, body, name, id);
    let refused = if refused.is_some() { refused } else { write(shared, body, id)? };
    Ok(refused.unwrap_or_else(|| finish(shared, name, id, &digest)))
}

/// Why these bytes are not taken: they do not begin where the upload stands, the client kept an old Location, or a chunk before
/// them was too short to be followed by any.
fn refusal(shared: &Shared, request: &Request, body: &Incoming<'_>, name: &str, id: &str) -> Option<Answer> {
    let min = shared.options().min_chunk;
    let mut state = shared.state();
    let upload = state.uploads.get_mut(id)?;
    let stands = upload.bytes.len() as u64;
    let range = request.headers.get("Content-Range");
    let begins = range.map(|range| range.split('-').next().unwrap_or_default().parse::<u64>());
    if begins.is_some_and(|begins| begins != Ok(stands)) {
        drop(state);
        return Some(progress(shared, 416, name, id));
    }
    let step = upload.step.to_string();
    if request.parameter("step").is_none_or(|told| told != step) {
        return Some(Answer::error(
            400,
            "BLOB_UPLOAD_INVALID",
            "this is not the last Location of the upload",
        ));
    }
    let has_more = body.told() != Some(0);
    if upload.short && has_more {
        return Some(Answer::error(400, "BLOB_UPLOAD_INVALID", "the chunk before was too short"));
    }
    upload.short = range.is_some() && min.zip(body.told()).is_some_and(|(min, len)| len < min);
    None
}

/// Appends the body as it comes: what was there when a connection ends is kept.
fn write(shared: &Shared, body: &mut Incoming<'_>, id: &str) -> Result<Option<Answer>> {
    let most = shared.options().max_chunk;
    let too_large = || Ok(Some(Answer::error(413, "SIZE_INVALID", "more than is taken at once")));
    if most.zip(body.told()).is_some_and(|(most, len)| len > most) {
        return too_large();
    }
    let (mut piece, mut written) = (vec![0; PIECE], 0);
    if let Some(upload) = shared.state().uploads.get_mut(id) {
        upload.step += 1;
    }
    loop {
        let read = body.read(&mut piece)?;
        written += read as u64;
        if most.is_some_and(|most| written > most) {
            return too_large();
        }
        match shared.state().uploads.get_mut(id) {
            Some(upload) if read > 0 => upload.bytes.extend_from_slice(&piece[..read]),
            _ => return Ok(None),
        }
    }
}

/// The blob is there, if it is what it should be; else the upload is over.
fn finish(shared: &Shared, name: &str, id: &str, digest: &str) -> Answer {
    let mut state = shared.state();
    let bytes = state.uploads.remove(id).map(|upload| upload.bytes).unwrap_or_default();
    if digest_like(digest, &bytes).as_deref() != Some(digest) {
        return Answer::error(400, "DIGEST_INVALID", "provided digest did not match uploaded content");
    }
    state.put_blob(name, digest, bytes);
    created(shared, name, digest)
}
