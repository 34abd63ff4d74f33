use proptest::prelude::*;

use super::*;

fn one(text: &str) -> Mapping {
    match parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))[..] {
        [mapping] => mapping,
        ref several => panic!("{text}: {several:?}"),
    }
}

fn refused(text: &str) -> String {
    parse(text).expect_err(text).to_string()
}

fn arranged(texts: &[&str]) -> Result<Vec<Mapping>, PublishError> {
    let all: Vec<_> = texts.iter().flat_map(|text| parse(text).expect(text)).collect();
    arrange(&all, &Exposed::default())
}

fn exposed(texts: &[&str]) -> Exposed {
    let mut all = Exposed::default();
    for text in texts {
        all.add(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    }
    all
}

#[test]
fn every_form_is_read() {
    let (tcp, udp) = (Transport::Tcp, Transport::Udp);
    for (text, address, outside, inside, count, transport) in [
        ("80", "", 0, 80, 1, tcp),
        (":80", "", 0, 80, 1, tcp),
        ("0:80", "", 0, 80, 1, tcp),
        ("8080:80", "", 8080, 80, 1, tcp),
        ("8080:80/TCP", "", 8080, 80, 1, tcp),
        ("80/udp", "", 0, 80, 1, udp),
        ("2000-2006:3000-3006/udp", "", 2000, 3000, 7, udp),
        ("80-82", "", 0, 80, 3, tcp),
        (":80-82", "", 0, 80, 3, tcp),
        ("127.0.0.1:8580:80", "127.0.0.1", 8580, 80, 1, tcp),
        ("127.0.0.1::8980/udp", "127.0.0.1", 0, 8980, 1, udp),
        ("0.0.0.0:9280:80", "0.0.0.0", 9280, 80, 1, tcp),
        ("[::1]:8080:80", "::1", 8080, 80, 1, tcp),
        ("[::1]::80", "::1", 0, 80, 1, tcp),
        ("[::]:80:80", "::", 80, 80, 1, tcp),
        ("[::ffff:127.0.0.1]:80:80", "127.0.0.1", 80, 80, 1, tcp),
        ("1-65535:1-65535", "", 1, 1, 65535, tcp),
        ("+80:080", "", 80, 80, 1, tcp),
    ] {
        let address = (!address.is_empty()).then(|| address.parse().expect("an address"));
        assert_eq!(one(text), Mapping { address, inside, outside, count, transport }, "{text}");
    }
    let transports: Vec<_> = parse("53:53/udp,tcp,udp").unwrap().iter().map(|of| of.transport).collect();
    assert_eq!(transports, [tcp, udp]);
}

#[test]
fn what_is_wrong_is_said_as_podman_says_it() {
    for (text, said) in [
        ("80/tcp/udp", "invalid port format - protocol can only be specified once"),
        ("::1]:80:80", "invalid port format - IPv6 addresses must be enclosed by []"),
        ("[::1]80:80", "invalid port format - IPv6 address must be followed by a colon (':')"),
        ("[::1]:[::1]:80", "invalid port format - at most one IPv6 address can be specified in a --publish"),
        ("[::1]:80", "invalid port format - must provide host and destination port if specifying an IP"),
        ("[::1]:1:2:3", "invalid port format - when v6 address specified, must be [ipv6]:hostPort:ctrPort"),
        ("::1:80:80", "invalid port format - format is [[hostIP:]hostPort:]containerPort"),
        ("", "must provide a non-empty container port to publish"),
        ("80:", "must provide a non-empty container port to publish"),
        ("80/", "must provide a non-empty protocol to publish"),
        (":80:80", "must provide a non-empty container host IP to publish"),
        ("[]:80:80", "must provide a non-empty container host IP to publish"),
        ("localhost:80:80", "cannot parse \"localhost\" as an IP address"),
        ("127.0.0.01:80:80", "cannot parse \"127.0.0.01\" as an IP address"),
        ("[fe80::1%eth0]:80:80", "cannot parse \"fe80::1%eth0\" as an IP address"),
        ("80/icmp", "unrecognized protocol \"icmp\" in port mapping"),
        ("80/tcp,x", "unrecognized protocol \"x\" in port mapping"),
        ("80:81/sctp", "publishing port 81 with protocol sctp is not supported"),
        ("8080-8081:80", "host and container port ranges have different lengths: 2 vs 1"),
        ("80:80-81", "host and container port ranges have different lengths: 1 vs 2"),
        (
            "1-2-3",
            "parsing container port: invalid port format - port ranges are formatted as startPort-stopPort",
        ),
        ("-80", "parsing container port: port numbers cannot be negative"),
        ("80-", "parsing container port: must provide ending number for port range"),
        (
            "81-80",
            "parsing container port: the end port of a range must be higher than the start port - 80 is not higher than 81",
        ),
        (
            "80-80",
            "parsing container port: the end port of a range must be higher than the start port - 80 is not higher than 80",
        ),
        (
            "http",
            "parsing container port: invalid port number: strconv.Atoi: parsing \"http\": invalid syntax",
        ),
        ("80:0", "parsing container port: port numbers must be between 1 and 65535 (inclusive), got 0"),
        ("65536", "parsing container port: port numbers must be between 1 and 65535 (inclusive), got 65536"),
        ("x:80", "parsing host port: invalid port number: strconv.Atoi: parsing \"x\": invalid syntax"),
        ("0-1:80-81", "parsing host port: port numbers must be between 1 and 65535 (inclusive), got 0"),
        (
            "99999999999999999999",
            "parsing container port: invalid port number: strconv.Atoi: parsing \"99999999999999999999\": value out of range",
        ),
    ] {
        assert_eq!(refused(text), said, "{text}");
    }
}

#[test]
fn what_goes_on_becomes_one() {
    let ranges = |texts: &[&str]| -> Vec<(u16, u16, u16)> {
        let all = arranged(texts).unwrap_or_else(|error| panic!("{texts:?}: {error}"));
        all.iter().map(|mapping| (mapping.outside, mapping.inside, mapping.count)).collect()
    };
    assert_eq!(ranges(&["3100:100", "3101:101", "3103:103"]), [(3100, 100, 2), (3103, 103, 1)]);
    assert_eq!(ranges(&["3000-3009:3000-3009", "3002:3002"]), [(3000, 3000, 10)]);
    assert_eq!(ranges(&["3002-3012:3002-3012", "3000-3005:3000-3005"]), [(3000, 3000, 13)]);
    assert_eq!(ranges(&["80:80", "80:80"]), [(80, 80, 1)]);
    assert_eq!(ranges(&["80:80", "81:90"]), [(80, 80, 1), (81, 90, 1)]);
    assert_eq!(ranges(&["4444:8080", "5555:8080"]), [(4444, 8080, 1), (5555, 8080, 1)]);
    assert_eq!(ranges(&["90", "80-82", "82-84", "8090:8090"]), [(8090, 8090, 1), (0, 80, 5), (0, 90, 1)]);
    assert_eq!(ranges(&["1-65535:1-65535", "65535:65535"]), [(1, 1, 65535)]);
    assert_eq!(ranges(&["80", "80/udp", "127.0.0.1::80"]), [(0, 80, 1); 3]);
}

#[test]
fn one_port_of_the_host_leads_to_one_inside() {
    for (texts, port) in [
        (["1000-2000:2000-3000", "1999-2999:3001-4001"], 1999),
        (["80:80", "80:81"], 80),
        (["80:81", "80:80"], 80),
        (["80:80", "127.0.0.1:80:80"], 80),
        (["0.0.0.0:80:80", "127.0.0.1:80:80"], 80),
        (["[::]:80:80", "[::1]:70-90:70-90"], 80),
        (["80:80", "[::1]:80:80"], 80),
    ] {
        let conflict = PublishError::Conflict { port, transport: Transport::Tcp };
        assert_eq!(arranged(&texts), Err(conflict), "{texts:?}");
    }
    let said = arranged(&["80:80/udp", "80:81/udp"]).unwrap_err().to_string();
    assert_eq!(said, "conflicting port mappings for host port 80 (protocol udp)");
    for texts in [
        ["80:80", "80:80/udp"],
        ["127.0.0.1:80:80", "127.0.0.2:80:80"],
        ["0.0.0.0:80:80", "[::]:80:80"],
        ["0.0.0.0:80:80", "[::1]:80:80"],
        ["80-81:80-81", "82:80"],
    ] {
        assert!(arranged(&texts).is_ok(), "{texts:?}");
    }
}

#[test]
fn what_is_exposed_is_published_unless_it_is() {
    let given: Vec<_> = parse("8080:80").unwrap();
    let all = arrange(&given, &exposed(&["80", "443", "53/udp", "80/udp"])).unwrap();
    let inside: Vec<_> = all.iter().map(|of| (of.outside, of.inside, of.transport)).collect();
    let (tcp, udp) = (Transport::Tcp, Transport::Udp);
    assert_eq!(inside, [(8080, 80, tcp), (0, 443, tcp), (0, 53, udp), (0, 80, udp)]);
    let sctp = exposed(&["3868/sctp"]);
    assert_eq!(arrange(&[], &sctp), Err(PublishError::Sctp { port: 3868 }));
}

#[test]
fn an_exposed_port_is_read_as_podman_reads_it() {
    assert_eq!(exposed(&["80-82/tcp,udp"]).iter().count(), 6);
    assert_eq!(exposed(&["80/TCP", "80"]).iter().count(), 1);
    for (text, said) in [
        ("80/tcp/udp", "invalid expose format - protocol can only be specified once"),
        ("80-79", "the end port of a range must be higher than the start port - 79 is not higher than 80"),
        ("0", "port numbers must be between 1 and 65535 (inclusive), got 0"),
        ("80/x", "unrecognized protocol \"x\" in port mapping"),
        ("", "port numbers cannot be negative"),
    ] {
        assert_eq!(Exposed::default().add(text).unwrap_err().to_string(), said, "{text}");
    }
}

#[test]
fn who_exposes_everything_again_and_again_is_refused() {
    let mut exposed = Exposed::default();
    let refused = (0..100).find_map(|_| exposed.add("1-65535/tcp,udp").err());
    assert_eq!(refused, Some(PublishError::TooManyExposed {}));
}

#[test]
fn lists_show_them_as_podman_s_do() {
    let shown = |texts: &[&str], names: &[&str]| listed(&arranged(texts).expect("mappings"), &exposed(names));
    assert_eq!(shown(&[], &[]), "");
    assert_eq!(shown(&["8080:80", "[::1]:53:53/udp"], &[]), "0.0.0.0:8080->80/tcp, ::1:53->53/udp");
    assert_eq!(shown(&["2000-2006:3000-3006"], &[]), "0.0.0.0:2000-2006->3000-3006/tcp");
    assert_eq!(
        shown(&["8080:80"], &["80", "443", "90-92", "93/udp", "94/udp", "7/sctp"]),
        "0.0.0.0:8080->80/tcp, 7/sctp, 90-92/tcp, 443/tcp, 93-94/udp"
    );
}

#[test]
fn records_and_inspect_have_podman_s_fields() {
    let mapping = one("127.0.0.1:8080-8081:80-81");
    let json = serde_json::to_string(&mapping).unwrap();
    let expected =
        r#"{"host_ip":"127.0.0.1","container_port":80,"host_port":8080,"range":2,"protocol":"tcp"}"#;
    assert_eq!(json, expected);
    assert_eq!(serde_json::from_str::<Mapping>(&json).unwrap(), mapping);
    assert!(serde_json::to_string(&one("80:80")).unwrap().contains(r#""host_ip":"","#));
    let bound = serde_json::to_string(&bindings(&[mapping, one("90:80")])).unwrap();
    let expected = r#"{"80/tcp":[{"HostIp":"127.0.0.1","HostPort":"8080"},{"HostIp":"0.0.0.0","HostPort":"90"}],"81/tcp":[{"HostIp":"127.0.0.1","HostPort":"8081"}]}"#;
    assert_eq!(bound, expected);
    assert_eq!((mapping.leads_to(81), mapping.leads_to(82)), (Some(8081), None));
}

proptest! {
    #[test]
    fn what_is_arranged_publishes_the_same_ports(
        texts in proptest::collection::vec("(([1-9]|1[0-9]):([1-9]|1[0-9])|[1-5]-[6-9]|1[0-4]-1[5-9]:2[0-4]-2[5-9])(/udp)?", 0..6)
    ) {
        let all: Vec<_> = texts.iter().filter_map(|text| parse(text).ok()).flatten().collect();
        let pairs = |of: &[Mapping]| -> BTreeSet<_> {
            of.iter().flat_map(|one| one.pairs().map(|pair| (one.transport, pair))).collect()
        };
        match arrange(&all, &Exposed::default()) {
            Ok(arranged) => {
                prop_assert_eq!(pairs(&arranged), pairs(&all));
                prop_assert_eq!(arrange(&arranged, &Exposed::default()), Ok(arranged));
            }
            Err(PublishError::Conflict { port, transport }) => {
                let inside: BTreeSet<_> =
                    pairs(&all).into_iter().filter(|(of, pair)| *of == transport && pair.0 == port).collect();
                prop_assert!(inside.len() > 1, "{port} {inside:?}");
            }
            Err(other) => prop_assert!(false, "{other}"),
        }
    }
}
