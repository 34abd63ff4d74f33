//! Methods: those of structs, and those of times and durations that templates use.

use super::functions::{Callee, Param};
use super::value::{Type, Value};
use crate::human::time::{Timestamp, duration};

/// What a method does with its receiver and its arguments.
pub(super) type Method = fn(&Value, &[Value]) -> Result<Value, String>;

/// Finds the method of a value.
pub(super) fn find(receiver: &Value, name: &str) -> Option<Callee<'static>> {
    let string = || vec![Param::Of(Type::String)];
    let (params, method): (Vec<Param>, Method) = match (receiver, name) {
        (Value::Struct(record), name) => {
            return record.find_method(name).cloned().map(Callee::Method);
        }
        (Value::Time(_), "Format") => (string(), |receiver, args| {
            let layout = args.first().and_then(Value::as_bytes).unwrap_or(&[]);
            Ok(Value::from(time(receiver).format(&String::from_utf8_lossy(layout))))
        }),
        (Value::Time(_), _) => (vec![], of_time(name)?),
        (Value::Duration(_), _) => (vec![], of_duration(name)?),
        _ => return None,
    };
    Some(Callee::Time(params, method, receiver.clone()))
}

const fn time(value: &Value) -> Timestamp {
    match value {
        Value::Time(time) => *time,
        _ => Timestamp::ZERO,
    }
}

const fn nanos(value: &Value) -> i64 {
    match value {
        Value::Duration(nanos) => *nanos,
        _ => 0,
    }
}

fn of_time(name: &str) -> Option<Method> {
    Some(match name {
        "String" => |receiver, _| Ok(Value::from(time(receiver).to_string())),
        "UTC" | "Local" => |receiver, _| Ok(receiver.clone()),
        "IsZero" => |receiver, _| Ok(Value::Bool(time(receiver).is_zero())),
        "Unix" => |receiver, _| Ok(Value::from(time(receiver).seconds)),
        "UnixMilli" => |receiver, _| Ok(Value::from(since_1970(time(receiver), 1_000))),
        "UnixMicro" => |receiver, _| Ok(Value::from(since_1970(time(receiver), 1_000_000))),
        "UnixNano" => |receiver, _| Ok(Value::from(since_1970(time(receiver), 1_000_000_000))),
        "Nanosecond" => |receiver, _| Ok(Value::Int(time(receiver).nanos.into())),
        "Year" => |receiver, _| Ok(part(receiver, "2006")),
        "Day" => |receiver, _| Ok(part(receiver, "2")),
        "Hour" => |receiver, _| Ok(part(receiver, "15")),
        "Minute" => |receiver, _| Ok(part(receiver, "4")),
        "Second" => |receiver, _| Ok(part(receiver, "5")),
        "YearDay" => |receiver, _| Ok(part(receiver, "__2")),
        "Month" => |receiver, _| Ok(Value::from(time(receiver).format("January"))),
        "Weekday" => |receiver, _| Ok(Value::from(time(receiver).format("Monday"))),
        _ => return None,
    })
}

/// A number in the calendar or on the clock.
fn part(receiver: &Value, layout: &str) -> Value {
    Value::Int(time(receiver).format(layout).trim_start().parse().unwrap_or(0))
}

/// Units of so many to a second since 1970.
fn since_1970(time: Timestamp, units: i64) -> i64 {
    let fraction = i64::from(time.nanos) / (1_000_000_000 / units);
    time.seconds.wrapping_mul(units).wrapping_add(fraction)
}

fn of_duration(name: &str) -> Option<Method> {
    #[expect(clippy::cast_precision_loss, reason = "as Go's own methods")]
    Some(match name {
        "String" => |receiver, _| Ok(Value::from(duration(nanos(receiver)))),
        "Nanoseconds" => |receiver, _| Ok(Value::Int(nanos(receiver))),
        "Microseconds" => |receiver, _| Ok(Value::Int(nanos(receiver) / 1_000)),
        "Milliseconds" => |receiver, _| Ok(Value::Int(nanos(receiver) / 1_000_000)),
        "Seconds" => |receiver, _| Ok(Value::Float(nanos(receiver) as f64 / 1e9)),
        "Minutes" => |receiver, _| Ok(Value::Float(nanos(receiver) as f64 / 6e10)),
        "Hours" => |receiver, _| Ok(Value::Float(nanos(receiver) as f64 / 3.6e12)),
        _ => return None,
    })
}
