//! `images`, `history`, `image inspect|exists|tree|diff`.

use ctr_tests::image::{Image, Layer};
use ctr_tests::{Env, needs};

fn two_layers(name: &str) -> Image {
    let first = Layer::new().dir("etc/", 0o755).file("etc/a", 0o644, "a").file("gone", 0o644, "x");
    let second = Layer::new().file("etc/b", 0o644, "b").file(".wh.gone", 0o644, "");
    Image::new(name, [first, second]).set("Labels", serde_json::json!({ "kind": "test" }))
}

#[test]
fn images_lists_with_podman_s_columns_and_json() {
    needs!(Userns);
    let env = Env::new();
    env.load(&two_layers("localhost/two:1"));
    let table = env.ok(["images"]);
    let mut lines = table.lines();
    let header: Vec<_> =
        lines.next().expect("a header").split("  ").filter(|word| !word.is_empty()).map(str::trim).collect();
    assert_eq!(header, ["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"]);
    let row = lines.next().expect("a row");
    assert!(row.starts_with("localhost/two") && row.contains(&two_layers("").id()[..12]), "{row}");
    assert_eq!(env.ok(["images", "-q"]), two_layers("").id()[..12]);
    assert_eq!(env.ok(["images", "--quiet", "--no-trunc"]), format!("sha256:{}", two_layers("").id()));
    assert!(!env.ok(["images", "--noheading"]).contains("REPOSITORY"));
    assert_eq!(env.ok(["images", "--history", "-q"]), two_layers("").id()[..12]);
    assert!(env.ok(["images", "--digests"]).contains("sha256:"));
    let json: serde_json::Value =
        serde_json::from_str(&env.ok(["images", "--format", "json"])).expect("JSON");
    assert_eq!(json[0]["Id"], two_layers("").id());
    assert_eq!(json[0]["Names"][0], "localhost/two:1");
    assert_eq!(env.ok(["image", "ls", "-n", "--format", "{{.Repository}}|{{.Tag}}"]), "localhost/two|1");
}

#[test]
fn images_filters_and_sorts() {
    needs!(Userns);
    let env = Env::new();
    env.load(&two_layers("localhost/two:1"));
    env.load(&Image::new("localhost/one:1", [Layer::new().file("x", 0o644, "x")]));
    let names = |args: &[&str]| env.ctr(["images", "--format", "{{.Repository}}"]).args(args).run().success();
    assert_eq!(names(&["--sort", "repository"]), "localhost/one\nlocalhost/two");
    assert_eq!(names(&["--filter", "reference=*two*"]), "localhost/two");
    assert_eq!(names(&["-f", "label=kind=test"]), "localhost/two");
    assert_eq!(names(&["localhost/one"]), "localhost/one");
    assert_eq!(names(&["--filter", "dangling=true"]), "");
    let said = env.ctr(["images", "--filter", "nonsense=1"]).run().fails(125);
    assert!(said.contains("nonsense"), "{said}");
}

#[test]
fn history_lists_the_steps_from_the_last() {
    needs!(Userns);
    let env = Env::new();
    env.load(&two_layers("localhost/two:1"));
    assert_eq!(env.ok(["history", "--format", "{{.CreatedBy}}", "localhost/two:1"]), "layer 1\nlayer 0");
    assert_eq!(env.ok(["history", "-q", "--no-trunc", "localhost/two:1"]).lines().count(), 2);
    assert_eq!(
        env.ok(["history", "-q", "--notruncate", "localhost/two:1"]),
        env.ok(["history", "-q", "--no-trunc", "localhost/two:1"])
    );
    assert!(env.ok(["history", "--human=false", "localhost/two:1"]).contains("2020-01-01"));
    let json: serde_json::Value =
        serde_json::from_str(&env.ok(["history", "--format", "json", "localhost/two:1"])).expect("JSON");
    assert_eq!(json.as_array().map(Vec::len), Some(2));
}

#[test]
fn inspect_tells_the_whole_of_it() {
    needs!(Userns);
    let env = Env::new();
    env.load(&two_layers("localhost/two:1"));
    let json: serde_json::Value =
        serde_json::from_str(&env.ok(["image", "inspect", "localhost/two:1"])).expect("JSON");
    assert_eq!(json[0]["Id"], two_layers("").id());
    assert_eq!(json[0]["RootFS"]["Layers"].as_array().map(Vec::len), Some(2));
    assert_eq!(json[0]["Labels"]["kind"], "test");
    assert_eq!(env.ok(["image", "inspect", "-f", "{{.Architecture}}/{{.Os}}", "two:1"]), "amd64/linux");
    let output = env.ctr(["image", "inspect", "absent"]).run();
    assert_ne!(output.code(), 0, "{output}");
}

#[test]
fn exists_answers_by_its_code() {
    needs!(Userns);
    let env = Env::new();
    env.load(&two_layers("localhost/two:1"));
    for (name, code) in
        [("localhost/two:1", 0), ("two:1", 0), (&two_layers("").id()[..12], 0), ("two:2", 1), ("absent", 1)]
    {
        let output = env.ctr(["image", "exists", name]).run();
        assert_eq!((output.code(), output.stdout.as_str()), (code, ""), "{name}");
    }
}

#[test]
fn tree_and_diff_show_the_layers() {
    needs!(Userns);
    let env = Env::new();
    env.load(&two_layers("localhost/two:1"));
    let tree = env.ok(["image", "tree", "localhost/two:1"]);
    assert!(tree.contains("Image Layers") && tree.lines().count() >= 5, "{tree}");
    let _whole = env.ok(["image", "tree", "--whatrequires", "localhost/two:1"]);
    let mut diff: Vec<_> = env.ok(["image", "diff", "localhost/two:1"]).lines().map(str::to_owned).collect();
    diff.sort();
    let json: serde_json::Value =
        serde_json::from_str(&env.ok(["image", "diff", "--format", "json", "localhost/two:1"]))
            .expect("JSON");
    assert_eq!(json["deleted"][0], "/gone");
    assert_eq!(diff, ["A /etc/b", "C /etc", "D /gone"]);
}

/// As podman has it: first the names that it has, then those that it had, the last one first.
#[test]
fn names_that_went_come_after_those_that_stayed() {
    needs!(Userns);
    let env = Env::new();
    env.load(&two_layers("localhost/it:1"));
    let history =
        |expected: &str| assert_eq!(env.ok(["images", "--format", "{{.History}}", "it:1"]), expected);
    env.ok(["tag", "it:1", "one"]);
    history("localhost/one:latest, localhost/it:1");
    env.ok(["rmi", "one"]);
    history("localhost/it:1, localhost/one:latest");
    env.ok(["tag", "it:1", "two"]);
    env.ok(["untag", "it:1", "two"]);
    history("localhost/it:1, localhost/two:latest, localhost/one:latest");
}
