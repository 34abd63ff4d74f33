//! The functions a template can call: Go's own and those podman adds.

use std::cmp::Ordering;
use std::rc::Rc;

use super::exec::{position, strings};
use super::node::{Term, Word};
use super::print::{plain, quote, sprintf};
use super::quote::is_printable;
use super::value::{Func, List, Value};
use crate::text::Put as _;

/// A function's name with the fewest and the most arguments it takes.
const TABLE: &[(&str, usize, Option<usize>)] = &[
    ("and", 1, None),
    ("or", 1, None),
    ("not", 1, Some(1)),
    ("len", 1, Some(1)),
    ("index", 1, None),
    ("slice", 1, None),
    ("call", 1, None),
    ("print", 0, None),
    ("printf", 1, None),
    ("println", 0, None),
    ("html", 0, None),
    ("js", 0, None),
    ("urlquery", 0, None),
    ("eq", 1, None),
    ("ne", 2, Some(2)),
    ("lt", 2, Some(2)),
    ("le", 2, Some(2)),
    ("gt", 2, Some(2)),
    ("ge", 2, Some(2)),
    // podman's
    ("join", 2, Some(2)),
    ("json", 1, Some(1)),
    ("lower", 1, Some(1)),
    ("pad", 3, Some(3)),
    ("split", 2, Some(2)),
    ("title", 1, Some(1)),
    ("truncate", 2, Some(2)),
    ("upper", 1, Some(1)),
];

pub(super) fn exists(name: &str) -> bool {
    TABLE.iter().any(|(known, ..)| *known == name)
}

/// What is wrong with that many arguments.
pub(super) fn wrong_count(name: &str, count: usize) -> Option<String> {
    let (_, least, most) = TABLE.iter().find(|(known, ..)| *known == name)?;
    match most {
        None if count < *least => {
            Some(format!("wrong number of args for {name}: want at least {least} got {count}"))
        }
        Some(most) if count != *most => {
            Some(format!("wrong number of args for {name}: want {most} got {count}"))
        }
        _ => None,
    }
}

/// What a function wants at a place.
#[derive(Clone, Copy)]
enum Wants {
    Str,
    Int,
    Strings,
}

fn wants(name: &str) -> &'static [Wants] {
    match name {
        "printf" | "lower" | "upper" | "title" => &[Wants::Str],
        "join" => &[Wants::Strings, Wants::Str],
        "split" => &[Wants::Str, Wants::Str],
        "pad" => &[Wants::Str, Wants::Int, Wants::Int],
        "truncate" => &[Wants::Str, Wants::Int],
        _ => &[],
    }
}

/// Go checks the types of arguments before the call: a constant by its kind, a value by its type.
pub(super) fn check_types(name: &str, values: &[Value], words: &[Word]) -> Result<(), Misfit> {
    check(wants(name).iter(), values, words)
}

/// Methods take only text.
pub(super) fn check_strings(values: &[Value], words: &[Word]) -> Result<(), Misfit> {
    check(std::iter::repeat(&Wants::Str), values, words)
}

/// Which word does not fit, and what Go says of it.
type Misfit = (Option<usize>, String);

fn check<'a>(
    wanted: impl Iterator<Item = &'a Wants>,
    values: &[Value],
    words: &[Word],
) -> Result<(), Misfit> {
    for (index, (wants, value)) in wanted.zip(values).enumerate() {
        let fits = match wants {
            Wants::Str => matches!(value, Value::Str(_)),
            Wants::Int => matches!(value, Value::Int(_)),
            Wants::Strings => matches!(value, Value::List(list) if list.element == strings()),
        };
        if fits {
            continue;
        }
        let expected = match wants {
            Wants::Str => "string",
            Wants::Int => "int",
            Wants::Strings => "[]string",
        };
        let word = words.get(index);
        let message = match word.map(|word| &word.term) {
            Some(Term::Nil) => format!("cannot assign nil to {expected}"),
            Some(Term::Bool(_) | Term::Number { .. } | Term::Str { .. }) => match (wants, word) {
                (Wants::Str, Some(word)) => format!("expected string; found {word}"),
                (Wants::Int, Some(word)) => format!("expected integer; found {word}"),
                (_, Some(word)) => format!("can't handle {word} for arg of type {expected}"),
                (_, None) => String::new(),
            },
            _ if matches!(value, Value::Missing | Value::Nil) => {
                format!("invalid value; expected {expected}")
            }
            _ => format!("wrong type for value; expected {expected}; got {}", value.type_name()),
        };
        return Err((word.map(|_| index), message));
    }
    Ok(())
}

