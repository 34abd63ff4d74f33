//! Extended headers: `LENGTH KEY=VALUE\n`, over and over.

use super::header::{Header, Time};
use super::{Fault, number};

const XATTR: &[u8] = b"SCHILY.xattr.";

/// What the extended headers before an entry say about it.
#[derive(Debug, Clone, Default)]
pub(super) struct Extended {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    modified: Option<Time>,
    accessed: Option<Time>,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) sparse: SparseRecords,
}

/// What the records say about holes, in the three ways GNU tar has had.
#[derive(Debug, Clone, Default)]
pub(super) struct SparseRecords {
    pub(super) major: Option<u64>,
    pub(super) minor: Option<u64>,
    /// The real name; the header has a made-up one then.
    pub(super) name: Option<Vec<u8>>,
    /// The size with holes (`GNU.sparse.size` or `.realsize`).
    pub(super) size: Option<u64>,
    /// Version 0.1: offsets and lengths, all in one record.
    pub(super) map: Option<Vec<u8>>,
    /// Version 0.0: offsets and lengths in turn, each in a record of its own.
    pub(super) pieces: Vec<u64>,
}

/// Whether records apply to one entry or to all that follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    Entry,
    Rest,
}

impl Extended {
    /// Adds the records in `bytes`.
    pub(super) fn read(&mut self, mut bytes: &[u8], reach: Reach) -> Result<(), Fault> {
        while !bytes.is_empty() {
            let [key, value, rest] = record(bytes)?;
            bytes = rest;
            self.set(key, value, reach)?;
        }
        Ok(())
    }

    fn set(&mut self, key: &[u8], value: &[u8], reach: Reach) -> Result<(), Fault> {
        if reach == Reach::Rest && (matches!(key, b"path" | b"linkpath" | b"size") || sparse(key)) {
            // No writer gives all entries one name or one size; whoever does wants two readers to differ.
            return Err(Fault::Malformed("global extended header"));
        }
        if let Some(name) = key.strip_prefix(XATTR) {
            return self.set_xattr(name, value);
        }
        if sparse(key) {
            return self.sparse.set(key, value);
        }
        match key {
            b"path" => self.path = named(value, "name")?,
            b"linkpath" => self.link = named(value, "link")?,
            b"size" => self.size = given(value, |value| number::decimal(value, "size"))?,
            b"uid" => self.uid = given(value, |value| number::decimal(value, "owner"))?,
            b"gid" => self.gid = given(value, |value| number::decimal(value, "group"))?,
            b"mtime" => self.modified = given(value, |value| number::time(value, "time"))?,
            b"atime" => self.accessed = given(value, |value| number::time(value, "time"))?,
            // ctime, uname, gname, comment, charset and vendors' own say nothing a tree keeps.
            _ => {}
        }
        Ok(())
    }

    fn set_xattr(&mut self, name: &[u8], value: &[u8]) -> Result<(), Fault> {
        if name.is_empty() || name.contains(&0) {
            return Err(Fault::Malformed("extended attribute"));
        }
        match self.xattrs.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value.to_vec(),
            None => self.xattrs.push((name.to_vec(), value.to_vec())),
        }
        Ok(())
    }

    /// Writes what is known over what the header itself said. The size is the reader's matter.
    pub(super) fn apply(self, header: &mut Header) {
        let Self { path, link, size: _, uid, gid, modified, accessed, xattrs, sparse: _ } = self;
        header.path = path.unwrap_or(std::mem::take(&mut header.path));
        header.link = link.unwrap_or(std::mem::take(&mut header.link));
        header.uid = uid.unwrap_or(header.uid);
        header.gid = gid.unwrap_or(header.gid);
        header.modified = modified.unwrap_or(header.modified);
        header.accessed = accessed;
        header.xattrs = xattrs;
    }
}

impl SparseRecords {
    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), Fault> {
        let decimal = |value| number::decimal(value, "sparse map");
        match key {
            b"GNU.sparse.major" => self.major = Some(decimal(value)?),
            b"GNU.sparse.minor" => self.minor = Some(decimal(value)?),
            b"GNU.sparse.name" => self.name = named(value, "name")?,
            b"GNU.sparse.size" | b"GNU.sparse.realsize" => self.size = Some(decimal(value)?),
            b"GNU.sparse.map" => self.map = Some(value.to_vec()),
            b"GNU.sparse.offset" if self.pieces.len().is_multiple_of(2) => self.pieces.push(decimal(value)?),
            b"GNU.sparse.numbytes" if !self.pieces.len().is_multiple_of(2) => {
                self.pieces.push(decimal(value)?);
            }
            // The count is what the pieces come to.
            b"GNU.sparse.numblocks" => {}
            _ => return Err(Fault::Malformed("sparse map")),
        }
        Ok(())
    }
}

fn sparse(key: &[u8]) -> bool {
    key.starts_with(b"GNU.sparse.")
}

/// An empty value takes back what a header further out said.
fn given<T>(value: &[u8], parse: impl Fn(&[u8]) -> Result<T, Fault>) -> Result<Option<T>, Fault> {
    if value.is_empty() { Ok(None) } else { parse(value).map(Some) }
}

fn named(value: &[u8], what: &'static str) -> Result<Option<Vec<u8>>, Fault> {
    if value.contains(&0) {
        return Err(Fault::Malformed(what));
    }
    Ok((!value.is_empty()).then(|| value.to_vec()))
}

/// Takes one record; its length counts itself and the line's end.
fn record(bytes: &[u8]) -> Result<[&[u8]; 3], Fault> {
    const MALFORMED: Fault = Fault::Malformed("extended header");
    let blank = bytes.iter().take(21).position(|byte| *byte == b' ').ok_or(MALFORMED)?;
    let (digits, _) = bytes.split_at_checked(blank).ok_or(MALFORMED)?;
    let length = number::decimal(digits, "extended header")?;
    let length = usize::try_from(length).map_err(|_large| MALFORMED)?;
    let (line, rest) = bytes.split_at_checked(length).ok_or(MALFORMED)?;
    let line = line.get(blank + 1..).and_then(|line| line.strip_suffix(b"\n")).ok_or(MALFORMED)?;
    let equals = line.iter().position(|byte| *byte == b'=').ok_or(MALFORMED)?;
    let (key, value) = line.split_at_checked(equals).ok_or(MALFORMED)?;
    if key.is_empty() || key.contains(&0) {
        return Err(MALFORMED);
    }
    Ok([key, value.get(1..).unwrap_or_default(), rest])
}
