//! Class A, D and E: our own program, the kernel's settings, and what masks.

use std::os::unix::fs::symlink;

use ctr_tests::image::Layer;
use ctr_tests::needs;

use crate::canary::{EVIL, World, bind, shared, with};

/// CVE-2019-5736.
#[test]
fn our_own_program_is_out_of_reach() {
    needs!(Userns);
    let world = World::new();
    world.image(Layer::new().file("bin/again", 0o755, "#!/proc/self/exe\n"));
    for command in [["/proc/self/exe", ""], ["/bin/again", ""], ["/proc/1/exe", "run"]] {
        // What says 125 here is our own program in the container, which has nothing to say there.
        let output = world.env.ctr(["run", "--rm", EVIL]).args(command).run();
        world.unharmed(&output);
        assert!(matches!(output.code(), 125..=127), "{output}");
    }
    let script = "for p in /proc/1/exe /proc/self/exe; do (echo x >>$p; cp /bin/busybox $p) 2>/dev/null; done; \
                  readlink /proc/1/exe; wc -c </proc/1/exe >/dev/null && (exec 3</proc/1/exe; echo x >>/proc/self/fd/3) 2>/dev/null";
    let output = world.survives(world.evil(["--init"], script));
    assert_eq!(output.stdout, "/memfd:ctr-init (deleted)\n", "{output}");
    // An image that calls itself by our name runs its own program.
    let entry = with(Layer::new()).set("Entrypoint", vec!["/proc/self/exe", "unshare"]);
    world.env.load(&entry);
    let output = world.env.ctr(["run", "--rm", EVIL]).run();
    world.unharmed(&output);
    assert!(matches!(output.code(), 125..=127), "{output}");
}

/// The image's variables mean nothing to the programs that start it.
#[test]
fn variables_of_an_image_do_not_steer_our_programs() {
    needs!(Userns);
    let world = World::new();
    let evil = [
        "LD_PRELOAD=/evil.so".to_owned(),
        "LD_LIBRARY_PATH=/".to_owned(),
        format!("HOME={}", world.prey("")),
        format!("XDG_RUNTIME_DIR={}", world.prey("")),
        format!("TMPDIR={}", world.prey("")),
        "PATH=/proc/self/cwd:.:/bin".to_owned(),
        "RUST_BACKTRACE=full".to_owned(),
        "CTR_BUILD_ID=other".to_owned(),
    ];
    world.env.load(&with(Layer::new().file("evil.so", 0o755, "bad")).set("Env", evil.to_vec()));
    let output = world.survives(world.evil(["--init"], "tr '\\0' '\\n' </proc/1/environ | wc -l"));
    assert_eq!(output.stderr, "", "{output}");
    assert_eq!(output.code(), 0, "{output}");
}

/// CVE-2022-0811 and its like.
#[test]
fn settings_are_only_those_of_the_container() {
    needs!(Userns);
    let world = World::new();
    for setting in [
        "kernel.core_pattern=|/bin/sh",
        "kernel/../../../x=1",
        "net.ipv4/../../../self/attr/current=x",
        "net..x=1",
        "net.ipv4.ip_forward",
        "=1",
        "vm.overcommit_memory=1",
        "kernel.shm_rmid_forced=1+kernel.core_pattern=x",
        "net.\u{1b}[31m=1",
    ] {
        let line = world.refuses(world.plain([format!("--sysctl={setting}")], "true"));
        assert!(line.contains("sysctl") || line.contains("/proc/sys"), "{setting}: {line}");
    }
    let read = "cat /proc/sys/net/ipv4/ip_forward";
    assert_eq!(world.survives(world.plain(["--sysctl=net.ipv4.ip_forward=1"], read)).success(), "1");
}

/// CVE-2025-31133, CVE-2025-52565.
#[test]
fn what_masks_is_not_the_image_s() {
    needs!(Userns);
    let world = World::new();
    let layer = ["null", "zero", "tty", "console", "ptmx"].iter();
    let layer =
        layer.fold(Layer::new(), |layer, name| layer.symlink(format!("dev/{name}"), world.prey("secret")));
    let layer = layer.symlink("dev/pts", world.prey("dir")).symlink("dev/shm", world.prey("dir"));
    world.image(layer.file("etc/hidden", 0o644, "shown").symlink("etc/veil", "hidden"));
    let script = "stat -c %t:%T /proc/keys /etc/hidden /dev/null; cat /proc/keys /etc/hidden";
    for flags in [vec![], vec!["-t"]] {
        let flags: Vec<&str> = flags.into_iter().chain(["--security-opt=mask=/etc/hidden"]).collect();
        let output = world.survives(world.evil(flags, script));
        assert_eq!(output.stdout.replace('\r', ""), "1:3\n1:3\n1:3\n", "{output}");
    }
    let line = world.refuses(world.evil(["--security-opt=mask=/etc/veil"], "true"));
    assert!(line.contains("/etc/veil"), "{line}");
    // In a volume, where somebody else could make it one at any time.
    let volume = shared(&world, "volume");
    symlink(world.prey("secret"), volume.join("veil")).expect("a link");
    let line = world.refuses(world.evil(["-v", &bind(&volume, "/v"), "--security-opt=mask=/v/veil"], "true"));
    assert!(line.contains("/v/veil"), "{line}");
}
