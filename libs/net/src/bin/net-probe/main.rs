//! What the tests have inside a container or a namespace of theirs.
//!
//! - `net-probe send INTERFACE HEX…`: frames as they are, as a container's root makes them who does not go by the kernel's rules.
//!   The interface by its number, each frame with its Ethernet header.
//! - `net-probe serve ADDRESS`: tells each caller who it seems to be, and then what it said; TCP and UDP. Who says nothing in a
//!   datagram gets no answer.
//! - `net-probe hold ADDRESS`: connects, sends back what it hears, and says how that ended.
//! - `net-probe names ADDRESS IPV4`: a resolver for which every name has one address, and who is asked for `guessed…` hears wrong
//!   answers first.
//! - `net-probe behave REFUSED FIRST HALF RESETS RESET CLOSED ECHO`: says what each of these peers does to it.
//! - `net-probe connect ADDRESS`: says how that fails.
//! - `net-probe tell ADDRESS LENGTH`: connects, says so many bytes, and ends without waiting for anything.
//! - `net-probe count FOLDER`: what the monitor of a container in this folder says was counted, if it tells us.
//! - `net-probe ask tcp|udp FROM TO WORD`: what such a server tells.
//! - `net-probe echo ADDRESS`: sends back what thousands say, over TCP.
//! - `net-probe deaf ADDRESS`: listens, and never takes a call.
//! - `net-probe burst ADDRESS COUNT`: connects so many times at once, has a word echoed by each, and tells how many were.
//! - `net-probe crowd ADDRESS COUNT`: connects so many times at once, and tells how often it could.
//! - `net-probe greedy ADDRESS COUNT`: asks over so many connections for the host's names until nobody reads that any more, and
//!   takes no answer.
//! - `net-probe datagrams ADDRESS COUNT`: says so many, and ends.
//! - `net-probe spread ADDRESS COUNT`: says one to each of so many ports, from this one on, and ends.
//! - `net-probe sizes ADDRESS LENGTH`: says what becomes of datagrams that are too long for the way to such a server.
//! - `net-probe pieces ADDRESS LENGTH COUNT`: says so many datagrams of a length in one piece, which somebody else is to cut.
//! - `net-probe without netfilter|destinations|tun COMMAND…`: runs a command where the kernel has no such thing.
//! - `net-probe play ADDRESS ADDRESS PLAYERS ROUNDS`: a game's traffic with two such servers as `serve` is.
#![forbid(unsafe_code)]

mod lack;
mod load;
mod sizes;

use std::error::Error;
use std::io::{Read as _, Write as _, copy};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd as _;
use std::process::ExitCode;
use std::time::Duration;

use ctr_sys::monitor::{self, kind};
use ctr_sys::net::datagram::{self, Way};
use ctr_sys::packet;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::net::sockopt::set_socket_linger;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, connect, recv, send, socket,
    socketpair,
};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("net-probe: {error}\n"));
            ExitCode::FAILURE
        }
    }
}

/// Nobody is told that nobody can be told.
fn say(text: &str) {
    rustix::io::write(rustix::stdio::stderr(), text.as_bytes()).ok();
}

fn run() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["send", interface, ref frames @ ..] => send_frames(interface.parse()?, frames),
        ["serve", address] => serve(address.parse()?),
        ["hold", address] => hold(address),
        ["names", at, answer] => resolve(at.parse()?, answer.parse()?),
        ["pieces", address, length, count] => say_in_one_piece(address.parse()?, length.parse()?, count.parse()?),
        ["without", what, ref command @ ..] => lack::without(what, command),
        ["tell", address, length] => say_and_end(address, length.parse()?),
        ["count", folder] => {
            let told = count(folder).unwrap_or_else(|errno| errno.to_string());
            std::io::stdout().write_all(told.as_bytes())?;
            Ok(())
        }
        ["ask", transport, from, to, word] => {
            let answer = ask(transport, from.parse()?, to.parse()?, word)?;
            std::io::stdout().write_all(answer.as_bytes())?;
            Ok(())
        }
        ["echo", at] => load::echo(at.parse()?),
        ["deaf", at] => load::be_deaf(at.parse()?),
        ["burst", to, count] => load::crowd(to.parse()?, count.parse()?, true),
        ["crowd", to, count] => load::crowd(to.parse()?, count.parse()?, false),
        ["greedy", to, count] => load::be_greedy(to.parse()?, count.parse()?),
        ["datagrams", to, count] => load::say_datagrams(to.parse()?, count.parse()?),
        ["sizes", to, length] => sizes::try_sizes(to.parse()?, length.parse()?),
        ["spread", to, count] => load::spread(to.parse()?, count.parse()?),
        ["play", one, other, players, rounds] => {
            load::play([one.parse()?, other.parse()?], players.parse()?, rounds.parse()?)
        }
        ["behave", ref addresses @ ..] => {
            let addresses: Vec<SocketAddr> =
                addresses.iter().map(|address| address.parse()).collect::<Result<_, _>>()?;
            behave(&addresses)
        }
        ["connect", address] => {
            let connected = TcpStream::connect(address.parse::<SocketAddr>()?);
            tell("connect", &connected.err().map(|error| error.kind()))
        }
        _ => Err("send INTERFACE HEX…, serve ADDRESS, hold ADDRESS, names ADDRESS IPV4, behave …, connect ADDRESS, echo ADDRESS, deaf ADDRESS, burst|crowd|greedy|datagrams ADDRESS COUNT, play …, or ask tcp|udp FROM TO WORD".into()),
    }
}

