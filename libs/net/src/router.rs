//! The router's kernel: a network namespace of its own, one end of a pair of interfaces in it, the other in the container.
//!
//! ```text
//! container C                     router N
//!   eth0 10.0.2.100 ───────────── c0 10.0.2.1      whatever comes in by c0 is taken for N's own
//!   default via 10.0.2.1
//! ```
//! What the container sends to the world meets N's own TCP: every address is local there (its default route), and sockets that are
//! "transparent" answer for all of them. Nothing is forwarded, and no connection is tracked.
//!
//! - A **SYN** is thrown away by the filter, once the tap has a copy. When `netd` has a connection to the host's side, it sends
//!   the SYN in again, marked, by the loopback: only that one reaches the listener.
//! - A **datagram** goes to the catcher, until a socket that is connected to its sender stands nearer.
//! - An **echo request** is thrown away, too: N would answer for the whole world. `netd` has a copy.
//!
//! That takes a part of nftables that not every kernel has. Without it ([`Rung::Listen`]) nothing is diverted: `netd` listens at the very
//! address that a held SYN is for, for as long as somebody is on the way there, and reads all datagrams from a second tap. Without
//! nftables there is no router at all ([`within`]).
//!
//! # Process context
//! A socket belongs to the namespace that it was made in. So a thread goes into N, makes what is needed there, and all of it is
//! used from the host's namespace. [`build`] leaves its thread in N.
//!
//! # Failure
//! N, and the container's interface with it, is gone when nobody has a descriptor of it. It outlives a process that serves it,
//! whose supervisor has one; the next process opens anew what went with the last.

pub(crate) mod tun;
mod within;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use ctr_sys::net::options::{self, Family};
use ctr_sys::userns::move_into_new_network;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, ipproto, listen, socket_with, sockopt};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::address::{Inner, Prefix};
use crate::netlink::nft::{self, If, Rule, Then, Version, Within};
use crate::netlink::route::{End, LOOPBACK, MAIN};
use crate::netlink::{Batch, Netlink, NetlinkError};
use crate::rung::{self, Lack, Rung, Standing};
use crate::tap;

/// Where diverted connections are accepted.
const STREAMS: u16 = 1;
/// Where diverted datagrams arrive.
const DATAGRAMS: u16 = 2;
/// Where the resolver listens.
pub(crate) const RESOLVER: u16 = 53;
/// Of what is sent in again.
const MARK: u32 = 1;
/// The largest packets of the pair: what is longer is cut anyway, and a byte costs less in a longer packet.
pub(crate) const MTU: u32 = 65520;
/// The largest where datagrams are read as packets, and pieces of one would be lost: the longest that IPv4 has is one packet then.
const LONGEST_MTU: u32 = 65535;

/// The largest piece of a stream that one end gives the other: four times what a packet's length can say (BIG TCP). Nothing is a
/// packet on the way, and a stream costs a fifth less.
const PIECE: u32 = 256 << 10;

/// The router's end of the pair. Its number is our choice in a namespace that is new.
const OWN: End<'_> = End { name: "c0", index: 2 };
/// The container's.
const THEIRS: End<'_> = End { name: "eth0", index: 2 };

/// A part of a router could not be made.
#[derive(Debug, thiserror::Error)]
pub enum RouterError {
    /// Something the kernel was asked for by netlink.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// Frames are wanted where there are none of ours.
    #[error("there are no frames to capture but in the modes tproxy and listen")]
    NoFrames,
    /// A setting of the kernel's, in `/proc/sys`.
    #[error("cannot {doing}")]
    Setting {
        /// What.
        doing: &'static str,
        /// Why not.
        #[source]
        source: Errno,
    },
    /// Anything else.
    #[error("cannot {doing}")]
    Call {
        /// What.
        doing: &'static str,
        /// Why not.
        #[source]
        source: Errno,
    },
    /// There is no way to try.
    #[error("there is no way to serve a network")]
    NoRung,
}