/// Calls a function whose arguments were counted and checked.
pub(super) fn call(name: &str, values: &[Value]) -> Result<Value, String> {
    match (name, values) {
        ("not", [value]) => Ok(Value::Bool(!value.is_true())),
        ("len", [value]) => length(value),
        ("index", [value, keys @ ..]) => keys.iter().try_fold(value.clone(), |value, key| value.element(key)),
        ("slice", [value, indexes @ ..]) => slice(value, indexes),
        ("call", [Value::Func(func), rest @ ..]) => {
            if rest.len() == func.arity {
                (func.call)(rest)
            } else {
                Err(format!("wrong number of args: got {} want {}", rest.len(), func.arity))
            }
        }
        ("call", [Value::Nil | Value::Missing, ..]) => Err("call of nil".to_owned()),
        ("call", [value, ..]) => Err(format!("non-function of type {}", value.type_name())),
        ("print", _) => Ok(Value::from(sprint(values))),
        ("println", _) => Ok(Value::from(sprintln(values))),
        ("printf", [Value::Str(format), rest @ ..]) => Ok(Value::from(sprintf(format, rest))),
        ("html", _) => Ok(Value::from(html(&text(values)))),
        ("js", _) => Ok(Value::from(js(&text(values)))),
        ("urlquery", _) => Ok(Value::from(url_query(&text(values)))),
        ("eq", [first, rest @ ..]) => equal(first, rest),
        ("ne", [first, second]) => match equal(first, std::slice::from_ref(second))? {
            Value::Bool(same) => Ok(Value::Bool(!same)),
            other => Ok(other),
        },
        ("lt", [a, b]) => Ok(Value::Bool(less(a, b)?)),
        ("le", [a, b]) => Ok(Value::Bool(less(a, b)? || is_equal(a, b)?)),
        ("gt", [a, b]) => Ok(Value::Bool(!(less(a, b)? || is_equal(a, b)?))),
        ("ge", [a, b]) => Ok(Value::Bool(!less(a, b)?)),
        ("json", [value]) => Ok(Value::from(json(value))),
        ("lower", [Value::Str(text)]) => Ok(Value::from(text.to_lowercase())),
        ("upper", [Value::Str(text)]) => Ok(Value::from(text.to_uppercase())),
        ("title", [Value::Str(text)]) => Ok(Value::from(title(text))),
        ("join", [Value::List(list), Value::Str(separator)]) => {
            let items: Vec<_> = list.items.iter().map(plain).collect();
            Ok(Value::from(items.join(separator)))
        }
        ("split", [Value::Str(text), Value::Str(separator)]) => Ok(Value::from(split(text, separator))),
        ("pad", [Value::Str(text), Value::Int(before), Value::Int(after)]) => {
            let spaces =
                |count: &i64| " ".repeat(usize::try_from(*count).unwrap_or_default().min(super::MAX_OUTPUT));
            Ok(Value::from(if text.is_empty() {
                text.to_string()
            } else {
                format!("{}{text}{}", spaces(before), spaces(after))
            }))
        }
        ("truncate", [Value::Str(text), Value::Int(length)]) => {
            let length = usize::try_from(*length).unwrap_or_default();
            Ok(Value::from(text.chars().take(length).collect::<String>()))
        }
        _ => Err("wrong arguments".to_owned()),
    }
}

fn length(value: &Value) -> Result<Value, String> {
    let length = match value {
        Value::Str(text) => text.len(),
        Value::List(list) => list.items.len(),
        Value::Map(map) => map.entries.len(),
        Value::Missing => return Err("reflect: call of reflect.Value.Type on zero Value".to_owned()),
        Value::Nil | Value::NilPointer(_) => return Err("len of nil pointer".to_owned()),
        _ => return Err(format!("len of type {}", value.type_name())),
    };
    Ok(Value::Int(i64::try_from(length).unwrap_or(i64::MAX)))
}

