//! One table of hostile and ordinary trees, through both resolvers, and somebody who swaps directories.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::{Root, TreeError};

/// A tree beside a canary: `tree/` is the root, everything else must stay as it is.
struct Stage {
    dir: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        // Memory, where there is such a place: some disks take milliseconds for every directory that goes.
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in ["tree/etc", "tree/usr/lib", "tree/run/lock", "canary/etc"] {
            std::fs::create_dir_all(at(name)).unwrap();
        }
        std::fs::write(at("canary/etc/passwd"), "outside").unwrap();
        std::fs::write(at("tree/etc/passwd"), "inside").unwrap();
        std::fs::write(at("tree/usr/lib/libc"), "libc").unwrap();
        let canary = at("canary");
        let canary = canary.to_str().unwrap();
        for (text, name) in [
            ("usr/lib", "tree/lib"),
            ("/run", "tree/var-run"),
            ("../../../../..", "tree/up"),
            ("/../../etc", "tree/up-abs"),
            ("passwd", "tree/etc/link"),
            ("/etc/link", "tree/chain"),
            ("loop", "tree/loop"),
            ("/nowhere/deep", "tree/dangling"),
            (canary, "tree/escape"),
            (&format!("{canary}/etc/passwd"), "tree/escape-file"),
            ("usr/lib/", "tree/slash"),
            ("/usr/lib/libc", "tree/usr/absolute"),
            ("../../../etc/passwd", "tree/usr/above"),
        ] {
            symlink(text, at(name)).unwrap();
        }
        Self { dir }
    }

    fn root(&self) -> Root {
        Root::open(self.dir.path().join("tree")).unwrap()
    }

    /// Both ways of resolving the same tree.
    fn roots(&self) -> [(&'static str, Root); 2] {
        [("kernel", self.root()), ("walk", self.root().without_openat2())]
    }

    fn canary(&self) -> BTreeMap<PathBuf, String> {
        snapshot(&self.dir.path().join("canary"))
    }
}

/// Every path below `dir` with its type, mode, owner and contents.
fn snapshot(dir: &Path) -> BTreeMap<PathBuf, String> {
    use std::os::unix::fs::MetadataExt;
    let mut seen = BTreeMap::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(path) = todo.pop() {
        let meta = std::fs::symlink_metadata(&path).unwrap();
        let contents = if meta.is_dir() {
            todo.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            String::new()
        } else {
            std::fs::read_to_string(&path).unwrap()
        };
        let what =
            format!("{:o} {}:{} {} {contents}", meta.mode(), meta.uid(), meta.gid(), meta.mtime_nsec());
        seen.insert(path, what);
    }
    seen
}

fn mode(bits: u32) -> Mode {
    Mode::from_raw_mode(bits)
}

#[test]
fn paths_resolve_inside_the_tree() {
    let stage = Stage::new();
    let cases: &[(&str, Result<&str, Errno>)] = &[
        ("etc/passwd", Ok("inside")),
        ("/etc/passwd", Ok("inside")),
        ("//etc//./passwd", Ok("inside")),
        ("../../etc/passwd", Ok("inside")),
        ("usr/../../../etc/passwd", Ok("inside")),
        ("lib/libc", Ok("libc")),
        ("slash/libc", Ok("libc")),
        ("up/etc/passwd", Ok("inside")),
        ("up-abs/passwd", Ok("inside")),
        ("up/up/up/lib/../lib/libc", Ok("libc")),
        ("etc/link", Ok("inside")),
        ("chain", Ok("inside")),
        ("usr/absolute", Ok("libc")),
        ("lib/../absolute", Ok("libc")),
        ("usr/above", Ok("inside")),
        ("loop", Err(Errno::LOOP)),
        ("loop/x", Err(Errno::LOOP)),
        ("dangling", Err(Errno::NOENT)),
        ("escape/etc/passwd", Err(Errno::NOENT)),
        ("escape-file", Err(Errno::NOENT)),
        ("etc/passwd/x", Err(Errno::NOTDIR)),
        ("etc/passwd/", Err(Errno::NOTDIR)),
        ("missing", Err(Errno::NOENT)),
        ("missing/../etc/passwd", Err(Errno::NOENT)),
    ];
    for (how, root) in stage.roots() {
        for (path, want) in cases {
            let got = root.read_bounded(path, 100);
            match want {
                Ok(text) => assert_eq!(got.unwrap(), text.as_bytes(), "{how}: {path}"),
                Err(errno) => assert_eq!(got.unwrap_err().errno(), Some(*errno), "{how}: {path}"),
            }
        }
    }
}

