//! Who writes A's map: `newuidmap` and `newgidmap`, or a child of ours where we hold the capabilities.
//!
//! Both helpers run at once. They are looked for in the system's directories and nowhere else: a PATH is the user's, and a
//! helper of the user's own could not do the work anyway.

use std::ffi::{CString, OsStr};
use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ctr_sys::userns::{Child, Deed, Failed, Gate};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, StatVfsMountFlags};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};

use super::EnterError;
use crate::map::{IdMap, Kind, Lines};
use crate::ranges::Source;

/// A helper's words that are worth keeping.
const WORDS: usize = 4096;

/// How long a process may take to die of SIGKILL before it is left behind.
const LAST_PATIENCE: Duration = Duration::from_secs(1);

/// The directories where the set-uid helpers may be.
#[derive(Debug, Clone, Copy)]
pub struct Helpers {
    directories: &'static [&'static str],
}

impl Helpers {
    /// Where distributions have them (NixOS: the wrappers).
    pub const SYSTEM: Self =
        Self { directories: &["/usr/bin", "/bin", "/run/wrappers/bin", "/usr/local/bin"] };

    /// Other directories, in tests.
    #[must_use]
    pub const fn in_directories(directories: &'static [&'static str]) -> Self {
        Self { directories }
    }

    /// Looks for the helper of one kind, and at what it may do.
    #[must_use]
    pub fn find(&self, kind: Kind) -> Option<Standing> {
        let candidates = self.directories.iter().map(|directory| Path::new(directory).join(name(kind)));
        candidates.into_iter().find_map(|path| Standing::of(path, kind))
    }
}

const fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Uid => "newuidmap",
        Kind::Gid => "newgidmap",
    }
}

/// A helper as it stands on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Where.
    pub path: PathBuf,
    /// It is set-uid root, or has the file capability.
    pub privileged: bool,
    /// Its file system ignores both.
    pub nosuid: bool,
}

impl Standing {
    fn of(path: PathBuf, kind: Kind) -> Option<Self> {
        let stat = rustix::fs::stat(&path).ok()?;
        let set_uid = Mode::from_raw_mode(stat.st_mode).contains(Mode::SUID) && stat.st_uid == 0;
        let nosuid = rustix::fs::statvfs(&path).is_ok_and(|fs| fs.f_flag.contains(StatVfsMountFlags::NOSUID));
        let privileged = set_uid || has_capability(&path, kind);
        Some(Self { path, privileged, nosuid })
    }
}

/// The file has CAP_SETUID (or CAP_SETGID) among its permitted capabilities.
fn has_capability(path: &Path, kind: Kind) -> bool {
    let mut value = [0; 24];
    let Ok(len) = rustix::fs::getxattr(path, c"security.capability", &mut value) else { return false };
    // vfs_cap_data: a magic number, then the low 32 bits of the permitted set, all little-endian.
    let Some(&[b0, b1, b2, b3]) = value[..len].get(4..8) else { return false };
    let bit = match kind {
        Kind::Uid => 7,
        Kind::Gid => 6,
    };
    u32::from_le_bytes([b0, b1, b2, b3]) & (1 << bit) != 0
}

/// A helper did not do its work.
#[derive(Debug, thiserror::Error)]
#[error("cannot map {kind}s with {helper}: {problem}")]
pub struct HelperError {
    /// Users or groups.
    pub kind: Kind,
    /// The helper: its path, or its name if there is none.
    pub helper: String,
    /// Why.
    pub problem: HelperProblem,
}

/// Why a helper did not do its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HelperProblem {
    /// Not installed.
    Missing,
    /// Neither set-uid root nor with the file capability.
    Unprivileged,
    /// On a file system mounted with `nosuid`.
    NoSuid,
    /// We run with no_new_privs, so that nothing we start can gain any.
    NoNewPrivileges,
    /// It could not be run.
    NotRun(Errno),
    /// It ran, and refused with these words.
    Refused(String),
    /// It ended by this signal.
    Killed(i32),
    /// It did not end in this many seconds.
    Hung(u64),
}

