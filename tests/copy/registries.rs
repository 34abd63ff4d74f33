//! The registries that tests are made with, as Debian's skopeo sees them: the real one in its four set-ups, and our own.

use std::path::Path;

use ctr_tests::image::{Compression, Image, Layer};
use ctr_tests::registry::certificates::Authority;
use ctr_tests::registry::real::Real;
use ctr_tests::registry::tls::Tls;
use ctr_tests::registry::{Auth, Fault, On, Options, Registry, Side};
use ctr_tests::{Env, Output, needs};

const NAME: &str = "a/b:1";

fn image() -> Image {
    Image::new(NAME, [Layer::new().file("f", 0o644, "content\n")]).compressed(Compression::Gzip)
}

/// A world with an image in a layout.
fn world() -> Env {
    let env = Env::new();
    image().write_oci(&env.path("layout"));
    env
}

fn skopeo(env: &Env, args: &[&str]) -> Output {
    env.program("/usr/bin/skopeo", ["--insecure-policy"]).args(args).run()
}

fn push(env: &Env, host: &str, flags: &[&str]) -> Output {
    let (from, to) = ("oci:layout:a/b:1", format!("docker://{host}/{NAME}"));
    skopeo(env, &[&["copy", "-q", from, &to], flags].concat())
}

/// The digest of the image there.
fn digest(env: &Env, host: &str, flags: &[&str]) -> Output {
    let there = format!("docker://{host}/{NAME}");
    skopeo(env, &[&["inspect", "--format", "{{.Digest}}", &there], flags].concat())
}

