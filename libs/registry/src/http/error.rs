//! How talking to a host fails, and which of that may pass by itself.

use std::io;
use std::time::Duration;

use super::resolve::ResolveError;
use super::tls::ProfileError;
use super::url::UrlError;

/// A request was not answered.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The name of the host.
    #[error("cannot find {host}")]
    Resolve {
        /// Whose.
        host: String,
        /// Why.
        #[source]
        source: ResolveError,
    },
    /// None of its addresses can be reached.
    #[error("cannot connect to {to}")]
    Connect {
        /// Where.
        to: String,
        /// Why not the last one.
        #[source]
        source: io::Error,
    },
    /// The host, or a proxy before it, took too long.
    #[error("{what} took longer than {} s", after.as_secs())]
    Slow {
        /// What was waited for.
        what: &'static str,
        /// How long.
        after: Duration,
    },
    /// TLS.
    #[error("cannot talk to {host} over TLS")]
    Tls {
        /// Whom.
        host: String,
        /// Why.
        #[source]
        source: rustls::Error,
    },
    /// The other side ended TLS, or broke its rules: it may not like our certificate.
    #[error("TLS ended while {doing}")]
    Ended {
        /// What was being done.
        doing: &'static str,
        /// How.
        #[source]
        source: rustls::Error,
    },
    /// What answered does not speak TLS.
    #[error("http: server gave HTTP response to HTTPS client")]
    InTheClear,
    /// A file of certificates or keys.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// The connection ended, or broke, in the middle of something.
    #[error("the connection broke while {doing}")]
    Broken {
        /// What was being done.
        doing: &'static str,
        /// How.
        #[source]
        source: io::Error,
    },
    /// The answer follows no rules.
    #[error("the host's answer is {0}")]
    Malformed(&'static str),
    /// It leads somewhere that cannot be followed.
    #[error("the host leads to an address that cannot be followed")]
    Location(#[from] UrlError),
    /// It leads in a circle, or out of TLS.
    #[error("the host leads {0}")]
    Astray(&'static str),
    /// The proxy does not let us through.
    #[error("the proxy {proxy} answered {status}")]
    Proxy {
        /// Which.
        proxy: String,
        /// Its answer.
        status: u16,
    },
    /// What was to be sent could not be read.
    #[error("cannot read what is to be sent")]
    Payload(#[source] io::Error),
    /// The answer is longer than it may be.
    #[error("the host's answer is longer than {limit} bytes")]
    TooLong {
        /// What it may have.
        limit: u64,
    },
}

impl HttpError {
    /// Whether asking again may help. A host that is not there, or not who it should be, will not be in a second.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Broken { .. } | Self::Slow { .. } => true,
            Self::Connect { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::TimedOut | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted
            ),
            Self::Resolve { source: ResolveError::NoAnswer { .. }, .. } => true,
            Self::Proxy { status, .. } => matches!(status, 502..=504),
            _ => false,
        }
    }

    /// What reading the body of an answer failed with.
    #[must_use]
    pub fn reading(error: io::Error) -> Self {
        Self::of(error, "reading an answer", super::Patience::default().idle)
    }

    /// Finds the error of ours within one of reading or writing.
    pub(super) fn of(error: io::Error, doing: &'static str, patience: Duration) -> Self {
        if error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<Self>) {
            match error.into_inner().map(<dyn std::error::Error + Send + Sync>::downcast::<Self>) {
                Some(Ok(inner)) => return *inner,
                _ => return Self::Malformed("an error without a cause"),
            }
        }
        // A time limit of a socket is this or that, depending on the system.
        if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) {
            return Self::Slow { what: doing, after: patience };
        }
        if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return Self::Ended { doing, source: tls.clone() };
        }
        Self::Broken { doing, source: error }
    }
}

impl From<HttpError> for io::Error {
    fn from(error: HttpError) -> Self {
        Self::other(error)
    }
}
