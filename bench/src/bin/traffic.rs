//! Both ends of what is measured of a network: one static program, so that it runs in any container and on the host alike.
//!
//! ```text
//! serve PORT…                      answers whatever comes below, over TCP and UDP
//! obey PORT                        does what is below, for whoever asks for it over TCP, and says what came of it
//! told ADDRESS WORDS…              has it done there
//! up|down ADDRESS SECONDS STREAMS  bytes one way: Gbit/s
//! connect ADDRESS SECONDS THREADS  connections with a byte there and back, one after the other: per second
//! ask tcp|udp ADDRESS SECONDS      a byte there and back: microseconds, the median and the 99th percentile
//! rate ADDRESS SECONDS PER_SECOND  datagrams of 1400 bytes at a rate: how many of a million were lost
//! burst ADDRESS COUNT              connections at once, each with a byte there and back: milliseconds, how many failed;
//!                                  they stay until standard input ends
//! first ADDRESS                    one connection
//! nothing
//! ```
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "what it measured is what it prints")]

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with, sockopt};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How much is written at a time.
const PIECE: usize = 128 << 10;
/// The size of a datagram where the rate is what counts.
const DATAGRAM: usize = 1400;
/// How long an answer may take before it is a failure.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a connection or a datagram begins with.
mod word {
    pub(super) const UP: u8 = b'u';
    pub(super) const DOWN: u8 = b'd';
    pub(super) const ECHO: u8 = b'e';
    pub(super) const COUNT: u8 = b'c';
    pub(super) const HOW_MANY: u8 = b'h';
}

fn main() -> io::Result<()> {
    raise_limit();
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", ref ports @ ..] => serve(ports),
        ["obey", port] => obey(number(port)?),
        ["told", at, ref words @ ..] => told(address(at)?, words),
        ["up", at, seconds, streams] => gigabits(at, seconds, streams, up),
        ["down", at, seconds, streams] => gigabits(at, seconds, streams, down),
        ["connect", at, seconds, threads] => connections(at, seconds, threads),
        ["ask", "tcp", at, seconds] => ask_by_stream(address(at)?, span(seconds)?),
        ["ask", "udp", at, seconds] => ask_by_datagram(address(at)?, span(seconds)?),
        ["rate", at, seconds, rate] => at_a_rate(address(at)?, span(seconds)?, number(rate)?),
        ["burst", at, count] => burst(address(at)?, number(count)?),
        ["nothing"] => Ok(()),
        ["first", at] => TcpStream::connect_timeout(&address(at)?, Duration::from_secs(1)).map(drop),
        _ => Err(io::Error::other("see bench/src/bin/traffic.rs")),
    }
}

/// As many connections as this user may have.
fn raise_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).ok();
}

fn number<T: std::str::FromStr>(text: &str) -> io::Result<T> {
    text.parse().map_err(|_not| io::Error::other(format!("{text} is no number")))
}

fn address(text: &str) -> io::Result<SocketAddr> {
    text.parse().map_err(|_not| io::Error::other(format!("{text} is no address")))
}

fn span(seconds: &str) -> io::Result<Duration> {
    number(seconds).map(Duration::from_secs_f64)
}

/// A connection as all of them are.
fn stream(to: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(to)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn serve(ports: &[&str]) -> io::Result<()> {
    let ports = ports.iter().map(|port| number(port)).collect::<io::Result<Vec<u16>>>()?;
    let all: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    thread::scope(|threads| {
        for at in ports.iter().flat_map(|port| all.map(|address| SocketAddr::new(address, *port))) {
            let family = if at.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
            let listener = bound(family, SocketType::STREAM, at)?;
            rustix::net::listen(&listener, 1 << 16)?;
            threads.spawn(move || answer_streams(&TcpListener::from(listener), threads));
            let socket = UdpSocket::from(bound(family, SocketType::DGRAM, at)?);
            threads.spawn(move || answer_datagrams(&socket));
        }
        println!("serves");
        Ok(())
    })
}

fn obey(port: u16) -> io::Result<()> {
    for stream in TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?.incoming() {
        let mut stream = stream?;
        let mut words = String::new();
        stream.read_to_string(&mut words)?;
        let output = Command::new("/proc/self/exe").args(words.split_whitespace()).output()?;
        stream.write_all(&output.stdout)?;
    }
    Ok(())
}

fn told(at: SocketAddr, words: &[&str]) -> io::Result<()> {
    let mut stream = TcpStream::connect(at)?;
    stream.write_all(words.join(" ").as_bytes())?;
    stream.shutdown(std::net::Shutdown::Write)?;
    io::copy(&mut stream, &mut io::stdout()).map(drop)
}

fn bound(family: AddressFamily, kind: SocketType, at: SocketAddr) -> io::Result<OwnedFd> {
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if at.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    rustix::net::bind(&socket, &at)?;
    Ok(socket)
}

/// One thread waits for all, so that a thousand connections are a thousand descriptors and no more; who wants more than a byte gets
/// a thread.
fn answer_streams<'a>(listener: &TcpListener, threads: &'a thread::Scope<'a, '_>) -> io::Result<()> {
    const LISTENER: u64 = 0;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let (mut streams, mut next) = (HashMap::new(), LISTENER);
    let mut events = Vec::with_capacity(256);
    loop {
        epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), None)?;
        for event in events.drain(..) {
            let key = event.data.u64();
            if key == LISTENER {
                let (stream, _) = listener.accept()?;
                next += 1;
                epoll::add(&epoll, &stream, EventData::new_u64(next), EventFlags::IN)?;
                streams.insert(next, stream);
                continue;
            }
            let mut first = [0];
            let said = streams.get(&key).map(|mut stream: &TcpStream| stream.read(&mut first));
            match (said, first[0], streams.remove(&key)) {
                (Some(Ok(1)), word::COUNT, Some(stream)) => {
                    (&stream).write_all(&first)?;
                    // It stays as long as the other end does.
                    streams.insert(key, stream);
                }
                (Some(Ok(1)), what, Some(stream)) => {
                    epoll::delete(&epoll, &stream)?;
                    threads.spawn(move || answer(what, stream));
                }
                _ => {}
            }
        }
    }
}

