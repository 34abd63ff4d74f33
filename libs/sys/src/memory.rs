//! What a process that mostly waits can do without.

#![expect(unsafe_code, reason = "madvise, on the program itself; malloc_trim; close_range")]

use core::ffi::{c_uint, c_void};

use rustix::io::Result;
use rustix::mm::{Advice, madvise};

use crate::raw;

/// The smallest page there is: what is rounded to it may still be refused where pages are larger.
const PAGE: usize = 4096;

unsafe extern "C" {
    /// Where the program begins in memory, by the linker.
    #[link_name = "__executable_start"]
    static BEGIN: u8;
    /// Where its code ends.
    #[link_name = "etext"]
    static CODE_END: u8;
}

/// Lets go of the program's code and constants. The kernel brings back from the file what is used again; a process that
/// waits uses few pages of several megabytes, which otherwise count as its own.
///
/// # Errors
/// EINVAL where pages are larger than usual, ENOMEM where something lies between code and constants; both leave a process
/// that works.
pub fn release_program() -> Result<()> {
    let begin = &raw const BEGIN as usize;
    let end = &raw const CODE_END as usize & !(PAGE - 1);
    // SAFETY: the range holds the file's read-only segments, which were never written to (what relocation changes lies
    // behind the code): the next access reads the same bytes from the file again, also those of this very function.
    unsafe { madvise(begin as *mut c_void, end - begin, Advice::LinuxDontNeed) }
}

/// Lets go of the memory that the allocator keeps for later: after much of it was in use for a moment.
pub fn release_freed() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes a number only, and touches nothing that is in use.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Closes all descriptors but standard input, output and error: those that whoever started us had open, and meant for nobody. It is
/// the first thing that a program does, while none of them can be its own.
///
/// # Errors
/// ENOSYS before Linux 5.9.
pub fn close_inherited() -> Result<()> {
    let args = [raw::int(3), raw::word(c_uint::MAX), 0, 0, 0, 0];
    // SAFETY: takes numbers only, and nobody here has opened anything yet.
    unsafe { raw::call(libc::SYS_close_range, args) }.map(drop)
}
