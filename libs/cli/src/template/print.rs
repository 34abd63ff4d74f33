//! Values as Go's `fmt` prints them, and Go's literals.

use super::node::Number;
use super::quote::{self, is_printable};
use super::value::{Struct, Value};
use crate::text::Put as _;

/// `%v` of a value that a template prints by itself.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::Missing | Value::Nil => "<no value>".to_owned(),
        _ => verb_v(value, Style::default(), 0),
    }
}

/// How `%v` prints: `%+v` names the fields, `%#v` writes Go.
#[derive(Debug, Clone, Copy, Default)]
struct Style {
    named: bool,
    go: bool,
}

/// Go's stack is deeper than ours.
const MAX_DEPTH: usize = 100;

fn verb_v(value: &Value, style: Style, depth: usize) -> String {
    if depth > MAX_DEPTH {
        return "...".to_owned();
    }
    let inner = |value: &Value| verb_v(value, style, depth + 1);
    match value {
        Value::Missing | Value::Nil | Value::NilPointer(_) if style.go => "interface {}(nil)".to_owned(),
        Value::Missing | Value::Nil | Value::NilPointer(_) => "<nil>".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Uint(value) if style.go => format!("{value:#x}"),
        Value::Uint(value) => value.to_string(),
        Value::Float(value) => float_g(*value, None, 21),
        Value::Str(value) if style.go => quote(value),
        Value::Str(value) => value.to_string(),
        Value::List(list) if style.go => {
            let items: Vec<_> = list.items.iter().map(inner).collect();
            format!("{}{{{}}}", value.type_name(), items.join(", "))
        }
        Value::List(list) => format!("[{}]", list.items.iter().map(inner).collect::<Vec<_>>().join(" ")),
        Value::Map(map) if style.go => {
            let entries: Vec<_> =
                map.entries.iter().map(|(key, value)| format!("{}:{}", quote(key), inner(value))).collect();
            format!("{}{{{}}}", value.type_name(), entries.join(", "))
        }
        Value::Map(map) => {
            let entries: Vec<_> =
                map.entries.iter().map(|(key, value)| format!("{key}:{}", inner(value))).collect();
            format!("map[{}]", entries.join(" "))
        }
        Value::Struct(value) => fields(value, style, depth),
        Value::Time(time) => time.to_string(),
        Value::Duration(nanoseconds) => duration(*nanoseconds),
        Value::Func(_) => "<func>".to_owned(),
    }
}

fn fields(value: &Struct, style: Style, depth: usize) -> String {
    let shown: Vec<_> = value
        .fields()
        .iter()
        .filter(|field| !matches!(field.value, Value::Func(_)))
        .map(|field| {
            let text = verb_v(&field.value, style, depth + 1);
            if style.named || style.go { format!("{}:{text}", field.name) } else { text }
        })
        .collect();
    if style.go {
        format!("{}{{{}}}", value.name(), shown.join(", "))
    } else {
        format!("{{{}}}", shown.join(" "))
    }
}

/// A span of time as Go prints it: `1h2m3.5s`.
pub(super) fn duration(nanoseconds: i64) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let total = nanoseconds.unsigned_abs();
    let fraction = |value: u64, unit: u64| {
        let digits = unit.ilog10() as usize;
        let rest = format!("{:0digits$}", value % unit);
        let rest = rest.trim_end_matches('0');
        if rest.is_empty() { (value / unit).to_string() } else { format!("{}.{rest}", value / unit) }
    };
    match total {
        0 => "0s".to_owned(),
        1..1_000 => format!("{sign}{total}ns"),
        1_000..1_000_000 => format!("{sign}{}µs", fraction(total, 1_000)),
        1_000_000..1_000_000_000 => format!("{sign}{}ms", fraction(total, 1_000_000)),
        _ => {
            let (hours, rest) = (total / 3_600_000_000_000, total % 3_600_000_000_000);
            let (minutes, rest) = (rest / 60_000_000_000, rest % 60_000_000_000);
            let mut out = sign.to_owned();
            if hours > 0 {
                out.put(format_args!("{hours}h"));
            }
            if hours > 0 || minutes > 0 {
                out.put(format_args!("{minutes}m"));
            }
            out + &fraction(rest, 1_000_000_000) + "s"
        }
    }
}

