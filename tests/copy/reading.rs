//! What is read from registries without being kept: tags, digests, and images on their way elsewhere.

use ctr_tests::image::{Compression, Image, Layer};
use ctr_tests::registry::certificates::{Authority, Identity};
use ctr_tests::registry::real::Real;
use ctr_tests::registry::tls::Tls;
use ctr_tests::registry::{Auth, Family, Fault, On, Options, Registry};
use ctr_tests::{Env, needs};

const PLAIN: &str = "--tls-verify=false";

fn image() -> Image {
    Image::new("a/b:1", [Layer::new().file("f", 0o644, "content\n")]).compressed(Compression::Gzip)
}

fn world() -> (Env, Registry, String) {
    let registry = Registry::start();
    let digest = registry.put("a/b", "1", &image());
    (Env::new(), registry, digest)
}

#[test]
fn tags_are_listed_as_skopeo_lists_them() {
    needs!(Skopeo);
    let (env, registry, digest) = world();
    registry.tag("a/b", "latest", &digest);
    registry.change(|options| options.page = Some(1));
    let name = format!("docker://{}/a/b", registry.host());
    let theirs = env.program("/usr/bin/skopeo", ["list-tags", PLAIN, &name]).run().success();
    assert_eq!(env.ok(["list-tags", PLAIN, &name]), theirs);
    assert_eq!(env.named("skopeo", ["list-tags", PLAIN, &name]).run().success(), theirs);
    for (bad, said) in [
        (format!("{name}:1"), "No tag or digest allowed in reference"),
        ("dir:x".to_owned(), "Unsupported transport 'dir' for tag listing"),
        ("x".to_owned(), "expected colon-separated transport:reference"),
        (format!("docker://{}/nobody", registry.host()), "repository name not known to registry"),
    ] {
        let output = env.ctr(["list-tags", PLAIN, &bad]).run().fails(125);
        assert!(output.contains(said), "{output}");
    }
}

#[test]
fn names_in_an_archive_are_listed() {
    needs!(Skopeo);
    let env = Env::new();
    std::fs::write(env.path("a.tar"), image().docker_archive()).expect("a file");
    let theirs = env.program("/usr/bin/skopeo", ["list-tags", "docker-archive:a.tar"]).run().success();
    assert_eq!(env.ok(["list-tags", "docker-archive:a.tar"]), theirs);
}

#[test]
fn a_digest_is_one_question() {
    let (env, registry, digest) = world();
    let name = format!("{}/a/b:1", registry.host());
    assert_eq!(env.ok(["digest", PLAIN, &name]), digest);
    let asked: Vec<_> = registry.lines().into_iter().filter(|line| line.contains("/manifests/")).collect();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert!(asked[0].contains("HEAD"), "{asked:?}");
    assert_eq!(env.ok(["digest", PLAIN, &format!("docker://{name}")]), digest);
    let full = env.ok(["digest", PLAIN, "--full-ref", &name]);
    assert_eq!(full, format!("{}/a/b@{digest}", registry.host()));
    // A registry that does not tell is read.
    registry.change(|options| options.digest_header = false);
    assert_eq!(env.ok(["digest", PLAIN, &name]), digest);
}

#[test]
fn a_digest_for_a_platform_is_that_of_its_image() {
    let (env, registry) = (Env::new(), Registry::start());
    let mut other = image();
    other.architecture = "s390x".into();
    let index = registry.put_index(Family::Oci, "a/b", "2", &[image(), other.clone()]);
    let name = format!("{}/a/b:2", registry.host());
    assert_eq!(env.ok(["digest", PLAIN, &name]), index);
    assert_eq!(env.ok(["digest", PLAIN, "--platform=linux/s390x", &name]), other.oci_digest());
    let output = env.ctr(["digest", PLAIN, "--platform", "linux/arm64", &name]).run().fails(125);
    assert!(output.contains("no image found in image index for architecture \"arm64\""), "{output}");
    let output = env.ctr(["digest", PLAIN, "--platform", "s390x//", &name]).run().fails(125);
    assert!(output.contains("platform"), "{output}");
}

