//! What was asked of a registry, in the order of time.

use std::net::SocketAddr;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

use super::message::{Headers, Request};
use super::{DEADLINE, Side};

/// One request as it was seen, and what became of it so far.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Who was asked.
    pub side: Side,
    /// The number of the connection, counted over all sides.
    pub connection: usize,
    /// The client's end of it.
    pub peer: SocketAddr,
    /// The method.
    pub method: String,
    /// The path as it was sent.
    pub path: String,
    /// The query as it was sent.
    pub query: String,
    /// All header fields.
    pub headers: Headers,
    /// How many bytes of its body were read.
    pub received: u64,
    /// The status it was answered with; `None` as long as it is not, or where the connection was cut instead.
    pub status: Option<u16>,
    /// How many bytes of the answer's body were given to the socket. See [`unread`](super::Registry::unread).
    pub sent: u64,
    /// Nothing more will be sent.
    pub done: bool,
}

impl Seen {
    /// A header field.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }

    /// The scheme of what it has as authorization: `Basic`, `Bearer`.
    #[must_use]
    pub fn authorization(&self) -> Option<&str> {
        self.header("Authorization").map(|value| value.split(' ').next().unwrap_or(value))
    }

    /// The request's line and the status: `GET /v2/a/tags/list?n=1 200`.
    #[must_use]
    pub fn line(&self) -> String {
        let status = self.status.map_or_else(|| "-".to_owned(), |status| status.to_string());
        let mark = if self.query.is_empty() { "" } else { "?" };
        format!("{} {}{mark}{} {status}", self.method, self.path, self.query)
    }

    /// Whether it has this method and its path begins so.
    #[must_use]
    pub fn is(&self, method: &str, prefix: &str) -> bool {
        self.method == method && self.path.starts_with(prefix)
    }
}

/// All that was seen.
#[derive(Debug, Default)]
pub(super) struct Log {
    seen: Mutex<Vec<Seen>>,
    changed: Condvar,
}

impl Log {
    fn lock(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.seen.lock().expect("no panic under the lock")
    }

    /// Writes down that a request came; the number is its name from now on.
    pub(super) fn open(&self, side: Side, connection: usize, peer: SocketAddr, request: &Request) -> usize {
        let mut seen = self.lock();
        seen.push(Seen {
            side,
            connection,
            peer,
            method: request.method.clone(),
            path: request.path.clone(),
            query: request.query.clone(),
            headers: request.headers.clone(),
            received: 0,
            status: None,
            sent: 0,
            done: false,
        });
        self.changed.notify_all();
        seen.len() - 1
    }

    /// Writes down what became of a request; of one that was forgotten meanwhile, nothing.
    pub(super) fn note(&self, number: usize, change: impl FnOnce(&mut Seen)) {
        if let Some(one) = self.lock().get_mut(number) {
            change(one);
            self.changed.notify_all();
        }
    }

    /// Waits until what was seen is as wanted.
    pub(super) fn wait(&self, mut enough: impl FnMut(&[Seen]) -> bool) -> Vec<Seen> {
        let waited = self.changed.wait_timeout_while(self.lock(), DEADLINE, |seen| !enough(seen));
        let (seen, waited) = waited.expect("no panic under the lock");
        let lines: Vec<_> = seen.iter().map(Seen::line).collect();
        assert!(!waited.timed_out(), "what is waited for is not asked: {lines:#?}");
        seen.clone()
    }

    /// Waits a little until all requests are answered, so that their numbers are whole.
    pub(super) fn settle(&self, at_most: Duration) -> Vec<Seen> {
        let unfinished = |seen: &mut Vec<Seen>| seen.iter().any(|one| !one.done);
        let waited = self.changed.wait_timeout_while(self.lock(), at_most, unfinished);
        waited.expect("no panic under the lock").0.clone()
    }
}
