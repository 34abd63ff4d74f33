//! The options that several kinds of mounts share, and the rule that each choice is made once.

use super::MountError;
use serde::{Deserialize, Serialize};

/// What may be done through a mount; `None` is the default of its kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// `ro` or `rw`.
    pub read_only: Option<bool>,
    /// `exec` or `noexec`.
    pub exec: Option<bool>,
    /// `suid` or `nosuid`.
    pub suid: Option<bool>,
    /// `dev` or `nodev`.
    pub dev: Option<bool>,
}

/// How mounts made later travel between the container and the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Propagation {
    /// Not at all.
    Private,
    /// Not at all, below it either.
    RPrivate,
    /// Into the container.
    Slave,
    /// Into the container, below it too.
    RSlave,
    /// Both ways.
    Shared,
    /// Both ways, below it too.
    RShared,
    /// Not at all, nor can it be bound again.
    Unbindable,
    /// Not at all, nor can it be bound again, below it too.
    RUnbindable,
}

impl Propagation {
    /// The option's name, also in an OCI specification.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::RPrivate => "rprivate",
            Self::Slave => "slave",
            Self::RSlave => "rslave",
            Self::Shared => "shared",
            Self::RShared => "rshared",
            Self::Unbindable => "unbindable",
            Self::RUnbindable => "runbindable",
        }
    }

    /// The propagation of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "private" => Self::Private,
            "rprivate" => Self::RPrivate,
            "slave" => Self::Slave,
            "rslave" => Self::RSlave,
            "shared" => Self::Shared,
            "rshared" => Self::RShared,
            "unbindable" => Self::Unbindable,
            "runbindable" => Self::RUnbindable,
            _ => return None,
        })
    }
}

/// How SELinux labels of a source change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Relabel {
    /// `z`: all containers may use it.
    Shared,
    /// `Z`: only this one.
    Private,
}

/// Options on their way from text, each choice taken at most once.
#[derive(Debug)]
pub(super) struct Choices<'a> {
    /// All options as written, for messages.
    written: &'a str,
    /// ro, exec, suid, dev.
    pub(super) access: Access,
    /// How later mounts travel.
    pub(super) propagation: Option<Propagation>,
    /// `z` or `Z`.
    pub(super) relabel: Option<Relabel>,
    /// `U`.
    pub(super) chown: Option<bool>,
    /// `rbind` or `bind`.
    pub(super) recursive: Option<bool>,
}

impl<'a> Choices<'a> {
    pub(super) fn new(written: &'a str) -> Self {
        Self {
            written,
            access: Access::default(),
            propagation: None,
            relabel: None,
            chown: None,
            recursive: None,
        }
    }

    /// Sets a choice that is still open.
    pub(super) fn once<T>(
        &self,
        slot: Option<T>,
        value: T,
        choice: &'static str,
    ) -> Result<Option<T>, MountError> {
        match slot {
            None => Ok(Some(value)),
            Some(_) => Err(MountError::Repeated { options: self.written.to_owned(), choice }),
        }
    }

    /// Takes an option without a value that several kinds share. `false`: it is none of them.
    pub(super) fn take(&mut self, option: &str) -> Result<bool, MountError> {
        match option {
            "ro" | "rw" => {
                self.access.read_only = self.once(self.access.read_only, option == "ro", "'rw' or 'ro'")?;
            }
            "exec" | "noexec" => {
                self.access.exec = self.once(self.access.exec, option == "exec", "'noexec' or 'exec'")?;
            }
            "suid" | "nosuid" => {
                self.access.suid = self.once(self.access.suid, option == "suid", "'nosuid' or 'suid'")?;
            }
            "dev" | "nodev" => {
                self.access.dev = self.once(self.access.dev, option == "dev", "'nodev' or 'dev'")?;
            }
            "z" | "Z" => {
                let value = if option == "z" { Relabel::Shared } else { Relabel::Private };
                self.relabel = self.once(self.relabel, value, "'z', 'Z', or 'O'")?;
            }
            "U" => self.chown = self.once(self.chown, true, "'U'")?,
            "bind" | "rbind" => {
                self.recursive = self.once(self.recursive, option == "rbind", "'[r]bind'")?;
            }
            name => match Propagation::parse(name) {
                None => return Ok(false),
                Some(value) => {
                    const CHOICE: &str = "'[r]shared', '[r]private', '[r]slave' or '[r]unbindable'";
                    self.propagation = self.once(self.propagation, value, CHOICE)?;
                }
            },
        }
        Ok(true)
    }
}

/// Splits `name=value`.
pub(super) fn cut(option: &str) -> (&str, Option<&str>) {
    match option.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (option, None),
    }
}

/// The value an option must have.
pub(super) fn required<'a>(name: &str, value: Option<&'a str>) -> Result<&'a str, MountError> {
    value.ok_or_else(|| MountError::MissingValue(name.to_owned()))
}

/// `true`, `false`, or nothing, which is true.
pub(super) fn boolean(name: &str, value: Option<&str>) -> Result<bool, MountError> {
    match value {
        None => Ok(true),
        Some(text) if text.eq_ignore_ascii_case("true") => Ok(true),
        Some(text) if text.eq_ignore_ascii_case("false") => Ok(false),
        Some(text) => Err(MountError::BadValue { option: name.to_owned(), value: text.to_owned() }),
    }
}

/// A number in the radix the kernel's mount options use.
pub(super) fn number(name: &str, value: &str, radix: u32) -> Result<u32, MountError> {
    let plain = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    let parsed = if plain { u32::from_str_radix(value, radix).ok() } else { None };
    parsed.ok_or_else(|| MountError::BadValue { option: name.to_owned(), value: value.to_owned() })
}
