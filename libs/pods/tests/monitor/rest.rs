//! What a monitor costs while nothing happens.

use std::fs;
use std::time::{Duration, Instant};

use ctr_sys::monitor::wants;
use serde_json::json;

use crate::harness::{Monitored, start};

fn field(monitored: &Monitored, file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{}/{file}", monitored.pid().as_raw_nonzero())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("no {name}"));
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// The kernel counts how often a process went to sleep: a monitor does once for each thing that happened, and once to give
/// its memory back.
#[test]
fn it_wakes_up_only_when_something_happens() {
    let script = "read x; echo $x; i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo done; read x";
    let mut monitored = start(script, &json!({}));
    let client = monitored.client(wants::OUTPUT | wants::INPUT);
    let slept = |monitored: &Monitored| field(monitored, "status", "voluntary_ctxt_switches:");
    client.type_line("busy");
    client.until("busy\n");
    let before = slept(&monitored);
    // The child counts for a while.
    client.until("done\n");
    let after = slept(&monitored);
    assert!(after - before <= 3, "{} times for one line", after - before);
    client.type_line("");
    monitored.wait();
}

/// In the end it waits without a limit: the kernel shows the arguments of the call that a process waits in.
#[test]
fn it_sleeps_until_something_happens() {
    const PPOLL: &str = "271";
    let mut monitored = start("read x", &json!({}));
    let client = monitored.client(wants::INPUT);
    let path = format!("/proc/{}/syscall", monitored.pid().as_raw_nonzero());
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let call = fs::read_to_string(&path).unwrap();
        let words: Vec<&str> = call.split_ascii_whitespace().collect();
        // The third argument is the time limit.
        if words.first() == Some(&PPOLL) && words.get(3) == Some(&"0x0") {
            break;
        }
        assert!(Instant::now() < until, "it does not come to rest: {call}");
        std::thread::yield_now();
    }
    client.type_line("");
    monitored.wait();
}

/// The bound of the project is 100 KB, for a monitor at rest. Which pages of its code count is chance: the kernel maps those around
/// one that is needed, too.
#[test]
fn it_holds_little_memory_and_gives_back_what_a_burst_took() {
    const MOST: u64 = 96;
    let mut monitored = start("read x; seq 100000; echo done; read x", &json!({}));
    let private = |monitored: &Monitored| {
        field(monitored, "smaps_rollup", "Private_Clean:")
            + field(monitored, "smaps_rollup", "Private_Dirty:")
    };
    let client = monitored.client(wants::OUTPUT | wants::INPUT);
    let come_to_rest = || {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            let held = private(&monitored);
            if held <= MOST {
                break held;
            }
            assert!(Instant::now() < until, "{held} KiB are not given back");
            std::thread::yield_now();
        }
    };
    let idle = come_to_rest();
    client.type_line("");
    client.until("done\n");
    let used = private(&monitored);
    println!("private memory: {idle} KiB idle, {used} KiB while there is output");
    come_to_rest();
    client.type_line("");
    monitored.wait();
}

#[test]
fn people_see_whose_monitor_it_is() {
    let mut monitored = start("read x", &json!({}));
    let client = monitored.client(wants::INPUT);
    let line = fs::read(format!("/proc/{}/cmdline", monitored.pid().as_raw_nonzero())).unwrap();
    assert_eq!(line, b"ctr-monitor\x000123456789ab\x00probe\x00");
    let name = fs::read_to_string(format!("/proc/{}/comm", monitored.pid().as_raw_nonzero())).unwrap();
    assert_eq!(name, "ctr-monitor\n");
    client.type_line("");
    monitored.wait();
}
