//! A volume's contents as an archive, out and in.

use std::io::{Read, Write};

use super::{Volume, VolumeError};
use crate::apply::{self, ApplyError, Options};
use crate::compression::Unpacked;
use crate::diff::{self, PackError};
use crate::overlay::View;

/// A volume could not be packed or unpacked.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The volume.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// Its contents cannot be packed.
    #[error("cannot pack the contents of the volume")]
    Pack(#[from] PackError),
    /// The archive is packed in a way that cannot be read.
    #[error("cannot decompress the archive")]
    Compression(#[source] std::io::Error),
    /// The archive cannot be unpacked.
    #[error("cannot unpack the archive into the volume")]
    Apply(#[from] ApplyError),
}

impl Volume {
    /// Writes all that is in a volume. Only in A.
    ///
    /// # Errors
    /// The contents cannot be read, or the archive not be written.
    pub fn export<W: Write>(&self, out: W) -> Result<W, ArchiveError> {
        Ok(diff::export(&View::plain(self.contents()?), out)?)
    }

    /// Adds what is in an archive, packed in whatever way, to a volume. Only in A.
    ///
    /// # Errors
    /// The archive is broken or hostile; what came before that is in the volume.
    pub fn import(&self, archive: impl Read) -> Result<(), ArchiveError> {
        let stream = Unpacked::new(archive).map_err(ArchiveError::Compression)?;
        let options = Options { plain: true, ..Options::default() };
        apply::layer(stream, &self.contents()?, &options)?;
        Ok(())
    }
}
