//! Class G: archives, through `load` and `import`.

use ctr_tests::image::{self, Compression, Entry, Image, Layer, archive, digest};
use ctr_tests::{needs, tree};
use serde_json::json;

use crate::canary::{EVIL, World, with};

/// What is to come of a layer.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Refused,
    /// Unpacked, with everything inside the root.
    Inside,
}
use Fate::{Inside, Refused};

/// Layers that want to reach `prey`, an absolute path without its slash.
fn layers(prey: &str) -> Vec<(&'static str, Fate, Layer)> {
    let up = format!("{}{prey}", "../".repeat(20));
    let absolute = format!("/{prey}");
    let link = || Layer::new().symlink("l", &absolute);
    let owner = |entry: Entry| entry.owner(12, 13).xattr("user.bad", "1");
    vec![
        ("`..` in a name", Refused, Layer::new().file(format!("{up}/secret"), 0o644, "bad")),
        (
            "`..` in the middle",
            Refused,
            Layer::new().dir("a/", 0o755).file(format!("a/{up}/secret"), 0o644, "bad"),
        ),
        ("an absolute name", Inside, Layer::new().file(format!("{absolute}/secret"), 0o644, "bad")),
        ("a file through a link", Inside, link().file("l/secret", 0o644, "bad")),
        (
            "a file through a relative link",
            Inside,
            Layer::new().symlink("l", &up).file("l/secret", 0o644, "bad"),
        ),
        (
            "a file over a link",
            Inside,
            Layer::new().symlink("f", format!("{absolute}/secret")).file("f", 0o644, "bad"),
        ),
        ("a whiteout through a link", Inside, link().file("l/.wh.secret", 0o644, "")),
        ("an opaque mark through a link", Inside, link().file("l/dir/.wh..wh..opq", 0o644, "")),
        ("a whiteout of `..`", Refused, Layer::new().file("a/.wh...", 0o644, "")),
        ("a whiteout of `.`", Refused, Layer::new().file(".wh..", 0o644, "")),
        ("a whiteout of nothing", Refused, Layer::new().file(".wh.", 0o644, "")),
        (
            "a directory's facts through a link",
            Inside,
            link().entry(owner(Entry::new(b'5', "l/", 0o777)), ""),
        ),
        (
            "a file's facts through a link",
            Inside,
            link().entry(owner(Entry::new(b'0', "l/secret", 0o4777)), "bad"),
        ),
        (
            "a hard link to outside",
            Refused,
            Layer::new().hardlink("h", format!("{up}/secret")).file("h", 0o644, "bad"),
        ),
        ("a hard link through a link", Refused, link().hardlink("h", "l/secret").file("h", 0o644, "bad")),
        ("an absolute hard link", Refused, Layer::new().hardlink("h", format!("{absolute}/secret"))),
        (
            "a hard link to what comes later",
            Refused,
            Layer::new().hardlink("h", "later").file("later", 0o644, ""),
        ),
        ("a hard link to a directory", Refused, Layer::new().dir("d/", 0o755).hardlink("h", "d")),
        ("a hard link to itself", Refused, Layer::new().hardlink("h", "h")),
        ("a pipe through a link", Inside, link().entry(Entry::new(b'6', "l/pipe", 0o666), "")),
        ("a link through a link", Inside, link().symlink("l/new", "/etc/shadow")),
        (
            "a device",
            Inside,
            Layer::new().entry(Entry { device: (1, 3), ..Entry::new(b'3', "null", 0o666) }, ""),
        ),
        (
            "a name twice",
            Inside,
            Layer::new()
                .file("x", 0o644, "one")
                .dir("x/", 0o755)
                .symlink("x", &absolute)
                .file("x/y", 0o644, ""),
        ),
        (
            "a name of pax with `..`",
            Refused,
            Layer::new().entry(Entry::new(b'0', "x", 0o644).pax("path", &up), ""),
        ),
        (
            "a name of pax with a NUL",
            Refused,
            Layer::new().entry(Entry::new(b'0', "x", 0o644).pax("path", "a\0b"), ""),
        ),
        (
            "a size of pax that lies",
            Refused,
            Layer::new().entry(Entry::new(b'0', "x", 0o644).pax("size", "99999999999"), "x"),
        ),
        ("a negative size", Refused, Layer::new().entry(Entry::new(b'0', "x", 0o644).pax("size", "-1"), "")),
        (
            "an owner that is none",
            Refused,
            Layer::new().entry(Entry::new(b'0', "x", 0o644).pax("uid", "4294967295"), ""),
        ),
        (
            "an owner out of range",
            Refused,
            Layer::new().entry(Entry::new(b'0', "x", 0o644).owner(3_000_000_000, 0), ""),
        ),
        (
            "an overlay's attribute",
            Inside,
            Layer::new().entry(Entry::new(b'5', "bin/", 0o755).xattr("user.overlay.redirect", &absolute), ""),
        ),
        (
            "a file capability",
            Inside,
            Layer::new().entry(Entry::new(b'0', "x", 0o4755).xattr("security.capability", "x"), ""),
        ),
        ("half a header", Refused, Layer::new().raw([7; 700])),
        (
            "less than it says",
            Refused,
            Layer::new().entry(Entry { size: Some(1 << 40), ..Entry::new(b'0', "x", 0o644) }, "x"),
        ),
        (
            "a sparse map that lies",
            Refused,
            Layer::new().entry(
                Entry::new(b'0', "x", 0o644)
                    .pax("GNU.sparse.major", "1")
                    .pax("GNU.sparse.minor", "0")
                    .pax("GNU.sparse.realsize", "10"),
                format!("{:\0<512}", "1\n9223372036854775807\n512\n"),
            ),
        ),
        ("a deep path", Inside, Layer::new().file(format!("{}x", "d/".repeat(200)), 0o644, "")),
    ]
}

