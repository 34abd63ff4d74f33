//! `ctr cp`: in, out, between, by archives; and what a hostile container can do about it.

use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use ctr_tests::env::Running;
use ctr_tests::{BUSYBOX, Env, needs};
use rustix::fs::{CWD, RenameFlags, renameat_with};

/// A container of this name that made something first.
fn idle<'a>(env: &'a Env, name: &str, flags: &[&str], script: &str) -> Running<'a> {
    let script = format!("{script}\necho ready\nexec sleep 1000");
    let mut running = env.shell(["--name", name].iter().chain(flags), &script).start();
    running.wait_for("ready\n");
    running
}

/// What a script prints in a container.
#[track_caller]
fn inside(env: &Env, name: &str, script: &str) -> String {
    env.ctr(["exec", name, "sh", "-c", script]).run().success().trim_end().to_owned()
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path).expect("a file")
}

#[test]
fn files_go_in_and_out_by_every_spelling() {
    needs!(Userns);
    let env = Env::with_busybox();
    let running = idle(&env, "c", &["-w", "/home"], "mkdir -p /srv /home/sub; echo c > /home/sub/out");
    let _file = env.file("in", "host\n");
    for (to, path) in [
        ("/", "/in"),
        ("/other", "/other"),
        ("/tmp", "/tmp/in"),
        ("/tmp/.", "/tmp/in"),
        ("/tmp/new", "/tmp/new"),
        (".", "/home/in"),
        ("./", "/home/in"),
        ("named", "/home/named"),
        ("sub", "/home/sub/in"),
    ] {
        env.ok(["cp", "./in", &format!("c:{to}")]);
        assert_eq!(inside(&env, "c", &format!("cat {path}; rm {path}")), "host", "{to}");
    }
    for (from, to, path) in [
        ("/home/sub/out", "./", "out"),
        ("sub/out", "./.", "out"),
        ("sub/out", "./fresh", "fresh"),
        ("/home/sub/out", "./fresh", "fresh"),
    ] {
        env.ok(["cp", &format!("c:{from}"), to]);
        assert_eq!(read(env.path(path)), "c\n", "{from} {to}");
    }
    let said = env.ctr(["cp", "./nothing", "c:/tmp"]).run().fails(125);
    assert!(said.contains("\"./nothing\" could not be found on the host"), "{said}");
    let said = env.ctr(["cp", "./in", "c:/nowhere/"]).run().fails(125);
    assert!(
        said.contains("\"/nowhere/\" could not be found on container c: no such file or directory"),
        "{said}"
    );
    let said = env.ctr(["cp", "c:/nowhere*", "."]).run().fails(125);
    assert!(said.contains("\"/nowhere*\" could not be found on container c"), "{said}");
    let said = env.ctr(["cp", "c:/home/sub/out", "/dev/stdout"]).run().fails(125);
    assert!(said.contains("\"/dev/stdout\" must be a directory or a regular file"), "{said}");
    let said = env.ctr(["cp", "./in", "./out"]).run().fails(125);
    assert!(said.contains("one of the two paths must be in a container"), "{said}");
    let said = env.ctr(["cp", "c:", "."]).run().fails(125);
    assert!(said.contains("you must specify paths"), "{said}");
    assert_eq!(env.ctr(["cp", "nobody:/x", "."]).run().code(), 125);
    env.ok(["rm", "-f", "-t", "0", "c"]);
    let _ended = running.finish();
}

