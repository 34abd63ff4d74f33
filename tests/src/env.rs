//! A world for one test, and programs run in it.

use std::ffi::{OsStr, OsString};
use std::io::{Read, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, symlink};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tempfile::TempDir;

use crate::image::Image;

/// The image of [`Env::with_busybox`].
pub const BUSYBOX: &str = "localhost/busybox:latest";

/// How long one command may take before the test fails. Generous: the machine may be busy.
const DEADLINE: Duration = Duration::from_secs(120);

/// The names under which the front program can be started.
const NAMES: [&str; 5] = ["ctr", "docker", "podman", "buildah", "skopeo"];

/// Where worlds are made: on a disk, where overlays work.
pub(crate) fn base() -> PathBuf {
    std::env::var_os("CTR_TEST_TMP").map_or_else(|| PathBuf::from("/var/tmp"), PathBuf::from)
}

/// The directory of the programs under test: that of this test's build, or `CTR_TEST_BIN`.
///
/// # Panics
/// When the programs are not built.
#[must_use]
pub fn programs() -> PathBuf {
    let dir = std::env::var_os("CTR_TEST_BIN").map_or_else(
        || {
            let me = std::env::current_exe().expect("the test's own path");
            me.parent().and_then(Path::parent).expect("target/TRIPLE/PROFILE/deps/NAME").to_path_buf()
        },
        PathBuf::from,
    );
    for program in ["ctr-run", "ctr-copy"] {
        assert!(
            dir.join(program).exists(),
            "{program} is not in {}: cargo build --workspace --bins",
            dir.display()
        );
    }
    dir
}

/// One user's world: home, run directory, temporary files, store.
#[derive(Debug)]
pub struct Env {
    root: TempDir,
    /// Whose world it is, when that is not ours.
    user: Option<String>,
}

impl Env {
    /// Makes a world.
    #[must_use]
    pub fn new() -> Self {
        let root = tempfile::Builder::new().prefix("ctr-test.").tempdir_in(base()).expect("a directory");
        for dir in ["home", "tmp", "bin", "work"] {
            std::fs::create_dir(root.path().join(dir)).expect("a directory");
        }
        std::fs::DirBuilder::new().mode(0o700).create(root.path().join("run")).expect("a run directory");
        let front = programs().join("ctr-run");
        for name in NAMES {
            symlink(&front, root.path().join("bin").join(name)).expect("a link");
        }
        Self { root, user: None }
    }

    /// Makes a world of another user's, as root: programs are started as that user.
    #[must_use]
    pub fn of_user(user: &str) -> Self {
        let mut env = Self::new();
        let status = Command::new("chown").args(["-R", &format!("{user}:")]).arg(env.root.path()).status();
        assert!(status.is_ok_and(|status| status.success()), "chown to {user}");
        env.user = Some(user.to_owned());
        env
    }

