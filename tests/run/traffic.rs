//! What people run over a network, run from a container's and to it, between hosts of the tests' own: `curl`, `iperf3`, `dig`, `ping`,
//! `socat`, and a game's datagrams; over a wire that loses some; and with addresses that come again.

use ctr_tests::needs;

use crate::hosts::said;

/// Both of the neighbour's addresses, as they are and as a URL has them, each with what only one family needs.
const BOTH: &str =
    "both='198.51.100.1 2001:db8::1'; url() { case $1 in *:*) echo \"[$1]\" ;; *) echo $1 ;; esac; }";

#[test]
fn programs_that_people_use_work_from_inside() {
    needs!(Userns, Iproute, Traffic);
    programs_work_from_inside("user");
}

pub(crate) fn programs_work_from_inside(network: &str) {
    let script = r#"
        neighbour
        sysctl -qw net.ipv4.ping_group_range='0 0'
        head -c 8000000 /dev/urandom >big
        there busybox httpd -f -h "$PWD" -p '[::]:80' &
        there iperf3 -s >/dev/null &
        there socat TCP6-LISTEN:7,fork,reuseaddr,ipv6only=0 SYSTEM:'tr a-z A-Z' &
        there socat UDP6-RECVFROM:7,fork,reuseaddr,ipv6only=0 SYSTEM:'tr a-z A-Z' &
        there dnsmasq --keep-in-foreground --conf-file=/dev/null --user=root --pid-file= --no-resolv --no-hosts \
            --listen-address=198.51.100.1,2001:db8::1 --bind-interfaces --host-record=a.test,192.0.2.10,2001:db8::10 &
        container
        for host in $both; do
            until inside curl -sf --retry-connrefused "http://$(url $host)/big" | cmp - big; do :; done
            echo "curl $(inside curl -s -o /dev/null -w '%{http_code} %{local_ip}' "http://$(url $host)/none")"
            until inside iperf3 -c $host -n 1K >/dev/null; do :; done
            for how in '-n 20M' '-R -n 20M' '-P 4 -n 20M' '--bidir -n 10M' '-u -b 20M -n 1M'; do
                # It has one guest at a time, and takes leave of the one before.
                until inside iperf3 -c $host $how >iperf.log 2>&1; do grep -q busy iperf.log; done
            done
            echo iperf3
            until inside dig +short +time=5 +tries=1 @$host a.test | grep -q ^192; do :; done
            echo dig $(inside dig +short +time=5 @$host a.test) $(inside dig +short +tcp +time=5 @$host AAAA a.test)
            echo ping $(inside ping -c 3 -i 0.2 -W 5 -s 1400 $host | grep -o '[0-9]* received')
            # Of datagrams nobody knows which is the last.
            until word=$(echo word | inside socat -t 1 - "UDP:$(url $host):7"); [ "$word" ]; do :; done
            echo socat $(echo word | inside socat -t 5 - "TCP:$(url $host):7") $word
        done
    "#;
    let lines = said(&format!("network={network}\n{BOTH}\n{script}"));
    let expected = |own: &str| {
        let lines = [
            &format!("curl 404 {own}"),
            "iperf3",
            "dig 192.0.2.10 2001:db8::10",
            "ping 3 received",
            "socat WORD WORD",
        ];
        lines.join("\n")
    };
    assert_eq!(lines, format!("{}\n{}", expected("10.0.2.100"), expected("fd00::100")));
}

/// What a new user does first: a web server, published, whose log says who has called.
#[test]
fn a_web_servers_log_has_the_callers_real_address() {
    needs!(Userns, Iproute, Traffic);
    let script = r#"
        neighbour
        mkdir page
        echo hello >page/index.html
        ctr run -d --name web --network user -p 8080:80 -v "$PWD/page:/page:ro" $image httpd -f -vv -h /page -p '[::]:80' >/dev/null
        for host in 198.51.100.7 '[2001:db8::7]'; do
            until there curl -sf "http://$host:8080/index.html"; do kill -0 $neighbour; done
        done
        until [ $(ctr logs web 2>&1 | grep -c url:) = 2 ]; do :; done
        ctr logs web 2>&1 | sed -n 's/:[0-9]*: *url:/ /p'
        ctr rm -f -t0 web >/dev/null
    "#;
    let logged = "[::ffff:198.51.100.1] /index.html\n[2001:db8::1] /index.html";
    assert_eq!(said(script), format!("hello\nhello\n{logged}"));
}

