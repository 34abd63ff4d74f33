//! The processes of a container, read from /proc: nothing is executed, neither in the container nor beside it.
//!
//! # Theory of operation
//! A process is in the container when its pid namespace is, or is one below. Where the container has the host's, its user
//! namespace says it: only the container's processes live there. Ids are shown as the container sees them, with the names
//! that its own passwd and group files give them; what begins with `h` is shown as the host sees it.

mod column;
mod process;

use std::collections::HashMap;
use std::path::Path;

use ctr_core::file::{self, FileError};
use ctr_core::time::{self, Timestamp};
use ctr_runtime::caps::{Cap, CapSet};
use ctr_userns::map::IdMap;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, openat, statat};

pub use column::names;

use column::{Column, What};
use process::Process;

use crate::containers::Container;
use crate::exec::{Way, accounts};
use crate::record::State;
use crate::user::Accounts;

/// The kernel shows times in these, whatever it counts in (USER_HZ).
const TICKS: u64 = 100;
/// An id that the container has no number for.
const OVERFLOW: u32 = 65_534;
/// The limit on the host's own accounts.
const HOST_ACCOUNTS: u64 = 16 << 20;

/// A container's processes cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum TopError {
    /// There are none.
    #[error("top can only be used on running containers")]
    NotRunning,
    /// Not a column.
    #[error("unknown descriptor {0:?}")]
    Unknown(String),
    /// What only ps(1) knows.
    #[error("the flag {0:?} of ps is not supported: processes are read from /proc, and nothing is executed")]
    Flag(String),
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
}

/// The processes of a container, a row each, after one of headers. The cells are foreign text.
///
/// # Errors
/// It does not run, or something unknown is to be shown.
pub fn table(container: &Container, words: &[String], way: Way<'_>) -> Result<Vec<Vec<String>>, TopError> {
    let columns = column::parse(words)?;
    let state = container.state.as_ref().filter(|state| !state.waiting).ok_or(TopError::NotRunning)?;
    // What is read is the container's if its first process is still that one afterwards.
    let processes = inside(state)?;
    let clock = Clock::now()?;
    let maps = (map(state, "uid_map"), map(state, "gid_map"));
    if !state.init.is_alive()? || processes.is_empty() {
        return Err(TopError::NotRunning);
    }
    let host = host_accounts(&columns);
    // Last: to read them may take another namespace, from which ids look different.
    let view = View {
        depth: processes.iter().find(|one| one.host_pid == state.init.pid).map_or(1, |init| init.pids.len()),
        parents: processes.iter().map(|one| (one.host_pid, one.pids.clone())).collect(),
        // Whom they do not name is a number.
        accounts: accounts(state, way).unwrap_or_default(),
        host,
        maps,
        clock,
    };
    let mut rows = vec![columns.iter().map(|column| column.header.to_owned()).collect()];
    let mut processes = processes;
    processes.sort_by_key(|process| view.pid(&process.pids));
    rows.extend(
        processes
            .iter()
            .map(|process| columns.iter().map(|column| view.cell(column.what, process)).collect()),
    );
    Ok(rows)
}

/// The processes of a container.
fn inside(state: &State) -> Result<Vec<Process>, TopError> {
    let init = state.init.pid;
    let shared = namespace(init, "pid") == namespace(std::process::id(), "pid");
    let kind = if shared { "user" } else { "pid" };
    let Some(wanted) = namespace(init, kind) else { return Err(TopError::NotRunning) };
    let depth = Process::read(init).ok_or(TopError::NotRunning)?.pids.len();
    let entries = std::fs::read_dir("/proc").map_err(|error| FileError::new("list", "/proc", error))?;
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let belongs = |pid: &u32| match namespace(*pid, kind) {
        Some(own) if own == wanted => true,
        Some(_) if !shared => is_below(*pid, wanted, depth),
        _ => false,
    };
    Ok(pids.filter(belongs).filter_map(Process::read).collect())
}

/// Which namespace of a kind a process is in; nothing for a process of somebody else's.
fn namespace(pid: u32, kind: &str) -> Option<(u64, u64)> {
    let stat = statat(CWD, format!("/proc/{pid}/ns/{kind}"), AtFlags::empty()).ok()?;
    Some((stat.st_dev, stat.st_ino))
}

