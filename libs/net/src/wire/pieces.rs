//! Packets that were cut, put together again (RFC 791 §3.2, RFC 8200 §4.5), where no kernel does it before us.
//!
//! Who sends the pieces may be anybody who can send frames, so all is bounded: how many packets are waited for, how long, and of how many
//! separate parts one may consist meanwhile. Pieces that overlap end their packet, as they do with Linux and must with IPv6 (RFC 5722): two
//! who put them together in different ways would read different packets. What has come out is a packet like any other, of which nothing
//! has been checked yet.
//!
//! TCP is not put together: no kernel cuts it, and a connection does not begin with a piece.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use super::ip::{HEADER4, HEADER6, LONGEST, complete};
use super::{Refused, checksum, number};

/// How many packets are waited for at a time; the oldest makes way.
const MOST: usize = 32;
/// How long, as in Linux.
const PATIENCE: Duration = Duration::from_secs(30);
/// Of how many parts with something missing between them one may consist.
const PARTS: usize = 64;
/// What comes before a piece in IPv6.
const FRAGMENT: u8 = 44;
/// Bytes of that.
const FRAGMENT_HEADER: usize = 8;

/// What pieces of one packet have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Id {
    source: IpAddr,
    destination: IpAddr,
    number: u8,
    id: u32,
}

/// One of them.
#[derive(Clone, Copy, Debug)]
struct Piece<'a> {
    id: Id,
    /// What stands before it.
    header: &'a [u8],
    /// Where it belongs.
    at: usize,
    bytes: &'a [u8],
    is_last: bool,
}

impl<'a> Piece<'a> {
    fn parse(frame: &'a [u8]) -> Result<Self, Refused> {
        let piece = match frame.first().ok_or(Refused::Short)? >> 4 {
            4 => Self::four(frame),
            6 => Self::six(frame),
            _ => Err(Refused::Version),
        }?;
        let fits = piece.at + piece.bytes.len() <= LONGEST;
        if piece.bytes.is_empty() || !fits || !piece.is_last && piece.bytes.len() % 8 != 0 {
            return Err(Refused::Length);
        }
        if piece.id.number == number::TCP {
            return Err(Refused::Fragment);
        }
        Ok(piece)
    }

    fn four(frame: &'a [u8]) -> Result<Self, Refused> {
        let fields = frame.first_chunk::<HEADER4>().ok_or(Refused::Short)?;
        if fields[0] & 0x0f != 5 {
            return Err(Refused::Options);
        }
        let total = usize::from(u16::from_be_bytes([fields[2], fields[3]]));
        let (header, bytes) =
            frame.get(..total).and_then(|whole| whole.split_at_checked(HEADER4)).ok_or(Refused::Length)?;
        if !checksum::holds(checksum::Sum::default().over(header)) {
            return Err(Refused::Checksum);
        }
        let [.., a, b, c, d, e, f, g, h] = *fields;
        let place = u16::from_be_bytes([fields[6], fields[7]]);
        let id = Id {
            source: Ipv4Addr::new(a, b, c, d).into(),
            destination: Ipv4Addr::new(e, f, g, h).into(),
            number: fields[9],
            id: u16::from_be_bytes([fields[4], fields[5]]).into(),
        };
        let (at, is_last) = (usize::from(place & 0x1fff) * 8, place & 0x2000 == 0);
        Ok(Self { id, header, at, bytes, is_last })
    }

    fn six(frame: &'a [u8]) -> Result<Self, Refused> {
        let (fields, rest) = frame.split_first_chunk::<HEADER6>().ok_or(Refused::Short)?;
        // Whatever else may stand before it nobody sends.
        if fields[6] != FRAGMENT {
            return Err(Refused::Extension);
        }
        let length = usize::from(u16::from_be_bytes([fields[4], fields[5]]));
        let rest = rest.get(..length).ok_or(Refused::Length)?;
        let (&[number, _, high, low, id @ ..], bytes) =
            rest.split_first_chunk::<FRAGMENT_HEADER>().ok_or(Refused::Short)?;
        let address = |at: usize| -> Option<IpAddr> {
            let octets: [u8; 16] = *fields.get(at..)?.first_chunk()?;
            Some(Ipv6Addr::from(octets).into())
        };
        let (source, destination) = address(8).zip(address(24)).ok_or(Refused::Short)?;
        let place = u16::from_be_bytes([high, low]);
        let id = Id { source, destination, number, id: u32::from_be_bytes(id) };
        let header = frame.get(..HEADER6).ok_or(Refused::Short)?;
        Ok(Self { id, header, at: usize::from(place & 0xfff8), bytes, is_last: place & 1 == 0 })
    }
}

