//! How a container's end is recorded, and what comes after.

use std::fs;

use ctr_sys::monitor::wants;
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use serde_json::json;

use crate::harness::start;

#[test]
fn an_exit_code_is_recorded() {
    let before = std::time::SystemTime::now();
    let mut monitored = start("exit 7", &json!({"input": false}));
    let exit = monitored.exit();
    assert_eq!((&exit["code"], &exit["signal"]), (&json!(7), &json!(0)));
    assert_eq!((&exit["oom"], &exit["timed_out"]), (&json!(false), &json!(false)));
    let finished =
        std::time::UNIX_EPOCH + std::time::Duration::from_nanos(exit["finished"].as_u64().unwrap());
    assert!(before <= finished && finished <= std::time::SystemTime::now());
}

#[test]
fn a_signal_is_recorded() {
    let mut monitored = start("kill -9 $$", &json!({"input": false, "client": true}));
    assert_eq!(monitored.own.take().unwrap().rest().last, [b'Z', 137, 9]);
    let exit = monitored.exit();
    assert_eq!((&exit["code"], &exit["signal"]), (&json!(137), &json!(9)));
}

#[test]
fn a_container_whose_time_is_up_is_killed() {
    let mut monitored = start(
        "sleep 1000",
        &json!({"timeout": 1, "client": true, "input": false, "command": ["sleep", "1000"]}),
    );
    assert_eq!(monitored.own.take().unwrap().rest().last, [b'Z', 255, 9]);
    let exit = monitored.exit();
    assert_eq!((&exit["code"], &exit["signal"], &exit["timed_out"]), (&json!(255), &json!(9), &json!(true)));
}

#[test]
fn a_kill_for_want_of_memory_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let events = folder.path().join("memory.events");
    fs::write(&events, "low 0\nhigh 0\nmax 3\noom 1\noom_kill 1\n").unwrap();
    let mut monitored = start("read x", &json!({"memory_events": events}));
    kill_process(monitored.init, Signal::KILL).unwrap();
    assert_eq!(monitored.exit()["oom"], json!(true));
}

#[test]
fn the_next_program_has_the_lock_the_environment_and_nothing_else() {
    let mut monitored = start("exit 3", &json!({"input": false, "terminal": true}));
    let said = monitored.wait();
    let (said, exit) = said.split_once(", exit: ").unwrap();
    // Standard input, output and error, the lock twice (the test's own look at it) less the one given up, and the
    // directory that is being read.
    assert_eq!(
        said,
        "free before: false, inherited: true, twice: false, free after: true, fds: 5, env: kept"
    );
    assert!(exit.starts_with(r#"{"code":3,"signal":0,"#), "the end is on disk before: {exit}");
    let mut names: Vec<_> = fs::read_dir(monitored.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["ctr.log", "ended", "exit.json", "lock", "pid"], "no socket and no draft is left");
}

#[test]
fn who_holds_the_pipes_open_is_not_waited_for() {
    let mut monitored = start("sleep 1000 & echo $!", &json!({"input": false}));
    assert_eq!(monitored.exit()["code"], json!(0));
    let left: i32 = String::from_utf8(monitored.logged().0).unwrap().trim().parse().unwrap();
    kill_process(Pid::from_raw(left).unwrap(), Signal::KILL).unwrap();
}

#[test]
fn what_was_written_last_is_not_lost() {
    // As much as a pipe holds, at once, and gone.
    let script = "head -c 65000 /dev/zero; head -c 65000 /dev/zero >&2";
    let mut monitored = start(script, &json!({"client": true, "input": false}));
    let own = monitored.own.take().unwrap();
    monitored.wait();
    let told = own.rest();
    assert_eq!((told.stdout.len(), told.stderr.len(), told.last), (65_000, 65_000, vec![b'Z', 0, 0]));
    assert_eq!(monitored.logged(), (told.stdout, told.stderr));
}

#[test]
fn the_end_is_recorded_on_a_full_disk() {
    let mut monitored = start("read x; seq 1000; exit 9", &json!({}));
    let client = monitored.client(wants::OUTPUT | wants::INPUT);
    prlimit(Some(monitored.pid()), Resource::Fsize, Rlimit { current: Some(128), maximum: None }).unwrap();
    client.type_line("");
    assert_eq!(client.rest().last, [b'Z', 9, 0]);
    // The next program says more than there is room for.
    assert_eq!(monitored.code(), Some(125));
    let exit = fs::read_to_string(monitored.path().join("exit.json")).unwrap();
    assert!(exit.starts_with(r#"{"code":9,"signal":0,"oom":false,"timed_out":false,"finished":"#), "{exit}");
    assert_eq!(fs::metadata(monitored.path().join("ctr.log")).unwrap().len(), 128);
}

#[test]
fn a_folder_that_was_removed_does_not_keep_the_monitor() {
    let mut monitored = start("read x; seq 10000", &json!({"client": true, "limit": 1000}));
    let own = monitored.own.take().unwrap();
    fs::remove_dir_all(monitored.path()).unwrap();
    own.type_line("");
    assert_eq!(own.rest().last, [b'Z', 0, 0]);
    // The next program finds no folder, and says so by its exit code: the monitor has become it.
    assert_eq!(monitored.code(), Some(125));
}

#[test]
fn signals_of_a_session_that_ends_do_not_end_it() {
    let mut monitored = start("read x; echo $x", &json!({}));
    for signal in [
        Signal::HUP,
        Signal::INT,
        Signal::QUIT,
        Signal::TERM,
        Signal::TSTP,
        Signal::TTIN,
        Signal::TTOU,
        Signal::PIPE,
    ] {
        monitored.signal(signal);
    }
    let client = monitored.client(wants::OUTPUT | wants::INPUT);
    client.type_line("alive");
    assert_eq!(client.rest().stdout, b"alive\n");
    monitored.wait();
}
