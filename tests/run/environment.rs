//! The environment of a container's command: what it is given, and nothing else.

use ctr_tests::image::Image;
use ctr_tests::{BUSYBOX, Env, needs};

fn lines(text: &str) -> Vec<&str> {
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    lines
}

/// Nothing of the host's comes in by itself: CVE-2021-3602, CVE-2020-14370.
#[test]
fn nothing_of_the_host_is_inherited() {
    needs!(Userns);
    let env = Env::with_busybox();
    let seen =
        env.shell(["--hostname", "h"], "env").var("SECRET", "x").var("LD_PRELOAD_", "y").run().success();
    assert_eq!(
        lines(&seen),
        [
            "HOME=/root",
            "HOSTNAME=h",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "PWD=/",
            "SHLVL=1",
            "container=podman"
        ]
    );
}

#[test]
fn e_sets_and_passes_on() {
    needs!(Userns);
    let env = Env::with_busybox();
    let flags = [
        "-e",
        "A=1",
        "--env",
        "B=two words",
        "-e",
        "FROM_HOST",
        "-e",
        "ABSENT",
        "-e",
        "EMPTY=",
        "-e",
        "EQ=a=b",
    ];
    let seen = env.shell(flags, "env").var("FROM_HOST", "host").run().success();
    for line in ["A=1", "B=two words", "FROM_HOST=host", "EMPTY=", "EQ=a=b"] {
        assert!(lines(&seen).contains(&line), "{line}: {seen}");
    }
    assert!(!seen.contains("ABSENT"), "{seen}");
}

#[test]
fn e_with_a_star_passes_on_what_starts_so() {
    needs!(Userns);
    let env = Env::with_busybox();
    let seen = env
        .shell(["-e", "MINE_*"], "env")
        .var("MINE_A", "1")
        .var("MINE_B", "2")
        .var("OTHER", "3")
        .run()
        .success();
    assert!(seen.contains("MINE_A=1") && seen.contains("MINE_B=2") && !seen.contains("OTHER"), "{seen}");
}

#[test]
fn env_file_is_read_line_by_line_and_e_wins() {
    needs!(Userns);
    let env = Env::with_busybox();
    let file = env.file("vars", "# a comment\n\nA=1\nB=from the file\nFROM_HOST\nC=a # no comment\n");
    let seen = env.shell(
        ["-e", "B=flag", "--env-file"].map(std::ffi::OsString::from).into_iter().chain([file.into()]),
        "env",
    );
    let seen = seen.var("FROM_HOST", "host").run().success();
    for line in ["A=1", "B=flag", "FROM_HOST=host", "C=a # no comment"] {
        assert!(lines(&seen).contains(&line), "{line}: {seen}");
    }
}

#[test]
fn env_host_brings_all_of_it() {
    needs!(Userns);
    let env = Env::with_busybox();
    let seen = env.shell(["--env-host"], "env").var("FROM_HOST", "host").run().success();
    assert!(lines(&seen).contains(&"FROM_HOST=host"), "{seen}");
}

#[test]
fn unsetenv_takes_out_what_the_image_sets() {
    needs!(Userns);
    let env = Env::new();
    let path = "PATH=/usr/local/bin:/usr/bin:/bin";
    env.load(&Image::busybox(BUSYBOX, []).set("Env", vec![path, "A=1", "B=2"]));
    let seen = env.sh(["--unsetenv", "A"], "env");
    assert!(!lines(&seen).contains(&"A=1") && lines(&seen).contains(&"B=2"), "{seen}");
    let seen = env.sh(["--unsetenv-all", "-e", "C=3"], "/bin/busybox env");
    assert!(!seen.contains("A=1") && !seen.contains("B=2") && lines(&seen).contains(&"C=3"), "{seen}");
}

#[test]
fn http_proxy_passes_the_proxies_on() {
    needs!(Userns);
    let env = Env::with_busybox();
    let with = |flags: &[&str]| {
        env.shell(flags, "env").var("http_proxy", "http://p:1").var("NO_PROXY", "x").run().success()
    };
    let seen = with(&[]);
    assert!(seen.contains("http_proxy=http://p:1") && seen.contains("NO_PROXY=x"), "{seen}");
    let seen = with(&["--http-proxy=false"]);
    assert!(!seen.contains("proxy") && !seen.contains("PROXY"), "{seen}");
}

/// Entries of an image's `Env` never reach into the host's environment: CVE-2026-57231.
#[test]
fn odd_entries_of_an_image_bring_nothing_of_the_host() {
    needs!(Userns);
    for odd in ["", "=", "SECRET", "SECRET*", "*", "=SECRET", "A\nSECRET"] {
        let env = Env::new();
        env.load(&Image::busybox(BUSYBOX, []).set("Env", vec!["PATH=/bin", odd]));
        let output = env.shell([""; 0], "env").var("SECRET", "of the host").run();
        assert!(!output.stdout.contains("of the host"), "{odd:?}: {output}");
        // Whatever it does with such an entry, it does not fall over.
        assert!([0, 125].contains(&output.code()), "{odd:?}: {output}");
    }
}

#[test]
fn tz_and_umask_are_set() {
    needs!(Userns);
    let env = Env::with_busybox();
    assert_eq!(env.sh(["--umask", "0027"], "umask"), "0027");
    assert_eq!(env.sh([""; 0], "umask"), "0022");
    assert_eq!(env.sh(["--tz", "UTC"], "date +%Z"), "UTC");
    let said = env.shell(["--tz", "../../etc/shadow"], "true").run().fails(125);
    assert!(said.contains("timezone"), "{said}");
}
