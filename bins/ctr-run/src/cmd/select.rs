//! Which containers a verb means: filters, and who runs.

use ctr_cli::human::time::Timestamp;
use ctr_cli::report::CommandError;
use ctr_cli::usage::Parsed;
use ctr_pods::containers::{Container, Containers};
use ctr_pods::filter::Filters;

use crate::error;

/// The conditions of `--filter`.
pub(super) fn filters(flags: &Parsed, all: &[Container]) -> Result<Filters, CommandError> {
    Filters::parse(&flags.strings("filter"), all, instant).map_err(CommandError::usage)
}

/// A moment as filters are given one: a time, or how long ago.
pub(super) fn instant(text: &str) -> Option<u64> {
    nanos(Timestamp::parse_filter(text, Timestamp::now()).ok()?)
}

/// Now, in nanoseconds since 1970.
pub(super) fn now() -> u64 {
    nanos(Timestamp::now()).unwrap_or(0)
}

/// Nanoseconds since 1970.
fn nanos(time: Timestamp) -> Option<u64> {
    let seconds = u64::try_from(time.seconds).ok()?;
    seconds.checked_mul(1_000_000_000)?.checked_add(time.nanos.into())
}

/// Each container with whether it runs, asked once.
pub(super) fn running(list: Vec<Container>) -> Result<Vec<(Container, bool)>, CommandError> {
    let ask = |container: Container| {
        let running = container.is_running().map_err(CommandError::environment)?;
        Ok((container, running))
    };
    list.into_iter().map(ask).collect()
}

/// The container that was made last.
pub(super) fn latest(containers: &Containers) -> Result<Container, CommandError> {
    let latest = containers.list().map_err(error::of_containers)?.pop();
    latest.ok_or_else(|| CommandError::user("no containers to act on: no such container"))
}

/// A moment of a record.
pub(super) fn moment(nanos: u64) -> Timestamp {
    let seconds = i64::try_from(nanos / 1_000_000_000).unwrap_or(i64::MAX);
    Timestamp { seconds, nanos: u32::try_from(nanos % 1_000_000_000).unwrap_or(0) }
}
