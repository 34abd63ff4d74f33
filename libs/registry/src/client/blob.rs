//! Blobs: read from any place on, looked for.

use ctr_core::Digest;

use super::{Question, Registry, Target, path};
use crate::auth::Scope;
use crate::error::{Asked, RegistryError, Why};
use crate::http::{Body, Method, Response};

/// What is left of a blob.
#[derive(Debug)]
pub struct Range {
    /// Where in the blob its first byte is: where it was asked for, or 0 if the registry gives all or nothing.
    pub start: u64,
    /// The bytes.
    pub body: Body,
}

impl Registry {
    /// Looks for a blob; its length, if it is there and the registry says it.
    pub fn find_blob(&self, repository: &str, digest: &Digest) -> Result<Option<Option<u64>>, RegistryError> {
        let target = path(repository, &format!("blobs/{digest}"));
        let scopes = [Scope::Pull(repository.to_owned())];
        let question = Question {
            takes: &[404],
            ..Question::of(Asked::Blob(*digest), Method::Head, Target::Path(&target))
                .in_repository(repository, &scopes)
        };
        let response = self.ask(&question)?;
        let length = response.fields.get("content-length").and_then(|value| value.parse().ok());
        Ok((response.status != 404).then_some(length))
    }

    /// Opens a blob, from a place on.
    pub fn blob(&self, repository: &str, digest: &Digest, from: u64) -> Result<Range, RegistryError> {
        let target = path(repository, &format!("blobs/{digest}"));
        let scopes = [Scope::Pull(repository.to_owned())];
        let range = format!("bytes={from}-");
        let fields = [("Range", range.as_str())];
        let question = Question {
            fields: if from == 0 { &[] } else { &fields },
            takes: &[416],
            ..Question::of(Asked::Blob(*digest), Method::Get, Target::Path(&target))
                .in_repository(repository, &scopes)
        };
        let response = self.ask(&question)?;
        match response.status {
            206 if first_byte(&response) == Some(from) => Ok(Range { start: from, body: response.body }),
            206 => {
                let why = Why::Answer("another part of the blob than was asked for");
                Err(self.error(Asked::Blob(*digest), Some(repository), why))
            }
            // It does not have so much of it, or does not give parts: all of it then.
            416 if from > 0 => {
                drop(response);
                self.blob(repository, digest, 0)
            }
            416 => {
                let why = Why::Status { status: 416, said: None };
                Err(self.error(Asked::Blob(*digest), Some(repository), why))
            }
            _ => Ok(Range { start: 0, body: response.body }),
        }
    }
}

/// Where a part begins: `Content-Range: bytes 5-9/10`.
fn first_byte(response: &Response) -> Option<u64> {
    response.fields.get("content-range")?.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}
