//! The images of a store with all that lists, filters and inspections want to know of them.

use std::collections::HashSet;

use ctr_cli::human::time::Timestamp;
use ctr_cli::report;
use ctr_core::{Digest, Reference};
use ctr_store::container::Claim;
use ctr_store::refs::{Names, Target};
use ctr_store::{Image, ImageId, Store};

use crate::ViewError;

/// An image or an index.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What it is.
    pub target: Target,
    /// The 64 digits that name it.
    pub id: String,
    /// Its names.
    pub names: Vec<Reference>,
    /// The digests of its manifests, that of its first name first.
    pub digests: Vec<Digest>,
    /// The image; an index has none.
    pub image: Option<Image>,
    /// What is wrong with it.
    pub damage: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    /// The bytes of its files.
    pub size: u64,
    /// The containers made from it.
    pub containers: Vec<Claim>,
    /// Whether it is only there as a part of an index.
    pub is_part: bool,
    /// The names that it had.
    pub history: Vec<String>,
    /// It is in an additional store.
    pub is_read_only: bool,
}

impl Entry {
    /// Whether nothing names it.
    pub fn is_dangling(&self) -> bool {
        self.names.is_empty() && !self.is_part
    }

    /// Whether it is an index.
    pub const fn is_index(&self) -> bool {
        matches!(self.target, Target::Index { .. })
    }

    /// The digest of the manifest that it goes by.
    pub fn digest(&self) -> Digest {
        self.digests.first().copied().unwrap_or_else(|| self.target.digest())
    }

    /// Its labels.
    pub fn labels(&self) -> std::collections::BTreeMap<String, String> {
        self.image.as_ref().map(|image| image.config.config.labels.clone()).unwrap_or_default()
    }

    /// `repository@digest`, for each repository that it has a name in.
    pub fn repo_digests(&self) -> Vec<String> {
        let mut all = Vec::new();
        for name in &self.names {
            for digest in &self.digests {
                let text = format!("{}@{digest}", name.name);
                if !all.contains(&text) {
                    all.push(text);
                }
            }
        }
        all
    }

    /// Its names as text.
    pub fn name_texts(&self) -> Vec<String> {
        self.names.iter().map(ToString::to_string).collect()
    }
}

/// Lists all images and all indexes that have a name, those of additional stores after our own.
pub fn all(store: &Store) -> Result<Vec<Entry>, ViewError> {
    let claims = store.claims()?;
    let mut entries = of(store, &claims)?;
    for store in store.additional() {
        let there = of(store, &claims)?;
        entries.extend(there.into_iter().map(|entry| Entry { is_read_only: true, ..entry }));
    }
    Ok(entries)
}

/// The same of this store alone: what can be removed.
pub fn own(store: &Store) -> Result<Vec<Entry>, ViewError> {
    of(store, &store.claims()?)
}

fn of(store: &Store, claims: &[Claim]) -> Result<Vec<Entry>, ViewError> {
    let names = store.names()?;
    let (mut entries, parts) = indexes(store, &names)?;
    for listed in store.images()? {
        entries.push(image(store, &names, claims, &parts, listed.id, listed.image)?);
    }
    Ok(entries)
}

/// The entry of one image.
pub fn one(store: &Store, id: ImageId) -> Result<Entry, ViewError> {
    let names = store.names_of_all()?;
    let claims = store.claims()?;
    image(store, &names, &claims, &HashSet::new(), id, store.image(id))
}

fn image(
    store: &Store,
    names: &Names,
    claims: &[Claim],
    parts: &HashSet<ImageId>,
    id: ImageId,
    found: Result<Image, ctr_store::image::ImageError>,
) -> Result<Entry, ViewError> {
    let named: Vec<_> = names.of(id).collect();
    let mut digests: Vec<Digest> = Vec::new();
    let first = found.as_ref().ok().map(|image| image.manifest);
    let known = store.manifests(id)?;
    for digest in named.iter().map(|named| named.target.digest()).chain(first).chain(known) {
        if !digests.contains(&digest) {
            digests.push(digest);
        }
    }
    let damage = found.as_ref().err().map(|error| report::chain(error));
    let image = found.ok();
    Ok(Entry {
        target: Target::Image { id, manifest: digests.first().copied().unwrap_or_else(|| id.digest()) },
        id: id.to_string(),
        names: named.iter().map(|named| named.name.clone()).collect(),
        digests,
        created: image.as_ref().map_or(Timestamp::from_seconds(0), created),
        size: image.as_ref().map_or(0, |image| image.size),
        damage,
        containers: claims.iter().filter(|claim| claim.image == Some(id)).cloned().collect(),
        is_part: named.is_empty() && parts.contains(&id),
        history: store.name_history(id),
        is_read_only: false,
        image,
    })
}

/// When an image says that it was made; the beginning of time if it does not.
fn created(image: &Image) -> Timestamp {
    let text = image.config.created.as_deref().unwrap_or_default();
    Timestamp::parse(text).unwrap_or(Timestamp::from_seconds(0))
}

/// The indexes, and the images that are in them.
fn indexes(store: &Store, names: &Names) -> Result<(Vec<Entry>, HashSet<ImageId>), ViewError> {
    let mut parts = HashSet::new();
    let mut entries = Vec::new();
    for digest in store.indexes()? {
        let target = Target::Index { digest };
        let stored = store.index(&digest);
        let ids: Vec<_> =
            stored.iter().flat_map(|stored| stored.here.values()).filter_map(image_id).collect();
        let images: Vec<_> = ids.iter().filter_map(|id| store.image(*id).ok()).collect();
        parts.extend(ids);
        let named = names.good.iter().filter(|named| named.target == target);
        entries.push(Entry {
            target,
            id: digest.hex(),
            names: named.map(|named| named.name.clone()).collect(),
            digests: vec![digest],
            image: None,
            damage: stored.err().map(|error| report::chain(&error)),
            created: images.iter().map(created).max().unwrap_or(Timestamp::from_seconds(0)),
            size: images.iter().map(|image| image.size).sum(),
            containers: Vec::new(),
            is_part: false,
            history: Vec::new(),
            is_read_only: false,
        });
    }
    Ok((entries, parts))
}

fn image_id(target: &Target) -> Option<ImageId> {
    match target {
        Target::Image { id, .. } => Some(*id),
        Target::Index { .. } => None,
    }
}
