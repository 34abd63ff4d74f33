//! The same work for several things at a time.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Does `work` for each thing, so many at a time, in their order. After a failure nothing more is begun, and what failed first is
/// told: it may be why others did.
pub fn each<T: Sync, R: Send, E: Send>(
    things: &[T],
    at_a_time: usize,
    work: impl Fn(&T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let workers = at_a_time.clamp(1, things.len().max(1));
    if workers == 1 {
        return things.iter().map(work).collect();
    }
    let (next, failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let done = Mutex::new(Vec::with_capacity(things.len()));
    let worker = || {
        while !failed.load(Ordering::Relaxed) {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(thing) = things.get(at) else { return };
            let result = work(thing);
            failed.fetch_or(result.is_err(), Ordering::Relaxed);
            done.lock().unwrap_or_else(PoisonError::into_inner).push((at, result));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(worker);
        }
    });
    let done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    let done = done.into_iter().map(|(at, result)| Ok((at, result?)));
    let mut done = done.collect::<Result<Vec<_>, E>>()?;
    done.sort_by_key(|(at, _)| *at);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_things() {
        let things: Vec<u32> = (0..100).collect();
        for at_a_time in [0, 1, 6, 1000] {
            let done = each(&things, at_a_time, |thing| Ok::<_, ()>(thing * 2)).unwrap();
            assert!(done.iter().enumerate().all(|(at, double)| *double as usize == at * 2));
        }
        assert_eq!(each(&[0; 0], 6, |_| Ok::<_, ()>(1)), Ok(vec![]));
    }

    #[test]
    fn after_a_failure_nothing_is_begun() {
        let things: Vec<u32> = (0..1000).collect();
        let begun = AtomicUsize::new(0);
        let result = each(&things, 4, |thing| {
            begun.fetch_add(1, Ordering::Relaxed);
            if *thing < 4 { Err("no") } else { Ok(()) }
        });
        assert_eq!(result, Err("no"));
        assert!(begun.into_inner() <= 8);
    }
}
