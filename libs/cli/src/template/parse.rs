//! Tokens become a tree.
//!
//! The grammar and the messages are those of Go's `text/template`; nesting is bounded, since the tree is walked by
//! recursion and a template may be foreign.

use std::collections::BTreeMap;

use super::funcs;
use super::lex::{Kind, Token, tokens};
use super::node::{Branch, Command, Node, Number, Pipe, Term, Word};
use super::{MAX_NESTING, TemplateError, print};

/// The templates a text defines, by name.
pub(super) type Set = BTreeMap<String, Vec<Node>>;

/// Parses a text; the set has a template of that name and all that are defined inside.
pub(super) fn parse(name: &str, text: &str) -> Result<Set, TemplateError> {
    let mut parser = Parser {
        name,
        tokens: tokens(text),
        at: 0,
        variables: vec!["$".to_owned()],
        range_depth: 0,
        depth: 0,
        action_line: 0,
        set: Set::new(),
    };
    let root = parser.root()?;
    parser.define(name.to_owned(), root)?;
    Ok(parser.set)
}

/// What ended a list of nodes.
#[derive(PartialEq, Eq)]
enum Stop {
    End,
    Else,
    /// An `else` that an `if` follows at once, which has not been read.
    ElseIf,
}

impl Stop {
    const fn shown(&self) -> &'static str {
        match self {
            Self::End => "{{end}}",
            Self::Else | Self::ElseIf => "{{else}}",
        }
    }
}

/// A node, or the end of a list of them.
enum Item {
    Node(Node),
    Stop(Stop),
}

struct Parser<'a> {
    name: &'a str,
    tokens: Vec<Token>,
    at: usize,
    variables: Vec<String>,
    range_depth: usize,
    depth: usize,
    action_line: usize,
    set: Set,
}

