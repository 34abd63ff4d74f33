//! The sink of registries, against one that does what a test wants: no question too many, and what becomes of trouble.

use ctr_core::Reference;
use ctr_core::digest::Mismatch;
use ctr_registry::auth::Credentials;
use ctr_registry::sink::{self, RegistrySink};
use ctr_registry::source::RemoteImage;
use ctr_store::archive::Archive;
use ctr_store::copy::{Choice, CopyError, Options, Placed, already, copy};
use ctr_store::transport::oci::Layout;
use ctr_store::transport::{Source as _, TransportError};
use ctr_tests::Env;
use ctr_tests::image::{Compression, Image, Layer, oci_index, write_files};
use ctr_tests::registry::{self, Auth, Fault, On, Registry, Side};

use crate::client::{ann, client};

/// Three layers, the first of them larger than what is sent at a time.
fn image() -> Image {
    let large: Vec<u8> = (0..400_000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let layers = [
        Layer::new().file("large", 0o644, large),
        Layer::new().file("small", 0o644, "content\n"),
        Layer::new().file("other", 0o644, "more\n"),
    ];
    Image::new("a/b:1", layers).compressed(Compression::Gzip)
}

/// A world with an image in a layout, and a registry.
fn world() -> (Env, Registry) {
    let env = Env::new();
    image().write_oci(&env.path("layout"));
    (env, Registry::start())
}

fn to(
    registry: &Registry,
    name: &str,
    who: Credentials,
    options: sink::Options<'static>,
) -> RegistrySink<'static> {
    let reference = Reference::parse(&format!("{}/{name}", registry.host())).expect("a reference");
    RegistrySink::new(client(registry, who), reference, options)
}

fn layout(env: &Env) -> Layout {
    Layout::new(Archive::folder(&env.path("layout")).expect("a layout"))
}

fn push(env: &Env, mut sink: RegistrySink<'_>, options: &Options) -> Result<Placed, CopyError> {
    let source = layout(env);
    if let Some(placed) = already(&source, &mut sink, options)? {
        return Ok(placed);
    }
    let offer = source.offers()?.remove(0);
    copy(&source, &offer, &mut sink, options)
}

fn plainly(env: &Env, registry: &Registry) -> Result<Placed, CopyError> {
    push(env, to(registry, "a/b:1", Credentials::Anonymous, sink::Options::default()), &Options::default())
}

/// The requests that begin so, without what was asked of the server of tokens.
fn count(registry: &Registry, line: &str) -> usize {
    registry.lines().iter().filter(|seen| seen.starts_with(line)).count()
}

#[test]
fn an_image_is_there_whole_and_then_nothing_is_to_do() {
    let (env, registry) = world();
    let placed = plainly(&env, &registry).expect("a push");
    assert_eq!(placed.descriptor.digest.to_string(), image().oci_digest());
    assert_eq!(registry.image("a/b", "1").digest, image().oci_digest());
    assert_eq!(registry.uploads(), 0);
    // The manifest is looked for once, each blob once, and each is sent by two requests.
    assert_eq!((count(&registry, "HEAD"), count(&registry, "POST"), count(&registry, "PUT")), (5, 4, 5));
    let before = registry.log().len();
    let _placed = plainly(&env, &registry).expect("a push");
    assert_eq!(registry.lines()[before..], ["HEAD /v2/a/b/manifests/1 200"]);
}

#[test]
fn a_registry_that_tells_no_digest_is_read() {
    let (env, registry) = world();
    registry.change(|options| options.digest_header = false);
    let _placed = plainly(&env, &registry).expect("a push");
    let before = registry.log().len();
    let _placed = plainly(&env, &registry).expect("a push");
    assert_eq!(registry.lines()[before..], ["HEAD /v2/a/b/manifests/1 200", "GET /v2/a/b/manifests/1 200"]);
}