impl fmt::Display for HelperProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("it is not installed"),
            Self::Unprivileged => f.write_str("it is neither set-uid root nor has the file capability"),
            Self::NoSuid => f.write_str("its file system is mounted with nosuid"),
            Self::NoNewPrivileges => f.write_str("we run with no_new_privs, where it gains no privilege"),
            Self::NotRun(errno) => write!(f, "it cannot be run: {}", io::Error::from(*errno)),
            Self::Refused(words) if words.is_empty() => f.write_str("it failed without a word"),
            Self::Refused(words) => write!(f, "it says `{words}`"),
            Self::Killed(signal) => write!(f, "it was killed by signal {signal}"),
            Self::Hung(seconds) => write!(f, "it did not end within {seconds} s"),
        }
    }
}

/// We could not write a map ourselves.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the {kind} map{}", if *lacks_setfcap { " (we lack CAP_SETFCAP, which mapping root needs)" } else { "" })]
pub struct MapWriteError {
    /// Users or groups.
    pub kind: Kind,
    /// The usual reason.
    pub lacks_setfcap: bool,
    /// What the kernel said.
    #[source]
    pub source: io::Error,
}

/// A writer's purpose, for what is said when it fails.
#[derive(Debug)]
enum Role {
    Helper { kind: Kind, standing: Standing },
    Ourselves { lacks_setfcap: bool },
}

/// One process that writes, before or after it was let through.
#[derive(Debug)]
struct Writer {
    child: Child,
    report: OwnedFd,
    role: Role,
}

/// Writers behind their gates: to be made before the move.
#[derive(Debug, Default)]
pub(super) struct WaitingWriters {
    gates: Vec<Gate>,
    writers: Vec<Writer>,
}

/// Writers at work.
#[derive(Debug)]
pub(super) struct Writers(Vec<Writer>);

impl Writers {
    /// Forks what will write the maps of this very process.
    pub(super) fn prepare(source: &Source, helpers: &Helpers) -> Result<WaitingWriters, EnterError> {
        let mut waiting = WaitingWriters::default();
        let added = match source {
            Source::Helpers(maps) => {
                // Both are looked for before one is started.
                let uid = find(helpers, Kind::Uid)?;
                let gid = find(helpers, Kind::Gid)?;
                waiting
                    .add_helper(Kind::Uid, uid, &maps.uid)
                    .and_then(|()| waiting.add_helper(Kind::Gid, gid, &maps.gid))
            }
            Source::Direct(maps) => waiting.add_ourselves(&maps.uid, &maps.gid),
        };
        match added {
            Ok(()) => Ok(waiting),
            Err(err) => {
                waiting.dismiss();
                Err(err)
            }
        }
    }

    /// Waits until all have ended. `false` if one could not be asked how (whoever started us ignores SIGCHLD).
    pub(super) fn wait(self, patience: Duration) -> Result<bool, EnterError> {
        let deadline = Instant::now() + patience;
        let hung =
            wait_for_all(&self.0, deadline).map_err(|err| system("wait for the id map helpers", err))?;
        if let Some(at) = hung {
            end(&self.0);
            return Err(failure(self.0, at, Trouble::Problem(HelperProblem::Hung(patience.as_secs()))));
        }
        let mut certain = true;
        let mut failed = None;
        for (at, writer) in self.0.iter().enumerate() {
            match outcome(writer) {
                Outcome::Done => {}
                Outcome::Unknown => certain = false,
                Outcome::Failed(trouble) => failed = failed.or(Some((at, trouble))),
            }
        }
        match failed {
            None => Ok(certain),
            Some((at, trouble)) => Err(failure(self.0, at, trouble)),
        }
    }
}

impl WaitingWriters {
    fn add_helper(&mut self, kind: Kind, standing: Standing, map: &IdMap) -> Result<(), EnterError> {
        let lines = map.lines().map_err(EnterError::Map)?;
        let path = c_string(standing.path.as_os_str())?;
        let arguments = arguments(kind, &lines);
        let arguments: Vec<_> = arguments.iter().map(CString::as_c_str).collect();
        let deed = Deed::Run { path: &path, arguments: &arguments };
        self.add(deed, Role::Helper { kind, standing })
    }

