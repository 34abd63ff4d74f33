//! `ctr-run __netd`: the process that serves a container's network.
//!
//! Its standard input is the socket to whoever started it, and that is whom everything is said to: nobody else is there.

use std::process::ExitCode;

pub use ctr_pods::network::VERB;
use ctr_pods::network::serve as serve_network;

/// Serves until the other end is closed.
#[must_use]
pub fn serve() -> ExitCode {
    // The other end was told why not.
    if serve_network().is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
