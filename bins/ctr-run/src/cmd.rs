//! The verbs, one module each.

pub mod begin;
pub mod commit;
pub mod completion;
pub mod cp;
pub mod df;
pub mod doctor;
pub mod empty;
pub mod events;
pub mod exec;
pub mod exists;
mod format;
pub mod info;
pub mod inspect;
pub mod logs;
pub mod ps;
pub mod rm;
pub mod run;
mod select;
mod size;
pub mod start;
pub mod stop;
pub mod system;
pub mod top;
pub mod unshare;
pub mod version;
pub mod volume;
pub mod wait;
