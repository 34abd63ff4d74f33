//! Maps of sparse files: which pieces of a file the archive holds.

use super::{Fault, number};

/// A piece of a file that the archive holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) offset: u64,
    pub(super) length: u64,
}

const MALFORMED: Fault = Fault::Malformed("sparse map");

/// Checks that pieces are in order, apart from each other, inside the file, and as long as what is stored.
pub(super) fn check(pieces: &[Piece], size: u64, stored: u64) -> Result<(), Fault> {
    let (mut end, mut sum) = (0_u64, 0_u64);
    for piece in pieces {
        let next = piece.offset.checked_add(piece.length).ok_or(MALFORMED)?;
        if piece.offset < end || next > size {
            return Err(MALFORMED);
        }
        end = next;
        sum += piece.length;
    }
    if sum == stored { Ok(()) } else { Err(MALFORMED) }
}

/// Pairs up offsets and lengths.
pub(super) fn pairs(numbers: &[u64]) -> Result<Vec<Piece>, Fault> {
    let (pairs, rest) = numbers.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(MALFORMED);
    }
    Ok(pairs.iter().map(|[offset, length]| Piece { offset: *offset, length: *length }).collect())
}

/// Parses the map of version 0.1: numbers between commas.
pub(super) fn list(map: &[u8]) -> Result<Vec<Piece>, Fault> {
    if map.is_empty() {
        return Ok(Vec::new());
    }
    let numbers = map.split(|byte| *byte == b',').map(|text| number::decimal(text, "sparse map"));
    pairs(&numbers.collect::<Result<Vec<_>, _>>()?)
}

/// Adds the pieces of an old GNU header or of one of the blocks that follow it; true if the list ended.
pub(super) fn gnu(places: &[u8], pieces: &mut Vec<Piece>) -> Result<bool, Fault> {
    for place in places.as_chunks::<24>().0 {
        let (offset, length) = place.split_at(12);
        if place.iter().all(|byte| *byte == 0) {
            return Ok(true);
        }
        pieces.push(Piece {
            offset: number::unsigned(offset, "sparse map")?,
            length: number::unsigned(length, "sparse map")?,
        });
    }
    Ok(false)
}

/// The map of version 1.0, which precedes the contents: decimal numbers, each with a line's end, the first
/// of them the count of pieces. It is fed block by block.
#[derive(Debug, Default)]
pub(super) struct Lines {
    numbers: Vec<u64>,
    current: Option<u64>,
}

impl Lines {
    /// Reads one block; returns the pieces once they are complete.
    pub(super) fn feed(&mut self, block: &[u8], limit: u64) -> Result<Option<Vec<Piece>>, Fault> {
        for byte in block {
            match byte {
                b'0'..=b'9' => {
                    let value = self.current.unwrap_or(0).checked_mul(10);
                    let value = value.and_then(|value| value.checked_add(u64::from(byte - b'0')));
                    self.current = Some(value.ok_or(MALFORMED)?);
                }
                b'\n' => {
                    self.numbers.push(self.current.take().ok_or(MALFORMED)?);
                    if self.complete(limit)? {
                        return pairs(self.numbers.get(1..).unwrap_or_default()).map(Some);
                    }
                }
                _ => return Err(MALFORMED),
            }
        }
        Ok(None)
    }

    fn complete(&self, limit: u64) -> Result<bool, Fault> {
        let Some(count) = self.numbers.first() else { return Ok(false) };
        if *count > limit {
            return Err(Fault::TooLarge { what: "sparse map", limit });
        }
        Ok(u64::try_from(self.numbers.len()).is_ok_and(|have| have == 1 + 2 * count))
    }
}
