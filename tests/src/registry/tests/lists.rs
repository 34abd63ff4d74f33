use serde_json::json;

use super::get;
use crate::image::{Image, Layer};
use crate::registry::{Options, Registry, Side};

fn tagged(tags: &[&str]) -> Registry {
    let registry = Registry::start();
    let image = Image::new("a:1", [Layer::new()]);
    tags.iter().for_each(|tag| drop(registry.put("a/b", tag, &image)));
    registry
}

#[test]
fn tags_come_in_pages() {
    let registry = tagged(&["c", "a", "b"]);
    let all = get(&registry, "/v2/a/b/tags/list");
    assert_eq!(all.json(), json!({ "name": "a/b", "tags": ["a", "b", "c"] }));
    assert_eq!(all.headers.get("Link"), None);
    let first = get(&registry, "/v2/a/b/tags/list?n=2");
    assert_eq!(first.json()["tags"], json!(["a", "b"]));
    assert_eq!(first.header("Link"), "</v2/a/b/tags/list?last=b&n=2>; rel=\"next\"");
    let second = get(&registry, "/v2/a/b/tags/list?last=b&n=2");
    assert_eq!((second.json()["tags"].clone(), second.headers.get("Link")), (json!(["c"]), None));
    registry.change(|options| *options = Options { page: Some(1), absolute: true, ..Options::default() });
    let link = format!("<{}/v2/a/b/tags/list?last=a&n=1>; rel=\"next\"", registry.url(Side::Registry));
    assert_eq!(get(&registry, "/v2/a/b/tags/list?n=5").header("Link"), link);
    assert_eq!(get(&registry, "/v2/a/b/tags/list?n=x").status, 400);
    assert_eq!(get(&registry, "/v2/none/tags/list").status, 404);
}

#[test]
fn a_million_tags() {
    let registry = tagged(&["x"]);
    registry.make_up_tags("a/b", 1_000_000);
    let page = get(&registry, "/v2/a/b/tags/list?n=3&last=tag-000999995");
    assert_eq!(page.json()["tags"], json!(["tag-000999996", "tag-000999997", "tag-000999998"]));
    assert!(page.header("Link").contains("last=tag-000999998"));
    let all = get(&registry, "/v2/a/b/tags/list");
    assert_eq!(all.json()["tags"].as_array().map(Vec::len), Some(1_000_000));
}

#[test]
fn the_catalog() {
    let registry = tagged(&["1"]);
    let _digest = registry.put_blob("b", "");
    let first = get(&registry, "/v2/_catalog?n=1");
    assert_eq!(first.json(), json!({ "repositories": ["a/b"] }));
    assert_eq!(first.header("Link"), "</v2/_catalog?last=a/b&n=1>; rel=\"next\"");
}

#[test]
fn referrers() {
    let registry = tagged(&["1"]);
    let (_, subject, _) = registry.manifest("a/b", "1").expect("it");
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let artifact =
        |name: &str| json!({ "mediaType": kind, "artifactType": name, "subject": { "digest": subject } });
    let _one = registry.put_document("a/b", None, &artifact("x/one"));
    let two = registry.put_document("a/b", None, &artifact("x/two"));
    let there = format!("/v2/a/b/referrers/{subject}");
    assert_eq!(get(&registry, &there).json()["manifests"].as_array().map(Vec::len), Some(2));
    let some = get(&registry, &format!("{there}?artifactType=x/two"));
    assert_eq!(some.header("OCI-Filters-Applied"), "artifactType");
    assert_eq!(some.json()["manifests"][0]["digest"], two);
    assert_eq!(some.json()["manifests"].as_array().map(Vec::len), Some(1));
    registry.change(|options| options.referrers = false);
    assert_eq!(get(&registry, &there).status, 404);
}
