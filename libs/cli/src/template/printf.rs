//! Go's `Sprintf`.

use super::print::{Flags, Printer};
use super::value::Value;

/// The largest width or precision that Go takes.
const LARGEST: usize = 1_000_000;

/// Formats.
pub(super) fn sprintf(format: &[u8], args: &[Value], out: &mut Vec<u8>) {
    let mut printer = Printer::new(out);
    let mut reader =
        Reader { format, at: 0, args, next: 0, reordered: false, good: true, after_index: false };
    while reader.one(&mut printer) {}
    reader.extra(&mut printer);
}

/// A format being read, and the argument that is next.
struct Reader<'a> {
    format: &'a [u8],
    at: usize,
    args: &'a [Value],
    next: usize,
    /// Whether an argument was named by its number.
    reordered: bool,
    /// Whether the number named an argument.
    good: bool,
    /// Whether a number was just read.
    after_index: bool,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.format.get(self.at).copied()
    }

    /// Copies text and handles one verb. Whether there may be more.
    fn one(&mut self, printer: &mut Printer<'_>) -> bool {
        self.good = true;
        self.after_index = false;
        let rest = self.format.get(self.at..).unwrap_or(&[]);
        let text = rest.iter().position(|byte| *byte == b'%').unwrap_or(rest.len());
        printer.out.extend_from_slice(&rest[..text]);
        self.at += text;
        if self.at >= self.format.len() {
            return false;
        }
        self.at += 1;
        printer.flags = Flags::default();
        self.flags(&mut printer.flags);
        self.index();
        self.width(printer);
        self.precision(printer);
        if !self.after_index {
            self.index();
        }
        let Some(verb) = self.verb() else {
            printer.out.extend_from_slice(b"%!(NOVERB)");
            return false;
        };
        self.print(verb, printer);
        true
    }

    fn flags(&mut self, flags: &mut Flags) {
        while let Some(byte) = self.peek() {
            match byte {
                b'#' => flags.sharp = true,
                b'0' => flags.zero = !flags.minus,
                b'+' => flags.plus = true,
                b'-' => {
                    flags.minus = true;
                    flags.zero = false;
                }
                b' ' => flags.space = true,
                _ => break,
            }
            self.at += 1;
        }
    }

    /// Reads `[n]`.
    fn index(&mut self) {
        self.after_index = false;
        if self.peek() != Some(b'[') {
            return;
        }
        self.reordered = true;
        let inside = &self.format[self.at + 1..];
        let Some(close) = inside.iter().position(|byte| *byte == b']') else {
            self.good = false;
            self.at += 1;
            return;
        };
        let digits = std::str::from_utf8(&inside[..close]).ok();
        let number = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        let number: Option<usize> = number.and_then(|digits| digits.parse().ok());
        self.at += close + 2;
        match number.and_then(|number| number.checked_sub(1)).filter(|index| *index < self.args.len()) {
            Some(index) => {
                self.next = index;
                self.after_index = true;
            }
            None => {
                self.good = false;
                self.after_index = number.is_some();
            }
        }
    }

    fn number(&mut self) -> Option<usize> {
        let rest = self.format.get(self.at..).unwrap_or(&[]);
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let mut number = 0_usize;
        for digit in &rest[..digits] {
            if number > LARGEST {
                self.at = self.format.len();
                return None;
            }
            number = number * 10 + usize::from(digit - b'0');
        }
        self.at += digits;
        (digits > 0).then_some(number)
    }

    /// Takes the next argument for `*`.
    fn star(&mut self) -> Option<i64> {
        self.at += 1;
        let number = match self.args.get(self.next) {
            None => return None,
            Some(Value::Int(number) | Value::Duration(number)) => Some(*number),
            Some(Value::Uint(number)) => i64::try_from(*number).ok(),
            Some(_) => None,
        };
        self.next += 1;
        let largest = i64::try_from(LARGEST).unwrap_or(i64::MAX);
        number.filter(|number| (-largest..=largest).contains(number))
    }

    fn width(&mut self, printer: &mut Printer<'_>) {
        if self.peek() != Some(b'*') {
            printer.flags.width = self.number();
            if self.after_index && printer.flags.width.is_some() {
                self.good = false;
            }
            return;
        }
        let width = self.star();
        self.after_index = false;
        let Some(width) = width else {
            printer.out.extend_from_slice(b"%!(BADWIDTH)");
            return;
        };
        if width < 0 {
            printer.flags.minus = true;
            printer.flags.zero = false;
        }
        printer.flags.width = usize::try_from(width.unsigned_abs()).ok();
    }

    fn precision(&mut self, printer: &mut Printer<'_>) {
        // A point at the very end is a verb.
        if self.peek() != Some(b'.') || self.at + 1 >= self.format.len() {
            return;
        }
        self.at += 1;
        if self.after_index {
            self.good = false;
        }
        self.index();
        if self.peek() != Some(b'*') {
            printer.flags.precision = Some(self.number().unwrap_or(0));
            return;
        }
        let precision = self.star().and_then(|number| usize::try_from(number).ok());
        self.after_index = false;
        printer.flags.precision = precision;
        if precision.is_none() {
            printer.out.extend_from_slice(b"%!(BADPREC)");
        }
    }

    fn verb(&mut self) -> Option<char> {
        let rest = self.format.get(self.at..)?;
        let chunk = rest.utf8_chunks().next()?;
        let verb = chunk.valid().chars().next();
        self.at += verb.map_or(1, char::len_utf8);
        Some(verb.unwrap_or('\u{fffd}'))
    }

    fn print(&mut self, verb: char, printer: &mut Printer<'_>) {
        let bang =
            |out: &mut Vec<u8>, what: &str| out.extend_from_slice(format!("%!{verb}({what})").as_bytes());
        if verb == '%' {
            return printer.out.push(b'%');
        }
        if !self.good {
            return bang(printer.out, "BADINDEX");
        }
        let Some(value) = self.args.get(self.next) else { return bang(printer.out, "MISSING") };
        self.next += 1;
        if verb == 'v' {
            printer.flags.syntax = std::mem::take(&mut printer.flags.sharp);
            printer.flags.names = std::mem::take(&mut printer.flags.plus);
        }
        match verb {
            'p' | 'w' => printer.bad_verb(value, verb),
            _ => printer.arg(value, verb),
        }
    }

    fn extra(&self, printer: &mut Printer<'_>) {
        let rest = self.args.get(self.next..).unwrap_or(&[]);
        if self.reordered || rest.is_empty() {
            return;
        }
        printer.flags = Flags::default();
        printer.out.extend_from_slice(b"%!(EXTRA ");
        for (index, value) in rest.iter().enumerate() {
            if index > 0 {
                printer.out.extend_from_slice(b", ");
            }
            if !matches!(value, Value::Nil) {
                printer.out.extend_from_slice(format!("{}=", value.type_of()).as_bytes());
            }
            printer.arg(value, 'v');
        }
        printer.out.push(b')');
    }
}
