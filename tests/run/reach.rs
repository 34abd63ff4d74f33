//! What of its host a container reaches, and the words for a network of its own.

use std::io::Read as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use ctr_tests::{BUSYBOX, Env, needs};

use crate::hosts::said;
use crate::kept::field;
use crate::network::{accept, listener};

/// Connects to the host's alias at a port, and says whether that was refused.
fn is_refused(env: &Env, flags: &[&str], port: u16) -> bool {
    let said = env.shell(flags, &format!("nc -w 5 169.254.1.2 {port} </dev/null")).run().fails(1);
    said.contains("refused") || said.contains("unreachable")
}

#[test]
fn the_hosts_loopback_is_reached_where_a_flag_says_so() {
    needs!(Userns);
    let env = Env::with_busybox();
    let [(one, first), (two, second), (_three, third)] =
        [(); 3].map(|()| listener(Ipv4Addr::LOCALHOST.into()));
    let access = format!("--host-access=loopback:{first},{second}");
    let pasta = "--network=pasta:--map-host-loopback,169.254.1.2";
    let all = [
        &["--network=private", access.as_str()][..],
        &["--network=user,host-access=none", &access],
        &[pasta],
    ];
    for flags in all {
        for (listener, port) in [(&one, first), (&two, second)] {
            let running =
                env.shell(flags, &format!("echo hello | nc host.containers.internal {port}")).start();
            let mut said = String::new();
            accept(listener).0.read_to_string(&mut said).expect("what was said");
            assert_eq!(said, "hello\n", "{flags:?}");
            running.finish().success();
        }
    }
    assert!(is_refused(&env, &["--network=user", &access], third));
    assert!(is_refused(&env, &[pasta, "--host-access=none"], first));
    // By the other protocol of IP only where that is named, too.
    let (six, port) = listener(Ipv6Addr::LOCALHOST.into());
    let ask = format!("nc -w 5 fd00:0:0:1::2 {port} </dev/null");
    let said = env.shell([pasta], &ask).run().fails(1);
    assert!(said.contains("refused") || said.contains("unreachable"), "{said}");
    let running = env.shell([&format!("{pasta},--map-host-loopback,fd00:0:0:1::2")], &ask).start();
    drop(accept(&six));
    running.finish().success();
    env.ok([
        "create",
        "--name=c",
        "--network=user",
        &access,
        BUSYBOX,
        "nc",
        "169.254.1.2",
        &first.to_string(),
    ]);
    let started = env.ctr(["start", "-a", "c"]).start();
    drop(accept(&one));
    started.finish().success();
    for (flags, said) in [
        (
            &["--network=none", "--host-access=loopback"][..],
            "--host-access needs a network of the container's own",
        ),
        (
            &["--network=host", "--host-access=loopback"],
            "--host-access needs a network of the container's own",
        ),
        (&["--network=user", "--host-access=all"], "\"all\" is neither none nor loopback"),
        (&["--network=user", "--host-access=loopback:0"], "\"0\" is not a port"),
    ] {
        let refused = env.ctr(["run", "--rm"]).args(flags).args([BUSYBOX, "true"]).run().fails(125);
        assert!(refused.contains(said), "{flags:?}: {refused}");
    }
}

#[test]
fn every_word_for_a_network_of_its_own_is_one() {
    needs!(Userns);
    let env = Env::with_busybox();
    let look = "ip -o addr show eth0; nslookup name 10.0.2.1";
    for word in ["private", "bridge", "pasta", "slirp4netns", "bridge:alias=name"] {
        let said = env.shell(["--network", word, "--name=name"], look).run().success();
        assert!(
            said.contains("inet 10.0.2.100/24") && said.contains("Address: 10.0.2.100"),
            "{word}: {said}"
        );
    }
    let said =
        env.sh(["--network=bridge:alias=one,alias=two"], "nslookup two 10.0.2.1; nslookup one.dns.podman");
    assert_eq!(said.matches("Address: 10.0.2.100").count(), 2, "{said}");
    let said = env.sh(
        ["--network=bridge:alias=one", "--network-alias=two,three", "--network-alias=four"],
        "for name in one two three four; do nslookup -type=a $name 10.0.2.1; done",
    );
    assert_eq!(said.matches("Address: 10.0.2.100").count(), 4, "{said}");
    for (flag, network, why) in [
        ("--network-alias=a", "none", "--network-alias can only be set when the network mode is bridge"),
        (
            "--network-alias=a",
            "container:x",
            "can only be set when the network mode is bridge: invalid argument",
        ),
        ("--network-alias=a b", "user", "--network-alias: \"a b\" cannot be a name"),
    ] {
        let refused = env.shell([flag, "--network", network], "true").run().fails(125);
        assert!(refused.contains(why), "{refused}");
    }
    env.ok(["create", "--network-alias=five", BUSYBOX, "true"]);
    let refused = env.shell(["--network=bridge:ip=10.88.0.7"], "true").run().fails(125);
    assert!(refused.contains("option \"ip=10.88.0.7\" is not supported yet"), "{refused}");
}

