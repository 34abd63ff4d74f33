use std::io::Write as _;

use super::{Client, ask};
use crate::image::digest;
use crate::registry::{Fault, On, Options, Registry, Side};

fn begin(registry: &Registry) -> String {
    let reply = ask(registry, "POST", "/v2/a/blobs/uploads/", &[], &[]);
    assert_eq!(reply.status, 202);
    reply.header("Location").to_owned()
}

fn end(registry: &Registry, at: &str, bytes: &[u8], last: &[u8]) -> u16 {
    let reply = ask(registry, "PUT", &format!("{at}&digest={}", digest(bytes)), &[], last);
    assert!(reply.status != 201 || registry.blob("a", &digest(bytes)).as_deref() == Some(bytes));
    reply.status
}

#[test]
fn at_once() {
    let registry = Registry::start();
    let post = format!("/v2/a/blobs/uploads/?digest={}", digest(b"blob"));
    assert_eq!(ask(&registry, "POST", &post, &[], b"blob").status, 201);
    assert_eq!(registry.blob("a", &digest(b"blob")).as_deref(), Some(b"blob".as_slice()));
    assert_eq!(ask(&registry, "POST", &post, &[], b"other").json()["errors"][0]["code"], "DIGEST_INVALID");
    assert_eq!(end(&registry, &begin(&registry), b"second", b"second"), 201);
    assert_eq!(end(&registry, &begin(&registry), b"second", b"third"), 400);
    assert_eq!(registry.uploads(), 0);
}

#[test]
fn as_a_stream_that_nobody_knows_the_length_of() {
    let registry = Registry::start();
    let mut client = Client::to(registry.address(Side::Registry));
    let headers = [("Transfer-Encoding", "chunked"), ("Expect", "100-continue")];
    client.send("PATCH", &begin(&registry), &headers, &[]);
    assert_eq!((client.line(), client.line()), ("HTTP/1.1 100 Continue".into(), String::new()));
    client.0.get_mut().write_all(b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n").expect("a connection");
    let reply = client.reply(false);
    assert_eq!((reply.status, reply.header("Range")), (202, "0-4"));
    assert_eq!(end(&registry, reply.header("Location"), b"abcde", b""), 201);
    assert_eq!(registry.seen("PATCH", "/v2/a/")[0].received, 5);
}

#[test]
fn in_chunks_that_follow_each_other() {
    let registry = Registry::start();
    let first = begin(&registry);
    let reply = ask(&registry, "PATCH", &first, &[("Content-Range", "0-3")], b"0123");
    let at = reply.header("Location").to_owned();
    let gap = ask(&registry, "PATCH", &at, &[("Content-Range", "5-6")], b"56");
    assert_eq!((gap.status, gap.header("Range")), (416, "0-3"));
    assert_eq!(
        ask(&registry, "PATCH", &first, &[("Content-Range", "4-5")], b"45").status,
        400,
        "an old Location"
    );
    let reply = ask(&registry, "PATCH", &at, &[("Content-Range", "4-5")], b"45");
    assert_eq!(end(&registry, reply.header("Location"), b"01234567", b"67"), 201);
}

#[test]
fn chunks_have_a_least_and_a_greatest_length() {
    let registry = Registry::with(Options { min_chunk: Some(4), max_chunk: Some(6), ..Options::default() });
    let reply = ask(&registry, "POST", "/v2/a/blobs/uploads/", &[], &[]);
    assert_eq!(reply.header("OCI-Chunk-Min-Length"), "4");
    let at = reply.header("Location").to_owned();
    assert_eq!(ask(&registry, "PATCH", &at, &[], b"1234567").status, 413);
    let reply = ask(&registry, "PATCH", &at, &[("Content-Range", "0-2")], b"123");
    let at = reply.header("Location").to_owned();
    assert_eq!(ask(&registry, "PATCH", &at, &[("Content-Range", "3-6")], b"4567").status, 400);
    assert_eq!(end(&registry, &at, b"123", b""), 201);
}

#[test]
fn one_that_is_cut_goes_on_where_it_stands() {
    let registry = Registry::start();
    registry.fault(On::method("PATCH", "/v2/a/"), Fault::CutRequest(5));
    let at = begin(&registry);
    let mut client = Client::to(registry.address(Side::Registry));
    client.send("PATCH", &at, &[], b"0123456789");
    let seen = registry.wait(|log| log.last().is_some_and(|one| one.method == "PATCH" && one.done));
    assert_eq!((seen[1].received, seen[1].status), (5, None));
    registry.heal();
    let status = ask(&registry, "GET", &at, &[], &[]);
    assert_eq!((status.status, status.header("Range")), (204, "0-4"));
    assert_eq!(end(&registry, status.header("Location"), b"0123456789", b"56789"), 201);
}

#[test]
fn a_blob_of_another_repository_is_mounted() {
    let registry = Registry::start();
    let name = registry.put_blob("b", "blob");
    let post = format!("/v2/a/blobs/uploads/?mount={name}&from=b");
    assert_eq!(ask(&registry, "POST", &post, &[], &[]).status, 201);
    assert!(registry.blob("a", &name).is_some());
    registry.change(|options| options.mounts = false);
    let reply = ask(&registry, "POST", &post, &[], &[]);
    assert_eq!(reply.status, 202);
    assert_eq!(end(&registry, reply.header("Location"), b"x", b"x"), 201);
    let gone = ask(&registry, "DELETE", &begin(&registry), &[], &[]);
    assert_eq!((gone.status, registry.uploads()), (204, 0));
}
