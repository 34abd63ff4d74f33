//! `--network user,mode=…`: the ways in which a network is served, each by its name, and which one it is where nobody says.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use ctr_tests::env::programs;
use ctr_tests::image::Image;
use ctr_tests::{BUSYBOX, Env, needs};
use rustix::process::Pid;

use crate::network_again::{served_by, supervisor_of, until};
use crate::semantics::sees_the_same;
use crate::{frames, hosts, network, network_again, ports};

#[test]
fn a_container_says_in_which_way_it_is_served() {
    needs!(Userns, Tun);
    let env = Env::with_busybox();
    for (network, mode) in [
        ("user", "tproxy"),
        ("user,mode=tproxy", "tproxy"),
        ("user,mode=listen", "listen"),
        ("user,mode=tun", "tun"),
    ] {
        let network = format!("--network={network}");
        env.ok(["run", "-d", "--name=c", &network, "--stop-signal=KILL", "busybox", "sleep", "1000"]);
        assert_eq!(env.ok(["inspect", "-f", "{{.NetworkSettings.Mode}}", "c"]), mode);
        env.ok(["rm", "-f", "c"]);
    }
    env.ok(["create", "--name=c", "--network=none", "busybox"]);
    let settings = env.ok(["inspect", "-f", "{{json .NetworkSettings}}", "c"]);
    assert!(!settings.contains("\"Mode\":"), "{settings}");
    let said = env.ctr(["run", "--rm", "--network=user,mode=none", "busybox"]).run().fails(125);
    assert!(said.contains("option \"mode=none\" is not supported yet"), "{said}");
}

/// What each way that leads out does alike: the tests of the best one, once more.
mod listen {
    use super::*;

    const USER: &str = "user,mode=listen";
    const FLAG: &str = "--network=user,mode=listen";
    const OPEN: &str = "--network=user,mode=listen,host-access=loopback";

    #[test]
    fn connections_and_datagrams_are_what_they_are_on_the_host() {
        needs!(Userns);
        sees_the_same(USER);
    }

    #[test]
    fn connections_carry_everything() {
        needs!(Userns);
        network::carries_everything(OPEN);
    }

    #[test]
    fn whoever_answers_a_datagram_is_heard() {
        needs!(Userns);
        network::datagrams_come_and_go(OPEN);
        a_low_port_is_reached(FLAG);
    }

    #[test]
    fn what_a_container_said_last_is_heard() {
        needs!(Userns);
        network::last_words_are_heard(OPEN);
        network::last_datagrams_are_heard(OPEN);
    }

    #[test]
    fn the_longest_datagram_is_heard() {
        needs!(Userns);
        const LONGEST: usize = 65_507;
        let env = Env::with_busybox();
        let probe = format!("-v={}:/probe:ro", programs().join("net-probe").display());
        let (socket, port) = network::datagrams(Ipv4Addr::LOCALHOST.into());
        env.sh([OPEN, &probe], &format!("/probe pieces 169.254.1.2:{port} {LONGEST} 1"));
        assert_eq!(socket.recv(&mut vec![0; 1 << 16]).expect("a datagram"), LONGEST);
    }

    #[test]
    fn datagrams_in_one_piece_are_several() {
        needs!(Userns);
        are_cut(OPEN);
    }

    /// Who reads them is stopped meanwhile: what there is no room for is lost, which whoever asks is told.
    #[test]
    fn datagrams_that_come_too_fast_are_counted() {
        needs!(Userns, Iproute);
        let script = r#"
            network=user,mode=listen
            lonely
            container
            netd=$(netd)
            missed() { ctr inspect -f "{{.NetworkSettings.Counters.$1}}" c; }
            kill -STOP $netd
            inside $probe spread 198.51.100.7:1000 60000
            kill -CONT $netd
            until lost=$(missed MissedDatagrams) && ((lost > 0)); do kill -0 $netd; done
            missed Missed
        "#;
        assert_eq!(hosts::said(script), "0");
    }

    #[test]
    fn names_are_known() {
        needs!(Userns);
        network::names_are_known(FLAG);
    }

    #[test]
    fn ports_are_published() {
        needs!(Userns);
        ports::the_host_is_who_calls(FLAG);
        ports::callers_of_ipv6_find_ipv4(FLAG);
    }

