//! A template cut into tokens.
//!
//! The whole text is cut at once. An error of the text is a token of its own, since it is only reported if the parser
//! gets that far. Spaces are no tokens: a token knows whether one stands before it.

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text between actions.
    Text,
    /// `{{`.
    Open,
    /// `}}`.
    Close,
    /// The message is the token's text.
    Error,
    End,
    Bool,
    Char,
    CharConstant,
    Assign,
    Declare,
    Dot,
    Field,
    Identifier,
    Keyword,
    LeftParen,
    RightParen,
    Nil,
    Number,
    Pipe,
    RawString,
    Str,
    Variable,
}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) text: String,
    /// Where it begins, in bytes.
    pub(super) at: usize,
    pub(super) line: usize,
    /// A space stands before it.
    pub(super) spaced: bool,
}

impl Token {
    /// As a message shows it.
    pub(super) fn shown(&self) -> String {
        match self.kind {
            Kind::End => "EOF".to_owned(),
            Kind::Error => self.text.clone(),
            Kind::Keyword | Kind::Dot | Kind::Nil => format!("<{}>", self.text),
            _ if self.text.len() > 10 => {
                format!("{}...", super::print::quote(&self.text.chars().take(10).collect::<String>()))
            }
            _ => super::print::quote(&self.text),
        }
    }
}

const SPACE: [char; 4] = [' ', '\t', '\r', '\n'];
const KEYWORDS: [&str; 11] =
    ["block", "break", "continue", "define", "else", "end", "if", "range", "nil", "template", "with"];

/// Cuts a template into tokens; the last one is [`Kind::End`] or [`Kind::Error`].
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut lexer = Lexer { text, at: 0, line: 1, tokens: Vec::new() };
    lexer.run();
    lexer.tokens
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    line: usize,
    tokens: Vec<Token>,
}

/// The text is wrong here.
struct Wrong(String);

impl Lexer<'_> {
    fn run(&mut self) {
        let mut trim = false;
        loop {
            let rest = &self.text[self.at..];
            let Some(open) = rest.find("{{") else {
                self.literal(rest.len(), trim, false);
                return self.push(Kind::End, self.text.len()..self.text.len(), false);
            };
            let inside = &rest[open + 2..];
            let trim_left = is_left_marker(inside);
            self.literal(open, trim, trim_left);
            match self.action(trim_left) {
                Ok(trim_right) => trim = trim_right,
                Err(Wrong(message)) => {
                    let (at, line) = (self.at, self.line);
                    return self.tokens.push(Token {
                        kind: Kind::Error,
                        text: message,
                        at,
                        line,
                        spaced: false,
                    });
                }
            }
        }
    }

    /// Text up to the next action, without the space that trim markers on either side take away.
    fn literal(&mut self, length: usize, trim_start: bool, trim_end: bool) {
        let whole = &self.text[self.at..self.at + length];
        let from = if trim_start { whole.len() - whole.trim_start_matches(SPACE).len() } else { 0 };
        let to = if trim_end { whole.trim_end_matches(SPACE).len().max(from) } else { whole.len() };
        if from < to {
            self.count_lines(&whole[..from]);
            self.push(Kind::Text, self.at + from..self.at + to, false);
            self.count_lines(&whole[from..]);
        } else {
            self.count_lines(whole);
        }
        self.at += length;
    }

    fn count_lines(&mut self, text: &str) {
        self.line += text.matches('\n').count();
    }

    fn push(&mut self, kind: Kind, range: std::ops::Range<usize>, spaced: bool) {
        let text = self.text[range.clone()].to_owned();
        self.tokens.push(Token { kind, text, at: range.start, line: self.line, spaced });
    }

    /// An action or comment, and whether space after it is trimmed.
    fn action(&mut self, trim_left: bool) -> Result<bool, Wrong> {
        let marker = if trim_left { 2 } else { 0 };
        if self.text[self.at + 2 + marker..].starts_with("/*") {
            return self.comment(2 + marker);
        }
        self.push(Kind::Open, self.at..self.at + 2, false);
        self.at += 2 + marker;
        let mut depth = 0_usize;
        let mut spaced = false;
        loop {
            let rest = &self.text[self.at..];
            if let Some((length, trim)) = right_delimiter(rest) {
                if depth > 0 {
                    return Err(Wrong("unclosed left paren".to_owned()));
                }
                self.push(Kind::Close, self.at + length - 2..self.at + length, spaced);
                self.at += length;
                return Ok(trim);
            }
            let Some(next) = rest.chars().next() else {
                return Err(Wrong("unclosed action".to_owned()));
            };
            if SPACE.contains(&next) {
                self.line += usize::from(next == '\n');
                self.at += 1;
                spaced = true;
                continue;
            }
            match next {
                '(' => depth += 1,
                ')' if depth == 0 => {
                    self.push(Kind::RightParen, self.at..self.at + 1, spaced);
                    return Err(Wrong("unexpected right paren U+0029 ')'".to_owned()));
                }
                ')' => depth -= 1,
                _ => {}
            }
            let (kind, length) = self.token(next, rest)?;
            self.push(kind, self.at..self.at + length, spaced);
            self.at += length;
            spaced = false;
        }
    }

    fn comment(&mut self, start: usize) -> Result<bool, Wrong> {
        let body = &self.text[self.at + start + 2..];
        let end = body.find("*/").ok_or_else(|| Wrong("unclosed comment".to_owned()))?;
        let (length, trim) = right_delimiter(&body[end + 2..])
            .ok_or_else(|| Wrong("comment ends before closing delimiter".to_owned()))?;
        let whole = start + 2 + end + 2 + length;
        let text = &self.text[self.at..self.at + whole];
        self.count_lines(text);
        self.at += whole;
        Ok(trim)
    }

    fn token(&self, next: char, rest: &str) -> Result<(Kind, usize), Wrong> {
        let simple = match next {
            '=' => Some(Kind::Assign),
            '|' => Some(Kind::Pipe),
            '(' => Some(Kind::LeftParen),
            ')' => Some(Kind::RightParen),
            _ => None,
        };
        if let Some(kind) = simple {
            return Ok((kind, 1));
        }
        match next {
            ':' if rest.starts_with(":=") => Ok((Kind::Declare, 2)),
            ':' => Err("expected :="),
            '"' => quoted(rest, '"').map(|length| (Kind::Str, length)).ok_or("unterminated quoted string"),
            '\'' => quoted(rest, '\'')
                .map(|length| (Kind::CharConstant, length))
                .ok_or("unterminated character constant"),
            '`' => rest[1..]
                .find('`')
                .map(|end| (Kind::RawString, end + 2))
                .ok_or("unterminated raw quoted string"),
            '$' => return word(rest, 1).map(|length| (Kind::Variable, length)),
            '.' if !rest[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                return match word(rest, 1)? {
                    1 => Ok((Kind::Dot, 1)),
                    length => Ok((Kind::Field, length)),
                };
            }
            '.' | '+' | '-' | '0'..='9' => return number(rest),
            _ if is_alphanumeric(next) => {
                return word(rest, 0).map(|length| (name_kind(&rest[..length]), length));
            }
            _ if next.is_ascii() && !next.is_ascii_control() => return Ok((Kind::Char, 1)),
            _ => return Err(Wrong(format!("unrecognized character in action: {}", code_point(next)))),
        }
        .map_err(|message| Wrong(message.to_owned()))
    }
}

