//! The functions that templates call: Go's own, and those that podman adds.

use super::compare;
use super::exec::Cell;
use super::value::{Func, Type, Value};
use super::{escape, print, printf};
use std::fmt;
use std::rc::Rc;

/// How many parts a text may be split into.
const PARTS: usize = 1 << 18;

/// What a parameter takes.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Param {
    /// `interface {}`
    Any,
    /// `reflect.Value`: also no value at all.
    Reflect,
    /// A value of a type.
    Of(Type),
}

impl Param {
    pub(super) const fn can_be_nil(&self) -> bool {
        matches!(self, Self::Any | Self::Reflect | Self::Of(Type::Any | Type::List(_) | Type::Map(_)))
    }
}

impl fmt::Display for Param {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => fmt::Display::fmt(&Type::Any, f),
            Self::Reflect => f.write_str("reflect.Value"),
            Self::Of(of) => fmt::Display::fmt(of, f),
        }
    }
}

/// What a function does with its arguments.
type Body = fn(&[Cell]) -> Result<Cell, String>;

/// A function.
#[derive(Debug, Clone)]
pub(super) struct Function {
    name: &'static str,
    params: Vec<Param>,
    rest: Option<Param>,
    body: Body,
}

/// The functions of a template.
#[derive(Debug, Clone)]
pub(super) struct Functions(Vec<Function>);

/// Something that is called.
#[derive(Debug)]
pub(super) enum Callee<'t> {
    /// A function of the template's.
    Function(&'t Function),
    /// A method of a struct.
    Method(Rc<Func>),
    /// A method of a time or duration: its parameters, and what it does.
    Time(Vec<Param>, super::methods::Method, Value),
}

impl Callee<'_> {
    /// How many parameters come before the rest.
    pub(super) fn fixed(&self) -> usize {
        match self {
            Self::Function(function) => function.params.len(),
            Self::Method(func) => func.params.len(),
            Self::Time(params, ..) => params.len(),
        }
    }

    pub(super) const fn has_rest(&self) -> bool {
        matches!(self, Self::Function(Function { rest: Some(_), .. }))
    }

    pub(super) fn param(&self, index: usize) -> Param {
        match self {
            Self::Function(function) => {
                let param = function.params.get(index).or(function.rest.as_ref());
                param.cloned().unwrap_or(Param::Any)
            }
            Self::Method(func) => match func.params.get(index) {
                None | Some(Type::Any) => Param::Any,
                Some(of) => Param::Of(of.clone()),
            },
            Self::Time(params, ..) => params.get(index).cloned().unwrap_or(Param::Any),
        }
    }

    pub(super) fn call(&self, args: Vec<Cell>) -> Result<Cell, String> {
        let values = |args: Vec<Cell>| args.into_iter().map(|cell| cell.value).collect::<Vec<_>>();
        match self {
            Self::Function(function) => (function.body)(&args),
            Self::Method(func) => (func.body)(&values(args)).map(Cell::from),
            Self::Time(_, method, receiver) => method(receiver, &values(args)).map(Cell::from),
        }
    }
}

/// Finds a function by its name.
pub(super) fn find<'t>(functions: &'t Functions, name: &str) -> Option<&'t Function> {
    functions.0.iter().find(|function| function.name == name)
}

impl Functions {
    /// Go's functions and podman's.
    pub(super) fn new() -> Self {
        let reflect = || vec![Param::Reflect];
        let two = || vec![Param::Reflect, Param::Reflect];
        let string = || Param::Of(Type::String);
        let int = || Param::Of(Type::Int);
        let strings = || Param::Of(Type::List(Rc::new(Type::String)));
        let fixed = |name, params, body| Function { name, params, rest: None, body };
        let more = |name, params, rest, body| Function { name, params, rest: Some(rest), body };
        Self(vec![
            // `and` and `or` are the executor's.
            more("and", reflect(), Param::Reflect, nothing),
            more("or", reflect(), Param::Reflect, nothing),
            more("call", reflect(), Param::Reflect, call),
            more("html", vec![], Param::Any, |args| Ok(text(escape::html(&joined(args))))),
            more("index", reflect(), Param::Reflect, index),
            more("slice", reflect(), Param::Reflect, slice),
            more("js", vec![], Param::Any, |args| Ok(text(escape::js(&joined(args))))),
            fixed("len", reflect(), |args| length(args).map(Cell::from)),
            fixed("not", reflect(), |args| Ok(Value::Bool(!first(args).value.truth()).into())),
            more("print", vec![], Param::Any, |args| Ok(printed(args, print::sprint))),
            more("printf", vec![string()], Param::Any, formatted),
            more("println", vec![], Param::Any, |args| Ok(printed(args, print::sprintln))),
            more("urlquery", vec![], Param::Any, |args| Ok(text(escape::url_query(&joined(args))))),
            more("eq", reflect(), Param::Reflect, |args| compare::eq(&values(args)).map(boolean)),
            fixed("ne", two(), |args| compare::eq(&values(args)).map(|equal| boolean(!equal))),
            fixed("lt", two(), |args| compare::lt(&values(args)).map(boolean)),
            fixed("le", two(), |args| compare::le(&values(args)).map(boolean)),
            fixed("gt", two(), |args| compare::le(&values(args)).map(|less| boolean(!less))),
            fixed("ge", two(), |args| compare::lt(&values(args)).map(|less| boolean(!less))),
            // Podman's.
            fixed("join", vec![strings(), string()], join),
            fixed("json", vec![Param::Any], |args| {
                Ok(Value::from(crate::json::compact(&first(args).value).unwrap_or_default()).into())
            }),
            fixed("lower", vec![string()], |args| Ok(text(mapped(bytes(args, 0), escape::lower)))),
            fixed("upper", vec![string()], |args| Ok(text(mapped(bytes(args, 0), escape::upper)))),
            fixed("title", vec![string()], |args| Ok(text(escape::title(bytes(args, 0))))),
            fixed("pad", vec![string(), int(), int()], pad),
            fixed("split", vec![string(), string()], split),
            fixed("truncate", vec![string(), int()], truncate),
        ])
    }

