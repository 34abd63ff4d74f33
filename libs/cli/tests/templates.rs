//! Our templates print what Go's print: every line of the corpus was made by Go (`corpus/make.go`).

use std::collections::BTreeMap;

use ctr_cli::template::{Struct, Template, Time, Type, Value};

fn map<V: Into<Value>>(entries: impl IntoIterator<Item = (&'static str, V)>) -> BTreeMap<String, Value> {
    entries.into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect()
}

fn inner(name: &str, count: i64) -> Struct {
    Struct::new("main.Inner").field("Name", name).field("Count", count)
}

/// The fixture of `make.go`.
fn data() -> Value {
    let labels: BTreeMap<String, String> =
        [("b", "two"), ("a", "one"), ("c.d", "three")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    let list: Vec<Value> = vec![1.into(), "two".into(), true.into(), Value::Nil];
    let any = map([
        ("x", Value::from(1)),
        ("y", "why".into()),
        ("list", list.into()),
        ("nil", Value::Nil),
        ("inner", map([("deep", "end")]).into()),
    ]);
    let looked_up = labels.clone();
    let none = Value::list(Type::String, Vec::new());
    Struct::new("main.Row")
        .field("ID", "0123456789abcdef")
        .field("Names", vec!["web".to_owned(), "db".to_owned(), "cache".to_owned()])
        .field("Labels", labels)
        .field("Any", any)
        .field("Pid", 42)
        .field("Size", 1_234_567_u64)
        .field("Ratio", 0.5)
        .field("Running", true)
        .field("Stopped", false)
        .field("Empty", "")
        .field("None", none)
        .field("Nil", Value::Nil)
        .field("Pointer", Value::NilPointer("main.Inner"))
        .field("State", inner("up", 3))
        .field("States", vec![inner("a", 1), inner("b", 2)])
        .field("Created", Time::new(1_795_219_481, 470_000_000))
        .field("Span", Value::Duration(90_500_000_000))
        .field("Html", "<a href=\"x\">Tom & 'Jerry'</a>")
        .field("Odd", "tab\tnew\nü\u{200b}\u{1}")
        .method("Label", 1, move |arguments| match arguments {
            [name] => Ok(looked_up.get(&name.display()).cloned().unwrap_or_default().into()),
            _ => Err("not a string".to_owned()),
        })
        .method("Fail", 0, |_| Err("it failed".to_owned()))
        .into()
}

#[test]
fn templates_print_what_go_prints() {
    let data = data();
    let mut wrong = Vec::new();
    let corpus = include_str!("corpus/corpus.jsonl");
    for line in corpus.lines() {
        let [template, kind, expected]: [String; 3] = serde_json::from_str(line).unwrap();
        let result = Template::parse("inspect", &template).and_then(|parsed| parsed.render(&data));
        let (got_kind, got) = match result {
            Ok(output) => ("output", output),
            Err(error) => ("error", error.to_string()),
        };
        if (got_kind, got.as_str()) != (kind.as_str(), expected.as_str()) {
            wrong.push(format!("{template:?}\n  Go:   {kind} {expected:?}\n  ours: {got_kind} {got:?}"));
        }
    }
    let count = corpus.lines().count();
    assert!(count >= 300, "the corpus has only {count} templates");
    assert!(wrong.is_empty(), "{} of {count} differ:\n{}", wrong.len(), wrong.join("\n"));
}
