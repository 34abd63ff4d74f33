//! Segments of TCP (RFC 9293 §3.1), for a connection that is ended in user space.
//!
//! Of the options two are read: the greatest segment and the scale of windows (RFC 7323 §2), which only count in the first segment.
//! All others are passed over, and what is no row of options ends the reading of them, as with the kernel.

use std::net::{IpAddr, SocketAddr};

use super::checksum::{self, Sum};
use super::ip::{self, Packet};
use super::{Refused, number, sum};

/// Bytes of a header without options.
pub const HEADER: usize = 20;
/// Where the sum is in a header.
pub const SUM: u16 = 16;

/// The bits of a header.
pub mod flag {
    /// The sender has said all.
    pub const FIN: u8 = 0x01;
    /// It is the first.
    pub const SYN: u8 = 0x02;
    /// There is no such connection.
    pub const RST: u8 = 0x04;
    /// Not to be kept back.
    pub const PSH: u8 = 0x08;
    /// The number of what is expected next counts.
    pub const ACK: u8 = 0x10;
    /// ECN-echo and congestion window reduced: a first segment has both (RFC 3168 §6.1.1) or none.
    pub const ECN: u8 = 0xc0;
}

/// What a header says but for the ports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The number of its first byte.
    pub sequence: u32,
    /// The number that is expected next.
    pub acknowledgement: u32,
    /// See [`flag`].
    pub flags: u8,
    /// How many bytes more are taken, before it is scaled.
    pub window: u16,
    /// The greatest segment that is taken.
    pub mss: Option<u16>,
    /// By how many bits windows are shifted.
    pub scale: Option<u8>,
}

impl Header {
    /// Whether all of these bits are set.
    #[must_use]
    pub const fn has(&self, flags: u8) -> bool {
        self.flags & flags == flags
    }

    /// Whether it may begin a connection.
    #[must_use]
    pub const fn begins(&self) -> bool {
        self.flags & !flag::ECN == flag::SYN && matches!(self.flags & flag::ECN, 0 | flag::ECN)
    }

    /// What tells the sender of a segment that there is no such connection (§3.10.7.1).
    #[must_use]
    pub fn refusal(&self, length: usize) -> Self {
        if self.has(flag::ACK) {
            return Self { sequence: self.acknowledgement, flags: flag::RST, ..Self::default() };
        }
        // The first and the last have a number too.
        let ends = u32::from(self.has(flag::SYN)) + u32::from(self.has(flag::FIN));
        let length = u32::try_from(length).unwrap_or_default();
        let next = self.sequence.wrapping_add(length).wrapping_add(ends);
        Self { acknowledgement: next, flags: flag::RST | flag::ACK, ..Self::default() }
    }
}

/// A segment in its packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// Who sent it.
    pub source: SocketAddr,
    /// Whom it is for.
    pub destination: SocketAddr,
    /// What it says.
    pub header: Header,
    /// What it carries.
    pub payload: &'a [u8],
}

impl<'a> Segment<'a> {
    /// Reads a frame; of `checksum_ready` see [`super::Syn::parse`].
    pub fn parse(frame: &'a [u8], checksum_ready: bool) -> Result<Self, Refused> {
        let packet = Packet::parse(frame)?;
        let bytes = packet.carries(number::TCP, number::TCP)?;
        let (fixed, rest) = bytes.split_first_chunk::<HEADER>().ok_or(Refused::Short)?;
        let offset = usize::from(fixed[12] >> 4) * 4;
        let options = offset.checked_sub(HEADER).ok_or(Refused::HeaderLength)?;
        let (options, payload) = rest.split_at_checked(options).ok_or(Refused::HeaderLength)?;
        let source = SocketAddr::new(packet.source, u16::from_be_bytes([fixed[0], fixed[1]]));
        let destination = SocketAddr::new(packet.destination, u16::from_be_bytes([fixed[2], fixed[3]]));
        if checksum_ready && !checksum::holds(sum(source, destination, number::TCP, bytes)?) {
            return Err(Refused::Checksum);
        }
        let flags = fixed[13];
        let (mss, scale) = if flags & flag::SYN == 0 { (None, None) } else { read(options) };
        let header = Header {
            sequence: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            acknowledgement: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
            flags,
            window: u16::from_be_bytes([fixed[14], fixed[15]]),
            mss,
            scale,
        };
        Ok(Self { source, destination, header, payload })
    }
}

/// The greatest segment and the scale of windows.
fn read(mut options: &[u8]) -> (Option<u16>, Option<u8>) {
    let (mut mss, mut scale) = (None, None);
    loop {
        options = match *options {
            [1, ref rest @ ..] => rest,
            [2, 4, high, low, ref rest @ ..] => {
                mss = Some(u16::from_be_bytes([high, low]));
                rest
            }
            [3, 3, shift, ref rest @ ..] => {
                scale = Some(shift);
                rest
            }
            // The end, no length, or one that cannot be.
            [] | [0, ..] | [_] | [_, 0 | 1, ..] => return (mss, scale),
            [_, length, ..] => options.get(usize::from(length)..).unwrap_or_default(),
        };
    }
}

