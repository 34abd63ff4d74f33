//! What stands before each packet of a TUN: the words of a network card that leaves work to somebody else (`virtio_net_hdr`).
//!
//! A sender inside leaves sums to us, which nobody then makes, and we leave ours to the kernel inside, which does not ask for them.
//! A packet may also be longer than the other side's greatest segment, and is then one that a card would have cut.

use super::Refused;

/// Bytes of it.
pub const LENGTH: usize = 10;

/// `VIRTIO_NET_HDR_F_NEEDS_CSUM`.
const NEEDS_SUM: u8 = 1;
/// `VIRTIO_NET_HDR_GSO_TCPV4` and `VIRTIO_NET_HDR_GSO_TCPV6`.
const CUT_TCP: (u8, u8) = (1, 4);

/// What is left to be done about a packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offload {
    /// The sum of what it carries: where that begins, and where the sum is in there.
    pub sum: Option<(u16, u16)>,
    /// To be cut into segments of TCP of so many bytes, the headers before each so long.
    pub cut: Option<Cut>,
}

/// How a packet is to be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Bytes of each piece.
    pub size: u16,
    /// Bytes of all headers before it.
    pub headers: u16,
    /// It is a packet of IPv4.
    pub is_v4: bool,
}

impl Offload {
    /// Reads it; the packet is what comes behind. How it would be cut is of no interest to who takes it whole.
    pub fn parse(frame: &[u8]) -> Result<(Self, &[u8]), Refused> {
        let (words, packet) = frame.split_first_chunk::<LENGTH>().ok_or(Refused::Short)?;
        let [flags, _, _, _, _, _, start_low, start_high, at_low, at_high] = *words;
        let places = (u16::from_ne_bytes([start_low, start_high]), u16::from_ne_bytes([at_low, at_high]));
        Ok((Self { sum: (flags & NEEDS_SUM != 0).then_some(places), cut: None }, packet))
    }

    /// As its bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; LENGTH] {
        let (flags, (start, at)) = self.sum.map_or((0, (0, 0)), |places| (NEEDS_SUM, places));
        let (kind, headers, size) = self
            .cut
            .map_or((0, 0, 0), |cut| (if cut.is_v4 { CUT_TCP.0 } else { CUT_TCP.1 }, cut.headers, cut.size));
        let ([a, b], [c, d]) = (headers.to_ne_bytes(), size.to_ne_bytes());
        let ([e, f], [g, h]) = (start.to_ne_bytes(), at.to_ne_bytes());
        [flags, kind, a, b, c, d, e, f, g, h]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_to_others_is_read_back() {
        for offload in [Offload::default(), Offload { sum: Some((20, 16)), cut: None }] {
            let frame = [&offload.to_bytes()[..], b"packet"].concat();
            assert_eq!(Offload::parse(&frame), Ok((offload, &b"packet"[..])));
        }
        let cut = Cut { size: 1460, headers: 40, is_v4: true };
        let words = Offload { sum: Some((20, 16)), cut: Some(cut) }.to_bytes();
        let expected = [
            &[1, 1][..],
            &40_u16.to_ne_bytes(),
            &1460_u16.to_ne_bytes(),
            &20_u16.to_ne_bytes(),
            &16_u16.to_ne_bytes(),
        ];
        assert_eq!(words[..], expected.concat());
        assert_eq!(Offload::parse(&[0; LENGTH - 1]), Err(Refused::Short));
    }
}
