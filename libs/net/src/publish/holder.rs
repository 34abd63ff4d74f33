//! Who has a port that cannot be published: a process of this user's, as the kernel's lists tell.
//!
//! Those of others are not for us to see, and nothing depends on the answer but the text of an error.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use super::{Place, Transport, meet};

/// A process with a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its id.
    pub pid: u32,
    /// What it calls itself.
    pub name: String,
}

/// The process that has a place, if it is one that we may look into.
#[must_use]
pub fn of(place: Place) -> Option<Holder> {
    let protocols = match place.transport {
        Transport::Tcp => ["tcp", "tcp6"],
        Transport::Udp => ["udp", "udp6"],
    };
    let inodes: Vec<u64> = protocols
        .iter()
        .filter_map(|protocol| fs::read_to_string(format!("/proc/net/{protocol}")).ok())
        .flat_map(|text| text.lines().filter_map(|line| inode(line, place)).collect::<Vec<_>>())
        .collect();
    let processes = fs::read_dir("/proc").ok()?;
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    pids.into_iter().find(|pid| has_one(*pid, &inodes)).map(|pid| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        Holder { pid, name: name.trim_end().to_owned() }
    })
}

fn has_one(pid: u32, inodes: &[u64]) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    let sockets = descriptors.filter_map(|entry| socket(&fs::read_link(entry.ok()?.path()).ok()?));
    sockets.into_iter().any(|inode| inodes.contains(&inode))
}

/// The number in `socket:[123]`.
fn socket(link: &Path) -> Option<u64> {
    link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// The number of the socket of a line, if that is in the way of whoever wants a place.
fn inode(line: &str, place: Place) -> Option<u64> {
    /// `TCP_LISTEN`.
    const LISTENS: &str = "0A";
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let [_, local, _, state, ..] = words[..] else { return None };
    if place.transport == Transport::Tcp && state != LISTENS {
        return None;
    }
    let (address, port) = local.split_once(':')?;
    let has = SocketAddr::new(address_of(address)?, u16::from_str_radix(port, 16).ok()?);
    if !is_in_the_way(has, place.at) {
        return None;
    }
    words.get(9)?.parse().ok()
}

/// An address as the kernel prints it: words of four bytes, each in the order of this machine.
fn address_of(text: &str) -> Option<IpAddr> {
    let word = |at: usize| {
        let word = u32::from_str_radix(text.get(at * 8..at * 8 + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    match text.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let bytes = [word(0)?, word(1)?, word(2)?, word(3)?].concat();
            Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into())
        }
        _ => None,
    }
}

/// One of all addresses of IPv6 may have those of IPv4 too.
fn is_in_the_way(has: SocketAddr, wants: SocketAddr) -> bool {
    let has_both = has.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    has.port() == wants.port() && (has_both || meet(has.ip().to_canonical(), wants.ip().to_canonical()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(transport: Transport, at: &str) -> Place {
        Place { transport, at: at.parse().unwrap() }
    }

    #[test]
    fn a_socket_of_this_process_is_found() {
        for at in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = std::net::TcpListener::bind(at) else {
                println!("skipped: {at} cannot be bound here");
                continue;
            };
            let found = of(Place { transport: Transport::Tcp, at: listener.local_addr().unwrap() }).unwrap();
            assert_eq!(found.pid, std::process::id(), "{at}");
        }
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let found = of(Place { transport: Transport::Udp, at: socket.local_addr().unwrap() }).unwrap();
        assert_eq!(found.pid, std::process::id());
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn a_line_tells_whose_it_is() {
        let line = "   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000  0 4711 1 0 100 0";
        assert_eq!(inode(line, place(Transport::Tcp, "127.0.0.1:8080")), Some(4711));
        assert_eq!(inode(line, place(Transport::Tcp, "127.0.0.1:8081")), None);
        assert_eq!(inode(line, place(Transport::Tcp, "[::1]:8080")), None);
        let six = line.replace("00000000:1F90", "00000000000000000000000000000000:1F90");
        assert_eq!(inode(&six, place(Transport::Tcp, "127.0.0.1:8080")), Some(4711), "of both");
        let connected = line.replace(" 0A ", " 01 ");
        assert_eq!(inode(&connected, place(Transport::Tcp, "127.0.0.1:8080")), None);
        for garbage in ["", "sl local_address", "0: x:y z 0A", "0: 0000000Z:1F90 0 0A 0 0 0 0 0 1"] {
            assert_eq!(inode(garbage, place(Transport::Tcp, "127.0.0.1:8080")), None);
        }
    }
}
