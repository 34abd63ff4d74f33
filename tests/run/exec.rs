//! `ctr exec`: who runs, with what rights, what it sees, how it ends.

use ctr_tests::env::Running;
use ctr_tests::image::{Image, Layer};
use ctr_tests::{BUSYBOX, Env, needs};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};

use crate::kept::wait_until_it_is;
use crate::terminal::{shown, start_at, terminal};

/// A container `c` that does nothing until it is removed.
pub(crate) fn idle<'a>(env: &'a Env, flags: &[&str]) -> Running<'a> {
    let mut running = env.shell(["--name", "c"].iter().chain(flags), "echo ready; exec sleep 1000").start();
    running.wait_for("ready\n");
    running
}

pub(crate) fn end(env: &Env, running: Running<'_>) {
    env.ok(["rm", "-f", "-t", "0", "c"]);
    let _ended = running.finish();
}

/// What a script prints that is executed in the container.
#[track_caller]
pub(crate) fn exec(env: &Env, flags: &[&str], script: &str) -> String {
    env.ctr(["exec"].iter().chain(flags))
        .args(["c", "sh", "-c", script])
        .run()
        .success()
        .trim_end()
        .to_owned()
}

#[test]
fn a_command_sees_what_the_container_sees() {
    needs!(Userns);
    let env = Env::with_busybox();
    let running = idle(&env, &["-e", "FROM=run", "-w", "/tmp", "--hostname", "inside"]);
    wait_until_it_is(&env, "c", "sleep");
    assert_eq!(exec(&env, &[], "echo $FROM $(pwd) $(hostname); cat /proc/1/comm"), "run /tmp inside\nsleep");
    for namespace in ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"] {
        let script =
            format!("test $(readlink /proc/1/ns/{namespace}) = $(readlink /proc/self/ns/{namespace})");
        exec(&env, &[], &script);
    }
    assert_eq!(exec(&env, &[], "touch /made; readlink /proc/self/root"), "/");
    assert_eq!(env.ctr(["container", "exec", "c", "ls", "/made"]).run().success(), "/made");
    env.ok(["exec", "--latest", "test", "-e", "/made"]);
    env.ok(["exec", "--no-session", "c", "test", "-e", "/made"]);
    let id = env.file("cid", env.ok(["ps", "-q", "--no-trunc"]));
    env.ok([
        "exec".as_ref(),
        "--cidfile".as_ref(),
        id.as_os_str(),
        "test".as_ref(),
        "-e".as_ref(),
        "/made".as_ref(),
    ]);
    end(&env, running);
}

#[test]
fn the_exit_code_is_the_command_s_or_says_what_is_wrong() {
    needs!(Userns);
    let env = Env::with_busybox();
    let running = idle(&env, &[]);
    for code in [0, 1, 42, 255] {
        assert_eq!(env.ctr(["exec", "c", "sh", "-c"]).args([format!("exit {code}")]).run().code(), code);
    }
    assert_eq!(env.ctr(["exec", "c", "sh", "-c", "kill -9 $$"]).run().code(), 137);
    assert!(env.ctr(["exec", "c", "/etc"]).run().fails(126).contains("cannot run `/etc`"));
    assert!(env.ctr(["exec", "c", "/no/such"]).run().fails(127).contains("cannot run `/no/such`"));
    assert!(env.ctr(["exec", "c", "nosuch"]).run().fails(127).contains("cannot run `nosuch`"));
    assert!(env.ctr(["exec", "-d", "c", "nosuch"]).run().fails(125).contains("cannot run `nosuch`"));
    assert!(env.ctr(["exec", "c"]).run().fails(125).contains("must provide a non-empty command"));
    let said = env.ctr(["exec", "-w", "/nowhere", "c", "true"]).run().fails(127);
    assert!(said.contains("\"/nowhere\" does not exist"), "{said}");
    let said = env.ctr(["exec", "-w", "etc", "c", "true"]).run().fails(255);
    assert!(said.contains("needs to be an absolute path"), "{said}");
    assert!(env.ctr(["exec", "nobody", "true"]).run().fails(125).contains("nobody"));
    let said = env.ctr(["exec", "--no-session", "-d", "c", "true"]).run().fails(125);
    assert!(said.contains("--no-session cannot be used with --detach"), "{said}");
    let said = env.ctr(["exec", "-l", "--cidfile", "x", "true"]).run().fails(125);
    assert!(said.contains("can not be used together"), "{said}");
    end(&env, running);
    assert_eq!(env.ctr(["exec", "c", "true"]).run().code(), 125, "it is no more");
}

