//! `ctr logs`: what containers wrote.

mod output;

use std::os::fd::AsFd as _;

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::human::time::Timestamp;
use ctr_cli::report::CommandError;
use ctr_cli::usage::{Arity, Flag, Parsed, Verb};
use ctr_pods::containers::{Container, Containers};
use ctr_pods::logs::{Ended, Moment, Progress, Reader, Waited, Watch};

use crate::error;
use crate::place::Place;
use output::{Look, Output};

/// The verb.
pub const VERB: Verb =
    Verb::new("[options] CONTAINER [CONTAINER...]", "Fetch the logs of one or more containers")
        .long("Retrieves logs for one or more containers.")
        .examples(&[
            "logs web",
            "logs --names web db",
            "logs --tail 2 web",
            "logs --follow=true --since 10m web",
        ])
        .flags(&[
            Flag::bool("color", "Output the containers with different colors in the log."),
            Flag::bool("follow", "Follow log output.  The default is false").short('f'),
            Flag::bool("latest", "Act on the latest container").short('l'),
            Flag::bool("names", "Output the container name in the log").short('n'),
            Flag::string("since", "Show logs since `TIMESTAMP`"),
            Flag::int(
                "tail",
                "Output the specified number of LINES at the end of the logs.  Defaults to -1, which prints all lines",
            )
            .default("-1"),
            Flag::bool("timestamps", "Output the timestamps in the log").short('t'),
            Flag::string("until", "Show logs until `TIMESTAMP`"),
        ])
        .refuses(&[&["details"]])
        .arity(Arity::Any);

/// Blocks that are read of one log before the others have their turn.
const TURN: usize = 32;

/// Prints the logs.
///
/// # Errors
/// One is not there, or cannot be read.
pub fn run(call: &Call) -> Result<Exit, CommandError> {
    let flags = &call.flags;
    let names = flags.texts()?;
    match (flags.bool("latest"), names.is_empty()) {
        (true, false) => {
            return Err(CommandError::usage("--latest and containers cannot be used together"));
        }
        (false, true) => {
            return Err(CommandError::usage("specify at least one container name or ID to log"));
        }
        _ => {}
    }
    let span = Span::of(flags)?;
    let place = Place::find(&call.globals)?;
    let chosen = chosen(&Containers::new(&place.dirs), &names)?;
    let several = chosen.len() > 1;
    let mut sources = Vec::with_capacity(chosen.len());
    for (index, container) in chosen.into_iter().enumerate() {
        let look = look(flags, &span, &container, several.then_some(index));
        sources.push(Source::open(&container, look, flags.int("tail").unwrap_or(-1))?);
    }
    let mut output = Output::default();
    if flags.bool("follow") {
        follow(call, &mut sources, &mut output, span.until)?;
    } else {
        for source in &mut sources {
            while source.turn(call, &mut output, None)? == Progress::More {}
            source.finish(call, &mut output)?;
        }
    }
    output.flush()?;
    Ok(Exit::SUCCESS)
}

/// From when to when.
struct Span {
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl Span {
    fn of(flags: &Parsed) -> Result<Self, CommandError> {
        let now = Timestamp::now();
        let read = |flag: &str, parse: fn(&str, Timestamp) -> Result<Timestamp, _>| {
            let text = flags.get(flag).filter(|text| !text.is_empty());
            let parse = |text: &str| {
                parse(text, now).map_err(|error: ctr_core::time::TimeError| {
                    CommandError::usage(format!("parsing --{flag} {text:?}: {error}"))
                })
            };
            text.map(parse).transpose()
        };
        Ok(Self {
            since: read("since", Timestamp::parse_since)?,
            until: read("until", Timestamp::parse_until)?,
        })
    }
}

fn chosen(containers: &Containers, names: &[&str]) -> Result<Vec<Container>, CommandError> {
    let failed = error::of_containers;
    if names.is_empty() {
        return Ok(vec![super::select::latest(containers)?]);
    }
    names.iter().map(|name| containers.find(name).map_err(failed)).collect()
}

fn look(flags: &Parsed, span: &Span, container: &Container, of_several: Option<usize>) -> Look {
    let record = &container.record;
    let prefix = of_several
        .map(|_| if flags.bool("names") { record.name.clone() } else { record.id.as_str()[..12].to_owned() });
    Look {
        prefix: prefix.map(|prefix| format!("{prefix} ")).unwrap_or_default(),
        color: flags.bool("color").then_some(of_several.unwrap_or(0)),
        timestamps: flags.bool("timestamps"),
        since: span.since.map(Moment::from),
        until: span.until.map(Moment::from),
        open: [false; 2],
    }
}

/// The log of one container.
struct Source {
    name: String,
    reader: Reader,
    log: std::path::PathBuf,
    ended: Ended,
    look: Look,
    over: bool,
}

impl Source {
    fn open(container: &Container, look: Look, tail: i64) -> Result<Self, CommandError> {
        let driver = container.log_driver();
        if !driver.writes() {
            return Err(CommandError::user(format!(
                "this container is using the '{}' log driver, cannot read logs: this container is not logging output",
                driver.name()
            )));
        }
        let (record, folder) = (&container.record, &container.folder);
        let log = record.log.file(folder);
        let mut reader = Reader::open(&log)?;
        if let Ok(lines) = u64::try_from(tail) {
            reader.skip_to_last(lines)?;
        }
        let name = record.name.clone();
        Ok(Self { name, reader, log, ended: Ended::new(folder.clone()), look, over: false })
    }

