use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use proptest::prelude::*;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::time::Timespec;

use super::*;

const NOW: Timespec = Timespec { tv_sec: 1_795_260_600, tv_nsec: 123_456_789 };
const STAMPED: &str = "2026-11-21T11:30:00.123456789+00:00";
/// As small as a buffer may be: a record of a whole piece, and no more.
const BUFFER: usize = HEADER + PIECE + 1;

fn log<'a>(folder: &Path, limit: u64, files: u32, buffer: &'a mut [u8]) -> Log<'a> {
    let folder = openat(CWD, folder, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
    Log::new(folder, b"ctr.log", limit, files, buffer)
}

fn text(folder: &Path, name: &str) -> String {
    fs::read_to_string(folder.join(name)).unwrap()
}

/// The output that whole records hold, stream by stream, and what they say was lost.
fn output(records: &[u8]) -> ([Vec<u8>; 2], u64) {
    assert!(records.is_empty() || records.ends_with(b"\n"), "the last record is whole");
    let (mut streams, mut lost) = ([Vec::new(), Vec::new()], 0);
    for record in records.split_inclusive(|byte| *byte == b'\n') {
        let (header, line) = record.split_at(HEADER);
        let header = std::str::from_utf8(header).unwrap();
        let (stamp, rest) = header.split_at(STAMP);
        assert_eq!(stamp, STAMPED, "{header}");
        let (which, tag) = match rest {
            " stdout F " => (0, b'F'),
            " stdout P " => (0, b'P'),
            " stderr F " => (1, b'F'),
            " stderr P " => (1, b'P'),
            _ => panic!("no header: {header:?}"),
        };
        let line = line.strip_suffix(b"\n").unwrap();
        assert!(line.len() <= PIECE, "a record is a piece at most");
        if let Some(said) = line.strip_prefix(b"ctr: ")
            && let Some(number) =
                said.strip_suffix(b" bytes of output are missing here: the log could not be written")
        {
            lost += std::str::from_utf8(number).unwrap().parse::<u64>().unwrap();
            continue;
        }
        streams[which].extend_from_slice(line);
        if tag == b'F' {
            streams[which].push(b'\n');
        }
    }
    (streams, lost)
}

#[test]
fn a_line_is_a_record_and_what_has_no_end_is_a_piece() {
    let folder = tempfile::tempdir().unwrap();
    let mut buffer = [0; BUFFER];
    let mut log = log(folder.path(), 0, 1, &mut buffer);
    log.write(Stream::Stdout, b"one\n\ntwo", NOW);
    log.write(Stream::Stderr, b"three\n", NOW);
    log.write(Stream::Stdout, b" more\n", NOW);
    assert_eq!(
        text(folder.path(), "ctr.log"),
        format!(
            "{STAMPED} stdout F one\n{STAMPED} stdout F \n{STAMPED} stdout P two\n{STAMPED} stderr F three\n{STAMPED} stdout F  more\n"
        )
    );
}

#[test]
fn a_long_line_without_an_end_comes_in_pieces() {
    let folder = tempfile::tempdir().unwrap();
    let mut buffer = [0; BUFFER];
    let mut log = log(folder.path(), 0, 1, &mut buffer);
    let line: Vec<u8> = (0..1_000_000_u32).map(|at| (at % 251) as u8).filter(|byte| *byte != b'\n').collect();
    for chunk in line.chunks(32 << 10) {
        log.write(Stream::Stdout, chunk, NOW);
    }
    let written = fs::read(folder.path().join("ctr.log")).unwrap();
    for record in written.split_inclusive(|byte| *byte == b'\n') {
        assert!(record.len() <= HEADER + PIECE + 1);
        assert_eq!(record[HEADER - 2], b'P');
    }
    assert_eq!(output(&written), ([line, Vec::new()], 0));
}

#[test]
fn a_line_that_just_fits_a_piece_is_whole() {
    let mut line = vec![b'x'; PIECE];
    line.push(b'\n');
    assert_eq!(first_piece(&line), (&line[..PIECE], b'F'));
    line.insert(0, b'x');
    assert_eq!(first_piece(&line), (&line[..PIECE], b'P'));
}

#[test]
fn files_are_rotated_at_their_limit_and_the_last_one_goes() {
    let folder = tempfile::tempdir().unwrap();
    let mut buffer = [0; BUFFER];
    let mut log = log(folder.path(), 500, 3, &mut buffer);
    for number in 0..100 {
        log.write(Stream::Stdout, format!("line {number}\n").as_bytes(), NOW);
    }
    let mut names: Vec<_> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["ctr.log", "ctr.log.1", "ctr.log.2", "ctr.log.gone"]);
    let gone = fs::read(folder.path().join(names.pop().unwrap())).unwrap();
    let all: String = names.iter().rev().map(|name| text(folder.path(), name)).collect();
    for name in &names {
        assert!(text(folder.path(), name).len() <= 500);
    }
    let ([stdout, _], _) = output(all.as_bytes());
    let everything: String = (0..100).map(|number| format!("line {number}\n")).collect();
    let left = everything.len() + 100 * HEADER - all.len();
    assert_eq!(u64::from_le_bytes(gone.try_into().unwrap()), left as u64, "what is gone is counted");
    assert!(everything.ends_with(std::str::from_utf8(&stdout).unwrap()) && stdout.len() > 100);
}