#[test]
fn variables_come_from_the_container_then_files_then_flags() {
    needs!(Userns);
    let env = Env::with_busybox();
    let running = idle(&env, &["-e", "A=run", "-e", "B=run", "-e", "C=run", "--unsetenv", "container"]);
    let file = env.file("vars", "B=file\nC=file\n# no\nHOSTS\n");
    let out = env
        .ctr(["exec", "--env-file"])
        .args([&file])
        .args([
            "-e",
            "C=flag",
            "-e",
            "SEEN",
            "c",
            "sh",
            "-c",
            "echo $A $B $C $SEEN $HOSTS; env | grep -c ^container=",
        ])
        .var("SEEN", "seen")
        .var("HOSTS", "hosts")
        .run();
    assert_eq!(out.stdout, "run file flag seen hosts\n0\n", "{out}");
    let said = env.ctr(["exec", "-e", "=x", "c", "true"]).run().fails(125);
    assert!(said.contains("invalid variable"), "{said}");
    end(&env, running);
}

#[test]
fn users_are_those_of_the_container() {
    needs!(Userns);
    let env = Env::new();
    let passwd = "root:x:0:0::/root:/bin/sh\nada:x:1000:100::/home/ada:/bin/sh\n1001:x:0:0::/:/bin/sh\n";
    let group = "root:x:0:\nusers:x:100:\nstaff:x:50:ada\nwheel:x:10:root\n";
    let files = Layer::new().file("etc/passwd", 0o644, passwd).file("etc/group", 0o644, group);
    env.load(&Image::busybox(BUSYBOX, [files]));
    let running = idle(&env, &["--group-add", "7"]);
    let id = "echo $(id -u):$(id -g) $(id -G) $HOME";
    assert_eq!(exec(&env, &[], id), "0:0 0 7 10 /root");
    assert_eq!(exec(&env, &["-u", "ada"], id), "1000:100 100 7 50 /home/ada");
    assert_eq!(exec(&env, &["--user", "ada:staff"], id), "1000:50 50 7 /home/ada");
    // CVE-2026-46680: digits are an id, whatever a name says.
    assert_eq!(exec(&env, &["-u", "1001"], id), "1001:0 0 7 /");
    assert_eq!(exec(&env, &["-u", ":50"], id), "0:50 50 7 /root");
    assert_eq!(exec(&env, &["-u", "ada", "-e", "HOME=/mine"], "echo $HOME"), "/mine");
    assert!(env.ctr(["exec", "-u", "eve", "c", "true"]).run().fails(255).contains("eve"));
    assert_eq!(env.ctr(["exec", "--no-session", "-u", "eve", "c", "true"]).run().code(), 125);
    assert_eq!(env.ctr(["exec", "-d", "-u", "eve", "c", "true"]).run().code(), 125);
    assert!(env.ctr(["exec", "-u", "ada:crew", "c", "true"]).run().fails(255).contains("crew"));
    assert!(env.ctr(["exec", "-u", "-1", "c", "true"]).run().fails(255).contains("-1"));
    // The files are what they are now, and are not followed out of the container.
    exec(&env, &[], "echo eve:x:5:6::/e:/bin/sh >> /etc/passwd");
    assert_eq!(exec(&env, &["-u", "eve"], id), "5:6 6 7 /e");
    exec(&env, &[], "rm /etc/passwd; ln -s /proc/1/root/../../../etc/hostname /etc/passwd");
    assert_eq!(env.ctr(["exec", "-u", "ada", "c", "true"]).run().code(), 255);
    exec(&env, &["-u", "0:0"], "rm /etc/passwd; mkfifo /etc/passwd");
    assert_eq!(env.ctr(["exec", "-u", "ada", "c", "true"]).run().code(), 255, "a pipe must not hold us up");
    end(&env, running);
}

