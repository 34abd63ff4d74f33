use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::wire::segment::{Header, flag};

const MS: Duration = Duration::from_millis(1);
const START: Duration = Duration::from_secs(1);

/// An endpoint with what its program has to say, and what it has heard.
struct End {
    endpoint: Endpoint,
    says: Vec<u8>,
    /// So much of it has arrived.
    arrived: usize,
    /// How far it has been looked at; what is behind it comes in pieces of this size.
    heard: Vec<u8>,
    /// How much its program leaves unread, and what it has read.
    room: usize,
    read: usize,
    has_heard_all: bool,
}

impl End {
    fn new(endpoint: Endpoint, says: Vec<u8>, room: usize) -> Self {
        Self { endpoint, says, arrived: 0, heard: Vec::new(), room, read: 0, has_heard_all: false }
    }

    fn receive(&mut self, header: &Header, payload: &[u8], now: Duration) {
        let most = self.room - (self.heard.len() - self.read);
        let received = self.endpoint.receive(header, payload.len(), most, now);
        self.heard.extend_from_slice(&payload[received.data]);
        self.arrived += received.arrived;
        self.has_heard_all |= received.ended;
        assert!(self.arrived <= self.says.len());
    }

    fn reads(&mut self, count: usize) {
        self.read = (self.read + count).min(self.heard.len());
        self.endpoint.set_room(self.room - (self.heard.len() - self.read));
    }

    /// All segments that it sends now.
    fn speak(&mut self, now: Duration) -> Vec<(Header, Vec<u8>)> {
        let mut said = Vec::new();
        while let Some(span) = self.endpoint.span(now) {
            let from = self.arrived + span.from;
            let piece = &self.says[from..(from + span.most).min(self.says.len())];
            assert!(!span.is_again || !piece.is_empty(), "{span:?}");
            if piece.is_empty() {
                self.endpoint.finish();
                break;
            }
            said.push((self.endpoint.send(span, piece.len(), now), piece.to_vec()));
        }
        while let Some(header) = self.endpoint.speak(now) {
            said.push((header, Vec::new()));
            assert!(said.len() < 10_000, "{header:?}");
        }
        said
    }
}

fn bytes(length: usize, seed: u8) -> Vec<u8> {
    (0..length)
        .map(|at| u8::try_from(at % 251).unwrap() ^ u8::try_from(at / 251 % 256).unwrap() ^ seed)
        .collect()
}

const OPENING: Opening = Opening { first: u32::MAX - 1000, mss: 1460, room: 1 << 16 };

/// What the wire does to one segment.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Arrives,
    Lost,
    Late(u8),
    Twice(u8),
}

/// Two ends, and what is between them.
struct Wire {
    ends: [End; 2],
    now: Duration,
    on_its_way: BTreeMap<(Duration, usize), (usize, Header, Vec<u8>)>,
    count: usize,
    fates: Vec<Fate>,
}

impl Wire {
    fn new(ends: [End; 2], fates: Vec<Fate>) -> Self {
        Self { ends, now: START, on_its_way: BTreeMap::new(), count: 0, fates }
    }

    fn carry(&mut self, to: usize, header: Header, payload: Vec<u8>) {
        // What has a fate has it once: after all of them the wire is a good one.
        let fate = self.fates.get(self.count).copied().unwrap_or(Fate::Arrives);
        let after = |delay: u8| self.now + MS * (u32::from(delay) + 1);
        let at: &[Duration] = match fate {
            Fate::Arrives => &[after(0)],
            Fate::Lost => &[],
            Fate::Late(delay) => &[after(delay)],
            Fate::Twice(delay) => &[after(0), after(delay)],
        };
        self.count += 1;
        for (copy, at) in at.iter().enumerate() {
            self.on_its_way.insert((*at, self.count * 2 + copy), (to, header, payload.clone()));
        }
    }

    fn everybody_speaks(&mut self) {
        for from in [0, 1] {
            for (header, payload) in self.ends[from].speak(self.now) {
                self.carry(1 - from, header, payload);
            }
        }
    }

