//! What is told of a copy while it goes on.

use std::fmt::Debug;

use ctr_core::lock::Waiting;
use ctr_core::oci::Descriptor;

/// Something that happened.
#[derive(Debug, Clone, Copy)]
pub enum News<'a> {
    /// A blob is on its way; so much of it was here already.
    Blob(&'a Descriptor, u64),
    /// A blob need not come: it is here.
    Here(&'a Descriptor),
    /// Another process fetches the blob, and is waited for.
    Waits(&'a Descriptor, &'a Waiting),
    /// All blobs of an image are there, and this is its config.
    Config(&'a Descriptor),
    /// The manifest is written.
    Manifest,
}

/// Who hears it, from several threads.
pub trait Watcher: Sync + Debug {
    /// Hears of it.
    fn hear(&self, news: News<'_>);
}

/// Hears nothing.
#[derive(Debug, Clone, Copy)]
pub struct Deaf;

impl Watcher for Deaf {
    fn hear(&self, _news: News<'_>) {}
}
