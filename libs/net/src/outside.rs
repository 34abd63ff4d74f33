//! What is set of connections of the host's side.

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::sockopt;

/// After so long without a word we ask whether the host's peer is still there, as the container's own question would.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// What each of them has: it ends with a reset until both ends have said goodbye, nothing waits to be sent, and a peer that is gone is
/// noticed. What is accepted has it of its listener.
pub(crate) fn settle(socket: &OwnedFd) -> Result<(), Errno> {
    sockopt::set_tcp_nodelay(socket, true)?;
    sockopt::set_socket_linger(socket, Some(Duration::ZERO))?;
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, KEEPALIVE)
}
