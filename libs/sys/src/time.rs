//! What time it is, without a C library.

#![expect(
    unsafe_code,
    reason = "rustix reads clocks through the kernel's shared library, which takes code to find"
)]

use rustix::time::Timespec;

use crate::raw;

/// The time since 1970, which may be set.
#[must_use]
pub fn since_1970() -> Timespec {
    read(libc::CLOCK_REALTIME)
}

/// The time since some moment before the process, which only goes forward; it stands still while the machine sleeps.
#[must_use]
pub fn steady() -> Timespec {
    read(libc::CLOCK_MONOTONIC)
}

fn read(clock: libc::clockid_t) -> Timespec {
    let mut now = [0_i64; 2];
    // SAFETY: the kernel writes a timespec of two 64 bit numbers to a live array. Both clocks are always there.
    unsafe { raw::call(libc::SYS_clock_gettime, [raw::int(clock), now.as_mut_ptr() as usize, 0, 0, 0, 0]) }
        .ok();
    Timespec { tv_sec: now[0], tv_nsec: now[1] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_run() {
        // 2020, when none of this was there.
        assert!(since_1970().tv_sec > 1_577_836_800);
        let (before, after) = (steady(), steady());
        assert!((before.tv_sec, before.tv_nsec) <= (after.tv_sec, after.tv_nsec));
    }
}
