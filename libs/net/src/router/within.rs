//! No router: `netd` has sockets in the container's own namespace, and connects there whoever calls a published port.
//!
//! ```text
//! container C
//!   lo 127.0.0.1, 10.0.2.100     and as routes only: 10.0.2.1 (who sends datagrams from elsewhere), 169.254.1.2 (the host's loopback)
//! ```
//! Nothing leads out of C, so what the container begins fails at once. Who calls by TCP is seen as who it is: our half of the connection
//! has the caller's address and a mark, the container's half takes the mark over (`tcp_fwmark_accept`), and for what has it every address
//! is here. Datagrams know no such thing: an answer to the caller's own address would have no way, so callers are the gateway.
//!
//! All of this is the container's own: its root may change it, and then is not reached.

use std::os::fd::{AsFd, OwnedFd};

use super::{Doing, LOOPBACK, MARK, Network, Router, RouterError, enter, set, with_addresses};
use crate::address::Inner;
use crate::netlink::{Batch, Netlink, NetlinkError};
use crate::rung::Rung;

/// The table of routes that knows nothing but "here".
const TABLE: u8 = 100;

/// Gives the container the addresses that callers have, and the way back to them.
pub(super) fn make(container: &OwnedFd, inner: &Inner) -> Result<(Router, Inner), RouterError> {
    enter(container.as_fd())?;
    let kernel = Netlink::route()?;
    let inner = with_addresses(inner, |network| furnish(&kernel, network))?;
    set("tcp_fwmark_accept", b"1", "have connections take marks over (tcp_fwmark_accept)")?;
    let namespace = container.try_clone().map_err(|_full| rustix::io::Errno::MFILE);
    Ok((open(namespace.doing("copy a descriptor")?), inner))
}

/// There is nothing that dies with a process.
pub(super) const fn open(namespace: OwnedFd) -> Router {
    Router { rung: Rung::Published, namespace, tap: None, datagrams: None, ports: Vec::new() }
}

fn furnish(kernel: &Netlink, network: &Network) -> Result<(), NetlinkError> {
    let mut batch = Batch::default();
    batch.up(LOOPBACK);
    batch.address(LOOPBACK, network.container, if network.container.is_ipv4() { 32 } else { 128 });
    for caller in [network.gateway, network.host] {
        // An answer comes from who was asked, though the address is of the same machine.
        batch.is_local(caller, network.container);
    }
    batch.rule(network.container, 60, MARK, TABLE);
    batch.everything_is_local(network.container, TABLE);
    kernel.perform(&batch)
}
