//! What the name of an entry means.

/// Begins the name of what hides something of the layers below.
const WHITEOUT: &[u8] = b".wh.";
/// Hides all that the layers below have in its directory.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Begins the names of aufs's own files, which were in layers once and mean nothing.
const AUFS: &[u8] = b".wh..wh.";

/// What the name of an entry means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// The top of the layer.
    Top,
    /// Something called `name` in the directory `parent`.
    At { parent: Vec<u8>, name: Vec<u8> },
    /// `name` in `parent` of the layers below is gone.
    Whiteout { parent: Vec<u8>, name: Vec<u8> },
    /// All in `parent` of the layers below is gone.
    Opaque { parent: Vec<u8> },
    /// Bookkeeping of a file system of the past.
    Aufs,
}

/// Cuts the name of an entry into plain components; the error says what is wrong with it.
pub(super) fn parse(raw: &[u8]) -> Result<Name, &'static str> {
    let mut parts = components(raw)?;
    let Some(name) = parts.pop() else { return Ok(Name::Top) };
    if parts.iter().any(|part| part.starts_with(AUFS)) {
        return Ok(Name::Aufs);
    }
    if parts.iter().any(|part| part.starts_with(WHITEOUT)) {
        return Err("lies in a whiteout");
    }
    let parent = parts.join(&b'/');
    if name == OPAQUE {
        return Ok(Name::Opaque { parent });
    }
    if name.starts_with(AUFS) {
        return Ok(Name::Aufs);
    }
    match name.strip_prefix(WHITEOUT) {
        Some(b"" | b"." | b"..") => Err("is a whiteout of no name"),
        Some(name) => Ok(Name::Whiteout { parent, name: name.to_vec() }),
        None => Ok(Name::At { parent, name: name.to_vec() }),
    }
}

/// As [`parse`], where no name hides anything.
pub(crate) fn plain(raw: &[u8]) -> Result<Name, &'static str> {
    let mut parts = components(raw)?;
    let Some(name) = parts.pop() else { return Ok(Name::Top) };
    Ok(Name::At { parent: parts.join(&b'/'), name: name.to_vec() })
}

/// Splits the name of an existing entry, as a hard link gives it.
pub(crate) fn target(raw: &[u8], is_plain: bool) -> Result<Vec<u8>, &'static str> {
    match if is_plain { plain(raw) } else { parse(raw) }? {
        Name::At { parent, name } if parent.is_empty() => Ok(name),
        Name::At { parent, name } => Ok([parent, name].join(&b'/')),
        _ => Err("is a hard link to no file"),
    }
}

fn components(raw: &[u8]) -> Result<Vec<&[u8]>, &'static str> {
    if raw.is_empty() {
        return Err("has no name");
    }
    if raw.contains(&0) {
        return Err("has a NUL in its name");
    }
    let parts = raw.split(|byte| *byte == b'/').filter(|part| !matches!(*part, b"" | b"."));
    let parts = parts.collect::<Vec<_>>();
    if parts.contains(&b"..".as_slice()) { Err("has `..` in its name") } else { Ok(parts) }
}

#[cfg(test)]
mod tests {
    use super::{Name, parse, target};

    #[test]
    fn names_are_cut_into_plain_components() {
        let at = |parent: &str, name: &str| Name::At { parent: parent.into(), name: name.into() };
        let gone = |parent: &str, name: &str| Name::Whiteout { parent: parent.into(), name: name.into() };
        for (raw, want) in [
            ("a", at("", "a")),
            ("./a/b/", at("a", "b")),
            ("/a//./b", at("a", "b")),
            ("./", Name::Top),
            ("/", Name::Top),
            (".", Name::Top),
            ("a/.wh.b", gone("a", "b")),
            (".wh.wh.b", gone("", "wh.b")),
            (".wh.a b", gone("", "a b")),
            ("a/.wh..wh..opq", Name::Opaque { parent: b"a".to_vec() }),
            (".wh..wh..opq", Name::Opaque { parent: Vec::new() }),
            (".wh..wh.plnk", Name::Aufs),
            (".wh..wh.plnk/1.2", Name::Aufs),
            ("a/.whale", at("a", ".whale")),
            ("a/x.wh.y", at("a", "x.wh.y")),
            ("...", at("", "...")),
        ] {
            assert_eq!(parse(raw.as_bytes()), Ok(want), "{raw}");
        }
        for raw in ["", "..", "../a", "a/../b", "/..", "a/..", ".wh.", ".wh..", ".wh...", "a/.wh.b/c", "a\0b"]
        {
            assert!(parse(raw.as_bytes()).is_err(), "{raw:?}");
        }
        assert_eq!(target(b"/a/./b", false), Ok(b"a/b".to_vec()));
        for raw in ["", "/", "../etc/passwd", ".wh.a", ".wh..wh.plnk/1", ".wh..wh..opq"] {
            assert!(target(raw.as_bytes(), false).is_err(), "{raw:?}");
        }
    }
}
