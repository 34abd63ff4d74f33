//! No router at all: the container's interface is a device whose packets `netd` gets and sends.
//!
//! ```text
//! container C
//!   eth0 10.0.2.100 ═══ netd
//!   default via 10.0.2.1
//! ```
//! It takes nothing of the host's kernel but `/dev/net/tun`: no filter, no pair of interfaces, no second namespace.
//!
//! # Failure
//! The device is there for as long as somebody has it open, and with it the container's namespace. It outlives a process that
//! serves it, whose supervisor has it open, too; the connections do not, and whoever comes next ends them ([`left`]).

mod left;

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::net::netdevice::name_to_index;
use rustix::net::{SocketFlags, SocketType, socket_with};

use super::{Doing, Router, RouterError, THEIRS, enter, with_addresses};
use crate::address::Inner;
use crate::netlink::{Batch, Netlink};
use crate::rung::Rung;

/// The greatest there is: a datagram of any length is one packet.
pub(crate) const MTU: u32 = 65_535;

/// How many packets of the container's kernel may wait to be read: what is one turn's work makes thousands.
const QUEUE: u32 = 10_000;

/// Makes a device in the container, which this thread is in from then on.
pub(super) fn make(container: BorrowedFd<'_>, inner: &Inner) -> Result<(Router, Inner), RouterError> {
    enter(container)?;
    let doing = "make a TUN device";
    let device = ctr_sys::net::tun::open(c"eth0").doing(doing)?;
    let socket = socket_with(rustix::net::AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None);
    let index = socket.and_then(|socket| name_to_index(&socket, THEIRS.name)).doing(doing)?;
    let kernel = Netlink::route()?;
    let mut batch = Batch::default();
    batch.mtu(index, MTU);
    batch.queue(index, QUEUE);
    batch.up(index);
    kernel.perform(&batch)?;
    let inner = with_addresses(inner, |network| {
        let mut batch = Batch::default();
        batch.address(index, network.container, network.prefix.length());
        batch.default_route(network.gateway);
        kernel.perform(&batch)
    })?;
    Ok((open(device)?, inner))
}

/// Takes a device that another process has served, whose connections end.
pub(super) fn take_over(device: OwnedFd, inner: &Inner) -> Result<Router, RouterError> {
    left::end_all(device.as_fd(), inner).doing("end what another process has begun")?;
    open(device)
}

fn open(device: OwnedFd) -> Result<Router, RouterError> {
    let copy = rustix::io::fcntl_dupfd_cloexec(&device, 0).doing("copy a descriptor")?;
    Ok(Router { rung: Rung::Tun, namespace: copy, tap: Some(device), datagrams: None, ports: Vec::new() })
}
