//! Volumes, mounts, tmpfs, devices and the root.

use std::os::unix::fs::MetadataExt as _;

use ctr_tests::image::{Image, Layer};
use ctr_tests::{BUSYBOX, Env, needs};

/// Options of the mount at a path, as the container sees them.
fn options(env: &Env, flags: &[&str], path: &str) -> String {
    env.sh(flags, &format!("grep ' {path} ' /proc/self/mountinfo | tail -n1 | cut -d' ' -f6"))
}

#[test]
fn a_bound_folder_is_the_host_s() {
    needs!(Userns);
    let env = Env::with_busybox();
    let _read = env.file("in", "from the host");
    let bind = format!("{}:/m", env.path("").display());
    assert_eq!(env.sh(["-v", &bind], "cat /m/in; echo new >/m/out"), "from the host");
    assert_eq!(std::fs::read_to_string(env.path("out")).expect("the file"), "new\n");
    // The container's root is the user.
    assert_eq!(
        std::fs::metadata(env.path("out")).expect("the file").uid(),
        rustix::process::geteuid().as_raw()
    );
}

#[test]
fn the_options_of_a_volume_hold() {
    needs!(Userns);
    let env = Env::with_busybox();
    let with = |options: &str| format!("{}:/m:{options}", env.path("").display());
    assert!(options(&env, &["-v", &with("ro")], "/m").starts_with("ro"));
    assert!(options(&env, &["-v", &with("rw")], "/m").starts_with("rw"));
    let plain = options(&env, &["--volume", &with("rw")], "/m");
    assert!(plain.contains("nosuid") && plain.contains("nodev") && !plain.contains("noexec"), "{plain}");
    assert!(options(&env, &["-v", &with("noexec")], "/m").contains("noexec"));
    assert!(!options(&env, &["-v", &with("suid,exec,dev")], "/m").contains("nosuid"));
    let _relabelled = (options(&env, &["-v", &with("z")], "/m"), options(&env, &["-v", &with("Z")], "/m"));
    let said = env.shell(["-v", &with("nonsense")], "true").run().fails(125);
    assert!(said.contains("nonsense"), "{said}");
    let said = env.shell(["-v", "/no/such/folder:/m"], "true").run().fails(125);
    assert!(said.contains("/no/such/folder"), "{said}");
}

#[test]
fn propagation_is_as_asked() {
    needs!(Userns);
    let env = Env::with_busybox();
    for (asked, seen) in [("private", ""), ("rslave", "master:"), ("slave", "master:")] {
        let bind = format!("{}:/m:{asked}", env.path("").display());
        let tags = env.sh(["-v", &bind], "grep ' /m ' /proc/self/mountinfo | cut -d' ' -f7");
        // Only a shared mount of the host's has a master.
        assert!(tags.contains(seen) || tags == "-", "{asked}: {tags}");
    }
}

#[test]
fn u_gives_the_folder_to_the_container_s_user() {
    needs!(Userns);
    let env = Env::with_busybox();
    std::fs::create_dir(env.path("given")).expect("a folder");
    let bind = format!("{}:/m:U", env.path("given").display());
    assert_eq!(env.sh(["-u", "1000", "-v", &bind], "touch /m/x && stat -c %u /m"), "1000");
}

#[test]
fn o_keeps_the_host_s_folder_as_it_is() {
    needs!(Userns, Overlay);
    let env = Env::with_busybox();
    std::fs::create_dir(env.path("lower")).expect("a folder");
    let _below = env.file("lower/below", "below");
    let bind = format!("{}:/m:O", env.path("lower").display());
    assert_eq!(env.sh(["-v", &bind], "cat /m/below; echo x >/m/above; rm /m/below; ls /m"), "belowabove");
    assert!(env.path("lower/below").exists() && !env.path("lower/above").exists());
}

#[test]
fn mount_takes_bind_tmpfs_and_devpts() {
    needs!(Userns);
    let env = Env::with_busybox();
    let _file = env.file("f", "content");
    let bind = format!("type=bind,source={},destination=/m,ro", env.path("").display());
    assert_eq!(env.sh(["--mount", &bind], "cat /m/f"), "content");
    assert!(options(&env, &["--mount", &bind], "/m").starts_with("ro"));
    let seen = env.sh(
        ["--mount", "type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=1770"],
        "stat -c %a /t; df -k /t | tail -1 | awk '{print $2}'",
    );
    assert_eq!(seen, "1770\n1024");
    assert_eq!(env.sh(["--mount", "type=devpts,destination=/pts"], "ls /pts"), "ptmx");
    assert_eq!(env.sh(["--mount", "type=ramfs,dst=/r"], "stat -f -c %T /r; touch /r/x; ls /r"), "ramfs\nx");
    assert!(options(&env, &["--mount", "type=ramfs,dst=/r,ro"], "/r").starts_with("ro"));
    for wrong in [
        "type=bind,destination=/m",
        "type=none,destination=/m",
        "destination",
        "type=tmpfs,dst=relative",
        "type=tmpfs,dst=/t,noswap",
        "type=ramfs,dst=/r,tmpfs-size=1m",
        "",
    ] {
        let output = env.shell(["--mount", wrong], "true").run();
        assert_eq!(output.code(), 125, "{wrong:?}: {output}");
    }
}

