//! `pull`: from registries into the store, once, and on from where it stopped.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use ctr_tests::image::{Compression, Image, Layer};
use ctr_tests::registry::certificates::Authority;
use ctr_tests::registry::real::Real;
use ctr_tests::registry::tls::Tls;
use ctr_tests::registry::{Auth, Family, Fault, On, Options, Registry, Seen, Side, Tap};
use ctr_tests::{Env, needs};
use rustix::process::Signal;

const PLAIN: &str = "--tls-verify=false";

/// Bytes that nothing makes smaller.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(&mut next).flatten().take(length).collect()
}

/// An image of layers of these sizes.
fn image(sizes: &[usize]) -> Image {
    let layer =
        |(at, size): (usize, &usize)| Layer::new().file(format!("f{at}"), 0o644, noise(at as u64 + 1, *size));
    Image::new("a/b:1", sizes.iter().enumerate().map(layer)).compressed(Compression::Gzip)
}

fn world(sizes: &[usize]) -> (Env, Registry, String) {
    let registry = Registry::start();
    registry.put("a/b", "1", &image(sizes));
    let name = format!("{}/a/b:1", registry.host());
    (Env::new(), registry, name)
}

/// The requests for blobs that are layers: all but the one for the config.
fn layers(registry: &Registry, image: &Image) -> Vec<Seen> {
    let config = image.id();
    let blobs = registry.seen("GET", "/v2/a/b/blobs/");
    blobs.into_iter().filter(|one| !one.path.ends_with(&config)).collect()
}