fn answer(first: u8, mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; PIECE];
    match first {
        word::UP => {
            let mut total = 0_u64;
            loop {
                match stream.read(&mut buffer)? {
                    0 => return stream.write_all(&total.to_le_bytes()),
                    some => total += some as u64,
                }
            }
        }
        word::DOWN => loop {
            stream.write_all(&buffer)?;
        },
        _ => loop {
            let some = stream.read(&mut buffer)?;
            if some == 0 {
                return Ok(());
            }
            stream.write_all(&buffer[..some])?;
        },
    }
}

fn answer_datagrams(socket: &UdpSocket) {
    let mut buffer = [0; 2048];
    let mut counted = 0_u64;
    while let Ok((length, from)) = socket.recv_from(&mut buffer) {
        match buffer[0] {
            word::ECHO => drop(socket.send_to(&buffer[..length], from)),
            word::COUNT => counted += 1,
            word::HOW_MANY => drop(socket.send_to(&counted.to_le_bytes(), from)),
            _ => {}
        }
    }
}

/// All streams at once, and what they moved in all.
fn gigabits(at: &str, seconds: &str, streams: &str, one: Stream) -> io::Result<()> {
    let (at, span, streams) = (address(at)?, span(seconds)?, number::<usize>(streams)?);
    let moved = at_once(streams, || match one(at, span) {
        // It came to a standstill, or was never begun, as with some: then nothing was moved.
        Err(error) => {
            eprintln!("a stream failed: {error}");
            Ok((0, span))
        }
        moved => moved,
    })?;
    let rates = moved.iter().map(|(bytes, took)| *bytes as f64 * 8.0 / took.as_secs_f64() / 1e9);
    println!("{:.3}", rates.sum::<f64>());
    Ok(())
}

/// What it moved, and how long that took.
type Stream = fn(SocketAddr, Duration) -> io::Result<(u64, Duration)>;

/// Does the same in several threads, and returns what came of it.
fn at_once<T: Send>(threads: usize, what: impl Fn() -> io::Result<T> + Sync) -> io::Result<Vec<T>> {
    thread::scope(|scope| {
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(&what)).collect();
        all.into_iter()
            .map(|one| one.join().map_err(|_panic| io::Error::other("a thread panicked"))?)
            .collect()
    })
}

fn up(to: SocketAddr, span: Duration) -> io::Result<(u64, Duration)> {
    let mut stream = stream(to)?;
    stream.write_all(&[word::UP])?;
    let buffer = vec![0; PIECE];
    let start = Instant::now();
    while start.elapsed() < span {
        stream.write_all(&buffer)?;
    }
    stream.shutdown(std::net::Shutdown::Write)?;
    let mut total = [0; 8];
    stream.read_exact(&mut total)?;
    Ok((u64::from_le_bytes(total), start.elapsed()))
}

fn down(to: SocketAddr, span: Duration) -> io::Result<(u64, Duration)> {
    let mut stream = stream(to)?;
    stream.write_all(&[word::DOWN])?;
    let mut buffer = vec![0; PIECE];
    let (start, mut total) = (Instant::now(), 0);
    while start.elapsed() < span {
        total += stream.read(&mut buffer)? as u64;
    }
    Ok((total, start.elapsed()))
}

