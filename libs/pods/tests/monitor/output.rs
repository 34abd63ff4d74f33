//! Output reaches the log and clients.

use std::fs;

use ctr_sys::monitor::wants;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Resource, Rlimit, prlimit};
use serde_json::json;

use crate::harness::start;

const BOTH: u8 = wants::OUTPUT | wants::INPUT;

#[test]
fn both_streams_reach_the_log_and_a_client() {
    let mut monitored = start("read x; echo out; echo err >&2; printf more", &json!({}));
    let client = monitored.client(BOTH);
    client.type_line("");
    let told = client.rest();
    assert_eq!(
        (&told.stdout[..], &told.stderr[..], &told.last[..]),
        (&b"out\nmore"[..], &b"err\n"[..], &[b'Z', 0, 0][..])
    );
    monitored.wait();
    assert_eq!(monitored.logged(), (told.stdout, told.stderr));
}

#[test]
fn what_is_written_is_in_the_log_in_its_order_with_times_that_grow() {
    let mut monitored =
        start("i=0; while [ $i -lt 500 ]; do echo $i; i=$((i+1)); done", &json!({"input": false}));
    monitored.wait();
    let all: String = (0..500).map(|number| format!("{number}\n")).collect();
    assert_eq!(monitored.logged().0, all.as_bytes());
    let log = String::from_utf8(monitored.log()).unwrap();
    let times: Vec<&str> = log.lines().map(|line| &line[..35]).collect();
    assert!(times.is_sorted() && times[0].starts_with("20") && times[0].ends_with("+00:00"), "{}", times[0]);
}

/// The numbers from one to a million, several megabytes in millions of lines.
fn numbers() -> Vec<u8> {
    (1..=1_000_000).map(|number| format!("{number}\n")).collect::<String>().into_bytes()
}

#[test]
fn rotation_loses_nothing_and_the_starting_command_gets_all() {
    let request = json!({"client": true, "limit": 1_000_000, "files": 1000, "input": false});
    let mut monitored = start("seq 1000000", &request);
    let told = monitored.own.take().unwrap().rest();
    monitored.wait();
    let numbers = numbers();
    assert!(told.stdout == numbers && told.last == [b'Z', 0, 0]);
    assert!(monitored.logged().0 == numbers);
    assert!(monitored.path().join("ctr.log.30").exists());
    assert!(fs::metadata(monitored.path().join("ctr.log.1")).unwrap().len() <= 1_000_000);
}

#[test]
fn a_log_is_as_long_as_it_may_be() {
    let mut monitored = start("seq 100000", &json!({"limit": 10_000, "files": 3, "input": false}));
    monitored.wait();
    let lengths = ["ctr.log", "ctr.log.1", "ctr.log.2", "ctr.log.3"]
        .map(|name| fs::metadata(monitored.path().join(name)).map(|data| data.len()).ok());
    assert!(lengths[..3].iter().all(|length| length.is_some_and(|length| length <= 10_000)), "{lengths:?}");
    assert_eq!(lengths[3], None);
    assert!(monitored.logged().0.ends_with(b"99999\n100000\n"));
}

#[test]
fn a_binary_line_of_a_megabyte_is_kept_as_it_is() {
    let script = "read file; cat \"$file\"; cat \"$file\" >&2";
    let mut monitored = start(script, &json!({}));
    let bytes: Vec<u8> = (0..1_048_577_u32)
        .map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8)
        .map(|byte| if byte == b'\n' { 0 } else { byte })
        .collect();
    let file = monitored.path().join("bytes");
    fs::write(&file, &bytes).unwrap();
    let client = monitored.client(BOTH);
    client.type_line(file.to_str().unwrap());
    let told = client.rest();
    monitored.wait();
    assert!(told.stdout == bytes && told.stderr == bytes);
    assert!(monitored.logged() == (bytes.clone(), bytes));
}

/// A limit on the size of files stands for a full disk: the kernel refuses to write beyond it, in the middle of a record.
#[test]
fn a_full_disk_stops_nothing_and_what_is_missing_is_said() {
    let script = "read x; seq 1000; echo full; read x; seq 1000; echo room; read x; echo more; read x";
    let mut monitored = start(script, &json!({}));
    let client = monitored.client(BOTH);
    let limit = |bytes| Rlimit { current: bytes, maximum: None };
    prlimit(Some(monitored.pid()), Resource::Fsize, limit(Some(5000))).unwrap();
    client.type_line("");
    let mut all = client.until("full\n");
    client.type_line("");
    all += &client.until("room\n");
    assert_eq!(fs::metadata(monitored.path().join("ctr.log")).unwrap().len(), 5000);
    prlimit(Some(monitored.pid()), Resource::Fsize, limit(None)).unwrap();
    client.type_line("");
    all += &client.until("more\n");
    client.type_line("");
    assert_eq!(client.rest().last, [b'Z', 0, 0]);
    monitored.wait();
    let (stdout, stderr) = monitored.logged();
    let said = String::from_utf8(stderr).unwrap();
    let lost: usize = said
        .strip_prefix("ctr: ")
        .and_then(|rest| {
            rest.strip_suffix(" bytes of output are missing here: the log could not be written\n")
        })
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("{said:?}"));
    let kept = String::from_utf8(stdout).unwrap();
    let before = kept.strip_suffix("more\n").unwrap_or_else(|| panic!("{kept:?}"));
    assert!(all.starts_with(before) && all.ends_with("more\n"));
    assert_eq!(kept.len() + lost, all.len());
}

#[test]
fn nothing_is_logged_where_nothing_shall_be() {
    let mut monitored = start("seq 100000", &json!({"log": false, "client": true, "input": false}));
    let told = monitored.own.take().unwrap().rest();
    assert!(told.stdout.ends_with(b"100000\n"));
    monitored.wait();
    assert!(!monitored.path().join("ctr.log").exists());
}

#[test]
fn a_terminal_is_one_stream() {
    let mut monitored = start("read x; echo out; echo err >&2", &json!({"terminal": true}));
    let client = monitored.client(BOTH);
    client.type_line("typed");
    let told = client.rest();
    assert_eq!(String::from_utf8(told.stdout).unwrap(), "typed\r\nout\r\nerr\r\n");
    monitored.wait();
    assert_eq!(monitored.logged().0, b"typed\r\nout\r\nerr\r\n");
}

/// A FIFO that the script reads stands between its two halves: whoever writes to it knows that the first is over.
#[test]
fn a_terminal_that_is_closed_for_a_while_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let gate = folder.path().join("gate");
    let mode = Mode::RUSR | Mode::WUSR;
    mknodat(CWD, &gate, FileType::Fifo, mode, 0).unwrap();
    let script = "tty=$(tty); exec </dev/null >/dev/null 2>&1; read x < $0; exec >$tty; echo $x";
    let mut monitored = start("", &json!({"terminal": true, "command": ["sh", "-c", script, gate]}));
    let client = monitored.client(BOTH);
    fs::write(&gate, "back\n").unwrap();
    assert_eq!(client.rest().stdout, b"back\r\n");
    monitored.wait();
}
