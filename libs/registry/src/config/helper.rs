//! Programs that keep logins: `docker-credential-NAME get|store|erase|list`.
//!
//! # Theory of operation
//! The verb is the argument, the question goes to standard input, the answer comes on standard output; a helper that
//! fails says why there too. It runs in an environment that is handed in ([`is_for_helpers`] says what of ours it may see: what
//! keyrings and the clouds' helpers need), is looked for in absolute folders of its PATH only, has [`PATIENCE`] to
//! answer, since a keyring may ask its owner to unlock it, and may not say more than
//! [`limits::CREDENTIAL_HELPER`] bytes. It stays in our process group: one that asks on the terminal could not otherwise.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use ctr_core::foreign::for_terminal;
use ctr_core::limits;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};

use super::credentials::{Credentials, Secret};

/// How the names of helpers begin.
const PREFIX: &str = "docker-credential-";

/// How long a helper may take.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// What a helper says if it has no login.
const NOT_FOUND: &str = "credentials not found in native keychain";

/// The user in an answer that is an identity token.
const TOKEN: &str = "<token>";

/// How much of a failing helper's words is told.
const TOLD: usize = 400;

/// Variables that helpers may see.
const VARIABLES: &[&str] = &[
    "DBUS_SESSION_BUS_ADDRESS",
    "DISPLAY",
    "DOCKER_CONFIG",
    "GNUPGHOME",
    "GPG_AGENT_INFO",
    "GPG_TTY",
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "KRB5CCNAME",
    "LANG",
    "LOGNAME",
    "NO_PROXY",
    "PASSWORD_STORE_DIR",
    "PATH",
    "REGISTRY_AUTH_FILE",
    "SSH_AUTH_SOCK",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TERM",
    "TMPDIR",
    "TZ",
    "USER",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// How the names of others begin: of the desktop, the clouds and the keyrings.
const PREFIXES: &[&str] =
    &["AWS_", "AZURE_", "CLOUDSDK_", "GCLOUD_", "GITHUB_", "GOOGLE_", "LC_", "PASSWORD_STORE_", "XDG_"];

/// Whether a variable is one that helpers may see.
#[must_use]
pub fn is_for_helpers(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    VARIABLES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Whether this can be a helper's name: it becomes a part of a program's.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+".contains(&byte);
    !name.is_empty() && name.len() <= 128 && name.bytes().all(fits) && !name.starts_with('.')
}

/// A helper did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum HelperError {
    /// No program can have the name.
    #[error("{name:?} is no name of a credential helper")]
    Name {
        /// The name.
        name: String,
    },
    /// There is no such program.
    #[error("the credential helper {PREFIX}{name} is not installed: it is in no folder of PATH")]
    Missing {
        /// The name.
        name: String,
    },
    /// It cannot be run.
    #[error("cannot run the credential helper {}", program.display())]
    Run {
        /// The program.
        program: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It failed.
    #[error("the credential helper {} {verb} failed ({status}){}", program.display(), told(said))]
    Failed {
        /// The program.
        program: PathBuf,
        /// What was asked.
        verb: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// What it said, fit for a terminal.
        said: String,
    },
    /// It said nothing for too long.
    #[error("the credential helper {} {verb} did not end within {} seconds{}", program.display(), patience.as_secs(), told(said))]
    Silent {
        /// The program.
        program: PathBuf,
        /// What was asked.
        verb: &'static str,
        /// How long was waited.
        patience: Duration,
        /// What it said, fit for a terminal.
        said: String,
    },
    /// It said too much.
    #[error("the credential helper {} {verb} answered with more than {} bytes", program.display(), limits::CREDENTIAL_HELPER)]
    Verbose {
        /// The program.
        program: PathBuf,
        /// What was asked.
        verb: &'static str,
    },
    /// Its answer is not what was asked for.
    #[error("the credential helper {} {verb} answered with something else than {wanted}", program.display())]
    Nonsense {
        /// The program.
        program: PathBuf,
        /// What was asked.
        verb: &'static str,
        /// What the answer should have been. What it was is not told: it may be a password.
        wanted: &'static str,
    },
    /// A login is too long to be handed over.
    #[error(
        "a login of more than {} bytes cannot be given to the credential helper {PREFIX}{name}",
        limits::CREDENTIALS
    )]
    TooLong {
        /// The name.
        name: String,
    },
}

