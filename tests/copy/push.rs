//! `push`, and `copy` to registries: who asks, what is sent, what others read of it, and what is said.

use ctr_tests::image::{Compression, Image, Layer, oci_index, write_files};
use ctr_tests::registry::certificates::Authority;
use ctr_tests::registry::real::Real;
use ctr_tests::registry::tls::Tls;
use ctr_tests::registry::{Auth, Fault, On, Options, Registry};
use ctr_tests::{Env, Output, needs};

const PLAIN: &str = "--tls-verify=false";
const DEST_PLAIN: &str = "--dest-tls-verify=false";
const NAME: &str = "localhost/a:1";

fn image() -> Image {
    let layers = [Layer::new().file("f", 0o644, "content\n"), Layer::new().file("g", 0o644, "more\n")];
    Image::new(NAME, layers).compressed(Compression::Gzip)
}

/// A world with an image in a layout.
fn world() -> Env {
    let env = Env::new();
    image().write_oci(&env.path("layout"));
    env
}

/// A world with the image in its store.
fn loaded() -> Env {
    let env = world();
    let _said = env.ok(["copy", "-q", &format!("oci:layout:{NAME}"), &format!("store:{NAME}")]);
    env
}

/// Copies the layout to a registry.
fn copy(env: &Env, host: &str, flags: &[&str]) -> Output {
    let to = format!("docker://{host}/a/b:1");
    env.ctr(["copy", &format!("oci:layout:{NAME}"), &to]).args(flags).run()
}

fn push(env: &Env, host: &str, flags: &[&str]) -> Output {
    env.ctr(["push", NAME, &format!("{host}/a/b:1")]).args(flags).run()
}

fn skopeo(env: &Env, args: &[&str]) -> Output {
    env.program("/usr/bin/skopeo", ["--insecure-policy"]).args(args).run()
}

