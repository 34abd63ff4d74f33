//! passwd and group files of a root: read with bounds, and a line added for a user whom the image does not know.
//!
//! # Process context
//! In A, on the root's detached mount, which nobody else has: its contents are hostile, but nobody swaps them. Lines are
//! appended to the file itself, so that programs in the container can change it (a bound file cannot be replaced).

use std::io::{Read, Seek, SeekFrom, Write};

use ctr_core::limits;
use ctr_core::rooted::{Root, TreeError};
use rustix::fs::{Mode, OFlags};

use crate::request::PasswdRequest;
use crate::user::{Accounts, EntryFacts, Identity, User, group_entry, passwd_entry};

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";

/// A file of accounts cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {path} of the image")]
pub struct AccountsError {
    action: &'static str,
    path: &'static str,
    #[source]
    source: TreeError,
}

impl AccountsError {
    /// Why, if the kernel said so.
    pub(crate) fn errno(&self) -> Option<rustix::io::Errno> {
        self.source.errno()
    }
}

/// Reads both files; what is missing, or is no file, has nobody in it.
pub(crate) fn read(root: &Root) -> Result<Accounts, AccountsError> {
    Ok(Accounts::new(read_one(root, PASSWD)?, read_one(root, GROUP)?))
}

fn read_one(root: &Root, path: &'static str) -> Result<Vec<u8>, AccountsError> {
    match root.read_bounded(path, limits::PASSWD) {
        Ok(bytes) => Ok(bytes),
        Err(error) if error.is_missing() => Ok(Vec::new()),
        Err(source) => Err(AccountsError { action: "read", path, source }),
    }
}

/// Somebody to be known in the container.
#[derive(Debug, Clone)]
pub(super) struct Newcomer {
    /// The name of the user on the host, where the user is the same.
    pub(super) name: Option<String>,
    /// Home, where the container's own places do not say it.
    pub(super) home: String,
}

/// Adds lines for a user and a group that the image does not know.
pub(super) fn add(
    root: &Root,
    accounts: &Accounts,
    identity: &Identity,
    newcomer: &Newcomer,
    request: &PasswdRequest,
) -> Result<(), AccountsError> {
    if !request.add {
        return Ok(());
    }
    let number = identity.uid.to_string();
    let name = newcomer.name.as_deref().unwrap_or(&number);
    let comment = if newcomer.name.is_some() { name } else { "container user" };
    let facts = EntryFacts { name, uid: identity.uid, gid: identity.gid, comment, home: &newcomer.home };
    if accounts.user_by_id(identity.uid).is_none() && root.exists(PASSWD).unwrap_or(false) {
        append(root, PASSWD, &passwd_entry(&facts, request.passwd_entry.as_deref()))?;
    }
    if accounts.group_by_id(identity.gid).is_none() && root.exists(GROUP).unwrap_or(false) {
        let number = identity.gid.to_string();
        let facts = EntryFacts { name: newcomer.name.as_deref().unwrap_or(&number), ..facts };
        append(root, GROUP, &group_entry(&facts, request.group_entry.as_deref()))?;
    }
    Ok(())
}

/// Adds lines for users of the host. Returns whether there are any whom the image did not know.
pub(super) fn add_of_host(
    root: &Root,
    accounts: &Accounts,
    users: &[User],
    request: &PasswdRequest,
) -> Result<bool, AccountsError> {
    let known =
        |user: &User| accounts.user_by_id(user.uid).is_some() || accounts.user_by_name(&user.name).is_some();
    let mut added = false;
    if !request.add || !root.exists(PASSWD).unwrap_or(false) {
        return Ok(added);
    }
    for user in users.iter().filter(|user| !known(user)) {
        let facts = EntryFacts {
            name: &user.name,
            uid: user.uid,
            gid: user.gid,
            comment: &user.name,
            home: &user.home,
        };
        append(root, PASSWD, &passwd_entry(&facts, request.passwd_entry.as_deref()))?;
        added = true;
    }
    Ok(added)
}

