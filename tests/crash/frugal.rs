//! What a start does not do: wait for a disk, start a thread, build what it has no use for.

use std::collections::BTreeMap;

/// The most calls that the whole start of a container and its end may make, helpers and command included.
const ALL: usize = 1600;
/// The most that `ctr` itself may make of them. A table of the flags that were not given, a second look at each directory,
/// a file read twice show here first. The two lines of the log of events are 14, and what stands in the place of `/etc/hosts` and of
/// `/proc/sys` is looked at by 3.
const OWN: usize = 453;
/// The most times that `ctr` may ask for memory.
const MEMORY: usize = 16;

#[test]
fn a_start_makes_few_calls_flushes_nothing_and_has_one_thread() {
    ctr_tests::needs!(Strace);
    let env = crate::broken::world();
    env.load(&crate::broken::image("localhost/first:1", "first"));
    let log = env.root().join("strace.log");
    let options = ["-qq", "-e", "signal=none", "-o", log.to_str().expect("UTF-8")];
    env.watched(options, ["run", "--rm", "--network", "none", "localhost/first:1", "true"]).run().success();
    let text = std::fs::read_to_string(&log).expect("strace's log");
    let calls: Vec<(&str, &str)> = text.lines().filter_map(call).collect();

    for waits in ["fsync(", "fdatasync(", "syncfs(", "sync(", "sync_file_range(", "msync(", "nanosleep("] {
        assert_eq!(calls.iter().filter(|(_, call)| call.starts_with(waits)).count(), 0, "{waits}");
    }
    let threads = calls.iter().filter(|(_, call)| call.contains("CLONE_THREAD")).count();
    assert_eq!(threads, 0, "threads");

    let first = calls.first().expect("calls").0;
    let mut own = BTreeMap::<&str, usize>::new();
    for (_, call) in calls.iter().filter(|(pid, _)| *pid == first) {
        *own.entry(call.split_once('(').map_or(*call, |(name, _)| name)).or_default() += 1;
    }
    let count = |name: &str| own.get(name).copied().unwrap_or_default();
    assert!(count("brk") + count("mmap") <= MEMORY, "{own:?}");
    assert!(own.values().sum::<usize>() <= OWN, "{}: {own:?}", own.values().sum::<usize>());
    assert!(calls.len() <= ALL, "{}", calls.len());
}

/// A line of strace's log: the process, and the call with its arguments.
fn call(line: &str) -> Option<(&str, &str)> {
    let (pid, rest) = line.split_once(' ')?;
    let rest = rest.trim_start();
    rest.starts_with(|first: char| first.is_ascii_alphabetic()).then_some((pid, rest))
}
