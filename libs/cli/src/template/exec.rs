//! The tree is walked over a value.
//!
//! A foreign template must not hang or exhaust us: output, steps and the depth of templates that call templates are
//! bounded.

use std::rc::Rc;

use super::funcs;
use super::node::{Branch, Command, Node, Number, Pipe, Term, Word};
use super::parse::Set;
use super::value::{Element, Func, Value};
use super::{MAX_NESTING, MAX_OUTPUT, MAX_STEPS, TemplateError, print};

/// Runs the template of that name.
pub(super) fn run(set: &Set, name: &str, text: &str, data: &Value) -> Result<String, TemplateError> {
    let mut state = State {
        set,
        parse_name: name,
        text,
        name: name.to_owned(),
        variables: vec![("$".to_owned(), data.clone())],
        out: String::new(),
        steps: 0,
        depth: 0,
    };
    let Some(nodes) = set.get(name) else {
        return Err(TemplateError(format!(
            "template: {name}: {} is an incomplete or empty template",
            print::quote(name)
        )));
    };
    state.walk(nodes, data)?;
    Ok(state.out)
}

/// Why a list of nodes was left.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
}

struct State<'a> {
    set: &'a Set,
    parse_name: &'a str,
    text: &'a str,
    name: String,
    variables: Vec<(String, Value)>,
    out: String,
    steps: usize,
    depth: usize,
}

/// Which node an error quotes.
struct Place {
    at: usize,
    shown: String,
}

impl Place {
    fn word(word: &Word) -> Self {
        Self { at: word.at, shown: word.to_string() }
    }
    fn pipe(pipe: &Pipe) -> Self {
        Self { at: pipe.at, shown: pipe.to_string() }
    }
}

impl Place {
    /// The word that was evaluated last, which Go quotes where it has nothing closer.
    fn last(pipe: &Pipe) -> Self {
        match pipe.commands.last().and_then(|command| command.words.last()) {
            Some(Word { term: Term::Pipe(inner), .. }) => Self::last(inner),
            Some(word) => Self::word(word),
            None => Self::pipe(pipe),
        }
    }

    /// Where the fields of a word are followed.
    fn of_fields(word: &Word) -> Self {
        match &word.term {
            Term::Chain(of, _) => match &of.term {
                Term::Pipe(pipe) => Self::last(pipe),
                _ => Self::word(of),
            },
            _ => Self::word(word),
        }
    }
}

