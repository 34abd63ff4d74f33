//! Writing formatted text onto the end of a string.

use std::fmt::{Arguments, Write as _};

/// A string that takes formatted text.
pub(crate) trait Put {
    /// Appends.
    fn put(&mut self, text: Arguments<'_>);
}

impl Put for String {
    fn put(&mut self, text: Arguments<'_>) {
        // Writing to a string fails only where a `Display` of its own does.
        self.write_fmt(text).unwrap_or_default();
    }
}
