//! Whatever a template says, it ends: with output or with an error.
#![no_main]

use std::cell::OnceCell;

use ctr_cli::template::{Report, Struct, Template, Time, Value};

fn row(id: &'static str) -> Struct {
    Struct::new("main.Row")
        .named("ID", Some("Id"), id)
        .field("Names", vec!["web".to_owned(), "db".to_owned()])
        .field("Labels", Value::string_map([("a", "1"), ("b", "\u{e9}")]))
        .field("Created", Time::new(1_795_219_481, 470_000_000))
        .field("Size", -5_i64)
        .field("CPU", 12.5)
        .field("Nil", Value::Nil)
        .field("State", Struct::new("main.State").field("Status", "up").field("Health", Value::NilPointer("main.Health")))
        .method("Label", 1, |args| Ok(args.first().cloned().unwrap_or_default()))
}

thread_local! {
    static DATA: OnceCell<Value> = const { OnceCell::new() };
}

libfuzzer_sys::fuzz_target!(|text: &[u8]| {
    let text = String::from_utf8_lossy(text);
    if let Ok(template) = Template::parse("fuzz", &text) {
        DATA.with(|data| drop(template.render_bytes(data.get_or_init(|| row("0123").into()))));
    }
    if let Ok(report) = Report::parse("fuzz", &text) {
        drop(report.render(vec![row("a").into(), row("b").into()], None));
    }
});
