//! What a `ctr run` that waits for its container keeps to itself.

use crate::run::Sleeper;
use crate::world::World;

/// Private memory of a waiting foreground `ctr run`.
#[expect(clippy::print_stdout, reason = "what it measured is what it prints")]
pub(crate) fn waiting(world: &World) {
    let sleeper = Sleeper::start(world);
    // What it keeps for the long time, not for the first moment.
    std::thread::sleep(std::time::Duration::from_secs(1));
    println!("a waiting `ctr run` has {} KiB of private memory", private(sleeper.pid()));
    sleeper.end();
}

/// What a process keeps to itself, in KiB.
pub(crate) fn private(pid: u32) -> u64 {
    sum_of("Private_", pid)
}

/// What of that is in no file, so that only its end gives it back.
pub(crate) fn dirty(pid: u32) -> u64 {
    sum_of("Private_Dirty", pid)
}

fn sum_of(lines: &str, pid: u32) -> u64 {
    let map = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("a live process");
    map.lines()
        .filter(|line| line.starts_with(lines))
        .filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
        .sum()
}
