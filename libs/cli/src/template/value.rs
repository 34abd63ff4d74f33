//! What a template looks at: values with the types that Go's templates tell apart.
//!
//! A template written for podman meets structs (an unknown field is an error), maps (a missing key prints
//! `<no value>`), nil of several kinds, and integers that are not strings. A [`Value`] keeps these apart, and a field
//! knows its name in templates and its other one in JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use super::time::Time;

/// Something a template can print, walk and compare.
#[derive(Debug, Clone)]
pub enum Value {
    /// What a missing key of a map gives: there is nothing at all.
    Missing,
    /// Go's nil interface.
    Nil,
    /// A nil pointer to a struct, with the type's name.
    NilPointer(&'static str),
    /// A truth value.
    Bool(bool),
    /// A signed number.
    Int(i64),
    /// An unsigned number.
    Uint(u64),
    /// A number with a fraction.
    Float(f64),
    /// Text.
    Str(Rc<str>),
    /// A slice.
    List(Rc<List>),
    /// A map with names as keys.
    Map(Rc<Map>),
    /// A struct.
    Struct(Rc<Struct>),
    /// A point in time.
    Time(Time),
    /// A span of time in nanoseconds.
    Duration(i64),
    /// A method or a function.
    Func(Func),
}

/// A slice, with the type of its elements.
#[derive(Debug, Clone)]
pub struct List {
    /// The elements.
    pub items: Vec<Value>,
    /// What they are.
    pub element: Element,
}

/// A map, with the type of its elements.
#[derive(Debug, Clone)]
pub struct Map {
    /// The elements, in the order of their keys.
    pub entries: BTreeMap<String, Value>,
    /// What they are.
    pub element: Element,
}

/// The type of a slice's or map's elements, which decides what a missing one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element {
    /// Anything: `interface {}`.
    Any,
    /// `string`.
    Str,
    /// `int`.
    Int,
    /// `bool`.
    Bool,
    /// A struct with this type name.
    Struct(&'static str),
}

impl Element {
    pub(super) const fn type_name(self) -> &'static str {
        match self {
            Self::Any => "interface {}",
            Self::Str => "string",
            Self::Int => "int",
            Self::Bool => "bool",
            Self::Struct(name) => name,
        }
    }

    pub(super) fn zero(self) -> Value {
        match self {
            Self::Any => Value::Nil,
            Self::Str => Value::from(""),
            Self::Int => Value::Int(0),
            Self::Bool => Value::Bool(false),
            Self::Struct(name) => Value::NilPointer(name),
        }
    }
}

/// A struct: its fields in the order they were declared.
#[derive(Debug, Clone)]
pub struct Struct {
    name: &'static str,
    fields: Vec<Field>,
}

/// One field of a struct.
#[derive(Debug, Clone)]
pub struct Field {
    /// Its name in templates.
    pub name: &'static str,
    /// Its name in JSON; one without a name stays out.
    pub json: Option<&'static str>,
    /// An empty one stays out of JSON.
    pub omit_empty: bool,
    /// What it holds.
    pub value: Value,
}

impl Struct {
    /// A struct without fields, of the type that error messages name.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name, fields: Vec::new() }
    }

    /// Adds a field that has the same name in JSON.
    #[must_use]
    pub fn field(self, name: &'static str, value: impl Into<Value>) -> Self {
        self.named(name, Some(name), value)
    }

    /// Adds a field that has its own name in JSON, or does not show there.
    #[must_use]
    pub fn named(mut self, name: &'static str, json: Option<&'static str>, value: impl Into<Value>) -> Self {
        self.fields.push(Field { name, json, omit_empty: false, value: value.into() });
        self
    }

    /// Adds a field that stays out of JSON when it is empty.
    #[must_use]
    pub fn optional(mut self, name: &'static str, json: &'static str, value: impl Into<Value>) -> Self {
        self.fields.push(Field { name, json: Some(json), omit_empty: true, value: value.into() });
        self
    }

    /// Adds a method, which templates call and JSON does not show.
    #[must_use]
    pub fn method(
        self,
        name: &'static str,
        arity: usize,
        call: impl Fn(&[Value]) -> Result<Value, String> + 'static,
    ) -> Self {
        self.named(name, None, Value::Func(Func { name, arity, call: Rc::new(call) }))
    }

    /// The type's name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The fields.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The field of that name in templates.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.fields.iter().find(|field| field.name == name).map(|field| &field.value)
    }
}

impl From<Struct> for Value {
    fn from(value: Struct) -> Self {
        Self::Struct(Rc::new(value))
    }
}

/// The code of a [`Func`].
type Call = dyn Fn(&[Value]) -> Result<Value, String>;

/// A method of a struct.
#[derive(Clone)]
pub struct Func {
    /// How errors call it.
    pub name: &'static str,
    /// How many arguments it takes.
    pub arity: usize,
    pub(super) call: Rc<Call>,
}

