//! One command, broken at each of its points.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ctr_tests::image::{self, Entry, Image, Layer};
use ctr_tests::tree::{self, Facts};
use ctr_tests::{Env, Output};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::points::{self, Point};

/// What happens to a call that changes something.
const FAULTS: [&str; 3] = ["signal=KILL", "error=ENOSPC", "error=EIO"];
/// What happens to one that reads.
const UNREADABLE: &str = "error=EIO";

/// How often a place is tried until it is met. On a busy machine it differs from run to run which of two processes waits for
/// the other, and so how many calls each of them makes.
const TRIES: usize = 4;

/// A small image that runs: few files, so that a store of it is soon copied. The second layer has something of each
/// kind that a layer can have.
pub(crate) fn image(name: &str, content: &str) -> Image {
    let base = image::small(["true", "sleep"]).file("etc/gone", 0o644, "");
    let own = Layer::new()
        .dir("home/", 0o755)
        .entry(Entry::new(b'5', "home/user/", 0o700).owner(1000, 1000), "")
        .entry(
            Entry::new(b'0', "home/user/mark", 0o600).owner(1000, 1000).xattr("user.mark", content),
            content,
        )
        .hardlink("home/mark", "home/user/mark")
        .symlink("home/link", "user/mark")
        .file("etc/.wh.gone", 0o644, "");
    Image::new(name, [base, own])
}

/// The files of a store, without what differs from time to time.
type Picture = BTreeMap<PathBuf, Facts>;

/// A place to break a command at, and how.
#[derive(Debug)]
struct Break {
    point: Point,
    fault: &'static str,
}

impl Break {
    fn inject(&self) -> String {
        format!("inject={}:{}:when={}", self.point.call, self.fault, self.point.number)
    }
}

/// A command, and what there is before it.
pub(crate) struct Case<P> {
    pub(crate) name: &'static str,
    /// Fills the store.
    pub(crate) prepare: P,
    pub(crate) command: &'static [&'static str],
    /// The container that runs meanwhile, one of those that were prepared.
    pub(crate) beside: Option<Beside>,
    /// What takes back what it made, where that is never the same twice.
    pub(crate) undo: &'static [&'static str],
    /// Each how many-th place is tried, unless `CTR_CRASH_STRIDE` says otherwise.
    pub(crate) stride: usize,
}

/// A container that runs while a command is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beside {
    /// The command may end it.
    Prey(&'static str),
    /// The command has to let it live, whatever happens.
    Spared(&'static str),
    /// It is initialized, and the command may start or end it.
    Initialized(&'static str),
}

impl Beside {
    const fn name(self) -> &'static str {
        match self {
            Self::Prey(name) | Self::Spared(name) | Self::Initialized(name) => name,
        }
    }

    /// What makes it so.
    const fn verb(self) -> &'static str {
        match self {
            Self::Prey(_) | Self::Spared(_) => "start",
            Self::Initialized(_) => "init",
        }
    }
}

impl<P: Fn(&Env) + Sync> Case<P> {
    /// Breaks the command at each point, in each way.
    pub(crate) fn breaks(&self) {
        let first = World::new(self);
        let all = self.places(&first);
        assert!(!all.is_empty(), "{}", self.name);
        let (next, hit, wrong) = (AtomicUsize::new(0), AtomicUsize::new(0), Mutex::new(Vec::new()));
        let work = |world: World| {
            while let Some(place) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                let met = (0..TRIES).any(|_| self.try_one(&world, place, &wrong));
                hit.fetch_add(usize::from(met), Ordering::Relaxed);
            }
        };
        let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        std::thread::scope(|scope| {
            for _ in 1..workers {
                scope.spawn(|| work(World::new(self)));
            }
            work(first);
        });
        let (mut wrong, hit) = (wrong.into_inner().expect("no worker panicked"), hit.into_inner());
        // Locks that somebody waits for may be left out.
        assert!(hit * 10 >= all.len() * 9, "{}: only {hit} of {} places were met", self.name, all.len());
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

