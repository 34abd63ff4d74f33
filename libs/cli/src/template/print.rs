//! Printing values, as Go's `fmt` does.

use super::value::{Map, Struct, Value};
use super::{LIMIT, float, quote};
use crate::text::Put as _;

/// How deep a value may nest before the rest of it is left out.
const DEPTH: usize = 200;

/// What stands between `%` and the verb.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Flags {
    pub(super) width: Option<usize>,
    pub(super) precision: Option<usize>,
    pub(super) minus: bool,
    pub(super) plus: bool,
    pub(super) sharp: bool,
    pub(super) space: bool,
    pub(super) zero: bool,
    /// `%+v`: names of fields.
    pub(super) names: bool,
    /// `%#v`: Go's syntax.
    pub(super) syntax: bool,
}

/// Where values are printed.
#[derive(Debug)]
pub(super) struct Printer<'a> {
    pub(super) out: &'a mut Vec<u8>,
    pub(super) flags: Flags,
    /// Whether a wrong verb is being reported: methods are not asked then.
    erroring: bool,
}

/// A value as `%v` prints it.
pub(super) fn plain(value: &Value, out: &mut Vec<u8>) {
    Printer::new(out).arg(value, 'v');
}

/// Values as `Print` prints them: spaces between two that are no strings.
pub(super) fn sprint(values: &[Value], out: &mut Vec<u8>) {
    let mut after_string = false;
    for (index, value) in values.iter().enumerate() {
        let string = matches!(value, Value::String(_));
        if index > 0 && !string && !after_string {
            out.push(b' ');
        }
        plain(value, out);
        after_string = string;
    }
}

/// Values as `Println` prints them: spaces between all, and a line break.
pub(super) fn sprintln(values: &[Value], out: &mut Vec<u8>) {
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        plain(value, out);
    }
    out.push(b'\n');
}

