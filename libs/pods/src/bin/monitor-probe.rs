//! What the tests of the monitor start: a child with pipes or a terminal in the place of a container, and this process as
//! its launcher, which becomes the real monitor; a client that relays; and one from another user namespace.
#![forbid(unsafe_code)]
#![expect(clippy::print_stderr, reason = "a program of the tests says what came of it")]

use std::error::Error;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use ctr_pods::attach::{Connection, DetachKeys, Rules, Signals, Wants, relay};
use ctr_runtime::monitor::become_monitor;
use ctr_sys::monitor::{FileId, Log, Output, Task, inherited_lock, listen};
use ctr_sys::step::Strings;
use rustix::fs::{CWD, FlockOperation, Mode, OFlags, flock, openat};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

type Outcome = Result<ExitCode, Box<dyn Error>>;

/// What stands for a container, and how it is monitored.
#[derive(serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Request {
    command: Vec<String>,
    terminal: bool,
    /// Standard input is a pipe.
    input: bool,
    /// Our own standard input is the starting command's client.
    client: bool,
    log: bool,
    limit: u64,
    files: u32,
    timeout: u64,
    memory_events: Option<PathBuf>,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            command: Vec::new(),
            terminal: false,
            input: true,
            client: false,
            log: true,
            limit: 0,
            files: 3,
            timeout: 0,
            memory_events: None,
        }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let arguments: Vec<&str> = arguments.iter().skip(1).map(String::as_str).collect();
    let outcome = match arguments[..] {
        ["run", folder, request] => run(folder.as_ref(), request),
        ["ended", folder] => ended(folder.as_ref()),
        ["attach", folder, rules] => attach(folder.as_ref(), rules),
        ["start", folder, request, rules] => start(folder, request, rules),
        ["foreign", folder] => foreign(folder.as_ref()),
        _ => Err("monitor-probe run|ended|attach|start|foreign FOLDER …".into()),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("monitor-probe: {}", ctr_core::causes::chain(&*error));
        ExitCode::from(125)
    })
}

fn open(path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    openat(CWD, path, flags | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR)
}