    /// Goes on to where something happens; false if nothing will.
    fn step(&mut self, reads: [usize; 2]) -> bool {
        self.everybody_speaks();
        let next = self.on_its_way.keys().next().map(|(at, _)| *at);
        let due = self.ends.iter().filter_map(|end| end.endpoint.deadline()).min();
        let Some(at) = next.into_iter().chain(due).min() else { return false };
        self.now = self.now.max(at);
        while let Some(entry) = self.on_its_way.first_entry().filter(|entry| entry.key().0 <= self.now) {
            let (to, header, payload) = entry.remove();
            self.ends[to].receive(&header, &payload, self.now);
        }
        for (end, count) in self.ends.iter_mut().zip(reads) {
            end.endpoint.expire(self.now);
            end.reads(count);
        }
        true
    }

    fn run(&mut self, reads: [usize; 2]) {
        for _ in 0..200_000 {
            if !self.step(reads) {
                return;
            }
        }
        panic!("it has no end: {:?}", self.ends.each_ref().map(|end| &end.endpoint));
    }

    /// Each has heard all that the other said.
    fn assert_complete(&self) {
        let [one, other] = &self.ends;
        for (speaker, hearer) in [(one, other), (other, one)] {
            assert_eq!(hearer.heard.len(), speaker.says.len(), "{:?}", hearer.endpoint);
            assert!(hearer.heard == speaker.says, "other bytes");
            assert_eq!(speaker.arrived, speaker.says.len());
            assert!(hearer.has_heard_all);
            assert_eq!(hearer.endpoint.phase(), Phase::Ended);
        }
    }
}

/// A caller, and who answers its first segment.
fn connected(says: [Vec<u8>; 2], openings: [Opening; 2], fates: Vec<Fate>) -> Wire {
    let mut caller = Endpoint::connect(openings[0]);
    let first = caller.speak(START).expect("a first segment");
    assert!(first.begins());
    let callee = Endpoint::accept(&first, openings[1]);
    let [one, other] = says;
    Wire::new([End::new(caller, one, openings[0].room), End::new(callee, other, openings[1].room)], fates)
}

#[test]
fn two_ends_tell_each_other_everything() {
    for (one, other) in [(0, 0), (1, 0), (0, 1), (100_000, 300_000)] {
        let mut wire = connected([bytes(one, 1), bytes(other, 2)], [OPENING; 2], Vec::new());
        wire.run([usize::MAX >> 1; 2]);
        wire.assert_complete();
        assert!(wire.now < START + Duration::from_secs(4), "nobody waited: {:?}", wire.now);
    }
}

#[test]
fn both_may_ask_at_once() {
    let ends = [1, 2].map(|seed| End::new(Endpoint::connect(OPENING), bytes(5000, seed), 1 << 16));
    let mut wire = Wire::new(ends, Vec::new());
    wire.run([1 << 16; 2]);
    wire.assert_complete();
}

#[test]
fn a_peer_that_takes_nothing_is_asked_until_it_does() {
    let mut wire = connected([bytes(200_000, 1), Vec::new()], [OPENING; 2], Vec::new());
    for _ in 0..200 {
        assert!(wire.step([0, 0]), "it is asked");
    }
    let heard = wire.ends[1].heard.len();
    assert!((1 << 16) - 128 < heard && heard <= 1 << 16, "as much as there was room for: {heard}");
    assert!(wire.now > START + Duration::from_secs(600), "and for ever: {:?}", wire.now);
    // What says that there is room again is lost.
    wire.fates = vec![Fate::Arrives; wire.count];
    wire.fates.extend([Fate::Lost; 4]);
    wire.run([1 << 16; 2]);
    wire.assert_complete();
}

#[test]
fn one_segment_that_is_lost_is_not_waited_for() {
    let fates = [vec![Fate::Arrives; 8], vec![Fate::Lost]].concat();
    let mut wire = connected([bytes(60_000, 1), Vec::new()], [OPENING; 2], fates);
    while wire.ends[1].heard.len() < 60_000 {
        wire.step([1 << 16; 2]);
    }
    assert!(wire.now < START + MS * 100, "it was sent again at once: {:?}", wire.now);
}

