//! Who is asked, when, and what is told to whom: a state machine without a socket, a clock or chance of its own.
//!
//! ```text
//! query ──> own name, fault ──────────────────────────────────────────> Answer
//!       └─> Ask the best resolver ──┬─ it answers ────────────────────> Answer, Close the others
//!                                   ├─ it fails, or cannot answer ─ Ask the next at once ─ …
//!                                   └─ it says nothing for a moment ─ Ask the next as well ─ …
//!                                      all failed, or it took too long ─> Answer: "server failure"
//! ```
//!
//! Each attempt has a socket of its own, connected to the resolver that it asks, so that its port is random, as its id is,
//! and nobody else's answer arrives there. An answer counts only with that id and that question (RFC 5452 §9.1). The
//! resolver that answered is the first to be asked the next time. A question that came over TCP is asked over TCP, and an
//! answer that was cut goes to its asker as it is, who then comes over TCP.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use ctr_core::limits;

use super::message::{self, Code, INTERNET, Message, kind};
use super::names::Names;
use super::resolv_conf::{ResolvConf, Server};

mod pending;
#[cfg(test)]
mod tests;

use pending::{Asking, Pending};

/// Where resolvers listen.
pub const PORT: u16 = 53;
/// The version of EDNS that there is.
const EDNS: u8 = 0;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Client {
    /// Its address.
    pub address: SocketAddr,
    /// The caller's number of its connection; none is UDP.
    pub stream: Option<u64>,
}

impl Client {
    fn over(self) -> Over {
        if self.stream.is_some() { Over::Tcp } else { Over::Udp }
    }
}

/// What carries a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// UDP.
    Udp,
    /// TCP, where each message is behind its length: see [`super::stream::framed`].
    Tcp,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send an answer; over TCP behind its length.
    Answer {
        /// To whom.
        client: Client,
        /// The message.
        bytes: Vec<u8>,
    },
    /// Send a question from a new socket that is connected to the resolver's [`PORT`]. What comes back is for
    /// [`Resolver::answer`], that nothing can for [`Resolver::failed`].
    Ask {
        /// The attempt, as it is called from now on.
        attempt: u64,
        /// Who is asked.
        server: Server,
        /// By which way.
        over: Over,
        /// The message.
        bytes: Vec<u8>,
    },
    /// The socket of an attempt is needed no longer.
    Close {
        /// The attempt.
        attempt: u64,
    },
}

/// Where ids come from: 16 bits that nobody can guess.
pub type Chance<'a> = &'a mut dyn FnMut() -> u16;

/// Answers questions, and asks others.
#[derive(Debug)]
pub struct Resolver {
    names: Names,
    conf: ResolvConf,
    /// Who answered last.
    best: Option<Server>,
    /// Questions that others are asked.
    pending: BTreeMap<u64, Pending>,
    /// Which question an attempt is for.
    attempts: BTreeMap<u64, u64>,
    /// The last number of a question or an attempt.
    last: u64,
    /// How many questions others were asked.
    turns: usize,
}

impl Resolver {
    /// A resolver that knows these names and asks these resolvers.
    #[must_use]
    pub const fn new(names: Names, conf: ResolvConf) -> Self {
        Self {
            names,
            conf,
            best: None,
            pending: BTreeMap::new(),
            attempts: BTreeMap::new(),
            last: 0,
            turns: 0,
        }
    }

    /// The names, to be changed as containers come and go.
    pub const fn names(&mut self) -> &mut Names {
        &mut self.names
    }

    /// The host's resolv.conf has changed. What is asked already goes on as it was.
    pub fn configure(&mut self, conf: ResolvConf) {
        self.best.take_if(|best| !conf.servers.contains(best));
        self.conf = conf;
    }

    /// How many questions others are asked.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Somebody asks.
    pub fn query(&mut self, client: Client, bytes: &[u8], now: Duration, chance: Chance<'_>) -> Vec<Action> {
        let told = |bytes: Option<Vec<u8>>| {
            bytes.map(|bytes| Action::Answer { client, bytes }).into_iter().collect()
        };
        let Ok(asked) = Message::parse(bytes) else { return told(message::fault(bytes, Code::Format)) };
        if asked.is_answer() {
            return Vec::new();
        }
        if bytes.len() > limits::DNS_QUESTION {
            return told(message::fault(bytes, Code::Format));
        }
        if asked.is_other_operation() {
            return told(message::fault(bytes, Code::NotImplemented));
        }
        let most = match client.over() {
            Over::Udp => asked.takes(),
            Over::Tcp => u16::MAX,
        };
        let say = |code, answers: &[_]| told(Some(message::reply(&asked, code, answers, most)));
        if asked.edns.is_some_and(|edns| edns.version != EDNS) {
            return say(Code::BadVersion, &[]);
        }
        // A zone is more than one message, and other classes are about servers, of which this one is nobody's.
        if matches!(asked.question.kind, kind::AXFR | kind::IXFR) || asked.question.class != INTERNET {
            return say(Code::Refused, &[]);
        }
        if let Some((code, answers)) = self.names.answer(&asked.question) {
            return say(code, &answers);
        }
        // Who asks again while we ask is waiting already.
        if self.pending.values().any(|pending| pending.is_of(client, asked.id, &asked.question)) {
            return Vec::new();
        }
        let same = |pending: &&Pending| pending.client.address.ip() == client.address.ip();
        let has_room = self.pending.len() < limits::DNS_PENDING
            && self.pending.values().filter(same).count() < limits::DNS_PENDING_OF_ONE;
        if !has_room {
            return say(Code::ServerFailure, &[]);
        }
        let number = self.number();
        let pending = Pending::new(client, &asked, bytes.to_vec(), most, self.order(), &self.conf, now);
        self.pending.insert(number, pending);
        let mut actions = Vec::new();
        self.ask_next(number, chance, &mut actions);
        actions
    }