fn text(path: &std::path::Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// Who asks: by flags, by the file of logins, by nobody.
#[test]
fn flags_say_who_writes() {
    needs!(Userns);
    let env = loaded();
    let auth = Auth::basic().user("bob", "swordfish");
    let registry = Registry::with(Options { auth, ..Options::default() });
    let host = registry.host();
    let denied = copy(&env, &host, &[DEST_PLAIN]).fails(125);
    assert!(
        denied.contains("without a login") && denied.contains(&format!("hint: ctr login {host}")),
        "{denied}"
    );
    let denied = push(&env, &host, &[PLAIN]).fails(125);
    assert!(
        denied.contains(&format!("{host}/a/b")) && denied.contains(&format!("hint: ctr login {host}")),
        "{denied}"
    );
    let denied = push(&env, &host, &[PLAIN, "--creds", "bob:shark"]).fails(125);
    assert!(denied.contains("as bob") && denied.contains("hint: ctr auth why"), "{denied}");
    assert!(registry.blobs("a/b").is_empty());
    let words = ["login", PLAIN, "-u", "bob", "--password-stdin", "--authfile", "logins", &host];
    let _said = env.ctr(words).stdin("swordfish\n").run().success();
    for flags in [
        &["--dest-creds=bob:swordfish"][..],
        &["--dest-username=bob", "--dest-password=swordfish"],
        &["--dest-authfile", "logins"],
        &["--authfile", "logins"],
    ] {
        let _said = copy(&env, &host, &[&[DEST_PLAIN], flags].concat()).success();
    }
    let _denied = copy(&env, &host, &[DEST_PLAIN, "--dest-authfile=logins", "--dest-no-creds"]).fails(125);
    let _said = push(&env, &host, &[PLAIN, "--authfile", "logins"]).success();
    let _said = push(&env, &host, &[PLAIN, "--creds", "bob:swordfish"]).success();
    assert_eq!(registry.image("a/b", "1").digest, image().oci_digest());
    let open = Registry::start();
    let _said =
        copy(&env, &open.host(), &[DEST_PLAIN, "--dest-authfile=logins", "--dest-no-creds"]).success();
}

#[test]
fn a_token_is_shown_as_it_is() {
    let (env, registry) = (world(), Registry::start());
    let _said = copy(&env, &registry.host(), &[DEST_PLAIN, "--dest-registry-token", "abc"]).success();
    let asked = registry.log();
    assert!(asked.len() > 4 && asked.iter().all(|seen| seen.authorization() == Some("Bearer")), "{asked:?}");
}

#[test]
fn whose_word_is_taken_for_a_registry() {
    needs!(Userns, Openssl);
    let env = loaded();
    let authority = Authority::new(&env.path("authority"));
    let certs = env.path("certs");
    authority.write_certs(&certs, Some(&authority.client("ann")));
    let tls = Tls { server: authority.server(), clients: Some(authority.certificate().to_owned()) };
    let registry = Registry::with(Options { tls: Some(tls), ..Options::default() });
    let stranger = push(&env, &registry.host(), &[]).fails(125);
    assert!(stranger.contains("hint: put the certificate of its authority into"), "{stranger}");
    assert!(stranger.contains("--tls-verify=false"), "{stranger}");
    let _said = push(&env, &registry.host(), &["--cert-dir", text(&certs)]).success();
    let _said = copy(&env, &registry.host(), &["--dest-cert-dir", text(&certs)]).success();
    let plain = Registry::start();
    let said = push(&env, &plain.host(), &[]).fails(125);
    assert!(said.contains("server gave HTTP response to HTTPS client"), "{said}");
    assert!(said.contains("hint: the registry speaks plain http: --tls-verify=false"), "{said}");
}

/// What is read of the store goes as it came, and what is there already is not even looked at.
#[test]
fn what_was_pulled_is_pushed_as_it_came() {
    needs!(Userns);
    let (env, registry) = (loaded(), Registry::start());
    let said = push(&env, &registry.host(), &[PLAIN, "--digestfile", "digest"]);
    assert_eq!((said.code(), said.stdout.as_str()), (0, ""), "{said}");
    for line in
        ["Getting image source signatures", "Copying config sha256:", "Writing manifest to image destination"]
    {
        assert!(said.stderr.contains(line), "{said}");
    }
    assert_eq!(said.stderr.matches("Copying blob sha256:").count(), 2, "{said}");
    assert_eq!(std::fs::read_to_string(env.path("digest")).expect("the file"), image().oci_digest());
    let picture = registry.image("a/b", "1");
    assert_eq!((picture.digest, picture.layers.len()), (image().oci_digest(), 2));
    let before = registry.log().len();
    let said = push(&env, &registry.host(), &[PLAIN]);
    assert!(said.stderr.contains("Nothing to do"), "{said}");
    assert_eq!(registry.lines()[before..], ["HEAD /v2/a/b/manifests/1 200"]);
    let events = env.ok(["events", "--stream=false", "--filter", "event=push"]);
    assert!(events.contains(&format!("{} {}/a/b:1", image().id(), registry.host())), "{events}");
    let quiet = push(&env, &registry.host(), &[PLAIN, "-q"]);
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""), "{quiet}");
}

#[test]
fn flags_of_push_that_change_nothing_or_the_manifest() {
    needs!(Userns);
    let (env, registry) = (loaded(), Registry::start());
    registry.fault(On::method("HEAD", "/v2/").nth(1), Fault::status(503));
    let flags = [PLAIN, "--disable-content-trust", "--remove-signatures", "--retry=1", "--retry-delay=1ms"];
    let _said = push(&env, &registry.host(), &[&flags[..], &["--format", "v2s2"]].concat()).success();
    let picture = registry.image("a/b", "1");
    assert_eq!(picture.kind, "application/vnd.docker.distribution.manifest.v2+json");
    registry.fault(On::method("HEAD", "/v2/"), Fault::status(503));
    let before = registry.log().len();
    let _said = push(&env, &registry.host(), &flags).fails(125);
    assert_eq!(registry.log().len() - before, 2);
    let said = push(&env, &registry.host(), &["--format", "v2s1"]).fails(125);
    assert!(said.contains("v2s1"), "{said}");
}

