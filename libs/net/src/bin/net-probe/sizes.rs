//! Datagrams of a length that may be too long for the way.

use std::error::Error;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use ctr_sys::net::options::{self, Family, TooLong};
use rustix::io::Errno;

use crate::{PATIENCE, tell};

/// How long an answer is waited for before all is said again.
const RHYTHM: Duration = Duration::from_millis(50);
/// What fits everywhere.
const SHORT: usize = 1200;

/// Says what becomes of datagrams of a length, whose sender wants them cut, does not, or tries whether they get through: who has tried a
/// few times knows.
pub(crate) fn try_sizes(to: SocketAddr, length: usize) -> Result<(), Box<dyn Error>> {
    for how in [TooLong::Cut, TooLong::Refused, TooLong::Tried] {
        let any: SocketAddr = if to.is_ipv4() { ([0; 4], 0).into() } else { ([0; 16], 0).into() };
        let socket = UdpSocket::bind(any)?;
        socket.connect(to)?;
        socket.set_read_timeout(Some(RHYTHM))?;
        options::too_long(socket.as_fd(), Family::of(&to), how)?;
        until_answered(&socket, SHORT)?;
        match how {
            TooLong::Cut => {
                until_answered(&socket, length)?;
                tell("cut", &"answered")?;
            }
            TooLong::Refused | TooLong::Tried => {
                let end = Instant::now() + PATIENCE;
                while exchange(&socket, length) != Err(Errno::MSGSIZE) {
                    if Instant::now() > end {
                        return Err("it is never too long".into());
                    }
                }
                tell("too long", &(how, options::mtu(socket.as_fd(), Family::of(&to))?))?;
            }
        }
    }
    Ok(())
}

/// The network may have to say first what it takes.
fn until_answered(socket: &UdpSocket, length: usize) -> Result<(), Box<dyn Error>> {
    let end = Instant::now() + PATIENCE;
    while exchange(socket, length).is_err() {
        if Instant::now() > end {
            return Err(format!("{length} bytes are never answered").into());
        }
    }
    Ok(())
}

fn exchange(socket: &UdpSocket, length: usize) -> Result<(), Errno> {
    let errno = |error: std::io::Error| error.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error);
    socket.send(&vec![b'x'; length]).map_err(errno)?;
    // What an earlier one was answered counts as well.
    let heard = socket.recv(&mut [0; 4096]).map_err(errno)?;
    if heard >= length { Ok(()) } else { Err(Errno::AGAIN) }
}