    /// The world's directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// A path in this world's work directory, which programs start in.
    #[must_use]
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.root.path().join("work").join(name)
    }

    /// The home directory.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.root.path().join("home")
    }

    /// The run directory, `XDG_RUNTIME_DIR`.
    #[must_use]
    pub fn run_dir(&self) -> PathBuf {
        self.root.path().join("run")
    }

    /// The store's directory.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.home().join(".local/share/ctr")
    }

    /// Writes a file in the work directory and returns its path.
    #[must_use]
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).expect("a file");
        path
    }

    /// Prepares to run `ctr` with these arguments.
    pub fn ctr<I: IntoIterator<Item: AsRef<OsStr>>>(&self, args: I) -> Invocation<'_> {
        self.named("ctr", args)
    }

    /// Prepares to run the front program under another name.
    pub fn named<I: IntoIterator<Item: AsRef<OsStr>>>(&self, name: &str, args: I) -> Invocation<'_> {
        self.program(self.root.path().join("bin").join(name), args)
    }

    /// Prepares to run `ctr` with these arguments, and with descriptors as a shell's redirections say (`3<file`).
    pub fn redirected<I: IntoIterator<Item: AsRef<OsStr>>>(
        &self,
        redirections: &str,
        args: I,
    ) -> Invocation<'_> {
        let script = [record::PASSED_ON, " ", redirections].concat();
        self.program("bash", ["-c", &script, "ctr"]).args(args)
    }

    /// Prepares to run any program in this world.
    pub fn program<I: IntoIterator<Item: AsRef<OsStr>>>(
        &self,
        program: impl AsRef<OsStr>,
        args: I,
    ) -> Invocation<'_> {
        let mut command = match &self.user {
            None => Command::new(program),
            Some(user) => {
                let mut command = Command::new("setpriv");
                let ids = [format!("--reuid={user}"), format!("--regid={user}")];
                command.args(ids).args(["--init-groups", "--inh-caps=-all", "--"]).arg(program);
                command
            }
        };
        command.args(args);
        self.invocation(command)
    }

    /// Prepares to watch the front program with strace, which stays root, with these options.
    ///
    /// # Panics
    /// In a world of our own: see [`Self::of_user`].
    pub fn watched<O, I>(&self, options: O, args: I) -> Invocation<'_>
    where
        O: IntoIterator<Item: AsRef<OsStr>>,
        I: IntoIterator<Item: AsRef<OsStr>>,
    {
        let user = self.user.as_deref().expect("a world of another user's");
        let mut command = Command::new("strace");
        command
            .args(["-f", "-u", user])
            .args(options)
            .arg("--")
            .arg(self.root.path().join("bin/ctr"))
            .args(args);
        self.invocation(command)
    }

    fn invocation(&self, mut command: Command) -> Invocation<'_> {
        command.env_clear().current_dir(self.path("")).stdin(Stdio::null());
        let mut path = OsString::from(self.root.path().join("bin"));
        path.push(":/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin");
        command.env("PATH", path);
        command
            .env("HOME", self.home())
            .env("XDG_RUNTIME_DIR", self.run_dir())
            .env("TMPDIR", self.root.path().join("tmp"));
        command.env("LANG", "C.UTF-8").env("COLUMNS", "100").env("TERM", "dumb");
        // Whatever the machine's own files say.
        command.env("CONTAINERS_CONF", "/dev/null").env("CONTAINERS_STORAGE_CONF", "/dev/null");
        Invocation { env: self, command, stdin: None, deadline: DEADLINE }
    }

    /// Runs `ctr`, which must succeed, and returns what it printed to stdout, without the last newline.
    pub fn ok<I: IntoIterator<Item: AsRef<OsStr>>>(&self, args: I) -> String {
        self.ctr(args).run().success()
    }

    /// A world whose store has the image `localhost/busybox`.
    #[must_use]
    pub fn with_busybox() -> Self {
        let env = Self::new();
        env.load(&Image::busybox(BUSYBOX, []));
        env
    }

    /// Loads an image.
    pub fn load(&self, image: &Image) {
        let archive = self.file("image.tar", image.docker_archive());
        let _loaded = self.ctr(["load", "-q", "-i"]).args([&archive]).run().success();
        std::fs::remove_file(archive).expect("the archive");
    }

    /// Prepares `ctr run --rm FLAGS localhost/busybox sh -c SCRIPT`.
    pub fn shell<I: IntoIterator<Item: AsRef<OsStr>>>(&self, flags: I, script: &str) -> Invocation<'_> {
        self.ctr(["run", "--rm"]).args(flags).args([BUSYBOX, "sh", "-c", script])
    }

    /// Runs a script in a new container with these flags; it must succeed. Returns what it printed.
    #[track_caller]
    pub fn sh<I: IntoIterator<Item: AsRef<OsStr>>>(&self, flags: I, script: &str) -> String {
        self.shell(flags, script).run().success()
    }

    /// The rules by which a snapshot forgets what differs between runs: paths, ids, digests.
    fn filters(&self) -> Vec<(String, &'static str)> {
        let literal = |path: &Path| path.to_str().expect("a path in UTF-8").replace('.', "\\.");
        vec![
            (literal(self.root.path()), "[env]"),
            (literal(&programs()), "[bin]"),
            ("sha256:[0-9a-f]{64}".into(), "[digest]"),
            (r"\b[0-9a-f]{64}\b".into(), "[id]"),
            (r"\b[0-9a-f]{12}\b".into(), "[short]"),
        ]
    }
}

