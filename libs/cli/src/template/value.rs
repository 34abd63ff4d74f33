//! What templates and JSON are made from: values with the types that Go would give them.
//!
//! A [`Value`] knows enough of its Go type for a template to print, compare and complain as Go does. The same value
//! gives a verb's JSON: a [`Struct`] has for each field the name that templates use and the one that JSON has.

mod structure;
mod types;

pub use structure::{Field, Func, Struct};
pub use types::Type;

use crate::human::time::Timestamp;
use std::collections::BTreeMap;
use std::rc::Rc;

/// A value.
#[derive(Debug, Clone, Default)]
pub enum Value {
    /// Nothing: a key that is not there, or `nil`.
    #[default]
    Nil,
    /// A boolean.
    Bool(bool),
    /// A signed number.
    Int(i64),
    /// An unsigned number.
    Uint(u64),
    /// A number with a fraction.
    Float(f64),
    /// A complex number. Only a constant in a template can be one.
    Complex(f64, f64),
    /// A string, of any bytes.
    String(Rc<[u8]>),
    /// A slice.
    List(Rc<List>),
    /// A map.
    Map(Rc<Map>),
    /// A struct.
    Struct(Rc<Struct>),
    /// A point in time.
    Time(Timestamp),
    /// A duration in nanoseconds.
    Duration(i64),
    /// A function, for `call`.
    Func(Rc<Func>),
    /// A nil pointer to a type of that name.
    NilPointer(&'static str),
}

/// A slice.
#[derive(Debug, Clone)]
pub struct List {
    /// The type of its elements.
    pub element: Type,
    /// Its elements; none is a nil slice.
    pub items: Option<Vec<Value>>,
}

/// A map, sorted by key.
#[derive(Debug, Clone)]
pub struct Map {
    /// The type of its keys.
    pub key: Type,
    /// The type of its values.
    pub element: Type,
    /// Its entries in the order of their keys; none is a nil map.
    pub entries: Option<Vec<(Value, Value)>>,
}

impl List {
    /// The elements.
    #[must_use]
    pub fn items(&self) -> &[Value] {
        self.items.as_deref().unwrap_or(&[])
    }
}

impl Map {
    /// The entries.
    #[must_use]
    pub fn entries(&self) -> &[(Value, Value)] {
        self.entries.as_deref().unwrap_or(&[])
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &Value) -> Option<&Value> {
        let found = self.entries().binary_search_by(|(known, _)| known.order(key));
        found.ok().and_then(|index| self.entries().get(index)).map(|(_, value)| value)
    }
}

impl Value {
    /// A string of any bytes.
    #[must_use]
    pub fn bytes(bytes: &[u8]) -> Self {
        Self::String(bytes.into())
    }

    /// A slice whose elements have a type.
    #[must_use]
    pub fn list(element: Type, items: Vec<Self>) -> Self {
        Self::List(Rc::new(List { element, items: Some(items) }))
    }

    /// A nil slice: printed as an empty one, `null` in JSON.
    #[must_use]
    pub fn nil_list(element: Type) -> Self {
        Self::List(Rc::new(List { element, items: None }))
    }

    /// Go's `[]string`.
    pub fn strings<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> Self {
        Self::list(Type::String, items.into_iter().map(|item| Self::from(item.as_ref())).collect())
    }

    /// Go's `[]interface {}`.
    #[must_use]
    pub fn any_list(items: Vec<Self>) -> Self {
        Self::list(Type::Any, items)
    }

    /// A slice of structs: what most verbs list.
    pub fn structs(items: impl IntoIterator<Item = Struct>) -> Self {
        let items: Vec<Self> = items.into_iter().map(Self::from).collect();
        let element = items.first().map_or(Type::Any, Self::type_of);
        Self::list(element, items)
    }

    /// A map whose keys and values have types.
    #[must_use]
    pub fn map(key: Type, element: Type, mut entries: Vec<(Self, Self)>) -> Self {
        // The last one of a key wins, as in Go.
        entries.reverse();
        entries.sort_by(|(left, _), (right, _)| left.order(right));
        entries.dedup_by(|(later, _), (earlier, _)| later.order(earlier).is_eq());
        Self::Map(Rc::new(Map { key, element, entries: Some(entries) }))
    }

    /// A nil map: printed as an empty one, `null` in JSON.
    #[must_use]
    pub fn nil_map(key: Type, element: Type) -> Self {
        Self::Map(Rc::new(Map { key, element, entries: None }))
    }

