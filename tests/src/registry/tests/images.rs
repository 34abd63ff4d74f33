use super::{Client, ask, get};
use crate::image::{Image, Layer, digest};
use crate::registry::{Family, Options, Registry, Side};

fn image() -> Image {
    Image::new("a:1", [Layer::new().file("f", 0o644, "content")])
}

#[test]
fn manifests_by_tag_and_digest() {
    let registry = Registry::start();
    let name = registry.put("a/b", "1", &image());
    let docker = registry.put_as(Family::Docker, "a/b", "2", &image());
    assert_eq!(name, image().oci_digest());
    assert!(docker != name && registry.tags("a/b") == ["1", "2"]);
    for (reference, kind) in [
        ("1", "application/vnd.oci.image.manifest.v1+json"),
        (&docker, "application/vnd.docker.distribution.manifest.v2+json"),
    ] {
        let reply = get(&registry, &format!("/v2/a/b/manifests/{reference}"));
        assert_eq!((reply.status, reply.header("Content-Type")), (200, kind));
        assert_eq!(reply.header("Docker-Content-Digest"), digest(&reply.body));
        let head = ask(&registry, "HEAD", &format!("/v2/a/b/manifests/{reference}"), &[], &[]);
        assert_eq!(head.header("Content-Length"), reply.body.len().to_string());
    }
    let other = [("Accept", "application/vnd.docker.distribution.manifest.v2+json")];
    assert_eq!(ask(&registry, "GET", "/v2/a/b/manifests/1", &other, &[]).status, 404);
    assert_eq!(get(&registry, "/v2/a/b/manifests/3").json()["errors"][0]["code"], "MANIFEST_UNKNOWN");
    assert_eq!(get(&registry, "/v2/c/manifests/3").json()["errors"][0]["code"], "NAME_UNKNOWN");
    registry.change(|options| options.digest_header = false);
    assert_eq!(get(&registry, "/v2/a/b/manifests/1").headers.get("Docker-Content-Digest"), None);
    let picture = registry.image("a/b", "2");
    assert_eq!((picture.config, picture.layers), (image().configuration(), image().layers));
}

#[test]
fn manifests_are_put_when_all_is_there() {
    let (registry, from) = (Registry::start(), Registry::start());
    let name = from.put("a", "1", &image());
    let (kind, _, bytes) = from.manifest("a", "1").expect("it");
    let typed = [("Content-Type", kind.as_str())];
    let put = |reference: &str, typed: &[_]| {
        ask(&registry, "PUT", &format!("/v2/b/manifests/{reference}"), typed, &bytes)
    };
    let refused = put("1", &typed);
    assert_eq!(
        (refused.status, refused.json()["errors"][0]["code"].as_str()),
        (400, Some("MANIFEST_BLOB_UNKNOWN"))
    );
    for blob in from.blobs("a") {
        let _digest = registry.put_blob("b", from.blob("a", &blob).expect("it"));
    }
    let reply = put("1", &typed);
    assert_eq!((reply.status, reply.header("Location")), (201, format!("/v2/b/manifests/{name}").as_str()));
    assert_eq!(put(&name, &typed).status, 201);
    assert_eq!(put(&digest(b""), &typed).json()["errors"][0]["code"], "DIGEST_INVALID");
    assert_eq!(put("1", &[("Content-Type", "text/plain")]).status, 400);
    assert_eq!(registry.image("b", "1"), from.image("a", "1"));
    assert_eq!(ask(&registry, "DELETE", "/v2/b/manifests/1", &[], &[]).status, 202);
    assert_eq!(get(&registry, "/v2/b/manifests/1").status, 404);
    assert_eq!(get(&registry, &format!("/v2/b/manifests/{name}")).status, 200);
    assert_eq!(ask(&registry, "DELETE", &format!("/v2/b/manifests/{name}"), &[], &[]).status, 202);
    assert_eq!(get(&registry, &format!("/v2/b/manifests/{name}")).status, 404);
}

