//! A static program that does nothing.
#![forbid(unsafe_code)]

const fn main() {}
