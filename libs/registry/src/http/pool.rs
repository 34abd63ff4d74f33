//! Connections that rest until something else is asked of their host.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::proxy::Proxy;
use super::tls::Profile;
use super::url::Origin;

/// How long one rests: servers close theirs after a minute or less.
const REST: Duration = Duration::from_secs(20);
/// How many rest for one host.
const MOST: usize = 8;

/// What a connection can be used for: one over which somebody showed a certificate is for nobody else.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) origin: Origin,
    pub(super) proxy: Option<Proxy>,
    pub(super) profile: Profile,
}

/// Connections that rest.
#[derive(Debug, Default)]
pub(super) struct Pool(Mutex<HashMap<Key, Vec<(Connection, Instant)>>>);

impl Pool {
    /// Takes one that can still be used.
    pub(super) fn take(&self, key: &Key) -> Option<Connection> {
        let mut resting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let connections = resting.get_mut(key)?;
        while let Some((connection, since)) = connections.pop() {
            if since.elapsed() < REST && connection.is_silent() {
                return Some(connection);
            }
        }
        None
    }

    /// Lets one rest.
    pub(super) fn put(&self, key: Key, connection: Connection) {
        let mut resting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let connections = resting.entry(key).or_default();
        if connections.len() < MOST {
            connections.push((connection, Instant::now()));
        }
    }
}
