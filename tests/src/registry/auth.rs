//! Who may do what, and what those are told who may not.

use std::time::Duration;

use super::certificates::Signer;
use super::message::{Answer, Request, unbase64};
use super::tokens::Verdict;
use super::{Shared, Side};

/// How a registry asks for a client's name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum How {
    /// It does not.
    #[default]
    Open,
    /// Name and password with each request.
    Basic,
    /// A token from the server of tokens.
    Tokens,
}

/// Which fields of an answer have a token.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Fields {
    /// `token` and `access_token`.
    #[default]
    Both,
    /// Only `token`, as Docker had it first.
    Token,
    /// Only `access_token`, as OAuth 2 has it.
    AccessToken,
}

/// What one may do.
#[derive(Debug, Clone)]
struct Right {
    /// Anybody, if nobody is named.
    who: Option<String>,
    prefix: String,
    actions: Vec<String>,
}

/// Users, what they may do, and what tokens are like. With no right at all, every user may do everything.
#[derive(Debug, Clone, Default)]
pub struct Auth {
    pub(super) how: How,
    users: Vec<(String, String)>,
    rights: Vec<Right>,
    /// Identity tokens, and whose they are.
    identities: Vec<(String, String)>,
    /// Seconds that a token is said to be good for; nothing is said when `None`.
    pub expires_in: Option<u64>,
    /// How long it is, whatever is said.
    pub lifetime: Option<Duration>,
    /// How many requests it is good for.
    pub uses: Option<u32>,
    /// Where an answer has the token.
    pub fields: Fields,
    /// OAuth 2 by POST is not known: 404.
    pub only_get: bool,
    /// What challenges say in place of where the server of tokens is.
    pub realm: Option<String>,
    /// The name of the registry in challenges and tokens, and of who gives those.
    pub service: String,
    /// Tokens are JSON web tokens with a signature of this one's, for a registry that cannot ask us.
    pub signer: Option<Signer>,
}

impl Auth {
    /// Names and passwords with each request.
    #[must_use]
    pub fn basic() -> Self {
        Self { how: How::Basic, ..Self::default() }
    }

    /// Tokens.
    #[must_use]
    pub fn tokens() -> Self {
        Self { how: How::Tokens, service: "registry.test".to_owned(), ..Self::default() }
    }

    /// Adds a user.
    #[must_use]
    pub fn user(mut self, name: &str, password: &str) -> Self {
        self.users.push((name.to_owned(), password.to_owned()));
        self
    }

    /// Adds an identity token of a user's, which POST takes as a refresh token.
    #[must_use]
    pub fn identity(mut self, token: &str, user: &str) -> Self {
        self.identities.push((token.to_owned(), user.to_owned()));
        self
    }

    /// Lets a user do these things, with commas between, in all repositories that begin so.
    #[must_use]
    pub fn may(mut self, user: &str, prefix: &str, actions: &str) -> Self {
        self.rights.push(Right::new(Some(user), prefix, actions));
        self
    }

    /// Lets everybody do these things, also who has no name.
    #[must_use]
    pub fn anyone(mut self, prefix: &str, actions: &str) -> Self {
        self.rights.push(Right::new(None, prefix, actions));
        self
    }

    /// Whether this is the password of that user.
    pub(super) fn knows(&self, user: &str, password: &str) -> bool {
        self.users.iter().any(|(name, secret)| name == user && secret == password)
    }

    /// Whose identity token this is.
    pub(super) fn whose(&self, identity: &str) -> Option<&str> {
        self.identities.iter().find(|(token, _)| token == identity).map(|(_, user)| user.as_str())
    }

    /// Of these actions, those that a user may do; nobody is a user without a name.
    pub(super) fn allowed(&self, user: Option<&str>, need: &Need) -> Need {
        let may = |action: &String| {
            let mut rights = self.rights.iter();
            let by_right = rights.any(|right| {
                right.who.as_deref().is_none_or(|who| Some(who) == user)
                    && need.name.starts_with(&right.prefix)
                    && right.actions.contains(action)
            });
            by_right || self.rights.is_empty() && user.is_some()
        };
        let actions = need.actions.iter().filter(|action| may(action)).cloned().collect();
        Need { actions, ..need.clone() }
    }
}

impl Right {
    fn new(who: Option<&str>, prefix: &str, actions: &str) -> Self {
        let actions = actions.split(',').map(str::to_owned).collect();
        Self { who: who.map(str::to_owned), prefix: prefix.to_owned(), actions }
    }
}

/// What a request needs, or a token is good for: a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Need {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) actions: Vec<String>,
}

impl Need {
    pub(super) fn repository(name: &str, actions: &[&str]) -> Self {
        let actions = actions.iter().map(|action| (*action).to_owned()).collect();
        Self { kind: "repository".into(), name: name.to_owned(), actions }
    }

