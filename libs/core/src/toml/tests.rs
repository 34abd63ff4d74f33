use super::*;

fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

fn of(pairs: &[(&str, Value)]) -> Value {
    Value::Table(pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
}

fn one(source: &str) -> Value {
    let mut table = parse(source).unwrap_or_else(|error| panic!("{source}: {error}"));
    table.remove("k").unwrap_or_else(|| panic!("{source}"))
}

#[test]
fn values_of_every_kind() {
    for (source, expected) in [
        (r#"k = "a\tb\u00e9\U0001F600\x41\\""#, text("a\tb\u{e9}\u{1f600}A\\")),
        (r"k = 'C:\no\escape'", text(r"C:\no\escape")),
        ("k = \"\"\"\nfirst\nsecond \\\n   joined\"\"\"", text("first\nsecond joined")),
        ("k = '''\nraw \\ 'quotes' '''", text("raw \\ 'quotes' ")),
        ("k = \"\"\"two\"\"\"\"\"", text("two\"\"")),
        ("k = ''''''", text("")),
        ("k = 1_000", Value::Integer(1000)),
        ("k = 0xdead_beef # comment", Value::Integer(0xdead_beef)),
        ("k = 0o755\r\n", Value::Integer(0o755)),
        ("k = 0b11", Value::Integer(3)),
        ("k = +7", Value::Integer(7)),
        ("k = -9223372036854775808", Value::Integer(i64::MIN)),
        ("k = -1.5e+3", Value::Float(-1500.0)),
        ("k = 1e06", Value::Float(1e6)),
        ("k = -inf", Value::Float(f64::NEG_INFINITY)),
        ("k = true", Value::Bool(true)),
        ("k = 1979-05-27 07:32:00Z", Value::Moment("1979-05-27 07:32:00Z".to_owned())),
        ("k = 07:32:00.9", Value::Moment("07:32:00.9".to_owned())),
        ("k = []", Value::List(vec![])),
        (
            "k = [ # comment\n 1,\n 'two', [true], ]",
            Value::List(vec![Value::Integer(1), text("two"), Value::List(vec![Value::Bool(true)])]),
        ),
        ("k = {a = 1, b.c = 'x',\n}", of(&[("a", Value::Integer(1)), ("b", of(&[("c", text("x"))]))])),
        (
            "k = [\"A=1\", {append=true}]",
            Value::List(vec![text("A=1"), of(&[("append", Value::Bool(true))])]),
        ),
    ] {
        assert_eq!(one(source), expected, "{source}");
    }
    assert!(matches!(one("k = nan"), Value::Float(found) if found.is_nan()));
}

#[test]
fn tables_by_headers_dots_and_lists() {
    let source = "top = 1\n[a.b]\nc = 1\n[a]\nd.e = 2\nd.\"f g\" = 3\n[a.d.h]\ni = 4\n[[l.m]]\nn = 5\n[l.m.o]\np = 6\n[[l.m]]\n";
    let all = Value::Table(parse(source).expect("TOML"));
    let number = Value::Integer;
    let expected = of(&[
        ("top", number(1)),
        (
            "a",
            of(&[
                ("b", of(&[("c", number(1))])),
                ("d", of(&[("e", number(2)), ("f g", number(3)), ("h", of(&[("i", number(4))]))])),
            ]),
        ),
        (
            "l",
            of(&[("m", Value::List(vec![of(&[("n", number(5)), ("o", of(&[("p", number(6))]))]), of(&[])]))]),
        ),
    ]);
    assert_eq!(all, expected);
    assert_eq!(parse("").expect("nothing"), Table::new());
    assert_eq!(parse("# only a comment").expect("nothing"), Table::new());
}

#[test]
fn nothing_is_defined_twice() {
    for source in [
        "a = 1\na = 2",
        "[a]\n[a]",
        "[a]\nb = 1\n[a.b]",
        "a.b = 1\na.b.c = 2",
        "[a.b]\n[a]\nb.c = 1",
        "a = {b = 1}\na.c = 2",
        "a = {b = 1}\n[a.c]",
        "a.b = 1\n[a]",
        "a = []\n[[a]]",
        "[[a]]\n[a]",
        "a = {b = 1, b = 2}",
    ] {
        let error = parse(source).expect_err(source);
        assert!(error.problem.contains("already been defined"), "{source}: {error}");
    }
}

#[test]
fn what_is_no_toml_is_refused_with_its_line_and_key() {
    for (source, expected) in [
        (
            "[containers]\nsdf=\n",
            "line 2 (last key \"containers.sdf\"): expected value but found '\\n' instead",
        ),
        ("x", "line 1 (last key \"x\"): expected '=' but found the end of the file instead"),
        ("a = 1 b = 2", "line 1 (last key \"a\"): expected a new line but found 'b' instead"),
        ("a = 'x", "line 1 (last key \"a\"): unexpected end of the file in a string"),
        ("a = \"x\n\"", "line 2 (last key \"a\"): strings cannot contain new lines"),
        ("a = \"\\q\"", "line 1 (last key \"a\"): invalid escape character 'q'"),
        ("a = \"\\ud800\"", "line 1 (last key \"a\"): d800 is no character"),
        ("[a", "line 1 (last key \"a\"): expected ']' but found the end of the file instead"),
        ("= 1", "line 1: expected a key but found '=' instead"),
        ("a = [1, 2", "line 1 (last key \"a\"): expected ']' but found the end of the file instead"),
        ("a = '\u{0}'", "line 1 (last key \"a\"): a string cannot contain '\\0'"),
        ("[[a]", "line 1 (last key \"a\"): expected ']' but found the end of the file instead"),
    ] {
        let error = parse(source).expect_err(source).to_string();
        assert_eq!(error, expected, "{source:?}");
    }
    for number in [
        "01",
        "1__0",
        "_1",
        "1_",
        "0x",
        "-0xf",
        "1.",
        ".5",
        "1e",
        "--1",
        "0xg",
        "99999999999999999999",
        "yes",
        "1.0.0",
    ] {
        assert!(parse(&format!("k = {number}")).is_err(), "{number}");
    }
}

#[test]
fn nesting_is_bounded() {
    let lists = |depth: usize| format!("k = {}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(parse(&lists(DEPTH - 1)).is_ok());
    assert!(parse(&lists(100_000)).is_err());
    let dots = |depth: usize| format!("{}x = 1", "x.".repeat(depth));
    assert!(parse(&dots(DEPTH - 1)).is_ok());
    assert!(parse(&dots(DEPTH)).is_err());
    assert!(parse(&format!("[{}x]", "x.".repeat(100_000))).is_err());
    let tables = |depth: usize| format!("k = {}1{}", "{a=".repeat(depth), "}".repeat(depth));
    assert!(parse(&tables(10)).is_ok());
    assert!(parse(&tables(100_000)).is_err());
}