impl Default for Env {
    fn default() -> Self {
        Self::new()
    }
}

impl Env {
    /// Containers that a test left behind outlive it, if they are not ended.
    fn end_containers(&self) {
        let kept = self.store().join("containers");
        if std::fs::read_dir(kept).is_ok_and(|mut folders| folders.next().is_some()) {
            let mut rm = self.ctr(["rm", "--all", "--force", "--time", "0"]);
            // One that cannot be ended is told by the folder that cannot be removed.
            drop(rm.command().stdout(Stdio::null()).stderr(Stdio::null()).status());
        }
    }
}

impl Drop for Env {
    /// Trees hold files of subordinate ids, which only a process in such a namespace can remove.
    fn drop(&mut self) {
        self.end_containers();
        let root = self.root.path();
        let remove = ["--map-root-user", "--map-auto", "rm", "-rf", "--"].map(OsStr::new);
        let plain = Command::new("rm").args(["-rf", "--"]).arg(root).stderr(Stdio::null()).status();
        if !plain.is_ok_and(|status| status.success()) {
            let mapped = Command::new("unshare").args(remove).arg(root).status();
            if !std::thread::panicking() {
                assert!(
                    mapped.is_ok_and(|status| status.success()),
                    "{} could not be removed",
                    root.display()
                );
            }
        }
    }
}

/// A program about to be run.
#[derive(Debug)]
#[must_use = "it runs when `run` or `start` is called"]
pub struct Invocation<'a> {
    env: &'a Env,
    command: Command,
    stdin: Option<Vec<u8>>,
    deadline: Duration,
}

impl<'a> Invocation<'a> {
    /// Gives it these bytes on stdin, then an end of file.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    /// Adds a variable to its environment.
    pub fn var(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Takes a variable out of its environment.
    pub fn without(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Starts it in this directory.
    pub fn dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Adds arguments.
    pub fn args<I: IntoIterator<Item: AsRef<OsStr>>>(mut self, args: I) -> Self {
        self.command.args(args);
        self
    }

    /// Gives it more, or less, time.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The command itself, for what this type has no method for.
    pub fn command(&mut self) -> &mut Command {
        &mut self.command
    }

    /// Runs it to its end.
    pub fn run(self) -> Output {
        self.start().finish()
    }

    /// Starts it.
    pub fn start(mut self) -> Running<'a> {
        let line = format!("{:?}", self.command);
        let argv = record::argv(&self.command);
        if self.stdin.is_some() {
            self.command.stdin(Stdio::piped());
        }
        let child = self.command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let child = child.unwrap_or_else(|error| panic!("cannot start {line}: {error}"));
        Running { env: self.env, child, line, argv, stdin: self.stdin, until: Instant::now() + self.deadline }
    }
}

/// A program that runs.
#[derive(Debug)]
#[must_use = "wait for it with `finish`"]
pub struct Running<'a> {
    env: &'a Env,
    child: Child,
    line: String,
    argv: Option<Vec<String>>,
    stdin: Option<Vec<u8>>,
    until: Instant,
}

