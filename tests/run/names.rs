//! What a container calls others and itself: `/etc/resolv.conf`, `/etc/hosts`, `/etc/hostname`, and where their lines come from.

use ctr_tests::image::{Image, Layer};
use ctr_tests::{BUSYBOX, Env, needs};

use crate::kept::{detached, field};

const CAT: &str = "cat /etc/resolv.conf";

/// The lines of a text that begin with a word.
fn lines<'t>(text: &'t str, word: &str) -> Vec<&'t str> {
    text.lines().filter(|line| line.split_whitespace().next() == Some(word)).collect()
}

#[test]
fn resolvers_are_those_that_are_named() {
    needs!(Userns);
    let env = Env::with_busybox();
    for network in ["user", "host"] {
        let network = format!("--network={network}");
        let flags =
            ["--dns=192.0.2.7", "--dns=2001:db8::7", "--dns-search=a.example,b", "--dns-option=ndots:2"];
        let said = env.sh([&[network.as_str()][..], &flags, &["--dns-opt=rotate"]].concat(), CAT);
        let want = "search a.example b\nnameserver 192.0.2.7\nnameserver 2001:db8::7\noptions ndots:2 rotate";
        assert_eq!(said, want, "{network}");
        let said = env.sh([network.as_str(), "--dns-search=."], CAT);
        assert!(lines(&said, "search").is_empty() && !lines(&said, "nameserver").is_empty(), "{said}");
    }
    // Who names another resolver does not tell it what containers are called; the gateway is asked with the network's domain.
    let said = env.sh(["--network=user", "--dns=192.0.2.7"], CAT);
    assert!(!said.contains("dns.podman") && lines(&said, "nameserver") == ["nameserver 192.0.2.7"], "{said}");
    let said = env.sh(["--network=user", "--dns-option=ndots:7"], CAT);
    assert!(said.contains("nameserver 10.0.2.1") && said.ends_with("\noptions ndots:7"), "{said}");
    assert!(said.starts_with("search dns.podman"), "{said}");
}

#[test]
fn resolvers_are_kept_for_each_start_and_shown() {
    needs!(Userns);
    let env = Env::with_busybox();
    let flags = [
        "--dns=192.0.2.7",
        "--dns-search=a.example",
        "--dns-option=ndots:2",
        "--dns-opt=rotate",
        "--network=user",
    ];
    env.ok([&["create", "--name=c"][..], &flags, &[BUSYBOX, "sh", "-c", CAT]].concat());
    let want = "search a.example\nnameserver 192.0.2.7\noptions ndots:2 rotate";
    for _ in 0..2 {
        assert_eq!(env.ok(["start", "-a", "c"]), want);
    }
    let shown = "{{.HostConfig.Dns}} {{.HostConfig.DnsSearch}} {{.HostConfig.DnsOptions}}";
    assert_eq!(field(&env, "c", shown), "[192.0.2.7] [a.example] [ndots:2 rotate]");
}

#[test]
fn keys_of_the_configuration_come_before_flags() {
    needs!(Userns);
    let env = Env::with_busybox();
    let conf = env.file(
        "containers.conf",
        "[containers]\ndns_servers = ['192.0.2.1']\ndns_searches = ['conf.example']\ndns_options = ['rotate']\n",
    );
    let said = |flags: &[&str]| {
        let run = env.ctr(["run", "--rm"]).args(flags).args([BUSYBOX, "sh", "-c", CAT]);
        run.var("CONTAINERS_CONF_OVERRIDE", &conf).run().success()
    };
    let want = "search conf.example\nnameserver 192.0.2.1\noptions rotate";
    // Where there is nobody to ask, too: it was asked for.
    for network in ["user", "host", "none"] {
        assert_eq!(said(&[&format!("--network={network}")]), want, "{network}");
    }
    assert_eq!(
        said(&["--network=user", "--dns=192.0.2.2", "--dns-search=b", "--dns-option=x"]),
        "search conf.example b\nnameserver 192.0.2.1\nnameserver 192.0.2.2\noptions rotate x"
    );
    let wrong = env.file("wrong", "[containers]\ndns_servers = ['one']\n");
    let run = env.ctr(["run", "--rm", BUSYBOX, "true"]).var("CONTAINERS_CONF_OVERRIDE", wrong).run();
    assert!(run.fails(125).contains("parsing containers.conf dns_servers: one is not an ip address"));
}