/// The shortest digits that read back as the same number, or that many; `%e` from an exponent of `large` on.
fn float_g(value: f64, precision: Option<usize>, large: i32) -> String {
    if !value.is_finite() {
        return match value {
            _ if value.is_nan() => "NaN".to_owned(),
            _ if value > 0.0 => "+Inf".to_owned(),
            _ => "-Inf".to_owned(),
        };
    }
    let scientific = match precision {
        Some(precision) => format!("{value:.*e}", precision.max(1) - 1),
        None => format!("{value:e}"),
    };
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let mantissa =
        if mantissa.contains('.') { mantissa.trim_end_matches('0').trim_end_matches('.') } else { mantissa };
    let limit = precision.map_or(large, |precision| i32::try_from(precision.max(1)).unwrap_or(i32::MAX));
    if exponent < -4 || exponent >= limit {
        return format!("{mantissa}e{}", signed_exponent(exponent));
    }
    let decimals = mantissa.split_once('.').map_or(0, |(_, digits)| digits.len());
    let decimals = i32::try_from(decimals).unwrap_or(i32::MAX).saturating_sub(exponent).max(0);
    format!("{value:.*}", usize::try_from(decimals).unwrap_or_default())
}

fn signed_exponent(exponent: i32) -> String {
    format!("{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

/// `%q` of text.
pub(super) fn quote(text: &str) -> String {
    quote::double(text.as_bytes())
}

/// The text of a Go literal in double quotes or backquotes.
pub(super) fn unquote(literal: &str) -> Option<String> {
    if let Some(raw) = literal.strip_prefix('`') {
        return Some(raw.strip_suffix('`')?.replace('\r', ""));
    }
    unescape(literal.strip_prefix('"')?.strip_suffix('"')?, '"')
}

/// The character of a Go literal.
pub(super) fn unquote_char(literal: &str) -> Option<char> {
    let text = unescape(literal.strip_prefix('\'')?.strip_suffix('\'')?, '\'')?;
    let mut chars = text.chars();
    chars.next().filter(|_| chars.next().is_none())
}

fn unescape(text: &str, quote: char) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        if c != '\\' {
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let kind = rest.chars().next()?;
        rest = &rest[kind.len_utf8()..];
        let mut code = |digits: usize, radix: u32| -> Option<u32> {
            let (code, after) = (rest.get(..digits)?, rest.get(digits..)?);
            rest = after;
            u32::from_str_radix(code, radix).ok().filter(|_| !code.starts_with('+'))
        };
        match kind {
            'a' => bytes.push(7),
            'b' => bytes.push(8),
            'f' => bytes.push(12),
            'n' => bytes.push(b'\n'),
            'r' => bytes.push(b'\r'),
            't' => bytes.push(b'\t'),
            'v' => bytes.push(11),
            '\\' => bytes.push(b'\\'),
            _ if kind == quote => bytes.extend_from_slice(kind.encode_utf8(&mut [0; 4]).as_bytes()),
            'x' => bytes.push(u8::try_from(code(2, 16)?).ok()?),
            'u' => bytes.extend_from_slice(char::from_u32(code(4, 16)?)?.encode_utf8(&mut [0; 4]).as_bytes()),
            'U' => bytes.extend_from_slice(char::from_u32(code(8, 16)?)?.encode_utf8(&mut [0; 4]).as_bytes()),
            '0'..='7' => {
                let rest_of = code(2, 8)?;
                bytes.push(u8::try_from(kind.to_digit(8)? * 64 + rest_of).ok()?);
            }
            _ => return None,
        }
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// A Go number: any base, underscores, whole or not.
pub(super) fn parse_number(text: &str) -> Option<Number> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let clean = digits.replace('_', "");
    let lower = clean.to_ascii_lowercase();
    let (radix, body) = match lower.get(..2) {
        Some("0x") => (16, &lower[2..]),
        Some("0b") => (2, &lower[2..]),
        Some("0o") => (8, &lower[2..]),
        Some(prefix) if prefix.starts_with('0') && lower.bytes().all(|c| c.is_ascii_digit()) => {
            (8, &lower[1..])
        }
        _ => (10, lower.as_str()),
    };
    if let Ok(value) = u64::from_str_radix(body, radix) {
        return match (negative, i64::try_from(value)) {
            (false, Ok(value)) => Some(Number::Int(value)),
            (true, Ok(value)) => Some(Number::Int(-value)),
            (false, Err(_)) => Some(Number::Large),
            (true, Err(_)) => (value == 1 << 63).then_some(Number::Int(i64::MIN)),
        };
    }
    if radix != 10 || !body.contains(['.', 'e']) {
        return None;
    }
    let value: f64 = body.parse().ok()?;
    let value = if negative { -value } else { value };
    Some(Number::Float(value)).filter(|_| value.is_finite())
}

/// The flags, width and precision of a directive.
#[derive(Debug, Default, Clone, Copy)]
struct Directive {
    plus: bool,
    minus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// Widths and precisions of a foreign template are bounded.
const MAX_WIDTH: usize = 10_000;

/// Go's `Sprintf`.
pub(super) fn sprintf(format: &str, arguments: &[Value]) -> String {
    let mut out = String::new();
    let mut arguments = arguments.iter();
    let mut chars = format.chars().peekable();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut directive = Directive::default();
        while let Some(flag) = chars.peek() {
            match flag {
                '+' => directive.plus = true,
                '-' => directive.minus = true,
                '#' => directive.sharp = true,
                ' ' => directive.space = true,
                '0' => directive.zero = true,
                _ => break,
            }
            chars.next();
        }
        directive.width = size(&mut chars, &mut arguments, &mut out, "WIDTH").map(|width| {
            directive.minus |= width < 0;
            usize::try_from(width.unsigned_abs()).unwrap_or(MAX_WIDTH).min(MAX_WIDTH)
        });
        if chars.next_if_eq(&'.').is_some() {
            let precision = size(&mut chars, &mut arguments, &mut out, "PREC");
            directive.precision = match precision {
                None => Some(0),
                Some(precision) => usize::try_from(precision).ok().map(|precision| precision.min(MAX_WIDTH)),
            };
        }
        match chars.next() {
            None => out.push_str("%!(NOVERB)"),
            Some('%') => out.push('%'),
            Some(verb) => match arguments.next() {
                None => out.put(format_args!("%!{verb}(MISSING)")),
                Some(value) => out.push_str(&directive.show(verb, value)),
            },
        }
    }
    let extra: Vec<_> = arguments
        .map(|value| match value {
            Value::Nil | Value::Missing => "<nil>".to_owned(),
            _ => format!("{}={}", value.type_name(), verb_v(value, Style::default(), 0)),
        })
        .collect();
    if !extra.is_empty() {
        out.put(format_args!("%!(EXTRA {})", extra.join(", ")));
    }
    out
}

/// A width or precision: digits, or `*` for the next argument.
fn size<'a>(
    chars: &mut std::iter::Peekable<std::str::Chars<'_>>,
    arguments: &mut impl Iterator<Item = &'a Value>,
    out: &mut String,
    name: &str,
) -> Option<i64> {
    if chars.next_if_eq(&'*').is_some() {
        return match arguments.next() {
            Some(Value::Int(value)) if value.abs() <= 1_000_000 => Some(*value),
            _ => {
                out.put(format_args!("%!(BAD{name})"));
                None
            }
        };
    }
    let mut value = None;
    while let Some(digit) = chars.peek().and_then(|c| c.to_digit(10)) {
        chars.next();
        value = Some((value.unwrap_or(0) * 10 + i64::from(digit)).min(1_000_000));
    }
    value
}

impl Directive {
    fn show(&self, verb: char, value: &Value) -> String {
        match (verb, value) {
            ('v', _) => self
                .pad(&self.value(value), matches!(value, Value::Int(_) | Value::Uint(_) | Value::Float(_))),
            ('T', Value::Nil | Value::Missing) => self.pad("<nil>", false),
            ('T', _) => self.pad(&value.type_name(), false),
            (_, Value::Nil | Value::Missing) => format!("%!{verb}(<nil>)"),
            (_, Value::List(list)) => {
                let items: Vec<_> = list.items.iter().map(|item| self.nested(verb, item)).collect();
                format!("[{}]", items.join(" "))
            }
            (_, Value::Map(map)) => {
                let entries: Vec<_> = map
                    .entries
                    .iter()
                    .map(|(key, value)| {
                        format!(
                            "{}:{}",
                            self.show(verb, &Value::from(key.as_str())),
                            self.nested(verb, value)
                        )
                    })
                    .collect();
                format!("map[{}]", entries.join(" "))
            }
            (_, Value::Struct(value)) => {
                let fields: Vec<_> = value
                    .fields()
                    .iter()
                    .filter(|field| !matches!(field.value, Value::Func(_)))
                    .map(|field| self.nested(verb, &field.value))
                    .collect();
                format!("{{{}}}", fields.join(" "))
            }
            ('t', Value::Bool(value)) => self.pad(&value.to_string(), false),
            (_, Value::Int(value)) => {
                self.integer(verb, i128::from(*value)).unwrap_or_else(|| self.bad(verb, &Value::Int(*value)))
            }
            (_, Value::Uint(value)) => {
                self.integer(verb, i128::from(*value)).unwrap_or_else(|| self.bad(verb, &Value::Uint(*value)))
            }
            (_, Value::Float(number)) => self.float(verb, *number).unwrap_or_else(|| self.bad(verb, value)),
            (_, Value::Time(time)) => {
                self.text(verb, &time.to_string()).unwrap_or_else(|| self.bad(verb, value))
            }
            (_, Value::Duration(span)) => match verb {
                's' | 'q' | 'x' | 'X' => self.text(verb, &duration(*span)),
                _ => self.integer(verb, i128::from(*span)),
            }
            .unwrap_or_else(|| self.bad(verb, value)),
            (_, Value::Str(text)) => self.text(verb, text).unwrap_or_else(|| self.bad(verb, value)),
            _ => self.bad(verb, value),
        }
    }

    /// What Go prints for a verb that does not fit: the value, with the flags that were given.
    fn bad(&self, verb: char, value: &Value) -> String {
        let shown = match value {
            Value::Int(number) | Value::Duration(number) => self.integer('d', i128::from(*number)),
            Value::Uint(number) => self.integer('d', i128::from(*number)),
            Value::Float(number) => self.float('g', *number),
            Value::Str(text) => self.text('s', text),
            _ => Some(self.pad(&verb_v(value, Style::default(), 0), false)),
        };
        format!("%!{verb}({}={})", value.type_name(), shown.unwrap_or_default())
    }

    /// Inside of something nil is nil for every verb.
    fn nested(&self, verb: char, value: &Value) -> String {
        match value {
            Value::Nil | Value::Missing => "<nil>".to_owned(),
            _ => self.show(verb, value),
        }
    }

    fn value(&self, value: &Value) -> String {
        match value {
            Value::Str(text) if !self.sharp => self.cut(text).to_owned(),
            _ => verb_v(value, Style { named: self.plus, go: self.sharp }, 0),
        }
    }

    fn cut<'a>(&self, text: &'a str) -> &'a str {
        match self.precision {
            Some(precision) => text.char_indices().nth(precision).map_or(text, |(end, _)| &text[..end]),
            None => text,
        }
    }

    fn text(&self, verb: char, text: &str) -> Option<String> {
        let shown = match verb {
            's' => self.cut(text).to_owned(),
            'q' if self.sharp
                && !text.contains('`')
                && text.chars().all(|c| c == '\t' || is_printable(c)) =>
            {
                format!("`{}`", self.cut(text))
            }
            'q' if self.plus => quote::ascii(self.cut(text).as_bytes()),
            'q' => quote(self.cut(text)),
            'x' | 'X' => self.hex(verb, text.as_bytes()),
            _ => return None,
        };
        Some(self.pad(&shown, false))
    }

    fn hex(&self, verb: char, bytes: &[u8]) -> String {
        let bytes = &bytes[..self.precision.unwrap_or(bytes.len()).min(bytes.len())];
        let mut out = String::new();
        for (index, byte) in bytes.iter().enumerate() {
            if self.space && index > 0 {
                out.push(' ');
            }
            if self.sharp && (self.space || index == 0) {
                out.extend(['0', verb]);
            }
            match verb {
                'x' => out.put(format_args!("{byte:02x}")),
                _ => out.put(format_args!("{byte:02X}")),
            }
        }
        out
    }

    fn integer(&self, verb: char, value: i128) -> Option<String> {
        let magnitude = value.unsigned_abs();
        let (prefix, digits) = match verb {
            'd' => ("", magnitude.to_string()),
            'x' => ("0x", format!("{magnitude:x}")),
            'X' => ("0X", format!("{magnitude:X}")),
            'o' => ("0", format!("{magnitude:o}")),
            'O' => ("0o", format!("{magnitude:o}")),
            'b' => ("0b", format!("{magnitude:b}")),
            'c' | 'q' | 'U' => return Some(self.character(verb, value)),
            _ => return None,
        };
        let prefix = if self.sharp || verb == 'O' { prefix } else { "" };
        let digits = match self.precision {
            Some(0) if value == 0 => return Some(self.pad("", false)),
            Some(precision) => format!("{digits:0>precision$}"),
            None => digits,
        };
        let sign = if value < 0 {
            "-"
        } else if self.plus {
            "+"
        } else if self.space {
            " "
        } else {
            ""
        };
        let zeros = match self.width {
            Some(width) if self.zero && !self.minus && self.precision.is_none() => {
                width.saturating_sub(sign.len() + digits.len())
            }
            _ => 0,
        };
        let whole = format!("{sign}{prefix}{}{digits}", "0".repeat(zeros));
        // A precision says how many digits; then only spaces fill the rest.
        Some(Self { zero: self.zero && self.precision.is_none(), ..*self }.pad(&whole, false))
    }

    fn character(&self, verb: char, value: i128) -> String {
        let c = u32::try_from(value).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER);
        let shown = match verb {
            'c' => c.to_string(),
            'q' if self.plus => quote::single_ascii(c),
            'q' => quote::single(c),
            // A negative number shows as the 64 bits it is made of.
            _ => {
                let bits = value & i128::from(u64::MAX);
                let shown = if self.sharp && is_printable(c) { format!(" '{c}'") } else { String::new() };
                format!("U+{bits:04X}{shown}")
            }
        };
        self.pad(&shown, false)
    }

    fn float(&self, verb: char, value: f64) -> Option<String> {
        let precision = self.precision.unwrap_or(6);
        let shown = match verb {
            _ if !value.is_finite() => float_g(value, None, 21),
            'f' | 'F' => format!("{value:.precision$}"),
            'e' | 'E' => {
                let text = format!("{value:.precision$e}");
                let (mantissa, exponent) = text.split_once('e')?;
                let text = format!("{mantissa}e{}", signed_exponent(exponent.parse().ok()?));
                if verb == 'E' { text.to_uppercase() } else { text }
            }
            'g' => float_g(value, self.precision, 21),
            'G' => float_g(value, self.precision, 21).to_uppercase(),
            _ => return None,
        };
        let signed = if value.is_sign_negative() || shown.starts_with('+') {
            shown
        } else if self.plus {
            format!("+{shown}")
        } else if self.space {
            format!(" {shown}")
        } else {
            shown
        };
        Some(self.pad(&signed, true))
    }

    /// Fills up to the width, with zeros behind the sign of a number.
    fn pad(&self, text: &str, is_number: bool) -> String {
        let missing = self.width.unwrap_or(0).saturating_sub(text.chars().count());
        if missing == 0 {
            return text.to_owned();
        }
        if self.minus {
            return format!("{text}{}", " ".repeat(missing));
        }
        if !self.zero {
            return format!("{}{text}", " ".repeat(missing));
        }
        let sign = usize::from(is_number && text.starts_with(['+', '-']));
        format!("{}{}{}", &text[..sign], "0".repeat(missing), &text[sign..])
    }
}
