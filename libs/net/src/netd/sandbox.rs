//! What is given up once the router stands: capabilities, files, and every system call but those that move bytes.
//!
//! Two threads, two filters' worth of need, one list: the one in the router only makes sockets, and its two capabilities are what
//! "transparent" takes. A call that is not listed ends the process, which the supervisor sees. No file could be opened by those that
//! are; Landlock says so once more, where the kernel has it, should the list have a hole.

use ctr_sys::cred;
use ctr_sys::net::filter::{Instruction, Width};
use rustix::io::{Errno, Result};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};

use crate::rung::Rung;

/// What this process calls once it serves.
const CALLS: [libc::c_long; 42] = [
    // Waiting.
    libc::SYS_epoll_wait,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_ctl,
    libc::SYS_futex,
    libc::SYS_clock_gettime,
    libc::SYS_restart_syscall,
    // Sockets; of what kind is asked separately.
    libc::SYS_accept4,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_recvmmsg,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_shutdown,
    libc::SYS_close,
    // Pipes.
    libc::SYS_pipe2,
    libc::SYS_splice,
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_fcntl,
    // Memory.
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_brk,
    // A map's seeds.
    libc::SYS_getrandom,
    // The end, of a thread and of all.
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigreturn,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_tgkill,
    libc::SYS_sched_yield,
];

/// The thread that meets packets. Only where it stands in for the kernel's diverting does it listen anywhere. Where packets come by a
/// device one is sent from two places, and who asks the gateway for names is at the other end of a pair of sockets.
pub(super) fn enter(rung: Rung) -> Result<()> {
    let more: &[libc::c_long] = match rung {
        Rung::Listen => &[libc::SYS_listen],
        Rung::Tun => &[libc::SYS_writev, libc::SYS_socketpair],
        Rung::Tproxy | Rung::Published => &[],
    };
    restrict(CapabilitySet::empty(), more)
}

/// The thread in the router.
pub(super) fn enter_router() -> Result<()> {
    restrict(CapabilitySet::NET_ADMIN | CapabilitySet::NET_RAW, &[])
}

/// A thread that writes to a file that it was given.
pub(super) fn enter_writer() -> Result<()> {
    let more = [libc::SYS_pread64, libc::SYS_pwrite64, libc::SYS_ftruncate, libc::SYS_lseek];
    restrict(CapabilitySet::empty(), &more)
}

fn restrict(kept: CapabilitySet, more: &[libc::c_long]) -> Result<()> {
    cred::forbid_new_privileges()?;
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: kept, permitted: kept, inheritable: none })?;
    match cred::forbid_files() {
        // A kernel without it, or one that was told to be without.
        Ok(()) | Err(Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM) => {}
        Err(errno) => return Err(errno),
    }
    let program: Vec<u8> = program(more).into_iter().flat_map(Instruction::bytes).collect();
    cred::filter(&program, 0).map(drop)
}

/// Answers to a system call.
const ALLOW: u32 = 0x7fff_0000;
const KILL: u32 = 0x8000_0000;

/// The request for the number of an interface by its name.
const SIOCGIFINDEX: u32 = 0x8933;

/// Where `struct seccomp_data` has what.
const NUMBER: u32 = 0;
const MACHINE: u32 = 4;
/// The first argument; those after it are eight bytes further each, the lower half first on the machines that we know.
const ARGUMENTS: u32 = 16;

#[cfg(target_arch = "x86_64")]
const THIS_MACHINE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const THIS_MACHINE: u32 = 0xc000_00b7;