#[test]
fn an_image_goes_to_its_own_name_or_says_why_not() {
    needs!(Userns);
    let (env, registry) = (loaded(), Registry::start());
    let own = format!("{}/team/own:2", registry.host());
    let _said = env.ok(["tag", NAME, &own]);
    let _said = env.ok(["push", "-q", PLAIN, &own]);
    assert_eq!(registry.image("team/own", "2").digest, image().oci_digest());
    // By the end of its name too.
    registry.fault(On::method("HEAD", "/v2/"), Fault::status(403));
    let said = env.ctr(["push", "-q", PLAIN, "own:2"]).run().fails(125);
    assert!(said.contains(&format!("{}/team/own", registry.host())), "{said}");
    for (words, wanted) in [
        (&["push", "nosuch"][..], "nosuch: image not known"),
        (&["push", NAME], "is a name of this machine's alone"),
        (&["push", &image().id()], "no name of its own, or several"),
        (&["push", NAME, "dir:"], "no path"),
        (&["push", NAME, "x", "y"], "accepts between 1 and 2 arg(s), received 3"),
        (&["push", "--compression-format=lzma", NAME, "dir:x"], "cannot find compressor for \"lzma\""),
        (&["push", "--compression-level=10", NAME, "dir:x"], "gzip has no level 10"),
        (&["push", "--compress", NAME, "docker-archive:x.tar"], "does not compress layers"),
        (&["push", "--sign-by=me", NAME, "dir:x"], "sign-by"),
    ] {
        let output = env.ctr(words).run().fails(125);
        assert!(output.contains(wanted), "{words:?}: {output}");
    }
    // Any other place will do.
    for to in
        ["dir:d", "oci:o:1", "oci-archive:o.tar:x", "docker-archive:d.tar:a/b:1", "store:localhost/again:1"]
    {
        let _said = env.ok(["push", "-q", NAME, to]);
    }
    assert_eq!(env.ok(["image", "inspect", "--format", "{{.Id}}", "localhost/again:1"]), image().id());
}

#[test]
fn an_index_goes_whole_or_one_image_of_it() {
    needs!(Userns);
    let env = Env::new();
    let other = Image { architecture: "s390x".into(), ..image() };
    write_files(&env.path("layout"), oci_index(&[image(), other.clone()]));
    let registry = Registry::start();
    let _said = env.ok(["copy", "-q", "--all", &format!("oci:layout:{NAME}"), &format!("store:{NAME}")]);
    let _said = push(&env, &registry.host(), &[PLAIN, "-q"]).success();
    assert_eq!(registry.image("a/b", "1").digest, image().oci_digest());
    let _said = push(&env, &registry.host(), &[PLAIN, "-q", "--all"]).success();
    let (kind, digest, _) = registry.manifest("a/b", "1").expect("the index");
    assert_eq!(kind, "application/vnd.oci.image.index.v1+json");
    assert_eq!(registry.image("a/b", &other.oci_digest()).digest, other.oci_digest());
    // From registry to registry the same, and then nothing is to do: one question to each side.
    let second = Registry::start();
    let from = format!("docker://{}/a/b:1", registry.host());
    let across = |flags: &[&str]| {
        let to = format!("docker://{}/c:1", second.host());
        let said = env.ctr(["copy", "--src-tls-verify=false", DEST_PLAIN, &from, &to]).args(flags).run();
        said.success()
    };
    let _said = across(&["--all", "-q"]);
    assert_eq!(second.manifest("c", "1").expect("the index").1, digest);
    let before = (registry.log().len(), second.log().len());
    let _said = across(&["--multi-arch=all", "--preserve-digests"]);
    let said: Vec<_> =
        registry.lines().split_off(before.0).into_iter().chain(second.lines().split_off(before.1)).collect();
    assert_eq!(said, ["HEAD /v2/a/b/manifests/1 200", "HEAD /v2/c/manifests/1 200"]);
}

/// Some of an index are an index of their own, with the digests that they had.
#[test]
fn an_index_is_made_of_some_platforms() {
    let env = Env::new();
    let others =
        ["s390x", "arm64"].map(|architecture| Image { architecture: architecture.into(), ..image() });
    write_files(&env.path("layout"), oci_index(&[image(), others[0].clone(), others[1].clone()]));
    let registry = Registry::start();
    let _said =
        copy(&env, &registry.host(), &[DEST_PLAIN, "-q", "--platform=linux/arm64,linux/amd64"]).success();
    let (kind, _, bytes) = registry.manifest("a/b", "1").expect("the index");
    assert_eq!(kind, "application/vnd.oci.image.index.v1+json");
    let index: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
    let digests: Vec<_> =
        index["manifests"].as_array().expect("images").iter().map(|it| it["digest"].clone()).collect();
    assert_eq!(digests, [image().oci_digest(), others[1].oci_digest()]);
    assert!(registry.manifest("a/b", &others[0].oci_digest()).is_none());
    for (flags, said) in [
        (&["--platform=linux/arm64,linux/amd64", "--preserve-digests"][..], "--preserve-digests forbids"),
        (&["--platform=linux/arm64,linux/mips"], "no image found in image index"),
        (&["--platform=linux/arm64", "--all"], "Cannot use --platform with all images"),
    ] {
        let output = copy(&env, &registry.host(), &[&[DEST_PLAIN], flags].concat()).fails(125);
        assert!(output.contains(said), "{output}");
    }
}

