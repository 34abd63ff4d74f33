//! An image from one place to another, from the first word to the last: what `copy` and `push` have in common.

use ctr_cli::app::Call;
use ctr_cli::report::CommandError;
use ctr_core::FileError;
use ctr_store::Store;
use ctr_store::copy::recode::Layers;
use ctr_store::copy::{Options, Placed};
use ctr_store::ingest::Ingest;
use ctr_store::session::Session;
use ctr_store::transport::Place;

use crate::context::Context;
use crate::destinations::Destination;
use crate::error::of;
use crate::lines::Lines;
use crate::places::Origin;
use crate::registries::Registries;

/// What is carried, from where to where, and how.
pub(crate) struct Carry<'a> {
    /// The command.
    pub(crate) call: &'a Call,
    /// Our store.
    pub(crate) context: &'a Context,
    /// Where the image is, and as it was typed.
    pub(crate) from: (&'a Place, &'a str),
    /// Where it shall be, and as that is shown.
    pub(crate) to: (&'a Place, &'a str),
    /// What is copied.
    pub(crate) options: &'a Options,
    /// How layers shall be packed there.
    pub(crate) layers: Layers,
    /// Whether what is in a store is used whatever `policy.json` says.
    pub(crate) trusts_stores: bool,
    /// What stands in front of the names of flags about registries, on either side.
    pub(crate) flags: [&'static str; 2],
}

impl Carry<'_> {
    /// Copies, and says and writes down what came of it.
    pub(crate) fn run(&self) -> Result<(), CommandError> {
        let into_store = matches!(self.to.0, Place::Store { .. });
        let here = Site::of(self.context, self.to.0)?;
        let placed = self.between(&here, into_store, |origin, destination| {
            let placed = origin.with(self.from.0, |source, reading| destination.take(source, reading))?;
            destination.lines.end(self.to.1, &placed.descriptor.digest);
            Ok(placed)
        })?;
        if into_store {
            here.context.settle_later(&self.call.ui);
        }
        write_digest(self.call, &placed)
    }

    /// Tells what copying would do.
    pub(crate) fn plan(&self) -> Result<String, CommandError> {
        let here = Site::of(self.context, self.to.0)?;
        self.between(&here, false, |origin, destination| {
            origin.with(self.from.0, |source, reading| destination.plan(source, reading))
        })
    }

    /// Opens what both sides need. What goes past the store needs nobody who unpacks.
    fn between<T>(
        &self,
        here: &Site,
        unpacks: bool,
        next: impl FnOnce(&Origin<'_>, &Destination<'_>) -> Result<T, CommandError>,
    ) -> Result<T, CommandError> {
        let Self { call, context, options, layers, trusts_stores, .. } = *self;
        let session = Session::begin(&here.store).map_err(of)?;
        let worker = if unpacks { Some(here.context.worker()?) } else { None };
        let ingest = worker.as_ref().map(|worker| Ingest { session: &session, worker });
        // Both sides reach registries in one way, and over the same connections.
        let is_remote = [self.from.0, self.to.0].iter().any(|place| matches!(place, Place::Registry(_)));
        let registries = if is_remote { Some(Registries::new(call)?) } else { None };
        let registries = registries.as_ref();
        let (platform, [source, destination]) = (options.choice.platform(), self.flags);
        let origin = Origin {
            call,
            context,
            session: &session,
            ingest,
            platform,
            trusts_stores,
            registries,
            flags: source,
        };
        let lines = Lines::of(call, call.flags.bool("quiet"));
        let destination = Destination {
            call,
            from: self.from.0,
            to: self.to.0,
            session: &session,
            ingest,
            options,
            layers,
            origin: self.from.1,
            registries,
            flags: destination,
            lines: &lines,
        };
        next(&origin, &destination)
    }
}

/// The store that work is done in: that of the destination, else our own.
struct Site {
    context: Context,
    store: Store,
}

impl Site {
    fn of(context: &Context, to: &Place) -> Result<Self, CommandError> {
        let context = match to {
            Place::Store { at: Some(at), .. } => context.at(at)?,
            _ => context.clone(),
        };
        let store = context.store()?;
        Ok(Self { context, store })
    }
}

/// Writes `--digestfile`.
fn write_digest(call: &Call, placed: &Placed) -> Result<(), CommandError> {
    let Some(path) = call.flags.path("digestfile").filter(|path| !path.as_os_str().is_empty()) else {
        return Ok(());
    };
    std::fs::write(path, placed.descriptor.digest.to_string())
        .map_err(|error| of(FileError::new("write", path, error)))
}
