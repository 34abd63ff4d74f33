//! What is asked of registries without copying: an image, its tags, what there is; and what is changed there by a word.

use ctr_tests::image::{Compression, Image, Layer};
use ctr_tests::registry::certificates::Authority;
use ctr_tests::registry::real::Real;
use ctr_tests::registry::tls::Tls;
use ctr_tests::registry::{Auth, Family, Fault, On, Options, Registry};
use ctr_tests::{Env, needs};
use serde_json::{Value, json};

const PLAIN: &str = "--tls-verify=false";
const SKOPEO: &str = "/usr/bin/skopeo";

fn image() -> Image {
    let layers = [Layer::new().file("f", 0o644, "content\n"), Layer::new().file("g", 0o644, "more\n")];
    Image::new("a/b:1", layers).set("Labels", json!({ "kind": "<test>" })).compressed(Compression::Gzip)
}

fn world() -> (Env, Registry, String) {
    let registry = Registry::start();
    let digest = registry.put("a/b", "1", &image());
    (Env::new(), registry, digest)
}

fn at(host: &str, rest: &str) -> String {
    format!("docker://{host}/{rest}")
}

/// What skopeo prints, and what we print under its name.
fn both(env: &Env, words: &[&str]) -> [String; 2] {
    let theirs = env.program(SKOPEO, words).run();
    let ours = env.named("skopeo", words).run();
    [theirs, ours].map(|output| {
        assert_eq!(output.code(), 0, "{output}");
        output.stdout
    })
}

/// JSON without what only newer versions of skopeo have.
fn common(text: &str) -> Value {
    let mut json: Value = serde_json::from_str(text).expect("JSON");
    if let Some(object) = json.as_object_mut() {
        object.remove("LayersData");
    }
    json
}

#[test]
fn an_image_is_inspected_as_skopeo_inspects_it() {
    needs!(Skopeo);
    let (env, registry, digest) = world();
    registry.tag("a/b", "latest", &digest);
    let name = at(&registry.host(), "a/b:1");
    for flags in [&[][..], &["--no-tags"], &["-n", "--no-creds"], &["--config"]] {
        let words = [&["inspect", PLAIN][..], flags, &[&name]].concat();
        let [theirs, ours] = both(&env, &words);
        assert_eq!(common(&theirs), common(&ours), "{flags:?}");
    }
    for flags in [
        &["--raw"][..],
        &["--raw", "--config"],
        &[
            "--format",
            "{{.Name}} {{.Digest}} {{.RepoTags}} {{.Layers}} {{.Env}} {{.Labels}} {{.Os}} {{.Architecture}}",
        ],
        &["-f", "{{range .RepoTags}}{{.}} {{end}}"],
        &["--config", "--format", "{{.OS}} {{.Config.Cmd}}"],
    ] {
        let words = [&["inspect", PLAIN][..], flags, &[&name]].concat();
        let [theirs, ours] = both(&env, &words);
        assert_eq!(theirs, ours, "{flags:?}");
    }
    // Under our own name what is at a registry is told apart from what is here.
    let here = env.ok(["inspect", PLAIN, &name]);
    let json: Value = serde_json::from_str(&here).expect("JSON");
    assert_eq!((&json["Digest"], &json["Labels"]["kind"]), (&json!(digest), &json!("<test>")));
    assert_eq!(json["LayersData"].as_array().map(Vec::len), Some(2));
    assert!(
        registry.seen("GET", "/v2/a/b/blobs/").iter().all(|seen| !layers(&registry).contains(&seen.path))
    );
}

/// The paths of the layers' blobs.
fn layers(registry: &Registry) -> Vec<String> {
    let manifest = registry.image("a/b", "1").manifest;
    let of = |layer: &Value| format!("/v2/a/b/blobs/{}", layer["digest"].as_str().expect("a digest"));
    manifest["layers"].as_array().expect("layers").iter().map(of).collect()
}

#[test]
fn other_places_are_inspected_too() {
    needs!(Skopeo);
    let env = Env::new();
    image().write_oci(&env.path("layout"));
    std::fs::write(env.path("a.tar"), image().docker_archive()).expect("a file");
    let _said = env
        .program(SKOPEO, ["--insecure-policy", "copy", "-q", "oci:layout:a/b:1", "dir:plain"])
        .run()
        .success();
    for place in ["oci:layout:a/b:1", "dir:plain"] {
        let [theirs, ours] = both(&env, &["inspect", place]);
        assert_eq!(common(&theirs), common(&ours), "{place}");
        let [theirs, ours] = both(&env, &["inspect", "--raw", place]);
        assert_eq!(theirs, ours, "{place}");
    }
    let [theirs, ours] = both(&env, &["inspect", "--config", "docker-archive:a.tar"]);
    assert_eq!(common(&theirs), common(&ours));
    let output = env.named("skopeo", ["inspect", "oci:layout:absent"]).run();
    assert_eq!(output.code(), 2, "{output}");
}