impl State<'_> {
    fn fail<T>(&self, place: &Place, message: impl std::fmt::Display) -> Result<T, TemplateError> {
        let before = self.text.get(..place.at).unwrap_or(self.text);
        let line = 1 + before.matches('\n').count();
        let column = place.at - before.rfind('\n').map_or(0, |newline| newline + 1);
        let name = print::quote(&self.name);
        Err(TemplateError(format!(
            "template: {}:{line}:{column}: executing {name} at <{}>: {message}",
            self.parse_name, place.shown
        )))
    }

    fn walk(&mut self, nodes: &[Node], dot: &Value) -> Result<Flow, TemplateError> {
        for node in nodes {
            self.steps += 1;
            if self.steps > MAX_STEPS || self.out.len() > MAX_OUTPUT {
                return Err(TemplateError(format!("template: {}: does not end", self.name)));
            }
            match node {
                Node::Text(text) => self.out.push_str(text),
                Node::Action(pipe) => {
                    let value = self.pipe(pipe, dot)?;
                    if pipe.variables.is_empty() {
                        self.print(pipe, &value)?;
                    }
                }
                Node::If(branch) => match self.conditional(branch, dot, false)? {
                    Flow::Next => {}
                    flow => return Ok(flow),
                },
                Node::With(branch) => match self.conditional(branch, dot, true)? {
                    Flow::Next => {}
                    flow => return Ok(flow),
                },
                Node::Range(branch) => self.range(branch, dot)?,
                Node::Break => return Ok(Flow::Break),
                Node::Continue => return Ok(Flow::Continue),
                Node::Template { at, name, pipe } => self.template(*at, name, pipe.as_ref(), dot)?,
            }
        }
        Ok(Flow::Next)
    }

    fn print(&mut self, pipe: &Pipe, value: &Value) -> Result<(), TemplateError> {
        if let Value::Func(_) = value {
            return self
                .fail(&Place::pipe(pipe), format!("can't print {pipe} of type {}", value.type_name()));
        }
        self.out.push_str(&print::plain(value));
        Ok(())
    }

    fn conditional(&mut self, branch: &Branch, dot: &Value, is_with: bool) -> Result<Flow, TemplateError> {
        let scope = self.variables.len();
        let value = self.pipe(&branch.pipe, dot)?;
        let flow = if value.is_true() {
            self.walk(&branch.then, if is_with { &value } else { dot })
        } else {
            self.walk(&branch.otherwise, dot)
        };
        self.variables.truncate(scope);
        flow
    }

    fn range(&mut self, branch: &Branch, dot: &Value) -> Result<(), TemplateError> {
        let scope = self.variables.len();
        let value = self.pipe(&branch.pipe, dot)?;
        let pairs: Vec<(Value, Value)> = match &value {
            Value::List(list) => {
                let index = |index| Value::Int(i64::try_from(index).unwrap_or(i64::MAX));
                list.items.iter().enumerate().map(|(at, item)| (index(at), item.clone())).collect()
            }
            Value::Map(map) => {
                map.entries.iter().map(|(key, value)| (Value::from(key.as_str()), value.clone())).collect()
            }
            Value::Missing => Vec::new(),
            _ => {
                let place = Place { at: branch.at, shown: branch.pipe.to_string() };
                let shown =
                    if matches!(value, Value::Nil) { "<nil>".to_owned() } else { print::plain(&value) };
                return self.fail(&place, format!("range can't iterate over {shown}"));
            }
        };
        if pairs.is_empty() {
            self.walk(&branch.otherwise, dot)?;
        }
        let mark = self.variables.len();
        for (key, item) in pairs {
            self.bind_range(&branch.pipe, key, &item)?;
            let flow = self.walk(&branch.then, &item)?;
            self.variables.truncate(mark);
            if flow == Flow::Break {
                break;
            }
        }
        self.variables.truncate(scope);
        Ok(())
    }

    /// One variable gets the element, two get key and element. Evaluating the pipe has declared them already.
    fn bind_range(&mut self, pipe: &Pipe, key: Value, item: &Value) -> Result<(), TemplateError> {
        match pipe.variables.as_slice() {
            [only] => self.bind(pipe, only, item.clone()),
            [first, second] => {
                self.bind(pipe, first, key)?;
                self.bind(pipe, second, item.clone())
            }
            _ => Ok(()),
        }
    }

    fn bind(&mut self, pipe: &Pipe, name: &str, value: Value) -> Result<(), TemplateError> {
        if !pipe.is_assignment {
            self.variables.push((name.to_owned(), value));
            return Ok(());
        }
        match self.variables.iter_mut().rev().find(|(known, _)| known == name) {
            Some((_, known)) => {
                *known = value;
                Ok(())
            }
            None => self.fail(&Place::last(pipe), format!("undefined variable: {name}")),
        }
    }

    fn template(
        &mut self,
        at: usize,
        name: &str,
        pipe: Option<&Pipe>,
        dot: &Value,
    ) -> Result<(), TemplateError> {
        let shown = match pipe {
            Some(pipe) => format!("{{{{template {} {pipe}}}}}", print::quote(name)),
            None => format!("{{{{template {}}}}}", print::quote(name)),
        };
        let place = Place { at, shown };
        let Some(nodes) = self.set.get(name) else {
            return self.fail(&place, format!("template {} not defined", print::quote(name)));
        };
        if self.depth >= MAX_NESTING {
            return self.fail(&place, format!("exceeded maximum template depth ({MAX_NESTING})"));
        }
        let data = match pipe {
            Some(pipe) => self.pipe(pipe, dot)?,
            None => Value::Missing,
        };
        let variables = std::mem::replace(&mut self.variables, vec![("$".to_owned(), data.clone())]);
        let outer = std::mem::replace(&mut self.name, name.to_owned());
        self.depth += 1;
        self.walk(nodes, &data)?;
        self.depth -= 1;
        self.name = outer;
        self.variables = variables;
        Ok(())
    }

    fn pipe(&mut self, pipe: &Pipe, dot: &Value) -> Result<Value, TemplateError> {
        let mut value = None;
        for command in &pipe.commands {
            value = Some(self.command(command, dot, value.as_ref())?);
        }
        let mut value = value.unwrap_or(Value::Missing);
        if matches!(value, Value::Nil) {
            value = Value::Missing;
        }
        for name in &pipe.variables {
            self.bind(pipe, name, value.clone())?;
        }
        Ok(value)
    }

    fn command(
        &mut self,
        command: &Command,
        dot: &Value,
        last: Option<&Value>,
    ) -> Result<Value, TemplateError> {
        let first = &command.words[0];
        let arguments = &command.words[1..];
        match &first.term {
            Term::Function(name) => return self.call_named(name, first, command, dot, arguments, last),
            Term::Field(names) => return self.fields(dot, names, first, Some((arguments, last)), dot),
            Term::Variable(names) => {
                let receiver = self.variable(&names[0]);
                if names.len() > 1 {
                    return self.fields(&receiver, &names[1..], first, Some((arguments, last)), dot);
                }
                self.no_arguments(first, command)?;
                return match (&receiver, last) {
                    (_, Some(_)) => self.not_a_function(first, command),
                    _ => Ok(receiver),
                };
            }
            Term::Chain(of, names) => {
                let receiver = self.word(of, dot)?;
                return self.fields(&receiver, names, first, Some((arguments, last)), dot);
            }
            Term::Pipe(pipe) => {
                self.no_arguments_or_last(first, command, last)?;
                return self.pipe(pipe, dot);
            }
            Term::Nil => {
                return self
                    .fail(&Place { at: command.at, shown: command.to_string() }, "nil is not a command");
            }
            _ => {}
        }
        self.no_arguments_or_last(first, command, last)?;
        self.word(first, dot)
    }

    fn no_arguments(&self, first: &Word, command: &Command) -> Result<(), TemplateError> {
        if command.words.len() > 1 { self.not_a_function(first, command) } else { Ok(()) }
    }

    fn no_arguments_or_last(
        &self,
        first: &Word,
        command: &Command,
        last: Option<&Value>,
    ) -> Result<(), TemplateError> {
        if command.words.len() > 1 || last.is_some() { self.not_a_function(first, command) } else { Ok(()) }
    }

    fn not_a_function<T>(&self, first: &Word, _command: &Command) -> Result<T, TemplateError> {
        self.fail(&Place::word(first), format!("can't give argument to non-function {first}"))
    }

    fn variable(&self, name: &str) -> Value {
        self.variables
            .iter()
            .rev()
            .find(|(known, _)| known == name)
            .map_or(Value::Missing, |(_, value)| value.clone())
    }

    /// A word as an argument.
    fn word(&mut self, word: &Word, dot: &Value) -> Result<Value, TemplateError> {
        match &word.term {
            Term::Dot => Ok(dot.clone()),
            Term::Nil => Ok(Value::Missing),
            Term::Bool(value) => Ok(Value::Bool(*value)),
            Term::Number { value: Number::Int(value), .. } => Ok(Value::Int(*value)),
            Term::Number { value: Number::Large, shown } => {
                self.fail(&Place::word(word), format!("{shown} overflows int"))
            }
            Term::Number { value: Number::Float(value), .. } => Ok(Value::Float(*value)),
            Term::Str { value, .. } => Ok(Value::from(value.as_str())),
            Term::Field(names) => self.fields(dot, names, word, None, dot),
            Term::Variable(names) => {
                let receiver = self.variable(&names[0]);
                self.fields(&receiver, &names[1..], word, None, dot)
            }
            Term::Pipe(pipe) => self.pipe(pipe, dot),
            Term::Function(name) => {
                let command = Command { at: word.at, words: vec![word.clone()] };
                self.call_named(name, word, &command, dot, &[], None)
            }
            Term::Chain(of, names) => {
                if matches!(of.term, Term::Nil) {
                    return self
                        .fail(&Place::word(word), format!("indirection through explicit nil in {word}"));
                }
                let receiver = self.word(of, dot)?;
                self.fields(&receiver, names, word, None, dot)
            }
        }
    }

    /// Follows a chain of names; the last one may be a method with arguments.
    fn fields(
        &mut self,
        receiver: &Value,
        names: &[String],
        word: &Word,
        arguments: Option<(&[Word], Option<&Value>)>,
        dot: &Value,
    ) -> Result<Value, TemplateError> {
        let mut value = receiver.clone();
        for (index, name) in names.iter().enumerate() {
            let arguments = arguments.filter(|_| index + 1 == names.len());
            value = self.field(&value, name, word, arguments, dot)?;
        }
        Ok(value)
    }

    fn field(
        &mut self,
        receiver: &Value,
        name: &str,
        word: &Word,
        arguments: Option<(&[Word], Option<&Value>)>,
        dot: &Value,
    ) -> Result<Value, TemplateError> {
        let place = Place::of_fields(word);
        let has_arguments = arguments.is_some_and(|(words, last)| !words.is_empty() || last.is_some());
        let found = match receiver {
            Value::Missing => return Ok(Value::Missing),
            Value::Nil | Value::NilPointer(_) => {
                return self.fail(&place, format!("nil pointer evaluating {}.{name}", receiver.type_name()));
            }
            Value::Map(map) => {
                if has_arguments {
                    return self.fail(&place, format!("{name} is not a method but has arguments"));
                }
                return Ok(map.entries.get(name).cloned().unwrap_or(Value::Missing));
            }
            Value::Struct(value) => value.get(name).cloned(),
            Value::Time(_) | Value::Duration(_) => funcs::method(receiver, name),
            _ => None,
        };
        match found {
            None => {
                self.fail(&place, format!("can't evaluate field {name} in type {}", receiver.type_name()))
            }
            Some(Value::Func(func)) => {
                let (words, last) = arguments.unwrap_or((&[], None));
                self.call_method(&func, words, last, word, dot)
            }
            Some(_) if has_arguments => {
                self.fail(&place, format!("{name} has arguments but cannot be invoked as function"))
            }
            Some(value) => Ok(value),
        }
    }

    fn call_method(
        &mut self,
        func: &Func,
        words: &[Word],
        last: Option<&Value>,
        word: &Word,
        dot: &Value,
    ) -> Result<Value, TemplateError> {
        let mut values = words.iter().map(|word| self.word(word, dot)).collect::<Result<Vec<_>, _>>()?;
        values.extend(last.cloned());
        let place = Place::word(word);
        if values.len() != func.arity {
            return self.fail(
                &place,
                format!("wrong number of args for {}: want {} got {}", func.name, func.arity, values.len()),
            );
        }
        funcs::check_strings(&values, words).or_else(|(at, message)| match at {
            Some(index) => self.fail(&Place::word(&words[index]), message),
            None => self.fail(&place, message),
        })?;
        (Rc::clone(&func.call))(&values)
            .or_else(|message| self.fail(&place, format!("error calling {}: {message}", func.name)))
    }

    fn call_named(
        &mut self,
        name: &str,
        word: &Word,
        command: &Command,
        dot: &Value,
        words: &[Word],
        last: Option<&Value>,
    ) -> Result<Value, TemplateError> {
        let place = Place::word(word);
        let count = words.len() + usize::from(last.is_some());
        if let Some(problem) = funcs::wrong_count(name, count) {
            return self.fail(&place, problem);
        }
        if matches!(name, "and" | "or") {
            return self.short_circuit(name == "or", words, last, dot);
        }
        let mut values = words.iter().map(|word| self.word(word, dot)).collect::<Result<Vec<_>, _>>()?;
        values.extend(last.cloned());
        funcs::check_types(name, &values, words).or_else(|(at, message)| match at {
            Some(index) => self.fail(&Place::word(&words[index]), message),
            None => self.fail(&place, message),
        })?;
        funcs::call(name, &values).or_else(|message| {
            let place = Place { at: command.at, shown: command.to_string() };
            self.fail(&place, format!("error calling {name}: {message}"))
        })
    }

    /// `and` and `or` stop at the first argument that decides.
    fn short_circuit(
        &mut self,
        stop_at: bool,
        words: &[Word],
        last: Option<&Value>,
        dot: &Value,
    ) -> Result<Value, TemplateError> {
        let mut value = Value::Missing;
        for word in words {
            value = self.word(word, dot)?;
            if value.is_true() == stop_at {
                return Ok(value);
            }
        }
        Ok(last.cloned().unwrap_or(value))
    }
}

