//! What is known of a volume, and what its options mean.
//!
//! # Options
//! Podman hands `-o type=… -o device=… -o o=…` to mount(8) as the machine's root would. What a user without rights can
//! have of that is a folder of the host's (`type=bind`, or `o=bind`) and memory (`type=tmpfs`); everything else is refused
//! when the volume is made, not when somebody first needs it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The format of [`Record`]; a higher one is left alone.
pub(super) const VERSION: u32 = 1;

/// Who keeps a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// We, in a folder.
    Local,
}

impl Driver {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
        }
    }
}

/// What a volume's contents are kept in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Backing {
    /// A folder of ours.
    Folder,
    /// A file or folder of the host, with options of a bind.
    Bind {
        /// Which.
        device: PathBuf,
        /// `ro`, `noexec` and the like.
        options: Vec<String>,
    },
    /// Memory, with the kernel's options.
    Tmpfs {
        /// `size=…` and the like.
        options: Vec<String>,
    },
}

/// What is known of a volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The format.
    pub version: u32,
    /// What it is called.
    pub name: String,
    /// Who keeps it.
    pub driver: Driver,
    /// When it was made, in nanoseconds since 1970.
    pub created: u64,
    /// Metadata.
    pub labels: BTreeMap<String, String>,
    /// Options as they were given.
    pub options: BTreeMap<String, String>,
    /// What the options mean.
    pub backing: Backing,
    /// Nobody named it: it goes with its container.
    pub anonymous: bool,
    /// Owner of its top, where it is not root.
    pub uid: u32,
    /// Group of its top, where it is not root.
    pub gid: u32,
    /// What an image has at the place where it is mounted next is copied into it, if it is empty then.
    pub needs_copy_up: bool,
    /// Its top gets the owner and mode that the next container has there, if it is empty then.
    pub needs_chown: bool,
}

/// A volume that is to be made.
#[derive(Debug, Clone)]
pub struct NewVolume {
    /// What it is called.
    pub name: String,
    /// Now, in nanoseconds since 1970.
    pub created: u64,
    /// Metadata.
    pub labels: BTreeMap<String, String>,
    /// Options as they were given.
    pub options: BTreeMap<String, String>,
    /// What they mean: [`Backing::of`].
    pub backing: Backing,
    /// Nobody named it.
    pub anonymous: bool,
    /// Whose its top is.
    pub uid: Option<u32>,
    /// Whose group its top is of.
    pub gid: Option<u32>,
}

impl NewVolume {
    /// A plain volume of that name.
    #[must_use]
    pub fn plain(name: String, created: u64) -> Self {
        Self {
            name,
            created,
            labels: BTreeMap::new(),
            options: BTreeMap::new(),
            backing: Backing::Folder,
            anonymous: false,
            uid: None,
            gid: None,
        }
    }

    pub(super) fn record(&self) -> Record {
        Record {
            version: VERSION,
            name: self.name.clone(),
            driver: Driver::Local,
            created: self.created,
            labels: self.labels.clone(),
            options: self.options.clone(),
            backing: self.backing.clone(),
            anonymous: self.anonymous,
            uid: self.uid.unwrap_or(0),
            gid: self.gid.unwrap_or(0),
            needs_copy_up: true,
            needs_chown: self.uid.is_none() && self.gid.is_none(),
        }
    }
}

/// An option that a volume cannot have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// A key nobody knows.
    #[error("invalid mount option {0} for driver 'local': invalid argument")]
    Unknown(String),
    /// A type that only the machine's root mounts.
    #[error("a volume of type {0:?} can only be mounted by the root of the machine")]
    RootOnly(String),
    /// A size where the file system keeps no count.
    #[error("volume options size and inodes not supported. Filesystem does not support Project Quota")]
    Quota,
    /// `inodes` of memory.
    #[error("volume option inodes not supported on tmpfs filesystem")]
    Inodes,
    /// A bind of nothing.
    #[error("volume option device is needed for a volume of type {0:?}")]
    NoDevice(String),
    /// A number that is none.
    #[error("cannot convert {option} {value} to an integer: invalid argument")]
    Number {
        /// The option.
        option: String,
        /// What was given.
        value: String,
    },
    /// An option of a mount that is not known.
    #[error("invalid option {option:?} for a volume of type {kind:?}")]
    MountOption {
        /// The option.
        option: String,
        /// The type.
        kind: &'static str,
    },
}

/// What the words of `o` say beside the options of the mount.
#[derive(Debug, Default, PartialEq, Eq)]
struct Words {
    mount: Vec<String>,
    uid: Option<u32>,
    gid: Option<u32>,
    nocopy: bool,
    size: bool,
    inodes: bool,
}

