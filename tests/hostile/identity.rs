//! Classes J and K: who the process is, and what it knows of the host's environment.

use ctr_tests::image::Layer;
use ctr_tests::needs;
use serde_json::json;

use crate::canary::{EVIL, World, with};

/// Ids, groups and all five sets.
const STATUS: &str = "grep -E '^(Uid|Gid|Groups|Cap[A-Z][a-z]*):' /proc/self/status | tr -d '\\n\\t'";

/// What [`STATUS`] prints of somebody. The primary group is among the others, too, so that what it is denied stays denied.
fn status(uid: u32, gid: u32, groups: &str, held: &str) -> String {
    let (none, bounding) = ("0000000000000000", "00000000800405fb");
    let id = |id: u32| id.to_string().repeat(4);
    format!(
        "Uid:{}Gid:{}Groups:{groups} CapInh:{none}CapPrm:{held}CapEff:{held}CapBnd:{bounding}CapAmb:{none}",
        id(uid),
        id(gid)
    )
}

/// A passwd file with traps: numbers as names, ids that are none, lines that are cut.
const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n1000:x:0:0:evil:/:/bin/sh\n4242:x:0:0::/:/bin/sh\n\
                      app:x:1000:1001:App:/:/bin/sh\nneg:x:-1:0::/:\nbig:x:4294967296:0::/:\nmax:x:4294967295:0::/:\n\
                      hex:x:0x0:0::/:\nbroken:x:\n+::::::\n";
const GROUP: &str =
    "root:x:0:\n0:x:44:app\nwheel:x:10:root,app\napp:x:1001:\nneg:x:-1:app\nbig:x:4294967296:app\n";

/// CVE-2022-29162, CVE-2022-2990, CVE-2024-40635, CVE-2026-30892, CVE-2026-46680.
#[test]
fn every_form_of_a_user_is_who_it_says() {
    needs!(Userns);
    let world = World::new();
    let accounts = Layer::new().file("etc/passwd", 0o644, PASSWD).file("etc/group", 0o644, GROUP);
    let (root, user) = ("00000000800405fb", "0000000000000000");
    for (text, uid, gid, groups) in [
        ("", 0, 0, "0 10"),
        ("0", 0, 0, "0 10"),
        ("1", 1, 0, "0"),
        ("01", 1, 0, "0"),
        ("1:1", 1, 1, "1"),
        ("1000", 1000, 1001, "10 44 1001"),
        ("4242", 4242, 0, "0"),
        ("app", 1000, 1001, "10 44 1001"),
        ("app:0", 1000, 0, "0"),
        (":5", 0, 5, "5"),
        ("65535:65535", 65535, 65535, "65535"),
    ] {
        let image = with(accounts.clone()).set("User", text);
        world.env.load(&image);
        let wanted = status(uid, gid, groups, if uid == 0 { root } else { user });
        let of_image = world.survives(world.evil([""; 0], STATUS));
        assert_eq!(of_image.stdout, wanted, "USER {text:?}: {of_image}");
        world.env.load(&image.set("User", "root"));
        let of_flag = world.survives(world.evil(["-u", text], STATUS));
        assert_eq!(of_flag.stdout, wanted, "-u {text:?}: {of_flag}");
    }
    for text in [
        "-1",
        "+1",
        "1 ",
        " 1",
        "1:-1",
        "4294967295",
        "4294967296",
        "1:4294967296",
        "18446744073709551616",
        "0x0",
        "1e3",
        "neg",
        "big",
        "max",
        "hex",
        "broken",
        "nobody-here",
        "app:none",
        "root\n",
        "a:b:c",
        "~root",
        "/",
        "\u{1b}[31m",
        "65537",
    ] {
        // 125 is what can be nobody, 126 whom the image does not know.
        let of_flag = world.survives(world.evil(["-u", text], STATUS));
        assert!(matches!(of_flag.code(), 125 | 126), "-u {text:?}: {of_flag}");
        world.env.load(&with(accounts.clone()).set("User", text));
        let of_image = world.survives(world.evil([""; 0], STATUS));
        assert!(matches!(of_image.code(), 125 | 126), "USER {text:?}: {of_image}");
        world.env.load(&with(accounts.clone()));
    }
}

