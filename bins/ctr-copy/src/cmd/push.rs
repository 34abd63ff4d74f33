//! `push`: an image of the store to a registry, or to any other place.

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::report::CommandError;
use ctr_cli::usage::{Arity, Flag, Verb};
use ctr_core::events::Status;
use ctr_core::oci::media::Family;
use ctr_core::{Platform, Reference};
use ctr_store::Store;
use ctr_store::copy::{Choice, Options};
use ctr_store::refs::Target;
use ctr_store::transport::{Place, PlaceError};

use super::tag::{id_of, names_of};
use crate::carry::Carry;
use crate::context::Context;
use crate::error::{of, of_resolve};
use crate::packing;
use crate::registries::PUSH_FLAGS;

pub(super) const VERB: Verb = Verb::new(
    "[options] IMAGE [DESTINATION]",
    "Push an image to a specified destination",
)
.long("Pushes an image of the local store to a registry, or to any other place that an image can be copied to.\n\nDESTINATION is a name in a registry, or has a transport in front: docker://, dir:, oci:, oci-archive:, docker-archive:. Without it the image goes to where its own name says. Layers that were pulled or loaded go as they came; others are compressed.")
.examples(&[
    "push quay.io/team/app:1",
    "push imageID docker://registry.example.com/repository:tag",
    "push imageID oci-archive:/path/to/layout:image:tag",
])
.flags(&[
    Flag::bool("all", "Push all images of an index, and the index"),
    Flag::bool("compress", "Compress tarball image layers when pushing to a directory using the 'dir' transport. (default is same compression type as source)"),
    Flag::string("compression-format", "compression format to use"),
    Flag::int("compression-level", "compression level to use"),
    Flag::path("digestfile", "Write the digest of the pushed image to the specified file"),
    Flag::bool("disable-content-trust", "This is a Docker specific option and is a NOOP"),
    Flag::bool("force-compression", "Use the specified compression algorithm even if the destination contains a differently-compressed variant already"),
    Flag::choice("format", &["docker", "oci", "v2s2"], "Manifest type (oci, v2s2, or v2s1) to use in the destination (default is manifest type of source, with fallbacks)").short('f'),
    Flag::bool("quiet", "Suppress output information when pushing images").short('q'),
    Flag::bool("remove-signatures", "Discard any pre-existing signatures in the image"),
])
.shared_flags(PUSH_FLAGS)
.refuses(&[&[
    "encrypt-layer",
    "encryption-key",
    "sign-by",
    "sign-by-sigstore",
    "sign-by-sigstore-private-key",
    "sign-by-sq-fingerprint",
    "sign-passphrase-file",
]])
.arity(Arity::Between(1, 2));

pub(super) fn run(call: &Call) -> Result<Exit, CommandError> {
    let texts = call.flags.texts()?;
    let context = Context::new(&call.globals)?;
    let store = context.store()?;
    let found = store.lookup(texts[0]).map_err(of_resolve)?;
    let to = match texts.get(1) {
        Some(text) => destination(text)?,
        None => Place::Registry(own_name(&store, texts[0], found.target, found.name)?),
    };
    let shown = texts.get(1).map_or_else(|| own_text(&to, texts[0]), |text| (*text).to_owned());
    let options = options(call, &store, found.target)?;
    let layers = packing::of_push(call, &to)?;
    let from = Place::Store { at: None, name: texts[0].to_owned() };
    let carry = Carry {
        call,
        context: &context,
        from: (&from, texts[0]),
        to: (&to, &shown),
        options: &options,
        layers,
        trusts_stores: true,
        flags: ["", ""],
    };
    carry.run()?;
    context.happened(&call.ui, Status::Push, [(id_of(found.target), shown)]);
    Ok(Exit::SUCCESS)
}

fn options(call: &Call, store: &Store, target: Target) -> Result<Options, CommandError> {
    let choice = match target {
        _ if call.flags.bool("all") => Choice::All,
        Target::Index { digest } => {
            let index = store.index(&digest).map_err(of)?;
            // What was pulled for another platform is what there is to push.
            Choice::Platform(index.platform_or(Platform::host()))
        }
        Target::Image { .. } => Choice::Platform(Platform::host()),
    };
    let family =
        call.flags.get("format").map(|text| if text == "oci" { Family::Oci } else { Family::Docker });
    Ok(Options { choice, family, ..Options::default() })
}

/// A place, or a name in a registry.
fn destination(text: &str) -> Result<Place, CommandError> {
    match Place::parse(text) {
        // `localhost:5000/x` has no transport, though it looks so.
        Err(PlaceError::NoTransport { .. } | PlaceError::Unknown { .. }) => {
            let reference =
                Reference::parse(text).map_err(|error| CommandError::usage(format!("{text:?}: {error}")))?;
            Ok(Place::Registry(reference.or_latest()))
        }
        other => other.map_err(of),
    }
}

/// Where an image goes by its own name: the one that it was found by, or its only one.
fn own_name(
    store: &Store,
    text: &str,
    target: Target,
    found: Option<Reference>,
) -> Result<Reference, CommandError> {
    let name = match found.filter(|name| name.digest.is_none()) {
        Some(name) => Some(name),
        None => <[Reference; 1]>::try_from(names_of(store, target)?).ok().map(|[name]| name),
    };
    let wanted =
        |why: String| CommandError::usage(why).hint(format!("ctr push {text} REGISTRY/REPOSITORY:TAG"));
    let name = name.ok_or_else(|| {
        wanted(format!("{text} does not say where to push to: it has no name of its own, or several"))
    })?;
    if name.name.domain() == ctr_core::reference::LOCALHOST {
        return Err(wanted(format!("{name} is a name of this machine's alone, not of a registry")));
    }
    Ok(name)
}

/// What to call the destination that the image's own name is.
fn own_text(to: &Place, text: &str) -> String {
    match to {
        Place::Registry(reference) => reference.to_string(),
        _ => text.to_owned(),
    }
}
