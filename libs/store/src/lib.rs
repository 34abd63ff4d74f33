//! Images and layers on disk: blobs, trees, and the ways in and out of the store.
#![forbid(unsafe_code)]

pub mod tar;
