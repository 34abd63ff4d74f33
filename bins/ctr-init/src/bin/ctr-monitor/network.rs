//! What the monitor has for those who serve the container's network, and what the log says of them.

use ctr_sys::monitor::{Beside, Death, Forget, Task};
use rustix::fd::{BorrowedFd, FromRawFd, OwnedFd};

/// Room for a line of the log about one of them.
pub(crate) const LINE: usize = 160;

/// Descriptors at numbers one after the other.
#[derive(Debug)]
pub(crate) struct Inherited {
    first: i32,
    count: usize,
    /// Those that were closed, a bit for each.
    closed: [u64; CLOSED],
}

/// As many bits as a script has descriptors: two for each published port are more than anybody may have.
const CLOSED: usize = 160;

impl Inherited {
    /// Those of the script of a task, which begin at a number.
    ///
    /// # Safety
    /// They must be open there, and nobody else's.
    pub(crate) unsafe fn behind<F>(first: i32, task: &Task<'_, F>) -> Self {
        let count = task.network.as_ref().map_or(0, |network| network.script.descriptors());
        Self { first, count, closed: [0; CLOSED] }
    }

    fn is_open(&self, at: usize) -> bool {
        at < self.count && self.closed.get(at / 64).is_none_or(|bits| bits >> (at % 64) & 1 == 0)
    }

    fn number(&self, at: usize) -> Option<i32> {
        let number = self.first.checked_add(i32::try_from(at).ok()?)?;
        self.is_open(at).then_some(number)
    }
}

impl Beside for Inherited {
    fn get(&self, at: usize) -> Option<BorrowedFd<'_>> {
        let number = self.number(at)?;
        // SAFETY: it is one of those that were open and ours, which whoever made this has promised; they are until this is dropped.
        Some(unsafe { BorrowedFd::borrow_raw(number) })
    }
}

impl Forget for Inherited {
    fn forget(&mut self, at: usize) {
        let (Some(number), Some(bits)) = (self.number(at), self.closed.get_mut(at / 64)) else { return };
        *bits |= 1 << (at % 64);
        // SAFETY: as above; nobody has borrowed one for longer than this was not borrowed otherwise.
        drop(unsafe { OwnedFd::from_raw_fd(number) });
    }
}

impl Drop for Inherited {
    fn drop(&mut self) {
        for at in 0..self.count {
            self.forget(at);
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