    /// Where in the router somebody listens, over IPv4.
    fn listeners(netd: Pid) -> usize {
        let threads = std::fs::read_dir(format!("/proc/{}/task", netd.as_raw_pid())).expect("a live process");
        let is_router =
            |path: &PathBuf| std::fs::read_to_string(path.join("comm")).is_ok_and(|name| name == "router\n");
        let router = threads.map(|entry| entry.expect("a thread").path()).find(is_router).expect("a router");
        let sockets = std::fs::read_to_string(router.join("net/tcp")).expect("its sockets");
        let is_listening = |line: &&str| line.split_whitespace().nth(3) == Some("0A");
        sockets.lines().filter(is_listening).count()
    }

    #[test]
    fn nobody_listens_any_more_where_somebody_went() {
        needs!(Userns);
        const PORTS: usize = 24;
        let env = Env::with_busybox();
        let open: Vec<_> = (0..PORTS).map(|_| network::listener(Ipv4Addr::LOCALHOST.into())).collect();
        let words: String = open.iter().map(|(_, port)| format!("{port} ")).collect();
        // Two to each at once, and one that is refused.
        let refused = network::closed(Ipv4Addr::LOCALHOST.into());
        let script = format!(
            "for port in {words} {words} {refused}; do nc 169.254.1.2 $port </dev/null & done; wait; exec sleep 1000"
        );
        env.ok(["run", "-d", "--name=c", OPEN, "localhost/busybox", "sh", "-c", &script]);
        let netd = served_by(supervisor_of(&env, "c"), None);
        let peers: Vec<_> = open
            .iter()
            .flat_map(|(listener, _)| [network::accept(listener), network::accept(listener)])
            .collect();
        drop(peers);
        // The resolver's stays.
        until("somebody listens still", || (listeners(netd) == 1).then_some(()));
        env.ok(["rm", "-f", "-t0", "c"]);
    }

    #[test]
    fn a_caller_from_elsewhere_is_who_it_is() {
        needs!(Userns, Iproute);
        assert_eq!(ports::callers_from_elsewhere(USER), ports::callers_from_elsewhere("user"));
    }

    #[test]
    fn a_killed_one_comes_again() {
        needs!(Userns);
        network_again::a_killed_one_comes_again(OPEN);
        network_again::the_next_one_serves_ports(FLAG);
    }

    #[test]
    fn a_handshake_that_is_never_finished_is_given_up() {
        needs!(Userns);
        frames::no_handshake_is_waited_for(USER);
    }

    #[test]
    fn no_frame_reaches_what_is_not_the_containers() {
        needs!(Userns);
        frames::no_first_packet_reaches_loopback(USER);
        frames::no_datagram_reaches_loopback(USER);
        frames::no_wrong_first_packet_is_taken(USER);
        frames::no_wrong_datagram_is_taken(USER);
        frames::nonsense_harms_nobody(USER);
    }
}

/// No router: what is published is reached, and nothing else.
mod published {
    use super::*;

    const USER: &str = "user,mode=published";
    const FLAG: &str = "--network=user,mode=published";

    #[test]
    fn ports_are_published() {
        needs!(Userns);
        ports::the_host_is_who_calls(FLAG);
        ports::callers_of_ipv6_find_ipv4(FLAG);
    }

    #[test]
    fn a_caller_from_elsewhere_is_who_it_is_but_for_datagrams() {
        needs!(Userns, Iproute);
        let seen = ports::callers_from_elsewhere(USER);
        assert_eq!(seen[..3], ports::callers_from_elsewhere("user")[..3]);
        // Two who look the same are two by their ports.
        let [four, six, inner] = &seen[3..] else { panic!("{seen:?}") };
        assert_eq!((four.as_str(), six.as_str()), ("[::ffff:10.0.2.1]:4000 four", "[fd00::1]:4000 six"));
        assert!(inner.starts_with("[::ffff:10.0.2.1]:") && !inner.contains(":4000"), "{inner}");
    }

    #[test]
    fn a_killed_one_comes_again() {
        needs!(Userns);
        network_again::the_next_one_serves_ports(FLAG);
    }

