//! Starting a container, from a request to a running command.
//!
//! # Theory of operation
//! ```text
//! U   read who we are, find the image                      (the gc lock is shared)
//!     claim an identity and a name, publish the record     (the gc lock is free again)
//!     enter A: helpers write its map meanwhile
//! A   mount the root, read who the user is, open what is bound
//!     specification → plan → the container's init
//! ```
//! [`foreground`] does that for a fleeting container, waits, and removes everything: this process is the container's
//! parent. [`kept`] does it for all others, in a process of its own that becomes the container's monitor.
//!
//! # Process context
//! One thread. It starts in U and ends in A with a mount namespace of its own.
//!
//! # Failure
//! Every error removes what was made. A kill leaves an unlocked folder and an upper folder ([`crate::containers`]), and
//! the kernel kills the container with us.

pub(crate) mod accounts;
mod binds;
pub(crate) mod calls;
mod capture;
mod container;
mod error;
mod files;
mod fleeting;
mod join;
pub mod kept;
mod labels;
mod netns;
mod network;
mod person;
mod record;
mod root;
pub mod session;
pub(crate) mod share;
pub(crate) mod start;
mod streams;
pub mod visit;
mod volumes;
mod zone;

use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use ctr_core::lock::Waiting;
use ctr_core::oci::RunConfig;
use ctr_core::paths::Dirs;
use ctr_core::platform::Platform;
use ctr_net::publish::bind::Ports;
use ctr_store::{Image, Store};
use ctr_sys::monitor::Death;
use ctr_userns::entry::{self, Begun};
use ctr_userns::level_b::Flags;

pub use accounts::AccountsError;
pub use binds::BindError;
pub use capture::CaptureError;
pub use error::RunError;
pub use fleeting::foreground;
pub use join::JoinError;
pub use root::RootError;
pub use share::ShareError;
pub use volumes::VolumeMountError;

use container::{Container, OwnPaths, is_auto};
use start::Started;

use crate::containers::Containers;
use crate::happened::Who;
use crate::network::{Form, Standing};
use crate::ports::{self, When};
use crate::request::{Request, Source};
use crate::subscriptions::{self, Subscription};

/// Where a container runs.
#[derive(Debug, Clone, Copy)]
pub struct Host<'a> {
    /// Its images.
    pub store: &'a Store,
    /// Its directories.
    pub dirs: &'a Dirs,
    /// The user's own run directory, whatever `--root` and `--runroot` say.
    pub user_run: &'a Path,
    /// The user's name where `/etc/passwd` has none.
    pub user: Option<&'a str>,
    /// Where it is said what becomes of each flow of a container that ends with us, and how; that of one with a monitor is said in
    /// a file of its own.
    pub trace: Option<(BorrowedFd<'a>, Form)>,
}

/// Something to tell the user that is no error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// A lock has been waited for.
    Waiting(Waiting),
    /// A line of `/etc/subuid` or `/etc/subgid` that was left out.
    Ids(ctr_userns::ranges::Note),
    /// How the root was made where overlay is not to be had.
    Root(String),
    /// Letters of `--device` that nothing here enforces.
    DeviceAccess(PathBuf),
    /// A step of the start that took its fallback.
    Start(ctr_runtime::launch::Notice),
    /// A score below our own, which the kernel would refuse.
    OomScore {
        /// What was asked for.
        asked: i32,
        /// What it is instead.
        now: i32,
    },
    /// What is bound into a container that does not run is not there.
    NoSource(PathBuf),
    /// Something that every container should get a copy of, and why this one does not.
    NotCopied(PathBuf, String),
    /// The settings that the configuration has for every container cannot be written.
    NoSettings,
    /// The process that serves the network has ended, and another one serves.
    Network(Death),
    /// The network could not be made in the best way.
    Standing(Standing),
    /// What becomes of each flow is written to this file.
    Trace(PathBuf),
    /// Ports were to be published of a network that nobody outside reaches.
    NoPorts(String),
    /// `-t` without a terminal to read from.
    NoTerminal,
    /// All of the container is there but its command.
    Initialized(Who),
    /// The container is about to be started; nobody has heard of it before.
    Made(Who),
    /// The container runs.
    Running(Who),
}

/// Looks at what is to be copied, while owners are who they are.
fn check_subscriptions(request: &Request) -> Result<(), RunError> {
    for Subscription { source, .. } in &request.storage.subscriptions {
        if subscriptions::is_trusted(source)? == Some(false) {
            return Err(RunError::Untrusted(source.clone()));
        }
    }
    Ok(())
}

/// What is to be passed on must be the user's: a number that is free now would name a descriptor of ours later.
fn check_preserved(fds: &[u32]) -> Result<(), RunError> {
    let closed = |fd: &&u32| std::fs::symlink_metadata(format!("/proc/self/fd/{fd}")).is_err();
    fds.iter().find(closed).map_or(Ok(()), |fd| Err(RunError::NotOpen(*fd)))
}

/// Begins to move into A.
fn enter(host: Host<'_>, note: &mut dyn FnMut(Note)) -> Result<Begun, RunError> {
    let mut on_wait = |waiting: &Waiting| note(Note::Waiting(waiting.clone()));
    let begun = entry::begin(host.user_run, host.user, true, &mut on_wait)?;
    for unfit in &begun.notes {
        note(Note::Ids(unfit.clone()));
    }
    Ok(begun)
}

/// What the flags say about ids.
fn flags(request: &Request) -> Flags<'_> {
    let userns = &request.userns;
    Flags {
        userns: userns.mode.as_deref(),
        uidmap: &userns.uidmap,
        gidmap: &userns.gidmap,
        subuidname: userns.subuidname.as_deref(),
        subgidname: userns.subgidname.as_deref(),
    }
}

/// The image, if it is one that is run.
fn find(host: Host<'_>, request: &Request) -> Result<Option<Image>, RunError> {
    let platform = request.platform.as_deref().map(Platform::parse).transpose()?;
    match &request.source {
        Source::Image(name) => Ok(Some(host.store.resolve(name, platform.as_ref())?)),
        Source::Folder { .. } => Ok(None),
    }
}

/// Decides which ports a new container publishes.
fn settle_ports(
    request: &mut Request,
    image: Option<&Image>,
    when: When,
    containers: &Containers,
    note: &mut dyn FnMut(Note),
) -> Result<Ports, RunError> {
    let none = RunConfig::default();
    let config = image.map_or(&none, |image| &image.config.config);
    if request.namespaces.user_network.is_none() && !request.ports.publish.is_empty() {
        let network = request.namespaces.shown_network();
        note(Note::NoPorts(network.split(':').next().unwrap_or_default().to_owned()));
        request.ports.publish.clear();
    }
    Ok(ports::settle(&mut request.ports, &request.namespaces, config, when, containers)?)
}

/// Nanoseconds since 1970.
pub(crate) fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
