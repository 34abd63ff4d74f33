//! What the user sees: verbs and their flags, help, errors and exit codes, tables, templates and JSON.
//!
//! [`app::main`] is the front of every program. A verb is constant data ([`usage::Verb`]) with a function that does it
//! ([`app::Command`]); it speaks through [`ui::Ui`], and what it returns becomes the exit code ([`exit`]) and the lines on
//! standard error ([`report`]).
#![forbid(unsafe_code)]

pub mod app;
pub mod authfile;
pub mod columns;
pub mod complete;
pub mod config;
pub mod dispatch;
pub mod exit;
mod globals;
pub mod human;
pub mod json;
pub mod log;
pub mod man;
pub mod peers;
pub mod progress;
pub mod release;
pub mod report;
mod secret;
pub mod template;
mod text;
pub mod ui;
pub mod usage;
pub mod verbs;
pub mod voice;

pub use globals::Globals;