    #[test]
    fn nothing_goes_out_and_that_is_known_at_once() {
        needs!(Userns);
        let env = Env::with_busybox();
        let (listener, port) = network::listener(Ipv4Addr::LOCALHOST.into());
        let probe = format!("-v={}:/probe:ro", programs().join("net-probe").display());
        let script = format!(
            "cat /sys/class/net/*/ifindex
            /probe connect 192.0.2.1:80; /probe connect '[2001:db8::1]:80'
            /probe connect 169.254.1.2:{port}; /probe connect 10.0.2.1:53
            nslookup name.example 2>&1 | grep -i refused"
        );
        let said = env.sh([FLAG, &probe], &script);
        let lines: Vec<&str> = said.lines().collect();
        let unreachable = "connect: Some(NetworkUnreachable)";
        let refused = "connect: Some(ConnectionRefused)";
        assert_eq!(lines[..5], ["1", unreachable, unreachable, refused, refused], "{said}");
        assert!(lines[5].contains("onnection refused"), "{said}");
        drop(listener);
        // Nor is one named who answers.
        assert_eq!(env.sh([FLAG], "cat /etc/resolv.conf"), "");
        assert_eq!(env.sh([FLAG, "--dns=192.0.2.53"], "cat /etc/resolv.conf"), "nameserver 192.0.2.53");
        for mode in ["tun", "published"] {
            let network = format!("--network=user,mode={mode},pcap=frames");
            let said = env.ctr(["run", "--rm", &network, BUSYBOX, "true"]).run().fails(125);
            assert!(said.contains(&format!("mode={mode} has no frames to capture")), "{said}");
            assert!(!env.path("frames").exists());
        }
        for flags in
            [["--host-access=loopback", FLAG], ["--host-access=none", &format!("{FLAG},metadata=true")]]
        {
            let said = env.ctr(["run", "--rm"]).args(flags).args([BUSYBOX, "true"]).run().fails(125);
            assert!(said.contains("mode=published reaches nobody"), "{said}");
        }
    }
}

/// Datagrams that a program says in one call, as those of HTTP/3 do, arrive one by one.
#[test]
fn datagrams_in_one_piece_are_several() {
    needs!(Userns);
    are_cut("--network=user,host-access=loopback");
}

pub(crate) fn are_cut(network: &str) {
    const LENGTH: usize = 1200;
    const COUNT: usize = 40;
    let env = Env::with_busybox();
    let probe = format!("-v={}:/probe:ro", programs().join("net-probe").display());
    for (at, host) in network::HOSTS {
        let (socket, port) = network::datagrams(at);
        let command = format!("/probe pieces {host}:{port} {LENGTH} {COUNT}");
        let running = env.shell([network, probe.as_str()], &command).start();
        let mut room = [0; 2 * LENGTH];
        for count in 0..COUNT {
            let (length, _) = socket.recv_from(&mut room).expect("a datagram");
            let expected = [u8::try_from(count).expect("a few"); LENGTH];
            assert_eq!(room.get(..length), Some(&expected[..]), "{host}: {count}");
        }
        running.finish().success();
    }
}

/// Starts a container on a machine that lacks something, and gives what was said of its network: by the command, by `inspect`, and by
/// `doctor`.
fn lacking(what: &[&str]) -> (String, String, String) {
    let env = Env::new();
    let _image = env.file("image.tar", Image::busybox(BUSYBOX, []).docker_archive());
    let probe = programs().join("net-probe").display().to_string();
    let without: String = what.iter().map(|what| format!("{probe} without {what} ")).collect();
    let script = format!(
        "set -e
        ctr load -q -i image.tar >/dev/null
        ip link set lo up
        {without} ctr run -d --name c -p 80:7 -v {probe}:/probe:ro localhost/busybox /probe serve 0.0.0.0:7 2>said >/dev/null
        ctr inspect -f '{{{{.NetworkSettings.Mode}}}} for {{{{.NetworkSettings.ModeReason}}}}' c >mode
        ctr exec c ip -o addr >addresses
        monitor=$(ctr inspect -f '{{{{.State.ConmonPid}}}}' c)
        for child in $(cat /proc/$monitor/task/$monitor/children); do
            if [ $(cat /proc/$child/comm) = ctr-netd ]; then kill -9 $child; fi
        done
        until [ $(ctr inspect -f '{{{{.NetworkSettings.Ended}}}}' c) = 1 ]; do :; done
        until ctr logs c 2>&1 | grep -q serving; do :; done
        {probe} ask tcp 127.0.0.1:0 127.0.0.1:80 again >again
        ctr rm -f -t0 c >/dev/null
        {without} ctr doctor >doctor || :"
    );
    let words = ["--map-root-user", "--map-auto", "--net", "bash", "-c", &script];
    env.program("unshare", words).run().success();
    // Whoever comes after the one that found out stands where that stood.
    let read = |name: &str| std::fs::read_to_string(env.path(name)).expect("what was said");
    let network = read("doctor").lines().filter(|line| line.contains("network")).collect();
    assert!(read("again").ends_with(" again"), "{}", read("again"));
    let addresses = read("addresses");
    let has_interface = addresses.contains("eth0");
    assert_eq!(has_interface, !read("mode").starts_with("published"), "{addresses}");
    assert!(addresses.contains("10.0.2.100/") && addresses.contains("fd00::100/"), "{addresses}");
    (read("said"), read("mode"), network)
}

