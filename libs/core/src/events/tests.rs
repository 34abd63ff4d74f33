use std::io::Write as _;
use std::os::fd::AsFd as _;
use std::path::Path;

use super::*;
use crate::time::Timestamp;
use crate::watch::Waited;

fn started(id: &str) -> Event {
    Event::now(Kind::Container, Status::Start)
        .of(id, "web")
        .with_image("localhost/x")
        .with_attributes([("b", "2"), ("a", "1")])
}

/// The ids of all events that are there now.
fn ids(reader: &mut Reader) -> Vec<String> {
    let mut ids = Vec::new();
    while let Some(event) = reader.next_event().unwrap() {
        ids.push(event.map_or_else(|_| "?".to_owned(), |event| event.id));
    }
    ids
}

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn an_event_is_a_line_as_podman_writes_it() {
    let mut event = started("abc").with_exit_code(3);
    event.time = Timestamp::new(1_795_219_481, 470_000_000);
    let mut line = Vec::new();
    event.line(&mut line).unwrap();
    assert_eq!(
        String::from_utf8(line.clone()).unwrap(),
        "{\"ContainerExitCode\":3,\"ID\":\"abc\",\"Image\":\"localhost/x\",\"Name\":\"web\",\"Status\":\"start\",\
         \"Time\":\"2026-11-21T00:04:41.47Z\",\"Type\":\"container\",\"Attributes\":{\"a\":\"1\",\"b\":\"2\"}}\n"
    );
    let read = Event::parse(&line).unwrap();
    event.attributes.sort();
    assert_eq!(read, event);
    let bare = Event::now(Kind::Volume, Status::Prune);
    bare.line(&mut line).unwrap();
    assert!(line.ends_with(b"\"Type\":\"volume\",\"Attributes\":null}\n"));
}

#[test]
fn what_was_appended_is_read_by_all() {
    let home = tempfile::tempdir().unwrap();
    let log = Log::at(home.path().join("events/events.log"), 0);
    let mut early = log.read().unwrap().unwrap();
    assert_eq!(ids(&mut early), [""; 0]);
    log.append(&started("one")).unwrap();
    log.append_all(&[started("two"), started("three")]).unwrap();
    assert_eq!(ids(&mut early), ["one", "two", "three"]);
    assert_eq!(ids(&mut log.read().unwrap().unwrap()), ["one", "two", "three"]);
    assert!(Log::none().read().unwrap().is_none());
    Log::none().append(&started("x")).unwrap();
}

#[test]
fn a_broken_line_harms_only_itself() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("events.log");
    let log = Log::at(path.clone(), 0);
    log.append(&started("one")).unwrap();
    let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.write_all(b"{\"Type\":\"moon\"}\n\n{\"ID\":\"cut of").unwrap();
    log.append(&started("two")).unwrap();
    file.write_all(&vec![b'x'; crate::limits::EVENT + (200 << 10)]).unwrap();
    file.write_all(b"\n").unwrap();
    log.append(&started("three")).unwrap();
    assert_eq!(ids(&mut log.read().unwrap().unwrap()), ["one", "?", "?", "two", "?", "three"]);
    let mut large = started("large");
    large.inspect = "x".repeat(crate::limits::EVENT);
    assert!(log.append(&large).is_err());
    assert_eq!(lines(&path).len(), 7);
}

#[test]
fn a_rotation_keeps_the_newer_half_between_two_events() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("events.log");
    for number in 0..100 {
        Log::at(path.clone(), 0).append(&started(&format!("{number}"))).unwrap();
    }
    let before = lines(&path);
    let size = std::fs::metadata(&path).unwrap().len();
    let log = Log::at(path.clone(), size / 2);
    let mut follower = log.read().unwrap().unwrap();
    assert_eq!(ids(&mut follower).len(), 100);
    log.append(&started("new")).unwrap();
    let after = lines(&path);
    let kept = after.len() - 3;
    assert!((48..=50).contains(&kept), "{kept}");
    assert!(after[0].contains("\"io.podman.event.rotate\":\"begin\""), "{}", after[0]);
    assert_eq!(after[1..=kept], before[100 - kept..]);
    assert!(after[kept + 1].contains("\"io.podman.event.rotate\":\"end\""));
    // A follower sees what it has not seen: the end of the rotation, and the event.
    assert_eq!(ids(&mut follower), ["", "new"]);
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1, "no temporary is left");
}

