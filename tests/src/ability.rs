//! What this machine lets a test do.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Something a test may need that not every machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ability {
    /// User namespaces with a range of ids: the two helpers and an entry in `/etc/subuid`.
    Userns,
    /// Native overlayfs in a user namespace.
    Overlay,
    /// A Debian root file system in the cache that `scripts/set-up` fills.
    Debian,
    /// Debian's skopeo, as a second opinion on archives.
    Skopeo,
    /// Docker's registry, and what its users' passwords are hashed with.
    Registry,
    /// The program that makes certificates.
    Openssl,
    /// Root with strace, to break system calls of programs that it starts as a user.
    Strace,
    /// libseccomp's headers and library.
    Libseccomp,
    /// The program that makes interfaces, for tests with several hosts: each a network namespace.
    Iproute,
    /// The programs that people try a network with.
    Traffic,
    /// The device that makes TUN devices, open to users.
    Tun,
}

impl Ability {
    /// Whether the machine has it. When not: says so, and panics where `CTR_TEST_REQUIRE` names it.
    #[must_use]
    pub fn is_here(self) -> bool {
        let Err(reason) = self.probe() else { return true };
        let name = format!("{self:?}").to_lowercase();
        let required = std::env::var("CTR_TEST_REQUIRE").unwrap_or_default();
        if required.split(',').any(|one| one == name) {
            panic!("this machine must have {name} (CTR_TEST_REQUIRE), but {reason}");
        }
        let thread = std::thread::current();
        // Straight to the descriptor: what `eprintln!` says in a test that passes is not shown.
        writeln!(std::io::stderr(), "{}: skipped: {reason}", thread.name().unwrap_or("test"))
            .expect("stderr");
        false
    }

    fn probe(self) -> Result<(), String> {
        static USERNS: OnceLock<Result<(), String>> = OnceLock::new();
        static OVERLAY: OnceLock<Result<(), String>> = OnceLock::new();
        match self {
            Self::Userns => {
                USERNS.get_or_init(|| succeeds("unshare", &["--map-root-user", "--map-auto", "true"])).clone()
            }
            Self::Overlay => OVERLAY.get_or_init(probe_overlay).clone(),
            Self::Debian => {
                debian_root().map(drop).ok_or_else(|| "there is no debian.tar in the cache".into())
            }
            Self::Skopeo => succeeds("skopeo", &["--version"]),
            Self::Registry => succeeds("docker-registry", &["--version"])
                .and_then(|()| succeeds("htpasswd", &["-nbB", "-C", "4", "user", "password"]))
                .and_then(|()| Self::Openssl.probe()),
            Self::Openssl => succeeds("openssl", &["version"]),
            Self::Strace if !rustix::process::geteuid().is_root() => Err("strace must be run by root".into()),
            Self::Strace => succeeds("strace", &["true"]),
            Self::Iproute => succeeds("ip", &["-V"]),
            Self::Traffic => {
                let mut programs = TRAFFIC.into_iter();
                programs.try_for_each(|(program, version)| succeeds(program, &[version]))
            }
            Self::Tun => std::fs::OpenOptions::new()
                .read(true)
                .write(true)
                .open("/dev/net/tun")
                .map(drop)
                .map_err(|error| format!("/dev/net/tun cannot be opened: {error}")),
            Self::Libseccomp if Path::new("/usr/include/seccomp.h").exists() => Ok(()),
            Self::Libseccomp => Err("libseccomp-dev is not installed".into()),
        }
    }
}

/// How each of them tells its version.
const TRAFFIC: [(&str, &str); 7] = [
    ("curl", "--version"),
    ("dig", "-v"),
    ("dnsmasq", "--version"),
    ("iperf3", "--version"),
    ("nft", "--version"),
    ("ping", "-V"),
    ("socat", "-V"),
];

fn succeeds(program: &str, args: &[&str]) -> Result<(), String> {
    let run = Command::new(program).args(args).stdin(Stdio::null()).output();
    match run {
        Err(error) => Err(format!("{program} cannot be started: {error}")),
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("{program} says: {}", String::from_utf8_lossy(&output.stderr).trim())),
    }
}

fn probe_overlay() -> Result<(), String> {
    let base =
        tempfile::Builder::new().prefix("ctr-probe.").tempdir_in(crate::env::base()).expect("a directory");
    let script =
        "cd \"$1\" && mkdir l u w m && mount -t overlay -o userxattr,lowerdir=l,upperdir=u,workdir=w o m";
    let dir = base.path().to_str().expect("a path in UTF-8");
    let mount = succeeds("unshare", &["--map-root-user", "--mount", "sh", "-c", script, "sh", dir]);
    // The kernel leaves a directory of mode 0 in the work directory.
    succeeds("chmod", &["-R", "u+rwX", dir])?;
    mount
}

/// The Debian root file system that `scripts/set-up` made, as a tar.
#[must_use]
pub fn debian_root() -> Option<PathBuf> {
    let cache = std::env::var_os("CTR_TEST_CACHE").map_or_else(|| "/var/cache/ctr-dev".into(), PathBuf::from);
    Some(cache.join("debian.tar")).filter(|path| path.exists())
}
