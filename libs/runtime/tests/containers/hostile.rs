//! Roots and images that mean harm: the classes of CVEs of `pains.md` §3 that a start can fall for.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::SealFlags;
use serde_json::json;

use crate::harness::{Container, container, own};

/// Class A, CVE-2019-5736: a container that runs `/proc/self/exe` gets `ctr-init` from a sealed memory file.
///
/// Guards: the memory file, its seals, and the kernel's own refusal to write to what runs.
#[test]
fn userns_the_program_that_starts_a_container_is_out_of_reach() {
    let Some(mut container) = container("") else { return };
    container.process()["args"] = json!(["/proc/self/exe"]);
    container.run().refused(125, "");
    let trap = container.root().join("bin/again");
    fs::write(&trap, "#!/proc/self/exe\n").unwrap();
    fs::set_permissions(&trap, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    container.process()["args"] = json!(["/bin/again"]);
    let outcome = container.run();
    assert_ne!(outcome.code, Some(0), "{outcome:#?}");

    container.request["init"] = json!(true);
    let script = "readlink /proc/1/exe; (echo x >>/proc/1/exe) 2>/dev/null || echo refused; \
                  (echo x >/proc/1/exe) 2>/dev/null || echo refused";
    container.process()["args"] = json!(["sh", "-c", script]);
    assert_eq!(container.run().lines(), ["/memfd:ctr-init (deleted)", "refused", "refused"]);

    container.process()["args"] = json!(["sh", "-c", "sleep 1000"]);
    let started = container.start();
    let init = fs::File::open(format!("/proc/{}/exe", started.pid)).unwrap();
    let seals = rustix::fs::fcntl_get_seals(&init).unwrap();
    let all = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    assert_eq!(seals, all);
    started.signal("KILL");
    assert_eq!(started.end().code, Some(137));
}

/// Class B, CVE-2024-21626: a descriptor of the launcher's caller does not arrive, and is no working directory.
///
/// Shown to fail: without `Step::Close` the descriptors are listed (10, 251, …); with magic links followed in
/// `rooted::find` and without `is_inside_root`, the container starts with a directory of the host's as its own.
#[test]
fn userns_no_descriptor_of_the_host_arrives() {
    let Some(mut container) =
        container("ls /proc/self/fd; ls -l /proc/self/fd | grep -v -e pipe: -e /proc/ | wc -l")
    else {
        return;
    };
    let host = container.host("secret");
    container.request["leaked"] = json!([host, host, host]);
    let outcome = container.run();
    // The fourth is how ls reads the directory; the last line counts what is no pipe: the title, and that.
    assert_eq!(outcome.lines(), ["0", "1", "2", "3", "2"]);
    for number in (3..24).chain([100, 1023]) {
        for path in [format!("/proc/self/fd/{number}"), format!("/proc/1/fd/{number}")] {
            container.process()["cwd"] = json!(path);
            let outcome = container.run();
            outcome.refused(125, "cannot change to the directory /proc/");
        }
    }
}

/// Class B: what is handed over on purpose arrives under its number, and nothing else does.
///
/// Shown to fail: without `Step::Close` the command runs.
#[test]
fn userns_a_preserved_descriptor_that_is_not_open_is_refused() {
    let Some(mut container) = container("true") else { return };
    // Whatever has the number by then is one of ours.
    for number in [3, 4, 5, 200] {
        container.request["preserved"] = json!([number]);
        container.run().refused(125, "cannot close descriptors: Bad file descriptor");
    }
}

/// Class C, CVE-2026-41579, CVE-2026-47766: a link in the place of one of the kernel's trees.
///
/// Shown to fail: with `plain: false` for the three, the container starts.
#[test]
fn userns_linked_kernel_trees_are_refused() {
    for name in ["proc", "sys", "dev"] {
        for target in ["/etc", "etc", "../../../../etc", "/nothing", "/proc/self/root"] {
            let Some(container) = container("true") else { return };
            let place = container.root().join(name);
            fs::remove_dir(&place).unwrap();
            symlink(target, &place).unwrap();
            let message = format!("cannot mount on /{name}: Too many levels of symbolic links");
            container.run().refused(125, &message);
        }
    }
}

/// Class C, CVE-2021-30465, CVE-2024-45310: links in the way of a mount's target stay inside the root, absolute ones too.
///
/// Shown to fail: without the resolution flags of `rooted::find`, and with pivot_root put off until the mounts are made,
/// the canary on the host gets an entry. Either guard alone holds.
#[test]
fn userns_links_in_mount_targets_end_inside_the_root() {
    let Some(mut container) = container("find /in /var -type f | sort; cat /a/b/file") else { return };
    let canary = container.host("canary");
    let data = container.host("data");
    fs::write(data.join("file"), "mounted\n").unwrap();
    let root = container.root();
    symlink(&canary, root.join("absolute")).unwrap();
    symlink(format!("../../../../../..{}", canary.display()), root.join("relative")).unwrap();
    fs::create_dir_all(root.join("run")).unwrap();
    fs::create_dir_all(root.join("in")).unwrap();
    symlink("/in/var", root.join("var")).unwrap();
    symlink("/in/dangling/deep", root.join("dangling")).unwrap();
    symlink("/proc/self/cwd", root.join("magic")).unwrap();
    for target in ["/absolute/x", "/relative/y", "/var/z", "/dangling/w", "/a/b"] {
        container.mount(target, "bind", &data, &["rbind", "rprivate"]);
    }
    let outcome = container.run();
    assert_eq!(fs::read_dir(&canary).unwrap().count(), 0, "something was made on the host");
    let expected = ["/in/dangling/deep/w/file", "/in/var/z/file", "mounted"];
    assert_eq!(outcome.lines(), expected, "{outcome:#?}");

    container.mount("/magic/v", "bind", &data, &["rbind"]);
    let outcome = container.run();
    assert_eq!(fs::read_dir(&canary).unwrap().count(), 0);
    assert!(!Path::new("/v").exists(), "{outcome:#?}");
}

/// Until the old root is unmounted it lies on the new one, where `..` would end: what is mounted, filled, made or masked
/// on a path that climbs to the root is in it all the same.
#[test]
fn userns_a_path_that_climbs_to_the_root_ends_in_it() {
    let Some(mut container) = container(
        "cat /run/by-link/file /run/by-name/file /etc/at-root/file; ls /seed /made; cat /etc/hidden; \
         grep -c ' /seed ' /proc/self/mountinfo",
    ) else {
        return;
    };
    let data = container.host("data");
    fs::write(data.join("file"), "mounted\n").unwrap();
    let root = container.root();
    for folder in ["run", "var", "seed/old", "a/b"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    symlink("../run", root.join("var/run")).unwrap();
    symlink("../../../../etc", root.join("a/b/up")).unwrap();
    fs::write(root.join("etc/hidden"), "secret").unwrap();
    for target in ["/var/run/by-link", "/var/../run/by-name", "/a/b/up/at-root", "/var/run/../made/deep"] {
        container.mount(target, "bind", &data, &["rbind", "rprivate"]);
    }
    container.mount("/var/../seed", "tmpfs", Path::new("tmpfs"), &["tmpcopyup"]);
    container.linux()["maskedPaths"].as_array_mut().unwrap().push(json!("/var/../etc/hidden"));
    let outcome = container.run();
    let expected = ["mounted", "mounted", "mounted", "/made:", "deep", "", "/seed:", "old", "1"];
    assert_eq!(outcome.lines(), expected, "{outcome:#?}");
}

/// Class C, CVE-2021-30465 as it was: somebody swaps a directory of a shared volume for a link while it is walked.
///
/// Shown to fail: as above; `made` appears on the host within the 25 starts.
#[test]
fn userns_a_swapped_directory_leads_nowhere() {
    let Some(mut container) = container("cat /volume/swap/in/file 2>/dev/null; true") else { return };
    let canary = container.host("canary");
    fs::create_dir(canary.join("in")).unwrap();
    let volume = container.host("volume");
    let data = container.host("data");
    fs::write(data.join("file"), "mounted\n").unwrap();
    fs::create_dir_all(volume.join("swap/in")).unwrap();
    symlink(&canary, volume.join("link")).unwrap();
    container.mount("/volume", "bind", &volume, &["rbind", "rprivate"]);
    container.mount("/volume/swap/in", "bind", &data, &["rbind", "rprivate"]);
    container.mount("/volume/swap/made", "bind", &data, &["rbind", "rprivate"]);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let folder = fs::File::open(&volume).unwrap();
            while !done.load(Ordering::Relaxed) {
                let exchange = rustix::fs::RenameFlags::EXCHANGE;
                rustix::fs::renameat_with(&folder, "swap", &folder, "link", exchange).unwrap();
            }
        });
        let _stop = Stop(&done);
        for _ in 0..25 {
            let outcome = container.run();
            // Either it was a directory when it was looked at, or the start failed; both are fine.
            assert!(matches!(outcome.code, Some(0 | 125)), "{outcome:#?}");
        }
    });
    let names: Vec<_> = fs::read_dir(&canary).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["in"], "something was made on the host");
    assert_eq!(fs::read_dir(canary.join("in")).unwrap().count(), 0);
}

