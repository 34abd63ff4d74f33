//! What users and administrators wrote about registries, as podman, buildah and skopeo read it.
//!
//! ```text
//! registries.conf            where an image of a name is to be fetched, and what a short name means   [`registries`]
//! short-name-aliases.conf    which short name means what to this user                                [`aliases`]
//! auth.json, config.json     who we are to a registry, or which program knows                        [`auth_file`], [`logins`]
//! docker-credential-…        those programs                                                          [`helper`]
//! certs.d                    whose word for a registry we take, and who we are in TLS                [`certs`]
//! policy.json                which images may be used at all                                         [`policy`]
//! ```
//!
//! What reads text is apart from what looks for files, and both from the environment: whoever calls hands that in
//! ([`Environment`]). Nothing of all this is kept: a file is read when it is asked for.

pub mod aliases;
pub mod auth_file;
pub mod certs;
pub mod credentials;
mod environment;
pub mod helper;
pub mod logins;
mod members;
pub mod policy;
pub mod registries;

pub use aliases::UserAliases;
pub use certs::Certificates;
pub use credentials::{Credentials, LoginKey, Secret};
pub use environment::{Environment, Machine};
pub use logins::Logins;
pub use policy::Policy;
pub use registries::Registries;