    /// Go's `map[string]string`: labels, options.
    pub fn string_map<K: AsRef<str>, V: AsRef<str>>(entries: impl IntoIterator<Item = (K, V)>) -> Self {
        let entries = entries.into_iter().map(|(key, value)| (key.as_ref().into(), value.as_ref().into()));
        Self::map(Type::String, Type::String, entries.collect())
    }

    /// Go's `map[string]interface {}`.
    pub fn any_map<K: AsRef<str>>(entries: impl IntoIterator<Item = (K, Self)>) -> Self {
        let entries = entries.into_iter().map(|(key, value)| (key.as_ref().into(), value));
        Self::map(Type::String, Type::Any, entries.collect())
    }

    /// The text that a template prints for it.
    #[must_use]
    pub fn display(&self) -> String {
        let mut out = Vec::new();
        super::print::plain(self, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    /// What Go's `encoding/json` makes of it. [`crate::json`] writes it in podman's layouts.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match self {
            Self::Nil | Self::NilPointer(_) | Self::Func(_) | Self::Complex(..) => Json::Null,
            Self::Bool(bool) => Json::Bool(*bool),
            Self::Int(number) | Self::Duration(number) => (*number).into(),
            Self::Uint(number) => (*number).into(),
            Self::Float(number) => serde_json::Number::from_f64(*number).map_or(Json::Null, Json::Number),
            Self::String(text) => Json::String(String::from_utf8_lossy(text).into_owned()),
            Self::Time(time) => Json::String(time.rfc3339()),
            Self::List(list) => match &list.items {
                Some(items) => Json::Array(items.iter().map(Self::to_json).collect()),
                None => Json::Null,
            },
            Self::Map(map) => match &map.entries {
                Some(entries) => Json::Object(
                    entries.iter().map(|(key, value)| (key.display(), value.to_json())).collect(),
                ),
                None => Json::Null,
            },
            Self::Struct(record) => Json::Object(
                record.json_fields().map(|(name, value)| (name.to_owned(), value.to_json())).collect(),
            ),
        }
    }

    /// The value's type. That of [`Value::Nil`] has no name in Go.
    #[must_use]
    pub fn type_of(&self) -> Type {
        match self {
            Self::Nil => Type::Nil,
            Self::Bool(_) => Type::Bool,
            Self::Int(_) => Type::Int,
            Self::Uint(_) => Type::Uint,
            Self::Float(_) => Type::Float,
            Self::Complex(..) => Type::Complex,
            Self::String(_) => Type::String,
            Self::List(list) => Type::List(Rc::new(list.element.clone())),
            Self::Map(map) => Type::Map(Rc::new((map.key.clone(), map.element.clone()))),
            Self::Struct(record) => Type::Named(record.type_name),
            Self::Time(_) => Type::Named("time.Time"),
            Self::Duration(_) => Type::Named("time.Duration"),
            Self::Func(func) => Type::Func(func.type_name().into()),
            Self::NilPointer(name) => Type::Pointer(name),
        }
    }

    /// Whether a condition holds: not zero, not empty.
    #[must_use]
    pub fn truth(&self) -> bool {
        match self {
            Self::Nil | Self::NilPointer(_) => false,
            Self::Bool(bool) => *bool,
            Self::Int(number) | Self::Duration(number) => *number != 0,
            Self::Uint(number) => *number != 0,
            Self::Float(number) => *number != 0.0,
            Self::Complex(real, imaginary) => *real != 0.0 || *imaginary != 0.0,
            Self::String(text) => !text.is_empty(),
            Self::List(list) => !list.items().is_empty(),
            Self::Map(map) => !map.entries().is_empty(),
            Self::Struct(_) | Self::Time(_) | Self::Func(_) => true,
        }
    }

    /// Whether this is a nil of some type.
    #[must_use]
    pub fn is_nil(&self) -> bool {
        match self {
            Self::Nil | Self::NilPointer(_) => true,
            Self::List(list) => list.items.is_none(),
            Self::Map(map) => map.entries.is_none(),
            _ => false,
        }
    }

    /// The text of a string.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The order of keys in a map: nil, then numbers, strings and the rest.
    pub(crate) fn order(&self, other: &Self) -> std::cmp::Ordering {
        match (self, other) {
            (Self::String(left), Self::String(right)) => left.cmp(right),
            (Self::Int(left), Self::Int(right)) => left.cmp(right),
            (Self::Uint(left), Self::Uint(right)) => left.cmp(right),
            (Self::Float(left), Self::Float(right)) => left.total_cmp(right),
            (Self::Bool(left), Self::Bool(right)) => left.cmp(right),
            _ => self.rank().cmp(&other.rank()),
        }
    }

