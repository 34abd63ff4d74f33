//! Containers that outlive the command that starts them.
//!
//! # Theory of operation
//! ```text
//! the command                                     the other half
//! create: claim, record         (a lock is held)
//! split ────────────────────────────────────────▶ leaves the terminal's session
//!   lets go of the lock                            enters A, starts the container as a foreground `run` does
//!   has the record flushed                         becomes the monitor, which says that it is ready
//! waits for ready, or for an exit code             … or says why not, and exits
//! prints the id, or relays the streams
//! ```
//! `start` does the same with a container that is there. Errors of the other half are printed by itself: it is the same
//! program with the same streams until it is the monitor.
//!
//! # Failure
//! A command that is killed in between leaves the other half to its work. If that is killed, the container's init goes
//! with it, the lock is free, and the container is what it was before.

use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use ctr_core::Digest;
use ctr_core::events::Event;
use ctr_core::file::FileError;
use ctr_core::lock::Waiting;
use ctr_net::control::Netd;
use ctr_net::publish::bind::Ports;
use ctr_runtime::monitor::become_monitor;
use ctr_store::Image;
use ctr_sys::clone::{Child, Half, SingleThreaded, split};
use ctr_sys::monitor::{FileId, Log, Output, Task};
use ctr_sys::step::Strings;
use ctr_userns::entry::Begun;
use ctr_userns::level_b::{Choice, Plan};
use ctr_userns::map::IdMaps;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{WaitId, WaitIdOptions, setsid, waitid};

use super::capture;
use super::network::{self, Network};
use super::share::Shares;
use super::streams::Streams;
use super::{
    Container, Host, Note, OwnPaths, RunError, Started, check_preserved, check_subscriptions, enter, find,
    flags, is_auto, now, settle_ports,
};
use crate::attach::Connection;
use crate::containers::{Claim, Container as Known, Containers, Kind};
use crate::dependencies;
use crate::ended;
use crate::happened::Who;
use crate::network::VERB;
use crate::ports::{self, When};
use crate::request::{LogDriver, Request, Source};
use crate::volumes::{self, Found};

/// A kept container in the hands of this process.
#[derive(Debug)]
pub struct Held {
    claim: Claim,
    pub(super) request: Request,
    image: Option<Image>,
    paths: OwnPaths,
    /// Its maps, if it got some of its own at an earlier start.
    maps: Option<IdMaps>,
    /// Layers of images that are mounted into it.
    more_layers: Vec<Digest>,
    /// Its command is not to run yet.
    waits: bool,
    /// The end of its last start, which is yet to be logged.
    unseen: Option<Event>,
    /// The sockets of its published ports, until it is started.
    ports: Option<Ports>,
    /// The file for its frames, once it is started.
    capture: Option<OwnedFd>,
}

/// Makes a container that is not started.
///
/// # Errors
/// What was asked for cannot be, or cannot be written down.
pub fn create(
    host: Host<'_>,
    request: &Request,
    when: When,
    note: &mut dyn FnMut(Note),
) -> Result<Held, RunError> {
    check_preserved(&request.process.preserve_fds)?;
    flags(request).choose()?;
    let mut request = request.settled()?;
    let containers = Containers::new(host.dirs);
    dependencies::settle(&mut request, &containers)?;
    let reading = host.store.reading(&mut |waiting| note(Note::Waiting(waiting.clone())))?;
    let image = find(host, &request)?;
    let paths = OwnPaths::of(&request)?;
    let ports = settle_ports(&mut request, image.as_ref(), when, &containers, note)?;
    let kind = if host.store.layout().transient { Kind::Transient } else { Kind::Kept };
    let claim = containers.claim(kind, request.name.as_deref())?;
    let settled = own_folder_of_log(&mut request, claim.id.as_str())
        .and_then(|()| Ok(volumes::settle(host.store, &containers, &request, image.as_ref(), now())?));
    let (request, Found { layers, held: volumes }) = match settled {
        Ok((request, found)) => (request.into_owned(), found),
        Err(error) => {
            claim.discard()?;
            return Err(error);
        }
    };
    let ports = (when == When::Now).then_some(ports);
    let held = Held {
        claim,
        request,
        image,
        paths,
        maps: None,
        more_layers: layers,
        waits: false,
        unseen: None,
        ports,
        capture: None,
    };
    let mut on_wait = |waiting: &Waiting| note(Note::Waiting(waiting.clone()));
    let marked = dependencies::mark(&containers, &held.request, &held.claim.id, &mut on_wait);
    let published = match &marked {
        Ok(_) => held.container(host).publish(None),
        Err(_) => Ok(()),
    };
    // From here on the record spares layers and volumes, and what is needed.
    drop((reading, volumes));
    let published = marked.map_err(RunError::from).and(published);
    match published {
        Ok(()) => Ok(held),
        Err(error) => {
            held.discard(host)?;
            Err(error)
        }
    }
}

