//! How long a datagram may be that must not be cut.
//!
//! Inside packets of 64 KiB go through; on the host's side there is a wire. A datagram that is longer than that takes is cut by the
//! host's kernel, unless its sender has asked it not to, as those do who want to find out what fits (QUIC). What a sender has asked for
//! nobody sees from outside. But the container's kernel knows, once it knows what fits. So it is told when a long datagram goes
//! somewhere, by a message about a packet that nobody has sent: to a kernel that is news of a way, and no error to any socket. From then on
//!
//! - what may be cut is cut inside already. It is put together on our side, and may be cut again;
//! - what must not be cut is refused inside, as by the host's kernel (EMSGSIZE);
//! - what comes in one piece all the same is from somebody who does not go by what the kernel knows (`IP_PMTUDISC_PROBE`): it arrives as it
//!   is, or not at all.
//!
//! The first long one to somebody may be of any of these, and is cut if need be. What the network says later of what was on its way is told
//! to who sent it, as ever.

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use ctr_sys::net::options::{self, Family};
use rustix::net::{SocketFlags, SocketType, connect, socket_with};

use super::Said;
use crate::netd::Netd;
use crate::netd::slab::Key;
use crate::router;
use crate::rung::Rung;
use crate::wire::{Echo, Trouble, trouble};

/// Shorter ones fit through everywhere: QUIC's first ones are this long.
const SHORT: usize = 1200;
/// Longer ones than Ethernet has are sent by nobody who tries what fits; but there are servers that want theirs cut whatever the kernel
/// knows of the way (`IP_PMTUDISC_OMIT`).
const LONGEST_TRIED: usize = 1472;
/// What was under way when the container's kernel was told has arrived by then.
const UNDER_WAY: Duration = Duration::from_millis(50);
/// A kernel forgets what it was told after ten minutes, and hears it again in the latter half of them.
const AGAIN: Duration = Duration::from_secs(240);

/// What is known of a pair's way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    since: Instant,
    /// It takes less than the container's interface.
    is_narrow: bool,
}

impl Netd {
    /// Whether a datagram is to arrive as it is, or not at all.
    pub(super) fn must_be_whole(&mut self, key: Key, said: &Said<'_>) -> bool {
        let length = said.length();
        if said.in_pieces || length < SHORT {
            return false;
        }
        let Some(known) = self.know_way(key) else { return false };
        known.is_narrow
            && length <= LONGEST_TRIED
            && self.now.saturating_duration_since(known.since) > UNDER_WAY
    }

    /// Finds out what a pair's way takes, and tells the container's kernel.
    fn know_way(&mut self, key: Key) -> Option<Known> {
        // A caller who is seen as the gateway would have the container's kernel think that of all that goes there.
        let near = self.datagrams.nears.get(key).filter(|near| near.is_itself())?;
        if let Some(known) = near.way
            && self.now.saturating_duration_since(known.since) < AGAIN
        {
            return Some(known);
        }
        // Where nobody puts packets together on our side, or no kernel would be told, nobody is made to send pieces.
        let most = match self.router.rung {
            Rung::Tproxy => router::MTU,
            Rung::Tun => router::tun::MTU,
            Rung::Listen | Rung::Published => 0,
        };
        let ((container, remote), fits) = (near.pair, mtu_to(near.to));
        let narrow = fits.filter(|fits| *fits < most);
        if let Some(fits) = narrow {
            // A reply is what no socket waits to hear of.
            let (source, destination) = (remote.ip(), container.ip());
            let nothing = Echo { source, destination, id: 0, sequence: 0, payload: &[] }.reply();
            let gateway = self.gateway_of(destination);
            if let Ok(told) = nothing.and_then(|nothing| trouble(gateway, Trouble::TooBig(fits), &nothing)) {
                self.send_inside(destination, &told);
            }
        }
        let known = Known { since: self.now, is_narrow: narrow.is_some() };
        self.datagrams.nears.get_mut(key)?.way = Some(known);
        Some(known)
    }
}

/// The longest packet that the host's kernel would send somewhere.
pub(super) fn mtu_to(to: SocketAddr) -> Option<u32> {
    let family = Family::of(&to);
    let socket = socket_with(family.domain(), SocketType::DGRAM, SocketFlags::CLOEXEC, None).ok()?;
    connect(&socket, &to).ok()?;
    options::mtu(socket.as_fd(), family).ok()
}
