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