#[test]
fn an_image_goes_from_a_registry_to_every_place() {
    needs!(Userns);
    let (env, registry, digest) = world();
    let from = format!("docker://{}/a/b:1", registry.host());
    for to in ["dir:d", "oci:o:1", "oci-archive:o.tar", "docker-archive:d.tar:a/b:1", "store:a/b:1"] {
        let _said = env.ok(["copy", "-q", "--src-tls-verify=false", "--digestfile", "digest", &from, to]);
        if !to.starts_with("docker-archive") {
            let written = std::fs::read_to_string(env.path("digest")).expect("the file");
            assert_eq!(written, digest, "{to}");
        }
    }
    let id = env.ok(["images", "-q", "--no-trunc"]);
    assert_eq!(id, format!("sha256:{}", image().id()));
}

/// A layout is OCI's, but a manifest of Docker's may stand in it where its digest is to stay.
#[test]
fn a_digest_that_is_to_stay_stays_in_a_layout() {
    needs!(Userns);
    let (env, registry) = (Env::new(), Registry::start());
    let digest = registry.put_as(Family::Docker, "a/b", "1", &image());
    let from = format!("docker://{}/a/b:1", registry.host());
    let copy = ["copy", "-q", "--preserve-digests", "--digestfile=digest", "--src-tls-verify=false", &from];
    let _said = env.ctr(copy).args(["oci-archive:kept.tar:a/b:1"]).run().success();
    assert_eq!(std::fs::read_to_string(env.path("digest")).expect("the file"), digest);
    assert_eq!(env.ok(["pull", "-q", "oci-archive:kept.tar"]), image().id());
    // What must be Docker's is not.
    let output =
        env.ctr(["copy", "-q", "--preserve-digests", "oci-archive:kept.tar", "dir:d", "--format=oci"]).run();
    assert!(output.fails(125).contains("--preserve-digests forbids"));
}

/// Who is asked as whom: by flags, by the file of logins, by nobody.
#[test]
fn flags_say_who_asks() {
    let env = Env::new();
    let auth = Auth::basic().user("bob", "swordfish");
    let registry = Registry::with(Options { auth, ..Options::default() });
    let digest = registry.put("a/b", "1", &image());
    let name = format!("{}/a/b:1", registry.host());
    let output = env.ctr(["digest", PLAIN, &name]).run().fails(125);
    assert!(output.contains(&format!("hint: ctr login {}", registry.host())), "{output}");
    let ask = |flags: &[&str]| {
        // Both verbs read their flags in one place.
        let tags =
            env.ctr(["list-tags", PLAIN, &format!("docker://{}/a/b", registry.host())]).args(flags).run();
        let digest = env.ctr(["digest", PLAIN, &name]).args(flags).run();
        assert_eq!(tags.code(), digest.code(), "{tags}\n{digest}");
        digest
    };
    assert_eq!(ask(&["--creds", "bob:swordfish"]).success(), digest);
    assert_eq!(ask(&["--username=bob", "--password=swordfish"]).success(), digest);
    let wrong = ask(&["--creds", "bob:shark"]).fails(125);
    assert!(wrong.contains("as bob") && wrong.contains("hint: ctr auth why"), "{wrong}");
    let words = ["login", PLAIN, "-u", "bob", "--password-stdin", "--authfile", "logins", &registry.host()];
    let _said = env.ctr(words).stdin("swordfish\n").run().success();
    assert_eq!(ask(&["--authfile", "logins"]).success(), digest);
    let _denied = ask(&["--authfile", "logins", "--no-creds"]).fails(125);
    for (flags, said) in [
        (&["--creds=a:b", "--no-creds"][..], "creds and no-creds cannot be specified at the same time"),
        (
            &["--creds=a:b", "--username=a"],
            "creds and username/password cannot be specified at the same time",
        ),
        (&["--username=a"], "password must be specified when username is specified"),
        (&["--password=a"], "username must be specified when password is specified"),
        (&["--creds=:b"], "username can't be empty"),
        (&["--creds="], "credentials can't be empty"),
        (&["--retry-times=-1"], "--retry-times must not be negative"),
        (&["--retry-delay=-1s"], "--retry-delay must not be negative"),
        (&["--cert-dir", "nowhere"], "nowhere"),
    ] {
        let output = ask(flags).fails(125);
        assert!(output.contains(said), "{flags:?}: {output}");
    }
    let copied = |flags: &[&str]| {
        env.ctr(["copy", "-q", "--src-tls-verify=false", &format!("docker://{name}"), "dir:d"])
            .args(flags)
            .run()
    };
    let _said = copied(&["--src-creds", "bob:swordfish"]).success();
    let _said = copied(&["--src-username=bob", "--src-password=swordfish"]).success();
    let _said = copied(&["--src-authfile", "logins"]).success();
    let _said = copied(&["--authfile", "logins"]).success();
    let _denied = copied(&["--src-authfile", "logins", "--src-no-creds"]).fails(125);
    // Where anybody may ask, nobody will do.
    registry.change(|options| options.auth = Auth::default());
    assert_eq!(ask(&["--authfile", "logins", "--no-creds"]).success(), digest);
    let _said = copied(&["--src-authfile", "logins", "--src-no-creds"]).success();
}

