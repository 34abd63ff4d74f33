//! What the monitor has for those who serve the container's network, and what the log says of them.

use ctr_sys::monitor::{Beside, Death, Task};
use rustix::fd::{BorrowedFd, FromRawFd, OwnedFd};

/// Room for a line of the log about one of them.
pub(crate) const LINE: usize = 160;

/// Descriptors at numbers one after the other.
#[derive(Debug)]
pub(crate) struct Inherited {
    first: i32,
    count: usize,
}

impl Inherited {
    /// Those of the script of a task, which begin at a number.
    ///
    /// # Safety
    /// They must be open there, and nobody else's.
    pub(crate) unsafe fn behind<F>(first: i32, task: &Task<'_, F>) -> Self {
        Self { first, count: task.network.as_ref().map_or(0, |network| network.script.descriptors()) }
    }
}

impl Beside for Inherited {
    fn get(&self, at: usize) -> Option<BorrowedFd<'_>> {
        let number = self.first.checked_add(i32::try_from(at).ok()?)?;
        // SAFETY: it is one of those that were open and ours, which whoever made this has promised; they are until this is dropped.
        (at < self.count).then(|| unsafe { BorrowedFd::borrow_raw(number) })
    }
}

impl Drop for Inherited {
    fn drop(&mut self) {
        for number in (self.first..).take(self.count) {
            // SAFETY: as above; nobody has borrowed one for longer than this was there.
            drop(unsafe { OwnedFd::from_raw_fd(number) });
        }
    }
}

/// The line of the log about the end of one of them.
pub(crate) fn line(death: Death, room: &mut [u8; LINE]) -> &[u8] {
    let mut length = 0;
    let mut put = |part: &[u8]| {
        if let Some(place) = room.get_mut(length..length + part.len()) {
            place.copy_from_slice(part);
            length += part.len();
        }
    };
    put(b"ctr: ");
    death.tell(&mut put);
    put(b"\n");
    room.split_at(length).0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_room() {
        for death in [Death::Exited(255), Death::Killed(255)] {
            let mut room = [0; LINE];
            let line = line(death, &mut room);
            assert!(line.starts_with(b"ctr: the process") && line.ends_with(b"serves now\n"));
        }
    }
}