/// Ends the swapper, also when the test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Class D, CVE-2019-16884, CVE-2019-19921, CVE-2025-52881: settings are written to a procfs nobody else has.
///
/// Guards: the order of the plan, which the golden tests of `plan` show; no mount in /proc; and the last, below.
#[test]
fn userns_settings_reach_the_kernel_whatever_the_root_has() {
    let Some(mut container) = container("cat /proc/sys/net/ipv4/ip_forward") else { return };
    let fake = container.root().join("proc/sys/net/ipv4");
    fs::create_dir_all(&fake).unwrap();
    fs::write(fake.join("ip_forward"), "untouched").unwrap();
    container.linux()["sysctl"] = json!({"net.ipv4.ip_forward": "1"});
    assert_eq!(container.run().lines(), ["1"]);
    assert_eq!(fs::read_to_string(fake.join("ip_forward")).unwrap(), "untouched");
    for place in ["/proc", "/proc/", "/proc/self/attr", "/proc/sys/net", "/proc/1"] {
        let data = container.host("data");
        let mut container = container.sibling("true");
        container.mount(place, "bind", &data, &["rbind"]);
        container.run().refused(125, "inside the kernel's own file system");
    }
    for place in ["/in/sys/net", "/in", "/deep/attr", "/etc/../proc/self/attr"] {
        let data = container.host("data");
        let mut container = container.sibling("true");
        symlink("proc", container.root().join("in")).unwrap();
        symlink("/proc/self", container.root().join("deep")).unwrap();
        container.mount(place, "bind", &data, &["rbind"]);
        container.run().refused(125, &format!("cannot mount on {place}: Too many levels of symbolic links"));
    }
}

