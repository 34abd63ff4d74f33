//! `ctr run` and what goes with it, from the outside, as a user sees it.

mod commit;
mod config;
mod create;
mod debian;
mod environment;
mod events;
mod exec;
mod files;
mod first;
mod kept;
mod lifecycle;
mod list;
mod logs;
mod machine;
mod mounts;
mod namespaces;
mod program;
mod refused;
mod rights;
mod stop;
mod system;
mod terminal;
mod top;
mod user;
mod volume_verbs;
mod volumes;
