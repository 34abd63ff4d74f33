//! `load`, `save` and `import`.

use ctr_tests::image::{Compression, Image, Layer, docker_archive, gzip, oci_index};
use ctr_tests::{BUSYBOX, Env, needs};

/// A small image without a program.
fn small(name: &str) -> Image {
    Image::new(
        name,
        [
            Layer::new().dir("etc/", 0o755).file("etc/f", 0o640, "content\n"),
            Layer::new().file("g", 0o644, "g"),
        ],
    )
}

fn id(env: &Env, name: &str) -> String {
    env.ok(["image", "inspect", "--format", "{{.Id}}", name])
}

#[test]
fn every_format_and_compression_loads() {
    needs!(Userns);
    let image = small("localhost/small:1");
    let docker = image.docker_archive();
    let forms = [
        ("docker", docker.clone()),
        ("docker in gzip", gzip(&docker)),
        ("docker in zstd", zstd(&docker)),
        ("docker in xz", xz(&docker)),
        ("oci", image.oci_archive()),
        ("oci with gzip", image.clone().compressed(Compression::Gzip).oci_archive()),
        ("oci with zstd", image.clone().compressed(Compression::Zstd).oci_archive()),
        ("docker with gzip", image.clone().compressed(Compression::Gzip).docker_archive()),
    ];
    for (form, bytes) in forms {
        let env = Env::new();
        let file = env.file("archive", &bytes);
        let said = env.ctr(["load", "--input"]).args([&file]).run().success();
        assert!(said.contains("Loaded image: localhost/small:1"), "{form}: {said}");
        assert_eq!(id(&env, "localhost/small:1"), image.id(), "{form} from a file");
        let env = Env::new();
        let _said = env.ctr(["load", "-q"]).stdin(bytes).run().success();
        assert_eq!(id(&env, "localhost/small:1"), image.id(), "{form} from stdin");
    }
}

fn filter(program: &str, bytes: &[u8]) -> Vec<u8> {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("f");
    std::fs::write(&path, bytes).expect("a file");
    let output =
        std::process::Command::new(program).arg("-c").arg(&path).output().expect("a program that starts");
    assert!(output.status.success(), "{program}");
    output.stdout
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    filter("xz", bytes)
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    filter("zstd", bytes)
}

#[test]
fn a_folder_in_oci_layout_loads() {
    needs!(Userns);
    let env = Env::new();
    let image = small("localhost/small:1");
    image.write_oci(&env.path("layout"));
    let _said = env.ctr(["load", "-q", "-i", "layout"]).run().success();
    assert_eq!(id(&env, "localhost/small:1"), image.id());
}

#[test]
fn several_images_load_and_save_together() {
    needs!(Userns);
    let env = Env::new();
    let (one, two) =
        (small("localhost/one:1"), Image::new("localhost/two:2", [Layer::new().file("x", 0o600, "x")]));
    let file = env.file("both.tar", docker_archive(&[one.clone(), two.clone()]));
    let _said = env.ctr(["load", "-q", "-i"]).args([&file]).run().success();
    let _said = env.ok(["save", "-q", "-m", "-o", "again.tar", "localhost/one:1", "localhost/two:2"]);
    let other = Env::new();
    let _said = other.ctr(["load", "-q", "-i"]).args([env.path("again.tar")]).run().success();
    assert_eq!((id(&other, "localhost/one:1"), id(&other, "localhost/two:2")), (one.id(), two.id()));
}

/// Digest in, digest out.
#[test]
fn save_keeps_digests() {
    needs!(Userns);
    for compression in [Compression::Plain, Compression::Gzip, Compression::Zstd] {
        let image = small("localhost/small:1").compressed(compression);
        let env = Env::new();
        let file = env.file("in.tar", image.oci_archive());
        let _said = env.ctr(["load", "-q", "-i"]).args([&file]).run().success();
        let _said =
            env.ok(["save", "-q", "--format", "oci-archive", "--output", "out.tar", "localhost/small:1"]);
        let _said = env.ok(["save", "-q", "--format", "oci-dir", "-o", "out", "localhost/small:1"]);
        let index = std::fs::read_to_string(env.path("out/index.json")).expect("an index");
        assert!(index.contains(&image.oci_digest()), "{compression:?}: {index}");
        let other = Env::new();
        let _said = other.ctr(["load", "-q", "-i"]).args([env.path("out.tar")]).run().success();
        let digest = other.ok(["image", "inspect", "--format", "{{.Digest}}", "localhost/small:1"]);
        assert_eq!(digest, image.oci_digest(), "{compression:?}");
    }
}

