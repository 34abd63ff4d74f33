//! Types of values, by the names that Go gives them.

use super::Value;
use crate::human::time::Timestamp;
use std::fmt;
use std::rc::Rc;

/// The type of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    /// `interface {}`: anything.
    Any,
    /// That of nothing.
    Nil,
    /// `bool`
    Bool,
    /// `int`: every signed number.
    Int,
    /// `uint64`: every unsigned number.
    Uint,
    /// `float64`
    Float,
    /// `complex128`
    Complex,
    /// `string`
    String,
    /// A slice of a type.
    List(Rc<Self>),
    /// A map from a type to another.
    Map(Rc<(Self, Self)>),
    /// A type with a name: a struct or a time.
    Named(&'static str),
    /// A pointer to a type with a name.
    Pointer(&'static str),
    /// A function with so many strings as arguments, or others.
    Func(Rc<str>),
}

impl Type {
    /// The zero value of the type. A struct's is not known here, and is nothing.
    #[must_use]
    pub fn zero(&self) -> Value {
        match self {
            Self::Any | Self::Nil => Value::Nil,
            Self::Bool => Value::Bool(false),
            Self::Int => Value::Int(0),
            Self::Uint => Value::Uint(0),
            Self::Float => Value::Float(0.0),
            Self::Complex => Value::Complex(0.0, 0.0),
            Self::String => Value::from(""),
            Self::List(element) => Value::nil_list((**element).clone()),
            Self::Map(types) => Value::nil_map(types.0.clone(), types.1.clone()),
            Self::Named("time.Time") => Value::Time(Timestamp::ZERO),
            Self::Named("time.Duration") => Value::Duration(0),
            Self::Pointer(name) => Value::NilPointer(name),
            Self::Named(_) | Self::Func(_) => Value::Nil,
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Any => "interface {}",
            Self::Nil => "nil",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "uint64",
            Self::Float => "float64",
            Self::Complex => "complex128",
            Self::String => "string",
            Self::List(element) => return write!(f, "[]{element}"),
            Self::Map(types) => return write!(f, "map[{}]{}", types.0, types.1),
            Self::Pointer(name) => return write!(f, "*{name}"),
            Self::Named(name) => name,
            Self::Func(name) => name,
        };
        f.write_str(name)
    }
}
