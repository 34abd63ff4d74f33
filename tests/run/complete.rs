//! What a shell is told of paths inside images and containers.

use ctr_tests::image::{Image, Layer};
use ctr_tests::{BUSYBOX, Env, needs};

fn told(env: &Env, words: &[&str]) -> Vec<String> {
    let said = env.ctr(["__completeNoDesc"]).args(words).run().success();
    said.lines().map(str::to_owned).collect()
}

fn with_paths() -> Env {
    let env = Env::new();
    let paths = Layer::new()
        .dir("opt/", 0o755)
        .dir("opt/empty/", 0o755)
        .dir("opt/locked/", 0o700)
        .file("opt/locked/key", 0o600, "")
        .file("opt/one", 0o644, "")
        .file("opt/gone", 0o644, "")
        .file("opt/$(touch me)", 0o644, "")
        .file("opt/line\n/etc/shadow", 0o644, "")
        .symlink("usr-opt", "/../opt")
        .symlink("opt/host", "/proc/self/root");
    env.load(&Image::busybox(BUSYBOX, [paths, Layer::new().file("opt/.wh.gone", 0o644, "")]));
    env
}

#[test]
fn paths_of_an_image_are_completed() {
    needs!(Userns);
    let env = with_paths();
    for verb in [&["run"][..], &["run", "--rm"], &["create"], &["container", "run"], &["container", "create"]]
    {
        let at = |path: &'static str| told(&env, &[verb, &[BUSYBOX, path]].concat());
        assert_eq!(at("/op"), ["/opt/", ":2"], "{verb:?}");
        assert_eq!(at("/opt/"), ["/opt/empty/", "/opt/host", "/opt/locked/", "/opt/one", ":2"]);
        assert_eq!(at("/opt/on"), ["/opt/one", ":0"]);
        assert_eq!(at("/opt/empty"), ["/opt/empty/", ":2"]);
        assert_eq!(at("/opt/locked/"), ["/opt/locked/key", ":0"]);
        assert_eq!(at("/usr-opt/on"), ["/usr-opt/one", ":0"]);
        assert_eq!(at("../../op"), ["../../opt/", ":2"]);
        assert!(at("").contains(&"/opt/".to_owned()));
        // What is not in there may be a file of the host's.
        for none in ["/opt/host/", "/opt/$", "/opt/gone", "/none/x"] {
            assert_eq!(at(none), [":0"], "{none}");
        }
    }
    assert_eq!(told(&env, &["create", "localhost/bu"]).len(), 2);
    assert_eq!(told(&env, &["run", "no-such-image", "/"]), [":0"]);
    // The command's own words come after those.
    let said = env.named("podman", ["__completeNoDesc", "run", BUSYBOX, "/op"]).run();
    assert!(said.stderr.contains("ShellCompDirectiveNoSpace"), "{said}");
}

#[test]
fn cp_completes_containers_and_paths_in_them() {
    needs!(Userns);
    let env = with_paths();
    let script = "rm /opt/one; touch /tmp/one /tmp/two; mkdir /tmp/three; sleep 100 & wait";
    env.ok(["run", "-d", "--name", "web", BUSYBOX, "sh", "-c", script]);
    env.ok(["create", "--name", "new", BUSYBOX]);
    while !env
        .store()
        .join("containers")
        .read_dir()
        .expect("containers")
        .flatten()
        .any(|container| container.path().join("upper/tmp/three").exists())
    {
        std::thread::yield_now();
    }
    for verb in [&["cp"][..], &["container", "cp"]] {
        let at = |words: &[&str]| told(&env, &[verb, words].concat());
        assert_eq!(at(&["we"]), ["web:", ":2"]);
        assert_eq!(at(&[""]).len(), 3);
        assert_eq!(at(&["web:/tmp/"]), ["web:/tmp/one", "web:/tmp/three/", "web:/tmp/two", ":2"]);
        assert_eq!(at(&["/some/file", "web:/tmp/o"]), ["web:/tmp/one", ":0"]);
        assert_eq!(at(&["web:/opt/on"]), [":0"]);
        assert_eq!(at(&["new:/opt/on"]), ["new:/opt/one", ":0"]);
        assert_eq!(at(&["new:../opt/em"]), ["new:../opt/empty/", ":2"]);
        // Files of the host, and nothing.
        assert_eq!(at(&["./f"]), [":0"]);
        assert_eq!(at(&["none:/"]), [":0"]);
    }
    env.ok(["rm", "-f", "-t", "0", "web", "new"]);
}
