//! The host's network changes while containers run: it has none at first, gets another address, another way out, a few ports only.

use ctr_tests::needs;

use crate::hosts::said;

#[test]
fn a_host_may_get_its_network_after_its_containers_and_another_one_later() {
    needs!(Userns, Iproute);
    a_host_gets_its_network_later("user");
}

pub(crate) fn a_host_gets_its_network_later(network: &str) {
    let script = r#"
        container
        try() { inside $probe connect "$1" | sed "s/^connect/$2/"; }
        # What the host itself is told, at once.
        $probe connect 198.51.100.1:7
        try 198.51.100.1:7 inside
        neighbour
        serving there.log there $probe serve '[::]:7'
        # Who it is that comes: by TCP, and by one socket of the container's that stays.
        seen() { inside $probe ask $1 "$2" "$3:7" x | sed 's/:[0-9]* x$//'; echo; }
        seen_as() {
            seen tcp 10.0.2.100:0 198.51.100.1
            seen udp 10.0.2.100:5000 198.51.100.1
            seen udp '[fd00::100]:5000' '[2001:db8::1]'
        }
        seen_as
        ip addr del 198.51.100.7/24 dev h0
        ip addr add 198.51.100.8/24 dev h0
        ip addr del 2001:db8::7/64 dev h0
        ip addr add 2001:db8::8/64 dev h0 nodad
        seen_as
        # The way out went with the address that it was by.
        there ip addr add 203.0.113.1/32 dev lo
        try 203.0.113.1:7 'without a way'
        ip route replace default via 198.51.100.1
        try 203.0.113.1:7 'with one'
        ip link set h0 down
        try 198.51.100.1:7 down
        ip link set h0 up
        try 198.51.100.1:7 up
    "#;
    let expected = [
        "connect: Some(NetworkUnreachable)",
        "inside: Some(NetworkUnreachable)",
        "[::ffff:198.51.100.7]",
        "[::ffff:198.51.100.7]",
        "[2001:db8::7]",
        "[::ffff:198.51.100.8]",
        "[::ffff:198.51.100.8]",
        "[2001:db8::8]",
        "without a way: Some(NetworkUnreachable)",
        "with one: None",
        "down: Some(NetworkUnreachable)",
        "up: None",
    ];
    assert_eq!(said(&format!("network={network}\n{script}")), expected.join("\n"));
}

/// All that the host has is in use: then there is no way to the host, as an application on the host has no address to go from.
#[test]
fn a_host_without_a_free_port_is_unreachable_until_it_has_one() {
    needs!(Userns, Iproute);
    without_a_free_port("user");
}

pub(crate) fn without_a_free_port(network: &str) {
    let script = r#"
        neighbour
        serving there.log there $probe echo '[::]:7'
        container
        sysctl -qw net.ipv4.ip_local_port_range='40000 40003'
        mkfifo hold
        for to in 198.51.100.1:7 '[2001:db8::1]:7'; do
            >told
            inside $probe crowd $to 8 <hold >told & crowd=$!
            exec 3>hold
            until [ -s told ]; do kill -0 $crowd; done
            cat told
            $probe connect $to
            inside $probe connect $to
            exec 3>&-
            wait $crowd
            until inside $probe connect $to | grep -q None; do :; done
        done
    "#;
    let said = said(&format!("network={network}\n{script}"));
    let lines: Vec<&str> = said.lines().collect();
    for of_family in lines.chunks(3) {
        assert!(
            matches!(of_family, [told, "connect: Some(AddrNotAvailable)", "connect: Some(HostUnreachable)"]
            if told.starts_with("4 connected, 4 answered, {") && told.ends_with(": 4}")),
            "{said}"
        );
    }
    assert_eq!(lines.len(), 6, "{said}");
}

/// Of datagrams: they are lost, as the log tells, until there is a port again. The host's own programs are told when they ask for one.
#[test]
fn datagrams_for_which_the_host_has_no_port_are_lost_and_the_log_tells() {
    needs!(Userns, Iproute, Traffic);
    let script = r#"
        neighbour
        serving there.log there $probe serve '[::]:7'
        ctr --log-level trace run -d --name c --network user -v "$probe:/probe:ro" $image sleep 1000 >/dev/null 2>&1
        in_network_of c
        trace=$(ctr inspect -f '{{.NetworkSettings.Trace}}' c)
        sysctl -qw net.ipv4.ip_local_port_range='40000 40003'
        taken() { ss -Hnua 'sport >= 40000 and sport <= 40003' | wc -l; }
        for port in 1 2 3 4; do
            sleep 1000 | socat - UDP:198.51.100.1:9 & last=$!
            until [ $(taken) = $port ]; do kill -0 $last; done
        done
        for to in 0.0.0.0:0,198.51.100.1:7 '[::]:0,[2001:db8::1]:7'; do
            $probe ask udp ${to%,*} ${to#*,} word 2>&1 | grep -o 'in use'
            inside $probe datagrams ${to#*,} 1
            until grep -F "> ${to#*,}: not sent" $trace >seen; do kill -0 $pid; done
            sed 's/.*: not sent/not sent/' seen
        done
        kill $last
        for to in 0.0.0.0:0,198.51.100.1:7 '[::]:0,[2001:db8::1]:7'; do
            until inside timeout 5 $probe ask udp ${to%,*} ${to#*,} word >answer; do kill -0 $pid; done
            sed 's/.* //' answer; echo
            # Its port is free once it is not waited for any more: there is one for both.
            ctr rm -f -t0 c >/dev/null
            ctr run -d --name c --network user -v "$probe:/probe:ro" $image sleep 1000 >/dev/null
            in_network_of c
        done
    "#;
    let lost = "in use\nnot sent: Cannot assign requested address (os error 99)";
    assert_eq!(said(script), format!("{lost}\n{lost}\nword\nword"));
}

/// A container's root may take its own interface away, and a host's namespace may lose its name. Nothing waits for either.
#[test]
fn a_network_that_is_taken_away_holds_up_nobody() {
    needs!(Userns, Iproute);
    let script = r#"
        mount -t tmpfs none /run
        ip netns add other
        nsenter --net=/run/netns/other ip link set lo up
        nsenter --net=/run/netns/other $probe serve 127.0.0.1:7 2>there.log &
        until grep -q serving there.log; do :; done
        for name in one two; do
            nsenter --net=/run/netns/other ctr run -d --name $name --network user,host-access=loopback -p 127.0.0.1::7 \
                -v "$probe:/probe:ro" $image sleep 1000 >/dev/null
        done
        ip netns del other
        in_network_of one
        inside $probe ask tcp 10.0.2.100:4000 169.254.1.2:7 word; echo
        ctr stop -t0 one
        # It is where it is started that it has its network.
        ctr start one
        in_network_of one
        inside ip link del eth0
        inside $probe connect 169.254.1.2:7
        ctr exec one true && echo executed
        ctr rm -f -t0 one two
    "#;
    let said = said(script);
    let want = ["127.0.0.1", "one", "one", "connect: Some(NetworkUnreachable)", "executed"];
    for (line, want) in said.lines().zip(want) {
        assert!(line.starts_with(want), "{want}: {said}");
    }
    assert_eq!(said.lines().count(), 7, "{said}");
}
