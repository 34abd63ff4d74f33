//! The gateway's resolver, asked by `dig` from a container's network: what it knows itself, and what it asks another one.
//!
//! The host is a namespace of the test's own, whose one resolver is a `dnsmasq` that writes down each question.

use std::time::Duration;

use ctr_tests::env::programs;
use ctr_tests::image::Image;
use ctr_tests::{BUSYBOX, Env, needs};

/// A host with a resolver, a container, and a way to ask as if from within that.
const WORLD: &str = "set -e
    ctr load -q -i image.tar >/dev/null
    ip link set lo up
    echo 'nameserver 127.0.0.1' >resolv.conf
    mount --bind resolv.conf /etc/resolv.conf
    big=() && for ((at = 0; at < 15; at++)); do big+=(--txt-record=big.test,$(printf '%0199d' $at)); done
    dnsmasq --keep-in-foreground --conf-file=/dev/null --user=root --pid-file= --no-resolv --no-hosts --log-queries \
        --log-facility=$PWD/log --listen-address=127.0.0.1 --bind-interfaces --edns-packet-max=4096 \
        --host-record=a.test,192.0.2.10,2001:db8::10 --cname=alias.test,a.test --txt-record=text.test,some,words \
        --srv-host=_web._tcp.test,a.test,8080,1,2 --ptr-record=7.2.0.192.in-addr.arpa,seven.test \"${big[@]}\" &
    server=$!
    trap 'ctr rm -f -t0 c >/dev/null; kill $server' EXIT
    until dig +time=1 +tries=1 @127.0.0.1 ready.test >/dev/null; do kill -0 $server; done
    ctr run -d --name c --hostname own --network user localhost/busybox sleep 1000 >/dev/null
    pid=$(ctr inspect -f '{{.State.Pid}}' c)
    in_c() { nsenter --target $pid --user --net --preserve-credentials \"$@\"; }
    ask() { in_c dig +time=10 +tries=1 @10.0.2.1 \"$@\"; }
";

fn said(script: &str) -> String {
    let env = Env::new();
    let _image = env.file("image.tar", Image::busybox(BUSYBOX, []).docker_archive());
    let script = format!("{WORLD}\n{script}");
    let words = ["--map-root-user", "--map-auto", "--net", "--mount", "bash", "-c", &script];
    let probe = programs().join("net-probe");
    env.program("unshare", words).var("PROBE", probe).deadline(Duration::from_secs(60)).run().success()
}

#[test]
fn every_kind_of_record_comes_as_it_is() {
    needs!(Userns);
    let cases = [
        ("a.test", "192.0.2.10"),
        ("AAAA a.test", "2001:db8::10"),
        ("alias.test", "a.test. 192.0.2.10"),
        ("CNAME alias.test", "a.test."),
        ("SRV _web._tcp.test", "1 2 8080 a.test."),
        ("TXT text.test", "\"some\" \"words\""),
        ("-x 192.0.2.7", "seven.test."),
        // Over TCP as over UDP, in capitals, and by either address of the gateway.
        ("+tcp alias.test", "a.test. 192.0.2.10"),
        ("A.TEST", "192.0.2.10"),
        ("@fd00::1 TXT text.test", "\"some\" \"words\""),
    ];
    let asked: String =
        cases.iter().map(|(question, _)| format!("ask +short {question} | xargs -d '\\n'\n")).collect();
    let answers: Vec<String> = said(&asked).lines().map(str::to_owned).collect();
    for ((question, wanted), answer) in cases.iter().zip(&answers) {
        assert_eq!(answer, wanted, "{question}");
    }
    assert_eq!(answers.len(), cases.len());
}

#[test]
fn long_answers_come_whole_to_who_takes_them() {
    needs!(Userns);
    let script = "
        ask +short +notcp +ignore +bufsize=4096 TXT big.test | wc -l
        ask +short +tcp TXT big.test | wc -l
        # Who takes little is told that there is more, and gets it by asking again.
        ask +notcp +ignore +noedns TXT big.test | grep -c '^;; flags:.* tc'
        ask +short +noedns TXT big.test 2>/dev/null | grep -c '^.0'
        # A version of EDNS that is none, and a question with an option that nobody here knows.
        ask +edns=1 +noednsneg a.test | grep -c BADVERS
        ask +short +ednsopt=65001:beef a.test
        # Two questions on one connection.
        ask +short +keepopen +tcp a.test AAAA a.test | wc -l
    ";
    assert_eq!(said(script), "15\n15\n1\n15\n1\n192.0.2.10\n2");
}

#[test]
fn what_is_ours_is_answered_and_asked_of_nobody() {
    needs!(Userns);
    let own = [
        ("own", "10.0.2.100"),
        ("AAAA own", "fd00::100"),
        ("c", "10.0.2.100"),
        ("+tcp c.dns.podman", "10.0.2.100"),
        ("-x 10.0.2.100", "own."),
        ("-x fd00::100", "own."),
        ("-x 10.0.2.1", "gateway.containers.internal."),
        ("host.containers.internal", "169.254.1.2"),
        ("AAAA host.docker.internal", "fd00:0:0:1::2"),
        ("x.localhost", "127.0.0.1"),
        // What they have not, and names in our domains that nobody has.
        ("TXT own", ""),
        ("SRV host.docker.internal", ""),
        ("nobody.dns.podman", ""),
        ("AAAA db.containers.internal", ""),
        ("-x 10.0.2.7", ""),
    ];
    let asked: String =
        own.iter().map(|(question, _)| format!("ask +short {question} | xargs -d '\\n'\n")).collect();
    // The last one is for others, and shows that what is forwarded is written down.
    let said =
        said(&format!("{asked}\nask +short a.test\nexec sed -n 's/.*query.* \\(.*\\) from.*/\\1/p' log"));
    let lines: Vec<&str> = said.lines().collect();
    let (answers, rest) = lines.split_at(own.len());
    for ((question, wanted), answer) in own.iter().zip(answers) {
        assert_eq!(answer, wanted, "{question}");
    }
    let ours: Vec<&&str> =
        rest.iter().filter(|line| !matches!(**line, "ready.test" | "192.0.2.10")).collect();
    assert_eq!(ours, [&"a.test"], "{said}");
}

#[test]
fn who_asks_and_does_not_listen_costs_nobody_a_thing() {
    needs!(Userns);
    let script = "
        supervisor=$(ctr inspect -f '{{.State.ConmonPid}}' c)
        for child in $(cat /proc/$supervisor/task/$supervisor/children); do
            if [ \"$(cat /proc/$child/comm)\" = ctr-netd ]; then netd=$child; fi
        done
        mkfifo hold
        in_c $PROBE greedy 10.0.2.1:53 4 <hold >greedy & greedy=$!
        exec 3>hold
        ask +short own
        until [ -s greedy ]; do kill -0 $greedy; done
        cat greedy
        ask +short +tcp own
        own=$(awk '/^Private_Dirty/ { sum += $2 } END { print sum }' /proc/$netd/smaps_rollup)
        ((own <= 6 << 10)) && echo 'little memory' || echo \"$own KiB\"
        exec 3>&-
        wait $greedy
    ";
    let answered = "10.0.2.100";
    assert_eq!(said(script), format!("{answered}\n4 of 4 are not read any more\n{answered}\nlittle memory"));
}

#[test]
fn who_says_one_byte_takes_the_place_of_another_for_seconds_only() {
    needs!(Userns);
    // As many as there may be, and then one that finds no place.
    let script = "
        cat >slow <<'END'
        for at in {1..64}; do exec {last}<>/dev/tcp/10.0.2.1/53; printf '\\0' >&$last; done
        SECONDS=0
        timeout 25 cat <&$last
        ((SECONDS < 15)) && echo given up
END
        in_c bash slow
        ask +short +tcp own
    ";
    assert_eq!(said(script), "given up\n10.0.2.100");
}

#[test]
fn a_guess_does_not_keep_the_answer_away() {
    needs!(Userns);
    let script = "
        $PROBE names 127.0.0.2 10.9.0.2 & names=$!
        trap 'ctr rm -f -t0 c >/dev/null; kill $server $names' EXIT
        echo 'nameserver 127.0.0.2' >resolv.conf
        until [ \"$(ask +short a.test)\" = 10.9.0.2 ]; do kill -0 $names; done
        ask +short guessed.test
    ";
    assert_eq!(said(script), "10.9.0.2");
}
