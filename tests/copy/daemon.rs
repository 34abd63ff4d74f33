//! `copy` from and to a daemon of Docker's, which is a stand-in here.

use ctr_tests::daemon::Daemon;
use ctr_tests::image::{Compression, Image, Layer};
use ctr_tests::{Env, needs};

const NAME: &str = "localhost/docked:1";
const THERE: &str = "docker-daemon:localhost/docked:1";

fn image() -> Image {
    Image::new(NAME, [Layer::new().file("f", 0o644, "content\n"), Layer::new().dir("d", 0o755)])
}

fn world() -> (Env, Daemon) {
    let env = Env::new();
    let daemon = Daemon::at(&env.path("docker.sock"));
    (env, daemon)
}

#[test]
fn an_image_comes_from_a_daemon() {
    needs!(Userns);
    let (env, daemon) = world();
    daemon.has(NAME, image().docker_archive());
    let host = daemon.host();
    let _said = env.ok(["copy", "-q", "--src-daemon-host", &host, THERE, "store:localhost/mine:1"]);
    assert_eq!(env.ok(["image", "inspect", "--format", "{{.Id}}", "localhost/mine:1"]), image().id());
    let said = env.ctr(["copy", "-q", THERE, "oci:out:x"]).var("DOCKER_HOST", &host).run();
    assert_eq!(said.code(), 0, "{said}");
    assert!(env.path("out/index.json").exists());
    assert!(daemon.asked()[0].starts_with("GET /images/get?names=localhost"), "{:?}", daemon.asked());
}

#[test]
fn an_image_goes_to_a_daemon() {
    needs!(Userns);
    let (env, daemon) = world();
    image().compressed(Compression::Gzip).write_oci(&env.path("in"));
    let from = format!("oci:in:{NAME}");
    let _said = env.ok(["copy", "-q", "--dest-daemon-host", &daemon.host(), &from, THERE]);
    let loaded = daemon.loaded();
    assert_eq!(loaded.len(), 1);
    let file = env.file("loaded.tar", &loaded[0]);
    let said = env.ctr(["load", "-i"]).args([&file]).run().success();
    assert!(said.contains(NAME), "{said}");
    assert_eq!(env.ok(["image", "inspect", "--format", "{{.Id}}", NAME]), image().id());
}

#[test]
fn what_a_daemon_says_is_told() {
    needs!(Userns);
    let (env, daemon) = world();
    let host = daemon.host();
    let said = env.ctr(["copy", "-q", "--src-daemon-host", &host, THERE, "dir:out"]).run().fails(125);
    assert!(said.contains("404: No such image: localhost/docked:1") && said.contains(&host), "{said}");
    let archive = env.file("in.tar", image().docker_archive());
    let from = format!("docker-archive:{}", archive.display());
    daemon.refuses("no space left on device");
    let said = env.ctr(["copy", "-q", "--dest-daemon-host", &host, &from, THERE]).run().fails(125);
    assert!(said.contains("did not take the image: no space left on device"), "{said}");
    let said = env.ctr(["copy", "-q", "--src-daemon-host", "tcp://x:1", THERE, "dir:out"]).run().fails(125);
    assert!(said.contains("\"tcp://x:1\" is not supported: only unix:///PATH is"), "{said}");
    let nobody = format!("unix://{}", env.path("nobody.sock").display());
    let said = env.ctr(["copy", "-q", "--src-daemon-host", &nobody, THERE, "dir:out"]).run().fails(125);
    assert!(said.contains("cannot talk to the docker daemon at") && said.contains(&nobody), "{said}");
}

/// A copy that fails in the middle gives the daemon nothing: an archive counts when it has ended.
#[test]
fn half_an_image_never_arrives() {
    needs!(Userns);
    let (env, daemon) = world();
    image().compressed(Compression::Gzip).write_oci(&env.path("in"));
    let blobs = std::fs::read_dir(env.path("in/blobs/sha256")).expect("blobs");
    for blob in blobs.map(|blob| blob.expect("a blob").path()) {
        let mut bytes = std::fs::read(&blob).expect("its bytes");
        if bytes.starts_with(&[0x1f, 0x8b]) {
            bytes.truncate(bytes.len() - 9);
            std::fs::write(&blob, bytes).expect("a layer");
        }
    }
    let from = format!("oci:in:{NAME}");
    let _said = env.ctr(["copy", "-q", "--dest-daemon-host", &daemon.host(), &from, THERE]).run().fails(125);
    assert!(daemon.loaded().is_empty());
}
