//! Socket addresses as the bytes that the kernel reads and writes.

use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// Room for an address of either family.
pub(super) const ROOM: usize = 28;

const V4_LENGTH: usize = 16;

/// An address as bytes, and how many of them count.
pub(super) fn encode(address: &SocketAddr) -> ([u8; ROOM], usize) {
    let mut bytes = [0; ROOM];
    let length = match address {
        SocketAddr::V4(v4) => {
            let family = u16::try_from(libc::AF_INET).unwrap_or_default();
            put(&mut bytes, 0, &family.to_ne_bytes());
            put(&mut bytes, 2, &v4.port().to_be_bytes());
            put(&mut bytes, 4, &v4.ip().octets());
            V4_LENGTH
        }
        SocketAddr::V6(v6) => {
            let family = u16::try_from(libc::AF_INET6).unwrap_or_default();
            put(&mut bytes, 0, &family.to_ne_bytes());
            put(&mut bytes, 2, &v6.port().to_be_bytes());
            put(&mut bytes, 4, &v6.flowinfo().to_be_bytes());
            put(&mut bytes, 8, &v6.ip().octets());
            put(&mut bytes, 24, &v6.scope_id().to_ne_bytes());
            ROOM
        }
    };
    (bytes, length)
}

/// Reads an address; `None` of another family, or of too few bytes.
pub(super) fn decode(bytes: &[u8]) -> Option<SocketAddr> {
    let family = i32::from(u16::from_ne_bytes(field(bytes, 0)?));
    let port = u16::from_be_bytes(field(bytes, 2)?);
    match family {
        libc::AF_INET => {
            let ip = Ipv4Addr::from(field::<4>(bytes, 4)?);
            Some(SocketAddr::V4(SocketAddrV4::new(ip, port)))
        }
        libc::AF_INET6 => {
            let flow = u32::from_be_bytes(field(bytes, 4)?);
            let ip = Ipv6Addr::from(field::<16>(bytes, 8)?);
            let scope = u32::from_ne_bytes(field(bytes, 24)?);
            Some(SocketAddr::V6(SocketAddrV6::new(ip, port, flow, scope)))
        }
        _ => None,
    }
}

/// The `N` bytes from `at` on.
pub(super) fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

fn put(bytes: &mut [u8; ROOM], at: usize, value: &[u8]) {
    if let Some(into) = bytes.get_mut(at..at + value.len()) {
        into.copy_from_slice(value);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for text in ["10.0.2.1:53", "0.0.0.0:0", "[fd00::100]:65535", "[fe80::1%7]:80"] {
            let address: SocketAddr = text.parse().unwrap();
            let (bytes, length) = encode(&address);
            assert_eq!(decode(&bytes[..length]), Some(address), "{text}");
        }
    }

    #[test]
    fn too_few_bytes_are_no_address() {
        let (bytes, length) = encode(&"[fd00::100]:1".parse().unwrap());
        for short in 0..length {
            assert_eq!(decode(&bytes[..short]), None, "{short}");
        }
        assert_eq!(decode(&[0xff; ROOM]), None);
    }
}
