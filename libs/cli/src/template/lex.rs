//! Cutting a template into tokens, as Go's `text/template/parse` does.

use super::quote;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Error,
    Bool,
    /// A letter that stands for itself: a comma.
    Char,
    CharConstant,
    Complex,
    Assign,
    Declare,
    Eof,
    Field,
    Identifier,
    LeftDelimiter,
    LeftParen,
    Number,
    Pipe,
    RawString,
    RightDelimiter,
    RightParen,
    Space,
    String,
    Text,
    Variable,
    Block,
    Break,
    Continue,
    Dot,
    Define,
    Else,
    End,
    If,
    Nil,
    Range,
    Template,
    With,
}

impl Kind {
    const fn is_keyword(self) -> bool {
        self as u8 >= Self::Block as u8
    }

    fn of_word(word: &str) -> Self {
        match word {
            "block" => Self::Block,
            "break" => Self::Break,
            "continue" => Self::Continue,
            "define" => Self::Define,
            "else" => Self::Else,
            "end" => Self::End,
            "if" => Self::If,
            "nil" => Self::Nil,
            "range" => Self::Range,
            "template" => Self::Template,
            "with" => Self::With,
            "true" | "false" => Self::Bool,
            _ => Self::Identifier,
        }
    }
}

/// A token.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) pos: usize,
    pub(super) text: Box<str>,
    pub(super) line: usize,
}

/// A token as an error quotes it.
impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.kind {
            Kind::Eof => f.write_str("EOF"),
            Kind::Error => f.write_str(&self.text),
            kind if kind.is_keyword() => write!(f, "<{}>", self.text),
            _ if self.text.len() > 10 => {
                let short: String = self.text.chars().take(10).collect();
                write!(f, "{}...", quote::double(short.as_bytes()))
            }
            _ => f.write_str(&quote::double(self.text.as_bytes())),
        }
    }
}

const LEFT: &str = "{{";
const RIGHT: &str = "}}";
const SPACES: [char; 4] = [' ', '\t', '\r', '\n'];

/// Cuts a text into tokens. The last one is the end, or an error.
pub(super) fn tokens(input: &str) -> Vec<Token> {
    let mut lexer = Lexer { input, pos: 0, start: 0, line: 1, tokens: Vec::new(), parens: 0 };
    if let Err(message) = lexer.text() {
        let line = lexer.line;
        lexer.tokens.push(Token { kind: Kind::Error, pos: lexer.start, text: message.into(), line });
    }
    lexer.tokens
}

/// The message of an error in the text.
type Lexed = Result<(), String>;

