//! From characters to keys and values.

use super::{DEPTH, Problem, Table, Value};

/// A place in a text.
#[derive(Debug)]
pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The line of the place, from 1.
    pub(super) fn line(&self) -> usize {
        self.text.as_bytes().iter().take(self.at).filter(|byte| **byte == b'\n').count() + 1
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.rest().is_empty()
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn take_text(&mut self, text: &str) -> bool {
        let is_next = self.rest().starts_with(text);
        if is_next {
            self.at += text.len();
        }
        is_next
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|next| !wanted(next)).unwrap_or(rest.len());
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }

    fn skip_spaces(&mut self) {
        self.take_while(|next| matches!(next, ' ' | '\t'));
    }

    fn skip_comment(&mut self) {
        if self.peek() == Some('#') {
            let rest = self.rest();
            self.at += rest.find('\n').unwrap_or(rest.len());
        }
    }

    /// Skips spaces, comments and ends of lines.
    pub(super) fn skip_blank(&mut self) {
        loop {
            self.take_while(|next| matches!(next, ' ' | '\t' | '\n' | '\r'));
            if self.peek() != Some('#') {
                return;
            }
            self.skip_comment();
        }
    }

    /// Takes a character, if it is next.
    pub(super) fn take(&mut self, wanted: char) -> bool {
        self.take_text(wanted.encode_utf8(&mut [0; 4]))
    }

    /// Takes a character after spaces.
    pub(super) fn expect(&mut self, wanted: char) -> Result<(), Problem> {
        self.skip_spaces();
        self.expect_next(wanted)
    }

    /// Takes a character.
    pub(super) fn expect_next(&mut self, wanted: char) -> Result<(), Problem> {
        if self.take(wanted) { Ok(()) } else { Err(self.instead(&format!("'{wanted}'"))) }
    }

    /// Takes what may stand behind a value.
    pub(super) fn end_of_line(&mut self) -> Result<(), Problem> {
        self.skip_spaces();
        self.skip_comment();
        let ended = self.is_at_end() || self.take('\n') || self.take_text("\r\n");
        if ended { Ok(()) } else { Err(self.instead("a new line")) }
    }

    fn instead(&self, wanted: &str) -> Problem {
        match self.peek() {
            Some(found) => format!("expected {wanted} but found {found:?} instead"),
            None => format!("expected {wanted} but found the end of the file instead"),
        }
    }

    /// A key, and its parts where it has dots.
    pub(super) fn key(&mut self) -> Result<Vec<String>, Problem> {
        let mut parts = Vec::new();
        loop {
            self.skip_spaces();
            parts.push(self.part()?);
            if parts.len() > DEPTH {
                return Err(format!("tables nest deeper than {DEPTH}"));
            }
            self.skip_spaces();
            if !self.take('.') {
                return Ok(parts);
            }
        }
    }

    fn part(&mut self) -> Result<String, Problem> {
        if self.take('"') {
            return self.basic();
        }
        if self.take('\'') {
            return self.literal();
        }
        let bare = self.take_while(|next| next.is_ascii_alphanumeric() || matches!(next, '_' | '-'));
        if bare.is_empty() { Err(self.instead("a key")) } else { Ok(bare.to_owned()) }
    }

    /// A value that has so many tables and lists around it.
    pub(super) fn value(&mut self, depth: usize) -> Result<Value, Problem> {
        self.skip_spaces();
        if depth > DEPTH {
            return Err(format!("values nest deeper than {DEPTH}"));
        }
        if self.take_text("\"\"\"") {
            return self.basic_lines().map(Value::Text);
        }
        if self.take_text("'''") {
            return self.literal_lines().map(Value::Text);
        }
        match self.peek() {
            Some('"') => {
                self.take('"');
                self.basic().map(Value::Text)
            }
            Some('\'') => {
                self.take('\'');
                self.literal().map(Value::Text)
            }
            Some('[') => {
                self.take('[');
                self.list(depth + 1).map(Value::List)
            }
            Some('{') => {
                self.take('{');
                self.inline_table(depth + 1).map(Value::Table)
            }
            _ => self.scalar(),
        }
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Value>, Problem> {
        let mut list = Vec::new();
        loop {
            self.skip_blank();
            if self.take(']') {
                return Ok(list);
            }
            list.push(self.value(depth)?);
            self.skip_blank();
            if !self.take(',') {
                self.expect_next(']')?;
                return Ok(list);
            }
        }
    }

    fn inline_table(&mut self, depth: usize) -> Result<Table, Problem> {
        let mut tree = super::Tree::default();
        loop {
            self.skip_blank();
            if self.take('}') {
                return Ok(tree.into_table());
            }
            let key = self.key()?;
            self.expect('=')?;
            let value = self.value(depth.saturating_add(key.len()))?;
            tree.set(&[], &key, value)?;
            self.skip_blank();
            if !self.take(',') {
                self.expect_next('}')?;
                return Ok(tree.into_table());
            }
        }
    }

    /// The rest of `"…"`.
    fn basic(&mut self) -> Result<String, Problem> {
        let mut text = String::new();
        loop {
            match self.next() {
                Some('"') => return Ok(text),
                Some('\\') => text.push(self.escape()?),
                Some(next) if is_text(next) => text.push(next),
                other => return Err(unfinished(other)),
            }
        }
    }

    /// The rest of `'…'`.
    fn literal(&mut self) -> Result<String, Problem> {
        let text = self.take_while(|next| next != '\'' && is_text(next));
        if self.take('\'') { Ok(text.to_owned()) } else { Err(unfinished(self.peek())) }
    }

    /// The rest of `"""…"""`.
    fn basic_lines(&mut self) -> Result<String, Problem> {
        self.skip_first_line_end();
        let mut text = String::new();
        loop {
            if self.ends_lines("\"\"\"", &mut text) {
                return Ok(text);
            }
            match self.next() {
                Some('\\') if self.continues() => self.skip_white(),
                Some('\\') => text.push(self.escape()?),
                Some(next) if is_text(next) || matches!(next, '\n' | '\r') => text.push(next),
                other => return Err(unfinished(other)),
            }
        }
    }

    /// The rest of `'''…'''`.
    fn literal_lines(&mut self) -> Result<String, Problem> {
        self.skip_first_line_end();
        let mut text = String::new();
        loop {
            if self.ends_lines("'''", &mut text) {
                return Ok(text);
            }
            match self.next() {
                Some(next) if is_text(next) || matches!(next, '\n' | '\r') => text.push(next),
                other => return Err(unfinished(other)),
            }
        }
    }

    fn skip_first_line_end(&mut self) {
        let _there = self.take('\n') || self.take_text("\r\n");
    }

    /// Takes the three quotes at the end; up to two more before them are text.
    fn ends_lines(&mut self, quotes: &str, text: &mut String) -> bool {
        if !self.rest().starts_with(quotes) {
            return false;
        }
        let quote = quotes.get(..1).unwrap_or_default();
        let run = self.rest().chars().take_while(|next| quote.starts_with(*next)).count();
        let extra = run.saturating_sub(3).min(2);
        text.push_str(&quote.repeat(extra));
        self.at += 3 + extra;
        true
    }

    /// Whether a backslash stands at the end of its line.
    fn continues(&self) -> bool {
        self.rest().trim_start_matches([' ', '\t', '\r']).starts_with('\n')
    }

    fn skip_white(&mut self) {
        self.take_while(|next| matches!(next, ' ' | '\t' | '\n' | '\r'));
    }

    /// What follows a backslash.
    fn escape(&mut self) -> Result<char, Problem> {
        let digits = match self.next() {
            Some('b') => return Ok('\u{8}'),
            Some('t') => return Ok('\t'),
            Some('n') => return Ok('\n'),
            Some('f') => return Ok('\u{c}'),
            Some('r') => return Ok('\r'),
            Some('e') => return Ok('\u{1b}'),
            Some(next @ ('"' | '\\')) => return Ok(next),
            Some('x') => 2,
            Some('u') => 4,
            Some('U') => 8,
            Some(other) => return Err(format!("invalid escape character {other:?}")),
            None => return Err(unfinished(None)),
        };
        let code = self.rest().get(..digits).filter(|code| code.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let code = code.ok_or_else(|| format!("expected {digits} hexadecimal digits"))?;
        self.at += digits;
        let found = u32::from_str_radix(code, 16).ok().and_then(char::from_u32);
        found.ok_or_else(|| format!("{code} is no character"))
    }

    /// A number, a moment, true or false.
    fn scalar(&mut self) -> Result<Value, Problem> {
        let start = self.at;
        let is_word =
            |next: char| next.is_ascii_alphanumeric() || matches!(next, '_' | '+' | '-' | '.' | ':');
        let word = self.take_while(is_word);
        if word.is_empty() {
            return Err(self.instead("value"));
        }
        if is_date(word)
            && self.rest().starts_with(' ')
            && self.rest().as_bytes().get(1).is_some_and(u8::is_ascii_digit)
        {
            self.take(' ');
            self.take_while(is_word);
        }
        let word = self.text.get(start..self.at).unwrap_or_default();
        let value = match word {
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            _ if is_moment(word) => Some(Value::Moment(word.to_owned())),
            _ => integer(word).map(Value::Integer).or_else(|| float(word).map(Value::Float)),
        };
        value.ok_or_else(|| {
            self.at = start;
            format!("expected value but found {word:?} instead")
        })
    }
}

fn unfinished(found: Option<char>) -> Problem {
    match found {
        None => "unexpected end of the file in a string".to_owned(),
        Some('\n' | '\r') => "strings cannot contain new lines".to_owned(),
        Some(other) => format!("a string cannot contain {other:?}"),
    }
}

/// Whether a character may stand in a string as it is.
const fn is_text(next: char) -> bool {
    next == '\t' || !(next.is_ascii_control())
}

/// `1979-05-27`, and whatever may follow it.
fn is_date(word: &str) -> bool {
    shaped(word, "0000-00-00")
}

fn is_moment(word: &str) -> bool {
    is_date(word) || shaped(word, "00:00")
}

/// Whether text begins as the shape does, in which each 0 is any digit.
fn shaped(text: &str, shape: &str) -> bool {
    let fits =
        |(wanted, found): (u8, u8)| if wanted == b'0' { found.is_ascii_digit() } else { wanted == found };
    text.len() >= shape.len() && shape.bytes().zip(text.bytes()).all(fits)
}

fn integer(word: &str) -> Option<i64> {
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = word.strip_prefix(prefix) {
            return i64::from_str_radix(&grouped(digits)?, radix)
                .ok()
                .filter(|_| !digits.starts_with(['+', '-']));
        }
    }
    let digits = word.strip_prefix(['+', '-']).unwrap_or(word);
    if !has_no_leading_zero(digits) {
        return None;
    }
    grouped(word)?.parse().ok()
}

