//! Against a host that says what a test has it say.
#![expect(clippy::disallowed_methods, reason = "a host outlives the function that starts it")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::*;
use crate::auth::Credentials;
use crate::client::{Endpoint, Registry};
use crate::error::Why;
use crate::retry::Retry;

/// Takes one connection after the other, and gives each request the next answer; returns what was asked.
pub(crate) struct Host {
    pub(crate) at: Origin,
    thread: JoinHandle<Vec<String>>,
}

impl Host {
    /// Each inner list is a connection's answers; it is closed behind the last one.
    pub(crate) fn answering(connections: Vec<Vec<Vec<u8>>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = Origin::parse(Scheme::Http, &listener.local_addr().unwrap().to_string()).unwrap();
        let thread = std::thread::spawn(move || {
            let mut asked = Vec::new();
            for answers in connections {
                let (stream, _) = listener.accept().unwrap();
                let mut reader = BufReader::new(stream);
                for answer in answers {
                    asked.push(request(&mut reader));
                    reader.get_mut().write_all(&answer).unwrap();
                }
            }
            asked
        });
        Self { at, thread }
    }

    fn url(&self, target: &str) -> Url {
        Url::at(&self.at, target)
    }

    pub(crate) fn asked(self) -> Vec<String> {
        self.thread.join().unwrap()
    }
}

fn request(reader: &mut BufReader<TcpStream>) -> String {
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.strip_prefix("Content-Length: ") {
            length = value.trim().parse().unwrap();
        }
        head.push_str(&line);
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    head + &String::from_utf8(body).unwrap()
}

pub(crate) fn answer(status: &str, fields: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{fields}\r\n{body}", body.len()).into_bytes()
}

pub(crate) fn http(patience: Patience) -> Http {
    Http::new(Settings {
        agent: "test".to_owned(),
        proxies: Proxies::default(),
        authorities: Authorities::default(),
        files: Files::of_the_system(),
        patience,
    })
}

fn hasty() -> Patience {
    let soon = Duration::from_millis(200);
    Patience { connect: soon, head: soon, idle: soon, stretch: soon, least: 1 << 20 }
}

fn get(url: &Url) -> Request<'_> {
    static PROFILE: std::sync::LazyLock<Profile> = std::sync::LazyLock::new(Profile::default);
    Request { method: Method::Get, url, profile: &PROFILE, authorization: None, fields: &[] }
}

fn text(response: Response) -> Result<String, HttpError> {
    response.body.bytes(1 << 20).map(|bytes| String::from_utf8(bytes).unwrap())
}

#[test]
fn a_connection_is_used_again() {
    let host = Host::answering(vec![vec![answer("200 OK", "", "one"), answer("200 OK", "", "two")]]);
    let http = http(Patience::default());
    assert_eq!(text(http.fetch(&get(&host.url("/1")), Payload::None).unwrap()).unwrap(), "one");
    assert_eq!(text(http.fetch(&get(&host.url("/2")), Payload::None).unwrap()).unwrap(), "two");
    let asked = host.asked();
    assert!(asked[0].starts_with("GET /1 HTTP/1.1\r\nHost: 127.0.0.1:"), "{asked:?}");
    assert!(asked[0].contains("\r\nUser-Agent: test\r\n"), "{asked:?}");
}

#[test]
fn one_that_was_closed_meanwhile_is_made_anew() {
    let host = Host::answering(vec![vec![answer("200 OK", "", "one")], vec![answer("200 OK", "", "two")]]);
    let http = http(Patience::default());
    for wanted in ["one", "two"] {
        assert_eq!(text(http.fetch(&get(&host.url("/")), Payload::None).unwrap()).unwrap(), wanted);
    }
    assert_eq!(host.asked().len(), 2);
}