    fn add_ourselves(&mut self, uid: &IdMap, gid: &IdMap) -> Result<(), EnterError> {
        let own = crate::ranges::own_maps()?;
        let uid = uid.lines_in(&own.uid).map_err(EnterError::Map)?.to_string();
        let gid = gid.lines_in(&own.gid).map_err(EnterError::Map)?.to_string();
        let pid = std::process::id();
        let path = |file: &str| c_string(OsStr::new(&format!("/proc/{pid}/{file}")));
        let (uid_map, gid_map) = (path("uid_map")?, path("gid_map")?);
        let files = [(uid_map.as_c_str(), uid.as_bytes()), (gid_map.as_c_str(), gid.as_bytes())];
        let capabilities =
            rustix::thread::capabilities(None).map_err(|err| system("read our capabilities", err))?;
        let lacks_setfcap = !capabilities.effective.contains(rustix::thread::CapabilitySet::SETFCAP);
        self.add(Deed::Write(&files), Role::Ourselves { lacks_setfcap })
    }

    fn add(&mut self, deed: Deed<'_>, role: Role) -> Result<(), EnterError> {
        let (report, theirs) = pipe_with(PipeFlags::CLOEXEC).map_err(|err| system("create a pipe", err))?;
        let (gate, child) = Gate::before(deed, theirs.as_fd()).map_err(|err| system("fork", err))?;
        self.gates.push(gate);
        self.writers.push(Writer { child, report, role });
        Ok(())
    }

    /// Lets them through: the caller has moved.
    pub(super) fn let_through(self) -> Result<Writers, EnterError> {
        // The last first: it is the one that the kernel put on another processor, where it starts at once.
        for gate in self.gates.into_iter().rev() {
            match gate.open() {
                // It was killed meanwhile: how it ended says more than the pipe.
                Ok(()) | Err(Errno::PIPE) => {}
                Err(err) => return Err(system("open the gate of the id map helpers", err)),
            }
        }
        Ok(Writers(self.writers))
    }

    /// Sends them home: there is no namespace to write maps for.
    pub(super) fn dismiss(self) {
        drop(self.gates);
        end(&self.writers);
    }
}

fn find(helpers: &Helpers, kind: Kind) -> Result<Standing, HelperError> {
    let missing = || HelperError { kind, helper: name(kind).to_owned(), problem: HelperProblem::Missing };
    helpers.find(kind).ok_or_else(missing)
}

fn system(action: &'static str, errno: Errno) -> EnterError {
    EnterError::System { action, source: errno.into() }
}

fn c_string(text: &OsStr) -> Result<CString, EnterError> {
    CString::new(text.as_bytes())
        .map_err(|err| EnterError::System { action: "name a file", source: err.into() })
}

/// `newuidmap PID INNER OUTER LEN…`
fn arguments(kind: Kind, lines: &Lines) -> Vec<CString> {
    let numbers = lines.extents().iter().flat_map(|line| [line.inner, line.outer, line.len]);
    let numbers = std::iter::once(std::process::id()).chain(numbers).map(|number| number.to_string());
    let words = std::iter::once(name(kind).to_owned()).chain(numbers);
    // Neither a name of ours nor a number has a NUL.
    words.filter_map(|word| CString::new(word).ok()).collect()
}

/// Waits for all; the first that did not end in time.
fn wait_for_all(writers: &[Writer], deadline: Instant) -> Result<Option<usize>, Errno> {
    for (at, writer) in writers.iter().enumerate() {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(0),
                tv_nsec: left.subsec_nanos().into(),
            };
            match poll(&mut [PollFd::new(&writer.child.pidfd, PollFlags::IN)], Some(&left)) {
                Ok(0) => return Ok(Some(at)),
                Ok(_) => break,
                Err(Errno::INTR) => {}
                Err(err) => return Err(err),
            }
        }
    }
    Ok(None)
}

