//! Who a process is and what it may: ids, groups, the five capability sets, seccomp, keyrings.
//!
//! Every call here is the raw one of the calling thread. A C library's version would signal all threads to follow; our
//! callers have one.

#![expect(unsafe_code, reason = "calls that rustix lacks")]

use rustix::fd::{AsRawFd, FromRawFd, OwnedFd};
use rustix::io::{Errno, Result};

use crate::raw;

/// `_LINUX_CAPABILITY_VERSION_3`.
const CAPABILITY_VERSION: u32 = 0x2008_0522;
/// No capability has a higher number in any kernel: the sets have 64 bits.
const MAX_CAPABILITY: u32 = 63;
/// `KEYCTL_JOIN_SESSION_KEYRING`.
const JOIN_SESSION_KEYRING: usize = 1;
/// Leaves an id as it is.
const KEEP: u32 = u32::MAX;

/// Three of the capability sets of a thread, a bit for each capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sets {
    /// What is checked.
    pub effective: u64,
    /// What may be made effective.
    pub permitted: u64,
    /// What an exec may pass on.
    pub inheritable: u64,
}

/// `struct __user_cap_header_struct`.
#[repr(C)]
struct CapHeader {
    version: u32,
    pid: i32,
}

/// `struct __user_cap_data_struct`: 32 bits of each set.
#[repr(C)]
#[derive(Default, Clone, Copy)]
struct CapData {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Sets the real, effective and saved user id of the calling thread.
///
/// # Errors
/// EINVAL for an id that is not mapped, EPERM without CAP_SETUID.
pub fn set_user(uid: u32) -> Result<()> {
    let id = raw::word(uid);
    // SAFETY: takes numbers only.
    unsafe { raw::call(libc::SYS_setresuid, [id, id, id, 0, 0, 0]) }.map(drop)
}

/// Sets the real, effective and saved group id of the calling thread.
///
/// # Errors
/// As [`set_user`].
pub fn set_group(gid: u32) -> Result<()> {
    let id = raw::word(gid);
    // SAFETY: takes numbers only.
    unsafe { raw::call(libc::SYS_setresgid, [id, id, id, 0, 0, 0]) }.map(drop)
}

/// Sets the supplementary groups of the calling thread.
///
/// # Errors
/// EINVAL for an id that is not mapped or too many, EPERM without CAP_SETGID or where the namespace denies it.
pub fn set_groups(groups: &[u32]) -> Result<()> {
    // SAFETY: the kernel reads as many ids as the slice has.
    unsafe { raw::call(libc::SYS_setgroups, [groups.len(), groups.as_ptr() as usize, 0, 0, 0, 0]) }.map(drop)
}

/// Takes id 0 of the user namespace, where it is mapped, and lets every capability survive the next exec.
///
/// # Errors
/// What the kernel says; an unmapped 0 is none.
pub fn take_root() -> Result<()> {
    tolerate_unmapped(set_group(0))?;
    tolerate_unmapped(set_user(0))?;
    let held = sets()?;
    set_sets(Sets { inheritable: held.permitted, effective: held.permitted, ..held })?;
    raise_ambient(held.permitted)
}

/// A map without a 0 leaves the caller who it is.
fn tolerate_unmapped(result: Result<()>) -> Result<()> {
    match result {
        Err(Errno::INVAL) => Ok(()),
        other => other,
    }
}

/// The effective, permitted and inheritable capabilities of the calling thread.
///
/// # Errors
/// None that a kernel of this century knows.
pub fn sets() -> Result<Sets> {
    let header = CapHeader { version: CAPABILITY_VERSION, pid: 0 };
    let mut data = [CapData::default(); 2];
    let args = [core::ptr::from_ref(&header) as usize, data.as_mut_ptr() as usize, 0, 0, 0, 0];
    // SAFETY: version 3 reads one header and writes two data structures.
    unsafe { raw::call(libc::SYS_capget, args) }?;
    let [low, high] = data;
    let join = |low: u32, high: u32| u64::from(low) | u64::from(high) << 32;
    Ok(Sets {
        effective: join(low.effective, high.effective),
        permitted: join(low.permitted, high.permitted),
        inheritable: join(low.inheritable, high.inheritable),
    })
}

/// Sets the effective, permitted and inheritable capabilities of the calling thread.
///
/// # Errors
/// EPERM for what it may not raise.
pub fn set_sets(sets: Sets) -> Result<()> {
    let half = |shift: u32| CapData {
        effective: low_word(sets.effective >> shift),
        permitted: low_word(sets.permitted >> shift),
        inheritable: low_word(sets.inheritable >> shift),
    };
    let header = CapHeader { version: CAPABILITY_VERSION, pid: 0 };
    let data = [half(0), half(32)];
    let args = [core::ptr::from_ref(&header) as usize, data.as_ptr() as usize, 0, 0, 0, 0];
    // SAFETY: version 3 reads one header and two data structures.
    unsafe { raw::call(libc::SYS_capset, args) }.map(drop)
}

#[expect(clippy::cast_possible_truncation, reason = "the low 32 bits are what is asked for")]
const fn low_word(bits: u64) -> u32 {
    bits as u32
}

/// Drops from the bounding set what is not in `keep`.
///
/// # Errors
/// EPERM without CAP_SETPCAP.
pub fn bound(keep: u64) -> Result<()> {
    for number in 0..=MAX_CAPABILITY {
        if keep & (1 << number) != 0 {
            continue;
        }
        match prctl(libc::PR_CAPBSET_DROP, raw::word(number), 0, 0) {
            // The kernel's capabilities end here.
            Err(Errno::INVAL) => return Ok(()),
            other => other?,
        };
    }
    Ok(())
}

/// Replaces the ambient set.
///
/// # Errors
/// EPERM for what is not both permitted and inheritable.
pub fn set_ambient(set: u64) -> Result<()> {
    prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as usize, 0, 0)?;
    raise_ambient(set)
}