impl HelperError {
    /// Whether the program is not there.
    #[must_use]
    pub const fn is_missing(&self) -> bool {
        matches!(self, Self::Missing { .. })
    }
}

fn told(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": {said}") }
}

/// A helper's answer to `get`, and what `store` gets.
#[derive(Deserialize, Serialize)]
struct Login {
    #[serde(rename = "ServerURL", default)]
    server: String,
    #[serde(rename = "Username", default)]
    username: String,
    #[serde(rename = "Secret", default)]
    secret: String,
}

/// A helper.
#[derive(Debug, Clone)]
pub struct Helper<'a> {
    name: &'a str,
    environment: &'a [(OsString, OsString)],
    patience: Duration,
}

/// What a helper said, and how it ended.
struct Said {
    program: PathBuf,
    verb: &'static str,
    status: ExitStatus,
    out: Vec<u8>,
    err: Vec<u8>,
}

impl<'a> Helper<'a> {
    /// A helper by its name, `pass` for `docker-credential-pass`, and its environment.
    ///
    /// # Errors
    /// No program can have that name.
    pub fn new(name: &'a str, environment: &'a [(OsString, OsString)]) -> Result<Self, HelperError> {
        if is_name(name) {
            Ok(Self { name, environment, patience: PATIENCE })
        } else {
            Err(HelperError::Name { name: name.to_owned() })
        }
    }

    /// The login for a server, if the helper has one.
    ///
    /// # Errors
    /// The helper cannot be run or fails.
    pub fn get(&self, server: &str) -> Result<Option<Credentials>, HelperError> {
        let said = self.ask("get", server.as_bytes())?;
        if !said.status.success() {
            return if said.is_not_found() { Ok(None) } else { Err(said.failed()) };
        }
        let Ok(login) = serde_json::from_slice::<Login>(&said.out) else {
            return Err(said.nonsense("a user and a password"));
        };
        Ok(match login {
            Login { username, secret, .. } if username == TOKEN => Some(Credentials::identity(secret)),
            Login { username, secret, .. } if username.is_empty() && secret.is_empty() => None,
            Login { username, secret, .. } => {
                Some(Credentials { username, password: Secret::new(secret), identity_token: None })
            }
        })
    }

    /// Gives the helper a login to keep.
    ///
    /// # Errors
    /// The helper cannot be run or fails, or the login is too long.
    pub fn store(&self, server: &str, credentials: &Credentials) -> Result<(), HelperError> {
        let (username, secret) = match &credentials.identity_token {
            Some(token) => (TOKEN, token),
            None => (credentials.username.as_str(), &credentials.password),
        };
        let login = Login {
            server: server.to_owned(),
            username: username.to_owned(),
            secret: secret.reveal().to_owned(),
        };
        let text = serde_json::to_vec(&login).unwrap_or_default();
        let said = self.ask("store", &text)?;
        if said.status.success() { Ok(()) } else { Err(said.failed()) }
    }

    /// Has the helper forget a login; `false` is that it had none.
    ///
    /// # Errors
    /// The helper cannot be run or fails.
    pub fn erase(&self, server: &str) -> Result<bool, HelperError> {
        let said = self.ask("erase", server.as_bytes())?;
        match said.status.success() {
            true => Ok(true),
            false if said.is_not_found() => Ok(false),
            false => Err(said.failed()),
        }
    }

