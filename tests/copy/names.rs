//! `tag`, `untag`, `rmi`.

use ctr_tests::image::{Image, Layer};
use ctr_tests::{BUSYBOX, Env, needs};

fn image(name: &str, content: &str) -> Image {
    Image::new(name, [Layer::new().file("f", 0o644, content)])
}

fn names(env: &Env) -> Vec<String> {
    let mut names: Vec<_> =
        env.ok(["images", "-a", "--format", "{{.Repository}}:{{.Tag}}"]).lines().map(str::to_owned).collect();
    names.sort();
    names
}

#[test]
fn a_name_is_given_and_taken() {
    needs!(Userns);
    let env = Env::new();
    env.load(&image("localhost/a:1", "a"));
    assert_eq!(env.ok(["tag", "localhost/a:1", "b", "example.org/c:2"]), "");
    assert_eq!(names(&env), ["example.org/c:2", "localhost/a:1", "localhost/b:latest"]);
    assert_eq!(env.ok(["untag", "localhost/a:1", "b"]), "");
    assert_eq!(names(&env), ["example.org/c:2", "localhost/a:1"]);
    assert_eq!(env.ok(["untag", "localhost/a:1"]), "");
    assert_eq!(names(&env), ["<none>:<none>"]);
    let said = env.ctr(["tag", "absent", "x"]).run().fails(125);
    assert!(said.contains("absent"), "{said}");
    let said = env.ctr(["tag", &image("", "a").id(), "UPPER"]).run().fails(125);
    assert!(said.contains("lowercase"), "{said}");
}

#[test]
fn rmi_takes_a_name_and_with_the_last_one_the_image() {
    needs!(Userns);
    let env = Env::new();
    env.load(&image("localhost/a:1", "a"));
    let _tagged = env.ok(["tag", "localhost/a:1", "localhost/b:1"]);
    assert_eq!(env.ok(["rmi", "localhost/a:1"]), "Untagged: localhost/a:1");
    let said = env.ok(["rmi", "localhost/b:1"]);
    assert!(
        said.contains("Untagged: localhost/b:1")
            && said.contains(&format!("Deleted: {}", image("", "a").id())),
        "{said}"
    );
    assert_eq!(names(&env), [""; 0]);
    assert_eq!(env.ctr(["rmi", "localhost/a:1"]).run().code(), 1);
    assert_eq!(env.ctr(["rmi", "--ignore", "localhost/a:1"]).run().code(), 0);
}

#[test]
fn an_image_in_use_stays() {
    needs!(Userns);
    let env = Env::with_busybox();
    let mut user = env.shell(["--name", "user"], "echo ready; exec sleep 1000").start();
    user.wait_for("ready\n");
    assert_eq!(env.ctr(["rmi", BUSYBOX]).run().code(), 2);
    assert_eq!(names(&env), [BUSYBOX]);
    let _forced = env.ok(["rmi", "--force", BUSYBOX]);
    let _ended = user.finish();
    assert_eq!(env.ok(["ps", "-aq"]), "");
    assert_eq!(names(&env), [""; 0]);
}

#[test]
fn all_of_them_go_and_gc_leaves_an_empty_store() {
    needs!(Userns);
    let env = Env::new();
    let _swept = env.ok(["system", "gc"]);
    for n in ["1", "2", "3"] {
        env.load(&image(&format!("localhost/a:{n}"), n));
    }
    assert_eq!(names(&env).len(), 3);
    let _removed = env.ok(["rmi", "-a", "--no-prune"]);
    assert_eq!(names(&env), [""; 0]);
    let _swept = env.ok(["system", "gc"]);
    for folder in ["images", "blobs", "layers", "partial", "trash"] {
        let left = ctr_tests::tree::picture(&env.store().join(folder));
        let files: Vec<_> = left.iter().filter(|(_, facts)| facts.mode & 0o170_000 != 0o040_000).collect();
        assert!(files.is_empty(), "{folder}: {files:?}");
    }
}

#[test]
fn prune_takes_what_has_no_name() {
    needs!(Userns);
    let env = Env::new();
    env.load(&image("localhost/a:1", "old"));
    env.load(&image("localhost/a:1", "new"));
    assert_eq!(names(&env), ["<none>:<none>", "localhost/a:1"]);
    assert_eq!(env.ok(["image", "prune", "-f", "--filter", "label=absent"]), "");
    let said = env.ok(["image", "prune", "-f"]);
    assert!(said.contains(&image("", "old").id()), "{said}");
    assert_eq!(names(&env), ["localhost/a:1"]);
    let _said = env.ok(["image", "prune", "--force", "--all"]);
    assert_eq!(names(&env), [""; 0]);
}
