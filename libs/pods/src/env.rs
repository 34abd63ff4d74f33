//! The environment of a container's process: constructed, never inherited.
//!
//! Lowest first: the defaults, the configuration, the image, `--http-proxy`, `--env-host`, `--env-file`, `-e`. `--unsetenv` and
//! `--unsetenv-all` take away what comes from the defaults and the image; what the user names stays.
//!
//! # Invariants
//! An image's entry is only ever a name and a value: `A` or `A*` of an image never looks at the host's environment
//! (CVE-2026-57231). Only flags and files of the user do.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where programs are looked for when nothing says otherwise.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// One string of an environment can have this many bytes, its end included (the kernel's MAX_ARG_STRLEN).
const MAX_ENTRY: usize = 128 * 1024;

/// A file given by `--env-file` can have this many bytes.
pub const MAX_FILE: usize = 4 << 20;

/// The proxies that `--http-proxy` hands on, each in both cases.
const PROXIES: [&str; 5] = ["http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"];

/// An entry of an environment cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvError {
    /// No name before the `=`.
    #[error("invalid variable: {0:?}")]
    NoName(String),
    /// A byte that no variable can hold.
    #[error("variable {0:?} holds a NUL byte")]
    Nul(String),
    /// More than the kernel takes.
    #[error("variable {0:?} is longer than 128 KiB")]
    TooLong(String),
    /// The host's value is not text.
    #[error("the host's variable {0:?} is not UTF-8")]
    NotText(String),
}

/// The host's environment, read once by the command line.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct HostEnv {
    text: BTreeMap<String, String>,
    other: Vec<String>,
}

impl HostEnv {
    /// Sorts what is text from what is not.
    pub fn new(vars: impl IntoIterator<Item = (std::ffi::OsString, std::ffi::OsString)>) -> Self {
        let mut host = Self::default();
        for (name, value) in vars {
            let shown = name.to_string_lossy().into_owned();
            match (name.into_string(), value.into_string()) {
                (Ok(name), Ok(value)) => {
                    host.text.insert(name, value);
                }
                _ => host.other.push(shown),
            }
        }
        host
    }

    /// Adds a variable, unless it is there.
    pub fn set_default(&mut self, name: &str, value: &str) {
        if !self.other.iter().any(|other| other == name) {
            self.text.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        }
    }

    /// The value of a variable that is there.
    ///
    /// # Errors
    /// A variable that is there and is not text.
    pub fn get(&self, name: &str) -> Result<Option<&str>, EnvError> {
        match self.text.get(name) {
            Some(value) => Ok(Some(value)),
            None if self.other.iter().any(|other| other == name) => Err(EnvError::NotText(name.to_owned())),
            None => Ok(None),
        }
    }

    /// One variable alone.
    #[must_use]
    pub fn only(&self, name: &str) -> Self {
        let text = self.text.get_key_value(name).map(|(name, value)| (name.clone(), value.clone()));
        Self { text: text.into_iter().collect(), other: Vec::new() }
    }

    /// Variables whose names start so.
    fn prefixed<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a String, &'a String)> {
        self.text.iter().filter(move |(name, _)| name.starts_with(prefix))
    }
}

/// What the flags say about the environment.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct EnvRequest {
    /// What the configuration says, which the image can change.
    pub base: Vec<String>,
    /// `-e`, in order.
    pub set: Vec<String>,
    /// The text of each `--env-file`, in order.
    pub files: Vec<String>,
    /// `--env-host`.
    pub host: bool,
    /// `--http-proxy`.
    pub proxy: bool,
    /// `--unsetenv`.
    pub unset: Vec<String>,
    /// `--unsetenv-all`.
    pub unset_all: bool,
    /// The container has a terminal.
    pub terminal: bool,
}

impl EnvRequest {
    /// Whether a flag or a file names a variable.
    #[must_use]
    pub fn names(&self, name: &str) -> bool {
        let is_it = |entry: &str| entry.trim_start().split('=').next() == Some(name);
        self.set.iter().any(|entry| is_it(entry)) || self.files.iter().any(|file| file.lines().any(is_it))
    }
}

/// An environment in the order in which its names first appeared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Env(Vec<(String, String)>);

