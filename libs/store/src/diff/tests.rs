//! Changes between trees, and archives that give the tree again.

use std::path::{Path, PathBuf};

use ctr_core::rooted::Root;

use super::{Kind, changes, export, layer, tree};
use crate::apply::{self, Applied, Options};
use crate::overlay::View;
use crate::tar::{Kind as TarKind, Limits, Reader};
use crate::testing::{Item, archive, dir, file, hard_link, in_a, node, snapshot, symlink};

fn unpacked(at: &Path, bytes: &[u8]) -> Applied {
    std::fs::create_dir_all(at).unwrap();
    apply::layer(bytes, &Root::open(at).unwrap(), &Options::default()).unwrap()
}

fn view(paths: &[&Path]) -> View {
    View::of(paths.iter().map(|path| Root::open(path).unwrap()).collect())
}

fn listed(old: &View, new: &View) -> Vec<String> {
    let letter = |kind| match kind {
        Kind::Added => 'A',
        Kind::Changed => 'C',
        Kind::Deleted => 'D',
    };
    let line = |change: super::Change| format!("{} {}", letter(change.kind), change.path.display());
    changes(old, new).unwrap().into_iter().map(line).collect()
}

fn entries(bytes: &[u8]) -> Vec<String> {
    let mut reader = Reader::new(bytes, Limits::default());
    let mut names = Vec::new();
    while let Some(header) = reader.next().unwrap() {
        names.push(String::from_utf8(header.path).unwrap());
    }
    names
}

fn base() -> Vec<Item> {
    let mut tool = file("usr/tool", "tool");
    tool.0.mode = 0o4755;
    (tool.0.uid, tool.0.gid) = (5, 6);
    tool.0.modified.nanos = 123_456_789;
    tool.0.xattrs.push((b"user.kept".to_vec(), b"1".to_vec()));
    vec![
        dir("./", 0o755),
        dir("etc/", 0o755),
        file("etc/gone", "x"),
        file("etc/kept", "x"),
        dir("usr/", 0o755),
        tool,
        hard_link("usr/other", "usr/tool"),
        symlink("usr/link", "/etc"),
        dir("var/", 0o700),
        dir("var/deep/", 0o755),
        file("var/deep/file", "x"),
        node("pipe", TarKind::Fifo),
        file("turn", "file"),
    ]
}

fn upper() -> Vec<Item> {
    let mut chmod = dir("var/", 0o711);
    chmod.0.modified.seconds = 9;
    vec![
        dir("./", 0o755),
        file("etc/.wh.gone", ""),
        file("etc/new", "n"),
        chmod,
        file("var/.wh.deep", ""),
        dir("added/", 0o755),
        dir("added/more/", 0o755),
        file("added/more/file", "x"),
        dir("turn/", 0o755),
        file("turn/in", "x"),
    ]
}