#[test]
fn hostile_layers_stay_inside_and_leave_nothing() {
    needs!(Userns);
    let world = World::new();
    let _swept = world.env.ok(["system", "gc"]);
    let clean = tree::of_store(&world.env.store());
    let prey = world.prey("");
    let prey = prey.trim_matches('/');
    for (name, fate, layer) in layers(prey) {
        let image = with(layer.clone());
        let ways = [
            ("docker", image.docker_archive()),
            ("oci", Image::new(EVIL, [layer.clone()]).compressed(Compression::Gzip).oci_archive()),
            ("import", layer.tar()),
        ];
        for (way, bytes) in ways {
            let file = world.env.file("evil.tar", bytes);
            let loaded = if way == "import" {
                world.survives(world.env.ctr(["import", "-q"]).args([&file]).args([EVIL]))
            } else {
                world.survives(world.env.ctr(["load", "-q", "-i"]).args([&file]))
            };
            assert_eq!(loaded.code(), if fate == Refused { 125 } else { 0 }, "{name}, {way}: {loaded}");
            if fate == Inside && way == "docker" {
                let script = format!("cat /l/secret /l/dir/* /h /f; echo bad >/f; rm -rf /l/* /{prey}; :");
                let output = world.survives(world.evil([""; 0], &script));
                assert_eq!(output.code(), 0, "{name}, {way}: {output}");
            }
            if fate == Inside {
                let _gone = world.survives(world.env.ctr(["rmi", "-f", EVIL])).success();
            }
        }
        let _swept = world.survives(world.env.ctr(["system", "gc"])).success();
        assert!(tree::of_store(&world.env.store()) == clean, "{name}: something is left in the store");
    }
}