fn raise_ambient(set: u64) -> Result<()> {
    for number in (0..=MAX_CAPABILITY).filter(|number| set & (1 << number) != 0) {
        prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE as usize, raw::word(number), 0)?;
    }
    Ok(())
}

/// Keeps the permitted capabilities over a change of all user ids from 0 to others. An exec ends it.
///
/// # Errors
/// EPERM where the secure bits forbid it.
pub fn keep_capabilities() -> Result<()> {
    prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0).map(drop)
}

/// Forbids this thread and its children to gain privileges by any exec.
///
/// # Errors
/// None that a kernel of this century knows.
pub fn forbid_new_privileges() -> Result<()> {
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0).map(drop)
}

/// Has the kernel send a signal to the calling process when its parent's thread ends.
///
/// A change of ids undoes it: it has to come after.
///
/// # Errors
/// EINVAL for what is no signal.
pub fn die_with_parent(signal: u32) -> Result<()> {
    prctl(libc::PR_SET_PDEATHSIG, raw::word(signal), 0, 0).map(drop)
}

/// Says whether processes of the same user may look into this one, and root of its namespace too.
///
/// # Errors
/// None that a kernel of this century knows.
pub fn set_dumpable(dumpable: bool) -> Result<()> {
    prctl(libc::PR_SET_DUMPABLE, usize::from(dumpable), 0, 0).map(drop)
}

fn prctl(option: i32, a: usize, b: usize, c: usize) -> Result<usize> {
    // SAFETY: the options used in this module take numbers only.
    unsafe { raw::call(libc::SYS_prctl, [raw::int(option), a, b, c, 0, 0]) }
}

/// Gives the calling process a new session keyring without a name.
///
/// # Errors
/// EDQUOT if the user has too many keys, ENOSYS without keyrings.
pub fn join_new_keyring() -> Result<()> {
    // SAFETY: a null name asks for a new anonymous keyring.
    unsafe { raw::call(libc::SYS_keyctl, [JOIN_SESSION_KEYRING, 0, 0, 0, 0, 0]) }.map(drop)
}

