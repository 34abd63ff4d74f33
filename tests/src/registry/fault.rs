//! What goes wrong, and when.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use super::message::{Answer, Body, Request};
use super::{DEADLINE, Side};

/// Which requests a rule is about: all that match, unless it says which of them.
#[derive(Debug, Clone)]
pub struct On {
    method: Option<String>,
    prefix: String,
    part: String,
    side: Side,
    /// First and last of those that match, counted from 1.
    numbers: (u64, u64),
}

impl On {
    /// Requests of the registry whose path begins so.
    #[must_use]
    pub fn any(prefix: &str) -> Self {
        let (prefix, part) = (prefix.to_owned(), String::new());
        Self { method: None, prefix, part, side: Side::Registry, numbers: (1, u64::MAX) }
    }

    /// Requests of one method.
    #[must_use]
    pub fn method(method: &str, prefix: &str) -> Self {
        Self { method: Some(method.to_owned()), ..Self::any(prefix) }
    }

    /// GET requests.
    #[must_use]
    pub fn get(prefix: &str) -> Self {
        Self::method("GET", prefix)
    }

    /// Only those that have this somewhere in the path too: `/blobs/`.
    #[must_use]
    pub fn with(self, part: &str) -> Self {
        Self { part: part.to_owned(), ..self }
    }

    /// Requests of another side than the registry.
    #[must_use]
    pub fn of(self, side: Side) -> Self {
        Self { side, ..self }
    }

    /// Only the nth.
    #[must_use]
    pub fn nth(self, n: u64) -> Self {
        Self { numbers: (n, n), ..self }
    }

    /// Only the first n.
    #[must_use]
    pub fn first(self, n: u64) -> Self {
        Self { numbers: (1, n), ..self }
    }

    /// Only the nth and those after it.
    #[must_use]
    pub fn from(self, n: u64) -> Self {
        Self { numbers: (n, u64::MAX), ..self }
    }

    fn matches(&self, side: Side, request: &Request) -> bool {
        self.side == side
            && self.method.as_ref().is_none_or(|method| *method == request.method)
            && request.path.starts_with(&self.prefix)
            && request.path.contains(&self.part)
    }
}

/// What happens to a request or to its answer. Several rules may meet one request: they are applied in their order.
#[derive(Debug, Clone)]
pub enum Fault {
    /// This answer, and nobody looks at the request: status, header fields, body.
    Answer(u16, Vec<(String, String)>, Vec<u8>),
    /// The answer it would get, with this field in place of any of this name.
    Header(String, String),
    /// The answer it would get, without this field.
    Without(String),
    /// A body that is longer, and says so.
    Append(Vec<u8>),
    /// A body of only so many bytes, and it says so.
    Truncate(usize),
    /// A body with another byte at this place.
    Corrupt(usize),
    /// A body that goes on with these bytes for ever.
    Endless(Vec<u8>),
    /// The connection ends after so many bytes of the body, whose length was told.
    Cut(u64),
    /// The same, with a reset.
    Reset(u64),
    /// More bytes where the next answer would begin.
    Trailing(Vec<u8>),
    /// These bytes instead of an answer, then the second ones for ever, or the end if there are none.
    Raw(Vec<u8>, Vec<u8>),
    /// What was asked is done, and the connection ends before it is said.
    Lost,
    /// No byte of the answer goes before the tap lets one through; what follows then goes by itself.
    Hold(Tap),
    /// Every byte of the body goes through the tap.
    Pace(Tap),
    /// The connection ends once so many bytes of the *request's* body were taken. There is no answer.
    CutRequest(u64),
    /// Every byte of the request's body is taken through the tap.
    PaceRequest(Tap),
}

