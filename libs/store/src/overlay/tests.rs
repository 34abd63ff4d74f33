//! Stacks as the kernel shows them, beside what we say they should be.

use std::cell::RefCell;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use ctr_core::rooted::Root;
use ctr_userns::map::{Extent, IdMap, IdMaps};

use super::mount::{attach_at, by_options};
use super::{
    Cloned, How, Layer, Stack, Upper, View, attributes, clone, clone::clone_by_copy, copy, discard,
    forget_mark, mount, places, rootfs,
};
use crate::Driver;
use crate::apply::{Applied, Options, layer};
use crate::testing::{Item, archive, dir, file, hard_link, in_a, names, snapshot, symlink as link};

/// A store of sorts on the file system of the tests.
struct Stage {
    dir: tempfile::TempDir,
    /// What was mounted in there.
    shown: RefCell<Vec<PathBuf>>,
}

/// What is still mounted would keep the folder.
impl Drop for Stage {
    fn drop(&mut self) {
        for path in self.shown.take() {
            // A test may have taken it off itself.
            rustix::mount::unmount(&path, rustix::mount::UnmountFlags::DETACH).ok();
        }
    }
}

impl Stage {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), shown: RefCell::default() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn make(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    fn layer(&self, name: &str, items: &[Item]) -> (PathBuf, Applied) {
        let path = self.make(name);
        let bytes = archive(items);
        let applied = layer(bytes.as_slice(), &Root::open(&path).unwrap(), &Options::default()).unwrap();
        (path, applied)
    }

    fn stack<'a>(&self, lower: &[&'a Path], empty: &'a Path) -> Stack<'a> {
        Stack { lower: lower.to_vec(), data: Vec::new(), upper: None, empty }
    }

    /// Mounts a stack at `name` and returns where it is.
    fn show(&self, name: &str, mounted: &std::os::fd::OwnedFd) -> PathBuf {
        let path = self.make(name);
        attach_at(mounted, &path).unwrap();
        self.shown.borrow_mut().push(path.clone());
        path
    }
}

fn owned(mut item: Item, uid: u64, gid: u64, mode: u32, seconds: i64) -> Item {
    (item.0.uid, item.0.gid, item.0.mode) = (uid, gid, mode);
    item.0.modified.seconds = seconds;
    item
}

/// Three layers with every kind of change, the lowest first.
fn layers(stage: &Stage) -> Vec<(PathBuf, Applied)> {
    let mut holes = file("usr/holes", "");
    holes.0.size = 0;
    vec![
        stage.layer(
            "1",
            &[
                owned(dir("./", 0o755), 1, 2, 0o711, 11),
                owned(dir("etc/", 0o755), 3, 4, 0o750, 22),
                owned(file("etc/passwd", "one"), 0, 42, 0o640, 5),
                file("etc/gone", "x"),
                dir("var/", 0o755),
                dir("var/lib/", 0o755),
                file("var/lib/old", "x"),
                dir("usr/", 0o755),
                file("usr/a", "shared"),
                hard_link("usr/b", "usr/a"),
                link("usr/l", "/etc/passwd"),
                file("turn", "file"),
                dir("turned/", 0o755),
                file("turned/in", "x"),
                holes,
            ],
        ),
        stage.layer(
            "2",
            &[
                file("etc/.wh.gone", ""),
                file("etc/passwd", "two"),
                file("var/lib/.wh..wh..opq", ""),
                file("var/lib/new", "n"),
                dir("turn/", 0o755),
                file("turn/in", "dir now"),
                file("turned", "file now"),
            ],
        ),
        stage.layer(
            "3",
            &[
                file("etc/motd", "three"),
                file("opt/only/here", "h"),
                file(".wh.usr", ""),
                file("usr/new", "u"),
            ],
        ),
    ]
}

fn topmost(layers: &[(PathBuf, Applied)]) -> Vec<&Path> {
    layers.iter().rev().map(|(path, _)| path.as_path()).collect()
}

fn view(paths: &[&Path]) -> View {
    View::of(paths.iter().map(|path| Root::open(path).unwrap()).collect())
}

