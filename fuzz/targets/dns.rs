//! Messages of containers and of resolvers: each question is answered once, and what is sent can be read.
//!
//! An input is a row of events: what happens, the length of its bytes, and the bytes.
#![no_main]

use std::collections::BTreeMap;
use std::time::Duration;

use ctr_net::address::Inner;
use ctr_net::dns::names::Called;
use ctr_net::dns::{Action, Client, Message, Names, ResolvConf, Resolver, Stream};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let mut names = Names::new(Inner::default(), &Called::default());
    names.add("web", &[[10, 0, 2, 100].into()]);
    let conf = ResolvConf::parse(b"nameserver 192.0.2.1\nnameserver fe80::1%eth0\noptions attempts:3");
    let mut resolver = Resolver::new(names, conf);
    let (mut now, mut id) = (Duration::ZERO, 0u16);
    let mut chance = || {
        id = id.wrapping_add(1);
        id
    };
    // The id with which an attempt asked.
    let mut open: BTreeMap<u64, [u8; 2]> = BTreeMap::new();
    let mut stream = Stream::new(4096, now);
    let mut rest = input;
    while let [what, length, after @ ..] = rest {
        let (bytes, after) = after.split_at(usize::from(*length).min(after.len()));
        rest = after;
        let client =
            Client { address: ([10, 0, 2, 100], 40000).into(), stream: (what & 8 != 0).then_some(1) };
        let attempt =
            open.keys().nth(usize::from(what >> 4) % open.len().max(1)).copied().unwrap_or_default();
        let actions = match what & 7 {
            0 | 1 => resolver.query(client, bytes, now, &mut chance),
            2 | 3 => {
                // With the right id, which no guess would reach.
                let mut bytes = bytes.to_vec();
                if let (Some(place), Some(id)) = (bytes.first_chunk_mut(), open.get(&attempt)) {
                    *place = *id;
                }
                resolver.answer(attempt, &bytes, &mut chance)
            }
            4 => resolver.failed(attempt, &mut chance),
            5 => resolver.forget(client),
            6 => {
                now += Duration::from_millis(u64::from(*length) * 10);
                resolver.expire(now, &mut chance)
            }
            _ => {
                let read = stream.read(bytes, now).unwrap_or_default();
                read.iter().flat_map(|question| resolver.query(client, question, now, &mut chance)).collect()
            }
        };
        for action in actions {
            match action {
                Action::Answer { bytes, .. } => assert!(bytes.len() >= 12),
                Action::Ask { attempt, bytes, .. } => {
                    assert!(Message::parse(&bytes).is_ok());
                    assert_eq!(open.insert(attempt, *bytes.first_chunk().expect("an id")), None);
                }
                Action::Close { attempt } => assert!(open.remove(&attempt).is_some(), "closed once"),
            }
        }
    }
    // Silence ends, and leaves nothing.
    let mut steps = 0;
    while let Some(due) = resolver.deadline() {
        now = now.max(due);
        for action in resolver.expire(now, &mut chance) {
            match action {
                Action::Answer { bytes, .. } => assert!(bytes.len() >= 12),
                Action::Ask { attempt, .. } => drop(open.insert(attempt, [0, 0])),
                Action::Close { attempt } => drop(open.remove(&attempt)),
            }
        }
        steps += 1;
        assert!(steps < 10_000);
    }
    assert!(open.is_empty() && resolver.waiting() == 0);
});
