//! Blobs: whole, in part, or from elsewhere.

use std::ops::Range;
use std::sync::Arc;

use super::message::{Answer, Body, Headers, Request};
use super::{Shared, Side, api};

pub(super) fn answer(shared: &Shared, request: &Request, name: &str, digest: &str) -> Answer {
    let options = shared.options();
    let Some(blob) = shared.state().blob(name, digest) else {
        return Answer::error(404, "BLOB_UNKNOWN", "blob unknown to registry");
    };
    match request.method.as_str() {
        "GET" if options.cdn => {
            let there = format!("{}/blobs/{digest}?for={name}", shared.origins.url(Side::Cdn));
            Answer::status(307).with("Location", there)
        }
        "GET" | "HEAD" => {
            let answer = content(shared, request, digest, blob);
            if options.digest_header { answer.with("Docker-Content-Digest", digest) } else { answer }
        }
        "DELETE" if options.deletion => {
            shared.state().repository(name).blobs.remove(digest);
            Answer::status(202)
        }
        _ => api::unsupported(),
    }
}

/// The other host. It knows nobody, and who tells it a secret has told it to a stranger.
pub(super) fn from_cdn(shared: &Shared, request: &Request) -> Answer {
    if request.headers.get("Authorization").is_some() {
        return Answer::bytes(400, "only one auth mechanism allowed");
    }
    let path = request.decoded_path();
    let blob = path.strip_prefix("/blobs/").map(|digest| (digest, shared.state().blobs.get(digest).cloned()));
    match (request.method.as_str(), blob) {
        ("GET" | "HEAD", Some((digest, Some(blob)))) => content(shared, request, digest, blob),
        ("GET" | "HEAD", _) => Answer::bytes(404, "no such key"),
        _ => Answer::bytes(405, "no such method"),
    }
}

/// A blob, or the part of it that is asked for.
fn content(shared: &Shared, request: &Request, digest: &str, blob: Arc<Vec<u8>>) -> Answer {
    let etag = format!("\"{digest}-{}\"", shared.state().etags);
    let ranges = shared.options().ranges;
    let len = blob.len();
    let asked = if ranges { part(&request.headers, &etag, len) } else { Part::Whole };
    let (status, range) = match &asked {
        Part::Whole => (200, 0..len),
        Part::Some(range) => (206, range.clone()),
        Part::Nothing => {
            let error = Answer::error(416, "RANGE_INVALID", "invalid content range");
            return error.with("Content-Range", format!("bytes */{len}"));
        }
    };
    let mut answer =
        Answer::status(status).with("Content-Type", "application/octet-stream").with("ETag", etag);
    if ranges {
        answer = answer.with("Accept-Ranges", "bytes");
    }
    if let Part::Some(range) = &asked {
        let last = range.end - 1;
        answer = answer.with("Content-Range", format!("bytes {}-{last}/{len}", range.start));
    }
    answer.body = Body::Bytes(blob, range);
    answer
}

/// What is asked for of a blob.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    Whole,
    Some(Range<usize>),
    Nothing,
}

/// Reads Range and If-Range. Several ranges, and what is no range, are a question for the whole.
fn part(headers: &Headers, etag: &str, len: usize) -> Part {
    let same = headers.get("If-Range").is_none_or(|tag| tag == etag);
    let range = headers.get("Range").filter(|_| same).and_then(|range| range.strip_prefix("bytes="));
    let Some((from, to)) = range.and_then(|range| range.split_once('-')) else { return Part::Whole };
    let range = match (from.parse::<usize>(), to.parse::<usize>()) {
        (Ok(from), Ok(to)) if from <= to => from..len.min(to.saturating_add(1)),
        (Ok(from), _) if to.is_empty() => from..len,
        (_, Ok(last)) if from.is_empty() => len.saturating_sub(last)..len,
        _ => return Part::Whole,
    };
    if range.is_empty() { Part::Nothing } else { Part::Some(range) }
}

#[cfg(test)]
mod tests {
    use super::{Headers, Part, part};

    #[test]
    fn parts() {
        let asked = |range: &str, tag: Option<&str>| {
            let mut headers = Headers::default();
            headers.set("Range", range);
            if let Some(tag) = tag {
                headers.set("If-Range", tag);
            }
            part(&headers, "\"e\"", 10)
        };
        assert_eq!(asked("bytes=3-", None), Part::Some(3..10));
        assert_eq!(asked("bytes=3-3", Some("\"e\"")), Part::Some(3..4));
        assert_eq!(asked("bytes=3-99", None), Part::Some(3..10));
        assert_eq!(asked("bytes=-4", None), Part::Some(6..10));
        assert_eq!(asked("bytes=10-", None), Part::Nothing);
        assert_eq!(asked("bytes=3-", Some("\"f\"")), Part::Whole);
        assert_eq!(asked("bytes=1-2,4-5", None), Part::Whole);
        assert_eq!(asked("bytes=5-4", None), Part::Whole);
    }
}
