use super::super::Name;
use super::super::message::Data;
use super::super::names::Called;
use super::*;
use crate::address::Inner;

const NOW: Duration = Duration::from_secs(1000);

fn after(millis: u64) -> Duration {
    NOW + Duration::from_millis(millis)
}

fn client(port: u16) -> Client {
    Client { address: ([10, 0, 2, 100], port).into(), stream: None }
}

fn stream(number: u64) -> Client {
    Client { stream: Some(number), ..client(9) }
}

fn asked(name: &str, id: u16) -> Vec<u8> {
    message::question(id, &Name::from_text(name).unwrap(), kind::A)
}

/// A resolver of a host, and chance that counts.
struct Bench {
    resolver: Resolver,
    chance: u16,
}

fn bench(conf: &str) -> Bench {
    let mut names = Names::new(Inner::default(), &Called::default());
    names.add("web", &[[10, 0, 2, 100].into()]);
    Bench { resolver: Resolver::new(names, ResolvConf::parse(conf.as_bytes())), chance: 0x7000 }
}

const TWO: &str = "nameserver 192.0.2.1\nnameserver 192.0.2.2";

/// An attempt as it was to be made: its number, whom it asks, and the id.
type Asked = (u64, String, u16);

impl Bench {
    fn act(&mut self, act: impl FnOnce(&mut Resolver, Chance<'_>) -> Vec<Action>) -> Vec<Action> {
        let Self { resolver, chance } = self;
        act(resolver, &mut || {
            *chance += 1;
            *chance
        })
    }

    fn query(&mut self, client: Client, bytes: &[u8]) -> Vec<Action> {
        self.act(|resolver, chance| resolver.query(client, bytes, NOW, chance))
    }

    fn ask(&mut self, client: Client, bytes: &[u8]) -> Asked {
        one_asked(&self.query(client, bytes))
    }

    fn answer(&mut self, attempt: u64, bytes: &[u8]) -> Vec<Action> {
        self.act(|resolver, chance| resolver.answer(attempt, bytes, chance))
    }

    fn fail(&mut self, attempt: u64) -> Vec<Action> {
        self.act(|resolver, chance| resolver.failed(attempt, chance))
    }

    fn expire(&mut self, now: Duration) -> Vec<Action> {
        self.act(|resolver, chance| resolver.expire(now, chance))
    }
}

fn all_asked(actions: &[Action]) -> Vec<Asked> {
    let asked = |action: &Action| match action {
        Action::Ask { attempt, server, bytes, .. } => {
            Some((*attempt, server.address.to_string(), u16::from_be_bytes(*bytes.first_chunk().unwrap())))
        }
        _ => None,
    };
    actions.iter().filter_map(asked).collect()
}

fn one_asked(actions: &[Action]) -> Asked {
    match &all_asked(actions)[..] {
        [asked] => asked.clone(),
        other => panic!("{other:?} of {actions:?}"),
    }
}

/// The one answer: whose, its id and its code.
fn told(actions: &[Action]) -> (Client, u16, u16) {
    let answers: Vec<_> = actions
        .iter()
        .filter_map(|action| match action {
            Action::Answer { client, bytes } => {
                let word = |at: usize| u16::from_be_bytes(*bytes[at..].first_chunk().unwrap());
                Some((*client, word(0), word(2) & 15))
            }
            _ => None,
        })
        .collect();
    assert_eq!(answers.len(), 1, "{actions:?}");
    answers[0]
}

/// What a resolver says to a question.
fn said(name: &str, id: u16, code: u16) -> Vec<u8> {
    let mut bytes = asked(name, id);
    bytes[2..4].copy_from_slice(&(0x8180 | code).to_be_bytes());
    bytes
}

#[test]
fn an_own_name_is_answered_and_asked_of_nobody() {
    let mut bench = bench(TWO);
    let actions = bench.query(client(1), &asked("WEB", 5));
    let [Action::Answer { bytes, .. }] = &actions[..] else { panic!("{actions:?}") };
    let answer = Message::parse(bytes).unwrap();
    assert_eq!((answer.id, &answer.answers[0].data), (5, &Data::Address([10, 0, 2, 100].into())));
    assert_eq!(told(&bench.query(client(1), &asked("db.dns.podman", 6))), (client(1), 6, 3));
    assert_eq!(bench.resolver.waiting(), 0);
}

#[test]
fn an_answer_goes_to_who_asked_with_its_id() {
    let mut bench = bench(TWO);
    let (attempt, server, id) = bench.ask(client(1), &asked("example.com", 5));
    assert_eq!((server.as_str(), id), ("192.0.2.1", 0x7001));
    let actions = bench.answer(attempt, &said("Example.COM", id, 0));
    assert_eq!(told(&actions), (client(1), 5, 0));
    assert!(actions.contains(&Action::Close { attempt }));
    assert_eq!((bench.resolver.waiting(), bench.resolver.deadline()), (0, None));
    assert!(bench.answer(attempt, &said("example.com", id, 0)).is_empty(), "once");
}

#[test]
fn a_guess_is_no_answer() {
    let mut bench = bench("nameserver 192.0.2.1");
    let (attempt, _, id) = bench.ask(client(1), &asked("example.com", 5));
    assert!(bench.answer(attempt, &said("example.com", id ^ 1, 0)).is_empty());
    assert!(bench.answer(attempt, &said("example.org", id, 0)).is_empty());
    assert!(bench.answer(attempt, &asked("example.com", id)).is_empty(), "a question is none");
    assert!(bench.answer(attempt + 1, &said("example.com", id, 0)).is_empty(), "nobody's socket");
    assert!(bench.answer(attempt, b"?").is_empty());
    for _ in 0..11 {
        assert!(bench.answer(attempt, &said("example.com", id ^ 2, 0)).is_empty());
    }
    // Sixteen are an attack: the socket goes.
    let actions = bench.answer(attempt, &said("example.com", id ^ 3, 0));
    assert!(actions.contains(&Action::Close { attempt }));
    assert_eq!(told(&actions), (client(1), 5, 2));
}

#[test]
fn who_hesitates_is_overtaken_and_the_faster_one_is_remembered() {
    let mut bench = bench(TWO);
    let (first, ..) = bench.ask(client(1), &asked("example.com", 5));
    assert_eq!(bench.resolver.deadline(), Some(after(500)));
    assert!(bench.expire(after(499)).is_empty());
    let (second, server, id) = one_asked(&bench.expire(after(500)));
    assert_eq!(server, "192.0.2.2");
    let actions = bench.answer(second, &said("example.com", id, 3));
    assert_eq!(told(&actions), (client(1), 5, 3));
    for attempt in [first, second] {
        assert!(actions.contains(&Action::Close { attempt }), "{attempt} of {actions:?}");
    }
    assert_eq!(bench.ask(client(1), &asked("example.org", 6)).1, "192.0.2.2");
    // A resolver that the host has no longer is not the best.
    bench.resolver.configure(ResolvConf::parse(b"nameserver 192.0.2.3\nnameserver 192.0.2.4"));
    assert_eq!(bench.ask(client(1), &asked("example.net", 7)).1, "192.0.2.3");
}

#[test]
fn who_fails_is_followed_at_once_and_all_that_fail_are_told() {
    let mut bench = bench(TWO);
    let (first, ..) = bench.ask(client(1), &asked("example.com", 5));
    let (second, server, id) = one_asked(&bench.fail(first));
    assert_eq!(server, "192.0.2.2");
    let refused = bench.answer(second, &said("example.com", id, 5));
    assert_eq!(told(&refused), (client(1), 5, 5), "what one said is told");
    let (first, ..) = bench.ask(client(1), &asked("example.com", 6));
    let (second, ..) = one_asked(&bench.fail(first));
    assert_eq!(told(&bench.fail(second)), (client(1), 6, 2));
    assert_eq!(bench.resolver.waiting(), 0);
    // Only the id and a code: no question to compare.
    let (first, _, id) = bench.ask(client(1), &asked("example.com", 7));
    let [high, low] = id.to_be_bytes();
    let bare = [high, low, 0x81, 0x81, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(one_asked(&bench.answer(first, &bare)).1, "192.0.2.2");
}

#[test]
fn silence_ends() {
    let mut bench = bench(TWO);
    bench.query(client(1), &asked("example.com", 5));
    let mut asked = vec![("192.0.2.1".to_owned(), NOW)];
    let (mut end, mut last) = (None, NOW);
    while let Some(due) = bench.resolver.deadline() {
        assert!(due > last, "time goes on");
        last = due;
        let actions = bench.expire(due);
        asked.extend(all_asked(&actions).into_iter().map(|(_, server, _)| (server, due)));
        end = Some(actions);
    }
    let asked: Vec<_> = asked.iter().map(|(server, at)| (server.as_str(), (*at - NOW).as_millis())).collect();
    assert_eq!(asked, [("192.0.2.1", 0), ("192.0.2.2", 500), ("192.0.2.1", 1500), ("192.0.2.2", 2000)]);
    assert_eq!((told(&end.unwrap()), last), ((client(1), 5, 2), after(4500)));
    assert_eq!(bench.resolver.waiting(), 0);
}

#[test]
fn who_asks_again_waits_and_who_asks_too_much_is_refused() {
    let mut bench = bench(TWO);
    bench.ask(client(1), &asked("example.com", 5));
    assert!(bench.query(client(1), &asked("EXAMPLE.com", 5)).is_empty());
    assert_eq!(bench.resolver.waiting(), 1);
    for id in 1..200 {
        bench.query(client(1000 + id), &asked("example.com", id));
    }
    assert_eq!(bench.resolver.waiting(), limits::DNS_PENDING_OF_ONE);
    assert_eq!(told(&bench.query(client(2), &asked("example.com", 7))), (client(2), 7, 2));
    let other = Client { address: ([10, 0, 2, 101], 1).into(), stream: None };
    assert_eq!(bench.ask(other, &asked("example.com", 7)).1, "192.0.2.1");
    assert_eq!(told(&bench.query(client(1), &asked("web", 8))), (client(1), 8, 0), "own names always");
    for one in 0..4 {
        for id in 0..u16::try_from(limits::DNS_PENDING_OF_ONE).unwrap() {
            let client = Client { address: ([10, 0, 3, one], 1).into(), stream: None };
            bench.query(client, &asked("example.com", id));
        }
    }
    assert_eq!(bench.resolver.waiting(), limits::DNS_PENDING);
}

#[test]
fn what_is_too_long_for_a_client_is_cut_and_said_to_be() {
    let mut bench = bench("nameserver 192.0.2.1");
    let long = |id| {
        let mut bytes = said("example.com", id, 0);
        bytes[7] = 40;
        bytes.extend(b"\xc0\x0c\x00\x01\x00\x01\0\0\0\x01\x00\x04\x01\x02\x03\x04".repeat(40));
        bytes
    };
    let (attempt, _, id) = bench.ask(client(1), &asked("example.com", 5));
    let actions = bench.answer(attempt, &long(id));
    let Some(Action::Answer { bytes, .. }) = actions.first() else { panic!("{actions:?}") };
    let answer = Message::parse(bytes).unwrap();
    assert!(answer.is_truncated() && answer.answers.is_empty() && bytes.len() <= 512);
    let actions = bench.query(stream(3), &asked("example.com", 5));
    let [Action::Ask { attempt, over: Over::Tcp, .. }] = actions[..] else { panic!("{actions:?}") };
    let actions = bench.answer(attempt, &long(one_asked(&actions).2));
    let Some(Action::Answer { client, bytes }) = actions.first() else { panic!("{actions:?}") };
    assert_eq!((*client, Message::parse(bytes).unwrap().answers.len()), (stream(3), 40));
}

#[test]
fn what_a_resolver_cut_is_passed_on() {
    let mut bench = bench("nameserver 192.0.2.1");
    let (attempt, _, id) = bench.ask(client(1), &asked("example.com", 5));
    let mut cut = said("example.com", id, 0);
    cut[2] |= 2;
    let actions = bench.answer(attempt, &cut);
    let Some(Action::Answer { bytes, .. }) = actions.first() else { panic!("{actions:?}") };
    assert!(Message::parse(bytes).unwrap().is_truncated());
}

#[test]
fn a_host_that_asks_over_tcp_or_in_turn_is_followed() {
    let mut bench = bench(&format!("{TWO}\noptions use-vc rotate attempts:1"));
    let mut servers = Vec::new();
    for id in 0..4 {
        let actions = bench.query(client(1), &asked("example.com", id));
        let [Action::Ask { over: Over::Tcp, server, .. }] = &actions[..] else { panic!("{actions:?}") };
        servers.push(server.address);
    }
    servers.sort();
    servers.dedup();
    assert_eq!(servers.len(), 2);
}

#[test]
fn nobody_waits_for_the_answers_of_a_connection_that_is_gone() {
    let mut bench = bench(TWO);
    let (attempt, ..) = one_asked(&bench.query(stream(3), &asked("example.com", 5)));
    bench.query(stream(4), &asked("example.com", 5));
    assert_eq!(bench.resolver.forget(stream(3)), [Action::Close { attempt }]);
    assert_eq!(bench.resolver.waiting(), 1);
    assert!(bench.fail(attempt).is_empty());
}

#[test]
fn what_is_no_question_for_us_is_refused() {
    let mut bench = bench(TWO);
    let mut code = |bytes: &[u8]| told(&bench.query(client(1), bytes)).2;
    let changed = |at: usize, to: u8| {
        let mut bytes = asked("example.com", 5);
        bytes[at] = to;
        bytes
    };
    assert_eq!(code(&changed(2, 0x28)), 4, "an update");
    assert_eq!(code(&changed(5, 2)), 1, "two questions");
    assert_eq!(code(&asked("example.com", 5)[..14]), 1);
    let kind = asked("example.com", 5).len() - 3;
    assert_eq!(code(&changed(kind, 252)), 5, "a zone");
    assert_eq!(code(&changed(kind + 2, 3)), 5, "another class");
    let mut long = asked("example.com", 5);
    long.resize(limits::DNS_QUESTION + 1, 0);
    assert_eq!(code(&long), 1);
    let mut version = asked("example.com", 5);
    version[11] = 1;
    version.extend_from_slice(b"\0\0\x29\x10\0\0\x01\0\0\0\0");
    assert_eq!(code(&version), 0, "its upper bits say so");
    for silent in [&b"short"[..], &said("example.com", 5, 0)] {
        assert!(bench.query(client(1), silent).is_empty());
    }
    assert_eq!(bench.resolver.waiting(), 0);
}
