//! The profile for containers in containers: podman's list, as data.
//!
//! Source: `common/pkg/seccomp/seccomp.json` of github.com/containers/container-libs at
//! f0ddf1a745bb52c26889dcd69499c2dd9d4f40c1 (2026-04-01). Nothing is left out. It is updated as moby's is, with
//! `CTR_PODMAN_SECCOMP`.
//!
//! Wider than the default: namespaces, mounts and the mount API are allowed without capabilities, since the
//! kernel checks those of the inner user namespace.

use std::borrow::Cow;

use super::profile::{Action, ArchMap, Condition, Operator, Profile, RULE, Rule, When, text as t};

/// The profile.
pub(super) const PROFILE: Profile = Profile {
    default_action: Action::Errno,
    default_errno_ret: Some(38),
    default_errno: None,
    newer_errno_ret: None,
    architectures: Cow::Borrowed(&[]),
    arch_map: Cow::Borrowed(ARCH_MAP),
    flags: None,
    listener_path: None,
    listener_metadata: None,
    syscalls: Cow::Borrowed(RULES),
};

/// Whose calls are known on which host.
#[rustfmt::skip]
const ARCH_MAP: &[ArchMap] = &[
    ArchMap {
        architecture: t("SCMP_ARCH_X86_64"),
        sub_architectures: Cow::Borrowed(&[t("SCMP_ARCH_X86"), t("SCMP_ARCH_X32")]),
    },
    ArchMap {
        architecture: t("SCMP_ARCH_AARCH64"),
        sub_architectures: Cow::Borrowed(&[t("SCMP_ARCH_ARM")]),
    },
    ArchMap {
        architecture: t("SCMP_ARCH_MIPS64"),
        sub_architectures: Cow::Borrowed(&[t("SCMP_ARCH_MIPS"), t("SCMP_ARCH_MIPS64N32")]),
    },
    ArchMap {
        architecture: t("SCMP_ARCH_MIPS64N32"),
        sub_architectures: Cow::Borrowed(&[t("SCMP_ARCH_MIPS"), t("SCMP_ARCH_MIPS64")]),
    },
    ArchMap {
        architecture: t("SCMP_ARCH_MIPSEL64"),
        sub_architectures: Cow::Borrowed(&[t("SCMP_ARCH_MIPSEL"), t("SCMP_ARCH_MIPSEL64N32")]),
    },
    ArchMap {
        architecture: t("SCMP_ARCH_MIPSEL64N32"),
        sub_architectures: Cow::Borrowed(&[t("SCMP_ARCH_MIPSEL"), t("SCMP_ARCH_MIPSEL64")]),
    },
    ArchMap {
        architecture: t("SCMP_ARCH_S390X"),
        sub_architectures: Cow::Borrowed(&[t("SCMP_ARCH_S390")]),
    },
];

