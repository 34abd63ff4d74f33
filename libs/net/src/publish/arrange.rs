//! One list of all that a container publishes.

use std::collections::{BTreeMap, BTreeSet};

use super::{Exposed, Mapping, PublishError, Transport, meet};

/// Puts mappings in order: what goes on from another becomes one with it, as in podman's records. A port of the host that
/// leads to two ports inside is an error, also where one of the two addresses only contains the other.
///
/// What of `exposed` is published by no mapping gets a random port of its own (`-P`).
pub fn arrange(mappings: &[Mapping], exposed: &Exposed) -> Result<Vec<Mapping>, PublishError> {
    let mut groups: BTreeMap<_, Vec<Mapping>> = BTreeMap::new();
    for mapping in mappings {
        groups.entry((mapping.transport, mapping.address)).or_default().push(*mapping);
    }
    let mut all = Vec::new();
    for group in groups.into_values() {
        let (chosen, random): (Vec<_>, Vec<_>) = group.into_iter().partition(|mapping| mapping.outside != 0);
        all.extend(join_chosen(chosen)?);
        all.extend(join_random(random));
    }
    refuse_conflicts(&all)?;
    let used: BTreeSet<(Transport, u16)> = all
        .iter()
        .flat_map(|mapping| mapping.pairs().map(|(_, inside)| (mapping.transport, inside)))
        .collect();
    for (carrier, inside) in exposed.iter() {
        let transport = carrier.transport(inside)?;
        if !used.contains(&(transport, inside)) {
            all.push(Mapping { address: None, inside, outside: 0, count: 1, transport });
        }
    }
    Ok(all)
}

/// The port behind the last of some that begin with one.
fn end(first: u16, count: u16) -> u32 {
    u32::from(first) + u32::from(count)
}

/// How many ports there are from one to an end that is behind it.
fn distance(first: u16, end: u32) -> u16 {
    u16::try_from(end.saturating_sub(first.into())).unwrap_or(u16::MAX)
}

/// Joins mappings whose ports on the host were chosen.
fn join_chosen(mut mappings: Vec<Mapping>) -> Result<Vec<Mapping>, PublishError> {
    mappings.sort_by_key(|mapping| (mapping.outside, mapping.inside));
    let mut joined: Vec<Mapping> = Vec::new();
    for next in mappings {
        let Some(last) = joined.last_mut() else {
            joined.push(next);
            continue;
        };
        let last_end = end(last.outside, last.count);
        let offset = next.outside - last.outside;
        let is_parallel = u32::from(next.inside) == end(last.inside, offset);
        if is_parallel && u32::from(next.outside) <= last_end {
            last.count = distance(last.outside, last_end.max(end(next.outside, next.count)));
        } else if u32::from(next.outside) < last_end {
            return Err(PublishError::Conflict { port: next.outside, transport: next.transport });
        } else {
            joined.push(next);
        }
    }
    Ok(joined)
}

/// Joins mappings whose ports on the host are yet to be chosen: one inside needs only one.
fn join_random(mut mappings: Vec<Mapping>) -> Vec<Mapping> {
    mappings.sort_by_key(|mapping| mapping.inside);
    let mut joined: Vec<Mapping> = Vec::new();
    for next in mappings {
        match joined.last_mut() {
            Some(last) if u32::from(next.inside) < end(last.inside, last.count) => {
                let both = end(last.inside, last.count).max(end(next.inside, next.count));
                last.count = distance(last.inside, both);
            }
            _ => joined.push(next),
        }
    }
    joined
}

fn refuse_conflicts(mappings: &[Mapping]) -> Result<(), PublishError> {
    for (at, one) in mappings.iter().enumerate() {
        for other in mappings.iter().skip(at + 1) {
            let first = one.outside.max(other.outside);
            let last = end(one.outside, one.count).min(end(other.outside, other.count));
            let are_chosen = one.outside != 0 && other.outside != 0;
            if are_chosen
                && one.transport == other.transport
                && u32::from(first) < last
                && one.address.zip(other.address).is_none_or(|(one, other)| meet(one, other))
            {
                return Err(PublishError::Conflict { port: first, transport: one.transport });
            }
        }
    }
    Ok(())
}
