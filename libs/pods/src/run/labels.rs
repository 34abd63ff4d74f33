//! `z` and `Z`: what is bound gets a label that containers may use, where SELinux is on.
//!
//! The policy says which: `file` of its `lxc_contexts`. With `z` all containers share what has it; with `Z` a pair of
//! categories that nobody else drew keeps it from those that SELinux confines.
//!
//! Processes get no label of their own yet, so what they may do is what the user's label allows.

use std::path::Path;

use ctr_core::{file, limits};

use super::binds::{self, BindError};
use crate::mounts::{Bind, Relabel};

/// There where SELinux is on.
const ENFORCE: &str = "/sys/fs/selinux/enforce";
/// Which policy is loaded.
const CONFIG: &str = "/etc/selinux/config";
/// How many categories there are.
const CATEGORIES: u16 = 1024;
/// The attribute that holds a label.
const ATTRIBUTE: &str = "security.selinux";

/// What would break the host if it were relabelled.
const EXCLUDED: [&str; 24] = [
    "/",
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/etc/passwd",
    "/etc/pki",
    "/etc/shadow",
    "/home",
    "/lib",
    "/lib64",
    "/media",
    "/opt",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/srv",
    "/sys",
    "/tmp",
    "/usr",
    "/var",
    "/var/lib",
    "/var/log",
];

/// The labels of one container's binds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Labels {
    shared: String,
    private: String,
}

/// Whether SELinux is on.
pub(super) fn is_on() -> bool {
    Path::new(ENFORCE).exists()
}

impl Labels {
    /// The labels that the loaded policy has for containers; none where SELinux is off, or the policy knows of none.
    pub(super) fn find() -> Option<Self> {
        if !is_on() {
            return None;
        }
        let config = file::read_text(Path::new(CONFIG), limits::SYSTEM_FILE).unwrap_or_default();
        let policy = value(&config, "SELINUXTYPE").unwrap_or("targeted");
        let contexts = format!("/etc/selinux/{policy}/contexts/lxc_contexts");
        let contexts = file::read_text(Path::new(&contexts), limits::SYSTEM_FILE).ok()?;
        Self::of(&contexts, drawn())
    }

    fn of(contexts: &str, (one, other): (u16, u16)) -> Option<Self> {
        let file = value(contexts, "file")?;
        let mut parts = file.splitn(4, ':');
        let (user, role, kind) = (parts.next()?, parts.next()?, parts.next()?);
        let labelled = |level: &str| format!("{user}:{role}:{kind}:{level}");
        let (low, high) = (one.min(other), one.max(other));
        Some(Self { shared: labelled("s0"), private: labelled(&format!("s0:c{low},c{high}")) })
    }

    /// Labels the source of a bind, if its option says so.
    pub(super) fn mark(&self, bind: &Bind, home: Option<&str>) -> Result<(), BindError> {
        let label = match bind.relabel {
            None => return Ok(()),
            Some(Relabel::Shared) => &self.shared,
            Some(Relabel::Private) => &self.private,
        };
        if is_excluded(&bind.source, home) {
            return Err(BindError::NotRelabelled(bind.source.clone()));
        }
        binds::mark(&bind.source, ATTRIBUTE, label.as_bytes())
    }
}

fn is_excluded(path: &Path, home: Option<&str>) -> bool {
    // Paths are compared by their parts: a slash at the end makes no difference.
    let mut excluded = EXCLUDED.into_iter().chain(home.filter(|home| !home.is_empty()));
    excluded.any(|one| Path::new(one) == path)
}

/// The value of `key = "value"` in a file of such lines.
fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let mut pairs = lines.filter_map(|line| line.split_once('='));
    let (_, value) = pairs.find(|(name, _)| name.trim() == key)?;
    Some(value.trim().trim_matches('"')).filter(|value| !value.is_empty())
}

/// Two different categories.
fn drawn() -> (u16, u16) {
    let mut bytes = [0; 4];
    // Without random bytes the pair is one that others may have too: shared with them, as with `z`.
    match ctr_core::id::fill_random(&mut bytes) {
        Ok(()) | Err(_) => {}
    }
    let one = u16::from_ne_bytes([bytes[0], bytes[1]]) % CATEGORIES;
    let step = u16::from_ne_bytes([bytes[2], bytes[3]]) % (CATEGORIES - 1) + 1;
    (one, (one + step) % CATEGORIES)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTEXTS: &str = "# comment\nprocess = \"system_u:system_r:container_t:s0\"\n\
                            file = \"system_u:object_r:container_file_t:s0\"\n";

    #[test]
    fn the_policy_says_the_label_and_categories_make_it_private() {
        let labels = Labels::of(CONTEXTS, (700, 3)).unwrap();
        assert_eq!(labels.shared, "system_u:object_r:container_file_t:s0");
        assert_eq!(labels.private, "system_u:object_r:container_file_t:s0:c3,c700");
        assert_eq!(Labels::of("process = \"a:b:c:s0\"\n", (1, 2)), None);
        assert_eq!(Labels::of("file = \"nonsense\"\n", (1, 2)), None);
        assert_eq!(value("# SELINUXTYPE=mls\nSELINUXTYPE=targeted\n", "SELINUXTYPE"), Some("targeted"));
    }

    #[test]
    fn categories_differ() {
        for _ in 0..100 {
            let (one, other) = drawn();
            assert!(one != other && one < CATEGORIES && other < CATEGORIES, "{one} {other}");
        }
    }

    #[test]
    fn what_the_host_lives_of_is_not_relabelled() {
        let home = Some("/home/user");
        for path in ["/", "/etc", "/etc/", "/var/lib", "/home/user", "/home/user/"] {
            assert!(is_excluded(Path::new(path), home), "{path}");
        }
        for path in ["/etc/x", "/home/user/data", "/data", "data"] {
            assert!(!is_excluded(Path::new(path), home), "{path}");
        }
        assert!(!is_excluded(Path::new("/home/user"), None));
    }

    /// Down to the last file, but not through links.
    #[test]
    fn a_tree_is_marked_as_a_whole() {
        let dir = tempfile::tempdir_in("/var/tmp").unwrap();
        let outside = tempfile::tempdir_in("/var/tmp").unwrap();
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        std::fs::write(dir.path().join("sub/file"), "").unwrap();
        binds::mark(dir.path(), "user.ctr-test", b"label").unwrap();
        let read = |path: &Path| {
            let mut value = [0; 16];
            let size = rustix::fs::getxattr(path, "user.ctr-test", &mut value).ok()?;
            Some(value[..size].to_vec())
        };
        for path in ["", "sub", "sub/file"] {
            assert_eq!(read(&dir.path().join(path)).as_deref(), Some(&b"label"[..]), "{path}");
        }
        // A link cannot have such an attribute: that it is refused shows that it was the link that was asked.
        std::os::unix::fs::symlink(outside.path(), dir.path().join("link")).unwrap();
        let error = binds::mark(dir.path(), "user.ctr-test", b"other").unwrap_err();
        assert!(matches!(error, BindError::Relabel { errno: rustix::io::Errno::PERM, .. }), "{error:?}");
        assert_eq!(read(outside.path()), None);
    }
}
