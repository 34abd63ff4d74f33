//! What the corpus cannot show: newer Go, and limits.

use super::*;

fn run(text: &str, data: &Value) -> String {
    match Template::parse("t", text).and_then(|template| template.render(data)) {
        Ok(out) => out,
        Err(error) => format!("error: {error}"),
    }
}

#[test]
fn loops_run_over_numbers_as_since_go_1_22() {
    for (text, expected) in [
        ("{{range 3}}{{.}} {{end}}", "0 1 2 "),
        ("{{range $i := 2}}{{$i}}{{end}}", "01"),
        ("{{range 0}}x{{else}}none{{end}}", "none"),
        (
            "{{range $i, $e := 2}}{{end}}",
            "error: template: t:1:18: executing \"t\" at <2>: can't use 2 to iterate over more than one variable",
        ),
    ] {
        assert_eq!(run(text, &Value::Nil), expected, "{text}");
    }
}

#[test]
fn else_with_is_as_since_go_1_23() {
    assert_eq!(run("{{with 0}}a{{else with 5}}{{.}}{{else}}c{{end}}", &Value::Nil), "5");
    assert_eq!(run("{{with 0}}a{{else with 0}}b{{else}}c{{end}}", &Value::Nil), "c");
    assert_eq!(
        run("{{if 0}}a{{else with 5}}b{{end}}", &Value::Nil),
        "error: template: t:1: unexpected <with> in input"
    );
}

#[test]
fn nothing_runs_on() {
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(5000), close.repeat(5000));
    for text in [
        deep("{{if 1}}", "{{end}}"),
        format!("{{{{{}1{}}}}}", "(".repeat(5000), ")".repeat(5000)),
        format!("{{{{if 0}}}}{}{{{{end}}}}", "{{else if 0}}".repeat(5000)),
        "{{define \"x\"}}{{template \"x\"}}{{end}}{{template \"x\"}}".to_owned(),
        "{{define \"x\"}}{{if 1}}{{range 2}}{{template \"x\" (print (print (print .)))}}{{end}}{{end}}{{end}}{{template \"x\"}}".to_owned(),
        "{{range 9000000000000000000}}{{end}}".to_owned(),
        "{{range 9000000000000000000}}x{{end}}".to_owned(),
        "{{range 9999}}{{range 9999}}{{range 9999}}{{end}}{{end}}{{end}}".to_owned(),
        "{{$x := printf \"%1000000d\" 1}}{{range 99}}{{$x = print $x $x}}{{end}}".to_owned(),
        "{{range 9999}}{{printf \"%1000000d\" 1}}{{end}}".to_owned(),
        "{{printf \"%999999999999d\" 1}}{{pad \"x\" 9999999999 1}}".to_owned(),
        "{{$x := printf \"%1000000d\" 1}}{{range 99}}{{$y := print $x \".\"}}{{template \"a\" (split $y \"\")}}{{end}}{{define \"a\"}}{{end}}".to_owned(),
        format!("{{{{$a := printf \"%1000000d\" 1}}}}{}", (0..99).map(|n| format!("{{{{$v{n} := print $a $a}}}}")).collect::<String>()),
        "x".repeat(LONGEST + 1),
    ] {
        let shown: String = text.chars().take(60).collect();
        let out = run(&text, &Value::Nil);
        assert!(out.starts_with("error: template: "), "{shown}: {}", &out[..out.len().min(200)]);
    }
}

#[test]
fn a_deep_value_prints_without_a_deep_stack() {
    let mut value = Value::Int(1);
    for _ in 0..2000 {
        value = Value::any_list(vec![value]);
    }
    assert!(run("{{.}}", &value).contains("..."));
    assert_eq!(run("{{json .}}", &value), "");
    // Dropping it must not recurse without end either; 2000 levels are no trouble.
}

#[test]
fn structs_have_fields_and_methods() {
    let record = Struct::new("ps.Row")
        .named("ID", Some("Id"), "abc")
        .field("Size", 5_i64)
        .method("RunningFor", 0, |_| Ok("2 minutes ago".into()))
        .method("Label", 1, |args| match args {
            [Value::String(name)] if &**name == b"bad" => Err("no label".into()),
            [value] => Ok(value.clone()),
            _ => Ok(Value::Nil),
        });
    let data = Value::structs([record]);
    for (text, expected) in [
        ("{{range .}}{{.ID}} {{.RunningFor}} {{.Label \"k\"}}{{end}}", "abc 2 minutes ago k"),
        ("{{range .}}{{.}} {{printf \"%+v\" .}}{{end}}", "{abc 5} {ID:abc Size:5}"),
        ("{{range .}}{{json .}}{{end}}", "{\"Id\":\"abc\",\"Size\":5}"),
        (
            "{{range .}}{{.Nope}}{{end}}",
            "error: template: t:1:13: executing \"t\" at <.Nope>: can't evaluate field Nope in type ps.Row",
        ),
        (
            "{{range .}}{{.Label}}{{end}}",
            "error: template: t:1:13: executing \"t\" at <.Label>: wrong number of args for Label: want 1 got 0",
        ),
        (
            "{{range .}}{{.Label 1}}{{end}}",
            "error: template: t:1:20: executing \"t\" at <1>: expected string; found 1",
        ),
        (
            "{{range .}}{{.Label \"bad\"}}{{end}}",
            "error: template: t:1:13: executing \"t\" at <.Label>: error calling Label: no label",
        ),
        (
            "{{range .}}{{.ID 1}}{{end}}",
            "error: template: t:1:13: executing \"t\" at <.ID>: ID has arguments but cannot be invoked as function",
        ),
    ] {
        assert_eq!(run(text, &data), expected, "{text}");
    }
}
