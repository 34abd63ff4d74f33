//! The checks themselves, from what nothing runs without to what is merely nice to have.
//!
//! What can be decided by looking is decided here; what only a try can tell (user namespaces under AppArmor or seccomp,
//! overlayfs) is left to [`trial`](super::trial), in a process of its own.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use ctr_cli::config::Settings;
use ctr_core::config::{Finding, Why};
use ctr_pods::ports::publish::bind::first_unprivileged;
use ctr_userns::level_a::{HelperError, HelperProblem, Helpers};
use ctr_userns::map::Kind;
use ctr_userns::ranges::{self, Facts, Files, Found, RangesError, Source};
use ctr_userns::remedy::{Remedy, Surroundings};

use super::check::Check;

/// A system's files have owners up to this, and `nobody` is the last.
const USUAL_IDS: u64 = 65_536;

/// Below this a pull of an ordinary image fails.
const SPACE: u64 = 1 << 30;

/// A policy for who wants one.
const POLICY: &str = r#"{"default":[{"type":"reject"}],"transports":{"docker":{"quay.io":[{"type":"insecureAcceptAnything"}]}}}"#;

/// The file that says which images may be used. Without one all may: as with Docker, and other than with podman.
pub(crate) fn policy() -> Check {
    match ctr_cli::config::policy() {
        (Some(path), _) if path.exists() => Check::good("policy", path.display().to_string()),
        (Some(path), _) => Check::degraded(
            "policy",
            format!("CONTAINERS_POLICY_JSON names {}, which is not there", path.display()),
            "no image can be pulled or copied",
        ),
        (None, own) => Check::good(
            "policy",
            format!(
                "no policy.json: images from everywhere are accepted; to choose, write {}: {POLICY}",
                own.display()
            ),
        ),
    }
}

/// The configuration files, and what in them does nothing.
pub(crate) fn config(settings: &Settings) -> Check {
    let files = settings.containers.files().iter().chain(settings.storage.files());
    let files: Vec<_> = files.map(|path| path.display().to_string()).collect();
    let (void, idle): (Vec<_>, Vec<_>) =
        settings.findings().into_iter().partition(|finding| matches!(finding.why, Why::Void(_)));
    let said = |findings: Vec<Finding>| findings.iter().map(ToString::to_string).collect::<Vec<_>>();
    let (void, idle) = (said(void), said(idle));
    if !idle.is_empty() {
        let all = [idle, void].concat().join("; ");
        return Check::degraded("config", all, "what these keys ask for does not happen");
    }
    let found = match (files.is_empty(), void.is_empty()) {
        (true, _) => "no configuration files".to_owned(),
        (false, true) => files.join(", "),
        (false, false) => format!("{}; {}", files.join(", "), void.join("; ")),
    };
    Check::good("config", found)
}

/// From where on ports are published by everybody. Others are for who asks the machine's owner: it is no fault that they are not.
pub(crate) fn ports() -> Check {
    let found = match first_unprivileged() {
        Ok(0 | 1) => "every port of the machine can be published".to_owned(),
        Ok(first) => format!(
            "those from {first} on can be published; those from 80 on after \
             `sudo sysctl net.ipv4.ip_unprivileged_port_start=80`"
        ),
        Err(error) => format!("nobody knows which can be published: {error}"),
    };
    Check::good("ports", found)
}

/// What the checks look at.
pub(crate) struct Bench<'a> {
    /// Who we are.
    pub(crate) facts: &'a Facts,
    /// Where ranges are.
    pub(crate) files: &'a Files,
    /// The machine.
    pub(crate) surroundings: &'a Surroundings,
    /// Where the store is or will be.
    pub(crate) data: &'a Path,
}

