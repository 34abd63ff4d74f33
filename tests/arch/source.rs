//! The workspace as its sources and as cargo sees it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use proc_macro2::{TokenStream, TokenTree};
use serde_json::Value;

/// The workspace's root.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the workspace").to_path_buf()
}

/// `cargo metadata`: from the file that `make test` wrote when there is one, since the test's user may have no cargo.
pub(crate) fn metadata() -> Value {
    let bytes = match std::env::var_os("CTR_TEST_METADATA") {
        Some(path) => std::fs::read(path).expect("the metadata that make test wrote"),
        None => {
            let args = ["metadata", "--locked", "--format-version", "1"];
            let output =
                Command::new("cargo").args(args).current_dir(root()).output().expect("cargo metadata");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            output.stdout
        }
    };
    serde_json::from_slice(&bytes).expect("JSON")
}

/// Name and folder of every member of the workspace.
pub(crate) fn members() -> BTreeMap<String, PathBuf> {
    let metadata = metadata();
    let ids: Vec<_> = metadata["workspace_members"].as_array().expect("members").iter().collect();
    let packages = metadata["packages"].as_array().expect("packages").iter();
    packages
        .filter(|package| ids.contains(&&package["id"]))
        .map(|package| {
            let manifest = Path::new(package["manifest_path"].as_str().expect("a path"));
            (
                package["name"].as_str().expect("a name").to_owned(),
                manifest.parent().expect("a folder").to_path_buf(),
            )
        })
        .collect()
}

/// Every Rust file below a folder.
pub(crate) fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut todo = vec![folder.to_path_buf()];
    while let Some(dir) = todo.pop() {
        for entry in std::fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display())) {
            let entry = entry.expect("an entry");
            let path = entry.path();
            if entry.file_type().expect("a type").is_dir() {
                if !["target", ".git", "corpus"].iter().any(|skipped| path.ends_with(skipped)) {
                    todo.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// The tokens of a file: comments and strings cannot look like code in them.
pub(crate) fn tokens(path: &Path) -> TokenStream {
    let text = std::fs::read_to_string(path).expect("a source file");
    text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The lines on which an identifier stands.
pub(crate) fn lines_with(tokens: TokenStream, name: &str) -> Vec<usize> {
    let mut lines = Vec::new();
    for token in tokens {
        match token {
            TokenTree::Ident(ident) if ident == name => lines.push(ident.span().start().line),
            TokenTree::Group(group) => lines.extend(lines_with(group.stream(), name)),
            _ => {}
        }
    }
    lines
}
