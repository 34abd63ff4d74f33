//! What tests of this crate share: a place in a user namespace with a whole range of ids, and trees to compare.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::tar::{Header, Kind, Writer};

/// Set in the process that runs the body of a test.
const INSIDE: &str = "CTR_TEST_INSIDE";

/// Runs a test as root of a user namespace of the caller's ranges, with a mount namespace of its own; as real
/// root without the user namespace.
macro_rules! in_a {
    ($(fn $name:ident() $body:block)*) => {
        $(
            #[test]
            fn $name() {
                $crate::testing::run_in_a(concat!(module_path!(), "::", stringify!($name)), || $body);
            }
        )*
    };
}
pub(crate) use in_a;

pub(crate) fn run_in_a(test: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        return body();
    }
    let mut unshare = vec!["--mount", "--propagation", "private"];
    if !rustix::process::geteuid().is_root() {
        unshare.extend(["--user", "--map-root-user", "--map-auto"]);
    }
    let probe = Command::new("unshare").args(&unshare).args(["--", "true"]).stdin(Stdio::null()).output();
    let reason = match probe {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Some(error.to_string()),
    };
    if let Some(reason) = reason {
        let required = std::env::var("CTR_TEST_REQUIRE").unwrap_or_default();
        assert!(!required.split(',').any(|what| what == "userns"), "no user namespace: {reason}");
        println!("skipped: {test}: no user namespace: {reason}");
        return;
    }
    let name = test.split_once("::").map_or(test, |(_, name)| name);
    let output = Command::new("unshare")
        .args(&unshare)
        .arg("--")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    print!("{}", text(&output.stdout));
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).contains("1 passed"), "{name} did not run");
}

/// Tells whether ids outside a map can be had: not as real root.
pub(crate) fn is_real_root() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap();
    map.split_whitespace().collect::<Vec<_>>() == ["0", "0", "4294967295"]
}

/// One entry of an archive with its contents.
pub(crate) type Item = (Header, Vec<u8>);

pub(crate) fn file(path: &str, contents: &str) -> Item {
    let mut header = Header::new(path, Kind::File, 0o644);
    header.size = u64::try_from(contents.len()).unwrap();
    (header, contents.into())
}

pub(crate) fn dir(path: &str, mode: u32) -> Item {
    (Header::new(path, Kind::Directory, mode), Vec::new())
}

pub(crate) fn symlink(path: &str, text: &str) -> Item {
    let mut header = Header::new(path, Kind::Symlink, 0o777);
    header.link = text.into();
    (header, Vec::new())
}

pub(crate) fn hard_link(path: &str, target: &str) -> Item {
    let mut header = Header::new(path, Kind::HardLink, 0o644);
    header.link = target.into();
    (header, Vec::new())
}

pub(crate) fn node(path: &str, kind: Kind) -> Item {
    let mut header = Header::new(path, kind, 0o666);
    header.device = (1, 3);
    (header, Vec::new())
}

pub(crate) fn archive(items: &[Item]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (header, contents) in items {
        writer.append(header, &mut contents.as_slice()).unwrap();
    }
    writer.finish().unwrap()
}

/// Every path below `dir` with all that can be seen of it, links not followed.
pub(crate) fn snapshot(dir: &Path) -> BTreeMap<PathBuf, String> {
    let mut seen = BTreeMap::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(path) = todo.pop() {
        let meta = std::fs::symlink_metadata(&path).unwrap();
        let contents = if meta.is_dir() {
            todo.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            String::new()
        } else if meta.is_symlink() {
            format!("-> {}", std::fs::read_link(&path).unwrap().display())
        } else if meta.is_file() {
            String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned()
        } else {
            format!("device {}", meta.rdev())
        };
        let mut names = vec![0; 4096];
        let mut attributes = Vec::new();
        if let Ok(count) = rustix::fs::llistxattr(&path, names.as_mut_slice()) {
            for name in names[..count].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
                let name = String::from_utf8_lossy(name).into_owned();
                let mut value = vec![0; 4096];
                let count = rustix::fs::lgetxattr(&path, name.as_str(), value.as_mut_slice()).unwrap();
                attributes.push(format!("{name}={}", value[..count].escape_ascii()));
            }
        }
        attributes.sort();
        let (mode, owner, group) = (meta.mode(), meta.uid(), meta.gid());
        let time = format!("{}.{:09}", meta.mtime(), meta.mtime_nsec());
        let inside = path.strip_prefix(dir).unwrap().to_owned();
        seen.insert(inside, format!("{mode:o} {owner}:{group} {time} {attributes:?} {contents}"));
    }
    seen
}

/// The names below `dir`, sorted.
pub(crate) fn names(dir: &Path) -> Vec<String> {
    let name = |path: PathBuf| String::from_utf8_lossy(path.as_os_str().as_bytes()).into_owned();
    snapshot(dir).into_keys().map(name).filter(|name| !name.is_empty()).collect()
}
