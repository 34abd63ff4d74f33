//! Killed, or out of space, or with a broken disk, at every step.
//!
//! Each call of a command that changes something is, in turn, the last thing it does (KILL), or fails (ENOSPC, EIO); each open
//! that reads fails (EIO). Afterwards every image that is listed runs, and `system gc` returns the store to what it was before
//! the command or to what it is after it, file by file; each container that is listed can be looked at and removed, and nothing of
//! it goes on running.
//!
//! strace makes the calls fail. It must be root for that, since it would otherwise take the set-uid bit from the id-map helpers;
//! the commands run as `CTR_TEST_USER`. Its `when=N` counts in each process: the N-th call of any process is hit. So where a
//! process and its child both make an N-th call and the parent's comes first, the child's is never met on its own: 32 of the
//! 331 of `run`.
//!
//! All of it takes three minutes on two cores, nearly all of that in strace's stops: each core breaks a world of its own.
//! `CTR_CRASH_STRIDE=N` looks at every N-th place only. Of the verbs of containers that outlive their command, only some places
//! are tried as it is; `CTR_CRASH_STRIDE=1` tries all of them in 20 minutes.

mod broken;
mod frugal;
mod kept;
mod points;
mod stopped;

use broken::Case;
use ctr_tests::Env;
use ctr_tests::image::Compression;
use ctr_tests::registry::Registry;

#[test]
fn run() {
    ctr_tests::needs!(Strace);
    Case {
        name: "run",
        prepare: |env: &Env| env.load(&broken::image("localhost/first:1", "first")),
        command: &["run", "--rm", "--network", "none", "localhost/first:1", "true"],
        beside: None,
        undo: &[],
        stride: 1,
    }
    .breaks();
}

#[test]
fn load() {
    ctr_tests::needs!(Strace);
    Case {
        name: "load",
        prepare: |env: &Env| {
            env.load(&broken::image("localhost/first:1", "first"));
            let _archive =
                env.file("second.tar", broken::image("localhost/second:1", "second").docker_archive());
        },
        command: &["load", "-q", "-i", "second.tar"],
        beside: None,
        undo: &[],
        stride: 1,
    }
    .breaks();
}

/// Of the many calls of its threads some are tried: they are the same from layer to layer.
#[test]
fn pull() {
    ctr_tests::needs!(Strace);
    let registry = Registry::start();
    registry.put("second", "1", &broken::image("second:1", "second").compressed(Compression::Gzip));
    let name: &str = format!("{}/second:1", registry.host()).leak();
    Case {
        name: "pull",
        prepare: |env: &Env| env.load(&broken::image("localhost/first:1", "first")),
        command: vec!["pull", "-q", "--tls-verify=false", "--retry=0", name].leak(),
        beside: None,
        undo: &[],
        stride: 3,
    }
    .breaks();
}

#[test]
fn rmi() {
    ctr_tests::needs!(Strace);
    Case {
        name: "rmi",
        prepare: |env: &Env| {
            env.load(&broken::image("localhost/first:1", "first"));
            env.load(&broken::image("localhost/second:1", "second"));
        },
        command: &["rmi", "localhost/second:1"],
        beside: None,
        undo: &[],
        stride: 1,
    }
    .breaks();
}

#[test]
fn gc() {
    ctr_tests::needs!(Strace);
    Case {
        name: "gc",
        prepare: |env: &Env| {
            env.load(&broken::image("localhost/first:1", "first"));
            // Something to sweep: a load that was killed in its middle.
            let archive =
                env.file("second.tar", broken::image("localhost/second:1", "second").docker_archive());
            let fault =
                ["-qq", "-o", "/dev/null", "-e", "inject=rename,renameat,renameat2:signal=KILL:when=1"];
            let words =
                ["load", "-q", "-i"].map(std::ffi::OsString::from).into_iter().chain([archive.into()]);
            let killed = env.watched(fault, words).run();
            assert_ne!(killed.code(), 0, "{killed}");
        },
        command: &["system", "gc"],
        beside: None,
        undo: &[],
        stride: 1,
    }
    .breaks();
}