#[test]
fn what_is_there_is_not_sent_again() {
    let (env, registry) = world();
    let _placed = plainly(&env, &registry).expect("a push");
    let before = registry.log().len();
    let again = to(&registry, "a/b:2", Credentials::Anonymous, sink::Options::default());
    let _placed = push(&env, again, &Options::default()).expect("a push");
    let log = registry.log();
    assert!(log[before..].iter().all(|seen| seen.method != "POST"), "{:?}", registry.lines());
    assert_eq!(registry.image("a/b", "2"), registry.image("a/b", "1"));
}

#[test]
fn blobs_of_another_repository_are_mounted_with_one_token() {
    let auth = Auth::tokens().user("ann", "secret");
    for mounts in [true, false] {
        let env = Env::new();
        image().write_oci(&env.path("layout"));
        let registry =
            Registry::with(registry::Options { auth: auth.clone(), mounts, ..registry::Options::default() });
        registry.put("old/one", "1", &image());
        let options = sink::Options { mounts_from: Some("old/one".to_owned()), ..sink::Options::default() };
        let _placed =
            push(&env, to(&registry, "a/b:1", ann(), options), &Options::default()).expect("a push");
        assert_eq!(registry.image("a/b", "1").digest, image().oci_digest());
        let log = registry.log();
        assert_eq!(log.iter().filter(|seen| seen.side == Side::Tokens).count(), 1, "{:?}", registry.lines());
        // The session that a refused mount begins is used: each blob has one POST, and is sent unless it was mounted.
        assert_eq!(count(&registry, "POST /v2/a/b/blobs/uploads/"), 4, "{:?}", registry.lines());
        let sent = log.iter().filter(|seen| seen.method == "PUT" && seen.path.contains("/blobs/")).count();
        assert_eq!(sent, if mounts { 1 } else { 4 }, "{:?}", registry.lines());
    }
}

#[test]
fn an_index_follows_its_images() {
    let env = Env::new();
    let other = Image { architecture: "s390x".into(), ..image() };
    write_files(&env.path("layout"), oci_index(&[image(), other.clone()]));
    let registry = Registry::start();
    let all = Options { choice: Choice::All, ..Options::default() };
    let to_it = || to(&registry, "a/b:1", Credentials::Anonymous, sink::Options::default());
    let placed = push(&env, to_it(), &all).expect("a push");
    let (kind, digest, _) = registry.manifest("a/b", "1").expect("the index");
    assert_eq!(
        (kind.as_str(), digest),
        ("application/vnd.oci.image.index.v1+json", placed.descriptor.digest.to_string())
    );
    for image in [image(), other] {
        assert_eq!(registry.image("a/b", &image.oci_digest()).digest, image.oci_digest());
    }
    assert_eq!(registry.tags("a/b"), ["1"]);
    let last = registry.lines().pop().expect("a request");
    assert_eq!(last, "PUT /v2/a/b/manifests/1 201");
    let before = registry.log().len();
    let _placed = push(&env, to_it(), &all).expect("a push");
    assert_eq!(registry.log().len() - before, 1);
}

#[test]
fn a_registry_without_oci_gets_dockers_manifests() {
    for fault in [
        Fault::status(415),
        Fault::Answer(
            400,
            Vec::new(),
            br#"{"errors":[{"code":"MANIFEST_INVALID","message":"manifest invalid"}]}"#.to_vec(),
        ),
    ] {
        let env = Env::new();
        write_files(
            &env.path("layout"),
            oci_index(&[image(), Image { architecture: "s390x".into(), ..image() }]),
        );
        let registry = Registry::start();
        registry.fault(On::method("PUT", "/v2/a/b/manifests/").nth(1), fault);
        let all = Options { choice: Choice::All, ..Options::default() };
        let to_it = to(&registry, "a/b:1", Credentials::Anonymous, sink::Options::default());
        let _placed = push(&env, to_it, &all).expect("a push");
        let (kind, _, bytes) = registry.manifest("a/b", "1").expect("the list");
        assert_eq!(kind, "application/vnd.docker.distribution.manifest.list.v2+json");
        let list: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
        for entry in list["manifests"].as_array().expect("manifests") {
            let picture = registry.image("a/b", entry["digest"].as_str().expect("a digest"));
            assert_eq!(picture.kind, "application/vnd.docker.distribution.manifest.v2+json");
            assert_eq!(entry["mediaType"], picture.kind.as_str());
        }
        // Refused once, and then known.
        assert_eq!(count(&registry, "PUT /v2/a/b/manifests/"), 4, "{:?}", registry.lines());
    }
}

