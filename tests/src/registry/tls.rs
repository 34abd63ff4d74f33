//! TLS over a connection.

use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::ring::default_provider;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::certificates::{Identity, certificates};
use super::serve::Wrap;
use super::wire::Stream;

/// Who the server is, and who may talk to it.
#[derive(Debug, Clone)]
pub struct Tls {
    /// Who it is.
    pub server: Identity,
    /// Clients must show a certificate of this authority's.
    pub clients: Option<PathBuf>,
}

impl Stream for StreamOwned<ServerConnection, TcpStream> {
    fn close(&mut self) {
        self.conn.send_close_notify();
        // The client may be gone: then it is not told.
        drop(self.conn.complete_io(&mut self.sock));
    }
}

/// Speaks TLS with each client that believes us, and, if so wanted, that we believe.
pub(super) fn wrap(tls: &Tls) -> Wrap {
    let provider = Arc::new(default_provider());
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let config = config.with_safe_default_protocol_versions().expect("versions");
    let config = match &tls.clients {
        None => config.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(certificates(authority));
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            config.with_client_cert_verifier(verifier.build().expect("an authority"))
        }
    };
    let config = config.with_single_cert(tls.server.chain(), tls.server.private_key()).expect("an identity");
    let config = Arc::new(config);
    Arc::new(move |mut socket| {
        let mut session = ServerConnection::new(Arc::clone(&config)).expect("a session");
        while session.is_handshaking() {
            session.complete_io(&mut socket).ok()?;
        }
        Some(Box::new(StreamOwned::new(session, socket)))
    })
}
