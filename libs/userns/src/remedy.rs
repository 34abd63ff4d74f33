//! What mends a machine on which namespaces do not work: the same for `ctr doctor` and for any command that fails.
//!
//! A remedy is data: a command line that root runs, or advice where there is none that would always be right. Nothing here
//! runs or prints anything.

use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::level_a::{EnterError, HelperError, HelperProblem, Refusal};
use crate::ranges::{Facts, Files, RangesError, free_range};

/// How many user namespaces a user may have when the limit was none: the kernel's own default for 8 GB.
const USER_NAMESPACES: u32 = 31_000;

/// Where our settings go.
const SYSCTL_FILE: &str = "/etc/sysctl.d/90-ctr.conf";

/// Where our AppArmor profile goes.
const PROFILE_FILE: &str = "/etc/apparmor.d/ctr";

/// What mends something.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Remedy {
    /// A program and its arguments, to be run by root.
    Root(Vec<String>),
    /// A program and its arguments, to be run by the user.
    User(Vec<String>),
    /// Something only a person can do.
    Advice(String),
}

impl Remedy {
    /// A command of root's.
    #[must_use]
    pub fn root<const N: usize>(words: [&str; N]) -> Self {
        Self::Root(words.map(str::to_owned).into())
    }

    /// A command of the user's.
    #[must_use]
    pub fn user<const N: usize>(words: [&str; N]) -> Self {
        Self::User(words.map(str::to_owned).into())
    }

    /// A setting that holds now and after the next boot.
    #[must_use]
    pub fn sysctl(setting: &str) -> Self {
        let key = setting.split('=').next().unwrap_or_default();
        let script = format!(
            "touch {SYSCTL_FILE} && sed -i '/^{key}=/d' {SYSCTL_FILE} && echo {setting} >>{SYSCTL_FILE} && sysctl -p {SYSCTL_FILE}"
        );
        Self::root(["sh", "-c", &script])
    }

    /// The program and its arguments, and whether root must run it; `None` for advice.
    #[must_use]
    pub fn command(&self) -> Option<(&[String], bool)> {
        match self {
            Self::Root(words) => Some((words, true)),
            Self::User(words) => Some((words, false)),
            Self::Advice(_) => None,
        }
    }
}

/// A line that works as typed, or the advice.
impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root(words) => write!(f, "sudo {}", shell_line(words)),
            Self::User(words) => f.write_str(&shell_line(words)),
            Self::Advice(advice) => f.write_str(advice),
        }
    }
}

/// The words as a shell takes them.
fn shell_line(words: &[String]) -> String {
    let plain = |word: &str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./=:+,@%".contains(&b))
    };
    let quoted = words.iter().map(|word| {
        if plain(word) {
            return word.clone();
        }
        format!("'{}'", word.replace('\'', r"'\''"))
    });
    quoted.collect::<Vec<_>>().join(" ")
}

/// What a remedy depends on: the distribution, the user, and where we are installed.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// ID and ID_LIKE of os-release.
    pub distribution: Vec<String>,
    /// The user.
    pub who: String,
    /// The directory that holds our programs, if that is known.
    pub programs: Option<PathBuf>,
    /// Only root can change our programs.
    pub programs_are_roots: bool,
    /// The text of `/etc/subuid` and `/etc/subgid`.
    pub granted: (String, String),
    /// The user is root, who needs no sudo.
    pub is_root: bool,
    /// We run in a container, where ids that are granted on the host do not exist.
    pub in_container: bool,
}

impl Surroundings {
    /// Looks at the machine. `user` is for whom ids would be granted.
    #[must_use]
    pub fn look(facts: &Facts, files: &Files) -> Self {
        let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();
        let release = Some(read(Path::new("/etc/os-release"))).filter(|text| !text.is_empty());
        let release = release.unwrap_or_else(|| read(Path::new("/usr/lib/os-release")));
        let program = fs::read_link("/proc/self/exe").ok();
        Self {
            distribution: distribution(&release),
            who: facts.who(),
            programs_are_roots: program.as_deref().is_some_and(is_roots_alone),
            programs: program.and_then(|program| program.parent().map(Path::to_owned)),
            granted: (read(&files.subuid), read(&files.subgid)),
            is_root: facts.uid == 0,
            in_container: !facts.initial,
        }
    }

    /// The remedy as this user runs it.
    #[must_use]
    pub fn fitted(&self, remedy: Remedy) -> Remedy {
        match remedy {
            Remedy::Root(words) if self.is_root => Remedy::User(words),
            other => other,
        }
    }

