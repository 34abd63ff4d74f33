//! Listeners and their threads: one waits for connections, and each connection has one.

use std::collections::HashMap;
use std::io::{ErrorKind, Result};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

use super::message::Request;
use super::wire::{Connection, Incoming, Stream, send};
use super::{Shared, Side};

/// What turns a socket into what HTTP goes over; `None` when the client does not get that far.
pub(super) type Wrap = Arc<dyn Fn(TcpStream) -> Option<Box<dyn Stream>> + Send + Sync>;

/// What a connection is served by: see [`Server::start`].
type Serve = dyn Fn(TcpStream, usize, &dyn Fn()) + Sync;

/// A port of loopback, not yet served.
#[derive(Debug)]
pub(super) struct Port(TcpListener);

impl Port {
    pub(super) fn new() -> Self {
        Self(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port of loopback"))
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("a bound socket")
    }
}

/// A port that is served until this is dropped.
#[derive(Debug)]
pub(super) struct Server {
    address: SocketAddr,
    inside: Arc<Inside>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Inside {
    ending: AtomicBool,
    sockets: Mutex<HashMap<usize, TcpStream>>,
}

impl Inside {
    fn sockets(&self) -> MutexGuard<'_, HashMap<usize, TcpStream>> {
        self.sockets.lock().expect("no panic under the lock")
    }
}

impl Server {
    /// Serves each connection by a call on a thread of its own: with the socket, its number, and how to let go of the
    /// socket's other descriptor before the call ends.
    pub(super) fn start<F>(port: Port, name: &str, serve: F) -> Self
    where
        F: Fn(TcpStream, usize, &dyn Fn()) + Send + Sync + 'static,
    {
        let address = port.address();
        let inside = Arc::new(Inside::default());
        let mine = Arc::clone(&inside);
        let thread = std::thread::Builder::new().name(name.to_owned());
        let thread = thread.spawn(move || accept(&port.0, &serve, &mine)).expect("a thread");
        Self { address, inside, thread: Some(thread) }
    }

    /// Serves a side of a registry.
    pub(super) fn of(port: Port, side: Side, wrap: Wrap, shared: Arc<Shared>) -> Self {
        let name = format!("{side:?}");
        Self::start(port, &name, move |socket, number, forget| {
            connection(socket, side, &wrap, &shared, (number, forget));
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    /// A test in which the server itself went wrong fails.
    fn drop(&mut self) {
        self.inside.ending.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        for (_, socket) in self.inside.sockets().drain() {
            drop(socket.shutdown(Shutdown::Both));
        }
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            assert!(matches!(ended, Some(Ok(()))), "a server of the test's panicked");
        }
    }
}

fn accept(listener: &TcpListener, serve: &Serve, inside: &Inside) {
    static COUNTED: AtomicUsize = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for socket in listener.incoming() {
            let socket = socket.expect("a connection");
            let mut sockets = inside.sockets();
            if inside.ending.load(Ordering::SeqCst) {
                return;
            }
            let number = COUNTED.fetch_add(1, Ordering::SeqCst);
            sockets.insert(number, socket.try_clone().expect("a descriptor"));
            drop(sockets);
            scope.spawn(move || {
                let forget = || drop(inside.sockets().remove(&number));
                serve(socket, number, &forget);
                forget();
            });
        }
    });
}

/// One connection to its end. A reset is what the socket's last descriptor makes of it.
fn connection(
    socket: TcpStream,
    side: Side,
    wrap: &Wrap,
    shared: &Shared,
    (number, forget): (usize, &dyn Fn()),
) {
    let Ok(peer) = socket.peer_addr() else { return };
    drop(socket.set_nodelay(true));
    let other = socket.try_clone().expect("a descriptor");
    let Some(stream) = wrap(socket) else { return };
    let mut connection = Connection::new(stream, other);
    let ended = loop {
        let request = match connection.request() {
            Ok(Some(request)) => request,
            Ok(None) => break None,
            Err(error) => break Some(error.kind()),
        };
        let name = shared.log.open(side, number, peer, &request);
        let done = exchange(&mut connection, &request, side, shared, name);
        shared.log.note(name, |seen| seen.done = true);
        if let Err(error) = done {
            break Some(error.kind());
        }
    };
    match ended {
        // Closing it is then all that is to be done.
        Some(ErrorKind::ConnectionReset) => forget(),
        Some(ErrorKind::InvalidData) => {
            connection.refuse();
            connection.end();
        }
        _ => connection.end(),
    }
}

/// Answers one request; an error ends the connection.
fn exchange(
    connection: &mut Connection,
    request: &Request,
    side: Side,
    shared: &Shared,
    name: usize,
) -> Result<()> {
    let fate = shared.faults.meet(side, request);
    let troubles = (fate.cut_request(), fate.pace_request());
    let mut body = Incoming::new(connection, request, troubles, (&shared.log, name));
    let mut answer = match fate.instead() {
        Some(answer) => answer,
        None => super::answer(shared, side, request, &mut body)?,
    };
    fate.apply(&mut answer);
    let asked = request.headers.get("Connection").is_some_and(|what| what.eq_ignore_ascii_case("close"));
    // A fault that is there to be met while a body is sent is not held up by that body.
    let read = fate.cut_request().is_none() && body.finish();
    answer.wire.close |= asked || !read;
    send(connection, request, answer, (&shared.log, name))
}
