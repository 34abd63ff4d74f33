//! `userns`.
#![forbid(unsafe_code)]