/// A container that is started in another: what that one has is the host's to the inner one.
fn nested(script: &str) -> Option<(Container, Container)> {
    let inner = container(script)?;
    let mut outer = inner.sibling("");
    outer.request["root"] = json!("/");
    let all: Vec<String> = ctr_runtime::caps::Cap::ALL.iter().map(|cap| cap.name().to_owned()).collect();
    outer.process()["capabilities"] = json!({"bounding": all, "effective": all, "permitted": all});
    let request = inner.host("request").join("inner");
    outer.process()["args"] = json!([env!("CARGO_BIN_EXE_runtime-probe"), request]);
    outer.process()["env"] = json!(["PATH=/usr/bin:/bin"]);
    outer.linux()["readonlyPaths"] = json!([]);
    Some((inner, outer))
}

/// Writes the request of the inner container, where the outer one finds it.
fn hand_in(inner: &Container) {
    fs::write(inner.host("request").join("inner"), inner.request.to_string()).unwrap();
    inner.hand_over();
}

/// Class D: where the outer /proc has to serve, a file that is mounted in it is not written to.
#[test]
fn userns_settings_are_written_to_procfs_only() {
    let Some((mut inner, mut outer)) = nested("true") else { return };
    let fake = outer.host("fake").join("ns_last_pid");
    fs::write(&fake, "untouched").unwrap();
    outer.mount("/proc/sys/kernel/ns_last_pid", "bind", &fake, &["bind", "private"]);
    inner.linux()["sysctl"] = json!({"kernel.ns_last_pid": "7"});
    hand_in(&inner);
    let outcome = outer.run();
    assert_eq!(fs::read_to_string(&fake).unwrap(), "untouched", "{outcome:#?}");
    let message = "cannot write `7` to /proc/sys/kernel/ns_last_pid: Invalid cross-device link";
    outcome.refused(125, message);
}

/// Class E: a null device that is none masks nothing.
#[test]
fn userns_what_masks_has_the_number_of_the_null_device() {
    let Some((inner, mut outer)) = nested("cat /proc/keys") else { return };
    let fake = outer.host("fake").join("null");
    fs::write(&fake, "not null").unwrap();
    outer.mount("/dev/null", "bind", &fake, &["bind", "private"]);
    hand_in(&inner);
    outer.run().refused(125, "/dev/null: No such device");
}