/// A packet of which something is missing.
#[derive(Debug)]
struct Parts {
    id: Id,
    begun: Instant,
    /// Of the piece that is the first.
    header: Vec<u8>,
    bytes: Vec<u8>,
    /// From where to where there is something, in order; what touches is one.
    there: Vec<(usize, usize)>,
    length: Option<usize>,
}

impl Parts {
    const fn new(id: Id, begun: Instant) -> Self {
        Self { id, begun, header: Vec::new(), bytes: Vec::new(), there: Vec::new(), length: None }
    }

    /// Takes a piece in; `None` ends the packet.
    fn take(&mut self, piece: &Piece<'_>) -> Option<()> {
        let (from, to) = (piece.at, piece.at + piece.bytes.len());
        if self.there.iter().any(|(start, end)| *start <= from && to <= *end)
            && self.bytes.get(from..to) == Some(piece.bytes)
        {
            // It came twice.
            return Some(());
        }
        let place = self.there.partition_point(|(start, _)| *start < from);
        let before = place.checked_sub(1).and_then(|place| self.there.get(place));
        let is_free = before.is_none_or(|(_, end)| *end <= from)
            && self.there.get(place).is_none_or(|(start, _)| to <= *start);
        let end = self.there.last().map_or(0, |(_, end)| *end);
        let fits = match self.length {
            Some(length) => to <= length && !piece.is_last,
            None => !piece.is_last || end <= to,
        };
        if !is_free || !fits || self.there.len() >= PARTS {
            return None;
        }
        self.there.insert(place, (from, to));
        self.there.dedup_by(|next, one| {
            let touch = one.1 == next.0;
            if touch {
                one.1 = next.1;
            }
            touch
        });
        if piece.is_last {
            self.length = Some(to);
        }
        if from == 0 {
            piece.header.clone_into(&mut self.header);
        }
        if self.bytes.len() < to {
            self.bytes.resize(to, 0);
        }
        self.bytes.get_mut(from..to)?.copy_from_slice(piece.bytes);
        Some(())
    }

    fn is_whole(&self) -> bool {
        self.length.is_some_and(|length| self.there == [(0, length)])
    }

    /// The packet as it was before it was cut.
    fn packet(mut self) -> Result<Vec<u8>, Refused> {
        let mut packet = std::mem::take(&mut self.header);
        packet.append(&mut self.bytes);
        let length = if self.id.source.is_ipv4() { packet.len() } else { packet.len() - HEADER6 };
        let [high, low] = u16::try_from(length).map_err(|_too_long| Refused::Length)?.to_be_bytes();
        let header = packet.first_chunk_mut::<HEADER4>().ok_or(Refused::Short)?;
        if self.id.source.is_ipv4() {
            (header[2], header[3]) = (high, low);
            (header[6], header[7]) = (0, 0);
            complete(&mut packet)?;
        } else {
            (header[4], header[5], header[6]) = (high, low, self.id.number);
        }
        Ok(packet)
    }
}

/// Packets of which something is missing.
#[derive(Debug, Default)]
pub struct Pieces(Vec<Parts>);

