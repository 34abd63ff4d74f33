//! Segments as a container's root may send them: an endpoint never takes or gives up what was not there, and always comes to rest.
//!
//! An input is a row of events of eight bytes: flags, how far the numbers are from those that are expected, the window, how many bytes,
//! and how much time passes.
#![no_main]

use std::time::Duration;

use ctr_net::stack::{Endpoint, Opening, Phase};
use ctr_net::wire::segment::Header;

/// What can be taken of one segment.
const MOST: usize = 5000;
const FIRST: u32 = u32::MAX - 3000;
const PEERS: u32 = 0x7fff_ff00;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let (events, _) = input.as_chunks::<8>();
    let Some((begin, events)) = events.split_first() else { return };
    let [how, mss_high, mss_low, scale, window_high, window_low, ends_after, room] = *begin;
    let opening = Opening { first: FIRST, mss: 1460, room: (usize::from(room) + 1) << 10 };
    let first = Header {
        sequence: PEERS,
        flags: 2,
        window: u16::from_be_bytes([window_high, window_low]),
        mss: (how & 1 != 0).then_some(u16::from_be_bytes([mss_high, mss_low])),
        scale: (how & 2 != 0).then_some(scale),
        ..Header::default()
    };
    let mut endpoint = if how & 4 == 0 { Endpoint::accept(&first, opening) } else { Endpoint::connect(opening) };
    let mut now = Duration::from_secs(1);
    assert!(endpoint.speak(now).is_some_and(|first| first.has(2)) && endpoint.speak(now).is_none());
    // Bytes that were sent, that have arrived, and that came.
    let (mut sent, mut arrived, mut came) = (0, 0, 0);
    let all = usize::from(ends_after) << 6;
    for &[flags, sequence, sequence_low, acknowledged, acknowledged_low, window, length, time] in events {
        let far = |high: u8, low: u8| u32::from(u16::from_be_bytes([high, low])).wrapping_sub(256);
        let header = Header {
            sequence: PEERS.wrapping_add(u32::try_from(came).unwrap_or(0)).wrapping_add(far(sequence, sequence_low)),
            acknowledgement: FIRST.wrapping_add(u32::try_from(arrived).unwrap_or(0)).wrapping_add(far(acknowledged, acknowledged_low)),
            flags: flags & 0x3f,
            window: u16::from(window) << 4,
            ..if flags & 0x40 == 0 { Header::default() } else { first }
        };
        let length = usize::from(length) << 5;
        let received = endpoint.receive(&header, length, MOST, now);
        arrived += received.arrived;
        came += received.data.len();
        assert!(received.data.end <= length && received.data.len() <= MOST);
        assert!(arrived <= sent, "what was not sent has arrived");
        while let Some(span) = endpoint.span(now) {
            assert!(span.most > 0 && (span.is_again || arrived + span.from >= sent));
            let rest = all.max(sent).saturating_sub(arrived + span.from);
            if rest == 0 {
                endpoint.finish();
                continue;
            }
            let count = span.most.min(rest);
            endpoint.send(span, count, now);
            sent = sent.max(arrived + span.from + count);
        }
        let mut spoken = 0;
        while endpoint.speak(now).is_some() {
            spoken += 1;
            assert!(spoken < 100, "it has no end");
        }
        endpoint.set_room(usize::from(room.wrapping_add(time)) << 8);
        now += Duration::from_millis(u64::from(time) * 4);
        endpoint.expire(now);
        assert!(endpoint.deadline().is_none_or(|due| due > now), "it would be looked at for ever");
    }
    // Silence ends what waits for an answer.
    let mut steps = 0;
    while let Some(due) = endpoint.deadline() {
        now = now.max(due);
        endpoint.expire(now);
        while let Some(span) = endpoint.span(now) {
            let rest = all.max(sent).saturating_sub(arrived + span.from);
            if rest == 0 {
                endpoint.finish();
                continue;
            }
            endpoint.send(span, span.most.min(rest), now);
            sent = sent.max(arrived + span.from + span.most.min(rest));
        }
        while endpoint.speak(now).is_some() {}
        steps += 1;
        assert!(steps < 100, "somebody who is silent is waited for");
    }
    assert!(matches!(endpoint.phase(), Phase::Open | Phase::Ended | Phase::Broken));
});