in_a! {
fn userns_a_copy_shows_what_an_overlay_shows() {
    let stage = Stage::new();
    let layers = layers(&stage);
    let empty = stage.path("empty");
    for count in 1..=3 {
        let lower = topmost(&layers[..count]);
        let overlay = mount(&stage.stack(&lower, &empty)).unwrap();
        let shown = stage.show("shown", &overlay);
        let copied = stage.make(&format!("copy{count}"));
        copy(&view(&lower), &Root::open(&copied).unwrap()).unwrap();
        let (mut shown_tree, mut copied_tree) = (snapshot(&shown), snapshot(&copied));
        for tree in [&mut shown_tree, &mut copied_tree] {
            // The kernel shows neither, and we copy neither.
            tree.values_mut().for_each(|what| assert!(!what.contains("overlay"), "{what}"));
        }
        assert_eq!(shown_tree, copied_tree);
        assert_eq!(std::fs::read(copied.join("etc/passwd")).unwrap(), if count == 1 { b"one" } else { b"two" });
        rustix::mount::unmount(&shown, rustix::mount::UnmountFlags::DETACH).unwrap();
    }
    let copied = stage.path("copy2");
    assert!(!copied.join("etc/gone").exists() && !copied.join("var/lib/old").exists());
    assert_eq!(std::fs::metadata(copied.join("usr/a")).unwrap().nlink(), 2);
    assert_eq!(names(&stage.path("copy3").join("usr")), ["new"]);
}

fn userns_implied_directories_get_their_attributes_back() {
    let stage = Stage::new();
    let layers = layers(&stage);
    let roots: Vec<_> = layers.iter().map(|(path, _)| Root::open(path).unwrap()).collect();
    let all: Vec<_> =
        roots.iter().zip(&layers).map(|(tree, (_, applied))| Layer { tree, applied }).collect();
    let fix = stage.make("fix");
    let assembly = attributes(&all, &Root::open(&fix).unwrap()).unwrap();
    assert!(assembly.needed);
    assert_eq!((assembly.bottom, assembly.root.mode, assembly.root.uid, assembly.root.gid), (0, 0o555, 1, 2));
    let mut lower = vec![fix.as_path()];
    lower.extend(topmost(&layers));
    let empty = stage.path("empty");
    let shown = stage.show("shown", &mount(&stage.stack(&lower, &empty)).unwrap());
    let facts = |path: &str| {
        let meta = std::fs::metadata(shown.join(path)).unwrap();
        (meta.mode() & 0o7777, meta.uid(), meta.gid(), meta.mtime())
    };
    assert_eq!(facts(""), (0o711, 1, 2, 11));
    assert_eq!(facts("etc"), (0o750, 3, 4, 22));
    // Nobody describes it: ours stay.
    assert_eq!(facts("opt/only"), (0o755, 0, 0, 0));
    assert_eq!(std::fs::read(shown.join("etc/motd")).unwrap(), b"three");
    assert!(!names(&fix).contains(&"opt".to_owned()));

    // Nobody describes the top: it has podman's mode, also in a tree of the first stores.
    let (path, silent) = stage.layer("silent", &[file("a/f", "")]);
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o555);
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let root = Root::open(&path).unwrap();
    let alone = [Layer { tree: &root, applied: &silent }];
    let assembly = attributes(&alone, &Root::open(stage.make("fix1")).unwrap()).unwrap();
    assert_eq!((assembly.needed, assembly.root.mode), (false, 0o555));
    let above = [all[0], alone[0]];
    let assembly = attributes(&above, &Root::open(stage.make("fix4")).unwrap()).unwrap();
    assert_eq!((assembly.needed, assembly.root.mode), (true, 0o555));

    // A layer that describes all, and one that hides what is below it.
    let (path, applied) = stage.layer("plain", &[dir("./", 0o755), dir("a/", 0o755), file("a/f", "")]);
    let plain = Root::open(&path).unwrap();
    let fix = stage.make("fix2");
    let alone = [Layer { tree: &plain, applied: &applied }];
    assert!(!attributes(&alone, &Root::open(&fix).unwrap()).unwrap().needed);
    let (path, opaque) = stage.layer("opaque", &[dir("./", 0o700), file(".wh..wh..opq", "")]);
    let root = Root::open(&path).unwrap();
    let two = [all[0], Layer { tree: &root, applied: &opaque }];
    let assembly = attributes(&two, &Root::open(stage.make("fix3")).unwrap()).unwrap();
    assert_eq!((assembly.bottom, assembly.needed, assembly.root.mode), (1, false, 0o555));
    assert!(attributes(&[], &Root::open(stage.make("fix4")).unwrap()).is_err());
}