impl Fault {
    /// An error of this status.
    #[must_use]
    pub fn status(status: u16) -> Self {
        let body = format!(r#"{{"errors":[{{"code":"FAULT","message":"status {status} on purpose"}}]}}"#);
        Self::Answer(status, vec![field("Content-Type", "application/json")], body.into_bytes())
    }

    /// 429, with this in Retry-After: seconds, or a [date](super::http_date).
    #[must_use]
    pub fn too_many(retry_after: &str) -> Self {
        Self::Answer(429, vec![field("Retry-After", retry_after)], Vec::new())
    }

    /// A redirect.
    #[must_use]
    pub fn redirect(status: u16, location: &str) -> Self {
        Self::Answer(status, vec![field("Location", location)], Vec::new())
    }

    /// 401 with this challenge.
    #[must_use]
    pub fn challenge(challenge: &str) -> Self {
        Self::Answer(401, vec![field("WWW-Authenticate", challenge)], Vec::new())
    }

    /// Another field than the answer would have.
    #[must_use]
    pub fn header(name: &str, value: &str) -> Self {
        Self::Header(name.to_owned(), value.to_owned())
    }

    /// No such field.
    #[must_use]
    pub fn without(name: &str) -> Self {
        Self::Without(name.to_owned())
    }

    /// The connection ends before there is an answer.
    #[must_use]
    pub fn hang_up() -> Self {
        Self::Raw(Vec::new(), Vec::new())
    }

    /// Something that is no HTTP.
    #[must_use]
    pub fn garbage() -> Self {
        Self::Raw(b"\x15\x03\x01\x00\x02\x02\x46 this is no HTTP\r\n".to_vec(), Vec::new())
    }

    /// Header fields without an end.
    #[must_use]
    pub fn endless_headers() -> Self {
        Self::Raw(b"HTTP/1.1 200 OK\r\n".to_vec(), b"X-More: and more and more\r\n".to_vec())
    }

    /// What is done instead of looking at the request.
    fn instead(&self) -> Option<Answer> {
        match self {
            Self::Answer(status, headers, body) => {
                let mut answer = Answer::bytes(*status, body.clone());
                answer.headers.0.clone_from(headers);
                Some(answer)
            }
            Self::Raw(start, again) => {
                let raw = Some((start.clone(), again.clone()));
                let mut answer = Answer::status(0);
                answer.wire.raw = raw;
                Some(answer)
            }
            _ => None,
        }
    }

    /// What is done to the answer.
    fn apply(&self, answer: &mut Answer) {
        match self {
            Self::Header(name, value) => answer.headers.set(name, value),
            Self::Without(name) => answer.headers.remove(name),
            Self::Append(more) => answer.change_body(|body| body.extend(more)),
            Self::Truncate(len) => answer.change_body(|body| body.truncate(*len)),
            Self::Corrupt(at) => answer.change_body(|body| {
                if let Some(byte) = body.get_mut(*at) {
                    *byte ^= 0x20;
                }
            }),
            Self::Endless(again) => {
                let first = match &answer.body {
                    Body::Bytes(bytes, range) => bytes[range.clone()].to_vec(),
                    Body::Pieces(_) => Vec::new(),
                };
                let again = std::iter::repeat(again.clone());
                answer.body = Body::Pieces(Box::new(std::iter::once(first).chain(again)));
            }
            Self::Cut(after) => answer.wire.cut = Some(*after),
            Self::Reset(after) => (answer.wire.cut, answer.wire.reset) = (Some(*after), true),
            Self::Trailing(bytes) => answer.wire.trailing.clone_from(bytes),
            Self::Lost => answer.wire.raw = Some((Vec::new(), Vec::new())),
            Self::Hold(tap) => answer.wire.hold = Some(tap.clone()),
            Self::Pace(tap) => answer.wire.pace = Some(tap.clone()),
            Self::Answer(..) | Self::Raw(..) | Self::CutRequest(_) | Self::PaceRequest(_) => {}
        }
    }

    fn tap(&self) -> Option<&Tap> {
        match self {
            Self::Hold(tap) | Self::Pace(tap) | Self::PaceRequest(tap) => Some(tap),
            _ => None,
        }
    }
}

fn field(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// What a rule's requests met so far.
#[derive(Debug)]
struct Rule {
    on: On,
    fault: Fault,
    met: u64,
}

/// The rules of a registry.
#[derive(Debug, Default)]
pub(super) struct Faults(Mutex<Vec<Rule>>);

/// What happens to one request.
#[derive(Debug, Default)]
pub(super) struct Fate(Vec<Fault>);

impl Faults {
    fn lock(&self) -> MutexGuard<'_, Vec<Rule>> {
        self.0.lock().expect("no panic under the lock")
    }

    pub(super) fn add(&self, on: On, fault: Fault) {
        self.lock().push(Rule { on, fault, met: 0 });
    }

    pub(super) fn clear(&self) {
        self.open_taps();
        self.lock().clear();
    }

    /// Lets go of whatever is held, so that threads end.
    pub(super) fn open_taps(&self) {
        self.lock().iter().filter_map(|rule| rule.fault.tap()).for_each(Tap::open);
    }

    /// What happens to this request: each rule that matches counts it.
    pub(super) fn meet(&self, side: Side, request: &Request) -> Fate {
        let mut fate = Fate::default();
        for rule in self.lock().iter_mut().filter(|rule| rule.on.matches(side, request)) {
            rule.met += 1;
            let (first, last) = rule.on.numbers;
            if (first..=last).contains(&rule.met) {
                fate.0.push(rule.fault.clone());
            }
        }
        fate
    }
}

impl Fate {
    pub(super) fn instead(&self) -> Option<Answer> {
        self.0.iter().find_map(Fault::instead)
    }

