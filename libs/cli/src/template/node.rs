//! The parsed form of a template, and its text, as errors quote it.

use super::quote;
use std::fmt;
use std::rc::Rc;

/// Where something stands: bytes from the beginning.
pub(super) type Pos = usize;

/// A piece of a template that makes output.
#[derive(Debug)]
pub(super) enum Node {
    Text(Box<str>),
    Action(Pos, Pipe),
    If(Branch),
    With(Branch),
    Range(Branch),
    Template { pos: Pos, name: Rc<str>, pipe: Option<Pipe> },
    Break,
    Continue,
}

/// What `if`, `with` and `range` have in common.
#[derive(Debug)]
pub(super) struct Branch {
    pub(super) pipe: Pipe,
    pub(super) list: Vec<Node>,
    pub(super) otherwise: Option<Vec<Node>>,
}

/// A pipeline, with the variables that it declares or sets.
#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) pos: Pos,
    pub(super) assigns: bool,
    pub(super) variables: Vec<Rc<str>>,
    pub(super) commands: Vec<Command>,
}

/// A word and its arguments.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) pos: Pos,
    pub(super) args: Vec<Arg>,
}

/// A word.
#[derive(Debug)]
pub(super) struct Arg {
    pub(super) pos: Pos,
    pub(super) kind: ArgKind,
}

#[derive(Debug)]
pub(super) enum ArgKind {
    Bool(bool),
    Dot,
    Nil,
    Number(Number),
    String {
        quoted: Box<str>,
        text: Rc<[u8]>,
    },
    /// `.A.B`
    Field(Vec<Box<str>>),
    /// `$a.B`
    Variable(Rc<str>, Vec<Box<str>>),
    /// The name of a function.
    Function(Box<str>),
    /// `(…).A.B`
    Chain(Box<Arg>, Vec<Box<str>>),
    Pipe(Box<Pipe>),
}

/// A constant, as every type that can hold it.
#[derive(Debug, Clone, Default)]
pub(super) struct Number {
    pub(super) text: Box<str>,
    pub(super) int: Option<i64>,
    pub(super) uint: Option<u64>,
    pub(super) float: Option<f64>,
    pub(super) complex: Option<(f64, f64)>,
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Action(_, pipe) => write!(f, "{{{{{pipe}}}}}"),
            Self::If(branch) => branch.show("if", f),
            Self::With(branch) => branch.show("with", f),
            Self::Range(branch) => branch.show("range", f),
            Self::Template { name, pipe, .. } => {
                write!(f, "{{{{template {}", quote::double(name.as_bytes()))?;
                if let Some(pipe) = pipe {
                    write!(f, " {pipe}")?;
                }
                f.write_str("}}")
            }
            Self::Break => f.write_str("{{break}}"),
            Self::Continue => f.write_str("{{continue}}"),
        }
    }
}

impl Branch {
    pub(super) fn show(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{{{name} {}}}}}", self.pipe)?;
        show_all(&self.list, f)?;
        if let Some(otherwise) = &self.otherwise {
            f.write_str("{{else}}")?;
            show_all(otherwise, f)?;
        }
        f.write_str("{{end}}")
    }
}

fn show_all(nodes: &[Node], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    nodes.iter().try_for_each(|node| fmt::Display::fmt(node, f))
}

impl fmt::Display for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.variables.is_empty() {
            // Go 1.19 writes `:=` for an assignment too.
            write!(f, "{} := ", self.variables.join(", "))?;
        }
        for (index, command) in self.commands.iter().enumerate() {
            f.write_str(if index > 0 { " | " } else { "" })?;
            fmt::Display::fmt(command, f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, arg) in self.args.iter().enumerate() {
            f.write_str(if index > 0 { " " } else { "" })?;
            match &arg.kind {
                ArgKind::Pipe(pipe) => write!(f, "({pipe})")?,
                _ => fmt::Display::fmt(arg, f)?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Arg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = |f: &mut fmt::Formatter<'_>, names: &[Box<str>]| {
            names.iter().try_for_each(|name| write!(f, ".{name}"))
        };
        match &self.kind {
            ArgKind::Bool(bool) => fmt::Display::fmt(bool, f),
            ArgKind::Dot => f.write_str("."),
            ArgKind::Nil => f.write_str("nil"),
            ArgKind::Number(number) => f.write_str(&number.text),
            ArgKind::String { quoted, .. } => f.write_str(quoted),
            ArgKind::Field(names) => fields(f, names),
            ArgKind::Variable(name, names) => {
                f.write_str(name)?;
                fields(f, names)
            }
            ArgKind::Function(name) => f.write_str(name),
            ArgKind::Chain(arg, names) => {
                match &arg.kind {
                    ArgKind::Pipe(pipe) => write!(f, "({pipe})")?,
                    _ => fmt::Display::fmt(arg, f)?,
                }
                fields(f, names)
            }
            ArgKind::Pipe(pipe) => fmt::Display::fmt(pipe, f),
        }
    }
}
