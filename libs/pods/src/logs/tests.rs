use std::io::Write as _;
use std::path::{Path, PathBuf};

use ctr_core::file::FileError;
use ctr_core::time::Timestamp;

use super::entry::Moment;
use super::*;

const TIME: &str = "2026-11-21T11:30:00.123456789+00:00";

struct World {
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("ctr.log")
    }

    fn file(&self, number: usize) -> PathBuf {
        self.folder.path().join(if number == 0 { "ctr.log".into() } else { format!("ctr.log.{number}") })
    }

    fn append(&self, bytes: impl AsRef<[u8]>) {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(self.log()).unwrap();
        file.write_all(bytes.as_ref()).unwrap();
    }

    /// Appends full lines.
    fn lines(&self, lines: &[&str]) {
        self.append(lines.iter().map(|line| format!("{TIME} stdout F {line}\n")).collect::<String>());
    }

    /// What the monitor does when a file is full: three files at most, and the bytes of those that went are counted.
    fn rotate(&self) {
        let gone = self.folder.path().join("ctr.log.gone");
        if let Ok(meta) = std::fs::metadata(self.file(2)) {
            let before =
                std::fs::read(&gone).map_or(0, |bytes| u64::from_le_bytes(bytes.try_into().unwrap()));
            std::fs::write(&gone, (before + meta.len()).to_le_bytes()).unwrap();
        }
        drop(std::fs::rename(self.file(1), self.file(2)));
        std::fs::rename(self.file(0), self.file(1)).unwrap();
        std::fs::write(self.log(), "").unwrap();
    }

    fn reader(&self) -> Reader {
        Reader::open(&self.log()).unwrap()
    }
}

/// All that is there, lines joined by `|`, pieces by `+`, standard error in brackets.
fn all(reader: &mut Reader) -> String {
    let mut text = String::new();
    let mut each = |entry: Entry<'_>| {
        let bytes = String::from_utf8_lossy(entry.bytes);
        match entry.stream {
            Stream::Stdout => text.push_str(&bytes),
            Stream::Stderr => text.extend(["[", &bytes, "]"]),
        }
        text.push(if entry.partial { '+' } else { '|' });
        Ok::<(), FileError>(())
    };
    while reader.read(&mut each).unwrap() == Progress::More {}
    text
}

fn last(world: &World, lines: u64) -> String {
    let mut reader = world.reader();
    reader.skip_to_last(lines).unwrap();
    all(&mut reader)
}

#[test]
fn records_are_read_as_they_were_written() {
    let world = World::new();
    assert_eq!(all(&mut world.reader()), "", "a log that is not there is empty");
    world.append(format!(
        "{TIME} stdout F one\n{TIME} stderr F two  words\n{TIME} stdout P pie\n{TIME} stdout F ce\n"
    ));
    world.append(format!("{TIME} stdout F \n{TIME} stdout F \r\u{1b}\0x\n"));
    assert_eq!(all(&mut world.reader()), "one|[two  words]|pie+ce||\r\u{1b}\0x|");
    // As other programs write times.
    world.append("2022-04-06T11:26:42Z stdout F z\n2022-04-06T11:26:42.5-01:30 stdout F west\n");
    assert!(all(&mut world.reader()).ends_with("x|z|west|"));
}

#[test]
fn a_damaged_record_harms_only_itself() {
    let world = World::new();
    let long = "x".repeat(300 << 10);
    for damaged in [
        "",
        "nonsense",
        "2026-11-21T11:30:00.123456789+00:00 stdout F",
        "2026-11-21T11:30:00.123456789+00:00 moon F x",
        "2026-11-21T11:30:00.123456789+00:00 stdout X x",
        "2026-11-21T11:30:61.123456789+00:00x stdout F x",
        "2026-11-21 stdout F x",
        "\0\0\0\0\0\0",
        long.as_str(),
        &format!("{TIME} stdout F {long}"),
    ] {
        world.append(format!("{damaged}\n"));
        world.lines(&["good"]);
    }
    let mut reader = world.reader();
    assert_eq!(all(&mut reader), "good|".repeat(10));
    assert_eq!(reader.damaged(), 9, "an empty line is no record, and no damage");
    assert_eq!(last(&world, 3), "good|good|good|");
}

