use std::fs;

use proptest::prelude::*;

use super::*;
use crate::config::Machine;

const SHA: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn parse(text: &str) -> Policy {
    Policy::parse(text.as_bytes(), Path::new("/policy.json"))
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// A policy in which each scope rejects, or, after a `+`, accepts.
fn scoped(transport: &str, scopes: &[&str]) -> Policy {
    let one = |scope: &&str| match scope.strip_prefix('+') {
        Some(scope) => format!(r#""{scope}": [{{"type": "insecureAcceptAnything"}}]"#),
        None => format!(r#""{scope}": [{{"type": "reject"}}]"#),
    };
    let scopes: Vec<_> = scopes.iter().map(one).collect();
    parse(&format!(
        r#"{{"default": [{{"type": "insecureAcceptAnything"}}], "transports": {{"{transport}": {{{}}}}}}}"#,
        scopes.join(", ")
    ))
}

fn accepts(policy: &Policy, name: &str) -> bool {
    policy.check(&Subject::registry(&Reference::parse(name).unwrap())).is_ok()
}

#[test]
fn the_narrowest_scope_of_an_image_counts() {
    let digest = format!("quay.io/team/app@{SHA}");
    let both = format!("quay.io/team/app:1@{SHA}");
    let around = ["quay.io/team/app", "quay.io/team", "quay.io", "*.io", ""];
    for (image, own) in [
        ("quay.io/team/app:1", vec!["quay.io/team/app:1"]),
        (&digest, vec![digest.as_str()]),
        (&both, vec![digest.as_str(), "quay.io/team/app:1"]),
    ] {
        let scopes: Vec<&str> = own.into_iter().chain(around).collect();
        for (at, scope) in scopes.iter().enumerate() {
            let policy = scoped("docker", &scopes[at..]);
            assert!(!accepts(&policy, image), "{image} {scope:?}");
            let reference = Reference::parse(image).unwrap();
            let (whose, _) = policy.requirements(&Subject::registry(&reference));
            assert_eq!(whose, format!("the scope {scope:?} of docker"));
            let accepting = format!("+{scope}");
            let wider = std::iter::once(accepting.as_str()).chain(scopes[at + 1..].iter().copied());
            assert!(accepts(&scoped("docker", &wider.collect::<Vec<_>>()), image), "{image} {scope:?}");
        }
    }
    assert!(accepts(&scoped("docker", &["quay.io/team"]), "quay.io/teams/app:1"));
    assert!(accepts(&scoped("docker", &["app", "team/app", "io"]), "quay.io/team/app:1"));
    assert!(accepts(&scoped("dir", &[""]), "quay.io/team/app:1"));
}

#[test]
fn names_are_whole_and_wildcards_have_no_port() {
    assert!(!accepts(&scoped("docker", &["docker.io/library/busybox"]), "busybox:1"));
    assert!(!accepts(&scoped("docker", &["docker.io/library"]), "busybox:1"));
    assert!(accepts(&scoped("docker", &["busybox", "library"]), "busybox:1"));
    for (scope, name, rejected) in [
        ("*.example.com", "a.b.example.com:5000/x:1", true),
        ("*.com", "example.com/x:1", true),
        ("*.example.com", "example.com/x:1", false),
        ("*.example.com:5000", "a.example.com:5000/x:1", false),
        ("example.com", "example.com:5000/x:1", false),
        ("example.com:5000", "example.com:5000/x:1", true),
        ("*.example.com", "notexample.com/x:1", false),
    ] {
        assert_eq!(!accepts(&scoped("docker", &[scope]), name), rejected, "{scope} {name}");
    }
}

#[test]
fn folders_are_in_the_scopes_of_those_around_them() {
    let rejects = |scope: &str, path: &str| {
        let subject = Subject::Path { transport: "oci", path: Path::new(path) };
        scoped("oci", &[scope]).check(&subject).is_err()
    };
    assert!(rejects("/a/b", "/a/b"));
    assert!(rejects("/a/b", "/a/b/c/d"));
    assert!(rejects("", "/a"));
    assert!(!rejects("/a/b", "/a/bc"));
    assert!(!rejects("/a/b", "/a"));
    let archive = Subject::Other { transport: "docker-archive" };
    assert!(scoped("docker-archive", &[""]).check(&archive).is_err());
    assert!(scoped("oci", &[""]).check(&archive).is_ok());
}

#[test]
fn all_requirements_must_be_met_and_what_is_not_built_is_refused_by_name() {
    let image = Reference::parse("quay.io/a:1").unwrap();
    let refused = |default: &str| {
        let policy = parse(&format!(r#"{{"default": [{default}]}}"#));
        policy.check(&Subject::registry(&image)).err().map(|refused| refused.to_string())
    };
    let accept = r#"{"type": "insecureAcceptAnything"}"#;
    let reject = r#"{"type": "reject"}"#;
    assert_eq!(refused(accept), None);
    assert_eq!(refused(&format!("{accept}, {accept}")), None);
    let rejected = "docker://quay.io/a:1 is rejected by the default in /policy.json";
    for list in [reject.to_owned(), format!("{accept}, {reject}"), format!("{reject}, {accept}")] {
        assert_eq!(refused(&list).as_deref(), Some(rejected), "{list}");
    }
    for (name, rest) in [
        ("signedBy", r#", "keyType": "GPGKeys", "keyPath": "/k""#),
        ("signedBaseLayer", r#", "baseLayerIdentity": {"type": "matchExact"}"#),
        ("sigstoreSigned", r#", "keyPath": "/k""#),
    ] {
        let said = refused(&format!(r#"{accept}, {{"type": "{name}"{rest}}}"#)).unwrap();
        assert!(
            said.contains(&format!("{name} is not supported yet")) && said.contains("/policy.json"),
            "{said}"
        );
    }
}

#[test]
fn what_is_not_meant_is_refused_as_a_whole() {
    let default = r#""default": [{"type": "reject"}]"#;
    for (text, expected) in [
        ("{}".to_owned(), "it has no \"default\""),
        ("[]".to_owned(), "the policy is not an object"),
        ("{\n \"default\": }".to_owned(), "line 2, column 13: this is no JSON"),
        (r#"{"default": []}"#.to_owned(), "the default lists no requirements"),
        (r#"{"default": {}}"#.to_owned(), "the default is not a list of requirements"),
        (r#"{"default": [{}]}"#.to_owned(), "the default is not a list of objects with a type"),
        (
            r#"{"default": [{"type": "acceptAnything"}]}"#.to_owned(),
            "requires \"acceptAnything\", which nobody knows",
        ),
        (
            r#"{"default": [{"type": "reject", "unless": 1}]}"#.to_owned(),
            "the default has the unknown key \"unless\"",
        ),
        (
            r#"{"default": [{"type": "reject", "type": "insecureAcceptAnything"}]}"#.to_owned(),
            "the default has the key \"type\" more than once",
        ),
        (format!("{{{default}, {default}}}"), "the policy has the key \"default\" more than once"),
        (format!("{{{default}, \"Transports\": {{}}}}"), "it has the unknown key \"Transports\""),
        (format!("{{{default}, \"transports\": []}}"), "\"transports\" is not an object"),
        (
            format!("{{{default}, \"transports\": {{\"docker\": {{\"\": []}}}}}}"),
            "the scope \"\" of docker lists no requirements",
        ),
        (
            format!("{{{default}, \"transports\": {{\"dir\": {{\"a/b\": [{{\"type\": \"reject\"}}]}}}}}}"),
            "the transport \"dir\": \"a/b\" is no scope",
        ),
        (
            format!(
                "{{{default}, \"transports\": {{\"oci\": {{\"/a/../b\": [{{\"type\": \"reject\"}}]}}}}}}"
            ),
            "\"/a/../b\" is no scope",
        ),
        (
            format!(
                "{{{default}, \"transports\": {{\"docker-archive\": {{\"x\": [{{\"type\": \"reject\"}}]}}}}}}"
            ),
            "there is only \"\"",
        ),
    ] {
        let error = Policy::parse(text.as_bytes(), Path::new("/policy.json")).expect_err(&text).to_string();
        assert!(error.contains("/policy.json") && error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn the_first_file_counts_and_no_file_accepts() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let machine = Machine { vendor: at("usr"), admin: at("etc"), ..Machine::default() };
    let mut environment = Environment { home: Some(at("home")), machine, ..Environment::default() };
    let image = Reference::parse("quay.io/a:1").unwrap();
    let none = Policy::find(&environment, None).unwrap();
    assert_eq!((none.origin(), none.check(&Subject::registry(&image))), (None, Ok(())));
    for name in ["usr", "etc", "home/.config/containers"] {
        fs::create_dir_all(at(name)).unwrap();
        fs::write(at(name).join(FILE), r#"{"default": [{"type": "reject"}]}"#).unwrap();
        let found = Policy::find(&environment, None).unwrap();
        assert_eq!(found.origin(), Some(at(name).join(FILE).as_path()));
        assert!(found.check(&Subject::registry(&image)).is_err());
    }
    environment.policy_json = Some(at("variable.json"));
    assert!(Policy::find(&environment, None).unwrap_err().to_string().contains("variable.json"));
    fs::write(at("option.json"), "nonsense").unwrap();
    let error = Policy::find(&environment, Some(&at("option.json"))).unwrap_err().to_string();
    assert!(error.contains("option.json"), "{error}");
}

proptest! {
    /// A scope that is written for an image's own name is never passed by for a wider one.
    #[test]
    fn a_narrower_scope_is_never_widened(
        host in "[a-z]{1,6}(\\.[a-z]{1,4}){1,3}(:[0-9]{2})?",
        path in "[a-z]{1,6}(/[a-z]{1,6}){0,3}",
    ) {
        let name = format!("{host}/{path}");
        let image = format!("{name}:1");
        let (accepting_host, accepting_name) = (format!("+{host}"), format!("+{name}"));
        let rejected = scoped("docker", &[&name, &accepting_host, "+", "+*.com"]);
        prop_assert!(!accepts(&rejected, &image));
        let accepted = scoped("docker", &[&accepting_name, &host, ""]);
        prop_assert!(accepts(&accepted, &image));
    }
}
