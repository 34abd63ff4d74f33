//! `-v`, as Docker and Podman write it: `[host-dir|volume:]ctr-dir[:option[,option…]]`.

use std::path::PathBuf;

use super::options::Choices;
use super::{Bind, Kept, Mount, MountError, Named, Overlay, Target, What};

/// Parses one `-v`.
///
/// # Errors
/// Refuses what is malformed.
pub fn parse_volume(text: &str) -> Result<Mount, MountError> {
    if text.contains('\0') {
        return Err(MountError::Nul(text.to_owned()));
    }
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, options) = match parts.as_slice() {
        [only] => {
            return Ok(Mount { target: Target::parse(only)?, what: What::Volume(Named::plain(None)) });
        }
        [source, target] => (*source, *target, ""),
        [source, target, options] => (*source, *target, *options),
        _ => return Err(MountError::VolumeFormat(text.to_owned())),
    };
    if source.is_empty() {
        return Err(MountError::EmptySource);
    }
    let target = Target::parse(target)?;
    let options = Options::parse(options)?;
    let what = if source.starts_with(['/', '.']) {
        options.apply(PathBuf::from(source))?
    } else {
        options.volume(source)?
    };
    Ok(Mount { target, what })
}

/// The options of one `-v`, with those that only it has.
#[derive(Debug)]
struct Options<'a> {
    shared: Choices<'a>,
    overlay: bool,
    upper: Option<PathBuf>,
    work: Option<PathBuf>,
    no_dereference: bool,
    copy: Option<bool>,
    count: usize,
}

impl<'a> Options<'a> {
    fn parse(written: &'a str) -> Result<Self, MountError> {
        let mut options = Self {
            shared: Choices::new(written),
            overlay: false,
            upper: None,
            work: None,
            no_dereference: false,
            copy: None,
            count: 0,
        };
        if written.is_empty() {
            return Ok(options);
        }
        for option in written.split(',') {
            options.take(option)?;
        }
        Ok(options)
    }

    fn take(&mut self, option: &str) -> Result<(), MountError> {
        if self.shared.take(option)? {
            self.count += 1;
            return Ok(());
        }
        match option.split_once('=') {
            Some(("upperdir", path)) => {
                self.upper = self.shared.once(self.upper.take(), PathBuf::from(path), "upperdir")?;
            }
            Some(("workdir", path)) => {
                self.work = self.shared.once(self.work.take(), PathBuf::from(path), "workdir")?;
            }
            Some(("idmap", _)) => return Err(MountError::RootOnly("an id-mapped mount")),
            Some(_) => return Err(MountError::UnknownOption(option.to_owned())),
            None => self.take_word(option)?,
        }
        Ok(())
    }

    fn take_word(&mut self, option: &str) -> Result<(), MountError> {
        match option {
            "O" if self.overlay || self.shared.relabel.is_some() => {
                return Err(MountError::OverlayOptions);
            }
            "O" => self.overlay = true,
            "no-dereference" => self.no_dereference = true,
            "idmap" => return Err(MountError::RootOnly("an id-mapped mount")),
            // They mean nothing to a bind.
            "copy" | "nocopy" => {
                self.copy = self.shared.once(self.copy, option == "copy", "'copy' or 'nocopy'")?;
            }
            // Docker's for macOS, without a meaning on Linux.
            "cached" | "delegated" | "consistent" | "nocreate" => {}
            other => return Err(MountError::UnknownOption(other.to_owned())),
        }
        Ok(())
    }

    fn volume(self, name: &str) -> Result<What, MountError> {
        let wrong = |option: &str| MountError::WrongKind { option: option.to_owned(), kind: "volume" };
        if self.upper.is_some() || self.work.is_some() {
            return Err(wrong("upperdir"));
        }
        if self.no_dereference {
            return Err(wrong("no-dereference"));
        }
        if self.overlay && self.count > usize::from(self.shared.chown.unwrap_or(false)) {
            return Err(MountError::OverlayOptions);
        }
        Ok(What::Volume(Named {
            overlay: self.overlay,
            no_copy_up: self.copy == Some(false),
            ..Named::with(Some(name.to_owned()), &self.shared)
        }))
    }

    fn apply(self, source: PathBuf) -> Result<What, MountError> {
        let chown = self.shared.chown.unwrap_or(false);
        let kept = match (self.upper, self.work) {
            (None, None) => None,
            (Some(upper), Some(work)) => Some(Kept { upper, work }),
            _ => return Err(MountError::HalfOverlay),
        };
        if self.overlay {
            if self.count > usize::from(chown) || self.no_dereference {
                return Err(MountError::OverlayOptions);
            }
            return Ok(What::Overlay(Overlay { source, kept, chown }));
        }
        if kept.is_some() {
            return Err(MountError::WrongKind { option: "upperdir".to_owned(), kind: "bind" });
        }
        Ok(What::Bind(Bind {
            source,
            access: self.shared.access,
            recursive: self.shared.recursive.unwrap_or(true),
            propagation: self.shared.propagation,
            relabel: self.shared.relabel,
            chown,
            no_dereference: self.no_dereference,
        }))
    }
}
