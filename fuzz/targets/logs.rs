//! Logs, of which containers write the most: nothing in one stops the reader, the last lines are those that the whole
//! ends with, and a damaged record hides no other.
#![no_main]

use ctr_core::FileError;
use ctr_pods::logs::{Entry, Progress, Reader};

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    // How many lines; an older file; after a byte 1, the newest.
    let Some((&lines, files)) = input.split_first() else { return };
    let border = files.iter().position(|byte| *byte == 1).unwrap_or(files.len());
    let (older, newer) = (&files[..border], files.get(border + 1..).unwrap_or_default());
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("ctr.log");
    std::fs::write(folder.path().join("ctr.log.1"), older).expect("a file");
    std::fs::write(&log, newer).expect("a file");
    let whole = read(Reader::open(&log).expect("a log"));
    let mut reader = Reader::open(&log).expect("a log");
    reader.skip_to_last(lines.into()).expect("a log");
    let last = read(reader);
    assert!(whole.ends_with(&last));
    // A line ends with a record that is no piece; the last one may have no end.
    let ends = last.iter().filter(|(partial, _)| !partial).count();
    let open = last.last().is_some_and(|(partial, _)| *partial);
    assert!(ends + usize::from(open) <= lines.into());
    assert!(last.len() == whole.len() || ends + usize::from(open) == usize::from(lines));
    let good =
        |file: &[u8]| file.split(|byte| *byte == b'\n').filter(|line| Entry::parse(line).is_some()).count();
    assert_eq!(whole.len(), good(older) + good(newer));
});

fn read(mut reader: Reader) -> Vec<(bool, Vec<u8>)> {
    let mut all = Vec::new();
    let mut each = |entry: Entry<'_>| {
        all.push((entry.partial, entry.bytes.to_vec()));
        Ok::<(), FileError>(())
    };
    while reader.read(&mut each).expect("a log") == Progress::More {}
    reader.finish(&mut each).expect("a log");
    all
}