impl Parser<'_> {
    fn peek(&self) -> &Token {
        // The last token is an end or an error and never consumed past.
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    fn error<T>(&self, message: impl std::fmt::Display) -> Result<T, TemplateError> {
        let line = self.tokens[self.at.saturating_sub(1).min(self.tokens.len() - 1)].line;
        Err(TemplateError(format!("template: {}:{line}: {message}", self.name)))
    }

    fn unexpected<T>(&self, token: &Token, context: &str) -> Result<T, TemplateError> {
        if token.kind != Kind::Error {
            return self.error(format!("unexpected {} in {context}", token.shown()));
        }
        let mut extra = String::new();
        if self.action_line != 0 && self.action_line != token.line {
            let started = format!(" started at {}:{}", self.name, self.action_line);
            extra = if token.text.ends_with(" action") { started } else { format!(" in action{started}") };
        }
        self.error(format!("{}{extra}", token.text))
    }

    fn expect(&mut self, kind: Kind, context: &str) -> Result<Token, TemplateError> {
        let token = self.next();
        if token.kind == kind { Ok(token) } else { self.unexpected(&token, context) }
    }

    /// Runs with one more level of nesting.
    fn nested<T>(
        &mut self,
        parse: impl FnOnce(&mut Self) -> Result<T, TemplateError>,
    ) -> Result<T, TemplateError> {
        self.depth += 1;
        let result = if self.depth > MAX_NESTING { self.error("nested too deeply") } else { parse(self) };
        self.depth -= 1;
        result
    }

    fn root(&mut self) -> Result<Vec<Node>, TemplateError> {
        let mut nodes = Vec::new();
        loop {
            if self.peek().kind == Kind::End {
                return Ok(nodes);
            }
            let is_definition = self.peek().kind == Kind::Open
                && self
                    .tokens
                    .get(self.at + 1)
                    .is_some_and(|token| token.kind == Kind::Keyword && token.text == "define");
            if is_definition {
                self.at += 2;
                self.definition()?;
                continue;
            }
            match self.item()? {
                Item::Node(node) => nodes.push(node),
                Item::Stop(stop) => return self.error(format!("unexpected {}", stop.shown())),
            }
        }
    }

    fn definition(&mut self) -> Result<(), TemplateError> {
        let context = "define clause";
        let token = self.next();
        let name = self.template_name(&token, context)?;
        self.expect(Kind::Close, context)?;
        let body = self.body(context)?;
        self.define(name, body)
    }

    /// The nodes of a template with variables of its own, up to its `end`.
    fn body(&mut self, context: &str) -> Result<Vec<Node>, TemplateError> {
        let variables = std::mem::replace(&mut self.variables, vec!["$".to_owned()]);
        let range_depth = std::mem::take(&mut self.range_depth);
        let (nodes, stop) = self.nested(Self::list)?;
        self.variables = variables;
        self.range_depth = range_depth;
        if stop != Stop::End {
            return self.error(format!("unexpected {} in {context}", stop.shown()));
        }
        Ok(nodes)
    }

    /// Of two templates with one name, an empty one gives way.
    fn define(&mut self, name: String, nodes: Vec<Node>) -> Result<(), TemplateError> {
        match self.set.get(&name) {
            Some(known) if !is_empty(known) => {
                if !is_empty(&nodes) {
                    return self
                        .error(format!("template: multiple definition of template {}", print::quote(&name)));
                }
            }
            _ => {
                self.set.insert(name, nodes);
            }
        }
        Ok(())
    }

    fn list(&mut self) -> Result<(Vec<Node>, Stop), TemplateError> {
        let mut nodes = Vec::new();
        while self.peek().kind != Kind::End {
            match self.item()? {
                Item::Node(node) => nodes.push(node),
                Item::Stop(stop) => return Ok((nodes, stop)),
            }
        }
        self.at += 1;
        self.error("unexpected EOF")
    }

    fn item(&mut self) -> Result<Item, TemplateError> {
        let token = self.next();
        match token.kind {
            Kind::Text => Ok(Item::Node(Node::Text(token.text))),
            Kind::Open => {
                self.action_line = token.line;
                let item = self.nested(Self::action);
                self.action_line = 0;
                item
            }
            _ => self.unexpected(&token, "input"),
        }
    }

    fn action(&mut self) -> Result<Item, TemplateError> {
        if self.peek().kind != Kind::Keyword {
            return Ok(Item::Node(Node::Action(self.pipe("command", Kind::Close)?)));
        }
        let token = self.next();
        let node = match token.text.as_str() {
            "if" => self.conditional()?,
            "with" => Node::With(self.branch("with")?),
            "range" => Node::Range(self.branch("range")?),
            "template" => self.template()?,
            "block" => self.block()?,
            "break" => self.jump("break", Node::Break)?,
            "continue" => self.jump("continue", Node::Continue)?,
            "end" => {
                self.expect(Kind::Close, "end")?;
                return Ok(Item::Stop(Stop::End));
            }
            "else" => return self.otherwise(),
            _ => return self.unexpected(&token, "command"),
        };
        Ok(Item::Node(node))
    }

    fn otherwise(&mut self) -> Result<Item, TemplateError> {
        if self.peek().kind == Kind::Keyword && self.peek().text == "if" {
            return Ok(Item::Stop(Stop::ElseIf));
        }
        self.expect(Kind::Close, "else")?;
        Ok(Item::Stop(Stop::Else))
    }

    fn jump(&mut self, word: &str, node: Node) -> Result<Node, TemplateError> {
        let token = self.next();
        if token.kind != Kind::Close {
            return self.unexpected(&token, &format!("{{{{{word}}}}}"));
        }
        if self.range_depth == 0 {
            return self.error(format!("{{{{{word}}}}} outside {{{{range}}}}"));
        }
        Ok(node)
    }

    fn conditional(&mut self) -> Result<Node, TemplateError> {
        Ok(Node::If(self.branch("if")?))
    }

    fn branch(&mut self, context: &str) -> Result<Branch, TemplateError> {
        let scope = self.variables.len();
        let pipe = self.pipe(context, Kind::Close)?;
        self.range_depth += usize::from(context == "range");
        let (then, stop) = self.list()?;
        self.range_depth -= usize::from(context == "range");
        let otherwise = match stop {
            Stop::End => Vec::new(),
            // `{{else if x}}…{{end}}` is `{{else}}{{if x}}…{{end}}{{end}}` with one end for both.
            Stop::ElseIf if context == "if" => {
                self.at += 1;
                vec![self.nested(Self::conditional)?]
            }
            Stop::ElseIf | Stop::Else => {
                let (nodes, stop) = self.list()?;
                if stop != Stop::End {
                    return self.error(format!("expected end; found {}", stop.shown()));
                }
                nodes
            }
        };
        self.variables.truncate(scope);
        Ok(Branch { at: pipe.at, pipe, then, otherwise })
    }

    fn template(&mut self) -> Result<Node, TemplateError> {
        let context = "template clause";
        let token = self.next();
        let name = self.template_name(&token, context)?;
        let pipe = if self.peek().kind == Kind::Close {
            self.at += 1;
            None
        } else {
            Some(self.pipe(context, Kind::Close)?)
        };
        Ok(Node::Template { at: token.at, name, pipe })
    }

    fn block(&mut self) -> Result<Node, TemplateError> {
        let context = "block clause";
        let token = self.next();
        let name = self.template_name(&token, context)?;
        let pipe = self.pipe(context, Kind::Close)?;
        let body = self.body(context)?;
        self.define(name.clone(), body)?;
        Ok(Node::Template { at: token.at, name, pipe: Some(pipe) })
    }

    fn template_name(&self, token: &Token, context: &str) -> Result<String, TemplateError> {
        match token.kind {
            Kind::Str | Kind::RawString => self.unquote(&token.text),
            _ => self.unexpected(token, context),
        }
    }

    fn unquote(&self, text: &str) -> Result<String, TemplateError> {
        print::unquote(text).map_or_else(|| self.error("invalid syntax"), Ok)
    }

    fn pipe(&mut self, context: &str, end: Kind) -> Result<Pipe, TemplateError> {
        let at = self.peek().at;
        let (variables, is_assignment) = self.declarations(context)?;
        let mut commands: Vec<Command> = Vec::new();
        loop {
            let token = self.peek().clone();
            if token.kind == end {
                self.at += 1;
                break;
            }
            if !starts_operand(token.kind) {
                self.at += 1;
                return self.unexpected(&token, context);
            }
            commands.push(self.command()?);
        }
        if commands.is_empty() {
            return self.error(format!("missing value for {context}"));
        }
        for (index, command) in commands.iter().enumerate().skip(1) {
            let is_value = matches!(
                command.words[0].term,
                Term::Bool(_) | Term::Dot | Term::Nil | Term::Number { .. } | Term::Str { .. }
            );
            if is_value {
                return self.error(format!("non executable command in pipeline stage {}", index + 1));
            }
        }
        Ok(Pipe { at, is_assignment, variables, commands })
    }

    /// `$a :=`, `$a =`, or in a range `$a, $b :=`.
    fn declarations(&mut self, context: &str) -> Result<(Vec<String>, bool), TemplateError> {
        let mut variables = Vec::new();
        loop {
            let follower = self.tokens.get(self.at + 1);
            let (Kind::Variable, Some(follower)) = (self.peek().kind, follower) else {
                return Ok((variables, false));
            };
            let is_comma = follower.kind == Kind::Char && follower.text == ",";
            if !is_comma && !matches!(follower.kind, Kind::Assign | Kind::Declare) {
                return Ok((variables, false));
            }
            let is_assignment = follower.kind == Kind::Assign;
            let name = self.next().text;
            self.at += 1;
            self.variables.push(name.clone());
            variables.push(name);
            if !is_comma {
                return Ok((variables, is_assignment));
            }
            if context != "range" || variables.len() >= 2 {
                return self.error(format!("too many declarations in {context}"));
            }
            if !matches!(self.peek().kind, Kind::Variable | Kind::Close | Kind::RightParen) {
                return self.error("range can only initialize variables");
            }
        }
    }

    fn command(&mut self) -> Result<Command, TemplateError> {
        let at = self.peek().at;
        let mut words = Vec::new();
        loop {
            if starts_operand(self.peek().kind) {
                words.push(self.operand()?);
            }
            let token = self.peek().clone();
            match token.kind {
                Kind::Close | Kind::RightParen => break,
                Kind::Pipe => {
                    self.at += 1;
                    break;
                }
                kind if token.spaced && starts_operand(kind) => {}
                _ => {
                    self.at += 1;
                    return self.unexpected(&token, "operand");
                }
            }
        }
        Ok(Command { at, words })
    }

    fn operand(&mut self) -> Result<Word, TemplateError> {
        let word = self.term()?;
        let mut names = Vec::new();
        let at = self.peek().at;
        while self.peek().kind == Kind::Field && !self.peek().spaced {
            names.push(self.next().text[1..].to_owned());
        }
        if names.is_empty() {
            return Ok(word);
        }
        match word.term {
            Term::Field(mut known) => {
                known.append(&mut names);
                Ok(Word { at, term: Term::Field(known) })
            }
            Term::Variable(mut known) => {
                known.append(&mut names);
                Ok(Word { at, term: Term::Variable(known) })
            }
            Term::Bool(_) | Term::Str { .. } | Term::Number { .. } | Term::Nil | Term::Dot => {
                self.error(format!("unexpected . after term {}", print::quote(&word.to_string())))
            }
            Term::Function(_) | Term::Pipe(_) | Term::Chain(..) => {
                Ok(Word { at, term: Term::Chain(Box::new(word), names) })
            }
        }
    }

    fn term(&mut self) -> Result<Word, TemplateError> {
        let token = self.next();
        let term = match token.kind {
            Kind::Identifier if !funcs::exists(&token.text) => {
                return self.error(format!("function {} not defined", print::quote(&token.text)));
            }
            Kind::Identifier => Term::Function(token.text),
            Kind::Dot => Term::Dot,
            Kind::Nil => Term::Nil,
            Kind::Variable if !self.variables.contains(&token.text) => {
                return self.error(format!("undefined variable {}", print::quote(&token.text)));
            }
            Kind::Variable => Term::Variable(vec![token.text]),
            Kind::Field => Term::Field(vec![token.text[1..].to_owned()]),
            Kind::Bool => Term::Bool(token.text == "true"),
            Kind::Number | Kind::CharConstant => self.number(token.text)?,
            Kind::LeftParen => Term::Pipe(Box::new(
                self.nested(|parser| parser.pipe("parenthesized pipeline", Kind::RightParen))?,
            )),
            Kind::Str | Kind::RawString => Term::Str { value: self.unquote(&token.text)?, shown: token.text },
            _ => return self.unexpected(&token, "operand"),
        };
        Ok(Word { at: token.at, term })
    }

    fn number(&self, shown: String) -> Result<Term, TemplateError> {
        if shown.starts_with('\'') {
            return match print::unquote_char(&shown) {
                Some(c) => Ok(Term::Number { shown, value: Number::Int(i64::from(u32::from(c))) }),
                None => self.error(format!("malformed character constant: {shown}")),
            };
        }
        match print::parse_number(&shown) {
            Some(value) => Ok(Term::Number { shown, value }),
            None if shown.len() > 1 && shown.bytes().all(|c| c.is_ascii_digit() || b"+-_".contains(&c)) => {
                self.error(format!("integer overflow: {}", print::quote(&shown)))
            }
            None => self.error(format!("illegal number syntax: {}", print::quote(&shown))),
        }
    }
}

const fn starts_operand(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Bool
            | Kind::CharConstant
            | Kind::Dot
            | Kind::Field
            | Kind::Identifier
            | Kind::Number
            | Kind::Nil
            | Kind::RawString
            | Kind::Str
            | Kind::Variable
            | Kind::LeftParen
    )
}

fn is_empty(nodes: &[Node]) -> bool {
    nodes.iter().all(|node| matches!(node, Node::Text(text) if text.trim().is_empty()))
}