#[test]
fn a_registry_without_oci_is_an_error_where_the_format_is_wanted() {
    let (env, registry) = world();
    registry.fault(On::method("PUT", "/v2/a/b/manifests/"), Fault::status(415));
    let options = sink::Options { falls_back: false, ..sink::Options::default() };
    let error = push(&env, to(&registry, "a/b:1", Credentials::Anonymous, options), &Options::default());
    let text = ctr_core::causes::chain(&error.expect_err("no push"));
    assert!(text.contains("writing manifest 1 to") && text.contains("415"), "{text}");
}

#[test]
fn a_damaged_blob_of_the_source_never_arrives() {
    let (env, registry) = world();
    let layer = registry.put("x", "1", &image());
    assert_eq!(layer, image().oci_digest());
    let picture = registry.image("x", "1");
    for descriptor in picture.manifest["layers"].as_array().expect("layers") {
        let name = descriptor["digest"].as_str().expect("a digest").replace(':', "/");
        let path = env.path("layout/blobs").join(name);
        let mut bytes = std::fs::read(&path).expect("a layer");
        *bytes.last_mut().expect("a byte") ^= 1;
        std::fs::write(&path, bytes).expect("a layer");
    }
    let error = plainly(&env, &registry).expect_err("no push");
    let damaged = matches!(&error, CopyError::Source(TransportError::Digest { source: Mismatch { .. }, .. }));
    assert!(damaged, "{error:?}");
    assert!(registry.manifest("a/b", "1").is_none());
    assert!(registry.blobs("a/b").len() <= 1, "only the config may be there");
    // None of them was sent to its end, so that the registry was never asked to take one.
    assert!(
        !registry.lines().iter().any(|line| line.starts_with("PUT /v2/a/b/blobs/") && line.ends_with(" 400"))
    );
}

#[test]
fn trouble_on_the_way_is_got_over() {
    let faults: [(On, Fault); 6] = [
        (On::method("PUT", "/v2/a/b/blobs/").nth(2), Fault::CutRequest(100_000)),
        (On::method("PUT", "/v2/a/b/blobs/").nth(1), Fault::status(503)),
        (On::method("POST", "/v2/a/b/blobs/").nth(1), Fault::too_many("0")),
        (On::method("PUT", "/v2/a/b/blobs/").nth(1), Fault::status(413)),
        (On::method("PUT", "/v2/a/b/manifests/").nth(1), Fault::status(500)),
        (On::method("HEAD", "/v2/a/b/").nth(2), Fault::Cut(0)),
    ];
    for (on, fault) in faults {
        let (env, registry) = world();
        let said = format!("{fault:?}");
        registry.fault(on, fault);
        plainly(&env, &registry).expect(&said);
        assert_eq!(registry.image("a/b", "1").digest, image().oci_digest(), "{said}");
    }
}

#[test]
fn a_token_that_ends_on_the_way_is_renewed() {
    let mut auth = Auth::tokens().user("ann", "secret");
    auth.uses = Some(3);
    let (env, _) = world();
    let registry = Registry::with(registry::Options { auth, ..registry::Options::default() });
    // One at a time: this server counts uses, and several could use a new token up between them.
    let options = sink::Options { parallel: 1, ..sink::Options::default() };
    let _placed = push(&env, to(&registry, "a/b:1", ann(), options), &Options::default()).expect("a push");
    assert_eq!(registry.image("a/b", "1").digest, image().oci_digest());
}

