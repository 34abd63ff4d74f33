//! The registry itself, asked over a plain socket: who trusts it may look here why.

mod faults;
mod images;
mod lists;
mod proxy;
mod tokens;
mod uploads;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use super::{DEADLINE, Headers, Registry, Side};

/// A client that does nothing by itself.
struct Client(BufReader<TcpStream>);

/// What it was answered.
#[derive(Debug)]
struct Reply {
    status: u16,
    headers: Headers,
    body: Vec<u8>,
    /// The body ended before its time.
    cut: bool,
}

impl Reply {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

impl Client {
    fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_read_timeout(Some(DEADLINE)).expect("a deadline");
        Self(BufReader::new(stream))
    }

    fn send(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) {
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: test\r\n");
        headers.iter().for_each(|(name, value)| head.extend([name, ": ", value, "\r\n"]));
        if !body.is_empty() {
            head.extend(["Content-Length: ", &body.len().to_string(), "\r\n"]);
        }
        let all = [head.as_bytes(), b"\r\n", body].concat();
        self.0.get_mut().write_all(&all).expect("a connection");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self.0.read_line(&mut line);
        assert!(matches!(read, Ok(1..)), "the answer ends early: {read:?}");
        line.trim_end().to_owned()
    }

    fn reply(&mut self, bodiless: bool) -> Reply {
        let line = self.line();
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status: {line}"));
        let mut headers = Headers::default();
        loop {
            let line = self.line();
            let Some((name, value)) = line.split_once(": ") else { break };
            headers.0.push((name.into(), value.into()));
        }
        let mut reply = Reply { status, headers, body: Vec::new(), cut: false };
        let len = reply.headers.get("Content-Length").map(|len| len.parse::<usize>().expect("a length"));
        match len {
            _ if bodiless || status == 204 => {}
            Some(len) => {
                let mut body = Vec::new();
                let read = self.0.by_ref().take(len as u64).read_to_end(&mut body);
                reply.cut = read.is_err() || body.len() < len;
                reply.body = body;
            }
            None => while self.chunk(&mut reply.body) {},
        }
        reply
    }

    fn chunk(&mut self, into: &mut Vec<u8>) -> bool {
        let len = usize::from_str_radix(&self.line(), 16).expect("a chunk");
        let mut chunk = vec![0; len + 2];
        self.0.read_exact(&mut chunk).expect("a chunk");
        into.extend_from_slice(&chunk[..len]);
        len > 0
    }

    fn ask(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        self.send(method, target, headers, body);
        self.reply(method == "HEAD")
    }
}

/// One request over a connection of its own.
fn ask(registry: &Registry, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    Client::to(registry.address(Side::Registry)).ask(method, target, headers, body)
}

fn get(registry: &Registry, target: &str) -> Reply {
    ask(registry, "GET", target, &[], &[])
}