/// `struct sock_fprog`.
#[repr(C)]
struct Program {
    len: u16,
    filter: *const u8,
}

/// `SECCOMP_FILTER_FLAG_NEW_LISTENER`.
const NEW_LISTENER: u32 = 8;

/// The size of `struct sock_filter`.
const INSTRUCTION: usize = 8;

/// Puts the thread under a seccomp program: instructions of eight bytes in the machine's byte order.
///
/// With the flag for a listener, that is returned: the descriptor that is told of calls the program hands to user space.
///
/// # Errors
/// EINVAL for a malformed program and for flags that the kernel does not have, EACCES without CAP_SYS_ADMIN and without
/// [`forbid_new_privileges`], EBUSY if there is a listener already.
pub fn filter(program: &[u8], flags: u32) -> Result<Option<OwnedFd>> {
    if !program.len().is_multiple_of(INSTRUCTION) {
        return Err(Errno::INVAL);
    }
    let len = u16::try_from(program.len() / INSTRUCTION).map_err(|_overflow| Errno::INVAL)?;
    let program = Program { len, filter: program.as_ptr() };
    let address = core::ptr::from_ref(&program) as usize;
    let mode = libc::SECCOMP_SET_MODE_FILTER as usize;
    // SAFETY: the kernel copies `len` instructions of eight bytes from the slice, which has that many; it takes them
    // from any alignment.
    let answer = unsafe { raw::call(libc::SYS_seccomp, [mode, raw::word(flags), address, 0, 0, 0]) }?;
    if flags & NEW_LISTENER == 0 {
        return Ok(None);
    }
    let fd = i32::try_from(answer).map_err(|_overflow| Errno::BADF)?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(Some(unsafe { OwnedFd::from_raw_fd(fd) }))
}

/// All rights to files that the first version of Landlock knows: reading, writing, executing, listing, making and removing.
const ALL_OF_FILES: u64 = 0x1fff;

/// Takes every right to files from the thread but those that descriptors have which are open (Landlock): it can open nothing more.
///
/// # Errors
/// ENOSYS and EOPNOTSUPP where the kernel has none of it; EPERM without [`forbid_new_privileges`].
pub fn forbid_files() -> Result<()> {
    let ruleset = [ALL_OF_FILES];
    let args = [ruleset.as_ptr() as usize, size_of_val(&ruleset), 0, 0, 0, 0];
    // SAFETY: the kernel reads as many bytes from the live array as it has.
    let fd = unsafe { raw::call(libc::SYS_landlock_create_ruleset, args) }?;
    let fd = i32::try_from(fd).map_err(|_overflow| Errno::BADF)?;
    // SAFETY: the kernel has just made this descriptor for us.
    let ruleset = unsafe { OwnedFd::from_raw_fd(fd) };
    let args = [raw::int(ruleset.as_raw_fd()), 0, 0, 0, 0, 0];
    // SAFETY: takes numbers only.
    unsafe { raw::call(libc::SYS_landlock_restrict_self, args) }.map(drop)
}

/// An id that means "leave it".
#[must_use]
pub const fn kept(id: u32) -> Option<u32> {
    if id == KEEP { None } else { Some(id) }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::io::Read as _;

    use super::*;

    #[test]
    fn a_thread_without_rights_to_files_opens_none() {
        // Of its own: there is no way back.
        let restricted = || {
            let open = || std::fs::File::open("/dev/null");
            let before = open().unwrap();
            forbid_new_privileges().unwrap();
            match forbid_files() {
                Ok(()) => {
                    assert_eq!(open().unwrap_err().kind(), std::io::ErrorKind::PermissionDenied);
                    assert_eq!((&before).read(&mut [0]).unwrap(), 0, "what is open stays so");
                }
                Err(errno) => assert!(matches!(errno, Errno::NOSYS | Errno::OPNOTSUPP), "{errno}"),
            }
        };
        std::thread::scope(|threads| threads.spawn(restricted).join()).unwrap();
    }
}
