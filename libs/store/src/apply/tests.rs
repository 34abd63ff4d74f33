//! What layers may do to their tree, and what none may do to anything else.

mod hostile;

use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ctr_core::rooted::Root;

use super::{Applied, ApplyError, IdKind, Limits, Options, layer};
use crate::overlay::mark;
use crate::tar::{Kind, Time};
use crate::testing::{Item, archive, dir, file, hard_link, in_a, is_real_root, names, node, symlink};

/// A tree to unpack into, with a canary beside it.
pub(super) struct Stage {
    dir: tempfile::TempDir,
}

impl Stage {
    pub(super) fn new() -> Self {
        Self::on(tempfile::tempdir().unwrap())
    }

    /// A stage in memory, for what is done a thousand times.
    pub(super) fn in_memory() -> Self {
        Self::on(tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap())
    }

    fn on(dir: tempfile::TempDir) -> Self {
        std::fs::create_dir(dir.path().join("tree")).unwrap();
        std::fs::create_dir_all(dir.path().join("canary/etc")).unwrap();
        std::fs::write(dir.path().join("canary/etc/passwd"), "outside").unwrap();
        std::fs::write(dir.path().join("canary/file"), "outside").unwrap();
        Self { dir }
    }

    pub(super) fn tree(&self) -> PathBuf {
        self.dir.path().join("tree")
    }

    pub(super) fn canary(&self) -> PathBuf {
        self.dir.path().join("canary")
    }

    pub(super) fn apply_bytes(&self, bytes: &[u8], options: &Options) -> Result<Applied, ApplyError> {
        layer(bytes, &Root::open(self.tree()).unwrap(), options)
    }

    pub(super) fn apply(&self, items: &[Item]) -> Result<Applied, ApplyError> {
        self.apply_bytes(&archive(items), &Options::default())
    }

    fn meta(&self, path: &str) -> std::fs::Metadata {
        std::fs::symlink_metadata(self.tree().join(path)).unwrap()
    }

    fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.tree().join(path)).unwrap()
    }

    fn is_opaque(&self, path: &str) -> bool {
        let dir = std::fs::File::open(self.tree().join(path)).unwrap();
        mark::opacity(&dir).unwrap() == mark::Opacity::Opaque
    }

    fn is_whiteout(&self, path: &str) -> bool {
        let meta = self.meta(path);
        meta.file_type().is_char_device() && meta.rdev() == 0
    }
}

fn owned(mut item: Item, uid: u64, gid: u64) -> Item {
    (item.0.uid, item.0.gid) = (uid, gid);
    item
}

fn at(mut item: Item, seconds: i64, nanos: u32) -> Item {
    item.0.modified = Time { seconds, nanos };
    item
}

fn mode(mut item: Item, mode: u32) -> Item {
    item.0.mode = mode;
    item
}

fn with_xattr(mut item: Item, name: &str, value: &[u8]) -> Item {
    item.0.xattrs.push((name.into(), value.to_vec()));
    item
}

fn implied(applied: &Applied) -> Vec<&str> {
    applied.implied.iter().map(|path| std::str::from_utf8(path.as_bytes()).unwrap()).collect()
}

