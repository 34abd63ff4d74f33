//! Go's `text/template`, which `--format` speaks.
//!
//! # Theory of operation
//! [`lex`] cuts the text into tokens, [`parse`] makes a tree of them, [`exec`] walks the tree over a [`Value`] and
//! [`print`] shows what it finds as Go's `fmt` would. [`Report`] is what podman builds on top: tables, headers, and the
//! ways to ask for JSON.
//!
//! # Invariants
//! What comes out, errors included, is what Go prints; a corpus of templates run by Go holds us to that. A foreign
//! template cannot panic, hang or exhaust memory: nesting, steps and output are bounded.

mod exec;
mod funcs;
mod lex;
mod node;
mod parse;
mod print;
pub mod quote;
mod report;
mod time;
mod value;

pub use report::{Format, Report, asks_for_json, headers};
pub use time::Time;
pub use value::{Element, Field, Func, List, Map, Struct, Value};

use parse::Set;

/// How deep actions, parentheses and templates that call templates may nest.
const MAX_NESTING: usize = 100;
/// How many nodes may be visited.
const MAX_STEPS: usize = 5_000_000;
/// How long the output may get.
const MAX_OUTPUT: usize = 64 << 20;

/// A template does not parse, or cannot be run on its data. The message is Go's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TemplateError(String);

/// A parsed template.
#[derive(Debug, Clone)]
pub struct Template {
    name: String,
    text: String,
    set: Set,
}

impl Template {
    /// Parses a text; errors call the template by the name.
    ///
    /// # Errors
    /// If the text is not a template.
    pub fn parse(name: &str, text: &str) -> Result<Self, TemplateError> {
        Ok(Self { name: name.to_owned(), text: text.to_owned(), set: parse::parse(name, text)? })
    }

    /// Runs it over some data.
    ///
    /// # Errors
    /// If the template asks for what the data does not have.
    pub fn render(&self, data: &Value) -> Result<String, TemplateError> {
        exec::run(&self.set, &self.name, &self.text, data)
    }
}
