use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use ctr_core::rooted::Root;

use super::*;

/// Everybody keeps what is theirs.
fn kept(uid: u32, gid: u32) -> Option<(u32, u32)> {
    Some((uid, gid))
}

fn open(path: &std::path::Path) -> std::os::fd::OwnedFd {
    std::fs::File::open(path).unwrap().into()
}

/// A tree with one of each.
fn world() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    std::fs::create_dir_all(at("d/sub")).unwrap();
    std::fs::write(at("d/file"), "text").unwrap();
    std::fs::set_permissions(at("d/file"), std::fs::Permissions::from_mode(0o4751)).unwrap();
    std::fs::hard_link(at("d/file"), at("d/sub/again")).unwrap();
    symlink("/etc/passwd", at("d/link")).unwrap();
    std::fs::write(at("d/hole"), vec![0; 1 << 20]).unwrap();
    std::fs::write(at("d/left-out"), "").unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, at("d/pipe"), rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
        .unwrap();
    dir
}

fn source<'a>(from: &std::path::Path, name: Option<&'a str>) -> Source<'a> {
    Source { object: open(from), name: name.map(std::ffi::OsStr::new), without: &["left-out"], owners: &kept }
}

fn check(at: &std::path::Path) {
    assert_eq!(std::fs::read_to_string(at.join("file")).unwrap(), "text");
    let file = std::fs::metadata(at.join("file")).unwrap();
    assert_eq!((file.mode() & 0o7777, file.nlink()), (0o4751, 2));
    assert_eq!(file.ino(), std::fs::metadata(at.join("sub/again")).unwrap().ino());
    assert_eq!(std::fs::read_link(at.join("link")).unwrap(), std::path::Path::new("/etc/passwd"));
    let hole = std::fs::metadata(at.join("hole")).unwrap();
    assert_eq!((hole.len(), hole.blocks()), (1 << 20, 0));
    assert!(!at.join("left-out").exists());
    assert!(std::fs::symlink_metadata(at.join("pipe")).is_ok());
}

#[test]
fn a_tree_comes_out_as_it_went_in() {
    let (from, to) = (world(), tempfile::tempdir().unwrap());
    let mut sink = TreeSink::new(Root::open(to.path()).unwrap(), "", false);
    send(source(&from.path().join("d"), Some("e")), &mut sink).unwrap();
    check(&to.path().join("e"));
    let times = |path: std::path::PathBuf| std::fs::metadata(path).unwrap().modified().unwrap();
    assert_eq!(times(from.path().join("d")), times(to.path().join("e")));
    // Again, over what is there, and only what is in it.
    send(source(&from.path().join("d"), Some("e")), &mut sink).unwrap();
    let mut sink = TreeSink::new(Root::open(to.path()).unwrap(), "e/sub", false);
    send(source(&from.path().join("d"), None), &mut sink).unwrap();
    check(&to.path().join("e/sub"));
}

#[test]
fn an_archive_holds_it_in_between() {
    let (from, to) = (world(), tempfile::tempdir().unwrap());
    let mut bytes = Vec::new();
    send(source(&from.path().join("d"), Some("e")), &mut ArchiveSink::new(&mut bytes)).unwrap();
    let mut sink = TreeSink::new(Root::open(to.path()).unwrap(), "", false);
    archive(&bytes[..], &kept, &mut sink).unwrap();
    check(&to.path().join("e"));
    for broken in [&b""[..], b"no archive", &[0; 1024]] {
        let error = archive(broken, &kept, &mut sink).unwrap_err();
        assert!(matches!(error, TransferError::NoArchive(_)), "{error}");
    }
}

#[test]
fn nothing_is_replaced_by_something_of_another_kind_unless_that_is_said() {
    let (from, to) = (world(), tempfile::tempdir().unwrap());
    let file = from.path().join("d/hole");
    let sink = |overwrite| TreeSink::new(Root::open(to.path()).unwrap(), "", overwrite);
    std::fs::create_dir_all(to.path().join("x/y")).unwrap();
    let error = send(source(&file, Some("x")), &mut sink(false)).unwrap_err();
    assert!(matches!(error, TransferError::OtherKind { .. }), "{error}");
    send(source(&file, Some("x")), &mut sink(true)).unwrap();
    assert!(to.path().join("x").is_file());
    let error = send(source(&from.path().join("d"), Some("x")), &mut sink(false)).unwrap_err();
    assert!(matches!(error, TransferError::OtherKind { .. }), "{error}");
    send(source(&from.path().join("d"), Some("x")), &mut sink(true)).unwrap();
    check(&to.path().join("x"));
}

