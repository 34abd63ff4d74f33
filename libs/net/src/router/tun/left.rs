//! Connections of a container's whose other end died with the process that served them.
//!
//! A container that only listens would wait for ever. So each is sent something that cannot be right, which its kernel answers with the
//! number that it expects (RFC 9293 §3.10.7.4); and to that the answer is a reset, as to everything in a connection that is not there.
//! Which ones there are the container's kernel tells.

use std::fs::File;
use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::{Errno, write};

use super::super::enter;
use crate::address::Inner;
use crate::wire::offload::Offload;
use crate::wire::segment::{self, Header, flag};

/// More than any container's connections take.
const LONGEST: u64 = 16 << 20;

/// Has the container's kernel tell what it expects in each of its connections. This thread is in its namespace from then on.
pub(super) fn end_all(device: BorrowedFd<'_>, inner: &Inner) -> Result<(), Errno> {
    let namespace = match ctr_sys::net::tun::namespace_of(device) {
        // The container's root has taken its interface away, and all connections with it.
        Err(Errno::BADFD) => return Ok(()),
        found => found?,
    };
    enter(namespace.as_fd()).map_err(|_error| Errno::PERM)?;
    for table in ["/proc/thread-self/net/tcp", "/proc/thread-self/net/tcp6"] {
        let mut text = String::new();
        // Without IPv6 there is no second.
        let read = File::open(table).and_then(|file| file.take(LONGEST).read_to_string(&mut text));
        for (own, remote) in read.iter().flat_map(|_| connections(&text)) {
            if inner.container(own.ip()) == Some(own.ip()) {
                send(device, own, remote);
            }
        }
    }
    Ok(())
}

fn send(device: BorrowedFd<'_>, own: SocketAddr, remote: SocketAddr) {
    let header = Header { flags: flag::ACK, ..Header::default() };
    let Ok(head) = segment::head(remote, own, &header, 0) else { return };
    let offload = Offload { sum: Some((segment::start(remote.ip()), segment::SUM)), cut: None };
    // One that is lost leaves its connection to the container's own clock.
    write(device, &[&offload.to_bytes()[..], &head].concat()).ok();
}

/// Both ends of each connection in a table of the kernel's, as far as they are some.
fn connections(table: &str) -> impl Iterator<Item = (SocketAddr, SocketAddr)> {
    table.lines().skip(1).filter_map(|line| {
        let mut words = line.split_ascii_whitespace().skip(1);
        let (own, remote, state) = (words.next()?, words.next()?, words.next()?);
        // One that waits for its first answer asks again, and one that is over or only listens has no other end.
        let has_end = matches!(state, "01" | "04" | "05" | "08" | "09" | "0B");
        Some((address(own)?, address(remote)?)).filter(|_| has_end)
    })
}

/// The address in words as they lie in memory, and the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let words = address.as_bytes().chunks(8).map(|word| {
        let word = std::str::from_utf8(word).ok()?;
        Some(u32::from_str_radix(word, 16).ok()?.to_ne_bytes())
    });
    let ip: IpAddr = match *words.collect::<Option<Vec<[u8; 4]>>>()? {
        [four] => Ipv4Addr::from(four).into(),
        [a, b, c, d] => {
            let octets = [a, b, c, d].concat();
            // An IPv4 connection of a socket that has both.
            Ipv6Addr::from(<[u8; 16]>::try_from(octets).ok()?).to_canonical()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_endian = "little")]
    fn connections_are_found_in_the_kernel_s_table() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue
   0: 6402000A:82F2 00000000:0000 0A 00000000:00000000
   1: 6402000A:A000 0201FEA9:0050 01 00000000:00000000
   2: 6402000A:A001 0201FEA9:0050 06 00000000:00000000
   3: 000000FD000000000000000000010000:A002 000000FD000001000000000002000000:0050 08 0
   4: 0000000000000000FFFF00006402000A:A003 0000000000000000FFFF00000201FEA9:0051 01 0
   5: 6402000A6402000A:A000 0201FEA9:0050 01
   6: x:A000 0201FEA9:0050 01
   7:";
        let found: Vec<String> = connections(table).map(|(own, remote)| format!("{own} {remote}")).collect();
        assert_eq!(
            found,
            [
                "10.0.2.100:40960 169.254.1.2:80",
                "[fd00::100]:40962 [fd00:0:1::2]:80",
                "10.0.2.100:40963 169.254.1.2:81",
            ]
        );
    }
}
