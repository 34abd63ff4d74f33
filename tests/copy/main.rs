//! `ctr-copy`: images in, out, from place to place, and what is said of them.

mod client;
mod compress;
mod daemon;
mod formats;
mod list;
mod login;
mod look;
mod names;
mod progress;
mod pull;
mod push;
mod reading;
mod registries;
mod sink;
mod transports;
