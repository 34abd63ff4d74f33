//! Where there is no router: the container's packets, all of them, and those that it gets.
//!
//! ```text
//! device ──▶ TCP   an endpoint of [`crate::stack`] for each connection ◀──▶ a socket of the host's
//!            UDP   the same as by a router, but that the datagrams are made here
//!            ICMP  echoes
//!            the gateway's own: names, and its echo
//! ```
//! What is read here nobody has looked at. The policy is asked once for each flow, as everywhere.

mod stream;
mod streams;

use std::io::IoSlice;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::event::epoll;
use rustix::io::{Errno, read, writev};
use rustix::rand::{GetRandomFlags, getrandom};

use self::streams::{Said, Streams};
use super::tcp::Pair;
use super::{Netd, udp};
use crate::dns::resolver::Client;
use crate::policy::{Protocol, Verdict};
use crate::router::RESOLVER;
use crate::wire::ip::Packet;
use crate::wire::offload::{self, Offload};
use crate::wire::{Datagram, Echo, Pieces, Refused, Segment, Unreachable, number};

/// How many packets are taken at a time.
const TURN: usize = 64;
/// Bytes of the longest packet with what stands before it.
const LONGEST: usize = offload::LENGTH + (64 << 10);
/// How often as many, until what came is answered and others get their turn: each answer wakes who speaks.
const TURNS: usize = 4;
/// How many bytes of packets are taken at a time: what is more is out of the processor's memory before it is passed on.
const ROOM: usize = 1 << 20;

/// What there is instead of a router's sockets.
#[derive(Debug)]
pub(super) struct Tun {
    device: OwnedFd,
    pub(super) streams: Streams,
    /// What the container's kernel has cut.
    pieces: Pieces,
    /// The packets of a turn: only what was touched counts.
    packets: Vec<u8>,
    /// Connections count time from here.
    start: Instant,
    /// The container's root has taken it away.
    is_gone: bool,
}

impl Tun {
    pub(super) fn new(device: OwnedFd, start: Instant) -> Self {
        Self {
            device,
            streams: Streams::default(),
            pieces: Pieces::default(),
            packets: vec![0; ROOM],
            start,
            is_gone: false,
        }
    }

    pub(super) fn device(&self) -> BorrowedFd<'_> {
        self.device.as_fd()
    }
}

/// How often another port is tried for somebody outside whose own is taken.
const PORTS: usize = 16;
/// The first of the ports that callers have.
const EPHEMERAL: u16 = 32_768;

/// The addresses of a new flow from outside. Two who look alike to the container are told apart by a port.
pub(super) fn free_pair((container, remote): Pair, is_free: impl Fn(&Pair) -> bool) -> Option<Pair> {
    let others = std::iter::repeat_with(|| {
        let [high, low, ..] = chance().to_be_bytes();
        SocketAddr::new(remote.ip(), EPHEMERAL | u16::from_be_bytes([high, low]))
    });
    let remotes = std::iter::once(remote).chain(others.take(PORTS));
    remotes.map(|remote| (container, remote)).find(is_free)
}

/// Thirty-two bits that nobody can guess.
fn chance() -> u32 {
    let mut bytes = [0; 4];
    // The kernel has as many as anybody wants once it has booted.
    while !matches!(getrandom(&mut bytes, GetRandomFlags::empty()), Ok(4)) {}
    u32::from_ne_bytes(bytes)
}

/// Sends a packet in pieces. One that does not arrive is lost.
fn write(device: BorrowedFd<'_>, offload: Offload, pieces: [&[u8]; 2]) {
    let before = offload.to_bytes();
    let [head, rest] = pieces;
    writev(device, &[IoSlice::new(&before), IoSlice::new(head), IoSlice::new(rest)]).ok();
}

impl Netd {
    /// Takes the container's packets; whether there may be more.
    pub(super) fn read_device(&mut self) -> bool {
        let Some(tun) = &mut self.tun else { return false };
        let mut packets = std::mem::take(&mut tun.packets);
        let has_more = (0..TURNS).all(|_| self.pass_on_packets(&mut packets));
        if let Some(tun) = &mut self.tun {
            tun.packets = packets;
        }
        self.answer_streams();
        has_more
    }

