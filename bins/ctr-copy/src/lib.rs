//! The verbs of `ctr-copy`: one module each, and what they share.
#![forbid(unsafe_code)]

mod carry;
pub mod cmd;
pub mod completion;
mod context;
mod daemon;
mod destinations;
mod error;
pub mod internal;
mod lines;
mod logins;
mod outline;
mod packing;
mod places;
mod policy;
mod registries;

pub use cmd::COMMANDS;

#[cfg(test)]
mod tests {
    use ctr_cli::verbs::{Program, mismatches};

    #[test]
    fn the_table_of_verbs_knows_ours() {
        assert_eq!(mismatches(Program::Copy, crate::COMMANDS), Vec::<String>::new());
    }
}
