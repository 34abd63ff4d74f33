//! `-t`: a terminal, its size, and who has it.

use std::io::Read as _;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::process::{Child, Stdio};

use ctr_tests::{BUSYBOX, Env, Invocation, needs};
use rustix::termios::{Winsize, tcsetwinsize};

/// A pair of a terminal of ours, with a size.
pub(crate) fn terminal(rows: u16, columns: u16) -> (std::fs::File, OwnedFd) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&ours).expect("a terminal");
    unlockpt(&ours).expect("a terminal");
    let name = ptsname(&ours, Vec::new()).expect("its name");
    let theirs = rustix::fs::open(
        &name,
        rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY,
        rustix::fs::Mode::empty(),
    )
    .expect("its other side");
    tcsetwinsize(&ours, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 })
        .expect("a size");
    (ours.into(), theirs)
}

/// Waits until somebody on its other side reads each key as it is typed.
pub(crate) fn wait_until_raw(ours: &std::fs::File) {
    use rustix::termios::{LocalModes, tcgetattr};
    while tcgetattr(ours).expect("its modes").local_modes.contains(LocalModes::ICANON) {
        std::thread::yield_now();
    }
}

/// Reads all that a terminal shows until nobody has its other side.
pub(crate) fn shown(mut ours: std::fs::File) -> String {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = ours.read(&mut buffer) {
        bytes.extend_from_slice(&buffer[..read]);
    }
    String::from_utf8_lossy(&bytes).replace("\r\n", "\n")
}

/// Starts a command that has the other side of a terminal, and nowhere to complain.
pub(crate) fn start_at(theirs: OwnedFd, mut invocation: Invocation<'_>) -> Child {
    let copy = theirs.try_clone().expect("a copy");
    let command = invocation.command().stdin(theirs).stdout(Stdio::from(copy)).stderr(Stdio::null());
    command.spawn().expect("a program that starts")
}

/// Types into a command as soon as its terminal takes each key. Its exit code, and what was shown.
pub(crate) fn typed(invocation: Invocation<'_>, keys: &[u8]) -> (Option<i32>, String) {
    let (mut ours, theirs) = terminal(24, 80);
    let mut child = start_at(theirs, invocation);
    wait_until_raw(&ours);
    ours.write_all(keys).expect("the terminal");
    let text = shown(ours);
    (child.wait().expect("its end").code(), text)
}

#[test]
fn a_terminal_has_the_size_of_ours() {
    needs!(Userns);
    let env = Env::with_busybox();
    let (ours, theirs) = terminal(33, 77);
    let invocation = env.shell(["-it"], "stty size; test -t 0 && test -t 1 && echo terminal; tty");
    let mut child = start_at(theirs, invocation);
    let text = shown(ours);
    assert!(child.wait().expect("its end").success(), "{text}");
    assert_eq!(text, "33 77\nterminal\n/dev/pts/0\n");
}

#[test]
fn what_is_typed_reaches_the_shell() {
    needs!(Userns);
    let env = Env::with_busybox();
    let (mut ours, theirs) = terminal(24, 80);
    let mut child = start_at(theirs, env.ctr(["run", "--rm", "--interactive", "--tty", BUSYBOX, "sh"]));
    ours.write_all(b"echo $((6*7))\nexit 5\n").expect("the terminal");
    let text = shown(ours);
    assert!(text.contains("\n42\n"), "{text}");
    assert_eq!(child.wait().expect("its end").code(), Some(5));
}

#[test]
fn without_a_terminal_of_ours_t_still_gives_one() {
    needs!(Userns);
    let env = Env::with_busybox();
    assert_eq!(env.shell(["-t"], "test -t 1 && echo terminal").run().success().trim_end(), "terminal");
}

/// Podman tells only those who lose their input by it.
#[test]
fn whoever_has_no_terminal_is_told() {
    needs!(Userns);
    let env = Env::with_busybox();
    let said = |name: &str, flags: &str| {
        let ran = env.named(name, ["run", "--rm", flags, BUSYBOX, "true"]).run();
        assert_eq!(ran.code(), 0, "{ran}");
        ran.stderr
    };
    let podman = said("podman", "-ti");
    assert!(podman.contains("The input device is not a TTY."), "{podman}");
    assert_eq!(said("podman", "-t"), "");
    assert!(said("ctr", "-t").contains("the input device is not a terminal"));
    assert_eq!(said("ctr", "-i"), "");
}