/// Class F: an archive, or a container, that makes a link and then goes through it.
#[test]
fn links_lead_nowhere_out_of_the_tree() {
    let (outside, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::create_dir(to.path().join("top")).unwrap();
    symlink(outside.path(), to.path().join("top/link")).unwrap();
    let mut bytes = Vec::new();
    let mut writer = crate::tar::Writer::new(&mut bytes);
    for name in ["link/inside", "link2/inside"] {
        let mut link = Header::new("link2", crate::tar::Kind::Symlink, 0o777);
        link.link = outside.path().as_os_str().as_encoded_bytes().to_vec();
        let mut file = Header::new(name, crate::tar::Kind::File, 0o644);
        file.size = 1;
        if name.starts_with("link2") {
            writer.append(&link, &mut std::io::empty()).unwrap();
        }
        writer.append(&file, &mut &b"x"[..]).unwrap();
    }
    writer.finish().unwrap();
    let mut sink = TreeSink::new(Root::open(to.path().join("top")).unwrap(), "", false);
    let me = |_: u32, _: u32| Some((rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw()));
    archive(&bytes[..], &me, &mut sink).unwrap();
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    // A link where a directory is to be is no directory.
    let from = world();
    let mut sink = TreeSink::new(Root::open(to.path().join("top")).unwrap(), "", false);
    let error = send(source(&from.path().join("d"), Some("link")), &mut sink).unwrap_err();
    assert!(matches!(error, TransferError::OtherKind { .. }), "{error}");
    for name in ["../up", "a/../../up", "/../up"] {
        let mut bytes = Vec::new();
        let mut writer = crate::tar::Writer::new(&mut bytes);
        writer.append(&Header::new(name, crate::tar::Kind::File, 0o644), &mut std::io::empty()).unwrap();
        writer.finish().unwrap();
        assert!(matches!(archive(&bytes[..], &me, &mut sink), Err(TransferError::Unsafe { .. })), "{name}");
    }
}

/// Class F: what stands in the place of a file is replaced, never written through.
#[test]
fn a_link_in_the_place_of_a_file_is_replaced() {
    let (outside, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let target = outside.path().join("file");
    std::fs::write(&target, "theirs").unwrap();
    let from = world();
    for name in ["there", "nowhere"] {
        symlink(outside.path().join(if name == "there" { "file" } else { name }), to.path().join(name))
            .unwrap();
        let mut sink = TreeSink::new(Root::open(to.path()).unwrap(), "", false);
        send(source(&from.path().join("d/file"), Some(name)), &mut sink).unwrap();
        assert!(std::fs::symlink_metadata(to.path().join(name)).unwrap().is_file());
    }
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "theirs");
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1);
}

/// From another namespace the kernel lets us remove what is mounted, which must not be.
#[test]
fn a_place_where_something_is_mounted_is_known() {
    let root = open(std::path::Path::new("/"));
    assert!(mounts::holds_one(root.as_fd(), std::ffi::OsStr::new("proc")).unwrap());
    let dir = world();
    let top = open(dir.path());
    for name in ["d", "nothing"] {
        assert!(!mounts::holds_one(top.as_fd(), std::ffi::OsStr::new(name)).unwrap(), "{name}");
    }
}

#[test]
fn an_owner_that_is_not_there_is_told() {
    let (from, to) = (world(), tempfile::tempdir().unwrap());
    let nobody = |_: u32, _: u32| None;
    let mut sink = TreeSink::new(Root::open(to.path()).unwrap(), "", false);
    let source = Source { owners: &nobody, ..source(&from.path().join("d"), Some("e")) };
    assert!(matches!(send(source, &mut sink), Err(TransferError::Owner { .. })));
}

#[test]
fn a_deep_tree_takes_few_descriptors_and_little_stack() {
    const DEPTH: usize = 500;
    // Fewer than there are levels, whatever this machine allows.
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let fewer = rustix::process::Rlimit { current: Some(400), ..limit };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, fewer).unwrap();
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut trail = ctr_core::rooted::Trail::new(open(from.path()));
    for _ in 0..DEPTH {
        rustix::fs::mkdirat(trail.here(), "d", rustix::fs::Mode::RWXU).unwrap();
        assert!(trail.enter("d".as_ref()).unwrap());
    }
    rustix::fs::symlinkat("text", trail.here(), "link").unwrap();
    let link = format!("{}link", "d/".repeat(DEPTH));
    let (from_tree, to_tree) = (Root::open(from.path()).unwrap(), Root::open(to.path()).unwrap());
    to_tree.mkdir("sent", rustix::fs::Mode::RWXU).unwrap();
    to_tree.mkdir("copied", rustix::fs::Mode::RWXU).unwrap();
    let mut sink = TreeSink::new(to_tree.sub("sent").unwrap(), "", false);
    send(source(from.path(), None), &mut sink).unwrap();
    assert_eq!(to_tree.read_link(format!("sent/{link}")).unwrap(), "text");
    let view = crate::overlay::View::plain(from_tree.try_clone().unwrap());
    crate::overlay::copy(&view, &to_tree.sub("copied").unwrap()).unwrap();
    assert_eq!(to_tree.read_link(format!("copied/{link}")).unwrap(), "text");
    let packed = crate::diff::tree(&from_tree, &crate::apply::Applied::default(), std::io::sink());
    assert!(packed.is_ok());
    to_tree.mkdir("empty", rustix::fs::Mode::RWXU).unwrap();
    let empty = crate::overlay::View::plain(to_tree.sub("empty").unwrap());
    assert_eq!(crate::diff::changes(&empty, &view).unwrap().len(), DEPTH + 1);
    let copied = crate::overlay::View::plain(to_tree.sub("copied").unwrap());
    to_tree.sub("copied").unwrap().symlink("text", link.replace("link", "more")).unwrap();
    assert_eq!(crate::diff::changes(&view, &copied).unwrap().len(), DEPTH + 1);
    for (root, name) in [(&to_tree, "sent"), (&to_tree, "copied"), (&from_tree, "d")] {
        root.remove_tree(name).unwrap();
    }
}
