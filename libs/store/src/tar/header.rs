//! The 512 bytes before every entry, and what they and their extensions come to.

use ctr_core::rooted::Stat;

use super::{BLOCK, Fault, number};

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A regular file.
    File,
    /// Another name of an earlier entry.
    HardLink,
    /// A symbolic link.
    Symlink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A directory.
    Directory,
    /// A named pipe.
    Fifo,
}

impl Kind {
    /// Tells whether an entry of this kind is followed by contents, whatever its size says.
    #[must_use]
    pub fn has_contents(self) -> bool {
        self == Self::File
    }

    pub(super) fn flag(self) -> u8 {
        match self {
            Self::File => b'0',
            Self::HardLink => b'1',
            Self::Symlink => b'2',
            Self::CharDevice => b'3',
            Self::BlockDevice => b'4',
            Self::Directory => b'5',
            Self::Fifo => b'6',
        }
    }
}

/// A point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time {
    /// Seconds since 1970, rounded down.
    pub seconds: i64,
    /// Nanoseconds since then, below 10⁹.
    pub nanos: u32,
}

/// Everything an archive says about one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The name as the archive gives it: it may be absolute, contain `..` or be empty.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// The size of the file, holes included.
    pub size: u64,
    /// The permission bits with set-user-id, set-group-id and sticky.
    pub mode: u32,
    /// The owner.
    pub uid: u64,
    /// The group.
    pub gid: u64,
    /// The last change.
    pub modified: Time,
    /// The last access, if the archive tells.
    pub accessed: Option<Time>,
    /// The text of a symbolic link, or the name a hard link gives another name to.
    pub link: Vec<u8>,
    /// The major and minor number of a device.
    pub device: (u32, u32),
    /// Extended attributes in the order of the archive, names in full.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Header {
    /// Describes a file of this name as it is; what it is and whose, not what is in it.
    #[must_use]
    pub fn of(name: &[u8], kind: Kind, stat: &Stat) -> Self {
        let mut name = name.to_vec();
        if kind == Kind::Directory {
            name.push(b'/');
        }
        let mut header = Self::new(name, kind, stat.mode.as_raw_mode() & 0o7777);
        header.size = if kind.has_contents() { stat.size } else { 0 };
        (header.uid, header.gid) = (stat.uid.into(), stat.gid.into());
        let nanos = u32::try_from(stat.modified.tv_nsec).unwrap_or(0);
        header.modified = Time { seconds: stat.modified.tv_sec, nanos };
        header.device = (rustix::fs::major(stat.special), rustix::fs::minor(stat.special));
        header
    }

    /// Describes an entry of root's with nothing in it, from the beginning of time.
    #[must_use]
    pub fn new(path: impl Into<Vec<u8>>, kind: Kind, mode: u32) -> Self {
        Self {
            path: path.into(),
            kind,
            size: 0,
            mode,
            uid: 0,
            gid: 0,
            modified: Time::default(),
            accessed: None,
            link: Vec::new(),
            device: (0, 0),
            xattrs: Vec::new(),
        }
    }
}

/// The dialect of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    V7,
    Posix,
    Star,
    Gnu,
}

/// One block taken as a header.
#[derive(Clone, Copy)]
pub(super) struct RawHeader<'a>(pub(super) &'a [u8; BLOCK]);

impl<'a> RawHeader<'a> {
    /// Returns a part of the block. The ranges are those of the format, all inside.
    fn part(self, start: usize, len: usize) -> &'a [u8] {
        self.0.get(start..start + len).unwrap_or_default()
    }

    pub(super) fn is_zero(self) -> bool {
        self.0.iter().all(|byte| *byte == 0)
    }

    /// Checks the sum of all bytes, the checksum itself taken as blanks; some old writers summed signed bytes.
    pub(super) fn verify(self) -> Result<(), Fault> {
        let want = number::field(self.part(148, 8), "checksum").map_err(|_malformed| Fault::Checksum)?;
        let (mut unsigned, mut signed) = (0_i64, 0_i64);
        for (index, byte) in self.0.iter().enumerate() {
            let byte = if (148..156).contains(&index) { b' ' } else { *byte };
            unsigned += i64::from(byte);
            signed += i64::from(byte.cast_signed());
        }
        if want == unsigned || want == signed { Ok(()) } else { Err(Fault::Checksum) }
    }

    pub(super) fn flag(self) -> u8 {
        self.part(156, 1).first().copied().unwrap_or_default()
    }

    pub(super) fn dialect(self) -> Dialect {
        match self.part(257, 8) {
            b"ustar  \0" => Dialect::Gnu,
            magic if magic.starts_with(b"ustar\0") && self.part(508, 4) == b"tar\0" => Dialect::Star,
            magic if magic.starts_with(b"ustar\0") => Dialect::Posix,
            _ => Dialect::V7,
        }
    }

    pub(super) fn size(self) -> Result<u64, Fault> {
        number::unsigned(self.part(124, 12), "size")
    }

    pub(super) fn path(self) -> Vec<u8> {
        let name = text(self.part(0, 100));
        let prefix = match self.dialect() {
            Dialect::Posix => text(self.part(345, 155)),
            Dialect::Star => text(self.part(345, 131)),
            Dialect::Gnu | Dialect::V7 => b"",
        };
        if prefix.is_empty() { name.to_vec() } else { [prefix, name].join(&b'/') }
    }

    pub(super) fn link(self) -> &'a [u8] {
        text(self.part(157, 100))
    }

    /// Returns the entry as this block alone describes it.
    pub(super) fn entry(self, kind: Kind) -> Result<Header, Fault> {
        let device = matches!(kind, Kind::CharDevice | Kind::BlockDevice) && self.dialect() != Dialect::V7;
        let number = |start, what| {
            let value = if device { number::unsigned(self.part(start, 8), what)? } else { 0 };
            u32::try_from(value).map_err(|_large| Fault::Malformed(what))
        };
        let mode = number::unsigned(self.part(100, 8), "mode")? & 0o7777;
        Ok(Header {
            path: self.path(),
            kind,
            size: if kind.has_contents() { self.size()? } else { 0 },
            mode: u32::try_from(mode).map_err(|_large| Fault::Malformed("mode"))?,
            uid: number::unsigned(self.part(108, 8), "owner")?,
            gid: number::unsigned(self.part(116, 8), "group")?,
            modified: Time { seconds: number::field(self.part(136, 12), "time")?, nanos: 0 },
            accessed: None,
            link: self.link().to_vec(),
            device: (number(329, "device number")?, number(337, "device number")?),
            xattrs: Vec::new(),
        })
    }

    /// The four places for pieces of an old GNU sparse file, whether more follow, and the file's size.
    pub(super) fn gnu_sparse(self) -> Result<(&'a [u8], bool, u64), Fault> {
        let more = self.part(482, 1).first().is_some_and(|byte| *byte != 0);
        Ok((self.part(386, 96), more, number::unsigned(self.part(483, 12), "sparse size")?))
    }
}

/// Returns the text before the first NUL.
pub(super) fn text(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    bytes.get(..end).unwrap_or_default()
}
