//! The first program in a container: it executes the plan that its launcher sends, and becomes the container's command.
//!
//! It is not installed. `libs/runtime` builds it once more, without the standard library (`cfg(freestanding)`), carries
//! it inside, and runs it from a sealed memory file: whatever a container reaches through `/proc/PID/exe` is that file,
//! which nobody can change (CVE-2019-5736). An ordinary build of the workspace makes an ordinary program of the same
//! code, so that it is checked like everything else.
//!
//! Its one argument is the number of the descriptor its orders come from. A container that runs `/proc/self/exe` gets
//! this program without one, and learns that it is of no use.
#![cfg_attr(freestanding, no_std)]
#![cfg_attr(freestanding, no_main)]
#![expect(unsafe_code, reason = "the entry point, and taking over the socket whose number it is told")]

#[cfg(freestanding)]
mod start;

use core::ffi::CStr;

use ctr_sys::monitor::Environment;
use rustix::fd::{FromRawFd, OwnedFd};
use rustix::io::FdFlags;

/// The exit code when it was run by anybody but its launcher.
const USELESS: i32 = 125;

/// Serves the socket whose number is the only argument.
fn run(number: Option<&CStr>, _nothing_of_it: Environment) -> i32 {
    let Some(number) =
        number.and_then(|digits| digits.to_str().ok()?.parse::<u16>().ok()).filter(|fd| *fd > 2)
    else {
        return USELESS;
    };
    // SAFETY: the launcher says by the argument that this descriptor is ours; nothing in this program has touched it.
    let control = unsafe { OwnedFd::from_raw_fd(i32::from(number)) };
    // The command must not inherit it. If it is not even open, nobody launched us.
    if rustix::io::fcntl_setfd(&control, FdFlags::CLOEXEC).is_err() {
        core::mem::forget(control);
        return USELESS;
    }
    ctr_sys::step::serve(control)
}

/// The entry of an ordinary build.
#[cfg(not(freestanding))]
fn main() -> std::process::ExitCode {
    use std::os::unix::ffi::OsStrExt;
    let argument = std::env::args_os().nth(1);
    let argument = argument.and_then(|argument| std::ffi::CString::new(argument.as_bytes()).ok());
    let code = run(argument.as_deref(), Environment::none());
    std::process::ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
}