/// Whether a process is in a pid namespace below one of this depth.
fn is_below(pid: u32, wanted: (u64, u64), depth: usize) -> bool {
    let below = Process::read(pid).map_or(0, |process| process.pids.len().saturating_sub(depth));
    if below == 0 {
        return false;
    }
    let path = format!("/proc/{pid}/ns/pid");
    let Ok(mut namespace) = openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) else {
        return false;
    };
    for _ in 0..below {
        let Ok(parent) = ctr_sys::userns::parent(std::os::fd::AsFd::as_fd(&namespace)) else { return false };
        namespace = parent;
    }
    rustix::fs::fstat(&namespace).is_ok_and(|stat| (stat.st_dev, stat.st_ino) == wanted)
}

/// A map of the container's ids, as they look from here.
fn map(state: &State, which: &str) -> Option<IdMap> {
    let text = file::read_text(Path::new(&format!("/proc/{}/{which}", state.init.pid)), 64 << 10).ok()?;
    IdMap::from_proc(&text).ok()
}

/// The host's own users, where they are asked for.
fn host_accounts(columns: &[Column]) -> Accounts {
    let asked = [What::HostUser, What::HostGroup, What::HostGroups];
    if !columns.iter().any(|column| asked.contains(&column.what)) {
        return Accounts::default();
    }
    // Whoever cannot be looked up is a number.
    let read = |path: &str| file::read(Path::new(path), HOST_ACCOUNTS).unwrap_or_default();
    Accounts::new(read("/etc/passwd"), read("/etc/group"))
}

/// What time it is, and when it was zero.
struct Clock {
    now: Timestamp,
    boot: i64,
}

impl Clock {
    fn now() -> Result<Self, TopError> {
        let stat = file::read_text(Path::new("/proc/stat"), 4 << 20)?;
        let boot = stat.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok());
        Ok(Self { now: Timestamp::now(), boot: boot.unwrap_or(0) })
    }

    /// To the second, as podman counts.
    fn start(&self, process: &Process) -> Timestamp {
        let since = i64::try_from(process.started / TICKS).unwrap_or(i64::MAX);
        Timestamp { seconds: self.boot.saturating_add(since), nanos: 0 }
    }

    fn elapsed(&self, process: &Process) -> i64 {
        self.start(process).until(self.now).max(0)
    }
}

/// How a container's processes look from inside.
struct View {
    depth: usize,
    parents: HashMap<u32, Vec<u32>>,
    accounts: Accounts,
    host: Accounts,
    maps: (Option<IdMap>, Option<IdMap>),
    clock: Clock,
}

impl View {
    /// A process' id in the container.
    fn pid(&self, pids: &[u32]) -> u32 {
        pids.get(self.depth.saturating_sub(1)).copied().unwrap_or(0)
    }

    fn parent(&self, process: &Process) -> u32 {
        // One from outside is nobody.
        self.parents.get(&process.host_parent).map_or(0, |pids| self.pid(pids))
    }

    fn user(&self, uid: u32) -> String {
        let uid = inner(self.maps.0.as_ref(), uid);
        self.accounts.user_by_id(uid).map_or_else(|| uid.to_string(), |user| user.name)
    }

    fn group(&self, gid: u32) -> String {
        let gid = inner(self.maps.1.as_ref(), gid);
        self.accounts.group_by_id(gid).map_or_else(|| gid.to_string(), |group| group.name)
    }

    fn host_user(&self, uid: u32) -> String {
        self.host.user_by_id(uid).map_or_else(|| uid.to_string(), |user| user.name)
    }

    fn host_group(&self, gid: u32) -> String {
        self.host.group_by_id(gid).map_or_else(|| gid.to_string(), |group| group.name)
    }

