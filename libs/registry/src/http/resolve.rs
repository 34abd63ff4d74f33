//! Names of hosts: `/etc/hosts`, then the resolvers of `/etc/resolv.conf`.
//!
//! A static program has no libc to ask: getaddrinfo would load the system's modules, of another libc maybe. What these
//! modules can do beyond files and DNS (LDAP, mDNS) is not there; systemd-resolved's stub is a resolver like others.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpStream, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use ctr_core::dns::message::{Data, kind, question};
use ctr_core::dns::{Message, Name, ResolvConf, Server};
use ctr_core::{file, limits};

/// The port of resolvers.
const PORT: u16 = 53;
/// Bytes of an answer that anybody sends over UDP.
const ANSWER: usize = 4096;

/// A name has no address.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// All that were asked say that there is no such name.
    #[error("no such host")]
    NoSuchHost,
    /// The name is there and has no address.
    #[error("the name has no address")]
    NoAddress,
    /// It is too long, or has an empty part.
    #[error("not a name of a host")]
    NotAName,
    /// Nobody answered.
    #[error("no resolver answered ({})", servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    NoAnswer {
        /// Who was asked.
        servers: Vec<Server>,
        /// What the last one failed with.
        #[source]
        source: io::Error,
    },
}

/// Where names are looked up.
#[derive(Debug, Clone)]
pub struct Files<'a> {
    /// `hosts`.
    pub hosts: &'a Path,
    /// `resolv.conf`.
    pub resolv_conf: &'a Path,
}

impl Files<'static> {
    /// Those of the system.
    #[must_use]
    pub fn of_the_system() -> Self {
        Self { hosts: Path::new("/etc/hosts"), resolv_conf: Path::new("/etc/resolv.conf") }
    }
}

/// The addresses of a host, in the order in which they are to be tried.
pub(super) fn resolve(host: &str, files: &Files<'_>) -> Result<Vec<IpAddr>, ResolveError> {
    if let Ok(address) = host.parse() {
        return Ok(vec![address]);
    }
    // A file that cannot be read has no names, as for libc.
    let hosts = file::read(files.hosts, limits::SYSTEM_FILE).unwrap_or_default();
    let found = listed(&hosts, host);
    if !found.is_empty() {
        return Ok(found);
    }
    if host == "localhost" || host.ends_with(".localhost") {
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    let conf = file::read(files.resolv_conf, limits::SYSTEM_FILE).unwrap_or_default();
    let conf = ResolvConf::parse(&conf);
    let mut worst = ResolveError::NoSuchHost;
    for name in candidates(host, &conf) {
        let name = Name::from_text(&name).ok_or(ResolveError::NotAName)?;
        match ask(&name, &conf) {
            Err(ResolveError::NoSuchHost) => {}
            Err(ResolveError::NoAddress) => worst = ResolveError::NoAddress,
            other => return other,
        }
    }
    Err(worst)
}

/// The addresses that a file of hosts has for a name.
fn listed(hosts: &[u8], host: &str) -> Vec<IpAddr> {
    let mut found = Vec::new();
    for line in String::from_utf8_lossy(hosts).lines() {
        let mut words = line.split('#').next().unwrap_or(line).split_ascii_whitespace();
        let Some(Ok(address)) = words.next().map(str::parse) else { continue };
        if words.any(|word| word.eq_ignore_ascii_case(host)) && !found.contains(&address) {
            found.push(address);
        }
    }
    found
}

/// The names that a host's may stand for: one with enough dots is asked for as it is first (resolv.conf(5)).
fn candidates(host: &str, conf: &ResolvConf) -> Vec<String> {
    let host = host.strip_suffix('.').map_or((host, false), |host| (host, true));
    let (host, is_whole) = host;
    if is_whole {
        return vec![host.to_owned()];
    }
    let dots = conf.options.iter().rev().find_map(|option| option.strip_prefix("ndots:")?.parse().ok());
    let longer = conf.search.iter().filter(|domain| *domain != ".").map(|domain| format!("{host}.{domain}"));
    let mut all: Vec<String> = longer.collect();
    if host.matches('.').count() >= dots.unwrap_or(1) {
        all.insert(0, host.to_owned());
    } else {
        all.push(host.to_owned());
    }
    all
}

/// Asks the resolvers, one after the other.
fn ask(name: &Name, conf: &ResolvConf) -> Result<Vec<IpAddr>, ResolveError> {
    let mut failure = io::Error::from(io::ErrorKind::TimedOut);
    for _ in 0..conf.attempts {
        for server in &conf.servers {
            let asked = address_of(server).and_then(|server| exchange(name, server, conf));
            match asked {
                Ok(Some(found)) if found.is_empty() => return Err(ResolveError::NoAddress),
                Ok(Some(found)) => return Ok(found),
                Ok(None) => return Err(ResolveError::NoSuchHost),
                Err(error) => failure = error,
            }
        }
    }
    Err(ResolveError::NoAnswer { servers: conf.servers.clone(), source: failure })
}

fn address_of(server: &Server) -> io::Result<SocketAddr> {
    Ok(match (server.address, &server.scope) {
        (IpAddr::V6(address), Some(scope)) => {
            let index = match scope.parse() {
                Ok(index) => index,
                Err(_) => index_of(scope)?,
            };
            SocketAddrV6::new(address, PORT, 0, index).into()
        }
        (address, _) => SocketAddr::new(address, PORT),
    })
}

fn index_of(interface: &str) -> io::Result<u32> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    Ok(rustix::net::netdevice::name_to_index(&socket, interface)?)
}