impl<'a> Printer<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out, flags: Flags::default(), erroring: false }
    }

    fn put(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    pub(super) fn padding(&mut self, count: usize) {
        let byte = if self.flags.zero { b'0' } else { b' ' };
        // What grows past the limit is refused by the executor.
        let room = (LIMIT + 1).saturating_sub(self.out.len());
        self.out.resize(self.out.len() + count.min(room), byte);
    }

    /// Writes text, padded to the width.
    pub(super) fn pad(&mut self, text: &[u8]) {
        let letters = count(text);
        let missing = self.flags.width.unwrap_or(0).saturating_sub(letters);
        if !self.flags.minus {
            self.padding(missing);
        }
        self.out.extend_from_slice(text);
        if self.flags.minus {
            self.padding(missing);
        }
    }

    /// Prints an argument.
    pub(super) fn arg(&mut self, value: &Value, verb: char) {
        match (value, verb) {
            (Value::Nil, 'T' | 'v') => self.pad(b"<nil>"),
            (Value::Nil, _) => self.bad_verb(value, verb),
            (_, 'T') => self.string(value.type_of().to_string().as_bytes(), 's'),
            _ => self.value(value, verb, 0),
        }
    }

    /// Says that a verb does not fit a value.
    pub(super) fn bad_verb(&mut self, value: &Value, verb: char) {
        self.erroring = true;
        self.put("%!");
        self.put(verb.encode_utf8(&mut [0; 4]));
        self.put("(");
        if matches!(value, Value::Nil) {
            self.put("<nil>");
        } else {
            self.put(&value.type_of().to_string());
            self.put("=");
            self.value(value, 'v', 0);
        }
        self.put(")");
        self.erroring = false;
    }

    fn value(&mut self, value: &Value, verb: char, depth: usize) {
        if depth > DEPTH || self.out.len() > LIMIT {
            return self.put("...");
        }
        let asks = !self.erroring && !self.flags.syntax && matches!(verb, 'v' | 's' | 'x' | 'X' | 'q');
        if let Some(text) = shown(value).filter(|_| asks) {
            return self.string(&text, verb);
        }
        match value {
            Value::Nil if verb == 'v' && self.flags.syntax => self.put("interface {}(nil)"),
            // A nil inside of something is one whatever the verb.
            Value::Nil => self.put("<nil>"),
            Value::Bool(bool) if matches!(verb, 't' | 'v') => self.pad(bool.to_string().as_bytes()),
            Value::Int(number) | Value::Duration(number) => {
                self.integer(value, number.unsigned_abs(), *number < 0, true, verb);
            }
            Value::Uint(number) => self.integer(value, *number, false, false, verb),
            Value::Float(number) => self.float(value, *number, verb),
            Value::Complex(real, imaginary) => self.complex(value, *real, *imaginary, verb),
            Value::String(text) => match verb {
                'v' | 's' | 'x' | 'X' | 'q' => self.string(text, verb),
                _ => self.bad_verb(value, verb),
            },
            Value::List(list) => {
                let open = self.opening(value, list.items.is_none(), "[", "{");
                if open {
                    self.all(list.items(), verb, depth);
                    self.put(if self.flags.syntax { "}" } else { "]" });
                }
            }
            Value::Map(map) => self.map(value, map, verb, depth),
            Value::Struct(record) => self.record(record, verb, depth),
            Value::Time(time) => {
                // What it has inside: wall clock, monotonic clock, zone.
                let parts = [Value::Int(time.seconds), Value::Int(time.nanos.into()), Value::Nil];
                self.put("{");
                self.all(&parts, verb, depth);
                self.put("}");
            }
            Value::NilPointer(_) if verb == 'v' && self.flags.syntax => {
                self.put(&format!("({})(nil)", value.type_of()));
            }
            Value::NilPointer(_) if verb == 'v' => self.pad(b"<nil>"),
            Value::NilPointer(_) if matches!(verb, 'b' | 'o' | 'd' | 'x' | 'X') => {
                self.integer(value, 0, false, false, verb);
            }
            Value::NilPointer(_) => {
                self.put(&format!("%!{verb}({}=<nil>)", value.type_of()));
            }
            Value::Bool(_) | Value::Func(_) => self.bad_or_address(value, verb),
        }
    }

    fn bad_or_address(&mut self, value: &Value, verb: char) {
        match (value, verb) {
            // Functions have addresses in Go; ours have none worth printing.
            (Value::Func(_), 'v') => self.put("0x0"),
            _ => self.bad_verb(value, verb),
        }
    }

    /// Opens a slice or map; nothing more follows if it is a nil in Go's syntax.
    fn opening(&mut self, value: &Value, nil: bool, plain: &str, syntax: &str) -> bool {
        if !self.flags.syntax {
            self.put(plain);
            return true;
        }
        self.put(&value.type_of().to_string());
        self.put(if nil { "(nil)" } else { syntax });
        !nil
    }

    fn separator(&mut self, index: usize) {
        if index > 0 {
            self.put(if self.flags.syntax { ", " } else { " " });
        }
    }

    fn all(&mut self, values: &[Value], verb: char, depth: usize) {
        for (index, value) in values.iter().enumerate() {
            self.separator(index);
            self.value(value, verb, depth + 1);
        }
    }

    fn map(&mut self, value: &Value, map: &Map, verb: char, depth: usize) {
        if !self.opening(value, map.entries.is_none(), "map[", "{") {
            return;
        }
        for (index, (key, element)) in map.entries().iter().enumerate() {
            self.separator(index);
            self.value(key, verb, depth + 1);
            self.put(":");
            self.value(element, verb, depth + 1);
        }
        self.put(if self.flags.syntax { "}" } else { "]" });
    }

    fn record(&mut self, record: &Struct, verb: char, depth: usize) {
        if self.flags.syntax {
            self.put(record.type_name);
        }
        self.put("{");
        for (index, field) in record.fields().iter().enumerate() {
            self.separator(index);
            if self.flags.names || self.flags.syntax {
                self.put(field.name);
                self.put(":");
            }
            self.value(&field.value, verb, depth + 1);
        }
        self.put("}");
    }

    fn string(&mut self, text: &[u8], verb: char) {
        match verb {
            'x' => self.hex(text, false),
            'X' => self.hex(text, true),
            'q' => self.quoted(text),
            'v' if self.flags.syntax => self.quoted(text),
            _ => {
                let cut = self.cut(text);
                self.pad(&text[..cut]);
            }
        }
    }

    /// How many bytes the precision leaves.
    fn cut(&self, text: &[u8]) -> usize {
        let Some(mut letters) = self.flags.precision else { return text.len() };
        let mut end = 0;
        while letters > 0 && end < text.len() {
            end += letter_width(&text[end..]);
            letters -= 1;
        }
        end
    }

    fn quoted(&mut self, text: &[u8]) {
        let text = &text[..self.cut(text)];
        let raw = std::str::from_utf8(text).ok().filter(|text| self.flags.sharp && can_backquote(text));
        let quoted = match raw {
            Some(text) => format!("`{text}`"),
            None if self.flags.plus => quote::ascii(text),
            None => quote::double(text),
        };
        self.pad(quoted.as_bytes());
    }

    fn hex(&mut self, text: &[u8], upper: bool) {
        let length = self.flags.precision.unwrap_or(text.len()).min(text.len());
        let prefix = if upper { "0X" } else { "0x" };
        let mut shown = String::new();
        for (index, byte) in text[..length].iter().enumerate() {
            if index > 0 && self.flags.space {
                shown.push(' ');
            }
            if self.flags.sharp && (index == 0 || self.flags.space) {
                shown.push_str(prefix);
            }
            if upper {
                shown.put(format_args!("{byte:02X}"));
            } else {
                shown.put(format_args!("{byte:02x}"));
            }
        }
        self.pad(shown.as_bytes());
    }

    fn integer(&mut self, value: &Value, size: u64, negative: bool, signed: bool, verb: char) {
        let (base, upper) = match verb {
            'v' if self.flags.syntax && !signed => {
                return self.put(&format!("{size:#x}"));
            }
            'v' | 'd' => (10, false),
            'b' => (2, false),
            'o' | 'O' => (8, false),
            'x' => (16, false),
            'X' => (16, true),
            'c' | 'q' | 'U' => return self.letter(size, negative, verb),
            _ => return self.bad_verb(value, verb),
        };
        let digits = match base {
            2 => format!("{size:b}"),
            8 => format!("{size:o}"),
            16 if upper => format!("{size:X}"),
            16 => format!("{size:x}"),
            _ => size.to_string(),
        };
        self.digits(&digits, base, negative, verb);
    }

    /// Digits with zeros before them, a prefix and a sign.
    fn digits(&mut self, digits: &str, base: u32, negative: bool, verb: char) {
        let flags = self.flags;
        let least = match flags.precision {
            Some(0) if digits == "0" => {
                self.flags.zero = false;
                self.padding(flags.width.unwrap_or(0));
                self.flags.zero = flags.zero;
                return;
            }
            Some(precision) => precision,
            None if flags.zero => {
                let sign = usize::from(negative || flags.plus || flags.space);
                flags.width.unwrap_or(0).saturating_sub(sign)
            }
            None => 0,
        };
        let mut text = String::new();
        text.push_str(match (negative, flags.plus, flags.space) {
            (true, ..) => "-",
            (_, true, _) => "+",
            (_, _, true) => " ",
            _ => "",
        });
        let zeros = least.saturating_sub(digits.len());
        if verb == 'O' {
            text.push_str("0o");
        }
        text.push_str(match base {
            2 if flags.sharp => "0b",
            8 if flags.sharp && zeros == 0 && !digits.starts_with('0') => "0",
            16 if flags.sharp && verb == 'X' => "0X",
            16 if flags.sharp => "0x",
            _ => "",
        });
        text.extend(std::iter::repeat_n('0', zeros.min(LIMIT)));
        text.push_str(digits);
        self.flags.zero = false;
        self.pad(text.as_bytes());
        self.flags.zero = flags.zero;
    }

    /// A number as a letter: `%c`, `%q`, `%U`.
    fn letter(&mut self, size: u64, negative: bool, verb: char) {
        let code = if negative { None } else { u32::try_from(size).ok().and_then(char::from_u32) };
        let shown = code.unwrap_or('\u{fffd}');
        let text = match verb {
            'c' => shown.to_string(),
            'q' if self.flags.plus => quote::single_ascii(shown),
            'q' => quote::single(shown),
            _ => {
                let bits = if negative { size.wrapping_neg() } else { size };
                let width = self.flags.precision.unwrap_or(4).max(4);
                let mut text = format!("U+{bits:0width$X}", width = width.min(LIMIT));
                let printable = |letter: &char| (' '..='~').contains(letter) || !letter.is_ascii();
                if let Some(letter) = code
                    .filter(|letter| self.flags.sharp && printable(letter) && quote::is_printable(*letter))
                {
                    text.put(format_args!(" '{letter}'"));
                }
                text
            }
        };
        let zero = self.flags.zero;
        if verb == 'U' {
            self.flags.zero = false;
        }
        self.pad(text.as_bytes());
        self.flags.zero = zero;
    }

    fn float(&mut self, value: &Value, number: f64, verb: char) {
        let (format, default) = match verb {
            'v' => ('g', None),
            'b' | 'g' | 'G' | 'x' | 'X' => (verb, None),
            'f' | 'F' => ('f', Some(6)),
            'e' | 'E' => (verb, Some(6)),
            _ => return self.bad_verb(value, verb),
        };
        let precision = self.flags.precision.or(default).map(|digits| digits.min(LIMIT));
        let mut text = float::format(number, format, precision);
        if !text.starts_with(['-', '+']) {
            text.insert(0, '+');
        }
        if self.flags.space && !self.flags.plus && text.starts_with('+') {
            text.replace_range(..1, " ");
        }
        let zero = self.flags.zero;
        if !number.is_finite() {
            if number.is_nan() && !self.flags.space && !self.flags.plus {
                text.remove(0);
            }
            self.flags.zero = false;
        } else if self.flags.sharp && format != 'b' {
            text = with_point(&text, format, precision);
        }
        let signed = self.flags.plus || !text.starts_with('+');
        let shown = if signed { &text[..] } else { &text[1..] };
        if signed && self.flags.zero && self.flags.width.is_some_and(|width| width > text.len()) {
            let missing = self.flags.width.unwrap_or(0) - text.len();
            self.put(&shown[..1]);
            self.padding(missing);
            self.put(&shown[1..]);
        } else {
            self.pad(shown.as_bytes());
        }
        self.flags.zero = zero;
    }

    fn complex(&mut self, value: &Value, real: f64, imaginary: f64, verb: char) {
        if !"vbgGxXfFeE".contains(verb) {
            return self.bad_verb(value, verb);
        }
        let plus = self.flags.plus;
        self.put("(");
        self.float(value, real, verb);
        self.flags.plus = true;
        self.float(value, imaginary, verb);
        self.put("i)");
        self.flags.plus = plus;
    }
}