    fn places(&self, world: &World) -> Vec<Break> {
        let stride = std::env::var("CTR_CRASH_STRIDE").ok().and_then(|text| text.parse().ok());
        let points = points::of(&world.env, self.command);
        assert!(points.len() > 10, "{}: only {points:?}", self.name);
        let faults = |changes| if changes { FAULTS.as_slice() } else { std::slice::from_ref(&UNREADABLE) };
        let all = points.iter().flat_map(|(point, changes)| {
            faults(*changes).iter().map(|fault| Break { point: point.clone(), fault })
        });
        all.step_by(stride.unwrap_or(self.stride)).collect()
    }

    /// Breaks one world at one place; returns whether the place was met.
    fn try_one(&self, world: &World, place: &Break, wrong: &Mutex<Vec<String>>) -> bool {
        let processes = world.reset();
        let inject = place.inject();
        let trace = format!("trace={}", place.point.call);
        let log = world.env.root().join("strace.log");
        let log_name = log.to_str().expect("UTF-8");
        let output = world
            .env
            .watched(["-q", "-o", log_name, "-e", &trace, "-e", &inject], self.command)
            .deadline(Duration::from_secs(60))
            .run();
        if let Err(why) = world.check(processes) {
            let mut wrong = wrong.lock().expect("no worker panicked");
            wrong.push(format!("{inject}: {why}\nof {output}"));
            // Nothing of it may be in the way of the next.
            drop(world.env.ctr(["rm", "-f", "-a", "-t", "0"]).run());
        }
        let log = std::fs::read_to_string(&log).expect("strace's log");
        log.contains("(INJECTED)") || log.contains("+++ killed by SIGKILL +++")
    }
}

/// Where a command runs, again and again.
struct World {
    env: Env,
    /// A copy of the home directory, before the command.
    pristine: PathBuf,
    /// The files in it.
    prepared: Picture,
    /// What gc leaves of the store before the command.
    before: Picture,
    /// What it leaves after the command.
    after: Picture,
    /// The container that runs meanwhile.
    beside: Option<Beside>,
    /// What takes back what the command made.
    undo: &'static [&'static str],
}

/// A place for the unprivileged user that the commands run as.
pub(crate) fn world() -> Env {
    Env::of_user(&std::env::var("CTR_TEST_USER").unwrap_or_else(|_| "ctrtest".into()))
}

impl World {
    fn new<P: Fn(&Env) + Sync>(case: &Case<P>) -> Self {
        let env = world();
        (case.prepare)(&env);
        let pristine = env.root().join("pristine");
        copy(&env.home(), &pristine);
        let prepared = tree::picture(&env.home());
        let (before, after, beside) = (Picture::new(), Picture::new(), case.beside);
        let mut world = Self { env, pristine, prepared, before, after, beside, undo: case.undo };
        world.before = world.swept().expect("gc before the command");
        let _processes = world.reset();
        let _done = world.env.ctr(case.command).run().success();
        world.after = world.swept().expect("gc after the command");
        let _processes = world.reset();
        world
    }

    /// The world as it was before the command; returns the processes of the container in it. What is so already is not
    /// copied again.
    fn reset(&self) -> Vec<OwnedFd> {
        if self.beside.is_some() {
            let _ids = self.env.ok(["rm", "-f", "-a", "-t", "0"]);
        }
        if tree::picture(&self.env.home()) != self.prepared {
            remove(&self.env.home());
            copy(&self.pristine, &self.env.home());
        }
        for entry in std::fs::read_dir(self.env.run_dir()).expect("the run directory") {
            remove(&entry.expect("an entry").path());
        }
        let Some(beside) = self.beside else { return Vec::new() };
        let _name = self.env.ok([beside.verb(), beside.name()]);
        let pids = self.env.ok(["inspect", "-f", "{{.State.Pid}} {{.State.ConmonPid}}", beside.name()]);
        let open = |pid: &str| {
            let pid = pid.parse().ok().and_then(Pid::from_raw).expect("a process id");
            pidfd_open(pid, PidfdFlags::empty()).expect("a live process")
        };
        pids.split(' ').map(open).collect()
    }

