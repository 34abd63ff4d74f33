//! Names of a log's files.

use core::ffi::CStr;

use ctr_sys::decimal::{DIGITS, digits};

/// The longest name of a file, a NUL, and room for a number that makes it too long for the kernel to take.
const LONGEST: usize = 256 + 1 + DIGITS;

/// What is behind the name of the count.
const GONE: &[u8] = b".gone";

/// The name of the newest file, or of the one with a number.
pub(super) struct Name([u8; LONGEST]);

impl Name {
    /// The name with a number behind it; 0 is the newest file, which has none.
    pub(super) fn of(base: &[u8], number: u32) -> Self {
        let mut name = [0; LONGEST];
        let (base, _) = base.split_at(base.len().min(255));
        name[..base.len()].copy_from_slice(base);
        if number > 0 {
            let mut buffer = [0; DIGITS];
            let digits = digits(u64::from(number), &mut buffer);
            name[base.len()] = b'.';
            name[base.len() + 1..base.len() + 1 + digits.len()].copy_from_slice(digits);
        }
        Self(name)
    }

    /// The name of the count of what is gone.
    pub(super) fn of_count(base: &[u8]) -> Self {
        let mut name = Self::of(base, 0);
        let end = base.len().min(255);
        name.0[end..end + GONE.len()].copy_from_slice(GONE);
        name
    }

    pub(super) fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or(c"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_files_have_numbers() {
        assert_eq!(Name::of(b"ctr.log", 0).as_c_str(), c"ctr.log");
        assert_eq!(Name::of(b"ctr.log", 12).as_c_str(), c"ctr.log.12");
        assert_eq!(Name::of_count(b"ctr.log").as_c_str(), c"ctr.log.gone");
        assert_eq!(Name::of(&[b'x'; 300], u32::MAX).as_c_str().to_bytes().len(), 255 + 11);
    }
}
