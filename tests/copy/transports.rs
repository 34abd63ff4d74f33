//! `copy` between the local transports, also as skopeo.

use ctr_tests::Env;
use ctr_tests::image::{Image, Layer};
use ctr_tests::needs;

const NAME: &str = "localhost/moved:1";

fn image() -> Image {
    Image::new(NAME, [Layer::new().file("f", 0o644, "content\n")])
}

/// Each transport to each: the last one has the image it began with.
#[test]
fn an_image_goes_through_every_transport() {
    needs!(Userns);
    let env = Env::new();
    let archive = env.file("in.tar", image().oci_archive());
    let mut from = format!("oci-archive:{}", archive.display());
    for (step, to) in [
        "dir:d1",
        "oci:o1:localhost/moved:1",
        "store:localhost/moved:1",
        "docker-archive:a1.tar:localhost/moved:1",
        "containers-storage:localhost/again:1",
        "oci-archive:b1.tar:localhost/moved:1",
        "dir:d2",
        "store:localhost/last:1",
    ]
    .into_iter()
    .enumerate()
    {
        let output = env.ctr(["copy", "-q", &from, to]).run();
        assert_eq!(output.code(), 0, "step {step}: {from} to {to}: {output}");
        to.clone_into(&mut from);
    }
    assert_eq!(env.ok(["image", "inspect", "--format", "{{.Id}}", "localhost/last:1"]), image().id());
}

/// The compatibility suite's set-up.
#[test]
fn as_skopeo_into_a_store_named_in_the_reference() {
    needs!(Userns);
    let env = Env::new();
    let archive = env.file("in.tar", image().oci_archive());
    let (root, run) = (env.path("root"), env.path("run"));
    let there = format!("containers-storage:[vfs@{}+{}]{NAME}", root.display(), run.display());
    let said =
        env.named("skopeo", ["copy", "--all", &format!("oci-archive:{}", archive.display()), &there]).run();
    assert_eq!(said.code(), 0, "{said}");
    let images = env
        .ctr(["--storage-driver", "vfs", "--root"])
        .args([&root])
        .args(["--runroot"])
        .args([&run])
        .args(["images", "--format", "{{.Repository}}:{{.Tag}}"]);
    assert_eq!(images.run().success(), NAME);
    assert_eq!(env.ok(["images", "-q"]), "");
}

#[test]
fn a_transport_that_is_not_there_yet_is_named() {
    let env = Env::new();
    for reference in ["ostree:x", "nonsense:x"] {
        let output = env.ctr(["copy", reference, "dir:d"]).run();
        assert_ne!(output.code(), 0, "{output}");
        let transport = reference.split(':').next().unwrap_or(reference);
        assert!(output.stderr.contains(transport), "{output}");
    }
}

#[test]
fn copy_chooses_a_platform_and_writes_the_digest() {
    needs!(Userns);
    let env = Env::new();
    let mut other = image();
    other.architecture = "s390x".into();
    ctr_tests::image::write_files(&env.path("both"), ctr_tests::image::oci_index(&[image(), other.clone()]));
    let from = format!("oci:both:{NAME}");
    let _one = env.ok(["copy", "-q", "--platform", "linux/s390x", "--digestfile", "digest", &from, "dir:d"]);
    let digest = std::fs::read_to_string(env.path("digest")).expect("the file");
    assert_eq!(digest.trim(), other.oci_digest());
    let _all = env.ok([
        "copy",
        "-q",
        "--multi-arch",
        "all",
        "--preserve-digests",
        "--remove-signatures",
        &from,
        "dir:e",
    ]);
    let _system = env.ok([
        "copy",
        "--quiet",
        "--multi-arch=system",
        &from,
        "docker-archive:a.tar",
        "--additional-tag",
        "localhost/more:1",
    ]);
    let _loaded = env.ok(["load", "-q", "-i", "a.tar"]);
    assert_eq!(env.ctr(["image", "exists", "localhost/more:1"]).run().code(), 0);
    let _format = env.ok(["copy", "-q", "-f", "v2s2", &from, "dir:f"]);
    let manifest = std::fs::read_to_string(env.path("f/manifest.json")).expect("a manifest");
    assert!(manifest.contains("vnd.docker.distribution.manifest.v2+json"), "{manifest}");
}

/// Blobs are in one folder, and each layout has its index alone.
#[test]
fn layouts_share_their_blobs() {
    needs!(Userns);
    let env = Env::new();
    let archive = env.file("in.tar", image().oci_archive());
    let from = format!("oci-archive:{}", archive.display());
    for to in ["oci:one:x", "oci:two:x"] {
        let _said = env.ok(["copy", "-q", "--dest-shared-blob-dir", "shared", &from, to]);
        assert!(!env.path(&to[4..7]).join("blobs").exists(), "{to}");
    }
    let shared = env.path("shared/sha256");
    assert_eq!(std::fs::read_dir(&shared).expect("blobs").count(), 3, "a layer, a config, a manifest");
    let said = env.ctr(["copy", "-q", "oci:two:x", "dir:d"]).run();
    assert_ne!(said.code(), 0, "its blobs are elsewhere: {said}");
    let _said = env.ok(["copy", "-q", "--src-shared-blob-dir", "shared", "oci:two:x", "oci:three:x"]);
    assert!(env.path("three/blobs/sha256").join(image().oci_digest().replace("sha256:", "")).exists());
}