#[test]
fn names_resolve_inside_the_tree() {
    let stage = Stage::new();
    let before = stage.canary();
    for (how, root) in stage.roots() {
        let name = |rest: &str| format!("{how}-{rest}");
        root.mkdir(name("dir"), mode(0o755)).unwrap();
        root.mkdir(format!("up/{how}-up"), mode(0o755)).unwrap();
        assert!(root.lstat(name("up")).unwrap().is_dir(), "{how}");
        root.create_new(format!("var-run/{how}"), mode(0o600)).unwrap();
        assert_eq!(root.lstat(format!("run/{how}")).unwrap().kind, FileType::RegularFile, "{how}");
        root.symlink("/etc/passwd", name("link")).unwrap();
        assert_eq!(root.read_link(name("link")).unwrap(), "/etc/passwd");
        assert_eq!(root.read_bounded(name("link"), 100).unwrap(), b"inside");
        // The last component of an operation on names is never followed.
        root.hard_link("escape-file", name("hard")).unwrap();
        assert_eq!(root.lstat(name("hard")).unwrap().kind, FileType::Symlink, "{how}");
        root.unlink(name("hard")).unwrap();
        root.rename(name("dir"), format!("lib/{how}"), RenameFlags::NOREPLACE).unwrap();
        assert!(root.stat(format!("usr/lib/{how}")).unwrap().is_dir());
        for (path, errno) in [
            ("", Errno::INVAL),
            ("/", Errno::INVAL),
            ("etc/..", Errno::INVAL),
            (".", Errno::INVAL),
            ("escape", Errno::EXIST),
            ("escape/x", Errno::NOENT),
            ("loop/x", Errno::LOOP),
        ] {
            assert_eq!(root.mkdir(path, mode(0o755)).unwrap_err().errno(), Some(errno), "{how}: {path:?}");
            let created = root.create_new(path, mode(0o644)).unwrap_err().errno();
            assert_eq!(created, Some(errno), "{how}: {path:?}");
        }
    }
    assert_eq!(stage.canary(), before);
}

#[test]
fn directories_are_made_where_dangling_links_say() {
    for resolver in 0..2 {
        let stage = Stage::new();
        let before = stage.canary();
        let [kernel, walk] = stage.roots();
        let (how, root) = if resolver == 0 { kernel } else { walk };
        root.mkdir_all("a/b/c", mode(0o755)).unwrap();
        root.mkdir_all("a/b/c", mode(0o755)).unwrap();
        root.mkdir_all("dangling/x", mode(0o700)).unwrap();
        assert!(root.lstat("nowhere/deep/x").unwrap().is_dir(), "{how}");
        root.mkdir_all("escape/etc/new", mode(0o755)).unwrap();
        let inside = stage.dir.path().join("canary").strip_prefix("/").unwrap().join("etc/new");
        assert!(root.lstat(inside).unwrap().is_dir(), "{how}");
        root.ensure_file("escape-file", mode(0o644), mode(0o755)).unwrap();
        root.ensure_file("fresh/dir/file", mode(0o600), mode(0o755)).unwrap();
        assert_eq!(root.lstat("fresh/dir/file").unwrap().mode, mode(0o600));
        let error = root.mkdir_all("etc/passwd/x", mode(0o755)).unwrap_err();
        assert_eq!(error.errno(), Some(Errno::NOTDIR), "{how}");
        let error = root.mkdir_all("loop/x", mode(0o755)).unwrap_err();
        assert_eq!(error.errno(), Some(Errno::LOOP), "{how}");
        assert_eq!(stage.canary(), before);
    }
}

#[test]
fn only_regular_files_of_bounded_size_are_read() {
    let stage = Stage::new();
    for (how, root) in stage.roots() {
        let fifo = format!("fifo-{how}");
        root.mknod(&fifo, FileType::Fifo, mode(0o644), 0).unwrap();
        assert!(matches!(root.read_bounded(&fifo, 10), Err(TreeError::NotRegular { .. })), "{how}");
        assert!(matches!(root.read_bounded("etc", 10), Err(TreeError::NotRegular { .. })), "{how}");
        assert!(matches!(root.read_bounded("etc/passwd", 5), Err(TreeError::TooLarge { limit: 5, .. })));
        assert_eq!(root.read_bounded("etc/passwd", 6).unwrap(), b"inside");
    }
}

#[test]
fn magic_links_are_refused() {
    let proc = || Root::open("/proc").unwrap();
    for (how, root) in [("kernel", proc()), ("walk", proc().without_openat2())] {
        for path in ["self/cwd/x", "self/root/etc/passwd", "self/exe", "self/fd/0", "self/ns/user"] {
            let error = root.resolve(path).unwrap_err();
            assert_eq!(error.errno(), Some(Errno::LOOP), "{how}: {path}");
        }
        assert!(root.read_bounded("self/status", 1 << 20).unwrap().starts_with(b"Name:"), "{how}");
        assert!(!root.read_bounded("mounts", 1 << 20).unwrap().is_empty(), "{how}");
    }
}

#[test]
fn a_sub_root_confines_further() {
    let stage = Stage::new();
    for (how, root) in stage.roots() {
        let etc = root.sub("etc").unwrap();
        assert_eq!(etc.read_bounded("../../passwd", 100).unwrap(), b"inside", "{how}");
        assert!(etc.stat("../usr").unwrap_err().is_missing(), "{how}");
    }
}

