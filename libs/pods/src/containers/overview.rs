//! All containers at a glance: what `ps` asks for, be there one or a thousand.
//!
//! # Theory of operation
//! Reading three files of each container and understanding them takes most of the time of a long list, and nearly all of
//! them are as they were the last time. So a list leaves what it read in `RUN/overview.4`, a line for each container: its
//! id, the ctime of its folder, the number of its lock's file, and a [`Brief`]. Every record of a container appears in
//! its folder by a rename, which changes that ctime, as a new lock would: one `stat` tells whether the line still holds.
//! What a container *does* is never remembered: its lock, its init and its control group are asked each time. Of a long
//! list the locks that are held are read in one piece, only groups that we have ever frozen are asked ([`crate::freezer`]),
//! and it is gone through by two threads.
//!
//! # Invariants
//! - A line is left only if the folder had not changed for a while when it was read, so that a change in the same tick of
//!   the file system's clock cannot hide behind it.
//! - The file is worth nothing: it may be deleted, cut off or garbled at any time, and is in the run directory since it is
//!   void after a boot. Whoever cannot write it goes without.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ctr_core::lock::{self, FileNumber, Lock};
use ctr_core::{atomic, file, limits};
use rustix::fs::AtFlags;

use super::{Containers, ContainersError, ENDING, Kind, LOCK, RECORD, ids_in};
use crate::brief::Brief;
use crate::record::Ending;
use crate::status::{self, Evidence, Status};

/// What was read the last time. The number is the version of its lines.
const FILE: &str = "overview.4";
/// Containers from which on two threads are faster than one.
const MANY: usize = 64;
/// How many of them a thread takes at a time.
const PIECE: usize = 16;

/// Whether a list may be read by several threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// This process goes on to do what only a process of one thread can do.
    One,
    /// It does not.
    Several,
}

/// A container, and the line that is left of it.
struct Looked {
    brief: Box<Brief>,
    status: Status,
    line: Option<Line>,
}

/// What is left for the next list.
enum Line {
    /// What was there holds.
    Old,
    /// This is new.
    New(String),
}

/// Whoever makes a list, and what is known beforehand.
struct Lister<'a> {
    containers: &'a Containers,
    /// The folder of all kept ones: from there it is one step to each.
    home: File,
    known: Known<'a>,
    locks: lock::List,
    is_long: bool,
}

impl Containers {
    /// All containers, oldest first, and what each is doing. One whose record is broken or of a newer version harms only
    /// itself: it is not in the list.
    ///
    /// # Errors
    /// The directories or /proc cannot be read.
    pub fn overview(&self, threads: Threads) -> Result<Vec<(Box<Brief>, Status)>, ContainersError> {
        let mut seen = Vec::new();
        for kind in [Kind::Fleeting, Kind::Transient] {
            for id in ids_in(self.records(kind))? {
                let Some(container) = self.read(kind, &id)? else { continue };
                let status = container.status()?;
                if !has_gone(status, &container.folder) {
                    seen.push((Box::new(Brief::of(&container)), status));
                }
            }
        }
        seen.extend(self.kept_overview(threads)?);
        seen.sort_by(|(a, _), (b, _)| (a.created, &a.id).cmp(&(b.created, &b.id)));
        Ok(seen)
    }

    fn kept_overview(&self, threads: Threads) -> Result<Vec<(Box<Brief>, Status)>, ContainersError> {
        let ids = ids_in(&self.kept)?;
        let Some(home) = file::open_existing(&self.kept)? else { return Ok(Vec::new()) };
        let path = self.run.join(FILE);
        let text = file::read_text(&path, limits::OVERVIEW).unwrap_or_default();
        let is_long = ids.len() >= MANY;
        let locks = if is_long { lock::List::read() } else { lock::List::default() };
        let lister = Lister { containers: self, home, known: Known::parse(&text), locks, is_long };
        let looked = each(&ids, threads, |id| lister.look(id))?;
        if looked.iter().any(|one| matches!(one.line, Some(Line::New(_)))) {
            atomic::write_transient(&path, lister.lines(&looked).as_bytes()).ok();
        }
        Ok(looked.into_iter().map(|one| (one.brief, one.status)).collect())
    }
}