/// A token that somebody has is shown as it is, unasked.
#[test]
fn a_token_is_shown_as_it_is() {
    let (env, registry, digest) = world();
    let (host, token) = (registry.host(), "--registry-token=abc");
    assert_eq!(env.ok(["digest", PLAIN, token, &format!("{host}/a/b:1")]), digest);
    let _tags = env.ok(["list-tags", PLAIN, token, &format!("docker://{host}/a/b")]);
    let flags = ["--src-tls-verify=false", "--src-registry-token", "abc"];
    let _copied =
        env.ctr(["copy", "-q", &format!("docker://{host}/a/b:1"), "dir:d"]).args(flags).run().success();
    // The registry's log has of an Authorization its scheme alone.
    let asked = registry.log();
    assert!(asked.len() > 4 && asked.iter().all(|seen| seen.authorization() == Some("Bearer")), "{asked:?}");
}

/// One asks as often as it is said.
#[test]
fn asking_again_is_counted() {
    let (env, registry, digest) = world();
    let name = format!("{}/a/b:1", registry.host());
    let asked = || registry.seen("HEAD", "/v2/").len();
    registry.fault(On::method("HEAD", "/v2/").first(3), Fault::status(503));
    let output = env.ctr(["digest", PLAIN, "--retry-times=1", "--retry-delay=1ms", &name]).run().fails(125);
    assert!(output.contains("not available for now"), "{output}");
    assert_eq!(asked(), 2);
    let tags = format!("docker://{}/a/b", registry.host());
    registry.fault(On::get("/v2/a/b/tags").first(1), Fault::status(503));
    let _tags = env.ok(["list-tags", PLAIN, "--retry-times=1", "--retry-delay=1ms", &tags]);
    assert_eq!(env.ok(["digest", PLAIN, "--retry-times=1", "--retry-delay=1ms", &name]), digest);
    let from = format!("docker://{name}");
    registry.fault(On::get("/v2/a/b/manifests").first(2), Fault::status(503));
    let _said = env.ok([
        "copy",
        "-q",
        "--src-tls-verify=false",
        "--retry-times=2",
        "--retry-delay=1ms",
        &from,
        "dir:d",
    ]);
}

/// Whose word is taken for a registry, and who we are to it.
#[test]
fn certificates_are_those_of_the_folder_that_is_named() {
    needs!(Openssl);
    let env = Env::new();
    let authority = Authority::new(&env.path("authority"));
    authority.write_certs(&env.path("certs"), Some(&authority.client("ann")));
    let tls = Tls { server: authority.server(), clients: Some(authority.certificate().to_owned()) };
    let registry = Registry::with(Options { tls: Some(tls), ..Options::default() });
    let digest = registry.put("a/b", "1", &image());
    let (name, tags) = (format!("{}/a/b:1", registry.host()), format!("docker://{}/a/b", registry.host()));
    let stranger = env.ctr(["list-tags", &tags]).run().fails(125);
    assert!(stranger.contains("hint: put the certificate of its authority into"), "{stranger}");
    let certs = env.path("certs").display().to_string();
    assert_eq!(env.ok(["digest", "--cert-dir", &certs, &name]), digest);
    let _tags = env.ok(["list-tags", "--cert-dir", &certs, &tags]);
    let _copied = env.ok(["copy", "-q", "--src-cert-dir", &certs, &format!("docker://{name}"), "dir:d"]);
    // Or without a flag, where it is looked for.
    authority.write_certs(
        &env.home().join(".config/containers/certs.d").join(registry.host()),
        Some(&authority.client("ann")),
    );
    assert_eq!(env.ok(["digest", &name]), digest);
}

