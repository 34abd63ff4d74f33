//! Docker's registry, as Debian has it, on loopback and in memory: a second opinion on what registries do.
//!
//! | set-up | how clients are known |
//! |---|---|
//! | [`Real::plain`] | http, anybody |
//! | [`Real::with_passwords`] | TLS, htpasswd |
//! | [`Real::with_certificates`] | TLS, certificates of clients |
//! | [`Real::with_tokens`] | TLS, tokens of our own [server](Registry) of tokens, which speaks TLS too |

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

use tempfile::TempDir;

use super::certificates::{Authority, Identity};
use super::serve::Port;
use super::tls::Tls;
use super::{Auth, DEADLINE, Options, Registry, Side};

/// How often a port is tried that somebody else may have taken meanwhile.
const TRIES: usize = 10;

/// Docker's registry, which runs until this is dropped.
#[derive(Debug)]
pub struct Real {
    process: Process,
    address: SocketAddr,
    certs: PathBuf,
    authority: Option<Authority>,
    tokens: Option<Registry>,
    _dir: TempDir,
}

/// A way to set the registry up, and what is said to whoever asks it as somebody who may.
#[derive(Debug)]
pub struct SetUp {
    /// The registry.
    pub registry: Real,
    flags: Vec<String>,
}

impl SetUp {
    /// The flags that say who asks, with something in front of their names.
    #[must_use]
    pub fn flags(&self, side: &str) -> Vec<String> {
        self.flags.iter().map(|flag| flag.replacen("--", &format!("--{side}"), 1)).collect()
    }
}

impl Real {
    /// All four: plain, with passwords, with certificates of clients, with tokens. What is trusted is below this directory.
    #[must_use]
    pub fn set_ups(dir: &Path) -> [SetUp; 4] {
        let auth = Auth::tokens().user("ann", "secret").may("ann", "", "pull,push");
        let password = "--creds=ann:secret";
        let all: [(Self, Option<&str>); 4] = [
            (Self::plain(), Some("--tls-verify=false")),
            (Self::with_passwords(&[("ann", "secret")]), Some(password)),
            (Self::with_certificates(), None),
            (Self::with_tokens(auth), Some(password)),
        ];
        all.map(|(registry, flag)| {
            let certs = dir.join(registry.host().replace(':', "-"));
            std::fs::create_dir_all(&certs).expect("a folder");
            if registry.certs().join("ca.crt").exists() {
                let _identity = registry.client(&certs);
            }
            let flags =
                flag.map(str::to_owned).into_iter().chain([format!("--cert-dir={}", certs.display())]);
            SetUp { registry, flags: flags.collect() }
        })
    }

    /// Over http, for anybody.
    #[must_use]
    pub fn plain() -> Self {
        Self::start(folder(), None, None, "")
    }

    /// Over TLS, for those with a password.
    #[must_use]
    pub fn with_passwords(users: &[(&str, &str)]) -> Self {
        let dir = folder();
        let authority = Authority::new(&dir.path().join("authority"));
        let file = dir.path().join("htpasswd");
        let lines: String = users.iter().map(|(user, password)| htpasswd(user, password)).collect();
        std::fs::write(&file, lines).expect("a file");
        let auth = format!("auth:\n  htpasswd:\n    realm: real\n    path: {}\n", file.display());
        Self::start(dir, Some((authority, false)), None, &auth)
    }

    /// Over TLS, for those with a certificate: see [`Real::client`].
    #[must_use]
    pub fn with_certificates() -> Self {
        let dir = folder();
        let authority = Authority::new(&dir.path().join("authority"));
        Self::start(dir, Some((authority, true)), None, "")
    }

    /// Over TLS, for those with a token.
    #[must_use]
    pub fn with_tokens(mut auth: Auth) -> Self {
        let dir = folder();
        let authority = Authority::new(&dir.path().join("authority"));
        auth.signer = Some(authority.signer());
        let service = auth.service.clone();
        let tls = Some(Tls { server: authority.server(), clients: None });
        let tokens = Registry::with(Options { auth, tls, ..Options::default() });
        let auth = format!(
            "auth:\n  token:\n    realm: {}/token\n    service: {service}\n    issuer: {service}\n    rootcertbundle: {}\n",
            tokens.url(Side::Tokens),
            authority.certificate().display()
        );
        Self::start(dir, Some((authority, false)), Some(tokens), &auth)
    }

