//! Interfaces, addresses, routes and rules, as messages.

use std::net::IpAddr;
use std::os::fd::BorrowedFd;

use ctr_sys::net::options::as_in_netlink;

use super::{Attributes, Batch, CREATE, EXCL};

/// The loopback interface is the first of every network namespace.
pub(crate) const LOOPBACK: u32 = 1;

/// One end of a pair of interfaces.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End<'a> {
    /// What it is called.
    pub(crate) name: &'a str,
    /// Its number, in its own namespace.
    pub(crate) index: u32,
}

/// `RT_TABLE_MAIN`.
pub(crate) const MAIN: u8 = 254;

// Kinds of messages.
const NEW_LINK: u16 = 16;
const DELETE_LINK: u16 = 17;
const NEW_ADDRESS: u16 = 20;
const NEW_ROUTE: u16 = 24;
const NEW_RULE: u16 = 32;

impl Batch {
    /// Makes a pair of interfaces, the second in another network namespace.
    pub(crate) fn pair(&mut self, here: End<'_>, there: End<'_>, namespace: BorrowedFd<'_>, mtu: u32) {
        self.ask("make a pair of interfaces", NEW_LINK, CREATE | EXCL, &link(here.index, false), |with| {
            with.put_text(3, here.name).put(4, &mtu.to_ne_bytes()).nest(18, |kind| {
                kind.put_text(1, "veth").nest(2, |data| {
                    data.nest_after(1, &link(there.index, false), |peer| {
                        let fd = as_in_netlink(namespace);
                        peer.put_text(3, there.name).put(4, &mtu.to_ne_bytes()).put(28, &fd);
                    });
                });
            });
        });
    }

    /// Removes an interface, of a pair with the other.
    pub(crate) fn remove(&mut self, index: u32) {
        self.ask("remove an interface", DELETE_LINK, 0, &link(index, false), |_| {});
    }

    /// Has an interface carry packets.
    pub(crate) fn up(&mut self, index: u32) {
        self.ask("bring an interface up", NEW_LINK, 0, &link(index, true), |_| {});
    }

    /// How long the packets of an interface may be.
    pub(crate) fn mtu(&mut self, index: u32, mtu: u32) {
        self.ask("set the length of an interface's packets", NEW_LINK, 0, &link(index, false), |with| {
            with.put(4, &mtu.to_ne_bytes());
        });
    }

    /// How many packets an interface keeps that nobody takes yet.
    pub(crate) fn queue(&mut self, index: u32, packets: u32) {
        self.ask("set the length of an interface's queue", NEW_LINK, 0, &link(index, false), |with| {
            with.put(13, &packets.to_ne_bytes());
        });
    }

    /// Has an interface take so much of a stream in one piece, which no wire could carry.
    pub(crate) fn pieces(&mut self, index: u32, largest: u32) {
        // What is sent, and what is joined on arrival; then both for IPv4, which came later.
        let limits: [u16; 4] = [41, 58, 63, 64];
        self.ask("allow larger pieces", NEW_LINK, 0, &link(index, false), |with| {
            for limit in limits {
                with.put(limit, &largest.to_ne_bytes());
            }
        });
    }

    /// Gives an interface an address, at once usable.
    pub(crate) fn address(&mut self, index: u32, address: IpAddr, prefix: u8) {
        /// `IFA_F_NODAD`: nobody else can have it.
        const NO_DETECTION: u32 = 0x02;
        let [a, b, c, d] = index.to_ne_bytes();
        let header = [family(address), prefix, 0, 0, a, b, c, d];
        self.ask("give an interface its address", NEW_ADDRESS, CREATE | EXCL, &header, |with| {
            put_address(put_address(with, 2, address), 1, address);
            if address.is_ipv6() {
                with.put(8, &NO_DETECTION.to_ne_bytes());
            }
        });
    }

    /// Sends what goes nowhere else to a gateway.
    pub(crate) fn default_route(&mut self, gateway: IpAddr) {
        // Unicast, anywhere, by us.
        let header = [family(gateway), 0, 0, 0, MAIN, 4, 0, 1, 0, 0, 0, 0];
        self.ask("set the default route", NEW_ROUTE, CREATE | EXCL, &header, |with| {
            put_address(with, 5, gateway);
        });
    }

    /// Takes an address for this machine's own, to which others of it speak from another one.
    pub(crate) fn is_local(&mut self, address: IpAddr, from: IpAddr) {
        /// `RT_TABLE_LOCAL`.
        const LOCAL: u8 = 255;
        let length = if address.is_ipv4() { 32 } else { 128 };
        let header = [family(address), length, 0, 0, LOCAL, 4, 254, 2, 0, 0, 0, 0];
        self.ask("take an address for its own", NEW_ROUTE, CREATE | EXCL, &header, |with| {
            put_address(put_address(with, 1, address), 7, from).put(4, &LOOPBACK.to_ne_bytes());
        });
    }

    /// Takes everything for this machine's own that a table is asked about.
    pub(crate) fn everything_is_local(&mut self, family_of: IpAddr, table: u8) {
        // Local, on this host, by us.
        let header = [family(family_of), 0, 0, 0, table, 4, 254, 2, 0, 0, 0, 0];
        self.ask("take every address for its own", NEW_ROUTE, CREATE | EXCL, &header, |with| {
            with.put(4, &LOOPBACK.to_ne_bytes());
        });
    }

    /// Has packets of a mark ask a table.
    pub(crate) fn rule(&mut self, family_of: IpAddr, priority: u32, mark: u32, table: u8) {
        // FR_ACT_TO_TBL.
        let header = [family(family_of), 0, 0, 0, table, 0, 0, 1, 0, 0, 0, 0];
        self.ask("add a rule for routes", NEW_RULE, CREATE | EXCL, &header, |with| {
            with.put(6, &priority.to_ne_bytes()).put(10, &mark.to_ne_bytes());
        });
    }
}

/// A `struct ifinfomsg`, which brings the interface up or leaves it as it is.
fn link(index: u32, up: bool) -> [u8; 16] {
    let [a, b, c, d] = index.to_ne_bytes();
    // IFF_UP, and that it is this flag which changes.
    let [e, f, g, h] = u32::from(up).to_ne_bytes();
    [0, 0, 0, 0, a, b, c, d, e, f, g, h, e, f, g, h]
}

fn put_address<'a, 'b>(with: &'a mut Attributes<'b>, kind: u16, address: IpAddr) -> &'a mut Attributes<'b> {
    match address {
        IpAddr::V4(v4) => with.put(kind, &v4.octets()),
        IpAddr::V6(v6) => with.put(kind, &v6.octets()),
    }
}

/// `AF_INET` or `AF_INET6`.
const fn family(address: IpAddr) -> u8 {
    if address.is_ipv4() { 2 } else { 10 }
}
