//! Stacking trees of layers into the root file system of a container.

pub mod mark;