#[test]
fn windows_count_as_they_are_scaled() {
    let wide = Opening { room: 4 << 20, ..OPENING };
    let mut wire = connected([bytes(3 << 20, 1), Vec::new()], [wide; 2], Vec::new());
    let mut most = 0;
    while wire.step([0, 0]) && wire.ends[1].heard.len() < 3 << 20 {
        wire.everybody_speaks();
        let waiting: usize = wire.on_its_way.values().map(|(_, _, payload)| payload.len()).sum();
        most = most.max(waiting);
    }
    assert!(most > 1 << 19, "{most}");
}

#[test]
fn nobody_is_spoken_to_for_ever() {
    let fates = vec![Fate::Lost; 1000];
    let mut wire = connected([bytes(10, 1), Vec::new()], [OPENING; 2], fates);
    wire.run([0, 0]);
    let [caller, callee] = wire.ends.each_ref().map(|end| end.endpoint.phase());
    assert_eq!((caller, callee), (Phase::Broken, Phase::Broken));
    assert!(wire.now > START + Duration::from_secs(10) && wire.now < START + Duration::from_secs(20));
    let mut wire = connected([bytes(10, 1), Vec::new()], [OPENING; 2], Vec::new());
    while wire.ends[0].endpoint.phase() != Phase::Open {
        wire.step([0, 0]);
    }
    wire.fates = vec![Fate::Lost; 1000];
    wire.run([0, 0]);
    assert_eq!(wire.ends[0].endpoint.phase(), Phase::Broken);
}

/// One that is connected and has said and heard nothing, and the last segment of its peer.
fn open() -> (Endpoint, Header) {
    let mut caller = Endpoint::connect(OPENING);
    let first = caller.speak(START).expect("a first segment");
    let mut callee = Endpoint::accept(&first, Opening { first: 7000, ..OPENING });
    let answer = callee.speak(START).expect("an answer");
    assert!(caller.receive(&answer, 0, 0, START).opened);
    let last = caller.speak(START).expect("an acknowledgement");
    assert!(callee.receive(&last, 0, 0, START).opened);
    (callee, last)
}

fn answer(endpoint: &mut Endpoint, header: &Header, now: Duration) -> Option<Header> {
    assert_eq!(endpoint.receive(header, 0, 1 << 16, now), Received::default());
    endpoint.speak(now)
}

#[test]
fn a_reset_counts_only_with_the_number_that_is_next() {
    let (mut endpoint, last) = open();
    let reset = Header { flags: flag::RST, ..last };
    let guess = |by: u32| Header { sequence: last.sequence.wrapping_add(by), ..reset };
    for beyond in [u32::MAX, 1 << 20, 0x8000_0000] {
        assert_eq!(answer(&mut endpoint, &guess(beyond), START), None, "{beyond}");
    }
    let challenge = answer(&mut endpoint, &guess(100), START).expect("a challenge");
    assert_eq!((challenge.flags, challenge.acknowledgement), (flag::ACK, last.sequence));
    assert_eq!(answer(&mut endpoint, &guess(100), START), None, "once for a while");
    assert!(answer(&mut endpoint, &guess(100), START + MS * 200).is_some());
    assert_eq!(endpoint.phase(), Phase::Open);
    answer(&mut endpoint, &reset, START);
    assert_eq!(endpoint.phase(), Phase::Broken);
}

#[test]
fn a_first_segment_in_a_connection_is_challenged() {
    for by in [0, 5, 1 << 20, u32::MAX - 5000] {
        let (mut endpoint, last) = open();
        let again = Header { sequence: last.sequence.wrapping_add(by), flags: flag::SYN, ..last };
        let challenge = answer(&mut endpoint, &again, START).expect("a challenge");
        assert_eq!((challenge.flags, challenge.acknowledgement), (flag::ACK, last.sequence), "{by}");
        assert_eq!(endpoint.phase(), Phase::Open);
    }
}