impl Running<'_> {
    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        rustix::process::kill_process(self.pid(), signal).expect("a live process");
    }

    /// Reads its stdout up to and with this text.
    ///
    /// # Panics
    /// When it ends, or the deadline passes, before.
    pub fn wait_for(&mut self, text: &str) -> String {
        let stdout = self.child.stdout.as_mut().expect("a pipe");
        read_until(stdout, |seen| seen.ends_with(text), self.until, &self.line)
    }

    /// Waits until it has said something on stderr, and returns the whole line.
    ///
    /// # Panics
    /// When it ends, or the deadline passes, before.
    pub fn wait_for_errors(&mut self, text: &str) -> String {
        let stderr = self.child.stderr.as_mut().expect("a pipe");
        read_until(stderr, |seen| seen.contains(text) && seen.ends_with('\n'), self.until, &self.line)
    }

    /// Waits for its end, and reads all that it prints until then.
    pub fn finish(mut self) -> Output {
        let mut stdout = self.child.stdout.take().expect("a pipe");
        let mut stderr = self.child.stderr.take().expect("a pipe");
        let stdin = self.child.stdin.take().zip(self.stdin.take());
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let (out_ref, err_ref) = (&mut out, &mut err);
        let status = std::thread::scope(|scope| {
            if let Some((mut pipe, bytes)) = stdin {
                // A program may well end without having read all of it.
                scope.spawn(move || drop(pipe.write_all(&bytes)));
            }
            // Something may outlive the program and hold its pipes: that is seen, and not waited for.
            let (until, line) = (self.until, &self.line);
            scope.spawn(move || read_all(&mut stdout, &mut *out_ref, until, line));
            scope.spawn(move || read_all(&mut stderr, &mut *err_ref, until, line));
            wait(&mut self.child, self.until)
        });
        let text = |bytes: Vec<u8>| {
            String::from_utf8(bytes).unwrap_or_else(|raw| raw.into_bytes().escape_ascii().to_string())
        };
        let output = Output {
            line: std::mem::take(&mut self.line),
            status,
            stdout: text(out),
            stderr: text(err),
            filters: self.env.filters(),
        };
        assert!(status.is_some(), "the deadline has passed for {output:?}");
        if let Some(argv) = self.argv.take() {
            record::write(&argv, output.code());
        }
        output
    }
}

/// A test that fails leaves nothing running: what it started would outlive it, with everything that it holds.
impl Drop for Running<'_> {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // It may end by itself in between.
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}

/// What the tests ran, for the table of flags: see `tests/arch/flags.rs`.
mod record {
    use std::ffi::OsStr;
    use std::io::Write as _;
    use std::path::Path;
    use std::process::Command;

    /// A script that becomes the program of its arguments.
    pub(super) const PASSED_ON: &str = "exec \"$0\" \"$@\"";

    /// The command line of a program of ours, where records are wanted and it is text.
    pub(super) fn argv(command: &Command) -> Option<Vec<String>> {
        std::env::var_os("CTR_TEST_INVOCATIONS")?;
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let mut words =
            words.map(|word: &OsStr| word.to_str().map(str::to_owned)).collect::<Option<Vec<_>>>()?;
        if words.get(2).is_some_and(|script| script.starts_with(PASSED_ON)) {
            words.drain(..3);
        }
        let name = Path::new(words.first()?).file_name()?.to_str()?.to_owned();
        let ours = super::NAMES.contains(&name.as_str());
        words[0] = name;
        ours.then_some(words)
    }

    /// Adds a line, in one piece: other tests write there too.
    pub(super) fn write(argv: &[String], code: i32) {
        let Some(file) = std::env::var_os("CTR_TEST_INVOCATIONS") else { return };
        let program = std::env::current_exe().expect("the test's own path");
        let stem = program.file_stem().and_then(OsStr::to_str).expect("a name");
        let program = stem.rsplit_once('-').map_or(stem, |(name, _)| name);
        let thread = std::thread::current();
        let test = format!("{program} {}", thread.name().unwrap_or_default());
        let line = serde_json::json!({ "test": test, "code": code, "argv": argv }).to_string() + "\n";
        let file = std::fs::OpenOptions::new().append(true).open(file);
        file.and_then(|mut file| file.write_all(line.as_bytes())).expect("a place for records");
    }
}

/// Waits by pidfd; `None` when the deadline came first, after which the process is killed.
fn wait(child: &mut Child, until: Instant) -> Option<ExitStatus> {
    let pidfd = pidfd_open(Pid::from_child(child), PidfdFlags::empty()).expect("a child's pidfd");
    let ended = poll_until(&pidfd, until);
    if !ended {
        pidfd_send_signal(&pidfd, Signal::KILL).expect("a child of ours");
    }
    let status = child.wait().expect("a child's status");
    ended.then_some(status)
}

