//! `copy` where layers get another packing on their way.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ctr_tests::image::{Compression, Image, Layer};
use ctr_tests::{Env, needs};
use serde_json::Value;

const NAME: &str = "localhost/packed:1";

/// Layers of more than one block each, that pack well and badly.
fn image() -> Image {
    let lines: String = (0..400_000_u32).map(|line| format!("line {line}\n")).collect();
    let mut state = 1_u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    })
    .take(1_500_000)
    .collect();
    Image::new(NAME, [Layer::new().file("lines", 0o644, lines), Layer::new().file("noise", 0o600, noise)])
}

/// A world with the image in a docker archive, as `docker save` writes it.
fn world() -> Env {
    let env = Env::new();
    let _path = env.file("in.tar", image().docker_archive());
    env
}

const FROM: &str = "docker-archive:in.tar";

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).expect("a document")).expect("JSON")
}

fn blob(layout: &Path, digest: &Value) -> PathBuf {
    let digest = digest.as_str().expect("a digest");
    layout.join("blobs/sha256").join(digest.strip_prefix("sha256:").expect("a digest of SHA-256"))
}

/// The manifest of the one image in a layout.
fn manifest(layout: &Path) -> Value {
    json(&blob(layout, &json(&layout.join("index.json"))["manifests"][0]["digest"]))
}

/// How the layers say that they are packed, in short.
fn media_types(manifest: &Value) -> Vec<String> {
    let layers = manifest["layers"].as_array().expect("layers");
    let media_type = |layer: &Value| layer["mediaType"].as_str().expect("a media type").to_owned();
    layers.iter().map(|layer| media_type(layer).replace("application/vnd.", "")).collect()
}

/// Each layer's bytes without their packing have the diff id that the config says.
#[track_caller]
fn unpacks_to_what_it_was(layout: &Path) {
    let manifest = manifest(layout);
    let config = json(&blob(layout, &manifest["config"]["digest"]));
    let diff_ids = config["rootfs"]["diff_ids"].as_array().expect("diff ids");
    let layers = manifest["layers"].as_array().expect("layers");
    assert_eq!(layers.len(), diff_ids.len());
    for (layer, diff_id) in layers.iter().zip(diff_ids) {
        let bytes = std::fs::read(blob(layout, &layer["digest"])).expect("a layer");
        assert_eq!(ctr_tests::image::digest(&bytes), layer["digest"]);
        assert_eq!(Some(bytes.len() as u64), layer["size"].as_u64());
        let plain = match layer["mediaType"].as_str().expect("a media type") {
            text if text.ends_with("+gzip") => {
                let mut plain = Vec::new();
                // One member and no more.
                let mut member = flate2::bufread::GzDecoder::new(&bytes[..]);
                let _length = member.read_to_end(&mut plain).expect("gzip");
                assert!(member.into_inner().is_empty(), "one member");
                plain
            }
            text if text.ends_with("+zstd") => zstd::decode_all(&bytes[..]).expect("zstd"),
            _ => bytes,
        };
        assert_eq!(ctr_tests::image::digest(&plain), *diff_id);
    }
}

#[test]
fn a_layout_gets_its_layers_in_gzip() {
    needs!(Userns);
    let env = world();
    let _said = env.ok(["copy", "-q", FROM, "oci:packed:x"]);
    let packed = env.path("packed");
    assert_eq!(media_types(&manifest(&packed)), ["oci.image.layer.v1.tar+gzip"; 2]);
    unpacks_to_what_it_was(&packed);
    for layer in manifest(&packed)["layers"].as_array().expect("layers") {
        let layer = blob(&packed, &layer["digest"]);
        let bytes = std::fs::read(layer).expect("a layer");
        let _said = env.program("gzip", ["-t"]).stdin(bytes).run().success();
    }
    // What nobody asked to change keeps its bytes, also when it is copied on.
    let _said = env.ok(["copy", "-q", "oci:packed:x", "oci:again:x"]);
    assert_eq!(manifest(&packed), manifest(&env.path("again")));
    let flag = "--dest-oci-accept-uncompressed-layers";
    let _said = env.ok(["copy", "-q", flag, FROM, "oci:plain:x"]);
    assert_eq!(media_types(&manifest(&env.path("plain"))), ["oci.image.layer.v1.tar"; 2]);
    unpacks_to_what_it_was(&env.path("plain"));
}

#[test]
fn one_processor_and_several_make_the_same_bytes() {
    needs!(Userns);
    let env = world();
    let program = ctr_tests::env::programs().join("ctr-copy");
    for format in ["gzip", "zstd"] {
        for (to, processors) in [("one", "0"), ("several", "0-7")] {
            let to = format!("oci:{to}-{format}:x");
            let flag = format!("--dest-compress-format={format}");
            let _said = env
                .program("taskset", ["-c", processors])
                .args([program.as_os_str()])
                .args(["copy", "-q", &flag, FROM, &to])
                .run()
                .success();
        }
        let (one, several) = (env.path(format!("one-{format}")), env.path(format!("several-{format}")));
        assert_eq!(manifest(&one), manifest(&several), "{format}");
        unpacks_to_what_it_was(&one);
    }
}