/// Of an index that was pulled for one platform the others go nowhere, unless they are there already.
#[test]
fn an_index_with_one_image_here_is_said() {
    needs!(Userns);
    let (env, registry, other) = (Env::new(), Registry::start(), Registry::start());
    let images = [image(), Image { architecture: "s390x".into(), ..image() }];
    let digest = registry.put_index(ctr_tests::registry::Family::Oci, "old", "1", &images);
    let name = format!("{}/old:1", registry.host());
    let _said = env.ok(["pull", "-q", PLAIN, &name]);
    let push = |flags: &[&str], to: &str| env.ctr(["push", "-q", PLAIN, &name, to]).args(flags).run();
    let said = push(&["--all"], &format!("{}/a:1", other.host())).fails(125);
    assert!(said.contains("the store has no sha256:"), "{said}");
    assert!(other.tags("a").is_empty());
    let _said = push(&[], &format!("{}/a:1", other.host())).success();
    assert_eq!(other.image("a", "1").config, image().configuration());
    let before = registry.log().len();
    let _said = push(&["--all"], &format!("{}/old:2", registry.host())).success();
    assert_eq!(registry.manifest("old", "2").expect("the index").1, digest);
    assert!(registry.log()[before..].iter().all(|seen| seen.method != "GET"), "{:?}", registry.lines());
}

/// What came from one repository of a registry is not sent to another one of it.
#[test]
fn what_was_pulled_is_mounted_where_it_came_from() {
    needs!(Userns);
    let (env, registry) = (Env::new(), Registry::start());
    registry.put("old/one", "1", &image());
    let from = format!("{}/old/one:1", registry.host());
    let _id = env.ok(["pull", "-q", PLAIN, &from]);
    let _said = env.ok(["tag", &from, NAME]);
    let plan = env.ok([
        "copy",
        "--dry-run",
        DEST_PLAIN,
        &format!("store:{NAME}"),
        &format!("docker://{}/a/b:1", registry.host()),
    ]);
    assert_eq!(plan.matches("from old/one").count(), 2, "{plan}");
    let _said = push(&env, &registry.host(), &[PLAIN, "-q"]).success();
    assert_eq!(registry.image("a/b", "1").digest, image().oci_digest());
    let puts = registry.seen("PUT", "/v2/a/b/blobs/");
    assert_eq!(puts.len(), 1, "the config alone is sent: {:?}", registry.lines());
}

/// The plan is what is done then.
#[test]
fn a_plan_tells_requests_and_bytes_and_moves_nothing() {
    let (env, registry) = (world(), Registry::start());
    registry.put("old", "1", &image());
    let plan = copy(&env, &registry.host(), &[DEST_PLAIN, "--dry-run"]).success();
    assert_eq!(plan.matches("write ").count(), 3, "{plan}");
    assert!(plan.contains("manifest  sha256:") && plan.contains("7 requests, "), "{plan}");
    assert!(registry.log().iter().all(|seen| seen.method == "HEAD"), "{:?}", registry.lines());
    let from = format!("docker://{}/old:1", registry.host());
    let to = format!("docker://{}/a/b:1", registry.host());
    let flags = ["--src-tls-verify=false", DEST_PLAIN];
    let plan = env.ctr(["copy", "--dry-run", &from, &to]).args(flags).run().success();
    assert_eq!(plan.matches("from old").count(), 2, "{plan}");
    assert!(plan.contains("6 requests, "), "{plan}");
    let before = registry.log().len();
    let done = env.ctr(["copy", "-q", "--image-parallel-copies=2", "--dest-precompute-digests", &from, &to]);
    let _said = done.args(flags).run().success();
    let log = registry.log();
    let writes = log[before..].iter().filter(|seen| ["POST", "PUT"].contains(&seen.method.as_str())).count();
    let reads =
        log[before..].iter().filter(|seen| seen.method == "GET" && seen.path.contains("/blobs/")).count();
    // The config was read for the plan already.
    assert_eq!((writes, reads), (5, 1), "{:?}", registry.lines());
    let plan = env.ctr(["copy", "--dry-run", &from, &to]).args(flags).run().success();
    assert_eq!(plan, "nothing to do");
    for (to, there) in [("oci:layout:2", 3), ("oci:other:2", 0), ("dir:d", 0), ("docker-archive:d.tar", 0)] {
        let plan = env.ctr(["copy", "--dry-run", "--src-tls-verify=false", &from, to]).run().success();
        assert_eq!(plan.matches("there ").count(), there, "{to}: {plan}");
    }
    assert!(!env.path("other").exists() && !env.path("d").exists() && !env.path("d.tar").exists());
    assert!(copy(&env, "x", &["--image-parallel-copies=-1"]).fails(125).contains("image-parallel-copies"));
}

