//! Certificates for one test, made by the `openssl` program: an authority, and who is known to it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::SigningKey;
use serde_json::{Value, json};

use super::message::{base64, base64url};

/// What the certificates are for. An own file, since what a machine's file adds to each is not known.
const CONFIGURATION: &str = "\
[req]\ndistinguished_name = name\n[name]\n\
[authority]\nbasicConstraints = critical,CA:true\nkeyUsage = critical,keyCertSign\nsubjectKeyIdentifier = hash\n\
[server]\nsubjectAltName = DNS:localhost,IP:127.0.0.1\nextendedKeyUsage = serverAuth\n\
[itself]\nbasicConstraints = critical,CA:true\nsubjectAltName = IP:127.0.0.1\n\
[elsewhere]\nbasicConstraints = critical,CA:true\nsubjectAltName = DNS:elsewhere.example\n\
[client]\nextendedKeyUsage = clientAuth\n\
[tokens]\nkeyUsage = digitalSignature\n";

const ELLIPTIC: &[&str] = &["ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
const RSA: &[&str] = &["rsa:2048"];

/// A certificate and its key, as PEM in files.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate: PathBuf,
    /// The key.
    pub key: PathBuf,
}

/// A certificate authority that nobody knows but a test.
#[derive(Debug, Clone)]
pub struct Authority {
    dir: PathBuf,
    own: Identity,
}

impl Authority {
    /// Makes one, whose files and whose clients' files are in this directory, which is made too.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        std::fs::create_dir_all(dir).expect("a directory");
        std::fs::write(dir.join("openssl.cnf"), CONFIGURATION).expect("a file");
        let own = Identity { certificate: dir.join("authority.pem"), key: dir.join("authority.key") };
        let authority = Self { dir: dir.to_owned(), own };
        authority.make("authority", "authority", ELLIPTIC, &[]);
        authority
    }

    /// Its certificate.
    #[must_use]
    pub fn certificate(&self) -> &Path {
        &self.own.certificate
    }

    /// A certificate for a server at `localhost` and 127.0.0.1.
    #[must_use]
    pub fn server(&self) -> Identity {
        self.sign("server", "server", ELLIPTIC)
    }

    /// What `openssl req -x509` makes for a server at 127.0.0.1, as manuals have it: one that is its own authority.
    #[must_use]
    pub fn by_itself(&self) -> Identity {
        self.make("itself", "itself", ELLIPTIC, &[])
    }

    /// The same for a server of another name.
    #[must_use]
    pub fn elsewhere_by_itself(&self) -> Identity {
        self.make("elsewhere", "elsewhere", ELLIPTIC, &[])
    }

    /// A certificate for a client of this name.
    #[must_use]
    pub fn client(&self, name: &str) -> Identity {
        self.sign(name, "client", ELLIPTIC)
    }

    /// A key that tokens are signed with.
    #[must_use]
    pub fn signer(&self) -> Signer {
        Signer::new(&self.sign("tokens", "tokens", RSA))
    }

    /// Fills a directory as those of `certs.d` are: what is trusted, and who one is.
    pub fn write_certs(&self, dir: &Path, client: Option<&Identity>) {
        std::fs::create_dir_all(dir).expect("a directory");
        let copy = |from: &Path, name: &str| {
            let _bytes = std::fs::copy(from, dir.join(name)).expect("a file");
        };
        copy(self.certificate(), "ca.crt");
        if let Some(client) = client {
            copy(&client.certificate, "client.cert");
            copy(&client.key, "client.key");
        }
    }

    fn sign(&self, name: &str, section: &str, key: &[&str]) -> Identity {
        let own = [&self.own.certificate, &self.own.key].map(|path| path.to_str().expect("a path in UTF-8"));
        self.make(name, section, key, &["-CA", own[0], "-CAkey", own[1]])
    }

    fn make(&self, name: &str, section: &str, key: &[&str], by: &[&str]) -> Identity {
        let file = |suffix: &str| self.dir.join(format!("{name}.{suffix}"));
        let identity = Identity { certificate: file("pem"), key: file("key") };
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-noenc", "-days", "2", "-newkey"]).args(key).args(by);
        openssl.args(["-extensions", section, "-subj", &format!("/CN={name}"), "-config"]);
        openssl.arg(self.dir.join("openssl.cnf"));
        openssl.arg("-keyout").arg(&identity.key).arg("-out").arg(&identity.certificate);
        let output = openssl.stdin(Stdio::null()).output().expect("openssl: scripts/set-up test installs it");
        assert!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr));
        identity
    }
}

impl Identity {
    pub(super) fn chain(&self) -> Vec<CertificateDer<'static>> {
        certificates(&self.certificate)
    }

    pub(super) fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_file(&self.key).expect("a key")
    }
}

pub(super) fn certificates(path: &Path) -> Vec<CertificateDer<'static>> {
    let all = CertificateDer::pem_file_iter(path).expect("a file of certificates");
    all.collect::<Result<_, _>>().expect("certificates")
}

/// Signs JSON web tokens, with the certificate that it may beside the signature.
#[derive(Debug, Clone)]
pub struct Signer {
    key: Arc<dyn SigningKey>,
    certificate: String,
}

impl Signer {
    fn new(identity: &Identity) -> Self {
        let key = any_supported_type(&identity.private_key()).expect("a key for signatures");
        let certificate = base64(identity.chain().first().expect("a certificate"));
        Self { key, certificate }
    }

    /// A token with these claims.
    pub(super) fn token(&self, claims: &Value) -> String {
        let header = json!({ "typ": "JWT", "alg": "RS256", "x5c": [self.certificate] });
        let parts = [header.to_string(), claims.to_string()].map(|part| base64url(part.as_bytes()));
        let text = parts.join(".");
        let signer = self.key.choose_scheme(&[SignatureScheme::RSA_PKCS1_SHA256]).expect("an RSA key");
        let signature = signer.sign(text.as_bytes()).expect("a signature");
        format!("{text}.{}", base64url(&signature))
    }
}
