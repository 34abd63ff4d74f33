//! Binding published ports, as the user who publishes them: what the host allows is what may be.
//!
//! A port at no address is one socket for each protocol of IP, since a caller is then of one family from the beginning on. Where
//! the port is yet to be chosen, the kernel chooses it for the first socket, and the others have to have it too.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};

use ctr_sys::net::options::Family;
use rustix::io::Errno;
use rustix::net::{SocketFlags, SocketType, bind as bind_socket, getsockname, listen, socket_with, sockopt};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{Leads, Mapping, Place, Transport};
use crate::outside::settle;

/// The longest queue of what waits to be accepted; the host's own limit is lower most of the time.
const QUEUE: i32 = 4096;
/// Descriptors that are not of published ports.
const OTHERS: u64 = 512;
/// How often a range of ports is looked for where the first was free and another was not.
const ATTEMPTS: usize = 64;

/// Why a port could not be published.
#[derive(Debug, thiserror::Error)]
#[error("cannot bind {place}")]
pub struct BindError {
    /// The port.
    pub place: Place,
    /// Why not.
    #[source]
    pub source: Errno,
}

impl BindError {
    /// Somebody has the port.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        self.source == Errno::ADDRINUSE
    }

    /// The port is one that this user may not have.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        matches!(self.source, Errno::ACCESS | Errno::PERM)
    }
}

/// A socket of the host's, and where it leads.
pub type Bound = (Leads, OwnedFd);

/// Ports that are bound: nobody else can have them as long as this is there.
#[derive(Debug, Default)]
pub struct Ports {
    /// With every port known.
    pub mappings: Vec<Mapping>,
    /// What has them.
    pub sockets: Vec<Bound>,
}

/// How many sockets some mappings are.
#[must_use]
pub fn count(mappings: &[Mapping]) -> usize {
    let each = |mapping: &Mapping| usize::from(mapping.count) * if mapping.address.is_some() { 1 } else { 2 };
    mappings.iter().map(each).sum()
}

/// Binds all of some mappings. Where this process may not open so many descriptors now, it may after that.
///
/// # Errors
/// One of them cannot be had: then none is.
pub fn bind(mappings: &[Mapping]) -> Result<Ports, BindError> {
    let mut ports = Ports::default();
    make_room(count(mappings));
    for mapping in mappings {
        let (mapping, sockets) = bind_one(mapping)?;
        ports.mappings.push(mapping);
        ports.sockets.extend(sockets);
    }
    Ok(ports)
}

type Whole = (Mapping, Vec<Bound>);

/// Three copies of each are open for a moment, when the one who supervises the container gets them.
fn make_room(sockets: usize) {
    let needed = u64::try_from(3 * sockets).unwrap_or(u64::MAX).saturating_add(OTHERS);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_some_and(|current| current < needed) {
        let raised = maximum.map_or(needed, |most| most.min(needed)).max(current.unwrap_or_default());
        // What is missing then is said by the socket that cannot be had.
        setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum }).ok();
    }
}

fn bind_one(mapping: &Mapping) -> Result<Whole, BindError> {
    if mapping.outside != 0 {
        return bind_all(*mapping);
    }
    let mut attempts = ATTEMPTS;
    loop {
        match choose(mapping) {
            Err(error) if error.is_taken() && attempts > 0 => attempts -= 1,
            chosen => return chosen,
        }
    }
}

/// Has the kernel choose the first port.
fn choose(mapping: &Mapping) -> Result<Whole, BindError> {
    let address = mapping.address.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
    let place = Place { transport: mapping.transport, at: SocketAddr::new(address, 0) };
    let failed = |source| BindError { place, source };
    let first = socket(place).map_err(failed)?;
    let at = getsockname(&first).and_then(SocketAddr::try_from).map_err(failed)?;
    drop(first);
    let chosen = Mapping { outside: at.port(), ..*mapping };
    if u32::from(at.port()) + u32::from(mapping.count) > 1 << 16 {
        return Err(failed(Errno::ADDRINUSE));
    }
    bind_all(chosen)
}

