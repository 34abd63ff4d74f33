//! Images that are not here when a container is made of them.

use ctr_tests::image::{Compression, Image, Layer};
use ctr_tests::registry::certificates::Authority;
use ctr_tests::registry::tls::Tls;
use ctr_tests::registry::{Auth, Fault, On, Options, Registry, Tap};
use ctr_tests::{BUSYBOX, Env, needs};
use rustix::process::Signal;

const PLAIN: &str = "--tls-verify=false";

fn image(mark: &str) -> Image {
    Image::busybox("a/b:1", []).set("Env", [format!("MARK={mark}")].to_vec()).compressed(Compression::Gzip)
}

fn world() -> (Env, Registry, String) {
    let registry = Registry::start();
    registry.put("a/b", "1", &image("one"));
    let name = format!("{}/a/b:1", registry.host());
    (Env::new(), registry, name)
}

#[test]
fn a_missing_image_is_pulled_with_the_peers_lines() {
    needs!(Userns, Overlay);
    let (env, registry, name) = world();
    let run = |flags: &[&str]| {
        let patience = ["--retry=1", "--retry-delay=1ms"];
        let run = env.ctr(["run", "--rm", "--network", "none", PLAIN]).args(patience).args(flags);
        run.args([name.as_str(), "sh", "-c", "echo $MARK"]).run()
    };
    let output = run(&[]);
    assert!(output.stderr.starts_with(&format!("Trying to pull {name}...\n")), "{output}");
    assert!(output.stderr.ends_with("Writing manifest to image destination\n"), "{output}");
    assert_eq!(output.success(), "one");
    let asked = registry.log().len();
    for policy in ["--pull=missing", "--pull=never"] {
        let output = run(&[policy]);
        assert_eq!((output.stderr.as_str(), output.stdout.trim()), ("", "one"), "{policy}");
    }
    assert_eq!(registry.log().len(), asked);
    registry.put("a/b", "1", &image("two"));
    assert_eq!(run(&["--pull=newer", "--quiet"]).success(), "two");
    registry.put("a/b", "1", &image("three"));
    let output = run(&["--pull", "always"]);
    assert!(output.stderr.starts_with("Trying to pull "), "{output}");
    assert_eq!(output.success(), "three");
    let output = run(&["--pull=sometimes"]).fails(125);
    assert!(output.contains("unsupported pull policy \"sometimes\""), "{output}");
}

#[test]
fn create_pulls_too_and_says_only_the_containers_id() {
    needs!(Userns, Overlay);
    let (env, registry, name) = world();
    let id = env.ok(["create", "-q", PLAIN, "--retry", "1", "--retry-delay", "1ms", &name, "true"]);
    assert_eq!(env.ok(["inspect", "-f", "{{.Id}} {{.ImageName}}", &id]), format!("{id} {name}"));
    registry.fault(On::get("/v2/a/b/manifests/"), Fault::status(503));
    let other = format!("{}/a/b:2", registry.host());
    let output = env.ctr(["create", PLAIN, "--retry=1", "--retry-delay=1ms", &other]).run();
    assert_eq!(output.stdout, "");
    let said = output.fails(125);
    assert!(said.contains(&other) && said.contains("status 503"), "{said}");
    assert_eq!(registry.seen("GET", "/v2/a/b/manifests/2").len(), 2);
}

#[test]
fn never_is_podmans_word() {
    needs!(Userns);
    let (env, registry, name) = world();
    let output = env.named("podman", ["run", "--pull=never", &name, "true"]).run().fails(125);
    assert_eq!(output, format!("Error: {name}: image not known\n"));
    let _said = env.ctr(["run", "--pull=never", &name, "true"]).run().fails(125);
    assert!(registry.log().is_empty());
}

