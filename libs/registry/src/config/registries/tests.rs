use std::fs;

use ctr_core::config::Why;
use proptest::prelude::*;

use super::*;
use crate::config::{Machine, UserAliases};

const SHA: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn parse(text: &str) -> Registries {
    Registries::parse(text, Path::new("/etc/r.conf")).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn reference(text: &str) -> Reference {
    Reference::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The places of a reference: `!` marks an insecure one, `~` a mirror.
fn places(registries: &Registries, text: &str) -> Vec<String> {
    let endpoints = registries.endpoints(&reference(text)).unwrap_or_else(|error| panic!("{text}: {error}"));
    let mark = |on: bool, mark: &'static str| if on { mark } else { "" };
    let shown = |place: &Endpoint| {
        format!("{}{}{}", mark(place.mirror, "~"), mark(place.insecure, "!"), place.reference)
    };
    endpoints.tried.iter().map(shown).collect()
}

#[test]
fn the_longest_prefix_speaks_for_a_reference() {
    let registries = parse(
        r#"
        [[registry]]
        prefix = "example.com"
        location = "one.example.net/"
        [[registry]]
        prefix = "example.com/team"
        location = "two.example.net:5000/all"
        [[registry]]
        prefix = "example.com/team/app:next"
        location = "three.example.net/app:preview"
        [[registry]]
        prefix = "*.example.com"
        location = "four.example.net"
        insecure = true
        [[registry]]
        prefix = "*.deep.example.com"
        insecure = true
        "#,
    );
    for (typed, expected) in [
        ("example.com/x:1", "one.example.net/x:1"),
        ("example.com/teams/app:1", "one.example.net/teams/app:1"),
        ("example.com/team/app:1", "two.example.net:5000/all/app:1"),
        ("example.com/team/app:next", "three.example.net/app:preview"),
        ("example.com:443/x:1", "one.example.net:443/x:1"),
        ("example.community/x:1", "example.community/x:1"),
        ("a.example.com/x:1", "!four.example.net/x:1"),
        ("a.b.example.com:80/x/y:1", "!four.example.net:80/x/y:1"),
        ("a.deep.example.com/x:1", "!a.deep.example.com/x:1"),
        ("notexample.com/x:1", "notexample.com/x:1"),
        ("other.net/a.example.com/x:1", "other.net/a.example.com/x:1"),
    ] {
        assert_eq!(places(&registries, typed), [expected], "{typed}");
    }
    let digested = format!("example.com/team/app@{SHA}");
    assert_eq!(places(&registries, &digested), [format!("two.example.net:5000/all/app@{SHA}")]);
}

#[test]
fn docker_names_are_rewritten_whole() {
    let registries = parse("[[registry]]\nprefix='docker.io'\nlocation='mirror.example/hub'");
    assert_eq!(places(&registries, "alpine:3"), ["mirror.example/hub/library/alpine:3"]);
    let registries = parse("[[registry]]\nprefix='docker.io/library'\nlocation='mirror.example'");
    assert_eq!(places(&registries, "alpine:3"), ["mirror.example/alpine:3"]);
    assert_eq!(places(&registries, "me/app"), ["docker.io/me/app"]);
}

#[test]
fn mirrors_are_asked_before_in_order_and_when_they_may() {
    let registries = parse(
        r#"
        [[registry]]
        location = "quay.io"
        [[registry.mirror]]
        location = "always.example"
        insecure = true
        [[registry.mirror]]
        location = "digests.example/quay"
        pull-from-mirror = "digest-only"
        [[registry.mirror]]
        location = "tags.example"
        pull-from-mirror = "tag-only"
        [[registry]]
        location = "strict.example"
        mirror-by-digest-only = true
        [[registry.mirror]]
        location = "copy.example"
        "#,
    );
    assert_eq!(
        places(&registries, "quay.io/a/b:1"),
        ["~!always.example/a/b:1", "~tags.example/a/b:1", "quay.io/a/b:1"]
    );
    let digested = |host: &str| format!("{host}/a/b@{SHA}");
    assert_eq!(
        places(&registries, &digested("quay.io")),
        [digested("~!always.example"), digested("~digests.example/quay"), digested("quay.io")]
    );
    assert_eq!(places(&registries, "strict.example/x:1"), ["strict.example/x:1"]);
    assert_eq!(places(&registries, &digested("strict.example")).len(), 2);
}

#[test]
fn a_blocked_registry_is_not_asked_and_its_mirrors_are() {
    let registries = parse(
        r#"
        [[registry]]
        location = "never.example"
        blocked = true
        [[registry]]
        location = "source.example"
        blocked = true
        [[registry.mirror]]
        location = "never.example/copy"
        [[registry.mirror]]
        location = "copy.example"
        [[registry]]
        prefix = "named.example"
        location = "elsewhere.example"
        blocked = true
        "#,
    );
    let error = registries.endpoints(&reference("never.example/x")).unwrap_err();
    assert_eq!(error.to_string(), "the registry never.example is blocked in /etc/r.conf");
    assert_eq!(places(&registries, "source.example/x:1"), ["~copy.example/x:1"]);
    let blocked = registries.endpoints(&reference("source.example/x:1")).unwrap().blocked;
    let prefixes: Vec<_> = blocked.iter().map(|blocked| blocked.prefix.as_str()).collect();
    assert_eq!(prefixes, ["never.example", "source.example"]);
    assert!(registries.endpoints(&reference("named.example/x")).is_err(), "whatever its location");
    assert!(registries.is_host_insecure("never.example").is_err());
    assert_eq!(registries.is_host_insecure("copy.example"), Ok(false));
}

#[test]
fn what_is_written_goes_where_the_name_says() {
    let registries = parse("[[registry]]\nprefix='a.example'\nlocation='b.example'\ninsecure=true");
    assert_eq!(registries.is_insecure(&Name::parse("a.example/x").unwrap()), Ok(true));
    assert_eq!(registries.is_insecure(&Name::parse("b.example/x").unwrap()), Ok(false));
}

#[test]
fn a_location_that_makes_no_reference_is_said() {
    let registries = parse("[[registry]]\nprefix='a.example/x'\nlocation='b.example/UPPER'");
    let error = registries.endpoints(&reference("a.example/x/y:1")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot use /etc/r.conf: the registry a.example/x makes \"b.example/UPPER/y:1\" of a.example/x/y:1"
    );
    let registries = parse("[[registry]]\nprefix='a.example'\nlocation='b'");
    assert!(registries.endpoints(&reference("a.example/x")).is_err(), "b would be a part of docker.io");
}

#[test]
fn what_cannot_be_is_refused_with_its_key() {
    for (text, expected) in [
        ("[[registry]]", "registry[0]: neither prefix nor location is set"),
        ("[[registry]]\nprefix='a.b'", "registry[0].location: is not set, and only"),
        ("[[registry]]\nlocation='https://a.b'", "registry[0].location: \"https://a.b\" has a scheme"),
        ("[[registry]]\nprefix='http://a.b'\nlocation='x.y'", "registry[0].prefix: \"http://a.b\" has"),
        ("[[registry]]\nprefix='*.a.b/c'", "registry[0].prefix: \"*.a.b/c\" is not of the form"),
        ("[[registry]]\nprefix='*.a.b:5000'", "registry[0].prefix: \"*.a.b:5000\" is not of the form"),
        ("[[registry]]\nlocation='a.b'\ninsecure=1", "registry[0].insecure: is of kind integer where"),
        (
            "[[registry]]\nlocation='a.b'\npull-from-mirror='all'",
            "registry[0].pull-from-mirror: is for mirrors",
        ),
        ("[[registry]]\nlocation='a.b'\n[[registry.mirror]]", "registry[0].mirror[0].location: a mirror's"),
        (
            "[[registry]]\nlocation='a.b'\n[[registry.mirror]]\nlocation='c.d'\npull-from-mirror='never'",
            "registry[0].mirror[0].pull-from-mirror: \"never\" is none of all, digest-only, tag-only",
        ),
        (
            "[[registry]]\nlocation='a.b'\nmirror-by-digest-only=true\n[[registry.mirror]]\nlocation='c.d'\npull-from-mirror='all'",
            "registry[0].mirror[0].pull-from-mirror: the registry has mirror-by-digest-only",
        ),
        (
            "[[registry]]\nlocation='a.b'\n[[registry]]\nprefix='x.y'\nlocation='a.b'\ninsecure=true",
            "registry: \"a.b\" is there more than once, and not always with the same \"insecure\"",
        ),
        (
            "[[registry]]\nprefix='*.b'\n[[registry]]\nprefix='*.b'\nblocked=true",
            "registry: \"*.b\" is there more than once, and not always with the same \"blocked\"",
        ),
        ("registry = 'a.b'", "registry: is of kind string where array of tables is needed"),
        ("unqualified-search-registries = 'a.b'", "unqualified-search-registries: is of kind string where"),
        (
            "unqualified-search-registries = ['a.b/c']",
            "unqualified-search-registries: \"a.b/c\" is no registry",
        ),
        ("unqualified-search-registries = ['foo']", "unqualified-search-registries: \"foo\" is no registry"),
        ("unqualified-search-registries = ['']", "unqualified-search-registries: \"\" is no registry"),
        (
            "unqualified-search-registries = ['https://a.b']",
            "unqualified-search-registries: \"https://a.b\" has",
        ),
        (
            "short-name-mode = 'maybe'",
            "short-name-mode: \"maybe\" is none of enforcing, permissive, disabled",
        ),
        ("credential-helpers = ['../x']", "credential-helpers: \"../x\" is no name of a credential helper"),
        ("[aliases]\n'a.b/c' = 'd.e/f'", "aliases.a.b/c: is no short name"),
        ("[aliases]\n'c:1' = 'd.e/f'", "aliases.c:1: is no short name"),
        ("[aliases]\nc = 'd/e'", "aliases.c: \"d/e\" is not what a short name can stand for"),
        ("[aliases]\nc = 'd.e/f:1'", "aliases.c: \"d.e/f:1\" is not what a short name can stand for"),
        ("[registries.search]\nregistries = ['a.b']", "it is in the first version of its format"),
        ("a = ", "cannot understand /etc/r.conf"),
    ] {
        let error = Registries::parse(text, Path::new("/etc/r.conf")).expect_err(text).to_string();
        assert!(error.contains("/etc/r.conf") && error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn what_nobody_knows_is_said() {
    let registries = parse(
        "color='red'\nadditional-layer-store-auth-helper='x'\n[[registry]]\nlocation='a.b'\nfast=true\n[[registry.mirror]]\nlocation='c.d'\nslow=1",
    );
    let said: Vec<_> =
        registries.findings().iter().map(|finding| (finding.key.as_str(), finding.why)).collect();
    assert_eq!(
        said,
        [
            ("registry[0].mirror[0].slow", Why::Unknown),
            ("registry[0].fast", Why::Unknown),
            ("additional-layer-store-auth-helper", Why::Void("there are no additional layer stores")),
            ("color", Why::Unknown),
        ]
    );
}

#[test]
fn the_first_of_two_with_one_prefix_counts_in_a_file() {
    let registries =
        parse("[[registry]]\nprefix='a.b'\nlocation='c.d'\n[[registry]]\nprefix='a.b'\nlocation='e.f'");
    assert_eq!(places(&registries, "a.b/x:1"), ["c.d/x:1"]);
}

fn candidates(registries: &Registries, typed: &str) -> Candidates {
    let typed = Spelling::parse(typed).unwrap();
    registries.candidates(&typed, &UserAliases::default(), Unconfigured::Nothing).unwrap()
}

fn names(candidates: &Candidates) -> Vec<String> {
    candidates.references.iter().map(ToString::to_string).collect()
}

#[test]
fn aliases_decide_what_a_short_name_means() {
    let registries = parse(
        "unqualified-search-registries=['a.b:5000']\n[aliases]\nalpine='docker.io/alpine'\n'team/app'='quay.io/x/app'\nnone=''",
    );
    let found = candidates(&registries, "alpine:3");
    assert_eq!(names(&found), ["docker.io/library/alpine:3"]);
    assert_eq!((found.reason, found.prompt), (Reason::Alias("/etc/r.conf".into()), Prompt::No));
    assert_eq!(names(&candidates(&registries, &format!("team/app@{SHA}"))), [format!("quay.io/x/app@{SHA}")]);
    assert_eq!(names(&candidates(&registries, "app")), ["a.b:5000/app:latest"]);
    assert_eq!(names(&candidates(&registries, "none")), ["a.b:5000/none:latest"]);
    let full = candidates(&registries, "quay.io/x");
    assert_eq!((names(&full), full.reason), (vec!["quay.io/x:latest".to_owned()], Reason::Full));
}

#[test]
fn several_search_registries_are_a_question() {
    for (mode, prompt) in [
        ("", Prompt::IfPossible),
        ("short-name-mode=''", Prompt::IfPossible),
        ("short-name-mode='permissive'", Prompt::IfPossible),
        ("short-name-mode='enforcing'", Prompt::Needed),
        ("short-name-mode='disabled'", Prompt::No),
    ] {
        let registries = parse(&format!("unqualified-search-registries=['docker.io','quay.io/']\n{mode}"));
        let found = candidates(&registries, "nginx");
        assert_eq!(names(&found), ["docker.io/library/nginx:latest", "quay.io/nginx:latest"]);
        assert_eq!(found.prompt, prompt, "{mode}");
        assert_eq!(found.reason, Reason::Search("/etc/r.conf".into()));
    }
    let one = parse("unqualified-search-registries=['quay.io']\nshort-name-mode='enforcing'");
    assert_eq!(candidates(&one, "nginx").prompt, Prompt::No);
}

#[test]
fn without_any_word_a_short_name_is_dockers_or_nothing() {
    let typed = Spelling::parse("nginx").unwrap();
    let aliases = UserAliases::default();
    let silent = Registries::default();
    let found = silent.candidates(&typed, &aliases, Unconfigured::Docker).unwrap();
    assert_eq!(
        (names(&found), found.reason),
        (vec!["docker.io/library/nginx:latest".to_owned()], Reason::Docker)
    );
    let error = silent.candidates(&typed, &aliases, Unconfigured::Nothing).unwrap_err();
    assert!(error.to_string().contains("no registries.conf names unqualified-search-registries"), "{error}");
    // An empty list is a word.
    let none = parse("unqualified-search-registries=[]");
    let error = none.candidates(&typed, &aliases, Unconfigured::Docker).unwrap_err();
    assert!(error.to_string().contains("nothing in /etc/r.conf names"), "{error}");
}

#[test]
fn files_are_laid_over_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let write = |name: &str, text: &str| {
        fs::create_dir_all(at(name).parent().unwrap()).unwrap();
        fs::write(at(name), text).unwrap();
    };
    let machine = Machine { vendor: at("usr"), admin: at("etc"), ..Machine::default() };
    let mut environment =
        Environment { home: Some(at("home")), uid: 1000, machine, ..Environment::default() };
    assert_eq!(Registries::read(&environment).unwrap(), Registries::default());

    write("usr/registries.conf", "unqualified-search-registries=['vendor.example']");
    write(
        "etc/registries.conf",
        "unqualified-search-registries=['admin.example']\nshort-name-mode='enforcing'\ncredential-helpers=['pass']\n[[registry]]\nlocation='a.b'\ninsecure=true\n[aliases]\none='a.b/one'\ntwo='a.b/two'",
    );
    write("etc/registries.conf.d/000-shortnames.conf", "[aliases]\none='c.d/one'\nthree='c.d/three'");
    write("etc/registries.conf.d/readme", "not read");
    write(
        "home/.config/containers/registries.conf.d/500-mine.conf",
        "credential-helpers=[]\n[[registry]]\nlocation='a.b'\n[aliases]\ntwo=''",
    );
    let read = Registries::read(&environment).unwrap();
    assert_eq!(read.files().len(), 3, "{:?}", read.files());
    assert_eq!(read.search().map(|(search, _)| search.to_vec()), Some(vec!["admin.example".to_owned()]));
    assert_eq!(read.search().map(|(_, origin)| origin.to_owned()), Some(at("etc/registries.conf")));
    assert_eq!(read.mode(), Mode::Enforcing);
    assert_eq!(read.helpers(), [AUTH_FILES], "an empty list is the default again");
    assert_eq!(read.is_host_insecure("a.b"), Ok(false), "a registry is replaced as a whole");
    assert_eq!(names(&candidates(&read, "one")), ["c.d/one:latest"]);
    assert_eq!(names(&candidates(&read, "two")), ["admin.example/two:latest"], "an alias is taken back");
    assert_eq!(names(&candidates(&read, "three")), ["c.d/three:latest"]);

    // The user's main file replaces the administrator's, and the drop-ins stay.
    write("home/.config/containers/registries.conf", "[aliases]\nfour='d.e/four'");
    let read = Registries::read(&environment).unwrap();
    assert_eq!((read.search(), read.mode()), (None, Mode::Permissive));
    assert_eq!(names(&candidates(&read, "one")), ["c.d/one:latest"]);
    assert_eq!(names(&candidates(&read, "four")), ["d.e/four:latest"]);

    // A file that the environment names is the only one, and must be there.
    environment.registries_conf = Some(at("only.conf"));
    let error = Registries::read(&environment).unwrap_err();
    assert!(error.to_string().contains("only.conf"), "{error}");
    write("only.conf", "unqualified-search-registries=['only.example']");
    environment.registries_conf_override = Some(at("last.conf"));
    write("last.conf", "short-name-mode='disabled'");
    let read = Registries::read(&environment).unwrap();
    assert_eq!(read.files(), [at("only.conf"), at("last.conf")]);
    assert_eq!(read.mode(), Mode::Disabled);
}

proptest! {
    /// Whatever prefix there is, what a reference becomes ends as the reference did, and no other host's images are touched.
    #[test]
    fn rewriting_replaces_the_prefix_alone(
        host in "[a-z]{1,8}\\.[a-z]{2,3}(:[0-9]{1,4})?",
        path in "[a-z]{1,8}(/[a-z0-9]{1,8}){0,3}",
        tag in "[a-z0-9]{1,8}",
        cut in 0_usize..4,
        location in "[a-z]{1,8}\\.[a-z]{2,3}(/[a-z]{1,8}){0,2}",
    ) {
        let parts: Vec<_> = std::iter::once(host.as_str()).chain(path.split('/')).collect();
        let kept = cut.min(parts.len() - 1) + 1;
        let prefix = parts[..kept].join("/");
        let rest: String = parts[kept..].iter().map(|part| format!("/{part}")).collect();
        let text = format!("[[registry]]\nprefix='{prefix}'\nlocation='{location}'");
        let registries = parse(&text);
        let typed = reference(&format!("{host}/{path}:{tag}"));
        let other = reference(&format!("x{host}/{path}:{tag}"));
        // A location without a path needs a rest that has one.
        if location.contains('/') || !rest.is_empty() {
            let found = registries.endpoints(&typed).unwrap();
            prop_assert_eq!(found.tried[0].reference.to_string(), reference(&format!("{location}{rest}:{tag}")).to_string());
        }
        prop_assert_eq!(&registries.endpoints(&other).unwrap().tried[0].reference, &other);
    }

    /// Reading ends, whatever the text.
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
        drop(Registries::parse(&text, Path::new("/x")));
    }
}
