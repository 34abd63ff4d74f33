//! Builds `ctr-init` and `ctr-monitor` without a C library, for [`crate::launch`] and [`crate::monitor`] to carry inside.
//!
//! It is a cargo of its own with a target directory of its own, since the one that runs this script holds a lock on
//! the other. An explicit target keeps the link arguments away from build scripts. Nothing is fetched: what it needs
//! is a subset of what the workspace needs.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The separator of cargo's encoded flags.
const SEPARATOR: &str = "\x1f";

fn main() {
    let manifest = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let workspace = manifest.ancestors().nth(2).expect("the crate lies two folders deep").to_owned();
    for source in ["bins/ctr-init", "libs/sys", "Cargo.lock", "Cargo.toml"] {
        println!("cargo::rerun-if-changed={}", workspace.join(source).display());
    }
    let target = variable("TARGET");
    let folder = Path::new(&variable("OUT_DIR")).join("init");
    let status = cargo(&workspace, &target, &folder).status().expect("cargo runs, as it runs this script");
    assert!(status.success(), "ctr-init could not be built");
    for (name, program) in [("CTR_INIT", "ctr-init"), ("CTR_MONITOR", "ctr-monitor")] {
        println!("cargo::rustc-env={name}={}", folder.join(&target).join("init").join(program).display());
    }
}

fn cargo(workspace: &Path, target: &str, folder: &Path) -> Command {
    let mut flags = vec![
        "-Cpanic=abort",
        "-Crelocation-model=static",
        "-Ctarget-feature=+crt-static",
        "-Clink-arg=-nostartfiles",
        "-Clink-arg=-nostdlib",
        "-Clink-arg=-static",
        "-Clink-arg=-Wl,--build-id=none,-z,norelro,-z,noseparate-code,--no-eh-frame-hdr",
        "--cfg=freestanding",
    ];
    if target.ends_with("musl") {
        // Rust brings what a musl program starts with, and would link it.
        flags.push("-Clink-self-contained=no");
    }
    let mut cargo = Command::new(variable("CARGO"));
    cargo.current_dir(workspace).args([
        "build",
        "--package=ctr-init",
        "--profile=init",
        "--frozen",
        "--quiet",
    ]);
    cargo.arg("--target").arg(target).arg("--target-dir").arg(folder);
    // What the outer build was told of compilers and flags is not meant for a program without a standard library.
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        let foreign = ["CARGO_PROFILE_", "CARGO_TARGET_", "CARGO_BUILD_", "CARGO_FEATURE_", "CARGO_CFG_"];
        if foreign.iter().any(|prefix| name.starts_with(prefix)) {
            cargo.env_remove(&*name);
        }
    }
    for name in ["RUSTFLAGS", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "RUSTDOCFLAGS", "CLIPPY_ARGS"] {
        cargo.env_remove(name);
    }
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join(SEPARATOR));
    cargo
}

fn variable(name: &str) -> String {
    env::var(name).expect("cargo sets what build scripts are promised")
}