fn bind_all(mapping: Mapping) -> Result<Whole, BindError> {
    let mut sockets = Vec::new();
    for (outside, inside) in mapping.pairs() {
        let leads = Leads { inside, transport: mapping.transport };
        for place in places(&mapping, outside) {
            match socket(place) {
                Ok(socket) => sockets.push((leads, socket)),
                // A host without IPv6 is no reason to be without IPv4.
                Err(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL)
                    if mapping.address.is_none() && place.at.is_ipv6() => {}
                Err(source) => return Err(BindError { place, source }),
            }
        }
    }
    Ok((mapping, sockets))
}

/// Where a port of a mapping is bound.
pub fn places(mapping: &Mapping, outside: u16) -> impl Iterator<Item = Place> + use<> {
    let Mapping { address, transport, .. } = *mapping;
    let all = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    let addresses: Vec<IpAddr> = address.map_or_else(|| all.to_vec(), |one| vec![one]);
    addresses.into_iter().map(move |address| Place { transport, at: SocketAddr::new(address, outside) })
}

fn socket(Place { transport, at }: Place) -> Result<OwnedFd, Errno> {
    let kind = match transport {
        Transport::Tcp => SocketType::STREAM,
        Transport::Udp => SocketType::DGRAM,
    };
    let socket =
        socket_with(Family::of(&at).domain(), kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
    if at.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    if transport == Transport::Tcp {
        // What an earlier container's connections left behind is no reason to wait a minute. Of datagrams it would let
        // somebody else have the same port.
        sockopt::set_socket_reuseaddr(&socket, true)?;
    }
    bind_socket(socket.as_fd(), &at)?;
    if transport == Transport::Tcp {
        // Before anybody can come.
        settle(&socket)?;
        listen(&socket, QUEUE)?;
    }
    Ok(socket)
}

/// The first port that anybody may have here, and so what keeps a user from one below it.
///
/// # Errors
/// There is no /proc.
pub fn first_unprivileged() -> io::Result<u16> {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start")?;
    text.trim().parse().map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(text: &str) -> Mapping {
        super::super::parse(text).unwrap().remove(0)
    }

    #[test]
    fn what_is_bound_is_nobody_else_s_until_it_is_let_go() {
        for (one, protocol) in [("127.0.0.1::80", "tcp"), ("127.0.0.1::53/udp", "udp")] {
            let ports = bind(&[mapping(one)]).unwrap();
            let [chosen] = ports.mappings[..] else { panic!("{ports:?}") };
            assert_ne!(chosen.outside, 0);
            let again = bind(&[chosen]).unwrap_err();
            assert!(again.is_taken(), "{again}");
            assert_eq!(again.to_string(), format!("cannot bind 127.0.0.1:{}/{protocol}", chosen.outside));
            drop(ports);
            assert_eq!(bind(&[chosen]).unwrap().sockets.len(), 1);
        }
    }

    #[test]
    fn a_range_is_chosen_as_a_whole() {
        let ports = bind(&[mapping("127.0.0.1::80-84")]).unwrap();
        let bound: Vec<u16> = ports
            .sockets
            .iter()
            .map(|(_, socket)| getsockname(socket).and_then(SocketAddr::try_from).unwrap().port())
            .collect();
        let first = ports.mappings[0].outside;
        assert_eq!(bound, (first..first + 5).collect::<Vec<_>>());
        assert_eq!(
            ports.sockets.iter().map(|(leads, _)| leads.inside).collect::<Vec<_>>(),
            [80, 81, 82, 83, 84]
        );
    }

    #[test]
    fn no_address_is_every_address() {
        let ports = bind(&[mapping("80")]).unwrap();
        let [chosen] = ports.mappings[..] else { panic!("{ports:?}") };
        for one in ["0.0.0.0", "127.0.0.1"] {
            let other = Mapping { address: one.parse().ok(), ..chosen };
            assert!(bind(&[other]).unwrap_err().is_taken(), "{one}");
        }
    }
}
