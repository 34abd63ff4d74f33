//! Where steps are put one after the other.

use std::ffi::CString;

use ctr_sys::step::{Slot, Step, Strings, Words, encode};

use super::PlanError;

/// A plan that grows.
#[derive(Debug, Clone, Default)]
pub(super) struct Builder {
    bytes: Vec<u8>,
}

impl Builder {
    /// Adds a step that must succeed.
    pub(super) fn add(&mut self, step: Step<'_>) {
        encode(&step, false, &mut |bytes: &[u8]| self.bytes.extend_from_slice(bytes));
    }

    /// Adds a step that may fail.
    pub(super) fn attempt(&mut self, step: Step<'_>) {
        encode(&step, true, &mut |bytes: &[u8]| self.bytes.extend_from_slice(bytes));
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// A string of the specification's as the kernel takes it.
pub(super) fn c_string(text: &str) -> Result<CString, PlanError> {
    CString::new(text).map_err(|_nul| PlanError::Nul(text.to_owned()))
}

/// A block of strings, each ended by a NUL.
#[derive(Debug, Default)]
pub(super) struct Block(Vec<u8>);

impl Block {
    pub(super) fn of<S: AsRef<str>>(strings: impl IntoIterator<Item = S>) -> Result<Self, PlanError> {
        let mut block = Self::default();
        for string in strings {
            block.push(string.as_ref())?;
        }
        Ok(block)
    }

    pub(super) fn push(&mut self, string: &str) -> Result<(), PlanError> {
        self.0.extend_from_slice(c_string(string)?.as_bytes_with_nul());
        Ok(())
    }

    pub(super) fn strings(&self) -> Strings<'_> {
        Strings::new(&self.0).unwrap_or(Strings::NONE)
    }
}

/// A block of numbers.
#[derive(Debug, Default)]
pub(super) struct Numbers(Vec<u8>);

impl Numbers {
    pub(super) fn of(numbers: impl IntoIterator<Item = u32>) -> Self {
        Self(numbers.into_iter().flat_map(u32::to_ne_bytes).collect())
    }

    pub(super) fn words(&self) -> Words<'_> {
        Words::new(&self.0).unwrap_or(Words::NONE)
    }
}

/// The slots that have a name. Those of joined namespaces come first, by [`joined`].
pub(super) mod slot {
    use super::Slot;

    /// A process whose namespaces are entered.
    pub(in crate::plan) const VISITED: Slot = Slot(7);
    /// The container's root.
    pub(in crate::plan) const ROOT: Slot = Slot(8);
    /// The tmpfs on which everything is put together.
    pub(in crate::plan) const STAGING: Slot = Slot(9);
    /// /proc
    pub(in crate::plan) const PROC: Slot = Slot(10);
    /// /sys
    pub(in crate::plan) const SYS: Slot = Slot(11);
    /// /dev
    pub(in crate::plan) const DEV: Slot = Slot(12);
    /// /dev/pts
    pub(in crate::plan) const PTS: Slot = Slot(13);
    /// A null device of the host's.
    pub(in crate::plan) const NULL: Slot = Slot(14);
    /// An empty directory.
    pub(in crate::plan) const EMPTY: Slot = Slot(15);
    /// The slave side of the terminal.
    pub(in crate::plan) const TERMINAL: Slot = Slot(16);
    /// The master side of the terminal, where it stays.
    pub(in crate::plan) const MASTER: Slot = Slot(18);
    /// Where the master side may come from later.
    pub(in crate::plan) const LEASH: Slot = Slot(19);
    /// The image's own /dev.
    pub(in crate::plan) const IMAGE_DEV: Slot = Slot(17);
    /// The first that is given out one after the other.
    pub(in crate::plan) const FREE: u16 = 32;
}