#[test]
fn acknowledgements_of_what_nobody_said_count_for_nothing() {
    let (mut endpoint, last) = open();
    for by in [1, 1 << 30, 0x8000_0000, u32::MAX - (1 << 26)] {
        let header = Header { acknowledgement: last.acknowledgement.wrapping_add(by), ..last };
        let received = endpoint.receive(&header, 100, 1 << 16, START);
        assert_eq!(received, Received::default(), "{by}");
    }
    assert_eq!(endpoint.receive(&last, 100, 1 << 16, START).data, 0..100);
    // Bytes without any acknowledgement.
    let header = Header { sequence: last.sequence.wrapping_add(100), flags: flag::PSH, ..last };
    assert_eq!(endpoint.receive(&header, 100, 1 << 16, START), Received::default());
}

#[test]
fn a_first_segment_that_comes_again_has_the_same_answer() {
    let mut caller = Endpoint::connect(OPENING);
    let first = caller.speak(START).expect("a first segment");
    let mut callee = Endpoint::accept(&first, OPENING);
    let answer = callee.speak(START).expect("an answer");
    assert_eq!(answer.flags, flag::SYN | flag::ACK);
    assert_eq!(callee.speak(START), None);
    callee.receive(&first, 0, 0, START);
    assert_eq!(callee.speak(START), Some(answer));
    // A wrong answer to it ends nothing.
    let wrong =
        Header { sequence: first.sequence.wrapping_add(1), acknowledgement: 5, flags: flag::ACK, ..first };
    callee.receive(&wrong, 0, 0, START);
    let refusal = callee.speak(START).expect("a refusal");
    assert_eq!((refusal.flags, refusal.sequence), (flag::RST, 5));
    assert_eq!(callee.phase(), Phase::Opening);
}

#[test]
fn a_refused_caller_knows_it() {
    let mut caller = Endpoint::connect(OPENING);
    let first = caller.speak(START).expect("a first segment");
    // One that answers something else.
    let other = Header { acknowledgement: 5, ..first.refusal(0) };
    caller.receive(&other, 0, 0, START);
    assert_eq!(caller.phase(), Phase::Opening);
    caller.receive(&first.refusal(0), 0, 0, START);
    assert_eq!(caller.phase(), Phase::Broken);
}

#[test]
fn a_peer_that_is_still_in_an_earlier_connection_is_asked_again_at_once() {
    let mut caller = Endpoint::connect(OPENING);
    let first = caller.speak(START).expect("a first segment");
    let late = Header { sequence: 9000, acknowledgement: 77, flags: flag::ACK, ..Header::default() };
    caller.receive(&late, 0, 0, START);
    let refusal = caller.speak(START).expect("a refusal");
    assert_eq!((refusal.flags, refusal.sequence), (flag::RST, 77));
    assert_eq!((caller.speak(START), caller.speak(START)), (Some(first), None));
}

#[test]
fn who_asks_knows_its_first_segment_until_there_is_an_answer() {
    let mut caller = Endpoint::connect(OPENING);
    let first = caller.speak(START).expect("a first segment");
    assert!(caller.asks_with(first.sequence) && !caller.asks_with(first.sequence.wrapping_add(1)));
    let answer = Endpoint::accept(&first, OPENING).speak(START).expect("an answer");
    assert!(caller.receive(&answer, 0, 0, START).opened);
    assert!(!caller.asks_with(first.sequence));
}

#[test]
fn who_ended_first_answers_what_is_late_for_a_while() {
    let mut wire = connected([bytes(10, 1), bytes(10, 2)], [OPENING; 2], Vec::new());
    while wire.ends[0].endpoint.phase() != Phase::Lingering {
        assert!(wire.step([0, 0]));
    }
    let now = wire.now;
    for sequence in [OPENING.first.wrapping_add(1 << 20), OPENING.first.wrapping_sub(1 << 20)] {
        let [begins, goes_on] =
            [flag::SYN, flag::ACK].map(|flags| Header { sequence, flags, ..Header::default() });
        assert!(wire.ends[0].endpoint.gives_way(&begins) && !wire.ends[0].endpoint.gives_way(&goes_on));
    }
    wire.run([0, 0]);
    assert!(wire.now <= now + Duration::from_secs(2));
    assert_eq!(wire.ends[0].endpoint.phase(), Phase::Ended);
}

