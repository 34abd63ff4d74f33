//! Registries: the client of the distribution protocol, who may ask for what, and images between registries and all other places.
//!
//! ```text
//! what users wrote   registries.conf, auth.json, certs.d, policy.json         [`config`]
//! how bytes go       connections, TLS, requests and answers                   [`http`]
//! who asks           challenges, tokens, passwords                            [`auth`]
//! what is asked      manifests, blobs, uploads, tags                          [`client`]
//! what it is for     a registry as a place to copy images from and to         [`source`], [`sink`]
//! beside them        a daemon of Docker's, by its socket                      [`daemon`]
//! ```

#![forbid(unsafe_code)]

pub mod auth;
pub mod base64;
pub mod client;
pub mod config;
pub mod daemon;
pub mod error;
pub mod http;
pub mod retry;
pub mod sink;
pub mod source;

pub use error::{About, Asked, RegistryError, Why};