fn read_all(pipe: &mut (impl Read + std::os::fd::AsFd), into: &mut Vec<u8>, until: Instant, line: &str) {
    let mut buffer = [0; 1 << 16];
    loop {
        // A grace after the program's own deadline, in which it was killed.
        wait_readable(&*pipe, until + Duration::from_secs(5), line);
        match pipe.read(&mut buffer).expect("a pipe") {
            0 => return,
            read => into.extend_from_slice(&buffer[..read]),
        }
    }
}

/// Reads byte by byte until what was read is as wanted.
fn read_until(
    mut stream: impl std::io::Read + std::os::fd::AsFd,
    enough: impl Fn(&str) -> bool,
    until: Instant,
    line: &str,
) -> String {
    let mut seen = Vec::new();
    let mut byte = [0];
    loop {
        wait_readable(&stream, until, line);
        let read = stream.read(&mut byte).expect("a pipe");
        let text = String::from_utf8_lossy(&seen);
        assert!(read == 1, "{line} ended without saying what was waited for: {text}");
        seen.push(byte[0]);
        let text = String::from_utf8_lossy(&seen);
        if enough(&text) {
            return text.into_owned();
        }
    }
}

fn wait_readable(fd: &impl std::os::fd::AsFd, until: Instant, line: &str) {
    assert!(poll_until(fd, until), "the deadline has passed for {line}");
}

fn poll_until(fd: &impl std::os::fd::AsFd, until: Instant) -> bool {
    let left = until.saturating_duration_since(Instant::now());
    let left = Timespec::try_from(left).expect("a short time");
    let mut fds = [PollFd::new(fd, PollFlags::IN)];
    // A pipe whose other side is gone has no data, and that is something to read too.
    poll(&mut fds, Some(&left)).expect("poll") > 0
}

/// What a program did.
#[derive(Debug)]
#[must_use = "look at the exit status, or take a snapshot"]
pub struct Output {
    line: String,
    status: Option<ExitStatus>,
    /// What it printed to stdout.
    pub stdout: String,
    /// What it printed to stderr.
    pub stderr: String,
    filters: Vec<(String, &'static str)>,
}

impl Output {
    /// Its exit code as a shell would see it: 128 and the signal's number when a signal ended it.
    #[must_use]
    pub fn code(&self) -> i32 {
        let status = self.status.expect("it has ended");
        status.code().or_else(|| status.signal().map(|signal| 128 + signal)).expect("a code or a signal")
    }

    /// Panics unless it succeeded; returns stdout without the last newline.
    #[track_caller]
    pub fn success(self) -> String {
        assert!(self.code() == 0, "failed: {self}");
        self.trimmed()
    }

    /// Panics unless it ended with this code; returns stderr.
    #[track_caller]
    pub fn fails(self, code: i32) -> String {
        assert!(self.code() == code, "did not exit with {code}: {self}");
        self.stderr
    }

    /// Panics unless it ended with this code; returns stdout without the last newline.
    #[track_caller]
    pub fn exits(self, code: i32) -> String {
        assert!(self.code() == code, "did not exit with {code}: {self}");
        self.trimmed()
    }

    fn trimmed(self) -> String {
        self.stdout.strip_suffix('\n').map(str::to_owned).unwrap_or(self.stdout)
    }

    /// What a snapshot holds: code, stdout and stderr.
    #[must_use]
    pub fn picture(&self) -> String {
        let mut picture = format!("exit: {}\n", self.code());
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.is_empty() {
                picture.extend(["----- ", name, " -----\n", text]);
            }
        }
        picture
    }

    /// The rules for a snapshot of it.
    #[must_use]
    pub fn filters(&self) -> Vec<(&str, &str)> {
        self.filters.iter().map(|(rule, name)| (rule.as_str(), *name)).collect()
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}\n{}", self.line, self.picture())
    }
}

/// Compares an [`Output`] with an inline snapshot, in which what differs between runs has a name.
#[macro_export]
macro_rules! snapshot {
    ($output:expr, @$text:literal) => {{
        let output: $crate::Output = $output;
        $crate::env::insta::with_settings!({ filters => output.filters(), omit_expression => true }, {
            $crate::env::insta::assert_snapshot!(output.picture(), @$text);
        });
    }};
}

#[doc(hidden)]
pub use insta;