    /// The servers that the helper has logins for, and the users.
    ///
    /// # Errors
    /// The helper cannot be run or fails.
    pub fn list(&self) -> Result<BTreeMap<String, String>, HelperError> {
        let said = self.ask("list", b"unused")?;
        if !said.status.success() {
            return if said.is_not_found() { Ok(BTreeMap::new()) } else { Err(said.failed()) };
        }
        match serde_json::from_slice::<Option<BTreeMap<String, String>>>(&said.out) {
            Ok(servers) => Ok(servers.unwrap_or_default()),
            Err(_) => Err(said.nonsense("a list of servers")),
        }
    }

    /// The program, by the PATH that it will have itself.
    fn program(&self) -> Result<PathBuf, HelperError> {
        let path = self.environment.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path.as_os_str());
        let file = format!("{PREFIX}{}", self.name);
        let mut folders =
            std::env::split_paths(path.unwrap_or_default()).filter(|folder| folder.is_absolute());
        let found = folders.find_map(|folder| Some(folder.join(&file)).filter(|program| can_run(program)));
        found.ok_or_else(|| HelperError::Missing { name: self.name.to_owned() })
    }

    fn ask(&self, verb: &'static str, question: &[u8]) -> Result<Said, HelperError> {
        // So much fits into a pipe that nobody reads.
        if question.len() > limits::CREDENTIALS {
            return Err(HelperError::TooLong { name: self.name.to_owned() });
        }
        let program = self.program()?;
        let failed = |source| HelperError::Run { program: program.clone(), source };
        let mut command = Command::new(&program);
        command.arg(verb).env_clear().envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = Running(command.spawn().map_err(failed)?);
        if let Some(mut input) = child.0.stdin.take() {
            match input.write_all(question) {
                // One that needs no question may have ended.
                Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(failed(error)),
                _ => {}
            }
        }
        let mut ears = Ears::default();
        match ears.listen(&mut child.0, Instant::now() + self.patience).map_err(failed)? {
            Heard::All(status) => Ok(Said { program, verb, status, out: ears.out, err: ears.err }),
            Heard::TooMuch => Err(HelperError::Verbose { program, verb }),
            Heard::TooLate => {
                let said = tell(&ears.out, &ears.err);
                Err(HelperError::Silent { program, verb, patience: self.patience, said })
            }
        }
    }
}

fn can_run(program: &Path) -> bool {
    program.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

impl Said {
    fn is_not_found(&self) -> bool {
        self.out.trim_ascii() == NOT_FOUND.as_bytes()
    }

    fn failed(self) -> HelperError {
        let said = tell(&self.out, &self.err);
        HelperError::Failed { program: self.program, verb: self.verb, status: self.status, said }
    }

    fn nonsense(self, wanted: &'static str) -> HelperError {
        HelperError::Nonsense { program: self.program, verb: self.verb, wanted }
    }
}

/// What a helper that failed said, as far as it is told.
fn tell(out: &[u8], err: &[u8]) -> String {
    let said: Vec<_> =
        [out, err].into_iter().map(<[u8]>::trim_ascii).filter(|said| !said.is_empty()).collect();
    for_terminal(&said.join(&b' ')).chars().take(TOLD).collect()
}

/// A child that does not outlive its question.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended cannot be killed, which is as good.
        if matches!(self.0.try_wait(), Ok(None)) && self.0.kill().is_ok() {
            drop(self.0.wait());
        }
    }
}

/// What is heard of a child.
#[derive(Default)]
struct Ears {
    out: Vec<u8>,
    err: Vec<u8>,
}

/// How it ended.
enum Heard {
    All(ExitStatus),
    TooMuch,
    TooLate,
}