    pub(super) fn apply(&self, answer: &mut Answer) {
        self.0.iter().for_each(|fault| fault.apply(answer));
    }

    /// After how many bytes of the request's body the connection ends.
    pub(super) fn cut_request(&self) -> Option<u64> {
        let cuts =
            self.0.iter().filter_map(|fault| if let Fault::CutRequest(n) = fault { Some(*n) } else { None });
        cuts.min()
    }

    pub(super) fn pace_request(&self) -> Option<Tap> {
        self.0
            .iter()
            .find_map(|fault| if let Fault::PaceRequest(tap) = fault { Some(tap.clone()) } else { None })
    }
}

/// What bytes pass through only as a test lets them: closed at first. Clones are the same tap.
#[derive(Debug, Clone, Default)]
pub struct Tap(Arc<(Mutex<Flow>, Condvar)>);

#[derive(Debug, Default)]
struct Flow {
    allowed: u64,
    open: bool,
    /// How many stand before it.
    waiting: u64,
}

impl Tap {
    /// A closed tap.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Flow> {
        self.0.0.lock().expect("no panic under the lock")
    }

    /// Lets so many bytes more through.
    pub fn let_through(&self, bytes: u64) {
        self.lock().allowed += bytes;
        self.0.1.notify_all();
    }

    /// Lets everything through from now on.
    pub fn open(&self) {
        self.lock().open = true;
        self.0.1.notify_all();
    }

    /// Waits until somebody stands before it who has used up all that was let through.
    ///
    /// # Panics
    /// When nobody comes.
    pub fn wait_dry(&self) {
        let dry = |flow: &mut Flow| flow.waiting == 0 || flow.allowed > 0;
        let waited =
            self.0.1.wait_timeout_while(self.lock(), DEADLINE, dry).expect("no panic under the lock");
        assert!(!waited.1.timed_out(), "nobody stands before the tap");
    }

    /// Takes up to so many bytes, at least one.
    pub(super) fn take(&self, most: u64) -> u64 {
        let mut flow = self.lock();
        flow.waiting += 1;
        self.0.1.notify_all();
        let closed = |flow: &mut Flow| flow.allowed == 0 && !flow.open;
        let mut flow = self.0.1.wait_while(flow, closed).expect("no panic under the lock");
        flow.waiting -= 1;
        if flow.open {
            return most;
        }
        let taken = most.min(flow.allowed);
        flow.allowed -= taken;
        taken
    }
}
