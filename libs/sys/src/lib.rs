//! Typed Linux calls.
#![no_std]

pub mod userns;
