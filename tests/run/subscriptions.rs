//! `mounts.conf`: what of the host every container gets a copy of.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use ctr_tests::{BUSYBOX, Env, needs};

/// A folder with keys, some of them behind links.
fn keys(env: &Env) -> PathBuf {
    let folder = env.path("keys");
    std::fs::create_dir_all(folder.join("sub")).expect("a folder");
    std::fs::write(folder.join("sub/key"), "the key\n").expect("a file");
    std::fs::set_permissions(folder.join("sub/key"), PermissionsExt::from_mode(0o640)).expect("its mode");
    symlink("sub/key", folder.join("link")).expect("a link");
    symlink("nowhere", folder.join("dangling")).expect("a link");
    folder
}

#[test]
fn default_mounts_file_names_what_is_copied() {
    needs!(Userns);
    let env = Env::with_busybox();
    let keys = keys(&env);
    let run = |conf: &str, flags: &[&str], script: &str| {
        let conf = env.file("mounts.conf", conf);
        let conf = conf.to_str().expect("text");
        env.ctr(["run", "--rm", "--default-mounts-file", conf])
            .args(flags)
            .args([BUSYBOX, "sh", "-c", script])
            .run()
    };
    // Nothing to copy is nothing to say.
    let file = env.path("none");
    let said =
        env.ctr(["--default-mounts-file"]).args([&file]).args(["run", "--rm", BUSYBOX, "echo", "hi"]).run();
    assert_eq!((said.stdout.trim(), &*said.stderr), ("hi", ""));
    for empty in ["", "# only words\nrelative:/x\n", "/no/such/folder\n"] {
        let said = run(empty, &[], "ls /run/secrets 2>&1 | wc -l; echo hi");
        assert_eq!((said.stdout.trim(), &*said.stderr), ("1\nhi", ""), "{empty}");
    }
    let conf = format!("{}:/run/secrets\n{0}/sub/key:/etc/one\n{0}\n", keys.display());
    let script = format!(
        "cd /run/secrets && ls -A; cat link sub/key /etc/one {}/sub/key; stat -c '%a %u:%g %F' sub/key link; \
         echo changed > sub/key",
        keys.display()
    );
    let expected =
        "link\nsub\nthe key\nthe key\nthe key\nthe key\n640 0:0 regular file\n640 0:0 regular file";
    for flags in [&[][..], &["--userns", "keep-id", "--user", "0"], &["--read-only"]] {
        let said = run(&conf, flags, &script);
        assert_eq!((said.stdout.trim(), &*said.stderr), (expected, ""), "{flags:?}");
    }
    assert_eq!(std::fs::read_to_string(keys.join("sub/key")).expect("the key"), "the key\n");
    // What the user mounts there counts.
    let mine = format!("{}/sub:/run/secrets", keys.display());
    assert_eq!(run(&conf, &["-v", &mine], "ls /run/secrets").success(), "key");
}

#[test]
fn the_user_s_mounts_conf_counts_at_each_start() {
    needs!(Userns);
    let env = Env::with_busybox();
    let keys = keys(&env);
    let own = env.home().join(".config/containers/mounts.conf");
    std::fs::create_dir_all(own.parent().expect("a folder")).expect("a folder");
    std::fs::write(&own, format!("{}:/run/secrets\n", keys.display())).expect("a file");
    let script = "cat /run/secrets/link; mkdir /run/secrets/mine && chown 7:7 /run/secrets/mine; echo x > /run/secrets/link";
    env.ok(["create", "--name", "c", BUSYBOX, "sh", "-c", script]);
    assert_eq!(env.ok(["start", "-a", "c"]), "the key");
    // A later start has what the host has then, and nothing of the container's.
    std::fs::write(keys.join("sub/key"), "renewed\n").expect("a file");
    assert_eq!(env.ok(["start", "-a", "c"]), "renewed");
    std::fs::set_permissions(&keys, PermissionsExt::from_mode(0o777)).expect("its mode");
    let said = env.ctr(["start", "c"]).run().fails(125);
    assert!(said.contains("others can write") && said.contains("keys"), "{said}");
    env.ok(["rm", "c"]);
    let said = env.shell([""; 0], "ls /run/secrets 2>&1 | wc -l").run();
    assert!(said.stdout.trim() == "1" && said.stderr.contains("others can write"), "{said}");
    // Nor does a file count that others can write.
    std::fs::set_permissions(&keys, PermissionsExt::from_mode(0o755)).expect("its mode");
    std::fs::set_permissions(&own, PermissionsExt::from_mode(0o666)).expect("its mode");
    let said = env.shell([""; 0], "ls /run/secrets 2>&1 | wc -l").run();
    assert!(said.stdout.trim() == "1" && said.stderr.contains("mounts.conf; ignored"), "{said}");
}

#[test]
fn what_cannot_be_copied_is_said_and_left_out() {
    needs!(Userns);
    let env = Env::with_busybox();
    let keys = keys(&env);
    std::fs::set_permissions(keys.join("sub/key"), PermissionsExt::from_mode(0o000)).expect("its mode");
    symlink(".", keys.join("loop")).expect("a link");
    let conf = env.file("mounts.conf", format!("{}:/run/secrets\n/dev/null:/run/null\n", keys.display()));
    let said = env
        .ctr(["run", "--rm", "--default-mounts-file"])
        .args([&conf])
        .args([BUSYBOX, "sh", "-c", "ls /run/secrets /run/null 2>/dev/null; echo runs"])
        .run();
    assert_eq!(said.stdout.trim(), "runs");
    assert_eq!(said.stderr.matches("Failed to mount subscriptions").count(), 2, "{said}");
}