/// Adds a line at the end, on a line of its own.
fn append(root: &Root, path: &'static str, line: &str) -> Result<(), AccountsError> {
    let failed = |source| AccountsError { action: "write", path, source };
    let flags = OFlags::RDWR | OFlags::APPEND | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = std::fs::File::from(root.open_with(path, flags, Mode::empty()).map_err(failed)?);
    write(file, line).map_err(|source| failed(TreeError::Read { path: path.into(), source }))
}

fn write(mut file: std::fs::File, line: &str) -> std::io::Result<()> {
    if !file.metadata()?.is_file() {
        return Err(std::io::ErrorKind::InvalidInput.into());
    }
    let mut text = String::with_capacity(line.len() + 1);
    if file.seek(SeekFrom::End(0))? > 0 {
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            text.push('\n');
        }
    }
    text.push_str(line);
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(passwd: Option<&str>) -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("etc")).unwrap();
        if let Some(text) = passwd {
            std::fs::write(dir.path().join("etc/passwd"), text).unwrap();
        }
        let root = Root::open(dir.path()).unwrap();
        (dir, root)
    }

    fn someone() -> Identity {
        Identity { uid: 1000, gid: 0, groups: vec![], home: None, name: None }
    }

    #[test]
    fn whom_the_image_does_not_know_is_added_on_a_line_of_its_own() {
        let (dir, root) = tree(Some("root:x:0:0::/root:/bin/sh"));
        let newcomer = Newcomer { name: Some("me".to_owned()), home: "/home/me".to_owned() };
        let accounts = read(&root).unwrap();
        add(&root, &accounts, &someone(), &newcomer, &PasswdRequest::default()).unwrap();
        let text = std::fs::read_to_string(dir.path().join("etc/passwd")).unwrap();
        assert_eq!(text, "root:x:0:0::/root:/bin/sh\nme:*:1000:0:me:/home/me:/bin/sh\n");
        // Known by now, and nobody made a group file.
        add(&root, &read(&root).unwrap(), &someone(), &newcomer, &PasswdRequest::default()).unwrap();
        assert_eq!(std::fs::read_to_string(dir.path().join("etc/passwd")).unwrap(), text);
        assert!(!dir.path().join("etc/group").exists());
    }

    #[test]
    fn nothing_is_added_where_nothing_is_wanted() {
        let (dir, root) = tree(None);
        let newcomer = Newcomer { name: None, home: "/".to_owned() };
        add(&root, &read(&root).unwrap(), &someone(), &newcomer, &PasswdRequest::default()).unwrap();
        assert!(!dir.path().join("etc/passwd").exists());
        let (dir, root) = tree(Some(""));
        let off = PasswdRequest { add: false, ..PasswdRequest::default() };
        add(&root, &read(&root).unwrap(), &someone(), &newcomer, &off).unwrap();
        assert_eq!(std::fs::read_to_string(dir.path().join("etc/passwd")).unwrap(), "");
    }

    #[test]
    fn links_stay_in_the_tree_and_what_is_no_file_is_refused() {
        let (dir, root) = tree(None);
        std::os::unix::fs::symlink("/etc/real", dir.path().join("etc/passwd")).unwrap();
        std::fs::write(dir.path().join("etc/real"), "").unwrap();
        let newcomer = Newcomer { name: None, home: "/".to_owned() };
        add(&root, &read(&root).unwrap(), &someone(), &newcomer, &PasswdRequest::default()).unwrap();
        let text = std::fs::read_to_string(dir.path().join("etc/real")).unwrap();
        assert_eq!(text, "1000:*:1000:0:container user:/:/bin/sh\n");

        let (dir, root) = tree(None);
        let fifo = dir.path().join("etc/passwd");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert!(read(&root).is_err());
        let (dir, root) = tree(None);
        std::os::unix::fs::symlink("/proc/self/root/etc/passwd", dir.path().join("etc/passwd")).unwrap();
        assert_eq!(read(&root).unwrap().user_by_id(0), None);
    }
}
