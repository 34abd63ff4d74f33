//! What went through a running container's network.
//!
//! ```text
//! bytes and packets      the kernel's, of each interface of the container's      /proc/PID/net/dev of its init
//! flows, what was refused, what there was no room for      whoever serves it      by way of the monitor
//! ```
//! A monitor tells nobody but its own user ([`crate::attach`]). A container without one, which is the child of the command that runs
//! it, has the first half only.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ctr_core::file::{self, FileError};
use ctr_core::limits;
pub use ctr_net::counters::Counters;
use rustix::event::Timespec;

use crate::attach::{ConnectError, Connection, Wants};
use crate::containers::{Container, Kind};
use crate::namespaces::Mode;

/// How long a monitor may take to believe us: who only wants to know is not kept for long.
const PATIENCE: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// What the kernel has counted at an interface; received is what came to the container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Interface {
    /// Bytes.
    pub received: Direction,
    /// Bytes that the container sent, and so on.
    pub sent: Direction,
}

/// One of the two ways.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Direction {
    /// How much it was.
    pub bytes: u64,
    /// In so many packets.
    pub packets: u64,
    /// What was wrong.
    pub errors: u64,
    /// What there was no room for.
    pub dropped: u64,
}

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Carried {
    /// Each of the container's interfaces but its loopback.
    pub interfaces: BTreeMap<String, Interface>,
    /// What who serves its network has counted since that began to.
    pub counters: Option<Counters>,
}

/// Nobody knows.
#[derive(Debug, thiserror::Error)]
pub enum CountersError {
    /// The kernel's part.
    #[error(transparent)]
    File(#[from] FileError),
    /// The other.
    #[error(transparent)]
    Connect(#[from] ConnectError),
}

/// What went through the network of a container; nothing of one that does not run, or whose network is the host's.
///
/// # Errors
/// The kernel or the container's monitor does not say.
pub fn carried(container: &Container) -> Result<Option<Carried>, CountersError> {
    let Some(state) = container.state.as_ref().filter(|_| container.record.host.network != "host") else {
        return Ok(None);
    };
    let path = PathBuf::from(format!("/proc/{}/net/dev", state.init.pid));
    let read = file::read(&path, limits::SYSTEM_FILE);
    // While it runs its number is nobody else's.
    if !container.is_running()? {
        return Ok(None);
    }
    let interfaces = interfaces(&String::from_utf8_lossy(&read?));
    let is_served = container.kind != Kind::Fleeting && is_served(container);
    Ok(Some(Carried { interfaces, counters: if is_served { counters(container)? } else { None } }))
}

/// Whether a process of ours serves it.
fn is_served(container: &Container) -> bool {
    container.request().is_ok_and(|request| {
        request.namespaces.user_network.is_some() && request.namespaces.network == Mode::Private
    })
}

fn counters(container: &Container) -> Result<Option<Counters>, ConnectError> {
    let wants = Wants { output: false, input: false };
    match Connection::open_within(&container.folder, wants, &PATIENCE) {
        Ok(monitor) => monitor.counters(),
        // It has just ended.
        Err(ConnectError::Nobody) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The kernel's table: two lines of headings, then a name, a colon and sixteen numbers for each.
fn interfaces(table: &str) -> BTreeMap<String, Interface> {
    table.lines().skip(2).filter_map(interface).filter(|(name, _)| name != "lo").collect()
}

fn interface(line: &str) -> Option<(String, Interface)> {
    let (name, numbers) = line.rsplit_once(':')?;
    let numbers: Vec<u64> =
        numbers.split_ascii_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
    let (received, sent) = numbers.split_at_checked(8)?;
    Some((name.trim_start().to_owned(), Interface { received: direction(received)?, sent: direction(sent)? }))
}

fn direction(numbers: &[u64]) -> Option<Direction> {
    let [bytes, packets, errors, dropped, ..] = *numbers else { return None };
    Some(Direction { bytes, packets, errors, dropped })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_s_table_is_read() {
        let table = "\
Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     100       2    0    0    0     0          0         0      100       2    0    0    0     0       0          0
  eth0:    1716      20    1    2    0     0          0         0     1226      15    3    4    0     0       0          0
 a:b: 5 6 7 8
";
        let eth0 = Interface {
            received: Direction { bytes: 1716, packets: 20, errors: 1, dropped: 2 },
            sent: Direction { bytes: 1226, packets: 15, errors: 3, dropped: 4 },
        };
        assert_eq!(interfaces(table), BTreeMap::from([("eth0".to_owned(), eth0)]));
        assert_eq!(interfaces(""), BTreeMap::new());
    }
}