fn userns_changes_go_up_and_are_discarded() {
    let stage = Stage::new();
    let layers = layers(&stage);
    let empty = stage.path("empty");
    for volatile in [true, false] {
        let (upper, work) = (stage.make("c/up"), stage.make("c/work"));
        let mut stack = stage.stack(&topmost(&layers), &empty);
        stack.upper = Some(Upper { dir: &upper, work: &work, volatile });
        let mounted = mount(&stack).unwrap();
        let shown = stage.show("shown", &mounted);
        std::fs::write(shown.join("etc/passwd"), "changed").unwrap();
        std::fs::remove_file(shown.join("etc/motd")).unwrap();
        assert_eq!(std::fs::read(upper.join("etc/passwd")).unwrap(), b"changed");
        assert_eq!(std::fs::read(layers[1].0.join("etc/passwd")).unwrap(), b"two");
        rustix::mount::unmount(&shown, rustix::mount::UnmountFlags::DETACH).unwrap();
        drop(mounted);
        let trash = Root::open(stage.make("trash")).unwrap();
        let place = Root::open(stage.path("")).unwrap();
        discard(&place, "c".as_ref(), &trash, "c1").unwrap();
        discard(&place, "c".as_ref(), &trash, "c1").unwrap();
        assert!(!stage.path("c").exists() && names(&stage.path("trash")).is_empty());
    }
}

fn userns_five_hundred_layers_and_the_old_way_of_mounting() {
    let stage = Stage::new();
    let paths: Vec<PathBuf> = (0..500)
        .map(|number| {
            let path = stage.make(&format!("layers/{}{number:03}", "long-name".repeat(8)));
            std::fs::write(path.join(format!("own-{number}")), "").unwrap();
            std::fs::write(path.join("shared"), number.to_string()).unwrap();
            path
        })
        .collect();
    let lower: Vec<_> = paths.iter().map(PathBuf::as_path).collect();
    let empty = stage.path("empty");
    let (upper, work) = (stage.make("up"), stage.make("work"));
    let mut stack = stage.stack(&lower[..499], &empty);
    stack.upper = Some(Upper { dir: &upper, work: &work, volatile: true });
    let mut whole = stage.stack(&lower, &empty);
    // Overlayfs itself counts to 500.
    for (count, stack) in [(500, &whole), (499, &stack)] {
        let shown = stage.show("shown", &mount(stack).unwrap());
        assert_eq!(std::fs::read(shown.join("shared")).unwrap(), b"0");
        assert_eq!(std::fs::read_dir(&shown).unwrap().count(), count + 1);
        rustix::mount::unmount(&shown, rustix::mount::UnmountFlags::DETACH).unwrap();
    }
    // By descriptors in one string, 500 do not fit: the bottom is merged first.
    whole.lower.truncate(300);
    for stack in [&stage.stack(&lower[..5], &empty), &whole] {
        let shown = stage.show("shown", &by_options(stack).unwrap());
        assert_eq!(std::fs::read(shown.join("shared")).unwrap(), b"0");
        assert_eq!(std::fs::read_dir(&shown).unwrap().count(), stack.lower.len() + 1);
        rustix::mount::unmount(&shown, rustix::mount::UnmountFlags::DETACH).unwrap();
    }
    assert!(std::fs::read_dir(&empty).unwrap().next().is_none(), "nothing is left mounted");
}

fn userns_paths_that_options_cannot_hold_are_mounted() {
    let stage = Stage::new();
    let empty = stage.path("empty");
    for name in ["co:lon", "com,ma", "back\\slash", "quo\"te", &"deep/".repeat(60)] {
        let (path, _) = stage.layer(name, &[file("here", name)]);
        let (upper, work) = (stage.make(&format!("{name}-u")), stage.make(&format!("{name}-w")));
        let mut stack = stage.stack(&[&path], &empty);
        stack.upper = Some(Upper { dir: &upper, work: &work, volatile: true });
        let shown = stage.show("shown", &mount(&stack).unwrap());
        assert_eq!(std::fs::read(shown.join("here")).unwrap(), name.as_bytes());
        rustix::mount::unmount(&shown, rustix::mount::UnmountFlags::DETACH).unwrap();
    }
}

