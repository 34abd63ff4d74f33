//! `ctr-run`, and `ctr` itself.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use ctr_cli::verbs::Program;

fn main() -> ExitCode {
    let argv: Vec<_> = std::env::args_os().collect();
    match ctr_run::internal(&argv) {
        Some(exit) => exit,
        None => ctr_cli::app::main(Program::Run, ctr_run::COMMANDS),
    }
}