impl Env {
    /// Sets or replaces a variable.
    pub fn set(&mut self, name: &str, value: &str) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => value.clone_into(old),
            None => self.0.push((name.to_owned(), value.to_owned())),
        }
    }

    /// Sets a variable that is not there yet.
    pub fn set_default(&mut self, name: &str, value: &str) {
        if self.get(name).is_none() {
            self.set(name, value);
        }
    }

    /// Takes a variable away.
    pub fn unset(&mut self, name: &str) {
        self.0.retain(|(known, _)| known != name);
    }

    /// The value of a variable.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The entries as a process gets them.
    ///
    /// # Errors
    /// Refuses what no process can be given.
    pub fn entries(&self) -> Result<Vec<String>, EnvError> {
        self.0.iter().map(|(name, value)| entry(name, value)).collect()
    }

    /// Takes entries that are there. One without a name is no variable; one without `=` is empty.
    fn lay(&mut self, entries: &[String]) {
        for entry in entries {
            let (name, value) = entry.split_once('=').unwrap_or((entry, ""));
            if !name.is_empty() {
                self.set(name, value);
            }
        }
    }

    /// Takes what files and flags say, the files first.
    fn ask_all(&mut self, request: &EnvRequest, host: &HostEnv) -> Result<(), EnvError> {
        for file in &request.files {
            for line in file.lines() {
                let line = line.trim_start_matches([' ', '\t']);
                if !line.is_empty() && !line.starts_with('#') {
                    self.ask(line, host)?;
                }
            }
        }
        request.set.iter().try_for_each(|text| self.ask(text, host))
    }

    /// Takes an entry as the user writes it: `K=V`, `K` of the host, `PREFIX*` of the host.
    fn ask(&mut self, text: &str, host: &HostEnv) -> Result<(), EnvError> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        let name = name.trim_start_matches([' ', '\t']);
        if name.is_empty() {
            return Err(EnvError::NoName(text.to_owned()));
        }
        match (value, name.strip_suffix('*')) {
            (Some(value), _) => self.set(name, value),
            (None, Some(prefix)) => {
                for (name, value) in host.prefixed(prefix) {
                    self.set(name, value);
                }
            }
            (None, None) => {
                if let Some(value) = host.get(name)? {
                    self.set(name, value);
                }
            }
        }
        Ok(())
    }
}

fn entry(name: &str, value: &str) -> Result<String, EnvError> {
    let text = format!("{name}={value}");
    if text.contains('\0') {
        return Err(EnvError::Nul(name.to_owned()));
    }
    if text.len() >= MAX_ENTRY {
        return Err(EnvError::TooLong(name.chars().take(64).collect()));
    }
    Ok(text)
}

/// Puts an environment together.
///
/// # Errors
/// Refuses entries of the user without a name; what an image has of that kind is left out.
pub fn build(image: &[String], request: &EnvRequest, host: &HostEnv) -> Result<Env, EnvError> {
    let mut env = Env::default();
    if !request.unset_all {
        base(&mut env, &request.base, image, request.terminal);
        for name in &request.unset {
            env.unset(name);
        }
    }
    named(&mut env, request, host)?;
    Ok(env)
}

/// The same request without the host: everything of its environment is in it by value, as a later start needs it.
///
/// # Errors
/// As [`build`].
pub fn settled(request: &EnvRequest, host: &HostEnv) -> Result<EnvRequest, EnvError> {
    let mut env = Env::default();
    named(&mut env, request, host)?;
    Ok(EnvRequest {
        base: request.base.clone(),
        set: env.entries()?,
        files: Vec::new(),
        host: false,
        proxy: false,
        unset: request.unset.clone(),
        unset_all: request.unset_all,
        terminal: request.terminal,
    })
}

/// What flags and files of the user name.
fn named(env: &mut Env, request: &EnvRequest, host: &HostEnv) -> Result<(), EnvError> {
    if request.proxy {
        for name in PROXIES {
            for name in [name.to_owned(), name.to_ascii_uppercase()] {
                if let Some(value) = host.get(&name)? {
                    env.set(&name, value);
                }
            }
        }
    }
    if request.host {
        for (name, value) in &host.text {
            env.set(name, value);
        }
    }
    env.ask_all(request, host)?;
    Ok(())
}

/// Puts what the user names on top of an environment that is there, of which nothing else changes.
///
/// # Errors
/// Refuses entries of the user without a name.
pub fn on_top(base: &[String], request: &EnvRequest, host: &HostEnv) -> Result<Env, EnvError> {
    let mut env = Env::default();
    env.lay(base);
    env.ask_all(request, host)?;
    Ok(env)
}

