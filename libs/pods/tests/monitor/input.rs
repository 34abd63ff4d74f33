//! Input reaches the container.

use ctr_sys::monitor::{kind, wants};
use serde_json::json;

use crate::harness::start;

const BOTH: u8 = wants::OUTPUT | wants::INPUT;

#[test]
fn a_megabyte_comes_back_whole_and_the_end_of_input_arrives() {
    let mut monitored = start("cat", &json!({"client": true}));
    let own = monitored.own.take().unwrap();
    let all: Vec<u8> = (0..1_000_000_u32).map(|at| (at % 253) as u8).collect();
    let told = std::thread::scope(|scope| {
        scope.spawn(|| {
            for piece in all.chunks(16_000) {
                own.say(kind::INPUT, piece);
            }
            own.say(kind::END_OF_INPUT, &[]);
        });
        own.rest()
    });
    assert!(told.stdout == all && told.last == [b'Z', 0, 0]);
    monitored.wait();
}

#[test]
fn input_that_nobody_reads_holds_back_only_who_sent_it() {
    let mut monitored = start(
        "trap 'kill $! 2>/dev/null; echo still here; exit 3' USR1; read x; echo ready; while :; do sleep 1000 & wait; kill $!; done",
        &json!({}),
    );
    let talker = monitored.client(BOTH);
    let listener = monitored.client(wants::OUTPUT);
    talker.type_line("");
    listener.until("ready\n");
    let piece = [b'x'; 16_000];
    let mut said = 0_usize;
    // The pipe, the monitor, and the socket are full in the end: some 64, 16 and 200 KiB.
    while talker.try_to_say(kind::INPUT, &piece) || said < 80_000 {
        said += piece.len();
    }
    rustix::process::kill_process(monitored.init, rustix::process::Signal::USR1).unwrap();
    let told = listener.rest();
    assert_eq!((&told.stdout[..], &told.last[..]), (&b"still here\n"[..], &[b'Z', 3, 0][..]));
    monitored.wait();
}

#[test]
fn input_that_is_closed_is_no_failure() {
    let mut monitored = start(
        "trap 'kill $! 2>/dev/null; exit 0' USR1; read x; exec <&-; echo closed; while :; do sleep 1000 & wait; kill $!; done",
        &json!({}),
    );
    let client = monitored.client(BOTH);
    client.type_line("");
    client.until("closed\n");
    for _ in 0..20 {
        client.say(kind::INPUT, &[b'x'; 16_000]);
    }
    client.say(kind::END_OF_INPUT, &[]);
    rustix::process::kill_process(monitored.init, rustix::process::Signal::USR1).unwrap();
    monitored.wait();
    assert!(monitored.logged().0 == b"closed\n");
}

#[test]
fn a_terminal_has_the_size_and_the_end_that_clients_say() {
    let mut monitored = start("read x; stty size; cat; echo done", &json!({"terminal": true}));
    let client = monitored.client(BOTH);
    client.say(kind::RESIZE, &[44, 1, 200, 0]);
    client.type_line("");
    assert_eq!(client.until("200\r\n"), "\r\n300 200\r\n");
    client.say(kind::END_OF_INPUT, &[]);
    assert_eq!(client.until("done\r\n"), "done\r\n");
    monitored.wait();
}

#[test]
fn what_is_no_message_is_passed_over() {
    let mut monitored = start("read x; echo $x", &json!({}));
    let client = monitored.client(BOTH);
    client.say(b'?', b"what");
    client.say(kind::RESIZE, &[1, 2]);
    client.say(kind::INPUT, &[]);
    client.type_line("word");
    assert_eq!(client.rest().stdout, b"word\n");
    monitored.wait();
}