fn send_frames(interface: u32, frames: &[&str]) -> Result<(), Box<dyn Error>> {
    let socket = ctr_sys::net::options::frames(interface)?;
    for frame in frames {
        send(&socket, &bytes(frame)?, SendFlags::empty())?;
    }
    Ok(())
}

fn say_and_end(address: &str, length: usize) -> Result<(), Box<dyn Error>> {
    TcpStream::connect(address)?.write_all(&vec![b'x'; length])?;
    Ok(())
}

/// Shows our own user namespace, and asks.
fn count(folder: &str) -> Result<String, Errno> {
    let open = |path: &str, flags| openat(CWD, path, flags | OFlags::CLOEXEC, Mode::empty());
    let monitor = monitor::connect(open(folder, OFlags::PATH)?.as_fd())?;
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    let namespace = open("/proc/self/ns/user", OFlags::RDONLY)?;
    for (words, beside) in [(&[kind::HELLO, 0][..], &namespace), (&[kind::COUNT], &theirs)] {
        packet::send(monitor.as_fd(), words, &[beside.as_fd()], SendFlags::empty())?;
        recv(&monitor, &mut [0; 8], RecvFlags::empty()).and_then(|(heard, _)| {
            // It hung up, where it does not believe us.
            if heard > 0 { Ok(()) } else { Err(Errno::ACCESS) }
        })?;
    }
    drop(theirs);
    let mut told = vec![0; monitor::MESSAGE];
    let (length, _) = recv(&ours, told.as_mut_slice(), RecvFlags::empty())?;
    Ok(String::from_utf8_lossy(told.get(..length).unwrap_or_default()).into_owned())
}

fn say_in_one_piece(to: SocketAddr, length: u16, count: u16) -> Result<(), Box<dyn Error>> {
    let any: SocketAddr = if to.is_ipv4() { ([0; 4], 0).into() } else { ([0; 16], 0).into() };
    let socket = UdpSocket::bind(any)?;
    let bytes: Vec<u8> =
        (0..count).flat_map(|at| vec![u8::try_from(at % 251).unwrap_or(0); length.into()]).collect();
    Ok(datagram::send(socket.as_fd(), &bytes, &Way { to: Some(to), segment: Some(length), from: None })?)
}

fn hold(address: &str) -> Result<(), Box<dyn Error>> {
    let mut stream = TcpStream::connect(address)?;
    let mut room = [0; 1024];
    let end = loop {
        match stream.read(&mut room) {
            Ok(0) => break "end\n".to_owned(),
            Ok(length) => stream.write_all(room.get(..length).unwrap_or_default())?,
            Err(error) => break format!("{}\n", error.kind()),
        }
    };
    rustix::io::write(rustix::stdio::stdout(), end.as_bytes())?;
    Ok(())
}

fn resolve(at: Ipv4Addr, answer: Ipv4Addr) -> Result<(), Box<dyn Error>> {
    const HEADER: usize = 12;
    const WRONG: u8 = 12;
    let socket = UdpSocket::bind((at, 53))?;
    loop {
        let mut room = [0; 512];
        let (length, from) = socket.recv_from(&mut room)?;
        let body = room.get(HEADER..length).unwrap_or_default();
        let name = body.iter().position(|byte| *byte == 0).ok_or("no name")?;
        let question = body.get(..name + 5).ok_or("no question")?;
        let is_v4 = question.get(name + 1..name + 3) == Some(&[0, 1]);
        let mut reply = [&room[..2], &[0x81, 0x80, 0, 1, 0, is_v4.into(), 0, 0, 0, 0], question].concat();
        if is_v4 {
            reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
            reply.extend(answer.octets());
        }
        if body.starts_with(b"\x07guessed") {
            let mut guess = reply.clone();
            for id in 1..=WRONG {
                guess[1] = reply[1].wrapping_add(id);
                socket.send_to(&guess, from)?;
            }
        }
        socket.send_to(&reply, from)?;
    }
}

