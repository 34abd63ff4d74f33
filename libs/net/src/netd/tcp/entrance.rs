//! Entrances: where nothing diverts the container's connections to one listener, there is one at each address that somebody is on the
//! way to, and only as long as that is so.
//!
//! Only a packet that we have sent in again gets there: the first packets of the container's own are thrown away. So a connection that is
//! accepted here passed the policy and has its host's side, as anywhere else.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

use ctr_sys::net::options::Family;
use rustix::event::epoll;
use rustix::io::Errno;

use super::{TURN, accept};
use crate::netd::pool::Kind;
use crate::netd::slab::{Key, Slab};
use crate::netd::{LAST_TURNS, Netd, Source};
use crate::router::listening;
use crate::rung::Rung;

/// A listener at an address of somebody else's.
#[derive(Debug)]
struct Entrance {
    listener: OwnedFd,
    /// How many are on the way to it.
    coming: usize,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Entrances {
    all: Slab<Entrance>,
    by_address: HashMap<SocketAddr, Key>,
}

impl Netd {
    /// Somebody is on the way to an address.
    ///
    /// # Errors
    /// There is no descriptor for one more, or somebody else listens there.
    pub(super) fn open_entrance(&mut self, at: SocketAddr) -> Result<(), Errno> {
        if self.router.rung != Rung::Listen {
            return Ok(());
        }
        let entrances = &mut self.streams.entrances;
        let known = entrances.by_address.get(&at).copied();
        if let Some(entrance) = known.and_then(|key| entrances.all.get_mut(key)) {
            entrance.coming += 1;
            return Ok(());
        }
        let socket = self.pool.take(Kind { family: Family::of(&at), is_stream: true })?;
        let key = entrances.all.insert(Entrance { listener: listening(socket, &at)?, coming: 1 });
        entrances.by_address.insert(at, key);
        let entrance = self.streams.entrances.all.get(key).ok_or(Errno::BADF)?;
        let watched = self.watch(entrance.listener.as_fd(), Source::Entrance(key));
        if watched.is_err() {
            self.leave_entrance(at);
        }
        watched
    }

    /// One of those has come, or comes no more.
    pub(super) fn leave_entrance(&mut self, at: SocketAddr) {
        let entrances = &mut self.streams.entrances;
        let Some(key) = entrances.by_address.get(&at).copied() else { return };
        let Some(entrance) = entrances.all.get_mut(key) else { return };
        entrance.coming -= 1;
        if entrance.coming == 0 {
            entrances.all.remove(key);
            entrances.by_address.remove(&at);
        }
    }

    /// Takes what the kernel has made of packets that were sent in again; whether there may be more.
    pub(in crate::netd) fn accept_at_entrance(&mut self, key: Key) -> bool {
        for _ in 0..TURN {
            let Some(entrance) = self.streams.entrances.all.get(key) else { return false };
            let accepted = accept(&entrance.listener);
            if !self.accepted(accepted) {
                return false;
            }
        }
        true
    }

    /// All that has come so far.
    pub(in crate::netd) fn accept_at_all_entrances(&mut self) {
        for key in self.streams.entrances.all.iter().map(|(key, _)| key).collect::<Vec<_>>() {
            (0..LAST_TURNS).take_while(|_| self.accept_at_entrance(key)).count();
        }
    }

    /// Listens, or does not, to who comes.
    pub(in crate::netd) fn watch_entrances(&self, listens: bool) {
        for (key, Entrance { listener, .. }) in self.streams.entrances.all.iter() {
            // It fails where it is so already.
            if listens {
                self.watch(listener.as_fd(), Source::Entrance(key)).ok();
            } else {
                epoll::delete(&self.epoll, listener).ok();
            }
        }
    }
}
