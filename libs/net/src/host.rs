//! The host as its neighbours see it: the addresses that it speaks from, as the kernel's routes say.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ctr_sys::net::options::Family;
use rustix::net::{SocketFlags, SocketType, connect, getsockname, socket_with};

use crate::policy::HostAddresses;

/// Servers of the root of all names: where a default route leads to, if there is one. Nothing is sent there.
const FAR: [SocketAddr; 2] = [
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 41, 0, 4)), 53),
    SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0x2001, 0x503, 0xba3e, 0, 0, 0, 2, 0x30)), 53),
];

/// Those of the network namespace where the caller is, as they are now.
#[must_use]
pub fn addresses() -> HostAddresses {
    let [v4, v6] = FAR.map(speaks_from);
    HostAddresses {
        v4: v4.and_then(|address| if let IpAddr::V4(four) = address { Some(four) } else { None }),
        v6: v6.and_then(|address| if let IpAddr::V6(six) = address { Some(six) } else { None }),
    }
}

/// From which address the host would send to another one; none where it has no way there.
fn speaks_from(to: SocketAddr) -> Option<IpAddr> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(Family::of(&to).domain(), SocketType::DGRAM, flags, None).ok()?;
    // A datagram's socket looks its way up, and that is all.
    connect(&socket, &to).ok()?;
    SocketAddr::try_from(getsockname(&socket).ok()?).ok().map(|own| own.ip())
}
