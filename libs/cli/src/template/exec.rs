//! Executing a template over a value.
//!
//! # Invariants
//! Whatever the template, execution ends: nesting, steps and output have limits, and what exceeds one is an error like
//! any other. A recursion of templates is an action inside an action, so one limit of depth holds for both.

use super::functions::{Callee, Function, Param, find};
use super::node::{Arg, ArgKind, Branch, Command, Node, Number, Pipe, Pos};
use super::parse::Templates;
use super::value::{Type, Value};
use super::{Functions, LIMIT, methods, print, quote};
use std::rc::Rc;

/// How deep templates and what is in them may nest while they are executed.
const DEPTH: usize = 300;

/// How many nodes and words may be looked at.
const STEPS: u64 = 2_000_000;

/// How many bytes functions may return in all: a variable keeps what it holds.
const MEMORY: usize = 4 * LIMIT;

/// What a value that a function returned takes.
fn size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::List(list) => list.items().len().saturating_mul(size_of::<Value>()),
        _ => 0,
    }
}

/// A value, and whether it stands in an `interface {}`. A `Nil` that does is a nil interface, and else no value at all.
#[derive(Debug, Clone, Default)]
pub(super) struct Cell {
    pub(super) value: Value,
    pub(super) any: bool,
}

impl From<Value> for Cell {
    fn from(value: Value) -> Self {
        Self { value, any: false }
    }
}

impl Cell {
    /// An element of something whose elements have a type.
    pub(super) fn element(value: Value, of: &Type) -> Self {
        Self { value, any: *of == Type::Any }
    }

    /// Whether there is no value at all.
    const fn is_invalid(&self) -> bool {
        matches!(self.value, Value::Nil) && !self.any
    }

    fn type_name(&self) -> String {
        if self.any { Type::Any.to_string() } else { self.value.type_of().to_string() }
    }

    /// Forgets that it stood in an `interface {}`.
    pub(super) fn concrete(mut self) -> Self {
        self.any = false;
        self
    }
}

/// Why execution ended: a message in Go's words.
type Done<T> = Result<T, String>;

/// How a node ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
}

