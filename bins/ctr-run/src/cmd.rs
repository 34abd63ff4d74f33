//! The verbs, one module each.

pub mod doctor;
mod format;
pub mod info;
pub mod system;
pub mod unshare;
pub mod version;
