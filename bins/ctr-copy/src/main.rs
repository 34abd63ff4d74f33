//! `ctr-copy`: images and where they come from and go to.

use std::process::ExitCode;

use ctr_cli::app;
use ctr_cli::complete;
use ctr_cli::dispatch;
use ctr_cli::verbs::Program;

fn main() -> ExitCode {
    // Children of ours are told apart first: one of them changes its namespace, which needs a process without threads.
    if let Some(role) = ctr_copy::internal::role() {
        return role.run();
    }
    if ctr_copy::internal::end_with(std::env::var_os(dispatch::CHILD).as_deref()) {
        return ExitCode::FAILURE;
    }
    let argv: Vec<_> = std::env::args_os().collect();
    match complete::main(Program::Copy, ctr_copy::COMMANDS, ctr_copy::completion::values, &argv) {
        Some(exit) => exit,
        None => app::main(Program::Copy, ctr_copy::COMMANDS),
    }
}
