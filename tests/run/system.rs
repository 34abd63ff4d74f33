//! `system df`, `system prune`, and the sets that are empty: pods, networks, secrets.

use ctr_tests::image::{Image, Layer};
use ctr_tests::{BUSYBOX, Env, needs};
use rustix::process::Signal;
use serde_json::Value;

use crate::kept::detached;

/// `system df` as JSON: images, containers, volumes.
fn df(env: &Env) -> Vec<Value> {
    serde_json::from_str(&env.ok(["system", "df", "--format", "json"])).expect("JSON")
}

fn number(of: &Value, key: &str) -> u64 {
    of[key].as_u64().expect(key)
}

#[test]
fn bytes_are_counted_once() {
    needs!(Userns, Overlay);
    let env = Env::with_busybox();
    let size = |image: &str| env.ok(["image", "inspect", "--format", "{{.Size}}", image]);
    let alone: u64 = size(BUSYBOX).parse().expect("a number");
    assert_eq!(
        env.ok(["system", "df", "--format", "{{.Type}}:{{.Total}}:{{.Active}}:{{.RawSize}}"]),
        format!("Images:1:0:{alone}\nContainers:0:0:0\nLocal Volumes:0:0:0")
    );
    let layer = Layer::new().file("big", 0o644, "x".repeat(5000));
    env.load(&Image::busybox("localhost/other", [layer]));
    let _tagged = env.ok(["tag", "localhost/other", "localhost/another:1"]);
    let both = df(&env);
    let other: u64 = size("localhost/other").parse().expect("a number");
    let (together, shared) = (number(&both[0], "RawSize"), number(&both[0], "RawReclaimable"));
    assert_eq!((together, number(&both[0], "Total"), number(&both[0], "TotalCount")), (shared, 2, 2));
    assert!((other + 1..other + 2000).contains(&together), "{alone} {other} {together}");
    assert_eq!(both[0]["Reclaimable"].as_str().and_then(|text| text.rsplit(' ').next()), Some("(100%)"));
    let table = env.ok(["system", "df", "-v"]);
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    let row = |first: &str| rows.iter().find(|row| row.first() == Some(&first)).expect("a row");
    assert_eq!(row("localhost/another")[1], "1");
    assert_eq!(row("localhost/other")[3..], row("localhost/another")[3..]);
    assert_eq!(rows[2].join(" "), "REPOSITORY TAG IMAGE ID CREATED SIZE SHARED SIZE UNIQUE SIZE CONTAINERS");
}

#[test]
fn what_is_used_cannot_be_had_back() {
    needs!(Userns, Overlay);
    let env = Env::with_busybox();
    let _made = env.ok(["volume", "create", "idle"]);
    let script = "head -c 3000 /dev/zero >/v/file; ln /v/file /v/same; head -c 700000 /dev/zero >/own; echo ready; exec sleep 1000";
    let mut running = env.shell(["--name", "it", "-v", "used:/v"], script).start();
    let _ready = running.wait_for("ready");
    let all = df(&env);
    let image = number(&all[0], "RawSize");
    assert_eq!(number(&all[0], "Active"), 1);
    assert_eq!((number(&all[0], "RawReclaimable"), all[0]["Reclaimable"].as_str()), (0, Some("0B (0%)")));
    assert_eq!((number(&all[1], "Total"), number(&all[1], "Active")), (1, 1));
    assert_eq!(number(&all[1], "RawReclaimable"), 0);
    assert!((700_000..1_000_000).contains(&number(&all[1], "RawSize")), "{all:?}");
    assert_eq!((number(&all[2], "Total"), number(&all[2], "Active")), (2, 1));
    assert_eq!((number(&all[2], "RawSize"), all[2]["Size"].as_str()), (3000, Some("3kB")));
    assert_eq!(number(&all[2], "RawReclaimable"), 0);
    let table = env.ok(["system", "df", "--verbose"]);
    let lines: Vec<&str> = table.lines().filter(|line| !line.is_empty()).collect();
    let heads = ["Images space usage:", "Containers space usage:", "Local Volumes space usage:"];
    assert_eq!([lines[0], lines[3], lines[6]], heads);
    let words = |line: usize| lines[line].split_whitespace().collect::<Vec<_>>();
    assert_eq!(words(2).last(), Some(&"1"), "containers of the image");
    assert_eq!(words(4).join(" "), "CONTAINER ID IMAGE COMMAND LOCAL VOLUMES SIZE CREATED STATUS NAMES");
    let status = ["running", "it"];
    assert!(words(5).ends_with(&status), "{table}");
    assert_eq!([words(8), words(9)], [["idle", "0", "0B"], ["used", "1", "3kB"]]);
    running.signal(Signal::KILL);
    let _killed = running.finish();
    assert_eq!(number(&df(&env)[0], "RawReclaimable"), image);
    let said = env.ctr(["system", "df", "-v", "--format", "json"]).run().fails(125);
    assert!(said.contains("cannot combine --format and --verbose flags"), "{said}");
    assert_eq!(env.ctr(["system", "df", "--format", "{{.Nope}}"]).run().code(), 125);
}