#[test]
fn keep_id_s_user_runs_it_too() {
    needs!(Userns);
    let env = Env::with_busybox();
    let running = idle(&env, &["--userns", "keep-id"]);
    let ours = rustix::process::getuid().as_raw().to_string();
    assert_eq!(exec(&env, &[], "id -u"), ours);
    assert_eq!(exec(&env, &["-u", "0"], "id -u"), "0");
    end(&env, running);
}

#[test]
fn files_that_only_the_container_may_read_are_read() {
    needs!(Userns);
    let env = Env::with_busybox();
    let running = idle(&env, &[]);
    exec(&env, &[], "echo ada:x:1000:100::/a:/bin/sh > /etc/passwd; chown -R 1000 /etc; chmod 700 /etc");
    assert_eq!(exec(&env, &["-u", "ada"], "id -u"), "1000");
    end(&env, running);
}

/// The value of a line of /proc/self/status of a command.
fn status(env: &Env, flags: &[&str], name: &str) -> String {
    exec(env, flags, &format!("grep ^{name}: /proc/self/status | cut -f2"))
}

#[test]
fn rights_are_those_of_the_container() {
    needs!(Userns);
    let env = Env::with_busybox();
    let running = idle(&env, &["--cap-add", "net_admin", "--ulimit", "nofile=123:456", "--umask", "0027"]);
    let first = |name: &str| exec(&env, &[], &format!("grep ^{name}: /proc/1/status | cut -f2"));
    for name in ["CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb", "NoNewPrivs", "Seccomp", "Umask"] {
        assert_eq!(status(&env, &[], name), first(name), "{name}");
    }
    assert_eq!(status(&env, &[], "Seccomp"), "2");
    assert_eq!(status(&env, &[], "Umask"), "0027");
    assert_eq!(exec(&env, &[], "ulimit -Sn; ulimit -Hn"), "123\n456");
    for name in ["CapEff", "CapPrm", "CapInh", "CapAmb"] {
        assert_eq!(status(&env, &["-u", "1000"], name), "0000000000000000", "{name}");
    }
    assert_eq!(status(&env, &["-u", "1000"], "CapBnd"), first("CapBnd"));
    let all = u64::from_str_radix(&status(&env, &["--privileged"], "CapEff"), 16).expect("hexadecimal");
    assert_eq!(all & (1 << 21), 1 << 21, "{all:x}");
    assert_eq!(status(&env, &["--privileged"], "Seccomp"), "2");
    end(&env, running);

    let running =
        idle(&env, &["--security-opt", "no-new-privileges", "--security-opt", "seccomp=unconfined"]);
    assert_eq!(status(&env, &[], "NoNewPrivs"), "1");
    assert_eq!(status(&env, &[], "Seccomp"), "0");
    end(&env, running);
}

#[test]
fn a_user_with_ambient_rights_keeps_them() {
    needs!(Userns);
    let env = Env::with_busybox();
    let running = idle(&env, &["-u", "1000", "--cap-add", "net_raw"]);
    let bit = format!("{:016x}", 1_u64 << 13);
    assert_eq!((status(&env, &[], "CapEff"), status(&env, &[], "CapAmb")), (bit.clone(), bit));
    assert_eq!(status(&env, &["-u", "1001"], "CapEff"), "0000000000000000");
    end(&env, running);
}