#[test]
fn deep_wide_and_locked_trees_are_removed() {
    let stage = Stage::new();
    let before = stage.canary();
    for (how, root) in stage.roots() {
        // Deeper than a path can be long and than descriptors may be open.
        let mut at = root.sub("/").unwrap();
        for depth in 0..1300 {
            at.mkdir("dddddddd", mode(0o755)).unwrap();
            at.symlink("../../../../../../../canary", "out").unwrap();
            if depth % 100 == 0 {
                at.mkdir(".deep-0", mode(0o755)).unwrap();
                at.create_new(".deep-0/file", mode(0o600)).unwrap();
            }
            at = at.sub("dddddddd").unwrap();
        }
        for number in 0..1100 {
            root.mkdir(format!("dddddddd/w{number}"), mode(0o755)).unwrap();
            root.create_new(format!("dddddddd/w{number}/f"), mode(0o600)).unwrap();
        }
        assert_eq!(root.size_below("dddddddd/w0").unwrap(), 0);
        std::fs::write(stage.dir.path().join("tree/dddddddd/w7/f"), "seven").unwrap();
        root.hard_link("dddddddd/w7/f", "dddddddd/again").unwrap();
        at.create_new("deep", mode(0o600)).unwrap().write_all(b"deep").unwrap();
        // A link to the canary is not followed.
        assert_eq!(root.size_below("dddddddd").unwrap(), 9, "{how}");
        root.mkdir_all("dddddddd/locked/inner", mode(0o755)).unwrap();
        root.set_mode("dddddddd/locked", mode(0)).unwrap();
        root.remove_tree("dddddddd").unwrap();
        root.remove_tree("dddddddd").unwrap();
        assert!(!root.exists("dddddddd").unwrap(), "{how}");
        root.remove_tree("out").unwrap();
        root.remove_tree(".deep-0").unwrap();
    }
    assert_eq!(stage.canary(), before);
}

/// Exchanges a directory with a link to the canary, and a file with a link to one there, until told to stop.
fn swap(tree: &Path, stop: &AtomicBool) -> u64 {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let tree = rustix::fs::openat(CWD, tree, flags, Mode::empty()).unwrap();
    let mut swaps = 0;
    while !stop.load(Ordering::Relaxed) {
        for (real, link) in [("dir", "link"), ("file", "file-link")] {
            rustix::fs::renameat_with(&tree, real, &tree, link, RenameFlags::EXCHANGE).unwrap();
        }
        swaps += 1;
    }
    swaps
}

struct StopOnDrop<'s>(&'s AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_racing_swapper_gains_nothing() {
    let stage = Stage::new();
    let tree = stage.dir.path().join("tree");
    std::fs::create_dir_all(tree.join("dir/etc")).unwrap();
    std::fs::write(tree.join("dir/etc/passwd"), "inside").unwrap();
    std::fs::write(tree.join("file"), "inside").unwrap();
    symlink(stage.dir.path().join("canary"), tree.join("link")).unwrap();
    symlink(stage.dir.path().join("canary/etc/passwd"), tree.join("file-link")).unwrap();
    let before = stage.canary();
    let stop = AtomicBool::new(false);
    let swaps = std::thread::scope(|scope| {
        let swapper = scope.spawn(|| swap(&tree, &stop));
        // A failed assertion must not leave it running.
        let guard = StopOnDrop(&stop);
        for (how, root) in stage.roots() {
            let mut inside = 0;
            let mut lost = 0;
            for _ in 0..500 {
                match root.read_bounded("dir/etc/passwd", 100) {
                    Ok(bytes) => {
                        assert_eq!(bytes, b"inside", "{how}");
                        inside += 1;
                    }
                    Err(_) => lost += 1,
                }
                // The window is small, and on a busy machine the two seldom run at once.
                for bytes in (0..20).filter_map(|_| root.read_bounded("file", 100).ok()) {
                    assert_eq!(bytes, b"inside", "{how}");
                }
                // Whichever it hits, it must be inside; failing is allowed.
                drop(root.set_mode("file", mode(0o600)));
                drop(root.create_new("dir/etc/new", mode(0o600)));
                drop(root.set_mode("dir/etc/passwd", mode(0o640)));
                drop(root.set_owner("dir/etc/passwd", Some(rustix::process::getuid().as_raw()), None));
                drop(root.mkdir_all("dir/etc/made/deep", mode(0o700)));
                drop(root.ensure_file("dir/etc/ensured", mode(0o600), mode(0o700)));
                drop(root.hard_link("dir/etc/passwd", "dir/etc/hard"));
                drop(root.remove_tree("dir/etc/made"));
                for name in ["new", "hard", "ensured"] {
                    drop(root.unlink(Path::new("dir/etc").join(name)));
                }
            }
            assert!(inside > 0 && lost > 0, "{how}: the race was never run: {inside} inside, {lost} lost");
        }
        drop(guard);
        swapper.join().unwrap()
    });
    assert!(swaps > 0);
    assert_eq!(stage.canary(), before);
}

#[test]
fn names_are_shown_escaped() {
    let stage = Stage::new();
    let error = stage.root().lstat("bad\u{1b}[2J\nname").unwrap_err();
    assert_eq!(error.to_string(), r#"cannot open "bad\u{1b}[2J\nname" in the tree"#);
}