#[test]
fn resolvers_that_mean_nothing_are_refused() {
    needs!(Userns);
    let env = Env::with_busybox();
    for (flags, said) in [
        (&["--dns=x"][..], "x is not an ip address"),
        (&["--dns=none,192.0.2.1"], "none is not allowed to be specified with other DNS ip addresses"),
        (&["--dns=none", "--dns-search=a"], "--dns none and --dns-search cannot be set together"),
        (
            &["--dns-search=a", "--dns-search=."],
            "cannot pass additional search domains when also specifying '.'",
        ),
        (&["--dns-search=a/b"], "\"a/b\" is not a valid domain"),
        (&["--dns-option=a\u{7}"], "is not an option of resolv.conf"),
        (&["--network=none", "--dns=192.0.2.1"], "conflicting options: dns and the network mode: none"),
        (&["--net=none", "--dns-search=a"], "conflicting options: dns and the network mode: none"),
        (
            &["--network=container:c", "--dns-option=a"],
            "conflicting options: dns and the network mode: container",
        ),
        (
            &["--network=container:c", "--add-host=a:192.0.2.1"],
            "cannot set extra host entries when the container is joined to another containers network namespace",
        ),
        (
            &["--network=none", "--net=host"],
            "cannot set multiple networks without bridge network mode, selected mode none: invalid argument",
        ),
        (
            &["--network=bridge", "--network=host"],
            "can only set extra network names, selected mode host conflicts with bridge: invalid argument",
        ),
        (&["--no-hosts", "--hosts-file=none"], "--no-hosts and --hosts-file cannot be set together"),
        (&["--hosts-file=relative"], "\"relative\" is neither image nor none nor a path from the root"),
    ] {
        let refused = env.ctr(["run", "--rm"]).args(flags).args([BUSYBOX, "true"]).run().fails(125);
        assert!(refused.contains(said), "{flags:?}: {refused}");
    }
}

/// An image with files of its own where those of a container are.
fn with_own_files(env: &Env) {
    let layer = Layer::new()
        .file("etc/resolv.conf", 0o644, "nameserver 192.0.2.53\n")
        .file("etc/hosts", 0o644, "192.0.2.1 of-the-image # one\n")
        .file("etc/hostname", 0o644, "of-the-image\n");
    env.load(&Image::busybox("localhost/own", [layer]));
}

#[test]
fn an_images_own_files_stay_where_that_is_asked_for() {
    needs!(Userns);
    let env = Env::with_busybox();
    with_own_files(&env);
    let flags = ["--network=user", "--dns=none", "--no-hosts", "--no-hostname"];
    let look = "cat /etc/resolv.conf /etc/hosts /etc/hostname";
    let said = env.ok([&["run", "--rm"][..], &flags, &["localhost/own", "sh", "-c", look]].concat());
    assert_eq!(said, "nameserver 192.0.2.53\n192.0.2.1 of-the-image # one\nof-the-image");
    // Of what an image has not, there is none.
    let none = "for file in resolv.conf hostname; do test -e /etc/$file && echo $file; done; test -s /etc/hosts && echo hosts";
    assert_eq!(env.sh(["--network=user", "--dns=none", "--no-hostname"], none), "hosts");
    env.ok(["create", "--name=c", "--no-hosts", "--no-hostname", BUSYBOX]);
    assert_eq!(field(&env, "c", "{{.UseImageHosts}} {{.UseImageHostname}}"), "true true");
}

#[test]
fn hosts_begin_with_the_file_that_is_named() {
    needs!(Userns);
    let env = Env::with_busybox();
    with_own_files(&env);
    let base = env.file("base", "192.0.2.2 of-a-file\n");
    let base = base.to_str().expect("a path");
    let conf =
        |text: &str| env.file("containers.conf", format!("[containers]\nbase_hosts_file = {text:?}\n"));
    let said = |conf: &std::path::Path, flags: &[&str]| {
        let words = ["localhost/own", "sh", "-c", "cat /etc/hosts"];
        let run = env.ctr(["run", "--rm", "--network=user", "--hostname=me", "--name=me"]);
        run.args(flags).args(words).var("CONTAINERS_CONF_OVERRIDE", conf).run().success()
    };
    let rest = "127.0.0.1\tlocalhost\n::1\tlocalhost\n169.254.1.2\thost.containers.internal host.docker.internal\n10.0.2.100\tme";
    let none = conf("");
    assert_eq!(said(&none, &["--hosts-file=none"]), rest);
    let file = format!("192.0.2.2\tof-a-file\n{rest}");
    assert_eq!(said(&none, &["--hosts-file", base]), file);
    let image = format!("192.0.2.1\tof-the-image\n{rest}");
    assert_eq!(said(&none, &["--hosts-file=image"]), image);
    assert_eq!(said(&conf("image"), &[]), image);
    // A flag stands above the configuration, and an empty one leaves it.
    assert_eq!(said(&conf(base), &["--hosts-file="]), file);
    assert_eq!(said(&conf(base), &["--hosts-file=none"]), rest);
    // What somebody has written there stands above what is so anyway.
    let clash = env.file("clash", "192.0.2.4 me\n192.0.2.5 host.docker.internal\n");
    let said_of_clash = said(&none, &["--hosts-file", clash.to_str().expect("a path")]);
    let rest_of_clash = "127.0.0.1\tlocalhost\n::1\tlocalhost\n169.254.1.2\thost.containers.internal";
    assert_eq!(said_of_clash, format!("192.0.2.4\tme\n192.0.2.5\thost.docker.internal\n{rest_of_clash}"));
    // A link in an image leads to a file of the image.
    let layer =
        Layer::new().symlink("etc/hosts", "../../../..//linked").file("linked", 0o644, "192.0.2.3 linked\n");
    env.load(&Image::busybox("localhost/own", [layer]));
    assert_eq!(said(&none, &["--hosts-file=image"]), format!("192.0.2.3\tlinked\n{rest}"));
    let kept =
        ["create", "--name=c", "--hosts-file=image", "localhost/own", "grep", "-c", "linked", "/etc/hosts"];
    env.ok(kept);
    assert_eq!(env.ok(["start", "-a", "c"]), "1");
    assert_eq!(field(&env, "c", "{{.HostConfig.HostsFile}}"), "image");
}