    fn start(dir: TempDir, tls: Option<(Authority, bool)>, tokens: Option<Registry>, auth: &str) -> Self {
        let certs = dir.path().join("certs");
        std::fs::create_dir(&certs).expect("a directory");
        let http = tls.as_ref().map(|(authority, clients)| tls_lines(authority, *clients, &certs));
        let authority = tls.map(|(authority, _)| authority);
        let mut last = String::new();
        for _ in 0..TRIES {
            // The port is given back before the registry takes it.
            let address = Port::new().address();
            let text = configuration(address, http.as_deref().unwrap_or_default(), auth);
            let file = dir.path().join("config.yml");
            std::fs::write(&file, text).expect("a file");
            match Process::start(&file) {
                Ok(process) => return Self { process, address, certs, authority, tokens, _dir: dir },
                Err(said) if said.contains("address already in use") => last = said,
                Err(said) => panic!("docker-registry does not start: {said}"),
            }
        }
        panic!("docker-registry finds no port: {last}");
    }

    /// Host and port, as they stand in an image's name.
    #[must_use]
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A directory as those of `certs.d` are, with the authority that it is known to; empty when it speaks http.
    #[must_use]
    pub fn certs(&self) -> &Path {
        &self.certs
    }

    /// Makes another such directory, with a certificate for a client.
    ///
    /// # Panics
    /// When it speaks http.
    pub fn client(&self, dir: &Path) -> Identity {
        let authority = self.authority.as_ref().expect("TLS");
        let client = authority.client("client");
        authority.write_certs(dir, Some(&client));
        client
    }

    /// The server of tokens.
    ///
    /// # Panics
    /// When it asks for none.
    #[must_use]
    pub fn tokens(&self) -> &Registry {
        self.tokens.as_ref().expect("tokens")
    }

    /// What it said so far.
    #[must_use]
    pub fn said(&self) -> String {
        self.process.said()
    }
}

fn folder() -> TempDir {
    tempfile::Builder::new().prefix("ctr-registry.").tempdir_in(crate::env::base()).expect("a directory")
}

/// A line with as little work in it as bcrypt can have.
fn htpasswd(user: &str, password: &str) -> String {
    let output = Command::new("htpasswd").args(["-nbB", "-C", "4", user, password]).output();
    let output = output.expect("htpasswd: scripts/set-up test installs it");
    assert!(output.status.success(), "htpasswd: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("a line").trim().to_owned() + "\n"
}

fn tls_lines(authority: &Authority, clients: bool, certs: &Path) -> String {
    authority.write_certs(certs, None);
    let Identity { certificate, key } = authority.server();
    let (certificate, key) = (certificate.display(), key.display());
    let mut lines = format!("  tls:\n    certificate: {certificate}\n    key: {key}\n");
    if clients {
        lines.extend(["    clientcas:\n      - ", &authority.certificate().display().to_string(), "\n"]);
    }
    lines
}

fn configuration(address: SocketAddr, tls: &str, auth: &str) -> String {
    format!(
        "version: 0.1\nlog:\n  level: info\n  accesslog:\n    disabled: true\n\
        storage:\n  inmemory: {{}}\n  delete:\n    enabled: true\n\
        http:\n  addr: {address}\n  secret: of-a-test\n{tls}{auth}"
    )
}

/// The process, and what it says.
#[derive(Debug)]
struct Process {
    child: Child,
    heard: Arc<(Mutex<Heard>, Condvar)>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Heard {
    text: String,
    listens: bool,
    ended: bool,
}

impl Process {
    /// Starts it, and waits until it listens. What it said, when it ends instead.
    fn start(configuration: &Path) -> Result<Self, String> {
        // It ends with the thread that made it, if that ends without a word.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "docker-registry", "serve"]).arg(configuration);
        command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("setpriv");
        let stderr = child.stderr.take().expect("a pipe");
        let heard = Arc::<(Mutex<Heard>, Condvar)>::default();
        let theirs = Arc::clone(&heard);
        let reader = std::thread::Builder::new().name("docker-registry".to_owned());
        let reader = reader.spawn(move || listen(stderr, &theirs)).expect("a thread");
        let process = Self { child, heard, reader: Some(reader) };
        if process.waits_for_clients() { Ok(process) } else { Err(process.said()) }
    }

    fn waits_for_clients(&self) -> bool {
        let (heard, changed) = &*self.heard;
        let heard = heard.lock().expect("no panic under the lock");
        let waited = changed.wait_timeout_while(heard, DEADLINE, |heard| !heard.listens && !heard.ended);
        let (heard, waited) = waited.expect("no panic under the lock");
        assert!(!waited.timed_out(), "docker-registry neither listens nor ends: {}", heard.text);
        heard.listens
    }

    fn said(&self) -> String {
        self.heard.0.lock().expect("no panic under the lock").text.clone()
    }
}

fn listen(stderr: ChildStderr, heard: &(Mutex<Heard>, Condvar)) {
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        let mut heard_so_far = heard.0.lock().expect("no panic under the lock");
        heard_so_far.text.extend([&line, "\n"]);
        heard_so_far.listens |= line.contains("listening on ");
        heard.1.notify_all();
    }
    heard.0.lock().expect("no panic under the lock").ended = true;
    heard.1.notify_all();
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
        drop(self.reader.take().map(JoinHandle::join));
    }
}
