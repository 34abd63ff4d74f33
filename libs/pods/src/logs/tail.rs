//! Finding the last lines without reading those before them.

use std::os::unix::fs::FileExt as _;

use super::entry::Entry;
use super::files::Part;

/// Bytes that are read at once: the longest record, and the newline of the one before.
const BLOCK: usize = super::reader::BLOCK + 1;

/// Where the last so many lines begin: in which file, and where in it; `None` if there are not more than these.
///
/// A line ends with its record `F`; pieces at the very end, whose line is not over, are a line too.
pub(super) fn find(parts: &[Part], lines: u64) -> std::io::Result<Option<(usize, u64)>> {
    let mut count = Count { lines, seen: 0, any: false };
    for (index, part) in parts.iter().enumerate().rev() {
        if let Some(offset) = search(part, &mut count)? {
            return Ok(Some((index, offset)));
        }
    }
    Ok(None)
}

struct Count {
    lines: u64,
    seen: u64,
    any: bool,
}

impl Count {
    /// Counts a record, the later ones first; `true` for the last one that is passed over.
    fn ends_with(&mut self, record: &[u8]) -> bool {
        let Some(entry) = Entry::parse(record) else { return false };
        if !entry.partial || !self.any {
            self.seen += 1;
        }
        self.any = true;
        self.seen > self.lines
    }
}

/// Looks through a file from its end.
fn search(part: &Part, count: &mut Count) -> std::io::Result<Option<u64>> {
    let mut end = part.file.metadata()?.len();
    let mut block = vec![0; BLOCK];
    // What lies before the block belongs to a record that is longer than any is.
    let mut too_long = false;
    while end > 0 {
        let start = end.saturating_sub(BLOCK as u64);
        let piece = &mut block[..usize::try_from(end - start).unwrap_or(0)];
        part.file.read_exact_at(piece, start)?;
        let mut upto = piece.len();
        loop {
            // A record has its newline behind it; the last one may have none.
            let body = &piece[..upto.saturating_sub(1)];
            let newline = body.iter().rposition(|byte| *byte == b'\n');
            if newline.is_none() && start > 0 {
                break;
            }
            let begin = newline.map_or(0, |newline| newline + 1);
            let record = &piece[begin..upto];
            let record = record.strip_suffix(b"\n").unwrap_or(record);
            if !std::mem::take(&mut too_long) && count.ends_with(record) {
                return Ok(Some(start + upto as u64));
            }
            upto = begin;
            if upto == 0 {
                return Ok(None);
            }
        }
        too_long |= upto == piece.len();
        end = if upto == piece.len() { start } else { start + upto as u64 };
    }
    Ok(None)
}
