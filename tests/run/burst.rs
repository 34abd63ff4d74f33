//! More than there is room for: of callers, of datagrams, of connections. Whoever causes it may wait; nobody else does.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use ctr_tests::env::programs;
use ctr_tests::{Env, needs};
use rustix::process::Pid;

use crate::hosts::{host, said};
use crate::network_again::{child, served_by, supervisor_of, until};
use crate::ports::{asks, asks_by_datagram, port_of, serve};

/// How many descriptors a process has.
fn descriptors(of: Pid) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", of.as_raw_pid())).expect("a live process").count()
}

/// Whether a process waits, each time that it is looked at.
pub(crate) fn rests(process: Pid) -> bool {
    (0..20).all(|_| child(process.as_raw_pid()).is_some_and(|it| it.state == 'S'))
}

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// How many pairs of addresses may be begun outside.
const PAIRS: u32 = 2048;

/// Those who say something to a port and hear nothing are as many as there may be, and more.
#[test]
fn who_is_not_answered_keeps_nobody_from_a_published_port() {
    needs!(Userns);
    let env = Env::with_busybox();
    serve(&env, "server", "[::]:7", &["-p=127.0.0.1::7/udp"]);
    let port = SocketAddr::new(V4, port_of(&env, "server", "7/udp"));
    let caller = |number: u32| {
        // Each from an address of its own: ports of one would come again.
        let own = Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 1, 0, 0)) + number);
        UdpSocket::bind((own, 0)).expect("an address of the loopback")
    };
    let friend = UdpSocket::bind((V4, 0)).expect("an address of the loopback");
    let known = asks_by_datagram(&friend, port, "hello");
    for number in 0..PAIRS + 200 {
        // This one gets no answer.
        caller(number).send_to(&[], port).expect("a datagram");
        if number % 64 == 0 {
            // What came before was looked at before.
            assert_eq!(asks_by_datagram(&friend, port, "hello"), known, "after {number}");
        }
    }
    let newcomer = asks_by_datagram(&caller(1 << 16), port, "hello");
    assert!(newcomer.ends_with(" hello"), "{newcomer}");
    env.ok(["rm", "-f", "-t0", "server"]);
}

/// A container speaks to more than there is room for, of whom none answers: those make way for whom it speaks to next.
#[test]
fn who_does_not_answer_keeps_the_container_from_nobody() {
    needs!(Userns, Iproute, Traffic);
    nobody_is_kept_from_an_answer("user");
}

pub(crate) fn nobody_is_kept_from_an_answer(network: &str) {
    let script = r#"
        neighbour
        there nft 'add table inet t; add chain inet t in { type filter hook input priority 0; }; add rule inet t in udp dport 10000-16000 drop'
        serving there.log there $probe serve '[::]:7'
        container
        is_full() { ctr inspect -f '{{json .NetworkSettings.Counters.Limits}}' c | grep -q '"Datagrams"'; }
        any() { case $1 in *:*) echo '[::]' ;; *) echo 0.0.0.0 ;; esac; }
        for host in 198.51.100.1 '[2001:db8::1]'; do
            # Its question may be lost among so many, as datagrams are. Those who do not answer are asked again with it: so they stay.
            until
                inside $probe spread "$host:10000" 5200
                is_full && inside timeout 5 $probe ask udp "$(any $host):0" "$host:7" word >answer
            do kill -0 $pid; done
            sed 's/.* //' answer; echo
        done
    "#;
    assert_eq!(said(&format!("network={network}\n{script}")), "word\nword");
}

/// How many connections the host may have taken for one port, of which the container has taken none.
const CALLS: usize = 1500;