impl RouterError {
    /// It is something that this kernel has not, or does not let us have, as it would of nobody else: another way may do without.
    /// What has run out is no such thing.
    pub(crate) const fn is_lack(&self) -> bool {
        let (Self::Netlink(NetlinkError { source, .. })
        | Self::Setting { source, .. }
        | Self::Call { source, .. }) = self
        else {
            return false;
        };
        matches!(
            *source,
            Errno::NOENT
                | Errno::NODEV
                | Errno::NXIO
                | Errno::NOSYS
                | Errno::INVAL
                | Errno::OPNOTSUPP
                | Errno::NOPROTOOPT
                | Errno::PROTONOSUPPORT
                | Errno::SOCKTNOSUPPORT
                | Errno::AFNOSUPPORT
                | Errno::PERM
                | Errno::ACCESS
                // As in a container for CI.
                | Errno::ROFS
        )
    }

    /// Of what is lacking, which kind it is.
    pub(crate) const fn lack(&self) -> Lack {
        if matches!(self, Self::Setting { .. }) { Lack::Settings } else { Lack::Kernel }
    }
}

/// Puts what fails into words.
pub(crate) trait Doing<T> {
    fn doing(self, doing: &'static str) -> Result<T, RouterError>;
}

impl<T> Doing<T> for Result<T, Errno> {
    fn doing(self, doing: &'static str) -> Result<T, RouterError> {
        self.map_err(|source| RouterError::Call { doing, source })
    }
}

/// What of a router is open.
#[derive(Debug)]
pub(crate) struct Router {
    pub(crate) rung: Rung,
    /// N itself.
    pub(crate) namespace: OwnedFd,
    /// Sees first packets.
    pub(crate) tap: Option<OwnedFd>,
    /// Sees all datagrams, where nothing diverts them.
    pub(crate) datagrams: Option<OwnedFd>,
    /// What there is for each protocol.
    pub(crate) ports: Vec<Ports>,
}

/// The sockets of one protocol.
#[derive(Debug)]
pub(crate) struct Ports {
    pub(crate) family: Family,
    /// Where the kernel diverts packets to.
    pub(crate) diverted: Option<Diverted>,
    /// Sends packets in again.
    pub(crate) again: OwnedFd,
    /// Sends packets to the container.
    pub(crate) answers: OwnedFd,
    /// The resolver's.
    pub(crate) questions: OwnedFd,
    /// The resolver's, for what is too long for a datagram.
    pub(crate) long_questions: OwnedFd,
}

/// Sockets for everybody's packets.
#[derive(Debug)]
pub(crate) struct Diverted {
    /// Accepts what was sent in again.
    pub(crate) streams: OwnedFd,
    /// Gets datagrams that are nobody else's.
    pub(crate) datagrams: OwnedFd,
}

/// Where a router is.
#[derive(Debug)]
pub(crate) enum At {
    /// In a namespace that is still to be made, for the container in this one.
    NewFor(OwnedFd),
    /// In this one, where all is there but what dies with a process.
    There(OwnedFd),
}

/// A way that was asked for, and whether frames are captured.
pub(crate) type Wanted = (Option<Rung>, bool);

/// A router that stands.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) router: Router,
    /// Its addresses, as far as this machine has them.
    pub(crate) inner: Inner,
    pub(crate) standing: Standing,
}

/// A socket that hears all of the container's frames, from both sides. The calling thread is in the router's namespace.
pub(crate) fn all_frames(rung: Rung) -> Result<OwnedFd, RouterError> {
    if !matches!(rung, Rung::Tproxy | Rung::Listen) {
        return Err(RouterError::NoFrames);
    }
    let frames = options::all_frames(OWN.index).doing("watch for all frames")?;
    sockopt::set_socket_recv_buffer_size(&frames, BURST).doing("make room for frames")?;
    Ok(frames)
}

/// Makes a router, or opens one, in the way that was asked for, or else in the best that there is. The calling thread is in its
/// namespace from then on.
pub(crate) fn build(at: At, inner: &Inner, (asked, captures): Wanted) -> Result<Built, RouterError> {
    let ((router, inner), standing) = match at {
        At::NewFor(container) => rung::climb(asked, |rung| match rung {
            Rung::Tproxy | Rung::Listen => make(rung, container.as_fd(), inner, captures),
            Rung::Tun => tun::make(container.as_fd(), inner),
            Rung::Published => within::make(&container, inner),
        })?,
        At::There(namespace) => {
            // As it was made.
            let rung = asked.ok_or(RouterError::NoRung)?;
            let router = match rung {
                Rung::Tproxy | Rung::Listen => {
                    enter(namespace.as_fd())?;
                    Router::open(rung, namespace, inner)?
                }
                Rung::Tun => tun::take_over(namespace, inner)?,
                Rung::Published => {
                    enter(namespace.as_fd())?;
                    within::open(namespace)
                }
            };
            ((router, *inner), Standing { rung, missed: Vec::new() })
        }
    };
    Ok(Built { router, inner, standing })
}

