//! What clients want of the network while the container runs: ports added and taken away, and to hear what was counted.

use ctr_sys::monitor::ports::{LEADS, PLACE};
use ctr_sys::monitor::{MOST_ADDED, Serving, kind};
use ctr_sys::packet;
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

use crate::client::{Client, Gone};
use crate::network::Inherited;

/// Does what a client wants done about the network, if that is what it says next; whether it was.
pub(crate) fn take(client: &Client, network: Option<&mut Serving<'_, Inherited>>) -> Result<bool, Gone> {
    let mut first = [0];
    match recv(&client.socket, &mut first, RecvFlags::PEEK | RecvFlags::DONTWAIT) {
        Ok((1.., _)) if matches!(first[0], kind::PUBLISH | kind::WITHDRAW | kind::COUNT) => {}
        // Whatever it is, others hear it.
        _ => return Ok(false),
    }
    let outcome = Order::receive(client).and_then(|order| order.follow(network.ok_or(Errno::NODEV)?));
    client.tell_outcome(first[0], outcome).map(|()| true)
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
        let mut many = 0;
        let take = |socket| {
            if let Some(place) = order.sockets.get_mut(many) {
                *place = Some(socket);
            }
            many += 1;
        };
        let received = packet::receive(client.socket.as_fd(), &mut order.words, take, RecvFlags::DONTWAIT)?;
        if received.is_cut || many > MOST_ADDED {
            return Err(Errno::TOOBIG);
        }
        (order.length, order.count) = (received.length, many);
        Ok(order)
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
            Some((&kind::COUNT, [])) => {
                let to = self.sockets.first().and_then(Option::as_ref).ok_or(Errno::INVAL)?;
                network.count(to.as_fd())
            }
            _ => Err(Errno::INVAL),
        }
    }
}
