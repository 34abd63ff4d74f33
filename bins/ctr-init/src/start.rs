//! What a C library's start-up code and the compiler's runtime would bring.

use core::ffi::{CStr, c_char};
use core::panic::PanicInfo;

use ctr_sys::monitor::Environment;

// The kernel starts a program with the argument count on top of the stack and the arguments above it.
#[cfg(target_arch = "x86_64")]
core::arch::global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "mov rdi, rsp",
    "and rsp, -16",
    "call {begin}",
    "ud2",
    begin = sym begin,
);

#[cfg(target_arch = "aarch64")]
core::arch::global_asm!(
    ".globl _start",
    "_start:",
    "mov x29, xzr",
    "mov x30, xzr",
    "mov x0, sp",
    "and sp, x0, #-16",
    "bl {begin}",
    "brk #1",
    begin = sym begin,
);

/// The first function.
///
/// # Safety
/// `stack` must be what the kernel left: the number of arguments, a pointer for each of them, a null pointer, and the
/// same for the environment.
unsafe extern "C" fn begin(stack: *const usize) -> ! {
    // SAFETY: the count is the first word.
    let count = unsafe { stack.read() };
    let argument = (count > 1).then(|| {
        // SAFETY: the second word is the program's name, the third the first argument.
        let place = unsafe { stack.add(2) };
        // SAFETY: there are as many pointers as were counted.
        let string = unsafe { place.cast::<*const c_char>().read() };
        // SAFETY: the kernel ends each argument with a NUL, and they stay where they are.
        unsafe { CStr::from_ptr(string) }
    });
    // SAFETY: behind the arguments and their null pointer the kernel puts the environment, the same way.
    let environment = unsafe { stack.add(count + 2) };
    // SAFETY: it is as the kernel made it, and nothing in here changes it.
    let environment = unsafe { Environment::at(environment.cast()) };
    exit(crate::run(argument, environment))
}

/// Ends the process.
fn exit(code: i32) -> ! {
    loop {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: exit_group (231) does not return.
        unsafe {
            core::arch::asm!("syscall", in("rax") 231, in("rdi") code, out("rcx") _, out("r11") _);
        }
        #[cfg(target_arch = "aarch64")]
        // SAFETY: exit_group (94) does not return.
        unsafe {
            core::arch::asm!("svc 0", in("x8") 94, in("x0") code);
        }
    }
}

/// Nothing can be said, and nothing here panics on purpose.
#[panic_handler]
fn panic(_info: &PanicInfo<'_>) -> ! {
    exit(125)
}

/// The compiler calls these for large moves. Byte loops by hand: a loop in Rust would be compiled to a call of itself.
mod memory {
    /// memcpy of C.
    ///
    /// # Safety
    /// As in C.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, length: usize) -> *mut u8 {
        // SAFETY: the caller's promise.
        unsafe { forward(to, from, length) };
        to
    }

    /// memmove of C.
    ///
    /// # Safety
    /// As in C.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, length: usize) -> *mut u8 {
        if to.addr().wrapping_sub(from.addr()) >= length {
            // SAFETY: the caller's promise; what is read has not been written yet.
            unsafe { forward(to, from, length) };
        } else {
            // SAFETY: as above, from the end.
            unsafe { backward(to, from, length) };
        }
        to
    }

    /// memset of C.
    ///
    /// # Safety
    /// As in C.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memset(to: *mut u8, value: i32, length: usize) -> *mut u8 {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the caller's promise.
        unsafe {
            core::arch::asm!("rep stosb", inout("rcx") length => _, inout("rdi") to => _, in("al") value as u8,
                options(nostack, preserves_flags));
        }
        #[cfg(target_arch = "aarch64")]
        for at in 0..length {
            // SAFETY: the caller's promise. Volatile, so that it does not become a call of memset.
            unsafe { to.add(at).write_volatile(value as u8) };
        }
        to
    }

    /// memcmp of C.
    ///
    /// # Safety
    /// As in C.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn memcmp(one: *const u8, two: *const u8, length: usize) -> i32 {
        for at in 0..length {
            // SAFETY: the caller's promise. Volatile, so that the loop does not become a call of memcmp.
            let (a, b) = unsafe { (one.add(at).read_volatile(), two.add(at).read_volatile()) };
            if a != b {
                return i32::from(a) - i32::from(b);
            }
        }
        0
    }

    /// bcmp of C.
    ///
    /// # Safety
    /// As in C.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn bcmp(one: *const u8, two: *const u8, length: usize) -> i32 {
        // SAFETY: the caller's promise.
        unsafe { memcmp(one, two, length) }
    }

    /// strlen of C.
    ///
    /// # Safety
    /// As in C.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn strlen(string: *const u8) -> usize {
        let mut length = 0;
        // SAFETY: the caller's promise. Volatile, so that the loop does not become a call of strlen.
        while unsafe { string.add(length).read_volatile() } != 0 {
            length += 1;
        }
        length
    }

    #[cfg(target_arch = "x86_64")]
    unsafe fn forward(to: *mut u8, from: *const u8, length: usize) {
        // SAFETY: the caller's promise.
        unsafe {
            core::arch::asm!("rep movsb", inout("rcx") length => _, inout("rdi") to => _, inout("rsi") from => _,
                options(nostack, preserves_flags));
        }
    }

    #[cfg(target_arch = "x86_64")]
    unsafe fn backward(to: *mut u8, from: *const u8, length: usize) {
        let last = length.wrapping_sub(1);
        // SAFETY: the caller's promise; the direction is set back, as every other code expects it.
        unsafe {
            core::arch::asm!("std", "rep movsb", "cld", inout("rcx") length => _,
                inout("rdi") to.wrapping_add(last) => _, inout("rsi") from.wrapping_add(last) => _, options(nostack));
        }
    }

    #[cfg(target_arch = "aarch64")]
    unsafe fn forward(to: *mut u8, from: *const u8, length: usize) {
        for at in 0..length {
            // SAFETY: the caller's promise.
            unsafe { to.add(at).write_volatile(from.add(at).read_volatile()) };
        }
    }

    #[cfg(target_arch = "aarch64")]
    unsafe fn backward(to: *mut u8, from: *const u8, length: usize) {
        for at in (0..length).rev() {
            // SAFETY: the caller's promise.
            unsafe { to.add(at).write_volatile(from.add(at).read_volatile()) };
        }
    }
}