#[test]
fn rotation_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut buffer = [0; BUFFER];
    let mut log = log(folder.path(), 777, 10_000, &mut buffer);
    let all: Vec<u8> = (0..50_000_u32).map(|at| (at * at % 127) as u8).collect();
    for chunk in all.chunks(1234) {
        log.write(Stream::Stderr, chunk, NOW);
    }
    let count = fs::read_dir(folder.path()).unwrap().count();
    let mut written = Vec::new();
    for number in (1..count).rev() {
        written.extend(fs::read(folder.path().join(format!("ctr.log.{number}"))).unwrap());
    }
    written.extend(fs::read(folder.path().join("ctr.log")).unwrap());
    assert!(count > 20);
    assert_eq!(output(&written), ([Vec::new(), all], 0));
}

#[test]
fn a_single_file_begins_anew() {
    let folder = tempfile::tempdir().unwrap();
    let mut buffer = [0; BUFFER];
    let mut log = log(folder.path(), 100, 1, &mut buffer);
    let mut follower = None;
    for number in 0..10 {
        log.write(Stream::Stdout, format!("line number {number}\n").as_bytes(), NOW);
        follower.get_or_insert_with(|| File::open(folder.path().join("ctr.log")).unwrap());
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "the log, and the count of what is gone");
    assert!(text(folder.path(), "ctr.log").ends_with("line number 9\n"));
    let mut followed = String::new();
    follower.unwrap().read_to_string(&mut followed).unwrap();
    assert!(
        followed.starts_with(&format!("{STAMPED} stdout F line number 0\n")),
        "what is open stays readable"
    );
}

#[test]
fn a_record_that_a_killed_monitor_left_half_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("ctr.log"), "2026-11-21T11:30:00.1").unwrap();
    let mut buffer = [0; BUFFER];
    let mut log = log(folder.path(), 10_000, 3, &mut buffer);
    log.write(Stream::Stdout, b"next\n", NOW);
    assert_eq!(text(folder.path(), "ctr.log"), format!("2026-11-21T11:30:00.1\n{STAMPED} stdout F next\n"));
}

#[test]
fn a_full_disk_costs_only_what_it_has_no_room_for() {
    let mut buffer = [0; BUFFER];
    let folder = openat(CWD, "/dev", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
    let mut log = Log::new(folder, b"full", 100, 3, &mut buffer);
    for _ in 0..1000 {
        log.write(Stream::Stdout, b"0123456\n89", NOW);
    }
    log.finish(NOW);
    assert_eq!(log.lost, 10_000);
    assert!(Path::new("/dev/full").exists(), "what is no file of ours is not renamed");
}

#[test]
fn a_folder_that_is_gone_costs_only_what_was_written_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut buffer = [0; BUFFER];
    let mut log = log(folder.path(), 200, 3, &mut buffer);
    drop(folder);
    for _ in 0..10 {
        log.write(Stream::Stdout, b"0123456789012345678901234567890\n", NOW);
    }
    assert!(log.lost > 0);
}

proptest! {
    #[test]
    fn a_newline_is_found_where_it_is(bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>(), 8_u8..13], 0..40)) {
        prop_assert_eq!(line_end(&bytes), bytes.iter().position(|byte| *byte == b'\n'));
        let quiet: Vec<u8> = bytes.iter().map(|byte| if *byte == b'\n' { 11 } else { *byte }).collect();
        prop_assert_eq!(line_end(&quiet), None);
    }

    /// A disk that is full now and then: a FIFO that is read now and then. Records stay whole, and nothing is missing that
    /// is not counted.
    #[test]
    fn what_is_lost_is_counted(
        writes in proptest::collection::vec((any::<bool>(), 0_usize..9000, any::<u8>(), 0_usize..4), 1..40),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ctr.log");
        rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        let fifo = openat(CWD, &path, flags, Mode::empty()).unwrap();
        rustix::pipe::fcntl_setpipe_size(&fifo, 4096).unwrap();
        let (mut reader, mut written) = (File::from(fifo), Vec::new());
        let mut buffer = vec![0; BUFFER];
        let mut log = log(folder.path(), 0, 1, &mut buffer);
        let (mut all, mut at) = (0, 0_usize);
        for (is_error, length, newline, reads) in writes {
            let bytes: Vec<u8> = (0..length).map(|_| {
                at += 1;
                if at.is_multiple_of(usize::from(newline) + 2) { b'\n' } else { b'a' + u8::try_from(at % 26).unwrap() }
            }).collect();
            all += bytes.len() as u64;
            log.write(if is_error { Stream::Stderr } else { Stream::Stdout }, &bytes, NOW);
            for _ in 0..reads {
                let mut some = [0; 1500];
                if let Ok(count) = reader.read(&mut some) {
                    written.extend_from_slice(&some[..count]);
                }
            }
        }
        // Room again, for as much as is waiting.
        for _ in 0..10 {
            let mut some = vec![0; 8192];
            while let Ok(count) = reader.read(&mut some) {
                if count == 0 { break }
                written.extend_from_slice(&some[..count]);
            }
            log.finish(NOW);
        }
        prop_assert_eq!((log.lost, log.filled), (0, 0));
        let ([stdout, stderr], lost) = output(&written);
        prop_assert_eq!((stdout.len() + stderr.len()) as u64 + lost, all);
    }
}
