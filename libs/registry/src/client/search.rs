//! Searching a registry, for which nobody wrote a standard: by the endpoint that Docker's hub and some others have, else among
//! the names of all repositories, where those are told.

use ctr_core::limits;
use serde::Deserialize;

use super::{Question, Registry, Target};
use crate::error::{Asked, RegistryError, Why};
use crate::http::{Method, Origin, Scheme, Url};

/// Where the hub is searched.
const HUB_INDEX: &str = "index.docker.io";

/// A repository that was found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Hit {
    /// Its name in the registry.
    #[serde(default)]
    pub name: String,
    /// What it is.
    #[serde(default)]
    pub description: String,
    /// How many like it.
    #[serde(default, rename = "star_count")]
    pub stars: i64,
    /// Whether the registry's own people make it.
    #[serde(default)]
    pub is_official: bool,
    /// Whether the registry builds it.
    #[serde(default)]
    pub is_automated: bool,
}

#[derive(Deserialize)]
struct Hits {
    #[serde(default)]
    results: Vec<Hit>,
}

impl Registry {
    /// Finds up to so many repositories. A registry that is not searched is looked through.
    pub fn search(&self, term: &str, most: usize) -> Result<Vec<Hit>, RegistryError> {
        if !term.is_empty() {
            match self.asked_for(term, most) {
                Err(error) if matches!(*error.why, Why::Status { .. } | Why::Auth(_) | Why::Answer(_)) => {}
                other => return other,
            }
        }
        let names = self.repositories_with(term, most)?;
        // One of exactly this name is what was meant.
        let (same, others): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| name == term);
        Ok(same.into_iter().chain(others).map(|name| Hit { name, ..Hit::default() }).collect())
    }

    fn asked_for(&self, term: &str, most: usize) -> Result<Vec<Hit>, RegistryError> {
        let failed = |why: Why| self.error(Asked::Search, None, why);
        let is_hub = self.host() == "docker.io";
        let origin = if is_hub {
            Origin::parse(Scheme::Https, HUB_INDEX)
                .map_err(|error| failed(crate::http::HttpError::from(error).into()))?
        } else {
            self.origin().map_err(|error| failed(error.into()))?.clone()
        };
        // The hub's own are found without their folder alone.
        let term = if is_hub { term.strip_prefix("library/").unwrap_or(term) } else { term };
        let url = Url::at(&origin, "/v1/search").with("n", &most.to_string()).with("q", term);
        let question = Question::of(Asked::Search, Method::Get, Target::Url(&url));
        let bytes = self.ask_for(&question, |response| response.body.bytes(limits::REGISTRY_LIST))?;
        let hits: Hits =
            serde_json::from_slice(&bytes).map_err(|_json| failed(Why::Answer("it is no list")))?;
        Ok(hits.results.into_iter().take(most).collect())
    }
}