/// The rules.
#[rustfmt::skip]
pub(super) static RULES: &[Rule] = &[
    Rule {
        names: Cow::Borrowed(&[
            t("bdflush"), t("cachestat"), t("io_pgetevents"), t("io_pgetevents_time64"),
            t("kexec_file_load"), t("kexec_load"), t("map_shadow_stack"), t("migrate_pages"),
            t("move_pages"), t("nfsservctl"), t("nice"), t("oldfstat"), t("oldlstat"), t("oldolduname"),
            t("oldstat"), t("olduname"), t("pciconfig_iobase"), t("pciconfig_read"), t("pciconfig_write"),
            t("sgetmask"), t("ssetmask"), t("swapoff"), t("swapon"), t("syscall"), t("sysfs"), t("uselib"),
            t("userfaultfd"), t("ustat"), t("vm86"), t("vm86old"), t("vmsplice"),
        ]),
        action: Action::Errno,
        errno_ret: Some(1),
        ..RULE
    },
    Rule {
        names: Cow::Borrowed(&[
            t("_llseek"), t("_newselect"), t("accept"), t("accept4"), t("access"), t("adjtimex"),
            t("alarm"), t("bind"), t("brk"), t("capget"), t("capset"), t("chdir"), t("chmod"), t("chown"),
            t("chown32"), t("clock_adjtime"), t("clock_adjtime64"), t("clock_getres"),
            t("clock_getres_time64"), t("clock_gettime"), t("clock_gettime64"), t("clock_nanosleep"),
            t("clock_nanosleep_time64"), t("clone"), t("clone3"), t("close"), t("close_range"),
            t("connect"), t("copy_file_range"), t("creat"), t("dup"), t("dup2"), t("dup3"),
            t("epoll_create"), t("epoll_create1"), t("epoll_ctl"), t("epoll_ctl_old"), t("epoll_pwait"),
            t("epoll_pwait2"), t("epoll_wait"), t("epoll_wait_old"), t("eventfd"), t("eventfd2"),
            t("execve"), t("execveat"), t("exit"), t("exit_group"), t("faccessat"), t("faccessat2"),
            t("fadvise64"), t("fadvise64_64"), t("fallocate"), t("fanotify_init"), t("fanotify_mark"),
            t("fchdir"), t("fchmod"), t("fchmodat"), t("fchmodat2"), t("fchown"), t("fchown32"),
            t("fchownat"), t("fcntl"), t("fcntl64"), t("fdatasync"), t("fgetxattr"), t("flistxattr"),
            t("flock"), t("fork"), t("fremovexattr"), t("fsconfig"), t("fsetxattr"), t("fsmount"),
            t("fsopen"), t("fspick"), t("fstat"), t("fstat64"), t("fstatat64"), t("fstatfs"),
            t("fstatfs64"), t("fsync"), t("ftruncate"), t("ftruncate64"), t("futex"), t("futex_requeue"),
            t("futex_time64"), t("futex_wait"), t("futex_waitv"), t("futex_wake"), t("futimesat"),
            t("get_mempolicy"), t("get_robust_list"), t("get_thread_area"), t("getcpu"), t("getcwd"),
            t("getdents"), t("getdents64"), t("getegid"), t("getegid32"), t("geteuid"), t("geteuid32"),
            t("getgid"), t("getgid32"), t("getgroups"), t("getgroups32"), t("getitimer"), t("getpeername"),
            t("getpgid"), t("getpgrp"), t("getpid"), t("getppid"), t("getpriority"), t("getrandom"),
            t("getresgid"), t("getresgid32"), t("getresuid"), t("getresuid32"), t("getrlimit"),
            t("getrusage"), t("getsid"), t("getsockname"), t("getsockopt"), t("gettid"), t("gettimeofday"),
            t("getuid"), t("getuid32"), t("getxattr"), t("inotify_add_watch"), t("inotify_init"),
            t("inotify_init1"), t("inotify_rm_watch"), t("io_cancel"), t("io_destroy"), t("io_getevents"),
            t("io_setup"), t("io_submit"), t("ioctl"), t("ioprio_get"), t("ioprio_set"), t("ipc"),
            t("keyctl"), t("kill"), t("landlock_add_rule"), t("landlock_create_ruleset"),
            t("landlock_restrict_self"), t("lchown"), t("lchown32"), t("lgetxattr"), t("link"), t("linkat"),
            t("listen"), t("listxattr"), t("llistxattr"), t("lremovexattr"), t("lseek"), t("lsetxattr"),
            t("lstat"), t("lstat64"), t("madvise"), t("mbind"), t("membarrier"), t("memfd_create"),
            t("memfd_secret"), t("mincore"), t("mkdir"), t("mkdirat"), t("mknod"), t("mknodat"), t("mlock"),
            t("mlock2"), t("mlockall"), t("mmap"), t("mmap2"), t("mount"), t("mount_setattr"),
            t("move_mount"), t("mprotect"), t("mq_getsetattr"), t("mq_notify"), t("mq_open"),
            t("mq_timedreceive"), t("mq_timedreceive_time64"), t("mq_timedsend"), t("mq_timedsend_time64"),
            t("mq_unlink"), t("mremap"), t("msgctl"), t("msgget"), t("msgrcv"), t("msgsnd"), t("msync"),
            t("munlock"), t("munlockall"), t("munmap"), t("name_to_handle_at"), t("nanosleep"),
            t("newfstatat"), t("open"), t("open_tree"), t("openat"), t("openat2"), t("pause"),
            t("pidfd_getfd"), t("pidfd_open"), t("pidfd_send_signal"), t("pipe"), t("pipe2"),
            t("pivot_root"), t("pkey_alloc"), t("pkey_free"), t("pkey_mprotect"), t("poll"), t("ppoll"),
            t("ppoll_time64"), t("prctl"), t("pread64"), t("preadv"), t("preadv2"), t("prlimit64"),
            t("process_mrelease"), t("process_vm_readv"), t("process_vm_writev"), t("pselect6"),
            t("pselect6_time64"), t("ptrace"), t("pwrite64"), t("pwritev"), t("pwritev2"), t("read"),
            t("readahead"), t("readlink"), t("readlinkat"), t("readv"), t("reboot"), t("recv"),
            t("recvfrom"), t("recvmmsg"), t("recvmmsg_time64"), t("recvmsg"), t("remap_file_pages"),
            t("removexattr"), t("rename"), t("renameat"), t("renameat2"), t("restart_syscall"), t("rmdir"),
            t("rseq"), t("rt_sigaction"), t("rt_sigpending"), t("rt_sigprocmask"), t("rt_sigqueueinfo"),
            t("rt_sigreturn"), t("rt_sigsuspend"), t("rt_sigtimedwait"), t("rt_sigtimedwait_time64"),
            t("rt_tgsigqueueinfo"), t("sched_get_priority_max"), t("sched_get_priority_min"),
            t("sched_getaffinity"), t("sched_getattr"), t("sched_getparam"), t("sched_getscheduler"),
            t("sched_rr_get_interval"), t("sched_rr_get_interval_time64"), t("sched_setaffinity"),
            t("sched_setattr"), t("sched_setparam"), t("sched_setscheduler"), t("sched_yield"),
            t("seccomp"), t("select"), t("semctl"), t("semget"), t("semop"), t("semtimedop"),
            t("semtimedop_time64"), t("send"), t("sendfile"), t("sendfile64"), t("sendmmsg"), t("sendmsg"),
            t("sendto"), t("set_mempolicy"), t("set_robust_list"), t("set_thread_area"),
            t("set_tid_address"), t("setfsgid"), t("setfsgid32"), t("setfsuid"), t("setfsuid32"),
            t("setgid"), t("setgid32"), t("setgroups"), t("setgroups32"), t("setitimer"), t("setns"),
            t("setpgid"), t("setpriority"), t("setregid"), t("setregid32"), t("setresgid"),
            t("setresgid32"), t("setresuid"), t("setresuid32"), t("setreuid"), t("setreuid32"),
            t("setrlimit"), t("setsid"), t("setsockopt"), t("setuid"), t("setuid32"), t("setxattr"),
            t("shmat"), t("shmctl"), t("shmdt"), t("shmget"), t("shutdown"), t("sigaltstack"), t("signal"),
            t("signalfd"), t("signalfd4"), t("sigprocmask"), t("sigreturn"), t("socketcall"),
            t("socketpair"), t("splice"), t("stat"), t("stat64"), t("statfs"), t("statfs64"), t("statx"),
            t("symlink"), t("symlinkat"), t("sync"), t("sync_file_range"), t("syncfs"), t("sysinfo"),
            t("syslog"), t("tee"), t("tgkill"), t("time"), t("timer_create"), t("timer_delete"),
            t("timer_getoverrun"), t("timer_gettime"), t("timer_gettime64"), t("timer_settime"),
            t("timer_settime64"), t("timerfd_create"), t("timerfd_gettime"), t("timerfd_gettime64"),
            t("timerfd_settime"), t("timerfd_settime64"), t("times"), t("tkill"), t("truncate"),
            t("truncate64"), t("ugetrlimit"), t("umask"), t("umount"), t("umount2"), t("uname"),
            t("unlink"), t("unlinkat"), t("unshare"), t("utime"), t("utimensat"), t("utimensat_time64"),
            t("utimes"), t("vfork"), t("wait4"), t("waitid"), t("waitpid"), t("write"), t("writev"),
        ]),
        ..RULE
    },
    Rule {
        names: Cow::Borrowed(&[t("personality")]),
        args: Cow::Borrowed(&[Condition { index: 0, value: 0, value_two: 0, op: Operator::Equal }]),
        ..RULE
    },
    Rule {
        names: Cow::Borrowed(&[t("personality")]),
        args: Cow::Borrowed(&[Condition { index: 0, value: 8, value_two: 0, op: Operator::Equal }]),
        ..RULE
    },
    Rule {
        names: Cow::Borrowed(&[t("personality")]),
        args: Cow::Borrowed(&[Condition { index: 0, value: 0x20000, value_two: 0, op: Operator::Equal }]),
        ..RULE
    },
    Rule {
        names: Cow::Borrowed(&[t("personality")]),
        args: Cow::Borrowed(&[Condition { index: 0, value: 0x20008, value_two: 0, op: Operator::Equal }]),
        ..RULE
    },
    Rule {
        names: Cow::Borrowed(&[t("personality")]),
        args: Cow::Borrowed(&[Condition { index: 0, value: 0xffffffff, value_two: 0, op: Operator::Equal }]),
        ..RULE
    },
    Rule {
        names: Cow::Borrowed(&[t("sync_file_range2"), t("swapcontext")]),
        includes: When { arches: Cow::Borrowed(&[t("ppc64le")]), ..When::ALWAYS },
        ..RULE
    },
    Rule {
        names: Cow::Borrowed(&[
            t("arm_fadvise64_64"), t("arm_sync_file_range"), t("breakpoint"), t("cacheflush"), t("set_tls"),
            t("sync_file_range2"),
        ]),
        includes: When { arches: Cow::Borrowed(&[t("arm"), t("arm64")]), ..When::ALWAYS },
        ..RULE
    },
    Rule {
        names: Cow::Borrowed(&[t("arch_prctl")]),
        includes: When { arches: Cow::Borrowed(&[t("amd64"), t("x32")]), ..When::ALWAYS },
        ..RULE
    },
    Rule {
        names: Cow::Borrowed(&[t("modify_ldt")]),
        includes: When { arches: Cow::Borrowed(&[t("amd64"), t("x32"), t("x86")]), ..When::ALWAYS },
        ..RULE
    },
    Rule {
        names: Cow::Borrowed(&[t("s390_pci_mmio_read"), t("s390_pci_mmio_write"), t("s390_runtime_instr")]),
        includes: When { arches: Cow::Borrowed(&[t("s390"), t("s390x")]), ..When::ALWAYS },
        ..RULE
    },
    Rule {
        names: Cow::Borrowed(&[t("riscv_flush_icache")]),
        includes: When { arches: Cow::Borrowed(&[t("riscv64")]), ..When::ALWAYS },
        ..RULE
    },
    Rule {
        names: Cow::Borrowed(&[t("open_by_handle_at")]),
        includes: When { caps: Cow::Borrowed(&[t("CAP_DAC_READ_SEARCH")]), ..When::ALWAYS },
        ..RULE
    },
    Rule {
        names: Cow::Borrowed(&[t("open_by_handle_at")]),
        action: Action::Errno,
        errno_ret: Some(1),
        excludes: When { caps: Cow::Borrowed(&[t("CAP_DAC_READ_SEARCH")]), ..When::ALWAYS },
        ..RULE
    },
    Rule {
        names: Cow::Borrowed(&[
            t("bpf"), t("lookup_dcookie"), t("perf_event_open"), t("quotactl"), t("quotactl_fd"),
            t("setdomainname"), t("sethostname"), t("setns"),
        ]),
        includes: When { caps: Cow::Borrowed(&[t("CAP_SYS_ADMIN")]), ..When::ALWAYS },
        ..RULE
    },
    Rule {
        names: Cow::Borrowed(&[
            t("lookup_dcookie"), t("quotactl"), t("quotactl_fd"), t("setdomainname"), t("sethostname"),
            t("setns"),
        ]),
        action: Action::Errno,
        errno_ret: Some(1),
        excludes: When { caps: Cow::Borrowed(&[t("CAP_SYS_ADMIN")]), ..When::ALWAYS },
        ..RULE
    },
    Rule {
        names: Cow::Borrowed(&[t("chroot")]),
        includes: When { caps: Cow::Borrowed(&[t("CAP_SYS_CHROOT")]), ..When::ALWAYS },
        ..RULE
    },
    Rule {
        names: Cow::Borrowed(&[t("chroot")]),
        action: Action::Errno,
        errno_ret: Some(1),
        excludes: When { caps: Cow::Borrowed(&[t("CAP_SYS_CHROOT")]), ..When::ALWAYS },
        ..RULE
    },
    Rule {
        names: Cow::Borrowed(&[
            t("delete_module"), t("finit_module"), t("init_module"), t("query_module"),
        ]),
        includes: When { caps: Cow::Borrowed(&[t("CAP_SYS_MODULE")]), ..When::ALWAYS },
        ..RULE
    },
    Rule {
        names: Cow::Borrowed(&[
            t("delete_module"), t("finit_module"), t("init_module"), t("query_module"),
        ]),
        action: Action::Errno,
        errno_ret: Some(1),
        excludes: When { caps: Cow::Borrowed(&[t("CAP_SYS_MODULE")]), ..When::ALWAYS },
        ..RULE
    },
    Rule {
        names: Cow::Borrowed(&[t("acct")]),
        includes: When { caps: Cow::Borrowed(&[t("CAP_SYS_PACCT")]), ..When::ALWAYS },
        ..RULE
    },
    Rule {
        names: Cow::Borrowed(&[t("acct")]),
        action: Action::Errno,
        errno_ret: Some(1),
        excludes: When { caps: Cow::Borrowed(&[t("CAP_SYS_PACCT")]), ..When::ALWAYS },
        ..RULE
    },
    Rule {
        names: Cow::Borrowed(&[t("kcmp"), t("process_madvise")]),
        includes: When { caps: Cow::Borrowed(&[t("CAP_SYS_PTRACE")]), ..When::ALWAYS },
        ..RULE
    },
    Rule {
        names: Cow::Borrowed(&[t("kcmp"), t("process_madvise")]),
        action: Action::Errno,
        errno_ret: Some(1),
        excludes: When { caps: Cow::Borrowed(&[t("CAP_SYS_PTRACE")]), ..When::ALWAYS },
        ..RULE
    },
    Rule {
        names: Cow::Borrowed(&[t("ioperm"), t("iopl")]),
        includes: When { caps: Cow::Borrowed(&[t("CAP_SYS_RAWIO")]), ..When::ALWAYS },
        ..RULE
    },
    Rule {
        names: Cow::Borrowed(&[t("ioperm"), t("iopl")]),
        action: Action::Errno,
        errno_ret: Some(1),
        excludes: When { caps: Cow::Borrowed(&[t("CAP_SYS_RAWIO")]), ..When::ALWAYS },
        ..RULE
    },
    Rule {
        names: Cow::Borrowed(&[
            t("clock_settime"), t("clock_settime64"), t("settimeofday"), t("stime"),
        ]),
        includes: When { caps: Cow::Borrowed(&[t("CAP_SYS_TIME")]), ..When::ALWAYS },
        ..RULE
    },
    Rule {
        names: Cow::Borrowed(&[
            t("clock_settime"), t("clock_settime64"), t("settimeofday"), t("stime"),
        ]),
        action: Action::Errno,
        errno_ret: Some(1),
        excludes: When { caps: Cow::Borrowed(&[t("CAP_SYS_TIME")]), ..When::ALWAYS },
        ..RULE
    },
    Rule {
        names: Cow::Borrowed(&[t("vhangup")]),
        includes: When { caps: Cow::Borrowed(&[t("CAP_SYS_TTY_CONFIG")]), ..When::ALWAYS },
        ..RULE
    },
    Rule {
        names: Cow::Borrowed(&[t("vhangup")]),
        action: Action::Errno,
        errno_ret: Some(1),
        excludes: When { caps: Cow::Borrowed(&[t("CAP_SYS_TTY_CONFIG")]), ..When::ALWAYS },
        ..RULE
    },
    Rule {
        names: Cow::Borrowed(&[t("socket")]),
        action: Action::Errno,
        errno_ret: Some(1),
        args: Cow::Borrowed(&[Condition { index: 0, value: 40, value_two: 0, op: Operator::Equal }]),
        ..RULE
    },
    Rule {
        names: Cow::Borrowed(&[t("socket")]),
        action: Action::Errno,
        errno_ret: Some(22),
        args: Cow::Borrowed(&[
            Condition { index: 0, value: 16, value_two: 0, op: Operator::Equal },
            Condition { index: 2, value: 9, value_two: 0, op: Operator::Equal },
        ]),
        excludes: When { caps: Cow::Borrowed(&[t("CAP_AUDIT_WRITE")]), ..When::ALWAYS },
        ..RULE
    },
    Rule {
        names: Cow::Borrowed(&[t("socket")]),
        args: Cow::Borrowed(&[
            Condition { index: 0, value: 16, value_two: 0, op: Operator::Equal },
            Condition { index: 2, value: 9, value_two: 0, op: Operator::NotEqual },
        ]),
        excludes: When { caps: Cow::Borrowed(&[t("CAP_AUDIT_WRITE")]), ..When::ALWAYS },
        ..RULE
    },
    Rule {
        names: Cow::Borrowed(&[t("socket")]),
        args: Cow::Borrowed(&[Condition { index: 0, value: 16, value_two: 0, op: Operator::NotEqual }]),
        excludes: When { caps: Cow::Borrowed(&[t("CAP_AUDIT_WRITE")]), ..When::ALWAYS },
        ..RULE
    },
    Rule {
        names: Cow::Borrowed(&[t("socket")]),
        args: Cow::Borrowed(&[Condition { index: 0, value: 40, value_two: 0, op: Operator::NotEqual }]),
        includes: When { caps: Cow::Borrowed(&[t("CAP_AUDIT_WRITE")]), ..When::ALWAYS },
        ..RULE
    },
    Rule {
        names: Cow::Borrowed(&[t("bpf")]),
        action: Action::Errno,
        errno_ret: Some(1),
        excludes: When { caps: Cow::Borrowed(&[t("CAP_SYS_ADMIN"), t("CAP_BPF")]), ..When::ALWAYS },
        ..RULE
    },
    Rule {
        names: Cow::Borrowed(&[t("bpf")]),
        includes: When { caps: Cow::Borrowed(&[t("CAP_BPF")]), ..When::ALWAYS },
        ..RULE
    },
    Rule {
        names: Cow::Borrowed(&[t("perf_event_open")]),
        action: Action::Errno,
        errno_ret: Some(1),
        excludes: When { caps: Cow::Borrowed(&[t("CAP_SYS_ADMIN"), t("CAP_PERFMON")]), ..When::ALWAYS },
        ..RULE
    },
    Rule {
        names: Cow::Borrowed(&[t("perf_event_open")]),
        includes: When { caps: Cow::Borrowed(&[t("CAP_PERFMON")]), ..When::ALWAYS },
        ..RULE
    },
];