/// A comma, `..` or a magic link in a mount's spec is never a way out: classes C and H.
#[test]
fn targets_stay_inside_the_root() {
    needs!(Userns);
    let env = Env::with_busybox();
    let canary = env.path("canary");
    std::fs::create_dir(&canary).expect("a folder");
    let before = ctr_tests::tree::picture(&env.path(""));
    for target in
        ["/../../../../../../canary", "/proc/self/root/x", "/proc/self/cwd", "/proc/1/root/etc", "/dev/fd/3"]
    {
        let bind = format!("{}:{target}", canary.display());
        let output = env.shell(["-v", &bind], "true").run();
        assert!([0, 125].contains(&output.code()), "{target}: {output}");
    }
    assert_eq!(ctr_tests::tree::picture(&env.path("")), before);
}

#[test]
fn tmpfs_has_size_and_mode() {
    needs!(Userns);
    let env = Env::with_busybox();
    let seen =
        env.sh(["--tmpfs", "/t:size=64k,mode=700"], "stat -c %a /t; df -k /t | tail -1 | awk '{print $2}'");
    assert_eq!(seen, "700\n64");
    assert_eq!(env.sh(["--tmpfs", "/made"], "stat -f -c %T /made"), "tmpfs");
    assert_eq!(env.sh(["--shm-size", "1m"], "df -k /dev/shm | tail -1 | awk '{print $2}'"), "1024");
}

#[test]
fn a_read_only_root_is_read_only() {
    needs!(Userns);
    let env = Env::with_busybox();
    let seen = env.sh(["--read-only"], "touch /etc/x 2>&1 || true; touch /tmp/x && echo tmp");
    assert!(seen.contains("Read-only file system") && seen.ends_with("tmp"), "{seen}");
    let seen = env.sh(["--read-only", "--read-only-tmpfs=false"], "touch /tmp/x 2>&1 || true");
    assert!(seen.contains("Read-only file system"), "{seen}");
}

#[test]
fn what_is_written_is_gone_with_rm() {
    needs!(Userns);
    let env = Env::with_busybox();
    assert_eq!(env.sh([""; 0], "echo x >/etc/mine; cat /etc/mine"), "x");
    assert_eq!(env.sh([""; 0], "ls /etc/mine 2>/dev/null || echo none"), "none");
}

#[test]
fn a_folder_can_be_the_root() {
    needs!(Userns);
    let env = Env::with_busybox();
    let root = env.path("root");
    std::fs::create_dir(&root).expect("a folder");
    let tar = env.file("root.tar", ctr_tests::image::busybox().tar());
    let _unpacked = env
        .program("tar", ["-x", "--no-same-owner", "-C"])
        .args([&root])
        .args(["-f"])
        .args([&tar])
        .run()
        .success();
    let said = env
        .ctr(["run", "--rm", "--rootfs"])
        .args([&root])
        .args(["sh", "-c", "echo here; touch /made"])
        .run()
        .success();
    assert_eq!(said, "here");
    assert!(root.join("made").exists());
}

#[test]
fn devices_are_the_usual_ones_and_those_asked_for() {
    needs!(Userns);
    let env = Env::with_busybox();
    let seen = env.sh(
        [""; 0],
        "ls -d /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty /dev/ptmx /dev/fd /dev/stdin",
    );
    assert_eq!(seen.lines().count(), 9, "{seen}");
    assert_eq!(env.sh([""; 0], "ls /dev/fuse 2>/dev/null || echo none"), "none");
    if std::path::Path::new("/dev/fuse").exists() {
        assert_eq!(env.sh(["--device", "/dev/fuse"], "test -c /dev/fuse && echo there"), "there");
        assert_eq!(env.sh(["--device", "/dev/fuse:/dev/other"], "test -c /dev/other && echo there"), "there");
    }
    let said = env.shell(["--device", "/dev/no-such-device"], "true").run().fails(125);
    assert!(said.contains("/dev/no-such-device"), "{said}");
}

/// Absolute links inside an image still work: what fixes of these classes broke elsewhere.
#[test]
fn links_inside_an_image_are_followed_inside() {
    needs!(Userns);
    let env = Env::new();
    let layer = Layer::new().dir("data/", 0o755).symlink("link", "/data").symlink("etc/hosts", "/data/hosts");
    env.load(&Image::busybox(BUSYBOX, [layer]));
    let bind = format!("{}:/link/here", env.path("").display());
    let _file = env.file("f", "x");
    assert_eq!(env.sh(["-v", &bind], "cat /data/here/f"), "x");
    assert_eq!(env.sh(["--tmpfs", "/var/run/t"], "stat -f -c %T /run/t"), "tmpfs");
}

/// As many layers as an image may have, and as overlayfs stacks.
#[test]
fn five_hundred_layers_run() {
    needs!(Userns, Overlay);
    let env = Env::new();
    let layers = |count: usize| {
        (1..count).map(|number| {
            Layer::new()
                .dir("etc/", 0o755)
                .file(format!("etc/own-{number}"), 0o644, "")
                .file("etc/last", 0o644, number.to_string())
                .file(format!("etc/.wh.own-{}", number - 1), 0o644, "")
        })
    };
    for count in [499, 500] {
        env.load(&Image::busybox(BUSYBOX, layers(count)));
        let script = "cat /etc/last; echo; ls /etc | grep own-";
        let seen = format!("{0}\nown-{0}", count - 1);
        for userns in ["host", "keep-id"] {
            let ran = env.shell(["--userns", userns], script).run();
            assert_eq!(ran.stderr, "", "{userns}");
            assert_eq!(ran.success(), seen, "{userns}");
        }
    }
}
