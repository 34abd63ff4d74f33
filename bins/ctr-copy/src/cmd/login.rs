//! `login` and `logout`.

use std::io::Read as _;

use ctr_cli::app::Call;
use ctr_cli::authfile;
use ctr_cli::exit::Exit;
use ctr_cli::peers::Sentence;
use ctr_cli::report::CommandError;
use ctr_cli::usage::{Arity, Flag, Verb};
use ctr_core::limits;
use ctr_registry::RegistryError;
use ctr_registry::config::logins::{Files, Found, Kept, Place};
use ctr_registry::config::{self, Credentials, LoginKey, Logins};

use crate::context::told;
use crate::error::{hints, of};
use crate::logins::{AUTHFILE, COMPAT, files, keep, key};
use crate::registries::{Access, Registries, environment};

pub(super) const LOGIN: Verb = Verb::new("[options] [REGISTRY]", "Log in to a container registry")
    .long(
        "Asks a registry whether it knows a user and a password, and keeps them for later: for good in \
         ~/.config/containers/auth.json, or with a credential helper where a file names one.",
    )
    .examples(&[
        "login quay.io",
        "login --username ... --password-stdin quay.io",
        "login --authfile dir/auth.json quay.io/team",
    ])
    .flags(&[
        AUTHFILE,
        Flag::path("cert-dir", "use certificates at the specified path to access the registry"),
        COMPAT,
        Flag::bool("get-login", "Return the current login user for the registry"),
        Flag::string("password", "Password for registry").short('p'),
        Flag::bool("password-stdin", "Take the password from stdin"),
        Flag::bool("tls-verify", "Require HTTPS and verify certificates when contacting registries")
            .default("true"),
        Flag::string("username", "Username for registry").short('u'),
        Flag::bool("verbose", "Write more detailed information to stdout").short('v'),
    ])
    .refuses(&[&["secret"]])
    .arity(Arity::AtMost(1));

pub(super) const LOGOUT: Verb = Verb::new("[options] [REGISTRY]", "Log out of a container registry")
    .long("Forgets the login for a registry, or for a namespace or a repository of one.")
    .examples(&["logout quay.io", "logout --authfile dir/auth.json quay.io/team", "logout --all"])
    .flags(&[
        Flag::bool("all", "Remove the cached credentials for all registries in the auth file").short('a'),
        AUTHFILE,
        COMPAT,
    ])
    .arity(Arity::AtMost(1));

pub(super) fn login(call: &Call) -> Result<Exit, CommandError> {
    let files = files(call)?;
    let reached = Registries::new(call)?;
    let key = key(call, reached.configured())?;
    let logins = Logins::new(reached.environment(), reached.configured(), files);
    let known = logins.lookup(&key).into_found().map_err(of)?.map(|found| found.credentials);
    if call.flags.bool("get-login") {
        let user = known.map(|known| known.username).filter(|user| !user.is_empty());
        let user = user.ok_or_else(|| not_logged_in(&key))?;
        call.ui.line(&call.ui.foreign(&user))?;
        return Ok(Exit::SUCCESS);
    }
    if known.as_ref().is_some_and(|known| known.identity_token.is_some()) {
        let said = format!("{key} has a login with an identity token, which is not replaced by a password");
        let peer = Sentence::Other("currently logged in, auth file contains an Identity token".to_owned());
        return Err(CommandError::user(said).hint(format!("{} logout {key}", call.caller.name)).peer(peer));
    }
    let check = |login: &Credentials| {
        let registry = reached.host(key.registry(), login.clone().into(), &Access::for_login(call, "")?)?;
        registry.ping().map_err(|error| refused(error, &key))
    };
    let asked = asked(call)?;
    if let (Asked { username: None, password: None }, Some(known)) = (&asked, &known) {
        call.ui.line(&format!("Authenticating with existing credentials for {key}"))?;
        match check(known) {
            Ok(()) => {
                let registry = key.registry();
                call.ui.line(&format!("Existing credentials are valid. Already logged in to {registry}"))?;
                return Ok(Exit::SUCCESS);
            }
            Err(error) => call.ui.debug(&error.render(call.caller.voice)),
        }
        call.ui.line("Existing credentials are invalid, please enter valid username and password")?;
    }
    let login = complete(call, asked, known)?;
    check(&login)?;
    let kept = logins.store(&key, &login, keep(call), &mut |waiting| told(&call.ui, waiting)).map_err(of)?;
    if call.flags.bool("verbose") {
        call.ui.line(&format!("Used:  {}", shown(&kept)))?;
    }
    call.ui.line("Login Succeeded!")?;
    Ok(Exit::SUCCESS)
}

/// What of a login the command line gives.
struct Asked {
    username: Option<String>,
    password: Option<String>,
}

