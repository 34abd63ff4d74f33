//! Against a host that says what a test has it say, which is known to speak in the clear.

use std::time::Duration;

use ctr_core::limits;

use super::*;
use crate::auth::AuthError;
use crate::http::Patience;
use crate::http::tests::{Host, answer, http};

/// A registry at a host, which is asked once.
fn registry(at: &Origin, credentials: Credentials) -> Registry {
    let endpoint = Endpoint { host: at.authority(), is_insecure: true, profile: Profile::default() };
    let never = Retry { times: 0, delay: None, base: Duration::ZERO, most: Duration::ZERO };
    let registry = Registry::new(Arc::new(http(Patience::default())), endpoint, credentials, never);
    registry.origin.set(at.clone()).expect("nobody asked yet");
    registry
}

fn bob() -> Credentials {
    Credentials::parse("bob:swordfish")
}

/// What asking for something of a host that answers so fails with.
#[track_caller]
fn failure<T>(answer: Vec<u8>, ask: impl Fn(&Registry) -> Result<T, RegistryError>) -> Why {
    let host = Host::answering(vec![vec![answer]]);
    let failure = ask(&registry(&host.at, Credentials::Anonymous)).err().expect("a failure");
    host.asked();
    *failure.why
}

#[test]
fn a_manifest_has_the_digest_it_is_named_by() {
    let named = Digest::of(b"{}").to_string();
    let why = failure(answer("200 OK", "", "{ }"), |at| at.manifest("a/b", &named));
    assert!(matches!(why, Why::Digest(_)), "{why:?}");
    let field = format!("Docker-Content-Digest: {named}\r\n");
    let why = failure(answer("200 OK", &field, "{ }"), |at| at.manifest("a/b", "latest"));
    assert!(matches!(why, Why::Digest(_)), "{why:?}");
}

#[test]
fn a_manifest_has_a_bound() {
    let long = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", limits::MANIFEST + 1);
    let why = failure(long.into_bytes(), |at| at.manifest("a/b", "latest"));
    assert!(matches!(why, Why::Http(HttpError::TooLong { .. })), "{why:?}");
}

#[test]
fn a_list_stays_where_it_is_and_ends() {
    let page = |link: &str| answer("200 OK", &format!("Link: <{link}>; rel=next\r\n"), r#"{"tags":["1"]}"#);
    let why = failure(page("/v2/a/b/tags/list"), |at| at.tags("a/b"));
    assert!(matches!(why, Why::Answer("the list leads in a circle")), "{why:?}");
    let why = failure(page("http://127.0.0.2:1/v2/a/b/tags/list?n=1"), |at| at.tags("a/b"));
    assert!(matches!(why, Why::Answer("the list leads to another host")), "{why:?}");
    let long = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", limits::REGISTRY_LIST + 1);
    let why = failure(long.into_bytes(), |at| at.tags("a/b"));
    assert!(matches!(why, Why::Http(HttpError::TooLong { .. })), "{why:?}");
}

#[test]
fn another_part_of_a_blob_is_not_taken() {
    let part = answer("206 Partial Content", "Content-Range: bytes 0-9/10\r\n", "0123456789");
    let why = failure(part, |at| at.blob("a/b", &Digest::of(b"x"), 5));
    assert!(matches!(why, Why::Answer(_)), "{why:?}");
}

#[test]
fn who_is_led_to_is_not_told_the_password() {
    let thief = Host::answering(vec![vec![answer("401 No", "WWW-Authenticate: Basic realm=x\r\n", "")]]);
    let elsewhere = format!("Location: {}/v2/\r\n", thief.at);
    let host = Host::answering(vec![vec![answer("307 There", &elsewhere, "")]]);
    let why = *registry(&host.at, bob()).ping().unwrap_err().why;
    assert!(matches!(why, Why::Status { status: 401, .. }), "{why:?}");
    host.asked();
    assert!(!thief.asked()[0].contains("Authorization"));
}

#[test]
fn passwords_of_tls_do_not_go_to_a_realm_in_the_clear() {
    let auth = Auth::new(bob());
    // Nobody is there, should somebody be asked.
    let challenge = "Bearer realm=\"http://127.0.0.1:1/token\"";
    assert!(auth.challenged([challenge].into_iter(), None).unwrap());
    let secure = Origin::parse(Scheme::Https, "registry.example").unwrap();
    let http = http(Patience::default());
    let shown = auth.shown(&http, &secure, &Profile::default(), &[]).map(drop);
    assert!(matches!(shown, Err(AuthError::Clear { .. })), "{shown:?}");
    let plain = Origin::parse(Scheme::Http, "registry.example").unwrap();
    let shown = auth.shown(&http, &plain, &Profile::default(), &[]).map(drop);
    assert!(matches!(shown, Err(AuthError::Http { .. })), "{shown:?}");
}