#[test]
fn folders_go_in_and_out_by_every_spelling() {
    needs!(Userns);
    let env = Env::with_busybox();
    let running = idle(
        &env,
        "c",
        &[],
        "mkdir -p /srv/sub '/srv/dot.'; echo c > /srv/sub/file; ln -s .. /srv/sub/up; echo d > '/srv/dot./file'",
    );
    std::fs::create_dir_all(env.path("dir/sub")).expect("a folder");
    let _file = env.file("dir/sub/file", "host\n");
    for (from, to, path) in [
        ("./dir", "/", "/dir/sub/file"),
        ("./dir/", "/new", "/new/sub/file"),
        ("./dir/.", "/new2", "/new2/sub/file"),
        ("./dir/.", "/tmp", "/tmp/sub/file"),
        ("./dir/sub", "/tmp/x", "/tmp/x/file"),
    ] {
        env.ok(["cp", from, &format!("c:{to}")]);
        assert_eq!(inside(&env, "c", &format!("cat {path}")), "host", "{from} {to}");
    }
    for (from, to, path) in [
        ("/srv", "./a", "a/sub/file"),
        ("/srv", ".", "srv/sub/file"),
        ("/srv/.", "./b", "b/sub/file"),
        ("/srv/sub/.", ".", "file"),
        ("/srv/sub/up", "./e", "e/sub/file"),
    ] {
        env.ok(["cp", &format!("c:{from}"), to]);
        assert_eq!(read(env.path(path)), "c\n", "{from} {to}");
    }
    env.ok(["cp", "c:/srv/dot.", "./f"]);
    assert_eq!(read(env.path("f/file")), "d\n");
    assert_eq!(std::fs::read_link(env.path("a/sub/up")).expect("a link"), Path::new(".."));
    let said = env.ctr(["cp", "c:/etc/", "./file"]).run().fails(125);
    assert!(said.contains("destination must be a directory when copying a directory"), "{said}");
    // All of a container, without what is the kernel's.
    env.ok(["cp", "c:/", "./all"]);
    assert_eq!(read(env.path("all/srv/sub/file")), "c\n");
    assert!(!env.path("all/proc").exists() && !env.path("all/dev").exists());
    env.ok(["rm", "-f", "-t", "0", "c"]);
    let _ended = running.finish();
}

#[test]
fn owners_are_the_container_s_user_s_unless_they_are_kept() {
    needs!(Userns);
    let env = Env::with_busybox();
    let one = idle(&env, "one", &["-u", "1000:50"], "true");
    let two = idle(&env, "two", &[], "touch /tmp/f; chown 7:8 /tmp/f; chmod 4711 /tmp/f");
    let _file = env.file("in", "host");
    env.ok(["cp", "./in", "one:/tmp/a"]);
    env.ok(["cp", "-a=false", "./in", "one:/tmp/b"]);
    env.ok(["cp", "two:/tmp/f", "one:/tmp/c"]);
    env.ok(["container", "cp", "--archive=false", "two:/tmp/f", "one:/tmp/d"]);
    let shown = inside(&env, "one", "cd /tmp; stat -c '%u:%g %a' a b c d");
    assert_eq!(shown, "1000:50 644\n0:0 644\n1000:50 4711\n7:8 4711");
    env.ok(["cp", "two:/tmp/f", "./out"]);
    let out = std::fs::metadata(env.path("out")).expect("a file");
    assert_eq!((out.uid(), out.mode() & 0o7777), (rustix::process::getuid().as_raw(), 0o4711));
    env.ok(["rm", "-f", "-t", "0", "--all"]);
    let _ended = (one.finish(), two.finish());
}

#[test]
fn archives_come_from_standard_input_and_go_to_standard_output() {
    needs!(Userns);
    let env = Env::with_busybox();
    let running =
        idle(&env, "c", &[], "mkdir /tmp/d; echo text > /tmp/d/f; touch /tmp/file; chown 3:4 /tmp/d/f");
    let script = "tar -cz --owner=42 --group=43 dir";
    std::fs::create_dir(env.path("dir")).expect("a folder");
    let _file = env.file("dir/f", "host\n");
    let tar = env.program("sh", ["-c", script]).command().output().expect("tar").stdout;
    assert_eq!(env.ctr(["cp", "-", "c:/tmp"]).stdin(tar.clone()).run().code(), 0);
    env.ctr(["cp", "-a=false", "-", "c:/home/../root"]).stdin(tar.clone()).run().success();
    assert_eq!(inside(&env, "c", "stat -c %u:%g /tmp/dir/f /root/dir/f; cat /tmp/dir/f"), "0:0\n42:43\nhost");
    for (to, input, told) in [
        ("c:/tmp", &b"no archive"[..], "source must be a (compressed) tar archive"),
        ("c:/tmp/file", &tar, "destination must be a directory when copying from stdin"),
        ("c:/nowhere", &tar, "destination must be a directory when copying from stdin"),
    ] {
        let said = env.ctr(["cp", "-", to]).stdin(input).run().fails(125);
        assert!(said.contains(told), "{to}: {said}");
    }
    let list = |from: &str| {
        let out = env.ctr(["cp", from, "-"]).command().output().expect("ctr").stdout;
        env.program("tar", ["--numeric-owner", "-tvf", "-"]).stdin(out).run().success()
    };
    let shown = list("c:/tmp/d");
    assert!(shown.contains("3/4") && shown.contains(" d/f"), "{shown}");
    assert!(list("c:/tmp/d/.").contains(" ./f"));
    assert!(list("c:/tmp/file").ends_with(" file"));
    env.ok(["rm", "-f", "-t", "0", "c"]);
    let _ended = running.finish();
}