fn slice(value: &Value, indexes: &[Value]) -> Result<Value, String> {
    if matches!(value, Value::Missing | Value::Nil) {
        return Err("slice of untyped nil".to_owned());
    }
    if indexes.len() > 3 {
        return Err(format!("too many slice indexes: {}", indexes.len()));
    }
    let limit = match value {
        Value::Str(_) if indexes.len() == 3 => return Err("cannot 3-index slice a string".to_owned()),
        Value::Str(text) => text.len(),
        Value::List(list) => list.items.len(),
        _ => return Err(format!("can't slice item of type {}", value.type_name())),
    };
    let mut bounds = [0, limit, limit];
    for (bound, index) in bounds.iter_mut().zip(indexes) {
        *bound = position(index, limit)?;
    }
    if bounds[0] > bounds[1] {
        return Err(format!("invalid slice index: {} > {}", bounds[0], bounds[1]));
    }
    if indexes.len() == 3 && bounds[1] > bounds[2] {
        return Err(format!("invalid slice index: {} > {}", bounds[1], bounds[2]));
    }
    Ok(match value {
        Value::Str(text) => {
            Value::from(String::from_utf8_lossy(&text.as_bytes()[bounds[0]..bounds[1]]).into_owned())
        }
        Value::List(list) => Value::List(Rc::new(List {
            items: list.items[bounds[0]..bounds[1]].to_vec(),
            element: list.element,
        })),
        _ => Value::Missing,
    })
}

/// `%v` of an argument: nil shows as nil.
fn shown(value: &Value) -> String {
    sprintf("%v", std::slice::from_ref(value))
}

/// Go's `Sprint`: a space between two that are no text.
fn sprint(values: &[Value]) -> String {
    let mut out = String::new();
    for (index, value) in values.iter().enumerate() {
        let is_text = matches!(value, Value::Str(_));
        let before_is_text = index > 0 && matches!(values[index - 1], Value::Str(_));
        if index > 0 && !is_text && !before_is_text {
            out.push(' ');
        }
        out.push_str(&shown(value));
    }
    out
}

fn sprintln(values: &[Value]) -> String {
    values.iter().map(shown).collect::<Vec<_>>().join(" ") + "\n"
}

/// What the escaping functions escape.
fn text(values: &[Value]) -> String {
    match values {
        [Value::Str(text)] => text.to_string(),
        [Value::Missing | Value::Nil] => "<no value>".to_owned(),
        _ => sprint(values),
    }
}

fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\0' => out.push('\u{fffd}'),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            _ => out.push(c),
        }
    }
    out
}

fn js(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '"' => out.push_str("\\\""),
            '<' | '>' | '&' | '=' => out.put(format_args!("\\u{:04X}", c as u32)),
            _ if c < ' ' => out.put(format_args!("\\u{:04X}", c as u32)),
            _ if !c.is_ascii() && !is_printable(c) => out.put(format_args!("\\u{:04X}", c as u32)),
            _ => out.push(c),
        }
    }
    out
}

fn url_query(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte.into()),
            _ => out.put(format_args!("%{byte:02X}")),
        }
    }
    out
}

fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut inside = false;
    for c in text.chars() {
        let is_word = c.is_alphanumeric() || c == '_' || !(c.is_ascii() || c.is_whitespace());
        if is_word && !inside {
            out.extend(c.to_uppercase());
        } else {
            out.push(c);
        }
        inside = is_word;
    }
    out
}

fn split(text: &str, separator: &str) -> Vec<String> {
    if separator.is_empty() {
        text.chars().map(String::from).collect()
    } else {
        text.split(separator).map(str::to_owned).collect()
    }
}

/// One line of JSON, without Go's escaping of HTML.
fn json(value: &Value) -> String {
    value.to_json().to_string().replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029")
}

/// The kinds that compare with each other.
#[derive(PartialEq, Eq)]
enum Basic {
    Bool,
    Int,
    Uint,
    Float,
    Str,
}

fn basic(value: &Value) -> Option<Basic> {
    match value {
        Value::Bool(_) => Some(Basic::Bool),
        Value::Int(_) | Value::Duration(_) => Some(Basic::Int),
        Value::Uint(_) => Some(Basic::Uint),
        Value::Float(_) => Some(Basic::Float),
        Value::Str(_) => Some(Basic::Str),
        _ => None,
    }
}

fn integer(value: &Value) -> Option<i128> {
    match value {
        Value::Int(value) | Value::Duration(value) => Some((*value).into()),
        Value::Uint(value) => Some((*value).into()),
        _ => None,
    }
}