/// `%#g`: a point always, and zeros up to the precision.
fn with_point(text: &str, verb: char, precision: Option<usize>) -> String {
    let hexadecimal = matches!(verb, 'x' | 'X');
    let exponent = if hexadecimal { text.find(['p', 'P']) } else { text.find(['e', 'E']) };
    let (mantissa, tail) = text.split_at(exponent.unwrap_or(text.len()));
    let wanted = match verb {
        'g' | 'G' | 'x' | 'X' => precision.unwrap_or(6),
        _ => 0,
    };
    let digits =
        mantissa[1..].trim_start_matches(|letter: char| !matches!(letter, '1'..='9' | 'a'..='f' | 'A'..='F'));
    let mut used = digits.chars().filter(|letter| *letter != '.').count();
    let mut shown = mantissa.to_owned();
    if !mantissa.contains('.') {
        if &mantissa[1..] == "0" {
            used += 1;
        }
        shown.push('.');
    }
    shown.extend(std::iter::repeat_n('0', wanted.saturating_sub(used)));
    shown.push_str(tail);
    shown
}

/// What a value says of itself: Go's `String` method.
fn shown(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::Time(time) => Some(time.to_string().into_bytes()),
        Value::Duration(nanos) => Some(crate::human::time::duration(*nanos).into_bytes()),
        Value::Struct(record) => record.shown.as_deref().map(<[u8]>::to_vec),
        _ => None,
    }
}

/// The letters of a text; each broken byte is one.
fn count(text: &[u8]) -> usize {
    let mut letters = 0;
    let mut rest = text;
    while !rest.is_empty() {
        rest = &rest[letter_width(rest)..];
        letters += 1;
    }
    letters
}

/// The bytes of the first letter; one for a broken one.
pub(super) fn letter_width(text: &[u8]) -> usize {
    let width = match text.first() {
        None => return 0,
        Some(0..=0x7f) => return 1,
        Some(0xc0..=0xdf) => 2,
        Some(0xe0..=0xef) => 3,
        Some(0xf0..=0xff) => 4,
        Some(_) => return 1,
    };
    match text.get(..width).map(std::str::from_utf8) {
        Some(Ok(_)) => width,
        _ => 1,
    }
}

fn can_backquote(text: &str) -> bool {
    !text
        .chars()
        .any(|letter| matches!(letter, '`' | '\u{feff}' | '\x7f') || (letter < ' ' && letter != '\t'))
}