impl Value {
    /// An element by number or key, as `index` finds it.
    pub(super) fn element(&self, key: &Self) -> Result<Self, String> {
        match (self, key) {
            (Self::Missing | Self::Nil, _) => Err("index of untyped nil".to_owned()),
            (Self::NilPointer(_), _) => Err("index of nil pointer".to_owned()),
            (Self::Map(map), Self::Str(key)) => {
                Ok(map.entries.get(&**key).cloned().unwrap_or_else(|| map.element.zero()))
            }
            (Self::Map(_), Self::Nil | Self::Missing) => {
                Err("value is nil; should be of type string".to_owned())
            }
            (Self::Map(_), _) => Err(format!("value has type {}; should be string", key.type_name())),
            (Self::List(list), _) => {
                let index = position(key, list.items.len())?;
                list.items.get(index).cloned().ok_or_else(|| "reflect: slice index out of range".to_owned())
            }
            (Self::Str(text), _) => {
                let index = position(key, text.len())?;
                let byte = text.as_bytes().get(index);
                byte.map(|byte| Self::Uint((*byte).into()))
                    .ok_or_else(|| "reflect: string index out of range".to_owned())
            }
            _ => Err(format!("can't index item of type {}", self.type_name())),
        }
    }
}

/// A number that may index up to `limit`.
pub(super) fn position(key: &Value, limit: usize) -> Result<usize, String> {
    let index = match key {
        Value::Int(index) => usize::try_from(*index).ok(),
        Value::Uint(index) => usize::try_from(*index).ok(),
        Value::Nil | Value::Missing => return Err("cannot index slice/array with nil".to_owned()),
        _ => return Err(format!("cannot index slice/array with type {}", key.type_name())),
    };
    index.filter(|index| *index <= limit).ok_or_else(|| format!("index out of range: {}", key.display()))
}

/// The elements' type of a list, for those that build another.
pub(super) const fn strings() -> Element {
    Element::Str
}
