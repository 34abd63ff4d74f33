//! The end-to-end test harness.
#![forbid(unsafe_code)]
