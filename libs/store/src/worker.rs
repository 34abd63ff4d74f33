//! The child that lives in namespace A and does there what only its root may: unpack, pack, assemble, delete.
//!
//! # Theory of operation
//! ```text
//! parent (U, many threads)                       child `__unpack` (A)
//!   spawn, socket as the child's stdin ────────▶
//!   Setup: which store, whose A ───────────────▶ discovers ranges, enters A while single-threaded
//!   ◀──────── Ready: the key of A's map, or why not
//!   Job + [reply pipe, stream, directory] ─────▶ one thread per job
//!   writes the layer into the stream ══════════▶ decompresses, hashes and unpacks it into the directory
//!   ◀════════ the reply pipe: one JSON, then its end
//!   closes the socket ─────────────────────────▶ ends
//! ```
//! Each message is one packet. Jobs of several threads do not meet: each has a reply pipe of its own.
//!
//! # Process context
//! The parent may have threads, for it clones nothing: it spawns this program anew. The child enters A before its
//! first thread. Nothing of an image runs in it.
//!
//! # Failure
//! A child that dies closes its pipes, which the parent sees as [`WorkerError::Lost`]. What a job left half made
//! lies in the stage of its session.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use ctr_core::Digest;
use ctr_core::file::read_stream;
use ctr_core::limits;
use ctr_sys::packet;
use ctr_userns::entry;
use ctr_userns::map::Key;
use ctr_userns::remedy::Remedy;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, socketpair};
use serde::{Deserialize, Serialize};

use crate::apply::ApplyError;
use crate::{Driver, ImageId, Layout, Store};

mod job;
mod stages;

pub use job::{Applied, Changed, Unpacked};

/// The largest packet: a job names at most the layers of two images.
const PACKET: usize = 160 << 10;
/// What a stream's pipe holds, so that both ends work in large pieces.
const PIPE: usize = 1 << 20;

/// Which store, and whose A.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Setup {
    /// DATA of the store.
    pub data: PathBuf,
    /// RUN of the store.
    pub run: PathBuf,
    /// The user's own run directory, where A is registered.
    pub own_run: PathBuf,
    /// The user's name, where the system has none for the id.
    pub user: Option<String>,
    /// Additional stores.
    pub additional: Vec<PathBuf>,
}

impl Setup {
    /// The store's layout.
    #[must_use]
    pub fn layout(&self) -> Layout {
        let layout = Layout::new(self.data.clone(), self.run.clone(), Driver::Overlay);
        Layout { additional: self.additional.clone(), ..layout }
    }
}

/// What the child says before the first job.
#[derive(Debug, Serialize, Deserialize)]
enum Ready {
    /// It is in A.
    In(Key),
    /// It is not, and this may mend that.
    Failed(Failure, Option<Remedy>),
}

/// What the child is asked to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Job {
    /// Unpack the stream into the directory.
    Unpack,
    /// Delete what is in the store's trash.
    EmptyTrash,
    /// Write the tree of a layer as an archive into the stream.
    Pack { layer: Digest, key: Key },
    /// Tell what differs between two stacks of layers.
    Changes { old: Vec<Digest>, new: Vec<Digest>, key: Key },
    /// Make what stacking an image needs.
    Assemble { image: ImageId, key: Key },
}

/// What went wrong in the child, as text: its errors have no other way through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The error and its causes.
    pub message: String,
    /// The kernel's answer at the end of the causes.
    pub errno: Option<i32>,
    /// The id that a layer asks for and A does not have, if that was it.
    #[serde(default)]
    pub unmapped: Option<u64>,
}

impl Failure {
    pub(crate) fn of(error: &(dyn std::error::Error + 'static)) -> Self {
        let (mut errno, mut unmapped) = (None, None);
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(ApplyError::IdNotMapped { id, .. }) = error.downcast_ref() {
                unmapped = Some(*id);
            }
            if let Some(io) = error.downcast_ref::<std::io::Error>() {
                errno = io.raw_os_error().or(errno);
            } else if let Some(kernel) = error.downcast_ref::<rustix::io::Errno>() {
                errno = Some(kernel.raw_os_error());
            }
            cause = error.source();
        }
        Self { message: ctr_core::causes::chain(error), errno, unmapped }
    }
}