impl Lister<'_> {
    /// Looks at a kept container; `None` as in [`Containers::read`].
    fn look(&self, id: &str) -> Result<Option<Looked>, ContainersError> {
        let Some(changed) = Changed::of(&self.home, id) else { return Ok(None) };
        let folder = || self.containers.kept.join(id);
        let (brief, listed, line) = match self.known.of(id).and_then(|known| changed.recall(known)) {
            Some((lock, brief)) => (brief, self.locks.look(lock), Some(Line::Old)),
            None => {
                let Some(container) = self.containers.read(Kind::Kept, id)? else { return Ok(None) };
                let brief = Box::new(Brief::of(&container));
                let line = lock_of(&folder()).and_then(|lock| changed.line(lock, &brief)).map(Line::New);
                (brief, None, line)
            }
        };
        let look = || Lock::look(&folder().join(LOCK));
        // The list of locks is a moment old: that a container's init outlived that moment makes it good.
        let held = |lives: bool| listed.filter(|_| lives).map_or_else(look, Ok);
        let status = status::of(self.evidence(&brief), held, || ending(&folder()))?;
        let goes_with_its_end = brief.auto_remove && (brief.start.is_some() || brief.damaged);
        // Such a one is garbage when nobody holds it any more.
        if goes_with_its_end && !status.is_alive() && !look()?.held {
            return Ok(None);
        }
        if has_gone(status, &folder()) {
            return Ok(None);
        }
        Ok(Some(Looked { brief, status, line }))
    }

    /// What is written of a container; its control group only if that is to be asked.
    fn evidence<'a>(&self, brief: &'a Brief) -> Evidence<'a> {
        let mut evidence = brief.evidence();
        if self.is_long && !brief.was_frozen {
            evidence.cgroup = None;
        }
        evidence
    }

    /// What is left for the next list, by id.
    fn lines(&self, looked: &[Looked]) -> String {
        let mut lines: Vec<(&str, &Line)> =
            looked.iter().filter_map(|one| Some((one.brief.id.as_str(), one.line.as_ref()?))).collect();
        lines.sort_unstable_by_key(|(id, _)| *id);
        let mut text = String::new();
        for (id, line) in lines {
            match line {
                Line::New(line) => text.push_str(line),
                Line::Old => text.extend([id, " ", self.known.of(id).unwrap_or_default(), "\n"]),
            }
        }
        text
    }
}

/// What was left the last time, by the beginnings of ids, which lie together: of a thousand lines each is found without a look
/// at others.
struct Known<'a>(Vec<(u64, &'a str, &'a str)>);

impl<'a> Known<'a> {
    fn parse(text: &'a str) -> Self {
        let line = |line: &'a str| line.split_once(' ').map(|(id, rest)| (beginning(id), id, rest));
        let mut lines: Vec<_> = text.lines().filter_map(line).collect();
        // They were written in this order, unless somebody else did.
        lines.sort_unstable_by_key(|(beginning, ..)| *beginning);
        Self(lines)
    }

    /// What was left of a container. Of two whose ids begin alike one is not found, and read anew.
    fn of(&self, id: &str) -> Option<&'a str> {
        let at = self.0.binary_search_by_key(&beginning(id), |(beginning, ..)| *beginning).ok()?;
        self.0.get(at).filter(|(_, known, _)| *known == id).map(|(.., rest)| *rest)
    }
}

/// The first eight letters of an id, in the order of texts.
fn beginning(id: &str) -> u64 {
    id.bytes().take(8).fold(0, |all, byte| all << 8 | u64::from(byte))
}

/// The number of the file of the lock in a container's folder.
fn lock_of(folder: &Path) -> Option<u64> {
    std::fs::symlink_metadata(folder.join(LOCK)).ok().map(|about| about.ino())
}

/// Whether a container was removed while it was looked at, so that nobody seems to have seen its end.
fn has_gone(status: Status, folder: &Path) -> bool {
    status.exit().is_some_and(|exit| exit.unseen) && !folder.join(RECORD).exists()
}

/// How the last start of the container in a folder ended, if somebody wrote that down.
pub(super) fn ending(folder: &Path) -> Option<Ending> {
    file::read_json(&folder.join(ENDING), limits::RECORD).ok()
}

/// When a folder was changed last.
#[derive(Clone, Copy)]
struct Changed {
    /// Its file system.
    dev: u64,
    /// In nanoseconds since 1970.
    at: u64,
    /// The next change will have another time.
    settled: bool,
}