/// As podman answers where there is nothing.
#[test]
fn what_is_asked_of_an_empty_set_is_not_there() {
    let env = Env::new();
    for kind in ["pod", "network", "secret"] {
        let absent = env.ctr([kind, "exists", "absent"]).run();
        assert_eq!((absent.code(), absent.stderr.as_str()), (1, ""), "{kind}");
    }
    for (args, printed, why) in [
        (&["pod", "inspect", "x"][..], "[]\n", "no such pod x"),
        (&["pod", "inspect", "-f", "{{.Name}}", "x"], "", "no such pod x"),
        (&["pod", "inspect", "--latest"], "", "no such pod"),
        (
            &["network", "inspect", "x"],
            "[]\n",
            "network x: unable to find network with name or ID x: network not found",
        ),
        (&["network", "inspect", "--format", "{{.Name}}", "x"], "", "network not found"),
        (
            &["secret", "inspect", "--showsecret", "x"],
            "[]\n",
            "inspecting secret: no secret with name or id \"x\": no such secret",
        ),
        (&["secret", "inspect", "--pretty", "x"], "", "no such secret"),
        (&["secret", "inspect", "--format", "{{.ID}}", "x"], "", "no such secret"),
        (&["secret", "rm", "x"], "", "no secret with name or id \"x\": no such secret"),
        (&["secret", "rm"], "", "requires one argument, or the --all flag"),
        (&["secret", "rm", "--all", "x"], "", "requires one argument, or the --all flag"),
    ] {
        let ran = env.ctr(args).run();
        assert_eq!((ran.code(), ran.stdout.as_str()), (125, printed), "{args:?}");
        assert!(ran.stderr.contains(why), "{args:?}: {}", ran.stderr);
    }
    for (args, printed) in [
        (&["secret", "rm", "--all"][..], ""),
        (&["secret", "rm", "--ignore", "x"], ""),
        (&["secret", "ls", "-q"], ""),
        (&["secret", "ls", "--noheading", "--filter", "name=x"], ""),
        (&["secret", "list", "--format", "json"], "[]"),
    ] {
        assert_eq!(env.ok(args), printed, "{args:?}");
    }
    let heads = env.ok(["secret", "ls"]);
    assert_eq!(heads.split_whitespace().collect::<Vec<_>>(), ["ID", "NAME", "DRIVER", "CREATED", "UPDATED"]);
}

/// Two images, volumes and containers: of each one that is used and one that is not.
fn with_litter() -> Env {
    let env = Env::with_busybox();
    let layer = Layer::new().file("big", 0o644, "x".repeat(50_000));
    env.load(&Image::busybox("localhost/other", [layer]));
    env.ok(["volume", "create", "-l", "old", "idle"]);
    env.ok(["volume", "create", "used"]);
    let write = "head -c 9000 /dev/zero >/file";
    env.ok(["run", "--name", "ended", "--label", "old", "-v", "/anonymous", BUSYBOX, "sh", "-c", write]);
    detached(&env, &["-v", "used:/v"], "it", "exec sleep 1000");
    env
}

