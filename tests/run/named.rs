//! Names that are nobody's, or of more than one: each verb says so in one line, with podman's exit code, and does nothing.

use ctr_tests::{BUSYBOX, Env, needs};

use crate::kept::field;

/// Every verb that is told of one container, called `NAME`, and its code where there is none.
const VERBS: &[(&[&str], i32)] = &[
    (&["attach", "NAME"], 125),
    (&["commit", "NAME", "image"], 125),
    (&["container", "exists", "NAME"], 1),
    (&["container", "inspect", "NAME"], 125),
    (&["cp", "NAME:/etc/passwd", "-"], 125),
    (&["cp", "-", "NAME:/"], 125),
    (&["diff", "NAME"], 125),
    (&["exec", "NAME", "true"], 125),
    (&["export", "--output", "tar", "NAME"], 125),
    (&["init", "NAME"], 125),
    (&["inspect", "NAME"], 125),
    (&["kill", "NAME"], 125),
    (&["logs", "NAME"], 125),
    (&["pause", "NAME"], 125),
    (&["port", "NAME"], 125),
    (&["ps", "--filter", "before=NAME"], 125),
    (&["rename", "NAME", "other"], 125),
    (&["restart", "NAME"], 125),
    (&["rm", "NAME"], 1),
    (&["run", "--volumes-from", "NAME", BUSYBOX, "true"], 125),
    (&["run", "--pid", "container:NAME", BUSYBOX, "true"], 125),
    (&["run", "--requires", "NAME", BUSYBOX, "true"], 125),
    (&["start", "NAME"], 125),
    (&["stop", "NAME"], 125),
    (&["top", "NAME"], 125),
    (&["unpause", "NAME"], 125),
    (&["unshare", "ctr", "mount", "NAME"], 125),
    (&["unshare", "ctr", "unmount", "NAME"], 125),
    (&["wait", "NAME"], 125),
];

/// Has every verb look for a name.
fn look(env: &Env, program: &str, name: &str, code: impl Fn(&[&str], i32) -> i32) {
    for (verb, missing) in VERBS {
        let output = env.named(program, verb.iter().map(|word| word.replace("NAME", name))).run();
        let code = code(verb, *missing);
        assert_eq!(output.code(), code, "{output}");
        let errors: Vec<&str> = output.stderr.lines().filter(|line| !line.starts_with("hint: ")).collect();
        let silent = verb[1] == "exists" && code == 1;
        assert_eq!(errors.len(), usize::from(!silent), "{output}");
        assert!(errors.iter().all(|line| line.starts_with("Error: ")), "{output}");
        assert!(!output.stderr.contains('\u{1b}'), "{output}");
        let inspects = verb.contains(&"inspect");
        assert!(output.stdout.is_empty() || (inspects && output.stdout == "[]\n"), "{output}");
    }
}

#[test]
fn names_that_are_nobody_s() {
    needs!(Userns);
    let env = Env::with_busybox();
    assert_eq!(env.ok(["create", "--name", "one", BUSYBOX, "true"]).len(), 64);
    let long = "x".repeat(5_000);
    for name in ["absent", "/absent", "../one", "\u{1b}[2J", "\u{202e}eno", long.as_str()] {
        look(&env, "ctr", name, |_, missing| missing);
    }
    look(&env, "podman", "absent", |_, missing| missing);
    assert_eq!(env.ok(["ps", "-a", "--format", "{{.Names}} {{.State}}"]), "one created");
    assert_eq!(env.ok(["rm", "--force", "absent"]), "");
    // No variable is no name, whoever forgives what is missing.
    for verb in [
        &["rm", "--force", ""][..],
        &["rm", "--ignore", ""],
        &["stop", "--ignore", ""],
        &["container", "exists", ""],
    ] {
        let said = env.ctr(verb).run().fails(125);
        assert_eq!(said, "Error: name or ID cannot be empty\n", "{verb:?}");
    }
}

#[test]
fn what_two_ids_begin_with_is_neither() {
    needs!(Userns);
    let env = Env::with_busybox();
    let mut ids: Vec<String> = Vec::new();
    // Of seventeen two begin with the same digit.
    let prefix = loop {
        let id = env.ok(["create", BUSYBOX, "true"]);
        let first = id[..1].to_owned();
        let known = ids.iter().any(|other| other.starts_with(&first));
        ids.push(id);
        if known {
            break first;
        }
    };
    // An id of an image or a volume could begin so too, but only a container's is looked for among theirs.
    look(&env, "ctr", &prefix, |_, _| 125);
    let said = env.named("podman", ["rm", "--force", &prefix]).run().fails(125);
    assert_eq!(
        said,
        format!("Error: more than one result for container \"{prefix}\": container already exists\n")
    );
    let left = env.ok(["ps", "-aq", "--no-trunc"]);
    assert_eq!(left.lines().count(), ids.len());
    let whole = &ids[0];
    assert_eq!(field(&env, whole, "{{.State.Status}}"), "created");
}
