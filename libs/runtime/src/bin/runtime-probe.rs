//! Runs one container as told by a file of JSON, the way `ctr run` does: what the tests of this crate start, since a
//! test program has threads and only a single-threaded process can move and clone.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use ctr_runtime::launch::{self, LaunchError, Running, Surroundings};
use ctr_runtime::plan::{self, Facts};
use ctr_runtime::seccomp::{self, CompileError, Profile, Program};
use ctr_runtime::spec::{NamespaceKind, Spec};
use ctr_sys::clone::SingleThreaded;
use ctr_userns::level_a::{self, LevelA, Wanted};
use ctr_userns::map::IdMaps;
use ctr_userns::ranges::{self, Files};
use rustix::fs::{CWD, Mode, OFlags, openat};

/// What to run.
#[derive(serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Request {
    /// Where members of A are listed.
    registry: PathBuf,
    /// The root's directory.
    root: PathBuf,
    spec: Spec,
    /// The container's maps; all of A's if absent.
    maps: Option<IdMaps>,
    keep_groups: bool,
    init: bool,
    creates_cwd: bool,
    preserved: Vec<u32>,
    seccomp: Option<Profile>,
    /// Namespaces that are joined, by path.
    joined: BTreeMap<NamespaceKind, PathBuf>,
    /// Says on standard error what each part took.
    times: bool,
    /// Descriptors without close-on-exec that an attacker would love: directories of the host's.
    leaked: Vec<PathBuf>,
    /// A line is written to this file when the container runs.
    ready: Option<PathBuf>,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            registry: PathBuf::new(),
            root: PathBuf::new(),
            spec: Spec {
                oci_version: String::new(),
                process: ctr_runtime::spec::Process::default(),
                root: ctr_runtime::spec::Root::default(),
                hostname: String::new(),
                domainname: String::new(),
                mounts: Vec::new(),
                annotations: BTreeMap::new(),
                linux: ctr_runtime::spec::Linux::default(),
            },
            maps: None,
            keep_groups: false,
            init: false,
            creates_cwd: false,
            preserved: Vec::new(),
            seccomp: None,
            joined: BTreeMap::new(),
            times: false,
            leaked: Vec::new(),
            ready: None,
        }
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let code = error.downcast_ref::<LaunchError>().map_or(125, LaunchError::exit_code);
            let mut text = error.to_string();
            let mut source = error.source();
            while let Some(error) = source {
                text.push_str(": ");
                text.push_str(&error.to_string());
                source = error.source();
            }
            complain(&format!("error: {text}"));
            ExitCode::from(code)
        }
    }
}

fn complain(line: &str) {
    writeln!(std::io::stderr(), "{line}").unwrap_or_default();
}

fn run() -> Result<u8, Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("give the request's file")?;
    let mut text = String::new();
    File::open(path)?.read_to_string(&mut text)?;
    let request: Request = serde_json::from_str(&text)?;
    let leaked: Vec<OwnedFd> =
        request.leaked.iter().map(|path| open(path, OFlags::empty())).collect::<Result<_, _>>()?;
    let mut clock = Clock { at: Instant::now(), tells: request.times };
    let a = enter(&request)?;
    clock.lap("A");
    let running = start(&request, &a, &mut clock)?;
    drop(leaked);
    for notice in &running.notices {
        complain(&format!("notice: {notice}"));
    }
    if let Some(ready) = &request.ready {
        writeln!(File::create(ready)?, "{}", running.pid.as_raw_nonzero())?;
    }
    if let Some(terminal) = &running.terminal {
        copy_terminal(terminal)?;
    }
    let exit = running.wait()?;
    clock.lap("command");
    Ok(exit.code())
}

struct Clock {
    at: Instant,
    tells: bool,
}

impl Clock {
    fn lap(&mut self, what: &str) {
        if self.tells {
            complain(&format!("time: {what} {}", self.at.elapsed().as_micros()));
        }
        self.at = Instant::now();
    }
}

fn enter(request: &Request) -> Result<LevelA, Box<dyn Error>> {
    let source = ranges::discover(&ranges::Facts::of_this_process()?, &Files::default())?.source;
    let wanted = Wanted::new(&request.registry, &source).with_own_mounts();
    Ok(level_a::enter(&wanted, &mut |_waiting| {})?)
}

fn open(path: &std::path::Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    openat(CWD, path, flags, Mode::empty())
}

/// The program of a profile, for the capabilities that the specification bounds.
fn compiled(profile: &Profile, spec: &Spec) -> Result<Program, CompileError> {
    let caps = spec.process.capabilities.map(|sets| sets.bounding).unwrap_or_default();
    seccomp::compile(profile, &seccomp::Facts { caps, kernel: seccomp::Kernel { version: 6, revision: 1 } })
}

fn start(request: &Request, a: &LevelA, clock: &mut Clock) -> Result<Running, Box<dyn Error>> {
    let spec = &request.spec;
    let maps = request.maps.clone().unwrap_or_else(|| a.maps.identity());
    let facts = Facts {
        keep_groups: request.keep_groups,
        init: request.init,
        creates_cwd: request.creates_cwd,
        preserved: request.preserved.clone(),
        seccomp: request.seccomp.as_ref().map(|profile| compiled(profile, spec)).transpose()?,
        ..Facts::new(maps, a.maps.clone())
    };
    let stage = plan::stage(spec, &facts)?;
    clock.lap("plan");
    let joined: Vec<(NamespaceKind, OwnedFd)> = request
        .joined
        .iter()
        .map(|(kind, path)| Ok((*kind, open(path, OFlags::CLOEXEC)?)))
        .collect::<rustix::io::Result<_>>()?;
    let joined: Vec<(NamespaceKind, BorrowedFd<'_>)> =
        joined.iter().map(|(kind, fd)| (*kind, fd.as_fd())).collect();
    let surroundings = Surroundings { joined: &joined, cgroup: None };
    let begun = launch::begin(&SingleThreaded::here()?, &stage, surroundings)?;
    clock.lap("begin");
    let place = OFlags::PATH | OFlags::CLOEXEC;
    let root = launch::tree(open(&request.root, place | OFlags::DIRECTORY)?.as_fd(), true)?;
    let main = plan::main(spec, &facts, &stage)?;
    let mut mounts = Vec::new();
    for at in main.given() {
        let mount = &spec.mounts[*at];
        let recursive = mount.options.iter().any(|option| option == "rbind");
        mounts.push(launch::tree(open(mount.source.as_ref(), place)?.as_fd(), recursive)?);
    }
    let mounts: Vec<BorrowedFd<'_>> = mounts.iter().map(AsFd::as_fd).collect();
    clock.lap("root");
    let running = begun.finish(&main, root.as_fd(), &mounts)?;
    clock.lap("finish");
    Ok(running)
}

/// Shows what the container writes to its terminal, and types what comes in, first.
fn copy_terminal(terminal: &OwnedFd) -> Result<(), Box<dyn Error>> {
    let mut typed = Vec::new();
    std::io::stdin().read_to_end(&mut typed)?;
    let mut terminal = File::from(terminal.try_clone()?);
    terminal.write_all(&typed)?;
    let mut buffer = [0; 4096];
    loop {
        match terminal.read(&mut buffer) {
            // EIO: the last slave is closed.
            Ok(0) | Err(_) => return Ok(()),
            Ok(length) => std::io::stdout().write_all(buffer.get(..length).unwrap_or_default())?,
        }
    }
}