impl fmt::Debug for Func {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "func {}({})", self.name, self.arity)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}
impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}
impl From<i32> for Value {
    fn from(value: i32) -> Self {
        Self::Int(value.into())
    }
}
impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Uint(value.into())
    }
}
impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Uint(value)
    }
}
impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}
impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Str(value.into())
    }
}
impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Str(value.into())
    }
}
impl From<Time> for Value {
    fn from(value: Time) -> Self {
        Self::Time(value)
    }
}
impl From<Vec<String>> for Value {
    fn from(value: Vec<String>) -> Self {
        let items = value.into_iter().map(Self::from).collect();
        Self::List(Rc::new(List { items, element: Element::Str }))
    }
}
impl From<Vec<Self>> for Value {
    fn from(items: Vec<Self>) -> Self {
        Self::List(Rc::new(List { items, element: Element::Any }))
    }
}
impl From<Vec<Struct>> for Value {
    fn from(value: Vec<Struct>) -> Self {
        let element = value.first().map_or(Element::Any, |first| Element::Struct(first.name));
        let items = value.into_iter().map(Self::from).collect();
        Self::List(Rc::new(List { items, element }))
    }
}
impl From<BTreeMap<String, String>> for Value {
    fn from(value: BTreeMap<String, String>) -> Self {
        let entries = value.into_iter().map(|(key, value)| (key, Self::from(value))).collect();
        Self::Map(Rc::new(Map { entries, element: Element::Str }))
    }
}
impl From<BTreeMap<String, Self>> for Value {
    fn from(entries: BTreeMap<String, Self>) -> Self {
        Self::Map(Rc::new(Map { entries, element: Element::Any }))
    }
}
impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Nil, Into::into)
    }
}

impl From<&serde_json::Value> for Value {
    /// What Go has after decoding the JSON into an `interface {}`, but whole numbers stay whole.
    fn from(json: &serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Nil,
            serde_json::Value::Bool(value) => Self::Bool(*value),
            serde_json::Value::Number(number) => number
                .as_i64()
                .map(Self::Int)
                .or_else(|| number.as_u64().map(Self::Uint))
                .unwrap_or_else(|| Self::Float(number.as_f64().unwrap_or(f64::NAN))),
            serde_json::Value::String(text) => Self::from(text.as_str()),
            serde_json::Value::Array(items) => Self::from(items.iter().map(Self::from).collect::<Vec<_>>()),
            serde_json::Value::Object(entries) => Self::from(
                entries
                    .iter()
                    .map(|(key, value)| (key.clone(), Self::from(value)))
                    .collect::<BTreeMap<_, _>>(),
            ),
        }
    }
}

impl Value {
    /// Text, as a template would print it.
    #[must_use]
    pub fn display(&self) -> String {
        super::print::plain(self)
    }

    /// What Go's `encoding/json` makes of it.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match self {
            Self::Missing | Self::Nil | Self::NilPointer(_) | Self::Func(_) => Json::Null,
            Self::Bool(value) => Json::Bool(*value),
            Self::Int(value) | Self::Duration(value) => (*value).into(),
            Self::Uint(value) => (*value).into(),
            Self::Float(value) => serde_json::Number::from_f64(*value).map_or(Json::Null, Json::Number),
            Self::Str(value) => Json::String(value.to_string()),
            Self::Time(time) => Json::String(time.rfc3339()),
            Self::List(list) => Json::Array(list.items.iter().map(Self::to_json).collect()),
            Self::Map(map) => {
                Json::Object(map.entries.iter().map(|(key, value)| (key.clone(), value.to_json())).collect())
            }
            Self::Struct(value) => Json::Object(
                value
                    .fields
                    .iter()
                    .filter(|field| !(field.omit_empty && field.value.is_empty()))
                    .filter_map(|field| Some((field.json?.to_owned(), field.value.to_json())))
                    .collect(),
            ),
        }
    }

    /// What `omitempty` leaves out.
    fn is_empty(&self) -> bool {
        !matches!(self, Self::Struct(_) | Self::Time(_)) && !self.is_true()
    }

    /// What an `if` thinks of it.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Missing | Self::Nil | Self::NilPointer(_) => false,
            Self::Bool(value) => *value,
            Self::Int(value) | Self::Duration(value) => *value != 0,
            Self::Uint(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Str(value) => !value.is_empty(),
            Self::List(list) => !list.items.is_empty(),
            Self::Map(map) => !map.entries.is_empty(),
            Self::Struct(_) | Self::Time(_) | Self::Func(_) => true,
        }
    }

    /// Go's name of its type.
    pub(super) fn type_name(&self) -> String {
        match self {
            Self::Missing | Self::Nil => "interface {}".to_owned(),
            Self::NilPointer(name) => format!("*{name}"),
            Self::Bool(_) => "bool".to_owned(),
            Self::Int(_) => "int".to_owned(),
            Self::Uint(_) => "uint64".to_owned(),
            Self::Float(_) => "float64".to_owned(),
            Self::Str(_) => "string".to_owned(),
            Self::List(list) => format!("[]{}", list.element.type_name()),
            Self::Map(map) => format!("map[string]{}", map.element.type_name()),
            Self::Struct(value) => value.name.to_owned(),
            Self::Time(_) => "time.Time".to_owned(),
            Self::Duration(_) => "time.Duration".to_owned(),
            Self::Func(func) => format!("func({}) string", vec!["string"; func.arity].join(", ")),
        }
    }
}