#[test]
fn what_a_kernel_lacks_is_done_without_and_said() {
    needs!(Userns, Tun);
    for (what, mode, why) in [
        (
            &["destinations"][..],
            "listen",
            "tproxy: cannot listen for the container's datagrams: Protocol not available",
        ),
        (&["netfilter"], "tun", "listen: cannot talk to the kernel's network: Protocol not supported"),
        (&["netfilter", "tun"], "published", "tun: cannot make a TUN device: Operation not permitted"),
    ] {
        let (said, shown, doctor) = lacking(what);
        assert!(
            said.starts_with(&format!("warning: the network is made in mode {mode}: tproxy: cannot")),
            "{said}"
        );
        assert!(
            said.contains(why) && said.ends_with("as root: modprobe -a veth nf_tables nft_tproxy\n"),
            "{said}"
        );
        assert!(shown.starts_with(&format!("{mode} for tproxy: ")) && shown.contains(why), "{shown}");
        assert!(doctor.contains(&format!("made in mode {mode} only")) && doctor.contains(why), "{doctor}");
    }
}

/// As in a container for CI: nobody's settings can be written, so what is made of it goes without, and no module would mend that.
#[test]
fn where_settings_are_not_ours_to_write_all_works_but_what_asks_for_some() {
    needs!(Userns, Tun);
    let said = hosts::said(
        r#"
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
printf '[containers]
default_sysctls = ["net.ipv4.ping_group_range=0 0"]
' >conf
CONTAINERS_CONF_OVERRIDE=$PWD/conf ctr run --rm --network user $image echo runs 2>&1
ctr run --rm --network none --sysctl net.ipv4.ip_default_ttl=77 $image true 2>&1 || echo $?
ctr doctor 2>&1 | grep -e 'can be written to' -e modprobe || :
"#,
    );
    let lines: Vec<&str> = said.lines().collect();
    let [sysctls, mode, "runs", refused, "125", doctor] = lines[..] else { panic!("{said}") };
    assert!(sysctls.starts_with("warning: default_sysctls of containers.conf are not set"), "{sysctls}");
    let mend = "give the container we run in a /proc/sys that can be written to";
    assert!(mode.contains("made in mode tun: tproxy: cannot") && mode.ends_with(mend), "{mode}");
    assert!(
        refused.starts_with("Error: cannot write `77` to /proc/sys/net/ipv4/ip_default_ttl"),
        "{refused}"
    );
    assert!(doctor.contains(mend), "{doctor}");
}

/// A port that the host keeps for root is one like any other, where it is somebody else's.
#[test]
fn who_serves_at_a_low_port_is_reached() {
    needs!(Userns);
    a_low_port_is_reached("--network=user");
}

pub(crate) fn a_low_port_is_reached(network: &str) {
    let env = Env::new();
    let _image = env.file("image.tar", Image::busybox(BUSYBOX, []).docker_archive());
    let probe = programs().join("net-probe").display().to_string();
    let script = format!(
        "set -e
        ctr load -q -i image.tar >/dev/null
        ip link set lo up
        ip addr add 198.51.100.7/32 dev lo
        {probe} names 198.51.100.7 192.0.2.9 & names=$!
        ctr run --rm {network} localhost/busybox nslookup -type=a name.example 198.51.100.7 || status=$?
        kill $names; exit $status"
    );
    let words = ["--map-root-user", "--map-auto", "--net", "bash", "-c", &script];
    let said = env.program("unshare", words).run().success();
    assert!(said.contains("Address: 192.0.2.9"), "{said}");
}
