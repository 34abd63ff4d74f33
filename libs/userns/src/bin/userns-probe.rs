//! Enters A as told, prints what it found as one line of JSON, and stays there until its standard input ends.
#![forbid(unsafe_code)]

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use ctr_userns::level_a::{self, EnterError, Helpers, LevelA, Wanted};
use ctr_userns::map::{Extent, IdMap, IdMaps};
use ctr_userns::ranges::{self, Facts, Files, Source};
use serde_json::{Value, json};

#[derive(Default)]
struct Options {
    registry: PathBuf,
    files: Files,
    helpers: Option<&'static str>,
    patience: Option<Duration>,
    /// The map to write, instead of what the files say.
    direct: Option<IdMap>,
    own_mounts: bool,
    current: bool,
    run: Vec<String>,
}

fn main() -> ExitCode {
    let options = options();
    let start = std::time::Instant::now();
    let (mut result, entered) = match enter(&options) {
        Ok(a) => (told(&a), Some(a)),
        Err(err) => (refused(err.as_ref()), None),
    };
    result["microseconds"] = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX).into();
    let mut out = io::stdout();
    writeln!(out, "{result}").and_then(|()| out.flush()).unwrap_or_default();
    let Some(a) = entered else { return ExitCode::FAILURE };
    if let Some((program, arguments)) = options.run.split_first() {
        let status = std::process::Command::new(program).args(arguments).status();
        return if status.is_ok_and(|status| status.success()) {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        };
    }
    let mut rest = Vec::new();
    io::stdin().read_to_end(&mut rest).map(drop).unwrap_or_default();
    drop(a);
    ExitCode::SUCCESS
}

fn enter(options: &Options) -> Result<LevelA, Box<dyn std::error::Error>> {
    if options.current {
        return Ok(level_a::current(&options.registry, false)?.ok_or_else(|| io::Error::other("not in A"))?);
    }
    let source = match options.direct.clone() {
        Some(map) => Source::Direct(IdMaps { uid: map.clone(), gid: map }),
        None => ranges::discover(&Facts::of_this_process()?, &options.files)?.source,
    };
    let helpers = options.helpers.map(|directory| Helpers::in_directories(Box::leak(Box::new([directory]))));
    let mut wanted = Wanted::new(&options.registry, &source);
    wanted.own_mounts = options.own_mounts;
    if let Some(helpers) = &helpers {
        wanted.helpers = helpers;
    }
    if let Some(patience) = options.patience {
        wanted.patience = patience;
    }
    Ok(level_a::enter(&wanted, &mut |_waiting| {})?)
}

fn told(a: &LevelA) -> Value {
    let groups = rustix::process::getgroups().map(|groups| groups.len()).unwrap_or_default();
    let kernel =
        std::fs::read_to_string("/proc/self/uid_map").ok().and_then(|text| IdMap::from_proc(&text).ok());
    json!({
        "fresh": a.fresh,
        "borders": kernel.is_some_and(|kernel| kernel.extents() == a.maps.uid.extents()),
        "source_maps": a.maps,
        "key": a.key,
        "inner": a.inner,
        "outer": a.outer,
        "uid": rustix::process::getuid().as_raw(),
        "gid": rustix::process::getgid().as_raw(),
        "groups": groups,
        "holds_itself": a.holds(std::os::fd::AsFd::as_fd(&a.namespace)).unwrap_or(false),
        "mounts": std::fs::read_link("/proc/self/ns/mnt").unwrap_or_default(),
        "dumpable": rustix::process::dumpable_behavior().is_ok_and(|dumpable| dumpable == rustix::process::DumpableBehavior::Dumpable),
    })
}

/// The error's own words and those of its causes, and its kind.
fn refused(err: &(dyn std::error::Error + 'static)) -> Value {
    let causes = std::iter::successors(Some(err), |err| err.source()).map(ToString::to_string);
    let kind = match err.downcast_ref::<EnterError>() {
        Some(EnterError::Helper(err)) => format!("{:?}", err.problem),
        Some(EnterError::Refused { refusal, .. }) => format!("{refusal:?}"),
        _ => String::new(),
    };
    json!({ "error": causes.collect::<Vec<_>>().join(": "), "kind": kind })
}

fn options() -> Options {
    let mut options = Options::default();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().unwrap_or_default();
        match argument.as_str() {
            "--registry" => options.registry = value().into(),
            "--subids" => {
                options.files.subuid = value().into();
                options.files.subgid = options.files.subuid.clone();
            }
            "--helpers" => options.helpers = Some(value().leak()),
            "--patience" => options.patience = value().parse().ok().map(Duration::from_millis),
            "--direct" => options.direct = value().parse().ok().and_then(whole),
            "--mounts" => options.own_mounts = true,
            "--current" => options.current = true,
            _ => {
                options.run = arguments.collect();
                break;
            }
        }
    }
    options
}

/// `len` ids, each its own.
fn whole(len: u32) -> Option<IdMap> {
    IdMap::new(vec![Extent::new(0, 0, len)]).ok()
}