/// Starts a child and becomes its monitor. Its pid, and a `!` of the monitor, are standard output.
fn run(path: &Path, request: &str) -> Outcome {
    let request: Request = serde_json::from_str(request)?;
    let folder = open(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
    let lock = open(&path.join("lock"), OFlags::RDWR | OFlags::CREATE)?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
    let listener = listen(folder.as_fd())?;
    let mut command = Command::new("setsid");
    let (program, arguments) = request.command.split_first().ok_or("no command")?;
    let mut master = None;
    if request.terminal {
        let (ours, slave) = terminal()?;
        command.arg("--ctty").stdin(slave.try_clone()?).stdout(slave.try_clone()?).stderr(slave);
        master = Some(ours);
    } else {
        command.stdin(if request.input { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
    }
    let mut child = command.arg(program).args(arguments).spawn()?;
    drop(command);
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or("no pid")?;
    let init = pidfd_open(pid, PidfdFlags::empty())?;
    let input = child.stdin.take().map(OwnedFd::from);
    let pipes = child.stdout.take().map(OwnedFd::from).zip(child.stderr.take().map(OwnedFd::from));
    let log = open(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
    let memory_events = request.memory_events.map(|path| open(&path, OFlags::RDONLY)).transpose()?;
    let own = rustix::fs::stat("/proc/self/ns/user")?;
    let own = FileId { dev: own.st_dev, ino: own.st_ino };
    let program = open(Path::new("/proc/self/exe"), OFlags::PATH)?;
    let ended = format!("monitor-probe\0ended\0{}\0", path.display());
    let stdout = rustix::stdio::stdout();
    rustix::io::write(stdout, format!("{}\n", child.id()).as_bytes())?;
    let task = Task {
        lock: lock.as_fd(),
        folder: folder.as_fd(),
        init: init.as_fd(),
        program: program.as_fd(),
        ended: Strings::new(ended.as_bytes()).ok_or("a NUL is missing")?,
        output: match (&master, &pipes) {
            (Some(master), _) => Output::Terminal(master.as_fd()),
            (None, Some((stdout, stderr))) => {
                Output::Pipes { stdout: stdout.as_fd(), stderr: stderr.as_fd() }
            }
            (None, None) => Output::None,
        },
        input: input.as_ref().map(AsFd::as_fd),
        log: request.log.then_some(Log {
            folder: log.as_fd(),
            name: b"ctr.log",
            limit: request.limit,
            files: request.files,
        }),
        listener: Some(listener.as_fd()),
        client: request.client.then(rustix::stdio::stdin),
        ready: Some(stdout),
        memory_events: memory_events.as_ref().map(AsFd::as_fd),
        gate: None,
        network: None,
        timeout: request.timeout,
        trusted: [own, own],
    };
    Err(become_monitor(&task, &[], "0123456789ab", "probe").into())
}

fn terminal() -> rustix::io::Result<(OwnedFd, OwnedFd)> {
    use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let slave = ioctl_tiocgptpeer(&master, flags)?;
    Ok((master, slave))
}

/// What a monitor becomes: it says what it was left.
fn ended(folder: &Path) -> Outcome {
    let again = open(&folder.join("lock"), OFlags::RDWR)?;
    let is_free = || flock(&again, FlockOperation::NonBlockingLockExclusive).is_ok();
    let before = is_free();
    let lock = inherited_lock();
    let had = lock.is_some();
    let twice = inherited_lock().is_some();
    drop(lock);
    let after = is_free();
    let exit = std::fs::read_to_string(folder.join("exit.json")).unwrap_or_default();
    let fds = std::fs::read_dir("/proc/self/fd")?.count();
    let env = std::env::var("PROBE").unwrap_or_default();
    let text = format!(
        "free before: {before}, inherited: {had}, twice: {twice}, free after: {after}, fds: {fds}, env: {env}, exit: {}",
        exit.trim_end()
    );
    std::fs::write(folder.join("ended"), text)?;
    Ok(ExitCode::SUCCESS)
}

/// Relays from a connection of its own.
fn attach(folder: &Path, rules: &str) -> Outcome {
    let rules = parse(rules)?;
    let signals = Signals::collect(rules.proxy, rules.terminal)?;
    let connection = Connection::open(folder, Wants { output: true, input: rules.input })?;
    eprintln!("attached");
    relayed(connection, folder, &rules, &signals)
}

/// Starts a child with a monitor, and relays from the connection that both share.
fn start(folder: &str, request: &str, rules: &str) -> Outcome {
    let rules = parse(rules)?;
    let signals = Signals::collect(rules.proxy, rules.terminal)?;
    let (connection, monitors) = Connection::pair()?;
    let mut monitor = Command::new(std::env::current_exe()?);
    let monitor = monitor.args(["run", folder, request]).stdin(monitors).stdout(Stdio::piped()).spawn()?;
    let ready = std::io::read_to_string(monitor.stdout.ok_or("no output")?)?;
    std::fs::write(Path::new(folder).join("pid"), ready.trim_end_matches("\n!"))?;
    eprintln!("attached");
    relayed(connection, folder.as_ref(), &rules, &signals)
}

fn relayed(connection: Connection, folder: &Path, rules: &Rules, signals: &Signals) -> Outcome {
    let pid = std::fs::read_to_string(folder.join("pid")).unwrap_or_default();
    let init = pid.trim().parse().ok().and_then(Pid::from_raw);
    let init = init.map(|pid| pidfd_open(pid, PidfdFlags::empty())).transpose()?;
    let mut deliver = |signal| {
        let init: Option<BorrowedFd<'_>> = init.as_ref().map(AsFd::as_fd);
        if let Some(init) = init {
            ctr_sys::signals::send(init, signal).ok();
        }
    };
    let outcome = relay(connection, rules, signals, &mut deliver, &mut || {})?;
    eprintln!("{outcome:?}");
    Ok(ExitCode::SUCCESS)
}

/// Rules as words: `input terminal proxy no-stdout keys=…`.
fn parse(words: &str) -> Result<Rules, Box<dyn Error>> {
    let has = |word: &str| words.split(' ').any(|given| given == word);
    let keys = words.split(' ').find_map(|word| word.strip_prefix("keys="));
    Ok(Rules {
        input: has("input"),
        stdout: !has("no-stdout"),
        stderr: !has("no-stderr"),
        terminal: has("terminal"),
        proxy: has("proxy"),
        detach_keys: keys.map_or_else(|| Ok(DetachKeys::default()), DetachKeys::parse)?,
    })
}

/// Tries to connect from a user namespace of its own, as the same user.
fn foreign(folder: &Path) -> Outcome {
    ctr_sys::userns::move_into_new(false)?;
    Connection::open(folder, Wants { output: true, input: true })?;
    Ok(ExitCode::SUCCESS)
}
