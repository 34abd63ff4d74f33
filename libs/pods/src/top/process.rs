//! One process, as /proc shows it from outside.
//!
//! # Invariants
//! What a process can write itself (its name, its arguments) is read with a bound and kept as foreign bytes. A process that
//! ends while it is read is left out.

use std::path::Path;

use ctr_core::file;
use ctr_core::foreign::Foreign;

/// Bytes of a file of /proc that are read: arguments beyond that are cut.
const LIMIT: u64 = 128 << 10;

/// A process.
#[derive(Debug, Clone)]
pub(super) struct Process {
    pub(super) host_pid: u32,
    /// Its ids in the pid namespaces that it is in, the outermost first.
    pub(super) pids: Vec<u32>,
    pub(super) host_parent: u32,
    /// Real and effective.
    pub(super) uids: [u32; 2],
    pub(super) gids: [u32; 2],
    pub(super) groups: Vec<u32>,
    pub(super) state: String,
    /// Inheritable, permitted, effective, bounding, ambient.
    pub(super) caps: [u64; 5],
    pub(super) seccomp: String,
    /// KiB.
    pub(super) resident: u64,
    pub(super) comm: Foreign,
    pub(super) group: u32,
    pub(super) tty: u32,
    /// Ticks of user and system time.
    pub(super) ticks: u64,
    pub(super) nice: i64,
    /// Ticks since boot.
    pub(super) started: u64,
    /// Bytes.
    pub(super) size: u64,
    /// Empty for one that has none left.
    pub(super) args: Foreign,
    pub(super) label: Option<String>,
}

impl Process {
    /// Reads one; nothing if it is gone.
    pub(super) fn read(pid: u32) -> Option<Self> {
        let read = |name: &str| file::read(Path::new(&format!("/proc/{pid}/{name}")), LIMIT).ok();
        let status = String::from_utf8_lossy(&read("status")?).into_owned();
        let stat = read("stat")?;
        let mut process = Self::of_status(pid, &status)?;
        process.take_stat(&stat)?;
        process.args = words(read("cmdline").unwrap_or_default());
        process.label = read("attr/current").and_then(|bytes| label(&bytes));
        Some(process)
    }

    fn of_status(pid: u32, status: &str) -> Option<Self> {
        let value = |name: &str| {
            status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
        };
        let numbers = |name| -> Vec<u32> {
            value(name).unwrap_or("").split_ascii_whitespace().filter_map(|n| n.parse().ok()).collect()
        };
        let pair = |name| match numbers(name)[..] {
            [real, effective, ..] => Some([real, effective]),
            _ => None,
        };
        let caps = |name| u64::from_str_radix(value(name).unwrap_or("0"), 16).unwrap_or(0);
        let first = |name: &str| value(name).and_then(|text| text.split_ascii_whitespace().next());
        Some(Self {
            host_pid: pid,
            pids: numbers("NSpid"),
            host_parent: first("PPid")?.parse().ok()?,
            uids: pair("Uid")?,
            gids: pair("Gid")?,
            groups: numbers("Groups"),
            state: first("State").unwrap_or("?").to_owned(),
            caps: ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"].map(caps),
            seccomp: first("Seccomp").unwrap_or("?").to_owned(),
            resident: first("VmRSS").and_then(|text| text.parse().ok()).unwrap_or(0),
            comm: Foreign::new(Vec::new()),
            group: 0,
            tty: 0,
            ticks: 0,
            nice: 0,
            started: 0,
            size: 0,
            args: Foreign::new(Vec::new()),
            label: None,
        })
    }

    /// Takes what the one line of `stat` says. The name may hold blanks and parentheses.
    fn take_stat(&mut self, stat: &[u8]) -> Option<()> {
        let open = stat.iter().position(|byte| *byte == b'(')?;
        let close = stat.iter().rposition(|byte| *byte == b')')?;
        self.comm = Foreign::new(stat.get(open + 1..close)?.to_vec());
        let rest = std::str::from_utf8(stat.get(close + 1..)?).ok()?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // Field 3 of proc(5) is the first after the name.
        let number = |field: usize| fields.get(field - 3)?.parse::<i64>().ok();
        let small = |field| u32::try_from(number(field)?).ok();
        let large = |field| u64::try_from(number(field)?).ok();
        self.group = small(5)?;
        // As large a device number as there can be is negative here.
        self.tty = small(7).unwrap_or(0);
        self.ticks = large(14)?.saturating_add(large(15)?);
        self.nice = number(19)?;
        self.started = large(22)?;
        self.size = large(23)?;
        Some(())
    }
}

/// The arguments with blanks between them.
fn words(mut bytes: Vec<u8>) -> Foreign {
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    for byte in &mut bytes {
        if *byte == 0 {
            *byte = b' ';
        }
    }
    Foreign::new(bytes)
}

fn label(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_end_matches(['\0', '\n']);
    if text.is_empty() { None } else { Some(text.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\tx\nState:\tS (sleeping)\nPPid:\t5\nNSpid:\t70\t3\nUid:\t1\t2\t3\t4\n\
                          Gid:\t5\t6\t7\t8\nGroups:\t9 10 \nVmRSS:\t  120 kB\nCapInh:\t0\nCapPrm:\t3\nCapEff:\t1\n\
                          CapBnd:\tff\nCapAmb:\t0\nSeccomp:\t2\n";

    #[test]
    fn both_files_are_understood() {
        let mut process = Process::of_status(70, STATUS).unwrap();
        let stat = b"70 (a) b (c)) S 5 71 72 34817 1 0 0 0 0 0 150 50 0 0 20 -5 1 0 900 4096 30";
        process.take_stat(stat).unwrap();
        assert_eq!((process.pids, process.uids, process.gids), (vec![70, 3], [1, 2], [5, 6]));
        assert_eq!((process.groups, process.state.as_str(), process.resident), (vec![9, 10], "S", 120));
        assert_eq!((process.comm.as_bytes(), process.group, process.tty), (&b"a) b (c)"[..], 71, 34817));
        assert_eq!((process.ticks, process.nice, process.started, process.size), (200, -5, 900, 4096));
        assert_eq!((process.caps, process.seccomp.as_str()), ([0, 3, 1, 255, 0], "2"));
    }

    #[test]
    fn what_is_broken_is_left_out() {
        assert!(Process::of_status(1, "PPid:\t5\n").is_none());
        let mut process = Process::of_status(70, STATUS).unwrap();
        for broken in [
            &b""[..],
            b"70 (a",
            b"70 (a) S 1",
            b"70 )a( S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21",
        ] {
            assert!(process.take_stat(broken).is_none(), "{broken:?}");
        }
    }

    #[test]
    fn arguments_are_words() {
        assert_eq!(words(b"a\0b c\0\0".to_vec()).as_bytes(), b"a b c");
        assert_eq!(label(b"unconfined\n\0"), Some("unconfined".to_owned()));
        assert_eq!(label(b"\0"), None);
    }
}
