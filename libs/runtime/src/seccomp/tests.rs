//! Tests of whole programs.

/// Says why a test does not run, and fails where it must.
pub(super) fn skip(what: &str, why: &str) {
    let required = std::env::var("CTR_TEST_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|name| name == what), "{what} is required: {why}");
    println!("skipped: {why}");
}

use std::fs;

use super::*;
use crate::caps;

fn usual() -> Facts {
    Facts { caps: caps::DEFAULT, kernel: Kernel { version: 6, revision: 1 } }
}

#[test]
fn the_built_in_program_is_what_the_compiler_makes() {
    let program = compile_anew(&default_profile(), &usual()).unwrap();
    bpf::check(&program.instructions()).unwrap();
    println!("{} instructions", program.instructions().len());
    if std::env::var_os("CTR_BLESS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/seccomp/default.bpf");
        fs::write(path, program.bytes()).unwrap();
    }
    assert!(program.bytes() == DEFAULT, "run again with CTR_BLESS=1 and look at what changed");
}
