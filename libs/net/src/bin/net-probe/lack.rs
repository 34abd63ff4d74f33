//! A kernel that has not everything, for one program and what it starts: some calls fail as they would there.

use std::error::Error;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use ctr_sys::cred;
use ctr_sys::net::filter::{Instruction, Width};
use rustix::io::Errno;

/// Runs a command where something is missing.
pub(super) fn without(what: &str, command: &[&str]) -> Result<(), Box<dyn Error>> {
    let (program, arguments) = command.split_first().ok_or("a command")?;
    let lacking = match what {
        // AF_NETLINK, NETLINK_NETFILTER.
        "netfilter" => fails(libc::SYS_socket, &[(0, 16), (2, 12)], Errno::PROTONOSUPPORT),
        // SOL_IP, IP_RECVORIGDSTADDR: without it nobody can say whom what was diverted was for.
        "destinations" => fails(libc::SYS_setsockopt, &[(1, 0), (2, 20)], Errno::NOPROTOOPT),
        // TUNSETIFF.
        "tun" => fails(libc::SYS_ioctl, &[(1, 0x4004_54ca)], Errno::PERM),
        _ => return Err("netfilter, destinations, or tun".into()),
    };
    let filter: Vec<u8> = lacking.into_iter().flat_map(Instruction::bytes).collect();
    cred::filter(&filter, 0)?;
    Err(Command::new(program).args(arguments).exec().into())
}

/// A call fails where its arguments are these.
fn fails(call: libc::c_long, arguments: &[(u32, u32)], errno: Errno) -> Vec<Instruction> {
    const ALLOW: u32 = 0x7fff_0000;
    const FAIL: u32 = 0x0005_0000;
    let number = u32::try_from(call).unwrap_or(u32::MAX);
    let mut program = vec![
        Instruction::load(Width::Word, 0),
        Instruction::jump_equal(number, 1, 0),
        Instruction::answer(ALLOW),
    ];
    for (at, is) in arguments {
        program.push(Instruction::load(Width::Word, 16 + 8 * at));
        program.extend([Instruction::jump_equal(*is, 1, 0), Instruction::answer(ALLOW)]);
    }
    program.push(Instruction::answer(FAIL | errno.raw_os_error().unsigned_abs()));
    program
}
