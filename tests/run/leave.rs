//! The detach keys of `ctr exec`: a command that goes on without whoever ran it.

use std::io::Read as _;

use ctr_tests::{Env, needs};

use crate::exec::{end, exec, idle};
use crate::terminal::{self, start_at, terminal, wait_until_raw};

/// Types into a command of `exec`. Its exit code, and what was shown.
fn typed(env: &Env, args: &[&str], keys: &[u8]) -> (Option<i32>, String) {
    terminal::typed(env.ctr(["exec", "-it"]).args(args), keys)
}

#[test]
fn detach_keys_leave_a_command_running() {
    needs!(Userns);
    let env = Env::with_busybox();
    let running = idle(&env, &[]);
    exec(&env, &[], "mkfifo /gate /done");
    let sessions = || env.ok(["inspect", "-f", "{{json .ExecIDs}}", "c"]);
    // It hears no hanging up, what it writes goes nowhere without making it wait, and its end is noticed.
    let script = "trap 'echo hung up >/heard' HUP; read word </gate; seq 1 100000; tty; echo $word >/done";
    let (code, text) = typed(&env, &["c", "sh", "-c", script], b"\x10\x11");
    assert_eq!((code, text.as_str()), (Some(0), ""));
    let session = sessions();
    assert_eq!(session.len(), 64 + 4, "{session}");
    assert_eq!(
        exec(&env, &[], "echo through >/gate; cat /done; test ! -e /heard && echo quiet"),
        "through\nquiet"
    );
    while sessions() != "[]" {}

    let (code, _) = typed(&env, &["--detach-keys", "ctrl-x,q", "c", "cat"], b"\x10\x11 \x18q");
    assert_eq!(code, Some(0));
    assert_ne!(sessions(), "[]", "other keys are keys");
    let (code, text) = typed(&env, &["--detach-keys", "ctrl-x,q", "c", "sh"], b"\x18\x15exit $((6+1))\n");
    assert_eq!(code, Some(7), "what only begins like the keys goes in: {text}");
    let (code, _) = typed(&env, &["--detach-keys", "", "c", "sh"], b"\x10\x11\x15exit 8\n");
    assert_eq!(code, Some(8), "an empty text is no keys");
    let conf = env.file("keys", "[engine]\ndetach_keys = 'ctrl-a'\n");
    let mut configured = env.ctr(["exec", "-i", "c", "cat"]);
    configured.command().env("CONTAINERS_CONF", &conf);
    // Without a terminal nobody types keys.
    assert_eq!(configured.stdin("\x01 \x10\x11").run().success(), "\x01 \x10\x11");
    let said = env.ctr(["exec", "--no-session", "--detach-keys", "a", "c", "true"]).run().fails(125);
    assert!(said.contains("--no-session cannot be used with --detach or --detach-keys"), "{said}");

    let said = env.ctr(["exec", "--detach-keys", "ctrl-", "c", "true"]).run().fails(255);
    assert!(said.contains("invalid detach keys: Unknown character: 'ctrl-'"), "{said}");

    // The container ends although one that was left runs.
    end(&env, running);
}

#[test]
fn a_command_hears_that_its_terminal_hung_up() {
    needs!(Userns);
    let env = Env::with_busybox();
    let running = idle(&env, &[]);
    exec(&env, &[], "mkfifo /heard");
    let (ours, theirs) = terminal(24, 80);
    let script = "trap 'echo hung up >/heard' HUP; echo ready; while :; do sleep 0.01; done";
    let mut child = start_at(theirs, env.ctr(["exec", "-it", "c", "sh", "-c", script]));
    wait_until_raw(&ours);
    let mut first = [0; 5];
    (&ours).read_exact(&mut first).expect("what it shows");
    child.kill().expect("one of ours");
    child.wait().expect("its end");
    assert_eq!(exec(&env, &[], "cat /heard"), "hung up");
    assert_eq!(env.ok(["inspect", "-f", "{{json .ExecIDs}}", "c"]), "[]");
    end(&env, running);
}
