//! System calls by number, without a C library.
//!
//! `ctr-init` has no C library, and what runs between a clone and an exec must not touch one: this is the only way in
//! for the calls rustix has no wrapper for.

#![expect(unsafe_code, reason = "the instruction that enters the kernel")]

use rustix::io::{Errno, Result};

/// Makes a system call.
///
/// # Safety
/// The number and the arguments must be a call that does not break what the program's memory safety rests on: pointers
/// among them valid for what the kernel reads and writes there, descriptors not closed behind an owner's back.
#[cfg(target_arch = "x86_64")]
#[inline]
pub(crate) unsafe fn call(number: libc::c_long, args: [usize; 6]) -> Result<usize> {
    let [a, b, c, d, e, f] = args;
    let result: isize;
    // SAFETY: the x86_64 convention of `syscall`: it clobbers rcx and r11 and leaves the stack alone; what the call
    // itself does is the caller's promise.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    checked(result)
}

/// Makes a system call.
///
/// # Safety
/// As on x86_64.
#[cfg(target_arch = "aarch64")]
#[inline]
pub(crate) unsafe fn call(number: libc::c_long, args: [usize; 6]) -> Result<usize> {
    let [a, b, c, d, e, f] = args;
    let result: isize;
    // SAFETY: the aarch64 convention of `svc 0`: everything but x0 is kept; what the call itself does is the caller's
    // promise.
    unsafe {
        core::arch::asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") a => result,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e, in("x5") f,
            options(nostack),
        );
    }
    checked(result)
}

/// The kernel answers -1 to -4095 for an errno.
fn checked(result: isize) -> Result<usize> {
    match i32::try_from(result) {
        Ok(small @ -4095..=-1) => Err(Errno::from_raw_os_error(-small)),
        _ => Ok(result.cast_unsigned()),
    }
}

/// A number as the register that carries it, its sign extended as the kernel expects of an `int`.
pub(crate) const fn int(value: i32) -> usize {
    (value as isize).cast_unsigned()
}

/// A 32 bit number as the register that carries it.
pub(crate) const fn word(value: u32) -> usize {
    value as usize
}