/// The child could not enter A.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{failure}")]
pub struct NotIn {
    /// Why.
    pub failure: Failure,
    /// What mends it, where something is known to.
    pub remedy: Option<Remedy>,
}

/// The child could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The program could not be started.
    #[error("cannot start the process that unpacks")]
    Spawn(#[source] std::io::Error),
    /// The child could not enter A.
    #[error(transparent)]
    Enter {
        /// Why.
        #[from]
        failure: NotIn,
    },
    /// Talking to the child failed.
    #[error("cannot talk to the process that unpacks")]
    Talk(#[source] std::io::Error),
    /// The child ended before it answered.
    #[error("the process that unpacks ended unexpectedly")]
    Lost,
    /// The job failed.
    #[error(transparent)]
    Job(#[from] Failure),
}

/// A child in A that takes jobs; it ends when this is dropped.
#[derive(Debug)]
pub struct Worker {
    socket: Option<OwnedFd>,
    child: Child,
    key: Key,
}

impl Worker {
    /// Starts the child: `command` is this program with the verb that calls [`serve`] on its stdin.
    pub fn spawn(command: &mut Command, setup: &Setup) -> Result<Self, WorkerError> {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .map_err(|error| WorkerError::Spawn(error.into()))?;
        let child =
            command.stdin(Stdio::from(theirs)).stdout(Stdio::null()).spawn().map_err(WorkerError::Spawn)?;
        // The command would keep the child's end open, and a child that dies would not be noticed.
        command.stdin(Stdio::null());
        let mut worker = Self { socket: Some(ours), child, key: "0".repeat(32).parse().map_err(talk)? };
        worker.send(&serde_json::to_vec(setup).map_err(talk)?, &[])?;
        let mut buffer = vec![0; PACKET];
        let (size, _) = receive(worker.socket(), &mut buffer).map_err(WorkerError::Talk)?;
        if size == 0 {
            return Err(WorkerError::Lost);
        }
        match serde_json::from_slice(&buffer[..size]).map_err(talk)? {
            Ready::In(key) => worker.key = key,
            Ready::Failed(failure, remedy) => return Err(NotIn { failure, remedy }.into()),
        }
        Ok(worker)
    }

    /// Returns the key of A's map, under which trees are kept.
    #[must_use]
    pub const fn key(&self) -> Key {
        self.key
    }

    fn socket(&self) -> BorrowedFd<'_> {
        // It is taken by drop alone.
        self.socket.as_ref().map_or_else(|| rustix::stdio::stdin(), AsFd::as_fd)
    }

    fn send(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<(), WorkerError> {
        match packet::send(self.socket(), bytes, descriptors, SendFlags::empty()) {
            Ok(()) => Ok(()),
            Err(rustix::io::Errno::PIPE | rustix::io::Errno::CONNRESET) => Err(WorkerError::Lost),
            Err(error) => Err(WorkerError::Talk(error.into())),
        }
    }

    fn job(&self, job: &Job, descriptors: &[BorrowedFd<'_>]) -> Result<Reply, WorkerError> {
        let (reply, answer) = pipe()?;
        let mut all = vec![answer.as_fd()];
        all.extend_from_slice(descriptors);
        self.send(&serde_json::to_vec(job).map_err(talk)?, &all)?;
        Ok(Reply(File::from(reply)))
    }

    /// Begins to unpack a layer into an empty directory; its stream is written to what is returned.
    pub fn unpack(&self, tree: &Path) -> Result<Unpacking, WorkerError> {
        let directory = File::open(tree).map_err(WorkerError::Talk)?;
        let (theirs, ours) = pipe()?;
        // Larger pieces are faster; a user who has used up the quota of pipes gets small ones.
        let _size = rustix::pipe::fcntl_setpipe_size(&ours, PIPE);
        let reply = self.job(&Job::Unpack, &[theirs.as_fd(), directory.as_fd()])?;
        Ok(Unpacking { stream: File::from(ours), reply })
    }

    /// Deletes what is in the store's trash.
    pub fn empty_trash(&self) -> Result<(), WorkerError> {
        self.job(&Job::EmptyTrash, &[])?.read()
    }
}

impl Worker {
    /// Writes the tree of a layer as an archive.
    pub fn pack(&self, layer: Digest, key: Key, to: BorrowedFd<'_>) -> Result<(), WorkerError> {
        self.job(&Job::Pack { layer, key }, &[to])?.read()
    }

    /// Tells what differs between two stacks of layers, the lowest first.
    pub fn changes(&self, old: Vec<Digest>, new: Vec<Digest>) -> Result<Vec<Changed>, WorkerError> {
        self.job(&Job::Changes { old, new, key: self.key }, &[])?.read()
    }

    /// Makes what stacking an image under A's map needs.
    pub fn assemble(&self, image: ImageId) -> Result<(), WorkerError> {
        self.job(&Job::Assemble { image, key: self.key }, &[])?.read()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        drop(self.socket.take());
        // It ends when its jobs have; how, nobody is left to hear.
        drop(self.child.wait());
    }
}

/// A layer on its way into a tree.
#[derive(Debug)]
pub struct Unpacking {
    stream: File,
    reply: Reply,
}

impl Unpacking {
    /// Ends the stream and waits for what came of it.
    pub fn finish(self) -> Result<Unpacked, WorkerError> {
        drop(self.stream);
        self.reply.read()
    }
}

impl Write for Unpacking {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.stream.flush()
    }
}

#[derive(Debug)]
struct Reply(File);

impl Reply {
    fn read<T: for<'de> Deserialize<'de>>(mut self) -> Result<T, WorkerError> {
        let bytes = read_stream(&mut self.0, limits::CHANGES).map_err(WorkerError::Talk)?;
        if bytes.is_empty() {
            return Err(WorkerError::Lost);
        }
        let answer: Result<T, Failure> = serde_json::from_slice(&bytes).map_err(talk)?;
        Ok(answer?)
    }
}

fn talk(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> WorkerError {
    WorkerError::Talk(std::io::Error::other(error))
}

fn pipe() -> Result<(OwnedFd, OwnedFd), WorkerError> {
    rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).map_err(|error| WorkerError::Talk(error.into()))
}

/// Receives one packet; none of size 0 is ever sent, so that size means the end.
fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> std::io::Result<(usize, Vec<OwnedFd>)> {
    let mut beside = Vec::new();
    let received = packet::receive(socket, buffer, |fd| beside.push(fd), RecvFlags::empty())?;
    Ok((received.length, beside))
}

/// Serving jobs failed as a whole.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The parent went away or talks nonsense.
    #[error("cannot talk to the parent process")]
    Talk(#[source] std::io::Error),
    /// The store cannot be opened.
    #[error(transparent)]
    Open(#[from] crate::OpenError),
}

/// The child's side: enters A, then serves jobs until the parent closes the socket.
pub fn serve(socket: &OwnedFd) -> Result<(), ServeError> {
    let mut buffer = vec![0; PACKET];
    let (size, _) = receive(socket.as_fd(), &mut buffer).map_err(ServeError::Talk)?;
    let setup: Setup = serde_json::from_slice(&buffer[..size]).map_err(|e| ServeError::Talk(e.into()))?;
    let user = setup.user.as_deref();
    let (ready, level) = match entry::enter(&setup.own_run, user, false, &mut |_| {}) {
        Ok(level) => (Ready::In(level.key), Some(level)),
        Err(error) => (Ready::Failed(Failure::of(&error), error.remedy.map(|remedy| *remedy)), None),
    };
    let bytes = serde_json::to_vec(&ready).map_err(|error| ServeError::Talk(error.into()))?;
    rustix::io::write(socket, &bytes).map_err(|error| ServeError::Talk(error.into()))?;
    if level.is_none() {
        return Ok(());
    }
    let store = Store::open(&setup.layout())?;
    // Modes come from archives, whatever the user's shell masks.
    rustix::process::umask(rustix::fs::Mode::empty());
    std::thread::scope(|scope| {
        loop {
            let (size, descriptors) = receive(socket.as_fd(), &mut buffer).map_err(ServeError::Talk)?;
            if size == 0 {
                return Ok(());
            }
            let job: Job = serde_json::from_slice(&buffer[..size]).map_err(|e| ServeError::Talk(e.into()))?;
            let store = &store;
            scope.spawn(move || job::run(store, job, descriptors));
        }
    })
}
