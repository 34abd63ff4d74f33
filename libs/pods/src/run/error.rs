//! Why a container did not run.

use std::path::PathBuf;

use ctr_core::file::FileError;
use ctr_core::platform::PlatformError;
use ctr_core::rooted::TreeError;
use ctr_net::control::ControlError;
use ctr_runtime::agent::AgentError;
use ctr_runtime::cgroup::GroupError;
use ctr_runtime::launch::LaunchError;
use ctr_runtime::plan::PlanError;
use ctr_runtime::seccomp::{CompileError, ProfileError};
use ctr_store::ResolveError;
use ctr_userns::entry::EntryError;
use ctr_userns::level_b;
use ctr_userns::map::MapError;
use rustix::io::Errno;

use super::capture::CaptureError;
use super::netns::NetworkNamespaceError;
use super::{AccountsError, BindError, JoinError, RootError, ShareError, VolumeMountError};
use crate::attach::ConnectError;
use crate::containers::ContainersError;
use crate::create::CreateError;
use crate::dependencies::DependencyError;
use crate::hosts::HostsError;
use crate::ports::PortsError;
use crate::request::SettleError;
use crate::supervise::SuperviseError;
use crate::ulimit::UlimitError;
use crate::units::UnitError;
use crate::user::UserError;
use crate::volumes::VolumesError;

/// Why a container did not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The image.
    #[error(transparent)]
    Image(#[from] ResolveError),
    /// `--platform`.
    #[error(transparent)]
    Platform(#[from] PlatformError),
    /// Entering A.
    #[error(transparent)]
    Enter(#[from] EntryError),
    /// `--userns` and its relatives.
    #[error(transparent)]
    Userns(#[from] level_b::ModeError),
    /// The container's map.
    #[error(transparent)]
    Map(#[from] level_b::PlanError),
    /// A namespace to join.
    #[error(transparent)]
    Join(#[from] JoinError),
    /// What is shared with another container.
    #[error(transparent)]
    Share(#[from] ShareError),
    /// The lines of that map.
    #[error("cannot write the container's id map")]
    Lines(#[from] MapError),
    /// The process that serves its network.
    #[error(transparent)]
    Network(#[from] ControlError),
    /// A network namespace to join.
    #[error(transparent)]
    NetworkNamespace(#[from] NetworkNamespaceError),
    /// `/etc/hosts`.
    #[error(transparent)]
    Hosts(#[from] HostsError),
    /// What it publishes.
    #[error(transparent)]
    Ports(#[from] PortsError),
    /// Records and names.
    #[error(transparent)]
    Containers(#[from] ContainersError),
    /// The root.
    #[error(transparent)]
    Root(#[from] RootError),
    /// A file in the root.
    #[error("cannot prepare the root of the container")]
    Tree(#[from] TreeError),
    /// passwd and group.
    #[error(transparent)]
    Accounts(#[from] AccountsError),
    /// The user.
    #[error(transparent)]
    User(#[from] UserError),
    /// A bind.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// What else it needs.
    #[error(transparent)]
    Dependency(#[from] DependencyError),
    /// Which volumes there are.
    #[error(transparent)]
    Volumes(#[from] VolumesError),
    /// A volume.
    #[error(transparent)]
    VolumeMount(#[from] VolumeMountError),
    /// The specification.
    #[error(transparent)]
    Create(#[from] CreateError),
    /// Limits.
    #[error(transparent)]
    Ulimit(#[from] UlimitError),
    /// A zone.
    #[error(transparent)]
    Unit(#[from] UnitError),
    /// A file of ours.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file for the container's frames.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The start.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// The program that answers where a profile asks.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// The profile of system calls.
    #[error("cannot use the seccomp profile")]
    Seccomp(#[from] CompileError),
    /// A profile in a file.
    #[error("cannot read the seccomp profile {path}")]
    Profile {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ProfileError,
    },
    /// More than one thread, or no /proc.
    #[error("cannot clone a container")]
    Clone(#[source] Errno),
    /// A descriptor that is not open.
    #[error("cannot pass the file descriptor {0}: it is not open")]
    NotOpen(u32),
    /// An id that `U` would give files to.
    #[error("the container has no ids {uid}:{gid} to give files to")]
    NoSuchId {
        /// User.
        uid: u32,
        /// Group.
        gid: u32,
    },
    /// A device.
    #[error(transparent)]
    Device(#[from] crate::device::DeviceError),
    /// A working directory that the container has not.
    #[error("workdir {path:?} does not exist on container {container}")]
    Workdir {
        /// The directory.
        path: String,
        /// The container.
        container: String,
    },
    /// The command's program is not there, or cannot be run.
    #[error("cannot run `{command}` in the container")]
    Command {
        /// The program as it was asked for.
        command: String,
        /// Why.
        #[source]
        errno: Errno,
    },
    /// What containers get a copy of must be root's or the user's alone.
    #[error("others can write {0}: it is not copied into a container")]
    Untrusted(PathBuf),
    /// Waiting.
    #[error(transparent)]
    Supervise(#[from] SuperviseError),
    /// An image that a container was made from.
    #[error(transparent)]
    Stored(#[from] ctr_store::image::ImageError),
    /// What was asked for cannot be written down for later.
    #[error(transparent)]
    Settle(#[from] SettleError),
    /// The control group.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// Something asked for that JSON cannot say: a path that is no text.
    #[error("cannot write down what was asked for")]
    Record(#[source] serde_json::Error),
    /// The container's own streams.
    #[error("cannot make the container's streams")]
    Streams(#[source] Errno),
    /// The conversation with the monitor.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// An agent cannot wait for a command that nobody knows the start of.
    #[error(
        "cannot initialize a container whose seccomp profile has an agent: it is told of the container once that runs"
    )]
    Agency,
    /// The process that becomes the monitor.
    #[error("cannot start the container's monitor")]
    Monitor(#[source] Errno),
}
