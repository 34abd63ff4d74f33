//! A store, and beside it what nobody may touch.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ctr_tests::env::{Invocation, programs};
use ctr_tests::image::{self, Image, Layer};
use ctr_tests::tree::{self, Facts};
use ctr_tests::{BUSYBOX, Env, Output};

/// What stands in every file of the canary.
const MARK: &str = "canary-7d1c";

/// One user's world with a canary in it.
pub(crate) struct World {
    pub(crate) env: Env,
    before: BTreeMap<PathBuf, Facts>,
    programs: Vec<Facts>,
}

impl World {
    /// A world with a canary and the image of busybox.
    pub(crate) fn new() -> Self {
        let env = Env::new();
        env.load(&plain());
        let canary = env.root().join("canary");
        for dir in ["", "dir", "etc", "in"] {
            std::fs::create_dir(canary.join(dir)).expect("a directory");
        }
        for file in ["secret", "etc/passwd", "etc/group", "etc/hosts", "null", "dir/file"] {
            std::fs::write(canary.join(file), format!("{MARK}:x:0:0:{MARK}:/:/bin/sh\n")).expect("a file");
        }
        let before = tree::picture(&canary);
        Self { env, before, programs: own_programs() }
    }

    /// Loads the plain image again, after everything was removed.
    pub(crate) fn reload(&self) {
        self.env.load(&plain());
    }

    /// The directory that nobody may touch.
    pub(crate) fn canary(&self) -> PathBuf {
        self.env.root().join("canary")
    }

    /// A path in the canary, as text.
    pub(crate) fn prey(&self, name: &str) -> String {
        self.canary().join(name).to_str().expect("UTF-8").to_owned()
    }

    /// The ways in which a link can name something in the canary.
    pub(crate) fn links_to(&self, name: &str) -> [String; 4] {
        let absolute = self.prey(name);
        [
            format!("{}{absolute}", "../".repeat(20).trim_end_matches('/')),
            format!("/proc/self/root{absolute}"),
            format!("/proc/1/cwd/{}{absolute}", "../".repeat(20)),
            absolute,
        ]
    }

    /// Loads busybox with a layer on top.
    pub(crate) fn image(&self, layer: Layer) {
        self.env.load(&with(layer));
    }

    /// Prepares `ctr run --rm FLAGS EVIL sh -c SCRIPT`.
    pub(crate) fn evil<I: IntoIterator<Item: AsRef<OsStr>>>(&self, flags: I, script: &str) -> Invocation<'_> {
        self.env.ctr(["run", "--rm"]).args(flags).args([EVIL, "sh", "-c", script])
    }

    /// The same of plain busybox.
    pub(crate) fn plain<I: IntoIterator<Item: AsRef<OsStr>>>(
        &self,
        flags: I,
        script: &str,
    ) -> Invocation<'_> {
        self.env.ctr(["run", "--rm"]).args(flags).args([BUSYBOX, "sh", "-c", script])
    }

    /// Runs a command: whatever comes of it, the canary is unharmed, and a refusal is one clear line.
    #[track_caller]
    pub(crate) fn survives(&self, invocation: Invocation<'_>) -> Output {
        let output = invocation.deadline(Duration::from_secs(60)).run();
        self.unharmed(&output);
        if output.code() == 125 {
            is_clear(&output);
        }
        output
    }

    /// Runs a command that must be refused, and returns the line that says why.
    #[track_caller]
    pub(crate) fn refuses(&self, invocation: Invocation<'_>) -> String {
        let output = self.survives(invocation);
        assert_eq!(output.code(), 125, "{output}");
        output.stderr.lines().next().unwrap_or_default().to_owned()
    }

    /// The canary and our own programs are as they were, and nothing of the canary was printed.
    #[track_caller]
    pub(crate) fn unharmed(&self, output: &Output) {
        assert!(tree::picture(&self.canary()) == self.before, "the canary was changed by {output}");
        assert!(
            !(output.stdout.contains(MARK) || output.stderr.contains(MARK)),
            "the canary was read: {output}"
        );
        assert!(own_programs() == self.programs, "our programs were changed by {output}");
    }
}

/// What containers are made of here, and images that mean harm are made on.
fn plain() -> Image {
    let applets = "sh cat cp cut echo grep id ls ln mkdir mv pwd readlink rm stat tr true wc".split(' ');
    let passwd = "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:User:/home/user:/bin/sh\n";
    let layer =
        image::small(applets).file("etc/passwd", 0o644, passwd).file("etc/group", 0o644, "root:x:0:\n");
    Image::new(BUSYBOX, [layer])
}

/// That image with a layer on top.
pub(crate) fn with(layer: Layer) -> Image {
    let mut image = plain();
    image.layers.push(layer.tar());
    EVIL.clone_into(&mut image.name);
    image
}

/// The image that means harm.
pub(crate) const EVIL: &str = "localhost/evil:latest";

fn own_programs() -> Vec<Facts> {
    // Contents of this size are compared by when they were last written, which nobody but root can forge.
    let facts = |name: &str| {
        use std::os::unix::fs::MetadataExt as _;
        let meta = std::fs::metadata(programs().join(name)).expect("our program");
        let content = format!("{} {} {}", meta.len(), meta.mtime(), meta.ctime()).into_bytes();
        Facts { mode: meta.mode(), owner: (meta.uid(), meta.gid()), content }
    };
    ["ctr-run", "ctr-copy"].map(facts).into()
}

/// A refusal is one line, and at most two hints.
#[track_caller]
fn is_clear(output: &Output) {
    let mut lines = output.stderr.lines();
    let first = lines.next().unwrap_or_default();
    assert!(first.starts_with("Error: ") && first.len() < 600, "not one clear line: {output}");
    let hints: Vec<_> = lines.collect();
    assert!(
        hints.len() <= 2 && hints.iter().all(|line| line.starts_with("hint: ")),
        "more than hints: {output}"
    );
    let plain = |character: char| !character.is_control() || character == '\n';
    assert!(output.stderr.chars().all(plain), "control characters: {output}");
    assert!(!output.stderr.contains("panicked"), "{output}");
}

/// A directory of the user's own that is shared with a container.
pub(crate) fn shared(world: &World, name: &str) -> PathBuf {
    let path = world.env.path(name);
    std::fs::create_dir_all(&path).expect("a directory");
    path
}

/// `HOST:CONTAINER`.
pub(crate) fn bind(host: &Path, container: &str) -> String {
    format!("{}:{container}", host.display())
}
