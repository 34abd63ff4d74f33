//! Real containers, started as an unprivileged user on a root of busybox: what a container sees, what it may, and what
//! a hostile root or image must not get.
//!
//! Each test of a CVE class says how it was shown to fail: which guard was taken out, and what the test then saw.
#![forbid(unsafe_code)]

#[cfg(test)]
mod harness;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod world;