#[test]
fn another_digest_told_back_is_an_error() {
    let other = format!("sha256:{}", "0".repeat(64));
    for path in ["/v2/a/b/blobs/", "/v2/a/b/manifests/"] {
        let (env, registry) = world();
        registry.fault(On::method("PUT", path), Fault::header("Docker-Content-Digest", &other));
        let error = plainly(&env, &registry).expect_err("no push");
        assert!(ctr_core::causes::chain(&error).contains("damaged"), "{error:?}");
    }
}

#[test]
fn a_name_with_a_digest_takes_that_image_and_no_other() {
    let (env, registry) = world();
    let named = |digest: &str| {
        let name = format!("a/b@{digest}");
        push(
            &env,
            to(&registry, &name, Credentials::Anonymous, sink::Options::default()),
            &Options::default(),
        )
    };
    let error = named(&format!("sha256:{}", "0".repeat(64))).expect_err("no push");
    assert!(error.to_string().contains("another digest"), "{error}");
    assert!(registry.blobs("a/b").is_empty());
    let _placed = named(&image().oci_digest()).expect("a push");
    assert!(registry.tags("a/b").is_empty());
    assert_eq!(registry.image("a/b", &image().oci_digest()).digest, image().oci_digest());
}

#[test]
fn digests_are_kept_or_nothing_is_begun() {
    let env = Env::new();
    write_files(
        &env.path("layout"),
        oci_index(&[image(), Image { architecture: "s390x".into(), ..image() }]),
    );
    let registry = Registry::start();
    let options = Options {
        choice: Choice::All,
        family: Some(ctr_core::oci::media::Family::Docker),
        preserve_digests: true,
        ..Options::default()
    };
    let error =
        push(&env, to(&registry, "a/b:1", Credentials::Anonymous, sink::Options::default()), &options);
    assert!(matches!(error, Err(CopyError::WouldChange(_))), "{error:?}");
    assert_eq!(count(&registry, "POST"), 0);
}

#[test]
fn who_an_upload_is_led_to_is_not_told_who_asks() {
    let auth = Auth::basic().user("ann", "secret");
    let (env, _) = world();
    let registry = Registry::with(registry::Options { auth, ..registry::Options::default() });
    let elsewhere = format!("{}/uploads/1", registry.url(Side::Cdn));
    registry.fault(On::method("POST", "/v2/a/b/blobs/"), Fault::header("Location", &elsewhere));
    let led = push(&env, to(&registry, "a/b:1", ann(), sink::Options::default()), &Options::default());
    let _refused = led.expect_err("nobody takes blobs there");
    let log = registry.log();
    let there: Vec<_> = log.iter().filter(|seen| seen.side == Side::Cdn).collect();
    assert!(!there.is_empty() && there.iter().all(|seen| seen.authorization().is_none()), "{there:?}");
    assert!(log.iter().any(|seen| seen.side == Side::Registry && seen.authorization() == Some("Basic")));
}

#[test]
fn an_index_within_an_index_is_refused() {
    let registry = Registry::start();
    registry.put_chain("a", "1", 3);
    let from = Reference::parse(&format!("{}/a:1", registry.host())).expect("a reference");
    let source = RemoteImage::new(client(&registry, Credentials::Anonymous), from, "a:1".to_owned());
    let all = Options { choice: Choice::All, ..Options::default() };
    let mut sink = to(&registry, "b:1", Credentials::Anonymous, sink::Options::default());
    let offer = source.offers().expect("an index").remove(0);
    let error = copy(&source, &offer, &mut sink, &all).expect_err("no copy");
    assert!(error.to_string().contains("an index within an index"), "{error}");
    assert!(registry.tags("b").is_empty());
}