#[test]
fn as_skopeo_it_speaks_on_standard_output() {
    let (env, registry) = (world(), Registry::start());
    let to = format!("docker://{}/a/b:1", registry.host());
    let said = env.named("skopeo", ["copy", DEST_PLAIN, &format!("oci:layout:{NAME}"), &to]).run();
    assert_eq!((said.code(), said.stderr.as_str()), (0, ""), "{said}");
    assert!(said.stdout.starts_with("Getting image source signatures\nCopying blob sha256:"), "{said}");
    assert!(said.stdout.contains("\nWriting manifest to image destination"), "{said}");
}

/// A layer that was made here is sent once: the second time the registry has it.
#[test]
fn what_was_committed_is_compressed_on_its_way() {
    needs!(Userns, Overlay, Skopeo);
    let (env, registry) = (Env::with_busybox(), Registry::start());
    let made = ["run", "--name", "c", "localhost/busybox", "sh", "-c", "head -c 300000 /dev/zero >/zeros"];
    let _said = env.ok(made);
    let _said = env.ok(["commit", "-q", "c", "localhost/made:1"]);
    let to = format!("{}/made:1", registry.host());
    let _said = env.ok(["push", "-q", PLAIN, "localhost/made:1", &to]);
    let picture = registry.image("made", "1");
    for (layer, bytes) in picture.manifest["layers"].as_array().expect("layers").iter().zip(&picture.layers) {
        assert!(layer["mediaType"].as_str().is_some_and(|kind| kind.ends_with("gzip")), "{layer}");
        assert!(bytes.starts_with(&[0x1f, 0x8b]) && bytes.len() < 2_000_000);
    }
    let before = registry.log().len();
    let _said = env.ok(["push", "-q", PLAIN, "localhost/made:1", &format!("{}/made:2", registry.host())]);
    assert!(registry.log()[before..].iter().all(|seen| seen.method != "POST"), "{:?}", registry.lines());
    let _said =
        skopeo(&env, &["copy", "-q", "--src-tls-verify=false", &format!("docker://{to}"), "dir:back"])
            .success();
    let _said = env.ok(["copy", "-q", "dir:back", "store:localhost/back:1"]);
    assert_eq!(env.ok(["run", "--rm", "localhost/back:1", "wc", "-c", "/zeros"]), "300000 /zeros");
    // Digests are kept where that is asked for.
    let kept = format!("docker://{}/kept:1", registry.host());
    let _said = env.ok(["copy", "-q", "--preserve-digests", DEST_PLAIN, "store:localhost/made:1", &kept]);
    let layers = registry.image("kept", "1").manifest["layers"].clone();
    assert!(layers[0]["mediaType"].as_str().is_some_and(|kind| kind.ends_with(".tar")), "{layers}");
}

/// A format that is named is that of all layers, unless the registry has them in another one and that will do.
#[test]
fn layers_are_packed_as_flags_say() {
    needs!(Userns);
    let (env, registry) = (loaded(), Registry::start());
    let layers = |tag: &str| {
        let picture = registry.image("a/b", tag);
        let layers = picture.manifest["layers"].as_array().expect("layers").clone();
        layers.iter().map(|layer| layer["mediaType"].as_str().expect("a type").to_owned()).collect::<Vec<_>>()
    };
    let all = |tag: &str, end: &str| layers(tag).iter().all(|kind| kind.ends_with(end));
    let _said = push(&env, &registry.host(), &[PLAIN, "-q"]).success();
    assert!(all("1", "+gzip"));
    let zstd = ["--compression-format=zstd", "--compression-level=3"];
    let _said =
        push(&env, &registry.host(), &[&[PLAIN, "-q", "--force-compression=false"], &zstd[..]].concat())
            .success();
    assert!(all("1", "+gzip"));
    let _said = push(&env, &registry.host(), &[&[PLAIN, "-q"], &zstd[..]].concat()).success();
    assert!(all("1", "+zstd"));
    let before = registry.log().len();
    let _said =
        push(&env, &registry.host(), &[&[PLAIN, "-q", "--force-compression"], &zstd[..]].concat()).success();
    assert!(registry.log()[before..].iter().all(|seen| seen.method != "POST"), "{:?}", registry.lines());
    let _said = push(&env, &registry.host(), &[PLAIN, "-q", "--format=docker"]).success();
    assert_eq!(registry.image("a/b", "1").kind, "application/vnd.docker.distribution.manifest.v2+json");
    let _said = env.ok(["push", "-q", "--compress", NAME, "dir:d"]);
    assert!(std::fs::read_to_string(env.path("d/manifest.json")).expect("a manifest").contains("+gzip"));
}