#[test]
fn chunks_are_one_body() {
    let chunked =
        |body: &str| format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}").into_bytes();
    let host = Host::answering(vec![vec![
        chunked("3\r\nabc\r\n10;x=y\r\n0123456789abcdef\r\n0\r\nTrailer: z\r\n\r\n"),
        chunked("0\r\n\r\n"),
    ]]);
    let http = http(Patience::default());
    assert_eq!(
        text(http.fetch(&get(&host.url("/")), Payload::None).unwrap()).unwrap(),
        "abc0123456789abcdef"
    );
    assert_eq!(text(http.fetch(&get(&host.url("/")), Payload::None).unwrap()).unwrap(), "");
    host.asked();
    for bad in ["x\r\nabc\r\n", "3\r\nabcd\r\n0\r\n\r\n", "3\r\nab", "-1\r\n", "3\r\nabc\r\n"] {
        let host = Host::answering(vec![vec![chunked(bad)]]);
        assert!(text(http.fetch(&get(&host.url("/")), Payload::None).unwrap()).is_err(), "{bad:?}");
        host.asked();
    }
}

#[test]
fn a_body_that_is_too_short_or_too_long_is_no_body() {
    let short = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc".to_vec();
    let host = Host::answering(vec![vec![short]]);
    let error =
        text(http(Patience::default()).fetch(&get(&host.url("/")), Payload::None).unwrap()).unwrap_err();
    assert!(matches!(error, HttpError::Broken { .. }) && error.may_pass(), "{error:?}");
    let host = Host::answering(vec![vec![answer("200 OK", "", "abcdef")]]);
    let long = http(Patience::default()).fetch(&get(&host.url("/")), Payload::None).unwrap().body.bytes(5);
    assert!(matches!(long, Err(HttpError::TooLong { limit: 5 })), "{long:?}");
    let endless = b"HTTP/1.1 200 OK\r\n\r\nabcdef".to_vec();
    let host = Host::answering(vec![vec![endless]]);
    let long = http(Patience::default()).fetch(&get(&host.url("/")), Payload::None).unwrap().body.bytes(5);
    assert!(matches!(long, Err(HttpError::TooLong { limit: 5 })), "{long:?}");
}

#[test]
fn who_leads_elsewhere_learns_no_password_for_it() {
    let other = Host::answering(vec![vec![answer("200 OK", "", "there")]]);
    let location = format!("Location: {}/blob?signature=x\r\n", other.at);
    let host = Host::answering(vec![vec![answer("307 Elsewhere", &location, "moved")]]);
    let url = host.url("/v2/");
    let request = Request { authorization: Some("Bearer secret"), ..get(&url) };
    let response = http(Patience::default()).fetch(&request, Payload::None).unwrap();
    assert_eq!(response.url.target, "/blob?signature=x");
    assert_eq!(text(response).unwrap(), "there");
    assert!(host.asked()[0].contains("\r\nAuthorization: Bearer secret\r\n"));
    let asked = other.asked();
    assert!(!asked[0].contains("secret"), "{asked:?}");
}

#[test]
fn nobody_is_led_in_circles() {
    let again = |_| vec![answer("302 Found", "Location: /again\r\n", "")];
    let host = Host::answering((0..=LED).flat_map(again).map(|one| vec![one]).collect());
    // Each answer ends its connection, as the next one is asked for over another.
    let error = http(Patience::default()).fetch(&get(&host.url("/")), Payload::None).unwrap_err();
    assert!(matches!(error, HttpError::Astray("on and on")), "{error:?}");
    host.asked();
}

#[test]
fn nobody_is_led_out_of_tls() {
    let at = |text: &str| Url::parse(text).unwrap();
    let error = led(&at("https://h/v2/"), "http://h/v2/").unwrap_err();
    assert!(matches!(error, HttpError::Astray(_)), "{error:?}");
    assert_eq!(led(&at("https://h/v2/"), "/x").unwrap(), at("https://h/x"));
    assert_eq!(led(&at("http://h/v2/"), "https://cdn/x").unwrap(), at("https://cdn/x"));
}

#[test]
fn who_one_is_is_for_one_host() {
    let identity = Identity { certificate: "a.cert".into(), key: "a.key".into() };
    let profile = Profile { identity: Some(identity), authorities: vec!["ca.crt".into()], is_lenient: true };
    let others = profile.for_others();
    assert_eq!(others, Profile { identity: None, ..profile });
}