#[test]
fn a_port_that_does_not_answer_keeps_no_other_one_waiting() {
    needs!(Userns);
    let env = Env::with_busybox();
    let flags = ["-p=127.0.0.1::7", "-p=127.0.0.1::8"];
    serve(&env, "server", "[::]:7", &flags);
    let mut deaf = env.ctr(["exec", "server", "/probe", "deaf", "0.0.0.0:8"]).start();
    deaf.wait_for_errors("serving");
    let [good, bad] = ["7/tcp", "8/tcp"].map(|port| SocketAddr::new(V4, port_of(&env, "server", port)));
    let probe = programs().join("net-probe");
    let mut crowd = env.program(&probe, ["crowd", &bad.to_string(), &CALLS.to_string()]);
    let (hears, says) = std::io::pipe().expect("a pipe");
    crowd.command().stdin(hears);
    let mut crowd = crowd.start();
    crowd.wait_for(" connected, ");
    let netd = served_by(supervisor_of(&env, "server"), None);
    until("it does not take them", || (descriptors(netd) > 1000).then_some(()));
    until("it does not come to rest", || rests(netd).then_some(()));
    assert!(asks(good, "hello").ends_with(" hello"));
    // Who hangs up is not waited for.
    drop(says);
    crowd.finish().success();
    until("who hung up is waited for", || (descriptors(netd) < 200).then_some(()));
    env.ok(["rm", "-f", "-t0", "server"]);
}

/// As many connections at once as the host lets a process have, at most nine thousand, half of them by IPv6.
#[test]
fn thousands_of_connections_at_once_all_come_through() {
    needs!(Userns, Iproute);
    let script = r#"
        neighbour
        serving there.log there $probe echo '[::]:7'
        container
        # Each takes two descriptors of the process in the middle.
        many=$((($(ulimit -Hn) - 2000) / 2))
        if ((many > 9000)); then many=9000; else echo "only $many connections: a process may have $(ulimit -Hn) descriptors" >&2; fi
        each=$((many / 2))
        own() { awk '/^Private_Dirty/ { sum += $2 } END { print sum }' /proc/$netd/smaps_rollup; }
        count() { ls /proc/$netd/fd | wc -l; }
        netd=$(netd)
        before=$(count)
        first=$(own)
        mkfifo hold
        inside $probe burst 198.51.100.1:7 $each <hold >four & four=$!
        inside $probe burst '[2001:db8::1]:7' $each <hold >six & six=$!
        exec 3>hold
        until [ -s four ] && [ -s six ]; do kill -0 $four $six; done
        for told in four six; do sed "s/$each/all/g" $told; done
        most=$(own)
        [ $(count) -ge $((2 * many)) ] && echo 'all there'
        exec 3>&-
        wait $four $six
        until [ $(count) -le $((before + 100)) ]; do kill -0 $netd; done
        # What a connection takes, and what it leaves: with the last of them, a moment after the others' descriptors.
        (((most - first) * 1024 <= 512 * many)) && echo 'little memory' || echo "$first KiB, then $most"
        until last=$(own) && ((last - first <= (most - first) / 2)); do kill -0 $netd; done
        echo 'given back'
    "#;
    let all = "all connected, all answered";
    let env = Env::new();
    let said = host(&env, script).deadline(Duration::from_secs(180)).run().success();
    assert_eq!(said, format!("{all}\n{all}\nall there\nlittle memory\ngiven back"));
}