impl Bench<'_> {
    /// Subordinate ids: there, enough, and nobody else's.
    pub(crate) fn ids(&self, found: &Result<Found, RangesError>) -> Check {
        let found = match found {
            Ok(found) => found,
            Err(err) => {
                return Check::missing("ids", ctr_cli::report::chain(err))
                    .mended_by(self.surroundings.for_ranges(err));
            }
        };
        let maps = found.source.maps();
        let (uids, gids) = (maps.uid.count(), maps.gid.count());
        let how = match found.source {
            Source::Direct(_) => "written by ourselves",
            Source::Helpers(_) => "written by newuidmap and newgidmap",
        };
        let mut text = format!("{uids} user ids and {gids} group ids, {how}");
        for note in &found.notes {
            text.push_str("; ignored: ");
            text.push_str(&note.to_string());
        }
        let shared = self.shared();
        if !shared.is_empty() {
            text.push_str("; also given to ");
            text.push_str(&shared.join(", "));
            return Check::degraded(
                "ids",
                text,
                "that user's containers can reach the files of yours, and yours theirs",
            );
        }
        if uids.min(gids) < USUAL_IDS {
            let cost = "images with files of an id beyond these cannot be unpacked";
            return Check::degraded("ids", text, cost).mended_by(self.surroundings.grant());
        }
        Check::good("ids", text)
    }

    /// Others whose ranges overlap ours.
    fn shared(&self) -> Vec<String> {
        let (subuid, subgid) = &self.surroundings.granted;
        let mut shared = ranges::sharers(subuid, self.facts);
        shared.extend(ranges::sharers(subgid, self.facts));
        shared.sort();
        shared.dedup();
        shared
    }

    /// The two set-uid helpers.
    pub(crate) fn helpers(&self, found: &Result<Found, RangesError>) -> Check {
        if matches!(found, Ok(Found { source: Source::Direct(_), .. })) {
            return Check::good("helpers", "not needed: we may write id maps ourselves");
        }
        let mut check = Check::good("helpers", "");
        let mut said = Vec::new();
        for (kind, name) in [(Kind::Uid, "newuidmap"), (Kind::Gid, "newgidmap")] {
            let (helper, problem) = match Helpers::SYSTEM.find(kind) {
                None => (name.to_owned(), HelperProblem::Missing),
                Some(standing) => {
                    let path = standing.path.display().to_string();
                    match (standing.privileged, standing.nosuid) {
                        (true, false) => {
                            said.push(path);
                            continue;
                        }
                        (false, _) => (path, HelperProblem::Unprivileged),
                        (true, true) => (path, HelperProblem::NoSuid),
                    }
                }
            };
            let err = HelperError { kind, helper, problem };
            said.push(format!("{}: {}", err.helper, err.problem));
            let remedy = self.surroundings.for_helper(&err);
            check = Check { remedies: check.remedies, ..Check::missing("helpers", "") };
            if !remedy.as_ref().is_some_and(|remedy| check.remedies.contains(remedy)) {
                check = check.mended_by(remedy);
            }
        }
        Check { found: said.join(", "), ..check }
    }

    /// The settings that turn user namespaces off.
    pub(crate) fn sysctls(&self) -> Check {
        let most = setting("user/max_user_namespaces");
        if most == Some(0) {
            return Check::missing("sysctls", "user.max_user_namespaces is 0")
                .mended_by(self.surroundings.for_refusal(ctr_userns::level_a::Refusal::MaxUserNamespaces));
        }
        if setting("kernel/unprivileged_userns_clone") == Some(0) && !self.facts.may_write_maps() {
            return Check::missing("sysctls", "kernel.unprivileged_userns_clone is 0")
                .mended_by(self.surroundings.for_refusal(ctr_userns::level_a::Refusal::UnprivilegedClone));
        }
        match most {
            Some(most) => Check::good("sysctls", format!("up to {most} user namespaces")),
            None => Check::good("sysctls", "the kernel shows no limit"),
        }
    }

    /// The device that a network is made of where there is no nf_tables.
    pub(crate) fn tun(&self) -> Check {
        let cost = "without nf_tables containers reach nobody, and are reached at published ports only";
        match OpenOptions::new().read(true).write(true).open("/dev/net/tun") {
            Ok(_) => Check::good("tun", "/dev/net/tun can be opened"),
            Err(err) if err.kind() == io::ErrorKind::PermissionDenied => {
                let rule = "/etc/udev/rules.d/90-ctr-tun.rules";
                let script =
                    format!(r#"echo 'KERNEL=="tun", MODE="0666"' >{rule} && chmod 666 /dev/net/tun"#);
                let found = "/dev/net/tun is not open to users";
                Check::degraded("tun", found, cost).mended_by(Remedy::root(["sh", "-c", &script]))
            }
            Err(err) if self.facts.initial => {
                let script = "echo tun >/etc/modules-load.d/ctr-tun.conf && modprobe tun";
                Check::degraded("tun", format!("/dev/net/tun: {}", plain(&err)), cost)
                    .mended_by(Remedy::root(["sh", "-c", script]))
            }
            Err(err) => Check::degraded("tun", format!("/dev/net/tun: {}", plain(&err)), cost).mended_by(
                Remedy::Advice("give the container we run in the device: --device /dev/net/tun".into()),
            ),
        }
    }

    /// cgroups in which we may set limits.
    pub(crate) fn delegation(&self) -> Check {
        let cost = "limits (--memory, --cpus, --pids-limit) cannot be set";
        let uid = self.facts.uid;
        let Some(root) = unified_root() else {
            return Check::degraded("cgroups", "there is no unified (v2) hierarchy", cost).mended_by(
                Remedy::Advice(
                    "boot with systemd.unified_cgroup_hierarchy=1 on the kernel's command line".into(),
                ),
            );
        };
        let candidates = [
            root.join(format!("user.slice/user-{uid}.slice/user@{uid}.service")),
            own_group().map_or_else(|| root.clone(), |own| root.join(own)),
        ];
        let ours = candidates.iter().find(|group| may_write(&group.join("cgroup.procs")));
        let Some(ours) = ours else {
            let check = Check::degraded("cgroups", "no group is delegated to you", cost);
            return if Path::new("/run/systemd/system").exists() {
                check.mended_by(delegate())
            } else {
                check.mended_by(Remedy::Advice(format!("chown a group below {} to you", root.display())))
            };
        };
        let controllers = fs::read_to_string(ours.join("cgroup.controllers")).unwrap_or_default();
        let lacking: Vec<&str> = ["cpu", "memory", "pids"]
            .into_iter()
            .filter(|name| !controllers.split_whitespace().any(|c| c == *name))
            .collect();
        if lacking.is_empty() {
            return Check::good("cgroups", format!("delegated: {}", controllers.trim()));
        }
        let check = Check::degraded("cgroups", format!("not delegated: {}", lacking.join(", ")), cost);
        if Path::new("/run/systemd/system").exists() { check.mended_by(delegate()) } else { check }
    }

    /// Whether what we start outlives the login.
    pub(crate) fn linger(&self) -> Check {
        if !Path::new("/run/systemd/system").exists() {
            return Check::good("linger", "not needed: no systemd ends what you leave running");
        }
        let Some(name) = self.facts.name.as_deref() else {
            return Check::good("linger", "not known: you have no name in /etc/passwd");
        };
        if Path::new("/var/lib/systemd/linger").join(name).exists() {
            return Check::good("linger", "on");
        }
        Check::degraded("linger", "off", "containers end when you log out, and none starts with the machine")
            .mended_by(Remedy::root(["loginctl", "enable-linger", name]))
    }

    /// Room for images.
    pub(crate) fn space(&self) -> Check {
        let place = existing(self.data);
        let stat = match rustix::fs::statvfs(&place) {
            Ok(stat) => stat,
            Err(err) => return Check::degraded("space", format!("{}: {err}", place.display()), "not known"),
        };
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        let found = format!("{} MiB free in {}", free >> 20, place.display());
        let cost = "pulls and builds fail with ENOSPC";
        let gc = Remedy::user(["ctr", "system", "gc"]);
        if free < SPACE {
            return Check::degraded("space", found, cost).mended_by(gc);
        }
        // Some file systems (btrfs) count no inodes.
        if stat.f_files > 0 && stat.f_favail < 50_000 {
            return Check::degraded(
                "space",
                format!("{} inodes free in {}", stat.f_favail, place.display()),
                cost,
            )
            .mended_by(gc);
        }
        Check::good("space", found)
    }

    /// A store on a network file system: no overlay, and ids that the server refuses.
    pub(crate) fn home(&self) -> Check {
        let place = existing(self.data);
        let kind =
            rustix::fs::statfs(&place).ok().and_then(|stat| network_file_system(stat.f_type.cast_unsigned()));
        match kind {
            None => Check::good("home", format!("{} is on a local file system", place.display())),
            Some(kind) => Check::degraded(
                "home",
                format!("{} is on {kind}", place.display()),
                "files of subordinate ids cannot be created there",
            )
            .mended_by(Remedy::Advice(
                "put the store on a local disk: graphroot in ~/.config/containers/storage.conf, or --root"
                    .into(),
            )),
        }
    }
}

