//! The Internet checksum (RFC 1071), over slices that follow each other, and over pseudo headers.

use std::net::IpAddr;
use std::net::SocketAddr;

/// A sum of 16-bit words that goes on from slice to slice, also after one of odd length.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum {
    words: u64,
    /// Whether the next byte is the lower half of a word.
    is_odd: bool,
}

impl Sum {
    /// Adds what comes next.
    #[must_use]
    pub fn over(mut self, mut bytes: &[u8]) -> Self {
        if self.is_odd
            && let Some((first, rest)) = bytes.split_first()
        {
            self.words += u64::from(*first);
            self.is_odd = false;
            bytes = rest;
        }
        // A frame has at most 64 KiB, of which the words cannot come near 2^64.
        let (words, rest) = bytes.as_chunks::<2>();
        self.words += words.iter().map(|word| u64::from(u16::from_be_bytes(*word))).sum::<u64>();
        if let [last] = rest {
            self.words += u64::from(*last) << 8;
            self.is_odd = true;
        }
        self
    }

    /// Adds the pseudo header of what lies between two addresses (RFC 9293 §3.1, RFC 8200 §8.1); of two families there is
    /// none.
    #[must_use]
    pub fn pseudo(self, source: IpAddr, destination: IpAddr, protocol: u8, length: usize) -> Option<Self> {
        let length = u32::try_from(length).ok()?.to_be_bytes();
        let with = match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                self.over(&source.octets()).over(&destination.octets())
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                self.over(&source.octets()).over(&destination.octets())
            }
            _ => return None,
        };
        Some(with.over(&length).over(&[0, 0, 0, protocol]))
    }

    /// What is written into the field: the complement of the sum in ones' complement.
    #[must_use]
    pub fn finish(self) -> u16 {
        !self.folded()
    }

    /// The sum itself, which is what a field has whose sum somebody else makes whole.
    #[must_use]
    pub fn folded(self) -> u16 {
        let mut sum = self.words;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        let [.., high, low] = sum.to_be_bytes();
        u16::from_be_bytes([high, low])
    }
}

/// Whether what includes its own checksum adds up.
#[must_use]
pub fn holds(sum: Sum) -> bool {
    sum.finish() == 0
}

/// The sum of a segment between two sockets, for its field or, if that is filled, to be checked.
#[must_use]
pub fn transport(source: SocketAddr, destination: SocketAddr, protocol: u8, segment: &[u8]) -> Option<Sum> {
    Some(Sum::default().pseudo(source.ip(), destination.ip(), protocol, segment.len())?.over(segment))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_example_of_rfc_1071_comes_out() {
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(Sum::default().over(&bytes).finish(), !0xddf2);
    }

    #[test]
    fn an_ipv4_header_of_the_books_holds() {
        let mut header = *b"\x45\x00\x00\x73\x00\x00\x40\x00\x40\x11\xb8\x61\xc0\xa8\x00\x01\xc0\xa8\x00\xc7";
        assert!(holds(Sum::default().over(&header)));
        header[8] = 0x3f;
        assert!(!holds(Sum::default().over(&header)));
    }

    #[test]
    fn two_families_have_no_pseudo_header() {
        let sum = Sum::default();
        assert!(sum.pseudo([127, 0, 0, 1].into(), std::net::Ipv6Addr::LOCALHOST.into(), 6, 20).is_none());
    }

    proptest! {
        #[test]
        fn pieces_have_the_sum_of_the_whole(bytes: Vec<u8>, cuts in proptest::collection::vec(0usize..200, 0..4)) {
            let mut sum = Sum::default();
            let mut rest = bytes.as_slice();
            for cut in cuts {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                sum = sum.over(piece);
                rest = after;
            }
            prop_assert_eq!(sum.over(rest).finish(), Sum::default().over(&bytes).finish());
        }
    }
}