/// Takes hold of a container that is there; `None` is one that somebody else holds.
///
/// # Errors
/// It is a fleeting one, or its record or its image is damaged.
pub fn hold(host: Host<'_>, container: &Known) -> Result<Option<Held>, RunError> {
    let containers = Containers::new(host.dirs);
    let Some((claim, container)) = containers.hold(container)? else { return Ok(None) };
    let mut request = container.request()?;
    if let Source::Image(text) = &mut request.source {
        // As it was found; what was typed could mean another image by now.
        container.record.image_name.clone_into(text);
    }
    // With what was added and taken away since it was made.
    request.ports.publish.clone_from(&container.record.ports);
    let unseen = ended::unseen(&containers, &container);
    let image = match container.record.image {
        Some(id) => Some(host.store.image(id).map_err(RunError::Stored)?),
        None => None,
    };
    let paths = OwnPaths::of(&request)?;
    let maps = container.record.host.maps.clone();
    let own_layers = image.as_ref().map_or(0, |image| image.layers.len());
    let more_layers = container.record.layers.iter().skip(own_layers).copied().collect();
    Ok(Some(Held {
        claim,
        request,
        image,
        paths,
        maps,
        more_layers,
        waits: false,
        unseen,
        ports: None,
        capture: None,
    }))
}

impl Held {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        self.claim.id.as_str()
    }

    /// The ids of containers that it needs.
    #[must_use]
    pub fn dependencies(&self) -> Vec<String> {
        dependencies::of(&self.request)
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.claim.name
    }

    /// What is to be logged before it is started again: that its monitor was killed, and it with it.
    #[must_use]
    pub const fn unseen(&self) -> Option<&Event> {
        self.unseen.as_ref()
    }

    /// Whether it goes with its end, or if it cannot be started.
    #[must_use]
    pub const fn goes_with_its_end(&self) -> bool {
        self.request.auto_remove
    }

    /// Who it is to those who read events.
    #[must_use]
    pub fn who(&self, host: Host<'_>) -> Who {
        self.container(host).who()
    }

    /// Has its record survive a loss of power.
    ///
    /// # Errors
    /// The disk fails.
    pub fn flush(&self) -> Result<(), RunError> {
        Ok(self.claim.flush()?)
    }

    /// The next start makes all but its command run, which waits for somebody to start it.
    #[must_use]
    pub fn waiting(self) -> Self {
        Self { waits: true, ..self }
    }

    /// Removes it, which was never started, with the volumes that were made for it alone.
    ///
    /// # Errors
    /// Something cannot be removed.
    pub fn discard(self, host: Host<'_>) -> Result<(), RunError> {
        let Self { claim, request, paths, .. } = self;
        let removed = paths.remove();
        claim.discard()?;
        let names: Vec<String> = volumes::names(&request.storage.mounts).map(str::to_owned).collect();
        volumes::discard(host.store, &names)?;
        removed
    }

    pub(super) fn container<'a>(&'a self, host: Host<'a>) -> Container<'a> {
        let Self { claim, request, image, paths, more_layers, waits, ports, .. } = self;
        let sockets = ports.as_ref().map_or(&[][..], |ports| &ports.sockets);
        Container {
            host,
            request,
            image: image.as_ref(),
            paths,
            claim,
            more_layers,
            waits: *waits,
            sockets,
            capture: self.capture.as_ref(),
        }
    }
}

/// What the process that becomes the monitor has of the command that waits for it.
#[derive(Debug)]
pub struct Link {
    /// Gets a byte when the monitor is at work.
    ready: OwnedFd,
    /// The monitor's end of a conversation with the command.
    client: Option<OwnedFd>,
}

/// What a command has of the process that becomes the monitor.
#[derive(Debug)]
pub struct Birth {
    child: Child,
    ready: OwnedFd,
    /// The command's end of their conversation.
    pub connection: Option<Connection>,
}

/// Which of the two this process is now.
#[derive(Debug)]
pub enum Side {
    /// The one that was started.
    Command(Birth),
    /// The one that goes on to be the monitor.
    Monitor(Link),
}

/// How the other half came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The container runs, and its monitor is at work.
    Ready,
    /// It has said why not, and ended with this code.
    Failed(u8),
}

/// Splits this process: what comes back as [`Side::Monitor`] is another one, in a session of its own.
///
/// # Errors
/// There can be no more processes, or descriptors.
pub fn part(attached: bool) -> Result<Side, RunError> {
    let (theirs, ours) = if attached {
        let (ours, theirs) = Connection::pair()?;
        (Some(theirs), Some(ours))
    } else {
        (None, None)
    };
    let (ready, says_ready) = pipe_with(PipeFlags::CLOEXEC).map_err(RunError::Monitor)?;
    let proof = SingleThreaded::here().map_err(RunError::Clone)?;
    Ok(match split(&proof).map_err(RunError::Monitor)? {
        Half::Parent(child) => Side::Command(Birth { child, ready, connection: ours }),
        Half::Child => {
            setsid().map_err(RunError::Monitor)?;
            Side::Monitor(Link { ready: says_ready, client: theirs })
        }
    })
}