    /// Takes as many packets as there is room for, and passes on what they say.
    fn pass_on_packets(&mut self, mut room: &mut [u8]) -> bool {
        let mut said = Said::new();
        let (mut has_more, mut is_lost) = (true, false);
        for _ in 0..TURN {
            let Some(tun) = &self.tun else { break };
            if room.len() < LONGEST {
                break;
            }
            match read(&tun.device, &mut *room) {
                Ok(length) => {
                    let (packet, rest) = room.split_at_mut(length.min(room.len()));
                    room = rest;
                    self.take_packet(packet, &mut said);
                }
                Err(Errno::INTR) => {}
                Err(errno) => {
                    has_more = false;
                    is_lost = errno == Errno::BADFD;
                    break;
                }
            }
        }
        self.settle_streams(said);
        if is_lost {
            self.lose_device();
        }
        has_more
    }

    /// The container's root has taken its interface away: there is nobody at the other end of anything.
    fn lose_device(&mut self) {
        let Some(tun) = &mut self.tun else { return };
        tun.is_gone = true;
        // It would be told for ever.
        epoll::delete(&self.epoll, &tun.device).ok();
        self.drop_all_flows();
    }

    fn take_packet<'a>(&mut self, frame: &'a [u8], said: &mut Said<'a>) {
        let Ok((offload, packet)) = Offload::parse(frame) else { return };
        // A sum that is still to be made is that of a sender who has lost nothing on the way.
        let is_summed = offload.sum.is_none();
        match Packet::parse(packet).map(|packet| packet.number) {
            Ok(number::TCP) => match Segment::parse(packet, is_summed) {
                Ok(segment) => self.take_segment(&segment, packet, said),
                Err(refused) => self.counters.passes_over(refused),
            },
            Err(Refused::Fragment) => self.take_piece(packet),
            _ => self.take_message(packet, is_summed, false),
        }
    }

    /// A piece of a packet: what was cut was cut with its sum.
    fn take_piece(&mut self, piece: &[u8]) {
        let Some(tun) = &mut self.tun else { return };
        match tun.pieces.take(piece, self.now) {
            Ok(None) => {}
            Ok(Some(packet)) => self.take_message(&packet, true, true),
            Err(refused) => self.counters.passes_over(refused),
        }
    }

    /// All but a segment.
    fn take_message(&mut self, packet: &[u8], is_summed: bool, in_pieces: bool) {
        match Packet::parse(packet).map(|packet| packet.number) {
            Ok(number::UDP) => match Datagram::parse(packet, is_summed) {
                Ok(Datagram { source, destination, payload }) => {
                    let said = udp::Said { bytes: payload, segment: None, in_pieces };
                    self.take_datagram((source, destination), said);
                }
                Err(refused) => self.counters.passes_over(refused),
            },
            // Whatever else a kernel says to its neighbours is for nobody here.
            Ok(_) => {
                if let Ok(echo) = Echo::parse(packet, is_summed) {
                    self.ask_for_echo(&echo, packet);
                } else if let Ok(told) = Unreachable::parse(packet, is_summed) {
                    self.hear_unreachable(&told);
                }
            }
            Err(refused) => self.counters.passes_over(refused),
        }
    }

    fn take_datagram(&mut self, pair: Pair, said: udp::Said<'_>) {
        let is_served = self.inner.is_gateway(pair.1.ip()) && pair.1.port() == RESOLVER;
        if is_served && self.decide(Protocol::Udp, pair.0, pair.1) == Verdict::Router {
            return self.ask(Client { address: pair.0, stream: None }, said.bytes);
        }
        self.caught(pair, said);
    }

    /// Sends a whole packet to the container.
    pub(super) fn write_packet(&self, packet: &[u8]) {
        if let Some(tun) = &self.tun {
            write(tun.device(), Offload::default(), [packet, &[]]);
        }
    }

    /// Sends the container a datagram.
    pub(super) fn write_datagram(&self, (container, remote): Pair, payload: &[u8]) {
        let datagram = Datagram { source: remote, destination: container, payload };
        if let Ok(packet) = datagram.build() {
            self.write_packet(&packet);
        }
    }

    /// What the resolver says.
    pub(super) fn write_answer(&self, to: SocketAddr, payload: &[u8]) {
        self.write_datagram((to, SocketAddr::new(self.gateway_of(to.ip()), RESOLVER)), payload);
    }

    /// The gateway's own answer to an echo, where no kernel gives it.
    pub(super) fn echo_of_gateway(&self, echo: &Echo<'_>) {
        if self.tun.is_some()
            && let Ok(packet) = echo.reply()
        {
            self.write_packet(&packet);
        }
    }
}
