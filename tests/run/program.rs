//! What the program does for its user besides containers: completion, reset, mending.

use ctr_tests::{Env, needs};

#[test]
fn doctor_checks_each_thing_once() {
    needs!(Userns);
    let env = Env::new();
    let output = env.ctr(["doctor", "--format", "json"]).run();
    let json: serde_json::Value = serde_json::from_str(&output.stdout).expect("JSON");
    let names: Vec<_> =
        json.as_array().expect("checks").iter().map(|check| check["id"].to_string()).collect();
    let unique: std::collections::BTreeSet<_> = names.iter().collect();
    assert!(names.len() > 5 && unique.len() == names.len(), "{names:?}");
    // Without a terminal it asks nobody.
    let said = env.ctr(["doctor", "--fix"]).run().fails(125);
    assert!(said.contains("--yes") || said.contains("terminal"), "{said}");
    // What it would do as root goes through sudo, and is never ctr itself. This sudo only takes notes.
    let sudo = env.root().join("bin/sudo");
    std::fs::write(&sudo, "#!/bin/sh\necho \"$@\" >>\"$HOME/sudo.log\"\n").expect("a file");
    std::fs::set_permissions(&sudo, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("its mode");
    let output = env.ctr(["doctor", "--fix", "--yes"]).run();
    let noted = std::fs::read_to_string(env.home().join("sudo.log")).unwrap_or_default();
    assert!([0, 1].contains(&output.code()), "{output}");
    assert!(noted.lines().all(|line| !line.starts_with("ctr")), "{noted}");
}

/// In a namespace where set-uid programs are none and no user namespace can be made, of a user who is not root there.
#[test]
fn doctor_mends_through_sudo_line_by_line() {
    needs!(Userns);
    let env = Env::new();
    let sudo = env.root().join("bin/sudo");
    std::fs::write(&sudo, "#!/bin/sh\nprintf '%s\\n' \"$*\" >>\"$HOME/sudo.log\"\n").expect("a file");
    std::fs::set_permissions(&sudo, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("its mode");
    let broken = |flags: &str| {
        let script = format!("echo 0 >/proc/sys/user/max_user_namespaces && exec ctr doctor {flags}");
        env.program("unshare", ["--map-current-user", "--keep-caps", "sh", "-c", &script]).run()
    };
    let told = broken("").exits(1);
    assert!(told.contains("user.max_user_namespaces is 0"), "{told}");
    let output = broken("--fix --yes");
    let noted = std::fs::read_to_string(env.home().join("sudo.log")).expect("what sudo was asked to do");
    let sysctl = "-- sh -c touch /etc/sysctl.d/90-ctr.conf && ";
    assert!(
        noted
            .lines()
            .any(|line| line.starts_with(sysctl) && line.ends_with("sysctl -p /etc/sysctl.d/90-ctr.conf")),
        "{noted}"
    );
    let helpers = ["newuidmap", "newgidmap"].map(|name| format!("-- chmod u+s /usr/bin/{name}"));
    assert!(helpers.iter().all(|line| noted.lines().any(|noted| noted == line)), "{noted}");
    // What it ran it has shown before, and it was never ctr itself.
    for line in noted.lines() {
        let line = line.strip_prefix("-- ").expect("what sudo shall not take for its own flags");
        assert!(!line.contains("bin/ctr") && !line.starts_with("ctr"), "{line}");
    }
    assert!(output.stdout.contains("chmod u+s") || output.stderr.contains("chmod u+s"), "{output}");
}

#[test]
fn reset_wants_a_word_or_force() {
    needs!(Userns);
    let env = Env::with_busybox();
    let output = env.ctr(["system", "reset"]).run();
    assert_ne!(output.code(), 0, "{output}");
    assert_ne!(env.ok(["images", "-q"]), "");
    let _said = env.ok(["system", "reset", "--force"]);
    assert_eq!(env.ok(["images", "-q"]), "");
}

#[test]
fn completion_writes_what_the_shell_takes() {
    let env = Env::new();
    let script = env.ok(["completion", "bash"]);
    let file = env.file("script", &script);
    let _parsed = env.program("bash", ["-n"]).args([&file]).run().success();
    assert!(env.ok(["completion", "zsh", "--no-desc"]).starts_with("#compdef ctr"));
    assert_eq!(env.ok(["completion", "fish", "--file", "out"]), "");
    assert!(std::fs::read_to_string(env.path("out")).expect("the file").contains("complete -c ctr"));
}
