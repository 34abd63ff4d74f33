//! The registry's paths, who may walk them, and where they lead.

use std::io::Result;

use super::auth::{self, Need};
use super::message::{Answer, Request};
use super::wire::Incoming;
use super::{Shared, Side, blobs, lists, manifests, uploads};

/// Where a path leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    Base,
    Catalog,
    /// Docker's first protocol, of which this is all that is left.
    Search,
    Tags(String),
    /// Repository, and a tag or a digest.
    Manifest(String, String),
    /// Repository and digest.
    Blob(String, String),
    Uploads(String),
    /// Repository and name of the upload.
    Upload(String, String),
    /// Repository and digest of the subject.
    Referrers(String, String),
}

impl Route {
    fn of(path: &str) -> Option<Self> {
        if path == "/v1/search" {
            return Some(Self::Search);
        }
        let rest = path.strip_prefix("/v2")?;
        match rest {
            "" | "/" => return Some(Self::Base),
            "/_catalog" => return Some(Self::Catalog),
            _ => {}
        }
        let rest = rest.strip_prefix('/')?;
        if let Some(name) = rest.strip_suffix("/tags/list") {
            return Some(Self::Tags(name.into()));
        }
        if let Some((name, id)) = rest.rsplit_once("/blobs/uploads") {
            let id = id.trim_start_matches('/');
            return Some(match id {
                "" => Self::Uploads(name.into()),
                id => Self::Upload(name.into(), id.into()),
            });
        }
        let (rest, last) = rest.rsplit_once('/')?;
        let (name, what) = rest.rsplit_once('/')?;
        let (name, last) = (name.to_owned(), last.to_owned());
        match what {
            "manifests" => Some(Self::Manifest(name, last)),
            "blobs" => Some(Self::Blob(name, last)),
            "referrers" => Some(Self::Referrers(name, last)),
            _ => None,
        }
    }

    fn repository(&self) -> Option<&str> {
        match self {
            Self::Base | Self::Catalog | Self::Search => None,
            Self::Tags(name) | Self::Uploads(name) => Some(name),
            Self::Manifest(name, _)
            | Self::Blob(name, _)
            | Self::Upload(name, _)
            | Self::Referrers(name, _) => Some(name),
        }
    }

    /// What a client must be allowed for this request.
    fn needs(&self, request: &Request) -> Vec<Need> {
        let Some(name) = self.repository() else {
            return if *self == Self::Catalog { vec![Need::catalog()] } else { Vec::new() };
        };
        let actions: &[&str] = match request.method.as_str() {
            "GET" | "HEAD" if !matches!(self, Self::Upload(..)) => &["pull"],
            "DELETE" if !matches!(self, Self::Upload(..)) => &["delete"],
            _ => &["pull", "push"],
        };
        let mut needs = vec![Need::repository(name, actions)];
        if let (Self::Uploads(_), Some(from)) = (self, request.parameter("from")) {
            needs.push(Need::repository(&from, &["pull"]));
        }
        needs
    }
}

/// Whether this can be the name of a repository.
fn is_name(name: &str) -> bool {
    let part = |part: &str| {
        let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
        part.bytes().all(letters) && part.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
    };
    !name.is_empty() && name.len() < 256 && name.split('/').all(part)
}

pub(super) fn answer(shared: &Shared, request: &Request, body: &mut Incoming<'_>) -> Result<Answer> {
    let Some(route) = Route::of(&request.decoded_path()) else {
        return Ok(Answer::error(404, "UNSUPPORTED", "no such path"));
    };
    if route.repository().is_some_and(|name| !is_name(name)) {
        return Ok(Answer::error(400, "NAME_INVALID", "invalid repository name"));
    }
    let answer = match auth::admit(shared, request, &route.needs(request)) {
        Err(refused) => refused,
        Ok(()) => admitted(shared, &route, request, body)?,
    };
    Ok(answer.with("Docker-Distribution-Api-Version", "registry/2.0"))
}

fn admitted(shared: &Shared, route: &Route, request: &Request, body: &mut Incoming<'_>) -> Result<Answer> {
    match route {
        Route::Base => Ok(Answer::json(200, &serde_json::json!({}))),
        Route::Catalog => Ok(lists::catalog(shared, request)),
        Route::Search => Ok(lists::search(shared, request)),
        Route::Tags(name) => Ok(lists::tags(shared, request, name)),
        Route::Referrers(name, digest) => Ok(lists::referrers(shared, request, name, digest)),
        Route::Manifest(name, reference) => manifests::answer(shared, request, body, name, reference),
        Route::Blob(name, digest) => Ok(blobs::answer(shared, request, name, digest)),
        Route::Uploads(name) => uploads::begin(shared, request, body, name),
        Route::Upload(name, id) => uploads::go_on(shared, request, body, name, id),
    }
}

/// A path as Location and Link have it.
pub(super) fn location(shared: &Shared, path: &str) -> String {
    let origin = if shared.options().absolute { shared.origins.url(Side::Registry) } else { String::new() };
    origin + path
}

/// What a method gets that a path does not know.
pub(super) fn unsupported() -> Answer {
    Answer::error(405, "UNSUPPORTED", "the operation is unsupported")
}

#[cfg(test)]
mod tests {
    use super::{Route, is_name};

    #[test]
    fn paths() {
        let of = |path: &str| Route::of(path).unwrap_or_else(|| panic!("{path}"));
        assert_eq!(of("/v2/"), Route::Base);
        assert_eq!(of("/v2/a/b/tags/list"), Route::Tags("a/b".into()));
        assert_eq!(of("/v2/a/manifests/1"), Route::Manifest("a".into(), "1".into()));
        assert_eq!(of("/v2/a/blobs/manifests/1"), Route::Manifest("a/blobs".into(), "1".into()));
        assert_eq!(of("/v2/a/b/blobs/sha256:0"), Route::Blob("a/b".into(), "sha256:0".into()));
        assert_eq!(of("/v2/a/blobs/uploads/"), Route::Uploads("a".into()));
        assert_eq!(of("/v2/a/blobs/uploads/7"), Route::Upload("a".into(), "7".into()));
        assert_eq!(Route::of("/v1/a"), None);
        assert!(is_name("a/b-c.d_e") && !is_name("A") && !is_name("a//b") && !is_name(""));
    }
}
