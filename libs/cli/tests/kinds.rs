//! The templates of Go's own `text/template`: corpus/kinds/cases.json says what it makes of them (corpus/kinds/main.go made it).

use ctr_cli::template::{Func, Struct, Template, Time, Type, Value};
use serde::Deserialize;
use std::rc::Rc;

#[derive(Deserialize)]
struct Case {
    data: String,
    template: String,
    output: Option<String>,
    hex: Option<String>,
    error: Option<String>,
}

fn state() -> Value {
    Struct::new("main.State")
        .field("Status", "running")
        .field("Running", true)
        .field("Pid", Value::Int(4711))
        .field("ExitCode", Value::Int(-1))
        .field("Health", Value::NilPointer("main.Health"))
        .into()
}

fn mount(kind: &str, source: &str, writable: bool) -> Struct {
    Struct::new("main.Mount").field("Type", kind).field("Source", source).field("RW", writable)
}

/// What corpus/kinds/data.go has under the same name.
fn container(id: &str) -> Value {
    let labels = Value::string_map([("b", "2"), ("a", "1"), ("app", "web & db")]);
    let of = labels.clone();
    let list = Value::any_list(vec![Value::Int(1), "a".into(), Value::Nil]);
    let options = [("n", Value::Int(1)), ("s", "x".into()), ("nil", Value::Nil), ("l", list)];
    let ports = vec![(Value::Int(443), "https".into()), (Value::Int(80), "http".into())];
    Struct::new("main.Container")
        .named("ID", Some("Id"), id)
        .field("Names", Value::strings(["web", "db"]))
        .field("Image", "localhost/hello:latest")
        .field("Command", Value::strings(["sh", "-c", "echo \"hi\" <&>"]))
        .field("Labels", labels)
        .field("Created", Time::new(1_795_219_481, 470_000_000))
        .field("Uptime", Value::Duration(90_500_000_000))
        .field("State", state())
        .field("Size", -1_234_567_i64)
        .field("Mem", u64::MAX)
        .field("Port", 8080_u16)
        .field("CPU", 12.5)
        .optional("Pod", "Pod", "")
        .field("Mounts", Value::structs([mount("bind", "/a", true), mount("tmpfs", "", false)]))
        .field("Extra", Value::Nil)
        .field("Options", Value::any_map(options))
        .field("Ports", Value::map(Type::Int, Type::String, ports))
        .field("NilMap", Value::nil_map(Type::String, Type::String))
        .field("NilSlice", Value::nil_list(Type::String))
        .method("Label", 1, move |args| match (&of, args) {
            (Value::Map(map), [name]) => Ok(map.get(name).cloned().unwrap_or_else(|| "".into())),
            _ => Err("no labels".into()),
        })
        .method("RunningFor", 0, |_| Ok("2 minutes ago".into()))
        .into()
}

fn add() -> Value {
    let int = Type::Int;
    let func = Func::new(&[int.clone(), int], |args| match args {
        [Value::Int(a), Value::Int(b)] => Ok(Value::Int(a + b)),
        _ => Err("not numbers".into()),
    });
    Value::any_map([("Add", Value::Func(Rc::new(func)))])
}

fn fixture(name: &str) -> Option<Value> {
    Some(match name {
        "nil" => Value::Nil,
        "c" => container("0123456789ab"),
        "list" => list(vec![container("aaa"), container("bbb")]),
        "any" => Value::any_list(vec![container("aaa")]),
        "empty" => list(vec![]),
        "string" => "h\u{e9}llo <w\u{f6}rld> & 'you' \"\\".into(),
        "bytes" => Value::bytes(b"a\xffb\x00c"),
        "int" => Value::Int(42),
        "fn" => add(),
        "strs" => Value::strings(["a", "b", "c"]),
        "json" => {
            let text = r#"{"Id":"x","N":1.5,"Big":1e21,"Int":1000000.0,"T":true,"Nil":null,"L":[1.0,"a",null,[]],"M":{"z":1.0,"a":{"b":"c"}},"E":"","Key with space":1.0}"#;
            Value::from(&serde_json::from_str::<serde_json::Value>(text).expect("a document"))
        }
        _ => return None,
    })
}

fn list(items: Vec<Value>) -> Value {
    Value::list(Type::Named("main.Container"), items)
}

fn shown(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| std::ascii::escape_default(*byte)).map(char::from).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |letter: u8| u8::try_from(char::from(letter).to_digit(16).expect("a digit")).expect("small");
    text.as_bytes().chunks(2).map(|pair| digit(pair[0]) * 16 + digit(pair[1])).collect()
}

#[test]
fn templates_do_what_gos_do() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("corpus/kinds/cases.json")).expect("the corpus");
    assert!(cases.len() >= 300, "the corpus has only {} cases", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        let expected = match (&case.output, &case.hex, &case.error) {
            (Some(output), ..) => shown(output.as_bytes()),
            (_, Some(hex), _) => shown(&unhex(hex)),
            (.., Some(error)) => format!("error: {}", shown(error.as_bytes())),
            _ => panic!("{} has no outcome", case.template),
        };
        let found = match Template::parse("t", &case.template)
            .and_then(|template| template.render_bytes(&fixture(&case.data).expect("data")))
        {
            Ok(output) => shown(&output),
            Err(error) => format!("error: {}", shown(error.to_string().as_bytes())),
        };
        if found != expected {
            wrong.push(format!("{}: {}\n  Go:   {expected}\n  here: {found}", case.data, case.template));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(limit.max(1)).expect("small")).expect("small")
    }
}

#[test]
fn no_mutation_of_the_corpus_breaks_anything() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("corpus/kinds/cases.json")).expect("the corpus");
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let names = ["nil", "c", "list", "string", "bytes", "int", "fn", "strs", "json"];
    let data: Vec<Value> = names.iter().filter_map(|name| fixture(name)).collect();
    for _ in 0..20_000 {
        let mut text: Vec<char> = cases[dice.below(cases.len())].template.chars().collect();
        let other: Vec<char> = cases[dice.below(cases.len())].template.chars().collect();
        for _ in 0..=dice.below(4) {
            let at = dice.below(text.len() + 1);
            match dice.below(4) {
                0 if at < text.len() => drop(text.remove(at)),
                1 => {
                    let from = dice.below(other.len() + 1);
                    let to = from + dice.below(other.len() - from + 1);
                    text.splice(at..at, other[from..to].iter().copied());
                }
                2 => text.insert(
                    at,
                    ['{', '}', '"', '`', '-', '%', '(', '$', '.', '9', '\u{e9}', '\n'][dice.below(12)],
                ),
                _ => text.truncate(at.max(4)),
            }
        }
        let text: String = text.into_iter().collect();
        let data = &data[dice.below(data.len())];
        // What comes out does not matter; that something does, and soon, is the point.
        if let Ok(template) = Template::parse("t", &text) {
            drop(template.render_bytes(data));
        }
    }
}
