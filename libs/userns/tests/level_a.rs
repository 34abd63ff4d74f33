//! Electing, joining and making A, for real: as an unprivileged user, who is made to be one if root runs the tests.
#![forbid(unsafe_code)]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test program through and through"
)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// Where one test has its registry, and who the user is.
struct Place {
    dir: tempfile::TempDir,
    user: User,
}

/// An unprivileged user with subordinate ids.
#[derive(Clone)]
struct User {
    name: String,
    uid: u32,
    gid: u32,
    /// We are root and change to that user.
    change: bool,
}

/// Says why a test cannot run here; where the abilities are required, that is a failure.
fn skip(reason: &str) {
    let required = std::env::var("CTR_TEST_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|ability| ability == "userns"), "cannot run: {reason}");
    eprintln!("skipped: {reason}");
}

impl User {
    fn find() -> Result<Self, String> {
        let own = rustix::process::geteuid().as_raw();
        let passwd = fs::read_to_string("/etc/passwd").map_err(|err| err.to_string())?;
        let wanted = std::env::var("CTR_TEST_USER").unwrap_or_else(|_| "ctrtest".to_owned());
        let user = passwd.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let (uid, gid) = (fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?);
            let ours = if own == 0 { fields[0] == wanted } else { uid == own };
            ours.then(|| Self { name: fields[0].to_owned(), uid, gid, change: own == 0 })
        });
        let user = user.ok_or_else(|| format!("no user {wanted} to change to"))?;
        for file in ["/etc/subuid", "/etc/subgid"] {
            let text = fs::read_to_string(file).unwrap_or_default();
            if !text.lines().any(|line| line.starts_with(&format!("{}:", user.name))) {
                return Err(format!("{} has no line in {file}", user.name));
            }
        }
        for helper in ["/usr/bin/newuidmap", "/usr/bin/newgidmap"] {
            if !Path::new(helper).exists() {
                return Err(format!("{helper} is not installed"));
            }
        }
        Ok(user)
    }
}

/// Copies a file by another process: while a test of another thread forks, a descriptor of ours that is open for writing
/// would be open in its child as well, and the file could not be run (ETXTBSY).
fn install(from: &Path, to: &Path, mode: &str) {
    let status = Command::new("install").arg("-m").arg(mode).arg(from).arg(to).status().unwrap();
    assert!(status.success());
}

impl Place {
    fn new() -> Option<Self> {
        let user = match User::find() {
            Ok(user) => user,
            Err(reason) => {
                skip(&reason);
                return None;
            }
        };
        let dir = tempfile::Builder::new().prefix("ctr-userns-").tempdir_in("/tmp").unwrap();
        let place = Self { dir, user };
        // The build may lie where the user cannot look.
        install(Path::new(env!("CARGO_BIN_EXE_userns-probe")), &place.probe(), "755");
        fs::set_permissions(place.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(place.run()).unwrap();
        if place.user.change {
            chown(place.run(), Some(place.user.uid), Some(place.user.gid)).unwrap();
        }
        Some(place)
    }

    fn probe(&self) -> PathBuf {
        self.dir.path().join("probe")
    }

    fn run(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    fn registry(&self) -> PathBuf {
        self.run().join("ns")
    }

    /// A command that runs as the user.
    fn as_user(&self, program: &Path) -> Command {
        if !self.user.change {
            return Command::new(program);
        }
        let mut command = Command::new("setpriv");
        command.args([&format!("--reuid={}", self.user.uid), &format!("--regid={}", self.user.gid)]);
        command.args(["--init-groups", "--inh-caps=-all"]).arg(program);
        command
    }

    fn probing(&self, arguments: &[&str]) -> Command {
        let mut command = self.as_user(&self.probe());
        command.arg("--registry").arg(self.registry()).args(arguments);
        command
    }

    fn start(&self, arguments: &[&str]) -> Probe {
        Probe::start(self.probing(arguments))
    }

    /// Runs a probe that is expected to enter, and lets it go.
    #[track_caller]
    fn once(&self, arguments: &[&str]) -> Value {
        self.start(arguments).told()
    }

    /// The kind of error and its words, of a probe that is expected to fail.
    #[track_caller]
    fn failure(&self, arguments: &[&str]) -> (String, String) {
        let told = self.start(arguments).told();
        let text =
            |key: &str| told[key].as_str().unwrap_or_else(|| panic!("it went well: {told}")).to_owned();
        (text("kind"), text("error"))
    }

    fn write(&self, name: &str, text: &str, mode: &str) -> String {
        let path = self.dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let draft = path.with_extension("draft");
        fs::write(&draft, text).unwrap();
        install(&draft, &path, mode);
        path.to_str().unwrap().to_owned()
    }

    /// A directory with two helpers of this text.
    fn helpers(&self, script: &str) -> String {
        self.write("helpers/newuidmap", script, "755");
        self.write("helpers/newgidmap", script, "755");
        self.dir.path().join("helpers").to_str().unwrap().to_owned()
    }

    /// The records on the list of members.
    fn records(&self) -> Vec<PathBuf> {
        let directories =
            fs::read_dir(self.registry()).into_iter().flatten().map(|entry| entry.unwrap().path());
        directories
            .filter(|path| path.is_dir())
            .flat_map(|path| fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()))
            .collect()
    }
}

/// A probe that may be in A. Dropping it lets it go.
struct Probe {
    child: Child,
    told: Value,
}

impl Probe {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let told = serde_json::from_str(&line).unwrap_or_else(|err| panic!("{err}: {line:?}"));
        Self { child, told }
    }