#[test]
fn a_record_at_the_end_of_a_block_is_whole() {
    let world = World::new();
    let lines: Vec<String> = (0..200).map(|number| format!("{number}-{}", "y".repeat(16 << 10))).collect();
    world.lines(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(all(&mut world.reader()) == format!("{}|", lines.join("|")));
}

#[test]
fn files_are_read_from_the_oldest_to_the_newest() {
    let world = World::new();
    for line in ["one", "two", "three"] {
        world.lines(&[line]);
        world.rotate();
    }
    world.lines(&["four"]);
    // Three files: the first is gone.
    assert_eq!(all(&mut world.reader()), "two|three|four|");
    for (lines, expected) in
        [(0, ""), (1, "four|"), (2, "three|four|"), (3, "two|three|four|"), (9, "two|three|four|")]
    {
        assert_eq!(last(&world, lines), expected, "{lines}");
    }
    // As it is for a moment in each rotation.
    std::fs::remove_file(world.log()).unwrap();
    assert_eq!(all(&mut world.reader()), "two|three|");
}

#[test]
fn the_last_lines_have_all_their_pieces() {
    let world = World::new();
    world.append(format!(
        "{TIME} stdout F podman1\r\n{TIME} stdout P podman2\n{TIME} stdout F \r\n{TIME} stdout F podman3\r\n"
    ));
    assert_eq!(last(&world, 1), "podman3\r|");
    assert_eq!(last(&world, 2), "podman2+\r|podman3\r|");
    for lines in 3..6 {
        assert_eq!(last(&world, lines), "podman1\r|podman2+\r|podman3\r|");
    }
    world.append(format!("{TIME} stdout P a\n{TIME} stdout P b\n"));
    assert_eq!(last(&world, 1), "a+b+", "a line that is not over is one");
    assert_eq!(last(&world, 2), "podman3\r|a+b+");
}

#[test]
fn the_last_lines_are_found_across_blocks() {
    let world = World::new();
    let lines: Vec<String> =
        (0..5000).map(|number| format!("{number} {}", "z".repeat(number % 300))).collect();
    world.lines(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    for count in [1, 2, 100, 1000, 4999, 5000] {
        let expected: String = lines[5000 - count..].iter().map(|line| format!("{line}|")).collect();
        assert!(last(&world, count as u64) == expected, "{count}");
    }
}

#[test]
fn a_follower_sees_what_comes_also_after_rotations() {
    let world = World::new();
    let mut reader = world.reader();
    assert_eq!(all(&mut reader), "");
    world.lines(&["one"]);
    assert_eq!(all(&mut reader), "one|");
    world.append(format!("{TIME} stdout F tw"));
    assert_eq!(all(&mut reader), "");
    world.append("o\n");
    world.rotate();
    world.lines(&["three"]);
    world.rotate();
    world.lines(&["four"]);
    assert_eq!(all(&mut reader), "two|three|four|");
    assert_eq!(reader.missed(), None);
}

#[test]
fn files_that_a_follower_has_open_are_not_lost() {
    let world = World::new();
    let mut reader = world.reader();
    for line in ["one", "two", "three", "four", "five", "six"] {
        world.lines(&[line]);
        world.rotate();
        reader.discover().unwrap();
    }
    std::fs::remove_dir_all(world.folder.path()).unwrap();
    assert_eq!(all(&mut reader), "one|two|three|four|five|six|");
    assert_eq!(reader.missed(), None);
}

#[test]
fn who_is_overtaken_knows_by_how_much() {
    let world = World::new();
    world.lines(&["one"]);
    let mut reader = world.reader();
    for line in ["two", "three!", "four", "five", "six"] {
        world.rotate();
        world.lines(&[line]);
    }
    // `two` and `three!` went before they were opened.
    assert_eq!(all(&mut reader), "one|four|five|six|");
    let bytes = 2 * (TIME.len() + " stdout F \n".len()) + "twothree!".len();
    assert_eq!(reader.missed(), Some(Missed { bytes: bytes as u64 }));
    assert_eq!(reader.missed(), None, "it is told once");
    std::fs::remove_file(world.folder.path().join("ctr.log.gone")).unwrap();
    for line in ["seven", "eight", "nine", "ten"] {
        world.rotate();
        std::fs::remove_file(world.folder.path().join("ctr.log.gone")).ok();
        world.lines(&[line]);
    }
    assert_eq!(all(&mut reader), "eight|nine|ten|");
    assert_eq!(reader.missed(), Some(Missed { bytes: 0 }), "nobody counted");
}

#[test]
fn a_last_line_without_an_end_is_handed_out_in_the_end() {
    let world = World::new();
    world.append(format!("{TIME} stdout F one"));
    let mut reader = world.reader();
    assert_eq!(all(&mut reader), "");
    let mut seen = Vec::new();
    reader
        .finish(&mut |entry: Entry<'_>| {
            seen.extend_from_slice(entry.bytes);
            Ok::<(), FileError>(())
        })
        .unwrap();
    assert_eq!(seen, b"one");
}

#[test]
fn times_compare_whatever_their_zone() {
    let line = |time: &str| format!("{time} stdout F x");
    let ours = line("2026-11-21T11:30:00.000000001+00:00");
    let west = line("2026-11-21T10:30:00.000000001-01:00");
    for text in [ours, west] {
        let entry = Entry::parse(text.as_bytes()).unwrap();
        let at = |text: &str| Moment::from(Timestamp::parse(text).unwrap());
        assert!(entry.is_after(&at("2026-11-21T11:30:00Z")));
        assert!(!entry.is_after(&at("2026-11-21T11:30:00.000000001Z")), "not after itself");
        assert!(!entry.is_before(&at("2026-11-21T11:30:00.000000001Z")), "not before itself");
        assert!(entry.is_before(&at("2026-11-21T11:30:00.000000002Z")));
        assert!(
            entry.is_before(&Moment::from(Timestamp::from_seconds(1 << 50))),
            "a year of five digits and more"
        );
    }
}

#[test]
fn a_log_that_is_no_file_is_refused() {
    let world = World::new();
    std::fs::create_dir(world.log()).unwrap();
    assert!(Reader::open(&world.log()).is_err());
    assert!(Reader::open(Path::new("/dev/null")).is_err());
}

#[test]
fn news_and_ends_wake_a_waiter() {
    let world = World::new();
    let container = World::new();
    let lock = container.folder.path().join("lock");
    let held = ctr_core::lock::Lock::try_acquire(&lock, ctr_core::lock::Mode::Exclusive).unwrap().unwrap();
    let mut ended = Ended::new(container.folder.path().to_owned());
    let watch = Watch::new().unwrap();
    watch.add(&world.log(), &ended).unwrap();
    let (reading, writing) = rustix::pipe::pipe().unwrap();
    let wait = |ended: &Ended, limit| {
        let waited = watch.wait(std::iter::once(ended), std::os::fd::AsFd::as_fd(&writing), limit).unwrap();
        (waited, watch.begin().unwrap())
    };
    assert!(!ended.now().unwrap());
    assert_eq!(wait(&ended, Some(0)), (Waited::TimeOver, false));
    world.lines(&["one"]);
    assert_eq!(wait(&ended, None), (Waited::News, true));
    world.lines(&["two"]);
    assert_eq!(wait(&ended, None), (Waited::News, false));
    std::fs::write(container.folder.path().join("exit.json"), "{}").unwrap();
    assert_eq!(wait(&ended, None), (Waited::News, true));
    assert!(ended.now().unwrap());
    std::fs::remove_file(container.folder.path().join("exit.json")).unwrap();
    assert!(!ended.now().unwrap());
    drop(held);
    assert!(ended.now().unwrap(), "nobody supervises it");
    // Taken in passing, they still end the next wait.
    world.lines(&["three"]);
    assert!(!watch.files_came().unwrap());
    assert_eq!(wait(&ended, None), (Waited::News, false));
    drop(reading);
    assert_eq!(wait(&ended, None).0, Waited::ReaderGone);
}