/// CVE-2024-21626, CVE-2016-9962: no descriptor of the host's is there, and the working directory is inside.
#[test]
fn nothing_of_the_host_leaks_in() {
    needs!(Userns);
    let env = Env::with_busybox();
    let running = idle(&env, &[]);
    assert_eq!(
        exec(&env, &[], "echo /proc/self/fd/*; ls -l /proc/$$/cwd | sed 's/.*-> //'"),
        "/proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 /proc/self/fd/3\n/"
    );
    // The fourth is the shell's own, of the folder it lists.
    assert_eq!(exec(&env, &[], "cat /proc/self/environ | tr '\\0' '\\n' | grep -c HOME"), "1");
    for fd in 3..24 {
        let cwd = format!("/proc/self/fd/{fd}");
        let output = env.ctr(["exec", "-w", &cwd, "c", "pwd"]).run();
        assert!([126, 127, 255].contains(&output.code()) && output.stdout.is_empty(), "{output}");
    }
    // A session keyring of its own, and a session.
    assert_eq!(
        exec(
            &env,
            &[],
            "test $(cut -d' ' -f6 /proc/self/stat) = $(cut -d' ' -f6 /proc/$$/stat); cut -d' ' -f6 /proc/$$/stat | grep -vx 0 >/dev/null && echo own"
        ),
        "own"
    );
    end(&env, running);
}

/// CVE-2019-5736: what runs `/proc/self/exe` gets `ctr-init`, from memory that nobody can write to.
#[test]
fn proc_self_exe_is_no_program_of_the_host() {
    needs!(Userns);
    let env = Env::with_busybox();
    let running = idle(&env, &[]);
    let said = env.ctr(["exec", "c", "/proc/self/exe"]).run();
    assert_eq!(said.code(), 125, "{said}");
    exec(&env, &[], "printf '#!/proc/self/exe\\n' > /trap; chmod +x /trap");
    assert_eq!(env.ctr(["exec", "c", "/trap"]).run().code(), 125);
    end(&env, running);
}

/// CVE-2016-9962: a container's root with CAP_SYS_PTRACE waits for those who join, to take what they hold.
#[test]
fn who_joins_cannot_be_looked_into() {
    needs!(Userns);
    let env = Env::with_busybox();
    let script = "echo ready; while [ ! -e /stop ]; do for p in /proc/[0-9]*; do \
                  case $(readlink $p/exe) in *ctr-init*) echo caught $p; ls -l $p/fd;; esac; done; done; echo stopped";
    let mut running = env.shell(["--name", "c", "--cap-add", "all"], script).start();
    running.wait_for("ready\n");
    for _ in 0..30 {
        env.ok(["exec", "c", "true"]);
    }
    // The container may end before the command that has it end.
    let last = env.ctr(["exec", "c", "touch", "/stop"]).run();
    assert!([0, 137].contains(&last.code()), "{last}");
    assert_eq!(running.finish().stdout, "stopped\n");
}

#[test]
fn input_goes_in_only_when_it_is_asked_for() {
    needs!(Userns);
    let env = Env::with_busybox();
    let running = idle(&env, &[]);
    assert_eq!(env.ctr(["exec", "-i", "c", "cat"]).stdin("typed").run().success(), "typed");
    assert_eq!(env.ctr(["exec", "c", "cat"]).stdin("typed").run().success(), "");
    let big = "0123456789abcdef".repeat(200_000);
    let counted =
        env.ctr(["exec", "-i", "c", "sh", "-c", "cat > /big; wc -c < /big; cat /big"]).stdin(big.clone());
    assert_eq!(counted.run().success(), format!("{}\n{big}", big.len()));
    end(&env, running);
}

