//! Many at once: connections, and datagrams at a steady rate.

use std::collections::HashMap;
use std::error::Error;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, accept_with, bind, connect, listen, recv,
    send, socket_with, sockopt,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{PATIENCE, say};

/// How long all of many may take together.
const LONG: Duration = Duration::from_secs(150);
/// How many events are taken at a time.
const EVENTS: usize = 256;
/// How many may wait to be accepted.
const BACKLOG: i32 = 4096;

/// As many descriptors as may be had.
fn raise_limit() -> Result<(), Errno> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
}

fn stream(of: &SocketAddr) -> Result<OwnedFd, Errno> {
    let domain = if of.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    socket_with(domain, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)
}

fn listener(at: SocketAddr, backlog: i32) -> Result<OwnedFd, Errno> {
    let listener = stream(&at)?;
    sockopt::set_socket_reuseaddr(&listener, true)?;
    bind(&listener, &at)?;
    listen(&listener, backlog)?;
    Ok(listener)
}

/// Somebody listens and never takes a call: after the first nobody even gets through.
pub(crate) fn be_deaf(at: SocketAddr) -> Result<(), Box<dyn Error>> {
    let _listener = listener(at, 0)?;
    say("serving\n");
    loop {
        std::thread::park();
    }
}

fn wait_for_the_end() -> Result<(), Box<dyn Error>> {
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// A question for the address of `host.containers.internal`, behind its length.
const QUESTION: &[u8] =
    b"\0\x2a\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x04host\x0acontainers\x08internal\0\0\x01\0\x01";
/// Who has not read for so long does not read.
const QUIET: Duration = Duration::from_secs(1);

/// Asks over so many connections as long as somebody reads that, and takes no answer. They stay until the input ends.
pub(crate) fn be_greedy(to: SocketAddr, count: usize) -> Result<(), Box<dyn Error>> {
    let streams: Vec<TcpStream> = (0..count).map(|_| TcpStream::connect(to)).collect::<Result<_, _>>()?;
    let refused = std::thread::scope(|threads| {
        let asked: Vec<_> =
            streams.iter().map(|stream| threads.spawn(|| asks_until_nobody_reads(stream))).collect();
        asked.into_iter().filter_map(|asked| asked.join().ok()?.ok()).filter(|is_full| *is_full).count()
    });
    writeln!(std::io::stdout(), "{refused} of {count} are not read any more")?;
    wait_for_the_end()
}

fn asks_until_nobody_reads(mut stream: &TcpStream) -> std::io::Result<bool> {
    let begun = Instant::now();
    stream.set_write_timeout(Some(QUIET))?;
    let questions = QUESTION.repeat(1000);
    while begun.elapsed() < PATIENCE {
        match stream.write(&questions) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
            written => written?,
        };
    }
    Ok(false)
}

/// Sends back what it hears, to however many.
pub(crate) fn echo(at: SocketAddr) -> Result<(), Box<dyn Error>> {
    raise_limit()?;
    let listener = listener(at, BACKLOG)?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &listener, EventData::new_u64(u64::MAX), EventFlags::IN)?;
    let mut peers: HashMap<u64, OwnedFd> = HashMap::new();
    let mut events = Vec::with_capacity(EVENTS);
    let mut last = 0;
    say("serving\n");
    loop {
        epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), None)?;
        for event in events.drain(..) {
            let number = event.data.u64();
            let Some(peer) = peers.get(&number) else {
                let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
                while let Ok(peer) = accept_with(&listener, flags) {
                    epoll::add(&epoll, &peer, EventData::new_u64(last), EventFlags::IN)?;
                    peers.insert(last, peer);
                    last += 1;
                }
                continue;
            };
            let mut room = [0; 4096];
            let heard = recv(peer, room.as_mut_slice(), RecvFlags::DONTWAIT).map_or(0, |(length, _)| length);
            let said = room.get(..heard).unwrap_or_default();
            if heard == 0 || send(peer, said, SendFlags::NOSIGNAL) != Ok(heard) {
                peers.remove(&number);
            }
        }
    }
}

/// One of many connections.
struct Caller {
    socket: OwnedFd,
    is_connected: bool,
    is_answered: bool,
}

/// Connects so many times at once, says a word on each where there is somebody to send it back, and tells how many came through.
/// They stay until the input ends.
pub(crate) fn crowd(to: SocketAddr, count: usize, wants_echo: bool) -> Result<(), Box<dyn Error>> {
    raise_limit()?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    let mut callers = Vec::with_capacity(count);
    let mut failures: HashMap<Errno, usize> = HashMap::new();
    for _ in 0..count {
        let socket = stream(&to)?;
        // They all end at once, and leave nothing.
        sockopt::set_socket_linger(&socket, Some(Duration::ZERO))?;
        match connect(&socket, &to) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(errno) => {
                *failures.entry(errno).or_default() += 1;
                continue;
            }
        }
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::ET;
        epoll::add(&epoll, &socket, EventData::new_u64(u64::try_from(callers.len())?), flags)?;
        callers.push(Caller { socket, is_connected: false, is_answered: !wants_echo });
    }
    let (mut events, mut open) = (Vec::with_capacity(EVENTS), callers.len());
    let end = Instant::now() + LONG;
    while open > 0 && Instant::now() < end {
        let rest = Timespec::try_from(end.saturating_duration_since(Instant::now()))?;
        epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), Some(&rest))?;
        for event in events.drain(..) {
            let Some(caller) = callers.get_mut(usize::try_from(event.data.u64())?) else { continue };
            let was_open = !(caller.is_connected && caller.is_answered);
            match caller.goes_on(event.flags) {
                Ok(()) => open -= usize::from(was_open && caller.is_connected && caller.is_answered),
                Err(errno) => {
                    *failures.entry(errno).or_default() += 1;
                    open -= usize::from(was_open);
                    epoll::delete(&epoll, &caller.socket)?;
                }
            }
        }
    }
    let connected = callers.iter().filter(|caller| caller.is_connected).count();
    let answered = callers.iter().filter(|caller| caller.is_connected && caller.is_answered).count();
    let told = match failures.len() {
        0 => format!("{connected} connected, {answered} answered\n"),
        _ => format!("{connected} connected, {answered} answered, {failures:?}\n"),
    };
    std::io::stdout().write_all(told.as_bytes())?;
    wait_for_the_end()
}

