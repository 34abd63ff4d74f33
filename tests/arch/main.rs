//! The shape of the code: what may depend on what, where unsafe code may be, and that nothing is forgotten.
#![expect(clippy::panic, reason = "a test's tools end the test")]

mod fences;
mod flags;
mod generated;
mod layers;
mod makefile;
mod members;
mod source;