/// Asks one resolver for both kinds of addresses; `None` if there is no such name.
fn exchange(name: &Name, server: SocketAddr, conf: &ResolvConf) -> io::Result<Option<Vec<IpAddr>>> {
    let [one, two, three, four] = random()?;
    // A name may be there for one kind only, and some servers then say of the other that it is not.
    let ids = [u16::from_be_bytes([one, two]), u16::from_be_bytes([three, four])];
    let mut pending: Vec<_> = [(ids[0], kind::A), (ids[1], kind::AAAA)].into();
    let (mut four, mut six, mut denied) = (Vec::new(), Vec::new(), 0);
    let mut hear = |answer: Heard, kind: u16| match answer {
        Heard::Addresses(found) if kind == kind::A => four = found,
        Heard::Addresses(found) => six = found,
        Heard::NoSuchName => denied += 1,
    };
    if !conf.use_tcp {
        over_udp(name, server, &mut pending, conf.timeout, &mut hear)?;
    }
    for (id, kind) in pending {
        hear(over_tcp(name, server, id, kind, conf.timeout)?, kind);
    }
    four.append(&mut six);
    Ok((denied < 2 || !four.is_empty()).then_some(four))
}

fn random() -> io::Result<[u8; 4]> {
    let mut bytes = [0; 4];
    rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty())?;
    Ok(bytes)
}

enum Heard {
    Addresses(Vec<IpAddr>),
    NoSuchName,
}

/// Asks for what is pending, and leaves there what has to be asked for over TCP.
fn over_udp(
    name: &Name,
    server: SocketAddr,
    pending: &mut Vec<(u16, u16)>,
    patience: Duration,
    hear: &mut impl FnMut(Heard, u16),
) -> io::Result<()> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    // The kernel throws away what others send.
    socket.connect(server)?;
    for &(id, kind) in pending.iter() {
        socket.send(&question(id, name, kind))?;
    }
    let until = Instant::now() + patience;
    let mut waiting = pending.len();
    let mut buffer = [0; ANSWER];
    while waiting > 0 {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        socket.set_read_timeout(Some(left))?;
        let size = match socket.recv(&mut buffer) {
            Ok(size) => size,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        };
        // What is no answer to a question of ours is a stranger's guess.
        let Ok(message) = Message::parse(&buffer[..size]) else { continue };
        let of = pending.iter().position(|&(id, kind)| is_answer(&message, name, id, kind));
        let Some(at) = of else { continue };
        waiting -= 1;
        if !message.is_truncated() {
            let (_, kind) = pending.swap_remove(at);
            hear(heard(&message)?, kind);
        }
    }
    Ok(())
}

fn over_tcp(name: &Name, server: SocketAddr, id: u16, kind: u16, patience: Duration) -> io::Result<Heard> {
    let mut stream = TcpStream::connect_timeout(&server, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    let asked = question(id, name, kind);
    let mut framed = u16::try_from(asked.len()).unwrap_or(0).to_be_bytes().to_vec();
    framed.extend_from_slice(&asked);
    stream.write_all(&framed)?;
    let mut length = [0; 2];
    stream.read_exact(&mut length)?;
    let mut bytes = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut bytes)?;
    let nonsense = |what: &'static str| io::Error::new(io::ErrorKind::InvalidData, what);
    let message =
        Message::parse(&bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    if !is_answer(&message, name, id, kind) {
        return Err(nonsense("an answer to another question"));
    }
    heard(&message)
}

fn is_answer(message: &Message<'_>, name: &Name, id: u16, kind: u16) -> bool {
    message.is_answer() && message.id == id && message.question.kind == kind && message.question.name == *name
}

/// What an answer says; one that decides nothing is the resolver's failure, and the next one may know more.
fn heard(message: &Message<'_>) -> io::Result<Heard> {
    if !message.is_decisive() {
        return Err(io::Error::other("the resolver failed"));
    }
    let addresses = message.answers.iter().filter_map(|record| match record.data {
        Data::Address(address) => Some(address),
        _ => None,
    });
    let found: Vec<_> = addresses.collect();
    Ok(if message.says_no_such_name() { Heard::NoSuchName } else { Heard::Addresses(found) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_hosts_come_first() {
        let hosts = b"127.0.0.1 localhost\n10.0.0.1 Registry.Example other # registry\n::2 other\nx y\n";
        assert_eq!(listed(hosts, "registry.example"), ["10.0.0.1".parse::<IpAddr>().unwrap()]);
        assert_eq!(listed(hosts, "other").len(), 2);
        assert!(listed(hosts, "registry").is_empty());
    }

    #[test]
    fn short_names_are_looked_for_in_domains() {
        let conf = ResolvConf::parse(b"search a.example b.example\noptions ndots:2\n");
        assert_eq!(candidates("h", &conf), ["h.a.example", "h.b.example", "h"]);
        assert_eq!(candidates("h.x.y", &conf), ["h.x.y", "h.x.y.a.example", "h.x.y.b.example"]);
        assert_eq!(candidates("h.", &conf), ["h"]);
        assert_eq!(candidates("quay.io", &ResolvConf::parse(b"")), ["quay.io"]);
    }

    #[test]
    fn addresses_are_not_asked_for() {
        let files = Files { hosts: Path::new("/nonexistent"), resolv_conf: Path::new("/nonexistent") };
        assert_eq!(resolve("10.0.0.1", &files).unwrap(), ["10.0.0.1".parse::<IpAddr>().unwrap()]);
        assert_eq!(resolve("localhost", &files).unwrap().len(), 2);
        assert!(matches!(resolve("a..b", &files), Err(ResolveError::NotAName)));
    }
}
