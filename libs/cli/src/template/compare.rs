//! `eq`, `lt` and the rest.

use super::print;
use super::value::Value;

const INCOMPATIBLE: &str = "incompatible types for comparison";
const INVALID: &str = "invalid type for comparison";
const MISSING: &str = "missing argument for comparison";

/// What can be compared with the like only.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Invalid,
    Bool,
    Complex,
    Int,
    Float,
    String,
    Uint,
}

const fn kind(value: &Value) -> Kind {
    match value {
        Value::Bool(_) => Kind::Bool,
        Value::Int(..) | Value::Duration(_) => Kind::Int,
        Value::Uint(..) => Kind::Uint,
        Value::Float(_) => Kind::Float,
        Value::Complex(..) => Kind::Complex,
        Value::String(_) => Kind::String,
        _ => Kind::Invalid,
    }
}

/// Whether the first value equals one of the others.
pub(super) fn eq(values: &[Value]) -> Result<bool, String> {
    let Some((left, others)) = values.split_first() else { return Err(MISSING.into()) };
    if others.is_empty() {
        return Err(MISSING.into());
    }
    for right in others {
        if equal(left, right)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn equal(left: &Value, right: &Value) -> Result<bool, String> {
    use Value::{Bool, Complex, Duration, Float, Int, Nil, String, Uint};
    Ok(match (left, right) {
        (Bool(left), Bool(right)) => left == right,
        (Int(left) | Duration(left), Int(right) | Duration(right)) => left == right,
        (Uint(left), Uint(right)) => left == right,
        (Int(int) | Duration(int), Uint(uint)) | (Uint(uint), Int(int) | Duration(int)) => {
            u64::try_from(*int) == Ok(*uint)
        }
        (Float(left), Float(right)) => left == right,
        (Complex(a, b), Complex(c, d)) => a == c && b == d,
        (String(left), String(right)) => left == right,
        (Nil, _) | (_, Nil) if kind(left) != kind(right) => false,
        _ if kind(left) != kind(right) => return Err(INCOMPATIBLE.into()),
        _ => return structures(left, right),
    })
}

/// Equality of what has no order: nil, times, structs.
fn structures(left: &Value, right: &Value) -> Result<bool, String> {
    if std::mem::discriminant(left) != std::mem::discriminant(right)
        && !matches!(left, Value::Nil)
        && !matches!(right, Value::Nil)
    {
        return Err(format!(
            "non-comparable types {}: {}, {}: {}",
            text(left),
            left.type_of(),
            right.type_of(),
            text(right)
        ));
    }
    if left.is_nil() || right.is_nil() {
        return Ok(left.is_nil() == right.is_nil());
    }
    match (left, right) {
        (Value::Time(left), Value::Time(right)) => Ok(left == right),
        (Value::Struct(left), Value::Struct(right)) => {
            if left.type_name != right.type_name {
                return Ok(false);
            }
            let pairs = left.fields().iter().zip(right.fields());
            for (left, right) in pairs {
                if left.name != right.name || !equal(&left.value, &right.value)? {
                    return Ok(false);
                }
            }
            Ok(left.fields().len() == right.fields().len())
        }
        _ => Err(format!("non-comparable type {}: {}", text(right), right.type_of())),
    }
}

/// `%s` of a value.
fn text(value: &Value) -> String {
    let mut out = Vec::new();
    print::Printer::new(&mut out).arg(value, 's');
    String::from_utf8_lossy(&out).into_owned()
}

/// Whether the first value is less than the second.
pub(super) fn lt(values: &[Value]) -> Result<bool, String> {
    use Value::{Duration, Float, Int, String, Uint};
    let [left, right] = values else { return Err(MISSING.into()) };
    if kind(left) == Kind::Invalid || kind(right) == Kind::Invalid {
        return Err(INVALID.into());
    }
    Ok(match (left, right) {
        (Int(left) | Duration(left), Int(right) | Duration(right)) => left < right,
        (Uint(left), Uint(right)) => left < right,
        (Int(left) | Duration(left), Uint(right)) => u64::try_from(*left).map_or(true, |left| left < *right),
        (Uint(left), Int(right) | Duration(right)) => u64::try_from(*right).is_ok_and(|right| *left < right),
        (Float(left), Float(right)) => left < right,
        (String(left), String(right)) => left < right,
        _ if kind(left) != kind(right) => return Err(INCOMPATIBLE.into()),
        _ => return Err(INVALID.into()),
    })
}

/// Whether the first value is less than the second or equal to it.
pub(super) fn le(values: &[Value]) -> Result<bool, String> {
    Ok(lt(values)? || eq(values)?)
}
