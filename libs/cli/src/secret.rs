//! Reading a line from a terminal that does not show it.

use std::io::Read as _;
use std::os::fd::AsFd;

use ctr_core::limits;
use rustix::process::{Signal, getpid, kill_process};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

/// What an interrupt from the keyboard is as a byte.
const INTERRUPT: u8 = 3;
/// The end of a file.
const END: u8 = 4;
/// What takes the whole line back.
const KILL: u8 = 21;

/// The terminal as it was, which it is again once this is dropped.
struct Quiet<'a, F: AsFd> {
    terminal: &'a F,
    before: Termios,
}

impl<'a, F: AsFd> Quiet<'a, F> {
    /// The terminal shows nothing, and its signals come as bytes: one that ended us would leave it silent.
    fn new(terminal: &'a F) -> std::io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut quiet = before.clone();
        quiet.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        tcsetattr(terminal, OptionalActions::Flush, &quiet)?;
        Ok(Self { terminal, before })
    }
}

impl<F: AsFd> Drop for Quiet<'_, F> {
    fn drop(&mut self) {
        // A terminal that is gone shows nothing to anybody.
        let _restored = tcsetattr(self.terminal, OptionalActions::Drain, &self.before);
    }
}

/// Reads a line; `None` is the end of all input. An interrupt ends the program as it does elsewhere.
pub(crate) fn read(terminal: &std::io::Stdin) -> std::io::Result<Option<String>> {
    let quiet = Quiet::new(terminal)?;
    let line = line(terminal.lock().bytes());
    drop(quiet);
    match line? {
        Typed::Line(line) => String::from_utf8(line)
            .map(Some)
            .map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error.utf8_error())),
        Typed::Nothing => Ok(None),
        Typed::Interrupt => {
            kill_process(getpid(), Signal::INT)?;
            Ok(None)
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Typed {
    Line(Vec<u8>),
    Nothing,
    Interrupt,
}

fn line(keys: impl Iterator<Item = std::io::Result<u8>>) -> std::io::Result<Typed> {
    let mut line = Vec::new();
    for key in keys {
        match key? {
            b'\n' | b'\r' => return Ok(Typed::Line(line)),
            INTERRUPT => return Ok(Typed::Interrupt),
            END if line.is_empty() => return Ok(Typed::Nothing),
            KILL => line.clear(),
            // A backspace takes a whole letter back.
            8 | 127 => while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {},
            key if key >= b' ' && line.len() < limits::CREDENTIALS => line.push(key),
            _ => {}
        }
    }
    Ok(if line.is_empty() { Typed::Nothing } else { Typed::Line(line) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_make_a_line() {
        let typed = |keys: &[u8]| line(keys.iter().map(|key| Ok(*key))).unwrap();
        let text = |text: &str| Typed::Line(text.as_bytes().to_vec());
        assert_eq!(typed(b"pass word\rmore"), text("pass word"));
        assert_eq!(typed("pa\u{e9}\x7fs\x08ss\n".as_bytes()), text("pass"));
        assert_eq!(typed(b"wrong\x15right\n"), text("right"));
        assert_eq!(typed(b"\n"), text(""));
        assert_eq!(typed(b"x\x1b\ty\n"), text("xy"));
        assert_eq!(typed(b"\x04"), Typed::Nothing);
        assert_eq!(typed(b"x\x04y\n"), text("xy"));
        assert_eq!(typed(b"x\x03y\n"), Typed::Interrupt);
        assert_eq!(typed(b""), Typed::Nothing);
    }
}