impl Ears {
    /// Listens until the child has ended. What it started may go on and keep the pipes: that is not waited for.
    fn listen(&mut self, child: &mut Child, deadline: Instant) -> std::io::Result<Heard> {
        let (Some(mut out), Some(mut err)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(ErrorKind::BrokenPipe.into());
        };
        ioctl_fionbio(&out, true)?;
        ioctl_fionbio(&err, true)?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
        let process = pidfd_open(pid, PidfdFlags::empty())?;
        let (mut out_open, mut err_open) = (true, true);
        loop {
            let ended = child.try_wait()?;
            out_open = out_open && hear(&mut out, &mut self.out)?;
            err_open = err_open && hear(&mut err, &mut self.err)?;
            if (self.out.len() + self.err.len()) as u64 > limits::CREDENTIAL_HELPER {
                return Ok(Heard::TooMuch);
            }
            if let Some(status) = ended {
                return Ok(Heard::All(status));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Heard::TooLate);
            }
            let mut fds = vec![PollFd::new(&process, PollFlags::IN)];
            let open = [out_open.then(|| out.as_fd()), err_open.then(|| err.as_fd())];
            fds.extend(open.into_iter().flatten().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
            let limit = Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            };
            match poll(&mut fds, Some(&limit)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Reads what is there; whether there may be more.
fn hear(from: &mut impl Read, to: &mut Vec<u8>) -> std::io::Result<bool> {
    let mut chunk = [0; 4096];
    while to.len() as u64 <= limits::CREDENTIAL_HELPER {
        match from.read(&mut chunk) {
            Ok(0) => return Ok(false),
            Ok(len) => to.extend(chunk.iter().take(len)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs;

    use super::*;

    /// A folder with helpers that are scripts, and an environment for them.
    pub(in crate::config) struct Keyring {
        pub(in crate::config) folder: tempfile::TempDir,
        pub(in crate::config) environment: Vec<(OsString, OsString)>,
    }

    impl Keyring {
        pub(in crate::config) fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = format!("relative:{}:/usr/bin:/bin", folder.path().display());
            let environment = vec![("PATH".into(), path.into()), ("HOME".into(), folder.path().into())];
            Self { folder, environment }
        }

        /// A helper that is a script.
        pub(in crate::config) fn script(&self, name: &str, script: &str) {
            let path = self.folder.path().join(format!("{PREFIX}{name}"));
            // Renamed into place by another program: one that was just written here may still be open in a child of
            // another test, and cannot be run then.
            let draft = path.with_extension("draft");
            fs::write(&draft, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&draft, fs::Permissions::from_mode(0o755)).unwrap();
            let copied = Command::new("cp").arg("-p").args([&draft, &path]).status().unwrap();
            assert!(copied.success());
        }

        /// A helper that keeps logins in files.
        pub(in crate::config) fn keeping(&self, name: &str) {
            self.script(
                name,
                r#"
                cd "$HOME" || exit 2
                name() { printf %s "$1" | tr -c a-z0-9 _; }
                case "$1" in
                  get) read -r server || :; cat "kept.$(name "$server")" 2>/dev/null ||
                    { echo "credentials not found in native keychain"; exit 1; } ;;
                  store) login=$(cat); server=$(printf %s "$login" | sed 's/.*"ServerURL":"\([^"]*\)".*/\1/')
                    printf %s "$login" >"kept.$(name "$server")" ;;
                  erase) read -r server || :; rm "kept.$(name "$server")" 2>/dev/null ||
                    { echo "credentials not found in native keychain"; exit 1; } ;;
                  list) echo '{"a.example":"bob","b.example":"eve"}' ;;
                esac"#,
            );
        }

        fn helper<'a>(&'a self, name: &'a str) -> Helper<'a> {
            Helper { patience: Duration::from_secs(20), ..Helper::new(name, &self.environment).unwrap() }
        }
    }

    #[test]
    fn a_login_is_kept_told_and_forgotten() {
        let keyring = Keyring::new();
        keyring.keeping("file");
        let helper = keyring.helper("file");
        assert_eq!(helper.get("a.example").unwrap(), None);
        let login = Credentials::new("bob", "s\"w\\ord\nfish");
        helper.store("a.example", &login).unwrap();
        assert_eq!(helper.get("a.example").unwrap(), Some(login));
        assert!(helper.erase("a.example").unwrap());
        assert!(!helper.erase("a.example").unwrap());
        let token = Credentials::identity("long");
        helper.store("a.example", &token).unwrap();
        assert_eq!(helper.get("a.example").unwrap(), Some(token));
        let users: Vec<_> = helper.list().unwrap().into_values().collect();
        assert_eq!(users, ["bob", "eve"]);
    }

    #[test]
    fn a_helper_sees_nothing_but_what_it_is_given() {
        let keyring = Keyring::new();
        keyring.script(
            "env",
            r#"[ -z "$CARGO_MANIFEST_DIR" ] && echo "{\"Username\":\"$HOME\",\"Secret\":\"$(cat)\"}""#,
        );
        let found = keyring.helper("env").get("a.example").unwrap().unwrap();
        assert_eq!(found.username, keyring.folder.path().to_str().unwrap());
        assert_eq!(found.password.reveal(), "a.example");
    }

    #[test]
    fn trouble_is_told_with_the_helpers_name() {
        let keyring = Keyring::new();
        keyring.script("broken", "echo 'keyring is \u{1b}[31mlocked'; echo see the manual >&2; exit 3");
        keyring.script("odd", "echo swordfish");
        keyring.script("loud", "yes swordfish");
        keyring.script("ended", "exit 0");
        for (name, expected) in [
            (
                "broken",
                "docker-credential-broken get failed (exit status: 3): keyring is \\x1b[31mlocked see the manual",
            ),
            ("odd", "docker-credential-odd get answered with something else than a user and a password"),
            ("ended", "docker-credential-ended get answered with something else than a user and a password"),
            ("loud", "docker-credential-loud get answered with more than"),
            ("gone", "the credential helper docker-credential-gone is not installed"),
        ] {
            let error = keyring.helper(name).get("a.example").unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains("swordfish"), "{error}");
        }
        let long = Credentials::new("bob", "x".repeat(limits::CREDENTIALS));
        let error = keyring.helper("odd").store("a.example", &long).unwrap_err();
        assert!(matches!(error, HelperError::TooLong { .. }));
    }

