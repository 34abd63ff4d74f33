//! From what a user types to an image.
//!
//! # Theory of operation
//! In this order: `sha256:` and an id; a full name; a short name in `localhost/`, then in docker.io, then the end of
//! any name (`app` finds `quay.io/team/app`); an id or the beginning of one. A name wins over an id that looks
//! like it. `name@digest` finds what has that digest and a name in that repository.

use ctr_core::id::{Match, by_prefix, is_hex};
use ctr_core::reference::{LOCALHOST, ShortName, Spelling};
use ctr_core::{Digest, Foreign, Platform, Reference};

use crate::image::ImageError;
use crate::layer::digest_of_folder;
use crate::refs::{Named, Target};
use crate::{Image, ImageId, Store, StoreError, names_in};

/// No image was found.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// Nothing has this name or id.
    #[error("{}: image not known", .name.for_terminal())]
    Unknown {
        /// What was typed.
        name: Foreign,
    },
    /// Several ids begin so.
    #[error("{prefix}: several images begin so, {} and {} among them", first.short(), second.short())]
    Ambiguous {
        /// What was typed.
        prefix: String,
        /// One of them.
        first: ImageId,
        /// Another.
        second: ImageId,
    },
    /// It is here, but not for this platform.
    #[error("the image {} is here for {found}, and not for {wanted}", .name.for_terminal())]
    Platform {
        /// What was typed.
        name: Foreign,
        /// What is here.
        found: String,
        /// What was asked for.
        wanted: Platform,
    },
    /// The image is damaged.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ResolveError {
    /// Returns whether nothing has the name, so that a pull may help.
    #[must_use]
    pub const fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown { .. })
    }
}

/// What a user's words lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// The image or index.
    pub target: Target,
    /// The name, where it was found by one.
    pub name: Option<Reference>,
}

impl Store {
    /// Finds an image; without a platform, an index means this machine's and a single image is taken as it is.
    ///
    /// A name costs two small reads. Hold [`Store::reading`] until a record names the layers.
    pub fn resolve(&self, text: &str, platform: Option<&Platform>) -> Result<Image, ResolveError> {
        let found = self.lookup(text)?;
        let mut image = match found.target {
            Target::Image { id, manifest } => Image { manifest, ..self.image(id)? },
            Target::Index { digest } => self.choose(text, &digest, platform.unwrap_or(&Platform::host()))?,
        };
        if let Some(wanted) = platform
            && !wanted.accepts(&image.config.platform())
        {
            let found = image.config.platform().to_string();
            return Err(ResolveError::Platform { name: text.into(), found, wanted: wanted.clone() });
        }
        image.name = found.name;
        Ok(image)
    }

    /// Chooses the image of a platform from an index.
    fn choose(&self, text: &str, digest: &Digest, wanted: &Platform) -> Result<Image, ResolveError> {
        let stored = self.index(digest)?;
        let entry = stored.index.select(wanted);
        let target = entry.and_then(|entry| stored.here.get(&entry.digest.to_string()));
        match target {
            Some(Target::Image { id, manifest }) => Ok(Image { manifest: *manifest, ..self.image(*id)? }),
            _ => {
                let here =
                    |entry: &&ctr_core::oci::Descriptor| stored.here.contains_key(&entry.digest.to_string());
                let platform = |entry: &ctr_core::oci::Descriptor| {
                    entry.platform.as_ref().map(|it| it.platform().to_string())
                };
                let found: Vec<_> = stored.index.manifests.iter().filter(here).filter_map(platform).collect();
                let found = if found.is_empty() { "no platform".to_owned() } else { found.join(", ") };
                Err(ResolveError::Platform { name: text.into(), found, wanted: wanted.clone() })
            }
        }
    }

    /// Finds what a user's words lead to, in this store or an additional one.
    pub fn lookup(&self, text: &str) -> Result<Lookup, ResolveError> {
        let mut found = self.own_lookup(text);
        for store in self.additional() {
            if !found.as_ref().is_err_and(ResolveError::is_unknown) {
                break;
            }
            found = store.own_lookup(text);
        }
        found
    }

