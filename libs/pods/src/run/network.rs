//! The process that serves a container's network, from its start to its being kept.

use std::cell::OnceCell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use ctr_core::file::FileError;
use ctr_core::{file, limits};
use ctr_net::control::{ControlError, Netd, Succession};
use ctr_net::dns::names::Called;
use ctr_net::dns::resolv_conf::ResolvConf;
use ctr_net::looking::{Form, Looking, Trace};
use ctr_net::publish::bind::Bound;
use ctr_runtime::launch::Begun;
use ctr_sys::monitor::{Network as Described, Script, Serving};
use ctr_sys::step::Strings;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::process::Pid;

use super::{Container, Note, RunError};
use crate::network::{Standing, TRACE, UserNetwork, VERB};
use crate::supervise::{Aside, now};

/// A network that is served for as long as this is there.
#[derive(Debug)]
pub(super) struct Network {
    /// Who serves it now.
    pub(super) netd: Netd,
    /// What the next one is told. The router's namespace is in it: that outlives the process with us, and the container's
    /// interface with it.
    pub(super) succession: Succession,
    /// In which way.
    pub(super) standing: Standing,
}

/// The host's `resolv.conf`, read once, and only if somebody wants to know.
#[derive(Debug, Default)]
pub(super) struct ResolversOfHost(OnceCell<Vec<u8>>);

impl ResolversOfHost {
    /// Its text: a host without the file is its own resolver, as for libc. So is one that has something else in its place.
    pub(super) fn text(&self) -> &[u8] {
        self.0.get_or_init(|| {
            file::read_system(Path::new("/etc/resolv.conf"), limits::SYSTEM_FILE).unwrap_or_default()
        })
    }
}

/// What of a container's network somebody wants to see; and the file for its flows, where there is one.
pub(super) fn looking(container: &Container<'_>) -> Result<(Looking, Option<PathBuf>), RunError> {
    let copy = |fd: BorrowedFd<'_>| fcntl_dupfd_cloexec(fd, 3).map_err(ControlError::Talk);
    let capture = container.capture.map(|file| copy(file.as_fd())).transpose()?;
    let (trace, path) = match container.host.trace {
        None => (None, None),
        Some((to, form)) if !container.claim.kind.has_monitor() => {
            (Some(Trace { form, to: copy(to)? }), None)
        }
        Some(_) => {
            let path = container.claim.dir.join(TRACE);
            let flags = OFlags::RDWR | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let to = openat(CWD, &path, flags, Mode::RUSR | Mode::WUSR)
                .map_err(|errno| FileError::new("create", path.clone(), errno))?;
            (Some(Trace { form: Form::Dated, to }), Some(path))
        }
    };
    Ok((Looking { trace, capture }, path))
}

/// A network whose container is on its way.
#[derive(Debug)]
pub(super) struct Arriving {
    netd: Netd,
    asked: UserNetwork,
    called: Called,
    looking: Looking,
}

impl Arriving {
    /// Starts the process, which gets ready while the container's namespaces are made.
    pub(super) fn begin(asked: &UserNetwork, called: Called, looking: Looking) -> Result<Self, RunError> {
        Ok(Self { netd: Netd::spawn(VERB)?, asked: asked.clone(), called, looking })
    }

    /// Has it serve the container, whose first process has a network namespace of its own by now.
    pub(super) fn arrive(
        self,
        container: &mut Begun,
        ports: &[Bound],
        resolvers: &ResolversOfHost,
    ) -> Result<Network, RunError> {
        container.staged()?;
        let pid = container.pid().map_or(0, Pid::as_raw_pid);
        let path = format!("/proc/{pid}/ns/net");
        let namespace =
            openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(ControlError::Talk)?;
        let settings = self
            .asked
            .settings(self.called, ResolvConf::parse(resolvers.text()))
            .map_err(|error| ControlError::Failed(error.to_string()))?;
        let (mut succession, standing) = self.netd.serve(&settings, namespace.as_fd(), &self.looking)?;
        self.netd.publish(ports, &mut succession)?;
        Ok(Network { netd: self.netd, succession, standing })
    }
}

/// A network that the waiting command looks after.
pub(super) struct Tended<'a> {
    serving: Serving<'a, &'a [OwnedFd]>,
    /// This program, which the next one is too.
    program: OwnedFd,
    /// The container's.
    folder: OwnedFd,
    note: &'a mut dyn FnMut(Note),
}

impl<'a> Tended<'a> {
    /// Looks after a network from now on; the arguments are [`Netd::arguments`].
    pub(super) fn new(
        netd: Netd,
        (succession, arguments): (&'a Succession, &'a [u8]),
        folder: OwnedFd,
        note: &'a mut dyn FnMut(Note),
    ) -> Result<Self, RunError> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let program = openat(CWD, c"/proc/self/exe", flags, Mode::empty()).map_err(ControlError::Talk)?;
        let network = described(netd.control, netd.process, succession, arguments)?;
        let serving = Serving::new(network, &succession.beside[..], now());
        Ok(Self { serving, program, folder, note })
    }
}

/// The same for [`ctr_sys::monitor`].
pub(super) fn described<'a, F>(
    control: F,
    process: F,
    succession: &'a Succession,
    arguments: &'a [u8],
) -> Result<Described<'a, F>, ControlError> {
    let bad = || ControlError::Talk(Errno::INVAL);
    Ok(Described {
        control,
        process,
        arguments: Strings::new(arguments).ok_or_else(bad)?,
        script: Script::new(&succession.script).ok_or_else(bad)?,
    })
}

impl Tended<'_> {
    /// The container has ended: waits until its ports are free.
    pub(super) fn end(self) {
        self.serving.end();
    }
}

impl Aside for Tended<'_> {
    fn watched(&self) -> [Option<BorrowedFd<'_>>; 2] {
        [self.serving.process(), self.serving.questions()]
    }

    fn deadline(&self) -> Option<u64> {
        self.serving.deadline()
    }

    fn look(&mut self, now: u64) {
        self.serving.hear();
        self.serving.look(self.folder.as_fd(), now);
        if let Some(death) = self.serving.go_on(self.program.as_fd(), now) {
            (self.note)(Note::Network(death));
        }
    }
}