#[test]
fn a_reset_of_ours_is_one_that_the_peer_believes() {
    let mut wire = connected([bytes(3000, 1), bytes(9000, 2)], [OPENING; 2], Vec::new());
    while wire.ends[0].endpoint.phase() != Phase::Open {
        wire.step([1 << 16; 2]);
    }
    wire.step([1 << 16; 2]);
    let reset = wire.ends[0].endpoint.reset();
    wire.carry(1, reset, Vec::new());
    wire.run([1 << 16; 2]);
    assert_eq!(wire.ends.each_ref().map(|end| end.endpoint.phase()), [Phase::Broken; 2]);
}

#[test]
fn a_peer_without_options_is_spoken_to_as_it_can_hear() {
    let mut caller = Endpoint::connect(OPENING);
    let first = Header { mss: None, scale: None, ..caller.speak(START).expect("a first segment") };
    let mut callee = Endpoint::accept(&first, Opening { room: 1 << 20, ..OPENING });
    let answer = callee.speak(START).expect("an answer");
    assert_eq!((answer.scale, answer.window, callee.mss()), (None, u16::MAX, 536));
    caller.receive(&answer, 0, 0, START);
    let last = caller.speak(START).expect("an acknowledgement");
    assert!(callee.receive(&last, 0, 0, START).opened);
    assert!(callee.span(START).is_some_and(|span| span.most <= 5360));
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        4 => Just(Fate::Arrives),
        1 => Just(Fate::Lost),
        1 => (1u8..60).prop_map(Fate::Late),
        1 => (1u8..250).prop_map(Fate::Twice),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_the_wire_does_each_hears_what_the_other_said(
        lengths: (u16, u16),
        firsts: (u32, u32),
        rooms in (2_000usize..200_000, 2_000usize..200_000),
        reads in (1usize..100_000, 1usize..100_000),
        masses in (100u16..9000, 100u16..9000),
        fates in proptest::collection::vec(fate(), 0..400),
    ) {
        let openings = [
            Opening { first: firsts.0, mss: masses.0, room: rooms.0 },
            Opening { first: firsts.1, mss: masses.1, room: rooms.1 },
        ];
        let says = [bytes(lengths.0.into(), 1), bytes(lengths.1.into(), 2)];
        let mut wire = connected(says, openings, fates);
        // Who gives up, gives up for good; as it is, nobody is silent for so long.
        wire.run([reads.0, reads.1]);
        let broken = wire.ends.iter().any(|end| end.endpoint.phase() == Phase::Broken);
        prop_assert!(!broken || wire.now > START + Duration::from_secs(10));
        if !broken {
            wire.assert_complete();
        }
    }

    #[test]
    fn nothing_that_is_sent_breaks_an_endpoint(
        segments in proptest::collection::vec((any::<u8>(), 0u32..70_000, 0u32..70_000, any::<u16>(), 0usize..3000), 0..100),
    ) {
        let (mut endpoint, last) = open();
        let (mut now, mut sent, mut arrived) = (START, 0, 0);
        for (flags, sequence, acknowledgement, window, length) in segments {
            let header = Header {
                sequence: last.sequence.wrapping_add(sequence).wrapping_sub(500),
                acknowledgement: last.acknowledgement.wrapping_add(acknowledgement).wrapping_sub(500),
                flags, window, ..Header::default()
            };
            let received = endpoint.receive(&header, length, 1000, now);
            arrived += received.arrived;
            prop_assert!(received.data.end <= length && received.data.len() <= 1000 && arrived <= sent);
            while let Some(span) = endpoint.span(now) {
                prop_assert!(span.most > 0);
                endpoint.send(span, span.most, now);
                sent = sent.max(arrived + span.from + span.most);
            }
            for _ in 0..100 {
                endpoint.speak(now);
            }
            prop_assert!(endpoint.speak(now).is_none());
            now += MS * 50;
            endpoint.expire(now);
        }
    }
}