/// Where a request's range starts.
fn start(request: &Seen) -> u64 {
    let range = request.header("Range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
    range.map_or(0, |start| start.parse().expect("a number"))
}

/// What of blobs lies in the store that is not whole.
fn partials(env: &Env) -> Vec<u64> {
    let Ok(entries) = std::fs::read_dir(env.store().join("partial")) else { return Vec::new() };
    let sizes = entries.map(|entry| entry.expect("an entry").path().join("data").metadata());
    sizes.filter_map(Result::ok).map(|meta| meta.len()).collect()
}

#[test]
fn an_image_comes_with_the_peers_lines_and_comes_once() {
    needs!(Userns);
    let (env, registry, name) = world(&[1000, 2000]);
    let output = env.ctr(["pull", PLAIN, &name]).run();
    let said = output.stderr.clone();
    let id = output.success();
    assert_eq!(id, image(&[1000, 2000]).id());
    assert!(
        said.starts_with(&format!("Trying to pull {name}...\nGetting image source signatures\n")),
        "{said}"
    );
    assert_eq!(said.matches("Copying blob sha256:").count(), 2, "{said}");
    let end = format!("Copying config sha256:{id}\nWriting manifest to image destination\n");
    assert!(said.ends_with(&end), "{said}");
    let before = registry.log().len();
    let output = env.ctr(["pull", PLAIN, &name]).run();
    assert_eq!(output.stderr.matches("skipped: already exists").count(), 2, "{output}");
    assert!(output.stderr.ends_with(&end), "{output}");
    assert_eq!(output.success(), id);
    let asked: Vec<_> = registry.lines().split_off(before);
    assert!(asked.iter().all(|line| line.starts_with("HEAD /v2/a/b/manifests/1")), "{asked:?}");
    assert_eq!(asked.len(), 1, "{asked:?}");
    // Quiet is quiet, and all of it is there.
    let output = env.ctr(["image", "pull", "-q", "--disable-content-trust", PLAIN, &name]).run();
    assert_eq!(output.stderr, "");
    assert_eq!(output.success(), id);
    assert_eq!(env.ok(["images", "--noheading", "--format", "{{.Repository}}:{{.Tag}}"]), name);
    assert_eq!(partials(&env), Vec::<u64>::new());
    let events =
        env.ok(["events", "--stream=false", "--filter", "event=pull", "--format", "{{.ID}} {{.Name}}"]);
    assert_eq!(events.lines().collect::<Vec<_>>(), vec![format!("{id} {name}"); 3]);
}

#[test]
fn layers_that_are_here_are_not_asked_for() {
    needs!(Userns);
    let (env, registry, name) = world(&[1000]);
    env.ok(["pull", "-q", PLAIN, &name]);
    let more = image(&[1000, 3000]);
    registry.put("a/b", "2", &more);
    let before = layers(&registry, &image(&[1000])).len();
    env.ok(["pull", "-q", PLAIN, &format!("{}/a/b:2", registry.host())]);
    let asked: BTreeSet<_> =
        layers(&registry, &more).split_off(before).into_iter().map(|one| one.path).collect();
    // The new layer and the first image's config, which the filter of this one lets through.
    assert!(asked.len() <= 2, "{asked:?}");
}

#[test]
fn policies_say_when_to_ask() {
    needs!(Userns);
    let (env, registry, name) = world(&[1000]);
    let pull = |policy: &str| env.ctr(["pull", PLAIN, "--policy", policy, &name]).run();
    let wrong = pull("sometimes").fails(125);
    assert!(wrong.contains("unsupported pull policy \"sometimes\""), "{wrong}");
    let never = pull("never").fails(125);
    assert!(never.contains(&format!("{name}: image not known")), "{never}");
    assert!(registry.log().is_empty());
    let first = pull("missing").success();
    let asked = registry.log().len();
    for policy in ["missing", "never", "IfNotPresent"] {
        let output = pull(policy);
        assert_eq!(output.stderr, "", "{policy}");
        assert_eq!(output.success(), first);
    }
    assert_eq!(registry.log().len(), asked);
    let same = pull("newer");
    assert_eq!((same.stderr.as_str(), same.code()), ("", 0), "{same}");
    let other = registry.put("a/b", "1", &image(&[2000]));
    assert_ne!(pull("newer").success(), first);
    assert_eq!(env.ok(["inspect", "-f", "{{.Digest}}", &name]), other);
    // Nobody there: what is here does.
    registry.fault(On::any("/"), Fault::status(404));
    assert_eq!(pull("newer").success(), image(&[2000]).id());
    pull("always").fails(125);
}

#[test]
fn all_tags_and_several_images() {
    needs!(Userns);
    let (env, registry, name) = world(&[1000]);
    registry.put("a/b", "2", &image(&[2000]));
    let repository = format!("{}/a/b", registry.host());
    let ids = env.ok(["pull", "-q", PLAIN, "--all-tags", &repository]);
    assert_eq!(ids.lines().collect::<Vec<_>>(), [image(&[1000]).id(), image(&[2000]).id()]);
    let output = env.ctr(["pull", "-q", PLAIN, &format!("{repository}:nosuch"), &name]).run();
    assert!(output.stdout.contains(&image(&[1000]).id()), "{output}");
    let said = output.fails(125);
    assert!(said.contains("manifest unknown") && said.contains("nosuch"), "{said}");
    let errors =
        env.ok(["events", "--stream=false", "--filter", "event=pull-error", "--format", "{{.Name}}"]);
    assert_eq!(errors, format!("{repository}:nosuch"));
    let output = env.ctr(["pull", "-a", "dir:x"]).run().fails(125);
    assert!(output.contains("pulling all tags is not supported for dir transport"), "{output}");
}

#[test]
fn a_digest_is_a_name_of_its_own() {
    needs!(Userns);
    let (env, registry, name) = world(&[1000]);
    let digest = registry.put("a/b", "1", &image(&[1000]));
    let _id = env.ok(["pull", "-q", PLAIN, &name]);
    let images = || env.ok(["images", "-a"]);
    let before = images();
    let by_digest = format!("{}/a/b@{digest}", registry.host());
    let _id = env.ok(["pull", "-q", PLAIN, &by_digest]);
    assert_eq!(images(), before);
    assert_eq!(env.ok(["rmi", &by_digest]), format!("Untagged: {by_digest}"));
    assert_eq!(images(), before);
    let _id = env.ok(["rmi", &name]);
    // Where a tag is there too, the digest counts.
    let _id = env.ok(["pull", "-q", PLAIN, &format!("{name}@{digest}")]);
    assert_eq!(env.ok(["image", "inspect", "-f", "{{.RepoDigests}}", &by_digest]), format!("[{by_digest}]"));
    let _none = env.ok(["tag", &by_digest, "localhost/other:1"]);
    let _none = env.ok(["untag", &by_digest, &format!("{name}@{digest}")]);
    let names = env.ok(["images", "-a", "--noheading", "--format", "{{.Repository}}:{{.Tag}}"]);
    assert_eq!(names, "localhost/other:1");
    let _id = env.ok(["pull", "-q", PLAIN, &by_digest]);
    let _gone = env.ok(["rmi", "localhost/other:1"]);
    let gone = env.ok(["rmi", &by_digest]);
    assert!(gone.contains("Deleted: "), "{gone}");
}

#[test]
fn a_platform_is_chosen_and_the_index_is_known() {
    needs!(Userns);
    let (env, registry) = (Env::new(), Registry::start());
    let (mut other, mut third) = (image(&[2000]), image(&[3000]));
    other.architecture = "s390x".into();
    third.architecture = "arm64".into();
    let all = [image(&[1000]), other.clone(), third.clone()];
    let digest = registry.put_index(Family::Oci, "a/b", "1", &all);
    let name = format!("{}/a/b:1", registry.host());
    let by_digest = format!("{}/a/b@{digest}", registry.host());
    assert_eq!(env.ok(["pull", "-q", PLAIN, &by_digest]), image(&[1000]).id());
    assert_eq!(env.ok(["image", "inspect", "-f", "{{.Id}}", &by_digest]), image(&[1000]).id());
    for flags in [
        &["--arch", "s390x"][..],
        &["--platform", "linux/s390x"],
        &["--os", "linux", "--arch", "s390x", "--policy", "missing"],
    ] {
        let ids = env.ctr(["pull", "-q", PLAIN]).args(flags).args([&name]).run().success();
        assert_eq!(ids, other.id(), "{flags:?}");
    }
    let patient = ["pull", "-q", PLAIN, "--retry=1", "--retry-delay=1ms"];
    let ids = env.ctr(patient).args(["--arch=arm64", "--variant=v8", &name]).run().success();
    assert_eq!(ids, third.id());
    let output = env.ctr(["pull", PLAIN, "--arch=arm", "--variant=v7", &name]).run().fails(125);
    assert!(output.contains("architecture \"arm\", variant \"v7\""), "{output}");
    let output = env.ctr(["pull", "--arch=arm", "--platform=linux/arm", &name]).run().fails(125);
    assert!(output.contains("--platform option can not be specified with --arch or --os"), "{output}");
    let output = env.ctr(["pull", "--variant=v7", "--platform=linux/arm", &name]).run().fails(125);
    assert!(output.contains("--platform option can not be specified with --variant"), "{output}");
    // All of them are here now.
    assert_eq!(env.ok(["pull", "-q", PLAIN, &name]), image(&[1000]).id());
    assert_eq!(env.ok(["image", "inspect", "-f", "{{.Architecture}}", &name]), "amd64");
    env.ok(["rmi", &name]);
}

#[test]
fn short_names_mean_what_registries_conf_says() {
    needs!(Userns);
    let (env, registry, name) = world(&[1000]);
    let nobody = "127.0.0.1:1";
    let conf = |text: &str| env.file("registries.conf", text);
    let pull = |file: &std::path::Path, words: &[&str]| {
        env.named("podman", ["pull", PLAIN]).args(words).var("CONTAINERS_REGISTRIES_CONF", file).run()
    };
    let alias = conf(&format!("[aliases]\nmine = \"{}/a/b\"\n", registry.host()));
    let output = pull(&alias, &["mine:1"]);
    assert!(output.stderr.starts_with("Resolved \"mine\" as an alias ("), "{output}");
    assert!(output.stderr.contains(&format!("Trying to pull {name}...")), "{output}");
    output.success();
    env.ok(["rmi", &name]);
    let output = pull(&conf(""), &["nosuch"]).fails(125);
    assert!(output.contains("short-name \"nosuch\" did not resolve to an alias and no"), "{output}");
    let search = |mode: &str| {
        let host = registry.host();
        conf(&format!(
            "unqualified-search-registries = [\"{nobody}\", \"{host}\"]\nshort-name-mode = \"{mode}\"\n"
        ))
    };
    let output = pull(&search("enforcing"), &["a/b:1"]).fails(125);
    assert!(output.contains("short-name resolution enforced but cannot prompt without a TTY"), "{output}");
    for mode in ["permissive", "disabled"] {
        let output = pull(&search(mode), &["--retry=0", "a/b:1"]);
        assert!(
            output.stderr.starts_with("Resolving \"a/b\" using unqualified-search registries ("),
            "{output}"
        );
        output.success();
        env.ok(["rmi", &name]);
    }
    let output = pull(&search("disabled"), &["--retry=0", "--retry-delay=1ms", "a/b:nosuch"]).fails(125);
    assert!(output.contains("2 errors occurred while pulling:\n * "), "{output}");
    assert!(output.contains(nobody) && output.contains("manifest unknown"), "{output}");
}

#[test]
fn other_places_are_pulled_from_too() {
    needs!(Userns);
    let env = Env::new();
    let image = image(&[1000]);
    std::fs::write(env.path("a.tar"), image.oci_archive()).expect("a file");
    std::fs::write(env.path("d.tar"), image.docker_archive()).expect("a file");
    image.write_oci(&env.path("o"));
    for place in ["oci-archive:a.tar", "docker-archive:d.tar", "oci:o"] {
        assert_eq!(env.ok(["pull", "-q", place]), image.id(), "{place}");
    }
    for (bad, said) in
        [("dir:nosuch", "nosuch"), ("docker://", "docker://"), ("a/UPPER", "must be lowercase")]
    {
        let output = env.ctr(["pull", "-q", bad]).run().fails(125);
        assert!(output.contains(said), "{output}");
    }
}

#[test]
fn a_policy_is_asked_before_the_registry() {
    needs!(Userns);
    let (env, registry, name) = world(&[1000]);
    let host = registry.host();
    let policy = |requirement: &str| {
        let accept = r#"[{"type": "insecureAcceptAnything"}]"#;
        let text = format!(
            r#"{{"default": {accept}, "transports": {{"docker": {{"{host}/a": [{{"type": {requirement}}}]}}}}}}"#
        );
        env.file("policy.json", text)
    };
    let pull = |file: &std::path::Path| {
        env.ctr(["pull", "-q", PLAIN, "--signature-policy"]).args([file]).args([&name]).run()
    };
    let output = pull(&policy("\"reject\"")).fails(125);
    assert!(output.contains("rejected") && output.contains("policy.json"), "{output}");
    let output = pull(&policy("\"signedBy\", \"keyType\": \"GPGKeys\", \"keyPath\": \"/k\"")).fails(125);
    assert!(output.contains("signedBy"), "{output}");
    assert!(registry.log().is_empty(), "{:?}", registry.lines());
    let file = policy("\"reject\"");
    let from = format!("docker://{name}");
    let copy = |words: &[&str]| {
        env.named("skopeo", words)
            .args(["copy", "--src-tls-verify=false", &from, "dir:d"])
            .var("CONTAINERS_POLICY_JSON", &file)
            .run()
    };
    let output = copy(&[]).fails(1);
    assert!(output.contains("rejected"), "{output}");
    copy(&["--insecure-policy"]).success();
    pull(&policy("\"insecureAcceptAnything\"")).success();
}

#[test]
fn mirrors_are_asked_first_and_all_is_told() {
    needs!(Userns);
    let (env, registry, _) = world(&[1000]);
    let mirror = Registry::start();
    let conf = format!(
        "[[registry]]\nlocation = \"{}\"\ninsecure = true\n[[registry.mirror]]\nlocation = \"{}\"\ninsecure = true\n",
        registry.host(),
        mirror.host()
    );
    let conf = env.file("registries.conf", conf);
    let pull = |tag: &str| {
        let name = format!("{}/a/b:{tag}", registry.host());
        env.ctr(["pull", "-q", &name]).var("CONTAINERS_REGISTRIES_CONF", &conf).run()
    };
    let output = pull("nosuch").fails(125);
    assert!(output.contains(&mirror.host()) && output.contains(&registry.host()), "{output}");
    mirror.put("a/b", "1", &image(&[1000]));
    let before = registry.log().len();
    assert_eq!(pull("1").success(), image(&[1000]).id());
    assert_eq!(registry.log().len(), before, "{:?}", registry.lines());
}

#[test]
fn who_asks_is_said_by_flags() {
    needs!(Userns, Openssl);
    let env = Env::new();
    let authority = Authority::new(&env.path("authority"));
    authority.write_certs(&env.path("certs"), None);
    let auth = Auth::tokens().user("ann", "secret");
    let tls = Some(Tls { server: authority.server(), clients: None });
    let registry = Registry::with(Options { auth, tls, cdn: true, ..Options::default() });
    registry.put("a/b", "1", &image(&[1000]));
    let name = format!("{}/a/b:1", registry.host());
    let output = env.ctr(["pull", "--cert-dir", "certs", &name]).run().fails(125);
    assert!(output.contains(&format!("hint: ctr login {}", registry.host())), "{output}");
    let output = env.ctr(["pull", "--cert-dir", "certs", "--creds", "ann:wrong", &name]).run().fails(125);
    assert!(output.contains("as ann"), "{output}");
    let output = env.ctr(["pull", "--retry=0", "--creds", "ann:secret", &name]).run().fails(125);
    assert!(output.contains("certs.d"), "{output}");
    env.ok(["pull", "-q", "--cert-dir", "certs", "--creds", "ann:secret", &name]);
    env.ok(["rmi", &name]);
    let login = ["login", "--cert-dir", "certs", "--authfile", "auth.json", "-u", "ann", "-p", "secret"];
    env.ctr(login).args([registry.host()]).run().success();
    env.ok(["pull", "-q", "--cert-dir", "certs", "--authfile", "auth.json", &name]);
    let shown = registry.log().into_iter().filter(|one| one.side == Side::Cdn);
    assert!(shown.into_iter().all(|one| one.authorization().is_none()));
}

/// A registry that goes wrong gives one error that says where; the next attempt goes on from what arrived.
#[test]
fn what_breaks_goes_on_the_next_time() {
    needs!(Userns);
    let whole = image(&[3 << 20]);
    for fault in [Fault::Cut(2 << 20), Fault::Truncate(2 << 20)] {
        let (env, registry, name) = world(&[3 << 20]);
        let pull = || env.ctr(["pull", PLAIN, "--retry=0", &name]).run();
        registry.fault(On::get("/v2/a/b/blobs/").first(2), fault.clone());
        let output = pull();
        let said = output.fails(125);
        assert!(said.contains(&registry.host()) && said.contains("a/b"), "{fault:?}: {said}");
        let arrived = partials(&env);
        assert_eq!(arrived.len(), 1, "{fault:?}: {said}");
        assert!(arrived[0] > 1 << 20 && arrived[0] <= 2 << 20, "{fault:?}: {arrived:?}");
        registry.heal();
        let output = pull();
        assert!(output.stderr.contains(" are here"), "{output}");
        output.success();
        let last = layers(&registry, &whole).pop().expect("a request");
        assert_eq!(start(&last), arrived[0], "{fault:?}");
        assert_eq!(partials(&env), Vec::<u64>::new());
    }
}

/// What is here may be wrong, or the registry not give the rest: then it begins anew, by itself.
#[test]
fn what_cannot_be_gone_on_with_begins_anew() {
    needs!(Userns);
    let whole = image(&[3 << 20]);
    let cut = || {
        let (env, registry, name) = world(&[3 << 20]);
        let blob = layer_path(&registry, &whole.id());
        registry.fault(On::get(&blob).first(1), Fault::Cut(2 << 20));
        let _said = env.ctr(["pull", "-q", PLAIN, "--retry=0", &name]).run().fails(125);
        registry.heal();
        (env, registry, name, blob)
    };
    // A byte that is another one, as after a loss of power.
    let (env, registry, name, blob) = cut();
    let folder = std::fs::read_dir(env.store().join("partial")).expect("a folder").next();
    let data = folder.expect("a folder").expect("a folder").path().join("data");
    let mut bytes = std::fs::read(&data).expect("bytes");
    bytes[1 << 20] ^= 1;
    std::fs::write(&data, bytes).expect("bytes");
    let _id = env.ok(["pull", "-q", PLAIN, "--retry=0", &name]);
    let starts: Vec<_> = registry.seen("GET", &blob).iter().map(start).collect();
    assert!(matches!(starts[..], [0, .., 0]), "{starts:?}");
    assert_eq!(partials(&env), Vec::<u64>::new());
    // A registry that has not so much of it.
    let (env, registry, name, blob) = cut();
    registry.fault(On::get(&blob).first(1), Fault::status(416));
    let _id = env.ok(["pull", "-q", PLAIN, "--retry=0", &name]);
    let starts: Vec<_> = registry.seen("GET", &blob).iter().map(start).collect();
    assert!(matches!(starts[..], [0, from, 0] if from > 1 << 20), "{starts:?}");
    // One that gives no parts gives all of it.
    let (env, registry, name, _) = cut();
    registry.change(|options| options.ranges = false);
    let _id = env.ok(["pull", "-q", PLAIN, "--retry=0", &name]);
    assert_eq!(partials(&env), Vec::<u64>::new());
}

#[test]
fn what_a_registry_does_wrong_is_one_error() {
    needs!(Userns);
    let big = Fault::Endless(vec![b'x'; 1 << 16]);
    for (prefix, fault, said) in [
        ("/v2/a/b/blobs/", Fault::Corrupt(100), "promised"),
        ("/v2/a/b/blobs/", Fault::Append(vec![0; 100]), "more than"),
        ("/v2/a/b/blobs/", Fault::status(403), "without a login"),
        ("/v2/a/b/blobs/", Fault::status(404), "status 404"),
        ("/v2/a/b/blobs/", Fault::status(500), "status 500"),
        ("/v2/a/b/manifests/", Fault::status(429), "status 429"),
        ("/v2/a/b/manifests/", big, "longer than"),
        ("/v2/a/b/manifests/", Fault::Corrupt(10), "damaged"),
    ] {
        let (env, registry, name) = world(&[1 << 20]);
        registry.fault(On::get(prefix), fault.clone());
        let output = env.ctr(["pull", "-q", PLAIN, "--retry=1", "--retry-delay=1ms", &name]).run().fails(125);
        assert!(output.contains(said), "{fault:?}: {output}");
        assert!(env.ok(["images", "-q"]).is_empty());
        registry.heal();
        env.ok(["pull", "-q", PLAIN, &name]);
        assert_eq!(partials(&env), Vec::<u64>::new());
    }
}

/// Killed at any place, it goes on at most 1 MiB before what it had read from its socket.
#[test]
fn a_pull_that_is_killed_goes_on_where_it_was() {
    needs!(Userns);
    // More than all attempts can read: one that is not stopped at once reads on to where the tap ends.
    let size = 24 << 20;
    let whole = image(&[size]);
    let (env, registry, name) = world(&[size]);
    let blob = layer_path(&registry, &whole.id());
    let pull = ["pull", "-q", PLAIN, &name];
    let last = |count: usize| {
        let is_there = |log: &[Seen]| log.iter().filter(|one| one.is("GET", &blob)).count() >= count;
        registry.wait(is_there).into_iter().rfind(|one| one.is("GET", &blob)).expect("a request")
    };
    // What was read is at least what the kernel says, which lacks the last piece if that is not acknowledged yet.
    let (mut read, mut sent) = (0, 0);
    for (attempt, chance) in noise(7, 50 * 4).chunks(4).enumerate() {
        let wanted = u64::from(u32::from_le_bytes(chance.try_into().expect("four bytes"))) % (1 << 18);
        let tap = Tap::new();
        tap.let_through(wanted + (1 << 18));
        registry.heal();
        registry.fault(On::get(&blob), Fault::Pace(tap.clone()));
        let killed = env.ctr(pull).start();
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut request = last(attempt + 1);
        while request.sent.saturating_sub(registry.unread(&request)) < wanted {
            assert!(Instant::now() < deadline, "it reads no more");
            std::thread::sleep(Duration::from_millis(1));
            request = last(attempt + 1);
        }
        killed.signal(Signal::STOP);
        wait_stopped(killed.pid());
        let request = last(attempt + 1);
        let from = start(&request);
        assert!(from + (1 << 20) >= read && from <= sent, "attempt {attempt}: {from} after {read} to {sent}");
        sent = from + request.sent;
        read = sent.saturating_sub(registry.unread(&request)).max(from);
        killed.signal(Signal::KILL);
        let _killed = killed.finish();
        tap.open();
    }
    assert!(read > 4 << 20, "it came only to {read}");
    registry.heal();
    assert_eq!(env.ok(pull), whole.id());
    let from = start(&last(51));
    assert!(from + (1 << 20) >= read && from <= sent, "{from} after {read} to {sent}");
}

/// The paths of the layers.
fn layer_paths(registry: &Registry, config: &str) -> Vec<String> {
    let blobs = registry.blobs("a/b").into_iter().filter(|digest| !digest.ends_with(config));
    blobs.map(|layer| format!("/v2/a/b/blobs/{layer}")).collect()
}

/// The path of the one layer.
fn layer_path(registry: &Registry, config: &str) -> String {
    layer_paths(registry, config).pop().expect("a layer")
}

/// A stop takes a moment.
fn wait_stopped(pid: rustix::process::Pid) {
    let deadline = Instant::now() + Duration::from_secs(10);
    let stat = format!("/proc/{}/task", pid.as_raw_nonzero());
    loop {
        let states = std::fs::read_dir(&stat).expect("threads").map(|thread| {
            let text = std::fs::read_to_string(thread.expect("a thread").path().join("stat"));
            text.unwrap_or_default().rsplit(") ").next().and_then(|rest| rest.chars().next())
        });
        if states.into_iter().all(|state| state.is_none_or(|state| state == 'T')) {
            return;
        }
        assert!(Instant::now() < deadline, "it does not stop");
        std::thread::yield_now();
    }
}

#[test]
fn ten_at_once_download_once() {
    needs!(Userns);
    let sizes = [4 << 20, 2 << 20];
    let whole = image(&sizes);
    for is_race in [true, false] {
        let (env, registry, name) = world(&sizes);
        let tap = Tap::new();
        for layer in layer_paths(&registry, &whole.id()) {
            registry.fault(On::get(&layer), Fault::Pace(tap.clone()));
        }
        let mut pulls = vec![env.ctr(["pull", PLAIN, &name]).start()];
        if is_race {
            tap.open();
        } else {
            let both = |log: &[Seen]| log.iter().filter(|one| one.is("GET", "/v2/a/b/blobs/")).count() == 3;
            let _log = registry.wait(both);
        }
        let others = (1..10).map(|_| env.ctr(["pull", PLAIN, &name]).start());
        pulls.extend(others);
        if !is_race {
            for pull in &mut pulls[1..] {
                let _said = pull.wait_for_errors("which fetches blob");
            }
            tap.open();
        }
        for pull in pulls {
            assert_eq!(pull.finish().success(), whole.id());
        }
        let mut asked: Vec<_> = layers(&registry, &whole).into_iter().map(|one| one.path).collect();
        asked.sort();
        let once: BTreeSet<_> = asked.iter().cloned().collect();
        assert_eq!((asked.len(), once.len()), (2, 2), "{asked:?}");
    }
}

/// Who waits takes over when the other one dies.
#[test]
fn who_waits_takes_over() {
    needs!(Userns);
    let whole = image(&[4 << 20]);
    let (env, registry, name) = world(&[4 << 20]);
    let tap = Tap::new();
    let blob = layer_path(&registry, &whole.id());
    registry.fault(On::get(&blob).nth(1), Fault::Pace(tap.clone()));
    tap.let_through(2 << 20);
    let first = env.ctr(["pull", "-q", PLAIN, &name]).start();
    tap.wait_dry();
    let mut second = env.ctr(["pull", PLAIN, &name]).start();
    let said = second.wait_for_errors("which fetches blob");
    assert!(said.contains(&format!("process {}", first.pid().as_raw_nonzero())), "{said}");
    first.signal(Signal::KILL);
    let _killed = first.finish();
    tap.open();
    assert_eq!(second.finish().success(), whole.id());
    let asked = registry.seen("GET", &blob);
    assert_eq!(asked.len(), 2);
    assert!(start(&asked[1]) > 1 << 20, "{}", start(&asked[1]));
}

/// Docker's registry, as Debian has it, in its four set-ups.
#[test]
fn the_real_registry_is_pulled_from() {
    needs!(Userns, Skopeo, Registry, Openssl);
    let env = Env::new();
    let image = image(&[100_000, 200_000]);
    image.write_oci(&env.path("layout"));
    for set_up in Real::set_ups(&env.path("certs")) {
        let name = format!("{}/a/b:1", set_up.registry.host());
        let push = env.program(
            "/usr/bin/skopeo",
            ["--insecure-policy", "copy", "-q", "oci:layout:a/b:1", &format!("docker://{name}")],
        );
        let _said = push.args(set_up.flags("dest-")).run().success();
        assert_eq!(
            env.ctr(["pull", "-q", &name]).args(set_up.flags("")).run().success(),
            image.id(),
            "{name}"
        );
        let _gone = env.ok(["rmi", &name]);
    }
}