fn make(
    rung: Rung,
    container: BorrowedFd<'_>,
    inner: &Inner,
    captures: bool,
) -> Result<(Router, Inner), RouterError> {
    move_into_new_network().doing("make a network namespace")?;
    let namespace = own_namespace()?;
    let kernel = Netlink::route()?;
    let mut batch = Batch::default();
    let mtu = if rung == Rung::Listen { LONGEST_MTU } else { MTU };
    batch.pair(OWN, THEIRS, container, mtu);
    batch.up(LOOPBACK);
    batch.up(OWN.index);
    kernel.perform(&batch)?;
    // What is captured are frames as there are on a wire.
    let piece = if captures { MTU } else { PIECE };
    limit_pieces(&kernel, OWN, piece);
    let furnished = furnish(rung, (namespace, container), &kernel, inner, piece);
    if furnished.is_err() {
        // The container's end goes with ours, and leaves its name and number to the next that is tried.
        let mut batch = Batch::default();
        batch.remove(OWN.index);
        kernel.perform(&batch)?;
    }
    furnished
}

/// All but the pair itself. The thread is in N again afterwards.
fn furnish(
    rung: Rung,
    (namespace, container): (OwnedFd, BorrowedFd<'_>),
    kernel: &Netlink,
    inner: &Inner,
    piece: u32,
) -> Result<(Router, Inner), RouterError> {
    let inner = with_addresses(inner, |network| kernel.perform(&network.described()))?;
    do_not_check_ways_back()?;
    do_not_keep_ports()?;
    Netlink::netfilter()?.perform(&nft::table(&rules(rung, &inner)))?;
    let router = Router::open(rung, namespace, &inner)?;
    enter(container)?;
    let reached = reach_out(&inner, piece);
    enter(router.namespace.as_fd())?;
    reached?;
    Ok((router, inner))
}

impl Router {
    /// What dies with a process, in the namespace of this thread.
    fn open(rung: Rung, namespace: OwnedFd, inner: &Inner) -> Result<Self, RouterError> {
        let tap = options::tap(OWN.index, &tap::program()).doing("watch for first packets")?;
        let datagrams = match rung {
            Rung::Listen => Some(datagrams().doing("watch for datagrams")?),
            _ => None,
        };
        let ports = networks(inner).map(|network| Ports::open(rung, network)).collect::<Result<_, _>>()?;
        Ok(Self { rung, namespace, tap: Some(tap), datagrams, ports })
    }
}

/// The namespace that this thread is in.
fn own_namespace() -> Result<OwnedFd, RouterError> {
    use rustix::fs::{CWD, Mode, OFlags, openat};
    openat(CWD, c"/proc/thread-self/ns/net", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .doing("open a network namespace")
}

fn enter(namespace: BorrowedFd<'_>) -> Result<(), RouterError> {
    move_into_link_name_space(namespace, Some(LinkNameSpaceType::Network)).doing("enter a network namespace")
}

/// One protocol's addresses.
#[derive(Debug, Clone, Copy)]
struct Network {
    prefix: Prefix,
    gateway: IpAddr,
    container: IpAddr,
    /// What inside means the host.
    host: IpAddr,
}

fn networks(inner: &Inner) -> impl Iterator<Item = Network> {
    let v4 = &inner.v4;
    let four = Network {
        prefix: v4.network,
        gateway: v4.gateway.into(),
        container: v4.container.into(),
        host: v4.host.into(),
    };
    let six = inner.v6.as_ref().map(|v6| Network {
        prefix: v6.network,
        gateway: v6.gateway.into(),
        container: v6.container.into(),
        host: v6.host.into(),
    });
    std::iter::once(four).chain(six)
}

impl Network {
    /// The router's addresses, and that everything else is its own, too.
    fn described(&self) -> Batch {
        let mut batch = Batch::default();
        batch.address(OWN.index, self.gateway, self.prefix.length());
        // No table but the one that is asked anyway, and no rules: each packet would ask them, twice.
        batch.everything_is_local(self.gateway, MAIN);
        batch
    }

    const fn family(&self) -> Family {
        if self.gateway.is_ipv4() { Family::V4 } else { Family::V6 }
    }
}

/// Makes what there is of each protocol; without IPv6 where this kernel has none of it.
fn with_addresses(
    inner: &Inner,
    make: impl Fn(&Network) -> Result<(), NetlinkError>,
) -> Result<Inner, RouterError> {
    let mut kept = *inner;
    for network in networks(inner) {
        match make(&network) {
            Ok(()) => {}
            Err(NetlinkError { source: Errno::AFNOSUPPORT | Errno::OPNOTSUPP | Errno::ACCESS, .. })
                if network.family() == Family::V6 =>
            {
                kept.v6 = None;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(kept)
}

/// In the container: its addresses, and the way out.
fn reach_out(inner: &Inner, piece: u32) -> Result<(), RouterError> {
    let mut batch = Batch::default();
    batch.up(THEIRS.index);
    for network in networks(inner) {
        batch.address(THEIRS.index, network.container, network.prefix.length());
        batch.default_route(network.gateway);
    }
    let kernel = Netlink::route()?;
    limit_pieces(&kernel, THEIRS, piece);
    Ok(kernel.perform(&batch)?)
}

/// A kernel that knows nothing of large ones moves smaller ones.
fn limit_pieces(kernel: &Netlink, end: End<'_>, largest: u32) {
    let mut batch = Batch::default();
    batch.pieces(end.index, largest);
    kernel.perform(&batch).ok();
}

/// A packet that is sent in again comes by the loopback, where its sender is not to be expected. A new namespace takes the
/// host's setting over.
fn do_not_check_ways_back() -> Result<(), RouterError> {
    let doing = "turn off the check of ways back (rp_filter)";
    ["all", "lo", OWN.name].iter().try_for_each(|name| set(&format!("conf/{name}/rp_filter"), b"0", doing))
}

/// Low ports are the world's here, where sockets have its addresses.
fn do_not_keep_ports() -> Result<(), RouterError> {
    let doing = "let everybody have every port (ip_unprivileged_port_start)";
    set("ip_unprivileged_port_start", b"0", doing)
}

/// Changes one of the namespace's settings, a digit, if it is another.
fn set(name: &str, to: &[u8; 1], doing: &'static str) -> Result<(), RouterError> {
    use rustix::fs::{CWD, Mode, OFlags, openat};
    let path = format!("/proc/sys/net/ipv4/{name}");
    let change = || {
        let file = openat(CWD, &path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        let mut now = [0; 2];
        if rustix::io::read(&file, &mut now)? > 0 && now == [to[0], b'\n'] {
            return Ok(());
        }
        let file = openat(CWD, &path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
        rustix::io::write(&file, to).map(drop)
    };
    change().map_err(|source| RouterError::Setting { doing, source })
}

/// `IPPROTO_TCP` and its like.
mod transport {
    pub(super) const ICMP: u8 = 1;
    pub(super) const TCP: u8 = 6;
    pub(super) const UDP: u8 = 17;
    pub(super) const ICMP6: u8 = 58;
}

/// A packet that begins a connection: SYN, and neither ACK nor RST.
const BEGINS: If = If::Byte { at: 13, mask: 0x16, is: 0x02 };

/// A packet of one that has begun: ACK.
const GOES_ON: If = If::Byte { at: 13, mask: 0x10, is: 0x10 };

/// Which packets go where. What may become a connection is decided by `netd`, which sees what is below here too.
fn rules(rung: Rung, inner: &Inner) -> Vec<Rule> {
    let mut rules = Vec::new();
    let by_container = If::CameBy(OWN.index);
    let mut add = |conditions: &[If], then| rules.push(Rule { conditions: conditions.to_vec(), then });
    for network in networks(inner) {
        add_refusals(&network, by_container, &mut add);
    }
    // Nearly all packets: what is asked below is nothing that they have to wait for.
    add(&[by_container, If::Transport(transport::TCP), GOES_ON], Then::Accept);
    for network in networks(inner) {
        add_of(rung, &network, by_container, &mut add);
    }
    add(&[by_container, If::Transport(transport::TCP), BEGINS], Then::Drop);
    if rung != Rung::Tproxy {
        // What is sent in again meets a listener that has the address it is for.
        return rules;
    }
    for network in networks(inner) {
        let version = network.version();
        let again = [If::CameBy(LOOPBACK), If::Marked(MARK), If::Version(version)];
        let diverted = [&again[..], &[If::Transport(transport::TCP), BEGINS]].concat();
        add(&diverted, Then::Divert(version, STREAMS));
    }
    rules
}

/// Everything but some addresses.
fn elsewhere(prefix: &str) -> Option<Within> {
    prefix.parse::<Prefix>().ok().map(Within::Outside)
}

/// What comes from nowhere, or goes there.
fn add_refusals(network: &Network, by_container: If, add: &mut impl FnMut(&[If], Then)) {
    let version = network.version();
    let own = [by_container, If::Version(version)];
    let mut when = |more: &[If], then| add(&[&own[..], more].concat(), then);
    // Neighbours find each other by addresses of the link, and look for doubles with none at all.
    let found: &[&str] = if version == Version::V6 { &["fe80::/10", "::/128"] } else { &[] };
    let strangers: Vec<If> = std::iter::once(Within::Outside(network.prefix))
        .chain(found.iter().copied().filter_map(elsewhere))
        .map(If::Source)
        .collect();
    when(&strangers, Then::Drop);
    // Neighbours of IPv6 speak to groups, by what is neither of these.
    let nowhere: (&[&str], &[&[If]]) = match version {
        Version::V4 => (&["0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3"], &[&[]]),
        Version::V6 => {
            (&["::/64", "ff00::/8"], &[&[If::Transport(transport::TCP)], &[If::Transport(transport::UDP)]])
        }
    };
    let (prefixes, kinds) = nowhere;
    for prefix in prefixes.iter().filter_map(|prefix| prefix.parse::<Prefix>().ok()) {
        for kind in kinds {
            when(&[&[If::Destination(Within::Inside(prefix))], *kind].concat(), Then::Drop);
        }
    }
}

/// What is not for the listener of streams.
fn add_of(rung: Rung, network: &Network, by_container: If, add: &mut impl FnMut(&[If], Then)) {
    let version = network.version();
    let own = [by_container, If::Version(version)];
    let mut when = |more: &[If], then| add(&[&own[..], more].concat(), then);
    let others: Vec<If> = std::iter::once(Within::Outside(network.prefix))
        .chain(if version == Version::V6 { elsewhere("fe80::/10") } else { None })
        .map(If::Destination)
        .collect();
    let mut when_others = |more: &[If], then| when(&[&others[..], more].concat(), then);
    let (number, request) = match version {
        Version::V4 => (transport::ICMP, 8),
        Version::V6 => (transport::ICMP6, 128),
    };
    let asks = If::Byte { at: 0, mask: 0xff, is: request };
    when_others(&[If::Transport(number), asks], Then::Drop);
    // The copy that counts is the tap's, where nothing can be diverted.
    let datagrams = if rung == Rung::Tproxy { Then::Divert(version, DATAGRAMS) } else { Then::Drop };
    when_others(&[If::Transport(transport::UDP)], datagrams);
    let gateway = Prefix::new(network.gateway, if network.gateway.is_ipv4() { 32 } else { 128 });
    if let Ok(gateway) = gateway.map(Within::Inside) {
        let to_gateway = If::Destination(gateway);
        for number in [transport::TCP, transport::UDP] {
            when(&[to_gateway, If::Transport(number), If::Port(RESOLVER)], Then::Accept);
        }
        // What else the gateway may be is decided where all is.
        when(&[to_gateway, If::Transport(transport::UDP)], datagrams);
    }
}

impl Network {
    const fn version(&self) -> Version {
        if self.gateway.is_ipv4() { Version::V4 } else { Version::V6 }
    }

    /// An address of ours that stands for all.
    const fn any(&self) -> IpAddr {
        match self.family() {
            Family::V4 => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Family::V6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        }
    }
}

/// The longest queue of what waits to be accepted.
const QUEUE: i32 = 4096;
/// Room for a burst of first packets.
const BURST: usize = 4 << 20;

impl Ports {
    fn open(rung: Rung, network: Network) -> Result<Self, RouterError> {
        let family = network.family();
        let diverted = (rung == Rung::Tproxy).then(|| Diverted::open(network)).transpose()?;
        let gateway = SocketAddr::new(network.gateway, RESOLVER);
        Ok(Self {
            family,
            diverted,
            questions: plain(family, SocketType::DGRAM)
                .and_then(|socket| bind(&socket, &gateway).map(|()| socket))
                .doing("listen for questions of names")?,
            long_questions: plain(family, SocketType::STREAM)
                .and_then(|socket| listening(socket, &gateway))
                .doing("listen for questions of names")?,
            again: sender(family, Some(MARK)).doing("send packets in again")?,
            answers: sender(family, None).doing("send packets to the container")?,
        })
    }
}

impl Diverted {
    fn open(network: Network) -> Result<Self, RouterError> {
        let family = network.family();
        let everywhere = |port| SocketAddr::new(network.any(), port);
        Ok(Self {
            streams: listener(family, everywhere(STREAMS)).doing("listen for the container's connections")?,
            datagrams: catcher(family, everywhere(DATAGRAMS))
                .doing("listen for the container's datagrams")?,
        })
    }
}

fn plain(family: Family, kind: SocketType) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family.domain(), kind, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if family == Family::V6 {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    Ok(socket)
}

/// A socket for [`crate::netd`]'s pool.
pub(crate) fn pooled(rung: Rung, family: Family, kind: SocketType) -> Result<OwnedFd, Errno> {
    let socket = transparent(family, kind)?;
    if rung == Rung::Published {
        options::set_mark(socket.as_fd(), MARK)?;
    }
    Ok(socket)
}

/// A socket that may have any address.
fn transparent(family: Family, kind: SocketType) -> Result<OwnedFd, Errno> {
    let socket = plain(family, kind)?;
    options::set_transparent(socket.as_fd(), family)?;
    if kind == SocketType::STREAM {
        settle(&socket)?;
    } else {
        // Where it is not known each datagram comes alone.
        options::join_datagrams(socket.as_fd()).ok();
        options::tell_pieces(socket.as_fd(), family)?;
    }
    Ok(socket)
}

/// What each connection inside has: it ends with a reset if we are killed, and the way between two sockets of one machine is no
/// matter for clever control of congestion.
fn settle(socket: &OwnedFd) -> Result<(), Errno> {
    sockopt::set_tcp_nodelay(socket, true)?;
    sockopt::set_socket_linger(socket, Some(std::time::Duration::ZERO))?;
    match sockopt::set_tcp_congestion(socket, "cubic") {
        // A kernel without it has something else.
        Err(Errno::NOENT) | Ok(()) => Ok(()),
        Err(errno) => Err(errno),
    }
}

fn listener(family: Family, at: SocketAddr) -> Result<OwnedFd, Errno> {
    listening(transparent(family, SocketType::STREAM)?, &at)
}

/// Has a socket listen at an address.
pub(crate) fn listening(socket: OwnedFd, at: &SocketAddr) -> Result<OwnedFd, Errno> {
    bind(&socket, at)?;
    listen(&socket, QUEUE)?;
    Ok(socket)
}

fn catcher(family: Family, at: SocketAddr) -> Result<OwnedFd, Errno> {
    let socket = transparent(family, SocketType::DGRAM)?;
    options::tell_destinations(socket.as_fd(), family)?;
    sockopt::set_socket_recv_buffer_size(&socket, BURST)?;
    bind(&socket, &at)?;
    Ok(socket)
}

/// A tap for all datagrams of the container.
fn datagrams() -> Result<OwnedFd, Errno> {
    options::whole_tap(OWN.index, &tap::datagrams())
}

/// A socket that sends packets as they are.
fn sender(family: Family, mark: Option<u32>) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let domain: AddressFamily = family.domain();
    let socket = socket_with(domain, SocketType::RAW, flags, Some(ipproto::RAW))?;
    if let Some(mark) = mark {
        options::set_mark(socket.as_fd(), mark)?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests;
