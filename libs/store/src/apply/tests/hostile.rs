//! Layers that were made to harm: each is shown to harm an unpacker without guards, and not ours.
//!
//! The unpacker without guards ([`naive`]) joins names to a folder and uses ordinary path calls, as several did
//! whose CVEs are named below. A case that does not change its canary would test nothing, so that is asserted
//! as well.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::Stage;
use crate::apply::{ApplyError, Options};
use crate::tar::{Header, Kind};
use crate::testing::{Item, archive, dir, file, hard_link, in_a, names, node, snapshot, symlink};

/// What is to come of a case.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Outcome {
    /// The layer is refused.
    Refused,
    /// It is unpacked, with everything inside the tree.
    Inside,
}
use Outcome::{Inside, Refused};

/// A hostile layer; `canary` is the absolute path of what it wants to reach.
struct Case {
    name: &'static str,
    outcome: Outcome,
    layer: fn(canary: &str) -> Vec<Item>,
}

const CASES: &[Case] = &[
    Case { name: "`..` in a name", outcome: Refused, layer: |_| vec![file("../canary/file", "bad")] },
    Case {
        name: "`..` after a folder",
        outcome: Refused,
        layer: |_| vec![dir("a/", 0o755), file("a/../../canary/file", "bad")],
    },
    Case {
        name: "absolute name",
        outcome: Inside,
        layer: |canary| vec![file(&format!("{canary}/file"), "bad")],
    },
    Case {
        name: "write through an absolute link (CVE-2020-10696)",
        outcome: Inside,
        layer: |canary| vec![symlink("l", canary), file("l/file", "bad")],
    },
    Case {
        name: "write through a relative link",
        outcome: Inside,
        layer: |_| vec![symlink("l", "../canary"), file("l/etc/passwd", "bad")],
    },
    Case {
        name: "write through two links",
        outcome: Inside,
        layer: |_| vec![symlink("up", ".."), symlink("l", "up/canary"), file("l/file", "bad")],
    },
    Case {
        name: "write over a link",
        outcome: Inside,
        layer: |canary| vec![symlink("f", &format!("{canary}/file")), file("f", "bad")],
    },
    Case {
        name: "folder turned into a link between two entries",
        outcome: Inside,
        layer: |canary| vec![dir("d/", 0o755), file("d/a", ""), symlink("d", canary), file("d/file", "bad")],
    },
    Case {
        name: "whiteout through a link",
        outcome: Inside,
        layer: |canary| vec![symlink("l", canary), file("l/.wh.file", "")],
    },
    Case {
        name: "opaque marker through a link",
        outcome: Inside,
        layer: |canary| vec![symlink("l", canary), file("l/.wh..wh..opq", "")],
    },
    Case { name: "whiteout of `..`", outcome: Refused, layer: |_| vec![file(".wh...", "")] },
    Case {
        name: "whiteout of `.`",
        outcome: Refused,
        layer: |canary| vec![symlink("l", canary), file("l/.wh..", "")],
    },
    Case {
        name: "mode of a link's target by a folder entry (CVE-2021-32760)",
        outcome: Inside,
        layer: |canary| vec![symlink("d", canary), dir("d/", 0o777)],
    },
    Case {
        name: "owner of a link's target by a folder entry",
        outcome: Inside,
        layer: |canary| {
            let (mut header, contents) = dir("d/", 0o755);
            (header.uid, header.gid) = (12, 13);
            vec![symlink("d", canary), (header, contents)]
        },
    },
    Case {
        name: "attribute of a link's target by a folder entry",
        outcome: Inside,
        layer: |canary| {
            let (mut header, contents) = dir("d/", 0o755);
            header.xattrs.push((b"user.bad".to_vec(), b"1".to_vec()));
            vec![symlink("d", canary), (header, contents)]
        },
    },
    Case {
        name: "hard link to a file outside, then written (CVE-2026-50163)",
        outcome: Refused,
        layer: |_| vec![hard_link("h", "../canary/file"), file("h", "bad")],
    },
    Case {
        name: "hard link to an absolute name, then written",
        outcome: Refused,
        layer: |canary| vec![hard_link("h", &format!("{canary}/file")), file("h", "bad")],
    },
    Case {
        name: "hard link through a link, then written (CVE-2026-42574)",
        outcome: Refused,
        layer: |canary| vec![symlink("l", canary), hard_link("h", "l/file"), file("h", "bad")],
    },
    Case {
        name: "hard link to a link, then written through",
        outcome: Inside,
        layer: |canary| vec![symlink("l", &format!("{canary}/file")), hard_link("h", "l"), file("h", "bad")],
    },
    Case {
        name: "special file through a link",
        outcome: Inside,
        layer: |canary| vec![symlink("l", canary), node("l/pipe", Kind::Fifo)],
    },
    Case {
        name: "link through a link",
        outcome: Inside,
        layer: |canary| vec![symlink("l", canary), symlink("l/new", "/etc/shadow")],
    },
];