#[test]
fn files_are_replaced_by_folders_only_when_that_is_said() {
    needs!(Userns);
    let env = Env::with_busybox();
    let one = idle(&env, "one", &[], "mkdir /tmp/foo; echo x > /tmp/foo/file");
    let two = idle(&env, "two", &[], "echo y > /tmp/foo");
    for (from, to) in [("one", "two"), ("two", "one")] {
        let said = env.ctr(["cp", &format!("{from}:/tmp/foo"), &format!("{to}:/tmp")]).run().fails(125);
        assert!(said.contains("error creating \"/tmp/foo\":") && said.contains("file exists"), "{said}");
    }
    env.ok(["cp", "--overwrite", "two:/tmp/foo", "one:/tmp"]);
    assert_eq!(inside(&env, "one", "cat /tmp/foo"), "y");
    std::fs::create_dir(env.path("foo")).expect("a folder");
    let said = env.ctr(["cp", "two:/tmp/foo", "."]).run().fails(125);
    assert!(said.contains("error creating \"/foo\":"), "{said}");
    env.ok(["cp", "--overwrite", "two:/tmp/foo", "."]);
    assert_eq!(read(env.path("foo")), "y\n");
    env.ok(["rm", "-f", "-t", "0", "--all"]);
    let _ended = (one.finish(), two.finish());
}

#[test]
fn what_is_mounted_is_reached_and_files_that_are_mounted_are_written() {
    needs!(Userns);
    let env = Env::with_busybox();
    std::fs::create_dir(env.path("bound")).expect("a folder");
    let _file = env.file("single", "old");
    let bind = format!("{}:/data", env.path("bound").display());
    let single = format!("{}:/single", env.path("single").display());
    let running = idle(&env, "c", &["-v", &bind, "-v", &single, "--tmpfs", "/mem"], "true");
    let _file = env.file("in", "host");
    env.ok(["cp", "./in", "c:/data/"]);
    assert_eq!(read(env.path("bound/in")), "host");
    env.ok(["cp", "./in", "c:/mem"]);
    assert_eq!(inside(&env, "c", "cat /mem/in"), "host");
    env.ok(["cp", "./in", "c:/single"]);
    assert_eq!(read(env.path("single")), "host");
    env.ok(["cp", "./in", "c:/etc/hosts"]);
    assert_eq!(inside(&env, "c", "cat /etc/hosts; grep -c ' /etc/hosts ' /proc/self/mounts"), "host1");
    // What is bound is not emptied, and not unbound.
    let said = env.ctr(["cp", "--overwrite", "./in", "c:/data"]).run();
    assert_eq!(said.code(), 0, "{said}");
    let _other = env.file("data", "file");
    let said = env.ctr(["cp", "--overwrite", "./data", "c:/"]).run().fails(125);
    assert!(said.contains("EBUSY"), "{said}");
    assert_eq!(read(env.path("bound/in")), "host");
    env.ok(["rm", "-f", "-t", "0", "c"]);
    let _ended = running.finish();
}

