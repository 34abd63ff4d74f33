//! Volumes of ours and images, as mounts ask for them.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

use ctr_store::volume::Backing;

use super::options::{Access, Choices, Propagation, Relabel, boolean, cut, required};
use super::{Mount, MountError, What, mount};

/// A volume of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// Its name. One that nobody named gets its name when the container is made.
    pub name: Option<String>,
    /// ro, exec, suid, dev.
    pub access: Access,
    /// How later mounts travel.
    pub propagation: Option<Propagation>,
    /// `z` or `Z`.
    pub relabel: Option<Relabel>,
    /// `U`: the tree is given to the container's user.
    pub chown: bool,
    /// `nocopy`: what the image has there is not copied into it.
    pub no_copy_up: bool,
    /// `O`: it is read, and writes are thrown away with the container.
    pub overlay: bool,
    /// Only this of it appears.
    pub subpath: Option<PathBuf>,
    /// What its contents are kept in, once that was looked up.
    pub backing: Backing,
}

impl Named {
    /// A volume with nothing said about it.
    #[must_use]
    pub fn plain(name: Option<String>) -> Self {
        Self {
            name,
            access: Access::default(),
            propagation: None,
            relabel: None,
            chown: false,
            no_copy_up: false,
            overlay: false,
            subpath: None,
            backing: Backing::Folder,
        }
    }

    pub(super) fn with(name: Option<String>, shared: &Choices<'_>) -> Self {
        Self {
            access: shared.access,
            propagation: shared.propagation,
            relabel: shared.relabel,
            chown: shared.chown.unwrap_or(false),
            ..Self::plain(name)
        }
    }
}

/// The files of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageMount {
    /// Name or id.
    pub image: String,
    /// Writes are possible, and thrown away with the container.
    pub writable: bool,
    /// Only this of it appears.
    pub subpath: Option<PathBuf>,
}

/// `type=volume`.
pub(super) fn volume(written: &str, fields: &[&str]) -> Result<Mount, MountError> {
    let mut shared = Choices::new(written);
    let mut target = mount::Destination::default();
    let mut name: Option<String> = None;
    let mut subpath = None;
    for field in fields {
        let (key, value) = cut(field);
        match key {
            "src" | "source" => {
                let text = required(key, value)?;
                if text.is_empty() {
                    return Err(MountError::EmptySource);
                }
                name = shared.once(name.take(), text.to_owned(), "'source'")?;
            }
            "target" | "dst" | "dest" | "destination" => target.set(written, key, value)?,
            "subpath" | "volume-subpath" => {
                let path = PathBuf::from(required(key, value)?);
                subpath = shared.once(subpath.take(), path, "'subpath'")?;
            }
            "U" | "chown" => {
                shared.chown = shared.once(shared.chown, boolean(key, value)?, "'U' or 'chown'")?;
            }
            "volume-label" | "volume-opt" => return Err(MountError::NotYet(format!("--mount {key}"))),
            "idmap" => return Err(MountError::RootOnly("an id-mapped mount")),
            "consistency" => {}
            _ => mount::access(&mut shared, "volume", field)?,
        }
    }
    let volume = Named { subpath, ..Named::with(name, &shared) };
    Ok(Mount { target: target.finish()?, what: What::Volume(volume) })
}

/// `type=image`.
pub(super) fn image(written: &str, fields: &[&str]) -> Result<Mount, MountError> {
    let mut target = mount::Destination::default();
    let mut asked = ImageMount { image: String::new(), writable: false, subpath: None };
    for field in fields {
        let (key, value) = cut(field);
        match key {
            "src" | "source" => required(key, value)?.clone_into(&mut asked.image),
            "target" | "dst" | "dest" | "destination" => target.set(written, key, value)?,
            "rw" | "readwrite" => asked.writable = boolean(key, value)?,
            "subpath" => {
                let path = PathBuf::from(required(key, value)?);
                if !path.is_absolute() {
                    return Err(MountError::RelativeSubpath(path.to_string_lossy().into_owned()));
                }
                asked.subpath = Some(path);
            }
            "consistency" => {}
            _ => return Err(MountError::UnknownOption(key.to_owned())),
        }
    }
    if asked.image.is_empty() {
        return Err(MountError::NoImage);
    }
    Ok(Mount { target: target.finish()?, what: What::Image(asked) })
}
