//! Configuration files: which count, in which order, and what their keys do.

use std::path::PathBuf;

use ctr_tests::env::Invocation;
use ctr_tests::{BUSYBOX, Env, needs};

/// A command in a container, where a file is the last word of the configuration.
fn with<'a>(env: &'a Env, conf: &str, flags: &[&str], command: &str) -> Invocation<'a> {
    let conf = env.file("containers.conf", conf);
    env.ctr(["run", "--rm"])
        .args(flags)
        .args([BUSYBOX, "sh", "-c", command])
        .var("CONTAINERS_CONF_OVERRIDE", conf)
}

/// Writes a file in the user's folder of configuration.
fn own(env: &Env, name: &str, text: &str) -> PathBuf {
    let path = env.home().join(".config/containers").join(name);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    std::fs::write(&path, text).expect("a file");
    path
}

#[test]
fn a_module_that_is_not_there_stops_every_command() {
    let env = Env::new();
    let said = env.ctr(["--module", "absent", "ps"]).run().fails(125);
    let folder = env.home().join(".config/containers/containers.conf.modules/absent");
    assert!(
        said.contains(&format!(
            "cannot find the module \"absent\" in any of {}, /etc/containers/",
            folder.display()
        )),
        "{said}"
    );
    let said = env.named("podman", ["--module=/no,where", "nonsense"]).run().fails(1);
    assert_eq!(
        said.trim_end(),
        "Failed to obtain podman configuration: parsing containers.conf: could not resolve module: open /no,where: no such file or directory"
    );
    let said = env.named("podman", ["run", "--module=x", BUSYBOX]).run().fails(125);
    assert_eq!(said.trim_end(), "Error: unknown flag: --module\nSee 'podman run --help'");
    let _module = own(&env, "containers.conf.modules/b-module", "");
    let _module = own(&env, "containers.conf.modules/a-module", "");
    let proposed = env.ok(["__completeNoDesc", "--module", ""]);
    assert!(proposed.starts_with("a-module\nb-module\n"), "{proposed}");
}

#[test]
fn a_broken_file_is_named_with_its_line() {
    let env = Env::new();
    let path = own(&env, "containers.conf", "[containers]\nsdf=\n");
    let broken = |name: &str| env.named(name, ["ps"]).var("CONTAINERS_CONF", "");
    let said = broken("ctr").run().fails(125);
    let path = path.display();
    assert_eq!(
        said.trim_end(),
        format!(
            "Error: cannot understand {path}: line 2 (last key \"containers.sdf\"): expected value but found '\\n' instead"
        )
    );
    let said = broken("podman").run().fails(1);
    assert_eq!(
        said.trim_end(),
        format!(
            "Failed to obtain podman configuration: parsing containers.conf: decode configuration \"{path}\": toml: line 2 \
             (last key \"containers.sdf\"): expected value but found '\\n' instead"
        )
    );
    let wrong = env.file("wrong", "containers.env = 1");
    let said = env.ctr(["ps"]).var("CONTAINERS_CONF", &wrong).run().fails(125);
    assert!(said.contains("containers.env is of kind integer where array of strings is needed"), "{said}");
    let said = env.ctr(["ps"]).var("CONTAINERS_CONF", "/no/such/file").run().fails(125);
    assert!(said.contains("/no/such/file: No such file or directory (ENOENT)"), "{said}");
}

#[test]
fn what_does_nothing_is_said_once_and_by_doctor() {
    needs!(Userns);
    let env = Env::with_busybox();
    let text = "[containers]\ntypo = 1\ncgroups = 'disabled'\nkeyring = true\n[engine]\nruntime = 'runc'";
    let run = with(&env, text, &[], "true").run();
    let path = env.path("containers.conf");
    let path = path.display();
    assert_eq!(
        run.stderr,
        format!(
            "warning: {path}: containers.cgroups is not supported yet; ignored\n\
             warning: {path}: unknown key containers.typo; ignored\n"
        )
    );
    let quiet = env.ctr(["ps"]).var("CONTAINERS_CONF_OVERRIDE", env.path("containers.conf")).run();
    assert_eq!((quiet.stderr.as_str(), quiet.code()), ("", 0));
    let checks =
        env.ctr(["doctor", "--format", "json"]).var("CONTAINERS_CONF_OVERRIDE", env.path("containers.conf"));
    let checks: serde_json::Value = serde_json::from_str(&checks.run().success()).expect("JSON");
    let config =
        checks.as_array().expect("checks").iter().find(|check| check["id"] == "config").expect("a check");
    let found = config["found"].as_str().expect("text");
    assert_eq!(config["status"], "degraded");
    for part in [
        "containers.cgroups is not supported yet",
        "unknown key containers.typo",
        "engine.runtime has no meaning here: ",
    ] {
        assert!(found.contains(part), "{found}");
    }
}

