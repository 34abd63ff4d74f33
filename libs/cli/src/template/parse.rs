//! From tokens to nodes, by Go's grammar and with Go's complaints.
//!
//! The parser looks ahead by as many tokens as Go's does, since its errors name the line of the first token that waits.

use super::lex::{Kind, Token, tokens};
use super::node::{Arg, ArgKind, Branch, Command, Node, Pipe};
use super::{quote, unquote};
use std::collections::BTreeMap;
use std::rc::Rc;

/// How deep actions, parentheses and `else if` may nest.
const DEPTH: usize = 100;

/// The templates of a text by their names.
pub(super) type Templates = BTreeMap<Rc<str>, Rc<Vec<Node>>>;

/// A message in Go's words.
type Parsed<T> = Result<T, String>;

/// Parses a text.
pub(super) fn parse(name: &str, text: &str, has_function: &dyn Fn(&str) -> bool) -> Parsed<Templates> {
    let mut parser = Parser {
        name,
        tokens: tokens(text),
        at: 0,
        waiting: [const { None }; 3],
        waits: 0,
        scopes: vec![Scope::new()],
        depth: 0,
        has_function,
        templates: Templates::new(),
    };
    let root = parser.whole()?;
    parser.add(name.into(), root)?;
    Ok(parser.templates)
}

/// What a template, the text itself or one defined in it, knows of its variables and loops.
struct Scope {
    variables: Vec<Rc<str>>,
    ranges: usize,
    action: usize,
}

impl Scope {
    fn new() -> Self {
        Self { variables: vec!["$".into()], ranges: 0, action: 0 }
    }
}

struct Parser<'a> {
    name: &'a str,
    tokens: Vec<Token>,
    at: usize,
    /// The tokens that wait, the next one last.
    waiting: [Option<Token>; 3],
    waits: usize,
    scopes: Vec<Scope>,
    depth: usize,
    has_function: &'a dyn Fn(&str) -> bool,
    templates: Templates,
}

/// How a list of nodes ended.
enum Ended {
    End,
    /// Whether an `if` follows.
    Else(bool),
}

impl Ended {
    const fn text(&self) -> &'static str {
        match self {
            Self::End => "{{end}}",
            Self::Else(_) => "{{else}}",
        }
    }
}

/// A node, or the end of a list.
enum Piece {
    Node(Node),
    Ended(Ended),
    /// A definition leaves nothing behind.
    Nothing,
}

