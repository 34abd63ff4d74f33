//! Where a command can be broken: the calls that change something, and the opens that read.

use std::collections::BTreeMap;

use ctr_tests::Env;

/// The calls that change files, mounts, namespaces, identities or locks, or make what they need.
const CALLS: &str = "open,openat,openat2,creat,mkdir,mkdirat,mknod,mknodat,rename,renameat,renameat2,unlink,unlinkat,\
    rmdir,link,linkat,symlink,symlinkat,write,writev,pwrite64,copy_file_range,sendfile,splice,ftruncate,fallocate,chmod,fchmod,fchmodat,\
    chown,fchown,fchownat,lchown,utimensat,setxattr,lsetxattr,fsetxattr,removexattr,lremovexattr,fremovexattr,fsync,fdatasync,\
    syncfs,sync_file_range,flock,mount,umount2,fsopen,fsconfig,fsmount,open_tree,move_mount,mount_setattr,pivot_root,clone,clone3,\
    vfork,unshare,setns,memfd_create,pipe2,socketpair,ioctl,setresuid,setresgid,setgroups,capset,prctl,seccomp,sethostname";

/// How an argument of a call says that it only asks.
const QUESTIONS: [&str; 8] = [
    "PR_CAPBSET_READ",
    "PR_GET_",
    "PR_CAP_AMBIENT_IS_SET",
    "TCGETS",
    "TIOCGWINSZ",
    "NS_GET_",
    "FS_IOC_GET",
    "FIONREAD",
];

/// How many calls for a lock are each met again when the command is run anew.
const LOCKS: usize = 6;

/// The N-th call of this name that a process makes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Point {
    pub(crate) call: String,
    pub(crate) number: usize,
}

impl Point {
    /// What a line of strace's log is: `PID call(…`. What was interrupted goes on in `PID <... call resumed>`.
    fn parse<'a>(line: &'a str, made: &mut BTreeMap<(&'a str, &'a str), usize>) -> Option<(Self, &'a str)> {
        let (pid, rest) = line.split_once(' ')?;
        let (call, arguments) = rest.trim_start().split_once('(')?;
        if call.is_empty() || !call.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return None;
        }
        let number = made.entry((pid, call)).or_default();
        *number += 1;
        Some((Self { call: call.to_owned(), number: *number }, arguments))
    }
}

/// Each point of a command that is not broken, and whether some process changes something there.
pub(crate) fn of(env: &Env, command: &[&str]) -> BTreeMap<Point, bool> {
    let log = env.root().join("strace.log");
    let log_name = log.to_str().expect("UTF-8");
    let calls = format!("trace={CALLS}");
    let output = env.watched(["-qq", "-e", "signal=none", "-e", &calls, "-o", log_name], command).run();
    assert_eq!(output.code(), 0, "unbroken: {output}");
    let text = std::fs::read_to_string(&log).expect("strace's log");
    std::fs::remove_file(&log).expect("strace's log");
    let mut made = BTreeMap::new();
    let mut points = BTreeMap::new();
    for (point, arguments) in text.lines().filter_map(|line| Point::parse(line, &mut made)) {
        // A lock that somebody else has is asked for again and again, each time another number of times.
        if point.call == "flock" && point.number > LOCKS {
            continue;
        }
        let changes = changes(&point.call, arguments);
        *points.entry(point).or_default() |= changes;
    }
    points
}

/// Whether a call changes something, by what strace shows of it.
fn changes(call: &str, arguments: &str) -> bool {
    if call.starts_with("open") && call != "open_tree" {
        ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC"].iter().any(|flag| arguments.contains(flag))
    } else {
        !QUESTIONS.iter().any(|question| arguments.contains(question))
    }
}
