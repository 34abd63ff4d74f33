use super::{Client, get};
use crate::registry::proxy::Proxy;
use crate::registry::{Registry, Side, base64};

fn client(proxy: &Proxy) -> Client {
    Client::to(proxy.host().parse().expect("an address"))
}

#[test]
fn in_the_open_and_through_a_tunnel() {
    let (proxy, registry) = (Proxy::start(), Registry::start());
    let url = format!("{}/v2/?a=b", registry.url(Side::Registry));
    assert_eq!(client(&proxy).ask("GET", &url, &[], &[]).status, 200);
    let mut tunnel = client(&proxy);
    tunnel.send("CONNECT", &registry.host(), &[], &[]);
    assert_eq!(tunnel.reply(true).status, 200);
    for _ in 0..2 {
        assert_eq!(tunnel.ask("GET", "/v2/", &[], &[]).status, 200);
    }
    let asked: Vec<_> = proxy.asked().into_iter().map(|one| (one.method, one.target)).collect();
    assert_eq!(asked, [("GET".into(), url), ("CONNECT".into(), registry.host())]);
    assert_eq!(registry.lines(), ["GET /v2/?a=b 200", "GET /v2/ 200", "GET /v2/ 200"]);
    assert_eq!(get(&registry, "/v2/").status, 200);
}

#[test]
fn for_those_with_a_password_and_to_nobody() {
    let (proxy, registry) = (Proxy::with_password("ann", "secret"), Registry::start());
    let url = format!("{}/v2/", registry.url(Side::Registry));
    assert_eq!(client(&proxy).ask("GET", &url, &[], &[]).status, 407);
    let authorization = format!("Basic {}", base64(b"ann:secret"));
    let headers = [("Proxy-Authorization", authorization.as_str())];
    assert_eq!(client(&proxy).ask("GET", &url, &headers, &[]).status, 200);
    assert_eq!(registry.log()[0].header("Proxy-Authorization"), None);
    drop(registry);
    assert_eq!(client(&proxy).ask("GET", &url, &headers, &[]).status, 502);
}