    const fn rank(&self) -> u8 {
        match self {
            Self::Nil => 0,
            Self::Bool(_) => 1,
            Self::Int(_) => 2,
            Self::Uint(_) => 3,
            Self::Float(_) => 4,
            Self::String(_) => 5,
            _ => 6,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.as_bytes().into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text.into_bytes().into())
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<bool> for Value {
    fn from(bool: bool) -> Self {
        Self::Bool(bool)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<i32> for Value {
    fn from(number: i32) -> Self {
        Self::Int(number.into())
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Uint(number)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Uint(number.into())
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Self::Uint(number.into())
    }
}

impl From<Vec<String>> for Value {
    fn from(items: Vec<String>) -> Self {
        Self::list(Type::String, items.into_iter().map(Self::from).collect())
    }
}

/// Go's `[]interface {}`.
impl From<Vec<Self>> for Value {
    fn from(items: Vec<Self>) -> Self {
        Self::any_list(items)
    }
}

impl From<Vec<Struct>> for Value {
    fn from(items: Vec<Struct>) -> Self {
        Self::structs(items)
    }
}

impl From<BTreeMap<String, String>> for Value {
    fn from(entries: BTreeMap<String, String>) -> Self {
        Self::string_map(entries)
    }
}

/// Go's `map[string]interface {}`.
impl From<BTreeMap<String, Self>> for Value {
    fn from(entries: BTreeMap<String, Self>) -> Self {
        Self::any_map(entries)
    }
}

/// A JSON document as Go's decoder gives it, but that whole numbers stay whole.
impl From<&serde_json::Value> for Value {
    fn from(json: &serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Nil,
            serde_json::Value::Bool(bool) => Self::Bool(*bool),
            serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(number), _) => Self::Int(number),
                (_, Some(number)) => Self::Uint(number),
                _ => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            serde_json::Value::String(text) => Self::from(text.as_str()),
            serde_json::Value::Array(items) => Self::any_list(items.iter().map(Self::from).collect()),
            serde_json::Value::Object(entries) => {
                Self::any_map(entries.iter().map(|(key, value)| (key, Self::from(value))))
            }
        }
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

impl From<Timestamp> for Value {
    fn from(time: Timestamp) -> Self {
        Self::Time(time)
    }
}

impl From<Struct> for Value {
    fn from(record: Struct) -> Self {
        Self::Struct(Rc::new(record))
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Nil, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_gos_names() {
        for (value, name) in [
            (Value::strings(["a"]), "[]string"),
            (Value::any_list(vec![]), "[]interface {}"),
            (Value::string_map([("a", "b")]), "map[string]string"),
            (Value::any_map([("a", Value::Nil)]), "map[string]interface {}"),
            (Value::from(1_i64), "int"),
            (Value::from(1_u16), "uint64"),
            (Value::from(Timestamp::ZERO), "time.Time"),
            (Value::from(Struct::new("images.Image")), "images.Image"),
            (Value::NilPointer("x.Y"), "*x.Y"),
            (Value::structs([Struct::new("x.Y")]), "[]x.Y"),
        ] {
            assert_eq!(value.type_of().to_string(), name);
        }
    }

    #[test]
    fn maps_are_sorted_and_the_last_of_a_key_wins() {
        let map = Value::string_map([("b", "1"), ("a", "2"), ("b", "3")]);
        let Value::Map(map) = map else { panic!("a map") };
        assert_eq!(map.entries().len(), 2);
        assert_eq!(map.get(&"b".into()).and_then(Value::as_bytes), Some(&b"3"[..]));
        assert!(map.get(&"c".into()).is_none());
    }

    #[test]
    fn what_is_zero_or_empty_is_false() {
        for value in [
            Value::Nil,
            Value::from(false),
            Value::Int(0),
            Value::from(0.0),
            Value::from(""),
            Value::strings([""; 0]),
            Value::nil_map(Type::String, Type::Any),
            Value::NilPointer("T"),
        ] {
            assert!(!value.truth(), "{value:?}");
        }
        for value in [Value::from(Struct::new("T")), Value::from(Timestamp::ZERO), Value::from("x")] {
            assert!(value.truth(), "{value:?}");
        }
    }
}
