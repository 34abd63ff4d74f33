//! The verbs, one module each.

pub mod doctor;
pub mod exists;
mod format;
pub mod info;
pub mod rm;
pub mod run;
mod select;
pub mod system;
pub mod unshare;
pub mod version;
