//! Lists: of tags and of repositories, page by page.

use std::collections::HashSet;

use ctr_core::limits;
use serde::Deserialize;

use super::link::next;
use super::{Question, Registry, Target, path};
use crate::auth::Scope;
use crate::error::{Asked, RegistryError, Why};
use crate::http::{Method, Url};

#[derive(Deserialize)]
struct Page {
    // A repository without tags says null.
    #[serde(alias = "repositories")]
    tags: Option<Vec<String>>,
}

/// What of a list is wanted.
#[derive(Debug, Clone, Copy)]
struct Wanted<'a> {
    /// What a name has in it.
    part: &'a str,
    /// How many.
    most: usize,
}

impl Registry {
    /// The tags of a repository, in the registry's order.
    pub fn tags(&self, repository: &str) -> Result<Vec<String>, RegistryError> {
        let scopes = [Scope::Pull(repository.to_owned())];
        let all = Wanted { part: "", most: usize::MAX };
        self.list(&Asked::Tags, Some(repository), &path(repository, "tags/list"), &scopes, all)
    }

    /// The repositories that the registry names, up to so many.
    pub fn repositories(&self, most: usize) -> Result<Vec<String>, RegistryError> {
        self.repositories_with("", most)
    }

    /// Those of them that have this in their names, up to so many.
    pub fn repositories_with(&self, part: &str, most: usize) -> Result<Vec<String>, RegistryError> {
        self.list(&Asked::Catalog, None, "/v2/_catalog", &[Scope::Catalog], Wanted { part, most })
    }

    fn list(
        &self,
        asked: &Asked,
        repository: Option<&str>,
        path: &str,
        scopes: &[Scope],
        wanted: Wanted<'_>,
    ) -> Result<Vec<String>, RegistryError> {
        let failed = |why: Why| self.error(asked.clone(), repository, why);
        let mut all: Vec<String> = Vec::new();
        let mut passed = 0;
        let mut target = path.to_owned();
        let mut seen = HashSet::new();
        let mut left = limits::REGISTRY_LIST;
        loop {
            let question = Question {
                repository,
                scopes,
                ..Question::of(asked.clone(), Method::Get, Target::Path(&target))
            };
            let (following, bytes) = self.ask_for(&question, |response| {
                let following = next(response.fields.all("link")).map(|text| response.url.join(text));
                Ok((following, response.body.bytes(left)?))
            })?;
            left = left.saturating_sub(bytes.len() as u64);
            let page: Page =
                serde_json::from_slice(&bytes).map_err(|_json| failed(Why::Answer("it is no list")))?;
            let page = page.tags.unwrap_or_default();
            let is_empty = page.is_empty();
            passed += page.len();
            all.extend(page.into_iter().filter(|name| name.contains(wanted.part)));
            if passed > limits::REGISTRY_NAMES {
                return Err(failed(Why::Answer("the list has no end")));
            }
            if all.len() >= wanted.most {
                all.truncate(wanted.most);
                return Ok(all);
            }
            let Some(following) = following else { return Ok(all) };
            let following: Url =
                following.map_err(|error| failed(crate::http::HttpError::from(error).into()))?;
            // A page of nothing that has another one behind it could go on for ever.
            if is_empty || !seen.insert(following.target.clone()) || following.target == path {
                return Err(failed(Why::Answer("the list leads in a circle")));
            }
            if Some(&following.origin) != self.origin().ok() {
                return Err(failed(Why::Answer("the list leads to another host")));
            }
            target = following.target;
        }
    }
}