/// The root of a container that is not started is mounted for the copy, and its binds and volumes on it.
#[test]
fn containers_that_do_not_run_are_copied_to_and_from() {
    needs!(Userns);
    let env = Env::with_busybox();
    std::fs::create_dir(env.path("bound")).expect("a folder");
    let _file = env.file("in", "host");
    let bind = format!("{}:/vol/bind", env.path("bound").display());
    let script = "cat /etc/in /mem/in; echo made > /tmp/made; exec sleep 1000";
    let rest = ["-v", "v:/vol", "-v", &bind, "--tmpfs", "/mem", BUSYBOX, "sh", "-c", script];
    env.ok([&["create", "--name", "c"][..], &rest].concat());
    for to in ["c:/etc/", "c:/mem", "c:/vol/in", "c:/vol/bind"] {
        env.ok(["cp", "./in", to]);
    }
    assert_eq!(read(env.path("bound/in")), "host");
    let volume = env.store().join("volumes/v/_data");
    assert_eq!(read(volume.join("in")), "host");
    // What had to be made for a mount is gone with it.
    assert_eq!(std::fs::read_dir(&volume).expect("a folder").count(), 1);
    // Within one container, which is held once.
    env.ok(["cp", "c:/etc/in", "c:/tmp/again"]);
    assert_eq!(env.ok(["ps", "-a", "--format", "{{.State}}"]), "created");
    env.ok(["start", "c"]);
    assert_eq!(
        inside(&env, "c", "cat /etc/in /mem/in /tmp/again /vol/in /vol/bind/in"),
        "hosthosthosthosthost"
    );
    env.ok(["stop", "-t", "0", "c"]);
    env.ok(["cp", "c:/tmp", "./out"]);
    assert_eq!(read(env.path("out/made")), "made\n");
    env.ok(["create", "--name", "d", BUSYBOX]);
    env.ok(["cp", "c:/tmp/made", "d:/"]);
    env.ok(["cp", "d:/made", "./made"]);
    assert_eq!(read(env.path("made")), "made\n");
    env.ok(["rm", "c", "d"]);
}

#[test]
fn a_container_that_does_not_run_keeps_its_ids_and_what_is_read_only() {
    needs!(Userns);
    let env = Env::with_busybox();
    let _file = env.file("in", "host");
    std::fs::create_dir(env.path("bound")).expect("a folder");
    let flags = ["--userns", "keep-id", "-v", &format!("{}:/new/bound:ro", env.path("bound").display())];
    env.ok([&["create", "--name", "c"][..], &flags, &[BUSYBOX, "sleep", "1000"]].concat());
    env.ok(["cp", "./in", "c:/tmp/in"]);
    let said = env.ctr(["cp", "./in", "c:/new/bound/"]).run().fails(125);
    assert!(said.contains("EROFS") || said.contains("Read-only file system"), "{said}");
    env.ok(["start", "c"]);
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    assert_eq!(inside(&env, "c", "stat -c %u:%g /tmp/in /new"), format!("{uid}:{gid}\n0:0"));
    env.ok(["rm", "-f", "-t", "0", "c"]);
}

#[test]
fn a_container_that_shares_ids_has_them_before_its_first_start() {
    needs!(Userns);
    let env = Env::with_busybox();
    let _file = env.file("in", "host");
    for ids in ["keep-id", "auto:size=2000"] {
        env.ok(["create", "--name", "base", "--userns", ids, BUSYBOX, "sleep", "1000"]);
        for (name, flag) in [("ids", "--userns=container:base"), ("ipc", "--ipc=container:base")] {
            env.ok(["create", "--name", name, flag, BUSYBOX, "sleep", "1000"]);
            env.ok(["cp", "./in", &format!("{name}:/tmp/in")]);
        }
        // Both held at once.
        env.ok(["cp", "ids:/tmp/in", "base:/tmp/in"]);
        for name in ["ids", "ipc"] {
            env.ok(["start", name]);
            assert_eq!(inside(&env, name, "stat -c %u:%g / /bin"), "0:0\n0:0", "{ids} {name}");
            assert_eq!(inside(&env, name, "stat -c %u /tmp/in"), "0", "{ids} {name}");
        }
        env.ok(["rm", "-f", "--depend", "-t", "0", "base"]);
    }
}