fn userns_without_overlay_a_copy_is_made_and_said() {
    let stage = Stage::new();
    let layers = layers(&stage);
    let lower = topmost(&layers);
    let empty = stage.path("empty");
    let asked = rootfs(&stage.stack(&lower, &empty), &stage.path("asked"), Driver::Vfs).unwrap();
    assert!(matches!(asked.how, How::Copied { why: None } | How::Reflinked { why: None }));
    assert_eq!(asked.how.notice(), None);
    let shown = stage.show("shown", &asked.mount);
    std::fs::write(shown.join("mine"), "kept").unwrap();
    rustix::mount::unmount(&shown, rustix::mount::UnmountFlags::DETACH).unwrap();
    // A second start finds its own changes.
    let again = rootfs(&stage.stack(&lower, &empty), &stage.path("asked"), Driver::Vfs).unwrap();
    assert!(matches!(again.how, How::Kept));
    assert_eq!(std::fs::read(stage.path("asked/mine")).unwrap(), b"kept");
    // Upper and work directories on two file systems are refused: as good as a kernel that cannot.
    let elsewhere = tempfile::tempdir_in("/dev/shm").unwrap();
    let (upper, work) = (stage.make("up"), elsewhere.path().to_owned());
    let mut stack = stage.stack(&lower, &empty);
    stack.upper = Some(Upper { dir: &upper, work: &work, volatile: true });
    let forced = rootfs(&stack, &stage.path("forced"), Driver::Overlay).unwrap();
    let notice = forced.how.notice().unwrap();
    assert!(notice.contains("no overlay here"), "{notice}");
    // What a copy would not mend is an error.
    let gone = stage.path("gone");
    let error = rootfs(&stage.stack(&[&gone, lower[0]], &empty), &stage.path("x"), Driver::Overlay).unwrap_err();
    assert!(error.to_string().contains("overlay"), "{error}");
}

fn userns_clones_show_other_owners_over_the_same_contents() {
    let stage = Stage::new();
    let (source, _) = stage.layer(
        "original",
        &[
            dir("./", 0o755),
            owned(dir("home/", 0o755), 1000, 1000, 0o2750, 7),
            owned(file("home/f", "contents"), 1000, 1001, 0o4711, 8),
            hard_link("home/g", "home/f"),
            owned(link("home/l", "f"), 1000, 0, 0o777, 9),
            file("empty", ""),
            file("root", "r"),
            file(".wh.gone", ""),
            dir("opaque/", 0o755),
            file("opaque/.wh..wh..opq", ""),
            file(&format!("{}/deep", "long-folder-name/".repeat(20)), "deep"),
        ],
    );
    // keep-id: 1000 in the container is our own root of A, those before it move up by one.
    let map = || IdMap::new(vec![Extent::new(0, 1, 1000), Extent::new(1000, 0, 1), Extent::new(1001, 1001, 1000)]);
    let maps = IdMaps { uid: map().unwrap(), gid: map().unwrap() };
    let cloned = stage.make("clone");
    let how = clone(&view(&[&source]), &cloned, &maps, Some(&stage.make("scratch"))).unwrap();
    assert!(names(&stage.path("scratch")).is_empty());
    let copied = stage.make("copied");
    assert_ne!(clone_by_copy(&view(&[&source]), &copied, &maps).unwrap(), Cloned::Metadata);
    let empty = stage.path("empty");
    let mut stack = stage.stack(&[&cloned], &empty);
    if how == Cloned::Metadata {
        stack.data.push(&source);
        assert!(std::fs::metadata(cloned.join("home/f")).unwrap().blocks() <= 16, "attributes, no contents");
    } else {
        println!("note: this kernel has no metadata-only clones here: {how:?}");
    }
    let shown = stage.show("shown", &mount(&stack).unwrap());
    let plain = stage.show("plain", &mount(&stage.stack(&[&copied], &empty)).unwrap());
    assert_eq!(snapshot(&shown), snapshot(&plain));
    // The copy mode finds the contents too.
    rootfs(&stack, &stage.path("flat"), Driver::Vfs).unwrap();
    assert_eq!(snapshot(&stage.path("flat")), snapshot(&plain));
    let facts = |path: &str| {
        let meta = std::fs::symlink_metadata(shown.join(path)).unwrap();
        (meta.mode() & 0o7777, meta.uid(), meta.gid(), meta.mtime())
    };
    assert_eq!(facts("home"), (0o2750, 0, 0, 7));
    assert_eq!(facts("home/f"), (0o4711, 0, 1001, 8));
    assert_eq!(facts("home/l"), (0o777, 0, 1, 9));
    assert_eq!(facts("root"), (0o644, 1, 1, 0));
    assert_eq!(std::fs::read(shown.join("home/g")).unwrap(), b"contents");
    assert_eq!(std::fs::metadata(shown.join("home/g")).unwrap().nlink(), 2);
    assert_eq!(std::fs::read(shown.join("long-folder-name/".repeat(20)).join("deep")).unwrap(), b"deep");
    // An id that the container does not have is named.
    let (odd, _) = stage.layer("odd", &[owned(file("f", "x"), 5000, 0, 0o644, 0)]);
    let error = clone(&view(&[&odd]), &stage.make("clone2"), &maps, Some(&stage.path("scratch"))).unwrap_err();
    assert!(matches!(error, super::CloneError::IdNotMapped { uid: 5000, .. }), "{error:?}");
}

