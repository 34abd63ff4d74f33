//! No member has lost its lints, and no file is left out of the build.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};

use crate::source::{members, root, rust_files, tokens};

#[test]
fn every_member_inherits_the_lints() {
    for (name, folder) in members() {
        let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).expect("a manifest");
        let inherits = manifest.lines().skip_while(|line| line.trim() != "[lints]").nth(1);
        assert_eq!(
            inherits.map(str::trim),
            Some("workspace = true"),
            "{name} does not inherit the workspace's lints"
        );
    }
}

/// A crate's own clippy.toml replaces the root's: it must repeat all of it.
#[test]
fn a_clippy_toml_of_a_crate_contains_the_root_s() {
    let lines = |path: &Path| -> BTreeSet<String> {
        let text = std::fs::read_to_string(path).expect("clippy.toml");
        text.lines()
            .map(|line| line.trim().trim_end_matches(',').to_owned())
            .filter(|line| !line.is_empty())
            .collect()
    };
    let all = lines(&root().join("clippy.toml"));
    for (name, folder) in members() {
        let own = folder.join("clippy.toml");
        if own.exists() {
            let own = lines(&own);
            let missing: Vec<_> = all.difference(&own).collect();
            assert!(missing.is_empty(), "{name}: clippy.toml lacks {missing:#?}");
        }
    }
}

/// The files that a crate's root file reaches through `mod` and `#[path]`.
fn reached(file: &Path, is_root: bool, seen: &mut BTreeSet<PathBuf>) {
    if !seen.insert(file.to_path_buf()) {
        return;
    }
    let dir = file.parent().expect("a folder");
    let stem = file.file_stem().and_then(|stem| stem.to_str()).expect("a name");
    let base = if is_root || stem == "mod" { dir.to_path_buf() } else { dir.join(stem) };
    modules(&tokens(file), &base, dir, seen);
}

fn modules(tokens: &TokenStream, base: &Path, dir: &Path, seen: &mut BTreeSet<PathBuf>) {
    let tokens: Vec<_> = tokens.clone().into_iter().collect();
    let mut path = None;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            // `#[path = "…"]`, and `include!("…")`
            TokenTree::Group(group) => {
                let text = group.stream().to_string();
                if let Some(rest) = text.strip_prefix("path = \"") {
                    path = rest.strip_suffix('"').map(|name| dir.join(name));
                }
                let include =
                    at >= 2 && matches!(&tokens[at - 2], TokenTree::Ident(name) if name == "include");
                if include && let Some(name) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'))
                {
                    seen.insert(dir.join(name));
                }
            }
            TokenTree::Ident(word) if word == "mod" => {
                let (Some(TokenTree::Ident(name)), Some(after)) = (tokens.get(at + 1), tokens.get(at + 2))
                else {
                    continue;
                };
                let name = name.to_string();
                match after {
                    TokenTree::Group(body) => modules(&body.stream(), &base.join(&name), dir, seen),
                    _ => {
                        let plain = [base.join(format!("{name}.rs")), base.join(&name).join("mod.rs")];
                        let file = path.take().or_else(|| plain.into_iter().find(|file| file.exists()));
                        if let Some(file) = file {
                            reached(&file, false, seen);
                        }
                    }
                }
            }
            _ => {}
        }
    }
}

#[test]
fn no_source_file_is_forgotten() {
    let metadata = crate::source::metadata();
    let members = members();
    let mut seen = BTreeSet::new();
    for package in metadata["packages"].as_array().expect("packages") {
        if members.contains_key(package["name"].as_str().expect("a name")) {
            for target in package["targets"].as_array().expect("targets") {
                reached(Path::new(target["src_path"].as_str().expect("a path")), true, &mut seen);
            }
        }
    }
    let files: Vec<_> = members.values().flat_map(|folder| rust_files(folder)).collect();
    assert!(files.len() >= members.len(), "the walk found only {files:?}");
    // What a build script compiles by itself says so in its first lines.
    let by_itself = |file: &PathBuf| {
        std::fs::read_to_string(file).is_ok_and(|text| text.contains("compiled by build.rs"))
    };
    let forgotten: Vec<_> = files.iter().filter(|file| !seen.contains(*file) && !by_itself(file)).collect();
    assert!(forgotten.is_empty(), "no target compiles {forgotten:#?}");
}
