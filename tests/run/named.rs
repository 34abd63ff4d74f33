//! Names that are nobody's, or of more than one, or of a container that is not for us: each verb says so in one line, with
//! podman's exit code, and does nothing.

use std::path::Path;

use ctr_tests::{BUSYBOX, Env, needs, tree};

use crate::kept::{field, statuses};

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

/// Has every verb look for a name; `code` says what it exits with, or that it is not to be tried.
fn look(env: &Env, program: &str, name: &str, code: impl Fn(&[&str], i32) -> Option<i32>) {
    for (verb, missing) in VERBS {
        let Some(code) = code(verb, *missing) else { continue };
        let output = env.named(program, verb.iter().map(|word| word.replace("NAME", name))).run();
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
        look(&env, "ctr", name, |_, missing| Some(missing));
    }
    look(&env, "podman", "absent", |_, missing| Some(missing));
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
    look(&env, "ctr", &prefix, |_, _| Some(125));
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

/// A way for a container not to be for us.
struct Foreign {
    /// Makes it so, and takes that back: scripts for root of the user's ids, which are given its folder.
    scripts: [&'static str; 2],
    /// What is said of it.
    said: &'static str,
    /// Root of the user's ids can use it all the same: only there can it be mounted.
    is_in_reach: bool,
}

const FOREIGN: [Foreign; 4] = [
    Foreign {
        scripts: [
            "sed -i 's/\"version\":1,/\"version\":99,/' \"$1/record.json\"",
            "sed -i 's/\"version\":99,/\"version\":1,/' \"$1/record.json\"",
        ],
        said: "was made by a newer version of this program; nothing of it was changed",
        is_in_reach: false,
    },
    Foreign {
        scripts: [
            "cd \"$1\" && mv record.json .old && echo '{\"version\":2,\"what\":[]}' >record.json",
            "cd \"$1\" && mv .old record.json",
        ],
        said: "was made by a newer version of this program; nothing of it was changed",
        is_in_reach: false,
    },
    Foreign {
        scripts: ["chown -R 7:7 \"$1\"", "chown -R 0:0 \"$1\""],
        said: "/record.json: Permission denied (EACCES)",
        is_in_reach: true,
    },
    Foreign {
        scripts: ["chmod 0 \"$1\"", "chmod 755 \"$1\""],
        said: "/record.json: Permission denied (EACCES)",
        is_in_reach: true,
    },
];

impl Foreign {
    /// Runs one of the scripts.
    fn change(&self, env: &Env, which: usize, folder: &Path) {
        let args = ["--map-root-user", "--map-auto", "sh", "-c", self.scripts[which], "sh"];
        assert_eq!(env.program("unshare", args).args([folder]).run().success(), "");
    }
}

#[test]
fn what_is_not_for_us_is_told_and_left_alone() {
    needs!(Userns);
    let env = Env::with_busybox();
    let _id = env.ok(["create", "--name", "one", BUSYBOX, "true"]);
    for foreign in &FOREIGN {
        let id = env.ok(["create", "--name", "web", BUSYBOX, "echo", "whole"]);
        let folder = env.store().join("containers").join(&id);
        let before = tree::picture(&folder);
        foreign.change(&env, 0, &folder);
        for program in ["ctr", "podman"] {
            look(&env, program, "web", |verb, _| {
                let mounts = verb[0] == "unshare" && foreign.is_in_reach;
                if mounts { None } else { Some(125) }
            });
        }
        look(&env, "ctr", &id[..12], |verb, _| if verb[0] == "unshare" { None } else { Some(125) });
        let said = env.ctr(["stop", "web"]).run().fails(125);
        assert!(said.contains(foreign.said) && said.contains(&id) && !said.contains("rm -f"), "{said}");
        // Its name is its own.
        for verb in [
            &["create", "--name", "web", BUSYBOX][..],
            &["create", "--replace", "--name", "web", BUSYBOX],
            &["run", "--rm", "--name", "web", BUSYBOX, "true"],
            &["run", "-d", "--name", "web", BUSYBOX, "true"],
            &["rename", "one", "web"],
        ] {
            let said = env.ctr(verb).run().fails(125);
            assert!(said.contains(&id), "{verb:?}: {said}");
        }
        // Others do not suffer by it, and nobody clears it away with what is left of them.
        for verb in [&["system", "gc"][..], &["container", "prune", "-f"], &["rm", "--all", "-f"]] {
            let output = env.ctr(verb).run();
            assert_eq!((output.code(), output.stderr.as_str()), (0, ""), "{output}");
            assert_eq!(statuses(&env), if verb[0] == "system" { "one created" } else { "" });
        }
        assert_eq!(env.ok(["create", "--name", "one", BUSYBOX, "true"]).len(), 64);
        foreign.change(&env, 1, &folder);
        assert!(tree::picture(&folder) == before, "{}", foreign.said);
        assert_eq!(statuses(&env), "one created, web created");
        assert_eq!(env.ok(["start", "--attach", "web"]), "whole");
        // Only who names it has it removed, by force.
        foreign.change(&env, 0, &folder);
        assert_eq!(env.ok(["rm", "--force", "web"]), "web");
        assert!(!folder.exists(), "{}", foreign.said);
    }
}
