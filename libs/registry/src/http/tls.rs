//! TLS, made in one place: whom we believe, who we say we are.
//!
//! A [`Profile`] is what `certs.d` and the flags say of a host; from it, and from the system's authorities, comes the one kind of
//! configuration that there is. Where a certificate shall not be believed but taken as it is (`--tls-verify=false`) the handshake
//! is checked all the same: who listens in still has to have the key of what was shown.
//!
//! What `openssl req -x509` makes is a certificate that is its own authority, and manuals of registries have people put that very
//! file into `certs.d`. A strict reading refuses it as that of a server; here it is believed for the names in it ([`Careful`]).

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use ctr_core::{file, limits};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// Where systems keep the authorities that they believe.
const BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Who we say we are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The certificate and those that it leads to.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// How one talks to a host over TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Profile {
    /// Whether any certificate will do.
    pub is_lenient: bool,
    /// Authorities that are believed besides those of the system.
    pub authorities: Vec<PathBuf>,
    /// Who we say we are, if the host asks.
    pub identity: Option<Identity>,
}

impl Profile {
    /// The same for whom the host leads to: who we are is told to the host alone.
    #[must_use]
    pub fn for_others(&self) -> Self {
        Self { identity: None, ..self.clone() }
    }

    /// The certificates of its authorities, each with its file.
    fn named(&self) -> Result<Vec<(&Path, CertificateDer<'static>)>, ProfileError> {
        let mut all = Vec::new();
        for path in &self.authorities {
            all.extend(certificates(path)?.into_iter().map(|certificate| (path.as_path(), certificate)));
        }
        Ok(all)
    }
}

/// A profile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// A file of it.
    #[error(transparent)]
    File(#[from] ctr_core::FileError),
    /// A file of it has not what it should have.
    #[error("{} holds no {what} that can be used", path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// What should be in it.
        what: &'static str,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The authorities that the system believes, which are read once, by who first talks over TLS.
#[derive(Debug, Default)]
pub struct Authorities {
    /// A bundle instead of the system's (`SSL_CERT_FILE`).
    pub bundle: Option<PathBuf>,
    read: OnceLock<Arc<RootCertStore>>,
}

impl Authorities {
    /// Those of the system, or of a bundle instead.
    #[must_use]
    pub const fn new(bundle: Option<PathBuf>) -> Self {
        Self { bundle, read: OnceLock::new() }
    }

    fn of_the_system(&self) -> Arc<RootCertStore> {
        let read = || {
            let system = || BUNDLES.iter().map(Path::new).find_map(|path| read(path).ok());
            let bytes = self.bundle.as_deref().map_or_else(system, |path| read(path).ok());
            let mut roots = RootCertStore::empty();
            // Of some hundred certificates a strange one is left out, as everywhere.
            let certificates = CertificateDer::pem_slice_iter(bytes.as_deref().unwrap_or_default());
            roots.add_parsable_certificates(certificates.filter_map(Result::ok));
            Arc::new(roots)
        };
        self.read.get_or_init(read).clone()
    }

    /// The configuration for a profile.
    pub fn configure(&self, profile: &Profile) -> Result<Arc<ClientConfig>, ProfileError> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone());
        // The provider is ours and has both versions.
        let builder = builder
            .with_safe_default_protocol_versions()
            .map_err(|source| content(Path::new("TLS"), "version", source))?;
        let builder = if profile.is_lenient {
            let verifier = Lenient { algorithms: provider.signature_verification_algorithms };
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
        } else {
            let named = profile.named()?;
            let roots = self.believed(&named)?;
            let usual = WebPkiServerVerifier::builder_with_provider(roots, provider).build();
            match usual {
                Ok(usual) => {
                    let verifier = Careful { usual, named: named.into_iter().map(|(_, it)| it).collect() };
                    builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
                }
                // Nobody is believed where there is not one authority.
                Err(_) => builder.with_root_certificates(RootCertStore::empty()),
            }
        };
        let config = match &profile.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let (certificates, key) = identity.read()?;
                let made = builder.with_client_auth_cert(certificates, key);
                made.map_err(|source| content(&identity.key, "key for its certificate", source))?
            }
        };
        Ok(Arc::new(config))
    }

    /// Those of the system and others.
    fn believed(
        &self,
        others: &[(&Path, CertificateDer<'static>)],
    ) -> Result<Arc<RootCertStore>, ProfileError> {
        let system = self.of_the_system();
        if others.is_empty() {
            return Ok(system);
        }
        let mut roots = RootCertStore::clone(&system);
        for (path, certificate) in others {
            roots.add(certificate.clone()).map_err(|source| content(path, "certificate", source))?;
        }
        Ok(Arc::new(roots))
    }
}

impl Identity {
    fn read(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), ProfileError> {
        let key = PrivateKeyDer::from_pem_slice(&read(&self.key)?);
        let key = key.map_err(|source| content(&self.key, "private key", source))?;
        Ok((certificates(&self.certificate)?, key))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ctr_core::FileError> {
    file::read(path, limits::CERTIFICATES)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ProfileError> {
    let bytes = read(path)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let all = all.map_err(|source| content(path, "certificate", source))?;
    if all.is_empty() {
        return Err(content(path, "certificate", "nothing in it is one"));
    }
    Ok(all)
}

fn content(
    path: &Path,
    what: &'static str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> ProfileError {
    ProfileError::Content { path: path.to_owned(), what, source: source.into() }
}

/// Believes authorities, and servers whose very certificate is among those that are named.
#[derive(Debug)]
struct Careful {
    usual: Arc<WebPkiServerVerifier>,
    named: Vec<CertificateDer<'static>>,
}

/// Whether the one thing that is wrong with a server's certificate is that it is an authority's. By then it was seen not to be over.
fn is_an_authority(error: &rustls::Error) -> bool {
    // The verifier's own kinds of errors are told by their names alone.
    matches!(error, rustls::Error::InvalidCertificate(CertificateError::Other(other)) if other.to_string() == "CaUsedAsEndEntity")
}

impl ServerCertVerifier for Careful {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.usual.verify_server_cert(certificate, others, name, ocsp, now) {
            Err(error) if is_an_authority(&error) && self.named.contains(certificate) => {
                verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.usual.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.usual.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}

/// Takes every certificate, and checks that who shows one has its key.
#[derive(Debug)]
struct Lenient {
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _others: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
