//! Compiles the program of the image `localhost/hello`: one file, no library, no start-up code.

use std::path::PathBuf;
use std::process::Command;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let source = "hello/hello.rs";
    let out = PathBuf::from(std::env::var("OUT_DIR")?).join("hello");
    let target = std::env::var("TARGET")?;
    // Rust brings what a musl program starts with, and would link it.
    let bare = if target.ends_with("musl") { &["-Clink-self-contained=no"][..] } else { &[] };
    let status = Command::new(std::env::var("RUSTC")?)
        .args(["--edition=2024", "--crate-name=hello", "--target", &target])
        .args(["-Copt-level=z", "-Cpanic=abort", "-Crelocation-model=static", "-Cstrip=symbols"])
        .args(["-Clink-arg=-nostartfiles", "-Clink-arg=-nostdlib", "-Clink-arg=-static"])
        // No page-sized gaps and no build id: a program of a few hundred bytes, the same for everyone.
        .args(["-Clink-arg=-Wl,--build-id=none,-z,norelro,-z,noseparate-code,-n"])
        .args(bare)
        .arg(source)
        .arg("-o")
        .arg(&out)
        .status()?;
    if !status.success() {
        return Err(format!("rustc cannot compile {source}: {status}").into());
    }
    cargo(&format!("rerun-if-changed={source}"));
    cargo("rerun-if-changed=build.rs");
    Ok(())
}

fn cargo(line: &str) {
    println!("cargo::{line}");
}
