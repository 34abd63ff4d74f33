//! Copying files into containers, out of them, and between them.
//!
//! # Theory of operation
//! A container's files are reached below a handle on its root ([`crate::run::visit`]), which shows its volumes and binds
//! as well, and nothing of the container is asked or entered. Both sides are named as Podman's `cp` names them:
//!
//! ```text
//! target     source is a file              source is a directory        … whose path ends with /.
//! directory  goes into it                  goes into it                 what is in it goes into it
//! file       is replaced                   refused                      refused
//! nothing    is made; what is above it must be there, and a path with a slash at its end is refused
//! ```
//! A link at the end of a path is followed within its own side.
//!
//! # Process context
//! In A, which has the rights over the container's files.

mod owners;
mod tree;

use std::io::{BufWriter, Read, Write};
use std::path::PathBuf;

use ctr_core::rooted::TreeError;
use ctr_store::transfer::{ArchiveSink, Sink, Source, TransferError, TreeSink, archive, send};

use crate::containers::Container;
use crate::run::visit::{self, Visit, VisitError};
use crate::run::{AccountsError, Host, Note};
use crate::user::UserError;
use tree::{Tree, Wanted};

/// One side of a copy, as it was named.
#[derive(Debug)]
pub enum Side {
    /// A path of the host.
    Host(PathBuf),
    /// A path in a container, perhaps relative to where its command starts.
    Container(Box<Container>, PathBuf),
    /// `-`: an archive on standard input or output.
    Stream,
}

/// How to copy.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// `-a`: files in a container belong to its user; else owners are kept.
    pub archive: bool,
    /// `--overwrite`: directories are replaced by files, and files by directories.
    pub overwrite: bool,
}

/// Files could not be copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// Neither side is a container.
    #[error("invalid arguments: one of the two paths must be in a container")]
    NoContainer,
    /// Nothing at the path.
    #[error("{path:?} could not be found on {side}: no such file or directory")]
    Missing {
        /// As it was named.
        path: PathBuf,
        /// Whose.
        side: String,
    },
    /// A path that cannot be looked at.
    #[error("cannot look at {path:?} on {side}")]
    Unreadable {
        /// As it was named.
        path: PathBuf,
        /// Whose.
        side: String,
        /// Why.
        #[source]
        source: TreeError,
    },
    /// A directory onto a file.
    #[error("destination must be a directory when copying a directory")]
    ToFile,
    /// An archive onto a file, or nothing.
    #[error("destination must be a directory when copying from stdin")]
    StreamToFile,
    /// Something else on standard input.
    #[error("source must be a (compressed) tar archive when copying from stdin")]
    NoArchive,
    /// A pipe, a device.
    #[error("invalid destination: {0:?} must be a directory or a regular file")]
    Kind(PathBuf),
    /// The container's files.
    #[error(transparent)]
    Visit(#[from] VisitError),
    /// Its accounts.
    #[error(transparent)]
    Accounts(#[from] AccountsError),
    /// Its user.
    #[error(transparent)]
    User(#[from] UserError),
    /// On the way.
    #[error("copying to {to}")]
    Transfer {
        /// Whom.
        to: String,
        /// Why.
        #[source]
        source: TransferError,
    },
}

/// Copies. The streams are standard input and output, where one of them is a side.
///
/// # Errors
/// One side cannot be what it is to be, or something cannot be copied; what came before that is there.
pub fn copy(
    host: Host<'_>,
    (from, to): (&Side, &Side),
    options: Options,
    (input, output): (impl Read, impl Write),
    note: &mut dyn FnMut(Note),
) -> Result<(), CopyError> {
    let containers: Vec<&Container> = [from, to].into_iter().filter_map(Side::container).collect();
    if containers.is_empty() {
        return Err(CopyError::NoContainer);
    }
    let visit = visit::visit(host, &containers, note)?;
    // What is made has the mode of what it is a copy of.
    rustix::process::umask(rustix::fs::Mode::empty());
    match (from, to) {
        (Side::Stream, to) => unpacked(input, &to.tree(&visit)?, options),
        (from, Side::Stream) => packed(&from.tree(&visit)?, output),
        (from, to) => between(&from.tree(&visit)?, &to.tree(&visit)?, options),
    }
}

impl Side {
    fn container(&self) -> Option<&Container> {
        match self {
            Self::Container(container, _) => Some(container),
            Self::Host(_) | Self::Stream => None,
        }
    }

    fn tree<'a>(&'a self, visit: &'a Visit) -> Result<Tree<'a>, CopyError> {
        match self {
            Self::Host(path) => Tree::host(path),
            Self::Container(container, path) => {
                let gone = || VisitError::NotRunning(container.record.name.clone());
                Tree::container(visit.of(container).ok_or_else(gone)?, path)
            }
            Self::Stream => Err(CopyError::NoContainer),
        }
    }
}

/// From an archive to a tree.
fn unpacked(input: impl Read, to: &Tree<'_>, options: Options) -> Result<(), CopyError> {
    let spot = to.spot(Wanted::Folder).map_err(|error| match error {
        CopyError::Missing { .. } | CopyError::ToFile => CopyError::StreamToFile,
        other => other,
    })?;
    let owners = to.owners_of_numbers(!options.archive)?;
    let mut sink = TreeSink::new(to.anchor(&spot.folder)?, to.below(&spot.folder), options.overwrite);
    archive(input, owners.as_ref(), &mut sink).map_err(|source| match source {
        TransferError::NoArchive(_) => CopyError::NoArchive,
        other => to.failed(other),
    })
}

/// From a tree to an archive.
fn packed(from: &Tree<'_>, output: impl Write) -> Result<(), CopyError> {
    let found = from.source()?;
    let name = found.name.unwrap_or_else(|| ".".into());
    let owners = from.numbers();
    let mut sink = ArchiveSink::new(BufWriter::new(output));
    let source =
        Source { object: found.object, name: Some(&name), without: found.without, owners: owners.as_ref() };
    send(source, &mut sink).map_err(|source| CopyError::Transfer { to: "standard output".to_owned(), source })
}

/// From a tree to a tree.
fn between(from: &Tree<'_>, to: &Tree<'_>, options: Options) -> Result<(), CopyError> {
    let found = from.source()?;
    let spot = to.spot(if found.is_dir { Wanted::Either } else { Wanted::File })?;
    let name = spot.name.or(found.name);
    let owners = to.owners(from, !options.archive)?;
    let mut sink: Box<dyn Sink> =
        Box::new(TreeSink::new(to.anchor(&spot.folder)?, to.below(&spot.folder), options.overwrite));
    let source = Source {
        object: found.object,
        name: name.as_deref(),
        without: found.without,
        owners: owners.as_ref(),
    };
    send(source, sink.as_mut()).map_err(|source| to.failed(source))
}