/// Class E: a volume on the whole of /dev has its own null; masks are still made of ours.
#[test]
fn userns_a_volume_on_dev_does_not_say_what_masks() {
    let Some(mut container) = container("stat -c '%F %t:%T' /etc/hidden; cat /etc/hidden /dev/null") else {
        return;
    };
    let dev = container.host("dev");
    fs::write(dev.join("null"), "the volume's\n").unwrap();
    fs::write(container.root().join("etc/hidden"), "secret").unwrap();
    container.mounts().retain(|mount| !mount["destination"].as_str().unwrap().starts_with("/dev"));
    container.mount("/dev", "bind", &dev, &["rbind", "rprivate"]);
    container.linux()["maskedPaths"].as_array_mut().unwrap().push(json!("/etc/hidden"));
    assert_eq!(container.run().lines(), ["character special file 1:3", "the volume's"]);
}

/// Class E, CVE-2025-31133: what masks is the host's null device, whatever the image has in its place.
///
/// Guard: `Step::Copy` takes the host's node before the image's tree is there.
#[test]
fn userns_masks_are_made_of_our_own_device() {
    let Some(mut container) = container(
        "stat -c '%F %t:%T' /proc/keys /proc/timer_list; cat /proc/keys /etc/hidden; ls -A /proc/acpi /etc/secret; \
         (touch /etc/secret/x) 2>/dev/null || echo read-only; cat /etc/shown",
    ) else {
        return;
    };
    let root = container.root();
    fs::write(root.join("dev/null"), "the image's").unwrap();
    fs::write(root.join("etc/hidden"), "secret").unwrap();
    fs::write(root.join("etc/shown"), "shown\n").unwrap();
    fs::create_dir_all(root.join("etc/secret/deep")).unwrap();
    let paths = container.linux()["maskedPaths"].as_array_mut().unwrap();
    paths.extend([json!("/etc/hidden"), json!("/etc/secret"), json!("/etc/nothing")]);
    let outcome = container.run();
    let lines = outcome.lines();
    assert_eq!(lines[..2], ["character special file 1:3"; 2]);
    assert_eq!(
        lines[2..],
        ["/etc/secret:", "", "/proc/acpi:", "read-only", "shown"].map(|line| line),
        "{outcome:#?}"
    );
}

/// Class E: an image that makes a path to mask a link would say itself what is masked.
///
/// Shown to fail: with links followed in `find_if_there`, the container starts and `/etc/target` is what is hidden. (So it
/// did with O_NOFOLLOW beside RESOLVE_NO_SYMLINKS, which lets O_PATH open the link itself.)
#[test]
fn userns_a_linked_path_is_not_masked_elsewhere() {
    let Some(mut container) = container("cat /etc/target") else { return };
    fs::write(container.root().join("etc/target"), "shown\n").unwrap();
    symlink("target", container.root().join("etc/hidden")).unwrap();
    container.linux()["maskedPaths"].as_array_mut().unwrap().push(json!("/etc/hidden"));
    container.run().refused(125, "cannot mask /etc/hidden: Too many levels of symbolic links");
}

/// Class F and the trap of stacked roots: nothing of the host's tree is left below or above the root.
///
/// Shown to fail: with one unmount less in `depart`, which is how it was at first, `..` of a mount led to the host's root;
/// the check there now refuses that start.
#[test]
fn userns_the_root_is_the_only_tree() {
    let Some(mut container) = container(
        "cd /dev/..; stat -c %i . / /.. /proc/..; cd /; (umount / 2>/dev/null); (mount --bind / / 2>/dev/null); \
         stat -c %i / /tmp/..",
    ) else {
        return;
    };
    own(&container.root(), fs::metadata(container.root()).unwrap().uid());
    let inode = fs::metadata(container.root()).unwrap().ino().to_string();
    let outcome = container.run();
    let lines = outcome.lines();
    assert!(lines.iter().all(|line| *line == inode), "{outcome:#?}");
    // With every capability in its own namespace there is still nothing to unmount down to.
    let all: Vec<String> = ctr_runtime::caps::Cap::ALL.iter().map(|cap| cap.name().to_owned()).collect();
    container.process()["capabilities"] = json!({"bounding": all, "effective": all, "permitted": all});
    let script =
        "umount -l / 2>/dev/null; umount -l /dev/pts /dev /sys/fs/cgroup /sys; stat -c %i /; ls -d /usr";
    container.process()["args"] = json!(["/bin/busybox", "sh", "-c", script]);
    let outcome = container.run();
    assert!(!outcome.out.contains("/usr"), "{outcome:#?}");
}
