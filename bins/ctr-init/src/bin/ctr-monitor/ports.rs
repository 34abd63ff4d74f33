//! Published ports that clients add and take away while the container runs.

use core::mem::MaybeUninit;

use ctr_sys::monitor::ports::{LEADS, PLACE};
use ctr_sys::monitor::{MOST_ADDED, Serving, kind};
use rustix::fd::OwnedFd;
use rustix::io::{Errno, IoSliceMut};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, recv, recvmsg};

use crate::client::{Client, Gone};
use crate::network::Inherited;

/// Does what a client wants done about ports, if that is what it says next; whether it was.
pub(crate) fn take(client: &Client, network: Option<&mut Serving<'_, Inherited>>) -> Result<bool, Gone> {
    let mut first = [0];
    match recv(&client.socket, &mut first, RecvFlags::PEEK | RecvFlags::DONTWAIT) {
        Ok((1.., _)) if matches!(first[0], kind::PUBLISH | kind::WITHDRAW) => {}
        // Whatever it is, others hear it.
        _ => return Ok(false),
    }
    let outcome = Order::receive(client).and_then(|order| order.follow(network.ok_or(Errno::NODEV)?));
    let errno = outcome.map_or_else(Errno::raw_os_error, |()| 0);
    let [a, b, c, d] = errno.to_le_bytes();
    client.tell(&[first[0], a, b, c, d]).map(|()| true)
}

/// What a client said.
struct Order {
    words: [u8; 1 + LEADS * MOST_ADDED],
    length: usize,
    sockets: [Option<OwnedFd>; MOST_ADDED],
    count: usize,
}

impl Order {
    fn receive(client: &Client) -> Result<Self, Errno> {
        let mut order = Self {
            words: [0; 1 + LEADS * MOST_ADDED],
            length: 0,
            sockets: [const { None }; MOST_ADDED],
            count: 0,
        };
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_ADDED))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let mut into = [IoSliceMut::new(&mut order.words)];
        let received = recvmsg(&client.socket, &mut into, &mut ancillary, flags)?;
        order.length = received.bytes;
        for message in ancillary.drain() {
            let RecvAncillaryMessage::ScmRights(sockets) = message else { continue };
            for (socket, place) in sockets.zip(&mut order.sockets) {
                *place = Some(socket);
                order.count += 1;
            }
        }
        let is_cut = received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC);
        if is_cut { Err(Errno::TOOBIG) } else { Ok(order) }
    }

    fn follow(mut self, network: &mut Serving<'_, Inherited>) -> Result<(), Errno> {
        let words = self.words.get(..self.length).unwrap_or_default();
        match words.split_first() {
            Some((&kind::PUBLISH, leads)) => {
                network.publish(leads, self.sockets.get_mut(..self.count).unwrap_or_default())
            }
            Some((&kind::WITHDRAW, place)) => {
                let place: &[u8; PLACE] = place.try_into().map_err(|_length| Errno::INVAL)?;
                network.withdraw(place)
            }
            _ => Err(Errno::INVAL),
        }
    }
}