    fn told(&self) -> Value {
        self.told.clone()
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
    }
}

#[test]
fn userns_cold_then_joined_then_alone_again() {
    let Some(place) = Place::new() else { return };
    let first = place.start(&[]);
    let told = first.told();
    assert_eq!(told["fresh"], true, "{told}");
    assert_eq!((&told["uid"], &told["gid"]), (&0.into(), &0.into()), "the user is root of A");
    assert_eq!(told["source_maps"]["uid"][0]["outer"], place.user.uid);
    assert_ne!(told["inner"], told["outer"]);
    assert_eq!(told["borders"], true);
    assert_eq!((&told["dumpable"], &told["holds_itself"]), (&true.into(), &true.into()));

    let second = place.start(&["--mounts"]);
    assert_eq!(second.told()["fresh"], false);
    assert_eq!(second.told()["inner"], told["inner"]);
    assert_eq!(second.told()["outer"], told["outer"]);
    assert_ne!(second.told()["mounts"], told["mounts"]);
    assert_eq!(place.records().len(), 2);

    // A goes on through its second member, and ends with the last.
    drop(first);
    assert_eq!(place.once(&[])["inner"], told["inner"]);
    drop(second);
    assert_eq!(place.records(), Vec::<PathBuf>::new());
    assert_eq!(place.once(&["--mounts"])["fresh"], true);
}

#[test]
fn userns_the_groups_of_the_login_stay() {
    let Some(place) = Place::new() else { return };
    let mut count = place.as_user(Path::new("/usr/bin/id"));
    let groups = String::from_utf8(count.arg("-G").output().unwrap().stdout).unwrap();
    let supplementary = groups.split_whitespace().count();
    let told = place.once(&[]);
    let kept = told["groups"].as_u64().unwrap();
    assert!(kept > 0 && kept <= supplementary as u64, "{kept} of {supplementary}");
}

