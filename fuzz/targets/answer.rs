//! Whatever a host answers, its head and its body are read to an end: never more than came, and in whatever pieces it comes.
#![no_main]

use std::io::Read as _;

use ctr_registry::http::{Frames, Head, Method};

/// All of a body, or nothing if it is none, read in pieces of a size.
fn body(framing: ctr_registry::http::Framing, mut bytes: &[u8], piece: usize) -> Option<Vec<u8>> {
    let (mut frames, mut body, mut some) = (Frames::new(framing), Vec::new(), vec![0; piece]);
    loop {
        match frames.read(&mut bytes.by_ref(), &mut some).ok()? {
            0 => break,
            size => body.extend_from_slice(&some[..size]),
        }
    }
    assert!(frames.is_over());
    Some(body)
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(Some((head, length))) = Head::parse(bytes) else { return };
    assert!(length <= bytes.len());
    // What is there as a whole is read as the same, whatever follows it.
    assert_eq!(Head::parse(&bytes[..length]).expect("a head").expect("whole").0, head);
    for method in [Method::Get, Method::Head] {
        let Ok(framing) = head.framing(method) else { continue };
        let rest = &bytes[length..];
        let one = body(framing, rest, 1);
        assert_eq!(one, body(framing, rest, 4096));
        assert!(one.is_none_or(|body| body.len() <= rest.len()));
    }
});
