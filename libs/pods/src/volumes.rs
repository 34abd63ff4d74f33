//! Which volumes a container has: those it was asked to have, its image's, and another container's.
//!
//! # Theory of operation
//! Before a container's record is written, in U, [`settle`] turns what was asked for into what is mounted: volumes of the
//! image and of other containers are added (what was asked for takes their place), volumes that nobody named get a name,
//! those that are not there are made, images are looked up. The result is a request like any other, in which nothing is
//! left to decide, so that a later start of the same container mounts the same.
//!
//! What is found is held until the record names it. A start that fails, and the end of a container that nobody keeps,
//! take along the volumes that have no name ([`discard`]).

pub mod filter;

use serde::{Deserialize, Serialize};
use std::borrow::Cow;

use ctr_core::Digest;
use ctr_core::file::FileError;
use ctr_core::lock::Lock;
use ctr_store::volume::{self, Backing, Held, NewVolume, VolumeError};
use ctr_store::{Image, ResolveError, Store};

use crate::containers::{Containers, ContainersError};
use crate::mounts::{Access, Bind, Mount, MountError, Named, Propagation, Target, Tmpfs, What, arrange};
use crate::record::MountRecord;
use crate::request::Request;

/// Volumes cannot be had as they were asked for.
#[derive(Debug, thiserror::Error)]
pub enum VolumesError {
    /// A volume.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// Two on one place.
    #[error(transparent)]
    Mount(#[from] MountError),
    /// The image has a volume where none can be.
    #[error("the image's volume {path:?} cannot be mounted")]
    OfImage {
        /// As the image has it.
        path: String,
        /// Why.
        #[source]
        source: MountError,
    },
    /// `--volumes-from` of a container that is not there.
    #[error("looking up container {name:?} for volumes-from")]
    From {
        /// As it was written.
        name: String,
        /// Why.
        #[source]
        source: ContainersError,
    },
    /// Records.
    #[error(transparent)]
    Containers(#[from] ContainersError),
    /// A file of ours.
    #[error(transparent)]
    File(#[from] FileError),
    /// The store.
    #[error(transparent)]
    Store(#[from] ctr_store::StoreError),
    /// An image to mount.
    #[error(transparent)]
    Image(#[from] ResolveError),
    /// A volume in memory has one container at a time.
    #[error(
        "volume {name} is kept in memory and in use by container {user}: sharing it is not supported yet"
    )]
    Busy {
        /// The volume.
        name: String,
        /// Who has it.
        user: String,
    },
}

/// `--volumes-from` and `--image-volume` as they are written cannot be understood.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum WordError {
    /// An option beside ro, rw and z.
    #[error("invalid option {0:?} specified - volumes from another container can only use z,ro,rw options")]
    Option(String),
    /// One twice.
    #[error("cannot set ro or rw options more than once")]
    Access,
    /// `z` twice.
    #[error("cannot set :z more than once in mount options")]
    Label,
    /// A mode nobody knows.
    #[error("invalid image-volume type {0:?}. Pick one of anonymous, tmpfs, or ignore")]
    Mode(String),
}

/// What becomes of the volumes of an image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImageVolumes {
    /// Each is a volume without a name.
    #[default]
    Anonymous,
    /// Each is memory.
    Tmpfs,
    /// They are folders like any other.
    Ignore,
}

impl ImageVolumes {
    /// Reads `--image-volume`; `bind` is what Docker and older versions called the first.
    ///
    /// # Errors
    /// It is none of them.
    pub fn parse(text: &str) -> Result<Self, WordError> {
        match text.to_ascii_lowercase().as_str() {
            "" | "anonymous" | "bind" => Ok(Self::Anonymous),
            "tmpfs" => Ok(Self::Tmpfs),
            "ignore" => Ok(Self::Ignore),
            _ => Err(WordError::Mode(text.to_owned())),
        }
    }
}

/// `--volumes-from CTR[:ro|rw|z]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumesFrom {
    /// Name or id.
    pub container: String,
    /// `ro` or `rw`; else as that container has them.
    pub read_only: Option<bool>,
    /// `z`.
    pub shared_label: bool,
}

