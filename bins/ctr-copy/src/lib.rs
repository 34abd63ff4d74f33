//! The verbs of `ctr-copy`: one module each, and what they share.
#![forbid(unsafe_code)]

mod changes;
pub mod cmd;
mod context;
mod error;
pub mod internal;

pub use cmd::COMMANDS;