#[test]
fn userns_twenty_at_once_elect_one() {
    let Some(place) = Place::new() else { return };
    let started: Vec<_> = (0..20)
        .map(|_| place.probing(&[]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap())
        .collect();
    let mut probes = Vec::new();
    for mut child in started {
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        probes.push(Probe { child, told: serde_json::from_str(&line).unwrap() });
    }
    let fresh = probes.iter().filter(|probe| probe.told["fresh"] == true).count();
    assert_eq!(fresh, 1);
    for probe in &probes {
        assert_eq!(probe.told["inner"], probes[0].told["inner"]);
    }
    assert_eq!(place.records().len(), 20);
}

#[test]
fn userns_a_dead_member_is_swept() {
    let Some(place) = Place::new() else { return };
    let probe = place.start(&[]);
    let before = probe.told()["inner"].clone();
    probe.kill();
    let records = place.records();
    assert_eq!(records.len(), 1, "it could not take itself off");
    let next = place.start(&[]);
    assert_eq!(next.told()["fresh"], true);
    assert!(!place.records().contains(&records[0]));
    drop((next, before));
}

/// The record of a dead member is given to a process that lives, as when a pid is used again.
#[test]
fn userns_a_reused_pid_is_not_a_member() {
    let Some(place) = Place::new() else { return };
    place.start(&[]).kill();
    let record = place.records().remove(0);
    let text = fs::read_link(&record).unwrap().to_str().unwrap().to_owned();
    let mut other: Value = serde_json::from_str(&text).unwrap();
    other["process"]["pid"] = std::process::id().into();
    fs::remove_file(&record).unwrap();
    std::os::unix::fs::symlink(other.to_string(), &record).unwrap();
    assert_eq!(place.once(&[])["fresh"], true);
}

/// A record that points to a process which is in no A of ours: nothing is joined, not even U.
#[test]
fn userns_a_record_that_lies_is_not_believed() {
    let Some(place) = Place::new() else { return };
    let member = place.start(&[]);
    let record = place.records().remove(0);
    let mut text: Value = serde_json::from_str(fs::read_link(&record).unwrap().to_str().unwrap()).unwrap();
    let liar = place.as_user(Path::new("/bin/sleep")).arg("1000").stdin(Stdio::null()).spawn().unwrap();
    let mut liar = Probe { child: liar, told: Value::Null };
    let stat = fs::read_to_string(format!("/proc/{}/stat", liar.child.id())).unwrap();
    let start: u64 = stat.rsplit(')').next().unwrap().split_whitespace().nth(19).unwrap().parse().unwrap();
    text["process"]["pid"] = liar.child.id().into();
    text["process"]["start_time"] = start.into();
    text["inner"] = text["outer"].clone();
    fs::remove_file(&record).unwrap();
    std::os::unix::fs::symlink(text.to_string(), &record).unwrap();
    let told = place.once(&[]);
    assert_eq!(told["fresh"], true, "{told}");
    assert_ne!(told["inner"], told["outer"]);
    drop(member);
    liar.child.kill().unwrap();
}

#[test]
fn userns_changed_ranges_are_a_second_namespace() {
    let Some(place) = Place::new() else { return };
    let whole = place.start(&[]);
    let first = whole.told()["source_maps"]["uid"][1]["outer"].as_u64().unwrap();
    // newuidmap lets us have a part of what the real file grants.
    let part = place.write("subids", &format!("{}:{first}:1000\n", place.user.name), "644");
    let changed = place.start(&["--subids", &part]);
    assert_eq!(changed.told()["fresh"], true);
    assert_ne!(changed.told()["inner"], whole.told()["inner"]);
    assert_ne!(changed.told()["key"], whole.told()["key"]);
    assert_eq!(place.once(&[])["inner"], whole.told()["inner"]);
}

#[test]
fn userns_no_ranges_is_said() {
    let Some(place) = Place::new() else { return };
    let none = place.write("subids", "somebody:1:1\n", "644");
    let (_, error) = place.failure(&["--subids", &none]);
    assert_eq!(error, format!("user {} has no subordinate UIDs", place.user.name));
}

#[test]
fn userns_ranges_that_are_not_granted_are_refused_in_the_helpers_words() {
    let Some(place) = Place::new() else { return };
    let more = place.write("subids", &format!("{}:5:10\n", place.user.name), "644");
    let (kind, error) = place.failure(&["--subids", &more]);
    assert!(kind.starts_with("Refused"), "{kind}");
    assert!(error.contains("not allowed"), "{error}");
}

#[test]
fn userns_a_missing_helper_is_named() {
    let Some(place) = Place::new() else { return };
    let (kind, error) = place.failure(&["--helpers", "/nonexistent"]);
    assert_eq!(kind, "Missing");
    assert_eq!(error, "cannot map UIDs with newuidmap: it is not installed");
}

#[test]
fn userns_a_helper_without_its_set_uid_bit_is_named() {
    let Some(place) = Place::new() else { return };
    let helpers = place.dir.path().join("helpers");
    fs::create_dir(&helpers).unwrap();
    for name in ["newuidmap", "newgidmap"] {
        install(&Path::new("/usr/bin").join(name), &helpers.join(name), "755");
    }
    let (kind, error) = place.failure(&["--helpers", helpers.to_str().unwrap()]);
    assert_eq!(kind, "Unprivileged", "{error}");
}

#[test]
fn userns_a_helper_that_cannot_run_is_named() {
    let Some(place) = Place::new() else { return };
    let helpers = place.helpers("not a program");
    let (kind, error) = place.failure(&["--helpers", &helpers]);
    assert!(kind.starts_with("NotRun"), "{kind}");
    assert!(error.contains("Exec format error"), "{error}");
}

#[test]
fn userns_a_killed_helper_is_said() {
    let Some(place) = Place::new() else { return };
    let helpers = place.helpers("#!/bin/sh\nkill -9 $$\n");
    let (kind, error) = place.failure(&["--helpers", &helpers]);
    assert_eq!(kind, "Killed(9)", "{error}");
    assert_eq!(place.records(), Vec::<PathBuf>::new());
    assert_eq!(place.once(&[])["fresh"], true, "the lock is free, and nothing is left of it");
}

#[test]
fn userns_a_helper_that_hangs_is_not_waited_for() {
    let Some(place) = Place::new() else { return };
    let helpers = place.helpers("#!/bin/sh\nexec sleep 1000\n");
    let (kind, error) = place.failure(&["--helpers", &helpers, "--patience", "300"]);
    assert_eq!(kind, "Hung(0)", "{error}");
    assert_eq!(place.once(&[])["fresh"], true);
}

/// no_new_privs, as `docker run --security-opt no-new-privileges` sets it.
#[test]
fn userns_no_new_privileges_is_named() {
    let Some(place) = Place::new() else { return };
    let mut command = place.as_user(Path::new("setpriv"));
    command.arg("--no-new-privs").arg(place.probe()).arg("--registry").arg(place.registry());
    let told = Probe::start(command).told();
    assert_eq!(told["kind"], "NoNewPrivileges", "{told}");
}

#[test]
fn userns_a_helper_on_a_nosuid_file_system_is_named() {
    let Some(place) = Place::new() else { return };
    if !place.user.change {
        eprintln!("skipped: only root can have a set-uid helper on a nosuid file system");
        return;
    }
    let helpers = place.dir.path().join("helpers");
    fs::create_dir(&helpers).unwrap();
    let script = format!(
        "mount -t tmpfs -o nosuid,mode=755 none {0} && cp -p /usr/bin/newuidmap /usr/bin/newgidmap {0} && exec \"$@\"",
        helpers.display()
    );
    let inner = place.probing(&["--helpers", helpers.to_str().unwrap()]);
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script, "sh"]).arg(inner.get_program()).args(inner.get_args());
    let told = Probe::start(command).told();
    assert_eq!(told["kind"], "NoSuid", "{told}");
}

