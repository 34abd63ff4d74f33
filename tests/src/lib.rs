//! The harness of the end-to-end tests.
//!
//! An [`Env`] is a user's whole world: home, run directory, temporary files and store, gone when it is dropped. Programs are
//! started in it with an environment made from nothing, with a deadline, and what they printed must be looked at.
//! [`image`] makes images byte by byte, so that they can be as wrong as a test wants; [`registry`] is a registry in the test itself,
//! which can be as wrong; [`ability`] says what this machine can do.
//!
//! # Invariants
//! - No test needs a network, another test, a terminal of its caller's or an order.
//! - No test sleeps: it waits for an end of file, a process or a lock, with a deadline.
//! - A test that cannot run here says `skipped: …`; where `CTR_TEST_REQUIRE` names what it lacks, it fails.
#![forbid(unsafe_code)]
#![expect(clippy::panic, reason = "what a harness does with a broken promise is to end the test")]

pub mod ability;
pub mod agent;
pub mod daemon;
pub mod env;
pub mod image;
pub mod registry;
pub mod tree;

pub use env::{BUSYBOX, Env, Invocation, Output};

/// Ends the test, saying so, unless the machine has these [abilities](ability::Ability).
#[macro_export]
macro_rules! needs {
    ($($ability:ident),+ $(,)?) => {
        $(if !$crate::ability::Ability::$ability.is_here() { return; })+
    };
}