    #[test]
    fn a_helper_that_hangs_is_ended_and_its_children_are_not_waited_for() {
        let keyring = Keyring::new();
        keyring.script("hangs", "echo waiting >&2; exec sleep 1000");
        let helper = Helper { patience: Duration::from_millis(300), ..keyring.helper("hangs") };
        let error = helper.get("a.example").unwrap_err();
        assert!(matches!(&error, HelperError::Silent { .. }), "{error}");
        // Its child holds the pipe for longer than anybody waits.
        keyring.script(
            "leaves",
            r#"sleep 100 & echo $! >"$HOME/child"; echo '{"Username":"bob","Secret":"x"}'"#,
        );
        let start = Instant::now();
        assert_eq!(keyring.helper("leaves").get("a.example").unwrap(), Some(Credentials::new("bob", "x")));
        assert!(start.elapsed() < Duration::from_secs(15));
        let child = fs::read_to_string(keyring.folder.path().join("child")).unwrap();
        let child = Pid::from_raw(child.trim().parse().unwrap()).unwrap();
        rustix::process::kill_process(child, rustix::process::Signal::KILL).unwrap();
    }

    #[test]
    fn names_are_names() {
        for name in ["pass", "ecr-login", "osxkeychain", "a.b_c+d"] {
            assert!(is_name(name));
        }
        for name in ["", "../x", "a/b", "a b", ".x", "a;b", "é"] {
            assert!(!is_name(name), "{name}");
            assert!(Helper::new(name, &[]).is_err());
        }
    }

    #[test]
    fn what_helpers_may_see() {
        for name in ["PATH", "HOME", "DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR", "AWS_PROFILE", "GPG_TTY"]
        {
            assert!(is_for_helpers(OsStr::new(name)), "{name}");
        }
        for name in ["LD_PRELOAD", "BASH_ENV", "CTR_RUN_DIR", "DATABASE_PASSWORD"] {
            assert!(!is_for_helpers(OsStr::new(name)), "{name}");
        }
    }
}
