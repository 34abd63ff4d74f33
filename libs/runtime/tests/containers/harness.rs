//! Builds a root and a specification, and runs the probe on them.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// The program that starts a container: see `src/bin/runtime-probe.rs`.
const PROBE: &str = env!("CARGO_BIN_EXE_runtime-probe");

/// Applets the tests use.
const APPLETS: &[&str] = &[
    "sh", "ls", "cat", "id", "true", "false", "mount", "ps", "env", "sleep", "readlink", "stat", "hostname",
    "ip", "grep", "echo", "touch", "mkdir", "kill", "tty", "stty", "sort", "wc", "printf", "test", "umount",
    "chmod", "find", "cut", "trap", "dd",
];

/// The default capabilities, as the flags of `/proc/PID/status` show them.
pub(crate) const DEFAULT_CAPS: &str = "00000000800405fb";

/// Who runs the containers.
#[derive(Debug, Clone)]
struct User {
    name: String,
    uid: u32,
    gid: u32,
    /// The tests themselves run as root.
    switched: bool,
}

/// Why containers cannot be run here, or who runs them.
fn user() -> Result<User, String> {
    let own = rustix::process::geteuid().as_raw();
    let wanted = std::env::var("CTR_TEST_USER").unwrap_or_else(|_| "ctrtest".to_owned());
    let passwd = fs::read_to_string("/etc/passwd").map_err(|error| error.to_string())?;
    let lines = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let mut lines = lines.filter(|fields| fields.len() > 3);
    let own_name = own.to_string();
    let found = lines.find(|fields| if own == 0 { fields[0] == wanted } else { fields[2] == own_name });
    let fields = found.ok_or_else(|| format!("no user {wanted} to run containers as"))?;
    let user = User {
        name: fields[0].to_owned(),
        uid: fields[2].parse().map_err(|_number| "a broken /etc/passwd".to_owned())?,
        gid: fields[3].parse().map_err(|_number| "a broken /etc/passwd".to_owned())?,
        switched: own == 0,
    };
    let ranges = fs::read_to_string("/etc/subuid").unwrap_or_default();
    if !ranges.lines().any(|line| line.split(':').next() == Some(&user.name)) {
        return Err(format!("{} has no subordinate ids", user.name));
    }
    if !Path::new("/usr/bin/busybox").exists() {
        return Err("busybox-static is not installed".to_owned());
    }
    Ok(user)
}

/// A container to be run.
pub(crate) struct Container {
    user: User,
    folder: tempfile::TempDir,
    pub(crate) request: Value,
    pub(crate) input: String,
}

/// What came of one.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) code: Option<i32>,
}

