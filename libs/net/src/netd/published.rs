//! Published ports: sockets of the host's that lead to ports of the container's.
//!
//! They are bound by whoever supervises the container, before it is there, and come over the control socket, so what the host allows
//! its user is what decides. Who calls is seen inside as who it is: [`crate::policy::Policy::appearance`] says so, and where it must
//! be another, because the address means somebody else in there. What is accepted is [`super::tcp`]'s, what is received
//! [`super::udp`]'s.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::epoll;
use rustix::io::Errno;
use rustix::net::getsockname;

use super::slab::{Key, Slab};
use super::{Netd, Source};
use crate::counters::Limit;
use crate::publish::{Leads, Place, Transport};

/// How many connections of one port may be on their way: more of them wait where they came.
const ARRIVING: usize = 512;

/// A published port.
#[derive(Debug)]
enum Port {
    Streams {
        listener: OwnedFd,
        inside: u16,
        /// How many of its connections the container has not taken yet.
        arriving: usize,
        /// There are so many of those that nobody is accepted.
        is_crowded: bool,
    },
    /// Its socket is among those of datagrams.
    Datagrams { at: SocketAddr, far: Key },
}

impl Port {
    /// Whether as many of its connections are on their way as may be.
    const fn is_full(&self) -> bool {
        matches!(self, Self::Streams { arriving, .. } if *arriving >= ARRIVING)
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Published(Slab<Port>);

impl Published {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The socket that accepts for a port, and that port inside.
    pub(super) fn stream(&self, key: Key) -> Option<(&OwnedFd, u16)> {
        match self.0.get(key)? {
            Port::Streams { listener, inside, .. } => Some((listener, *inside)),
            Port::Datagrams { .. } => None,
        }
    }
}

impl Netd {
    /// Takes a bound socket of the host's.
    ///
    /// # Errors
    /// It is no such socket, or there is no room.
    pub(super) fn publish(&mut self, socket: OwnedFd, leads: Leads) -> Result<(), Errno> {
        match leads.transport {
            Transport::Tcp => {
                let (inside, arriving, is_crowded) = (leads.inside, 0, false);
                let port = Port::Streams { listener: socket, inside, arriving, is_crowded };
                let key = self.published.0.insert(port);
                if let Some((listener, _)) = self.published.stream(key) {
                    self.watch(listener.as_fd(), Source::Published(key))?;
                }
            }
            Transport::Udp => {
                let at = SocketAddr::try_from(getsockname(&socket)?)?;
                let far = self.publish_datagrams(socket, leads.inside)?;
                self.published.0.insert(Port::Datagrams { at, far });
            }
        }
        Ok(())
    }

    /// Says of a caller why he does not look like himself, where his address is one of the container's own network.
    pub(super) fn tell_of_namesake(&self, caller: IpAddr) {
        if self.policy.is_namesake(caller) {
            let gateway = self.policy.appearance(caller).address();
            self.trace.say(|| {
                format!("{caller} calls from outside, and is an address of the container's network: it sees {gateway}")
            });
        }
    }

    /// Gives up what is bound to an address: connections that are open stay.
    pub(super) fn withdraw(&mut self, Place { transport, at }: Place) {
        let is_it = |port: &Port| match port {
            Port::Streams { listener, .. } => {
                let bound = getsockname(listener).and_then(SocketAddr::try_from);
                transport == Transport::Tcp && bound == Ok(at)
            }
            Port::Datagrams { at: bound, .. } => transport == Transport::Udp && *bound == at,
        };
        let found: Vec<Key> =
            self.published.0.iter().filter(|(_, port)| is_it(port)).map(|(key, _)| key).collect();
        for key in found {
            if let Some(Port::Datagrams { far, .. }) = self.published.0.remove(key) {
                self.withdraw_datagrams(far);
            }
        }
    }

    /// Listens, or does not, to who calls.
    pub(super) fn watch_published(&self, listens: bool) {
        for (key, port) in self.published.0.iter() {
            let Port::Streams { listener, is_crowded, .. } = port else { continue };
            // It fails where it is so already.
            if listens && !is_crowded {
                self.watch(listener.as_fd(), Source::Published(key)).ok();
            } else {
                epoll::delete(&self.epoll, listener).ok();
            }
        }
    }

    /// Whether a port has as many connections on their way as it may have: then it accepts no more until some have arrived. One
    /// port that does not answer holds up no other.
    pub(super) fn is_crowded(&mut self, key: Key) -> bool {
        let Some(port) = self.published.0.get_mut(key) else { return false };
        let is_full = port.is_full();
        let Port::Streams { listener, is_crowded, .. } = port else { return false };
        *is_crowded = is_full;
        if *is_crowded {
            epoll::delete(&self.epoll, listener).ok();
            self.counters.hits(Limit::Arriving);
        }
        *is_crowded
    }

    /// A connection of a port's is on its way.
    pub(super) fn one_arrives(&mut self, key: Key) {
        if let Some(Port::Streams { arriving, .. }) = self.published.0.get_mut(key) {
            *arriving += 1;
        }
    }

    /// One of those has arrived, or is gone.
    pub(super) fn one_arrived(&mut self, key: Key) {
        let Some(Port::Streams { arriving, is_crowded, .. }) = self.published.0.get_mut(key) else { return };
        *arriving = arriving.saturating_sub(1);
        if *arriving < ARRIVING / 2 && std::mem::take(is_crowded) {
            self.watch_published(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_has_so_many_on_their_way() {
        let port = |arriving| {
            let listener = std::fs::File::open("/dev/null").unwrap().into();
            Port::Streams { listener, inside: 80, arriving, is_crowded: false }
        };
        assert!(!port(0).is_full() && !port(ARRIVING - 1).is_full() && port(ARRIVING).is_full());
    }
}
