//! Files that a container is given: hosts, hostname, passwd and group.

use ctr_tests::{Env, needs};

#[test]
fn the_hostname_is_the_id_or_what_is_asked() {
    needs!(Userns);
    let env = Env::with_busybox();
    assert_eq!(
        env.sh(["--hostname", "box.example"], "hostname; cat /etc/hostname"),
        "box.example\nbox.example"
    );
    assert_eq!(env.sh(["-h", "box"], "hostname"), "box");
    let own = env.sh([""; 0], "hostname");
    assert!(own.len() == 12 && own.bytes().all(|byte| byte.is_ascii_hexdigit()), "{own}");
}

#[test]
fn hosts_names_the_container_and_what_is_added() {
    needs!(Userns);
    let env = Env::with_busybox();
    let hosts = env.sh(["--hostname", "box", "--add-host", "other:192.0.2.7"], "cat /etc/hosts");
    assert!(hosts.lines().any(|line| line.split_whitespace().eq(["192.0.2.7", "other"])), "{hosts}");
    assert!(hosts.contains("127.0.0.1") && hosts.contains("localhost") && hosts.contains("box"), "{hosts}");
    let said = env.shell(["--add-host", "nonsense"], "true").run().fails(125);
    assert!(said.contains("nonsense"), "{said}");
}

#[test]
fn no_hosts_leaves_the_image_s_own() {
    needs!(Userns);
    let env = Env::with_busybox();
    // This image has none.
    assert_eq!(env.sh(["--no-hosts"], "ls /etc/hosts 2>/dev/null || echo none"), "none");
    let said = env.shell(["--no-hosts", "--add-host", "a:127.0.0.1"], "true").run().fails(125);
    assert!(said.contains("no-hosts") && said.contains("add-host"), "{said}");
}

#[test]
fn a_user_that_the_image_lacks_gets_a_passwd_entry() {
    needs!(Userns);
    let env = Env::with_busybox();
    let entry = env.sh(["-u", "1234:1235"], "grep :1234: /etc/passwd");
    assert!(entry.starts_with("1234:*:1234:1235:"), "{entry}");
    assert_eq!(env.sh(["-u", "1234", "--passwd=false"], "grep -c :1234: /etc/passwd || true"), "0");
    let entry =
        env.sh(["-u", "1234", "--passwd-entry", "me:x:$UID:$GID::/me:/bin/sh"], "grep :1234: /etc/passwd");
    assert_eq!(entry, "me:x:1234:0::/me:/bin/sh");
    let entry = env.sh(["-u", "1234:4321", "--group-entry", "us:x:$GID:"], "grep :4321: /etc/group");
    assert_eq!(entry, "us:x:4321:");
}
