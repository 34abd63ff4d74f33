//! `ctr commit`: an image of what a container wrote.
//!
//! A running container is read as it is, file by file, unless `--pause` freezes it meanwhile. That needs a control group
//! of its own, which a user without a delegated one cannot make: then it is said that nothing was frozen.

mod config;

use std::path::PathBuf;

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::human::time::Timestamp;
use ctr_cli::report::CommandError;
use ctr_cli::usage::{Arity, Flag, Verb};
use ctr_cli::voice::Voice;
use ctr_core::Reference;
use ctr_core::events::Status;
use ctr_core::file::FileError;
use ctr_core::oci::media::Family;
use ctr_core::rooted::Root;
use ctr_pods::containers::{Container, Containers};
use ctr_pods::freezer;
use ctr_pods::happened::Who;
use ctr_pods::status::Status as Doing;
use ctr_store::commit::{About, How, Written, commit};
use ctr_store::refs::Target;
use ctr_store::session::Session;
use ctr_store::{Image, Store};

use crate::error;
use crate::place::Place;

/// The verb.
pub const VERB: Verb = Verb::new(
    "[options] CONTAINER [IMAGE]",
    "Create new image based on the changed container",
)
.long(
    "Create an image from a container's changes. Optionally tag the image created, set the author with the --author flag, \
     set the commit message with the --message flag, and make changes to the instructions with the --change flag. What is \
     mounted into the container is not part of it.",
)
.examples(&[
    "commit -q --message \"committing container to image\" -f docker reverent_golick image-committed",
    "commit -q --author \"firstName lastName\" reverent_golick image-committed",
    "commit --change CMD=/bin/bash --change EXPOSE=80/tcp reverent_golick",
])
.flags(&[
    Flag::string("author", "Set the author for the image committed").short('a'),
    Flag::array(
        "change",
        "Apply the following possible instructions to the created image (default []): CMD | ENTRYPOINT | ENV | EXPOSE | \
         LABEL | ONBUILD | STOPSIGNAL | USER | VOLUME | WORKDIR",
    )
    .short('c'),
    Flag::path("config", "`file` containing a container configuration to merge into the image"),
    Flag::string("format", "`Format` of the image manifest and metadata").short('f').default("oci"),
    Flag::path("iidfile", "`file` to write the image ID to"),
    Flag::bool("include-volumes", "Include container volumes as image volumes"),
    Flag::string("message", "Set commit message for imported image").short('m'),
    Flag::bool("pause", "Pause container during commit").short('p'),
    Flag::bool("quiet", "Suppress output").short('q'),
    Flag::bool("squash", "squash newly built layers into a single new layer").short('s'),
])
.arity(Arity::Between(1, 2));

/// Makes an image.
///
/// # Errors
/// There is no such container, or something of it cannot be read.
pub fn run(call: &Call) -> Result<Exit, CommandError> {
    let flags = &call.flags;
    let texts = flags.texts()?;
    let family = family(call)?;
    let name = texts.get(1).map(|text| local_name(text)).transpose()?;
    let place = Place::find(&call.globals)?;
    let container = Containers::new(&place.dirs).find(texts[0]).map_err(error::of_containers);
    let container = container.map_err(|error| error.exit(Exit::FAILURE))?;
    let store = Store::open(&place.layout()).map_err(CommandError::environment)?;
    let base = base(&store, &container)?;
    let config = config::of(call, &store, &container, &base)?;
    let about = About {
        created: Timestamp::now().rfc3339(),
        author: flags.string("author").to_owned(),
        comment: flags.string("message").to_owned(),
        from: from(&container),
        created_by: container.record.process.args.join(" "),
        config,
    };
    let session = Session::begin(&store).map_err(CommandError::environment)?;
    progress(call, "Getting image source signatures");
    let frozen = if flags.bool("pause") { Frozen::freeze(call, &container)? } else { Frozen(None) };
    let image = made(call, &place, (&session, &base, &container), family, about)?;
    frozen.thaw()?;
    let target = Target::Image { id: image.id, manifest: image.manifest };
    match &name {
        Some(name) => session.tag(name, target),
        None => session.keep(target),
    }
    .map_err(CommandError::environment)?;
    drop(session);
    progress(call, "Writing manifest to image destination");
    if let Some(path) = flags.path("iidfile") {
        std::fs::write(path, image.id.to_string())
            .map_err(|error| CommandError::user(FileError::new("write", path, error)))?;
    }
    super::begin::happened(call, &place, &Who::from(&container.record), &[Status::Commit]);
    call.ui.line(&image.id.to_string())?;
    Ok(Exit::SUCCESS)
}