#[test]
fn of_an_index_the_image_for_this_machine_is_inspected() {
    needs!(Skopeo);
    let registry = Registry::start();
    let env = Env::new();
    let digest = registry.put_index(Family::Oci, "a/b", "1", &[image()]);
    let name = at(&registry.host(), "a/b:1");
    let [theirs, ours] = both(&env, &["inspect", PLAIN, &name]);
    assert_eq!(common(&theirs), common(&ours));
    assert_eq!(common(&ours)["Digest"], digest);
    let [theirs, ours] = both(&env, &["inspect", "--raw", PLAIN, &name]);
    assert_eq!(theirs, ours);
}

#[test]
fn who_asks_is_said_by_flags() {
    let auth = Auth::basic().user("ann", "secret");
    let registry = Registry::with(Options { auth, ..Options::default() });
    let env = Env::new();
    let digest = registry.put("a/b", "1", &image());
    let name = at(&registry.host(), "a/b:1");
    let other = at(&registry.host(), "a/b:2");
    std::fs::write(
        env.path("auth.json"),
        json!({ "auths": { registry.host(): { "auth": ctr_tests::registry::base64(b"ann:secret") } } })
            .to_string(),
    )
    .expect("a file");
    for verb in [&["inspect", "--no-tags"][..], &["delete"], &["tag"]] {
        for who in [
            &["--creds", "ann:secret"][..],
            &["--username", "ann", "--password", "secret"],
            &["--authfile", "auth.json"],
        ] {
            registry.tag("a/b", "1", &digest);
            let _again = registry.put("a/b", "1", &image());
            let more: &[&str] = if verb == ["tag"] { &[&other] } else { &[] };
            let words =
                [verb, who, &["--retry-times", "1", "--retry-delay", "1ms", PLAIN, &name], more].concat();
            let program = if verb == ["tag"] { "ctr" } else { "skopeo" };
            let _said = env.named(program, &words).run().success();
        }
        let more: &[&str] = if verb == ["tag"] { &[&other] } else { &[] };
        let words = [verb, &["--no-creds", PLAIN, &name], more].concat();
        let said = env.ctr(&words).run().fails(125);
        assert!(
            said.contains("without a login")
                && said.contains(&format!("hint: ctr login {}", registry.host())),
            "{said}"
        );
    }
    let _again = registry.put("a/b", "1", &image());
    for who in [["--creds", "ann:secret"], ["--authfile", "auth.json"]] {
        let search = env.ctr(["search", "--list-tags", PLAIN]).args(who);
        let listed = search.args([format!("{}/a/b", registry.host())]).run().success();
        assert!(listed.contains(" 1"), "{listed}");
    }
}

#[test]
fn a_token_is_shown_as_it_is() {
    let (env, registry, _) = world();
    let name = at(&registry.host(), "a/b:1");
    let _said =
        env.named("skopeo", ["inspect", "-n", PLAIN, "--registry-token", "t0", &name]).run().success();
    let _said = env.ok(["tag", PLAIN, "--registry-token", "t1", &name, &at(&registry.host(), "a/b:2")]);
    let _said = env.ok(["delete", PLAIN, "--registry-token", "t2", &name]);
    for (method, token) in [("GET", "t0"), ("PUT", "t1"), ("DELETE", "t2")] {
        let seen = registry.seen(method, "/v2/a/b/manifests/");
        let bearer = format!("Bearer {token}");
        assert!(seen.iter().any(|seen| seen.header("Authorization") == Some(bearer.as_str())), "{seen:?}");
    }
}