fn left(env: &Env) -> [String; 3] {
    let images = env.ok(["images", "--format", "{{.Repository}}"]);
    let mut images: Vec<&str> = images.lines().collect();
    images.sort_unstable();
    let mut volumes = env.ok(["volume", "ls", "-q"]);
    volumes.retain(|letter| !letter.is_ascii_digit());
    [images.join(" "), env.ok(["ps", "-a", "--format", "{{.Names}}", "--sort", "names"]), volumes]
}

fn end(env: &Env) {
    env.ok(["rm", "-f", "-t", "0", "it"]);
}

#[test]
fn what_nobody_uses_goes() {
    needs!(Userns, Overlay);
    let env = with_litter();
    let ended = env.ok(["container", "inspect", "--format", "{{.ID}}", "ended"]);
    let other = env.ok(["image", "inspect", "--format", "{{.ID}}", "localhost/other"]);
    let asked = env.ctr(["system", "prune"]).stdin("n\n").run();
    assert_eq!(asked.code(), 0, "{asked}");
    assert!(
        asked.stdout.contains("- all stopped containers\n")
            && asked.stdout.contains("- all dangling images\n")
    );
    assert!(asked.stdout.ends_with("Are you sure you want to continue? [y/N] "), "{asked}");
    assert_eq!(left(&env)[1], "ended\nit");
    let before = df(&env);
    let said = env.ok(["system", "prune", "--force"]);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[..2], ["Deleted Containers", &ended]);
    let bytes = before[1]["RawReclaimable"].as_u64().expect("bytes");
    assert!(bytes > 9000 && lines.len() == 3 && lines[2].starts_with("Total reclaimed space: "), "{said}");
    assert!(left(&env)[0].contains("localhost/other"));
    let said = env.ok(["system", "prune", "-a", "--volumes", "-f"]);
    let [images, containers, volumes] = left(&env);
    assert_eq!((images.split(' ').count(), containers.as_str(), volumes.as_str()), (1, "it", "used"));
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!((lines[0], lines.contains(&"idle")), ("Deleted Volumes", true), "{said}");
    assert_eq!(lines[lines.len() - 3..lines.len() - 1], ["Deleted Images", &other], "{said}");
    // The layers that both images had are still there.
    let freed = lines[lines.len() - 1];
    assert!(freed.ends_with("kB"), "{freed}");
    assert_eq!(env.ok(["system", "prune", "-f", "--all"]), "Total reclaimed space: 0B");
    end(&env);
}

#[test]
fn what_a_filter_spares_stays() {
    needs!(Userns, Overlay);
    let env = with_litter();
    let all = left(&env);
    for args in [&["-a", "--filter", "label=absent"][..], &["--filter", "until=24h"]] {
        let pruned = env.ctr(["system", "prune", "--volumes", "--force"]).args(args).run();
        assert_eq!(pruned.success(), "Total reclaimed space: 0B");
    }
    assert_eq!(left(&env), all);
    env.ok(["system", "prune", "-a", "--volumes", "--force", "--filter", "label=old"]);
    let [images, containers, volumes] = left(&env);
    // A named volume goes only if nothing was said of which.
    assert_eq!((&images, containers.as_str()), (&all[0], "it"));
    assert!(volumes.contains("idle"), "{volumes}");
    for (args, why) in [
        (&["--force", "--filter", "name=x"][..], "invalid filter"),
        (&["--force", "--filter", "label"], "invalid filter"),
        (&["--external", "--all"], "cannot be combined with other options"),
        (&["--external", "--filter", "label=x"], "cannot be combined with other options"),
    ] {
        let said = env.ctr(["system", "prune"]).args(args).run().fails(125);
        assert!(said.contains(why), "{args:?}: {said}");
    }
    assert!(env.ok(["system", "prune", "--external"]).contains("removed 0 trees"));
    end(&env);
}