impl Changed {
    fn of(home: &File, id: &str) -> Option<Self> {
        let about = rustix::fs::statat(home, id, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let (seconds, nanos) = (u64::try_from(about.st_ctime).ok()?, about.st_ctime_nsec);
        // Asked at once: what is read later may be of a later change.
        Some(Self::new(about.st_dev, seconds * 1_000_000_000 + nanos, SystemTime::now()))
    }

    /// It is settled once some ticks have passed, of a clock that may be as coarse as seconds.
    fn new(dev: u64, at: u64, now: SystemTime) -> Self {
        let coarse = at.is_multiple_of(1_000_000_000);
        let tick = if coarse { Duration::from_secs(3) } else { Duration::from_millis(50) };
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let settled = now.checked_sub(Duration::from_nanos(at)).is_some_and(|age| age > tick);
        Self { dev, at, settled }
    }

    /// What was left of a container, and which file its lock is, if its folder has not changed since.
    fn recall(self, known: &str) -> Option<(FileNumber, Box<Brief>)> {
        let (then, known) = known.split_once(' ')?;
        let (lock, brief) = known.split_once(' ')?;
        if then.parse() != Ok(self.at) {
            return None;
        }
        let lock = FileNumber { dev: self.dev, ino: lock.parse().ok()? };
        Some((lock, Box::new(serde_json::from_str(brief).ok()?)))
    }

    /// What to leave of a container that was read after this was asked.
    fn line(self, lock: u64, brief: &Brief) -> Option<String> {
        if brief.damaged || !self.settled {
            return None;
        }
        Some(format!("{} {} {lock} {}\n", brief.id, self.at, serde_json::to_string(brief).ok()?))
    }
}

/// Does something for each id, in any order; for those of a long list in two threads. Each takes a few at a time, so that
/// one whose processor is busy with something else holds up nobody.
fn each<T: Send>(
    ids: &[String],
    threads: Threads,
    act: impl Fn(&str) -> Result<Option<T>, ContainersError> + Sync,
) -> Result<Vec<T>, ContainersError> {
    let next = AtomicUsize::new(0);
    let some = || -> Result<Vec<T>, ContainersError> {
        let mut some = Vec::with_capacity(ids.len());
        while let Some(rest) = ids.get(next.fetch_add(PIECE, Ordering::Relaxed)..)
            && !rest.is_empty()
        {
            for id in rest.iter().take(PIECE) {
                some.extend(act(id)?);
            }
        }
        Ok(some)
    };
    if threads == Threads::One || ids.len() < MANY {
        return some();
    }
    std::thread::scope(|scope| {
        let other = scope.spawn(some);
        let mut all = some()?;
        all.extend(other.join().map_err(std::panic::resume_unwind).unwrap_or_else(|never| never)?);
        Ok(all)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::containers::Container;
    use crate::record::Record;
    use ctr_core::id::ContainerId;

    fn brief(id: char) -> Brief {
        let record = Record::sample(ContainerId::parse(&id.to_string().repeat(64)).unwrap(), "one", 7);
        Brief::of(&Container::sample(record))
    }

    fn settled(at: u64) -> Changed {
        Changed { dev: 5, at, settled: true }
    }

    #[test]
    fn each_is_done_once_whoever_does_it() {
        for count in [0, 1, PIECE, MANY - 1, MANY, 10 * MANY + 1] {
            let ids: Vec<String> = (0..count).map(|number| format!("{number:04}")).collect();
            for threads in [Threads::One, Threads::Several] {
                let mut done = each(&ids, threads, |id| Ok(Some(id.to_owned()))).unwrap();
                done.sort();
                assert_eq!(done, ids);
            }
        }
        let ids = vec![String::new(); MANY];
        let broken = || ContainersError::Empty;
        assert!(each(&ids, Threads::Several, |_| Err::<Option<()>, _>(broken())).is_err());
    }

    #[test]
    fn a_line_says_what_it_was_made_from() {
        let brief = brief('a');
        let changed = settled(1_000_000_007);
        let line = changed.line(34, &brief).unwrap();
        let (id, known) = line.trim_end().split_once(' ').unwrap();
        assert_eq!(id, brief.id.as_str());
        assert_eq!(changed.recall(known), Some((FileNumber { dev: 5, ino: 34 }, Box::new(brief))));
    }

    #[test]
    fn lines_are_found_in_whatever_order_and_those_of_others_are_not() {
        let text = "bb two\naa one\ngarbled\n\n12345678a long\n12345678b like it\n";
        let known = Known::parse(text);
        assert_eq!([known.of("aa"), known.of("bb")], [Some("one"), Some("two")]);
        assert_eq!([known.of("a"), known.of("garbled"), known.of("12345678c")], [None, None, None]);
        let alike = [known.of("12345678a"), known.of("12345678b")];
        assert!(matches!(alike, [Some("long"), None] | [None, Some("like it")]), "{alike:?}");
    }

    #[test]
    fn a_line_of_another_time_or_a_garbled_one_says_nothing() {
        let line = settled(7).line(34, &brief('a')).unwrap();
        let known = line.trim_end().split_once(' ').unwrap().1;
        assert_eq!(settled(8).recall(known), None);
        for garbled in ["", "7", "7 ", "7 {}", "7 34 {}", &known[..known.len() - 1]] {
            assert_eq!(settled(7).recall(garbled), None, "{garbled}");
        }
    }

    #[test]
    fn what_changed_just_now_is_not_remembered() {
        let second = 1_000_000_000;
        let at = 1_795_000_000 * second + 7;
        let is_settled =
            |at: u64, now: u64| Changed::new(5, at, UNIX_EPOCH + Duration::from_nanos(now)).settled;
        assert!(!is_settled(at, at) && !is_settled(at, at + second / 100));
        assert!(!is_settled(at, at - 60 * second), "the clock was put back");
        assert!(is_settled(at, at + second));
        let coarse = at - 7;
        assert!(!is_settled(coarse, coarse + second) && is_settled(coarse, coarse + 9 * second));
        assert_eq!(Changed { dev: 5, at, settled: false }.line(34, &brief('a')), None);
    }
}
