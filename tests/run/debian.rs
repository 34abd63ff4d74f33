//! A whole day with a Debian image, as a user would have it.

use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::time::Duration;

use ctr_tests::{Env, ability, needs};

use crate::ports::places;
use crate::terminal::{shown, start_at, terminal};

const DEBIAN: &str = "localhost/debian:latest";
const PATIENCE: Duration = Duration::from_secs(900);

/// Makes a package with a program in it.
const PACKAGE: &str = "set -e; cd \"$(mktemp -d)\"; mkdir -p p/DEBIAN p/usr/bin
printf 'Package: hello-ctr\\nVersion: 1\\nArchitecture: all\\nMaintainer: nobody <n@localhost>\\nDescription: none\\n' >p/DEBIAN/control
printf '#!/bin/sh\\nid -u hello-ctr >/dev/null && echo the package runs\\n' >p/usr/bin/hello-ctr
printf '#!/bin/sh\\nuseradd --system --no-create-home hello-ctr\\n' >p/DEBIAN/postinst
chmod 755 p/usr/bin/hello-ctr p/DEBIAN/postinst
dpkg-deb --root-owner-group --build p /w/hello.deb";

fn with_debian() -> Env {
    let env = Env::new();
    let tar = ability::debian_root().expect("a root");
    // A few hundred megabytes, which a build for tests takes its time for where others compile beside it.
    let import = env.ctr(["import", "-q"]).args([tar.as_os_str(), DEBIAN.as_ref()]);
    let _id = import.deadline(PATIENCE).run().success();
    env
}

#[test]
fn debian_is_at_home_here() {
    needs!(Userns, Overlay, Debian);
    let env = with_debian();
    let bound = env.path("bound");
    std::fs::create_dir(&bound).expect("a folder");
    let bind = format!("{}:/w", bound.display());
    let bash = |flags: &[&str], script: &str| {
        env.ctr(["run", "--rm", "--network", "none", "-v", &bind])
            .args(flags)
            .args([DEBIAN, "bash", "-c", script])
            .run()
    };
    let me = rustix::process::geteuid().as_raw();
    let owner = |name: &str| std::fs::metadata(bound.join(name)).expect("the file").uid();

    // What root makes in a bound folder is the user's.
    let _built = bash(&[], PACKAGE).success();
    assert_eq!(owner("hello.deb"), me);

    // A shell at a terminal, and a package with a user of its own.
    let (mut ours, theirs) = terminal(24, 80);
    let shell = env.ctr(["run", "--rm", "-it", "--network", "none", "-v", &bind, DEBIAN, "bash"]);
    let mut child = start_at(theirs, shell);
    ours.write_all(b"dpkg -i /w/hello.deb && hello-ctr | tr a-z A-Z; exit 7\n").expect("the terminal");
    let text = shown(ours);
    assert!(text.contains("THE PACKAGE RUNS"), "{text}");
    assert_eq!(child.wait().expect("its end").code(), Some(7), "{text}");

    // Another user is one of the subordinate ids.
    std::fs::set_permissions(&bound, std::fs::Permissions::from_mode(0o777)).expect("a mode");
    let seen = bash(&["-u", "1000:1000"], "id -u; id -g; touch /w/theirs; stat -c %u /w/theirs /w").success();
    assert_eq!(seen, "1000\n1000\n1000\n0");
    assert_ne!(owner("theirs"), me);
    let named = bash(&["-u", "games"], "id -un; cat /etc/shadow").fails(1);
    assert!(named.contains("Permission denied"), "{named}");

    // A root that cannot be written, with places that can.
    let said = bash(&["--read-only"], "touch /tmp/a /run/a /dev/shm/a && touch /usr/a").fails(1);
    assert!(said.contains("Read-only file system"), "{said}");

    // keep-id in the home folder: the user's own files by the user's own id, the system's still root's.
    let home = env.home();
    let mount = format!("{0}:{0}", home.display());
    let script =
        "id -u; echo mine >mine; stat -c %u mine /usr/bin/bash /etc; grep -c ^root: /etc/passwd; pwd";
    let kept = ["--userns", "keep-id", "-v", &mount, "-w", home.to_str().expect("a path in UTF-8")];
    let seen = bash(&kept, script).success();
    assert_eq!(seen, format!("{me}\n{me}\n0\n0\n1\n{}", home.display()));
    assert_eq!(std::fs::metadata(home.join("mine")).expect("the file").uid(), me);
    // Files that it changes there are copied up under the right owner.
    let up = bash(&["--userns", "keep-id", "-u", "0"], "echo x >>/etc/passwd && stat -c %u:%g /etc/passwd");
    assert_eq!(up.success(), "0:0");
}

/// Installs a web server from the mirror that its lists name, and becomes it.
const SERVE: &str = "set -e; export DEBIAN_FRONTEND=noninteractive; apt-get -qq update
apt-get -qq install -y --no-install-recommends nginx-light >/dev/null 2>&1
echo hello >/var/www/html/index.html; exec nginx -g 'daemon off;'";

#[test]
fn a_web_server_comes_from_the_mirror_and_knows_who_calls() {
    needs!(Userns, Overlay, Debian, Traffic);
    let env = with_debian();
    let curl = |url: &str, flags: &[&str]| {
        let patient = ["-sf", "--max-time", "300"];
        env.program("curl", patient).args(flags).args([url]).deadline(PATIENCE).run()
    };
    let lists = env.ok(["run", "--rm", "--network=none", DEBIAN, "cat", "/etc/apt/sources.list"]);
    let mut words = lists.split_ascii_whitespace().skip(1);
    let (mirror, suite) = (words.next().expect("a mirror"), words.next().expect("a suite"));
    let list = format!("{mirror}/dists/{suite}/InRelease");
    if curl(&list, &["--max-time", "60"]).code() != 0 {
        println!("skipped: this host does not reach {list}");
        return;
    }
    env.ok(["run", "-d", "--name=web", "-p=127.0.0.1::80", "-p=[::1]::80", DEBIAN, "sh", "-c", SERVE]);
    let places = places(&env, "web", "80/tcp");
    assert_eq!(places.len(), 2);
    for at in places {
        let seen = if at.is_ipv4() { "169.254.1.2" } else { "fd00:0:0:1::2" };
        // Until it is installed, and listens.
        let again = ["--retry", "600", "--retry-delay", "1", "--retry-all-errors"];
        let said = curl(&format!("http://{at}/index.html"), &again).success();
        assert_eq!(said, "hello", "{}", env.ctr(["logs", "web"]).run().stderr);
        let log = env.ok(["exec", "web", "cat", "/var/log/nginx/access.log"]);
        assert!(log.lines().any(|line| line.starts_with(&format!("{seen} - - "))), "{log}");
    }
    env.ok(["rm", "-f", "-t0", "web"]);
}