/// Reads the image back: what was asked for, and all that its manifest names.
#[track_caller]
fn pulls(env: &Env, host: &str, flags: &[&str]) {
    let _said =
        skopeo(env, &[&["copy", "-q", &format!("docker://{host}/{NAME}"), "dir:back"], flags].concat())
            .success();
    let manifest = std::fs::read(env.path("back/manifest.json")).expect("a manifest");
    assert_eq!(ctr_tests::image::digest(&manifest), image().oci_digest());
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

#[test]
fn the_real_registry_over_http() {
    needs!(Skopeo, Registry);
    let (env, registry) = (world(), Real::plain());
    let _said = push(&env, &registry.host(), &["--dest-tls-verify=false"]).success();
    assert_eq!(digest(&env, &registry.host(), &["--tls-verify=false"]).success(), image().oci_digest());
    pulls(&env, &registry.host(), &["--src-tls-verify=false"]);
    let there = format!("docker://{}/{NAME}", registry.host());
    let _said = skopeo(&env, &["delete", "--tls-verify=false", &there]).success();
    let _said = digest(&env, &registry.host(), &["--tls-verify=false"]).fails(1);
}

#[test]
fn the_real_registry_with_passwords() {
    needs!(Skopeo, Registry);
    let (env, registry) = (world(), Real::with_passwords(&[("ann", "secret"), ("bob", "b")]));
    let certs = text(registry.certs());
    let _said =
        push(&env, &registry.host(), &["--dest-cert-dir", certs, "--dest-creds", "ann:secret"]).success();
    let flags = ["--cert-dir", certs, "--creds"];
    assert_eq!(
        digest(&env, &registry.host(), &[&flags[..], &["bob:b"]].concat()).success(),
        image().oci_digest()
    );
    let said = digest(&env, &registry.host(), &[&flags[..], &["ann:b"]].concat()).fails(1);
    assert!(said.contains("authentication required"), "{said}");
    let said = digest(&env, &registry.host(), &["--creds", "bob:b"]).fails(1);
    assert!(said.contains("x509: certificate signed by unknown authority"), "{said}");
}

#[test]
fn the_real_registry_with_certificates() {
    needs!(Skopeo, Registry);
    let (env, registry) = (world(), Real::with_certificates());
    let _client = registry.client(&env.path("certs"));
    let _said = push(&env, &registry.host(), &["--dest-cert-dir", text(&env.path("certs"))]).success();
    pulls(&env, &registry.host(), &["--src-cert-dir", text(&env.path("certs"))]);
    let said = digest(&env, &registry.host(), &["--cert-dir", text(registry.certs())]).fails(1);
    assert!(said.contains("certificate"), "{said}");
}

#[test]
fn the_real_registry_with_tokens() {
    needs!(Skopeo, Registry);
    let auth = Auth::tokens().user("ann", "secret").may("ann", "", "pull,push,delete").anyone("", "pull");
    let (env, registry) = (world(), Real::with_tokens(auth));
    let certs = text(registry.certs());
    let said = push(&env, &registry.host(), &["--dest-cert-dir", certs]).fails(1);
    assert!(said.contains("requested access to the resource is denied"), "{said}");
    let _said =
        push(&env, &registry.host(), &["--dest-cert-dir", certs, "--dest-creds", "ann:secret"]).success();
    pulls(&env, &registry.host(), &["--src-cert-dir", certs]);
    let asked = registry.tokens().seen("GET", "/token");
    let scope = |one: &str| asked.iter().any(|seen| seen.query.contains(one));
    assert!(scope("scope=repository%3Aa%2Fb%3Apull%2Cpush") && scope("service=registry.test"), "{asked:?}");
    let said = digest(&env, &registry.host(), &["--cert-dir", certs, "--creds", "ann:b"]).fails(1);
    assert!(said.contains("incorrect username or password"), "{said}");
}

/// Our own, as strict as it can be: TLS, tokens for few requests, the other host, and chunks.
#[test]
fn our_registry() {
    needs!(Skopeo, Openssl);
    let env = world();
    let authority = Authority::new(&env.path("authority"));
    authority.write_certs(&env.path("certs"), None);
    let auth = Auth::tokens().user("ann", "secret").may("ann", "a/", "pull,push").anyone("a/", "pull");
    let tls = Some(Tls { server: authority.server(), clients: None });
    // skopeo knows the certificate of the registry, and not that of the other host.
    let options =
        Options { auth, tls, plain: vec![Side::Cdn], cdn: true, referrers: false, ..Options::default() };
    let registry = Registry::with(options);
    let certs = env.path("certs");
    let certs = text(&certs);
    let said = push(&env, &registry.host(), &["--dest-cert-dir", certs]).fails(1);
    assert!(said.contains("unauthorized"), "{said}");
    let _said =
        push(&env, &registry.host(), &["--dest-cert-dir", certs, "--dest-creds", "ann:secret"]).success();
    assert_eq!(registry.image("a/b", "1").digest, image().oci_digest());
    assert_eq!(digest(&env, &registry.host(), &["--cert-dir", certs]).success(), image().oci_digest());
    pulls(&env, &registry.host(), &["--src-cert-dir", certs]);
    let blobs: Vec<_> = registry.log().into_iter().filter(|one| one.side == Side::Cdn).collect();
    assert!(!blobs.is_empty() && blobs.iter().all(|one| one.authorization().is_none()), "{blobs:?}");
    let tags =
        skopeo(&env, &["list-tags", "--cert-dir", certs, &format!("docker://{}/a/b", registry.host())]);
    assert!(tags.success().contains("\"1\""));
}

#[test]
fn our_registry_with_certificates_and_with_troubles() {
    needs!(Skopeo, Openssl);
    let env = world();
    let authority = Authority::new(&env.path("authority"));
    let certs = env.path("certs");
    authority.write_certs(&certs, Some(&authority.client("ann")));
    let tls = Tls { server: authority.server(), clients: Some(authority.certificate().to_owned()) };
    let registry = Registry::with(Options { tls: Some(tls), ..Options::default() });
    let _digest = registry.put("a/b", "1", &image());
    pulls(&env, &registry.host(), &["--src-cert-dir", text(&certs)]);
    authority.write_certs(&env.path("nobody"), None);
    let _said = digest(&env, &registry.host(), &["--cert-dir", text(&env.path("nobody"))]).fails(1);
    registry.fault(On::get("/v2/a/b/").with("/blobs/"), Fault::Corrupt(20));
    let from = format!("docker://{}/{NAME}", registry.host());
    let said = skopeo(&env, &["copy", "-q", "--src-cert-dir", text(&certs), &from, "dir:wrong"]).fails(1);
    assert!(said.contains("Digest did not match"), "{said}");
}