#[test]
fn certificates_are_those_of_the_folder_that_is_named() {
    needs!(Openssl);
    let env = Env::new();
    let authority = Authority::new(&env.path("authority"));
    authority.write_certs(&env.path("certs"), None);
    let tls = Some(Tls { server: authority.server(), clients: None });
    let registry = Registry::with(Options { tls, ..Options::default() });
    let _digest = registry.put("a/b", "1", &image());
    let (one, two) = (at(&registry.host(), "a/b:1"), at(&registry.host(), "a/b:2"));
    let _said = env.named("skopeo", ["inspect", "--cert-dir", "certs", &one]).run().success();
    let _said = env.ok(["tag", "--cert-dir", "certs", &one, &two]);
    let found = env.ok(["search", "--cert-dir", "certs", &format!("{}/b", registry.host())]);
    assert!(found.contains("/a/b"), "{found}");
    let _said = env.ok(["delete", "--cert-dir", "certs", &two]);
    let said = env.ctr(["delete", &one]).run().fails(125);
    assert!(said.contains("over TLS") && said.contains("hint: put the certificate"), "{said}");
}

#[test]
fn an_image_is_deleted_by_its_digest() {
    let (env, registry, digest) = world();
    registry.tag("a/b", "same", &digest);
    let name = at(&registry.host(), "a/b:1");
    let _said = env.ok(["delete", PLAIN, "--no-creds", &name]);
    assert!(registry.tags("a/b").is_empty());
    assert!(
        registry.lines().iter().any(|line| line.starts_with(&format!("DELETE /v2/a/b/manifests/{digest}")))
    );
    let output = env.named("skopeo", ["delete", PLAIN, &name]).run();
    assert_eq!(output.code(), 2, "{output}");
    let said = env.ctr(["delete", PLAIN, &name]).run().fails(125);
    assert!(said.contains("manifest unknown"), "{said}");
    registry.change(|options| options.deletion = false);
    let _again = registry.put("a/b", "1", &image());
    let said = env.ctr(["delete", PLAIN, &name]).run().fails(125);
    assert!(said.contains("deleting manifest") && said.contains("unsupported"), "{said}");
    let said = env.ctr(["delete", "dir:plain"]).run().fails(125);
    assert!(said.contains("Deleting images not implemented for dir: images"), "{said}");
}

#[test]
fn an_image_gets_names_where_it_is() {
    let (env, registry, digest) = world();
    let name = |rest: &str| at(&registry.host(), rest);
    let _said = env.ok(["tag", PLAIN, "--no-creds", &name("a/b:1"), &name("a/b:2"), &name("a/b")]);
    assert_eq!(registry.tags("a/b"), ["1", "2", "latest"]);
    assert!(registry.lines().iter().all(|line| !line.contains("/blobs/")), "{:?}", registry.lines());
    let _said = env.ok(["image", "tag", PLAIN, &name("a/b:1"), &name("c/d:3")]);
    assert_eq!(registry.image("c/d", "3").digest, digest);
    assert!(
        registry.seen("GET", "/v2/a/b/blobs/").iter().all(|seen| !layers(&registry).contains(&seen.path))
    );
    let index = registry.put_index(Family::Oci, "a/b", "all", &[image()]);
    let _said = env.ok(["tag", PLAIN, &name("a/b:all"), &name("c/d:all")]);
    assert_eq!(registry.manifest("c/d", "all").map(|found| found.1), Some(index));
    let said = env.ctr(["tag", PLAIN, &name("a/b:1"), "docker://elsewhere.example/a/b:1"]).run().fails(125);
    assert!(said.contains("another registry") && said.contains("hint: ctr copy"), "{said}");
    let said = env.ctr(["tag", PLAIN, &name("a/b:1"), "a/b:4"]).run().fails(125);
    assert!(said.contains("gets names in that registry"), "{said}");
    let said = env.ctr(["tag", PLAIN, &name("a/b:1"), &name(&format!("a/b@{digest}"))]).run().fails(125);
    assert!(said.contains("tag by digest not supported"), "{said}");
}

/// A registry that can be searched.
fn searched() -> (Env, Registry) {
    let registry = Registry::start();
    let one = |name: &str, description: &str, stars: u32, official: bool, automated: bool| {
        json!({ "name": name, "description": description, "star_count": stars, "is_official": official,
                "is_automated": automated })
    };
    registry.answer_searches([
        one(
            "team/alpine",
            "A small one\nwith a description that has much more than forty-four letters",
            7,
            true,
            false,
        ),
        one("other/alpine", "Another", 2, false, true),
    ]);
    (Env::new(), registry)
}