    /// What is left after gc, which must work, once no container is there any more. What was kept, and that it was kept,
    /// is the user's to remove.
    fn swept(&self) -> Result<Picture, String> {
        expect(self.env.ctr(["rm", "-f", "-a", "-t", "0"]).run())?;
        if !self.undo.is_empty() {
            // It may well not be there.
            let _undone = self.env.ctr(self.undo).run();
        }
        expect(self.env.ctr(["system", "gc"]).run())?;
        let mut picture = tree::of_store(&self.env.store());
        // What arrived of a blob stays for the next who asks for it.
        picture.retain(|path, _| !is_partial(path));
        // It is made by the first sweep that finds a name to sweep, and stays.
        let _lock = picture.remove(Path::new("containers/names.lock"));
        for (_, volume) in picture.iter_mut().filter(|(path, _)| path.ends_with("volume.json")) {
            // It says when the volume was made.
            volume.content.fill(b'0');
        }
        Ok(picture)
    }

    /// What must hold, whatever has happened.
    fn check(&self, processes: Vec<OwnedFd>) -> Result<(), String> {
        let images = expect(self.env.ctr(["images", "-q", "--no-trunc"]).run())?;
        for image in images.lines() {
            expect(self.env.ctr(["run", "--rm", "--network", "none", image, "true"]).run())?;
        }
        self.containers()?;
        let swept = self.swept()?;
        if !processes.iter().all(ends) {
            return Err("a process is left of a container that was removed".into());
        }
        let (other, this) = (difference(&self.before, &swept), difference(&self.after, &swept));
        let least = if other.len() <= this.len() { other } else { this };
        if !least.is_empty() {
            return Err(format!("gc leaves a difference: {least:#?}"));
        }
        for volume in expect(self.env.ctr(["volume", "ls", "-q"]).run())?.lines() {
            let _name = expect(self.env.ctr(["volume", "rm", volume]).run())?;
        }
        Ok(())
    }

    /// Each container that is listed can be looked at and removed.
    fn containers(&self) -> Result<(), String> {
        let _table = expect(self.env.ctr(["ps", "-a"]).run())?;
        if let Some(Beside::Spared(name)) = self.beside {
            let status = expect(self.env.ctr(["inspect", "-f", "{{.State.Status}}", name]).run())?;
            if status != "running" {
                return Err(format!("{name}, which nobody wanted to end, is {status}"));
            }
        }
        let listed = ["ps", "-a", "-q", "--no-trunc"];
        for id in expect(self.env.ctr(listed).run())?.lines() {
            let _picture = expect(self.env.ctr(["inspect", id]).run())?;
            let _id = expect(self.env.ctr(["rm", "-f", "-t", "0", id]).run())?;
            if let Some(group) = group(id).filter(|group| group.exists()) {
                return Err(format!("removed, and its control group is left: {}", group.display()));
            }
        }
        let left = expect(self.env.ctr(listed).run())?;
        if left.is_empty() { Ok(()) } else { Err(format!("removed, and still listed: {left}")) }
    }
}

/// Where the control group of a container is that was started from here, if it has one.
fn group(id: &str) -> Option<PathBuf> {
    let own = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let mounts = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(Path::new);
    let root = mounts.into_iter().find(|root| root.join("cgroup.procs").exists())?;
    Some(root.join(own).join(format!("ctr-{id}")))
}

/// Waits for the end of a process that was killed.
fn ends(process: &OwnedFd) -> bool {
    let limit = Timespec { tv_sec: 30, tv_nsec: 0 };
    poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&limit)).is_ok_and(|ended| ended > 0)
}

/// Whether something lies in the place of a blob that is not whole: sessions have other names.
fn is_partial(path: &Path) -> bool {
    path.strip_prefix("partial").is_ok_and(|path| path.to_string_lossy().starts_with("sha256-"))
}

fn expect(output: Output) -> Result<String, String> {
    if output.code() == 0 { Ok(output.success()) } else { Err(output.to_string()) }
}

/// What is in one picture only, or not the same.
fn difference(wanted: &Picture, found: &Picture) -> Vec<String> {
    let names: BTreeSet<_> = wanted.keys().chain(found.keys()).collect();
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
