//! `ctr-copy`: images and where they come from and go to.

use std::process::ExitCode;

use ctr_cli::app;
use ctr_cli::verbs::Program;

fn main() -> ExitCode {
    // Children of ours are told apart first: one of them changes its namespace, which needs a process without threads.
    match ctr_copy::internal::role() {
        Some(role) => role.run(),
        None => app::main(Program::Copy, ctr_copy::COMMANDS),
    }
}
