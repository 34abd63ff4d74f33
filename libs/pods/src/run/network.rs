//! The process that serves a container's network, from its start to its being kept.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use ctr_core::{file, limits};
use ctr_net::control::{ControlError, Netd};
use ctr_net::dns::names::Called;
use ctr_net::dns::resolv_conf::ResolvConf;
use ctr_runtime::launch::Begun;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::process::Pid;

use super::RunError;
use crate::network::{UserNetwork, VERB};

/// A network that is served for as long as this is there.
#[derive(Debug)]
pub(super) struct Network {
    /// Its end is that process' end.
    pub(super) control: OwnedFd,
    /// The router's namespace: it outlives that process with us, and the container's interface with it.
    pub(super) router: OwnedFd,
}

/// What is understood of the host's `resolv.conf`; without one it is the host itself that is asked.
pub(super) fn of_host() -> ResolvConf {
    let text = file::read(Path::new("/etc/resolv.conf"), limits::SYSTEM_FILE).unwrap_or_default();
    ResolvConf::parse(&text)
}

/// A network whose container is on its way.
#[derive(Debug)]
pub(super) struct Arriving {
    netd: Netd,
    asked: UserNetwork,
    called: Called,
}

impl Arriving {
    /// Starts the process, which gets ready while the container's namespaces are made.
    pub(super) fn begin(asked: &UserNetwork, called: Called) -> Result<Self, RunError> {
        Ok(Self { netd: Netd::spawn(VERB)?, asked: asked.clone(), called })
    }

    /// Has it serve the container, whose first process has a network namespace of its own by now.
    pub(super) fn arrive(self, container: &mut Begun) -> Result<Network, RunError> {
        container.staged()?;
        let pid = container.pid().map_or(0, Pid::as_raw_pid);
        let path = format!("/proc/{pid}/ns/net");
        let namespace =
            openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(ControlError::Talk)?;
        let settings = self
            .asked
            .settings(self.called, of_host())
            .map_err(|error| ControlError::Failed(error.to_string()))?;
        let (_inner, router) = self.netd.serve(&settings, namespace.as_fd())?;
        Ok(Network { control: self.netd.into_control(), router })
    }
}