#[test]
fn a_format_that_is_asked_for_is_what_layers_have() {
    needs!(Userns);
    let env = world();
    let _said = env.ok(["copy", "-q", FROM, "oci:gzip:x"]);
    let flags = ["copy", "-q", "--dest-compress-format", "zstd"];
    let to_zstd = |from: &str, to: &str| env.ok([&flags[..], &[from, to]].concat());
    let _said = to_zstd("oci:gzip:x", "oci:zstd:x");
    assert_eq!(media_types(&manifest(&env.path("zstd"))), ["oci.image.layer.v1.tar+zstd"; 2]);
    unpacks_to_what_it_was(&env.path("zstd"));
    for layer in manifest(&env.path("zstd"))["layers"].as_array().expect("layers") {
        let layer = blob(&env.path("zstd"), &layer["digest"]);
        let _said = env.program("zstd", ["-q", "-t"]).args([layer]).run().success();
    }
    // Layers that the destination has as they are will do, unless that is forbidden.
    let _said = env.ok(["copy", "-q", "oci:gzip:x", "oci:there:y"]);
    let _said = to_zstd("oci:gzip:x", "oci:there:y");
    assert_eq!(media_types(&manifest(&env.path("there"))), ["oci.image.layer.v1.tar+gzip"; 2]);
    let forced = [&flags[..], &["--dest-force-compress-format", "oci:gzip:x", "oci:there:y"]].concat();
    let _said = env.ok(forced);
    assert_eq!(media_types(&manifest(&env.path("there"))), ["oci.image.layer.v1.tar+zstd"; 2]);
    let names = json(&env.path("there/index.json"));
    assert_eq!(names["manifests"].as_array().map(Vec::len), Some(1), "the name has moved: {names}");
    // An archive needs each digest first.
    let _said = to_zstd("oci:gzip:x", "oci-archive:zstd.tar:x");
    let _said = env.ok(["copy", "-q", "oci-archive:zstd.tar:x", "oci:back:x"]);
    assert_eq!(manifest(&env.path("back")), manifest(&env.path("zstd")));
    // What Docker's manifests cannot name gets one of OCI, or an error if that is not wanted.
    let _said = to_zstd(FROM, "dir:d");
    assert_eq!(media_types(&json(&env.path("d/manifest.json"))), ["oci.image.layer.v1.tar+zstd"; 2]);
    let said = env.ctr([&flags[..], &["--format", "v2s2", "oci:gzip:x", "dir:e"]].concat()).run().fails(125);
    assert!(said.contains("zstd, which Docker's manifests cannot name"), "{said}");
    let back = ["copy", "-q", "--format=v2s2", "--dest-compress-format=gzip", "oci:zstd:x", "dir:f"];
    let _said = env.ok(back);
    assert_eq!(media_types(&json(&env.path("f/manifest.json"))), ["docker.image.rootfs.diff.tar.gzip"; 2]);
}

#[test]
fn a_folder_is_packed_and_unpacked_where_it_is_asked_for() {
    needs!(Userns);
    let env = world();
    let _said = env.ok(["copy", "-q", FROM, "dir:plain"]);
    assert_eq!(media_types(&json(&env.path("plain/manifest.json"))), ["docker.image.rootfs.diff.tar"; 2]);
    let _said = env.ok(["copy", "-q", "--dest-compress", "--dest-compress-level", "9", FROM, "dir:packed"]);
    let packed = json(&env.path("packed/manifest.json"));
    assert_eq!(media_types(&packed), ["docker.image.rootfs.diff.tar.gzip"; 2]);
    let _said = env.ok(["copy", "-q", "--dest-compress", "--dest-compress-level", "1", FROM, "dir:quickly"]);
    let quickly = json(&env.path("quickly/manifest.json"));
    let size = |manifest: &Value| manifest["layers"][0]["size"].as_u64();
    assert!(size(&packed) < size(&quickly), "{packed} {quickly}");
    let _said = env.ok(["copy", "-q", "--dest-decompress", "dir:packed", "dir:unpacked"]);
    let (plain, unpacked) =
        (json(&env.path("plain/manifest.json")), json(&env.path("unpacked/manifest.json")));
    assert_eq!(plain["layers"], unpacked["layers"]);
}

