//! What only a try can tell, in a process of its own: there is no way back out of a user namespace.
//!
//! `ctr doctor` starts itself as `__trial DIRECTORY`, in which the trial makes a fresh A with a mount namespace and an
//! overlay there, and reports on its standard output. AppArmor's restriction is found this way: the setting alone does not
//! tell whether a profile lets us pass.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use ctr_pods::network::{self, Standing};
use ctr_userns::level_a::{self, Wanted};
use ctr_userns::ranges::{self, Facts, Files};
use ctr_userns::remedy::{Remedy, Surroundings};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string,
    fsmount, fsopen,
};
use serde::{Deserialize, Serialize};

use super::check::Check;
use crate::cmd::standing;

/// The hidden verb.
pub(crate) const VERB: &str = "__trial";

/// What a trial found out.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// Why A could not be entered.
    pub(crate) namespaces: Option<String>,
    /// What mends that.
    pub(crate) remedy: Option<Remedy>,
    /// Why an overlay could not be mounted; not known where A could not be entered.
    pub(crate) overlay: Option<String>,
    /// How a network could be made, or why not; not known where A could not be entered.
    pub(crate) network: Option<Result<Standing, String>>,
}

impl Outcome {
    /// Nothing could be found out.
    pub(crate) fn failed(why: String) -> Self {
        Self { namespaces: Some(format!("the trial failed: {why}")), ..Self::default() }
    }
}

/// The trial itself. The process is in A afterwards, and good for nothing else.
pub(crate) fn run(directory: &Path, facts: &Facts) -> Outcome {
    let files = Files::default();
    let refused = |text: String, remedy| Outcome { namespaces: Some(text), remedy, ..Outcome::default() };
    let source = match ranges::discover(facts, &files) {
        Ok(found) => found.source,
        // The check of the ids has said it, with its remedy.
        Err(err) => return refused(ctr_cli::report::chain(&err), None),
    };
    let registry = directory.join("ns");
    match level_a::enter(&Wanted::new(&registry, &source).with_own_mounts(), &mut |_waiting| {}) {
        Ok(_a) => Outcome {
            overlay: overlay(directory).err().map(|err| ctr_cli::report::chain(&err)),
            network: Some(network::trial().map_err(|err| ctr_cli::report::chain(&err))),
            ..Outcome::default()
        },
        Err(err) => {
            let remedy = Surroundings::look(facts, &files).for_entering(&err);
            refused(ctr_cli::report::chain(&err), remedy)
        }
    }
}

/// Mounts an overlay as a container's root would be, and writes through it.
fn overlay(directory: &Path) -> io::Result<()> {
    let paths = ["lower", "upper", "work"].map(|name| directory.join(name));
    for path in &paths {
        fs::create_dir(path)?;
    }
    let overlay = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_flag(&overlay, "userxattr")?;
    for (option, path) in ["lowerdir", "upperdir", "workdir"].into_iter().zip(&paths) {
        fsconfig_set_string(&overlay, option, path)?;
    }
    fsconfig_create(&overlay)?;
    let mount = fsmount(&overlay, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
    rustix::fs::mkdirat(&mount, "made", rustix::fs::Mode::RWXU)?;
    Ok(())
}

/// Runs a trial in a child, in a directory that is gone afterwards.
pub(crate) fn start(data: &Path, user: &str) -> io::Result<Outcome> {
    let place = super::checks::existing(data);
    let directory = place.join(format!(".ctr-doctor-{}", std::process::id()));
    fs::create_dir(&directory)?;
    let output =
        Command::new("/proc/self/exe").arg(VERB).arg(&directory).arg(user).stdin(Stdio::null()).output();
    // overlayfs leaves a directory of mode 000 in `work`, which is the user's own all the same.
    let removed = remove(&directory);
    let output = output?;
    removed?;
    serde_json::from_slice(&output.stdout).map_err(|err| {
        let words = String::from_utf8_lossy(&output.stderr);
        if words.is_empty() { err.into() } else { io::Error::other(words.trim().to_owned()) }
    })
}

fn remove(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let inner = directory.join("work/work");
    if inner.exists() {
        fs::set_permissions(&inner, fs::Permissions::from_mode(0o700))?;
    }
    fs::remove_dir_all(directory)
}

/// The outcome as checks.
pub(crate) fn checks(outcome: io::Result<Outcome>) -> Vec<Check> {
    let outcome = outcome.unwrap_or_else(|err| Outcome::failed(ctr_cli::report::chain(&err)));
    if let Some(why) = outcome.namespaces {
        return vec![Check::missing("namespaces", why).mended_by(outcome.remedy)];
    }
    let namespaces =
        Check::good("namespaces", "a user and a mount namespace can be made, and have their ids");
    let overlay = match outcome.overlay {
        None => Check::good("overlay", "can be mounted in a user namespace"),
        Some(why) => {
            let cost = "each container's root is a copy of its image (a reflink where the file system can)";
            let module = why.contains("ENODEV").then(|| {
                Remedy::root([
                    "sh",
                    "-c",
                    "echo overlay >/etc/modules-load.d/ctr-overlay.conf && modprobe overlay",
                ])
            });
            Check::degraded("overlay", format!("cannot be mounted: {why}"), cost).mended_by(module)
        }
    };
    let network = outcome.network.map(network_check);
    [namespaces, overlay].into_iter().chain(network).collect()
}

fn network_check(outcome: Result<Standing, String>) -> Check {
    match outcome {
        Ok(found) if found.missed.is_empty() => {
            Check::good("network", format!("a container can have one of its own, in mode {}", found.rung))
        }
        Ok(found) => {
            let said = format!("made in mode {} only: {}", found.rung, standing::why(&found));
            Check::degraded("network", said, found.rung.cost()).mended_by(standing::remedy(&found))
        }
        Err(why) => {
            let cost = "containers run with --network none, host or container:NAME only";
            let is_module =
                ["ENOENT", "ENODEV", "EOPNOTSUPP", "EPROTONOSUPPORT"].iter().any(|name| why.contains(name));
            let module = is_module.then(standing::modules);
            Check::degraded("network", format!("cannot be made: {why}"), cost).mended_by(module)
        }
    }
}