    pub(super) fn has(&self, name: &str) -> bool {
        find(self, name).is_some()
    }
}

fn nothing(_: &[Cell]) -> Result<Cell, String> {
    Ok(Cell::default())
}

fn first(args: &[Cell]) -> Cell {
    args.first().cloned().unwrap_or_default()
}

fn values(args: &[Cell]) -> Vec<Value> {
    args.iter().map(|cell| cell.value.clone()).collect()
}

fn text(bytes: Vec<u8>) -> Cell {
    Value::String(bytes.into()).into()
}

fn boolean(bool: bool) -> Cell {
    Value::Bool(bool).into()
}

fn bytes(args: &[Cell], index: usize) -> &[u8] {
    args.get(index).and_then(|cell| cell.value.as_bytes()).unwrap_or(&[])
}

/// A number that the parameter's type promised.
fn number(args: &[Cell], index: usize) -> i64 {
    match args.get(index).map(|cell| &cell.value) {
        Some(Value::Int(number)) => *number,
        _ => 0,
    }
}

fn printed(args: &[Cell], how: fn(&[Value], &mut Vec<u8>)) -> Cell {
    let mut out = Vec::new();
    how(&values(args), &mut out);
    text(out)
}

fn formatted(args: &[Cell]) -> Result<Cell, String> {
    let mut out = Vec::new();
    printf::sprintf(bytes(args, 0), &values(args.get(1..).unwrap_or(&[])), &mut out);
    Ok(text(out))
}

/// The arguments of an escaper as one text: like `print`, but nothing is `<no value>`.
fn joined(args: &[Cell]) -> Vec<u8> {
    let shown = |cell: &Cell| match &cell.value {
        Value::Nil => Value::from("<no value>"),
        value => value.clone(),
    };
    let args: Vec<Value> = args.iter().map(shown).collect();
    let mut out = Vec::new();
    print::sprint(&args, &mut out);
    out
}

fn length(args: &[Cell]) -> Result<Value, String> {
    let cell = first(args);
    let count = match &cell.value {
        Value::String(text) => text.len(),
        Value::List(list) => list.items().len(),
        Value::Map(map) => map.entries().len(),
        Value::NilPointer(_) => return Err("len of nil pointer".into()),
        Value::Nil if cell.any => return Err("len of nil pointer".into()),
        Value::Nil => return Err("reflect: call of reflect.Value.Type on zero Value".into()),
        value => return Err(format!("len of type {}", value.type_of())),
    };
    Ok(Value::Int(i64::try_from(count).unwrap_or(i64::MAX)))
}

/// An index into something of a length.
fn position(index: &Value, length: usize) -> Result<usize, String> {
    let number = match index {
        Value::Int(number) | Value::Duration(number) => *number,
        // Go casts, and a number too large becomes a negative one.
        Value::Uint(number) => number.cast_signed(),
        Value::Nil => return Err("cannot index slice/array with nil".into()),
        value => return Err(format!("cannot index slice/array with type {}", value.type_of())),
    };
    let found = usize::try_from(number).ok().filter(|index| *index <= length);
    found.ok_or_else(|| format!("index out of range: {number}"))
}

fn index(args: &[Cell]) -> Result<Cell, String> {
    let mut item = first(args);
    if matches!(item.value, Value::Nil) {
        return Err("index of untyped nil".into());
    }
    for index in args.get(1..).unwrap_or(&[]) {
        item = match &item.value {
            Value::Nil | Value::NilPointer(_) => return Err("index of nil pointer".into()),
            Value::List(list) => {
                let at = position(&index.value, list.items().len())?;
                let found = list.items().get(at).ok_or("reflect: slice index out of range")?;
                Cell::element(found.clone(), &list.element)
            }
            Value::String(text) => {
                let at = position(&index.value, text.len())?;
                let byte = text.get(at).ok_or("reflect: string index out of range")?;
                Value::Uint((*byte).into()).into()
            }
            Value::Map(map) => {
                let key = key(&index.value, &map.key)?;
                let found = map.get(&key).cloned().unwrap_or_else(|| map.element.zero());
                Cell::element(found, &map.element)
            }
            value => return Err(format!("can't index item of type {}", value.type_of())),
        };
    }
    Ok(item)
}