    /// The remedy for missing ranges.
    #[must_use]
    pub fn for_ranges(&self, err: &RangesError) -> Option<Remedy> {
        self.against_ranges(err).map(|remedy| self.fitted(remedy))
    }

    /// The remedy for what keeps us out of A.
    #[must_use]
    pub fn for_entering(&self, err: &EnterError) -> Option<Remedy> {
        self.against_entering(err).map(|remedy| self.fitted(remedy))
    }

    fn against_ranges(&self, err: &RangesError) -> Option<Remedy> {
        match err {
            RangesError::Missing(_) => Some(self.grant()),
            RangesError::Directory { source: crate::ranges::DirectoryError::Run { .. }, .. } => {
                Some(self.install(&[("debian", "apt-get install -y uidmap")], "shadow's program getsubids"))
            }
            RangesError::Read { path, .. } => {
                Some(Remedy::root(["chmod", "644", &path.display().to_string()]))
            }
            RangesError::Directory { .. } | RangesError::Map { .. } => None,
        }
    }

    fn against_entering(&self, err: &EnterError) -> Option<Remedy> {
        match err {
            EnterError::Refused { refusal, .. } | EnterError::Mounts { refusal, .. } => {
                self.for_refusal(*refusal)
            }
            EnterError::Helper(err) => self.for_helper(err),
            EnterError::Write(err) if err.lacks_setfcap => {
                Some(advice("start the container we run in with the capability SETFCAP (--cap-add SETFCAP)"))
            }
            _ => None,
        }
    }

    /// The remedy for a kernel that refuses user namespaces.
    #[must_use]
    pub fn for_refusal(&self, refusal: Refusal) -> Option<Remedy> {
        match refusal {
            Refusal::MaxUserNamespaces | Refusal::Limit => {
                Some(Remedy::sysctl(&format!("user.max_user_namespaces={USER_NAMESPACES}")))
            }
            Refusal::UnprivilegedClone => Some(Remedy::sysctl("kernel.unprivileged_userns_clone=1")),
            Refusal::AppArmor => Some(self.apparmor()),
            Refusal::Seccomp => Some(advice(
                "let the container we run in create user namespaces: --security-opt seccomp=unconfined, \
                 or `seccompProfile: {type: Unconfined}` in Kubernetes",
            )),
            Refusal::Chroot => {
                Some(advice("run it outside of the chroot: the kernel allows no user namespace there"))
            }
            Refusal::Kernel => Some(advice("boot a kernel with CONFIG_USER_NS=y")),
            _ => None,
        }
    }

    /// The remedy for a helper that does not do its work.
    #[must_use]
    pub fn for_helper(&self, err: &HelperError) -> Option<Remedy> {
        match &err.problem {
            HelperProblem::Missing => Some(self.install_helpers()),
            // Images and copies lose the bit.
            HelperProblem::Unprivileged => Some(Remedy::root(["chmod", "u+s", &err.helper])),
            HelperProblem::NoSuid => {
                let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
                let point = mount_point(&table, Path::new(&err.helper));
                Some(Remedy::root(["mount", "-o", "remount,suid", &point]))
            }
            HelperProblem::NoNewPrivileges => Some(advice(
                "start it without no_new_privs: NoNewPrivileges=no in a unit, \
                 no --security-opt no-new-privileges for the container we run in",
            )),
            HelperProblem::Hung(_) => Some(advice(&format!(
                "see whether the user database answers: `getent passwd {}` should return at once",
                self.who
            ))),
            HelperProblem::NotRun(_) | HelperProblem::Refused(_) | HelperProblem::Killed(_) => None,
        }
    }

    /// Gives the user a range of ids that nobody has.
    #[must_use]
    pub fn grant(&self) -> Remedy {
        if self.in_container {
            return advice(
                "run it as root of the container we run in, and give that container at least 65,536 ids",
            );
        }
        self.grant_range(&free_range(&self.granted.0, &self.granted.1))
    }

    /// Gives the user so many ids more that a container has the id `id`; nothing where there are not as many.
    #[must_use]
    pub fn grant_up_to(&self, id: u64) -> Option<Remedy> {
        if self.in_container {
            let ids = id.saturating_add(1);
            return Some(advice(&format!("give the container we run in at least {ids} ids")));
        }
        let free = free_range(&self.granted.0, &self.granted.1);
        let count = id.checked_add(1)?.checked_next_multiple_of(65_536)?;
        let last = free.start().checked_add(count - 1)?;
        // The largest number is no id.
        (last < u64::from(u32::MAX)).then(|| self.fitted(self.grant_range(&(*free.start()..=last))))
    }

