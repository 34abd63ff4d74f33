//! Manifests: read, looked for, written, forgotten.

use ctr_core::oci::media;
use ctr_core::{Digest, limits};

use super::{Question, Registry, Target, digest_of, path};
use crate::auth::Scope;
use crate::error::{Asked, RegistryError, Why};
use crate::http::{Method, Response};

/// A manifest as a registry gave it.
#[derive(Debug, Clone)]
pub struct ManifestBytes {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// What the registry says it is.
    pub media_type: Option<String>,
    /// The digest of the bytes.
    pub digest: Digest,
}

/// What a registry says of a manifest without giving it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its digest; some registries do not tell.
    pub digest: Option<Digest>,
    /// What it is.
    pub media_type: Option<String>,
}

/// What we can read. A registry that has something else gives it all the same, or says that it has nothing.
const ACCEPT: &[(&str, &str)] = &[
    ("Accept", media::OCI_INDEX),
    ("Accept", media::OCI_MANIFEST),
    ("Accept", media::DOCKER_LIST),
    ("Accept", media::DOCKER_MANIFEST),
    // To tell what it is, if it is the old one.
    ("Accept", "application/vnd.docker.distribution.manifest.v1+prettyjws"),
    ("Accept", "*/*;q=0.1"),
];

impl Registry {
    fn about<'a>(
        &self,
        asked: Asked,
        method: Method,
        target: &'a str,
        repository: &'a str,
        scopes: &'a [Scope],
    ) -> Question<'a> {
        let question = Question::of(asked, method, Target::Path(target)).in_repository(repository, scopes);
        Question { fields: ACCEPT, ..question }
    }

    /// Reads a manifest by tag or digest. One that was named by its digest has it.
    pub fn manifest(&self, repository: &str, which: &str) -> Result<ManifestBytes, RegistryError> {
        let target = path(repository, &format!("manifests/{which}"));
        let scopes = [Scope::Pull(repository.to_owned())];
        let asked = Asked::Manifest(which.to_owned());
        let question = self.about(asked.clone(), Method::Get, &target, repository, &scopes);
        let (media_type, said, bytes) = self.ask_for(&question, |response| {
            let (media_type, said) = (media_type(&response), digest_of(&response.fields));
            Ok((media_type, said, response.body.bytes(limits::MANIFEST)?))
        })?;
        let failed = |why: Why| self.error(asked.clone(), Some(repository), why);
        let named = Digest::parse(which).ok();
        let digest = match named.or(said) {
            Some(digest) => {
                digest.verify(&bytes).map_err(|error| failed(error.into()))?;
                digest
            }
            None => Digest::of(&bytes),
        };
        Ok(ManifestBytes { bytes, media_type, digest })
    }

    /// Looks whether a manifest is there; nothing if it is not.
    pub fn find_manifest(&self, repository: &str, which: &str) -> Result<Option<Found>, RegistryError> {
        let target = path(repository, &format!("manifests/{which}"));
        let scopes = [Scope::Pull(repository.to_owned())];
        let asked = Asked::Manifest(which.to_owned());
        let question =
            Question { takes: &[404], ..self.about(asked, Method::Head, &target, repository, &scopes) };
        let response = self.ask(&question)?;
        let found = Found { digest: digest_of(&response.fields), media_type: media_type(&response) };
        Ok((response.status != 404).then_some(found))
    }

    /// Writes a manifest under a tag or its digest.
    pub fn put_manifest(
        &self,
        repository: &str,
        which: &str,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<(), RegistryError> {
        let target = path(repository, &format!("manifests/{which}"));
        let scopes = [Scope::Push(repository.to_owned())];
        let asked = Asked::Put(which.to_owned());
        let kind = [("Content-Type", media_type)];
        let question = Question {
            fields: &kind,
            body: bytes,
            ..self.about(asked.clone(), Method::Put, &target, repository, &scopes)
        };
        let response = self.ask(&question)?;
        // A registry that has something else under this name now has changed what it was given.
        match digest_of(&response.fields) {
            Some(digest) => {
                let same = digest.verify(bytes);
                same.map_err(|error| self.error(asked, Some(repository), error))
            }
            None => Ok(()),
        }
    }

    /// Has the registry forget a manifest, and all tags that lead to it. Where an answer was lost, it may be gone by the
    /// time it is asked again.
    pub fn delete_manifest(&self, repository: &str, which: &str) -> Result<(), RegistryError> {
        let target = path(repository, &format!("manifests/{which}"));
        let scopes = [Scope::Pull(repository.to_owned()), Scope::Delete(repository.to_owned())];
        let asked = Asked::Delete(which.to_owned());
        let question = self.about(asked, Method::Delete, &target, repository, &scopes);
        self.ask(&Question { takes_again: &[404], ..question }).map(drop)
    }
}

fn media_type(response: &Response) -> Option<String> {
    let value = response.fields.get("content-type")?;
    // Parameters say nothing about JSON.
    Some(value.split(';').next().unwrap_or(value).trim().to_owned()).filter(|text| !text.is_empty())
}
