//! All the memory there is beside the stack: zero pages of the program's own, which exist once they are written to.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

use ctr_sys::monitor::{INPUT_MESSAGE, MAX_TASK, MESSAGE};

/// Room for what is written to the log at once, and never less than one record.
const LOG: usize = 20 << 10;

/// The buffers.
pub(crate) struct Memory {
    pub(crate) task: &'static mut [u8],
    /// A message with a chunk of output.
    pub(crate) output: &'static mut [u8],
    /// Records on their way to the log.
    pub(crate) log: &'static mut [u8],
    /// A message with a piece of input.
    pub(crate) input: &'static mut [u8],
}

#[repr(C, align(4096))]
struct Pages {
    task: [u8; MAX_TASK],
    output: [u8; MESSAGE],
    log: [u8; LOG],
    input: [u8; INPUT_MESSAGE],
}

struct Shared(UnsafeCell<Pages>);

// SAFETY: `take` hands it out once, so nobody shares it.
unsafe impl Sync for Shared {}

static PAGES: Shared = Shared(UnsafeCell::new(Pages {
    task: [0; MAX_TASK],
    output: [0; MESSAGE],
    log: [0; LOG],
    input: [0; INPUT_MESSAGE],
}));

/// Hands out the buffers; nothing the second time.
pub(crate) fn take() -> Option<Memory> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::Relaxed) {
        return None;
    }
    // SAFETY: this is the only place that touches the pages, and it is reached once.
    let pages = unsafe { &mut *PAGES.0.get() };
    let Pages { task, output, log, input } = pages;
    Some(Memory { task, output, log, input })
}
