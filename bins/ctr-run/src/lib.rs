//! The verbs of `ctr-run`.
#![forbid(unsafe_code)]