#[test]
fn save_writes_to_stdout_and_what_it_wrote_loads() {
    needs!(Userns);
    let env = Env::new();
    env.load(&small("localhost/small:1"));
    for format in ["docker-archive", "oci-archive"] {
        let mut save = env.ctr(["save", "-q", "--format", format, "localhost/small:1"]);
        let out = std::fs::File::create(env.path("out.tar")).expect("a file");
        let status = save.command().stdout(out).status().expect("a program that starts");
        drop(save);
        assert!(status.success(), "{format}");
        let other = Env::new();
        let _said = other.ctr(["load", "-q", "-i"]).args([env.path("out.tar")]).run().success();
        assert_eq!(id(&other, "localhost/small:1"), small("").id(), "{format}");
    }
    let _said = env.ok([
        "save",
        "-q",
        "--uncompressed",
        "-o",
        "plain.tar",
        "--format",
        "docker-archive",
        "localhost/small:1",
    ]);
    let bytes = std::fs::read(env.path("plain.tar")).expect("the archive");
    assert!(bytes.windows(8).any(|window| window == b"content\n"), "a layer is not plain");
}

#[test]
fn docker_s_folder_format_is_written() {
    needs!(Userns);
    let env = Env::new();
    env.load(&small("localhost/small:1"));
    let _said = env.ok(["save", "-q", "--format", "docker-dir", "-o", "out", "localhost/small:1"]);
    let manifest = std::fs::read_to_string(env.path("out/manifest.json")).expect("a manifest");
    assert!(manifest.contains(&small("").id()), "{manifest}");
}

#[test]
fn plain_layers_are_compressed_into_a_folder_on_request() {
    needs!(Userns);
    let env = Env::new();
    env.load(&small("localhost/small:1"));
    let save = |args: &[&str]| env.ctr(["save", "-q", "--format", "docker-dir"]).args(args).run().success();
    let _said = save(&["-o", "plain", "localhost/small:1"]);
    let _said = save(&["--compress", "-o", "packed", "localhost/small:1"]);
    let manifest =
        |folder: &str| std::fs::read_to_string(env.path(folder).join("manifest.json")).expect("it");
    assert!(manifest("plain").contains("rootfs.diff.tar\"") && !manifest("plain").contains("gzip"));
    let packed: serde_json::Value = serde_json::from_str(&manifest("packed")).expect("JSON");
    for layer in packed["layers"].as_array().expect("layers") {
        assert_eq!(layer["mediaType"], "application/vnd.docker.image.rootfs.diff.tar.gzip");
        let digest =
            layer["digest"].as_str().and_then(|text| text.strip_prefix("sha256:")).expect("a digest");
        let blob = std::fs::read(env.path("packed").join(digest)).expect("the layer");
        assert!(blob.starts_with(&[0x1f, 0x8b]) && layer["size"] == blob.len(), "{layer}");
    }
    // The same image comes back from it, and what is compressed already stays as it is.
    let other = Env::new();
    let from = format!("dir:{}", env.path("packed").display());
    let _said = other.ok(["copy", "-q", &from, "store:localhost/small:1"]);
    assert_eq!(id(&other, "localhost/small:1"), small("").id());
    let _said = other.ok([
        "save",
        "-q",
        "--format=docker-dir",
        "--compress",
        "-o",
        env.path("again").to_str().expect("UTF-8"),
        "localhost/small:1",
    ]);
    assert_eq!(manifest("again"), manifest("packed"));

    for (args, text) in [
        (&["--compress", "-o", "x"][..], "--compress can only be set when --format is 'docker-dir'"),
        (
            &["--format", "nope", "-o", "x"],
            "format value must be one of oci-dir oci-archive docker-dir docker-archive",
        ),
    ] {
        let said = env.ctr(["save"]).args(args).args(["localhost/small:1"]).run().fails(125);
        assert_eq!(said, format!("Error: {text}\n"));
    }
}

