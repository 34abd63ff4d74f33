use super::{Client, Reply, ask};
use crate::registry::{Auth, Fields, Options, Registry, Side, base64};

fn registry(auth: Auth) -> Registry {
    let registry = Registry::with(Options { auth, ..Options::default() });
    let _digest = registry.put_blob("ann/x", "blob");
    registry
}

fn with(registry: &Registry, authorization: &str, method: &str, target: &str) -> Reply {
    let headers = [("Authorization", authorization)];
    ask(registry, method, target, if authorization.is_empty() { &[] } else { &headers }, &[])
}

fn token(registry: &Registry, query: &str, authorization: &str) -> Reply {
    let headers = [("Authorization", authorization)];
    let headers = if authorization.is_empty() { &[][..] } else { &headers };
    Client::to(registry.address(Side::Tokens)).ask("GET", &format!("/token?{query}"), headers, &[])
}

fn post(registry: &Registry, form: &str) -> Reply {
    let all = format!("service=registry.test&client_id=test&{form}");
    Client::to(registry.address(Side::Tokens)).ask("POST", "/token", &[], all.as_bytes())
}

fn bearer(reply: &Reply) -> String {
    format!(
        "Bearer {}",
        reply.json()["access_token"].as_str().unwrap_or_else(|| panic!("no token: {reply:?}"))
    )
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", base64(format!("{user}:{password}").as_bytes()))
}

#[test]
fn passwords() {
    let registry = registry(Auth::basic().user("ann", "secret").user("bob", "b").may("ann", "", "pull,push"));
    let reply = with(&registry, "", "GET", "/v2/");
    assert_eq!(
        (reply.status, reply.header("WWW-Authenticate")),
        (401, "Basic realm=\"a registry for tests\"")
    );
    assert_eq!(with(&registry, &basic("ann", "wrong"), "GET", "/v2/").status, 401);
    assert_eq!(with(&registry, &basic("ann", "secret"), "GET", "/v2/").status, 200);
    assert_eq!(with(&registry, &basic("ann", "secret"), "GET", "/v2/a/blobs/x").status, 404);
    assert_eq!(with(&registry, &basic("bob", "b"), "GET", "/v2/a/blobs/x").status, 403);
}

#[test]
fn a_token_is_for_what_was_asked() {
    let registry = registry(Auth::tokens().user("ann", "secret"));
    let mount = "/v2/ann/x/blobs/uploads/?mount=sha256:0&from=b/y";
    let reply = with(&registry, "", "POST", mount);
    let realm = format!("Bearer realm=\"{}/token\",service=\"registry.test\"", registry.url(Side::Tokens));
    let scope = ",scope=\"repository:ann/x:pull,push repository:b/y:pull\"";
    assert_eq!(reply.header("WWW-Authenticate"), format!("{realm}{scope}"));
    let one = token(&registry, "service=s&scope=repository:ann/x:pull,push", &basic("ann", "secret"));
    let reply = with(&registry, &bearer(&one), "POST", mount);
    assert_eq!(reply.header("WWW-Authenticate"), format!("{realm}{scope},error=\"insufficient_scope\""));
    let query = "service=s&scope=repository:ann/x:pull,push&scope=repository:b/y:pull";
    let both = token(&registry, query, &basic("ann", "secret"));
    assert_eq!(with(&registry, &bearer(&both), "POST", mount).status, 202);
    assert_eq!(with(&registry, &bearer(&both), "GET", "/v2/").status, 200);
    registry.expire_tokens();
    let reply = with(&registry, &bearer(&both), "GET", "/v2/");
    assert_eq!(reply.header("WWW-Authenticate"), format!("{realm},error=\"invalid_token\""));
    assert_eq!(token(&registry, query, &basic("ann", "wrong")).status, 401);
    let nobody = token(&registry, query, "");
    assert_eq!(with(&registry, &bearer(&nobody), "POST", mount).status, 401);
}

#[test]
fn a_token_is_used_up() {
    let mut auth = Auth::tokens().anyone("", "pull");
    (auth.uses, auth.expires_in) = (Some(1), Some(60));
    let registry = registry(auth);
    let reply = token(&registry, "scope=repository:ann/x:pull", "");
    assert_eq!(reply.json()["expires_in"], 60);
    let status = || with(&registry, &bearer(&reply), "GET", "/v2/ann/x/tags/list").status;
    assert_eq!((status(), status()), (200, 401));
}

#[test]
fn oauth() {
    let registry = registry(Auth::tokens().user("ann", "secret").identity("id.ann", "ann"));
    let scope = "scope=repository:ann/x:pull+repository:ann/y:pull";
    let by_password = format!("grant_type=password&username=ann&password=secret&access_type=offline&{scope}");
    let reply = post(&registry, &by_password);
    assert_eq!(with(&registry, &bearer(&reply), "GET", "/v2/ann/y/tags/list").status, 404);
    let refresh = reply.json()["refresh_token"].as_str().expect("a token").to_owned();
    for token in ["id.ann", &refresh] {
        let reply = post(&registry, &format!("grant_type=refresh_token&refresh_token={token}&{scope}"));
        assert_eq!(with(&registry, &bearer(&reply), "GET", "/v2/ann/x/tags/list").status, 200);
        assert!(reply.json().get("token").is_none());
    }
    assert_eq!(post(&registry, "grant_type=refresh_token&refresh_token=no").status, 401);
    assert_eq!(post(&registry, "grant_type=magic").status, 400);
    registry.change(|options| options.auth.only_get = true);
    assert_eq!(post(&registry, &by_password).status, 404);
}

#[test]
fn answers_name_the_token_as_told() {
    let mut auth = Auth::tokens();
    (auth.fields, auth.realm) = (Fields::Token, Some("http://elsewhere.test/t".into()));
    let registry = registry(auth);
    let names =
        |reply: &Reply| reply.json().as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&token(&registry, "", "")), ["token"]);
    registry.change(|options| options.auth.fields = Fields::AccessToken);
    assert_eq!(names(&token(&registry, "", "")), ["access_token"]);
    let challenge = with(&registry, "", "GET", "/v2/");
    assert!(challenge.header("WWW-Authenticate").contains("realm=\"http://elsewhere.test/t\""));
}