fn delegate() -> Remedy {
    let dir = "/etc/systemd/system/user@.service.d";
    let script = format!(
        "mkdir -p {dir} && printf '[Service]\\nDelegate=cpu cpuset io memory pids\\n' >{dir}/delegate.conf && systemctl daemon-reload"
    );
    Remedy::root(["sh", "-c", &script])
}

/// A number in `/proc/sys`.
fn setting(name: &str) -> Option<u64> {
    fs::read_to_string(Path::new("/proc/sys").join(name)).ok()?.trim().parse().ok()
}

/// The operating system's words without its number.
fn plain(err: &io::Error) -> String {
    ctr_cli::report::chain(err)
}

/// Where the unified hierarchy is mounted, if that is the only one.
fn unified_root() -> Option<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    root.join("cgroup.controllers").exists().then(|| root.to_owned())
}

/// Our own group in the unified hierarchy, below its root.
fn own_group() -> Option<PathBuf> {
    let text = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(path.into())
}

fn may_write(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok()
}

/// The path, or the nearest directory above it that is there.
pub(crate) fn existing(path: &Path) -> PathBuf {
    path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/")).to_owned()
}

/// The name of a file system of another machine's, by its magic number.
fn network_file_system(magic: u64) -> Option<&'static str> {
    Some(match magic {
        0x6969 => "NFS",
        0xff53_4d42 | 0xfe53_4d42 | 0x517b => "SMB",
        0x0bd0_0bd0 => "Lustre",
        0x4750_4653 => "GPFS",
        0x00c3_6400 => "CephFS",
        0x5346_414f => "AFS",
        0x0102_1997 => "9p",
        0x1983_0326 => "BeeGFS",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_is_not_there_yet_is_judged_by_where_it_will_be() {
        assert_eq!(existing(Path::new("/nonexistent/a/b")), Path::new("/"));
        assert_eq!(existing(Path::new("/proc/self/nonexistent")), Path::new("/proc/self"));
    }

    #[test]
    fn network_file_systems_are_known_by_number() {
        assert_eq!(network_file_system(0x6969), Some("NFS"));
        assert_eq!(network_file_system(0xef53), None, "ext4");
    }
}
