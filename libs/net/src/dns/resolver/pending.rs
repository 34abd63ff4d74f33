//! One question that others are asked.

use std::time::Duration;

use super::super::message::{self, Code, Message, PLAIN, Question};
use super::super::resolv_conf::{ResolvConf, Server};
use super::Client;

/// How long a resolver may hesitate before the next one is asked as well.
const HESITATION: Duration = Duration::from_millis(500);
/// How long before one is asked again, whose question or answer may be lost.
const AGAIN: Duration = Duration::from_millis(1500);
/// How long all of it takes at most: libc asks again after five seconds.
const ALL: Duration = Duration::from_millis(4500);
/// Messages with the wrong id or question on one socket: more of them are somebody's guesses.
const GUESSES: u32 = 16;

/// A resolver that was asked and has said nothing yet.
#[derive(Debug)]
pub(super) struct Asking {
    pub(super) attempt: u64,
    server: Server,
    id: u16,
    guesses: u32,
}

/// What an answer is worth.
pub(super) enum Judged {
    /// It is not that of the one who was asked, to the question.
    Foreign,
    /// Somebody else may know more.
    Useless,
    /// It is the answer, from this resolver.
    Good(Server),
}

#[derive(Debug)]
pub(super) struct Pending {
    pub(super) client: Client,
    /// The client's question as it came.
    bytes: Vec<u8>,
    id: u16,
    question: Question,
    /// Bytes that the client takes.
    most: u16,
    order: Vec<Server>,
    /// How many times somebody may be asked.
    steps: usize,
    /// How many times somebody was asked.
    taken: usize,
    begun: Duration,
    pub(super) asking: Vec<Asking>,
    /// What a resolver said that knew nothing.
    useless: Option<Vec<u8>>,
}

impl Pending {
    pub(super) fn new(
        client: Client,
        asked: &Message<'_>,
        bytes: Vec<u8>,
        most: u16,
        order: Vec<Server>,
        conf: &ResolvConf,
        now: Duration,
    ) -> Self {
        let times = usize::try_from(conf.attempts).unwrap_or(1);
        Self {
            client,
            bytes,
            id: asked.id,
            question: asked.question.clone(),
            most,
            steps: order.len() * times,
            order,
            taken: 0,
            begun: now,
            asking: Vec::new(),
            useless: None,
        }
    }

    /// Whether it is this client's question, asked again.
    pub(super) fn is_of(&self, client: Client, id: u16, question: &Question) -> bool {
        self.client == client && self.id == id && self.question == *question
    }

    /// When something is to be done about it.
    pub(super) fn due(&self) -> Duration {
        let count = u32::try_from(self.order.len().max(1)).unwrap_or(u32::MAX);
        let taken = u32::try_from(self.taken).unwrap_or(u32::MAX);
        let round = HESITATION.saturating_mul(count).max(AGAIN);
        let next =
            HESITATION.saturating_mul(taken % count).saturating_add(round.saturating_mul(taken / count));
        let after = if self.taken < self.steps { next.min(ALL) } else { ALL };
        self.begun.saturating_add(after)
    }

    pub(super) fn is_over(&self, now: Duration) -> bool {
        now >= self.begun.saturating_add(ALL)
    }

    /// The next to be asked, and the question with the attempt's own id.
    pub(super) fn step(&mut self, attempt: u64, id: u16) -> Option<(Server, Vec<u8>)> {
        if self.taken >= self.steps {
            return None;
        }
        let server = self.order.get(self.taken.checked_rem(self.order.len())?)?.clone();
        self.taken += 1;
        self.asking.push(Asking { attempt, server: server.clone(), id, guesses: 0 });
        Some((server, with_id(&self.bytes, id)))
    }

    /// What a message on the socket of an attempt is worth.
    pub(super) fn judge(&mut self, attempt: u64, bytes: &[u8]) -> Judged {
        let Some(asking) = self.asking.iter_mut().find(|asking| asking.attempt == attempt) else {
            return Judged::Foreign;
        };
        let has_id = bytes.first_chunk() == Some(&asking.id.to_be_bytes());
        let answer = Message::parse(bytes);
        match answer {
            Ok(answer) if has_id && answer.is_answer() && answer.question == self.question => {
                if answer.is_decisive() {
                    return Judged::Good(asking.server.clone());
                }
                self.useless = Some(bytes.to_vec());
                Judged::Useless
            }
            // Some say no more than that they did not understand.
            Err(_) if has_id => Judged::Useless,
            _ => {
                asking.guesses += 1;
                if asking.guesses < GUESSES { Judged::Foreign } else { Judged::Useless }
            }
        }
    }

    pub(super) fn drop_attempt(&mut self, attempt: u64) {
        self.asking.retain(|asking| asking.attempt != attempt);
    }

    /// Whether there is one who was not asked at all.
    pub(super) fn has_fresh(&self) -> bool {
        self.taken < self.order.len()
    }

    /// Whether each was asked, and nobody is waited for.
    pub(super) fn is_given_up(&self) -> bool {
        self.asking.is_empty() && !self.has_fresh()
    }

    /// A resolver's answer as the client gets it.
    pub(super) fn told(&self, bytes: &[u8]) -> Vec<u8> {
        if bytes.len() <= usize::from(self.most) {
            return with_id(bytes, self.id);
        }
        match Message::parse(&self.bytes) {
            Ok(asked) => message::truncated(&asked),
            Err(_) => with_id(bytes.get(..PLAIN.into()).unwrap_or(bytes), self.id),
        }
    }

    /// What the client gets if nobody knows.
    pub(super) fn failure(&self) -> Vec<u8> {
        match (&self.useless, Message::parse(&self.bytes)) {
            (Some(useless), _) => self.told(useless),
            (None, Ok(asked)) => message::reply(&asked, Code::ServerFailure, &[], self.most),
            (None, Err(_)) => message::fault(&self.bytes, Code::ServerFailure).unwrap_or_default(),
        }
    }
}

/// The same message with another id.
fn with_id(bytes: &[u8], id: u16) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if let Some(place) = bytes.first_chunk_mut() {
        *place = id.to_be_bytes();
    }
    bytes
}