impl Caller {
    fn goes_on(&mut self, flags: EventFlags) -> Result<(), Errno> {
        sockopt::socket_error(&self.socket)??;
        if !self.is_connected && flags.contains(EventFlags::OUT) {
            self.is_connected = true;
            if !self.is_answered {
                send(&self.socket, b"word", SendFlags::NOSIGNAL)?;
            }
        }
        if !self.is_answered && flags.contains(EventFlags::IN) {
            let mut room = [0; 8];
            let (length, _) = recv(self.socket.as_fd(), room.as_mut_slice(), RecvFlags::DONTWAIT)?;
            self.is_answered = room.get(..length) == Some(b"word");
        }
        Ok(())
    }
}

/// Says so many datagrams, and ends without waiting for anything.
pub(crate) fn say_datagrams(to: SocketAddr, count: u32) -> Result<(), Box<dyn Error>> {
    let any: SocketAddr = if to.is_ipv4() { ([0; 4], 0).into() } else { ([0; 16], 0).into() };
    let socket = UdpSocket::bind(any)?;
    for number in 0..count {
        socket.send_to(&number.to_le_bytes(), to)?;
    }
    Ok(())
}

/// Says a datagram to each of so many ports, all from one of its own, and ends without waiting for anything.
pub(crate) fn spread(first: SocketAddr, count: u16) -> Result<(), Box<dyn Error>> {
    let any: SocketAddr = if first.is_ipv4() { ([0; 4], 0).into() } else { ([0; 16], 0).into() };
    let socket = UdpSocket::bind(any)?;
    for number in 0..count {
        socket.send_to(b"word", SocketAddr::new(first.ip(), first.port() + number))?;
    }
    Ok(())
}

/// A game's traffic: so many players, each of which sends small datagrams at a steady rate to one server, and now and then one to
/// another. Both tell who it is that they hear ([`crate`]'s `serve`), which for each player has always to be the same.
pub(crate) fn play(servers: [SocketAddr; 2], players: usize, rounds: u32) -> Result<(), Box<dyn Error>> {
    /// Between two datagrams of a player.
    const RHYTHM: Duration = Duration::from_millis(20);
    /// To the other server goes one of so many.
    const SELDOM: u32 = 10;
    /// So many are on their way at the most: all of them have room in a server's socket, however busy the machine is.
    const AHEAD: u32 = 10;
    let any: SocketAddr = if servers[0].is_ipv4() { ([0; 4], 0).into() } else { ([0; 16], 0).into() };
    let one = |player: usize| -> std::io::Result<(u32, Vec<String>)> {
        let socket = UdpSocket::bind(any)?;
        let (mut answered, mut seen_as) = (0, Vec::new());
        let mut hear = |socket: &UdpSocket, until: Instant, wanted: u32| -> std::io::Result<u32> {
            let mut room = [0; 256];
            loop {
                let rest = until.saturating_duration_since(Instant::now());
                if rest.is_zero() || answered == wanted {
                    return Ok(answered);
                }
                socket.set_read_timeout(Some(rest))?;
                let Ok((length, _)) = socket.recv_from(&mut room) else { continue };
                let said = String::from_utf8_lossy(room.get(..length).unwrap_or_default()).into_owned();
                let Some((who, number)) = said.split_once(' ') else { continue };
                answered += u32::from(number.starts_with(&format!("{player}/")));
                if !seen_as.iter().any(|known| known == who) {
                    seen_as.push(who.to_owned());
                }
            }
        };
        let begin = Instant::now();
        let mut count = 0;
        for round in 0..rounds {
            let server = servers[usize::from(round % SELDOM == SELDOM - 1)];
            socket.send_to(format!("{player}/{round} {}", "x".repeat(60)).as_bytes(), server)?;
            count = hear(&socket, begin + RHYTHM * (round + 1), u32::MAX)?;
            if round >= count + AHEAD {
                count = hear(&socket, Instant::now() + PATIENCE, round - AHEAD + 1)?;
            }
        }
        if count < rounds {
            count = hear(&socket, Instant::now() + PATIENCE, rounds)?;
        }
        Ok((count, seen_as))
    };
    let told = std::thread::scope(|threads| {
        let all: Vec<_> = (0..players).map(|player| threads.spawn(move || one(player))).collect();
        all.into_iter().map(|player| player.join().map_err(|_panic| "a player is gone")).collect::<Vec<_>>()
    });
    let (mut answered, mut addresses) = (0, Vec::new());
    for player in told {
        let (count, seen_as) = player??;
        answered += count;
        addresses.extend(seen_as);
    }
    addresses.sort_unstable();
    addresses.dedup();
    let all = u32::try_from(players)? * rounds;
    let told = format!("{answered} of {all} answered, {} addresses\n", addresses.len());
    Ok(std::io::stdout().write_all(told.as_bytes())?)
}
