//! Frames as a container's root may send them: reading one ends, and what is built of it is a packet that can be read.
#![no_main]

use std::net::SocketAddr;

use ctr_net::address::Inner;
use ctr_net::policy::{HostAccess, Options, Policy, Protocol, Verdict};
use ctr_net::wire::checksum::Sum;
use ctr_net::wire::ip::Packet;
use ctr_net::wire::segment::head;
use ctr_net::wire::{
    Datagram, Echo, Refused, Segment, Syn, Trouble, Unreachable, trouble, with_checksums,
};

const TROUBLES: [Trouble; 5] =
    [Trouble::Network, Trouble::Host, Trouble::Port, Trouble::Prohibited, Trouble::TooBig(1280)];

/// What may become a flow goes where it says, and to the host's loopback only by the alias, and only where that was asked for.
fn decide(protocol: Protocol, source: SocketAddr, destination: SocketAddr) {
    for access in ["none", "loopback:80-443", "loopback"] {
        let host_access: HostAccess = access.parse().expect("a right");
        let allows = protocol == Protocol::Echo || host_access.allows(destination.port());
        let policy = Policy::new(Inner::default(), Options { host_access, ..Options::default() });
        let Verdict::Connect(to) = policy.decide(protocol, source, destination) else { continue };
        assert!(policy.inner().container(to.ip()) == Some(source.ip()));
        assert_eq!(to.port(), destination.port());
        if policy.inner().is_host(destination.ip()) {
            assert!(allows && to.ip().is_loopback());
            continue;
        }
        assert_eq!(to, destination);
        let to = to.ip().to_canonical();
        assert!(!to.is_loopback() && !to.is_unspecified() && !to.is_multicast());
    }
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    // Which trouble is told of; the highest bit leaves a wrong sum of an IPv4 header as it is.
    let Some((&choice, frame)) = input.split_first() else { return };
    let mut frame = frame.to_vec();
    if choice & 0x80 == 0
        && let Some(header) = frame.get_mut(..20)
        && header[0] >> 4 == 4
    {
        header[10..12].fill(0);
        let sum = Sum::default().over(header).finish();
        header[10..12].copy_from_slice(&sum.to_be_bytes());
    }
    let Ok(packet) = Packet::parse(&frame) else {
        assert!(Syn::parse(&frame, false).is_err() && Datagram::parse(&frame, false).is_err());
        return;
    };
    if let Ok(syn) = Syn::parse(&frame, false) {
        let whole = with_checksums(&frame).expect("a packet to be sent on");
        assert_eq!(Syn::parse(&whole, true), Ok(syn));
        let reset = syn.reset().expect("a reset");
        assert_eq!(Syn::parse(&reset, true), Err(Refused::Flags));
        decide(Protocol::Tcp, syn.source, syn.destination);
    }
    if let Ok(segment) = Segment::parse(&frame, false) {
        let (source, destination) = (segment.source, segment.destination);
        let head = head(source, destination, &segment.header, segment.payload.len()).expect("a head");
        let again = [&head, segment.payload].concat();
        assert_eq!(Segment::parse(&again, false), Ok(segment));
        let whole = with_checksums(&again).expect("a packet to be sent on");
        assert_eq!(Segment::parse(&whole, true), Ok(segment));
    }
    if let Ok(datagram) = Datagram::parse(&frame, false) {
        assert_eq!(Datagram::parse(&datagram.build().expect("a packet"), true), Ok(datagram));
        decide(Protocol::Udp, datagram.source, datagram.destination);
    }
    if let Ok(echo) = Echo::parse(&frame, false) {
        let reply = echo.reply().expect("a reply");
        let reply = Packet::parse(&reply).expect("a packet");
        assert_eq!((reply.source, reply.destination), (echo.destination, echo.source));
        decide(Protocol::Echo, (echo.source, 0).into(), (echo.destination, 0).into());
    }
    if let Ok(said) = Unreachable::parse(&frame, false) {
        assert!(Echo::parse(&frame, false).is_err() && said.about.len() < packet.payload.len());
    }
    let what = TROUBLES[usize::from(choice & 0x7f) % TROUBLES.len()];
    if let Ok(told) = trouble(packet.destination, what, &frame) {
        if !matches!(what, Trouble::TooBig(_)) {
            let said = Unreachable::parse(&told, true).expect("what it says");
            assert!(frame.starts_with(said.about) && said.is_refused == (what == Trouble::Port));
        }
        assert!(told.len() <= if packet.source.is_ipv4() { 576 } else { 1280 });
        assert_eq!(Packet::parse(&told).expect("a packet").destination, packet.source);
        assert_eq!(trouble(packet.destination, what, &told), Err(Refused::Unanswerable));
    }
});
