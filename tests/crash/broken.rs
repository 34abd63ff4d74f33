//! One command, broken at each of its points.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use ctr_tests::image::{Image, Layer};
use ctr_tests::tree::{self, Facts};
use ctr_tests::{Env, Output};

use crate::points;

/// What happens to a call.
const FAULTS: [&str; 3] = ["signal=KILL", "error=ENOSPC", "error=EIO"];

/// A small image that runs.
pub(crate) fn image(name: &str, content: &str) -> Image {
    Image::busybox(name, [Layer::new().dir("etc/", 0o755).file("etc/mark", 0o600, content)])
}

/// The files of a store, without what differs from time to time.
type Picture = BTreeMap<PathBuf, Facts>;

/// A command and the world it runs in.
pub(crate) struct Case {
    name: &'static str,
    env: Env,
    /// A copy of the home directory, before the command.
    pristine: PathBuf,
}

impl Case {
    pub(crate) fn new(name: &'static str, prepare: impl FnOnce(&Env)) -> Self {
        let user = std::env::var("CTR_TEST_USER").unwrap_or_else(|_| "ctrtest".into());
        let env = Env::of_user(&user);
        prepare(&env);
        let pristine = env.root().join("pristine");
        copy(&env.home(), &pristine);
        Self { name, env, pristine }
    }

    /// The world as it was before the command.
    fn reset(&self) {
        remove(&self.env.home());
        copy(&self.pristine, &self.env.home());
        for entry in std::fs::read_dir(self.env.run_dir()).expect("the run directory") {
            remove(&entry.expect("an entry").path());
        }
    }

    /// What is left after gc, which must work.
    fn swept(&self) -> Result<Picture, String> {
        expect(self.env.ctr(["system", "gc"]).run())?;
        Ok(tree::picture(&self.env.store()))
    }

    /// Breaks the command at each point, in each way.
    pub(crate) fn breaks(&self, command: &[&str]) {
        self.reset();
        let before = self.swept().expect("gc before the command");
        self.reset();
        let points = points::of(&self.env, command);
        let after = self.swept().expect("gc after the command");

        let stride = std::env::var("CTR_CRASH_STRIDE").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
        let all = points.iter().flat_map(|(call, count)| (1..=*count).map(move |n| (call.as_str(), n)));
        let all: Vec<_> = all.flat_map(|point| FAULTS.map(|fault| (point, fault))).step_by(stride).collect();
        assert!(all.len() > 2, "{}: only {all:?}", self.name);
        let mut wrong = Vec::new();
        for ((call, n), fault) in &all {
            self.reset();
            let inject = format!("inject={call}:{fault}:when={n}");
            let output = self
                .env
                .watched(["-qq", "-o", "/dev/null", "-e", "signal=none", "-e", &inject], command)
                .deadline(std::time::Duration::from_secs(30))
                .run();
            if let Err(why) = self.check(&before, &after) {
                wrong.push(format!("{inject}: {why}\nof {output}"));
            }
        }
        let count = wrong.len();
        wrong.truncate(10);
        assert!(
            count == 0,
            "{}: {count} of {} places are wrong, first:\n{}",
            self.name,
            all.len(),
            wrong.join("\n")
        );
    }

    /// What must hold, whatever has happened.
    fn check(&self, before: &Picture, after: &Picture) -> Result<(), String> {
        let images = expect(self.env.ctr(["images", "-q", "--no-trunc"]).run())?;
        for image in images.lines() {
            expect(self.env.ctr(["run", "--rm", "--network", "none", image, "true"]).run())?;
        }
        let _containers = expect(self.env.ctr(["ps", "-a"]).run())?;
        // What was kept, and that it was kept, is the user's to remove.
        expect(self.env.ctr(["rm", "-f", "-a"]).run())?;
        let swept = self.swept()?;
        let (other, this) = (difference(before, &swept), difference(after, &swept));
        let least = if other.len() <= this.len() { other } else { this };
        if least.is_empty() { Ok(()) } else { Err(format!("gc leaves a difference: {least:#?}")) }
    }
}

fn expect(output: Output) -> Result<String, String> {
    if output.code() == 0 { Ok(output.success()) } else { Err(output.to_string()) }
}

/// What is in one picture only, or not the same.
fn difference(wanted: &Picture, found: &Picture) -> Vec<String> {
    let names: std::collections::BTreeSet<_> = wanted.keys().chain(found.keys()).collect();
    let say = |facts: Option<&Facts>| {
        facts.map_or("absent".to_owned(), |facts| format!("{:o}, {} bytes", facts.mode, facts.content.len()))
    };
    let differs = |name: &&&PathBuf| wanted.get(**name) != found.get(**name);
    names
        .iter()
        .filter(differs)
        .map(|name| {
            format!("{}: {} instead of {}", name.display(), say(found.get(*name)), say(wanted.get(*name)))
        })
        .collect()
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").args(["-a", "--reflink=auto"]).arg(from).arg(to).status();
    assert!(status.is_ok_and(|status| status.success()), "cp");
}

fn remove(path: &Path) {
    let status = Command::new("rm").args(["-rf", "--"]).arg(path).status();
    assert!(status.is_ok_and(|status| status.success()), "rm");
}
