//! Class C with a race: somebody swaps directories for links, over and over, while containers are started on them.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use ctr_tests::needs;
use rustix::fs::RenameFlags;

use crate::canary::{World, bind, shared};

/// How often a start is tried against a swapper. Without guards a handful is enough.
const STARTS: usize = 15;

/// Swaps two names in a directory until it is dropped.
fn swapping<T>(folder: &Path, pairs: &[(&str, &str)], work: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let folder = std::fs::File::open(folder).expect("the folder");
            while !done.load(Ordering::Relaxed) {
                for (one, other) in pairs {
                    // A start may have made or removed one meanwhile.
                    rustix::fs::renameat_with(&folder, *one, &folder, *other, RenameFlags::EXCHANGE).ok();
                }
            }
        });
        let _stop = Stop(&done);
        work()
    })
}

/// Ends the swapper, also when the test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// CVE-2021-30465: targets of mounts in a volume that another container shares.
#[test]
fn a_swapped_directory_of_a_volume_leads_nowhere() {
    needs!(Userns);
    let world = World::new();
    let volume = shared(&world, "volume");
    let data = shared(&world, "data");
    std::fs::create_dir_all(volume.join("swap/in")).expect("directories");
    symlink(world.canary(), volume.join("link")).expect("a link");
    let mounted = [bind(&volume, "/v"), bind(&data, "/v/swap/in"), bind(&data, "/v/swap/made/deep")];
    let flags = mounted.iter().flat_map(|volume| ["-v", volume]);
    let more = ["--tmpfs=/v/swap/tmp", "--mount=type=tmpfs,dst=/v/swap/dir,tmpcopyup", "-w", "/v/swap/work"];
    let flags: Vec<_> = flags.chain(more).collect();
    swapping(&volume, &[("swap", "link")], || {
        for _ in 0..STARTS {
            let output = world.survives(
                world.plain(&flags, "cat /v/swap/secret /v/swap/in/* ./secret; ls; echo bad >file"),
            );
            assert!(matches!(output.code(), 0 | 1 | 125 | 126), "{output}");
        }
    });
}

/// The same from the inside: a container that is running swaps what another one is started on.
#[test]
fn a_container_that_swaps_its_volume_gains_nothing() {
    needs!(Userns);
    let world = World::new();
    let volume = shared(&world, "volume");
    let data = shared(&world, "data");
    let script = format!(
        "mkdir /v/swap; ln -s {} /v/b; echo ready; exec 2>/dev/null; \
         while :; do mv -T /v/swap /v/a; mv -T /v/b /v/swap; mv -T /v/swap /v/b; mv -T /v/a /v/swap; done",
        world.prey("")
    );
    let shared = bind(&volume, "/v");
    let mut swapper = world.plain(["-v", &shared], &script).start();
    let _said = swapper.wait_for("ready\n");
    let into = bind(&data, "/v/swap/in");
    for _ in 0..STARTS {
        let flags = ["-v", &shared, "-v", &into, "--tmpfs=/v/swap/tmp", "-w", "/v/swap/work"];
        let _done = world.survives(world.plain(flags, "cat /v/swap/secret ./secret ../secret"));
    }
    swapper.signal(rustix::process::Signal::KILL);
    world.unharmed(&swapper.finish());
}

/// `--rootfs`: the root itself is a directory that others can write to.
#[test]
fn a_root_whose_directories_are_swapped_leads_nowhere() {
    needs!(Userns);
    let world = World::new();
    let root = shared(&world, "root");
    for dir in ["bin", "etc", "dev", "proc", "sys", "tmp", "run", "w"] {
        std::fs::create_dir(root.join(dir)).expect("a directory");
    }
    std::fs::write(root.join("bin/busybox"), ctr_tests::image::busybox_program()).expect("busybox");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(root.join("bin/busybox"), executable).expect("a mode");
    symlink("busybox", root.join("bin/sh")).expect("a link");
    symlink("busybox", root.join("bin/cat")).expect("a link");
    std::fs::write(root.join("etc/passwd"), "root:x:0:0::/:/bin/sh\n").expect("a file");
    std::fs::write(root.join("etc/group"), "root:x:0:\n").expect("a file");
    let pairs = ["etc", "dev", "proc", "sys", "run", "w"].map(|name| (name, format!("{name}.link")));
    for (name, link) in &pairs {
        let prey = if *name == "etc" { "etc" } else { "dir" };
        symlink(world.canary().join(prey), root.join(link)).expect("a link");
    }
    let pairs: Vec<_> = pairs.iter().map(|(name, link)| (*name, link.as_str())).collect();
    swapping(&root, &pairs, || {
        for _ in 0..STARTS {
            let flags = ["run", "--rm", "-u", "4242", "--tmpfs=/run/t", "-w", "/w/new", "--rootfs"];
            let script = "cat /etc/passwd /etc/hosts /w/file; echo bad >/w/file";
            let _done = world.survives(world.env.ctr(flags).args([&root]).args(["/bin/sh", "-c", script]));
        }
    });
}

/// Class F (CVE-2023-0778): what is read of a container or a volume is its own, though directories become links meanwhile.
/// The files are those of the store, which a thread of ours swaps faster than a container could.
#[test]
fn what_is_read_of_a_swapped_container_or_volume_is_its_own() {
    needs!(Userns);
    let world = World::new();
    let env = &world.env;
    let script = format!("mkdir /d && echo mine >/d/file && ln -s {} /l", world.prey("dir"));
    let _created = env.ok(["run", "--name", "c", ctr_tests::BUSYBOX, "sh", "-c", &script]);
    let upper = env.store().join("containers").join(env.ok(["ps", "-aq", "--no-trunc"])).join("upper");
    let _name = env.ok(["volume", "create", "v"]);
    let data = env.ok(["volume", "inspect", "--format", "{{.Mountpoint}}", "v"]);
    let data = Path::new(&data);
    std::fs::create_dir(data.join("d")).expect("a directory");
    std::fs::write(data.join("d/file"), "mine").expect("a file");
    symlink(world.canary().join("dir"), data.join("l")).expect("a link");
    // To stdout, which is looked through.
    let verbs: &[&[&str]] = &[
        &["diff", "c"],
        &["export", "c"],
        &["cp", "c:/d/file", "-"],
        &["cp", "c:/d", "-"],
        &["volume", "export", "v"],
        &["commit", "-q", "c", "localhost/got"],
        &["run", "--rm", "localhost/got", "cat", "/d/file", "/l/file"],
    ];
    swapping(&upper, &[("d", "l")], || {
        swapping(data, &[("d", "l")], || {
            for verb in verbs.iter().cycle().take(8 * verbs.len()) {
                let output = world.survives(env.ctr(verb.iter()));
                assert!(matches!(output.code(), 0 | 1 | 125), "{output}");
            }
        });
    });
}