fn userns_a_wide_tree_is_cloned_whole_whatever_the_umask() {
    let stage = Stage::new();
    let mut items = Vec::new();
    for outer in 0..20 {
        items.push(owned(dir(&format!("{outer}/"), 0o755), 0, 0, 0o2751, outer));
        for inner in 0..5 {
            let at = format!("{outer}/{inner}");
            items.push(owned(dir(&format!("{at}/"), 0o755), 7, inner, 0o700, 3));
            items.push(owned(file(&format!("{at}/f"), &at), 7, 8, 0o4666, 4));
            items.push(owned(file(&format!("{at}/g"), &at), 0, 0, 0o644, 5));
            items.push(match (outer, inner) {
                (0, 0) => file("0/0/shared", "shared"),
                _ => hard_link(&format!("{at}/shared"), "0/0/shared"),
            });
        }
    }
    let (source, _) = stage.layer("wide", &items);
    let same = || IdMap::new(vec![Extent::new(0, 0, 1000)]).unwrap();
    let maps = IdMaps { uid: same(), gid: same() };
    let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o137));
    let (meta, copied) = (stage.make("meta"), stage.make("copied"));
    // What a folder of the user's hands down is not handed on.
    let acl: Vec<u8> = [(1_u16, 7_u16), (4, 5), (0x10, 7), (0x20, 5)]
        .iter()
        .flat_map(|(tag, bits)| [&tag.to_le_bytes()[..], &bits.to_le_bytes(), &[0xff; 4]].concat())
        .collect();
    let acl = [&[2, 0, 0, 0][..], &acl].concat();
    let set = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(&copied, "system.posix_acl_default", &acl, set).unwrap();
    let how = clone(&view(&[&source]), &meta, &maps, Some(&stage.make("scratch"))).unwrap();
    clone_by_copy(&view(&[&source]), &copied, &maps).unwrap();
    rustix::process::umask(before);
    assert_eq!(snapshot(&copied), snapshot(&source));
    assert_eq!(std::fs::metadata(copied.join("19/4/shared")).unwrap().nlink(), 100);
    let empty = stage.path("empty");
    let mut stack = stage.stack(&[&meta], &empty);
    if how == Cloned::Metadata {
        stack.data.push(&source);
    }
    let shown = stage.show("shown", &mount(&stack).unwrap());
    assert_eq!(snapshot(&shown), snapshot(&source));
}

fn userns_layers_become_one_clone_that_reads_from_all_of_them() {
    let stage = Stage::new();
    let layers = layers(&stage);
    let lower = topmost(&layers);
    let same = || IdMap::new(vec![Extent::new(0, 0, 1000)]).unwrap();
    let maps = IdMaps { uid: same(), gid: same() };
    let cloned = stage.make("clone");
    let how = clone(&view(&lower), &cloned, &maps, Some(&stage.make("scratch"))).unwrap();
    let empty = stage.path("empty");
    let mut stack = stage.stack(&[&cloned], &empty);
    if how == Cloned::Metadata {
        stack.data = lower.clone();
    }
    let shown = stage.show("shown", &mount(&stack).unwrap());
    let plain = stage.show("plain", &mount(&stage.stack(&lower, &empty)).unwrap());
    assert_eq!(snapshot(&shown), snapshot(&plain));
}