/// Who serves a network has nothing to do while nothing goes through it: a laptop sleeps.
#[test]
fn who_serves_sleeps_while_nothing_goes_through() {
    needs!(Userns, Tun, Iproute);
    let script = r#"
        neighbour
        serving there.log there $probe serve '[::]:7'
        for mode in tproxy listen tun; do
            ctr run -d --name $mode --network user,mode=$mode -v "$probe:/probe:ro" $image sleep 1000 >/dev/null
            in_network_of $mode
            inside $probe ask tcp 10.0.2.100:0 198.51.100.1:7 word >/dev/null
            inside $probe ask tcp '[fd00::100]:0' '[2001:db8::1]:7' word >/dev/null
            netd=$(netd $mode)
            waited() { cat /proc/$netd/task/*/status | awk '/^voluntary/ { sum += $2 } END { print sum }'; }
            # Longer than what is left to be done takes.
            meanwhile() { for time in 1 2 3; do ctr run --rm --network user $image true; done; }
            until before=$(waited); meanwhile; [ $(waited) = $before ]; do kill -0 $netd; done
            echo $mode
        done
    "#;
    assert_eq!(said(script), "tproxy\nlisten\ntun");
}

/// A game: many small datagrams both ways at a steady rate, of several players to one server and now and then to another.
#[test]
fn a_game_is_played_out_of_a_container_and_in_one() {
    needs!(Userns, Iproute);
    a_game_is_played("user");
}

pub(crate) fn a_game_is_played(network: &str) {
    let script = r#"
        neighbour
        container -p 7000:7000/udp -p 7001:7001/udp
        for at in 7000 7001; do
            serving there.$at there $probe serve "[::]:$at"
            serving inside.$at ctr exec c /probe serve "[::]:$at"
        done
        inside $probe play 198.51.100.1:7000 198.51.100.1:7001 16 50
        inside $probe play '[2001:db8::1]:7000' '[2001:db8::1]:7001' 16 50
        there $probe play 198.51.100.7:7000 198.51.100.7:7001 16 50
        there $probe play '[2001:db8::7]:7000' '[2001:db8::7]:7001' 16 50
    "#;
    // Who speaks to two servers is the same for both.
    let said = said(&format!("network={network}\n{script}"));
    assert_eq!(said, ["800 of 800 answered, 16 addresses"; 4].join("\n"));
}

#[test]
fn a_wire_that_loses_frames_costs_time_and_nothing_else() {
    needs!(Userns, Iproute, Traffic);
    a_wire_loses_frames("user");
}

pub(crate) fn a_wire_loses_frames(network: &str) {
    let script = r#"
        neighbour
        ip link set h0 mtu 1400 gso_max_segs 1
        there ip link set h1 mtu 1400 gso_max_segs 1
        # Each end loses one in a hundred of the frames that come.
        lossy() {
            "$@" nft 'add table inet wire; add chain inet wire comes { type filter hook prerouting priority -300; };'
            "$@" nft add rule inet wire comes iifname { h0, h1 } numgen random mod 100 0 counter drop
        }
        lossy env; lossy there
        head -c 4000000 /dev/urandom >big
        there busybox httpd -f -h "$PWD" -p '[::]:80' &
        container -v "$PWD:/w:ro" -p 8080:80
        ctr exec -d c httpd -f -h /w -p '[::]:80' >/dev/null
        for host in $both; do
            until inside curl -sf "http://$(url $host)/image.tar" -o /dev/null; do :; done
            inside curl -sf "http://$(url $host)/big" | cmp - big && echo down
            there socat -u "TCP6-LISTEN:9,reuseaddr,ipv6only=0" CREATE:got & got=$!
            until inside socat -u FILE:big "TCP:$(url $host):9" 2>/dev/null; do :; done
            wait $got; cmp got big && echo up
        done
        for host in 198.51.100.7 2001:db8::7; do
            there curl -sf --retry 9 --retry-connrefused "http://$(url $host):8080/big" | cmp - big && echo published
        done
        for at in env there; do
            $at nft list ruleset | grep -o 'packets [0-9]*' | awk '{ print ($2 > 9 ? "lost" : $0) }'
        done
    "#;
    let said = said(&format!("network={network}\n{BOTH}\n{script}"));
    let words: Vec<&str> = said.lines().collect();
    assert_eq!(words, ["down", "up", "down", "up", "published", "published", "lost", "lost"]);
}

/// A caller whose port is that of a connection before; and peers that may be gone without a word.
#[test]
fn addresses_come_again_and_peers_are_asked_whether_they_are_there() {
    needs!(Userns, Iproute, Traffic);
    addresses_come_again("user");
}

pub(crate) fn addresses_come_again(network: &str) {
    let script = r#"
        neighbour
        container -p 8080:80 -p 8081:81
        # It says its word and ends first: the caller's port is still known on this side, and in the router.
        ctr exec -d c sh -c 'while :; do echo hello | nc -l -p 80; done' >/dev/null
        for time in 1 2 3; do
            until heard=$(there socat -u TCP:198.51.100.7:8080,bind=198.51.100.1:4000,reuseaddr - 2>/dev/null) && [ "$heard" ]; do :; done
            echo $heard
        done
        serving there.log there $probe serve '[::]:7'
        serving inside.log ctr exec c /probe serve '[::]:81'
        keepalive() { ss -Htno state established "$@" | grep -c 'timer:(keepalive,'; }
        for host in 198.51.100.1 2001:db8::1; do
            sleep 1000 | inside socat - "TCP:$(url $host):7" >out.$host &
            until [ -s out.$host ]; do :; done
            echo out $(keepalive dst "$(url $host)" dport = 7)
        done
        for host in 198.51.100.7 2001:db8::7; do
            sleep 1000 | there socat - "TCP:$(url $host):8081" >in.$host &
            until [ -s in.$host ]; do :; done
        done
        echo in $(keepalive sport = 8081)
    "#;
    let said = said(&format!("network={network}\n{BOTH}\n{script}"));
    assert_eq!(said, "hello\nhello\nhello\nout 1\nout 1\nin 2");
}
