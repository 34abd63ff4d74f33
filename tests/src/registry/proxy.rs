//! A proxy, as people have between them and a registry: it passes on, and remembers for whom.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};

use super::message::{Headers, Request, base64};
use super::serve::{Port, Server};
use super::wire::Connection;

/// One request to a proxy.
#[derive(Debug, Clone)]
pub struct Asked {
    /// `CONNECT`, or that of a request that goes through in the open.
    pub method: String,
    /// Host and port, or a whole URL.
    pub target: String,
    /// The header fields that the proxy could read.
    pub headers: Headers,
}

/// A proxy that runs until this is dropped.
#[derive(Debug)]
pub struct Proxy {
    server: Server,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Proxy {
    /// Starts one for anybody.
    #[must_use]
    pub fn start() -> Self {
        Self::serve(None)
    }

    /// Starts one for those who know this name and password: others get 407.
    #[must_use]
    pub fn with_password(user: &str, password: &str) -> Self {
        Self::serve(Some(format!("Basic {}", base64(format!("{user}:{password}").as_bytes()))))
    }

    fn serve(wanted: Option<String>) -> Self {
        let asked = Arc::<Mutex<Vec<Asked>>>::default();
        let seen = Arc::clone(&asked);
        let server = Server::start(Port::new(), "proxy", move |socket, _, _| {
            // Either end may go at any time: then so does the other.
            drop(serve(&socket, wanted.as_deref(), &seen));
            drop(socket.shutdown(Shutdown::Both));
        });
        Self { server, asked }
    }

    /// Host and port.
    #[must_use]
    pub fn host(&self) -> String {
        self.server.address().to_string()
    }

    /// What it was asked, in the order of time.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no panic under the lock").clone()
    }
}

/// One connection: what is asked first decides where all of it goes.
fn serve(socket: &TcpStream, wanted: Option<&str>, seen: &Mutex<Vec<Asked>>) -> std::io::Result<()> {
    let mut client = Connection::new(Box::new(socket.try_clone()?), socket.try_clone()?);
    let Some(request) = client.request()? else { return Ok(()) };
    let Request { method, path, query, headers } = request;
    let target = if query.is_empty() { path } else { format!("{path}?{query}") };
    let asked = Asked { method: method.clone(), target: target.clone(), headers: headers.clone() };
    seen.lock().expect("no panic under the lock").push(asked);
    let mut socket = socket;
    if wanted.is_some() && headers.get("Proxy-Authorization") != wanted {
        let refused = "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"proxy\"\r\n\
            Content-Length: 0\r\nConnection: close\r\n\r\n";
        return socket.write_all(refused.as_bytes());
    }
    let (host, head) = if method == "CONNECT" {
        (target, String::new())
    } else {
        let rest = target.strip_prefix("http://").unwrap_or(&target);
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        (host.to_owned(), open_head(&method, path, headers))
    };
    let Ok(mut there) = TcpStream::connect(host) else {
        return socket
            .write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    };
    if head.is_empty() {
        socket.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    }
    there.write_all(&[head.as_bytes(), client.ahead()].concat())?;
    std::thread::scope(|scope| {
        scope.spawn(|| pump(socket, &there));
        pump(&there, socket);
    });
    Ok(())
}

/// The head of a request for the server itself. One to a connection, so that the proxy need not find the next.
fn open_head(method: &str, path: &str, mut headers: Headers) -> String {
    headers.remove("Proxy-Authorization");
    headers.set("Connection", "close");
    let mut head = format!("{method} /{path} HTTP/1.1\r\n");
    headers.0.iter().for_each(|(name, value)| head.extend([name, ": ", value, "\r\n"]));
    head + "\r\n"
}

/// Passes on what comes until one end goes; then nothing goes either way.
fn pump(mut from: &TcpStream, mut to: &TcpStream) {
    let mut piece = [0; 1 << 14];
    while let Ok(read @ 1..) = from.read(&mut piece) {
        if to.write_all(&piece[..read]).is_err() {
            break;
        }
    }
    drop(from.shutdown(Shutdown::Both));
    drop(to.shutdown(Shutdown::Both));
}