/// Class F: links of the container's lead nowhere but into the container, in either direction.
#[test]
fn links_of_a_container_stay_inside() {
    needs!(Userns);
    let env = Env::with_busybox();
    let secret = env.file("secret", "secret");
    let script = format!(
        "ln -s {0} /tmp/bad; ln -s / /tmp/top; mkdir /tmp/out; ln -s {1} /tmp/out/d; ln -s nowhere /tmp/dangling; mkfifo /tmp/pipe",
        secret.display(),
        env.root().display()
    );
    let running = idle(&env, "c", &[], &script);
    let said = env.ctr(["cp", "c:/tmp/bad", "./got"]).run().fails(125);
    assert!(said.contains("could not be found on container c"), "{said}");
    assert!(!env.path("got").exists());
    let _file = env.file("in", "host");
    env.ok(["cp", "./in", "c:/tmp/top/tmp/through"]);
    assert_eq!(inside(&env, "c", "cat /tmp/through"), "host");
    // As a shell's redirection would, into what the link names.
    env.ok(["cp", "./in", "c:/tmp/dangling"]);
    assert_eq!(inside(&env, "c", "cat /tmp/nowhere"), "host");
    // A link of the host's stands where the container has a folder: nothing goes through it.
    std::fs::create_dir(env.path("target")).expect("a folder");
    std::fs::create_dir_all(env.path("dest/out")).expect("a folder");
    symlink(env.path("target"), env.path("dest/out/d")).expect("a link");
    env.ok(["exec", "c", "sh", "-c", "rm /tmp/out/d; mkdir /tmp/out/d; touch /tmp/out/d/planted"]);
    let said = env.ctr(["cp", "c:/tmp/out", "./dest"]).run().fails(125);
    assert!(said.contains("error creating \"/out/d\""), "{said}");
    assert!(!env.path("target/planted").exists());
    let said = env.ctr(["cp", "c:/tmp/pipe", "."]).run().fails(125);
    assert!(said.contains("neither a file nor a directory"), "{said}");
    env.ok(["rm", "-f", "-t", "0", "c"]);
    let _ended = running.finish();
}

/// CVE-2018-15664: a folder becomes a link, and a folder again, while files are copied through it. The folder is one that
/// the host shares, since there a thread of ours can swap the two at every moment, which no shell in the container could.
#[test]
fn a_racing_swapper_gains_nothing() {
    needs!(Userns);
    let env = Env::with_busybox();
    let outside = env.path("outside");
    std::fs::create_dir(&outside).expect("a folder");
    std::fs::write(outside.join("f"), "secret").expect("a file");
    let shared = env.path("shared");
    std::fs::create_dir_all(shared.join("d")).expect("a folder");
    std::fs::write(shared.join("d/f"), "mine").expect("a file");
    symlink(&outside, shared.join("l")).expect("a link");
    let running = idle(&env, "c", &["-v", &format!("{}:/t", shared.display())], "true");
    let _file = env.file("in", "host");
    let is_over = AtomicBool::new(false);
    let stolen = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let (from, to) = (shared.join("d"), shared.join("l"));
                let swapped = renameat_with(CWD, &from, CWD, &to, RenameFlags::EXCHANGE);
                swapped.expect("two names that are there");
            }
        });
        let others = (0..40).map(|number| {
            // It may well not be there just then.
            let _in = env.ctr(["cp", "./in", "c:/t/d/planted"]).run();
            let to = format!("./got{number}");
            env.ctr(["cp", "c:/t/d/f", &to]).run().code() == 0 && read(env.path(&to)) != "mine"
        });
        let stolen = others.filter(|is_other| *is_other).count();
        is_over.store(true, Ordering::Relaxed);
        stolen
    });
    assert_eq!(stolen, 0, "something got out");
    assert_eq!(std::fs::read_dir(&outside).expect("a folder").count(), 1, "something got outside");
    env.ok(["rm", "-f", "-t", "0", "c"]);
    let _ended = running.finish();
}

#[test]
fn one_that_is_thrown_away_has_what_was_copied_into_it() {
    needs!(Userns);
    let env = Env::with_busybox();
    let _file = env.file("in", "copied");
    env.ok(["create", "--rm", "--name", "c", BUSYBOX, "cat", "/first", "/second"]);
    env.ok(["cp", "./in", "c:/first"]);
    env.ok(["cp", "./in", "c:/second"]);
    let output = env.ctr(["start", "--attach", "c"]).run();
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("copiedcopied", ""), "{output}");
}
