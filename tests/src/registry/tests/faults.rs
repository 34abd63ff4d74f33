use std::io::Read as _;
use std::time::Instant;

use super::{Client, DEADLINE, ask, get};
use crate::registry::{Fault, On, Registry, Side, Tap};

const BLOB: &[u8] = b"0123456789";

/// A registry with one blob, and where it is.
fn registry(fault: Fault) -> (Registry, String) {
    let registry = Registry::start();
    let there = format!("/v2/a/blobs/{}", registry.put_blob("a", BLOB));
    registry.fault(On::get("/v2/a/").with("/blobs/").first(1), fault);
    (registry, there)
}

/// The second time all is well.
fn healed(registry: &Registry, there: &str) {
    assert_eq!(get(registry, there).body, BLOB);
}

#[test]
fn rules_choose_and_count() {
    let registry = Registry::start();
    let there = format!("/v2/a/blobs/{}", registry.put_blob("a", BLOB));
    registry.fault(On::get(&there).nth(2), Fault::too_many("7"));
    registry.fault(On::any("/v2/a/").from(4), Fault::status(503));
    assert_eq!(ask(&registry, "HEAD", &there, &[], &[]).status, 200);
    assert_eq!(get(&registry, &there).status, 200);
    let reply = get(&registry, &there);
    assert_eq!((reply.status, reply.header("Retry-After")), (429, "7"));
    assert_eq!(get(&registry, &there).status, 503);
    registry.heal();
    healed(&registry, &there);
    let statuses: Vec<_> = registry.log().iter().map(|one| one.status.expect("a status")).collect();
    assert_eq!(statuses, [200, 200, 429, 503, 200]);
}

#[test]
fn answers_made_by_the_test() {
    for (fault, header) in [
        (Fault::redirect(307, "http://elsewhere.test/x"), ("Location", "http://elsewhere.test/x")),
        (Fault::challenge("Bearer realm=\"x\""), ("WWW-Authenticate", "Bearer realm=\"x\"")),
        (Fault::header("Content-Type", "text/html"), ("Content-Type", "text/html")),
    ] {
        let (registry, there) = registry(fault);
        assert_eq!(get(&registry, &there).header(header.0), header.1);
        healed(&registry, &there);
    }
    let (registry, there) = registry(Fault::without("ETag"));
    assert_eq!(get(&registry, &there).headers.get("ETag"), None);
}

#[test]
fn bodies_of_another_length_or_content() {
    for (fault, body) in [
        (Fault::Truncate(4), b"0123".as_slice()),
        (Fault::Append(b"more".to_vec()), b"0123456789more"),
        (Fault::Corrupt(1), b"0\x1123456789"),
    ] {
        let (registry, there) = registry(fault);
        let reply = get(&registry, &there);
        assert_eq!((reply.body.as_slice(), reply.cut), (body, false));
        healed(&registry, &there);
    }
}

#[test]
fn connections_that_end() {
    for fault in [Fault::Cut(4), Fault::Reset(4)] {
        let (registry, there) = registry(fault.clone());
        let mut client = Client::to(registry.address(Side::Registry));
        let reply = client.ask("GET", &there, &[], &[]);
        assert!(reply.cut, "{fault:?}");
        assert!(reply.body == b"0123" || matches!(fault, Fault::Reset(_)), "{reply:?}");
        assert_eq!((registry.log()[0].sent, reply.header("Content-Length")), (4, "10"));
        healed(&registry, &there);
    }
    for fault in [Fault::hang_up(), Fault::garbage()] {
        let (registry, there) = registry(fault);
        let mut client = Client::to(registry.address(Side::Registry));
        client.send("GET", &there, &[], &[]);
        let mut rest = Vec::new();
        let _read = client.0.read_to_end(&mut rest).expect("an end");
        assert!(!rest.starts_with(b"HTTP"));
        assert_eq!(registry.log()[0].status, None);
        healed(&registry, &there);
    }
}

#[test]
fn what_has_no_end() {
    for fault in [Fault::Endless(b"x".repeat(1000)), Fault::endless_headers()] {
        let (registry, there) = registry(fault);
        let mut client = Client::to(registry.address(Side::Registry));
        client.send("GET", &there, &[], &[]);
        let mut some = vec![0; 20 << 20];
        client.0.read_exact(&mut some).expect("as much as one wants");
        drop(client);
        healed(&registry, &there);
    }
}

#[test]
fn an_answer_that_is_held_until_it_is_let_go() {
    let tap = Tap::new();
    let (registry, there) = registry(Fault::Hold(tap.clone()));
    let mut client = Client::to(registry.address(Side::Registry));
    client.send("GET", &there, &[], &[]);
    tap.wait_dry();
    assert_eq!(registry.wait(|log| !log.is_empty())[0].status, None);
    tap.let_through(1);
    assert_eq!(client.reply(false).body, BLOB);
}

#[test]
fn a_body_that_comes_as_it_is_let_through() {
    let tap = Tap::new();
    let (registry, there) = registry(Fault::Pace(tap.clone()));
    let mut client = Client::to(registry.address(Side::Registry));
    client.send("GET", &there, &[], &[]);
    for bytes in [0, 3, 4] {
        tap.let_through(bytes);
        tap.wait_dry();
    }
    assert_eq!((registry.log()[0].sent, registry.log()[0].done), (7, false));
    tap.open();
    assert_eq!(client.reply(false).body, BLOB);
}

#[test]
fn what_follows_an_answer() {
    let (registry, there) = registry(Fault::Trailing(b"HTTP/1.1 299 Not Asked\r\n".to_vec()));
    let mut client = Client::to(registry.address(Side::Registry));
    assert_eq!(client.ask("GET", &there, &[], &[]).body, BLOB);
    assert_eq!(client.line(), "HTTP/1.1 299 Not Asked");
}

#[test]
fn what_a_client_has_not_read() {
    let tap = Tap::new();
    let (registry, there) = registry(Fault::Pace(tap.clone()));
    let mut client = Client::to(registry.address(Side::Registry));
    client.send("GET", &there, &[], &[]);
    tap.let_through(8);
    tap.wait_dry();
    let seen = registry.log().remove(0);
    assert!(registry.unread(&seen) > 8, "the head, and what was let through");
    let mut some = [0; 1 << 12];
    // Past the buffer, all that is there. The kernel acknowledges it in its own time.
    let read = client.0.get_mut().read(&mut some).expect("some bytes");
    assert!(read > 8);
    let until = Instant::now() + DEADLINE;
    while registry.unread(&seen) > 0 {
        assert!(Instant::now() < until, "{}", registry.unread(&seen));
        std::thread::yield_now();
    }
}

/// A registry ends though somebody is held, and though a connection is open.
#[test]
fn the_end_waits_for_nobody() {
    let tap = Tap::new();
    let (registry, there) = registry(Fault::Hold(tap.clone()));
    let mut client = Client::to(registry.address(Side::Registry));
    let _idle = Client::to(registry.address(Side::Registry));
    client.send("GET", &there, &[], &[]);
    tap.wait_dry();
    drop(registry);
    let mut rest = Vec::new();
    assert!(client.0.read_to_end(&mut rest).is_err() || rest.len() < 1000);
}

#[test]
fn what_is_no_request() {
    let registry = Registry::start();
    let mut client = Client::to(registry.address(Side::Registry));
    client.send("no request", "x", &[], &[]);
    assert_eq!(client.reply(false).status, 400);
}