/// Runs a probe inside an A, which is to it what a CI container with ids is: it is root there.
fn in_container(place: &Place, before: &str, arguments: &[&str]) -> Value {
    let script = format!("{before} exec \"$@\"");
    let probe = place.probe();
    let mut all = vec!["--mounts", "--run", "sh", "-c", &script, "sh", probe.to_str().unwrap()];
    let registry = place.run().join("inner");
    all.extend(["--registry", registry.to_str().unwrap()]);
    all.extend(arguments);
    let mut child = place.probing(&all).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let outer: Value = serde_json::from_str(&lines.next().unwrap()).unwrap();
    assert_eq!(outer["fresh"], true, "{outer}");
    let inner = lines.next().expect("the inner probe says something");
    child.wait().unwrap();
    serde_json::from_str(&inner).unwrap()
}

#[test]
fn userns_root_of_a_container_writes_its_map_itself() {
    let Some(place) = Place::new() else { return };
    let none = place.write("subids", "", "644");
    let told = in_container(&place, "", &["--subids", &none, "--helpers", "/nonexistent"]);
    assert_eq!(told["fresh"], true, "{told}");
    let map = &told["source_maps"]["uid"];
    assert_eq!(map[0], serde_json::json!({"inner": 0, "outer": 0, "len": 1}));
    assert_eq!(map[1]["inner"], 1);
    assert_eq!(told["borders"], true, "a child's map has to respect the borders that the kernel has: {told}");
}

/// /proc is masked in a CI container: parts are covered, /proc/sys is read-only, and a fresh /proc is refused.
#[test]
fn userns_a_masked_proc_is_no_obstacle() {
    let Some(place) = Place::new() else { return };
    let none = place.write("subids", "", "644");
    let mask = "set -e; for f in keys interrupts timer_list; do [ ! -e /proc/$f ] || mount --bind /dev/null /proc/$f; done; \
                mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys; mount -t tmpfs -o ro none /proc/fs;";
    let told = in_container(&place, mask, &["--subids", &none, "--mounts"]);
    assert_eq!(told["fresh"], true, "{told}");
}

#[test]
fn userns_without_cap_setfcap_root_cannot_be_mapped_and_that_is_said() {
    let Some(place) = Place::new() else { return };
    let none = place.write("subids", "", "644");
    let drop = "exec setpriv --bounding-set -setfcap --inh-caps -setfcap \"$@\";";
    let told = in_container(&place, drop, &["--subids", &none]);
    let error = told["error"].as_str().unwrap_or_else(|| panic!("it went well: {told}"));
    assert!(error.starts_with("cannot write the UID map (we lack CAP_SETFCAP"), "{error}");
}

#[test]
fn userns_a_limit_of_none_is_named() {
    let Some(place) = Place::new() else { return };
    let limit = "echo 0 >/proc/sys/user/max_user_namespaces;";
    let told = in_container(&place, limit, &["--direct", "10"]);
    assert_eq!(told["kind"], "MaxUserNamespaces", "{told}");
}

#[test]
fn userns_a_program_started_in_a_finds_itself_there() {
    let Some(place) = Place::new() else { return };
    let probe = place.probe();
    let registry = place.registry();
    let again = [probe.to_str().unwrap(), "--registry", registry.to_str().unwrap(), "--current"];
    let mut all = vec!["--run"];
    all.extend(again);
    let output = place.probing(&all).stdin(Stdio::null()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let told: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(told.len(), 2, "{text}");
    assert_eq!(told[1]["fresh"], false, "{text}");
    for key in ["inner", "outer", "key", "source_maps"] {
        assert_eq!(told[0][key], told[1][key], "{key}");
    }

    let outside = place.failure(&["--current"]);
    assert_eq!(outside.1, "not in A");
}