in_a! {
fn userns_owner_mode_and_times_are_exact() {
    let stage = Stage::new();
    let applied = stage
        .apply(&[
            at(dir("./", 0o755), 5, 6),
            at(mode(owned(dir("home/", 0o2750), 1000, 1001), 0o2750), 100, 1),
            at(mode(owned(file("home/tool", "x"), 33, 44), 0o6755), 200, 123_456_789),
            at(owned(symlink("home/link", "tool"), 7, 8), 300, 5),
            at(mode(owned(node("home/pipe", Kind::Fifo), 9, 10), 0o620), 400, 6),
            at(mode(dir("home/locked", 0), 0), -5, 500_000_000),
            at(mode(file("home/locked/in", "y"), 0o400), 1, 0),
        ])
        .unwrap();
    assert_eq!(implied(&applied), [""; 0]);
    assert_eq!((applied.entries, applied.bytes), (7, 2));
    for (path, mode, uid, gid, seconds, nanos) in [
        ("", 0o40755, 0, 0, 5, 6),
        ("home", 0o42750, 1000, 1001, 100, 1),
        ("home/tool", 0o106_755, 33, 44, 200, 123_456_789),
        ("home/link", 0o120_777, 7, 8, 300, 5),
        ("home/pipe", 0o10620, 9, 10, 400, 6),
        ("home/locked", 0o40000, 0, 0, -5, 500_000_000),
        ("home/locked/in", 0o100_400, 0, 0, 1, 0),
    ] {
        let meta = stage.meta(path);
        let seen = (meta.mode(), meta.uid(), meta.gid(), meta.mtime(), meta.mtime_nsec());
        assert_eq!(seen, (mode, uid, gid, seconds, nanos), "{path}");
    }
}

fn userns_ids_outside_the_map_are_named() {
    if is_real_root() {
        println!("skipped: userns_ids_outside_the_map_are_named: real root has every id");
        return;
    }
    for (uid, gid, kind, id) in [
        (1_000_000, 0, IdKind::Uid, 1_000_000),
        (0, 2_000_000, IdKind::Gid, 2_000_000),
        (3_000_000, 4_000_000, IdKind::Uid, 3_000_000),
    ] {
        for item in [file("f", ""), dir("d", 0o755), symlink("l", "x"), node("p", Kind::Fifo)] {
            let error = Stage::new().apply(&[owned(item, uid, gid)]).unwrap_err();
            let ApplyError::IdNotMapped { kind: seen, id: number, .. } = &error else { panic!("{error:?}") };
            assert_eq!((*seen, *number), (kind, id));
        }
    }
}

fn userns_numbers_that_are_no_ids_are_refused() {
    for id in [u64::from(u32::MAX), 1 << 32, u64::MAX] {
        let error = Stage::new().apply(&[owned(file("f", ""), id, 0)]).unwrap_err();
        assert!(matches!(error, ApplyError::IdNotMapped { kind: IdKind::Uid, id: seen, .. } if seen == id));
        let error = Stage::new().apply(&[owned(file("f", ""), 0, id)]).unwrap_err();
        assert!(matches!(error, ApplyError::IdNotMapped { kind: IdKind::Gid, id: seen, .. } if seen == id));
    }
}

fn userns_deletions_become_whiteouts() {
    let stage = Stage::new();
    let applied = stage
        .apply(&[
            dir("./", 0o755),
            dir("etc/", 0o755),
            file("etc/.wh.gone", ""),
            dir("var/", 0o755),
            file("var/.wh..wh..opq", ""),
            file("var/new", "n"),
            // Deleted and made again, in both orders: what is made is all there is.
            file(".wh.before", ""),
            dir("before/", 0o755),
            file("before/x", ""),
            dir("after/", 0o755),
            file(".wh.after", ""),
            file(".wh.implied", ""),
            file("implied/x", ""),
            file(".wh.file", ""),
            file("file", "f"),
            file("kept", "k"),
            file(".wh.kept", ""),
            file(".wh.twice", ""),
            file(".wh.twice", ""),
            dir(".wh..wh.plnk/", 0o700),
            file(".wh..wh.plnk/1.2", "aufs"),
            file(".wh..wh.aufs", "aufs"),
        ])
        .unwrap();
    assert!(stage.is_whiteout("etc/gone") && stage.is_whiteout("twice"));
    for path in ["var", "before", "after", "implied"] {
        assert!(stage.is_opaque(path), "{path}");
    }
    assert!(!stage.is_opaque("etc"));
    assert_eq!((stage.read("file"), stage.read("kept")), ("f".into(), "k".into()));
    assert_eq!(implied(&applied), ["implied"]);
    assert!(!applied.opaque_root);
    assert!(names(&stage.tree()).iter().all(|name| !name.contains(".wh.")));
    let applied = Stage::new().apply(&[file(".wh..wh..opq", ""), file("x", "")]).unwrap();
    assert!(applied.opaque_root);
}

fn userns_whiteouts_without_devices_are_marked_files() {
    let stage = Stage::new();
    let tree = std::fs::File::open(stage.tree()).unwrap();
    mark::make_marked_file(std::os::fd::AsFd::as_fd(&tree), "gone".as_ref()).unwrap();
    assert_eq!(mark::opacity(&tree).unwrap(), mark::Opacity::MarkedFiles);
    stage.apply(&[dir("gone/", 0o755)]).unwrap();
    assert!(stage.is_opaque("gone"));
}

fn userns_parents_without_an_entry_are_implied() {
    let stage = Stage::new();
    let applied = stage
        .apply(&[
            at(file("a/b/c/file", ""), 77, 0),
            at(mode(dir("a/b/", 0o700), 0o700), 88, 0),
            dir("link-to/", 0o755),
            symlink("lib", "usr/lib"),
            file("lib/libc", "c"),
            symlink("abs", "/opt/deep"),
            file("abs/tool", "t"),
            symlink("up", "../../../srv"),
            file("up/data", "d"),
        ])
        .unwrap();
    assert_eq!(implied(&applied), ["", "a", "a/b/c", "opt", "opt/deep", "srv", "usr", "usr/lib"]);
    assert_eq!(stage.meta("a").mode(), 0o40755);
    assert_eq!(stage.meta("a/b").mode(), 0o40700);
    assert_eq!((stage.meta("a").mtime(), stage.meta("a/b").mtime()), (77, 88));
    assert_eq!(stage.read("usr/lib/libc"), "c");
    assert_eq!(stage.read("opt/deep/tool"), "t");
    assert_eq!(stage.read("srv/data"), "d");
    // One that a later entry describes or replaces is not implied any more.
    let applied = Stage::new().apply(&[dir("/", 0o755), file("a/x", ""), file("b/c/x", ""), file("b", "")]);
    assert_eq!(implied(&applied.unwrap()), ["a"]);
}

fn userns_the_last_entry_of_a_name_wins() {
    let stage = Stage::new();
    stage
        .apply(&[
            file("a", "long first"),
            file("a", "2"),
            dir("b/", 0o755),
            file("b/in", ""),
            file("b", "file over dir"),
            file("c", ""),
            dir("c/", 0o755),
            file("c/in", "dir over file"),
            symlink("d", "c"),
            dir("d/", 0o755),
            dir("e/", 0o755),
            file("e/in", ""),
            symlink("e", "c"),
            mode(dir("f/", 0o700), 0o700),
            file("f/in", "kept"),
            mode(dir("f/", 0o711), 0o711),
            file("Case", "1"),
            file("case", "2"),
            file("x", "shared"),
            hard_link("y", "x"),
            file("x", "own"),
            hard_link("y", "y"),
            hard_link("z", "y"),
            hard_link("z", "y"),
            file("null", "n"),
            node("null", Kind::CharDevice),
        ])
        .unwrap();
    assert_eq!(stage.read("a"), "2");
    assert_eq!(stage.read("b"), "file over dir");
    assert_eq!(stage.read("c/in"), "dir over file");
    assert!(stage.meta("d").is_dir());
    assert!(stage.meta("e").is_symlink());
    assert_eq!((stage.meta("f").mode(), stage.read("f/in")), (0o40711, "kept".into()));
    assert_eq!((stage.read("Case"), stage.read("case")), ("1".into(), "2".into()));
    assert_eq!((stage.read("x"), stage.read("y"), stage.meta("y").nlink()), ("own".into(), "shared".into(), 2));
    assert!(!stage.tree().join("null").exists());
}

fn userns_hard_links_reach_only_into_the_layer() {
    let stage = Stage::new();
    stage
        .apply(&[
            dir("usr/", 0o755),
            file("usr/a", "a"),
            symlink("s", "usr"),
            hard_link("one", "usr/a"),
            hard_link("two", "/usr/a"),
            hard_link("three", "./s/a"),
            hard_link("link", "s"),
        ])
        .unwrap();
    assert_eq!(stage.meta("usr/a").nlink(), 4);
    assert!(stage.meta("link").is_symlink());
    for target in ["missing", "usr", "later", "gone", "usr/a/x", ".wh.gone", ""] {
        let items = [dir("usr/", 0o755), file("usr/a", "a"), file(".wh.gone", ""), hard_link("l", target)];
        let items: Vec<_> = items.into_iter().chain([file("later", "")]).collect();
        let error = Stage::new().apply(&items).unwrap_err();
        assert!(matches!(error, ApplyError::Unsafe { .. }), "{target}: {error:?}");
    }
}

fn userns_attributes_are_kept_or_counted() {
    let stage = Stage::new();
    let capability = b"\x01\0\0\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let forged = b"/etc/shadow";
    let applied = stage
        .apply(&[
            owned(with_xattr(file("ping", "p"), "security.capability", capability), 5, 5),
            with_xattr(file("mime", ""), "user.mime", b"a\0b"),
            with_xattr(with_xattr(file("fake", ""), "user.overlay.redirect", forged), "user.overlay.metacopy", b""),
            with_xattr(dir("blind", 0o755), "user.overlay.opaque", b"y"),
            with_xattr(file("trusted", ""), "trusted.overlay.redirect", forged),
            with_xattr(symlink("link", "x"), "user.mime", b"x"),
        ])
        .unwrap();
    let get = |path: &str, name: &str| {
        let mut value = vec![0; 100];
        let count = rustix::fs::lgetxattr(stage.tree().join(path), name, value.as_mut_slice());
        count.map(|count| value[..count].to_vec()).ok()
    };
    // Read as root of the namespace, the kernel gives back what was set.
    assert_eq!(get("ping", "security.capability").unwrap(), capability);
    assert_eq!(get("mime", "user.mime").unwrap(), b"a\0b");
    for name in ["user.overlay.redirect", "user.overlay.metacopy"] {
        assert_eq!(get("fake", name), None);
    }
    assert!(!stage.is_opaque("blind"));
    let left_out: Vec<_> = applied.attributes.first.iter().map(super::LayerPath::as_bytes).collect();
    assert_eq!(left_out, [b"fake".as_slice(), b"blind", b"trusted", b"link"]);
    assert_eq!(applied.attributes.count, 4);
}

fn userns_default_acls_wait_for_the_end() {
    // user::rwx group::--- other::---, version 2.
    let mut acl = vec![2, 0, 0, 0];
    for (tag, bits) in [(1_u16, 7_u16), (4, 0), (0x20, 0)] {
        acl.extend(tag.to_le_bytes());
        acl.extend(bits.to_le_bytes());
        acl.extend(u32::MAX.to_le_bytes());
    }
    let stage = Stage::new();
    stage.apply(&[with_xattr(dir("d/", 0o755), "system.posix_acl_default", &acl), file("d/f", "")]).unwrap();
    let mut value = [0; 100];
    rustix::fs::getxattr(stage.tree().join("d"), "system.posix_acl_default", &mut value).unwrap();
    assert_eq!(stage.meta("d/f").mode(), 0o100_644);
}

fn userns_a_default_acl_of_the_store_is_not_handed_down() {
    let mut acl = vec![2, 0, 0, 0];
    for (tag, bits, id) in [(1_u16, 7_u16, u32::MAX), (2, 7, 5), (4, 5, u32::MAX), (0x10, 7, u32::MAX), (0x20, 5, u32::MAX)] {
        acl.extend(tag.to_le_bytes());
        acl.extend(bits.to_le_bytes());
        acl.extend(id.to_le_bytes());
    }
    let stage = Stage::new();
    let set = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(stage.tree(), "system.posix_acl_default", &acl, set).unwrap();
    stage.apply(&[dir("d/", 0o755), mode(file("d/f", ""), 0o600), file("i/f", "")]).unwrap();
    for (path, mode) in [("d", 0o40755), ("d/f", 0o100_600), ("i", 0o40755), ("i/f", 0o100_644)] {
        assert_eq!(stage.meta(path).mode(), mode, "{path}");
        let seen = rustix::fs::getxattr(stage.tree().join(path), "system.posix_acl_access", &mut [0; 100]);
        assert!(seen.is_err(), "{path}");
    }
}

fn userns_holes_stay_holes() {
    use std::os::unix::fs::FileExt;
    let source = tempfile::tempdir().unwrap();
    let holes = std::fs::File::create(source.path().join("holes")).unwrap();
    holes.write_all_at(b"begin", 0).unwrap();
    holes.write_all_at(b"middle", 50 << 20).unwrap();
    holes.set_len(100 << 20).unwrap();
    for format in ["--format=gnu", "--format=posix"] {
        let tar = std::process::Command::new("tar").args([format, "-ScC"]).arg(source.path()).arg("holes").output();
        let stage = Stage::new();
        let applied = stage.apply_bytes(&tar.unwrap().stdout, &Options::default()).unwrap();
        let meta = stage.meta("holes");
        assert_eq!(meta.len(), 100 << 20);
        assert!(meta.blocks() < 100, "{format}: {}", meta.blocks());
        assert!(applied.bytes < 1 << 20);
        let mut seen = [0; 6];
        std::fs::File::open(stage.tree().join("holes")).unwrap().read_exact_at(&mut seen, 50 << 20).unwrap();
        assert_eq!(&seen, b"middle");
    }
}

fn userns_device_nodes_are_skipped_and_counted() {
    let stage = Stage::new();
    let applied = stage.apply(&[node("dev/null", Kind::CharDevice), node("dev/sda", Kind::BlockDevice)]).unwrap();
    assert_eq!(applied.devices.count, 2);
    assert_eq!(applied.devices.first[0].as_bytes(), b"dev/null");
    assert_eq!(names(&stage.tree()), ["dev"]);
}

fn userns_limits_stop_a_layer() {
    let many: Vec<_> = (0..20).map(|number| file(&format!("f{number}"), "")).collect();
    let limits = |change: &dyn Fn(&mut Limits)| {
        let mut limits = Limits::default();
        change(&mut limits);
        Options { limits, plain: false }
    };
    let bytes = archive(&many);
    let error = |bytes: &[u8], options: &Options| Stage::new().apply_bytes(bytes, options).unwrap_err();
    let what = |error: ApplyError| match error {
        ApplyError::Limit { what, limit } => (what, limit),
        other => panic!("{other:?}"),
    };
    assert_eq!(what(error(&bytes, &limits(&|limits| limits.entries = 19))), ("entries", 19));
    assert!(Stage::new().apply_bytes(&bytes, &limits(&|limits| limits.entries = 20)).is_ok());
    let deep = archive(&[file("1/2/3/4/5/6/7/8/9/10", "")]);
    assert_eq!(what(error(&deep, &limits(&|limits| limits.entries = 8))), ("entries", 8));
    let (what_implied, _) = what(error(&deep, &limits(&|limits| limits.implied = 20)));
    assert_eq!(what_implied, "bytes of names of implied directories");
    assert_eq!(what(error(&bytes, &limits(&|limits| limits.bytes = 5000))), ("bytes", 5000));
    let fat = archive(&[with_xattr(file("f", ""), "user.a", &[7; 100])]);
    let (what_xattr, _) = what(error(&fat, &limits(&|limits| limits.xattrs = 50)));
    assert_eq!(what_xattr, "bytes of extended attributes on a file");
}

fn userns_a_hundred_thousand_files_take_little_memory() {
    let stage = Stage::in_memory();
    // CTR_TEST_FOLDERS=10000 makes it a million, which takes a minute without optimization.
    let folders = std::env::var("CTR_TEST_FOLDERS").map_or(1000, |number| number.parse().unwrap());
    let files = folders * 100;
    let layer_of = |number: usize| match number % 101 {
        0 => dir(&format!("usr/share/folder-{:04}/", number / 101), 0o755),
        file_number => file(&format!("usr/share/folder-{:04}/file-{file_number:03}", number / 101), "x"),
    };
    let count = usize::try_from(folders * 101).unwrap();
    let stream = Generated { entry: &layer_of, next: 0, count, rest: Vec::new(), at: 0 };
    let before = peak();
    let applied = layer(stream, &Root::open(stage.tree()).unwrap(), &Options::default()).unwrap();
    assert_eq!((applied.entries, applied.bytes), (files + folders, files));
    let grown = peak() - before;
    // The times of directories are kept until the end: some 25 bytes each.
    assert!(grown < 4096 + folders / 20, "{grown} KiB more for {} entries", files + folders);
    assert_eq!(stage.read("usr/share/folder-0999/file-100"), "x");
}

fn userns_a_stream_is_read_to_its_end() {
    let mut bytes = archive(&[file("a", "1")]);
    bytes.extend_from_slice(&[9; 5000]);
    let applied = Stage::new().apply_bytes(&bytes, &Options::default()).unwrap();
    assert_eq!(applied.stream, u64::try_from(bytes.len()).unwrap());
    let json = serde_json::to_string(&applied).unwrap();
    assert_eq!(serde_json::from_str::<Applied>(&json).unwrap(), applied);
}

fn userns_the_umask_has_no_say() {
    let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o777));
    let stage = Stage::new();
    let done = stage.apply(&[dir("d/", 0o777), file("d/f", ""), file("i/f", ""), node("p", Kind::Fifo)]);
    rustix::process::umask(before);
    done.unwrap();
    for (path, mode) in [("d", 0o777), ("d/f", 0o644), ("i", 0o755), ("p", 0o666), ("", 0o555)] {
        assert_eq!(stage.meta(path).permissions().mode() & 0o7777, mode, "{path}");
    }
}
}

/// An archive that is made while it is read.
struct Generated<'f> {
    entry: &'f dyn Fn(usize) -> Item,
    next: usize,
    count: usize,
    rest: Vec<u8>,
    at: usize,
}

impl std::io::Read for Generated<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.at == self.rest.len() && self.next < self.count {
            // Without the end mark, which comes after each otherwise.
            self.rest = archive(&[(self.entry)(self.next)]);
            self.rest.truncate(self.rest.len() - 1024);
            (self.at, self.next) = (0, self.next + 1);
        }
        let count = into.len().min(self.rest.len() - self.at);
        into[..count].copy_from_slice(&self.rest[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

/// The most memory the process has had, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn errors_say_what_and_where() {
    let error = ApplyError::IdNotMapped {
        kind: IdKind::Uid,
        id: 1000,
        path: ctr_core::Foreign::new(b"home/\x1b[2Ja".as_slice()),
    };
    assert!(error.to_string().ends_with("belongs to UID 1000, which the id map does not have"), "{error}");
    assert!(!error.to_string().contains('\u{1b}'));
    assert!(Path::new("/proc/self/ns/user").exists());
}