/// A container does what it can to keep its network busy: first packets that nobody answers, datagrams as fast as it can, echo requests.
/// It has that network for itself: another one goes on, and it too once it stops.
#[test]
fn a_flood_costs_the_one_who_makes_it() {
    needs!(Userns, Iproute, Traffic);
    let script = r#"
        neighbour
        sysctl -qw net.ipv4.ping_group_range='0 0'
        serving there.log there $probe serve '[::]:7'
        there nft 'add table inet t; add chain inet t in { type filter hook input priority 0; }; add rule inet t in meta l4proto { tcp, udp } th dport 9 drop'
        container
        flooding=$pid
        ctr run -d --name other --network user $image sleep 1000 >/dev/null
        in_network_of other
        flood() { nsenter --target $flooding --user --net --preserve-credentials -- "$@" >/dev/null 2>&1; }
        flood $probe crowd 198.51.100.1:9 3000 & one=$!
        flood $probe crowd '[2001:db8::1]:9' 3000 & two=$!
        (while :; do flood $probe datagrams 198.51.100.1:9 20000; done) & three=$!
        (while :; do flood $probe datagrams "198.51.100.$((RANDOM % 250 + 2)):$((RANDOM + 1))" 10; done) & four=$!
        flood ping -f 198.51.100.1 & five=$!
        ask() { inside timeout 5 $probe ask $1 10.0.2.100:0 198.51.100.1:7 word | grep -o word; }
        # Where the whole machine is full of others a datagram may be lost, as anywhere; if most were, this would not come to its end.
        for ((i = 0; i < 30; i++)); do for how in tcp udp; do until ask $how; do :; done; done; done | sort | uniq -c | xargs
        for all in /proc/[0-9]*; do
            if [ $(readlink $all/ns/net) = $(readlink /proc/$flooding/ns/net) ] && [ ${all#/proc/} != $flooding ]; then kill -9 ${all#/proc/}; fi
        done 2>/dev/null || :
        kill -9 $one $two $three $four $five 2>/dev/null || :
        pid=$flooding
        until ask tcp && ask udp; do :; done
    "#;
    assert_eq!(said(script), "60 word\nword\nword");
}

/// Whoever serves the network has few descriptors, and a container that wants them all.
#[test]
fn who_finds_no_room_is_told_so_and_orders_are_heard_all_the_same() {
    needs!(Userns, Iproute, Traffic);
    who_finds_no_room_is_told("user");
}

pub(crate) fn who_finds_no_room_is_told(network: &str) {
    let script = r#"
        neighbour
        serving there.log there $probe echo '[::]:7'
        (ulimit -n 700; container)
        in_network_of c
        netd=$(netd)
        mkfifo hold
        inside $probe burst 198.51.100.1:7 400 <hold >told & crowd=$!
        exec 3>hold
        until [ -s told ]; do kill -0 $crowd; done
        cat told
        inside $probe burst '[2001:db8::1]:7' 10 </dev/null
        # A port that is added comes with descriptors. A call to it waits, as does who would ask for names.
        ctr port --add 198.51.100.7:8080:7 c
        serving inside.log ctr exec c /probe serve '[::]:7' 3>&-
        there $probe ask tcp 198.51.100.1:0 198.51.100.7:8080 word >asked 3>&- & asked=$!
        sleep 1000 3>&- | inside socat - TCP:10.0.2.1:53 3>&- &
        # Nobody is busy with what cannot be done.
        rests() { for ((i = 0; i < 50; i++)); do read -r _ _ state _ </proc/$netd/stat; [ $state = S ] || return 1; done; }
        until rests; do kill -0 $netd; done
        exec 3>&-
        wait $asked
        sed 's/.* //' asked; echo
        [ $(netd) = $netd ] && ctr inspect -f '{{.NetworkSettings.Ended}}' c
    "#;
    let said = said(&format!("network={network}\n{script}"));
    let lines: Vec<&str> = said.lines().collect();
    let [told, told6, added, "word", "0"] = lines[..] else { unreachable!("{said}") };
    let served: u32 = told.split(' ').next().and_then(|count| count.parse().ok()).expect("a number");
    assert!((100..=200).contains(&served), "{told}");
    let others = format!("{served} connected, {served} answered, ");
    assert!(told.starts_with(&others) && told.contains("HostUnreachable"), "{told}");
    assert!(
        told6.starts_with("0 connected, 0 answered, {")
            && told6.contains("HostUnreachable")
            && told6.ends_with("}: 10}")
    );
    assert_eq!(added, "7/tcp -> 198.51.100.7:8080");
}

/// The same of datagrams: they are lost, which is counted, and whoever serves goes on.
#[test]
fn datagrams_for_which_there_is_no_room_are_counted_and_orders_are_heard_all_the_same() {
    needs!(Userns, Iproute);
    let script = r#"
        neighbour
        (ulimit -n 700; container)
        in_network_of c
        netd=$(netd)
        full() { ctr inspect -f '{{json .NetworkSettings.Counters.Limits}}' c | sed -n 's/.*"Descriptors":\([0-9]*\).*/\1/p'; }
        before=0
        for host in 198.51.100.1 '[2001:db8::1]'; do
            until inside $probe spread "$host:10000" 700; now=$(full); ((now > before)); do kill -0 $netd; done
            before=$now
            echo $host
        done
        ctr port --add 198.51.100.7:8080:7 c
        [ $(netd) = $netd ] && ctr inspect -f '{{.NetworkSettings.Ended}}' c
    "#;
    assert_eq!(said(script), "198.51.100.1\n[2001:db8::1]\n7/tcp -> 198.51.100.7:8080\n0");
}
