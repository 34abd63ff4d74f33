//! Objects of the store as users are shown them, by more than one program.
//!
//! `ctr-copy image inspect` and `ctr-run inspect` print the same of an image. Neither program may know the other, the
//! store knows nothing of templates, and what the user sees knows nothing of stores: so this crate is above both.
#![forbid(unsafe_code)]

pub mod changes;
pub mod diff;
pub mod filter;
mod glob;
pub mod image;
pub mod inspect;
pub mod listing;
pub mod place;
pub mod remote;
pub mod unused;
pub mod usage;

use ctr_cli::peers::Sentence;
use ctr_cli::report::CommandError;
use ctr_core::file::FileError;
use ctr_store::image::ImageError;
use ctr_store::{ResolveError, StoreError};

/// An object cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A file of ours.
    #[error(transparent)]
    File(#[from] FileError),
}

/// An image that was not found, or that something is wrong with.
#[must_use]
pub fn of_resolve(error: ResolveError) -> CommandError {
    match &error {
        ResolveError::Unknown { name } => {
            let sentence = Sentence::NoSuchImage(name.for_terminal());
            CommandError::user(error).peer(sentence)
        }
        _ => CommandError::user(error),
    }
}