impl Parser<'_> {
    // Tokens, as Go's parser keeps them.

    fn lexed(&mut self) -> Token {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token.unwrap_or(Token { kind: Kind::Error, pos: 0, text: "".into(), line: 0 })
    }

    fn next(&mut self) -> Token {
        if self.waits > 0 {
            self.waits -= 1;
        } else {
            self.waiting[0] = Some(self.lexed());
        }
        self.slot(self.waits)
    }

    fn slot(&self, index: usize) -> Token {
        let none = Token { kind: Kind::Error, pos: 0, text: "".into(), line: 0 };
        self.waiting.get(index).and_then(Clone::clone).unwrap_or(none)
    }

    const fn backup(&mut self) {
        self.waits += 1;
    }

    /// Puts back the token before the one that waits.
    fn backup2(&mut self, token: Token) {
        self.waiting[1] = Some(token);
        self.waits = 2;
    }

    fn backup3(&mut self, first: Token, second: Token) {
        self.waiting[1] = Some(second);
        self.waiting[2] = Some(first);
        self.waits = 3;
    }

    fn peek(&mut self) -> Token {
        if self.waits > 0 {
            return self.slot(self.waits - 1);
        }
        self.waits = 1;
        self.waiting[0] = Some(self.lexed());
        self.slot(0)
    }

    fn next_word(&mut self) -> Token {
        loop {
            let token = self.next();
            if token.kind != Kind::Space {
                return token;
            }
        }
    }

    fn peek_word(&mut self) -> Token {
        let token = self.next_word();
        self.backup();
        token
    }

    // Errors.

    fn error<T>(&self, message: impl std::fmt::Display) -> Parsed<T> {
        Err(format!("template: {}:{}: {message}", self.name, self.slot(0).line))
    }

    fn unexpected<T>(&self, token: &Token, context: &str) -> Parsed<T> {
        if token.kind != Kind::Error {
            return self.error(format_args!("unexpected {token} in {context}"));
        }
        let action = self.scopes.last().map_or(0, |scope| scope.action);
        if action == 0 || action == token.line {
            return self.error(token);
        }
        let word = if token.text.ends_with(" action") { " started" } else { " in action started" };
        self.error(format_args!("{token}{word} at {}:{action}", self.name))
    }

    fn expect(&mut self, kind: Kind, context: &str) -> Parsed<Token> {
        let token = self.next_word();
        if token.kind == kind { Ok(token) } else { self.unexpected(&token, context) }
    }

    fn deeper(&mut self) -> Parsed<()> {
        self.depth += 1;
        if self.depth > DEPTH {
            return self.error(format_args!("nested deeper than {DEPTH}"));
        }
        Ok(())
    }

    fn scope(&mut self) -> &mut Scope {
        if self.scopes.is_empty() {
            self.scopes.push(Scope::new());
        }
        let last = self.scopes.len() - 1;
        &mut self.scopes[last]
    }

    // Lists.

    fn whole(&mut self) -> Parsed<Vec<Node>> {
        let mut nodes = Vec::new();
        while self.peek().kind != Kind::Eof {
            match self.piece(true)? {
                Piece::Node(node) => nodes.push(node),
                Piece::Ended(ended) => return self.error(format_args!("unexpected {}", ended.text())),
                Piece::Nothing => {}
            }
        }
        Ok(nodes)
    }

    fn list(&mut self) -> Parsed<(Vec<Node>, Ended)> {
        let mut nodes = Vec::new();
        while self.peek_word().kind != Kind::Eof {
            match self.piece(false)? {
                Piece::Node(node) => nodes.push(node),
                Piece::Ended(ended) => return Ok((nodes, ended)),
                Piece::Nothing => {}
            }
        }
        self.error("unexpected EOF")
    }

    /// Text or an action; a definition only at the top.
    fn piece(&mut self, top: bool) -> Parsed<Piece> {
        if top && self.peek().kind == Kind::LeftDelimiter {
            let delimiter = self.next();
            if self.next_word().kind == Kind::Define {
                self.definition()?;
                return Ok(Piece::Nothing);
            }
            self.backup2(delimiter);
        }
        let token = self.next_word();
        match token.kind {
            Kind::Text => Ok(Piece::Node(Node::Text(token.text))),
            Kind::LeftDelimiter => {
                self.scope().action = token.line;
                self.deeper()?;
                let piece = self.action()?;
                self.depth -= 1;
                self.scope().action = 0;
                Ok(piece)
            }
            _ => self.unexpected(&token, "input"),
        }
    }

    fn definition(&mut self) -> Parsed<()> {
        self.scopes.push(Scope::new());
        let context = "define clause";
        let token = self.next_word();
        let name = self.template_name(&token, context)?;
        self.expect(Kind::RightDelimiter, context)?;
        let list = self.body(context)?;
        self.add(name, list)?;
        self.scopes.pop();
        Ok(())
    }

    /// A list up to its `end`.
    fn body(&mut self, context: &str) -> Parsed<Vec<Node>> {
        match self.list()? {
            (list, Ended::End) => Ok(list),
            (_, ended) => self.error(format_args!("unexpected {} in {context}", ended.text())),
        }
    }

    fn add(&mut self, name: Rc<str>, nodes: Vec<Node>) -> Parsed<()> {
        let full = |nodes: &[Node]| !is_empty(nodes);
        match self.templates.get(&name) {
            Some(old) if full(old) && full(&nodes) => {
                let name = quote::double(name.as_bytes());
                self.error(format_args!("template: multiple definition of template {name}"))
            }
            Some(old) if full(old) => Ok(()),
            _ => {
                self.templates.insert(name, Rc::new(nodes));
                Ok(())
            }
        }
    }

    fn template_name(&self, token: &Token, context: &str) -> Parsed<Rc<str>> {
        if !matches!(token.kind, Kind::String | Kind::RawString) {
            return self.unexpected(token, context);
        }
        match unquote::string(&token.text) {
            Some(name) => Ok(String::from_utf8_lossy(&name).into()),
            None => self.error("invalid syntax"),
        }
    }

    // Actions.

    fn action(&mut self) -> Parsed<Piece> {
        let token = self.next_word();
        let node = match token.kind {
            Kind::Block => self.block()?,
            Kind::Break => self.jump("{{break}}", Node::Break)?,
            Kind::Continue => self.jump("{{continue}}", Node::Continue)?,
            Kind::Else => return self.otherwise().map(Piece::Ended),
            Kind::End => {
                self.expect(Kind::RightDelimiter, "end")?;
                return Ok(Piece::Ended(Ended::End));
            }
            Kind::If => Node::If(self.control("if")?),
            Kind::Range => Node::Range(self.control("range")?),
            Kind::With => Node::With(self.control("with")?),
            Kind::Template => self.template()?,
            _ => {
                self.backup();
                let pos = self.peek().pos;
                Node::Action(pos, self.pipeline("command", Kind::RightDelimiter)?)
            }
        };
        Ok(Piece::Node(node))
    }

    fn jump(&mut self, name: &str, node: Node) -> Parsed<Node> {
        let token = self.next_word();
        if token.kind != Kind::RightDelimiter {
            return self.unexpected(&token, name);
        }
        if self.scope().ranges == 0 {
            return self.error(format_args!("{name} outside {{{{range}}}}"));
        }
        Ok(node)
    }

    fn otherwise(&mut self) -> Parsed<Ended> {
        // `{{else if` is read as `{{else}}{{if`, and so is `{{else with` since Go 1.23.
        if matches!(self.peek_word().kind, Kind::If | Kind::With) {
            return Ok(Ended::Else(true));
        }
        self.expect(Kind::RightDelimiter, "else")?;
        Ok(Ended::Else(false))
    }

    fn control(&mut self, context: &'static str) -> Parsed<Branch> {
        let variables = self.scope().variables.len();
        let pipe = self.pipeline(context, Kind::RightDelimiter)?;
        let loops = usize::from(context == "range");
        self.scope().ranges += loops;
        let (list, ended) = self.list()?;
        self.scope().ranges -= loops;
        let otherwise = match ended {
            Ended::End => None,
            Ended::Else(true) => Some(vec![self.else_if(context)?]),
            Ended::Else(false) => match self.list()? {
                (list, Ended::End) => Some(list),
                (_, ended) => return self.error(format_args!("expected end; found {}", ended.text())),
            },
        };
        self.scope().variables.truncate(variables);
        Ok(Branch { pipe, list, otherwise })
    }

    /// The rest of `{{else if …}}`: its `end` is the outer one's too.
    fn else_if(&mut self, context: &str) -> Parsed<Node> {
        let token = self.next_word();
        self.deeper()?;
        let node = match (token.kind, context) {
            (Kind::If, "if") => Node::If(self.control("if")?),
            (Kind::With, "with") => Node::With(self.control("with")?),
            _ => return self.unexpected(&token, "input"),
        };
        self.depth -= 1;
        Ok(node)
    }

    fn block(&mut self) -> Parsed<Node> {
        let context = "block clause";
        let token = self.next_word();
        let name = self.template_name(&token, context)?;
        let pipe = self.pipeline(context, Kind::RightDelimiter)?;
        self.scopes.push(Scope::new());
        let list = self.body(context)?;
        self.add(name.clone(), list)?;
        self.scopes.pop();
        Ok(Node::Template { pos: token.pos, name, pipe: Some(pipe) })
    }

    fn template(&mut self) -> Parsed<Node> {
        let context = "template clause";
        let token = self.next_word();
        let name = self.template_name(&token, context)?;
        if self.next_word().kind == Kind::RightDelimiter {
            return Ok(Node::Template { pos: token.pos, name, pipe: None });
        }
        self.backup();
        let pipe = self.pipeline(context, Kind::RightDelimiter)?;
        Ok(Node::Template { pos: token.pos, name, pipe: Some(pipe) })
    }

    // Pipelines.

    fn pipeline(&mut self, context: &str, end: Kind) -> Parsed<Pipe> {
        self.deeper()?;
        let pos = self.peek_word().pos;
        let mut pipe = Pipe { pos, assigns: false, variables: Vec::new(), commands: Vec::new() };
        while self.declaration(&mut pipe, context)? {}
        loop {
            let token = self.next_word();
            match token.kind {
                kind if kind == end => break,
                Kind::Bool
                | Kind::CharConstant
                | Kind::Complex
                | Kind::Dot
                | Kind::Field
                | Kind::Identifier
                | Kind::Number
                | Kind::Nil
                | Kind::RawString
                | Kind::String
                | Kind::Variable
                | Kind::LeftParen => {
                    self.backup();
                    let command = self.command()?;
                    pipe.commands.push(command);
                }
                _ => return self.unexpected(&token, context),
            }
        }
        self.check(&pipe, context)?;
        self.depth -= 1;
        Ok(pipe)
    }

    /// Reads a variable that is declared or set. Whether another one may follow, in `range`.
    fn declaration(&mut self, pipe: &mut Pipe, context: &str) -> Parsed<bool> {
        let variable = self.peek_word();
        if variable.kind != Kind::Variable {
            return Ok(false);
        }
        self.next();
        let after = self.peek();
        let next = self.peek_word();
        let name: Rc<str> = (&*variable.text).into();
        match next.kind {
            Kind::Assign | Kind::Declare => {
                pipe.assigns = next.kind == Kind::Assign;
                self.next_word();
                pipe.variables.push(name.clone());
                self.scope().variables.push(name);
                Ok(false)
            }
            Kind::Char if &*next.text == "," => {
                self.next_word();
                pipe.variables.push(name.clone());
                self.scope().variables.push(name);
                if context == "range" && pipe.variables.len() < 2 {
                    return match self.peek_word().kind {
                        Kind::Variable | Kind::RightDelimiter | Kind::RightParen => Ok(true),
                        _ => self.error("range can only initialize variables"),
                    };
                }
                self.error(format_args!("too many declarations in {context}"))
            }
            _ if after.kind == Kind::Space => {
                self.backup3(variable, after);
                Ok(false)
            }
            _ => {
                self.backup2(variable);
                Ok(false)
            }
        }
    }

    fn check(&self, pipe: &Pipe, context: &str) -> Parsed<()> {
        if pipe.commands.is_empty() {
            return self.error(format_args!("missing value for {context}"));
        }
        for (index, command) in pipe.commands.iter().enumerate().skip(1) {
            let constant = |kind: &ArgKind| {
                matches!(
                    kind,
                    ArgKind::Bool(_)
                        | ArgKind::Dot
                        | ArgKind::Nil
                        | ArgKind::Number(_)
                        | ArgKind::String { .. }
                )
            };
            if command.args.first().is_some_and(|arg| constant(&arg.kind)) {
                return self.error(format_args!("non executable command in pipeline stage {}", index + 1));
            }
        }
        Ok(())
    }

    fn command(&mut self) -> Parsed<Command> {
        let mut command = Command { pos: self.peek_word().pos, args: Vec::new() };
        loop {
            self.peek_word();
            if let Some(arg) = self.operand()? {
                command.args.push(arg);
            }
            let token = self.next();
            match token.kind {
                Kind::Space => continue,
                Kind::RightDelimiter | Kind::RightParen => self.backup(),
                Kind::Pipe => {}
                _ => return self.unexpected(&token, "operand"),
            }
            break;
        }
        if command.args.is_empty() {
            return self.error("empty command");
        }
        Ok(command)
    }

    /// A term with the fields that follow it.
    fn operand(&mut self) -> Parsed<Option<Arg>> {
        let Some(mut arg) = self.term()? else { return Ok(None) };
        if self.peek().kind != Kind::Field {
            return Ok(Some(arg));
        }
        let pos = self.peek().pos;
        let mut names: Vec<Box<str>> = Vec::new();
        while self.peek().kind == Kind::Field {
            names.push(self.next().text[1..].into());
        }
        arg = match arg.kind {
            ArgKind::Field(mut first) => {
                first.append(&mut names);
                Arg { pos, kind: ArgKind::Field(first) }
            }
            ArgKind::Variable(name, mut first) => {
                first.append(&mut names);
                Arg { pos, kind: ArgKind::Variable(name, first) }
            }
            ArgKind::Bool(_) | ArgKind::String { .. } | ArgKind::Number(_) | ArgKind::Nil | ArgKind::Dot => {
                let term = quote::double(arg.to_string().as_bytes());
                return self.error(format_args!("unexpected . after term {term}"));
            }
            _ => Arg { pos, kind: ArgKind::Chain(Box::new(arg), names) },
        };
        Ok(Some(arg))
    }

    fn term(&mut self) -> Parsed<Option<Arg>> {
        let token = self.next_word();
        let kind = match token.kind {
            Kind::Identifier if !(self.has_function)(&token.text) => {
                let name = quote::double(token.text.as_bytes());
                return self.error(format_args!("function {name} not defined"));
            }
            Kind::Identifier => ArgKind::Function(token.text),
            Kind::Dot => ArgKind::Dot,
            Kind::Nil => ArgKind::Nil,
            Kind::Variable => self.variable(&token)?,
            Kind::Field => ArgKind::Field(vec![token.text[1..].into()]),
            Kind::Bool => ArgKind::Bool(&*token.text == "true"),
            Kind::CharConstant => self.constant(unquote::char_constant(&token.text))?,
            Kind::Complex => self.constant(unquote::complex(&token.text))?,
            Kind::Number => self.constant(unquote::number(&token.text))?,
            Kind::LeftParen => {
                ArgKind::Pipe(Box::new(self.pipeline("parenthesized pipeline", Kind::RightParen)?))
            }
            Kind::String | Kind::RawString => match unquote::string(&token.text) {
                Some(text) => ArgKind::String { quoted: token.text, text: text.into() },
                None => return self.error("invalid syntax"),
            },
            _ => {
                self.backup();
                return Ok(None);
            }
        };
        let pos = match &kind {
            ArgKind::Pipe(pipe) => pipe.pos,
            _ => token.pos,
        };
        Ok(Some(Arg { pos, kind }))
    }

    fn constant(&self, number: Result<super::node::Number, String>) -> Parsed<ArgKind> {
        match number {
            Ok(number) => Ok(ArgKind::Number(number)),
            Err(message) => self.error(message),
        }
    }

    fn variable(&mut self, token: &Token) -> Parsed<ArgKind> {
        let name: Rc<str> = (&*token.text).into();
        if !self.scope().variables.contains(&name) {
            let name = quote::double(name.as_bytes());
            return self.error(format_args!("undefined variable {name}"));
        }
        Ok(ArgKind::Variable(name, Vec::new()))
    }
}

/// Whether a template has nothing but space in it.
fn is_empty(nodes: &[Node]) -> bool {
    nodes.iter().all(|node| matches!(node, Node::Text(text) if text.trim().is_empty()))
}
