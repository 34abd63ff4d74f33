//! Whatever a layer holds, unpacking it changes nothing outside its tree.
#![no_main]

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use ctr_core::rooted::Root;

/// What of a file a layer could have changed.
fn facts(path: &Path) -> (u32, u32, u32, u64, i64, i64) {
    let meta = std::fs::symlink_metadata(path).expect("the canary");
    (meta.mode(), meta.uid(), meta.gid(), meta.nlink(), meta.mtime(), meta.ctime())
}

libfuzzer_sys::fuzz_target!(|layer: &[u8]| {
    let base = tempfile::tempdir().expect("a directory");
    let (tree, canary) = (base.path().join("tree"), base.path().join("canary"));
    std::fs::create_dir(&tree).expect("a directory");
    std::fs::create_dir(&canary).expect("a directory");
    std::fs::write(canary.join("file"), "untouched").expect("a file");
    let before = [&canary, &canary.join("file")].map(|path| facts(path));

    ctr_store::apply::exercise(layer, &Root::open(&tree).expect("the tree"));

    assert_eq!(before, [&canary, &canary.join("file")].map(|path| facts(path)), "the canary has changed");
    assert_eq!(std::fs::read(canary.join("file")).expect("the canary"), b"untouched");
    let beside = std::fs::read_dir(base.path()).expect("the base").count();
    assert_eq!(beside, 2, "something was made beside the tree");
});