#[test]
fn the_host_has_a_name_and_a_word() {
    needs!(Userns);
    let env = Env::with_busybox();
    let internal = "host.containers.internal host.docker.internal";
    for (network, address) in [("user", "169.254.1.2"), ("host", "127.0.0.1"), ("none", "169.254.1.2")] {
        let network = format!("--network={network}");
        let hosts = env
            .sh([&network, "--add-host=db;cache:host-gateway", "--add-host=a;b:192.0.2.1"], "cat /etc/hosts");
        for line in
            [format!("{address}\t{internal}"), format!("{address}\tdb cache"), "192.0.2.1\ta b".to_owned()]
        {
            assert!(hosts.lines().any(|said| said == line), "{line}: {hosts}");
        }
    }
    // Who reaches nobody is told so, and does not wait.
    let said = env.sh(["--network=none"], "nc -w 30 host.docker.internal 80 2>&1; :");
    assert!(said.contains("(169.254.1.2)") && said.contains("Network is unreachable"), "{said}");
    env.ok(["create", "--name=c", "--add-host=db;cache:host-gateway", "--network=user", BUSYBOX]);
    assert_eq!(field(&env, "c", "{{.HostConfig.ExtraHosts}}"), "[db;cache:host-gateway]");
    let conf = |text: &str| {
        env.file("containers.conf", format!("[containers]\nhost_containers_internal_ip = {text:?}\n"))
    };
    let said = |text: &str, flags: &[&str], script: &str| {
        let run = env.ctr(["run", "--rm"]).args(flags).args([BUSYBOX, "sh", "-c", script]);
        run.var("CONTAINERS_CONF_OVERRIDE", conf(text)).run()
    };
    // The file and the resolver say the same.
    let lookup = "nslookup host.docker.internal 10.0.2.1; cat /etc/hosts";
    let own = said("192.0.2.9", &["--network=user", "--add-host=db:host-gateway"], lookup).success();
    for line in [&format!("192.0.2.9\t{internal}"), "192.0.2.9\tdb", "Address: 192.0.2.9"] {
        assert!(own.lines().any(|said| said == line), "{line}: {own}");
    }
    let run = said("none", &["--network=user"], lookup);
    assert!(run.stdout.contains("NXDOMAIN") && !run.stdout.contains("\thost."), "{run}");
    for network in ["--network=user", "--network=none"] {
        let refused = said("none", &[network, "--add-host=db:host-gateway"], "true").fails(125);
        assert!(refused.contains("db:host-gateway"), "{refused}");
        assert!(refused.contains("host containers internal IP address is empty"), "{refused}");
    }
    let refused = said("here", &[], "true").fails(125);
    assert!(
        refused.contains("host_containers_internal_ip: \"here\" is neither an ip address nor none"),
        "{refused}"
    );
}

#[test]
fn a_shared_network_has_the_same_names() {
    needs!(Userns);
    let env = Env::with_busybox();
    let flags = ["--network=user", "--hostname=theirs", "--add-host=db:192.0.2.1", "--dns-search=a.example"];
    detached(&env, &flags, "other", "exec sleep 1000");
    let theirs = |file: &str| env.ok(["exec", "other", "cat", file]);
    let own = ["--network=container:other", "--name=mine", "--hostname=mine"];
    let (hosts, conf) = (theirs("/etc/hosts"), theirs("/etc/resolv.conf"));
    assert!(conf.contains("a.example") && hosts.contains("192.0.2.1\tdb"), "{conf} {hosts}");
    assert_eq!(env.sh(own, CAT), conf);
    assert_eq!(env.sh(own, "cat /etc/hosts"), format!("{hosts}\n127.0.0.1\tmine"));
    // Through another one, at each start, and what one writes is not the other's.
    env.ok([
        "create",
        "--name=second",
        "--network=container:other",
        BUSYBOX,
        "sh",
        "-c",
        "echo x >>/etc/hosts; sleep 1000",
    ]);
    for _ in 0..2 {
        env.ok(["start", "second"]);
        assert_eq!(env.sh(["--network=container:second"], CAT), conf);
        env.ok(["stop", "-t0", "second"]);
    }
    assert_eq!(theirs("/etc/hosts"), hosts);
    // What that one left to its image is left to the image here, too.
    detached(&env, &["--network=user", "--no-hosts", "--dns=none"], "bare", "exec sleep 1000");
    let none = "for file in hosts resolv.conf; do test -s /etc/$file && echo $file; done; true";
    assert_eq!(env.sh(["--network=container:bare"], none), "");
    assert_eq!(env.sh(["--network=container:other", "--no-hosts"], none), "resolv.conf");
}
