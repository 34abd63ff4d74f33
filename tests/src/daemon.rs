//! A stand-in for Docker's daemon: the two requests by which it gives and takes images, on a socket of a test's own.
//!
//! It keeps archives as they came. What it does not know it answers as Docker does: a status, and a message in JSON.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// A daemon that listens as long as it lives.
#[derive(Debug)]
pub struct Daemon {
    socket: PathBuf,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Archives by the name that they are asked for by.
    saved: HashMap<String, Vec<u8>>,
    loaded: Vec<Vec<u8>>,
    asked: Vec<String>,
    /// What is said of the next archive that comes.
    refusal: Option<String>,
}

impl Daemon {
    /// Listens at a path.
    ///
    /// # Panics
    /// When it cannot.
    #[must_use]
    pub fn at(socket: &Path) -> Self {
        let listener = UnixListener::bind(socket).expect("a socket");
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        // It ends with the test's process: nobody waits for it.
        let thread = std::thread::Builder::new().name("daemon".to_owned()).spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // Who goes away in the middle is told nothing more.
                drop(serve(stream, &shared));
            }
        });
        drop(thread.expect("a thread"));
        Self { socket: socket.to_owned(), state }
    }

    /// As flags and DOCKER_HOST name it.
    #[must_use]
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Has an image.
    pub fn has(&self, name: &str, archive: Vec<u8>) {
        let _before = self.lock().saved.insert(name.to_owned(), archive);
    }

    /// Refuses the next archive with these words.
    pub fn refuses(&self, why: &str) {
        self.lock().refusal = Some(why.to_owned());
    }

    /// The archives that came, whole.
    #[must_use]
    pub fn loaded(&self) -> Vec<Vec<u8>> {
        self.lock().loaded.clone()
    }

    /// The first lines of all requests.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.lock().asked.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no panic under the lock")
    }
}

/// Answers one request, and closes the connection.
fn serve(stream: UnixStream, state: &Mutex<State>) -> io::Result<()> {
    let mut answer = stream.try_clone()?;
    let mut request = BufReader::new(stream);
    let first = line(&mut request)?;
    let mut is_chunked = false;
    loop {
        let field = line(&mut request)?;
        is_chunked |= field.eq_ignore_ascii_case("transfer-encoding: chunked");
        if field.is_empty() {
            break;
        }
    }
    let lock = || state.lock().expect("no panic under the lock");
    lock().asked.push(first.clone());
    let target = first.split(' ').nth(1).unwrap_or_default().to_owned();
    if let Some(name) = target.strip_prefix("/images/get?names=") {
        let name = name.replace("%2F", "/").replace("%3A", ":");
        let saved = lock().saved.get(&name).cloned();
        return match saved {
            Some(archive) => in_chunks(&mut answer, &archive),
            None => said(&mut answer, "404 Not Found", &format!("{{\"message\":\"No such image: {name}\"}}")),
        };
    }
    if target.starts_with("/images/load") && is_chunked {
        let archive = chunks(&mut request)?;
        let refusal = lock().refusal.take();
        return match refusal {
            Some(why) => {
                said(&mut answer, "200 OK", &format!("{{\"stream\":\"reading\"}}\r\n{{\"error\":\"{why}\"}}"))
            }
            None => {
                lock().loaded.push(archive);
                said(&mut answer, "200 OK", "{\"stream\":\"Loaded image\\n\"}")
            }
        };
    }
    said(&mut answer, "404 Not Found", "{\"message\":\"page not found\"}")
}

fn line(request: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    match request.read_line(&mut line)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(line.trim_end().to_owned()),
    }
}

fn said(answer: &mut UnixStream, status: &str, body: &str) -> io::Result<()> {
    write!(answer, "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn in_chunks(answer: &mut UnixStream, bytes: &[u8]) -> io::Result<()> {
    write!(answer, "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n")?;
    for chunk in bytes.chunks(10_000) {
        write!(answer, "{:x}\r\n", chunk.len())?;
        answer.write_all(chunk)?;
        answer.write_all(b"\r\n")?;
    }
    answer.write_all(b"0\r\n\r\n")
}

/// Reads a body in chunks to its end.
fn chunks(request: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size = u64::from_str_radix(&line(request)?, 16).map_err(io::Error::other)?;
        let _read = request.by_ref().take(size).read_to_end(&mut body)?;
        let _end = line(request)?;
        if size == 0 {
            return Ok(body);
        }
    }
}
