//! The verbs of `ctr-copy`.
#![forbid(unsafe_code)]