#[test]
fn an_image_that_is_made_has_the_format_of_the_file() {
    needs!(Userns, Overlay);
    let env = Env::with_busybox();
    let conf = env.file("docker", "engine.image_default_format = 'v2s2'");
    let mut running =
        env.ctr(["run", "--rm", "--name", "it", BUSYBOX, "sh", "-c", "echo ready; sleep 1000"]).start();
    let _ready = running.wait_for("ready");
    let commit = |flags: &[&str]| {
        env.ctr(["commit", "-q", "-m", "why"]).args(flags).args(["it"]).var("CONTAINERS_CONF_OVERRIDE", &conf)
    };
    let made = commit(&[]).run().success();
    assert_eq!(env.ok(["image", "inspect", "--format", "{{.Comment}}", &made]), "why");
    let said = commit(&["-f", "oci"]).run().fails(125);
    assert!(said.contains("only compatible with the docker image format"), "{said}");
    running.signal(rustix::process::Signal::KILL);
    let _killed = running.finish();
}

#[test]
fn the_store_is_where_storage_conf_says() {
    let env = Env::new();
    let (graph, run) = (env.path("graph"), env.path("run"));
    let conf = format!(
        "[storage]\ndriver = 'vfs'\ngraphroot = '{}'\nrunroot = '$HOME/../work/run'",
        graph.display()
    );
    let conf = env.file("storage.conf", conf);
    let info = |flags: &[&str]| {
        let format = "{{.Store.GraphRoot}} {{.Store.RunRoot}} {{.Store.GraphDriverName}}";
        let info = env.ctr(flags).args(["info", "--format", format]).var("CONTAINERS_STORAGE_CONF", &conf);
        info.run().success()
    };
    let home = env.home();
    assert_eq!(info(&[]), format!("{}/ctr {}/../work/run/ctr vfs", graph.display(), home.display()));
    let here = env.path("here");
    let given = info(&["--root", here.to_str().expect("a path"), "--storage-driver", "overlay"]);
    assert!(given.starts_with(&format!("{} ", here.display())) && given.ends_with(" overlay"), "{given}");
    assert!(
        !given.contains(&run.display().to_string()),
        "a root of its own has a run directory of its own: {given}"
    );
    // What is root's podman's own is nobody else's.
    let conf = env.file(
        "roots.conf",
        "[storage]\ngraphroot = '/var/lib/containers/storage'\nrunroot = '/run/containers/storage'",
    );
    let info = env.ctr(["info", "--format", "{{.Store.GraphRoot}}"]).var("CONTAINERS_STORAGE_CONF", conf);
    assert_eq!(info.run().success(), env.store().display().to_string());
}

#[test]
fn events_go_where_the_file_says() {
    let env = Env::new();
    let log = env.path("events.log");
    let conf = env.file(
        "conf",
        format!("[engine]\nevents_logfile_path = '{}'\nevents_logfile_max_size = '1k'", log.display()),
    );
    for at in 0..20 {
        let made = env.ctr(["volume", "create", &format!("volume-{at}")]).var("CONTAINERS_CONF", &conf);
        let _made = made.run().success();
    }
    let size = std::fs::metadata(&log).expect("a log").len();
    assert!((1..=1024).contains(&size), "{size}");
    let none = env.file("none", "engine.events_logger = 'none'");
    let _made = env.ctr(["volume", "create", "quiet"]).var("CONTAINERS_CONF", none).run().success();
    assert!(!env.store().join("events").exists());
}