#[test]
fn the_configuration_says_which_network_there_is() {
    needs!(Userns);
    let env = Env::with_busybox();
    let made = |conf: &str, flags: &[&str]| {
        let conf = env.file("containers.conf", conf);
        let create = env.ctr(["create"]).args(flags).args([BUSYBOX, "true"]);
        create.var("CONTAINERS_CONF_OVERRIDE", conf).run()
    };
    let helper = "[network]\ndefault_rootless_network_cmd = 'slirp4netns'\n[containers]\n";
    let private = format!("{helper}netns = 'private'");
    for (conf, flags, network) in [
        ("[containers]\nnetns = 'bridge'", &[][..], "bridge"),
        ("[containers]\nnetns = 'private'", &[], "private"),
        (&private, &[], "slirp4netns"),
        (&private, &["--network=none"], "none"),
        (helper, &["--network=private"], "slirp4netns"),
    ] {
        let id = made(conf, flags).success();
        assert_eq!(field(&env, id.trim(), "{{.HostConfig.NetworkMode}}"), network, "{conf}");
    }
    let wrong = made("[network]\ndefault_rootless_network_cmd = 'x'", &["--network=private"]).fails(125);
    assert!(wrong.contains("invalid default_rootless_network_cmd option \"x\""), "{wrong}");
}

#[test]
fn the_gateway_is_the_hosts_loopback_where_pasta_is_told_so() {
    needs!(Userns, Tun, Iproute);
    // In each way in which a network can be served, over both protocols of IP.
    let said = said(
        r#"
cat >ask <<'END'
for to in '0.0.0.0:0 10.0.2.1:7' '[::]:0 [fd00::1]:7' '0.0.0.0:0 169.254.1.2:7'; do
    for how in tcp udp; do /probe ask $how $to hello 2>&1 | sed 's/:[0-9]* hello/ hello\n/'; done
done
nslookup gateway.containers.internal 10.0.2.1 | grep -c ' 10.0.2.1$'
END
asked() { "$@" --rm -v "$probe:/probe:ro" -v "$PWD/ask:/ask:ro" $image sh /ask 2>/dev/null; }
serving four $probe serve 127.0.0.1:7
serving six $probe serve '[::1]:7'
for lack in '' 'without destinations' 'without netfilter'; do
    asked ${lack:+$probe $lack} ctr run --network=pasta:--map-gw
    asked ${lack:+$probe $lack} ctr run --network=pasta:--map-gw,--no-map-gw
done
asked ctr run --network=pasta:--map-gw --host-access=none
"#,
    );
    let [refused, four, six] =
        ["net-probe: Connection refused (os error 111)", "127.0.0.1 hello", "[::1] hello"];
    let mapped = [four, four, six, six, refused, refused, "1"];
    let not = [refused, refused, refused, refused, refused, refused, "1"];
    assert_eq!(said.lines().collect::<Vec<_>>(), [mapped, not, mapped, not, mapped, not, not].concat());
}

/// A page on the host's address alone, which has a way out, and who gets it.
const PAGE: &str = "lonely
    ip route add default via 198.51.100.1
    ip -6 route add default via 2001:db8::1
    mkdir page && echo hello >page/index.html
    busybox httpd -f -h page -p 198.51.100.7:8080 & four=$!
    busybox httpd -f -h page -p '[2001:db8::7]:8080' & six=$!
    until busybox wget -q -O /dev/null http://198.51.100.7:8080/; do kill -0 $four; done
    until busybox wget -q -O /dev/null 'http://[2001:db8::7]:8080/'; do kill -0 $six; done
    get() {
        ask=\"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 5 $alias 8080 2>&1 | tail -n 1\"
        ctr run --rm --network=user \"$@\" $image sh -c \"$ask\"
    }
";

#[test]
fn the_alias_is_the_host_as_its_neighbours_see_it() {
    needs!(Userns);
    let script = "
        for alias in host.containers.internal fd00:0:0:1::2 169.254.1.2; do get; done
        # What listens on the loopback alone is not reached, and with a right to it what does not listen there is not.
        get --host-access=loopback:8080
        # A host that has no way out has no address.
        ip route del default && get
    ";
    let said = said(&format!("{PAGE}{script}"));
    let lines: Vec<&str> = said.lines().collect();
    assert!(
        matches!(lines[..], ["hello", "hello", "hello", refused, away] if [refused, away].iter().all(|said| said.contains("refused"))),
        "{said}"
    );
}