#[test]
fn a_search_is_shown_as_podman_shows_it() {
    let (env, registry) = searched();
    let host = registry.host();
    let term = format!("{host}/alpine");
    let search = |flags: &[&str]| env.ctr(["search", PLAIN]).args(flags).args([&term]).run().success();
    let width = host.len() + "/other/alpine".len() + 2;
    assert_eq!(
        search(&[]),
        format!(
            "{:width$}DESCRIPTION\n{:width$}A small one with a description that has much...\n{:width$}Another",
            "NAME",
            format!("{host}/team/alpine"),
            format!("{host}/other/alpine"),
        )
    );
    assert!(search(&["--no-trunc"]).contains("more than forty-four letters"));
    assert!(
        search(&["--compatible"])
            .lines()
            .next()
            .is_some_and(|line| line.contains("STARS") && line.ends_with("AUTOMATED"))
    );
    assert_eq!(
        search(&["--format", "{{.Index}} {{.Stars}}{{.Official}}"]),
        format!("{host} 7[OK]\n{host} 2")
    );
    assert_eq!(search(&["--format", "table {{.Name}}", "--limit", "1"]), format!("NAME\n{host}/team/alpine"));
    let json: Value = serde_json::from_str(&search(&["--format", "json"])).expect("JSON");
    assert_eq!(
        json[1],
        json!({ "Index": host, "Name": format!("{host}/other/alpine"), "Description": "Another",
        "Stars": 2, "Official": "", "Automated": "[OK]", "Tag": "" })
    );
    for (filters, found) in [
        (&["--filter", "stars=3"][..], "team"),
        (&["-f", "is-official"], "team"),
        (&["-f", "is-official=false"], "other"),
        (&["-f", "is-automated", "-f", "stars=1"], "other"),
    ] {
        let shown = search(&[filters, &["--format", "{{.Name}}"]].concat());
        assert_eq!(shown, format!("{host}/{found}/alpine"), "{filters:?}");
    }
    assert_eq!(search(&["--filter", "stars=100"]), "");
    let said = env.ctr(["search", PLAIN, "--filter", "colour=red", &term]).run().fails(125);
    assert!(said.contains("invalid filter type"), "{said}");
    let conf = env.file("registries.conf", format!("unqualified-search-registries = [\"{host}\"]\n"));
    let short =
        env.ctr(["search", PLAIN, "--format", "{{.Name}}", "alpine"]).var("CONTAINERS_REGISTRIES_CONF", conf);
    assert_eq!(short.run().success(), format!("{host}/team/alpine\n{host}/other/alpine"));
}

#[test]
fn who_cannot_be_searched_is_looked_through() {
    let (env, registry, _) = world();
    let host = registry.host();
    let _other = registry.put("b", "1", &image());
    let _other = registry.put("c", "1", &image());
    registry.change(|options| options.page = Some(1));
    let names = |term: &str, flags: &[&str]| {
        let words = ["search", PLAIN, "--format", "{{.Name}}"];
        env.ctr(words).args(flags).args([format!("{host}/{term}")]).run().success()
    };
    // One of exactly that name comes first.
    assert_eq!(names("b", &[]), format!("{host}/b\n{host}/a/b"));
    assert_eq!(names("", &[]), format!("{host}/a/b\n{host}/b\n{host}/c"));
    assert_eq!(names("", &["--limit", "2"]), format!("{host}/a/b\n{host}/b"));
    assert_eq!(names("nobody", &[]), "");
    registry.fault(On::get("/v2/_catalog"), Fault::status(403));
    let said = env.ctr(["search", PLAIN, &format!("{host}/b")]).run().fails(125);
    assert!(said.contains("listing the repositories of") && said.contains("hint: ctr login"), "{said}");
}

#[test]
fn tags_are_searched_for_too() {
    let (env, registry, digest) = world();
    let host = registry.host();
    registry.tag("a/b", "2", &digest);
    let search = |flags: &[&str]| {
        let words = ["search", "--list-tags", PLAIN];
        env.ctr(words).args(flags).args([format!("{host}/a/b")]).run()
    };
    let width = host.len() + "/a/b".len() + 2;
    assert_eq!(
        search(&[]).success(),
        format!("{:width$}TAG\n{:width$}1\n{:width$}2", "NAME", format!("{host}/a/b"), format!("{host}/a/b"))
    );
    let json: Value = serde_json::from_str(&search(&["--format", "json"]).success()).expect("JSON");
    assert_eq!(json, json!([{ "Name": format!("{host}/a/b"), "Tags": ["1", "2"] }]));
    assert_eq!(search(&["--limit", "1", "--format", "{{.Tag}}"]).success(), "1");
    let said = search(&["--filter", "is-official"]).fails(125);
    assert!(said.contains("filters are not applicable to list tags result"), "{said}");
}

