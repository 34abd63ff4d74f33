//! UDP (RFC 768, RFC 8200 §8.1), of which the kernel does nearly everything: a datagram is read where only packets are
//! at hand, and built to be quoted when its receiver turns out not to be there.

use std::net::SocketAddr;

use super::ip::{self, Packet};
use super::{Refused, checksum, fill, number, sum};

/// Bytes of a header.
const HEADER: usize = 8;
/// Where the sum is in a header.
const SUM: usize = 6;

/// A datagram in its packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'a> {
    /// Who sent it.
    pub source: SocketAddr,
    /// Whom it is for.
    pub destination: SocketAddr,
    /// What it says.
    pub payload: &'a [u8],
}

impl<'a> Datagram<'a> {
    /// Reads a frame; of `checksum_ready` see [`super::Syn::parse`].
    pub fn parse(frame: &'a [u8], checksum_ready: bool) -> Result<Self, Refused> {
        let packet = Packet::parse(frame)?;
        let bytes = packet.carries(number::UDP, number::UDP)?;
        let header = bytes.first_chunk::<HEADER>().ok_or(Refused::Short)?;
        let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
        let bytes = bytes.get(..length).ok_or(Refused::Length)?;
        let payload = bytes.get(HEADER..).ok_or(Refused::Length)?;
        let source = SocketAddr::new(packet.source, u16::from_be_bytes([header[0], header[1]]));
        let destination = SocketAddr::new(packet.destination, u16::from_be_bytes([header[2], header[3]]));
        // Zero is "none", which only IPv4 has.
        let has_sum = header[SUM..] != [0, 0] || source.is_ipv6();
        if checksum_ready && has_sum && !checksum::holds(sum(source, destination, number::UDP, bytes)?) {
            return Err(Refused::Checksum);
        }
        Ok(Self { source, destination, payload })
    }

    /// The whole packet.
    pub fn build(&self) -> Result<Vec<u8>, Refused> {
        let length = u16::try_from(HEADER + self.payload.len()).map_err(|_too_long| Refused::Length)?;
        let mut bytes = Vec::with_capacity(length.into());
        bytes.extend_from_slice(&self.source.port().to_be_bytes());
        bytes.extend_from_slice(&self.destination.port().to_be_bytes());
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(self.payload);
        let made = sum(self.source, self.destination, number::UDP, &bytes)?;
        fill(&mut bytes, SUM, made)?;
        if bytes.get(SUM..HEADER) == Some(&[0, 0]) {
            // A sum of zero is written as its other form.
            bytes.get_mut(SUM..HEADER).ok_or(Refused::Short)?.fill(0xff);
        }
        ip::build(self.source.ip(), self.destination.ip(), number::UDP, 0, &bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn built(from: &str, to: &str, payload: &[u8]) -> Vec<u8> {
        Datagram { source: from.parse().unwrap(), destination: to.parse().unwrap(), payload }.build().unwrap()
    }

    #[test]
    fn a_sum_of_none_is_one_of_ipv4_s() {
        let mut four = built("10.0.2.100:5000", "192.0.2.1:53", b"question");
        four[26..28].fill(0);
        assert!(Datagram::parse(&four, true).is_ok());
        let mut six = built("[fd00::100]:5000", "[2001:db8::1]:53", b"question");
        six[46..48].fill(0);
        assert_eq!(Datagram::parse(&six, true), Err(Refused::Checksum));
        assert!(Datagram::parse(&six, false).is_ok());
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused() {
        let good = built("10.0.2.100:5000", "192.0.2.1:53", b"question");
        for (length, why) in
            [(7u8, Refused::Length), (0, Refused::Length), (17, Refused::Length), (15, Refused::Checksum)]
        {
            let mut frame = good.clone();
            frame[25] = length;
            assert_eq!(Datagram::parse(&frame, true), Err(why), "{length}");
        }
        let short = ip::build([10, 0, 2, 100].into(), [192, 0, 2, 1].into(), 17, 0, &[0; 7]).unwrap();
        assert_eq!(Datagram::parse(&short, true), Err(Refused::Short));
        let payload = vec![0; 65_508];
        let long = Datagram {
            source: ([1, 2, 3, 4], 1).into(),
            destination: ([1, 2, 3, 4], 2).into(),
            payload: &payload,
        };
        assert_eq!(long.build(), Err(Refused::Length));
    }

    proptest! {
        #[test]
        fn what_is_built_is_read_back(source: [u8; 4], destination: u128, ports: (u16, u16), payload: Vec<u8>, four: bool) {
            let ends = if four {
                (SocketAddr::from((source, ports.0)), SocketAddr::from(([192, 0, 2, 1], ports.1)))
            } else {
                let to = std::net::Ipv6Addr::from_bits(destination);
                (SocketAddr::from((to, ports.0)), SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, ports.1)))
            };
            let datagram = Datagram { source: ends.0, destination: ends.1, payload: &payload };
            let frame = datagram.build().unwrap();
            prop_assert_eq!(Datagram::parse(&frame, true), Ok(datagram));
        }
    }
}