#[test]
fn streams_are_sent_with_their_length_or_in_chunks() {
    let host =
        Host::answering(vec![vec![answer("201 Created", "", "")], vec![answer("201 Created", "", "")]]);
    let url = host.url("/upload");
    let http = http(Patience::default());
    let mut body = &b"hello"[..];
    let payload = Payload::Stream { length: Some(5), from: &mut body };
    let sent = http.fetch(&Request { method: Method::Put, ..get(&url) }, payload).unwrap();
    assert_eq!(sent.status, 201);
    let sent = http.fetch(&Request { method: Method::Post, ..get(&url) }, Payload::Bytes(b"bytes")).unwrap();
    assert_eq!(sent.status, 201);
    let asked = host.asked();
    assert!(asked[0].ends_with("\r\nContent-Length: 5\r\n\r\nhello"), "{asked:?}");
    assert!(asked[1].ends_with("\r\n\r\nbytes"), "{asked:?}");
}

#[test]
fn who_has_heard_enough_is_heard() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = Origin::parse(Scheme::Http, &listener.local_addr().unwrap().to_string()).unwrap();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut some = [0; 512];
        let _size = stream.read(&mut some).unwrap();
        stream.write_all(&answer("413 Too Large", "Connection: close\r\n", "no")).unwrap();
        // It reads no more, and keeps the connection until the answer was read.
        stream
    });
    let url = Url::at(&at, "/");
    let mut endless = std::io::repeat(7);
    let payload = Payload::Stream { length: None, from: &mut endless };
    let response =
        http(Patience::default()).fetch(&Request { method: Method::Patch, ..get(&url) }, payload).unwrap();
    assert_eq!(response.status, 413);
    assert_eq!(text(response).unwrap(), "no");
    drop(thread.join().unwrap());
}

#[test]
fn who_says_nothing_or_a_byte_now_and_then_is_left() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = Origin::parse(Scheme::Http, &listener.local_addr().unwrap().to_string()).unwrap();
    let url = Url::at(&at, "/");
    let error = http(hasty()).fetch(&get(&url), Payload::None).unwrap_err();
    assert!(matches!(error, HttpError::Slow { .. }) && error.may_pass(), "{error:?}");
    let thread = std::thread::spawn(move || {
        let (_mute, _) = listener.accept().unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n").unwrap();
        // A trickle, until the other side has had enough.
        while stream.write_all(b"x").is_ok() {
            std::thread::yield_now();
        }
    });
    let mut body = http(hasty()).fetch(&get(&url), Payload::None).unwrap().body;
    let mut one = [0; 1];
    let error = loop {
        match body.read(&mut one) {
            Ok(1) => {}
            Ok(_) => panic!("an end"),
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("a trickle of bytes"), "{error}");
    drop(body);
    thread.join().unwrap();
}

/// Sends these bytes again and again, one by one with a rest between, until the other side has had enough.
fn trickle(stream: &mut TcpStream, bytes: &[u8]) {
    stream.set_read_timeout(Some(Duration::from_millis(2))).unwrap();
    let mut some = [0; 512];
    for byte in bytes.iter().cycle() {
        if stream.write_all(&[*byte]).is_err() || matches!(stream.read(&mut some), Ok(0)) {
            return;
        }
    }
}

#[test]
fn a_trickle_between_chunks_is_one_too() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = Origin::parse(Scheme::Http, &listener.local_addr().unwrap().to_string()).unwrap();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;").unwrap();
        trickle(&mut stream, b"x");
    });
    let body = http(hasty()).fetch(&get(&Url::at(&at, "/")), Payload::None).unwrap().body;
    let error = body.bytes(1 << 20).unwrap_err();
    assert!(matches!(error, HttpError::Slow { what: "a trickle of bytes", .. }), "{error:?}");
    thread.join().unwrap();
}

#[test]
fn of_many_addresses_some_are_tried() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let hosts: &'static std::path::Path = Box::leak(folder.path().join("hosts").into_boxed_path());
    let tried = |others: usize| {
        let others: String = (0..others).map(|at| format!("127.0.1.{at} registry.example\n")).collect();
        std::fs::write(hosts, others + "127.0.0.1 registry.example\n").unwrap();
        let files = Files { hosts, ..Files::of_the_system() };
        let http = Http { settings: Settings { files, ..http(hasty()).settings }, ..http(hasty()) };
        let url = Url::parse(&format!("http://registry.example:{port}/")).unwrap();
        http.fetch(&get(&url), Payload::None).unwrap_err()
    };
    // Who takes the connection says nothing.
    let error = tried(3);
    assert!(matches!(error, HttpError::Slow { .. }), "{error:?}");
    let error = tried(200);
    assert!(matches!(error, HttpError::Connect { .. }), "{error:?}");
}

