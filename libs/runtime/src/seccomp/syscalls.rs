//! Numbers of system calls by name, for the three ABIs of an x86_64 kernel.

mod table;

use table::TABLE;

/// The number of a system call that an ABI does not have.
const NONE: u16 = u16::MAX;

/// The bit that tells an x32 call from an x86_64 one.
pub(super) const X32_BIT: u32 = 0x4000_0000;

/// One system call in its three ABIs.
#[derive(Debug, PartialEq, Eq)]
struct Syscall {
    name: &'static str,
    amd64: u16,
    i386: u16,
    x32: u16,
}

/// Makes a line of the table.
const fn call(name: &'static str, amd64: u16, i386: u16, x32: u16) -> Syscall {
    Syscall { name, amd64, i386, x32 }
}

/// A set of numbers and conventions by which a program calls the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Abi {
    /// 64-bit programs.
    Amd64,
    /// 32-bit programs of the old kind: numbers and argument registers of their own.
    I386,
    /// 32-bit pointers in 64-bit registers: x86_64's numbers, mostly, with [`X32_BIT`].
    X32,
}

/// What a name means to one ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Numbers {
    /// The call's own number, [`X32_BIT`] included.
    pub(super) direct: Option<u32>,
    /// i386 only: the number of `socketcall` or `ipc`, and its first argument that means this call.
    pub(super) multiplexed: Option<(u32, u32)>,
}

/// Returns the highest number of a call that the table knows, [`X32_BIT`] left out.
///
/// x32's own numbers, 512 to 547, are a closed range of the past and do not count.
pub(super) const fn newest() -> u32 {
    const NEWEST: u32 = highest();
    NEWEST
}

/// Looks for the highest number of x86_64 and i386.
const fn highest() -> u32 {
    let mut newest = 0;
    let mut at = 0;
    while at < TABLE.len() {
        let call = &TABLE[at];
        if call.amd64 != NONE && call.amd64 > newest {
            newest = call.amd64;
        }
        if call.i386 != NONE && call.i386 > newest {
            newest = call.i386;
        }
        at += 1;
    }
    newest as u32
}

/// Tells whether a number is one of x32's own range, which says nothing about the call's age.
pub(super) fn is_own_of_x32(number: u32, abi: Abi) -> bool {
    abi == Abi::X32 && (X32_FIRST..=X32_LAST).contains(&number)
}

/// x32's own numbers start here, [`X32_BIT`] left out.
const X32_FIRST: u32 = 512;
/// x32's own numbers end here, [`X32_BIT`] left out.
pub(super) const X32_LAST: u32 = 547;

/// A name found in the table, so that asking for three ABIs searches once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    call: Option<&'static Syscall>,
    multiplexed: Option<(u32, u32)>,
}

/// Finds a name; `None` where no ABI of this kernel has such a call.
pub(super) fn find(name: &str) -> Option<Known> {
    let call = TABLE.binary_search_by(|call| call.name.cmp(name)).ok().map(|at| &TABLE[at]);
    let multiplexed = MULTIPLEXED.binary_search_by(|(known, ..)| (*known).cmp(name)).ok();
    let multiplexed = multiplexed.map(|at| (MULTIPLEXED[at].1, MULTIPLEXED[at].2));
    (call.is_some() || multiplexed.is_some()).then_some(Known { call, multiplexed })
}

/// Lists all names that have a number of their own.
#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|call| call.name)
}

impl Known {
    /// Returns the numbers that an ABI has for this call.
    pub(super) fn numbers(self, abi: Abi) -> Numbers {
        let Some(call) = self.call else {
            return Numbers { direct: None, multiplexed: self.multiplexed.filter(|_| abi == Abi::I386) };
        };
        let (number, bit) = match abi {
            Abi::Amd64 => (call.amd64, 0),
            Abi::I386 => (call.i386, 0),
            Abi::X32 => (call.x32, X32_BIT),
        };
        Numbers {
            direct: (number != NONE).then(|| u32::from(number) | bit),
            multiplexed: self.multiplexed.filter(|_| abi == Abi::I386),
        }
    }
}

const SOCKETCALL: u32 = 102;
const IPC: u32 = 117;

/// Calls that i386 also, or only, makes through `socketcall` and `ipc`, sorted: `linux/net.h`, `linux/ipc.h`.
const MULTIPLEXED: &[(&str, u32, u32)] = &[
    ("accept", SOCKETCALL, 5),
    ("accept4", SOCKETCALL, 18),
    ("bind", SOCKETCALL, 2),
    ("connect", SOCKETCALL, 3),
    ("getpeername", SOCKETCALL, 7),
    ("getsockname", SOCKETCALL, 6),
    ("getsockopt", SOCKETCALL, 15),
    ("listen", SOCKETCALL, 4),
    ("msgctl", IPC, 14),
    ("msgget", IPC, 13),
    ("msgrcv", IPC, 12),
    ("msgsnd", IPC, 11),
    ("recv", SOCKETCALL, 10),
    ("recvfrom", SOCKETCALL, 12),
    ("recvmmsg", SOCKETCALL, 19),
    ("recvmsg", SOCKETCALL, 17),
    ("semctl", IPC, 3),
    ("semget", IPC, 2),
    ("semop", IPC, 1),
    ("semtimedop", IPC, 4),
    ("send", SOCKETCALL, 9),
    ("sendmmsg", SOCKETCALL, 20),
    ("sendmsg", SOCKETCALL, 16),
    ("sendto", SOCKETCALL, 11),
    ("setsockopt", SOCKETCALL, 14),
    ("shmat", IPC, 21),
    ("shmctl", IPC, 24),
    ("shmdt", IPC, 22),
    ("shmget", IPC, 23),
    ("shutdown", SOCKETCALL, 13),
    ("socket", SOCKETCALL, 1),
    ("socketpair", SOCKETCALL, 8),
];

#[cfg(test)]
mod tests;