#[test]
fn what_cannot_be_is_said_before_anything_is_written() {
    needs!(Userns);
    let env = world();
    let _said = env.ok(["copy", "-q", FROM, "oci:gzip:x"]);
    for (flags, to, why) in [
        (&["--dest-compress-format", "zstd:chunked"][..], "oci:to:x", "zstd:chunked is not supported yet"),
        (&["--dest-compress-format", "lzma"], "oci:to:x", "cannot find compressor for \"lzma\""),
        (&["--dest-compress-level", "10"], "oci:to:x", "gzip has no level 10: there are 1 to 9"),
        (&["--dest-compress-format", "zstd", "--dest-compress-level", "23"], "oci:to:x", "there are 1 to 22"),
        (&["--dest-force-compress-format"], "oci:to:x", "needs --dest-compress-format"),
        (&["--dest-compress", "--dest-decompress"], "dir:to", "at the same time"),
        (&["--dest-compress"], "oci:to:x", "for dir: alone"),
        (&["--dest-oci-accept-uncompressed-layers"], "dir:to", "for oci: alone"),
        (&["--dest-compress-format", "gzip"], "docker-archive:to", "does not compress layers"),
        (&["--preserve-digests", "--dest-compress-format", "zstd"], "oci:to:x", "--preserve-digests forbids"),
    ] {
        let arguments = [&["copy", "-q"], flags, &["oci:gzip:x", to]].concat();
        let said = env.ctr(&arguments).run().fails(125);
        assert!(said.contains(why), "{arguments:?}: {said}");
        let there = env.path("to/blobs/sha256");
        let written = std::fs::read_dir(there).map_or(0, Iterator::count);
        assert_eq!(written, 0, "{arguments:?}");
        assert!(!env.path("to/manifest.json").exists(), "{arguments:?}");
    }
    // A default asks for nothing: then digests stay.
    let _said = env.ok(["copy", "-q", "--preserve-digests", "oci:gzip:x", "oci:kept:x"]);
    assert_eq!(manifest(&env.path("kept")), manifest(&env.path("gzip")));
}

#[test]
fn a_damaged_layer_leaves_no_image() {
    needs!(Userns);
    let env = Env::new();
    image().compressed(Compression::Gzip).write_oci(&env.path("in"));
    let layer = blob(&env.path("in"), &manifest(&env.path("in"))["layers"][0]["digest"]);
    let mut bytes = std::fs::read(&layer).expect("a layer");
    // The time of gzip's header is in no sum but the digest.
    bytes[5] ^= 1;
    std::fs::write(&layer, bytes).expect("a layer");
    let from = format!("oci:in:{NAME}");
    let said = env.ctr(["copy", "-q", "--dest-compress-format", "zstd", &from, "oci:out:x"]).run().fails(125);
    assert!(said.contains("damaged"), "{said}");
    assert!(!env.path("out/index.json").exists());
}

#[test]
fn others_read_what_was_packed() {
    needs!(Userns, Skopeo);
    let env = world();
    for format in ["gzip", "zstd"] {
        let (flag, to) = (format!("--dest-compress-format={format}"), format!("oci:{format}:x"));
        let _said = env.ok(["copy", "-q", &flag, FROM, &to]);
        let back = format!("oci-archive:{format}.tar:{NAME}");
        let _said =
            env.program("/usr/bin/skopeo", ["--insecure-policy", "copy", "-q", &to, &back]).run().success();
        let file = env.path(format!("{format}.tar"));
        let other = Env::new();
        let _said = other.ctr(["load", "-q", "-i"]).args([&file]).run().success();
        assert_eq!(other.ok(["image", "inspect", "--format", "{{.Id}}", NAME]), image().id(), "{format}");
    }
}

/// A layer of twice what the process may have.
#[test]
fn memory_does_not_grow_with_the_layer() {
    needs!(Userns);
    let env = Env::new();
    let large: Vec<u8> = (0..96_u32 << 18).flat_map(|word| (word / 5).to_le_bytes()).collect();
    let image = Image::new(NAME, [Layer::new().file("large", 0o644, large)]);
    let _path = env.file("in.tar", image.docker_archive());
    drop(image);
    for (format, from, to) in [("gzip", FROM, "oci:gzip:x"), ("zstd", "oci:gzip:x", "oci:zstd:x")] {
        let flag = format!("--dest-compress-format={format}");
        let running = env.ctr(["copy", "-q", &flag, from, to]).deadline(Duration::from_secs(180)).start();
        let peak = peak_of(running.pid().as_raw_nonzero().get());
        let _said = running.finish().success();
        assert!(peak > 0 && peak < 48 << 10, "{format}: {peak} KiB");
    }
}

/// The most memory that a process ever had, in KiB, until it ends.
fn peak_of(pid: i32) -> u64 {
    let deadline = Instant::now() + Duration::from_secs(180);
    let mut peak = 0;
    while Instant::now() < deadline {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        // One that has ended has no memory.
        let Some(now) = line.and_then(|text| text.trim().strip_suffix(" kB")?.parse::<u64>().ok()) else {
            break;
        };
        peak = peak.max(now);
        std::thread::sleep(Duration::from_millis(5));
    }
    peak
}