/// Unpacks without any guard, in the way that path calls suggest.
fn naive(items: &[Item], tree: &Path) -> std::io::Result<()> {
    for (header, contents) in items {
        let name = String::from_utf8_lossy(&header.path).into_owned();
        let path = tree.join(&name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let base = name.rsplit('/').next().unwrap_or_default();
        if base == ".wh..wh..opq" {
            for entry in fs::read_dir(path.parent().unwrap())? {
                remove(&entry?.path())?;
            }
        } else if let Some(gone) = base.strip_prefix(".wh.") {
            remove(&path.parent().unwrap().join(gone))?;
        } else {
            naive_entry(header, contents, &path, tree)?;
        }
    }
    Ok(())
}

fn naive_entry(header: &Header, contents: &[u8], path: &Path, tree: &Path) -> std::io::Result<()> {
    let link = String::from_utf8_lossy(&header.link).into_owned();
    match header.kind {
        Kind::Directory => fs::create_dir_all(path)?,
        Kind::File => fs::write(path, contents)?,
        Kind::Symlink => {
            if path.exists() {
                remove(path)?;
            }
            return std::os::unix::fs::symlink(link, path);
        }
        Kind::HardLink => return fs::hard_link(tree.join(link), path),
        _ => {
            let mode = rustix::fs::Mode::from_raw_mode(header.mode);
            rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0)?;
        }
    }
    let uid = u32::try_from(header.uid).unwrap();
    let gid = u32::try_from(header.gid).unwrap();
    std::os::unix::fs::chown(path, Some(uid), Some(gid))?;
    for (name, value) in &header.xattrs {
        rustix::fs::setxattr(path, name.as_slice(), value, rustix::fs::XattrFlags::empty())?;
    }
    fs::set_permissions(path, fs::Permissions::from_mode(header.mode))
}

fn remove(path: &Path) -> std::io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => Ok(()),
    }
}

in_a! {
fn userns_hostile_layers_stay_inside() {
    for case in CASES {
        let stage = Stage::new();
        let before = snapshot(&stage.canary());
        let items = (case.layer)(stage.canary().to_str().unwrap());
        let done = stage.apply(&items);
        match case.outcome {
            Refused => assert!(matches!(done, Err(ApplyError::Unsafe { .. })), "{}: {done:?}", case.name),
            Inside => assert!(done.is_ok(), "{}: {done:?}", case.name),
        }
        assert_eq!(snapshot(&stage.canary()), before, "{} reached the canary", case.name);
    }
}

fn userns_hostile_layers_harm_where_nothing_guards() {
    for case in CASES {
        let stage = Stage::new();
        let before = snapshot(&stage.canary());
        let items = (case.layer)(stage.canary().to_str().unwrap());
        // What it says does not matter; some stumble over what they destroyed.
        drop(naive(&items, &stage.tree()));
        let harmed = !stage.canary().exists() || snapshot(&stage.canary()) != before;
        assert!(harmed, "{} harms nothing: it tests nothing", case.name);
    }
}

fn userns_every_cut_and_flip_of_a_layer_stays_inside() {
    let stage = Stage::in_memory();
    let before = snapshot(&stage.canary());
    let canary = stage.canary().to_str().unwrap().to_owned();
    let items = CASES.iter().filter(|case| case.outcome == Inside).flat_map(|case| (case.layer)(&canary));
    let bytes = archive(&items.collect::<Vec<_>>());
    let tree = ctr_core::rooted::Root::open(stage.tree().parent().unwrap()).unwrap();
    for cut in (0..bytes.len()).step_by(256) {
        drop(stage.apply_bytes(&bytes[..cut], &Options::default()));
    }
    for place in (0..bytes.len()).step_by(97) {
        let mut flipped = bytes.clone();
        flipped[place] ^= 0x15;
        drop(stage.apply_bytes(&flipped, &Options::default()));
    }
    assert_eq!(snapshot(&stage.canary()), before);
    tree.remove_tree("tree").unwrap();
    assert_eq!(snapshot(&stage.canary()), before);
}

fn userns_a_pipe_in_the_way_is_not_opened() {
    let stage = Stage::new();
    stage.apply(&[node("f", Kind::Fifo), file("f", "now a file")]).unwrap();
    assert_eq!(fs::read(stage.tree().join("f")).unwrap(), b"now a file");
}

fn userns_links_in_circles_and_files_on_the_way_are_refused() {
    for items in [
        vec![symlink("a", "b"), symlink("b", "a"), file("a/x", "")],
        vec![symlink("a", "a/a/a"), file("a/x", "")],
        vec![file("a", ""), file("a/x", "")],
        vec![file("a", ""), symlink("l", "a"), file("l/x", "")],
    ] {
        assert!(Stage::new().apply(&items).is_err());
    }
}

fn userns_a_huge_hole_takes_no_space() {
    let stage = Stage::new();
    let mut header = Header::new("bomb", Kind::File, 0o644);
    header.size = 0;
    let mut bytes = Vec::new();
    let mut writer = crate::tar::Writer::new(&mut bytes);
    writer.append(&header, &mut std::io::empty()).unwrap();
    let plain = writer.finish().unwrap().clone();
    // The same entry with records that claim eight exbibytes of nothing.
    let records = b"39 GNU.sparse.size=9223372036854775807\n22 GNU.sparse.map=0,0\n";
    let records = records.as_slice();
    let mut extended = Header::new("x", Kind::File, 0o644);
    extended.size = u64::try_from(records.len()).unwrap();
    let mut first = archive(&[(extended, records.to_vec())]);
    first.truncate(1024);
    first[156] = b'x';
    first[148..156].copy_from_slice(b"        ");
    let sum: u32 = first[..512].iter().map(|byte| u32::from(*byte)).sum();
    first[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let done = stage.apply_bytes(&[first, plain].concat(), &Options::default());
    // The file system may know no file as large; either way nothing is written.
    match done {
        Ok(applied) => assert_eq!(applied.bytes, 0),
        Err(error) => assert_eq!(error.errno(), Some(rustix::io::Errno::FBIG), "{error:?}"),
    }
    assert!(names(&stage.tree()).len() <= 1);
}
}