/// What an error is about.
#[derive(Clone, Copy)]
enum Place<'t> {
    Nowhere,
    Node(Pos, &'t Node),
    Pipe(&'t Pipe),
    Command(&'t Command),
    Arg(&'t Arg),
}

/// The words after the first one of a command; none if it stands alone as an argument.
type Args<'t> = &'t [Arg];

/// The field that is all an action asks of a struct, as nearly every action of a long table does: the short way to what
/// the pipeline would come to.
fn lone_field(dot: &Cell, pipe: &Pipe) -> Option<Cell> {
    let ([], [command], Value::Struct(record)) = (&pipe.variables[..], &pipe.commands[..], &dot.value) else {
        return None;
    };
    let [Arg { kind: ArgKind::Field(path), .. }] = &command.args[..] else { return None };
    let [name] = &path[..] else { return None };
    if record.find_method(name).is_some() {
        return None;
    }
    record.get(name).map(Cell::from)
}

/// A template and what it is executed with.
#[derive(Clone, Copy)]
pub(super) struct Program<'t> {
    pub(super) name: &'t str,
    pub(super) text: &'t str,
    pub(super) templates: &'t Templates,
    pub(super) functions: &'t Functions,
}

/// Executes a template. The output up to an error is lost, and the error is in Go's words.
pub(super) fn execute(program: Program<'_>, data: &Value) -> Done<Vec<u8>> {
    let dot = Cell::from(data.clone());
    let mut state = State {
        program,
        template: program.name,
        out: Vec::new(),
        variables: vec![("$".into(), dot.clone())],
        place: Place::Nowhere,
        depth: 0,
        steps: 0,
        made: 0,
    };
    match program.templates.get(program.name) {
        Some(root) => state.list(&dot, root)?,
        None => {
            let name = quote::double(program.name.as_bytes());
            return state.fail(format_args!("{name} is an incomplete or empty template"));
        }
    };
    Ok(state.out)
}

struct State<'t> {
    program: Program<'t>,
    template: &'t str,
    out: Vec<u8>,
    variables: Vec<(Rc<str>, Cell)>,
    place: Place<'t>,
    depth: usize,
    steps: u64,
    /// Bytes that functions returned.
    made: usize,
}

impl<'t> State<'t> {
    fn fail<T>(&self, message: impl std::fmt::Display) -> Done<T> {
        let (pos, context) = match self.place {
            Place::Nowhere => return Err(format!("template: {}: {message}", self.template)),
            Place::Node(pos, node) => (pos, node.to_string()),
            Place::Pipe(pipe) => (pipe.pos, pipe.to_string()),
            Place::Command(command) => (command.pos, command.to_string()),
            Place::Arg(arg) => (arg.pos, arg.to_string()),
        };
        let before = self.program.text.get(..pos).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rfind('\n').map_or(pos, |at| pos - at - 1);
        let template = quote::double(self.template.as_bytes());
        let name = self.program.name;
        Err(format!("template: {name}:{line}:{column}: executing {template} at <{context}>: {message}"))
    }

    fn step(&mut self) -> Done<()> {
        self.steps += 1;
        if self.steps > STEPS {
            return self.fail("too many steps");
        }
        if self.out.len() > LIMIT {
            return self.fail("the output is too large");
        }
        Ok(())
    }

    fn deeper(&mut self) -> Done<()> {
        self.depth += 1;
        if self.depth > DEPTH {
            return self.fail(format_args!("exceeded maximum template depth ({DEPTH})"));
        }
        Ok(())
    }

    // Nodes.

    fn list(&mut self, dot: &Cell, nodes: &'t [Node]) -> Done<Flow> {
        for node in nodes {
            let flow = self.node(dot, node)?;
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn node(&mut self, dot: &Cell, node: &'t Node) -> Done<Flow> {
        self.step()?;
        match node {
            Node::Text(text) => self.out.extend_from_slice(text.as_bytes()),
            Node::Action(pos, pipe) => {
                let cell = match lone_field(dot, pipe) {
                    Some(cell) => cell,
                    None => self.pipe(dot, pipe)?,
                };
                if pipe.variables.is_empty() {
                    self.place = Place::Node(*pos, node);
                    self.print(&cell, pipe)?;
                }
            }
            Node::If(branch) => return self.branch(dot, branch, false),
            Node::With(branch) => return self.branch(dot, branch, true),
            Node::Range(branch) => return self.range(dot, branch),
            Node::Template { pos, name, pipe } => {
                self.place = Place::Node(*pos, node);
                self.template(dot, name, pipe.as_ref())?;
            }
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::Next)
    }

    fn print(&mut self, cell: &Cell, pipe: &Pipe) -> Done<()> {
        match &cell.value {
            _ if cell.is_invalid() => self.out.extend_from_slice(b"<no value>"),
            Value::Func(_) => {
                let name = cell.type_name();
                return self.fail(format_args!("can't print {{{{{pipe}}}}} of type {name}"));
            }
            value => print::plain(value, &mut self.out),
        }
        Ok(())
    }

    fn branch(&mut self, dot: &Cell, branch: &'t Branch, with: bool) -> Done<Flow> {
        let mark = self.variables.len();
        self.deeper()?;
        let cell = self.pipe(dot, &branch.pipe)?;
        let flow = if cell.value.truth() {
            self.list(if with { &cell } else { dot }, &branch.list)
        } else {
            branch.otherwise.as_deref().map_or(Ok(Flow::Next), |list| self.list(dot, list))
        };
        self.depth -= 1;
        self.variables.truncate(mark);
        flow
    }

    fn range(&mut self, dot: &Cell, branch: &'t Branch) -> Done<Flow> {
        let mark = self.variables.len();
        self.deeper()?;
        let cell = self.pipe(dot, &branch.pipe)?;
        let ran = match &cell.value {
            Value::List(list) => {
                let items = list.items().iter().enumerate();
                let number = |index| Cell::from(Value::Int(i64::try_from(index).unwrap_or(i64::MAX)));
                self.each(
                    branch,
                    items.map(|(index, item)| (number(index), Cell::element(item.clone(), &list.element))),
                )?
            }
            Value::Map(map) => {
                let pair = |(key, value): &(Value, Value)| {
                    (Cell::element(key.clone(), &map.key), Cell::element(value.clone(), &map.element))
                };
                self.each(branch, map.entries().iter().map(pair))?
            }
            Value::Int(count) => self.count(branch, &cell, (0..*count).map(Value::Int))?,
            Value::Duration(count) => self.count(branch, &cell, (0..*count).map(Value::Duration))?,
            Value::Uint(count) => self.count(branch, &cell, (0..*count).map(Value::Uint))?,
            Value::Nil | Value::NilPointer(_) => false,
            value => {
                let mut shown = Vec::new();
                print::plain(value, &mut shown);
                let shown = String::from_utf8_lossy(&shown).into_owned();
                return self.fail(format_args!("range can't iterate over {shown}"));
            }
        };
        let mut flow = Flow::Next;
        if let Some(list) = branch.otherwise.as_ref().filter(|_| !ran) {
            flow = self.list(dot, list)?;
        }
        self.depth -= 1;
        self.variables.truncate(mark);
        // In the `else` of a loop inside another one, Go's break ends the inner one, its continue is the outer one's.
        Ok(if flow == Flow::Continue { flow } else { Flow::Next })
    }

    /// A loop over numbers, since Go 1.22. It has one variable.
    fn count(&mut self, branch: &'t Branch, cell: &Cell, numbers: impl Iterator<Item = Value>) -> Done<bool> {
        if branch.pipe.variables.len() > 1 {
            let mut shown = Vec::new();
            print::plain(&cell.value, &mut shown);
            let shown = String::from_utf8_lossy(&shown).into_owned();
            return self.fail(format_args!("can't use {shown} to iterate over more than one variable"));
        }
        self.each(branch, numbers.map(|number| (Cell::default(), Cell::from(number))))
    }

    /// Runs the body for each pair. Whether there was one.
    fn each(&mut self, branch: &'t Branch, pairs: impl Iterator<Item = (Cell, Cell)>) -> Done<bool> {
        let mark = self.variables.len();
        let mut ran = false;
        for (index, element) in pairs {
            ran = true;
            self.step()?;
            // The variables are the topmost ones: the index below the element.
            let names = branch.pipe.variables.len();
            if names > 0 {
                self.variables[mark - 1].1 = element.clone();
            }
            if names > 1 {
                self.variables[mark - 2].1 = index;
            }
            let flow = self.list(&element, &branch.list)?;
            self.variables.truncate(mark);
            if flow == Flow::Break {
                break;
            }
        }
        Ok(ran)
    }

    fn template(&mut self, dot: &Cell, name: &'t Rc<str>, pipe: Option<&'t Pipe>) -> Done<()> {
        let Some(nodes) = self.program.templates.get(name) else {
            let name = quote::double(name.as_bytes());
            return self.fail(format_args!("template {name} not defined"));
        };
        self.deeper()?;
        let dot = match pipe {
            Some(pipe) => self.pipe(dot, pipe)?,
            None => Cell::default(),
        };
        let outer = std::mem::replace(&mut self.variables, vec![("$".into(), dot.clone())]);
        let caller = std::mem::replace(&mut self.template, name);
        self.list(&dot, nodes)?;
        self.template = caller;
        self.variables = outer;
        self.depth -= 1;
        Ok(())
    }

    // Pipelines.

    fn pipe(&mut self, dot: &Cell, pipe: &'t Pipe) -> Done<Cell> {
        self.place = Place::Pipe(pipe);
        self.step()?;
        self.deeper()?;
        let mut last: Option<Cell> = None;
        for command in &pipe.commands {
            // What stood in an `interface {}` is what is in it.
            last = Some(self.command(dot, command, last)?.concrete());
        }
        self.depth -= 1;
        let cell = last.unwrap_or_default();
        for name in &pipe.variables {
            if pipe.assigns {
                self.assign(name, &cell)?;
            } else {
                self.variables.push((name.clone(), cell.clone()));
            }
        }
        Ok(cell)
    }

    fn assign(&mut self, name: &str, cell: &Cell) -> Done<()> {
        match self.variables.iter_mut().rfind(|(known, _)| &**known == name) {
            Some((_, value)) => *value = cell.clone(),
            None => return self.fail(format_args!("undefined variable: {name}")),
        }
        Ok(())
    }

    fn command(&mut self, dot: &Cell, command: &'t Command, last: Option<Cell>) -> Done<Cell> {
        let Some((first, args)) = command.args.split_first() else { return self.fail("empty command") };
        match &first.kind {
            ArgKind::Field(_) | ArgKind::Chain(..) => return self.word(dot, first, args, last),
            ArgKind::Function(name) => {
                self.place = Place::Arg(first);
                return self.function(dot, name, Place::Command(command), args, last);
            }
            ArgKind::Variable(..) => return self.word(dot, first, args, last),
            ArgKind::Pipe(pipe) => {
                self.no_arguments(first, args, last.as_ref())?;
                return self.pipe(dot, pipe);
            }
            _ => {}
        }
        self.place = Place::Arg(first);
        self.no_arguments(first, args, last.as_ref())?;
        match &first.kind {
            ArgKind::Dot => Ok(dot.clone()),
            ArgKind::Nil => self.fail("nil is not a command"),
            _ => self.constant(first),
        }
    }

    fn no_arguments(&self, first: &Arg, args: Args<'t>, last: Option<&Cell>) -> Done<()> {
        if args.is_empty() && last.is_none() {
            return Ok(());
        }
        self.fail(format_args!("can't give argument to non-function {first}"))
    }

    /// A field, a variable or a chain, with the arguments of a method.
    fn word(&mut self, dot: &Cell, word: &'t Arg, args: Args<'t>, last: Option<Cell>) -> Done<Cell> {
        self.place = Place::Arg(word);
        self.step()?;
        let (receiver, names) = match &word.kind {
            ArgKind::Field(names) => (dot.clone(), names),
            ArgKind::Variable(name, names) => {
                let found = self.variables.iter().rfind(|(known, _)| known == name);
                let Some((_, cell)) = found else {
                    return self.fail(format_args!("undefined variable: {name}"));
                };
                let cell = cell.clone();
                if names.is_empty() {
                    self.no_arguments(word, args, last.as_ref())?;
                    return Ok(cell);
                }
                (cell, names)
            }
            ArgKind::Chain(inner, names) => {
                if matches!(inner.kind, ArgKind::Nil) {
                    return self.fail(format_args!("indirection through explicit nil in {word}"));
                }
                (self.argument(dot, inner, None)?, names)
            }
            _ => return self.fail("internal error: no field"),
        };
        let Some((name, path)) = names.split_last() else { return Ok(receiver) };
        let mut receiver = receiver;
        for name in path {
            receiver = self.field(dot, receiver, name, word, &[], None)?;
        }
        self.field(dot, receiver, name, word, args, last)
    }

    fn field(
        &mut self,
        dot: &Cell,
        receiver: Cell,
        name: &str,
        word: &'t Arg,
        args: Args<'t>,
        last: Option<Cell>,
    ) -> Done<Cell> {
        if receiver.is_invalid() {
            return Ok(Cell::default());
        }
        if let Some(callee) = methods::find(&receiver.value, name) {
            return self.call(dot, &callee, name, Place::Arg(word), args, last);
        }
        let has_arguments = !args.is_empty() || last.is_some();
        match &receiver.value {
            Value::Nil | Value::NilPointer(_) => {
                return self.fail(format_args!("nil pointer evaluating {}.{name}", receiver.type_name()));
            }
            Value::Struct(record) => {
                if let Some(value) = record.get(name) {
                    if has_arguments {
                        return self
                            .fail(format_args!("{name} has arguments but cannot be invoked as function"));
                    }
                    return Ok(Cell { any: matches!(value, Value::Nil), value });
                }
            }
            Value::Map(map) if map.key == Type::String => {
                if has_arguments {
                    return self.fail(format_args!("{name} is not a method but has arguments"));
                }
                let found = map.get(&Value::from(name));
                return Ok(
                    found.map_or_else(Cell::default, |value| Cell::element(value.clone(), &map.element))
                );
            }
            _ => {}
        }
        self.fail(format_args!("can't evaluate field {name} in type {}", receiver.type_name()))
    }

    // Functions.

    fn function(
        &mut self,
        dot: &Cell,
        name: &'t str,
        place: Place<'t>,
        args: Args<'t>,
        last: Option<Cell>,
    ) -> Done<Cell> {
        let Some(function) = find(self.program.functions, name) else {
            let name = quote::double(name.as_bytes());
            return self.fail(format_args!("{name} is not a defined function"));
        };
        if matches!(name, "and" | "or") {
            return self.short_circuit(dot, function, name, args, last);
        }
        self.call(dot, &Callee::Function(function), name, place, args, last)
    }

    /// `and` and `or` look at no more arguments than they must.
    fn short_circuit(
        &mut self,
        dot: &Cell,
        function: &'t Function,
        name: &str,
        args: Args<'t>,
        last: Option<Cell>,
    ) -> Done<Cell> {
        self.count_arguments(&Callee::Function(function), name, args, last.as_ref())?;
        let mut value = Cell::default();
        for arg in args {
            value = self.argument(dot, arg, Some(&Param::Reflect))?;
            if value.value.truth() == (name == "or") {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }

    fn count_arguments(
        &self,
        callee: &Callee<'_>,
        name: &str,
        args: Args<'t>,
        last: Option<&Cell>,
    ) -> Done<()> {
        let given = args.len() + usize::from(last.is_some());
        let fixed = callee.fixed();
        if callee.has_rest() {
            if given < fixed {
                let given = args.len();
                return self.fail(format_args!(
                    "wrong number of args for {name}: want at least {fixed} got {given}"
                ));
            }
        } else if given != fixed {
            return self.fail(format_args!("wrong number of args for {name}: want {fixed} got {given}"));
        }
        Ok(())
    }

    fn call(
        &mut self,
        dot: &Cell,
        callee: &Callee<'_>,
        name: &str,
        place: Place<'t>,
        args: Args<'t>,
        last: Option<Cell>,
    ) -> Done<Cell> {
        self.step()?;
        self.count_arguments(callee, name, args, last.as_ref())?;
        let mut cells = Vec::with_capacity(args.len() + 1);
        for (index, arg) in args.iter().enumerate() {
            let param = callee.param(index);
            cells.push(self.argument(dot, arg, Some(&param))?);
        }
        if let Some(last) = last {
            let param = callee.param(args.len());
            cells.push(self.validate(last, Some(&param))?);
        }
        match callee.call(cells) {
            Ok(cell) => {
                self.made = self.made.saturating_add(size(&cell.value));
                if self.made > MEMORY { self.fail("the values are too large") } else { Ok(cell) }
            }
            Err(message) => {
                self.place = place;
                self.fail(format_args!("error calling {name}: {message}"))
            }
        }
    }

    /// Evaluates an argument, for a parameter of a type.
    fn argument(&mut self, dot: &Cell, arg: &'t Arg, param: Option<&Param>) -> Done<Cell> {
        self.place = Place::Arg(arg);
        let cell = match &arg.kind {
            ArgKind::Dot => dot.clone(),
            ArgKind::Nil => {
                return match param {
                    Some(param) if !param.can_be_nil() => {
                        self.fail(format_args!("cannot assign nil to {param}"))
                    }
                    Some(Param::Of(of)) => Ok(of.zero().into()),
                    _ => Ok(Cell::default()),
                };
            }
            ArgKind::Field(_) | ArgKind::Variable(..) | ArgKind::Chain(..) => {
                self.word(dot, arg, &[], None)?
            }
            ArgKind::Pipe(pipe) => self.pipe(dot, pipe)?,
            ArgKind::Function(name) => self.function(dot, name, Place::Arg(arg), &[], None)?,
            ArgKind::Bool(_) | ArgKind::Number(_) | ArgKind::String { .. } => {
                return self.constant_for(arg, param);
            }
        };
        self.validate(cell, param)
    }

    /// A constant, for a parameter of a type.
    fn constant_for(&mut self, arg: &'t Arg, param: Option<&Param>) -> Done<Cell> {
        let expected = match (param, &arg.kind) {
            (None | Some(Param::Any | Param::Reflect), _) => return self.constant(arg),
            (Some(Param::Of(Type::String)), ArgKind::String { text, .. }) => {
                return Ok(Value::String(text.clone()).into());
            }
            (Some(Param::Of(Type::Bool)), ArgKind::Bool(bool)) => return Ok(Value::Bool(*bool).into()),
            (Some(Param::Of(Type::Int)), ArgKind::Number(Number { int: Some(number), .. })) => {
                return Ok(Value::Int(*number).into());
            }
            (Some(Param::Of(Type::Uint)), ArgKind::Number(Number { uint: Some(number), .. })) => {
                return Ok(Value::Uint(*number).into());
            }
            (Some(Param::Of(Type::Float)), ArgKind::Number(Number { float: Some(number), .. })) => {
                return Ok(Value::Float(*number).into());
            }
            (Some(Param::Of(Type::String)), _) => "string",
            (Some(Param::Of(Type::Bool)), _) => "bool",
            (Some(Param::Of(Type::Int)), _) => "integer",
            (Some(Param::Of(Type::Uint)), _) => "unsigned integer",
            (Some(Param::Of(Type::Float)), _) => "float",
            (Some(Param::Of(of)), _) => {
                return self.fail(format_args!("can't handle {arg} for arg of type {of}"));
            }
        };
        self.fail(format_args!("expected {expected}; found {arg}"))
    }

    /// A constant whose type is its own.
    fn constant(&mut self, arg: &'t Arg) -> Done<Cell> {
        self.place = Place::Arg(arg);
        let value = match &arg.kind {
            ArgKind::Bool(bool) => Value::Bool(*bool),
            ArgKind::String { text, .. } => Value::String(text.clone()),
            ArgKind::Number(number) => match ideal(number) {
                Some(value) => value,
                None => return self.fail(format_args!("{} overflows int", number.text)),
            },
            _ => {
                let shown = quote::double(arg.to_string().as_bytes());
                return self.fail(format_args!("can't evaluate command {shown}"));
            }
        };
        Ok(value.into())
    }

    /// Makes sure that a value fits a parameter.
    fn validate(&self, cell: Cell, param: Option<&Param>) -> Done<Cell> {
        let Some(param) = param else { return Ok(cell) };
        if cell.is_invalid() {
            if param.can_be_nil() {
                return Ok(match param {
                    Param::Of(of) => of.zero().into(),
                    Param::Any | Param::Reflect => Cell::default(),
                });
            }
            return self.fail(format_args!("invalid value; expected {param}"));
        }
        let Param::Of(wanted) = param else { return Ok(cell) };
        let found = cell.value.type_of();
        if found == *wanted {
            return Ok(cell.concrete());
        }
        let found = if found == Type::Nil { Type::Any } else { found };
        self.fail(format_args!("wrong type for value; expected {wanted}; got {found}"))
    }
}

/// The value of a number whose type is not known; none if it does not fit.
fn ideal(number: &Number) -> Option<Value> {
    let text = &*number.text;
    let hexadecimal =
        text.len() > 2 && (text.starts_with("0x") || text.starts_with("0X")) && !text.contains(['p', 'P']);
    let fraction = !hexadecimal && !text.starts_with('\'') && text.contains(['.', 'e', 'E', 'p', 'P']);
    match (number.complex, number.float, number.int) {
        (Some((real, imaginary)), ..) => Some(Value::Complex(real, imaginary)),
        (_, Some(float), _) if fraction => Some(Value::Float(float)),
        (.., Some(int)) => Some(Value::Int(int)),
        _ => None,
    }
}
