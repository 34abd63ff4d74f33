//! System calls that are not there: an older kernel's, or those that a sandbox around us hides.
//!
//! Each answers ENOSYS, in every process of a command, and the command works all the same or ends with one message that says
//! what was tried and what is needed, leaving nothing. strace does it, as in the tests of crashes: a seccomp program of ours
//! would need `no_new_privs`, under which the set-uid id-map helpers get no rights.

use ctr_tests::image::{Compression, Image};
use ctr_tests::{BUSYBOX, Env, Output};

/// Calls that all have a substitute.
const REPLACED: [&str; 9] = [
    // The walk through a tree by single components.
    "openat2",
    "clone3",
    "pidfd_open",
    "copy_file_range",
    "faccessat2",
    "renameat2",
    "keyctl",
    "add_key",
    "rseq",
];
/// Calls of Linux 5.12 and before that a start of a container cannot do without.
const NEEDED: [&str; 7] =
    ["mount_setattr", "fsopen", "fsconfig", "fsmount", "open_tree", "move_mount", "close_range"];

fn user() -> String {
    std::env::var("CTR_TEST_USER").unwrap_or_else(|_| "ctrtest".into())
}

/// Runs a command without these calls.
fn without(env: &Env, calls: &str, args: &[&str]) -> Output {
    let inject = format!("inject={calls}:error=ENOSYS");
    env.watched(["-qq", "-o", "/dev/null", "-e", &inject], args).run()
}

fn world() -> Env {
    let env = Env::of_user(&user());
    let archive =
        env.file("image.tar", Image::busybox(BUSYBOX, []).compressed(Compression::Gzip).oci_archive());
    assert!(archive.exists());
    env
}

const RUN: [&str; 6] = ["run", "--rm", "--network", "none", BUSYBOX, "id"];

#[test]
fn load_and_rmi_need_nothing_new() {
    ctr_tests::needs!(Strace);
    let env = world();
    let needed = NEEDED.join(",");
    for calls in REPLACED.into_iter().chain([needed.as_str()]) {
        let _loaded = without(&env, calls, &["load", "-q", "-i", "image.tar"]).success();
        let ran = env.ctr(RUN).run().success();
        assert!(ran.starts_with("uid=0(root) gid=0(root)"), "{calls}: {ran}");
        let _removed = without(&env, calls, &["rmi", BUSYBOX]).success();
        assert_eq!(env.ok(["images", "-q"]), "", "{calls}");
    }
}

#[test]
fn run_replaces_what_it_can() {
    ctr_tests::needs!(Strace);
    let env = world();
    let _loaded = env.ok(["load", "-q", "-i", "image.tar"]);
    for calls in &REPLACED[1..] {
        let ran = without(&env, calls, &RUN).success();
        assert!(ran.starts_with("uid=0(root) gid=0(root)"), "{calls}: {ran}");
    }
}

#[test]
fn run_says_what_it_needs_and_leaves_nothing() {
    ctr_tests::needs!(Strace);
    let env = world();
    let _loaded = env.ok(["load", "-q", "-i", "image.tar"]);
    for calls in NEEDED.iter().chain(&REPLACED[..1]) {
        let ran = without(&env, calls, &RUN);
        assert_eq!(ran.code(), 125, "{calls}: {ran}");
        let errors: Vec<_> = ran.stderr.lines().filter(|line| !line.starts_with("warning: ")).collect();
        let [error, hint] = errors[..] else { panic!("{calls}: {ran}") };
        assert!(error.starts_with("Error: cannot ") && error.ends_with("(ENOSYS)"), "{calls}: {error}");
        assert!(hint.starts_with("hint: uname -r") && hint.contains("5.12"), "{calls}: {hint}");
        assert_eq!(env.ok(["ps", "-aq"]), "", "{calls}");
    }
    let ran = env.ctr(RUN).run().success();
    assert!(ran.starts_with("uid=0(root)"), "{ran}");
}
