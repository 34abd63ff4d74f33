//! Where a command works: its directories, its driver, and the way into the namespace of the user's ids.

use std::path::{Path, PathBuf};

use ctr_cli::Globals;
use ctr_cli::report::CommandError;
use ctr_cli::ui::Ui;
use ctr_core::events::Log;
use ctr_core::lock::Waiting;
use ctr_core::paths::{Dirs, Environment};
use ctr_store::{Driver, Layout};
use ctr_userns::entry::{self, Begun, EntryError};
use ctr_userns::level_a::LevelA;

/// What carries the run directory into `ctr unshare`.
pub const RUN_DIR: &str = "CTR_RUN_DIR";

/// Where a command works.
#[derive(Debug, Clone)]
pub struct Place {
    /// The user's own directories, whatever the options say.
    pub own: Dirs,
    /// Those of the store in question.
    pub dirs: Dirs,
    /// Where events go.
    pub events: Log,
    layout: Layout,
    /// The user's name, as the login has it.
    pub user: Option<String>,
}

impl Place {
    /// Reads the environment and the options before the verb.
    ///
    /// # Errors
    /// There is no home, or no such driver.
    pub fn find(globals: &Globals) -> Result<Self, CommandError> {
        globals.check_storage()?;
        let own = Dirs::discover(&environment()).map_err(CommandError::environment)?;
        let driver = match globals.storage_driver.as_deref() {
            None | Some("overlay") => Driver::Overlay,
            Some("vfs") => Driver::Vfs,
            Some(other) => {
                return Err(CommandError::user(format!(
                    "cannot use the storage driver `{other}`: it is neither overlay nor vfs"
                )));
            }
        };
        let dirs = own.rooted(globals.root.as_deref(), globals.runroot.as_deref());
        let user = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
        let events = globals.events(&dirs)?;
        let layout = ctr_views::place::layout(globals, &own, dirs.clone(), driver)?;
        Ok(Self { own, dirs, events, layout, user: user.filter(|name| !name.is_empty()) })
    }

    /// The layout of the store.
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.layout.clone()
    }

    /// Says at which path of the configuration no volumes will be: they lie somewhere else already.
    pub fn say(&self, ui: &Ui) {
        if let Ok(Some(path)) = self.layout.check_volume_path() {
            let (path, there) = (path.display(), self.layout.volumes());
            ui.debug(&format!("Overriding volume path {path} with {}, where volumes lie", there.display()));
        }
    }

    /// The name of the driver.
    #[must_use]
    pub const fn driver_name(&self) -> &'static str {
        match self.layout.driver {
            Driver::Overlay => "overlay",
            Driver::Vfs => "vfs",
        }
    }

    /// Begins to move this process into A.
    ///
    /// # Errors
    /// It cannot be entered; the hint says what mends that.
    pub fn begin(&self, own_mounts: bool, ui: &Ui) -> Result<Begun, CommandError> {
        let mut on_wait = |waiting: &Waiting| waits(waiting, ui);
        noted(entry::begin(&self.own.run, self.user.as_deref(), own_mounts, &mut on_wait), ui)
    }

    /// Moves this process into A.
    ///
    /// # Errors
    /// It cannot be entered; the hint says what mends that.
    pub fn enter(&self, own_mounts: bool, ui: &Ui) -> Result<LevelA, CommandError> {
        self.begin(own_mounts, ui)?.finish().map_err(barred)
    }

    /// Moves this process into A to remove things there: a full disk does not keep it from that.
    ///
    /// # Errors
    /// It cannot be entered; the hint says what mends that.
    pub fn enter_to_remove(&self, ui: &Ui) -> Result<LevelA, CommandError> {
        let mut on_wait = |waiting: &Waiting| waits(waiting, ui);
        let begun = noted(entry::begin_to_remove(&self.own.run, self.user.as_deref(), &mut on_wait), ui)?;
        begun.finish().map_err(barred)
    }
}

/// Says what was left out on the way.
fn noted(begun: Result<Begun, EntryError>, ui: &Ui) -> Result<Begun, CommandError> {
    let begun = begun.map_err(barred)?;
    for note in &begun.notes {
        ui.warn(&format!("{note}; ignored"));
    }
    Ok(begun)
}

/// A could not be entered.
#[must_use]
pub fn barred(err: EntryError) -> CommandError {
    let hint = err.remedy.as_ref().map(ToString::to_string);
    let err = CommandError::environment(err);
    match hint {
        Some(hint) => err.hint(hint),
        None => err.hint("ctr doctor"),
    }
}

/// Says for whom we wait.
pub fn waits(waiting: &Waiting, ui: &Ui) {
    let holders =
        waiting.holders.iter().map(|holder| format!("{} ({})", holder.pid, holder.command.for_terminal()));
    let holders: Vec<_> = holders.collect();
    let who = if holders.is_empty() { "another process".to_owned() } else { holders.join(", ") };
    ui.note(&format!("waiting for {who} to release {}", waiting.path.display()));
}

fn environment() -> Environment {
    let path = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let uid = rustix::process::geteuid().as_raw();
    Environment {
        home: path("HOME").or_else(|| home_of(uid)),
        xdg_data_home: path("XDG_DATA_HOME"),
        xdg_runtime_dir: path("XDG_RUNTIME_DIR"),
        uid,
        chosen: path(RUN_DIR),
    }
}

/// The home that the passwd file names, for services that start us without HOME.
fn home_of(uid: u32) -> Option<PathBuf> {
    let passwd = ctr_core::file::read(Path::new("/etc/passwd"), 16 << 20).ok()?;
    let passwd = String::from_utf8_lossy(&passwd);
    passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let ours = fields.get(2)?.parse() == Ok(uid);
        ours.then(|| fields.get(5).map(PathBuf::from)).flatten()
    })
}