/// A registry that speaks no TLS is not talked to in the clear unasked.
#[test]
fn plain_http_is_for_who_asks_for_it() {
    let (env, registry, _) = world();
    let said = env.ctr(["digest", &format!("{}/a/b:1", registry.host())]).run().fails(125);
    assert!(said.contains("server gave HTTP response to HTTPS client"), "{said}");
    assert!(said.contains("hint: the registry speaks plain http: --tls-verify=false"), "{said}");
    assert!(registry.seen("HEAD", "/").is_empty());
}

/// The real registry in its four set-ups.
#[test]
fn the_real_registry_is_read_in_all_its_set_ups() {
    needs!(Skopeo, Registry, Openssl);
    let env = Env::new();
    image().write_oci(&env.path("layout"));
    for set_up in Real::set_ups(&env.path("certs")) {
        let (host, with) = (set_up.registry.host(), |side: &str| set_up.flags(side));
        let image_there = format!("docker://{host}/a/b:1");
        let push = env.program(
            "/usr/bin/skopeo",
            ["--insecure-policy", "copy", "-q", "oci:layout:a/b:1", &image_there],
        );
        let _said = push.args(with("dest-")).run().success();
        assert_eq!(
            env.ctr(["digest", &format!("{host}/a/b:1")]).args(with("")).run().success(),
            image().oci_digest()
        );
        let tags = env.ctr(["list-tags", &format!("docker://{host}/a/b")]).args(with("")).run().success();
        assert!(tags.contains("\"1\""), "{tags}");
        let _said = env
            .ctr(["copy", "-q", "--digestfile=digest", &image_there, "dir:back"])
            .args(with("src-"))
            .run()
            .success();
        let digest = std::fs::read_to_string(env.path("digest")).expect("the file");
        assert_eq!(digest, image().oci_digest());
    }
}

/// Mirrors are asked first, and told of when nobody has the image.
#[test]
fn mirrors_are_asked_in_their_order() {
    let env = Env::new();
    let (one, two, own) = (Registry::start(), Registry::start(), Registry::start());
    let digest = two.put("a/b", "1", &image());
    let conf = format!(
        "[[registry]]\nlocation = \"{own}\"\ninsecure = true\n\
         [[registry.mirror]]\nlocation = \"{one}\"\ninsecure = true\n\
         [[registry.mirror]]\nlocation = \"{two}\"\ninsecure = true\n",
        own = own.host(),
        one = one.host(),
        two = two.host(),
    );
    std::fs::create_dir_all(env.home().join(".config/containers")).expect("a folder");
    std::fs::write(env.home().join(".config/containers/registries.conf"), conf).expect("a file");
    let name = format!("{}/a/b:1", own.host());
    assert_eq!(env.ok(["digest", &name]), digest);
    assert!(own.log().is_empty() && !one.log().is_empty());
    let output = env.ctr(["digest", &format!("{}/a/b:2", own.host())]).run().fails(125);
    for (host, said) in [(one.host(), "name unknown"), (two.host(), "manifest unknown")] {
        let told = format!("[{host}/a/b:2: reading manifest 2 in {host}/a/b: {said}");
        assert!(output.contains(&told), "{output}");
    }
    assert!(output.contains("Mirrors also failed"), "{output}");
}

