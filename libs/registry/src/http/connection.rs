//! A connection to a host, in the clear or over TLS, through a proxy or not: made with patience that ends, read through
//! a buffer that large reads pass by.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::Patience;
use super::error::HttpError;
use super::head::{HEAD, Head};
use super::proxy::Proxy;
use super::resolve::{Files, resolve};
use super::url::Origin;
use super::wire::Wire;
use crate::base64;

/// Bytes that are read ahead: a head, or small pieces of a body.
const AHEAD: usize = 16 << 10;
/// Addresses of a host that are tried: whoever answers for its name may list thousands that lead nowhere.
const ADDRESSES: usize = 8;

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    /// What was read ahead, from `start` on.
    ahead: Vec<u8>,
    start: usize,
    patience: Patience,
}

#[derive(Debug)]
enum Stream {
    Plain(Wire),
    Tls(Box<StreamOwned<ClientConnection, Wire>>),
}

impl Stream {
    fn socket(&self) -> &Wire {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => stream.get_ref(),
        }
    }

    fn socket_mut(&mut self) -> &mut Wire {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => stream.get_mut(),
        }
    }
}

/// Whom to connect to, and how.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way<'a> {
    pub(super) origin: &'a Origin,
    pub(super) proxy: Option<&'a Proxy>,
    pub(super) files: &'a Files<'a>,
    pub(super) patience: Patience,
}

impl Way<'_> {
    /// Connects; `tls` is for an origin that wants it.
    pub(super) fn connect(&self, tls: Option<Arc<ClientConfig>>) -> Result<Connection, HttpError> {
        let first = self.proxy.map_or(self.origin, |proxy| &proxy.origin);
        let tcp = self.reach(first)?;
        let failed = |source| HttpError::Connect { to: first.authority(), source };
        let socket = Wire::new(tcp, self.patience).map_err(failed)?;
        let plain = Connection::new(Stream::Plain(socket), self.patience);
        let Some(tls) = tls else { return Ok(plain) };
        let plain = match self.proxy {
            Some(proxy) => self.tunnel(plain, proxy)?,
            None => plain,
        };
        self.secure(plain, tls)
    }

    /// Tries the addresses of a host, those of both families by turns.
    fn reach(&self, origin: &Origin) -> Result<TcpStream, HttpError> {
        let addresses = resolve(&origin.host, self.files)
            .map_err(|source| HttpError::Resolve { host: origin.host.clone(), source })?;
        let mut failure = io::Error::from(io::ErrorKind::NotFound);
        for address in by_turns(addresses).into_iter().take(ADDRESSES) {
            match TcpStream::connect_timeout(&SocketAddr::new(address, origin.port), self.patience.connect) {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = error,
            }
        }
        Err(HttpError::Connect { to: origin.authority(), source: failure })
    }

    /// Has the proxy lead through to the origin.
    fn tunnel(&self, mut connection: Connection, proxy: &Proxy) -> Result<Connection, HttpError> {
        let host = &self.origin.host;
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let target = format!("{host}:{}", self.origin.port);
        let mut ask = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
        if let Some(user) = &proxy.user {
            ask.push_str("Proxy-Authorization: ");
            ask.push_str(&base64::basic(user));
            ask.push_str("\r\n");
        }
        ask.push_str("\r\n");
        connection.send(ask.as_bytes(), "asking the proxy")?;
        let head = connection.head()?;
        if head.status == 200 {
            Ok(connection)
        } else {
            Err(HttpError::Proxy { proxy: proxy.origin.authority(), status: head.status })
        }
    }

    fn secure(&self, connection: Connection, config: Arc<ClientConfig>) -> Result<Connection, HttpError> {
        let host = &self.origin.host;
        let failed = |source| HttpError::Tls { host: self.origin.authority(), source };
        let Stream::Plain(mut socket) = connection.stream else {
            return Err(HttpError::Malformed("TLS within TLS"));
        };
        let name = ServerName::try_from(host.clone()).map_err(|_invalid| {
            failed(rustls::Error::General("not a name that a certificate has".to_owned()))
        })?;
        let mut session = ClientConnection::new(config, name).map_err(failed)?;
        // All of the handshake here, so that its errors are not those of a request.
        socket.end_by(Instant::now() + self.patience.connect);
        while session.is_handshaking() {
            if let Err(error) = session.complete_io(&mut socket) {
                return Err(self.handshake(error));
            }
        }
        socket.keep_pace();
        Ok(Connection::new(Stream::Tls(Box::new(StreamOwned::new(session, socket))), self.patience))
    }

    fn handshake(&self, error: io::Error) -> HttpError {
        match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType)) => {
                HttpError::InTheClear
            }
            Some(source) => HttpError::Tls { host: self.origin.authority(), source: source.clone() },
            None => HttpError::of(error, "greeting over TLS", self.patience.connect),
        }
    }
}

