//! What every verb needs: where the store is, a child in A, a session.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use ctr_cli::Globals;
use ctr_cli::report::CommandError;
use ctr_core::events::{Event, Kind, Log, Status};
use ctr_core::lock::Waiting;
use ctr_core::paths::{Dirs, Environment};
use ctr_store::transport::StoreAt;
use ctr_store::worker::{Setup, Worker};
use ctr_store::{Driver, Layout, Store};

use crate::error::of;
use crate::internal::{SETTLE, UNPACK};

/// A user's store, and how to work on it.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    layout: Layout,
    events: Log,
    /// The directories without `--root` and `--runroot`: there A is registered, whatever the store.
    own: Dirs,
    user: Option<String>,
}

impl Context {
    /// Reads the environment and the options before the verb.
    pub(crate) fn new(globals: &Globals) -> Result<Self, CommandError> {
        let path = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let environment = Environment {
            home: path("HOME"),
            xdg_data_home: path("XDG_DATA_HOME"),
            xdg_runtime_dir: path("XDG_RUNTIME_DIR"),
            uid: rustix::process::getuid().as_raw(),
            chosen: path("CTR_RUN_DIR"),
        };
        let own = Dirs::discover(&environment)
            .map_err(|error| CommandError::environment(error).hint("export HOME=/path/to/your/home"))?;
        let driver = driver(globals.storage_driver.as_deref())?;
        globals.check_storage()?;
        let dirs = own.rooted(globals.root.as_deref(), globals.runroot.as_deref());
        let events = globals.events(&dirs)?;
        let layout = ctr_views::place::layout(globals, &own, dirs, driver)?;
        Ok(Self { layout, events, own, user: crate::internal::user() })
    }

    /// The same for another store of the user's.
    pub(crate) fn at(&self, at: &StoreAt) -> Result<Self, CommandError> {
        let dirs = self.own.rooted(Some(&at.root), at.run_root.as_deref());
        let events = Log::new(&dirs);
        let layout = Layout::new(dirs.data, dirs.run, driver(at.driver.as_deref())?);
        Ok(Self { layout, events, ..self.clone() })
    }

    /// Logs what happened to images, each by its id and the name that it was done by.
    pub(crate) fn happened(
        &self,
        ui: &ctr_cli::ui::Ui,
        status: Status,
        images: impl IntoIterator<Item = (String, String)>,
    ) {
        let events: Vec<Event> =
            images.into_iter().map(|(id, name)| Event::now(Kind::Image, status).of(id, name)).collect();
        self.log(ui, &events);
    }

    /// Logs events.
    pub(crate) fn log(&self, ui: &ctr_cli::ui::Ui, events: &[Event]) {
        ui.happened(&self.events, events);
    }

    /// Whether there is a store yet: opening one makes it.
    pub(crate) fn is_there(&self) -> bool {
        self.layout.images_at().data.exists() || self.layout.data.exists()
    }

    /// Opens the store.
    pub(crate) fn store(&self) -> Result<Store, CommandError> {
        Store::open(&self.layout).map_err(of)
    }

    /// Starts the child that lives in A.
    pub(crate) fn worker(&self) -> Result<Worker, CommandError> {
        let Dirs { data, run } = self.layout.images_at();
        let setup = Setup {
            data,
            run,
            own_run: self.own.run.clone(),
            user: self.user.clone(),
            additional: self.layout.additional.clone(),
        };
        Worker::spawn(&mut program(UNPACK), &setup).map_err(crate::error::of_worker)
    }

    /// Flushes what was published, in a process that nobody waits for. If it cannot be started, the next one that
    /// publishes flushes this too.
    pub(crate) fn settle_later(&self, ui: &ctr_cli::ui::Ui) {
        use std::os::unix::process::CommandExt;
        let mut command = program(SETTLE);
        let Dirs { data, run } = self.layout.images_at();
        command.args([data, run]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // Its own group: a Ctrl-C for the next command is not for it.
        if let Err(error) = command.process_group(0).spawn() {
            ui.debug(&format!("nothing was flushed to the disk yet: {error}"));
        }
    }

    /// Sweeps what a removal left, and deletes it in A. The removal is done: trouble here is a warning.
    pub(crate) fn clean(&self, ui: &ctr_cli::ui::Ui) {
        let done = self.store().and_then(|store| {
            store.sweep(ctr_store::gc::Budget::default(), &mut |waiting| told(ui, waiting)).map_err(of)?;
            if store.has_trash() {
                self.worker()?.empty_trash().map_err(crate::error::of_worker)
            } else {
                Ok(())
            }
        });
        if let Err(error) = done {
            ui.warn(&format!("what was removed still takes space: {error}"));
        }
    }
}

/// Says who holds a lock that we wait for.
pub(crate) fn told(ui: &ctr_cli::ui::Ui, waiting: &Waiting) {
    let holders: Vec<_> = waiting
        .holders
        .iter()
        .map(|holder| format!("process {} ({})", holder.pid, holder.command.for_terminal()))
        .collect();
    let holders = if holders.is_empty() { "another process".to_owned() } else { holders.join(", ") };
    ui.note(&format!("waiting for {holders}, which holds {}", waiting.path.display()));
}

/// This program with a hidden verb and nothing of our environment.
pub(crate) fn program(verb: &str) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg(verb).env_clear();
    command
}

fn driver(name: Option<&str>) -> Result<Driver, CommandError> {
    match name {
        None | Some("" | "overlay") => Ok(Driver::Overlay),
        Some("vfs") => Ok(Driver::Vfs),
        Some(other) => Err(CommandError::usage(format!(
            "cannot use the storage driver {other:?}: there are overlay and vfs"
        ))),
    }
}