#[test]
fn trouble_in_the_middle_is_got_over_or_told() {
    let (env, registry) = (world(), Registry::start());
    registry.fault(On::method("PUT", "/v2/a/b/blobs/").nth(1), Fault::CutRequest(20));
    registry.fault(On::method("POST", "/v2/a/b/blobs/").nth(2), Fault::too_many("0"));
    let _said = copy(&env, &registry.host(), &[DEST_PLAIN, "-q", "--retry-delay=1ms"]).success();
    assert_eq!(registry.image("a/b", "1").digest, image().oci_digest());
    let sick = Registry::start();
    sick.fault(On::method("PUT", "/v2/a/b/blobs/"), Fault::status(503));
    let said =
        copy(&env, &sick.host(), &[DEST_PLAIN, "-q", "--retry-times=1", "--retry-delay=1ms"]).fails(125);
    assert!(
        said.contains("writing blob sha256:") && said.contains(&format!("{}/a/b", sick.host())),
        "{said}"
    );
    assert!(sick.manifest("a/b", "1").is_none());
    let unknown = br#"{"errors":[{"code":"NAME_UNKNOWN","message":"no such project"}]}"#.to_vec();
    sick.heal();
    sick.fault(On::method("POST", "/v2/a/b/blobs/"), Fault::Answer(404, Vec::new(), unknown));
    let said = copy(&env, &sick.host(), &[DEST_PLAIN, "-q"]).fails(125);
    assert!(
        said.contains("name unknown: no such project") && said.contains(&format!("{}/a/b", sick.host())),
        "{said}"
    );
}

/// The real registry in its four set-ups, and what skopeo reads there; then the reverse.
#[test]
fn the_real_registry_is_written_to_in_all_its_set_ups() {
    needs!(Userns, Skopeo, Registry, Openssl);
    let env = loaded();
    for set_up in Real::set_ups(&env.path("certs")) {
        let (host, with) = (set_up.registry.host(), |side: &str| set_up.flags(side));
        let _said = env.ctr(["push", "-q", NAME, &format!("{host}/a/b:1")]).args(with("")).run().success();
        let across = ["copy", "-q", &format!("docker://{host}/a/b:1"), &format!("docker://{host}/c/d:1")];
        let _said = env.ctr(across).args(with("src-")).args(with("dest-")).run().success();
        for repository in ["a/b", "c/d"] {
            let there = format!("docker://{host}/{repository}:1");
            let theirs = env.program("/usr/bin/skopeo", ["inspect", "--format", "{{.Digest}}", &there]);
            assert_eq!(theirs.args(with("")).run().success(), image().oci_digest(), "{repository}");
            let back =
                env.program("/usr/bin/skopeo", ["--insecure-policy", "copy", "-q", &there, "dir:back"]);
            let _said = back.args(with("src-")).run().success();
        }
    }
}

