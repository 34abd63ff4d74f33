//! Where it is measured: a store of our own, one of podman's, and the same root in a folder for bwrap.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use ctr_tests::image::{Image, Layer};
use tempfile::TempDir;

/// The name of the image that is run.
pub(crate) const IMAGE: &str = "localhost/bench:latest";

/// A home for the bench, gone at its end.
pub(crate) struct World {
    dir: TempDir,
    programs: PathBuf,
    podman: bool,
}

impl World {
    /// Makes the home and loads the image everywhere.
    pub(crate) fn new() -> Self {
        let me = std::env::current_exe().expect("the bench's own path");
        let programs = me.parent().expect("a folder").to_path_buf();
        let dir = tempfile::Builder::new().prefix("ctr-bench.").tempdir_in("/var/tmp").expect("a folder");
        let mut world = Self { dir, programs, podman: false };
        world.podman = world.podman_runs();
        let archive = world.path("image.tar");
        // Five layers, as an image of an application has.
        let more = (1..5).map(|n| Layer::new().file(format!("etc/layer{n}"), 0o644, format!("{n}\n")));
        std::fs::write(&archive, Image::busybox(IMAGE, more).docker_archive()).expect("a file");
        world.load(&archive);
        world.unpack_for_bwrap();
        world
    }

    /// A path in the home.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Loads an archive into both stores.
    fn load(&self, archive: &Path) {
        crate::measure::once(self.ctr(["load", "-q", "-i"]).arg(archive));
        if self.podman {
            crate::measure::once(self.podman(["load", "-q", "-i"]).arg(archive));
        }
    }

    fn unpack_for_bwrap(&self) {
        let root = self.path("root");
        std::fs::create_dir(&root).expect("a folder");
        let tar = self.path("layer.tar");
        std::fs::write(&tar, ctr_tests::image::busybox().tar()).expect("a file");
        crate::measure::once(
            Command::new("tar").args(["-x", "--no-same-owner", "-C"]).arg(&root).arg("-f").arg(&tar),
        );
    }

    /// Both ends of what is measured of a network.
    pub(crate) fn traffic(&self) -> PathBuf {
        self.programs.join("ctr-bench-traffic")
    }

    /// The environment of everything that is compared.
    pub(crate) fn constructed(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("HOME", self.dir.path()).env("LANG", "C.UTF-8");
        command.env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin");
        if let Some(run) = std::env::var_os("XDG_RUNTIME_DIR") {
            command.env("XDG_RUNTIME_DIR", run);
        }
        command
    }

    /// `ctr`, through the name that users type.
    pub(crate) fn ctr<I: IntoIterator<Item: AsRef<OsStr>>>(&self, args: I) -> Command {
        let link = self.path("ctr");
        if !link.exists() {
            std::os::unix::fs::symlink(self.programs.join("ctr-run"), &link).expect("a link");
        }
        let mut command = self.constructed(link);
        command.args(args);
        command
    }

    /// podman, with a store of its own.
    pub(crate) fn podman<I: IntoIterator<Item: AsRef<OsStr>>>(&self, args: I) -> Command {
        let mut command = self.constructed("podman");
        command.args(["--cgroup-manager=cgroupfs", "--events-backend=none", "--log-level=error"]).args(args);
        command
    }

    /// bwrap, with all namespaces, on the same root.
    pub(crate) fn bwrap<I: IntoIterator<Item: AsRef<OsStr>>>(&self, args: I) -> Command {
        let mut command = self.constructed("bwrap");
        command.args(["--unshare-all", "--bind"]).arg(self.path("root"));
        command.args(["/", "--dev", "/dev", "--proc", "/proc"]).args(args);
        command
    }

    /// A program that does nothing.
    pub(crate) fn empty(&self) -> Command {
        self.constructed(self.programs.join("ctr-bench-empty"))
    }

    /// Whether podman is here and works.
    pub(crate) const fn has_podman(&self) -> bool {
        self.podman
    }

    #[expect(clippy::print_stdout, reason = "what it measured is what it prints")]
    fn podman_runs(&self) -> bool {
        let info = self.podman(["info"]).output();
        match info {
            Ok(output) if output.status.success() => true,
            Ok(output) => {
                println!("without podman: {}", String::from_utf8_lossy(&output.stderr).trim());
                false
            }
            Err(error) => {
                println!("without podman: {error}");
                false
            }
        }
    }

    /// What is compared.
    pub(crate) fn versions(&self) -> String {
        let first_line = |mut command: Command| {
            let output = command.output().map(|output| output.stdout).unwrap_or_default();
            String::from_utf8_lossy(&output).lines().next().unwrap_or("absent").trim().to_owned()
        };
        let mut bwrap = self.constructed("bwrap");
        bwrap.arg("--version");
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let mut skopeo = self.constructed("skopeo");
        skopeo.arg("--version");
        let versions = [
            first_line(self.ctr(["--version"])),
            first_line(bwrap),
            first_line(self.podman(["--version"])),
            first_line(skopeo),
        ];
        format!("Linux {}, {cores} cores; {}", kernel.trim(), versions.join("; "))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let remove = Command::new("unshare")
            .args(["--map-root-user", "--map-auto", "rm", "-rf", "--"])
            .arg(self.dir.path())
            .status();
        assert!(
            remove.is_ok_and(|status| status.success()),
            "{} could not be removed",
            self.dir.path().display()
        );
    }
}