impl VolumesFrom {
    /// Reads one.
    ///
    /// # Errors
    /// An option is unknown, or there twice.
    pub fn parse(text: &str) -> Result<Self, WordError> {
        let (container, options) = text.split_once(':').unwrap_or((text, ""));
        let mut from = Self { container: container.to_owned(), read_only: None, shared_label: false };
        for option in options.split(',').filter(|option| !option.is_empty()) {
            match option {
                "ro" | "rw" if from.read_only.is_some() => return Err(WordError::Access),
                "ro" | "rw" => from.read_only = Some(option == "ro"),
                "z" if from.shared_label => return Err(WordError::Label),
                "z" => from.shared_label = true,
                other => return Err(WordError::Option(other.to_owned())),
            }
        }
        Ok(from)
    }
}

/// What was found, and keeps it until the container's record names it.
#[derive(Debug)]
pub struct Found {
    /// Layers of images that are mounted.
    pub layers: Vec<Digest>,
    /// The volumes.
    pub held: Vec<Held>,
}

/// What keeps all that a container needs, until its record does: images, and volumes.
pub type Naming = (Lock, Vec<Held>);

/// Decides about the volumes of a container.
///
/// # Errors
/// One cannot be had; those that were made for it alone are gone again.
pub fn settle<'r>(
    store: &Store,
    containers: &Containers,
    request: &'r Request,
    image: Option<&Image>,
    now: u64,
) -> Result<(Cow<'r, Request>, Found), VolumesError> {
    let mut found = Found { layers: Vec::new(), held: Vec::new() };
    let of_image = image.map(|image| of_image(request, image)).transpose()?.unwrap_or_default();
    let needs_us = |mount: &Mount| matches!(mount.what, What::Volume(_) | What::Image(_));
    let storage = &request.storage;
    if of_image.is_empty() && storage.volumes_from.is_empty() && !storage.mounts.iter().any(needs_us) {
        return Ok((Cow::Borrowed(request), found));
    }
    let mut request = request.clone();
    let mut mounts = of_image;
    for from in std::mem::take(&mut request.storage.volumes_from) {
        supersede(&mut mounts, of_container(containers, &from)?);
    }
    request.storage.image_volumes = ImageVolumes::Ignore;
    supersede(&mut mounts, std::mem::take(&mut request.storage.mounts));
    let settled = each(store, containers, &mut mounts, &mut found, now);
    if let Err(error) = settled {
        let names: Vec<String> = names(&mounts).map(str::to_owned).collect();
        found.held.clear();
        discard(store, &names)?;
        return Err(error);
    }
    request.storage.mounts = arrange(mounts)?;
    Ok((Cow::Owned(request), found))
}

/// Puts mounts in the place of others.
fn supersede(mounts: &mut Vec<Mount>, others: Vec<Mount>) {
    mounts.retain(|mount| others.iter().all(|other| other.target != mount.target));
    mounts.extend(others);
}

fn each(
    store: &Store,
    containers: &Containers,
    mounts: &mut [Mount],
    found: &mut Found,
    now: u64,
) -> Result<(), VolumesError> {
    for mount in mounts.iter_mut() {
        match &mut mount.what {
            What::Image(asked) => {
                let image = store.resolve(&asked.image, None)?;
                asked.image = image.id.to_string();
                found.layers.extend(image.layers);
            }
            What::Volume(asked) => {
                let held = hold(store, asked, now)?;
                if matches!(held.volume.record.backing, Backing::Tmpfs { .. }) {
                    alone(store, containers, &held.volume.record.name)?;
                }
                asked.backing = held.volume.record.backing.clone();
                found.held.push(held);
            }
            _ => {}
        }
    }
    Ok(())
}

/// Finds or makes the volume of a mount.
fn hold(store: &Store, asked: &mut Named, now: u64) -> Result<Held, VolumesError> {
    let new = match &asked.name {
        Some(name) => NewVolume::plain(name.clone(), now),
        None => {
            let name = volume::random_name().map_err(VolumeError::Random)?;
            NewVolume { anonymous: true, ..NewVolume::plain(name, now) }
        }
    };
    let held = store.volumes().hold(&new)?;
    asked.name = Some(new.name);
    Ok(held)
}

