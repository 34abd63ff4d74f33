//! Published ports: sockets of the host's that lead to ports of the container's.
//!
//! They are bound by whoever supervises the container, before it is there, and come over the control socket, so what the host allows
//! its user is what decides. Who calls is seen inside as who it is: [`crate::policy::Policy::appearance`] says so, and where it must
//! be another, because the address means somebody else in there. What is accepted is [`super::tcp`]'s, what is received
//! [`super::udp`]'s.

use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::epoll;
use rustix::io::Errno;
use rustix::net::getsockname;

use super::slab::{Key, Slab};
use super::{Netd, Source};
use crate::publish::{Leads, Place, Transport};

/// A published port.
#[derive(Debug)]
enum Port {
    Streams {
        listener: OwnedFd,
        inside: u16,
    },
    /// Its socket is among those of datagrams.
    Datagrams {
        at: SocketAddr,
        far: Key,
    },
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Published(Slab<Port>);

impl Published {
    /// The socket that accepts for a port, and that port inside.
    pub(super) fn stream(&self, key: Key) -> Option<(&OwnedFd, u16)> {
        match self.0.get(key)? {
            Port::Streams { listener, inside } => Some((listener, *inside)),
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
                let key = self.published.0.insert(Port::Streams { listener: socket, inside: leads.inside });
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
            let Port::Streams { listener, .. } = port else { continue };
            // It fails where it is so already.
            if listens {
                self.watch(listener.as_fd(), Source::Published(key)).ok();
            } else {
                epoll::delete(&self.epoll, listener).ok();
            }
        }
    }
}