fn is_left_marker(inside: &str) -> bool {
    let mut chars = inside.chars();
    chars.next() == Some('-') && chars.next().is_some_and(|c| SPACE.contains(&c))
}

/// The length of the end of an action, and whether it trims what follows.
fn right_delimiter(rest: &str) -> Option<(usize, bool)> {
    if rest.starts_with("}}") {
        return Some((2, false));
    }
    let marker = rest.strip_prefix(SPACE)?;
    marker.starts_with("-}}").then_some((4, true))
}

fn is_alphanumeric(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

fn name_kind(name: &str) -> Kind {
    match name {
        "nil" => Kind::Nil,
        "true" | "false" => Kind::Bool,
        _ if KEYWORDS.contains(&name) => Kind::Keyword,
        _ => Kind::Identifier,
    }
}

/// The length of a word, which must end where one may.
fn word(rest: &str, from: usize) -> Result<usize, Wrong> {
    let length = from + rest[from..].find(|c| !is_alphanumeric(c)).unwrap_or(rest.len() - from);
    let after = &rest[length..];
    let ends = right_delimiter(after).is_some()
        || after.chars().next().is_none_or(|c| SPACE.contains(&c) || ".,|:)(".contains(c));
    match after.chars().next() {
        Some(bad) if !ends => Err(Wrong(format!("bad character {}", code_point(bad)))),
        _ => Ok(length),
    }
}

/// The length of a literal in these quotes, which ends on its line.
fn quoted(rest: &str, quote: char) -> Option<usize> {
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some((_, escaped)) if escaped != '\n' => {}
                _ => return None,
            },
            '\n' => return None,
            _ if c == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

fn number(rest: &str) -> Result<(Kind, usize), Wrong> {
    let bytes = rest.as_bytes();
    let mut at = usize::from(matches!(bytes.first(), Some(b'+' | b'-')));
    let mut digits: fn(u8) -> bool = |c| c.is_ascii_digit() || c == b'_';
    let mut exponent = b"eE";
    if bytes.get(at) == Some(&b'0') {
        at += 1;
        match bytes.get(at) {
            Some(b'x' | b'X') => {
                digits = |c| c.is_ascii_hexdigit() || c == b'_';
                exponent = b"pP";
                at += 1;
            }
            Some(b'o' | b'O') => {
                digits = |c| matches!(c, b'0'..=b'7' | b'_');
                at += 1;
            }
            Some(b'b' | b'B') => {
                digits = |c| matches!(c, b'0' | b'1' | b'_');
                at += 1;
            }
            _ => {}
        }
    }
    let run = |mut at: usize, digits: fn(u8) -> bool| {
        while bytes.get(at).copied().is_some_and(digits) {
            at += 1;
        }
        at
    };
    at = run(at, digits);
    if bytes.get(at) == Some(&b'.') {
        at = run(at + 1, digits);
    }
    if bytes.get(at).is_some_and(|c| exponent.contains(c)) {
        at += 1;
        at += usize::from(matches!(bytes.get(at), Some(b'+' | b'-')));
        at = run(at, |c| c.is_ascii_digit() || c == b'_');
    }
    match rest[at..].chars().next() {
        Some(next) if is_alphanumeric(next) => {
            Err(Wrong(format!("bad number syntax: {}", super::print::quote(&rest[..at + next.len_utf8()]))))
        }
        _ => Ok((Kind::Number, at)),
    }
}

/// A character as `%#U` prints it.
fn code_point(c: char) -> String {
    if !super::quote::is_printable(c) {
        format!("U+{:04X}", c as u32)
    } else {
        format!("U+{:04X} '{c}'", c as u32)
    }
}
