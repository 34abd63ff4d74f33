//! `list-tags`: the tags of a repository, or the names in an archive.

use std::fs::File;

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::json::{self, Style};
use ctr_cli::report::CommandError;
use ctr_cli::usage::{Arity, Verb};
use ctr_core::FileError;
use ctr_core::reference::Reference;
use ctr_store::archive::{Archive, Input};
use ctr_store::session::Session;
use ctr_store::transport::docker_archive::DockerArchive;
use ctr_store::transport::{Chosen, Place, Source};
use serde::Serialize;

use crate::context::Context;
use crate::error::{of, of_registry, of_source};
use crate::registries::{self, Access, Registries};

pub(super) const VERB: Verb = Verb::new(
    "[command options] SOURCE-IMAGE",
    "List tags in the transport/repository specified by the SOURCE-IMAGE",
)
.long("Return the list of tags from the transport/repository \"SOURCE-IMAGE\"\n\nSupported transports:\ndocker docker-archive")
.examples(&["list-tags docker://docker.io/fedora", "list-tags docker-archive:image.tar"])
.shared_flags(registries::FLAGS)
.arity(Arity::Exactly(1));

/// What is printed.
#[derive(Serialize)]
struct Listed {
    #[serde(rename = "Repository", skip_serializing_if = "Option::is_none")]
    repository: Option<String>,
    #[serde(rename = "Tags")]
    tags: Vec<String>,
}

pub(super) fn run(call: &Call) -> Result<Exit, CommandError> {
    let text = call.flags.texts()?[0];
    // The name of a repository goes without a tag here, where a place has one.
    let listed = match text.strip_prefix("docker://") {
        Some(name) => of_repository(call, name)?,
        None => match Place::parse(text).map_err(of)? {
            Place::DockerArchive(chosen) => of_archive(call, &chosen)?,
            _ => {
                let transport = text.split(':').next().unwrap_or(text);
                return Err(CommandError::usage(format!(
                    "Unsupported transport '{transport}' for tag listing. Only supported: docker, docker-archive"
                )));
            }
        },
    };
    let listed = serde_json::to_value(listed).map_err(of)?;
    call.ui.line(&json::document(&listed, Style { indent: Some(4), html: false }))?;
    Ok(Exit::SUCCESS)
}

fn of_repository(call: &Call, text: &str) -> Result<Listed, CommandError> {
    let reference = Reference::parse(text).map_err(of)?;
    if reference.tag.is_some() || reference.digest.is_some() {
        return Err(CommandError::usage("No tag or digest allowed in reference"));
    }
    let registry = Registries::new(call)?.registry(&reference.name, &Access::of(call, "")?)?;
    let tags = registry.tags(reference.name.path()).map_err(of_registry)?;
    Ok(Listed { repository: Some(reference.name.to_string()), tags })
}

/// Names in an archive are whole ones.
fn of_archive(call: &Call, chosen: &Chosen) -> Result<Listed, CommandError> {
    let session = Session::begin(&Context::new(&call.globals)?.store()?).map_err(of)?;
    let file = File::open(&chosen.path).map_err(|error| of(FileError::new("open", &chosen.path, error)))?;
    let input = Input::of(file).map_err(|error| of(FileError::new("open", &chosen.path, error)))?;
    let archive = Archive::open(input, &session, None).map_err(|error| of_source(error.into()))?;
    let archive = DockerArchive::new(archive).map_err(of_source)?;
    let offers = archive.offers().map_err(of_source)?;
    Ok(Listed { repository: None, tags: offers.into_iter().flat_map(|offer| offer.names).collect() })
}