/// Each trouble is one clear error, in bounded time.
#[test]
fn trouble_is_told_with_what_was_asked() {
    let (env, registry, _) = world();
    let name = at(&registry.host(), "a/b:1");
    let inspect = || env.named("ctr", ["inspect", PLAIN, "--retry-times", "0", &name]).run().fails(125);
    let manifests = || On::get("/v2/a/b/manifests/");
    for (fault, wanted) in [
        (Fault::status(401), "without a login"),
        (Fault::status(403), "without a login"),
        (Fault::status(404), "status 404 on purpose"),
        (Fault::too_many("1"), "too many requests"),
        (Fault::status(500), "status 500 on purpose"),
        (Fault::status(503), "status 503 on purpose"),
        (Fault::Truncate(10), "what came is damaged"),
        (Fault::Corrupt(20), "what came is damaged"),
        (Fault::Cut(10), "the connection broke"),
        (Fault::garbage(), "not HTTP"),
        (Fault::endless_headers(), "too many fields"),
        (Fault::Endless(b" ".repeat(4096)), "longer than"),
        (Fault::redirect(307, &format!("http://{}/v2/a/b/manifests/1", registry.host())), "on and on"),
    ] {
        registry.heal();
        registry.fault(manifests(), fault.clone());
        let said = inspect();
        let asked = format!("reading manifest 1 in {}/a/b", registry.host());
        assert!(said.contains(wanted) && said.contains(&asked), "{fault:?}: {said}");
    }
}

#[test]
fn a_million_tags_are_listed() {
    let registry = Registry::with(Options { page: Some(10_000), ..Options::default() });
    registry.make_up_tags("a/b", 1_000_000);
    let env = Env::new();
    // With 200 MB for all that it has to remember.
    let bounded = ["-c", "ulimit -d 204800 && exec ctr list-tags \"$@\"", "sh", PLAIN];
    let output = env.program("/bin/sh", bounded).args([at(&registry.host(), "a/b")]).run();
    assert_eq!(output.code(), 0, "{}", output.stderr);
    assert_eq!(output.stdout.lines().filter(|line| line.contains("\"tag-")).count(), 1_000_000);
}

#[test]
fn the_real_registry_is_looked_at_as_skopeo_does() {
    needs!(Skopeo, Registry);
    let auth = Auth::tokens().user("ann", "secret").may("ann", "", "pull,push,delete");
    for (registry, creds, has_client) in [
        (Real::plain(), None, false),
        (Real::with_passwords(&[("ann", "secret")]), Some("ann:secret"), false),
        (Real::with_certificates(), None, true),
        (Real::with_tokens(auth), Some("ann:secret"), false),
    ] {
        let env = Env::new();
        image().write_oci(&env.path("layout"));
        let certs = if has_client {
            let _client = registry.client(&env.path("certs"));
            env.path("certs")
        } else {
            registry.certs().to_owned()
        };
        let certs = certs.to_str().expect("a path");
        let is_plain = creds.is_none() && !has_client;
        let mut flags = if is_plain { vec![PLAIN] } else { vec!["--cert-dir", certs] };
        flags.extend(creds.iter().flat_map(|creds| ["--creds", *creds]));
        let dest: Vec<String> = flags.iter().map(|flag| flag.replacen("--", "--dest-", 1)).collect();
        let name = at(&registry.host(), "a/b:1");
        let copy = ["--insecure-policy", "copy", "-q"];
        let copy = env.program(SKOPEO, copy).args(&dest).args(["oci:layout:a/b:1", &name]);
        let _said = copy.run().success();
        let [theirs, ours] = both(&env, &[&["inspect"][..], &flags, &[&name]].concat());
        assert_eq!(common(&theirs), common(&ours));
        let _said =
            env.ctr(["tag"]).args(&flags).args([&name, &at(&registry.host(), "a/b:2")]).run().success();
        let _said = env.ctr(["tag"]).args(&flags).args([&name, &at(&registry.host(), "c:1")]).run().success();
        let two = at(&registry.host(), "c:1");
        let [theirs, ours] = both(&env, &[&["inspect"][..], &flags, &[&two]].concat());
        assert_eq!(common(&theirs), common(&ours));
        let _said = env.named("skopeo", ["delete"]).args(&flags).args([&two]).run().success();
        let gone = env.program(SKOPEO, ["inspect"]).args(&flags).args([&two]).run();
        assert_ne!(gone.code(), 0, "{gone}");
    }
}
