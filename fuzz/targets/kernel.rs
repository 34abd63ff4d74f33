//! What the kernel says beside packets and of requests: words before a device's and a tap's frames, answers of netlink.
#![no_main]

use ctr_net::foreign::{Whole, answers};
use ctr_net::wire::offload::LENGTH;
use ctr_net::wire::{Offload, Refused};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    match Offload::parse(input) {
        Ok((offload, packet)) => {
            assert_eq!(packet, &input[LENGTH..]);
            // The places of the sum are read back as they are written.
            let again = [&offload.to_bytes()[..], packet].concat();
            assert_eq!(Offload::parse(&again), Ok((offload, packet)));
        }
        Err(refused) => assert!(refused == Refused::Short && input.len() < LENGTH),
    }
    if let Some(Whole { packet, segment }) = Whole::of(input) {
        assert!(input.ends_with(packet) && packet.len() + 24 == input.len() && segment != Some(0));
    }
    // Each takes a header and a number.
    assert!(answers(input).count() <= input.len() / 16);
    assert!(answers(input).all(|(_, errno)| errno != Some(0)));
});