    fn cell(&self, what: What, process: &Process) -> String {
        let list = |name: &dyn Fn(u32) -> String| {
            process.groups.iter().map(|gid| name(*gid)).collect::<Vec<_>>().join(",")
        };
        match what {
            What::Args if process.args.as_bytes().is_empty() => {
                format!("[{}]", process.comm.for_terminal())
            }
            What::Args => process.args.for_terminal(),
            What::Comm => process.comm.for_terminal(),
            What::CapInh => caps(process.caps[0]),
            What::CapPrm => caps(process.caps[1]),
            What::CapEff => caps(process.caps[2]),
            What::CapBnd => caps(process.caps[3]),
            What::CapAmb => caps(process.caps[4]),
            What::Elapsed => time::duration(self.clock.elapsed(process)),
            What::Started => self.clock.start(process).to_string(),
            What::Time => time::duration(seconds(process.ticks / TICKS)),
            What::Cpu => self.share(process),
            What::User => self.user(process.uids[1]),
            What::RealUser => self.user(process.uids[0]),
            What::Uid => inner(self.maps.0.as_ref(), process.uids[1]).to_string(),
            What::Group => self.group(process.gids[1]),
            What::RealGroup => self.group(process.gids[0]),
            What::Groups => list(&|gid| self.group(gid)),
            What::HostUser => self.host_user(process.uids[1]),
            What::HostUid => process.uids[1].to_string(),
            What::HostGroup => self.host_group(process.gids[1]),
            What::HostGroups => list(&|gid| self.host_group(gid)),
            What::HostPid => process.host_pid.to_string(),
            What::Label => process.label.clone().unwrap_or_else(|| "?".to_owned()),
            What::Nice => process.nice.to_string(),
            What::Pid => self.pid(&process.pids).to_string(),
            What::Parent => self.parent(process).to_string(),
            What::ProcessGroup => self.process_group(process),
            What::Resident => process.resident.to_string(),
            What::Size => (process.size / 1024).to_string(),
            What::Seccomp => seccomp(&process.seccomp).to_owned(),
            What::State => process.state.clone(),
            What::Terminal => terminal(process.tty),
        }
    }

    /// The leader's id in the container.
    fn process_group(&self, process: &Process) -> String {
        self.parents.get(&process.group).map_or_else(|| "0".to_owned(), |pids| self.pid(pids).to_string())
    }

    /// How much of its life a process had a processor, in percent.
    fn share(&self, process: &Process) -> String {
        // Thousandths of a percent, in whole numbers.
        let elapsed = u64::try_from(self.clock.elapsed(process) / 1_000_000).unwrap_or(0).max(1);
        let used = (process.ticks / TICKS).saturating_mul(1_000);
        let share = used.saturating_mul(100_000) / elapsed;
        format!("{}.{:03}", share / 1_000, share % 1_000)
    }
}

fn seconds(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX).saturating_mul(1_000_000_000)
}

fn inner(map: Option<&IdMap>, id: u32) -> u32 {
    map.and_then(|map| map.to_inner(id)).unwrap_or(OVERFLOW)
}

fn caps(bits: u64) -> String {
    if bits & CapSet::ALL.bits() == CapSet::ALL.bits() {
        return "full".to_owned();
    }
    let mut names: Vec<&str> =
        CapSet::from_bits(bits).iter().map(Cap::name).map(|name| name.trim_start_matches("CAP_")).collect();
    names.sort_unstable();
    if names.is_empty() { "none".to_owned() } else { names.join(",") }
}

fn seccomp(mode: &str) -> &'static str {
    match mode {
        "0" => "disabled",
        "1" => "strict",
        "2" => "filter",
        _ => "?",
    }
}

/// The name of a terminal by its device number.
fn terminal(number: u32) -> String {
    let (major, minor) = (number >> 8 & 0xfff, number & 0xff | number >> 12 & 0xfff00);
    match (major, minor) {
        (136..=143, _) => format!("pts/{}", (major - 136) * 256 + minor),
        (4, 0..=63) => format!("tty{minor}"),
        (4, _) => format!("ttyS{}", minor - 64),
        (5, 1) => "console".to_owned(),
        _ => "?".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_have_names() {
        let numbers = [(0, "?"), (34_817, "pts/1"), (35_072, "pts/256"), (1_025, "tty1"), (1_088, "ttyS0")];
        for (number, name) in numbers {
            assert_eq!(terminal(number), name, "{number}");
        }
        // The minor number's upper part lies above the major's.
        assert_eq!(terminal(136 << 8 | 1 << 20), "pts/256");
    }

    #[test]
    fn capabilities_are_named_in_order() {
        assert_eq!(caps(0), "none");
        assert_eq!(caps(u64::MAX), "full");
        assert_eq!(caps(0b100_0001), "CHOWN,SETGID");
    }
}
