//! Who a container's process is: `-u`, `USER`, `--group-add`, and the entries that passwd and group files lack.
//!
//! The files come from an image, so they are hostile: bounded, read line by line, and a broken line is skipped as every
//! C library does.
//!
//! # Invariants
//! Digits are an id, never a name: a passwd line whose *name* is `1000` and whose id is 0 gives nobody root
//! (CVE-2026-46680). An id that does not fit is refused, never cut (CVE-2024-40635, CVE-2026-30892).

use serde::{Deserialize, Serialize};

mod accounts;
mod entry;

pub use accounts::{Accounts, Group, MAX_FILE, User};
pub use entry::{EntryFacts, group_entry, passwd_entry};

/// The largest id: the one above it means "none" to the kernel.
pub const MAX_ID: u32 = u32::MAX - 1;

/// A user or group cannot be told from what was given.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    /// The text can be neither a name nor an id.
    #[error("invalid user or group {0:?}")]
    Invalid(String),
    /// The number is no id.
    #[error("invalid id {0:?}: ids go from 0 to 4294967294")]
    OutOfRange(String),
    /// No such name in the image.
    #[error("unable to find user {0}: no matching entries in passwd file")]
    NoUser(String),
    /// No such name in the image.
    #[error("unable to find group {0}: no matching entries in group file")]
    NoGroup(String),
    /// `keep-groups` beside other groups.
    #[error("the '--group-add keep-groups' option is not allowed with any other --group-add options")]
    KeepGroupsAlone,
}

/// A name or an id, as text says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Who {
    Id(u32),
    Name(String),
}

impl Who {
    fn parse(text: &str) -> Result<Self, UserError> {
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            let id = text.parse::<u32>().ok().filter(|id| *id <= MAX_ID);
            return id.map(Self::Id).ok_or_else(|| UserError::OutOfRange(text.to_owned()));
        }
        let plain = text.bytes().all(|byte| byte > b' ' && byte != 0x7f && byte != b'/');
        // A sign makes a number of it in some parsers, and a whole-file wildcard in old passwd files.
        if text.is_empty() || !plain || text.starts_with(['-', '+', '~']) {
            return Err(UserError::Invalid(text.to_owned()));
        }
        Ok(Self::Name(text.to_owned()))
    }
}

/// `-u`'s value or an image's `USER`, parsed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UserSpec {
    user: Option<Who>,
    group: Option<Who>,
}

impl UserSpec {
    /// Parses `user`, `user:group`, `:group` or nothing.
    ///
    /// # Errors
    /// Refuses what can be neither a name nor an id.
    pub fn parse(text: &str) -> Result<Self, UserError> {
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (text, None),
        };
        let user = if user.is_empty() { None } else { Some(Who::parse(user)?) };
        let group = group.filter(|group| !group.is_empty()).map(Who::parse).transpose()?;
        Ok(Self { user, group })
    }

    /// Both are ids: nobody has to be looked up.
    #[must_use]
    pub fn is_of_ids(&self) -> bool {
        matches!((&self.user, &self.group), (Some(Who::Id(_)), Some(Who::Id(_))))
    }

    /// No user is named.
    #[must_use]
    pub fn is_unset(&self) -> bool {
        self.user.is_none() && self.group.is_none()
    }
}

/// Who a process is, in ids of the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// User.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// Supplementary groups, sorted, without the primary one.
    pub groups: Vec<u32>,
    /// Home in the image's passwd file.
    pub home: Option<String>,
    /// Name in the image's passwd file.
    pub name: Option<String>,
}

/// Finds out who is meant.
///
/// # Errors
/// Names that the image does not have.
pub fn identify(spec: &UserSpec, accounts: &Accounts) -> Result<Identity, UserError> {
    let known = match &spec.user {
        None => accounts.user_by_id(0),
        Some(Who::Id(uid)) => accounts.user_by_id(*uid),
        Some(Who::Name(name)) => {
            Some(accounts.user_by_name(name).ok_or_else(|| UserError::NoUser(name.clone()))?)
        }
    };
    let uid = match (&spec.user, &known) {
        (Some(Who::Id(uid)), _) => *uid,
        (_, Some(user)) => user.uid,
        (_, None) => 0,
    };
    let gid = match &spec.group {
        Some(Who::Id(gid)) => *gid,
        Some(Who::Name(name)) => {
            accounts.group_by_name(name).ok_or_else(|| UserError::NoGroup(name.clone()))?.gid
        }
        None => known.as_ref().map_or(0, |user| user.gid),
    };
    let mut groups = match (&known, &spec.group) {
        (Some(user), None) => accounts.groups_of(&user.name),
        _ => Vec::new(),
    };
    groups.retain(|group| *group != gid);
    groups.sort_unstable();
    groups.dedup();
    let home = known.as_ref().map(|user| user.home.clone()).filter(|home| !home.is_empty());
    Ok(Identity { uid, gid, groups, home, name: known.map(|user| user.name.clone()) })
}

/// What `--group-add` says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum GroupAdd {
    /// Nothing, or groups of the container.
    #[default]
    None,
    /// Groups of the container.
    Groups(Vec<GroupRef>),
    /// The groups of whoever started `ctr` stay.
    Keep,
}

/// A group that `--group-add` names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupRef(Who);

impl std::fmt::Display for GroupRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Who::Id(id) => write!(f, "{id}"),
            Who::Name(name) => f.write_str(name),
        }
    }
}

impl GroupAdd {
    /// Parses all values of the flag.
    ///
    /// # Errors
    /// Refuses what can be neither a name nor an id, and `keep-groups` beside others.
    pub fn parse(values: &[String]) -> Result<Self, UserError> {
        if values.iter().any(|value| value == "keep-groups") {
            return if values.len() == 1 { Ok(Self::Keep) } else { Err(UserError::KeepGroupsAlone) };
        }
        let groups: Vec<GroupRef> =
            values.iter().map(|value| Who::parse(value).map(GroupRef)).collect::<Result<_, _>>()?;
        Ok(if groups.is_empty() { Self::None } else { Self::Groups(groups) })
    }

    /// The ids of the groups named.
    ///
    /// # Errors
    /// Names that the image does not have.
    pub fn ids(&self, accounts: &Accounts) -> Result<Vec<u32>, UserError> {
        let Self::Groups(groups) = self else { return Ok(Vec::new()) };
        let id = |GroupRef(who): &GroupRef| match who {
            Who::Id(gid) => Ok(*gid),
            Who::Name(name) => accounts
                .group_by_name(name)
                .map(|group| group.gid)
                .ok_or_else(|| UserError::NoGroup(name.clone())),
        };
        groups.iter().map(id).collect()
    }
}

#[cfg(test)]
mod tests;