fn connections(at: &str, seconds: &str, threads: &str) -> io::Result<()> {
    let (at, span, threads) = (address(at)?, span(seconds)?, number(threads)?);
    let start = Instant::now();
    let counts = at_once(threads, || {
        let mut count = 0_u64;
        while start.elapsed() < span {
            let mut stream = stream(at)?;
            stream.write_all(&[word::COUNT])?;
            stream.read_exact(&mut [0])?;
            count += 1;
        }
        Ok(count)
    })?;
    println!("{:.0}", counts.iter().sum::<u64>() as f64 / start.elapsed().as_secs_f64());
    Ok(())
}

fn ask_by_stream(to: SocketAddr, span: Duration) -> io::Result<()> {
    let mut stream = stream(to)?;
    stream.write_all(&[word::ECHO])?;
    ask(span, || {
        stream.write_all(&[word::ECHO])?;
        stream.read_exact(&mut [0])
    })
}

fn ask_by_datagram(to: SocketAddr, span: Duration) -> io::Result<()> {
    let socket = datagrams(to)?;
    ask(span, || {
        socket.send(&[word::ECHO])?;
        socket.recv(&mut [0]).map(drop)
    })
}

fn datagrams(to: SocketAddr) -> io::Result<UdpSocket> {
    let from: SocketAddr = match to {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(from)?;
    socket.connect(to)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}

fn ask(span: Duration, mut once: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    let start = Instant::now();
    let mut times = Vec::new();
    while start.elapsed() < span {
        let asked = Instant::now();
        once()?;
        times.push(asked.elapsed());
    }
    times.sort_unstable();
    let at = |percent: usize| times[times.len() * percent / 100].as_secs_f64() * 1e6;
    println!("{:.1} {:.1}", at(50), at(99));
    Ok(())
}

fn at_a_rate(to: SocketAddr, span: Duration, rate: u64) -> io::Result<()> {
    let socket = datagrams(to)?;
    let before = counted(&socket)?;
    let mut bytes = [0; DATAGRAM];
    bytes[0] = word::COUNT;
    let (start, mut sent) = (Instant::now(), 0_u64);
    while start.elapsed() < span {
        let due = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX) * rate / 1_000_000;
        while sent < due {
            socket.send(&bytes)?;
            sent += 1;
        }
        // Others want the processor too, where there are as many as two.
        thread::sleep(Duration::from_micros(200));
    }
    let arrived = counted(&socket)? - before;
    println!("{}", 1_000_000 * sent.saturating_sub(arrived) / sent.max(1));
    Ok(())
}

/// How many datagrams the other end has had. The question may be lost like others.
fn counted(socket: &UdpSocket) -> io::Result<u64> {
    let mut count = [0; 8];
    socket.set_read_timeout(Some(Duration::from_millis(200)))?;
    let until = Instant::now() + PATIENCE;
    loop {
        socket.send(&[word::HOW_MANY])?;
        match socket.recv(&mut count) {
            Ok(_) => return Ok(u64::from_le_bytes(count)),
            Err(error) if error.kind() != io::ErrorKind::WouldBlock || Instant::now() > until => {
                return Err(error);
            }
            Err(_) => {}
        }
    }
}

/// All connections are begun before the first is waited for.
fn burst(to: SocketAddr, count: usize) -> io::Result<()> {
    let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let start = Instant::now();
    let mut begun = Vec::with_capacity(count);
    let mut failed = 0;
    for _ in 0..count {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(family, SocketType::STREAM, flags, None)?;
        match connect(&socket, &to) {
            Ok(()) | Err(Errno::INPROGRESS) => begun.push(socket),
            Err(_) => failed += 1,
        }
    }
    // Each in turn: all are on their way meanwhile.
    for socket in &begun {
        failed += usize::from(wait(socket, PollFlags::OUT).and_then(|()| said(socket)).is_err());
    }
    for socket in &begun {
        failed += usize::from(wait(socket, PollFlags::IN).and_then(|()| heard(socket)).is_err());
    }
    println!("{} {failed}", start.elapsed().as_millis());
    io::copy(&mut io::stdin(), &mut io::sink()).map(drop)
}

fn wait(socket: &OwnedFd, what: PollFlags) -> Result<(), Errno> {
    let limit = rustix::event::Timespec { tv_sec: 60, tv_nsec: 0 };
    match poll(&mut [PollFd::from_borrowed_fd(socket.as_fd(), what)], Some(&limit))? {
        0 => Err(Errno::TIMEDOUT),
        _ => Ok(()),
    }
}

fn said(socket: &OwnedFd) -> Result<(), Errno> {
    sockopt::socket_error(socket)??;
    rustix::io::write(socket, &[word::COUNT]).map(drop)
}

fn heard(socket: &OwnedFd) -> Result<(), Errno> {
    match rustix::io::read(socket, &mut [0][..])? {
        1 => Ok(()),
        _ => Err(Errno::CONNRESET),
    }
}
