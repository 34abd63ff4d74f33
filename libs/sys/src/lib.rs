//! Typed Linux calls.
#![no_std]