/// A key of a map's own type.
fn key(index: &Value, wanted: &Type) -> Result<Value, String> {
    match (index, wanted) {
        (Value::Nil, Type::Any) => Ok(Value::Nil),
        (Value::Nil, _) => Err(format!("value is nil; should be of type {wanted}")),
        (value, wanted) if *wanted == Type::Any || value.type_of() == *wanted => Ok(value.clone()),
        (Value::Int(number), Type::Uint) => Ok(Value::Uint(number.cast_unsigned())),
        (Value::Uint(number), Type::Int) => Ok(Value::Int(number.cast_signed())),
        (value, wanted) => Err(format!("value has type {}; should be {wanted}", value.type_of())),
    }
}

fn slice(args: &[Cell]) -> Result<Cell, String> {
    let item = first(args).value;
    let indexes = args.get(1..).unwrap_or(&[]);
    if matches!(item, Value::Nil) {
        return Err("slice of untyped nil".into());
    }
    if indexes.len() > 3 {
        return Err(format!("too many slice indexes: {}", indexes.len()));
    }
    let length = match &item {
        Value::String(_) if indexes.len() == 3 => return Err("cannot 3-index slice a string".into()),
        Value::String(text) => text.len(),
        Value::List(list) => list.items().len(),
        value => return Err(format!("can't slice item of type {}", value.type_of())),
    };
    let mut bounds = [0, length, length];
    for (bound, index) in bounds.iter_mut().zip(indexes) {
        *bound = position(&index.value, length)?;
    }
    let [from, to, capacity] = bounds;
    if from > to {
        return Err(format!("invalid slice index: {from} > {to}"));
    }
    if indexes.len() == 3 && to > capacity {
        return Err(format!("invalid slice index: {to} > {capacity}"));
    }
    Ok(match &item {
        Value::String(text) => text.get(from..to).map(Value::bytes),
        Value::List(list) => {
            list.items().get(from..to).map(|items| Value::list(list.element.clone(), items.to_vec()))
        }
        _ => None,
    }
    .unwrap_or_default()
    .into())
}

fn call(args: &[Cell]) -> Result<Cell, String> {
    let given = args.get(1..).unwrap_or(&[]);
    let func = match first(args).value {
        Value::Func(func) => func,
        Value::Nil => return Err("call of nil".into()),
        value => return Err(format!("non-function of type {}", value.type_of())),
    };
    if given.len() != func.params.len() {
        return Err(format!("wrong number of args: got {} want {}", given.len(), func.params.len()));
    }
    let mut values = Vec::with_capacity(given.len());
    for (at, (cell, wanted)) in given.iter().zip(&func.params).enumerate() {
        values.push(key(&cell.value, wanted).map_err(|message| format!("arg {at}: {message}"))?);
    }
    (func.body)(&values).map(Cell::from)
}

fn join(args: &[Cell]) -> Result<Cell, String> {
    let Some(Value::List(list)) = args.first().map(|cell| &cell.value) else { return Ok(text(Vec::new())) };
    let items: Vec<&[u8]> = list.items().iter().filter_map(Value::as_bytes).collect();
    Ok(text(items.join(bytes(args, 1))))
}

fn split(args: &[Cell]) -> Result<Cell, String> {
    let (text, separator) = (bytes(args, 0), bytes(args, 1));
    let parts = escape::split(text, separator);
    if parts.len() > PARTS {
        return Err(format!("more than {PARTS} parts"));
    }
    Ok(Value::list(Type::String, parts.into_iter().map(Value::bytes).collect()).into())
}

fn pad(args: &[Cell]) -> Result<Cell, String> {
    let source = bytes(args, 0);
    if source.is_empty() {
        return Ok(text(Vec::new()));
    }
    let mut spaces = [0, 0];
    for (index, count) in spaces.iter_mut().enumerate() {
        *count =
            usize::try_from(number(args, index + 1)).map_err(|_negative| "strings: negative Repeat count")?;
        if *count > super::LIMIT {
            return Err("strings: Repeat count causes overflow".into());
        }
    }
    let [before, after] = spaces;
    Ok(text([&b" ".repeat(before), source, &b" ".repeat(after)].concat()))
}

fn truncate(args: &[Cell]) -> Result<Cell, String> {
    let (source, length) = (bytes(args, 0), number(args, 1));
    match usize::try_from(length) {
        Ok(length) => Ok(text(source[..length.min(source.len())].to_vec())),
        Err(_negative) => Err(format!("runtime error: slice bounds out of range [:{length}]")),
    }
}

/// A text with each letter mapped. Broken UTF-8 becomes the sign for it, as in Go.
fn mapped(text: &[u8], map: fn(char) -> char) -> Vec<u8> {
    String::from_utf8_lossy(text).chars().map(map).collect::<String>().into_bytes()
}