/// The defaults, then the configuration's entries, then the image's.
fn base(env: &mut Env, configured: &[String], image: &[String], terminal: bool) {
    env.set("PATH", DEFAULT_PATH);
    if terminal {
        env.set("TERM", "xterm");
    }
    // Software asks for this name to learn that it is in a container; the value is Podman's.
    env.set("container", "podman");
    env.lay(configured);
    env.lay(image);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> HostEnv {
        let vars =
            [("HOME", "/home/u"), ("LC_ALL", "C"), ("LC_TIME", "de"), ("SECRET", "s"), ("HTTP_PROXY", "p")];
        HostEnv::new(vars.map(|(name, value)| (name.into(), value.into())))
    }

    fn entries(image: &[&str], request: &EnvRequest) -> Vec<String> {
        let image: Vec<String> = image.iter().map(|entry| (*entry).to_owned()).collect();
        build(&image, request, &host()).unwrap().entries().unwrap()
    }

    fn strings(list: &[&str]) -> Vec<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn hostile_entries_of_an_image_never_reach_for_the_host() {
        let got = entries(
            &["", "=", "=x", "A", "SECRET", "SEC*", "*", "LC_*", "B=\nline", "C=a=b", "PATH=/bin"],
            &EnvRequest::default(),
        );
        let want =
            ["PATH=/bin", "container=podman", "A=", "SECRET=", "SEC*=", "*=", "LC_*=", "B=\nline", "C=a=b"];
        assert_eq!(got, want);
    }

    #[test]
    fn what_no_process_can_hold_is_refused() {
        let long = format!("A={}", "x".repeat(MAX_ENTRY));
        let env = build(&[long], &EnvRequest::default(), &host()).unwrap();
        assert_eq!(env.entries(), Err(EnvError::TooLong("A".to_owned())));
        let env = build(&["A=\0".to_owned()], &EnvRequest::default(), &host()).unwrap();
        assert_eq!(env.entries(), Err(EnvError::Nul("A".to_owned())));
    }

    #[test]
    fn flags_win_over_files_over_the_host_over_the_image() {
        let request = EnvRequest {
            set: strings(&["X=flag"]),
            files: vec!["# a comment\n\n  X=file\n\tY=file # kept\nHOME\nLC_*\n".to_owned()],
            ..EnvRequest::default()
        };
        let got = entries(&["X=image", "Z=image"], &request);
        for want in ["X=flag", "Y=file # kept", "Z=image", "HOME=/home/u", "LC_ALL=C", "LC_TIME=de"] {
            assert!(got.contains(&want.to_owned()), "{want} in {got:?}");
        }
        assert!(!got.iter().any(|entry| entry.starts_with("SECRET")));
    }

    #[test]
    fn the_image_wins_over_the_configuration() {
        let base = strings(&["X=conf", "Y=conf", "PATH=/conf", "SECRET"]);
        let request = EnvRequest { base, ..EnvRequest::default() };
        assert_eq!(
            entries(&["X=image"], &request),
            ["PATH=/conf", "container=podman", "X=image", "Y=conf", "SECRET="]
        );
        let request = EnvRequest { unset_all: true, ..request };
        assert!(entries(&["X=image"], &request).is_empty());
    }

    #[test]
    fn the_user_names_the_hosts_variables() {
        let request =
            EnvRequest { set: strings(&["SECRET", "ABSENT", "LC_*", "E="]), ..EnvRequest::default() };
        let got = entries(&[], &request);
        assert_eq!(got[2..], ["SECRET=s", "LC_ALL=C", "LC_TIME=de", "E="]);
        let all = entries(&[], &EnvRequest { host: true, ..EnvRequest::default() });
        assert!(all.contains(&"SECRET=s".to_owned()));
        let proxy = entries(&[], &EnvRequest { proxy: true, ..EnvRequest::default() });
        assert_eq!(proxy[2..], ["HTTP_PROXY=p"]);
        for bad in ["", "=x", " =x"] {
            let request = EnvRequest { set: strings(&[bad]), ..EnvRequest::default() };
            assert_eq!(build(&[], &request, &host()), Err(EnvError::NoName(bad.to_owned())));
        }
    }

    #[test]
    fn unset_takes_away_what_the_user_did_not_name() {
        let request =
            EnvRequest { unset: strings(&["PATH", "A"]), set: strings(&["A=mine"]), ..EnvRequest::default() };
        assert_eq!(entries(&["A=image", "B=b"], &request), ["container=podman", "B=b", "A=mine"]);
        let request = EnvRequest { unset_all: true, set: strings(&["A=mine"]), ..EnvRequest::default() };
        assert_eq!(entries(&["B=b"], &request), ["A=mine"]);
        let request = EnvRequest { terminal: true, ..EnvRequest::default() };
        assert!(entries(&[], &request).contains(&"TERM=xterm".to_owned()));
    }
}