/// Who we are said to be at a registry is not told to its mirrors.
#[test]
fn a_login_that_is_given_is_not_for_mirrors() {
    let env = Env::new();
    let locked = || {
        let auth = Auth::basic().user("bob", "swordfish");
        Registry::with(Options { auth, ..Options::default() })
    };
    let (mirror, own) = (locked(), locked());
    let digest = own.put("a/b", "1", &image());
    mirror.put("a/b", "1", &image());
    let conf = format!(
        "[[registry]]\nlocation = \"{own}\"\ninsecure = true\n\
         [[registry.mirror]]\nlocation = \"{mirror}\"\ninsecure = true\n",
        own = own.host(),
        mirror = mirror.host(),
    );
    std::fs::create_dir_all(env.home().join(".config/containers")).expect("a folder");
    std::fs::write(env.home().join(".config/containers/registries.conf"), conf).expect("a file");
    let name = format!("{}/a/b:1", own.host());
    assert_eq!(env.ok(["digest", "--creds=bob:swordfish", &name]), digest);
    let _digest = env.ok(["digest", "--creds=bob:swordfish", "--registry-token=abc", &name]);
    let asked = mirror.log();
    assert!(!asked.is_empty() && asked.iter().all(|seen| seen.authorization().is_none()), "{asked:?}");
}

/// What was asked for by its digest is that, or nothing.
#[test]
fn a_registry_cannot_say_that_a_digest_is_another() {
    let (env, registry, digest) = world();
    let other = format!("sha256:{}", "a".repeat(64));
    let name = format!("{}/a/b@{digest}", registry.host());
    assert_eq!(env.ok(["digest", PLAIN, &name]), digest);
    registry.fault(On::method("HEAD", "/v2/a/b/manifests/"), Fault::header("Docker-Content-Digest", &other));
    let said = env.ctr(["digest", PLAIN, &name]).run().fails(125);
    assert!(said.contains("what came is damaged") && said.contains(&digest), "{said}");
}

/// A certificate that is its own authority, as manuals make it, is believed where that very file is named: for the names in it.
#[test]
fn a_server_may_be_its_own_authority() {
    needs!(Openssl);
    let env = Env::new();
    let authority = Authority::new(&env.path("authority"));
    let registry = |server: &Identity| {
        let registry = Registry::with(Options {
            tls: Some(Tls { server: server.clone(), clients: None }),
            ..Options::default()
        });
        registry.put("a/b", "1", &image());
        registry
    };
    let certs = |server: &Identity, name: &str| {
        std::fs::create_dir_all(env.path(name)).expect("a folder");
        std::fs::copy(&server.certificate, env.path(name).join("ca.crt")).expect("a file");
        format!("--cert-dir={}", env.path(name).display())
    };
    let (own, elsewhere) = (authority.by_itself(), authority.elsewhere_by_itself());
    let ask = |registry: &Registry, certs: &str| {
        env.ctr(["digest", certs, &format!("{}/a/b:1", registry.host())]).run()
    };
    let good = registry(&own);
    assert_eq!(ask(&good, &certs(&own, "own")).success(), image().oci_digest());
    // Another one's word is not its own, and another name is not the one that is asked.
    let said = ask(&good, &certs(&elsewhere, "elsewhere")).fails(125);
    assert!(said.contains("over TLS"), "{said}");
    let said = ask(&registry(&elsewhere), &certs(&elsewhere, "elsewhere")).fails(125);
    assert!(said.contains("over TLS"), "{said}");
}

/// What breaks at the registry is told as the registry's trouble, wherever the image was going.
#[test]
fn a_blob_that_breaks_is_the_registrys_trouble() {
    let (env, registry, _) = world();
    registry.fault(On::get("/v2/a/b/").with("/blobs/").from(2), Fault::Cut(5));
    let from = format!("docker://{}/a/b:1", registry.host());
    let flags = ["-q", "--src-tls-verify=false", "--retry-times=1", "--retry-delay=1ms"];
    let packed = ["--dest-compress-format=zstd", "--dest-force-compress-format"];
    for (to, more) in [
        ("oci:o:1", &[][..]),
        ("oci:p:1", &packed),
        ("dir:d", &[]),
        ("oci-archive:o.tar", &[]),
        ("docker-archive:d.tar", &[]),
    ] {
        let said = env.ctr(["copy", &from, to]).args(flags).args(more).run().fails(125);
        assert!(
            said.contains("reading blob sha256:") && said.contains(&format!("in {}/a/b", registry.host())),
            "{to}: {said}"
        );
        assert!(!said.contains("cannot write") && !said.contains("archive:"), "{to}: {said}");
    }
}