fn bytes(hex: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let digits: Vec<u32> =
        hex.chars().map(|digit| digit.to_digit(16)).collect::<Option<_>>().ok_or("not hexadecimal")?;
    let pairs = digits.chunks(2).map(|pair| pair.iter().fold(0, |sum, digit| sum << 4 | digit));
    Ok(pairs.map(u8::try_from).collect::<Result<_, _>>()?)
}

fn serve(address: SocketAddr) -> Result<(), Box<dyn Error>> {
    let (listener, socket) = (TcpListener::bind(address)?, UdpSocket::bind(address)?);
    say("serving\n");
    std::thread::scope(|threads| {
        threads.spawn(move || answer_datagrams(&socket));
        for stream in listener.incoming() {
            let stream = stream?;
            threads.spawn(move || answer_stream(stream));
        }
        Ok(())
    })
}

fn answer_datagrams(socket: &UdpSocket) -> std::io::Result<()> {
    let mut room = [0; 8192];
    loop {
        let (length, peer) = socket.recv_from(&mut room)?;
        let said = room.get(..length).unwrap_or_default();
        if !said.is_empty() {
            socket.send_to(&[format!("{peer} ").as_bytes(), said].concat(), peer)?;
        }
    }
}

fn answer_stream(mut stream: TcpStream) -> std::io::Result<()> {
    stream.write_all(format!("{} ", stream.peer_addr()?).as_bytes())?;
    let mut back = stream.try_clone()?;
    copy(&mut stream, &mut back)?;
    back.shutdown(Shutdown::Write)
}

fn ask(transport: &str, from: SocketAddr, to: SocketAddr, word: &str) -> Result<String, Box<dyn Error>> {
    let domain = if from.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    if transport == "udp" {
        let socket = UdpSocket::bind(from)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        // From elsewhere nothing is heard.
        socket.connect(to)?;
        socket.send(word.as_bytes())?;
        let mut room = [0; 8192];
        let length = socket.recv(&mut room)?;
        return Ok(String::from_utf8_lossy(room.get(..length).unwrap_or_default()).into_owned());
    }
    let socket = socket(domain, SocketType::STREAM, None)?;
    bind(&socket, &from)?;
    connect(&socket, &to)?;
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(word.as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Datagrams of these lengths come back as they were.
const LENGTHS: [usize; 6] = [0, 1, 1472, 1473, 9000, 65_487];

/// Meets peers of each kind, and says what a program sees of them.
fn behave(peers: &[SocketAddr]) -> Result<(), Box<dyn Error>> {
    let &[refused, first, half, resets, reset, closed, echo] = peers else {
        return Err("seven peers".into());
    };
    tell("refused", &TcpStream::connect(refused).err().map(|error| error.kind()))?;
    let mut said = String::new();
    connected(first)?.read_to_string(&mut said)?;
    tell("speaks first", &said)?;
    // It has said all, and still listens.
    let mut peer = connected(half)?;
    let mut said = String::new();
    peer.read_to_string(&mut said)?;
    peer.write_all(b"heard you")?;
    drop(peer);
    tell("half closed", &said)?;
    let mut peer = connected(resets)?;
    peer.write_all(b"x")?;
    tell("reset", &peer.read(&mut [0; 8]).map_err(|error| error.kind()))?;
    let mut peer = connected(reset)?;
    peer.read_exact(&mut [0; 1])?;
    set_socket_linger(&peer, Some(Duration::ZERO))?;
    drop(peer);
    tell("datagram refused", &exchange(closed, b"x").err().map(|error| error.kind()))?;
    for length in LENGTHS {
        let sent: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).unwrap_or(0)).collect();
        let same = exchange(echo, &sent).map_err(|error| error.kind()).map(|heard| heard == sent);
        tell("echo", &(length, same))?;
    }
    Ok(())
}

fn connected(to: SocketAddr) -> std::io::Result<TcpStream> {
    let peer = TcpStream::connect(to)?;
    peer.set_read_timeout(Some(PATIENCE))?;
    Ok(peer)
}

/// Sends a datagram, and gives what comes back.
fn exchange(with: SocketAddr, words: &[u8]) -> std::io::Result<Vec<u8>> {
    let any: SocketAddr = if with.is_ipv4() { ([0; 4], 0).into() } else { ([0; 16], 0).into() };
    let own = UdpSocket::bind(any)?;
    own.set_read_timeout(Some(PATIENCE))?;
    own.connect(with)?;
    own.send(words)?;
    let mut room = vec![0; 1 << 16];
    let length = own.recv(&mut room)?;
    room.truncate(length);
    Ok(room)
}

fn tell(what: &str, seen: &impl std::fmt::Debug) -> Result<(), Box<dyn Error>> {
    Ok(writeln!(std::io::stdout(), "{what}: {seen:?}")?)
}