impl Birth {
    /// Waits until the container runs, or cannot.
    ///
    /// # Errors
    /// Waiting fails.
    pub fn wait(&self) -> Result<Outcome, RunError> {
        let mut byte = [0_u8];
        loop {
            match rustix::io::read(&self.ready, &mut byte) {
                Ok(0) => break,
                Ok(_) => return Ok(Outcome::Ready),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(RunError::Monitor(errno)),
            }
        }
        loop {
            match waitid(WaitId::PidFd(self.child.pidfd.as_fd()), WaitIdOptions::EXITED) {
                Ok(Some(status)) => {
                    let code = status.exit_status().and_then(|code| u8::try_from(code).ok());
                    let signal =
                        status.terminating_signal().and_then(|signal| u8::try_from(128 + signal).ok());
                    return Ok(Outcome::Failed(code.or(signal).unwrap_or(u8::MAX)));
                }
                Ok(None) | Err(Errno::INTR) => {}
                Err(errno) => return Err(RunError::Monitor(errno)),
            }
        }
    }
}

/// What there is to do once a container has ended: the program and its arguments, the first being its name.
#[derive(Debug)]
pub struct Afterwards {
    /// The program, open.
    pub program: OwnedFd,
    /// Its arguments.
    pub arguments: Vec<Vec<u8>>,
}

/// Starts a container and becomes its monitor; comes back only if it could not.
pub fn start(
    mut held: Held,
    host: Host<'_>,
    link: Link,
    afterwards: &Afterwards,
    note: &mut dyn FnMut(Note),
) -> RunError {
    let Err(error) = held.try_start(host, link, afterwards, note);
    // The first error is the one that counts.
    let tidied = if held.request.auto_remove {
        held.discard(host)
    } else {
        held.claim.failed().map_err(RunError::from)
    };
    drop(tidied);
    error
}

impl Held {
    fn try_start(
        &mut self,
        host: Host<'_>,
        link: Link,
        afterwards: &Afterwards,
        note: &mut dyn FnMut(Note),
    ) -> Result<std::convert::Infallible, RunError> {
        let own_user = namespace_of_this_process()?;
        let choice = flags(&self.request).choose()?;
        let containers = Containers::new(host.dirs);
        let shares = Shares::find(&containers, &mut self.request)?;
        let target = shares.target(&choice)?;
        check_subscriptions(&self.request)?;
        // Before we enter A, where we would have no more than the container's rights over the host's ports.
        if self.ports.is_none() && self.request.namespaces.user_network.is_some() {
            self.ports = Some(ports::bind_all(&self.request.ports.publish, &containers)?);
        }
        self.capture = capture::open(&self.request)?;
        let begun = enter(host, note)?;
        self.claim.begins()?;
        let container = self.container(host);
        let streams = self.streams()?;
        let before = |_: &Streams| Ok(());
        // Others find A through us for as long as we live: it is never dropped.
        let (_a, started) = match target {
            None => {
                let plan = self.plan(&container, &choice, &begun, &containers)?;
                let a = begun.finish()?;
                shares.enter(&a)?;
                let started = container.start(&a, &plan, None, streams, before, note)?.0;
                (a, started)
            }
            Some(target) => {
                let a = begun.finish()?;
                let mut joined = target.open(&containers, &a)?;
                shares.open(&mut joined)?;
                shares.enter(&a)?;
                let started = container.start(&a, &joined.plan, Some(&joined), streams, before, note)?.0;
                (a, started)
            }
        };
        note(if self.waits { Note::Initialized } else { Note::Running }(container.who()));
        if container.is_volatile() {
            super::root::tidy(&container);
        }
        Err(RunError::Monitor(self.watch(&started, link, afterwards, own_user)?))
    }

    /// The map that a container with ids of its own once got is its own for good: its files have those ids.
    pub(super) fn plan(
        &self,
        container: &Container<'_>,
        choice: &Choice,
        begun: &Begun,
        containers: &Containers,
    ) -> Result<Plan, RunError> {
        if let Some(maps) = self.maps.as_ref().filter(|_| is_auto(choice)) {
            return Ok(Plan { maps: maps.clone(), user: None });
        }
        // Two that look for free ids must see each other's records.
        let _alone = if is_auto(choice) { Some(containers.choosing_ids()?) } else { None };
        let plan = container.plan(choice, begun, containers)?;
        // Whom it runs as is known only now, for whoever comes later.
        if is_auto(choice) || plan.user.is_some() {
            container.publish(Some(&plan))?;
        }
        Ok(plan)
    }