#[test]
fn what_does_not_speak_tls_is_told_apart() {
    let host = Host::answering(vec![]);
    let url = Url::at(&Origin { scheme: Scheme::Https, ..host.at.clone() }, "/");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        let mut rest = Vec::new();
        drop(stream.read_to_end(&mut rest));
    });
    let url = Url { origin: Origin { port, ..url.origin }, target: url.target };
    let error = http(Patience::default()).fetch(&get(&url), Payload::None).unwrap_err();
    assert!(matches!(error, HttpError::InTheClear), "{error:?}");
    thread.join().unwrap();
    host.asked();
}

#[test]
fn who_never_answers_a_greeting_is_asked_in_the_clear_only_if_that_may_be() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let thread = std::thread::spawn(move || {
        // One that says nothing, one that trickles what begins a record, one that hangs up; each is then asked in
        // the clear.
        let mut asked = Vec::new();
        for manner in 0..3 {
            let (mut greeted, _) = listener.accept().unwrap();
            match manner {
                0 => {}
                1 => {
                    greeted.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
                    greeted.write_all(b"\x16\x03\x03\x40\x00").unwrap();
                    let mut some = [0; 512];
                    while greeted.write_all(b"\0").is_ok() && !matches!(greeted.read(&mut some), Ok(0)) {}
                }
                _ => drop(greeted.shutdown(std::net::Shutdown::Both)),
            }
            let (plain, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(plain);
            asked.push(request(&mut reader));
            reader.get_mut().write_all(&answer("200 OK", "", "{}")).unwrap();
        }
        let secure = listener.accept().unwrap();
        (asked, secure, listener)
    });
    let registry = |is_insecure| {
        let patience = Patience { connect: Duration::from_millis(200), ..Patience::default() };
        let endpoint = Endpoint { host: host.clone(), is_insecure, profile: Profile::default() };
        let never = Retry { times: 0, delay: None, base: Duration::ZERO, most: Duration::ZERO };
        Registry::new(Arc::new(http(patience)), endpoint, Credentials::Anonymous, never)
    };
    for _ in 0..3 {
        registry(true).ping().unwrap();
    }
    let began = Instant::now();
    let error = registry(false).ping().unwrap_err();
    assert!(matches!(&*error.why, Why::Http(HttpError::Slow { what: "greeting over TLS", .. })), "{error:?}");
    assert!(began.elapsed() < Patience::default().idle);
    let (asked, _secure, _listener) = thread.join().unwrap();
    assert_eq!(asked.iter().filter(|request| request.starts_with("GET /v2/ HTTP/1.1\r\n")).count(), 3);
}

#[test]
fn nobody_there_is_said_at_once() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = Url::parse(&format!("http://127.0.0.1:{port}/")).unwrap();
    let error = http(Patience::default()).fetch(&get(&url), Payload::None).unwrap_err();
    assert!(!error.may_pass(), "{error:?}");
    assert_eq!(error.to_string(), format!("cannot connect to 127.0.0.1:{port}"));
}

#[test]
fn a_proxy_is_told_the_whole_address() {
    let proxy = Host::answering(vec![vec![answer("200 OK", "", "by proxy")]]);
    let variables =
        Variables { http: Some(format!("me:pw@{}", proxy.at.authority())), ..Variables::default() };
    let http = Http::new(Settings {
        agent: "test".to_owned(),
        proxies: Proxies::new(&variables).unwrap(),
        authorities: Authorities::default(),
        files: Files::of_the_system(),
        patience: Patience::default(),
    });
    let url = Url::parse("http://registry.invalid:5000/v2/").unwrap();
    assert_eq!(text(http.fetch(&get(&url), Payload::None).unwrap()).unwrap(), "by proxy");
    let asked = proxy.asked();
    assert!(
        asked[0]
            .starts_with("GET http://registry.invalid:5000/v2/ HTTP/1.1\r\nHost: registry.invalid:5000\r\n")
    );
    assert!(asked[0].contains("\r\nProxy-Authorization: Basic bWU6cHc=\r\n"), "{asked:?}");
}