    /// Something arrived on the socket of an attempt: one message.
    pub fn answer(&mut self, attempt: u64, bytes: &[u8], chance: Chance<'_>) -> Vec<Action> {
        let mut actions = Vec::new();
        let Some(number) = self.attempts.get(&attempt).copied() else { return actions };
        let Some(pending) = self.pending.get_mut(&number) else { return actions };
        match pending.judge(attempt, bytes) {
            pending::Judged::Foreign => {}
            pending::Judged::Useless => self.fail(number, attempt, chance, &mut actions),
            pending::Judged::Good(server) => {
                self.best = Some(server);
                let bytes = pending.told(bytes);
                self.finish(number, bytes, &mut actions);
            }
        }
        actions
    }

    /// The socket of an attempt could not be made, or has an error: nobody listens there, or there is no way.
    pub fn failed(&mut self, attempt: u64, chance: Chance<'_>) -> Vec<Action> {
        let mut actions = Vec::new();
        if let Some(number) = self.attempts.get(&attempt).copied() {
            self.fail(number, attempt, chance, &mut actions);
        }
        actions
    }

    /// Time has passed.
    pub fn expire(&mut self, now: Duration, chance: Chance<'_>) -> Vec<Action> {
        let mut actions = Vec::new();
        let due: Vec<u64> = self
            .pending
            .iter()
            .filter(|(_, pending)| pending.due() <= now)
            .map(|(number, _)| *number)
            .collect();
        for number in due {
            match self.pending.get(&number) {
                Some(pending) if pending.is_over(now) => {
                    let bytes = pending.failure();
                    self.finish(number, bytes, &mut actions);
                }
                Some(_) => self.ask_next(number, chance, &mut actions),
                None => {}
            }
        }
        actions
    }

    /// When [`Resolver::expire`] is to be called, if nothing happens before.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        self.pending.values().map(Pending::due).min()
    }

    /// A client's connection is gone: nobody waits for its answers.
    pub fn forget(&mut self, client: Client) -> Vec<Action> {
        let gone: Vec<u64> = self
            .pending
            .iter()
            .filter(|(_, pending)| pending.client == client)
            .map(|(number, _)| *number)
            .collect();
        let mut actions = Vec::new();
        for number in gone {
            self.close(number, &mut actions);
        }
        actions
    }

    /// How many questions others are asked at the moment.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.pending.len()
    }

    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// In which order resolvers are asked: the best one first, or each in its turn.
    fn order(&mut self) -> Vec<Server> {
        self.turns = self.turns.wrapping_add(1);
        let mut servers = self.conf.servers.clone();
        let count = servers.len();
        let first = if self.conf.rotate {
            self.turns.checked_rem(count)
        } else {
            servers.iter().position(|server| Some(server) == self.best.as_ref())
        };
        if let Some(first) = first {
            let server = servers.remove(first);
            servers.insert(0, server);
        }
        servers
    }

    /// Asks the next resolver, if one is left.
    fn ask_next(&mut self, number: u64, chance: Chance<'_>, actions: &mut Vec<Action>) {
        let attempt = self.number();
        let Some(pending) = self.pending.get_mut(&number) else { return };
        let id = chance();
        let Some((server, bytes)) = pending.step(attempt, id) else { return };
        let over = if self.conf.use_tcp { Over::Tcp } else { pending.client.over() };
        self.attempts.insert(attempt, number);
        actions.push(Action::Ask { attempt, server, over, bytes });
    }

    /// An attempt came to nothing.
    fn fail(&mut self, number: u64, attempt: u64, chance: Chance<'_>, actions: &mut Vec<Action>) {
        self.attempts.remove(&attempt);
        actions.push(Action::Close { attempt });
        let Some(pending) = self.pending.get_mut(&number) else { return };
        pending.drop_attempt(attempt);
        if pending.has_fresh() {
            self.ask_next(number, chance, actions);
        } else if pending.is_given_up() {
            let bytes = pending.failure();
            self.finish(number, bytes, actions);
        }
    }

    /// Tells the client, and ends what is still under way.
    fn finish(&mut self, number: u64, bytes: Vec<u8>, actions: &mut Vec<Action>) {
        if let Some(pending) = self.pending.get(&number) {
            actions.push(Action::Answer { client: pending.client, bytes });
        }
        self.close(number, actions);
    }

    fn close(&mut self, number: u64, actions: &mut Vec<Action>) {
        for Asking { attempt, .. } in
            self.pending.remove(&number).map(|pending| pending.asking).unwrap_or_default()
        {
            self.attempts.remove(&attempt);
            actions.push(Action::Close { attempt });
        }
    }
}
