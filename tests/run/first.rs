//! The first container, and the global options.

use ctr_tests::image::Image;
use ctr_tests::{BUSYBOX, Env, needs};

/// The program carries this image.
#[test]
fn hello_runs_in_an_empty_store() {
    needs!(Userns);
    let env = Env::new();
    let said = env.ok(["run", "--rm", "localhost/hello"]);
    assert!(said.starts_with("Hello from a container!"), "{said}");
    assert!(env.ok(["run", "--rm", "localhost/hello:latest"]).starts_with("Hello"));
}

/// Who unpacks is a grandchild: what stops it is told once, in our words.
#[test]
fn what_stops_the_unpacking_is_said_once() {
    needs!(Userns);
    let env = Env::new();
    for script in ["ctr run --rm localhost/hello", "ctr load -q -i image.tar"] {
        let _archive = env.file("image.tar", Image::busybox(BUSYBOX, []).docker_archive());
        let script = format!("echo 0 >/proc/sys/user/max_user_namespaces && {script}");
        let output = env.program("unshare", ["--map-root-user", "--map-auto", "sh", "-c", &script]).run();
        let said = output.fails(125);
        let errors: Vec<_> = said.lines().filter(|line| line.starts_with("Error:")).collect();
        assert!(errors.len() == 1 && errors[0].ends_with("(ENOSPC)"), "{script}: {said}");
    }
}

#[test]
fn a_missing_image_is_named_and_nothing_is_left() {
    needs!(Userns);
    let env = Env::new();
    let said = env.ctr(["run", "--rm", "--pull", "never", "localhost/absent", "true"]).run().fails(125);
    assert!(said.contains("localhost/absent"), "{said}");
    assert_eq!(env.ok(["ps", "-aq"]), "");
}

#[test]
fn stdin_goes_in_with_i_only() {
    needs!(Userns);
    let env = Env::with_busybox();
    assert_eq!(env.shell(["-i"], "cat").stdin("words").run().success(), "words");
    assert_eq!(env.shell(["--interactive"], "cat").stdin("words").run().success(), "words");
    assert_eq!(env.shell([""; 0], "cat").stdin("words").run().success(), "");
}

#[test]
fn stdout_and_stderr_stay_apart() {
    needs!(Userns);
    let env = Env::with_busybox();
    let output = env.shell([""; 0], "echo out; echo err >&2").run();
    assert_eq!((output.code(), output.stdout.as_str(), output.stderr.as_str()), (0, "out\n", "err\n"));
}

#[test]
fn a_flag_of_podman_s_that_is_not_there_yet_is_refused_by_name() {
    let env = Env::new();
    for flag in ["--pod=x", "--memory=1g", "--health-cmd=x", "--secret=x"] {
        let said = env.ctr(["run", flag, "localhost/hello"]).run().fails(125);
        let name = flag.split('=').next().unwrap_or(flag);
        assert!(said.contains(&format!("{name} is not supported yet")), "{flag}: {said}");
    }
}

#[test]
fn an_unknown_flag_is_an_error() {
    let env = Env::new();
    let said = env.ctr(["run", "--no-such-flag", "localhost/hello"]).run().fails(125);
    assert!(said.contains("unknown flag: --no-such-flag"), "{said}");
}

#[test]
fn each_root_has_its_own_store() {
    needs!(Userns);
    let env = Env::with_busybox();
    let (root, run) = (env.path("root"), env.path("run"));
    let other = |args: &[&str]| {
        env.ctr([] as [&str; 0])
            .args(["--root"])
            .args([&root])
            .args(["--runroot"])
            .args([&run])
            .args(args)
            .run()
    };
    assert_eq!(other(&["images", "-q"]).success(), "");
    assert_eq!(other(&["--storage-driver", "vfs", "images", "-q"]).success(), "");
    let archive = env.file("image.tar", Image::busybox(BUSYBOX, []).docker_archive());
    let archive = archive.to_str().expect("UTF-8");
    let _loaded = other(&["--storage-driver", "vfs", "load", "-q", "-i", archive]).success();
    assert_eq!(
        other(&["--storage-driver", "vfs", "run", "--rm", BUSYBOX, "echo", "copied"]).success(),
        "copied"
    );
    assert_eq!(env.sh([""; 0], "echo mine"), "mine");
}

#[test]
fn options_of_the_storage_are_heeded_by_both_programs() {
    needs!(Userns);
    let env = Env::with_busybox();
    let with = |option: &str, args: &[&str]| env.ctr(["--storage-opt", option]).args(args).run();
    let fine = "overlay.mountopt=nodev";
    assert_eq!(with(fine, &["run", "--rm", BUSYBOX, "echo", "fine"]).success(), "fine");
    assert_ne!(with(fine, &["images", "-q"]).success(), "");
    for args in [&["ps"][..], &["images"], &["run", "--rm", BUSYBOX, "true"]] {
        let said = with("overlay.size=1G", args).fails(125);
        assert_eq!(said, "Error: --storage-opt overlay.size=1G is not supported yet\n", "{args:?}");
    }
}

/// Podman's own tests isolate a store by all three.
#[test]
fn the_run_directory_is_where_tmpdir_says_unless_runroot_does() {
    needs!(Userns);
    let env = Env::with_busybox();
    let store = env.store();
    let with = |args: &[&str]| {
        let all = ["--root", store.to_str().expect("UTF-8")].into_iter().chain(args.iter().copied());
        env.named("podman", all)
    };
    let run = ["run", "--rm", "--name", "one", BUSYBOX, "sh", "-c", "echo ready; exec sleep 1000"];
    let mut one = with(&["--tmpdir", "tmp"]).args(run).start();
    one.wait_for("ready\n");
    assert!(env.path("tmp/names/one").exists());
    assert_eq!(with(&["--runroot", "tmp", "ps", "--format", "{{.Names}}"]).run().success(), "one");
    assert_eq!(with(&["--runroot", "other", "--tmpdir", "tmp", "ps", "-q"]).run().success(), "");
    let _removed = with(&["--tmpdir", "tmp", "rm", "-f", "-t", "0", "one"]).run().success();
    let _ended = one.finish();
}

#[test]
fn out_and_noout_move_stdout() {
    let env = Env::new();
    let file = env.path("out");
    assert_eq!(
        env.ctr(["--out"]).args([&file]).args(["version", "--format", "{{.Client.Version}}"]).run().success(),
        ""
    );
    assert!(!std::fs::read_to_string(&file).expect("the file").is_empty());
    assert_eq!(env.ctr(["--noout", "version"]).run().success(), "");
}

#[test]
fn the_log_level_is_read_and_checked() {
    let env = Env::new();
    for level in ["trace", "debug", "info", "warn", "warning", "error", "fatal", "panic"] {
        let _shown = env.ok(["--log-level", level, "version"]);
    }
    let said = env.ctr(["--log-level", "loud", "version"]).run().fails(1);
    assert!(said.contains("loud"), "{said}");
    assert!(!env.ctr(["--debug", "version"]).run().stderr.is_empty());
    assert!(!env.ctr(["-D", "version"]).run().stderr.is_empty());
}
