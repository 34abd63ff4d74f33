//! Registries: the client of the distribution protocol, who may ask for what, and images between registries and all other places.
//!
//! ```text
//! what users wrote   registries.conf, auth.json, certs.d, policy.json         [`config`]
//! how bytes go       connections, TLS, requests and answers                   [`http`]
//! who asks           challenges, tokens, passwords                            [`auth`]
//! what is asked      manifests, blobs, uploads, tags                          `client`
//! what it is for     a registry as a source and as a sink of images           `source`, `sink`
//! ```

#![forbid(unsafe_code)]

pub mod auth;
pub mod base64;
pub mod client;
pub mod config;
pub mod error;
pub mod http;

pub mod retry;

pub use error::{Asked, RegistryError, Why};
