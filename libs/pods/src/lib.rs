//! `pods`.
#![forbid(unsafe_code)]