    pub(super) fn catalog() -> Self {
        Self { kind: "registry".into(), name: "catalog".into(), actions: vec!["*".into()] }
    }

    /// Reads `repository:a/b:pull,push`; the name may have colons too.
    pub(super) fn parse(scope: &str) -> Option<Self> {
        let (rest, actions) = scope.rsplit_once(':')?;
        let (kind, name) = rest.split_once(':')?;
        let actions = actions.split(',').map(str::to_owned).collect();
        Some(Self { kind: kind.to_owned(), name: name.to_owned(), actions })
    }

    pub(super) fn scope(&self) -> String {
        format!("{}:{}:{}", self.kind, self.name, self.actions.join(","))
    }

    /// Whether these grants have all of it.
    pub(super) fn is_in(&self, grants: &[Self]) -> bool {
        let same = |grant: &&Self| grant.kind == self.kind && grant.name == self.name;
        self.actions
            .iter()
            .all(|action| grants.iter().filter(same).any(|grant| grant.actions.contains(action)))
    }
}

/// Name and password of a request.
pub(super) fn basic(request: &Request) -> Option<(String, String)> {
    let coded = request.headers.get("Authorization")?.strip_prefix("Basic ")?;
    let text = String::from_utf8(unbase64(coded)?).ok()?;
    text.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
}

/// Lets a request in, or says what is missing.
pub(super) fn admit(shared: &Shared, request: &Request, needs: &[Need]) -> Result<(), Answer> {
    let auth = shared.options().auth;
    match auth.how {
        How::Open => Ok(()),
        How::Basic => by_password(&auth, request, needs),
        How::Tokens => by_token(shared, &auth, request, needs),
    }
}

fn unauthorized(challenge: &str) -> Answer {
    let answer = Answer::error(401, "UNAUTHORIZED", "authentication required");
    answer.with("WWW-Authenticate", challenge)
}

fn by_password(auth: &Auth, request: &Request, needs: &[Need]) -> Result<(), Answer> {
    let told = basic(request);
    let user =
        told.as_ref().filter(|(user, password)| auth.knows(user, password)).map(|(user, _)| user.as_str());
    if needs.iter().all(|need| auth.allowed(user, need) == *need) && (user.is_some() || !needs.is_empty()) {
        return Ok(());
    }
    match user {
        Some(_) => Err(Answer::error(403, "DENIED", "requested access to the resource is denied")),
        None => Err(unauthorized("Basic realm=\"a registry for tests\"")),
    }
}

fn by_token(shared: &Shared, auth: &Auth, request: &Request, needs: &[Need]) -> Result<(), Answer> {
    let token = request.headers.get("Authorization").and_then(|value| value.strip_prefix("Bearer "));
    let verdict = token.map_or(Verdict::Missing, |token| shared.tokens.judge(token, needs));
    let why = match verdict {
        Verdict::Good => return Ok(()),
        Verdict::Missing => "",
        Verdict::Unknown => ",error=\"invalid_token\"",
        Verdict::Insufficient => ",error=\"insufficient_scope\"",
    };
    let here = || format!("{}/token", shared.origins.url(Side::Tokens));
    let realm = auth.realm.clone().unwrap_or_else(here);
    let mut challenge = format!("Bearer realm=\"{realm}\",service=\"{}\"", auth.service);
    let scopes: Vec<_> = needs.iter().map(Need::scope).collect();
    if !scopes.is_empty() {
        challenge.extend([",scope=\"", &scopes.join(" "), "\""]);
    }
    challenge.push_str(why);
    Err(unauthorized(&challenge))
}

#[cfg(test)]
mod tests {
    use super::{Auth, Need};

    #[test]
    fn rights() {
        let auth = Auth::tokens().may("ann", "ann/", "pull,push").anyone("open/", "pull");
        let may = |user, scope: &str| auth.allowed(user, &Need::parse(scope).expect(scope)).actions.join(",");
        assert_eq!(may(Some("ann"), "repository:ann/x:pull,push,delete"), "pull,push");
        assert_eq!(may(Some("bob"), "repository:ann/x:pull"), "");
        assert_eq!(may(None, "repository:open/x:pull,push"), "pull");
        assert_eq!(Auth::tokens().allowed(None, &Need::catalog()).actions, [""; 0]);
        assert_eq!(Auth::tokens().allowed(Some("ann"), &Need::catalog()), Need::catalog());
    }

    #[test]
    fn scopes() {
        let need = Need::parse("repository:host:5000/a:pull,push").expect("a scope");
        assert_eq!(
            (need.name.as_str(), need.scope().as_str()),
            ("host:5000/a", "repository:host:5000/a:pull,push")
        );
        assert!(need.is_in(&[
            Need::repository("host:5000/a", &["push"]),
            Need::repository("host:5000/a", &["pull"])
        ]));
        assert!(!need.is_in(&[Need::repository("host:5000/a", &["push"])]));
    }
}