struct Lexer<'a> {
    input: &'a str,
    pos: usize,
    start: usize,
    /// The line of `start`.
    line: usize,
    tokens: Vec<Token>,
    parens: usize,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.input[self.pos..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let letter = self.peek()?;
        self.pos += letter.len_utf8();
        Some(letter)
    }

    fn emit(&mut self, kind: Kind) {
        let text = self.input[self.start..self.pos].into();
        self.tokens.push(Token { kind, pos: self.start, text, line: self.line });
        self.ignore();
    }

    fn ignore(&mut self) {
        self.line += self.input[self.start..self.pos].matches('\n').count();
        self.start = self.pos;
    }

    /// Text and actions in turn, to the end.
    fn text(&mut self) -> Lexed {
        while let Some(at) = self.rest().find(LEFT) {
            let before = self.pos + at;
            let trimmed = left_marker(&self.input[before + LEFT.len()..]);
            let text = &self.input[self.pos..before];
            let kept = if trimmed { text.trim_end_matches(SPACES).len() } else { text.len() };
            if kept > 0 {
                self.pos += kept;
                self.emit(Kind::Text);
            }
            self.pos = before;
            self.ignore();
            self.action(trimmed)?;
        }
        self.pos = self.input.len();
        if self.pos > self.start {
            self.emit(Kind::Text);
        }
        self.emit(Kind::Eof);
        Ok(())
    }

    /// One action with its delimiters, or a comment.
    fn action(&mut self, trimmed: bool) -> Lexed {
        let marker = if trimmed { 2 } else { 0 };
        self.pos += LEFT.len();
        if self.rest()[marker..].starts_with("/*") {
            self.pos += marker;
            self.ignore();
            return self.comment();
        }
        self.emit(Kind::LeftDelimiter);
        self.pos += marker;
        self.ignore();
        self.parens = 0;
        while !self.right_delimiter()? {
            self.inside()?;
        }
        Ok(())
    }

    fn comment(&mut self) -> Lexed {
        let Some(at) = self.rest()["/*".len()..].find("*/") else { return Err("unclosed comment".into()) };
        self.pos += "/*".len() + at + "*/".len();
        let trims = right_marker(self.rest());
        if trims {
            self.pos += 2;
        } else if !self.rest().starts_with(RIGHT) {
            return Err("comment ends before closing delimiter".into());
        }
        self.pos += RIGHT.len();
        self.trim(trims);
        Ok(())
    }

    fn trim(&mut self, trims: bool) {
        if trims {
            let rest = self.rest();
            self.pos += rest.len() - rest.trim_start_matches(SPACES).len();
        }
        self.ignore();
    }

    /// Takes the end of an action, if it is here.
    fn right_delimiter(&mut self) -> Result<bool, String> {
        let trims = right_marker(self.rest());
        if !trims && !self.rest().starts_with(RIGHT) {
            return Ok(false);
        }
        if self.parens > 0 {
            return Err("unclosed left paren".into());
        }
        if trims {
            self.pos += 2;
            self.ignore();
        }
        self.pos += RIGHT.len();
        self.emit(Kind::RightDelimiter);
        self.trim(trims);
        Ok(true)
    }

    /// One token inside an action.
    fn inside(&mut self) -> Lexed {
        let Some(letter) = self.next() else { return Err("unclosed action".into()) };
        match letter {
            letter if SPACES.contains(&letter) => self.spaces(),
            '=' => self.emit(Kind::Assign),
            ':' if self.next() != Some('=') => return Err("expected :=".into()),
            ':' => self.emit(Kind::Declare),
            '|' => self.emit(Kind::Pipe),
            '"' => return self.quoted('"', Kind::String, "unterminated quoted string"),
            '\'' => return self.quoted('\'', Kind::CharConstant, "unterminated character constant"),
            '`' => return self.raw(),
            '$' => return self.name(Kind::Variable, Kind::Variable),
            '.' if !self.peek().is_some_and(|next| next.is_ascii_digit()) && self.peek().is_some() => {
                return self.name(Kind::Field, Kind::Dot);
            }
            '.' | '+' | '-' | '0'..='9' => {
                self.pos -= 1;
                return self.number();
            }
            letter if is_alphanumeric(letter) => return self.word(),
            '(' => {
                self.emit(Kind::LeftParen);
                self.parens += 1;
            }
            ')' => {
                self.emit(Kind::RightParen);
                self.parens = self.parens.checked_sub(1).ok_or("unexpected right paren U+0029 ')'")?;
            }
            ' '..='~' => self.emit(Kind::Char),
            letter => return Err(format!("unrecognized character in action: {}", code_point(Some(letter)))),
        }
        Ok(())
    }

    /// A run of spaces; the last one may belong to a marker at the end of the action.
    fn spaces(&mut self) {
        while self.peek().is_some_and(|next| SPACES.contains(&next)) {
            self.pos += 1;
        }
        if right_marker(&self.input[self.pos - 1..]) {
            self.pos -= 1;
        }
        if self.pos > self.start {
            self.emit(Kind::Space);
        }
    }

    fn quoted(&mut self, mark: char, kind: Kind, message: &str) -> Lexed {
        loop {
            match self.next() {
                Some('\\') if !matches!(self.next(), None | Some('\n')) => {}
                Some('\\' | '\n') | None => return Err(message.into()),
                Some(letter) if letter == mark => break,
                Some(_) => {}
            }
        }
        self.emit(kind);
        Ok(())
    }

    fn raw(&mut self) -> Lexed {
        let Some(at) = self.rest().find('`') else { return Err("unterminated raw quoted string".into()) };
        self.pos += at + 1;
        self.emit(Kind::RawString);
        Ok(())
    }

    /// A field or a variable, whose first letter was taken.
    fn name(&mut self, kind: Kind, alone: Kind) -> Lexed {
        if self.at_terminator() {
            self.emit(alone);
            return Ok(());
        }
        self.alphanumerics()?;
        self.emit(kind);
        Ok(())
    }

    fn word(&mut self) -> Lexed {
        self.alphanumerics()?;
        self.emit(Kind::of_word(&self.input[self.start..self.pos]));
        Ok(())
    }

    fn alphanumerics(&mut self) -> Lexed {
        while self.peek().is_some_and(is_alphanumeric) {
            self.next();
        }
        if self.at_terminator() {
            return Ok(());
        }
        Err(format!("bad character {}", code_point(self.peek())))
    }

    fn at_terminator(&self) -> bool {
        match self.peek() {
            None | Some(' ' | '\t' | '\r' | '\n' | '.' | ',' | '|' | ':' | ')' | '(') => true,
            Some(_) => self.rest().starts_with(RIGHT),
        }
    }

    fn number(&mut self) -> Lexed {
        let mut good = self.one_number();
        let mut kind = Kind::Number;
        if good && matches!(self.peek(), Some('+' | '-')) {
            good = self.one_number() && self.input[..self.pos].ends_with('i');
            kind = Kind::Complex;
        }
        if !good {
            let text = quote::double(&self.input.as_bytes()[self.start..self.pos]);
            return Err(format!("bad number syntax: {text}"));
        }
        self.emit(kind);
        Ok(())
    }

    fn accept(&mut self, letters: &str) -> bool {
        let found = self.peek().is_some_and(|next| letters.contains(next));
        self.pos += usize::from(found);
        found
    }

    fn one_number(&mut self) -> bool {
        self.accept("+-");
        let mut digits = "0123456789_";
        if self.accept("0") {
            if self.accept("xX") {
                digits = "0123456789abcdefABCDEF_";
            } else if self.accept("oO") {
                digits = "01234567_";
            } else if self.accept("bB") {
                digits = "01_";
            }
        }
        while self.accept(digits) {}
        if self.accept(".") {
            while self.accept(digits) {}
        }
        let exponent = match digits.len() {
            11 => self.accept("eE"),
            23 => self.accept("pP"),
            _ => false,
        };
        if exponent {
            self.accept("+-");
            while self.accept("0123456789_") {}
        }
        self.accept("i");
        if self.peek().is_some_and(is_alphanumeric) {
            self.next();
            return false;
        }
        true
    }
}

fn left_marker(text: &str) -> bool {
    text.strip_prefix('-').is_some_and(|rest| rest.starts_with(SPACES))
}

/// A space, a minus and the end of the action.
fn right_marker(text: &str) -> bool {
    let mut letters = text.chars();
    letters.next().is_some_and(|first| SPACES.contains(&first))
        && letters.as_str().strip_prefix('-').is_some_and(|rest| rest.starts_with(RIGHT))
}

fn is_alphanumeric(letter: char) -> bool {
    letter == '_' || letter.is_alphanumeric()
}

/// Go's `%#U`.
fn code_point(letter: Option<char>) -> String {
    match letter {
        // Go's lexer has -1 for the end.
        None => "U+FFFFFFFFFFFFFFFF".to_owned(),
        Some(letter) if (letter.is_ascii() && !letter.is_ascii_control()) || quote::is_printable(letter) => {
            format!("U+{:04X} '{letter}'", letter as u32)
        }
        Some(letter) => format!("U+{:04X}", letter as u32),
    }
}
