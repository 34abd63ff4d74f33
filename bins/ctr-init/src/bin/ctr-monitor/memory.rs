//! All the memory there is beside the stack: zero pages of the program's own, which exist once they are written to.

//!
//! After a burst of output they are given back ([`release`]): what waits for days should not hold what an hour needed.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

use ctr_sys::monitor::{INPUT_MESSAGE, MAX_TASK, MESSAGE};
use rustix::mm::{Advice, madvise};

/// The size of a page; where pages are larger, nothing is given back.
const PAGE: usize = 4096;

/// Room for what is written to the log at once, and never less than one record.
const LOG: usize = 5 * PAGE;

/// The buffers.
pub(crate) struct Memory {
    pub(crate) task: &'static mut [u8],
    /// A message with a chunk of output.
    pub(crate) message: &'static mut [u8],
    /// Records on their way to the log.
    pub(crate) log: &'static mut [u8],
    /// A message with a piece of input.
    pub(crate) input: &'static mut [u8],
}

#[repr(C, align(4096))]
struct Pages {
    task: [u8; MAX_TASK],
    message: [u8; MESSAGE.next_multiple_of(PAGE)],
    log: [u8; LOG],
    input: [u8; INPUT_MESSAGE.next_multiple_of(PAGE)],
}

struct Shared(UnsafeCell<Pages>);

// SAFETY: `take` hands it out once, so nobody shares it.
unsafe impl Sync for Shared {}

static PAGES: Shared = Shared(UnsafeCell::new(Pages {
    task: [0; MAX_TASK],
    message: [0; MESSAGE.next_multiple_of(PAGE)],
    log: [0; LOG],
    input: [0; INPUT_MESSAGE.next_multiple_of(PAGE)],
}));

/// Hands out the buffers; nothing the second time.
pub(crate) fn take() -> Option<Memory> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::Relaxed) {
        return None;
    }
    // SAFETY: this is the only place that touches the pages, and it is reached once.
    let pages = unsafe { &mut *PAGES.0.get() };
    let Pages { task, message, log, input } = pages;
    Some(Memory { task, message, log, input })
}

/// Gives the whole pages of a buffer back, whose contents are not needed any more: it is all zeros, or as it was.
pub(crate) fn release(buffer: &mut [u8]) {
    let start = buffer.as_mut_ptr();
    let skip = start.align_offset(PAGE);
    let length = buffer.len().saturating_sub(skip) / PAGE * PAGE;
    if length > 0 {
        let first = start.wrapping_add(skip);
        // SAFETY: the pages lie wholly within a buffer that is ours alone, and any bytes are valid in it: private memory of
        // the program's own reads as zeros afterwards.
        unsafe { madvise(first.cast(), length, Advice::LinuxDontNeed) }.ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_handed_out_once_and_stay_usable() {
        let Memory { task: _, message, log, input } = take().unwrap();
        assert!(take().is_none());
        for buffer in [message, log, input] {
            buffer.fill(7);
            release(buffer);
            assert!(buffer.iter().all(|byte| *byte == 0), "whole pages, all of them");
            buffer.fill(8);
            assert!(buffer.iter().all(|byte| *byte == 8));
        }
    }

    #[test]
    fn a_piece_of_a_page_is_left_alone() {
        let mut bytes = [7; 100];
        release(&mut bytes);
        assert_eq!(bytes, [7; 100]);
    }
}