fn float(word: &str) -> Option<f64> {
    let (sign, bare) = match word.strip_prefix('-') {
        Some(bare) => (-1.0, bare),
        None => (1.0, word.strip_prefix('+').unwrap_or(word)),
    };
    match bare {
        "inf" => return Some(sign * f64::INFINITY),
        "nan" => return Some(f64::NAN),
        _ => {}
    }
    let (mantissa, exponent) = match bare.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['+', '-']).unwrap_or(exponent))),
        None => (bare, None),
    };
    let (whole, part) = match mantissa.split_once('.') {
        Some((whole, part)) => (whole, Some(part)),
        None => (mantissa, None),
    };
    let is_number =
        |digits: &str| grouped(digits).is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let well_formed = (part.is_some() || exponent.is_some())
        && has_no_leading_zero(whole)
        && is_number(whole)
        && part.is_none_or(is_number)
        && exponent.is_none_or(is_number);
    if well_formed { bare.replace('_', "").parse::<f64>().ok().map(|found| sign * found) } else { None }
}

fn has_no_leading_zero(digits: &str) -> bool {
    !(digits.starts_with('0') && digits.len() > 1)
}

/// Digits without the `_` between them; None where one is not between two, or there are no digits.
fn grouped(digits: &str) -> Option<String> {
    let well_formed = !digits.is_empty()
        && !digits.starts_with('_')
        && !digits.ends_with('_')
        && !digits.contains("__")
        && !digits.starts_with("+_")
        && !digits.starts_with("-_");
    well_formed.then(|| digits.replace('_', ""))
}
