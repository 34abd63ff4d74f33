//! `ctr-run`.
fn main() {}
