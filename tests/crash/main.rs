//! Killed, or out of space, or with a broken disk, at every step.
//!
//! Each call of a command that changes something is, in turn, the last thing it does (KILL), or fails (ENOSPC, EIO). Afterwards
//! every image that is listed runs, and `system gc` returns the store to what it was before the command or to what it is after
//! it, file by file.
//!
//! strace makes the calls fail. It must be root for that, since it would otherwise take the set-uid bit from the id-map helpers;
//! the commands run as `CTR_TEST_USER`. Its `when=N` counts in each process: the N-th call of any process is hit.
//!
//! `CTR_CRASH_STRIDE=N` looks at every N-th place only.

mod broken;
mod points;

use broken::Case;

#[test]
fn run() {
    ctr_tests::needs!(Strace);
    Case::new("run", |env| env.load(&broken::image("localhost/first:1", "first"))).breaks(&[
        "run",
        "--rm",
        "--network",
        "none",
        "localhost/first:1",
        "true",
    ]);
}

#[test]
fn load() {
    ctr_tests::needs!(Strace);
    Case::new("load", |env| {
        env.load(&broken::image("localhost/first:1", "first"));
        let _archive = env.file("second.tar", broken::image("localhost/second:1", "second").docker_archive());
    })
    .breaks(&["load", "-q", "-i", "second.tar"]);
}

#[test]
fn rmi() {
    ctr_tests::needs!(Strace);
    Case::new("rmi", |env| {
        env.load(&broken::image("localhost/first:1", "first"));
        env.load(&broken::image("localhost/second:1", "second"));
    })
    .breaks(&["rmi", "localhost/second:1"]);
}

#[test]
fn gc() {
    ctr_tests::needs!(Strace);
    Case::new("gc", |env| {
        env.load(&broken::image("localhost/first:1", "first"));
        // Something to sweep: a load that was killed in its middle.
        let archive = env.file("second.tar", broken::image("localhost/second:1", "second").docker_archive());
        let fault = ["-qq", "-o", "/dev/null", "-e", "inject=rename,renameat,renameat2:signal=KILL:when=1"];
        let killed = env
            .watched(
                fault,
                ["load", "-q", "-i"].map(std::ffi::OsString::from).into_iter().chain([archive.into()]),
            )
            .run();
        assert_ne!(killed.code(), 0, "{killed}");
    })
    .breaks(&["system", "gc"]);
}