/// A container of the shell script, or nothing where none can be run: the reason is printed, and `CTR_TEST_REQUIRE`
/// makes it a failure.
pub(crate) fn container(script: &str) -> Option<Container> {
    let user = match user() {
        Ok(user) => user,
        Err(reason) => {
            assert!(std::env::var_os("CTR_TEST_REQUIRE").is_none(), "required, but {reason}");
            println!("skipped: {reason}");
            return None;
        }
    };
    let folder = tempfile::Builder::new().prefix("ctr-runtime-").tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let root = folder.path().join("root");
    for inner in ["bin", "tmp", "etc", "proc", "sys", "dev"] {
        fs::create_dir_all(root.join(inner)).unwrap();
    }
    fs::copy("/usr/bin/busybox", root.join("bin/busybox")).unwrap();
    for applet in APPLETS {
        symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
    fs::create_dir(folder.path().join("ns")).unwrap();
    let request = json!({
        "registry": folder.path().join("ns"),
        "root": root,
        "spec": spec(&["sh", "-c", script]),
    });
    Some(Container { user, folder, request, input: String::new() })
}

/// What `ctr run` asks for by default.
fn spec(args: &[&str]) -> Value {
    let caps = ctr_runtime::caps::DEFAULT.names();
    let mount = |destination: &str, kind: &str, options: &str| json!({"destination": destination, "type": kind, "source": kind, "options": options.split(',').collect::<Vec<_>>()});
    json!({
        "ociVersion": "1.2.0",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": args,
            "env": ["PATH=/bin"],
            "cwd": "/",
            "capabilities": {"bounding": caps, "effective": caps, "permitted": caps},
        },
        "root": {"path": ""},
        "hostname": "box",
        "mounts": [
            mount("/proc", "proc", "nosuid,noexec,nodev"),
            mount("/dev", "tmpfs", "nosuid,strictatime,mode=755,size=65536k"),
            mount("/sys", "sysfs", "nosuid,noexec,nodev,ro"),
            mount("/dev/pts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5"),
            mount("/dev/shm", "tmpfs", "nosuid,noexec,nodev,mode=1777"),
            mount("/dev/mqueue", "mqueue", "nosuid,noexec,nodev"),
            mount("/sys/fs/cgroup", "cgroup", "nosuid,noexec,nodev,ro"),
        ],
        "linux": {
            "namespaces": [
                {"type": "user"}, {"type": "mount"}, {"type": "pid"}, {"type": "ipc"},
                {"type": "uts"}, {"type": "cgroup"}, {"type": "network"},
            ],
            "maskedPaths": ["/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    })
}

impl Container {
    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// A directory of the host's, outside the root.
    pub(crate) fn host(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    pub(crate) fn process(&mut self) -> &mut Value {
        &mut self.request["spec"]["process"]
    }

    pub(crate) fn linux(&mut self) -> &mut Value {
        &mut self.request["spec"]["linux"]
    }

    pub(crate) fn mounts(&mut self) -> &mut Vec<Value> {
        self.request["spec"]["mounts"].as_array_mut().unwrap()
    }

    pub(crate) fn mount(&mut self, destination: &str, kind: &str, source: &Path, options: &[&str]) {
        let mount = json!({"destination": destination, "type": kind, "source": source, "options": options});
        self.mounts().push(mount);
    }

    /// Leaves a namespace out, so that it is inherited.
    pub(crate) fn inherit(&mut self, kind: &str) {
        self.linux()["namespaces"].as_array_mut().unwrap().retain(|one| one["type"] != kind);
        // What the host does not show cannot be taken over.
        if kind == "ipc" && !std::path::Path::new("/dev/mqueue").is_dir() {
            let mounts = self.request["spec"]["mounts"].as_array_mut().unwrap();
            mounts.retain(|mount| mount["destination"] != "/dev/mqueue");
        }
    }

    /// Joins a namespace of a process.
    pub(crate) fn join(&mut self, kind: &str, pid: &str, file: &str) {
        let path = format!("/proc/{pid}/ns/{file}");
        for one in self.linux()["namespaces"].as_array_mut().unwrap() {
            if one["type"] == kind {
                one["path"] = json!(path);
            }
        }
        self.request["joined"][kind] = json!(path);
    }

    /// Another container in the same A.
    pub(crate) fn sibling(&self, script: &str) -> Self {
        let mut sibling = container(script).unwrap();
        sibling.request["registry"] = self.request["registry"].clone();
        sibling
    }

    fn command(&self) -> Command {
        let file = self.folder.path().join("request");
        fs::write(&file, self.request.to_string()).unwrap();
        self.give(self.folder.path());
        if !self.user.switched {
            let mut command = Command::new(PROBE);
            command.arg(file);
            return command;
        }
        let mut command = Command::new("setpriv");
        command.args(["--reuid", &self.user.name, "--regid", &self.user.gid.to_string()]);
        command.args(["--init-groups", PROBE]).arg(file);
        command
    }

    /// Everything belongs to who runs the containers.
    fn give(&self, path: &Path) {
        if !self.user.switched {
            return;
        }
        // Who already has it keeps its set-user-id bits; what a racing test has moved away has been given before.
        let Ok(found) = path.symlink_metadata() else { return };
        if found.uid() == self.user.uid {
            return self.give_entries(path);
        }
        rustix::fs::chownat(
            rustix::fs::CWD,
            path,
            Some(rustix::fs::Uid::from_raw(self.user.uid)),
            Some(rustix::fs::Gid::from_raw(self.user.gid)),
            rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
        )
        .unwrap();
        self.give_entries(path);
    }

    fn give_entries(&self, path: &Path) {
        if path.symlink_metadata().is_ok_and(|found| found.is_dir()) {
            for entry in fs::read_dir(path).into_iter().flatten().flatten() {
                self.give(&entry.path());
            }
        }
    }

    /// Gives everything to who runs the containers, as a run does.
    pub(crate) fn hand_over(&self) {
        self.give(self.folder.path());
    }

    fn spawn(&self) -> Child {
        let mut command = self.command();
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("SECRET", "of the host");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // A container that ended without reading has closed its end.
        stdin.write_all(self.input.as_bytes()).unwrap_or_default();
        child
    }

    pub(crate) fn run(&self) -> Outcome {
        outcome(self.spawn().wait_with_output().unwrap())
    }

    /// Starts it, and waits until its command runs.
    pub(crate) fn start(&mut self) -> Started {
        let ready = self.folder.path().join("ready");
        self.request["ready"] = json!(ready);
        let child = self.spawn();
        let pid = wait_for(|| {
            let text = fs::read_to_string(&ready).ok()?;
            text.ends_with('\n').then(|| text.trim().to_owned())
        });
        Started { child, pid }
    }
}

/// A container whose command runs.
pub(crate) struct Started {
    pub(crate) child: Child,
    /// Its first process, in our pid namespace.
    pub(crate) pid: String,
}

/// A test that failed leaves nothing running.
impl Drop for Started {
    fn drop(&mut self) {
        self.child.kill().unwrap_or_default();
    }
}

impl Started {
    pub(crate) fn signal(&self, name: &str) {
        assert!(Command::new("kill").args(["-s", name, &self.pid]).status().unwrap().success());
    }

    pub(crate) fn end(mut self) -> Outcome {
        let code = self.child.wait().unwrap().code();
        let (mut out, mut err) = (String::new(), String::new());
        self.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        Outcome { out, err, code }
    }
}

fn outcome(output: Output) -> Outcome {
    Outcome {
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
        code: output.status.code(),
    }
}

/// Asks again until there is an answer, for a minute at most: the machine may be busy.
pub(crate) fn wait_for<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "it did not happen within a minute");
        std::thread::yield_now();
    }
}

impl Outcome {
    /// What it wrote, after making sure that it went well.
    #[track_caller]
    pub(crate) fn ok(&self) -> &str {
        assert_eq!(self.code, Some(0), "{self:#?}");
        &self.out
    }

    /// Its lines, after making sure that it went well.
    #[track_caller]
    pub(crate) fn lines(&self) -> Vec<&str> {
        self.ok().lines().collect()
    }

    /// Makes sure that it was refused with this message.
    #[track_caller]
    pub(crate) fn refused(&self, code: i32, message: &str) {
        assert_eq!(self.code, Some(code), "{self:#?}");
        assert!(self.err.contains(message), "no {message:?} in {self:#?}");
        assert_eq!(self.out, "", "the command ran");
    }
}

/// The owner changes too when the tests run as root.
pub(crate) fn own(path: &Path, uid: u32) {
    chown(path, Some(uid), Some(uid)).unwrap();
}
