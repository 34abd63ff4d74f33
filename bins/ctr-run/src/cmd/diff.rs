//! `ctr diff`: what a container changed of its image's files, or an image of the layers below its last one.

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::report::CommandError;
use ctr_cli::usage::{Arity, Flag, Verb};
use ctr_pods::containers::{Container, Containers};
use ctr_pods::layers::{self, LayersError};
use ctr_store::overlay::View;
use ctr_store::worker::Changed;
use ctr_store::{Image, ResolveError, Store};
use ctr_userns::map::Key;
use ctr_views::diff::{FORMAT, Format};

use super::select;
use crate::error;
use crate::place::Place;

const LATEST: Flag = Flag::bool("latest", "Act on the latest container").short('l');

/// `diff`.
pub const ANY: Verb = Verb::new(
    "[options] {CONTAINER|IMAGE} [{CONTAINER|IMAGE}]",
    "Display the changes to the object's file system",
)
.long(
    "Displays changes to a container or image's filesystem. The container or image will be compared to its parent layer \
     or the second argument when given. Volumes and other mounts are no part of either.",
)
.examples(&["diff web", "diff -l", "diff --format json alpine", "diff web alpine"])
.flags(&[FORMAT, LATEST])
.arity(Arity::Between(0, 2));

/// `container diff`.
pub const VERB: Verb =
    Verb::new("[options] CONTAINER [CONTAINER]", "Inspect changes to the container's file systems")
        .long(
            "Displays changes to the container filesystem's. The container will be compared to its parent layer or the \
             second argument when given. Volumes and other mounts are no part of it.",
        )
        .examples(&["container diff web", "container diff -l --format json"])
        .flags(&[FORMAT, LATEST])
        .arity(Arity::Between(0, 2));

/// What a start makes in every container.
const OURS: &[&str] = &[
    "/dev",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/mtab",
    "/etc/resolv.conf",
    "/proc",
    "/run",
    "/run/.containerenv",
    "/run/notify",
    "/run/secrets",
    "/sys",
];

/// What is compared.
enum Subject {
    Container(Box<Container>),
    Image(Box<Image>),
}

/// Prints what changed in a container or an image.
///
/// # Errors
/// There is no such thing, or its files cannot be read.
pub fn any(call: &Call) -> Result<Exit, CommandError> {
    changes(call, |place, store, name| match store.resolve(name, None) {
        Ok(image) => Ok(Subject::Image(Box::new(image))),
        Err(ResolveError::Unknown { .. }) => container(place, name),
        Err(error) => Err(error::of_resolve(error)),
    })
}

/// Prints what changed in a container.
///
/// # Errors
/// There is none of that name, or its files cannot be read.
pub fn run(call: &Call) -> Result<Exit, CommandError> {
    changes(call, |place, _, name| container(place, name))
}

fn container(place: &Place, name: &str) -> Result<Subject, CommandError> {
    let found = Containers::new(&place.dirs).find(name);
    let found = found.map_err(error::of_containers)?;
    Ok(Subject::Container(Box::new(found)))
}

fn changes(
    call: &Call,
    find: impl Fn(&Place, &Store, &str) -> Result<Subject, CommandError>,
) -> Result<Exit, CommandError> {
    let names = call.flags.texts()?;
    let latest = call.flags.bool("latest");
    let format = Format::parse(call.flags.string("format")).map_err(CommandError::usage)?;
    let place = Place::find(&call.globals)?;
    let store = Store::open(&place.layout()).map_err(CommandError::environment)?;
    let (new, old) = match (names.as_slice(), latest) {
        ([], true) => {
            let latest = select::latest(&Containers::new(&place.dirs))?;
            (Subject::Container(Box::new(latest)), None)
        }
        (_, true) => {
            return Err(CommandError::usage("--latest and containers cannot be used together"));
        }
        ([], false) => {
            let command = call.command();
            return Err(CommandError::usage(format!(
                "{command:?} requires a name, id, or the \"--latest\" flag"
            )));
        }
        ([name, rest @ ..], false) => {
            let old = rest.first().map(|old| find(&place, &store, old)).transpose()?;
            (find(&place, &store, name)?, old)
        }
    };
    let a = place.enter(false, &call.ui)?;
    let failed = |error: LayersError| CommandError::user(error);
    let before = match &old {
        Some(old) => old.whole(&store, a.key),
        None => new.below(&store, a.key),
    };
    let (before, after) = (before.map_err(failed)?, new.whole(&store, a.key).map_err(failed)?);
    let found = ctr_store::diff::changes(&before, &after).map_err(CommandError::user)?;
    let mut found: Vec<Changed> = found.into_iter().map(Changed::from).collect();
    found.retain(|change| !OURS.contains(&change.path.as_str()));
    call.ui.print(&format.text(&call.ui, &found))?;
    Ok(Exit::SUCCESS)
}

impl Subject {
    fn whole(&self, store: &Store, key: Key) -> Result<View, LayersError> {
        match self {
            Self::Container(container) => layers::of_container(store, container, key),
            Self::Image(image) => layers::of_image(store, image, key),
        }
    }

    fn below(&self, store: &Store, key: Key) -> Result<View, LayersError> {
        match self {
            Self::Container(container) => layers::below_container(store, container, key),
            Self::Image(image) => layers::below_image(store, image, key),
        }
    }
}