    /// Prints some of what is there. A follower opens new files at once.
    fn turn(
        &mut self,
        call: &Call,
        output: &mut Output,
        watch: Option<&Watch>,
    ) -> Result<Progress, CommandError> {
        for _ in 0..TURN {
            let look = &mut self.look;
            let progress = self.reader.read(|entry| look.print(entry, output))?;
            if watch.map_or(Ok(false), Watch::files_came)? {
                self.reader.discover()?;
            }
            if let Some(missed) = self.reader.missed() {
                output.flush()?;
                let how_much =
                    if missed.bytes > 0 { format!("{} bytes", missed.bytes) } else { "some".to_owned() };
                call.ui.warn(&format!("{how_much} of the log of {} went before they were read", self.name));
            }
            if progress == Progress::AtEnd {
                return Ok(progress);
            }
        }
        Ok(Progress::More)
    }

    /// Prints what has no end, and says what could not be read.
    fn finish(&mut self, call: &Call, output: &mut Output) -> Result<(), CommandError> {
        self.over = true;
        let look = &mut self.look;
        self.reader.finish(&mut |entry| look.print(entry, output))?;
        let damaged = self.reader.damaged();
        if damaged > 0 {
            output.flush()?;
            call.ui.warn(&format!(
                "{damaged} records of the log of {} are damaged and were left out: they were cut short, as by a full disk, or \
                 something else wrote there",
                self.name
            ));
        }
        Ok(())
    }
}

/// Prints until all containers have ended, the time is over, or nobody reads any more.
fn follow(
    call: &Call,
    sources: &mut [Source],
    output: &mut Output,
    until: Option<Timestamp>,
) -> Result<(), CommandError> {
    let watch = Watch::new()?;
    for source in &*sources {
        watch.add(&source.log, &source.ended)?;
    }
    loop {
        let left = until.map(|until| Timestamp::now().until(until));
        let time_over = left.is_some_and(|left| left <= 0);
        let more = round(call, sources, output, &watch, time_over)?;
        output.flush()?;
        if sources.iter().all(|source| source.over) {
            return Ok(());
        }
        if !more {
            let limit = left.map(|left| u64::try_from(left).unwrap_or(0));
            let ended = sources.iter().filter(|source| !source.over).map(|source| &source.ended);
            let waited = watch.wait(ended, std::io::stdout().as_fd(), limit);
            if waited? == Waited::ReaderGone {
                return Ok(());
            }
        }
    }
}

/// Gives each log a turn; `true` if there is more to print at once.
fn round(
    call: &Call,
    sources: &mut [Source],
    output: &mut Output,
    watch: &Watch,
    time_over: bool,
) -> Result<bool, CommandError> {
    if watch.begin()? {
        for source in sources.iter_mut().filter(|source| !source.over) {
            source.reader.discover()?;
        }
    }
    let mut more = false;
    for source in sources.iter_mut().filter(|source| !source.over) {
        // Asked before the rest is read, so that nothing comes after it.
        let ended = time_over || source.ended.now()?;
        match source.turn(call, output, Some(watch))? {
            Progress::More => more = true,
            Progress::AtEnd if ended => source.finish(call, output)?,
            Progress::AtEnd => {}
        }
    }
    Ok(more)
}
