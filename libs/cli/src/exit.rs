//! What a command ends with.
//!
//! | code | meaning |
//! |---|---|
//! | 125 | we failed, or were asked for something that cannot be |
//! | 126 | the command of the container cannot be executed |
//! | 127 | the command of the container was not found |
//! | 255 | `exec`: nothing ran in the container, as in podman |
//! | 128+n | the command of the container died of signal n |
//! | other | the command's own |

/// The exit code of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit(u8);

impl Exit {
    /// All went well.
    pub const SUCCESS: Self = Self(0);
    /// "No" of `exists`, some of the named objects were missing, or a bad option of logging.
    pub const NO: Self = Self(1);
    /// An object is in use.
    pub const IN_USE: Self = Self(2);
    /// We failed.
    pub const FAILURE: Self = Self(125);
    /// The command cannot be executed.
    pub const NOT_EXECUTABLE: Self = Self(126);
    /// The command was not found.
    pub const NOT_FOUND: Self = Self(127);
    /// Whoever read our output went away.
    pub const BROKEN_PIPE: Self = Self(128 + 13);

    /// The code that a command of the user's ended with.
    #[must_use]
    pub const fn code(code: u8) -> Self {
        Self(code)
    }

    /// The code of a command that died of a signal.
    #[must_use]
    pub fn signal(signal: u8) -> Self {
        Self(signal.saturating_add(128))
    }

    /// The number.
    #[must_use]
    pub const fn value(self) -> u8 {
        self.0
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_count_from_128() {
        assert_eq!(Exit::signal(9).value(), 137);
        assert_eq!(Exit::signal(200).value(), 255);
        assert_eq!(Exit::code(7).value(), 7);
    }
}
