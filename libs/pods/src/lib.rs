//! Containers: what their flags mean, what runs, and what is known about them.
#![forbid(unsafe_code)]

pub mod attach;
pub mod brief;
pub mod command;
pub mod containers;
pub mod cp;
pub mod create;
pub mod dependencies;
pub mod device;
pub mod ended;
pub mod env;
pub mod exec;
pub mod filter;
pub mod freezer;
pub mod happened;
pub mod hello;
pub mod hosts;
pub mod initialized;
pub mod layers;
pub mod logs;
pub mod mounts;
pub mod namespaces;
pub mod network;
pub mod ports;
pub mod record;
pub mod remove;
pub mod request;
pub mod resolver;
pub mod run;
pub mod security;
pub mod status;
pub mod stop;
pub mod stopped;
pub mod subscriptions;
pub mod supervise;
pub mod sysctl;
pub mod terminal;
pub mod top;
pub mod ulimit;
pub mod units;
pub mod user;
pub mod volumes;
pub mod wait;

pub use ctr_core::events;