#[test]
fn an_index_names_what_is_there() {
    let registry = Registry::start();
    let mut other = image();
    other.architecture = "s390x".into();
    let name = registry.put_index(Family::Docker, "a", "1", &[image(), other]);
    let index = get(&registry, &format!("/v2/a/manifests/{name}")).json();
    assert_eq!(index["manifests"][1]["platform"]["architecture"], "s390x");
    for one in index["manifests"].as_array().expect("a list") {
        let reply = get(&registry, &format!("/v2/a/manifests/{}", one["digest"].as_str().expect("a digest")));
        assert_eq!((&one["size"], &one["mediaType"]), (&reply.body.len().into(), &reply.json()["mediaType"]));
    }
}

#[test]
fn blobs_whole_and_in_part() {
    let registry = Registry::start();
    let name = registry.put_blob("a", "0123456789");
    let there = format!("/v2/a/blobs/{name}");
    let whole = get(&registry, &there);
    assert_eq!((whole.status, whole.body.as_slice()), (200, b"0123456789".as_slice()));
    let etag = whole.header("ETag").to_owned();
    let part = [("Range", "bytes=4-"), ("If-Range", etag.as_str())];
    let reply = ask(&registry, "GET", &there, &part, &[]);
    assert_eq!((reply.status, reply.header("Content-Range")), (206, "bytes 4-9/10"));
    assert_eq!(reply.body, b"456789");
    let late = ask(&registry, "GET", &there, &[("Range", "bytes=10-")], &[]);
    assert_eq!((late.status, late.header("Content-Range")), (416, "bytes */10"));
    registry.change_etags();
    assert_eq!(ask(&registry, "GET", &there, &part, &[]).status, 200);
    registry.change(|options| options.ranges = false);
    assert_eq!(ask(&registry, "GET", &there, &part[..1], &[]).body.len(), 10);
    assert_eq!(get(&registry, "/v2/b/blobs/sha256:0").status, 404);
    assert_eq!(ask(&registry, "DELETE", &there, &[], &[]).status, 202);
    assert_eq!(get(&registry, &there).status, 404);
}

#[test]
fn the_other_host_gives_blobs_and_wants_no_secrets() {
    let registry = Registry::with(Options { cdn: true, ..Options::default() });
    let name = registry.put_blob("a", "blob");
    let reply = get(&registry, &format!("/v2/a/blobs/{name}"));
    assert_eq!(reply.status, 307);
    let there =
        reply.header("Location").strip_prefix(&registry.url(Side::Cdn)).expect("the other host").to_owned();
    let mut client = Client::to(registry.address(Side::Cdn));
    assert_eq!(client.ask("GET", &there, &[], &[]).body, b"blob");
    assert_eq!(client.ask("GET", &there, &[("Range", "bytes=1-2")], &[]).body, b"lo");
    assert_eq!(client.ask("GET", &there, &[("Authorization", "Basic YTpi")], &[]).status, 400);
    let log = registry.log();
    let seen: Vec<_> = log.iter().map(|one| (one.side, one.authorization(), one.sent)).collect();
    let cdn = Side::Cdn;
    assert_eq!(seen[1..], [(cdn, None, 4), (cdn, None, 2), (cdn, Some("Basic"), log[3].sent)]);
    assert_eq!(log[1].connection, log[3].connection);
    assert_ne!(log[0].connection, log[1].connection);
}

#[test]
fn indexes_that_lead_on_and_on() {
    let registry = Registry::start();
    registry.put_cycle("a", "cycle", 2);
    registry.put_chain("a", "chain", 4);
    let follow = |tag: &str| {
        let mut seen = Vec::new();
        let mut next = Some(tag.to_owned());
        while let Some(reference) = next.filter(|reference| !seen.contains(reference)) {
            let index = get(&registry, &format!("/v2/a/manifests/{reference}")).json();
            next = index["manifests"][0]["digest"].as_str().map(str::to_owned);
            seen.push(reference);
        }
        seen.len()
    };
    assert_eq!((follow("cycle"), follow("chain")), (4, 4));
}

#[test]
fn a_foreign_layer_is_elsewhere() {
    let registry = Registry::start();
    let url = registry.put_foreign("layer");
    assert_eq!(get(&registry, &format!("/v2/a/blobs/{}", digest(b"layer"))).status, 404);
    let path = url.strip_prefix(&registry.url(Side::Cdn)).expect("the other host");
    assert_eq!(Client::to(registry.address(Side::Cdn)).ask("GET", path, &[], &[]).body, b"layer");
}