/// The documents around the layers: paths, digests and names in them.
#[test]
fn hostile_documents_are_refused_and_leave_nothing() {
    needs!(Userns);
    let world = World::new();
    let _swept = world.env.ok(["system", "gc"]);
    let clean = tree::of_store(&world.env.store());
    let mut good = with(Layer::new());
    good.layers.truncate(1);
    let config = String::from_utf8(good.configuration()).expect("JSON");
    let layer = || ("layer.tar".to_owned(), good.layers[0].clone());
    let docker = |manifest: serde_json::Value| {
        archive(vec![
            ("manifest.json".into(), manifest.to_string().into_bytes()),
            ("config.json".into(), config.clone().into()),
            layer(),
        ])
    };
    let (secret, up) = (world.prey("secret"), format!("{}{}", "../".repeat(20), world.prey("secret")));
    let mut cases = vec![
        (
            "a layer that is a path",
            docker(json!([{"Config": "config.json", "RepoTags": [EVIL], "Layers": [up]}])),
        ),
        (
            "a layer that is absolute",
            docker(json!([{"Config": "config.json", "RepoTags": [EVIL], "Layers": [secret]}])),
        ),
        (
            "a configuration that is a path",
            docker(json!([{"Config": up, "RepoTags": [EVIL], "Layers": ["layer.tar"]}])),
        ),
        (
            "a name that is a path",
            docker(json!([{"Config": "config.json", "RepoTags": ["../../../x:y"], "Layers": ["layer.tar"]}])),
        ),
        (
            "a name with an escape",
            docker(json!([{"Config": "config.json", "RepoTags": ["\u{1b}[31m"], "Layers": ["layer.tar"]}])),
        ),
        (
            "a name that is an option",
            docker(json!([{"Config": "config.json", "RepoTags": ["--rm"], "Layers": ["layer.tar"]}])),
        ),
        ("too few layers", docker(json!([{"Config": "config.json", "RepoTags": [EVIL], "Layers": []}]))),
        (
            "too many layers",
            docker(
                json!([{"Config": "config.json", "RepoTags": [EVIL], "Layers": ["layer.tar", "layer.tar"]}]),
            ),
        ),
        ("no list", docker(json!({"Config": "config.json"}))),
    ];
    let linked = |target: &str| {
        let manifest =
            json!([{"Config": "config.json", "RepoTags": [EVIL], "Layers": ["layer.tar"]}]).to_string();
        Layer::new()
            .file("manifest.json", 0o644, manifest)
            .file("config.json", 0o644, &config)
            .symlink("layer.tar", target)
            .tar()
    };
    cases.push(("a layer that is a link to the host", linked(&secret)));
    cases.push(("a layer that is a relative link to the host", linked(&up)));
    cases.push(("a layer that is a link to itself", linked("layer.tar")));
    let oci = |digest: &str, size: u64| {
        let manifest = json!([{ "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": size,
            "annotations": {"org.opencontainers.image.ref.name": EVIL} }]);
        let index = json!({"schemaVersion": 2, "manifests": manifest}).to_string().into_bytes();
        archive(vec![
            ("oci-layout".into(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
            ("index.json".into(), index),
        ])
    };
    cases.push(("a digest that is a path", oci(&format!("sha256:{up}"), 10)));
    cases.push(("a digest in capitals", oci(&digest(b"x").to_uppercase(), 10)));
    cases.push(("a short digest", oci("sha256:abcd", 10)));
    cases.push(("an unknown algorithm", oci("md5:0123456789abcdef0123456789abcdef", 10)));
    cases.push(("a manifest that is not there", oci(&digest(b"x"), 10)));
    cases.push(("a manifest of a size that no manifest has", oci(&digest(b"x"), u64::MAX)));
    for (name, bytes) in cases {
        let file = world.env.file("evil.tar", bytes);
        let loaded = world.survives(world.env.ctr(["load", "-q", "-i"]).args([&file]));
        if name.starts_with("a name ") {
            // Somebody's note, and no name: the image is found by its id.
            assert!(loaded.success().starts_with("Loaded image: sha256:"), "{name}");
            let shown = world.survives(world.env.ctr(["images", "-a", "-n"])).success();
            assert!(
                shown.lines().all(|line| line.starts_with("<none>") || line.starts_with("localhost/busybox")),
                "{shown}"
            );
            let _gone = world.survives(world.env.ctr(["image", "prune", "-a", "-f"])).success();
            world.reload();
        } else {
            assert_eq!(loaded.code(), 125, "{name}: {loaded}");
        }
        let _swept = world.survives(world.env.ctr(["system", "gc"])).success();
        assert!(tree::of_store(&world.env.store()) == clean, "{name}: something is left in the store");
    }
}

/// What is not the content that a digest names is refused, wherever it lies.
#[test]
fn another_content_than_the_digest_s_is_refused() {
    needs!(Userns);
    let world = World::new();
    // Layers that the store does not have: those that it has are not read again.
    let image = Image::new(EVIL, ["one", "two"].map(|text| Layer::new().file("x", 0o644, text)));
    let files = image.oci_files();
    for at in 0..files.len() {
        if !files[at].0.starts_with("blobs/") {
            continue;
        }
        let mut files = files.clone();
        let middle = files[at].1.len() / 2;
        files[at].1[middle] ^= 1;
        let dir = world.env.path(format!("layout{at}"));
        image::write_files(&dir, files);
        let _line = world.refuses(world.env.ctr(["load", "-q", "-i"]).args([&dir]));
        // What was good of it is not kept for the next.
        let _swept = world.survives(world.env.ctr(["system", "gc"])).success();
    }
}
