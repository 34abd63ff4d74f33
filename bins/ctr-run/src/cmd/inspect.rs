//! `ctr container inspect`: all that is known of containers; and `ctr inspect`, of whatever has the name.

mod tree;

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::json;
use ctr_cli::peers::Sentence;
use ctr_cli::report::CommandError;
use ctr_cli::template::Value;
use ctr_cli::usage::{Arity, Flag, Verb};
use ctr_pods::containers::{Container, Containers, ContainersError};
use ctr_store::volume::{Volume, VolumeError};
use ctr_store::{Image, ResolveError, Store};
use ctr_views::{image, inspect};

use super::select;
use super::size::{Scale, Size};
use super::volume::list::described;

use crate::error;
use crate::place::Place;

const FORMAT: Flag =
    Flag::string("format", "Format the output to a Go template or json").short('f').default("json");
const LATEST: Flag = Flag::bool("latest", "Act on the latest container").short('l');
const SIZE: Flag = Flag::bool("size", "Display total file size").short('s');

/// `container inspect`.
pub const VERB: Verb =
    Verb::new("[options] CONTAINER [CONTAINER...]", "Display the configuration of a container")
        .long("Displays the low-level information on a container identified by name or ID.")
        .examples(&["container inspect web", "container inspect --format '{{.State.Pid}}' web"])
        .flags(&[FORMAT, LATEST, SIZE])
        .arity(Arity::Any);

/// `inspect`.
pub const ANY: Verb = Verb::new(
    "[options] {ARTIFACT|CONTAINER|IMAGE|POD|NETWORK|VOLUME} [...]",
    "Display the configuration of object denoted by ID",
)
.long(
    "Displays the low-level information on an object identified by name or ID. \
     A container of that name comes before an image.",
)
.examples(&[
    "inspect fedora",
    "inspect --type image fedora",
    "inspect --format \"imageId: {{.Id}} size: {{.Size}}\" fedora",
])
.flags(&[FORMAT, LATEST, SIZE, Flag::string("type", "Specify inspect-object type").short('t').default("all")])
.arity(Arity::Any);

/// What `--type` says is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    All,
    Container,
    Image,
    Volume,
    /// What there are none of yet.
    Other(&'static str),
}

impl Kind {
    fn parse(text: &str) -> Result<Self, CommandError> {
        Ok(match text {
            "all" => Self::All,
            "container" => Self::Container,
            "image" => Self::Image,
            "pod" => Self::Other("pod"),
            "network" => Self::Other("network"),
            "volume" => Self::Volume,
            "artifact" => Self::Other("artifact"),
            _ => {
                return Err(CommandError::usage(format!(
                    "invalid type {text:?}: must be \"image\", \"container\", \"pod\", \"network\", \"volume\", \
                     \"artifact\", or \"all\""
                )));
            }
        })
    }

    /// Flags that say nothing of such an object.
    fn check(self, call: &Call) -> Result<(), CommandError> {
        let unfit = |flag: &str, name: &str| {
            Err(CommandError::usage(format!("{flag} is not supported for type {name:?}")))
        };
        match self {
            Self::Image if call.flags.bool("latest") => unfit("latest", "image"),
            Self::Image if call.flags.bool("size") => unfit("size", "image"),
            Self::Other("pod") if call.flags.bool("size") => unfit("size", "pod"),
            _ => Ok(()),
        }
    }
}

/// Something that was found.
enum Found {
    Container(Box<Container>),
    Image(Box<Image>),
    Volume(Box<Volume>),
}

/// Prints what is known of containers.
///
/// # Errors
/// A container is not there, or the template asks for what none has.
pub fn run(call: &Call) -> Result<Exit, CommandError> {
    show(call, Kind::Container)
}

/// Prints what is known of whatever has the name.
///
/// # Errors
/// There is nothing of that name, or the template asks for what it has not.
pub fn any(call: &Call) -> Result<Exit, CommandError> {
    let kind = Kind::parse(call.flags.string("type"))?;
    kind.check(call)?;
    show(call, kind)
}

/// What there is to know of a container that has written nothing yet, as JSON.
pub(super) fn just_made(place: &Place, store: &Store, id: &str) -> Result<String, CommandError> {
    let found = Containers::new(&place.dirs).by_id(id).map_err(error::of_containers)?;
    let container = found.ok_or_else(|| absent(id, Kind::Container))?;
    let status = container.status().map_err(CommandError::environment)?;
    let image = container.record.image.and_then(|id| store.image(id).ok()).map_or(0, |image| image.size);
    let tree = tree::of(&container, status, Some(Size { own: 0, all: image }), place);
    Ok(json::document(&Value::from(tree).to_json(), json::Style::COMPACT).trim_end().to_owned())
}