    /// The same, in this store alone.
    pub(crate) fn own_lookup(&self, text: &str) -> Result<Lookup, ResolveError> {
        if let Some(id) = text.strip_prefix("sha256:") {
            return self.by_id(text, id);
        }
        if let Some(found) = self.by_name(text)? {
            return Ok(found);
        }
        self.by_id(text, text)
    }

    fn by_name(&self, text: &str) -> Result<Option<Lookup>, ResolveError> {
        // What is no reference may still be an id.
        let Ok(spelling) = Spelling::parse(text) else { return Ok(None) };
        let digest = match &spelling {
            Spelling::Full(reference) => reference.digest,
            Spelling::Short(short) => short.digest,
        };
        if let Some(digest) = digest {
            return self.by_digest(&spelling, digest);
        }
        let candidates = match &spelling {
            Spelling::Full(reference) => vec![reference.clone().or_latest()],
            Spelling::Short(short) => {
                let local = short.at(LOCALHOST).ok().into_iter();
                local.chain([short.at_docker()]).map(Reference::or_latest).collect()
            }
        };
        for name in candidates {
            if let Some(target) = self.target(&name)? {
                return Ok(Some(Lookup { target, name: Some(name) }));
            }
        }
        match spelling {
            Spelling::Full(_) => Ok(None),
            Spelling::Short(short) => self.by_ending(&short),
        }
    }

    /// Finds a name that ends with a short one, at the boundary of a component.
    fn by_ending(&self, short: &ShortName) -> Result<Option<Lookup>, ResolveError> {
        let tag = short.tag.clone().unwrap_or_else(ctr_core::reference::Tag::latest);
        let ending = format!("/{}", short.path());
        let fits = |named: &&Named| {
            named.name.tag.as_ref() == Some(&tag) && format!("/{}", named.name.name.path()).ends_with(&ending)
        };
        let names = self.names()?;
        Ok(names
            .good
            .iter()
            .find(fits)
            .map(|named| Lookup { target: named.target, name: Some(named.name.clone()) }))
    }

    /// Finds `name@digest`: what was given the name's repository and has the digest, whatever the tag.
    fn by_digest(&self, spelling: &Spelling, digest: Digest) -> Result<Option<Lookup>, ResolveError> {
        let in_repository = |name: &Reference| match spelling {
            Spelling::Full(reference) => name.name == reference.name,
            Spelling::Short(short) => {
                format!("/{}", name.name.path()).ends_with(&format!("/{}", short.path()))
            }
        };
        for named in self.names()?.good.into_iter().filter(|named| in_repository(&named.name)) {
            let target = match named.target {
                target if target.digest() == digest => Some(target),
                Target::Image { id, .. } if self.manifests(id)?.contains(&digest) => {
                    Some(Target::Image { id, manifest: digest })
                }
                Target::Image { .. } => None,
                Target::Index { digest: index } => {
                    self.index(&index).ok().and_then(|stored| stored.here.get(&digest.to_string()).copied())
                }
            };
            if let Some(target) = target {
                return Ok(Some(Lookup { target, name: Some(named.name.canonical(digest)) }));
            }
        }
        Ok(None)
    }

    fn by_id(&self, text: &str, prefix: &str) -> Result<Lookup, ResolveError> {
        let unknown = || ResolveError::Unknown { name: text.into() };
        if !is_hex(prefix) || prefix.len() > 64 {
            return Err(unknown());
        }
        let mut ids = names_in(&self.layout().images()).map_err(StoreError::from)?;
        ids.extend(names_in(&self.layout().indexes()).map_err(StoreError::from)?);
        let id = |name: &String| ImageId::parse(name).map_err(|_not_ours| unknown());
        match by_prefix(prefix, &ids) {
            Match::None => Err(unknown()),
            Match::One(name) if self.layout().indexes().join(name).is_dir() => {
                let digest = digest_of_folder(name).ok_or_else(unknown)?;
                Ok(Lookup { target: Target::Index { digest }, name: None })
            }
            Match::One(name) => {
                let id = id(name)?;
                // A damaged image still has an id, by which it can be removed.
                let manifest = self.image(id).map_or(id.digest(), |image| image.manifest);
                Ok(Lookup { target: Target::Image { id, manifest }, name: None })
            }
            Match::Several(first, second) => Err(ResolveError::Ambiguous {
                prefix: text.to_owned(),
                first: id(first)?,
                second: id(second)?,
            }),
        }
    }
}
