//! What the Makefile tells the build.

use std::path::Path;
use std::process::Command;

use crate::source::root;

/// The commit that `make build` would name, in a folder with our Makefile.
fn commit(folder: &Path) -> String {
    let plan =
        Command::new("make").args(["-n", "build"]).current_dir(folder).env_remove("CTR_COMMIT").output();
    let plan = String::from_utf8(plan.expect("make").stdout).expect("UTF-8");
    let (_, rest) = plan.split_once("CTR_COMMIT='").expect("the build is told its commit");
    rest.split('\'').next().expect("a commit").to_owned()
}

#[test]
fn the_build_knows_its_commit_where_there_is_git() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    std::fs::copy(root().join("Makefile"), folder.join("Makefile")).expect("the Makefile");
    assert_eq!(commit(folder), "", "a tree without git");
    let git = |args: &[&str]| {
        let who = ["-c", "user.name=x", "-c", "user.email=x@localhost"];
        let done = Command::new("git").args(who).args(args).current_dir(folder).output().expect("git");
        assert!(done.status.success(), "git {args:?}: {done:?}");
    };
    git(&["init", "-q"]);
    git(&["add", "Makefile"]);
    git(&["commit", "-q", "-m", "x"]);
    let clean = commit(folder);
    assert!(clean.len() == 12 && clean.bytes().all(|byte| byte.is_ascii_hexdigit()), "{clean}");
    std::fs::write(folder.join("Makefile"), std::fs::read(root().join("Makefile")).expect("it")).expect("it");
    assert_eq!(commit(folder), clean, "touched is not changed");
    git(&["tag", "v1"]);
    assert_eq!(commit(folder), clean, "the commit, not its tag");
}
