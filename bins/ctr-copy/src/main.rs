//! `ctr-copy`.
fn main() {}
