//! Pieces of packets as a container's root may send them: what comes out of them is a packet of their length, and little is kept.
//!
//! An input is a row of frames, each behind its length.
#![no_main]

use std::time::{Duration, Instant};

use ctr_net::wire::Pieces;
use ctr_net::wire::checksum::Sum;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let (mut pieces, mut now, mut rest) = (Pieces::default(), Instant::now(), input);
    let mut carried = 0;
    while let Some((&[length, time], more)) = rest.split_first_chunk::<2>() {
        let (frame, more) = more.split_at(usize::from(length).min(more.len()));
        rest = more;
        now += Duration::from_millis(u64::from(time) << 6);
        let mut frame = frame.to_vec();
        if let Some(header) = frame.get_mut(..20)
            && header[0] >> 4 == 4
        {
            header[10..12].fill(0);
            let sum = Sum::default().over(header).finish();
            header[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        carried += frame.len();
        if let Ok(Some(packet)) = pieces.take(&frame, now) {
            let is_four = packet[0] >> 4 == 4;
            let at = if is_four { 2 } else { 4 };
            let length = usize::from(u16::from_be_bytes([packet[at], packet[at + 1]]));
            assert_eq!(packet.len(), if is_four { length } else { length + 40 });
            assert!(packet.len() <= carried, "nothing comes out that did not come in");
            assert!(!is_four || packet[6] == 0 && packet[7] == 0);
            assert!(!is_four || Sum::default().over(&packet[..20]).finish() == 0);
        }
    }
});