    fn grant_range(&self, range: &std::ops::RangeInclusive<u64>) -> Remedy {
        if self.who.bytes().all(|byte| byte.is_ascii_digit()) {
            // usermod takes names only.
            let line = format!("{}:{}:{}", self.who, range.start(), range.end() - range.start() + 1);
            return Remedy::root([
                "sh",
                "-c",
                &format!("echo {line} >>/etc/subuid && echo {line} >>/etc/subgid"),
            ]);
        }
        let range = format!("{}-{}", range.start(), range.end());
        Remedy::root(["usermod", "--add-subuids", &range, "--add-subgids", &range, &self.who])
    }

    /// Installs the two helpers.
    #[must_use]
    pub fn install_helpers(&self) -> Remedy {
        let lines = [
            ("debian", "apt-get install -y uidmap"),
            ("fedora", "dnf install -y shadow-utils"),
            ("rhel", "dnf install -y shadow-utils"),
            ("arch", "pacman -S --noconfirm shadow"),
            ("suse", "zypper install -y shadow"),
            ("alpine", "apk add shadow-uidmap"),
        ];
        self.install(&lines, "newuidmap and newgidmap (package uidmap or shadow)")
    }

    fn install(&self, lines: &[(&str, &str)], what: &str) -> Remedy {
        let known = |id: &&(&str, &str)| self.distribution.iter().any(|ours| ours == id.0);
        match lines.iter().find(known) {
            Some((_, line)) => Remedy::Root(line.split(' ').map(str::to_owned).collect()),
            None => advice(&format!("install {what}")),
        }
    }

    /// An AppArmor profile for our programs. It lets whatever is at that path make user namespaces: so only for programs
    /// that nobody but root can replace.
    fn apparmor(&self) -> Remedy {
        let Some(programs) = self.programs.as_ref().filter(|_| self.programs_are_roots) else {
            return advice(
                "install it where only root can write (make install PREFIX=/usr/local), then `ctr doctor --fix`: \
                 AppArmor allows by path, and would allow whatever is put there",
            );
        };
        let profile = format!(
            "abi <abi/4.0>,\ninclude <tunables/global>\nprofile ctr \"{}/ctr-{{run,copy,build}}\" flags=(unconfined) {{\n  userns,\n}}\n",
            programs.display()
        );
        let script = format!("printf '%s' \"$0\" >{PROFILE_FILE} && apparmor_parser -r {PROFILE_FILE}");
        Remedy::root(["sh", "-c", &script, &profile])
    }
}

fn advice(text: &str) -> Remedy {
    Remedy::Advice(text.to_owned())
}

/// ID and ID_LIKE of an os-release file.
fn distribution(release: &str) -> Vec<String> {
    let values =
        release.lines().filter_map(|line| line.strip_prefix("ID=").or_else(|| line.strip_prefix("ID_LIKE=")));
    values.flat_map(|value| value.trim_matches(['"', '\'']).split(' ')).map(str::to_owned).collect()
}

/// Neither the file nor a directory above it can be changed by anyone but root.
fn is_roots_alone(path: &Path) -> bool {
    path.ancestors()
        .all(|path| fs::metadata(path).is_ok_and(|meta| meta.uid() == 0 && meta.mode() & 0o022 == 0))
}

