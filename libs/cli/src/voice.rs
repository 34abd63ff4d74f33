//! Under which name the program was started, and so whose vocabulary it speaks.
//!
//! A link named `podman`, `docker`, `buildah` or `skopeo` selects that program's verbs, usage texts and sentences;
//! every other name is our own, also one that a packager chose because containerd's debug client is called `ctr` too.

use std::ffi::OsStr;

/// Whose vocabulary is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Voice {
    /// Our own.
    Ctr,
    /// Docker's client: its everyday verbs, our form of errors.
    Docker,
    /// Podman.
    Podman,
    /// Buildah.
    Buildah,
    /// Skopeo.
    Skopeo,
}

impl Voice {
    /// Whether errors, warnings and numbers have the peer's own words, without hints.
    #[must_use]
    pub const fn is_peer(self) -> bool {
        matches!(self, Self::Podman | Self::Buildah | Self::Skopeo)
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of voices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Voices(u8);

impl Voices {
    /// Every voice that speaks Podman's language: our own, Docker's and Podman's.
    pub const ENGINE: Self = Self(Voice::Ctr.bit() | Voice::Docker.bit() | Voice::Podman.bit());

    /// The engine's voices, and others.
    #[must_use]
    pub const fn and(self, voice: Voice) -> Self {
        Self(self.0 | voice.bit())
    }

    /// One voice.
    #[must_use]
    pub const fn only(voice: Voice) -> Self {
        Self(voice.bit())
    }

    /// Whether the voice is in the set.
    #[must_use]
    pub const fn has(self, voice: Voice) -> bool {
        self.0 & voice.bit() != 0
    }
}

/// Who was called: the voice, and the name to show in usage texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Whose vocabulary is spoken.
    pub voice: Voice,
    /// The name of the program as the user knows it.
    pub name: String,
}

impl Caller {
    /// Reads `argv[0]`.
    #[must_use]
    pub fn from_argv0(argv0: &OsStr) -> Self {
        let path = std::path::Path::new(argv0);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let (voice, name) = match &*name {
            "docker" => (Voice::Docker, name.into_owned()),
            "podman" | "podman-remote" => (Voice::Podman, "podman".to_owned()),
            "buildah" => (Voice::Buildah, name.into_owned()),
            "skopeo" => (Voice::Skopeo, name.into_owned()),
            "" | "ctr-run" | "ctr-copy" | "ctr-build" => (Voice::Ctr, "ctr".to_owned()),
            other => (Voice::Ctr, ctr_core::foreign::for_terminal(other.as_bytes())),
        };
        Self { voice, name }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_selects_the_voice() {
        for (argv0, voice, name) in [
            ("ctr", Voice::Ctr, "ctr"),
            ("/usr/bin/ctr-run", Voice::Ctr, "ctr"),
            ("/opt/podman", Voice::Podman, "podman"),
            ("docker", Voice::Docker, "docker"),
            ("./buildah", Voice::Buildah, "buildah"),
            ("skopeo", Voice::Skopeo, "skopeo"),
            ("boxes", Voice::Ctr, "boxes"),
            ("\u{1b}[2J", Voice::Ctr, "\\x1b[2J"),
            ("", Voice::Ctr, "ctr"),
        ] {
            let caller = Caller::from_argv0(OsStr::new(argv0));
            assert_eq!((caller.voice, &*caller.name), (voice, name), "{argv0}");
        }
    }

    #[test]
    fn sets_hold_what_was_put_in() {
        assert!(Voices::ENGINE.has(Voice::Docker) && !Voices::ENGINE.has(Voice::Skopeo));
        assert!(Voices::ENGINE.and(Voice::Skopeo).has(Voice::Skopeo));
        assert!(!Voices::only(Voice::Buildah).has(Voice::Ctr));
    }
}
