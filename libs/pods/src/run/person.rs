//! Who the command runs as, and which users of the host are known inside.

use std::path::Path;

use ctr_userns::level_a::LevelA;
use ctr_userns::level_b::Plan;

use super::RunError;
use super::accounts::Newcomer;
use super::container::Container;
use crate::user::{self, Accounts, Identity, UserError, UserSpec};

impl Container<'_> {
    /// Who the process is: as the flag says, else as the map says, else as the image says.
    pub(super) fn identity(&self, plan: &Plan, accounts: &Accounts) -> Result<Identity, UserError> {
        let text = match (&self.request.process.user, plan.user) {
            (Some(user), _) => user.clone(),
            (None, Some((uid, gid))) => format!("{uid}:{gid}"),
            (None, None) => self.config().user.clone(),
        };
        user::identify(&UserSpec::parse(&text)?, accounts)
    }

    /// The users of `--hostuser`, each at home where that is mounted, else where the process starts.
    pub(super) fn users_of_host(&self) -> Result<Vec<user::User>, RunError> {
        let asked = &self.request.passwd.host_users;
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        let all = accounts_of_host();
        let find = |text: &String| {
            let by_id = || text.parse().ok().and_then(|uid| all.user_by_id(uid));
            let user = all.user_by_name(text).or_else(by_id);
            let mut user = user.ok_or_else(|| UserError::NoUser(text.clone()))?;
            user.home = self.home(user.home);
            Ok(user)
        };
        asked.iter().map(find).collect()
    }

    /// A home that is mounted, else where the process starts.
    fn home(&self, home: String) -> String {
        let workdir = self.request.process.workdir.as_deref().unwrap_or(&self.config().working_dir);
        let place = if workdir.is_empty() { "/" } else { workdir };
        let mounted = self.request.storage.mounts.iter().any(|mount| mount.target.as_str() == home);
        if mounted { home } else { place.to_owned() }
    }

    /// How the process is called where the image does not say it. With keep-id it is the user, who is at home in a
    /// folder that is mounted; everybody else is where the process starts.
    pub(super) fn newcomer(&self, plan: &Plan, identity: &Identity, a: &LevelA) -> Newcomer {
        let same = plan.user.is_some_and(|(uid, _)| uid == identity.uid);
        match same.then(|| accounts_of_host().user_by_id(a.user().0)).flatten() {
            Some(user) => Newcomer { name: Some(user.name), home: self.home(user.home) },
            None => Newcomer { name: None, home: self.home(String::new()) },
        }
    }
}

/// The host's own passwd file; one that cannot be read has nobody in it.
fn accounts_of_host() -> Accounts {
    let passwd = ctr_core::file::read_system(Path::new("/etc/passwd"), ctr_core::limits::SYSTEM_FILE);
    Accounts::new(passwd.unwrap_or_default(), Vec::new())
}
