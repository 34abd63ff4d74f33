//! TOML, as the configuration files of containers are written in it.
//!
//! All of TOML 1.0 is understood, and of 1.1 the line ends and last commas in inline tables, since the peers' reader
//! takes them. Moments are kept as text: no file of ours has one. The whole file is read before anything is
//! believed, and what it can cost is bounded: the caller bounds its bytes, [`DEPTH`] how deep it nests.

mod scan;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::BTreeMap;

use scan::Scanner;
use tree::Tree;

/// How deep tables and lists may nest.
pub const DEPTH: usize = 32;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A string.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// A date, a time, or both, as it was written.
    Moment(String),
    /// A list.
    List(Vec<Self>),
    /// A table.
    Table(Table),
}

/// A table.
pub type Table = BTreeMap<String, Value>;

impl Value {
    /// What it is, in the words of an error.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "string",
            Self::Integer(_) => "integer",
            Self::Float(_) => "float",
            Self::Bool(_) => "boolean",
            Self::Moment(_) => "datetime",
            Self::List(_) => "array",
            Self::Table(_) => "table",
        }
    }
}

/// Text that is no TOML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TomlError {
    /// The line, from 1.
    pub line: usize,
    /// The key that was read last, with those of its tables.
    pub key: String,
    /// What is wrong.
    pub problem: String,
}

impl std::fmt::Display for TomlError {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "line {}", self.line)?;
        if !self.key.is_empty() {
            write!(to, " (last key {:?})", self.key)?;
        }
        write!(to, ": {}", self.problem)
    }
}

impl std::error::Error for TomlError {}

/// What is wrong, before the line is known.
type Problem = String;

/// Reads a file.
///
/// # Errors
/// The first line that is no TOML, or that defines something a second time.
pub fn parse(text: &str) -> Result<Table, TomlError> {
    let mut scanner = Scanner::new(text);
    let mut tree = Tree::default();
    let mut last = Vec::new();
    match statements(&mut scanner, &mut tree, &mut last) {
        Ok(()) => Ok(tree.into_table()),
        Err(problem) => Err(TomlError { line: scanner.line(), key: last.join("."), problem }),
    }
}

fn statements(scanner: &mut Scanner<'_>, tree: &mut Tree, last: &mut Vec<String>) -> Result<(), Problem> {
    let mut table = Vec::new();
    loop {
        scanner.skip_blank();
        if scanner.is_at_end() {
            return Ok(());
        }
        if scanner.take('[') {
            let many = scanner.take('[');
            table = scanner.key()?;
            last.clone_from(&table);
            scanner.expect(']')?;
            if many {
                scanner.expect_next(']')?;
                tree.open_next(&table)?;
            } else {
                tree.open(&table)?;
            }
        } else {
            let key = scanner.key()?;
            last.clone_from(&table);
            last.extend(key.iter().cloned());
            scanner.expect('=')?;
            let value = scanner.value(table.len() + key.len())?;
            tree.set(&table, &key, value)?;
        }
        scanner.end_of_line()?;
    }
}
