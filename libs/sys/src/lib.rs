//! Typed Linux calls.
#![no_std]

pub mod signals;
pub mod userns;