#[test]
fn descriptors_are_passed_on_when_they_are_named() {
    needs!(Userns);
    let env = Env::with_busybox();
    let running = idle(&env, &[]);
    let note = env.file("note", "noted\n");
    let files = format!("3<{0} 9<{0}", note.display());
    let with =
        |flag: &str, inside: &str| env.redirected(&files, ["exec", flag, "c", "sh", "-c", inside]).run();
    assert_eq!(with("--preserve-fds=1", "cat <&3").stdout, "noted\n");
    assert_eq!(
        with("--preserve-fd=9", "cat <&9; test ! -e /proc/self/fd/3 && echo closed").stdout,
        "noted\nclosed\n"
    );
    let said = env.ctr(["exec", "--preserve-fd", "77", "c", "true"]).run().fails(125);
    assert!(said.contains("file descriptor 77 is not available"), "{said}");
    end(&env, running);
}

#[test]
fn a_terminal_is_the_container_s() {
    needs!(Userns);
    let env = Env::with_busybox();
    let running = idle(&env, &["--cap-add", "sys_admin"]);
    let (ours, theirs) = terminal(33, 77);
    let script = "stty size; test -t 0 && test -t 2 && echo terminal; tty; echo $TERM; ps -o tty= -p $$ 2>/dev/null; exit 3";
    let mut child = start_at(theirs, env.ctr(["exec", "-it", "c", "sh", "-c", script]));
    let text = shown(ours);
    assert_eq!(child.wait().expect("its end").code(), Some(3), "{text}");
    assert!(text.starts_with("33 77\nterminal\n/dev/pts/0\nxterm\n"), "{text}");
    assert_eq!(exec(&env, &["-t"], "test -t 1 && echo $TERM"), "xterm");
    assert_eq!(exec(&env, &["-t", "-e", "TERM=dumb"], "echo $TERM"), "dumb");
    assert_eq!(exec(&env, &[], "echo .$TERM"), ".");
    // The place of the terminals is the container's to break, and its alone.
    exec(&env, &[], "mkdir /other; mkfifo /other/ptmx; mount --bind /other /dev/pts");
    let said = env.ctr(["exec", "-t", "c", "true"]).run().fails(255);
    assert!(said.contains("cannot open a terminal"), "{said}");
    end(&env, running);
}

#[test]
fn detached_it_outlives_the_command() {
    needs!(Userns);
    let env = Env::with_busybox();
    let running = idle(&env, &[]);
    exec(&env, &[], "mkfifo /gate /done");
    let session =
        env.ok(["exec", "-d", "c", "sh", "-c", "cat /gate > /got; echo $(readlink /proc/self/fd/1) > /done"]);
    assert!(session.len() == 64 && session.bytes().all(|b| b.is_ascii_hexdigit()), "{session}");
    assert_eq!(exec(&env, &[], "echo through > /gate; cat /done >/dev/null; cat /got"), "through");
    // Nobody reads what goes to its terminal, and it goes on all the same.
    env.ok(["exec", "-dt", "c", "sh", "-c", "test -t 1 && seq 1 100000; echo written > /done"]);
    assert_eq!(exec(&env, &[], "cat /done"), "written");
    // Its holder waits for it: the container ends although it runs.
    env.ok(["exec", "-d", "c", "sleep", "1000"]);
    end(&env, running);
}

#[test]
fn inspect_lists_the_detached_ones_that_run() {
    needs!(Userns);
    let env = Env::with_busybox();
    let running = idle(&env, &[]);
    let sessions = || env.ok(["inspect", "-f", "{{json .ExecIDs}}", "c"]);
    assert_eq!(sessions(), "[]");
    exec(&env, &[], "mkfifo /gate");
    exec(&env, &[], "true");
    assert_eq!(sessions(), "[]");
    let first = env.ok(["exec", "-d", "c", "sh", "-c", "read word < /gate"]);
    assert_eq!(sessions(), format!("[\"{first}\"]"));
    // Who waits for it is in the container: all that is seen from here is that it is gone.
    exec(&env, &[], "echo end > /gate");
    while sessions() != "[]" {}
    let second = env.ok(["exec", "-d", "c", "sleep", "1000"]);
    assert_eq!(sessions(), format!("[\"{second}\"]"));
    end(&env, running);
}

