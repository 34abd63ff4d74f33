//! Where a command can be broken: its calls that change something, and how often each is made.

use std::collections::BTreeMap;

use ctr_tests::Env;

/// The calls that change files, mounts, namespaces or locks, or make what they need.
pub(crate) const CALLS: &str = "open,openat,openat2,creat,mkdir,mkdirat,mknod,mknodat,rename,renameat,renameat2,unlink,unlinkat,\
    rmdir,link,linkat,symlink,symlinkat,write,writev,pwrite64,copy_file_range,sendfile,splice,ftruncate,fallocate,chmod,fchmod,fchmodat,\
    chown,fchown,fchownat,lchown,utimensat,setxattr,lsetxattr,fsetxattr,fsync,fdatasync,syncfs,flock,mount,umount2,fsopen,\
    fsconfig,fsmount,open_tree,move_mount,mount_setattr,pivot_root,clone,clone3,vfork,unshare,setns,memfd_create,pipe2,socketpair,\
    ioctl,setresuid,setresgid,setgroups,capset,prctl,seccomp,sethostname";

/// Each call's name with the most times that one process makes it.
pub(crate) fn of(env: &Env, command: &[&str]) -> BTreeMap<String, usize> {
    let log = env.root().join("strace.log");
    let log_name = log.to_str().expect("UTF-8");
    let calls = format!("trace={CALLS}");
    let output = env.watched(["-qq", "-e", "signal=none", "-e", &calls, "-o", log_name], command).run();
    assert_eq!(output.code(), 0, "unbroken: {output}");
    let text = std::fs::read_to_string(&log).expect("strace's log");
    std::fs::remove_file(&log).expect("strace's log");
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for line in text.lines() {
        // `PID call(…`; what was interrupted goes on in a line `PID <... call resumed>`.
        let Some((pid, rest)) = line.split_once(' ') else { continue };
        let Some((call, _)) = rest.trim_start().split_once('(') else { continue };
        if !call.is_empty() && call.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            *counts.entry((pid, call)).or_default() += 1;
        }
    }
    let mut most = BTreeMap::new();
    for ((_, call), count) in counts {
        let known: &mut usize = most.entry(call.to_owned()).or_default();
        *known = count.max(*known);
    }
    most
}
