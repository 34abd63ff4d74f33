use proptest::prelude::*;

use super::*;

fn file(text: &str) -> AuthFile {
    AuthFile::parse(text.as_bytes(), Form::Containers).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn key(text: &str) -> LoginKey {
    LoginKey::parse(text).unwrap_or_else(|error| panic!("{error}"))
}

fn auth(user: &str, password: &str) -> String {
    base64::encode(format!("{user}:{password}").as_bytes())
}

/// Who answers for a key: the entry and the user, `!helper server` or `~store server`.
fn who(file: &AuthFile, wanted: &str) -> String {
    match file.answer(&key(wanted)).unwrap_or_else(|error| panic!("{wanted}: {error}")) {
        Answer::Nothing => "-".to_owned(),
        Answer::Empty { key } => format!("empty {key}"),
        Answer::Login { key, credentials } => format!("{key} {}", credentials.username),
        Answer::Helper { name, server } => format!("!{name} {server}"),
        Answer::Store { name, server } => format!("~{name} {server}"),
    }
}

#[test]
fn the_nearest_entry_answers() {
    let text = format!(
        r#"{{"auths": {{
            "quay.io": {{"auth": "{}"}},
            "quay.io/team": {{"auth": "{}"}},
            "quay.io/team/app": {{"auth": "{}"}},
            "localhost:5000": {{"auth": "{}"}}
        }}}}"#,
        auth("host", "1"),
        auth("team", "2"),
        auth("app", "3"),
        auth("port", "4"),
    );
    let file = file(&text);
    for (wanted, expected) in [
        ("quay.io", "quay.io host"),
        ("quay.io/other/app", "quay.io host"),
        ("quay.io/team", "quay.io/team team"),
        ("quay.io/team/other", "quay.io/team team"),
        ("quay.io/team/app", "quay.io/team/app app"),
        ("quay.io/teams", "quay.io host"),
        ("localhost:5000/x", "localhost:5000 port"),
        ("localhost", "-"),
        ("localhost:50", "-"),
        ("io", "-"),
    ] {
        assert_eq!(who(&file, wanted), expected, "{wanted}");
    }
}

#[test]
fn helpers_go_first_and_the_store_last() {
    let text = format!(
        r#"{{"auths": {{"gcr.io": {{"auth": "{login}"}}, "quay.io": {{"auth": "{login}"}}, "ghcr.io": {{}}}},
            "credHelpers": {{"gcr.io": "gcloud", "https://index.docker.io/v1/": "hub", "none.example": ""}},
            "credsStore": "secretservice"}}"#,
        login = auth("bob", "x")
    );
    let file = file(&text);
    for (wanted, expected) in [
        ("gcr.io", "!gcloud gcr.io"),
        ("gcr.io/team/app", "!gcloud gcr.io"),
        ("docker.io/library/x", "!hub https://index.docker.io/v1/"),
        ("quay.io", "quay.io bob"),
        ("ghcr.io", "~secretservice ghcr.io"),
        ("none.example", "~secretservice none.example"),
    ] {
        assert_eq!(who(&file, wanted), expected, "{wanted}");
    }
}

#[test]
fn urls_of_docker_are_keys_too() {
    let text = format!(
        r#"{{"auths": {{
            "https://index.docker.io/v1/": {{"auth": "{}"}},
            "http://a.example/v1/x": {{"auth": "{}"}},
            "registry-1.docker.io/team": {{"auth": "{}"}}
        }}}}"#,
        auth("hub", "1"),
        auth("url", "2"),
        auth("no", "3"),
    );
    for (wanted, expected) in [
        ("docker.io", "https://index.docker.io/v1/ hub"),
        ("docker.io/library/alpine", "https://index.docker.io/v1/ hub"),
        ("index.docker.io", "https://index.docker.io/v1/ hub"),
        ("registry-1.docker.io", "https://index.docker.io/v1/ hub"),
        ("a.example/ns", "http://a.example/v1/x url"),
        ("example", "-"),
    ] {
        assert_eq!(who(&file(&text), wanted), expected, "{wanted}");
    }
    let legacy = format!(
        r#"{{"a.example/v1/": {{"auth": "{0}"}}, "b.example": {{"auth": "{0}"}}}}"#,
        auth("old", "1")
    );
    let legacy = AuthFile::parse(legacy.as_bytes(), Form::Legacy).unwrap();
    assert_eq!(who(&legacy, "a.example/x"), "a.example/v1/ old");
    assert_eq!(who(&legacy, "b.example/x/y"), "b.example old");
    assert_eq!(who(&legacy, "c.example"), "-");
}