#[test]
fn it_ends_with_its_command_and_its_signals_arrive() {
    needs!(Userns);
    let env = Env::with_busybox();
    let running = idle(&env, &[]);
    let script = "trap 'echo got; exit 7' TERM; echo ready; while :; do sleep 1; done";
    let mut inner = env.ctr(["exec", "c", "sh", "-c", script]).start();
    inner.wait_for("ready\n");
    inner.signal(Signal::TERM);
    let output = inner.finish();
    assert_eq!((output.code(), output.stdout.as_str()), (7, "got\n"));

    let mut inner = env.ctr(["exec", "c", "sh", "-c", "echo ready; exec sleep 4321"]).start();
    inner.wait_for("ready\n");
    inner.signal(Signal::KILL);
    assert_eq!(inner.finish().code(), 137);
    exec(&env, &[], "while grep -q 43[2]1 /proc/[0-9]*/cmdline 2>/dev/null; do usleep 10000; done");
    end(&env, running);
}

#[test]
fn it_ends_with_the_container() {
    needs!(Userns);
    let env = Env::with_busybox();
    let running = idle(&env, &[]);
    let mut inner = env.ctr(["exec", "c", "sh", "-c", "echo ready; exec sleep 1000"]).start();
    inner.wait_for("ready\n");
    end(&env, running);
    assert_eq!(inner.finish().code(), 137);
}

/// A container that is only said to run, by the number of a process that is another one.
#[test]
fn what_is_entered_is_the_container() {
    needs!(Userns);
    let env = Env::with_busybox();
    let running = idle(&env, &["--pidfile", "pid"]);
    let id = env.ok(["ps", "-q", "--no-trunc"]);
    let state = env.run_dir().join("ctr/containers").join(&id).join("state.json");
    let text = std::fs::read_to_string(&state).expect("a state");
    let pid = std::fs::read_to_string(env.path("pid")).expect("a number");
    let other = std::process::id().to_string();
    std::fs::write(&state, text.replace(&format!("\"pid\":{pid}"), &format!("\"pid\":{other}")))
        .expect("a lie");
    let said = env.ctr(["exec", "c", "true"]).run().fails(255);
    assert!(said.contains("can only create exec sessions on running containers"), "{said}");
    std::fs::write(&state, text).expect("the truth");
    env.ok(["exec", "c", "true"]);
    end(&env, running);
}

#[test]
fn namespaces_of_the_host_stay_the_host_s() {
    needs!(Userns);
    let env = Env::with_busybox();
    let flags = ["--network", "host", "--pid", "host", "--uts", "host", "--ipc", "host"];
    let running = idle(&env, &flags);
    for namespace in ["net", "pid", "uts", "ipc"] {
        let ours = std::fs::read_link(format!("/proc/self/ns/{namespace}")).expect("a link");
        assert_eq!(
            exec(&env, &[], &format!("readlink /proc/self/ns/{namespace}")),
            ours.display().to_string()
        );
    }
    end(&env, running);
}

/// Somebody who stopped is no reason for others to wait.
#[test]
fn a_zombie_of_a_detached_command_does_not_hold_the_container() {
    needs!(Userns);
    let env = Env::with_busybox();
    let running = idle(&env, &["--pidfile", "pid"]);
    let pid: i32 =
        std::fs::read_to_string(env.path("pid")).expect("a file").trim().parse().expect("a number");
    let init = pidfd_open(Pid::from_raw(pid).expect("a pid"), PidfdFlags::empty()).expect("the container");
    for _ in 0..5 {
        env.ok(["exec", "-d", "c", "true"]);
    }
    env.ok(["rm", "-f", "-t", "0", "c"]);
    let mut fds = [rustix::event::PollFd::new(&init, rustix::event::PollFlags::IN)];
    let limit = rustix::event::Timespec { tv_sec: 20, tv_nsec: 0 };
    assert_eq!(rustix::event::poll(&mut fds, Some(&limit)), Ok(1), "the container is held by what ran in it");
    let _ended = running.finish();
}
