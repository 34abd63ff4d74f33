//! `tag` and `untag`.

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::report::CommandError;
use ctr_cli::usage::{Arity, Verb};
use ctr_core::Reference;
use ctr_core::events::Status;
use ctr_core::reference::Spelling;
use ctr_store::Store;
use ctr_store::refs::Target;
use ctr_store::session::Session;

use super::server_tag;
use crate::context::{Context, told};
use crate::error::{of, of_resolve};
use crate::registries;

pub(super) const TAG: Verb =
    Verb::new("IMAGE TARGET_NAME [TARGET_NAME...]", "Add an additional name to a local image")
        .long("Adds one or more additional names to locally-stored image.\n\nWhere all names begin with docker://, an image of a registry gets more names there, and nothing is downloaded. The options are for this.")
        .examples(&[
            "tag 0e3bbc2 fedora:latest",
            "tag imageID:latest myNewImage:newTag",
            "tag httpd myregistryhost:5000/fedora/httpd:v2",
            "tag docker://quay.io/team/app:1.4 docker://quay.io/team/app:latest",
        ])
        .shared_flags(registries::FLAGS)
        .arity(Arity::AtLeast(2));

pub(super) const UNTAG: Verb = Verb::new("IMAGE [IMAGE...]", "Remove a name from a local image")
    .long("Removes one or more names from a locally-stored image.")
    .examples(&[
        "untag 0e3bbc2",
        "untag imageID:latest otherImageName:latest",
        "untag httpd myregistryhost:5000/fedora/httpd:v2",
    ])
    .arity(Arity::AtLeast(1));

pub(super) fn tag(call: &Call) -> Result<Exit, CommandError> {
    let texts = call.flags.texts()?;
    if texts.iter().any(|text| text.starts_with(server_tag::TRANSPORT)) {
        return server_tag::run(call, &texts);
    }
    let context = Context::new(&call.globals)?;
    let store = context.store()?;
    let names: Vec<_> = texts[1..].iter().map(|text| local_name(text)).collect::<Result<_, _>>()?;
    let _guard = store.reading(&mut |waiting| told(&call.ui, waiting)).map_err(of)?;
    let found = store.lookup(texts[0]).map_err(of_resolve)?;
    // What an additional store has gets its names in ours.
    let adopting = if store.owns(&found.target).map_err(of)? {
        None
    } else {
        let session = Session::begin(&store).map_err(of)?;
        session.adopt(&found.target).map_err(of_resolve)?;
        Some(session)
    };
    for name in names {
        store.tag(&name, found.target).map_err(of)?;
    }
    drop(adopting);
    let id = id_of(found.target);
    context.happened(&call.ui, Status::Tag, texts[1..].iter().map(|text| (id.clone(), (*text).to_owned())));
    Ok(Exit::SUCCESS)
}

/// A name that an image may be given: with a tag and without a digest.
pub(crate) fn local_name(text: &str) -> Result<Reference, CommandError> {
    let name = Reference::parse_local(text)
        .map_err(|error| CommandError::usage(format!("parsing reference {text:?}: {error}")))?;
    if name.digest.is_some() {
        return Err(CommandError::usage(format!("{text:?}: tag by digest not supported")));
    }
    Ok(name)
}

pub(super) fn untag(call: &Call) -> Result<Exit, CommandError> {
    let texts = call.flags.texts()?;
    let context = Context::new(&call.globals)?;
    let store = context.store()?;
    let _guard = store.reading(&mut |waiting| told(&call.ui, waiting)).map_err(of)?;
    let found = store.lookup(texts[0]).map_err(of_resolve)?;
    if !store.owns(&found.target).map_err(of)? {
        let id = id_of(found.target);
        return Err(CommandError::user(format!("cannot take names from read-only image {id:?}")));
    }
    let known = names_of(&store, found.target)?;
    let names = match &texts[1..] {
        // An image that is named by its id loses every name; one that is named loses all names too, as podman has it.
        [] => known,
        rest => rest.iter().map(|text| known_name(text, &known)).collect::<Result<_, _>>()?,
    };
    for name in &names {
        store.untag(name).map_err(of)?;
    }
    let id = id_of(found.target);
    context.happened(&call.ui, Status::Untag, names.iter().map(|name| (id.clone(), name.to_string())));
    Ok(Exit::SUCCESS)
}

/// What an event calls an image or index.
pub(crate) fn id_of(target: Target) -> String {
    match target {
        Target::Image { id, .. } => id.to_string(),
        Target::Index { digest } => digest.hex(),
    }
}

/// The names of an image or index.
pub(crate) fn names_of(store: &Store, target: Target) -> Result<Vec<Reference>, CommandError> {
    let same = |other: Target| match (target, other) {
        (Target::Image { id, .. }, Target::Image { id: other, .. }) => id == other,
        (one, other) => one == other,
    };
    let names = store.names().map_err(of)?;
    Ok(names.good.into_iter().filter(|named| same(named.target)).map(|named| named.name).collect())
}

fn known_name(text: &str, known: &[Reference]) -> Result<Reference, CommandError> {
    let unknown = || CommandError::user(format!("{text}: tag not known"));
    let spelling =
        Spelling::parse(text).map_err(|error| CommandError::usage(format!("{text:?}: {error}")))?;
    let mut wanted: Vec<_> = match &spelling {
        Spelling::Full(name) => vec![name.clone().or_latest()],
        Spelling::Short(short) => {
            let local = short.at(ctr_core::reference::LOCALHOST).ok();
            local.into_iter().chain([short.at_docker()]).map(Reference::or_latest).collect()
        }
    };
    // Of a tag and a digest, the digest counts, as when an image is pulled.
    wanted.iter_mut().filter(|name| name.digest.is_some()).for_each(|name| name.tag = None);
    known.iter().find(|name| wanted.contains(name)).cloned().ok_or_else(unknown)
}