fn program(more: &[libc::c_long]) -> Vec<Instruction> {
    let (load, equal, answer) = (Instruction::load, Instruction::jump_equal, Instruction::answer);
    let word = Width::Word;
    // The other set of numbers of this machine is beyond those that are listed.
    let mut program = vec![load(word, MACHINE), equal(THIS_MACHINE, 1, 0), answer(KILL), load(word, NUMBER)];
    for call in CALLS.iter().chain(more) {
        program.extend([equal(number(*call), 0, 1), answer(ALLOW)]);
    }
    let (socket, ioctl) = (number(libc::SYS_socket), number(libc::SYS_ioctl));
    program.extend([equal(socket, 4, 0), equal(ioctl, 1, 0), answer(KILL)]);
    // The number of an interface, which a resolver may be behind.
    program.extend([load(word, ARGUMENTS + 8), equal(SIOCGIFINDEX, 8, 9)]);
    // IPv4 or IPv6, streams or datagrams.
    program.extend([load(word, ARGUMENTS), equal(2, 2, 0), equal(10, 1, 0), answer(KILL)]);
    program.extend([load(word, ARGUMENTS + 8), Instruction::and(0xf), equal(1, 1, 0), equal(2, 0, 1)]);
    program.extend([answer(ALLOW), answer(KILL)]);
    program
}

fn number(call: libc::c_long) -> u32 {
    u32::try_from(call).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::Command;

    use rustix::net::{AddressFamily, SocketFlags, SocketType, socket, socketpair};
    use rustix::process::Signal;

    use super::*;

    /// What the child of the test tries.
    const TRIES: &str = "CTR_NET_TRIES";

    fn try_in_sandbox(what: &str) {
        // Nothing here takes a right that an ordinary user lacks: it is the list that is missed.
        let null = std::fs::File::open("/dev/null").unwrap();
        let rung = match what {
            "to listen, where that is the way" => Rung::Listen,
            "a pair of sockets, where that is the way" => Rung::Tun,
            _ => Rung::Tproxy,
        };
        enter(rung).unwrap();
        match what {
            "to listen" | "to listen, where that is the way" => {
                let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
                rustix::net::listen(&socket, 1).unwrap();
            }
            "a pair of sockets" | "a pair of sockets, where that is the way" => {
                drop(socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::empty(), None));
            }
            "a socket" => drop(socket(AddressFamily::INET, SocketType::DGRAM, None).unwrap()),
            "an interface" => drop(rustix::net::netdevice::name_to_index(
                socket(AddressFamily::INET, SocketType::DGRAM, None).unwrap(),
                "lo",
            )),
            "a socket of another family" => drop(socket(AddressFamily::UNIX, SocketType::DGRAM, None)),
            "netlink" => drop(socket(AddressFamily::NETLINK, SocketType::RAW, None)),
            "a raw socket" => drop(socket(AddressFamily::INET, SocketType::RAW, None)),
            "a file" => drop(std::fs::File::open("/dev/null")),
            "an ioctl" => drop(rustix::io::ioctl_fionread(&null)),
            "a program" => drop(Command::new("true").status()),
            "a namespace" => drop(ctr_sys::userns::move_into_new_network()),
            _ => unreachable!("{what}"),
        }
    }

    #[test]
    fn what_is_not_listed_ends_the_process() {
        if let Ok(what) = std::env::var(TRIES) {
            return try_in_sandbox(&what);
        }
        let tried = |what: &str| {
            let mut child = Command::new(std::env::current_exe().unwrap());
            child.args(["--exact", "netd::sandbox::tests::what_is_not_listed_ends_the_process"]);
            child.env(TRIES, what).output().unwrap().status
        };
        for allowed in [
            "a socket",
            "an interface",
            "to listen, where that is the way",
            "a pair of sockets, where that is the way",
        ] {
            assert!(tried(allowed).success(), "{allowed}");
        }
        for forbidden in [
            "to listen",
            "a pair of sockets",
            "a socket of another family",
            "netlink",
            "a raw socket",
            "a file",
            "an ioctl",
            "a program",
            "a namespace",
        ] {
            let ended = tried(forbidden);
            assert_eq!(ended.signal(), Some(Signal::SYS.as_raw()), "{forbidden}: {ended}");
        }
    }
}