fn equal(first: &Value, rest: &[Value]) -> Result<Value, String> {
    if rest.is_empty() {
        return Err("missing argument for comparison".to_owned());
    }
    if matches!(first, Value::List(_) | Value::Map(_) | Value::Func(_)) {
        return Err(format!("non-comparable type {}: {}", shown(first), first.type_name()));
    }
    for other in rest {
        if is_equal(first, other)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

fn is_equal(a: &Value, b: &Value) -> Result<bool, String> {
    if let (Some(a), Some(b)) = (integer(a), integer(b)) {
        return Ok(a == b);
    }
    let is_nothing = |value: &Value| matches!(value, Value::Nil | Value::Missing);
    if basic(a) != basic(b) {
        return if is_nothing(a) || is_nothing(b) {
            Ok(false)
        } else {
            Err("incompatible types for comparison".to_owned())
        };
    }
    if matches!(b, Value::List(_) | Value::Map(_) | Value::Func(_)) {
        return Err(format!("non-comparable type {}: {}", shown(b), b.type_name()));
    }
    Ok(is_same(a, b))
}

/// Go's `==` of two interfaces.
fn is_same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Missing | Value::Nil, Value::Missing | Value::Nil) => true,
        (Value::NilPointer(a), Value::NilPointer(b)) => a == b,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Float(a), Value::Float(b)) => a == b,
        (Value::Str(a), Value::Str(b)) => a == b,
        (Value::Time(a), Value::Time(b)) => a == b,
        (Value::Struct(a), Value::Struct(b)) => {
            a.name() == b.name()
                && a.fields().iter().zip(b.fields()).all(|(a, b)| {
                    matches!((&a.value, &b.value), (Value::Func(_), Value::Func(_)))
                        || is_same(&a.value, &b.value)
                })
        }
        _ => integer(a).is_some() && integer(a) == integer(b),
    }
}

fn less(a: &Value, b: &Value) -> Result<bool, String> {
    if let (Some(a), Some(b)) = (integer(a), integer(b)) {
        return Ok(a < b);
    }
    match (basic(a), basic(b)) {
        (Some(kind_a), Some(kind_b)) if kind_a == kind_b => {}
        (Some(_), Some(_)) => return Err("incompatible types for comparison".to_owned()),
        _ => return Err("invalid type for comparison".to_owned()),
    }
    match (a, b) {
        (Value::Float(a), Value::Float(b)) => Ok(a.partial_cmp(b) == Some(Ordering::Less)),
        (Value::Str(a), Value::Str(b)) => Ok(a < b),
        _ => Err("invalid type for comparison".to_owned()),
    }
}

/// The methods of times and spans of time.
pub(super) fn method(receiver: &Value, name: &str) -> Option<Value> {
    match receiver {
        Value::Time(time) => {
            let civil = time.civil();
            let time = *time;
            Some(match name {
                "Unix" => Value::Int(time.unix()),
                "UnixNano" => Value::Int(time.unix_nano()),
                "UnixMilli" => Value::Int(time.unix_nano() / 1_000_000),
                "Year" => Value::Int(civil.year),
                "Month" => {
                    let month = usize::try_from(civil.month - 1).ok()?;
                    Value::from(*super::time::MONTHS.get(month)?)
                }
                "Day" => Value::Int(civil.day),
                "Hour" => Value::Int(civil.hour),
                "Minute" => Value::Int(civil.minute),
                "Second" => Value::Int(civil.second),
                "YearDay" => Value::Int(civil.day_of_year),
                "Nanosecond" => Value::Int(time.subsecond().into()),
                "String" => Value::from(time.to_string()),
                "UTC" | "Local" => Value::Time(time),
                "IsZero" => Value::Bool(time == super::time::Time::ZERO),
                "Format" => Value::Func(Func {
                    name: "Format",
                    arity: 1,
                    call: Rc::new(move |values| match values {
                        [Value::Str(layout)] => Ok(Value::from(time.format(layout))),
                        _ => Err(format!("expected string; found {}", quote("argument"))),
                    }),
                }),
                _ => return None,
            })
        }
        Value::Duration(span) => {
            #[expect(clippy::cast_precision_loss, reason = "Go returns a float here too")]
            let seconds = *span as f64 / 1e9;
            Some(match name {
                "Seconds" => Value::Float(seconds),
                "Minutes" => Value::Float(seconds / 60.0),
                "Hours" => Value::Float(seconds / 3600.0),
                "Milliseconds" => Value::Int(span / 1_000_000),
                "Nanoseconds" => Value::Int(*span),
                "String" => Value::from(super::print::duration(*span)),
                _ => return None,
            })
        }
        _ => None,
    }
}