/// Every format, both ways, in an index.
#[test]
fn skopeo_reads_what_we_write_and_the_reverse() {
    needs!(Skopeo, Registry);
    let env = Env::new();
    let other = Image { architecture: "s390x".into(), ..image() };
    write_files(&env.path("layout"), oci_index(&[image(), other]));
    let registry = Real::plain();
    let formats: [(&str, &[&str]); 4] = [
        ("same", &[]),
        ("docker", &["--format=v2s2"]),
        ("oci", &["--format=oci", "--dest-compress-format=gzip"]),
        ("zstd", &["--dest-compress-format=zstd"]),
    ];
    for (name, flags) in formats {
        let ours = format!("docker://{}/ours/{name}:1", registry.host());
        let copied = env.ctr(["copy", "-q", "--all", DEST_PLAIN, &format!("oci:layout:{NAME}"), &ours]);
        let _said = copied.args(flags).run().success();
        let folder = format!("dir:{name}");
        let _said =
            skopeo(&env, &["copy", "-q", "--all", "--src-tls-verify=false", &ours, &folder]).success();
        let theirs = format!("docker://{}/theirs/{name}:1", registry.host());
        let _said = skopeo(&env, &["copy", "-q", "--all", DEST_PLAIN, &folder, &theirs]).success();
        // What they made of it is what we made, so that copying it over ours is nothing to do.
        let across = ["copy", "--all", "--src-tls-verify=false", DEST_PLAIN, &theirs, &ours];
        let said = env.ctr(across).run();
        assert!(said.code() == 0 && said.stderr.contains("Nothing to do"), "{said}");
        let back = format!("oci:back:{name}");
        let _said = env.ok(["copy", "-q", "--all", "--src-tls-verify=false", &theirs, &back]);
    }
}

/// A signature or an attestation is an image of one layer that is no archive: its bytes are what counts.
#[test]
fn what_is_no_archive_of_files_is_copied_as_it_is() {
    let (env, old, new) = (Env::new(), Registry::start(), Registry::start());
    let said = br#"{"predicateType":"x"}"#;
    let layer = old.put_blob("a", &said[..]);
    let config = serde_json::json!({
        "architecture": "unknown", "os": "unknown", "config": {}, "rootfs": { "type": "layers", "diff_ids": [layer] },
    });
    let config = config.to_string().into_bytes();
    let size = config.len();
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": old.put_blob("a", config), "size": size },
        "layers": [{ "mediaType": "application/vnd.in-toto+json", "digest": layer, "size": said.len() }],
    });
    let digest = old.put_document("a", Some("1"), &manifest);
    let (from, to) = (format!("docker://{}/a:1", old.host()), format!("docker://{}/a:1", new.host()));
    let all = ["--src-tls-verify=false", DEST_PLAIN, "-q"];
    let _said = env.ctr(["copy", &from, &to]).args(all).run().success();
    assert_eq!(new.image("a", "1").digest, digest);
    let refused = env.ctr(["copy", "-f", "v2s2", &from, &to]).args(all).run().fails(125);
    assert!(refused.contains("layers of a type that only their own manifest can name"), "{refused}");
}

/// A plan says of layers that are packed otherwise what will become of them, and refuses what would be refused.
#[test]
fn a_plan_knows_of_packing() {
    let env = world();
    let plan = |flags: &[&str]| env.ctr(["copy", "--dry-run", "oci:layout", "oci:new:1"]).args(flags).run();
    assert_eq!(plan(&[]).success().matches("write ").count(), 3);
    let forced = plan(&["--dest-compress-format=zstd", "--dest-force-compress-format"]).success();
    assert_eq!(forced.matches("compress ").count(), 2, "{forced}");
    let refused =
        plan(&["--dest-compress-format=zstd", "--dest-force-compress-format", "--preserve-digests"]);
    assert!(refused.fails(125).contains("--preserve-digests"));
    assert!(!env.path("new").join("index.json").exists());
}

/// What was pulled for another platform is pushed as it is.
#[test]
fn an_image_for_another_platform_is_pushed_where_it_is_all_there_is() {
    needs!(Userns);
    let (env, registry) = (Env::new(), Registry::start());
    let mut other = image();
    other.architecture = "s390x".into();
    registry.put_index(ctr_tests::registry::Family::Oci, "old", "1", &[image(), other.clone()]);
    let name = format!("{}/old:1", registry.host());
    let _id = env.ok(["pull", "-q", PLAIN, "--platform=linux/s390x", &name]);
    let new = |tag: &str| format!("{}/new:{tag}", registry.host());
    let _said = env.ok(["push", "-q", PLAIN, &name, &new("1")]);
    assert_eq!(registry.image("new", "1").digest, other.oci_digest());
    // Ours is what is meant once it is here too.
    let _id = env.ok(["pull", "-q", PLAIN, &name]);
    let _said = env.ok(["push", "-q", PLAIN, &name, &new("2")]);
    assert_eq!(registry.image("new", "2").digest, image().oci_digest());
}