#[test]
fn who_pulls_is_said_by_flags() {
    needs!(Userns, Overlay, Openssl);
    let env = Env::new();
    let authority = Authority::new(&env.path("authority"));
    authority.write_certs(&env.path("certs"), None);
    let auth = Auth::basic().user("ann", "secret");
    let tls = Some(Tls { server: authority.server(), clients: None });
    let registry = Registry::with(Options { auth, tls, ..Options::default() });
    registry.put("a/b", "1", &image("one"));
    let name = format!("{}/a/b:1", registry.host());
    let run = |flags: &[&str]| {
        env.ctr(["run", "--rm", "--network=none", "-q", "--cert-dir", "certs"])
            .args(flags)
            .args([&name, "true"])
            .run()
    };
    let output = run(&[]).fails(125);
    assert!(output.contains(&format!("hint: ctr login {}", registry.host())), "{output}");
    let output = run(&["--creds", "ann:wrong"]).fails(125);
    assert!(output.contains("as ann"), "{output}");
    run(&["--creds", "ann:secret"]).success();
    env.ok(["rmi", &name]);
    let login = ["login", "--cert-dir=certs", "--authfile=logins", "-u", "ann", "-p", "secret"];
    let _said = env.ctr(login).args([registry.host()]).run().success();
    run(&["--authfile", "logins"]).success();
    for login in ["--creds=ann:secret", "--authfile=logins"] {
        env.ok(["rmi", &name]);
        let create = ["create", "-q", "--tls-verify", "--cert-dir=certs", login];
        let _id = env.ctr(create).args([&name, "true"]).run().success();
        env.ok(["rm", "-a"]);
    }
    let missing = "Error: credential file is not accessible: faccessat nosuch: no such file or directory\n";
    for verb in ["run", "create", "pull"] {
        assert_eq!(
            env.named("podman", [verb, "--authfile=nosuch", &name]).run().fails(125),
            missing,
            "{verb}"
        );
    }
}

/// What a short name was said to mean it means each time.
#[test]
fn an_alias_leads_to_the_image_each_time() {
    needs!(Userns, Overlay);
    let (env, registry, name) = world();
    let conf = env.file("registries.conf", format!("[aliases]\nmine = \"{}/a/b\"\n", registry.host()));
    let run = || {
        env.ctr(["run", "--rm", "--network=none", PLAIN, "mine:1", "true"])
            .var("CONTAINERS_REGISTRIES_CONF", &conf)
            .run()
    };
    let output = run();
    assert!(output.stderr.starts_with("Resolved \"mine\" as an alias"), "{output}");
    assert!(output.stderr.contains(&name), "{output}");
    output.success();
    let asked = registry.log().len();
    let output = run();
    assert_eq!((output.stderr.as_str(), output.code()), ("", 0), "{output}");
    assert_eq!(registry.log().len(), asked);
}

/// Who ends `run` ends what it waits for; what had arrived is there for the next one.
#[test]
fn a_pull_ends_with_the_run_that_waits_for_it() {
    needs!(Userns, Overlay);
    let (env, registry, name) = world();
    let tap = Tap::new();
    let layer = format!("/v2/a/b/blobs/{}", layer(&registry));
    registry.fault(On::get(&layer).nth(1), Fault::Pace(tap.clone()));
    tap.let_through(300_000);
    let command = ["run", "--rm", "--network=none", PLAIN, &name, "true"];
    let mut run = env.ctr(command).start();
    let _said = run.wait_for_errors("Copying blob");
    tap.wait_dry();
    run.signal(Signal::TERM);
    let _ended = run.finish();
    // The one that pulled would have the blob locked: the next one would wait for it.
    let output = env.ctr(command).run();
    tap.open();
    assert!(!output.stderr.contains("waiting for"), "{output}");
    output.success();
    assert_eq!(registry.seen("GET", &layer).len(), 2);
}

fn layer(registry: &Registry) -> String {
    let config = image("one").id();
    let mut blobs = registry.blobs("a/b").into_iter();
    blobs.rfind(|digest| !digest.ends_with(&config)).expect("a layer")
}

#[test]
fn an_image_that_is_mounted_is_pulled_unless_nothing_is_to_be() {
    needs!(Userns, Overlay);
    let (env, registry) = (Env::with_busybox(), Registry::start());
    let layer = Layer::new().file("word", 0o644, "mounted\n");
    registry.put("a/files", "1", &Image::new("a/files:1", [layer]).compressed(Compression::Gzip));
    let mount = format!("--mount=type=image,source={}/a/files:1,destination=/i", registry.host());
    let run = |policy: &str| {
        env.ctr(["run", "--rm", "-q", "--network=none", PLAIN, policy, &mount, BUSYBOX, "cat", "/i/word"])
            .run()
    };
    let _said = run("--pull=never").fails(125);
    assert!(registry.log().is_empty(), "{:?}", registry.lines());
    assert_eq!(run("--pull=missing").success(), "mounted");
    assert_eq!(run("--pull=never").success(), "mounted");
}