/// CVE-2020-14370, CVE-2026-57231.
#[test]
fn nothing_of_the_host_s_environment_is_pulled_in() {
    needs!(Userns);
    let world = World::new();
    let long = format!("LONG={}", "x".repeat(100_000));
    let env = json!([
        "",
        "=",
        "=x",
        "A",
        "SECRET",
        "SEC*",
        "*",
        "N=a\nb",
        "B=$SECRET",
        "C=${SECRET}",
        "D=`id`",
        long,
        "PATH=/bin"
    ]);
    world.env.load(&with(Layer::new()).set("Env", env));
    let invocation = world.env.ctr(["run", "--rm", "--hostname=box", EVIL, "cat", "/proc/self/environ"]);
    let seen = world
        .survives(invocation.var("SECRET", "of the host").var("A", "of the host").var("*", "of the host"));
    let wanted = format!(
        "PATH=/bin\0container=podman\0A=\0SECRET=\0SEC*=\0*=\0N=a\nb\0B=$SECRET\0C=${{SECRET}}\0D=`id`\0{long}\0\
         HOSTNAME=box\0HOME=/root\0"
    );
    let sorted = |text: &str| {
        let mut entries: Vec<_> = text.split('\0').map(str::to_owned).collect();
        entries.sort();
        entries
    };
    assert_eq!(sorted(&seen.stdout), sorted(&wanted));
    world.env.load(&with(Layer::new()).set("Env", json!([format!("BIG={}", "x".repeat(1 << 20))])));
    let line = world.refuses(world.evil([""; 0], "true"));
    assert!(line.contains("BIG"), "{line}");
}

/// Bytes that no argument, name or path can hold come from an image's configuration.
#[test]
fn a_configuration_with_impossible_bytes_is_refused() {
    needs!(Userns);
    let world = World::new();
    for (key, value) in [
        ("WorkingDir", json!("/a\0b")),
        ("User", json!("root\0")),
        ("Env", json!(["A=\0"])),
        ("Entrypoint", json!(["/bin/sh\0-c"])),
        ("Cmd", json!(["true\0x"])),
        ("StopSignal", json!("\u{1b}[31mKILL")),
        ("WorkingDir", json!("\u{1b}]0;title\u{7}")),
        ("User", json!("\u{202e}toor")),
        ("WorkingDir", json!("../../../../../tmp")),
        ("Labels", json!({"\u{1b}[31m": "\u{7}\0"})),
        ("Volumes", json!({"../../../../x": {}, "/\0": {}})),
        ("ExposedPorts", json!({"-1/tcp": {}})),
    ] {
        let archive = world.env.file("evil.tar", with(Layer::new()).set(key, value.clone()).docker_archive());
        let loaded = world.survives(world.env.ctr(["load", "-q", "-i"]).args([&archive]));
        if loaded.code() == 0 {
            let mut run = world.env.ctr(["run", "--rm", EVIL]);
            if key != "Entrypoint" && key != "Cmd" {
                run = run.args(["true"]);
            }
            let output = world.survives(run);
            // A user whom the image does not know is 126.
            assert!(matches!(output.code(), 0 | 125 | 126), "{key} {value}: {output}");
            for list in [vec!["images"], vec!["ps", "-a"], vec!["history", EVIL]] {
                let shown = world.survives(world.env.ctr(list)).success();
                assert!(!shown.chars().any(|it| it.is_control() && it != '\n'), "{key} {value}: {shown:?}");
            }
            let _gone = world.survives(world.env.ctr(["rmi", "-f", EVIL])).success();
        }
    }
}
