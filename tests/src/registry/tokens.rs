//! The server of tokens: GET with scopes, as Docker's has it, and POST as OAuth 2 has it.

use std::collections::HashMap;
use std::io::Result;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::Shared;
use super::auth::{Auth, Fields, Need, basic};
use super::message::{Answer, Request, form};
use super::wire::Incoming;

/// How long a token is good for when nothing is said.
const LIFETIME: Duration = Duration::from_secs(300);

/// All tokens that were given.
#[derive(Debug, Default)]
pub(super) struct Tokens(Mutex<Given>);

#[derive(Debug, Default)]
struct Given {
    counted: u64,
    access: HashMap<String, Access>,
    /// Refresh tokens, and whose they are.
    refresh: HashMap<String, String>,
}

#[derive(Debug)]
struct Access {
    grants: Vec<Need>,
    until: Instant,
    uses: Option<u32>,
}

/// What a token is worth for a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Good,
    Missing,
    /// Never given, or no longer good.
    Unknown,
    Insufficient,
}

impl Tokens {
    fn lock(&self) -> MutexGuard<'_, Given> {
        self.0.lock().expect("no panic under the lock")
    }

    /// Looks at a token, and uses it once.
    pub(super) fn judge(&self, token: &str, needs: &[Need]) -> Verdict {
        let mut given = self.lock();
        let Some(access) = given.access.get_mut(token) else { return Verdict::Unknown };
        if access.until <= Instant::now() || access.uses == Some(0) {
            return Verdict::Unknown;
        }
        if !needs.iter().all(|need| need.is_in(&access.grants)) {
            return Verdict::Insufficient;
        }
        access.uses = access.uses.map(|uses| uses - 1);
        Verdict::Good
    }

    pub(super) fn expire(&self) {
        self.lock().access.clear();
    }

    fn give(&self, auth: &Auth, user: Option<&str>, grants: Vec<Need>) -> String {
        let lifetime = auth.lifetime.or(auth.expires_in.map(Duration::from_secs)).unwrap_or(LIFETIME);
        let mut given = self.lock();
        given.counted += 1;
        let token = match &auth.signer {
            None => format!("opaque.{}.token", given.counted),
            Some(signer) => signer.token(&claims(&auth.service, user, &grants, lifetime)),
        };
        let access = Access { grants, until: Instant::now() + lifetime, uses: auth.uses };
        given.access.insert(token.clone(), access);
        token
    }

    fn give_refresh(&self, user: &str) -> String {
        let mut given = self.lock();
        given.counted += 1;
        let token = format!("refresh.{}.token", given.counted);
        given.refresh.insert(token.clone(), user.to_owned());
        token
    }

    fn whose(&self, refresh: &str) -> Option<String> {
        self.lock().refresh.get(refresh).cloned()
    }
}

/// What a JSON web token says.
fn claims(service: &str, user: Option<&str>, grants: &[Need], lifetime: Duration) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
    let grant = |need: &Need| json!({ "type": need.kind, "name": need.name, "actions": need.actions });
    json!({
        "iss": service, "aud": service, "sub": user.unwrap_or_default(), "jti": now.as_nanos().to_string(),
        "iat": now.as_secs(), "nbf": now.as_secs(), "exp": (now + lifetime).as_secs(),
        "access": grants.iter().map(grant).collect::<Vec<_>>(),
    })
}

/// What somebody asks for.
struct Wish {
    user: Option<String>,
    scopes: Vec<String>,
    /// A refresh token too.
    offline: bool,
}

pub(super) fn answer(shared: &Shared, request: &Request, body: &mut Incoming<'_>) -> Result<Answer> {
    let auth = shared.options().auth;
    let wish = match request.method.as_str() {
        "GET" => by_get(&auth, request),
        "POST" if !auth.only_get => {
            let bytes = body.whole(1 << 16)?.unwrap_or_default();
            by_post(shared, &auth, &form(&String::from_utf8_lossy(&bytes)))
        }
        _ => Err(Answer::bytes(404, "404 page not found")),
    };
    Ok(wish.map_or_else(|refused| refused, |wish| grant(shared, &auth, request, wish)))
}

/// What a GET asks for, and by whom. A wrong password is worse than none.
fn by_get(auth: &Auth, request: &Request) -> std::result::Result<Wish, Answer> {
    let wrong = || Answer::error(401, "UNAUTHORIZED", "incorrect username or password");
    let user = match basic(request) {
        Some((user, password)) if auth.knows(&user, &password) => Some(user),
        None if request.headers.get("Authorization").is_none() => None,
        _ => return Err(wrong()),
    };
    let scopes = request.parameters("scope");
    let scopes = scopes.iter().flat_map(|scope| scope.split(' ')).map(str::to_owned).collect();
    Ok(Wish { user, scopes, offline: request.parameter("offline_token").as_deref() == Some("true") })
}

/// What a POST asks for, and by whom.
fn by_post(shared: &Shared, auth: &Auth, form: &[(String, String)]) -> std::result::Result<Wish, Answer> {
    let field = |name: &str| form.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
    let refused = |status, error: &str| {
        Answer::json(status, &json!({ "error": error, "error_description": "refused" }))
    };
    if field("service").is_empty() || field("client_id").is_empty() {
        return Err(refused(400, "invalid_request"));
    }
    let user = match field("grant_type") {
        "password" => {
            let user = field("username");
            auth.knows(user, field("password")).then(|| user.to_owned())
        }
        "refresh_token" => {
            let token = field("refresh_token");
            auth.whose(token).map(str::to_owned).or_else(|| shared.tokens.whose(token))
        }
        _ => return Err(refused(400, "unsupported_grant_type")),
    };
    if user.is_none() {
        return Err(refused(401, "invalid_grant"));
    }
    let scopes = field("scope").split(' ').filter(|scope| !scope.is_empty()).map(str::to_owned).collect();
    Ok(Wish { user, scopes, offline: field("access_type") == "offline" })
}

/// A token for as much of what is asked as may be.
fn grant(shared: &Shared, auth: &Auth, request: &Request, wish: Wish) -> Answer {
    let user = wish.user.as_deref();
    let needs = wish.scopes.iter().filter_map(|scope| Need::parse(scope));
    let grants: Vec<_> = needs.map(|need| auth.allowed(user, &need)).collect();
    let token = shared.tokens.give(auth, user, grants);
    let mut answer = json!({});
    if auth.fields != Fields::AccessToken && request.method == "GET" {
        answer["token"] = Value::from(token.clone());
    }
    if auth.fields != Fields::Token || request.method == "POST" {
        answer["access_token"] = Value::from(token);
    }
    if let Some(seconds) = auth.expires_in {
        answer["expires_in"] = Value::from(seconds);
    }
    if let Some(user) = user.filter(|_| wish.offline) {
        answer["refresh_token"] = Value::from(shared.tokens.give_refresh(user));
    }
    Answer::json(200, &answer)
}