/// Kills and reaps what is left; best effort, since the caller reports a failure already.
fn end(writers: &[Writer]) {
    for writer in writers {
        match pidfd_send_signal(&writer.child.pidfd, Signal::KILL) {
            Ok(()) | Err(_) => {}
        }
    }
    match wait_for_all(writers, Instant::now() + LAST_PATIENCE) {
        Ok(_) | Err(_) => {}
    }
    for writer in writers {
        match waitid(WaitId::PidFd(writer.child.pidfd.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG)
        {
            Ok(_) | Err(_) => {}
        }
    }
}

enum Outcome {
    Done,
    Unknown,
    Failed(Trouble),
}

/// What went wrong with a writer.
enum Trouble {
    /// Seen from outside.
    Problem(HelperProblem),
    /// Told by our own code in the child.
    Told(Failed),
}

/// How a writer that has ended ended.
fn outcome(writer: &Writer) -> Outcome {
    let Ok(Some(status)) = waitid(WaitId::PidFd(writer.child.pidfd.as_fd()), WaitIdOptions::EXITED) else {
        return Outcome::Unknown;
    };
    if status.exit_status() == Some(0) {
        return Outcome::Done;
    }
    if let Some(signal) = status.terminating_signal() {
        return Outcome::Failed(Trouble::Problem(HelperProblem::Killed(signal)));
    }
    let words = words(&writer.report);
    Outcome::Failed(match Failed::read(&words) {
        Some(failed) => Trouble::Told(failed),
        None => Trouble::Problem(HelperProblem::Refused(said(&words))),
    })
}

/// What a process that has ended left in its pipe.
fn words(report: &OwnedFd) -> Vec<u8> {
    let mut words = vec![0; WORDS];
    // A grandchild may hold the pipe open: what is there is taken, nothing is waited for.
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    let len = match poll(&mut [PollFd::new(report, PollFlags::IN)], Some(&at_once)) {
        Ok(1) => rustix::io::read(report, &mut words).unwrap_or(0),
        _ => 0,
    };
    words.truncate(len);
    words
}

/// A helper's words on one line, without what a terminal would obey, and without its name.
fn said(words: &[u8]) -> String {
    let text = String::from_utf8_lossy(words);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let line: String = lines.join("; ").chars().filter(|c| !c.is_control()).take(400).collect();
    line.trim_start_matches("newuidmap: ").trim_start_matches("newgidmap: ").to_owned()
}

/// The error of the writer at this place, with what stands behind a refusal.
fn failure(mut writers: Vec<Writer>, at: usize, trouble: Trouble) -> EnterError {
    match writers.swap_remove(at).role {
        Role::Ourselves { lacks_setfcap } => direct_failure(trouble, lacks_setfcap).into(),
        Role::Helper { kind, standing } => {
            let no_new_privileges = || rustix::thread::no_new_privs().unwrap_or(false);
            let problem = match trouble {
                Trouble::Told(failed) => HelperProblem::NotRun(failed.errno),
                Trouble::Problem(HelperProblem::Refused(_)) if !standing.privileged => {
                    HelperProblem::Unprivileged
                }
                Trouble::Problem(HelperProblem::Refused(_)) if standing.nosuid => HelperProblem::NoSuid,
                Trouble::Problem(HelperProblem::Refused(_)) if no_new_privileges() => {
                    HelperProblem::NoNewPrivileges
                }
                Trouble::Problem(other) => other,
            };
            HelperError { kind, helper: standing.path.display().to_string(), problem }.into()
        }
    }
}

/// A failure of our own child's.
fn direct_failure(trouble: Trouble, lacks_setfcap: bool) -> MapWriteError {
    match trouble {
        Trouble::Told(Failed { file, errno }) => {
            let kind = if file == 0 { Kind::Uid } else { Kind::Gid };
            MapWriteError { kind, lacks_setfcap, source: errno.into() }
        }
        Trouble::Problem(problem) => MapWriteError {
            kind: Kind::Uid,
            lacks_setfcap: false,
            source: io::Error::other(problem.to_string()),
        },
    }
}
