//! The first program in a container.
fn main() {}
