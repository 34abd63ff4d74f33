//! `--mount type=…,key=value,…`.

use std::path::PathBuf;

use super::csv;
use super::options::{Choices, Propagation, Relabel, boolean, cut, number, required};
use super::{Bind, Devpts, Mount, MountError, Target, What};
use super::{named, tmpfs};

/// Parses one `--mount`.
///
/// # Errors
/// Refuses what is malformed, and the types that are not built yet, by name.
pub fn parse_mount(text: &str) -> Result<Mount, MountError> {
    if text.contains('\0') {
        return Err(MountError::Nul(text.to_owned()));
    }
    let fields = csv::fields(text)?;
    let mut kind = None;
    let mut rest = Vec::with_capacity(fields.len());
    for field in &fields {
        match cut(field) {
            ("type", Some(value)) if kind.is_none() => kind = Some(value),
            ("type", _) => {
                return Err(MountError::Repeated { options: text.to_owned(), choice: "'type'" });
            }
            _ => rest.push(field.as_str()),
        }
    }
    match kind {
        Some("bind") => bind(text, &rest),
        Some("tmpfs") => memory(text, &rest),
        Some("ramfs") => ramfs(text, &rest),
        Some("devpts") => devpts(text, &rest),
        // Docker's and Podman's default is a volume.
        None | Some("volume") => named::volume(text, &rest),
        Some("image") => named::image(text, &rest),
        Some(later @ ("glob" | "artifact")) => Err(MountError::NotYet(format!("--mount type={later}"))),
        Some(other) => Err(MountError::UnknownType(other.to_owned())),
    }
}

/// The destination, spelled in one of four ways and given once.
#[derive(Debug, Default)]
pub(super) struct Destination(Option<Target>);

impl Destination {
    pub(super) fn set(&mut self, written: &str, name: &str, value: Option<&str>) -> Result<(), MountError> {
        let target = Target::parse(required(name, value)?)?;
        if self.0.replace(target).is_some() {
            return Err(MountError::Repeated { options: written.to_owned(), choice: "'destination'" });
        }
        Ok(())
    }

    pub(super) fn finish(self) -> Result<Target, MountError> {
        self.0.ok_or(MountError::NoDestination)
    }
}

fn bind(written: &str, fields: &[&str]) -> Result<Mount, MountError> {
    let mut shared = Choices::new(written);
    let mut target = Destination::default();
    let mut source: Option<PathBuf> = None;
    let mut no_dereference = false;
    for field in fields {
        let (name, value) = cut(field);
        match name {
            "src" | "source" => {
                let path = required(name, value)?;
                if path.is_empty() {
                    return Err(MountError::EmptySource);
                }
                source = shared.once(source.take(), PathBuf::from(path), "'source'")?;
            }
            "target" | "dst" | "dest" | "destination" => target.set(written, name, value)?,
            "bind-nonrecursive" => {
                let recursive = !boolean(name, value)?;
                shared.recursive = shared.once(shared.recursive, recursive, "'bind-nonrecursive'")?;
            }
            "bind-propagation" => {
                let word = required(name, value)?;
                let value = Propagation::parse(word).ok_or_else(|| bad(name, word))?;
                shared.propagation = shared.once(shared.propagation, value, "'bind-propagation'")?;
            }
            "relabel" => {
                let value = match required(name, value)? {
                    "shared" => Relabel::Shared,
                    "private" => Relabel::Private,
                    other => return Err(bad(name, other)),
                };
                shared.relabel = shared.once(shared.relabel, value, "'relabel'")?;
            }
            "U" | "chown" => {
                shared.chown = shared.once(shared.chown, boolean(name, value)?, "'U' or 'chown'")?;
            }
            "no-dereference" => no_dereference = boolean(name, value)?,
            "idmap" => return Err(MountError::RootOnly("an id-mapped mount")),
            "consistency" => {}
            _ => access(&mut shared, "bind", field)?,
        }
    }
    let target = target.finish()?;
    let source = source.unwrap_or_else(|| PathBuf::from(target.as_str()));
    let what = What::Bind(Bind {
        source,
        access: shared.access,
        recursive: shared.recursive.unwrap_or(true),
        propagation: shared.propagation,
        relabel: shared.relabel,
        chown: shared.chown.unwrap_or(false),
        no_dereference,
    });
    Ok(Mount { target, what })
}