impl Words {
    fn parse(text: &str) -> Result<Self, OptionError> {
        let mut words = Self::default();
        for word in text.split(',').filter(|word| !word.is_empty()) {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            let number = || {
                value.parse().map_err(|_not_one| OptionError::Number {
                    option: name.to_owned(),
                    value: value.to_owned(),
                })
            };
            match name.to_ascii_lowercase().as_str() {
                "uid" => words.uid = Some(number()?),
                "gid" => words.gid = Some(number()?),
                "noquota" => {}
                "nocopy" => words.nocopy = true,
                "copy" => words.nocopy = false,
                "size" => {
                    words.size = true;
                    words.mount.push(word.to_owned());
                }
                "inodes" => words.inodes = true,
                _ => words.mount.push(word.to_owned()),
            }
        }
        Ok(words)
    }
}

/// What `-o` of the local driver asks for.
#[derive(Debug, PartialEq, Eq)]
pub struct Asked {
    /// What it is kept in.
    pub backing: Backing,
    /// `o=uid=`.
    pub uid: Option<u32>,
    /// `o=gid=`.
    pub gid: Option<u32>,
}

impl Backing {
    /// Reads the options of the local driver.
    ///
    /// # Errors
    /// An option is unknown, or only the machine's root could have it.
    pub fn of(options: &BTreeMap<String, String>) -> Result<Asked, OptionError> {
        let known = ["device", "o", "type", "uid", "gid", "size", "inodes", "noquota", "copy", "nocopy"];
        if let Some(key) = options.keys().find(|key| !known.contains(&key.to_ascii_lowercase().as_str())) {
            return Err(OptionError::Unknown(key.clone()));
        }
        let get = |name: &str| options.get(name).map_or("", String::as_str);
        let words = Words::parse(get("o"))?;
        let kind = get("type").to_ascii_lowercase();
        let is_bind = words.mount.iter().any(|word| word == "bind" || word == "rbind");
        let sized = words.size || options.contains_key("size");
        let inodes = words.inodes || options.contains_key("inodes");
        let backing = match kind.as_str() {
            "tmpfs" if inodes => return Err(OptionError::Inodes),
            "tmpfs" => Self::Tmpfs { options: memory(words.mount, &words.uid, &words.gid)? },
            _ if sized || inodes => return Err(OptionError::Quota),
            "bind" | "rbind" => bind(get("device"), words.mount)?,
            "" | "none" if is_bind => bind(get("device"), words.mount)?,
            "" if get("device").is_empty() && words.mount.is_empty() => Self::Folder,
            "" => return Err(OptionError::RootOnly("none".to_owned())),
            other => return Err(OptionError::RootOnly(other.to_owned())),
        };
        let number = |name: &str| match options.get(name) {
            None => Ok(None),
            Some(value) => value
                .parse()
                .map(Some)
                .map_err(|_not_one| OptionError::Number { option: name.to_owned(), value: value.clone() }),
        };
        Ok(Asked { backing, uid: words.uid.or(number("uid")?), gid: words.gid.or(number("gid")?) })
    }
}

impl Record {
    /// Whether its options forbid to copy an image's contents into it.
    #[must_use]
    pub fn forbids_copy_up(&self) -> bool {
        let in_words = self.options.get("o").and_then(|text| Words::parse(text).ok());
        self.options.contains_key("nocopy") || in_words.is_some_and(|words| words.nocopy)
    }
}

/// Words of a bind; what it shares with mounts of its kind is looked at where it is mounted.
const BIND: [&str; 10] = ["bind", "rbind", "ro", "rw", "exec", "noexec", "suid", "nosuid", "dev", "nodev"];

fn bind(device: &str, words: Vec<String>) -> Result<Backing, OptionError> {
    if device.is_empty() {
        return Err(OptionError::NoDevice("bind".to_owned()));
    }
    match words.iter().find(|word| !BIND.contains(&word.as_str())) {
        Some(word) => Err(OptionError::MountOption { option: word.clone(), kind: "bind" }),
        None => Ok(Backing::Bind { device: PathBuf::from(device), options: words }),
    }
}

/// Options that the kernel's tmpfs takes of an unprivileged mount, with the flags of mounts.
fn memory(words: Vec<String>, uid: &Option<u32>, gid: &Option<u32>) -> Result<Vec<String>, OptionError> {
    const FLAGS: [&str; 9] = ["ro", "rw", "exec", "noexec", "suid", "nosuid", "dev", "nodev", "noatime"];
    const VALUES: [&str; 4] = ["size", "mode", "nr_inodes", "nr_blocks"];
    for word in &words {
        let name = word.split_once('=').map(|(name, _)| name);
        let known = match name {
            Some(name) => VALUES.contains(&name),
            None => FLAGS.contains(&word.as_str()),
        };
        if !known {
            return Err(OptionError::MountOption { option: word.clone(), kind: "tmpfs" });
        }
    }
    let ids = [("uid", uid), ("gid", gid)];
    let ids = ids.into_iter().filter_map(|(name, id)| id.map(|id| format!("{name}={id}")));
    Ok(words.into_iter().chain(ids).collect())
}