fn userns_a_forged_redirect_reaches_nothing() {
    // A layer that brings overlayfs's own attributes, stacked as data and as clone would be.
    let stage = Stage::new();
    let mut forged = file("shadow", "");
    forged.0.xattrs =
        vec![(b"user.overlay.metacopy".to_vec(), Vec::new()), (b"user.overlay.redirect".to_vec(), b"/secret".to_vec())];
    let (evil, _) = stage.layer("evil", &[forged]);
    let (data, _) = stage.layer("data", &[file("secret", "secret")]);
    let empty = stage.path("empty");
    let mut stack = stage.stack(&[&evil], &empty);
    stack.data.push(&data);
    if let Ok(mounted) = mount(&stack) {
        let shown = stage.show("shown", &mounted);
        assert_eq!(std::fs::read(shown.join("shadow")).unwrap(), b"");
    }
}

fn userns_a_view_follows_no_links() {
    let stage = Stage::new();
    let (path, _) = stage.layer("1", &[dir("d/", 0o755), file("d/f", "x")]);
    symlink("d", path.join("l")).unwrap();
    let view = view(&[&path]);
    assert!(view.find(Path::new("d/f")).unwrap().is_some());
    assert!(view.find(Path::new("l/f")).unwrap().is_none());
    assert!(view.find(Path::new("d/f/x")).unwrap().is_none());
    assert!(view.find(Path::new("missing/x")).unwrap().is_none());
    // The tool that everybody knows agrees about what is there.
    let listed = Command::new("find").arg(&path).output().unwrap().stdout;
    assert_eq!(String::from_utf8(listed).unwrap().lines().count(), 4);
}
}

in_a! {
    fn places_are_there_and_change_nothing_that_a_layer_says() {
        let stage = Stage::new();
        let (layer, applied) = stage.layer(
            "layer",
            &[
                owned(dir("./", 0o755), 0, 0, 0o755, 11),
                owned(dir("etc/", 0o755), 3, 4, 0o750, 22),
                owned(file("etc/hosts", "own"), 3, 4, 0o600, 33),
                link("proc", "elsewhere"),
            ],
        );
        let root = Root::open(&layer).unwrap();
        let into = stage.make("into");
        let layers = [Layer { tree: &root, applied: &applied }];
        let made = attributes(&layers, &Root::open(&into).unwrap()).unwrap();
        let below = stage.make("places");
        places(&Root::open(&below).unwrap(), &made.root).unwrap();
        let empty = stage.path("empty");
        let shown = stage.show("shown", &mount(&stage.stack(&[&layer, &below], &empty)).unwrap());

        let seen = |path: &str| {
            let meta = std::fs::symlink_metadata(shown.join(path)).unwrap();
            (meta.mode() & 0o7777, meta.uid(), meta.gid(), meta.mtime())
        };
        assert_eq!(seen("etc"), (0o750, 3, 4, 22));
        assert_eq!(seen("etc/hosts"), (0o600, 3, 4, 33));
        assert_eq!(std::fs::read_to_string(shown.join("etc/hosts")).unwrap(), "own");
        assert_eq!(std::fs::read_link(shown.join("proc")).unwrap(), Path::new("elsewhere"));
        assert_eq!(seen("etc/resolv.conf"), (0o644, 0, 0, 11));
        assert_eq!(seen("run/.containerenv"), (0o644, 0, 0, 11));
        for directory in ["dev", "run", "sys"] {
            assert_eq!(seen(directory), (0o755, 0, 0, 11), "{directory}");
        }
    }

    fn a_volatile_upper_directory_forgets_its_mark_and_works_on() {
        let stage = Stage::new();
        let (layer, _) = stage.layer("layer", &[file("a", "x")]);
        let (upper, work, empty) = (stage.make("upper"), stage.make("work"), stage.path("empty"));
        let mut stack = stage.stack(&[&layer], &empty);
        stack.upper = Some(Upper { dir: &upper, work: &work, volatile: true });
        let shown = stage.show("shown", &mount(&stack).unwrap());
        assert!(work.join("work/incompat/volatile/dirty").exists());
        forget_mark(&work).unwrap();
        assert!(!work.join("work/incompat").exists());
        forget_mark(&work).unwrap();
        std::fs::write(shown.join("a"), "changed").unwrap();
        std::fs::remove_file(shown.join("a")).unwrap();
        std::fs::write(shown.join("b"), "new").unwrap();
        assert_eq!(std::fs::read_to_string(upper.join("b")).unwrap(), "new");
    }
}
