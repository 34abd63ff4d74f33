//! Containers: what their flags mean, what runs, and what is known about them.
#![forbid(unsafe_code)]

pub mod command;
pub mod device;
pub mod env;
pub mod hello;
pub mod hosts;
pub mod mounts;
pub mod namespaces;
pub mod security;
pub mod sysctl;
pub mod ulimit;
pub mod units;
pub mod user;
