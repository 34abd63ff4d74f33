//! What a copy shows while it goes on: bars on a terminal, lines anywhere else.

use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::process::Stdio;

use ctr_tests::image::{Image, Layer};
use ctr_tests::{Env, needs};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// A world with an image whose layer takes a moment.
fn world() -> Env {
    let env = Env::new();
    let lines: String = (0..600_000_u32).map(|line| format!("line {line}\n")).collect();
    let image = Image::new("localhost/slow:1", [Layer::new().file("lines", 0o644, lines)]);
    let _path = env.file("in.tar", image.docker_archive());
    env
}

const COPY: [&str; 3] = ["copy", "docker-archive:in.tar", "oci:out:x"];

fn terminal() -> (std::fs::File, OwnedFd) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&ours).expect("a terminal");
    unlockpt(&ours).expect("a terminal");
    let name = ptsname(&ours, Vec::new()).expect("its name");
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY;
    let theirs = rustix::fs::open(&name, flags, rustix::fs::Mode::empty()).expect("its other side");
    let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&ours, size).expect("a size");
    (ours.into(), theirs)
}

/// What a command shows on a terminal of a kind, on both of its outputs.
fn shown(env: &Env, kind: &str, args: &[&str]) -> String {
    let (mut ours, theirs) = terminal();
    let mut invocation = env.ctr(args).var("TERM", kind);
    let copy = theirs.try_clone().expect("a copy");
    let command = invocation.command().stdin(Stdio::null()).stdout(Stdio::from(copy)).stderr(theirs);
    let mut child = command.spawn().expect("a program that starts");
    // It holds the terminal's other side, of which the end is to be seen.
    drop(invocation);
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(read @ 1..) = ours.read(&mut buffer) {
        bytes.extend_from_slice(&buffer[..read]);
    }
    let text = String::from_utf8_lossy(&bytes).replace("\r\n", "\n");
    assert!(child.wait().expect("its end").success(), "{text}");
    text
}

#[test]
fn a_terminal_shows_bars_that_become_lines() {
    needs!(Userns);
    let text = shown(&world(), "xterm", &COPY);
    let bars: Vec<&str> = text.lines().filter(|line| line.contains('[') && line.contains("] ")).collect();
    assert!(!bars.is_empty(), "{text:?}");
    for bar in bars {
        let bar = bar.rsplit('J').next().unwrap_or(bar);
        assert!(bar.starts_with("Copying blob ") && bar.contains(" / ") && bar.len() < 80, "{bar:?}");
    }
    let (_, last) = text.rsplit_once("\x1b[J").expect("bars are taken away");
    let last: Vec<&str> = last.lines().collect();
    assert!(last[0].starts_with("Copying blob ") && last[0].ends_with(" done"), "{last:?}");
    assert!(last[1].starts_with("Copying config sha256:"), "{last:?}");
    assert_eq!(last[2], "Writing manifest to image destination");
    // What changes a terminal for good is never said: the cursor, its screens, its modes.
    assert!(!text.contains("\x1b[?"), "{text:?}");
}

#[test]
fn where_no_bars_can_be_there_are_lines() {
    needs!(Userns);
    let env = world();
    let plain = env.ctr(COPY).run();
    assert_eq!(plain.code(), 0, "{plain}");
    let text = shown(&env, "dumb", &["copy", "docker-archive:in.tar", "oci:other:x"]);
    for text in [&plain.stderr, &text] {
        assert!(!text.contains('\x1b') && !text.contains('['), "{text:?}");
        assert_eq!(text.matches("Copying blob sha256:").count(), 1, "{text}");
    }
    assert_eq!(shown(&env, "xterm", &["copy", "-q", "docker-archive:in.tar", "oci:quiet:x"]), "");
}
