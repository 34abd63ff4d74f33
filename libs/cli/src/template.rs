//! Go's `text/template`, as `--format` takes it.
//!
//! # Theory of operation
//! A text is cut into tokens (`lex`), parsed into nodes (`parse`) and executed over a [`Value`] (`exec`). Values know
//! their Go types, so that they print (`print`, `printf`), compare and fail as they do in podman: scripts read the
//! output, test suites the errors. A corpus made with Go's own package is the judge (`tests/corpus`).
//!
//! # Invariants
//! No template and no value makes this panic, run on or exhaust the stack: nesting, steps and output are limited.
//!
//! # Reports
//! [`Report`] is what podman builds on top: tables, headers, and the ways to ask for JSON.

mod compare;
mod escape;
mod exec;
mod float;
mod functions;
mod lex;
mod methods;
mod node;
mod parse;
mod print;
mod printf;
pub mod quote;
mod report;
mod unquote;
mod value;

pub use crate::human::time::Timestamp as Time;
pub(crate) use float::json as json_float;
use functions::Functions;
use parse::Templates;
pub use report::{Format, Report, asks_for_json, headers};
pub use value::{Field, Func, List, Map, Struct, Type, Value};

/// How many bytes a template may write.
pub(crate) const LIMIT: usize = 16 << 20;

/// How long a template may be.
const LONGEST: usize = 1 << 20;

/// A template that cannot be parsed or executed, in Go's words.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct TemplateError(String);

/// A template.
#[derive(Debug, Clone)]
pub struct Template {
    name: String,
    text: String,
    templates: Templates,
    functions: Functions,
}

impl Template {
    /// Parses a text. The name is that of the verb, and stands in errors.
    ///
    /// # Errors
    /// The text is no template.
    pub fn parse(name: &str, text: &str) -> Result<Self, TemplateError> {
        if text.len() > LONGEST {
            return Err(TemplateError(format!("template: {name}: longer than {LONGEST} bytes")));
        }
        let functions = Functions::new();
        let templates = parse::parse(name, text, &|name| functions.has(name)).map_err(TemplateError)?;
        Ok(Self { name: name.to_owned(), text: text.to_owned(), templates, functions })
    }

    /// Executes the template over a value.
    ///
    /// # Errors
    /// The template asks for what the value does not have, or exceeds a limit.
    pub fn render(&self, data: &Value) -> Result<String, TemplateError> {
        let bytes = self.render_bytes(data)?;
        Ok(String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    /// Executes the template over a value. Slices of texts may have cut a letter.
    ///
    /// # Errors
    /// The template asks for what the value does not have, or exceeds a limit.
    pub fn render_bytes(&self, data: &Value) -> Result<Vec<u8>, TemplateError> {
        let program = exec::Program {
            name: &self.name,
            text: &self.text,
            templates: &self.templates,
            functions: &self.functions,
        };
        exec::execute(program, data).map_err(TemplateError)
    }
}

#[cfg(test)]
mod tests;