in_a! {
fn userns_changes_are_listed_as_docker_lists_them() {
    let stage = tempfile::tempdir().unwrap();
    let (low, up) = (stage.path().join("low"), stage.path().join("up"));
    unpacked(&low, &archive(&base()));
    unpacked(&up, &archive(&upper()));
    let (old, new) = (view(&[&low]), view(&[&up, &low]));
    assert_eq!(
        listed(&old, &new),
        [
            "A added", "A added/more", "A added/more/file", "C etc", "D etc/gone", "A etc/new", "C turn",
            "A turn/in", "C var", "D var/deep",
        ]
    );
    assert_eq!(listed(&new, &new), [""; 0]);
    assert_eq!(listed(&old, &old), [""; 0]);
    let back = listed(&new, &old);
    assert!(back.contains(&"D added".to_owned()) && back.contains(&"A var/deep/file".to_owned()), "{back:?}");
    assert!(!back.contains(&"D turn/in".to_owned()));
}

fn userns_changes_that_a_listing_does_not_show_are_found() {
    let stage = tempfile::tempdir().unwrap();
    let at = |name: &str| stage.path().join(name);
    let with_attribute = |value: &[u8]| {
        let mut item = dir("var/", 0o700);
        item.0.xattrs.push((b"user.mark".to_vec(), value.to_vec()));
        item
    };
    unpacked(&at("low"), &archive(&base()));
    // The same size and time with other contents; an attribute of a directory, and of a file.
    unpacked(&at("up"), &archive(&[dir("etc/", 0o755), file("etc/kept", "y"), with_attribute(b"1")]));
    let (old, new) = (view(&[&at("low")]), view(&[&at("up"), &at("low")]));
    assert_eq!(listed(&old, &new), ["C etc", "C etc/kept", "C var"]);
    // Unpacked twice, two trees are alike.
    unpacked(&at("twin"), &archive(&base()));
    assert_eq!(listed(&old, &view(&[&at("twin")])), [""; 0]);
    let mut items = base();
    items.iter_mut().find(|item| item.0.path == b"usr/tool").unwrap().0.xattrs[0].1 = b"2".to_vec();
    unpacked(&at("other"), &archive(&items));
    assert_eq!(listed(&old, &view(&[&at("other")])), ["C usr", "C usr/other", "C usr/tool"]);
}

fn userns_a_layer_of_changes_makes_one_out_of_the_other() {
    let stage = tempfile::tempdir().unwrap();
    let at = |name: &str| stage.path().join(name);
    unpacked(&at("low"), &archive(&base()));
    unpacked(&at("up"), &archive(&upper()));
    let (old, new) = (view(&[&at("low")]), view(&[&at("up"), &at("low")]));
    let bytes = layer(&old, &new, Vec::new()).unwrap();
    assert_eq!(
        entries(&bytes),
        [
            "added/", "added/more/", "added/more/file", "etc/", "etc/new", "etc/.wh.gone", "turn/", "turn/in", "var/",
            "var/.wh.deep",
        ]
    );
    unpacked(&at("again"), &bytes);
    let again = view(&[&at("again"), &at("low")]);
    assert_eq!(listed(&new, &again), [""; 0]);
    // What is exported is what the view shows, and unpacks to it.
    let flat = export(&new, Vec::new()).unwrap();
    unpacked(&at("flat"), &flat);
    assert_eq!(listed(&new, &view(&[&at("flat")])), [""; 0]);
    let names = entries(&flat);
    assert!(names.contains(&"added/more/file".to_owned()) && !names.iter().any(|name| name.contains(".wh.")));
    assert!(names.iter().position(|name| name == "etc/") < names.iter().position(|name| name == "etc/kept"));
}

fn userns_the_archive_of_a_tree_gives_the_tree_again() {
    let stage = tempfile::tempdir().unwrap();
    let at = |name: &str| -> PathBuf { stage.path().join(name) };
    let mut more = upper();
    more.push(file("implied/file", "x"));
    more.push(dir("opaque/", 0o755));
    more.push(file("opaque/.wh..wh..opq", ""));
    for (number, items) in [base(), more, vec![file("a/b", ""), file(".wh..wh..opq", "")]].iter().enumerate() {
        let first = at(&format!("{number}"));
        let applied = unpacked(&first, &archive(items));
        let bytes = tree(&Root::open(&first).unwrap(), &applied, Vec::new()).unwrap();
        let second = at(&format!("{number}-again"));
        let again = unpacked(&second, &bytes);
        assert_eq!((&again.implied, again.opaque_root), (&applied.implied, applied.opaque_root));
        let described = |path: &Path, known: &Applied| {
            let mut seen = snapshot(path);
            // The times of what nobody described are our own invention.
            seen.retain(|path, _| !known.implied.iter().any(|implied| implied.as_path() == path));
            // Nor has a whiteout one.
            seen.retain(|_, what| !what.ends_with("device 0"));
            seen
        };
        assert_eq!(described(&first, &applied), described(&second, &again));
        assert_eq!(bytes, tree(&Root::open(&second).unwrap(), &again, Vec::new()).unwrap());
    }
}
}