/// `ro[=true|false]` and its like, then the words that several kinds share.
pub(super) fn access(shared: &mut Choices<'_>, kind: &'static str, field: &str) -> Result<(), MountError> {
    let (name, value) = cut(field);
    match name {
        "readonly" | "ro" | "rw" => {
            let read_only = boolean(name, value)? == (name != "rw");
            let choice = "'readonly', 'ro', or 'rw'";
            shared.access.read_only = shared.once(shared.access.read_only, read_only, choice)?;
            Ok(())
        }
        "bind-nonrecursive" | "bind-propagation" | "relabel" | "src" | "source" | "tmpfs-size"
        | "tmpfs-mode" | "tmpcopyup" | "notmpcopyup" | "volume-label" | "volume-opt" | "nocreate"
        | "bind" | "rbind" | "subpath" | "volume-subpath" => {
            Err(MountError::WrongKind { option: name.to_owned(), kind })
        }
        _ if value.is_some() => Err(MountError::UnknownOption(name.to_owned())),
        _ if shared.take(field)? => Ok(()),
        _ => Err(MountError::UnknownOption(name.to_owned())),
    }
}

fn memory(written: &str, fields: &[&str]) -> Result<Mount, MountError> {
    let mut options = tmpfs::Options::new(written);
    let mut target = Destination::default();
    for field in fields {
        let (name, value) = cut(field);
        match name {
            "target" | "dst" | "dest" | "destination" => target.set(written, name, value)?,
            "tmpfs-size" => options.size(name, required(name, value)?)?,
            "tmpfs-mode" => options.mode(name, required(name, value)?)?,
            "tmpcopyup" | "notmpcopyup" | "noswap" | "consistency" | "noatime" => options.take(field)?,
            "U" | "chown" => {
                let shared = &mut options.shared;
                shared.chown = shared.once(shared.chown, boolean(name, value)?, "'U' or 'chown'")?;
            }
            "z" | "Z" => return Err(MountError::WrongKind { option: name.to_owned(), kind: "tmpfs" }),
            _ => access(&mut options.shared, "tmpfs", field)?,
        }
    }
    Ok(Mount { target: target.finish()?, what: What::Tmpfs(options.finish()) })
}

/// As a tmpfs, without what only that has.
fn ramfs(written: &str, fields: &[&str]) -> Result<Mount, MountError> {
    let only_of_tmpfs = ["tmpfs-size", "tmpcopyup", "notmpcopyup", "noswap"];
    if let Some((name, _)) =
        fields.iter().map(|field| cut(field)).find(|(name, _)| only_of_tmpfs.contains(name))
    {
        return Err(MountError::WrongKind { option: name.to_owned(), kind: "ramfs" });
    }
    let mut mount = memory(written, fields)?;
    if let What::Tmpfs(tmpfs) = &mut mount.what {
        (tmpfs.ramfs, tmpfs.no_copy_up) = (true, true);
    }
    Ok(mount)
}

fn devpts(written: &str, fields: &[&str]) -> Result<Mount, MountError> {
    let mut target = Destination::default();
    let mut devpts = Devpts::default();
    for field in fields {
        let (name, value) = cut(field);
        let slot = match name {
            "target" | "dst" | "dest" | "destination" => {
                target.set(written, name, value)?;
                continue;
            }
            // Every instance in a user namespace is a new one.
            "newinstance" if value.is_none() => continue,
            "uid" => &mut devpts.uid,
            "gid" => &mut devpts.gid,
            "mode" => &mut devpts.mode,
            "ptmxmode" => &mut devpts.ptmxmode,
            "max" => &mut devpts.max,
            _ => return Err(MountError::UnknownOption(name.to_owned())),
        };
        let radix = if name.ends_with("mode") { 8 } else { 10 };
        *slot = Some(number(name, required(name, value)?, radix)?);
    }
    Ok(Mount { target: target.finish()?, what: What::Devpts(devpts) })
}

fn bad(option: &str, value: &str) -> MountError {
    MountError::BadValue { option: option.to_owned(), value: value.to_owned() }
}