impl Pieces {
    /// Takes a piece of a packet; the whole packet, where that was the last that was missing.
    pub fn take(&mut self, frame: &[u8], now: Instant) -> Result<Option<Vec<u8>>, Refused> {
        let piece = Piece::parse(frame)?;
        self.0.retain(|parts| now.saturating_duration_since(parts.begun) < PATIENCE);
        let mut parts = match self.0.iter().position(|parts| parts.id == piece.id) {
            Some(at) => self.0.remove(at),
            None => Parts::new(piece.id, now),
        };
        parts.take(&piece).ok_or(Refused::Fragment)?;
        if parts.is_whole() {
            return parts.packet().map(Some);
        }
        if self.0.len() >= MOST {
            self.0.remove(0);
        }
        // In the order in which they began.
        let at = self.0.partition_point(|other| other.begun <= parts.begun);
        self.0.insert(at, parts);
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::ip::{Packet, build};
    use super::*;

    /// A packet of each family that carries something.
    fn whole(carried: &[u8]) -> [Vec<u8>; 2] {
        let six = ["fd00::100", "2001:db8::1"].map(|address| address.parse().unwrap());
        let four: [IpAddr; 2] = [[10, 0, 2, 100].into(), [192, 0, 2, 1].into()];
        [four, six].map(|[from, to]| build(from, to, 17, 0, carried).unwrap())
    }

    /// The piece of a packet from one place to another.
    fn piece(packet: &[u8], id: u8, from: usize, to: usize) -> Vec<u8> {
        let is_four = packet[0] >> 4 == 4;
        let (header, carried) = packet.split_at(if is_four { HEADER4 } else { HEADER6 });
        let place = u16::try_from(from).unwrap();
        let follows = to < carried.len();
        let mut cut = header.to_vec();
        if is_four {
            let [high, low] = u16::try_from(HEADER4 + to - from).unwrap().to_be_bytes();
            (cut[2], cut[3], cut[5]) = (high, low, id);
            [cut[6], cut[7]] = ((place / 8) | if follows { 0x2000 } else { 0 }).to_be_bytes();
            cut.extend_from_slice(&carried[from..to]);
            complete(&mut cut).unwrap();
        } else {
            let [high, low] = u16::try_from(FRAGMENT_HEADER + to - from).unwrap().to_be_bytes();
            (cut[4], cut[5], cut[6]) = (high, low, FRAGMENT);
            let [high, low] = (place | u16::from(follows)).to_be_bytes();
            cut.extend_from_slice(&[header[6], 0, high, low, 0, 0, 0, id]);
            cut.extend_from_slice(&carried[from..to]);
        }
        cut
    }

    /// A packet in pieces of so many bytes.
    fn cut(packet: &[u8], id: u8, size: usize) -> Vec<Vec<u8>> {
        let length = packet.len() - if packet[0] >> 4 == 4 { HEADER4 } else { HEADER6 };
        let pieces = (0..length).step_by(size);
        pieces.map(|from| piece(packet, id, from, length.min(from + size))).collect()
    }

    fn carried(packet: &[u8]) -> Vec<u8> {
        let packet = Packet::parse(packet).unwrap();
        assert_eq!(packet.number, 17);
        packet.payload.to_vec()
    }

    fn take_all(pieces: &mut Pieces, all: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let now = Instant::now();
        all.iter().filter_map(|piece| pieces.take(piece, now).unwrap()).collect()
    }

    #[test]
    fn a_packet_of_one_piece_is_whole_at_once() {
        for packet in whole(b"alone") {
            let put_together = take_all(&mut Pieces::default(), &cut(&packet, 1, 8));
            assert_eq!(carried(&put_together[0]), b"alone");
        }
    }

    #[test]
    fn what_overlaps_ends_its_packet() {
        for packet in whole(&[7; 64]) {
            for (from, to) in [(8, 24), (0, 24), (16, 40), (24, 48), (8, 64), (40, 64)] {
                let (mut pieces, now) = (Pieces::default(), Instant::now());
                let mut other = packet.clone();
                *other.last_mut().unwrap() = 8;
                for there in [piece(&packet, 1, 0, 16), piece(&packet, 1, 24, 48)] {
                    assert_eq!(pieces.take(&there, now), Ok(None));
                }
                if (from, to) == (24, 48) {
                    // The same once more is no harm.
                    assert_eq!(pieces.take(&piece(&other, 1, from, to), now), Ok(None));
                } else {
                    assert_eq!(pieces.take(&piece(&other, 1, from, to), now), Err(Refused::Fragment));
                    assert!(pieces.0.is_empty());
                }
            }
        }
    }

    #[test]
    fn what_lies_behind_the_end_ends_its_packet() {
        for (short, long) in whole(&[7; 32]).into_iter().zip(whole(&[7; 64])) {
            for (one, other) in [((8, 32), (40, 48)), ((8, 32), (40, 64))] {
                let now = Instant::now();
                let two = [piece(&short, 1, one.0, one.1), piece(&long, 1, other.0, other.1)];
                for order in [[0, 1], [1, 0]] {
                    let mut pieces = Pieces::default();
                    let taken = order.map(|at| pieces.take(&two[at], now));
                    assert_eq!(taken, [Ok(None), Err(Refused::Fragment)]);
                }
            }
        }
    }

    #[test]
    fn what_is_no_piece_is_refused() {
        let now = Instant::now();
        let refused = |frame: &[u8]| Pieces::default().take(frame, now).unwrap_err();
        for packet in whole(&[7; 64]) {
            let good = piece(&packet, 1, 0, 16);
            for length in 0..good.len() {
                assert!(matches!(refused(&good[..length]), Refused::Short | Refused::Length), "{length}");
            }
            // Not of eight bytes, or of none.
            assert_eq!(refused(&piece(&packet, 1, 0, 12)), Refused::Length);
            assert_eq!(refused(&piece(&packet, 1, 8, 8)), Refused::Length);
        }
        let [four, six] = whole(&[7; 65_000]);
        let mut beyond = piece(&four, 1, 0, 16);
        [beyond[6], beyond[7]] = 0x1fff_u16.to_be_bytes();
        complete(&mut beyond).unwrap();
        assert_eq!(refused(&beyond), Refused::Length);
        assert_eq!(refused(&six), Refused::Extension);
        let mut segment = piece(&six, 1, 0, 16);
        segment[HEADER6] = number::TCP;
        assert_eq!(refused(&segment), Refused::Fragment);
        let mut wrong = piece(&four, 1, 0, 16);
        wrong[8] ^= 1;
        assert_eq!(refused(&wrong), Refused::Checksum);
    }

    #[test]
    fn nobody_is_waited_for_without_an_end() {
        let now = Instant::now();
        for packet in whole(&[7; 1024]) {
            let mut pieces = Pieces::default();
            for id in 0..200 {
                assert_eq!(pieces.take(&piece(&packet, id, 0, 8), now), Ok(None));
            }
            assert_eq!(pieces.0.len(), MOST);
            // The last of them is there still, and the first has made way.
            assert!(pieces.take(&piece(&packet, 199, 8, 1024), now).unwrap().is_some());
            assert_eq!(pieces.take(&piece(&packet, 0, 8, 1024), now), Ok(None));
            assert_eq!(pieces.take(&piece(&packet, 198, 8, 1024), now + PATIENCE), Ok(None));
            assert_eq!(pieces.0.len(), 1);
            // Every other piece of one.
            let mut pieces = Pieces::default();
            let taken = (0..64).map(|at| pieces.take(&piece(&packet, 1, at * 16, at * 16 + 8), now));
            assert!(taken.last().unwrap().is_ok());
            let [_, longer] = whole(&[7; 4096]);
            let taken = (0..200).map(|at| pieces.take(&piece(&longer, 2, at * 16, at * 16 + 8), now));
            assert!(taken.collect::<Vec<_>>().contains(&Err(Refused::Fragment)));
        }
    }

    proptest! {
        #[test]
        fn pieces_in_any_order_are_the_packet(
            length in 1usize..4000,
            units in 1usize..40,
            order: Vec<usize>,
            twice: bool,
        ) {
            let bytes: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect();
            for packet in whole(&bytes) {
                let size = (units * 8).max(length / 32 / 8 * 8 + 8);
                let mut all = cut(&packet, 1, size);
                let count = all.len();
                order.iter().enumerate().for_each(|(at, to)| all.swap(at % count, to % count));
                if twice && count > 1 {
                    all.insert(1, all[0].clone());
                }
                let put_together = take_all(&mut Pieces::default(), &all);
                prop_assert_eq!(put_together.len(), 1);
                prop_assert_eq!(carried(&put_together[0]), bytes.clone());
            }
        }
    }
}