/// The mount point of a path, as mountinfo knows it.
fn mount_point(table: &str, path: &Path) -> String {
    let points = table.lines().filter_map(|line| line.split(' ').nth(4));
    let above = points.filter(|point| path.starts_with(point));
    above.max_by_key(|point| point.len()).unwrap_or("/").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::Kind;
    use crate::ranges::Missing;

    fn debian() -> Surroundings {
        Surroundings {
            distribution: vec!["debian".into()],
            who: "anna".into(),
            programs: Some("/usr/bin".into()),
            programs_are_roots: true,
            granted: ("bob:100000:65536\n".into(), String::new()),
            is_root: false,
            in_container: false,
        }
    }

    fn helper(problem: HelperProblem) -> EnterError {
        HelperError { kind: Kind::Uid, helper: "/usr/bin/newuidmap".into(), problem }.into()
    }

    fn line(err: &EnterError) -> String {
        debian().for_entering(err).unwrap().to_string()
    }

    /// What users are told, in place of the peers' messages 1 to 3 (pains.md §2).
    #[test]
    fn each_obstacle_has_its_line() {
        let missing = Missing { who: "anna".into(), kind: Kind::Uid, both: true, notes: Vec::new() };
        assert_eq!(
            debian().for_ranges(&missing.into()).unwrap().to_string(),
            "sudo usermod --add-subuids 165536-231071 --add-subgids 165536-231071 anna"
        );
        assert_eq!(line(&helper(HelperProblem::Missing)), "sudo apt-get install -y uidmap");
        assert_eq!(line(&helper(HelperProblem::Unprivileged)), "sudo chmod u+s /usr/bin/newuidmap");
        assert!(line(&helper(HelperProblem::NoSuid)).starts_with("sudo mount -o remount,suid /"));
        let refused = |refusal| EnterError::Refused { refusal, source: rustix::io::Errno::PERM };
        assert_eq!(
            line(&refused(Refusal::MaxUserNamespaces)),
            "sudo sh -c 'touch /etc/sysctl.d/90-ctr.conf && sed -i '\\''/^user.max_user_namespaces=/d'\\'' \
             /etc/sysctl.d/90-ctr.conf && echo user.max_user_namespaces=31000 >>/etc/sysctl.d/90-ctr.conf && \
             sysctl -p /etc/sysctl.d/90-ctr.conf'"
        );
        let profile = line(&refused(Refusal::AppArmor));
        assert!(
            profile.contains("/usr/bin/ctr-{run,copy,build}") && profile.contains("apparmor_parser -r"),
            "{profile}"
        );
    }

    #[test]
    fn a_program_that_users_can_replace_gets_no_profile() {
        let home =
            Surroundings { programs: Some("/home/anna/bin".into()), programs_are_roots: false, ..debian() };
        assert!(matches!(home.for_refusal(Refusal::AppArmor), Some(Remedy::Advice(_))));
    }

    #[test]
    fn a_user_without_a_name_gets_lines_of_its_own() {
        let enough = |id| debian().grant_up_to(id).map(|remedy| remedy.to_string());
        let first = *free_range(&debian().granted.0, &debian().granted.1).start();
        let last = first + 2 * 65_536 - 1;
        let line = format!("sudo usermod --add-subuids {first}-{last} --add-subgids {first}-{last} anna");
        assert_eq!(enough(70_000).unwrap(), line);
        assert_eq!(enough(4_294_900_000), None);
        assert_eq!(enough(u64::MAX), None);
        let nameless = Surroundings { who: "4711".into(), ..debian() };
        assert_eq!(
            nameless.grant().to_string(),
            "sudo sh -c 'echo 4711:165536:65536 >>/etc/subuid && echo 4711:165536:65536 >>/etc/subgid'"
        );
        let contained = Surroundings { in_container: true, ..debian() };
        assert!(matches!(contained.grant(), Remedy::Advice(_)));
    }

    #[test]
    fn root_needs_no_sudo() {
        let root = Surroundings { is_root: true, ..debian() };
        let line = root.for_entering(&helper(HelperProblem::Missing)).unwrap().to_string();
        assert_eq!(line, "apt-get install -y uidmap");
    }

    #[test]
    fn an_unknown_distribution_gets_advice() {
        let other = Surroundings { distribution: vec!["plan9".into()], ..debian() };
        assert_eq!(
            other.install_helpers().to_string(),
            "install newuidmap and newgidmap (package uidmap or shadow)"
        );
    }

    #[test]
    fn distributions_are_known_by_kin() {
        assert_eq!(distribution("NAME=\"Ubuntu\"\nID=ubuntu\nID_LIKE=debian\n"), ["ubuntu", "debian"]);
        assert_eq!(
            distribution("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n"),
            ["rocky", "rhel", "centos", "fedora"]
        );
    }

    #[test]
    fn the_mount_point_is_the_nearest() {
        let table = "1 0 8:1 / / rw - ext4 a rw\n2 1 8:2 / /usr rw,nosuid - ext4 b rw\n3 1 8:3 / /us rw - ext4 c rw\n";
        assert_eq!(mount_point(table, Path::new("/usr/bin/newuidmap")), "/usr");
        assert_eq!(mount_point(table, Path::new("/bin/x")), "/");
    }
}
