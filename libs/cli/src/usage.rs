//! Verbs, their flags, and what is said of them: parsing, mistakes and help pages in Podman's words and layout.
//!
//! A [`Verb`] is constant data. [`Verb::parse`] reads a command line as pflag does and counts its words as cobra does;
//! [`page`] prints the help that podman prints, [`crate::man`] makes manual pages of the same tables.

mod flag;
pub mod page;
mod parse;
mod parsed;
mod suggest;
mod values;
mod verb;

pub use flag::{Flag, Kind};
pub use parse::FlagError;
pub use parsed::Parsed;
pub use suggest::suggestions;
pub use verb::{Arity, ArityError, Reading, Verb};
pub(crate) use verb::{leading, wrong_flag};

/// Whether the text says yes, as Go reads it.
pub(crate) fn parse_bool(text: &str) -> bool {
    values::bool(text) == Ok(true)
}

/// A signed number, as Go reads it.
pub(crate) fn parse_int(text: &str) -> Option<i64> {
    values::int(text).ok()
}

/// A number, as Go reads it.
pub(crate) fn parse_uint(text: &str) -> Option<u64> {
    values::uint(text).ok()
}