/// skopeo's opinion of what we write.
#[test]
fn skopeo_reads_what_we_save() {
    needs!(Userns, Skopeo);
    let env = Env::new();
    env.load(&small("localhost/small:1"));
    for (format, transport) in
        [("docker-archive", "docker-archive"), ("oci-archive", "oci-archive"), ("oci-dir", "oci")]
    {
        let _said = env.ok(["save", "-q", "--format", format, "-o", format, "localhost/small:1"]);
        let from = format!("{transport}:{}", env.path(format).display());
        let said = env.program("/usr/bin/skopeo", ["inspect", "--config", "--raw", &from]).run().success();
        assert_eq!(
            ctr_tests::image::digest(said.as_bytes()),
            format!("sha256:{}", small("").id()),
            "{format}"
        );
        let said = env
            .program("/usr/bin/skopeo", ["--insecure-policy", "copy", "-q", &from])
            .args([format!("dir:{}", env.path("copied").display())])
            .run();
        let _copied = said.success();
    }
}

#[test]
fn an_index_keeps_all_its_platforms() {
    needs!(Userns);
    let env = Env::new();
    let ours = small("localhost/many:1");
    let mut other = small("localhost/many:1");
    other.architecture = "s390x".into();
    let files = oci_index(&[ours.clone(), other]);
    ctr_tests::image::write_files(&env.path("layout"), files);
    let _said = env.ok(["copy", "-q", "--all", "oci:layout:localhost/many:1", "store:localhost/many:1"]);
    assert_eq!(id(&env, "localhost/many:1"), ours.id());
    let _said = env.ok(["copy", "-q", "--all", "store:localhost/many:1", "oci:back:localhost/many:1"]);
    let (before, after) = (env.path("layout/index.json"), env.path("back/index.json"));
    let digest = |path| {
        let index: serde_json::Value =
            serde_json::from_slice(&std::fs::read(path).expect("an index")).expect("JSON");
        index["manifests"][0]["digest"].clone()
    };
    assert_eq!(digest(before), digest(after));
}

#[test]
fn import_makes_an_image_of_a_tar() {
    needs!(Userns);
    let env = Env::new();
    let tar = env.file("root.tar", ctr_tests::image::busybox().tar());
    let change = [
        "-c",
        "CMD [\"echo\",\"imported\"]",
        "--change",
        "ENV A=1",
        "-c",
        "WORKDIR /home",
        "-m",
        "a message",
    ];
    let _id = env.ctr(["import", "-q"]).args(change).args([&tar]).args([BUSYBOX]).run().success();
    assert_eq!(
        env.ok(["image", "inspect", "--format", "{{.Config.WorkingDir}} {{.Config.Env}}", BUSYBOX]),
        "/home [A=1]"
    );
    assert_eq!(env.ok(["run", "--rm", BUSYBOX, "/bin/sh", "-c", "pwd"]), "/home");
    let other = ["import", "-q", "--arch", "s390x", "--os", "linux", "--variant", "v1"];
    let _other = env.ctr(other).args([&tar]).args(["localhost/s:1"]).run().success();
    assert_eq!(
        env.ok(["image", "inspect", "-f", "{{.Os}}/{{.Architecture}}", "localhost/s:1"]),
        "linux/s390x"
    );
    let id = env
        .ctr(["import", "--quiet", "--message", "m", "-"])
        .stdin(ctr_tests::image::busybox().tar())
        .run()
        .success();
    assert!(id.contains("sha256:") || id.len() == 64, "{id}");
}

/// An archive that ends early, is empty, or is something else: one clear line, and nothing is left.
#[test]
fn a_broken_archive_leaves_nothing() {
    needs!(Userns);
    let whole = small("localhost/small:1").docker_archive();
    let oci = small("localhost/small:1").compressed(Compression::Gzip).oci_archive();
    let cut = |bytes: &[u8], at: usize| bytes[..at].to_vec();
    let broken = [
        ("empty", vec![]),
        ("text", b"this is no archive\n".repeat(100)),
        ("half", cut(&whole, whole.len() / 2)),
        ("cut in a header", cut(&whole, 700)),
        ("half of an oci archive", cut(&oci, oci.len() / 2)),
        ("half of gzip", {
            let packed = gzip(&whole);
            cut(&packed, packed.len() / 2)
        }),
    ];
    for (what, bytes) in broken {
        let env = Env::new();
        let output = env.ctr(["load", "-q"]).stdin(bytes).run();
        assert_eq!(output.code(), 125, "{what}: {output}");
        assert!(output.stderr.starts_with("Error: "), "{what}: {output}");
        assert_eq!(env.ok(["images", "-aq"]), "", "{what}");
    }
}
