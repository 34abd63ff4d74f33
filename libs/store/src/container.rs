//! What containers need of the store: which image and which layers they stand on.
//!
//! Records of containers are written by the pods crate, one directory each with a `record.json`; of those this
//! module reads nothing but the claims. Records that persist lie under DATA, those of this boot under RUN: of fleeting
//! containers, which count as long as somebody supervises them, and of transient ones, which count until the next boot.

use ctr_core::Digest;
use ctr_core::boot::BootId;
use ctr_core::file;
use ctr_core::limits;
use ctr_core::lock::Lock;
use serde::Deserialize;

use crate::{ImageId, Layout, Store, StoreError, names_in};

/// The name of a record in its directory.
pub const RECORD: &str = "record.json";

/// The name of the lock that its supervisor holds, beside a record of this boot.
pub const LOCK: &str = "lock";

/// What a container needs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Claim {
    /// The container.
    pub id: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// The image that it was made from; containers of a root file system have none.
    #[serde(default)]
    pub image: Option<ImageId>,
    /// The layers below it.
    #[serde(default)]
    pub layers: Vec<Digest>,
    /// What is mounted into it.
    #[serde(default)]
    mounts: Vec<Mounted>,
    /// The boot in which it was made.
    #[serde(default)]
    boot_id: Option<BootId>,
}

/// How long a record counts.
#[derive(Clone, Copy)]
enum Lasts {
    Always,
    UntilBoot,
    WhileSupervised,
}

/// What the store reads of a mount.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Mounted {
    /// The volume that it is, if it is one.
    #[serde(default)]
    volume: Option<String>,
}

impl Claim {
    /// The names of the volumes that it uses.
    pub fn volumes(&self) -> impl Iterator<Item = &str> {
        self.mounts.iter().filter_map(|mount| mount.volume.as_deref())
    }
}

impl Store {
    /// Returns the claims of all containers. A record that is not understood claims nothing: there is nothing to
    /// start it from.
    pub fn claims(&self) -> Result<Vec<Claim>, StoreError> {
        self.layout().claims()
    }

    /// The claims of all containers that may stand on the images of this store, be they of another one.
    pub(crate) fn claims_on_images(&self) -> Result<Vec<Claim>, StoreError> {
        let mut claims = Vec::new();
        for user in self.layout().users()? {
            claims.extend(user.claims()?);
        }
        Ok(claims)
    }

    /// Returns the containers that were made from an image.
    pub fn users_of(&self, id: ImageId) -> Result<Vec<Claim>, StoreError> {
        let mut claims = self.claims_on_images()?;
        claims.retain(|claim| claim.image == Some(id));
        Ok(claims)
    }
}

impl Layout {
    pub(crate) fn claims(&self) -> Result<Vec<Claim>, StoreError> {
        let mut claims = Vec::new();
        for (folder, lasts) in [
            (self.containers(), Lasts::Always),
            (self.transient_containers(), Lasts::UntilBoot),
            (self.run_containers(), Lasts::WhileSupervised),
        ] {
            for name in names_in(&folder)? {
                let path = folder.join(name).join(RECORD);
                let bytes = match file::read(&path, limits::RECORD) {
                    Ok(bytes) => bytes,
                    // Beside the records lie locks.
                    Err(error) if error.is_missing() || error.is_below_a_file() => continue,
                    Err(error) => return Err(error.into()),
                };
                let Ok(claim) = serde_json::from_slice::<Claim>(&bytes) else { continue };
                // What is garbage claims nothing.
                let counts = match (lasts, &claim.boot_id) {
                    (Lasts::Always, _) | (Lasts::UntilBoot, None) => true,
                    (Lasts::UntilBoot, Some(boot)) => boot.is_current()?,
                    (Lasts::WhileSupervised, _) => Lock::is_held(&path.with_file_name(LOCK))?,
                };
                if counts {
                    claims.push(claim);
                }
            }
        }
        Ok(claims)
    }
}