/// The name of the container's image, if it was not named by its identifier.
fn from(container: &Container) -> Option<String> {
    let record = &container.record;
    let is_id = record.image.is_none_or(|id| id.to_string().starts_with(&record.image_name));
    (!is_id).then(|| record.image_name.clone())
}

/// Says under podman's name what podman says: scripts look for it. Under ours there is nothing to say before the result.
fn progress(call: &Call, text: &str) {
    if call.caller.voice == Voice::Podman && !call.flags.bool("quiet") {
        call.ui.note(text);
    }
}

fn family(call: &Call) -> Result<Family, CommandError> {
    let flags = &call.flags;
    let configured = call.globals.config.containers.text("engine.image_default_format");
    let format = flags.get("format").or(configured).unwrap_or_default();
    match format {
        "oci" | "" if !flags.string("message").is_empty() => {
            Err(CommandError::usage("messages are only compatible with the docker image format (-f docker)"))
        }
        "oci" | "" => Ok(Family::Oci),
        "docker" | "v2s2" => Ok(Family::Docker),
        other => Err(CommandError::usage(format!("unrecognized image format {other:?}"))),
    }
}

/// A name that an image may be given: with a tag and without a digest.
fn local_name(text: &str) -> Result<Reference, CommandError> {
    let name = Reference::parse_local(text)
        .map_err(|error| CommandError::usage(format!("parsing reference {text:?}: {error}")))?;
    if name.digest.is_some() {
        return Err(CommandError::usage(format!("{text:?}: tag by digest not supported")));
    }
    Ok(name)
}

/// The image of the container.
fn base(store: &Store, container: &Container) -> Result<Image, CommandError> {
    let id = container.record.image.ok_or_else(|| {
        CommandError::user(format!(
            "cannot commit container {}: it was made of a folder, not of an image",
            container.record.name
        ))
    })?;
    store.image(id).map_err(CommandError::user)
}

/// In A: everything that touches what the container wrote.
fn made(
    call: &Call,
    place: &Place,
    (session, base, container): (&Session, &Image, &Container),
    family: Family,
    about: About,
) -> Result<Image, CommandError> {
    let a = place.enter(false, &call.ui)?;
    rustix::process::umask(rustix::fs::Mode::empty());
    let (folder, is_whole) = written_at(container);
    let files = match Root::open(&folder) {
        // It was never started.
        Err(error) if error.is_missing() => None,
        other => Some(other.map_err(CommandError::user)?),
    };
    let identity = a.maps.identity();
    let maps = container.maps().unwrap_or(&identity);
    let written = Written { base, files: files.as_ref(), is_whole, maps };
    let how = How { key: a.key, family, squash: call.flags.bool("squash") };
    commit(session, &written, how, about).map_err(CommandError::user)
}

/// Where the container writes: above its image, or in a copy of it.
fn written_at(container: &Container) -> (PathBuf, bool) {
    let copy = container.layer.join("copy");
    if copy.is_dir() { (copy, true) } else { (container.layer.join("upper"), false) }
}

/// A container that is frozen as long as this is there.
struct Frozen<'a>(Option<&'a Container>);

impl<'a> Frozen<'a> {
    /// Freezes a container that runs.
    fn freeze(call: &Call, container: &'a Container) -> Result<Self, CommandError> {
        if container.status().map_err(CommandError::environment)? != Doing::Running {
            return Ok(Self(None));
        }
        if freezer::freeze(container).map_err(CommandError::environment)? {
            return Ok(Self(Some(container)));
        }
        call.ui.warn(&format!(
            "{} is committed while it runs, file by file: it has no control group that could be frozen",
            container.record.name
        ));
        Ok(Self(None))
    }

    /// Lets it go on.
    fn thaw(mut self) -> Result<(), CommandError> {
        match self.0.take() {
            Some(container) => freezer::thaw(container).map(drop).map_err(CommandError::environment),
            None => Ok(()),
        }
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        // Something else failed, which is told; here there is nothing left to do about it.
        if let Some(container) = self.0 {
            drop(freezer::thaw(container));
        }
    }
}
