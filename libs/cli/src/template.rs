//! Go's `text/template`, as `--format` takes it.

pub mod quote;
