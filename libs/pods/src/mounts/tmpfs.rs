//! `--tmpfs PATH[:option[,option…]]`.

use super::options::{Choices, boolean, cut, number, required};
use super::{Mount, MountError, Target, Tmpfs, What};

/// Parses one `--tmpfs`.
///
/// # Errors
/// Refuses what is malformed and options a tmpfs has not.
pub fn parse_tmpfs(text: &str) -> Result<Mount, MountError> {
    let (path, written) = text.split_once(':').unwrap_or((text, ""));
    let target = Target::parse(path)?;
    let mut options = Options::new(written);
    for option in written.split(',').filter(|option| !option.is_empty()) {
        options.take(option)?;
    }
    Ok(Mount { target, what: What::Tmpfs(options.finish()) })
}

/// The options of a tmpfs, on their way from text.
#[derive(Debug)]
pub(super) struct Options<'a> {
    pub(super) shared: Choices<'a>,
    tmpfs: Tmpfs,
    copy_up: Option<bool>,
}

impl<'a> Options<'a> {
    pub(super) fn new(written: &'a str) -> Self {
        Self { shared: Choices::new(written), tmpfs: Tmpfs::default(), copy_up: None }
    }

    /// Takes one option of the kernel's spelling.
    pub(super) fn take(&mut self, option: &str) -> Result<(), MountError> {
        let (name, value) = cut(option);
        match name {
            "size" => self.size(name, required(name, value)?)?,
            "mode" => self.mode(name, required(name, value)?)?,
            "tmpcopyup" | "notmpcopyup" => {
                let asked = boolean(name, value)? == (name == "tmpcopyup");
                self.copy_up = self.shared.once(self.copy_up, asked, "'tmpcopyup' or 'notmpcopyup'")?;
            }
            "noatime" if value.is_none() => self.tmpfs.noatime = true,
            "noswap" => return Err(MountError::NoSwap),
            "consistency" => {}
            "bind" | "rbind" | "z" | "Z" => {
                return Err(MountError::WrongKind { option: name.to_owned(), kind: "tmpfs" });
            }
            _ => {
                if !self.shared.take(option)? {
                    return Err(MountError::UnknownOption(option.to_owned()));
                }
            }
        }
        Ok(())
    }

    /// Bytes with the kernel's suffixes, or a share of the memory.
    pub(super) fn size(&mut self, name: &str, value: &str) -> Result<(), MountError> {
        let digits = value.trim_end_matches(['k', 'K', 'm', 'M', 'g', 'G', '%']);
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !plain || value.len() - digits.len() > 1 || digits.len() > 18 {
            return Err(MountError::BadValue { option: name.to_owned(), value: value.to_owned() });
        }
        self.tmpfs.size = self.shared.once(self.tmpfs.size.take(), value.to_owned(), "'size'")?;
        Ok(())
    }

    /// The octal mode of its root.
    pub(super) fn mode(&mut self, name: &str, value: &str) -> Result<(), MountError> {
        let mode = number(name, value, 8)?;
        if mode > 0o7777 {
            return Err(MountError::BadValue { option: name.to_owned(), value: value.to_owned() });
        }
        self.tmpfs.mode = self.shared.once(self.tmpfs.mode, mode, "'mode'")?;
        Ok(())
    }

    pub(super) fn finish(self) -> Tmpfs {
        Tmpfs {
            access: self.shared.access,
            propagation: self.shared.propagation,
            chown: self.shared.chown.unwrap_or(false),
            no_copy_up: !self.copy_up.unwrap_or(true),
            ..self.tmpfs
        }
    }
}