fn asked(call: &Call) -> Result<Asked, CommandError> {
    let given = |name: &str| Some(call.flags.string(name)).filter(|text| !text.is_empty()).map(str::to_owned);
    let (username, mut password) = (given("username"), given("password"));
    if call.flags.bool("password-stdin") {
        if password.is_some() {
            return Err(CommandError::usage("can't specify both --password-stdin and --password"));
        }
        if username.is_none() {
            return Err(CommandError::usage("must provide --username with --password-stdin"));
        }
        password = Some(password_from_stdin()?);
    } else if password.is_some() && !call.caller.voice.is_peer() {
        call.ui.warn("others on this machine can read a password on the command line: use --password-stdin");
    }
    Ok(Asked { username, password })
}

/// All of standard input, without the end of its line.
fn password_from_stdin() -> Result<String, CommandError> {
    let mut text = String::new();
    let limit = limits::CREDENTIALS as u64;
    std::io::stdin().lock().take(limit + 1).read_to_string(&mut text).map_err(CommandError::environment)?;
    if text.len() as u64 > limit {
        return Err(CommandError::user(format!(
            "the password on standard input has more than {limit} bytes"
        )));
    }
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}

/// Asks for what the command line does not give.
fn complete(call: &Call, asked: Asked, known: Option<Credentials>) -> Result<Credentials, CommandError> {
    let username = match asked.username {
        Some(username) => username,
        None => {
            let known = known.map(|known| known.username).filter(|user| !user.is_empty());
            let shown =
                known.as_ref().map(|user| format!(" ({})", call.ui.foreign(user))).unwrap_or_default();
            let typed = call.ui.ask(&format!("Username{shown}: "))?.trim().to_owned();
            if typed.is_empty() { known.unwrap_or_default() } else { typed }
        }
    };
    let password = match asked.password {
        Some(password) => password,
        None => call.ui.ask_secret("Password: ")?,
    };
    Ok(Credentials::new(username, password))
}

/// A registry that does not let us in.
fn refused(error: RegistryError, key: &LoginKey) -> CommandError {
    let peer = if error.is_denied() {
        format!("logging into \"{key}\": invalid username/password")
    } else {
        format!("authenticating creds for \"{key}\": {}", ctr_cli::report::chain(&error))
    };
    let hints = if error.is_denied() { vec![format!("ctr login {key}")] } else { hints(&error) };
    hints.into_iter().fold(of(error), CommandError::hint).peer(Sentence::Other(peer))
}

fn not_logged_in(key: &LoginKey) -> CommandError {
    CommandError::user(format!("not logged into {key}"))
}

pub(super) fn logout(call: &Call) -> Result<Exit, CommandError> {
    let (environment, files) = (environment(), files(call)?);
    if let Files::Only(path) | Files::Docker(path) = &files {
        authfile::check(path)?;
    }
    let registries = config::Registries::read(&environment).map_err(of)?;
    let logins = Logins::new(&environment, &registries, files);
    let on_wait = &mut |waiting: &_| told(&call.ui, waiting);
    if call.flags.bool("all") {
        if !call.flags.texts()?.is_empty() {
            return Err(CommandError::usage("--all takes no arguments"));
        }
        logins.remove_all(keep(call), on_wait).map_err(of)?;
        call.ui.line("Removed login credentials for all registries")?;
        return Ok(Exit::SUCCESS);
    }
    let key = key(call, &registries)?;
    if !logins.remove(&key, keep(call), on_wait).map_err(of)?.is_empty() {
        call.ui.line(&format!("Removed login credentials for {key}"))?;
        return Ok(Exit::SUCCESS);
    }
    // Another program's, or one for what the registry is a part of.
    Err(match logins.lookup(&key).found {
        None => not_logged_in(&key),
        Some(found) if call.caller.voice.is_peer() && is_valid(call, &key, &found)? => {
            call.ui.line(&format!(
                "Not logged into {key} with current tool. Existing credentials were established via docker login. \
                 Please use docker logout instead."
            ))?;
            return Ok(Exit::SUCCESS);
        }
        Some(found) => {
            let place = match &found.place {
                Place::File(source) => source.path.display().to_string(),
                Place::Helper(name) => format!("the credential helper {name}"),
            };
            let said = format!("not logged into {key}: what answers for it is {} of {place}", found.key);
            let peer = Sentence::Other(format!("not logged into {key}"));
            CommandError::user(said).hint(format!("{} auth why {key}", call.caller.name)).peer(peer)
        }
    })
}

/// Whether a registry takes a login that another program made. Podman asks before it says whose it is.
fn is_valid(call: &Call, key: &LoginKey, found: &Found) -> Result<bool, CommandError> {
    let (login, access) = (found.credentials.clone().into(), Access::for_login(call, "")?);
    let registry = Registries::new(call)?.host(key.registry(), login, &access)?;
    Ok(registry.ping().is_ok())
}

fn shown(kept: &Kept) -> String {
    match kept {
        Kept::File(path) => path.display().to_string(),
        Kept::Helper(name) => format!("credential helper: {name}"),
    }
}