fn show(call: &Call, kind: Kind) -> Result<Exit, CommandError> {
    let names = call.flags.texts()?;
    let latest = call.flags.bool("latest");
    if latest && !names.is_empty() {
        return Err(CommandError::usage("--latest and arguments cannot be used together"));
    }
    if !latest && names.is_empty() {
        return Err(CommandError::usage("no names or ids specified"));
    }
    let seeker = Seeker::new(call, Place::find(&call.globals)?);
    let mut found = Vec::new();
    let mut missing = Vec::new();
    if latest {
        found.push(seeker.latest()?);
    }
    for name in names {
        match seeker.find(name, kind)? {
            Ok(one) => found.push(one),
            Err(error) => missing.push(error),
        }
    }
    let trees = seeker.trees(found)?;
    inspect::print(call, trees)?;
    CommandError::several(missing).map_or(Ok(Exit::SUCCESS), Err)
}

/// Finds objects by name.
struct Seeker<'a> {
    call: &'a Call,
    place: Place,
    containers: Containers,
}

impl<'a> Seeker<'a> {
    fn new(call: &'a Call, place: Place) -> Self {
        let containers = Containers::new(&place.dirs);
        Self { call, place, containers }
    }

    fn latest(&self) -> Result<Found, CommandError> {
        Ok(Found::Container(Box::new(select::latest(&self.containers)?)))
    }

    /// One object, or the error that tells that there is none; other trouble ends the command.
    fn find(&self, name: &str, kind: Kind) -> Result<Result<Found, CommandError>, CommandError> {
        if matches!(kind, Kind::All | Kind::Container)
            && let Some(container) = self.container(name)?
        {
            return Ok(Ok(Found::Container(Box::new(container))));
        }
        if matches!(kind, Kind::All | Kind::Image) {
            match self.store()?.resolve(name, None) {
                Ok(image) => return Ok(Ok(Found::Image(Box::new(image)))),
                Err(ResolveError::Unknown { .. }) if kind == Kind::All => {}
                Err(error) => return Ok(Err(error::of_resolve(error))),
            }
        }
        if matches!(kind, Kind::All | Kind::Volume) {
            match self.store()?.volumes().find(name) {
                Ok(volume) => return Ok(Ok(Found::Volume(Box::new(volume)))),
                Err(VolumeError::NotFound(_)) => {}
                Err(error) => return Ok(Err(super::volume::told(error))),
            }
        }
        Ok(Err(absent(name, kind)))
    }

    fn container(&self, name: &str) -> Result<Option<Container>, CommandError> {
        match self.containers.find(name) {
            Ok(container) => Ok(Some(container)),
            Err(ContainersError::NotFound(_)) => Ok(None),
            Err(error) => Err(error::of_containers(error)),
        }
    }

    fn store(&self) -> Result<Store, CommandError> {
        Store::open(&self.place.layout()).map_err(CommandError::environment)
    }

    /// What is printed of each. Counting bytes moves us into A, so images come first.
    fn trees(&self, found: Vec<Found>) -> Result<Vec<Value>, CommandError> {
        let containers = found.iter().filter_map(|one| match one {
            Found::Container(container) => Some(container.as_ref().clone()),
            Found::Image(_) | Found::Volume(_) => None,
        });
        let known = select::with_status(containers.collect())?;
        let mut images = Vec::new();
        for one in &found {
            if let Found::Image(image) = one {
                images.push(image::value(&self.store()?, image).map_err(CommandError::user)?);
            }
        }
        let mut sizes = Vec::new();
        if self.call.flags.bool("size") && !known.is_empty() {
            sizes =
                Scale::default().of(self.call, &self.place, known.iter().map(|(container, _)| container))?;
        }
        let trees = known.into_iter().enumerate().map(|(at, (container, status))| {
            Value::from(tree::of(&container, status, sizes.get(at).copied(), &self.place))
        });
        let (mut trees, mut images) = (trees, images.into_iter());
        let in_order = found.iter().filter_map(|one| match one {
            Found::Container(_) => trees.next(),
            Found::Image(_) => images.next(),
            Found::Volume(volume) => Some(described(volume)),
        });
        Ok(in_order.collect())
    }
}

fn absent(name: &str, kind: Kind) -> CommandError {
    match kind {
        Kind::All => CommandError::user(format!("no such object: {name:?}"))
            .peer(Sentence::NoSuchObject(name.to_owned())),
        Kind::Container => CommandError::user(ContainersError::NotFound(name.to_owned()))
            .peer(Sentence::Other(format!("no such container {name:?}"))),
        Kind::Image => error::of_resolve(ResolveError::Unknown { name: name.into() }),
        Kind::Other("network") => CommandError::user(format!("network {name}: network not found")),
        Kind::Other("artifact") => CommandError::user(format!("{name}: artifact does not exist")),
        Kind::Volume => CommandError::user(format!("no such volume {name}")),
        Kind::Other(what) => CommandError::user(format!("no such {what} {name}")),
    }
}
