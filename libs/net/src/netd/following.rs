//! Whether those who are asked for names are still the host's resolvers: the supervisor is asked that, who may open files.
//!
//! ```text
//! question ── the last answer is old ──▶ ? to the supervisor ──▶ R, with resolv.conf if it is another ──▶ on it goes
//!          └── else ──▶ on it goes
//! ```
//! The file is not watched, it is asked for. A user has few instances of inotify (128), which are there for the user's own programs
//! and not for each container; a watch sees neither what is mounted over the file nor a server's disk; and where nobody asks for
//! names nobody wakes up.

use std::os::fd::OwnedFd;
use std::time::Duration;

use ctr_core::limits;
use rustix::io::Errno;

use super::Netd;
use super::timers::Due;
use crate::control;
use crate::dns::resolv_conf::ResolvConf;
use crate::dns::resolver::Client;

/// How long an answer counts.
const FRESH: Duration = Duration::from_millis(200);
/// How long questions wait for one: a supervisor that was stopped stops nobody else.
const PATIENCE: Duration = Duration::from_millis(100);

/// What is known of that.
#[derive(Debug, Default)]
pub(super) struct Following {
    /// When the supervisor was asked, or heard, the last time.
    last: Option<Duration>,
    /// Whether it has still to answer.
    waits: bool,
    /// Questions that wait for it.
    held: Vec<(Client, Vec<u8>)>,
}

impl Netd {
    /// Whether a question was put aside until it is known who is to be asked.
    pub(super) fn puts_aside(&mut self, client: Client, bytes: &[u8]) -> bool {
        let now = self.since_start();
        let following = &mut self.questions.following;
        if !following.waits {
            let age = following.last.map(|last| now.saturating_sub(last));
            if age.is_some_and(|age| age < FRESH) {
                return false;
            }
            following.last = Some(now);
            // Who cannot be asked is about to be gone.
            let asked = self.control.as_ref().map(control::ask_for_resolvers);
            following.waits = matches!(asked, Some(Ok(())));
            if following.waits {
                self.timers.set(self.now, PATIENCE, Due::Resolvers);
            }
        }
        let holds = following.waits && following.held.len() < limits::DNS_PENDING;
        if holds {
            following.held.push((client, bytes.to_vec()));
        }
        holds
    }

    /// The supervisor's answer: those are asked from now on whom a file names, if there is one.
    pub(super) fn hear_of_resolvers(&mut self, file: Option<&OwnedFd>) {
        // One that cannot be read is none. One that is empty is about to be written.
        let text = file.map(read_file).and_then(Result::ok).unwrap_or_default();
        if !text.is_empty() {
            self.questions.resolver.configure(ResolvConf::parse(&text));
        }
        self.go_on_asking();
    }

    /// Whoever waits has waited long enough.
    pub(super) fn go_on_asking(&mut self) {
        let now = self.since_start();
        let following = &mut self.questions.following;
        following.last = Some(now);
        following.waits = false;
        for (client, bytes) in std::mem::take(&mut following.held) {
            self.query(client, &bytes);
        }
    }
}

/// A file to its end, or to where nobody reads on.
fn read_file(file: &OwnedFd) -> Result<Vec<u8>, Errno> {
    let mut text = vec![0; limits::RESOLV_CONF];
    let mut length = 0;
    while let Some(rest) = text.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match rustix::io::read(file, rest) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    text.truncate(length);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_to_its_end() {
        let file = tempfile::tempfile().expect("a file");
        let text = b"nameserver 10.0.0.1\n".repeat(1000);
        rustix::io::pwrite(&file, &text, 0).expect("room");
        assert_eq!(read_file(&file.into()), Ok(text));
        assert_eq!(read_file(&std::fs::File::open("/").expect("a folder").into()), Err(Errno::ISDIR));
    }
}