#[test]
fn a_login_is_read_in_all_its_forms() {
    let read = |entry: &str| read_entry("a.b", entry).unwrap();
    let token = |username: &str, password: &str| Credentials {
        identity_token: Some(Secret::new("t")),
        ..Credentials::new(username, password)
    };
    let padded = base64::encode(b"bob:pass:word\0\0");
    for (entry, expected) in [
        (format!(r#"{{"auth": "{padded}", "email": "x"}}"#), Some(Credentials::new("bob", "pass:word"))),
        (format!(r#"{{"auth": "{}"}}"#, auth("", "x")), Some(Credentials::new("", "x"))),
        (format!(r#"{{"auth": "{}", "identitytoken": "t"}}"#, auth("bob", "")), Some(token("bob", ""))),
        (r#"{"identitytoken": "t"}"#.to_owned(), Some(token("", ""))),
        (r#"{"username": "bob", "password": "x"}"#.to_owned(), Some(Credentials::new("bob", "x"))),
        (r#"{"auth": "", "identitytoken": ""}"#.to_owned(), None),
        ("{}".to_owned(), None),
        ("null".to_owned(), None),
    ] {
        assert_eq!(read(&entry), expected, "{entry}");
    }
}

#[test]
fn what_cannot_be_read_is_said_without_telling_it() {
    for (text, expected) in [
        ("{\"auths\": ", "line 1, column 10: the file ends in the middle of it"),
        ("{\n  swordfish", "line 2, column 3: this is no JSON"),
        ("[1]", "this is no object of JSON"),
        (r#"{"auths": ["swordfish"]}"#, "\"auths\" is not an object of logins"),
        (r#"{"credHelpers": {"a": 1}}"#, "\"credHelpers\" is not an object of helpers' names"),
        (r#"{"credsStore": {}}"#, "\"credsStore\" is not a helper's name"),
    ] {
        let error = AuthFile::parse(text.as_bytes(), Form::Containers).unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains("swordfish"), "{text}: {error}");
    }
    for (entry, expected) in [
        (r#""swordfish""#, "\"a.b\" is not of the form of a login"),
        (r#"{"auth": 5}"#, "\"a.b\" is not of the form of a login"),
        (r#"{"auth": "swordfish"}"#, "the login of \"a.b\" cannot be read"),
        (r#"{"auth": "c3dvcmRmaXNo"}"#, "the login of \"a.b\" cannot be read"),
    ] {
        let text = format!(r#"{{"auths": {{"a.b": {entry}, "c.d": {{}}}}}}"#);
        let file = file(&text);
        let error = file.answer(&key("a.b/x")).unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains("swordfish"), "{entry}: {error}");
        assert_eq!(who(&file, "c.d"), "empty c.d", "others are not harmed");
    }
    assert_eq!(who(&file(""), "a.b"), "-");
    assert_eq!(who(&file(" \n"), "a.b"), "-");
    assert_eq!(who(&file(r#"{"auths": null, "credHelpers": null, "credsStore": null}"#), "a.b"), "-");
}

#[test]
fn writing_changes_one_entry_and_nothing_else() {
    let text = "{\n\t\"HttpHeaders\": {\"User-Agent\" : \"x\",\"n\": 1.50e400},\n\t\"auths\": {\n\t\t\"a.b\": {\"auth\": \"eDp5\",   \"email\": \"e\"},\n\t\t\"c.d\": {}\n\t},\n\t\"credsStore\": \"s\"\n}";
    let mut changed = file(text);
    assert_eq!(changed.text(), text, "as Docker writes it");
    changed.set(&key("c.d"), &Credentials::new("bob", "x"));
    let expected = text
        .replace("\"c.d\": {}", &format!("\"c.d\": {{\n\t\t\t\"auth\": \"{}\"\n\t\t}}", auth("bob", "x")));
    assert_eq!(changed.text(), expected);
    assert!(changed.remove(&key("c.d")));
    assert!(!changed.remove(&key("c.d")));
    changed.mark(&key("c.d"));
    assert_eq!(changed.text(), text);
    assert_eq!(changed.remove_all(), ["a.b", "c.d"]);
    let kept = changed.text();
    assert!(
        kept.contains("\"User-Agent\" : \"x\",\"n\": 1.50e400") && kept.contains("\"auths\": {}"),
        "{kept}"
    );
}

#[test]
fn a_new_file_is_what_podman_would_write() {
    let mut new = AuthFile::empty(Form::Containers);
    new.set(&key("docker.io/team"), &Credentials::new("bob", "x"));
    let expected =
        "{\n\t\"auths\": {\n\t\t\"docker.io/team\": {\n\t\t\t\"auth\": \"Ym9iOng=\"\n\t\t}\n\t}\n}";
    assert_eq!(new.text(), expected);
    let mut docker = AuthFile::empty(Form::Docker);
    docker.set(&key("docker.io"), &Credentials::identity("t"));
    docker.set(&key("quay.io"), &Credentials::new("bob", "x"));
    assert_eq!(docker.keys().collect::<Vec<_>>(), ["https://index.docker.io/v1/", "quay.io"]);
    let token = docker.answer(&key("docker.io")).unwrap();
    let Answer::Login { credentials, .. } = token else { panic!("{token:?}") };
    assert_eq!(credentials, Credentials::identity("t"));
    assert!(docker.remove(&key("docker.io")));
}

#[test]
fn of_two_members_with_one_name_the_last_counts_and_one_is_left() {
    let text = format!(
        r#"{{"auths": {{"a.b": {{"auth": "{}"}}, "x.y": {{}}, "a.b": {{"auth": "{}"}}}}}}"#,
        auth("old", "1"),
        auth("new", "2")
    );
    let mut twice = file(&text);
    assert_eq!(who(&twice, "a.b"), "a.b new");
    twice.set(&key("a.b"), &Credentials::new("newest", "3"));
    assert_eq!(twice.keys().collect::<Vec<_>>(), ["a.b", "x.y"]);
    assert_eq!(who(&twice, "a.b"), "a.b newest");
}

proptest! {
    /// What was put in is what comes out, whatever else there is, and taking it out leaves the rest.
    #[test]
    fn logins_survive_a_file(
        others in proptest::collection::btree_map("[a-z]{1,5}\\.[a-z]{2}(/[a-z]{1,4})?", "[a-z]{0,6}", 0..6),
        wanted in "[a-z]{1,5}\\.org(/[a-z]{1,4})?",
        username in "[^:\\x00]{0,12}",
        password in "[^\\x00]{0,20}",
    ) {
        let entries: serde_json::Map<_, _> = others.iter().map(|(key, user)| {
            (key.clone(), serde_json::json!({"auth": auth(user, "p"), "email": user}))
        }).collect();
        let text = serde_json::json!({"auths": entries, "other": others}).to_string();
        let login = Credentials::new(username.clone(), password);
        let mut changed = file(&text);
        changed.set(&key(&wanted), &login);
        let read = file(&changed.text());
        let expected = Answer::Login { key: wanted.clone(), credentials: login };
        prop_assert_eq!(read.answer(&key(&wanted)).unwrap(), expected);
        let mut back = read;
        prop_assert!(back.remove(&key(&wanted)));
        let back: serde_json::Value = serde_json::from_str(&back.text()).unwrap();
        prop_assert_eq!(back, serde_json::from_str::<serde_json::Value>(&text).unwrap());
    }
}

#[test]
fn what_a_login_to_docker_s_hub_wrote_answers_before_other_names_of_it() {
    let text = format!(
        r#"{{"auths": {{
            "https://index.docker.io/5000": {{"auth": "{}"}},
            "docker.io": {{"auth": "{}"}}
        }}}}"#,
        auth("old", "1"),
        auth("older", "2"),
    );
    let mut docker = AuthFile::parse(text.as_bytes(), Form::Docker).expect("a file");
    docker.set(&key("docker.io"), &Credentials::new("new", "3"));
    assert_eq!(who(&docker, "docker.io"), "https://index.docker.io/v1/ new");
    assert_eq!(who(&docker, "docker.io/vendor/app"), "https://index.docker.io/v1/ new");
}