    /// Where the container's output goes.
    fn streams(&self) -> Result<Streams, RunError> {
        let process = &self.request.process;
        if process.terminal {
            return Streams::none();
        }
        match self.request.log.driver {
            LogDriver::Passthrough | LogDriver::PassthroughTty => {
                Streams::passed_through(process.interactive)
            }
            LogDriver::K8sFile | LogDriver::JsonFile | LogDriver::None => Streams::piped(process.interactive),
        }
    }

    /// Becomes the monitor.
    fn watch(
        &self,
        started: &Started,
        link: Link,
        afterwards: &Afterwards,
        own_user: FileId,
    ) -> Result<Errno, RunError> {
        let dir = &self.claim.dir;
        let folder = open_folder(dir)?;
        let log = self.request.log.driver.writes().then(|| self.log()).transpose()?;
        let listener = ctr_sys::monitor::listen(folder.as_fd()).map_err(RunError::Monitor)?;
        let events = started.group.as_ref().and_then(|group| {
            // Only where the controller is delegated.
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            rustix::fs::openat(&group.folder, c"memory.events", flags, Mode::empty()).ok()
        });
        let mut arguments = Vec::new();
        for word in &afterwards.arguments {
            arguments.extend_from_slice(word);
            arguments.push(0);
        }
        let ended = Strings::new(&arguments).ok_or(RunError::Monitor(Errno::INVAL))?;
        let Streams { input, output, .. } = &started.streams;
        let successors = Netd::arguments(VERB);
        let network = started.network.as_ref().map(|Network { netd, succession, .. }| {
            network::described(netd.control.as_fd(), netd.process.as_fd(), succession, &successors)
        });
        let network = network.transpose()?;
        let beside = started.network.as_ref().map_or(&[][..], |network| &network.succession.beside);
        let task = Task {
            lock: self.claim.lock().as_fd(),
            folder: folder.as_fd(),
            init: started.running.pidfd.as_fd(),
            program: afterwards.program.as_fd(),
            ended,
            output: match (&started.running.terminal, output) {
                (Some(master), _) => Output::Terminal(master.as_fd()),
                (None, Some((stdout, stderr))) => {
                    Output::Pipes { stdout: stdout.as_fd(), stderr: stderr.as_fd() }
                }
                (None, None) => Output::None,
            },
            input: input.as_ref().map(AsFd::as_fd),
            log: log.as_ref().map(|(folder, name)| Log {
                folder: folder.as_fd(),
                name: name.as_bytes(),
                limit: self.request.log.max_size,
                files: self.request.log.max_files,
            }),
            listener: Some(listener.as_fd()),
            client: link.client.as_ref().map(AsFd::as_fd),
            ready: Some(link.ready.as_fd()),
            memory_events: events.as_ref().map(AsFd::as_fd),
            gate: started.running.gate.as_ref().map(AsFd::as_fd),
            network,
            timeout: self.request.timeout.map_or(0, |it| u64::try_from(it.as_millis()).unwrap_or(u64::MAX)),
            trusted: [own_user, namespace_of_this_process()?],
        };
        Ok(become_monitor(&task, beside, self.claim.id.short(), &self.claim.name))
    }

    /// The folder and the name of the log.
    fn log(&self) -> Result<(OwnedFd, OsString), RunError> {
        let path = self.request.log.file(&self.claim.dir);
        let folder = path.parent().unwrap_or(Path::new("/"));
        if self.request.log.path.is_none() {
            ctr_core::atomic::private_directory(folder)?;
        }
        Ok((open_folder(folder)?, path.file_name().unwrap_or_default().to_owned()))
    }
}

/// Where the log's path is a folder, each container has one of its own in there, which stays when the container goes.
fn own_folder_of_log(request: &mut Request, id: &str) -> Result<(), RunError> {
    let Some(path) = request.log.path.as_mut().filter(|path| request.log.driver.writes() && path.is_dir())
    else {
        return Ok(());
    };
    path.push(id);
    std::fs::create_dir(&*path)
        .map_err(|error| FileError::new("create the directory", path.clone(), error))?;
    path.push("ctr.log");
    Ok(())
}

pub(super) fn open_folder(path: &Path) -> Result<OwnedFd, RunError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(CWD, path, flags, Mode::empty());
    Ok(opened.map_err(|errno| FileError::new("open", path, errno))?)
}

/// The user namespace that this process is in, as the kernel numbers it.
fn namespace_of_this_process() -> Result<FileId, RunError> {
    let stat = rustix::fs::stat("/proc/self/ns/user").map_err(RunError::Monitor)?;
    Ok(FileId { dev: stat.st_dev, ino: stat.st_ino })
}