#[test]
fn a_log_that_grew_without_a_limit_fits_after_one_rotation() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("events.log");
    let all: Vec<Event> = (0..1000).map(|number| started(&number.to_string())).collect();
    Log::at(path.clone(), 0).append_all(&all).unwrap();
    Log::at(path.clone(), 10_000).append(&started("new")).unwrap();
    assert!(std::fs::metadata(&path).unwrap().len() < 10_000);
    assert_eq!(ids(&mut Log::at(path, 0).read().unwrap().unwrap()).last().unwrap(), "new");
}

#[test]
fn nothing_is_lost_or_doubled_among_many_writers_and_a_rotation() {
    let home = tempfile::tempdir().unwrap();
    // So that it is rotated once: who sleeps through two rotations has missed something.
    let log = Log::at(home.path().join("events.log"), 300_000);
    let mut follower = log.read().unwrap().unwrap();
    follower.watch().unwrap();
    let mut seen = Vec::new();
    std::thread::scope(|scope| {
        write_from_four(scope, &log);
        while seen.len() < 2000 {
            seen.extend(ids(&mut follower).into_iter().filter(|id| !id.is_empty()));
            if seen.len() < 2000 {
                let waited = follower.wait(std::io::stderr().as_fd(), Some(60_000_000_000)).unwrap();
                assert_eq!(waited, Waited::News, "only {} came", seen.len());
            }
        }
    });
    for writer in 0..4 {
        assert_eq!(numbers_of(writer, &seen), (0..500).collect::<Vec<_>>(), "writer {writer}");
    }
}

#[test]
fn what_many_rotations_leave_has_no_hole() {
    let home = tempfile::tempdir().unwrap();
    let log = Log::at(home.path().join("events.log"), 40_000);
    std::thread::scope(|scope| write_from_four(scope, &log));
    let left = ids(&mut log.read().unwrap().unwrap());
    assert!(left.len() > 40, "{}", left.len());
    for writer in 0..4 {
        let own = numbers_of(writer, &left);
        assert_eq!(own, (500 - own.len()..500).collect::<Vec<_>>(), "writer {writer}");
    }
}

fn write_from_four<'scope>(scope: &'scope std::thread::Scope<'scope, '_>, log: &'scope Log) {
    for writer in 0..4 {
        scope.spawn(move || {
            for number in 0..500 {
                log.append(&started(&format!("{writer}-{number}"))).unwrap();
            }
        });
    }
}

/// The numbers of one writer's events, in the order of the log.
fn numbers_of(writer: usize, ids: &[String]) -> Vec<usize> {
    ids.iter().filter_map(|id| id.strip_prefix(&format!("{writer}-"))?.parse().ok()).collect()
}

#[test]
fn filters_of_one_key_are_any_and_of_all_keys_each() {
    let event = started("abc");
    let fit = |conditions: &[&str]| Filters::parse(conditions.iter().copied()).unwrap().fit(&event);
    for yes in [
        &[][..],
        &["container=web"],
        &["container=ab"],
        &["container=x", "container=web", "type=container"],
        &["event=start"],
        &["status=start", "label=a"],
        &["label=a=1", "CONTAINER=web"],
    ] {
        assert!(fit(yes), "{yes:?}");
    }
    for no in
        [&["container=we"][..], &["image=web"], &["volume=web"], &["event=die"], &["label=a=2"], &["type=x"]]
    {
        assert!(!fit(no), "{no:?}");
    }
    assert_eq!(Filters::parse(["moon=full"]).unwrap_err().to_string(), "moon is an invalid filter");
    assert_eq!(Filters::parse(["type"]).unwrap_err().to_string(), "type is an invalid filter");
    let mut filters = Filters::default();
    filters.since = Some(event.time);
    assert!(!filters.fit(&event), "since is later than");
    filters.since = None;
    filters.until = Some(event.time);
    assert!(!filters.fit(&event), "until is earlier than");
}

#[test]
fn names_are_read_as_they_are_written() {
    for status in Status::ALL {
        let line =
            format!(r#"{{"Status":"{}","Time":"2026-11-21T00:04:41Z","Type":"image"}}"#, status.name());
        assert_eq!(Event::parse(line.as_bytes()).unwrap().status, *status);
    }
}
