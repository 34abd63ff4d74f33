use super::*;

const SHA: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

#[test]
fn docker_normalisation() {
    for (typed, full, familiar) in [
        ("alpine", "docker.io/library/alpine", "alpine"),
        ("alpine:3", "docker.io/library/alpine:3", "alpine:3"),
        ("me/app", "docker.io/me/app", "me/app"),
        ("docker.io/alpine", "docker.io/library/alpine", "alpine"),
        ("index.docker.io/alpine", "docker.io/library/alpine", "alpine"),
        ("localhost/x", "localhost/x", "localhost/x"),
        ("localhost:5000/x:y", "localhost:5000/x:y", "localhost:5000/x:y"),
        ("Upper/x", "Upper/x", "Upper/x"),
        ("a.b/c/d__e/f--g", "a.b/c/d__e/f--g", "a.b/c/d__e/f--g"),
        ("[fe80::1]:5000/x", "[fe80::1]:5000/x", "[fe80::1]:5000/x"),
        ("docker.io/library/a/b", "docker.io/library/a/b", "library/a/b"),
    ] {
        let reference = Reference::parse(typed).unwrap_or_else(|error| panic!("{typed}: {error}"));
        assert_eq!(reference.to_string(), full);
        assert_eq!(reference.familiar(), familiar);
        assert_eq!(Reference::parse(full).unwrap(), reference, "stable under reading again");
    }
}

#[test]
fn local_normalisation() {
    for (typed, full) in [
        ("x", "localhost/x:latest"),
        ("a/b:c", "localhost/a/b:c"),
        ("docker.io/x", "docker.io/library/x:latest"),
        ("quay.io/x/y", "quay.io/x/y:latest"),
    ] {
        assert_eq!(Reference::parse_local(typed).unwrap().to_string(), full);
    }
    let digested = format!("x@{SHA}");
    assert_eq!(Reference::parse_local(&digested).unwrap().to_string(), format!("localhost/x@{SHA}"));
}

#[test]
fn refused() {
    // Fits as typed, but not with docker.io/library/ before it.
    let short = "a".repeat(limits::REFERENCE_NAME - "docker.io/library/".len() + 1);
    let long = "a".repeat(256);
    let tag = format!("x:{}", "t".repeat(129));
    let id = "a".repeat(64);
    for (typed, error) in [
        ("", ReferenceError::Format),
        (":x", ReferenceError::Format),
        ("x:", ReferenceError::Tag),
        ("x:-a", ReferenceError::Tag),
        ("X", ReferenceError::Uppercase),
        ("a/B", ReferenceError::Uppercase),
        ("a//b", ReferenceError::Format),
        ("/a", ReferenceError::Format),
        ("a/", ReferenceError::Format),
        ("-a", ReferenceError::Format),
        ("a-", ReferenceError::Format),
        ("a..b", ReferenceError::Format),
        ("a___b", ReferenceError::Format),
        ("a._b", ReferenceError::Format),
        ("../a", ReferenceError::Format),
        ("a b", ReferenceError::Format),
        ("a\nb", ReferenceError::Format),
        ("-x.io/a", ReferenceError::Format),
        ("x.io:/a", ReferenceError::Format),
        ("x.io:p/a", ReferenceError::Format),
        ("[fe80/a", ReferenceError::Format),
        (&long, ReferenceError::TooLong),
        (&short, ReferenceError::TooLong),
        (&tag, ReferenceError::Tag),
        (&id, ReferenceError::Identifier),
        ("x@sha256:0", ReferenceError::Digest(DigestError::Malformed)),
    ] {
        assert_eq!(Reference::parse(typed), Err(error), "{typed:?}");
    }
}

#[test]
fn short_names_decide_nothing() {
    let Spelling::Short(short) = Spelling::parse("team/app:1").unwrap() else { panic!("has no domain") };
    assert_eq!(short.to_string(), "team/app:1");
    assert_eq!(short.at("quay.io").unwrap().to_string(), "quay.io/team/app:1");
    assert_eq!(short.at("quay.io/mirror").unwrap().to_string(), "quay.io/mirror/team/app:1");
    assert!(short.at("UP.io/X").is_err());
    assert!(matches!(Spelling::parse("quay.io/a").unwrap(), Spelling::Full(_)));
}

#[test]
fn tag_and_digest_together() {
    let reference = Reference::parse(&format!("quay.io/a:b@{SHA}")).unwrap();
    assert_eq!(reference.tag.as_ref().map(Tag::as_str), Some("b"));
    assert_eq!(reference.to_string(), format!("quay.io/a:b@{SHA}"));
}

#[test]
fn json_needs_the_domain() {
    assert!(serde_json::from_str::<Reference>("\"quay.io/a:b\"").is_ok());
    assert!(serde_json::from_str::<Reference>("\"a:b\"").is_err());
}