/// The first of the one family, the first of the other, and so on.
fn by_turns(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let first_is_v4 = addresses.first().is_some_and(IpAddr::is_ipv4);
    let (one, other): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv4() == first_is_v4);
    let longest = one.len().max(other.len());
    (0..longest).flat_map(|at| [one.get(at), other.get(at)]).flatten().copied().collect()
}

impl Connection {
    /// Connects to a socket of this machine.
    pub(super) fn local(path: &Path, patience: Patience) -> Result<Self, HttpError> {
        let failed = |source| HttpError::Connect { to: path.display().to_string(), source };
        let stream = UnixStream::connect(path).map_err(failed)?;
        Ok(Self::new(Stream::Plain(Wire::local(stream, patience)), patience))
    }

    fn new(stream: Stream, patience: Patience) -> Self {
        Self { stream, ahead: Vec::new(), start: 0, patience }
    }

    /// Something is asked anew: what was waited for before does not count.
    pub(super) fn begin(&mut self) {
        self.stream.socket_mut().keep_pace();
    }

    /// Sends all of it.
    pub(super) fn send(&mut self, bytes: &[u8], doing: &'static str) -> Result<(), HttpError> {
        let sent = match &mut self.stream {
            Stream::Plain(stream) => stream.write_all(bytes),
            Stream::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        };
        sent.map_err(|error| HttpError::of(error, doing, self.patience.idle))
    }

    /// Whether an answer is there already, though not all was sent. Over TLS what is there may be something else.
    pub(super) fn has_answered(&self) -> bool {
        let Stream::Plain(socket) = &self.stream else { return false };
        let mut one = [0; 1];
        let flags = rustix::net::RecvFlags::PEEK | rustix::net::RecvFlags::DONTWAIT;
        rustix::net::recv(socket, &mut one[..], flags).is_ok()
    }

    /// Whether a connection that rests can still be used: nobody has anything to say on it.
    pub(super) fn is_silent(&self) -> bool {
        let mut one = [0; 1];
        let flags = rustix::net::RecvFlags::PEEK | rustix::net::RecvFlags::DONTWAIT;
        self.start == self.ahead.len()
            && matches!(
                rustix::net::recv(self.stream.socket(), &mut one[..], flags),
                Err(rustix::io::Errno::AGAIN)
            )
    }

    /// Reads the head of an answer; those that only say that one is coming are passed by.
    pub(super) fn head(&mut self) -> Result<Head, HttpError> {
        self.stream.socket_mut().end_by(Instant::now() + self.patience.head);
        loop {
            let head = self.one_head()?;
            if head.status >= 200 {
                self.stream.socket_mut().keep_pace();
                return Ok(head);
            }
            if head.status == 101 {
                return Err(HttpError::Malformed("a protocol that was not asked for"));
            }
        }
    }

    fn one_head(&mut self) -> Result<Head, HttpError> {
        loop {
            if let Some((head, length)) = Head::parse(&self.ahead[self.start..])? {
                self.start += length;
                return Ok(head);
            }
            if self.start > 0 {
                self.ahead.drain(..self.start);
                self.start = 0;
            }
            let had = self.ahead.len();
            self.ahead.resize((had + AHEAD).min(HEAD), 0);
            let read = read_from(&mut self.stream, &mut self.ahead[had..]);
            self.ahead.truncate(had + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) => {
                    let source = io::ErrorKind::UnexpectedEof.into();
                    return Err(HttpError::Broken { doing: "waiting for an answer", source });
                }
                Ok(_) => {}
                Err(error) => {
                    return Err(HttpError::of(error, "waiting for an answer", self.patience.head));
                }
            }
        }
    }
}

fn read_from(stream: &mut Stream, into: &mut [u8]) -> io::Result<usize> {
    loop {
        let read = match stream {
            Stream::Plain(stream) => stream.read(into),
            Stream::Tls(stream) => stream.read(into),
        };
        match read {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

impl Read for Connection {
    /// What was read ahead first; then small reads through the buffer, and large ones past it.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.start == self.ahead.len() {
            if into.len() >= AHEAD {
                return read_from(&mut self.stream, into);
            }
            self.ahead.resize(AHEAD, 0);
            self.start = AHEAD;
            let size = read_from(&mut self.stream, &mut self.ahead)?;
            self.ahead.truncate(size);
            self.start = 0;
        }
        let ready = &self.ahead[self.start..];
        let size = ready.len().min(into.len());
        into[..size].copy_from_slice(&ready[..size]);
        self.start += size;
        Ok(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns() {
        let of = |texts: &[&str]| -> Vec<IpAddr> { texts.iter().map(|text| text.parse().unwrap()).collect() };
        assert_eq!(
            by_turns(of(&["1.1.1.1", "1.1.1.2", "::1", "::2"])),
            of(&["1.1.1.1", "::1", "1.1.1.2", "::2"])
        );
        assert_eq!(by_turns(of(&["::1"])), of(&["::1"]));
        assert!(by_turns(Vec::new()).is_empty());
    }
}