/// What a mount namespace keeps in memory, another one cannot get hold of.
fn alone(store: &Store, containers: &Containers, name: &str) -> Result<(), VolumesError> {
    for claim in store.volume_users(name)? {
        let runs = match containers.find(&claim.id) {
            Ok(container) => container.is_running()?,
            Err(ContainersError::NotFound(_)) => false,
            Err(error) => return Err(error.into()),
        };
        if runs {
            return Err(VolumesError::Busy { name: name.to_owned(), user: claim.id });
        }
    }
    Ok(())
}

/// The volumes that an image says it has.
fn of_image(request: &Request, image: &Image) -> Result<Vec<Mount>, VolumesError> {
    let mode = request.storage.image_volumes;
    if mode == ImageVolumes::Ignore {
        return Ok(Vec::new());
    }
    let mut mounts: Vec<Mount> = Vec::new();
    for path in image.config.config.volumes.keys() {
        // Relative ones are relative to the root, as the peers have it.
        let target = Target::parse(&format!("/{}", path.trim_start_matches('/')))
            .map_err(|source| VolumesError::OfImage { path: path.clone(), source })?;
        let access = Access { exec: Some(true), ..Access::default() };
        let what = match mode {
            ImageVolumes::Tmpfs => What::Tmpfs(Tmpfs { access, no_copy_up: true, ..Tmpfs::default() }),
            _ => What::Volume(Named { access, ..Named::plain(None) }),
        };
        // Two spellings of one path are one volume.
        if mounts.iter().all(|mount| mount.target != target) {
            mounts.push(Mount { target, what });
        }
    }
    Ok(mounts)
}

/// The volumes of another container.
fn of_container(containers: &Containers, from: &VolumesFrom) -> Result<Vec<Mount>, VolumesError> {
    let container = containers
        .find(&from.container)
        .map_err(|source| VolumesError::From { name: from.container.clone(), source })?;
    container.record.mounts.iter().filter_map(|record| again(record, from).transpose()).collect()
}

/// A mount of another container, as one of this.
fn again(record: &MountRecord, from: &VolumesFrom) -> Result<Option<Mount>, VolumesError> {
    let says = |word: &str| record.options.iter().any(|option| option == word);
    let choice = |yes: &str, no: &str| if says(no) { Some(false) } else { says(yes).then_some(true) };
    let access = Access {
        read_only: Some(from.read_only.unwrap_or(!record.rw)),
        exec: choice("exec", "noexec"),
        suid: choice("suid", "nosuid"),
        dev: choice("dev", "nodev"),
    };
    let propagation = Propagation::parse(&record.propagation);
    let relabel = from.shared_label.then_some(crate::mounts::Relabel::Shared);
    let what = match (record.kind.as_str(), &record.volume) {
        ("volume", Some(name)) => {
            What::Volume(Named { access, propagation, relabel, ..Named::plain(Some(name.clone())) })
        }
        // The layer above a folder is that container's own.
        ("bind", _) if !says("O") => What::Bind(Bind {
            source: record.source.clone().into(),
            access,
            recursive: says("rbind"),
            propagation,
            relabel,
            chown: false,
            no_dereference: false,
        }),
        _ => return Ok(None),
    };
    Ok(Some(Mount { target: Target::parse(&record.destination)?, what }))
}

/// The names of the volumes among mounts.
pub fn names(mounts: &[Mount]) -> impl Iterator<Item = &str> {
    mounts.iter().filter_map(|mount| match &mount.what {
        What::Volume(volume) => volume.name.as_deref(),
        _ => None,
    })
}

/// Removes those of the volumes that nobody named and nobody else uses, after the record of their container. What is in
/// them is deleted here: only in A, unless nothing was ever put there.
///
/// # Errors
/// One cannot be removed; what is left of it is garbage.
pub fn discard(store: &Store, names: &[String]) -> Result<(), VolumesError> {
    if names.is_empty() {
        return Ok(());
    }
    let volumes = store.volumes();
    for name in names {
        match volumes.get(name) {
            Ok(volume) if volume.record.anonymous => {}
            Ok(_) | Err(VolumeError::NotFound(_)) => continue,
            Err(error) => return Err(error.into()),
        }
        match volumes.remove(name) {
            Ok(trash) => trash.delete()?,
            Err(VolumeError::InUse { .. } | VolumeError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
