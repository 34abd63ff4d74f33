//! Unsafe code and raw descriptors stay behind their fence.

use crate::source::{lines_with, members, rust_files, tokens};

/// Where unsafe code may be.
const UNSAFE: [&str; 2] = ["ctr-sys", "ctr-init"];

/// Lines of members outside the fence with one of these identifiers.
fn outside_the_fence(names: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (member, folder) in members().into_iter().filter(|(member, _)| !UNSAFE.contains(&member.as_str())) {
        for path in rust_files(&folder) {
            let tokens = tokens(&path);
            for name in names {
                let lines = lines_with(tokens.clone(), name);
                found.extend(
                    lines.into_iter().map(|line| format!("{member}: {}:{line}: {name}", path.display())),
                );
            }
        }
    }
    found
}

#[test]
fn no_unsafe_code_and_no_raw_descriptor_outside_the_fence() {
    let found = outside_the_fence(&["unsafe", "RawFd", "AsRawFd", "FromRawFd", "IntoRawFd"]);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn every_library_outside_the_fence_forbids_unsafe_code() {
    for (member, folder) in members().into_iter().filter(|(member, _)| !UNSAFE.contains(&member.as_str())) {
        let lib = ["src/lib.rs", "src/main.rs"]
            .map(|file| folder.join(file))
            .into_iter()
            .find(|file| file.exists());
        let lib = lib.unwrap_or_else(|| panic!("{member} has no root file"));
        let text = std::fs::read_to_string(&lib).unwrap_or_else(|error| panic!("{member}: {error}"));
        assert!(text.contains("#![forbid(unsafe_code)]"), "{} lacks #![forbid(unsafe_code)]", lib.display());
    }
}

/// Clippy denies an unsafe block without a reason; nothing may lower that.
#[test]
fn the_reasons_of_unsafe_blocks_stay_required() {
    for (_, folder) in members() {
        for path in rust_files(&folder) {
            for lint in ["undocumented_unsafe_blocks", "multiple_unsafe_ops_per_block", "missing_safety_doc"]
            {
                let lines = lines_with(tokens(&path), lint);
                assert!(lines.is_empty(), "{} lowers {lint} on line {lines:?}", path.display());
            }
        }
    }
}

#[test]
fn the_walk_finds_unsafe_code_where_it_is() {
    let folder = &members()["ctr-sys"];
    let found = rust_files(folder).iter().any(|path| !lines_with(tokens(path), "unsafe").is_empty());
    assert!(found, "ctr-sys has no unsafe code: then this test sees nothing");
}