/// Everything before the bytes that a segment carries; its sum is that of the pseudo header, for somebody else to make whole.
pub fn head(
    source: SocketAddr,
    destination: SocketAddr,
    header: &Header,
    length: usize,
) -> Result<Vec<u8>, Refused> {
    let mut options = Vec::new();
    if let Some(mss) = header.mss {
        options.extend_from_slice(&[2, 4]);
        options.extend_from_slice(&mss.to_be_bytes());
    }
    if let Some(scale) = header.scale {
        options.extend_from_slice(&[1, 3, 3, scale]);
    }
    let own = HEADER + options.len();
    let mut bytes = ip::header(source.ip(), destination.ip(), number::TCP, 0, own + length)?;
    bytes.extend_from_slice(&source.port().to_be_bytes());
    bytes.extend_from_slice(&destination.port().to_be_bytes());
    bytes.extend_from_slice(&header.sequence.to_be_bytes());
    bytes.extend_from_slice(&header.acknowledgement.to_be_bytes());
    let words = u8::try_from(own / 4).map_err(|_too_long| Refused::HeaderLength)?;
    bytes.extend_from_slice(&[words << 4, header.flags]);
    bytes.extend_from_slice(&header.window.to_be_bytes());
    let pseudo = Sum::default().pseudo(source.ip(), destination.ip(), number::TCP, own + length);
    bytes.extend_from_slice(&pseudo.ok_or(Refused::Version)?.folded().to_be_bytes());
    bytes.extend_from_slice(&[0, 0]);
    bytes.extend_from_slice(&options);
    Ok(bytes)
}

/// How long the IP header of a packet of ours is.
#[must_use]
pub const fn start(address: IpAddr) -> u16 {
    if address.is_ipv4() { 20 } else { 40 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::with_checksums;

    const FOUR: (&str, &str) = ("10.0.2.100:40000", "192.0.2.1:443");
    const SIX: (&str, &str) = ("[fd00::100]:40000", "[2001:db8::1]:443");

    fn ends((from, to): (&str, &str)) -> (SocketAddr, SocketAddr) {
        (from.parse().unwrap(), to.parse().unwrap())
    }

    fn packet(between: (&str, &str), header: &Header, payload: &[u8]) -> Vec<u8> {
        let (source, destination) = ends(between);
        [&head(source, destination, header, payload.len()).unwrap()[..], payload].concat()
    }

    #[test]
    fn sums_are_left_to_others_and_can_be_made() {
        let header = Header { flags: flag::ACK | flag::PSH, ..Header::default() };
        for between in [FOUR, SIX] {
            let frame = packet(between, &header, b"carried");
            assert_eq!(Segment::parse(&frame, true), Err(Refused::Checksum));
            let whole = with_checksums(&frame).unwrap();
            assert_eq!(Segment::parse(&whole, true).unwrap().payload, b"carried");
        }
    }

    #[test]
    fn a_row_of_options_that_is_none_ends_there() {
        for (options, read_as) in [
            (&b"\x02\x04\x05\xb4\x04\x02\x08\x0a\0\0\0\0\0\0\0\0\x01\x03\x03\x07"[..], (Some(1460), Some(7))),
            (b"\x01\x01\x03\x03\x0e\x00\x02\x04\x05\xb4", (None, Some(14))),
            (b"\x08\x00\x02\x04\x05\xb4", (None, None)),
            (b"\x08\x01\x02\x04\x05\xb4", (None, None)),
            (b"\x08\xff\x02\x04\x05\xb4", (None, None)),
            // Of the wrong length it is another option.
            (b"\x02\x05\x05\xb4\x00\x03\x03\x07", (None, Some(7))),
            (b"\x02\x04\x05", (None, None)),
            (b"\x08", (None, None)),
        ] {
            assert_eq!(read(options), read_as, "{options:x?}");
        }
    }

    #[test]
    fn odd_flags_begin_nothing() {
        for flags in 0..=u8::MAX {
            let begins = Header { flags, ..Header::default() }.begins();
            assert_eq!(begins, flags == flag::SYN || flags == flag::SYN | flag::ECN, "{flags:#x}");
        }
    }

    #[test]
    fn who_has_no_connection_is_told_so_that_it_is_believed() {
        let ack = Header { sequence: 5, acknowledgement: 77, flags: flag::ACK, ..Header::default() };
        let told = ack.refusal(9);
        assert_eq!((told.sequence, told.flags), (77, flag::RST));
        let last = Header { sequence: u32::MAX, flags: flag::FIN, ..Header::default() };
        let told = last.refusal(9);
        assert_eq!((told.sequence, told.acknowledgement, told.flags), (0, 9, flag::RST | flag::ACK));
    }

    proptest! {
        #[test]
        fn what_is_built_is_read_back(
            numbers: (u32, u32, u16), flags: u8, mss: Option<u16>, scale: Option<u8>, payload: Vec<u8>, four: bool,
        ) {
            let (mss, scale) = if flags & flag::SYN == 0 { (None, None) } else { (mss, scale) };
            let (sequence, acknowledgement, window) = numbers;
            let header = Header { sequence, acknowledgement, flags, window, mss, scale };
            let between = if four { FOUR } else { SIX };
            let frame = packet(between, &header, &payload);
            let (source, destination) = ends(between);
            prop_assert_eq!(
                Segment::parse(&frame, false),
                Ok(Segment { source, destination, header, payload: &payload })
            );
        }
    }
}
