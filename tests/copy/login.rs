//! `login`, `logout`, `auth why`.

use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use ctr_tests::registry::certificates::Authority;
use ctr_tests::registry::tls::Tls;
use ctr_tests::registry::{Auth, Options, Registry, base64};
use ctr_tests::{Env, Invocation};

/// A registry that lets one user in.
fn registry() -> Registry {
    Registry::with(Options { auth: Auth::basic().user("bob", "swordfish"), ..Options::default() })
}

/// What is given to `login` for the registry of these tests, which speaks no TLS.
const PLAIN: &str = "--tls-verify=false";

/// Logs in by standard input.
fn login(env: &Env, options: &[&str], host: &str) -> String {
    let words = ["login", PLAIN, "-u", "bob", "--password-stdin"];
    env.ctr(words).args(options).args([host]).stdin("swordfish\n").run().success()
}

fn read(path: impl AsRef<Path>) -> serde_json::Value {
    let text = std::fs::read_to_string(path).expect("a file of logins");
    serde_json::from_str(&text).expect("JSON")
}

/// Where logins are kept, in the home directory.
const KEPT: &str = ".config/containers/auth.json";

#[test]
fn a_login_stays_until_it_is_taken_back() {
    let (env, registry) = (Env::new(), registry());
    let host = registry.host();
    let said = env.ctr(["login", "--get-login", &host]).run().fails(125);
    assert!(said.contains(&format!("not logged into {host}")), "{said}");
    assert_eq!(
        login(&env, &["--verbose"], &host),
        format!("Used:  {}\nLogin Succeeded!", env.home().join(KEPT).display())
    );
    assert_eq!(read(env.home().join(KEPT))["auths"][&host]["auth"], base64(b"bob:swordfish"));
    let mode = std::fs::metadata(env.home().join(KEPT)).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(env.ok(["login", "--get-login", &host]), "bob");
    // What is known is tried before anybody is asked.
    let said = env.ok(["login", PLAIN, &host]);
    assert!(
        said.ends_with(&format!("Existing credentials are valid. Already logged in to {host}")),
        "{said}"
    );
    assert_eq!(env.ok(["logout", &host]), format!("Removed login credentials for {host}"));
    let said = env.ctr(["logout", &host]).run().fails(125);
    assert!(said.contains(&format!("not logged into {host}")), "{said}");
}

#[test]
fn a_wrong_password_is_told_and_not_kept() {
    let (env, registry) = (Env::new(), registry());
    let host = registry.host();
    let wrong = ["login", PLAIN, "--username", "bob", "--password", "shark", &host];
    let said = env.ctr(wrong).run().fails(125);
    assert!(said.contains(&host) && said.contains("as bob") && !said.contains("shark"), "{said}");
    let said = env.named("podman", wrong).run().fails(125);
    assert!(said.contains(&format!("Error: logging into \"{host}\": invalid username/password")), "{said}");
    assert!(!env.home().join(KEPT).exists());
    for (words, expected) in [
        (vec!["--password-stdin"], "must provide --username with --password-stdin"),
        (
            vec!["-u", "bob", "-p", "x", "--password-stdin"],
            "can't specify both --password-stdin and --password",
        ),
        (vec!["-u", "bob"], "nobody can be asked for the password"),
        (vec![], "nobody can be asked for the username"),
        (vec!["--secret", "x"], "--secret is not supported yet"),
        (vec!["--authfile", "a", "--compat-auth-file", "b"], "can not be set simultaneously"),
        (vec!["--cert-dir", "/nonexistent", "-u", "bob", "-p", "x"], "/nonexistent"),
    ] {
        let said = env.ctr(["login", PLAIN, &host]).args(words).stdin("").run().fails(125);
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

#[test]
fn a_login_goes_to_the_file_that_is_named() {
    let (env, registry) = (Env::new(), registry());
    let host = registry.host();
    std::fs::create_dir(env.path("certs")).expect("a folder");
    let (mine, docker) = (env.path("mine.json"), env.path("config.json"));
    let (mine, docker) = (mine.to_str().expect("text"), docker.to_str().expect("text"));
    let certs = env.path("certs");
    let team = format!("{host}/team");
    let _said = login(&env, &["--authfile", mine, "--cert-dir", certs.to_str().expect("text")], &team);
    assert_eq!(read(env.path("mine.json"))["auths"][&team]["auth"], base64(b"bob:swordfish"));
    let _docker = env.file("config.json", "{\"psFormat\": \"x\", \"auths\": {}}");
    let _said = login(&env, &["--compat-auth-file", docker], &host);
    assert_eq!(read(env.path("config.json"))["psFormat"], "x");
    assert!(!env.home().join(KEPT).exists());

    let why = env.ok(["auth", "why", "--authfile", mine, &format!("{team}/app")]);
    assert!(why.starts_with(&format!("{team}/app: bob, as {team} in {mine}\n")), "{why}");
    assert!(!why.contains("swordfish") && !why.contains(&base64(b"bob:swordfish")), "{why}");

    let said = env.ctr(["logout", "--authfile", mine, &host]).run().fails(125);
    assert!(said.contains(&format!("not logged into {host}")), "{said}");
    let _said = env.ok(["logout", "--authfile", mine, &team]);
    let _said = env.ok(["logout", "--compat-auth-file", docker, &host]);
    assert_eq!(read(env.path("mine.json"))["auths"], serde_json::json!({}));
    assert_eq!(read(env.path("config.json")), serde_json::json!({"psFormat": "x", "auths": {}}));
    let said = env.ctr(["logout", "--authfile", "/nonexistent", &host]).run().fails(125);
    assert!(said.contains("credential file is not accessible"), "{said}");
}

#[test]
fn under_podmans_name_a_login_goes_with_the_session() {
    let (env, registry) = (Env::new(), registry());
    let host = registry.host();
    let words = ["login", PLAIN, "-u", "bob", "-p", "swordfish", &host];
    assert_eq!(env.named("podman", words).run().success(), "Login Succeeded!");
    let session = env.run_dir().join("containers/auth.json");
    assert!(session.exists() && !env.home().join(KEPT).exists());
    // Our own takes the place of that one, which would hide it.
    let _said = login(&env, &[], &host);
    assert!(!std::fs::read_to_string(&session).expect("a file").contains(&host));
    assert_eq!(env.ok(["logout", "--all"]), "Removed login credentials for all registries");
    assert_eq!(read(env.home().join(KEPT))["auths"], serde_json::json!({}));
}

#[test]
fn a_helper_keeps_logins_and_who_answers_is_told() {
    let (env, registry) = (Env::new(), registry());
    let host = registry.host();
    std::fs::create_dir(env.path("bin")).expect("a folder");
    let helper = env.file(
        "bin/docker-credential-file",
        "#!/bin/sh\ncd \"$HOME\" && case $1 in\nstore) cat >kept ;;\nget) cat kept 2>/dev/null || \
         { echo credentials not found in native keychain; exit 1; } ;;\nerase) rm kept ;;\nesac\n",
    );
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    let conf = env.file("registries.conf", "credential-helpers = [\"file\", \"containers-auth.json\"]");
    let path = format!("{}:/usr/bin:/bin", env.path("bin").display());
    let with = |words: &[&str]| env.ctr(words).var("CONTAINERS_REGISTRIES_CONF", &conf).var("PATH", &path);
    let words = ["login", PLAIN, "-v", "-u", "bob", "-p", "swordfish", &host];
    assert_eq!(with(&words).run().success(), "Used:  credential helper: file\nLogin Succeeded!");
    assert!(!env.home().join(KEPT).exists());
    let why = with(&["auth", "why", &host]).run().success();
    assert_eq!(
        why,
        format!("{host}: bob, as {host} in the credential helper file\n  the credential helper file has it")
    );
    let _said = with(&["logout", &host]).run().success();
    let why = with(&["auth", "why", &host]).run().success();
    assert!(
        why.starts_with(&format!(
            "{host}: nobody: it is asked without a login\n  the credential helper file has"
        )),
        "{why}"
    );
    assert!(why.contains(&format!("{} is not there", env.home().join(KEPT).display())), "{why}");
}

#[test]
fn a_broken_file_is_told_by_its_name_and_left_alone() {
    let env = Env::new();
    let broken = env.file("broken.json", "{\"auths\": nonsense");
    let broken = broken.to_str().expect("text");
    for words in [
        ["auth", "why", "--authfile", broken, "a.example"].as_slice(),
        &["logout", "--authfile", broken, "a.example"],
    ] {
        let said = env.ctr(words).run().fails(125);
        assert!(said.contains(broken) && said.contains("line 1, column 12"), "{said}");
    }
    assert_eq!(std::fs::read_to_string(broken).expect("the file"), "{\"auths\": nonsense");
}

/// A pair of a terminal of ours.
fn terminal() -> (std::fs::File, OwnedFd) {
    use rustix::fs::{Mode, OFlags, open};
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
    grantpt(&ours).expect("a terminal");
    unlockpt(&ours).expect("a terminal");
    let name = ptsname(&ours, Vec::new()).expect("its name");
    let theirs =
        open(&name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).expect("its other side");
    (ours.into(), theirs)
}

/// Starts a command that has the other side of a terminal, which ends with it.
fn start_at(theirs: OwnedFd, mut invocation: Invocation<'_>) -> Child {
    let copy = || Stdio::from(theirs.try_clone().expect("a copy"));
    let command = invocation.command().stdin(copy()).stdout(copy()).stderr(copy());
    command.spawn().expect("a program that starts")
}

/// Reads what a terminal shows until that ends so; all of it if nobody shows more.
fn shown_until(mut ours: &std::fs::File, end: &str) -> String {
    let (mut shown, mut some) = (String::new(), [0; 256]);
    while !shown.ends_with(end) {
        match ours.read(&mut some) {
            Ok(size @ 1..) => shown.push_str(&String::from_utf8_lossy(&some[..size])),
            // Nobody has its other side any more.
            _ => break,
        }
    }
    shown
}

/// Waits until nothing that is typed is shown: what was typed before that is thrown away.
fn wait_until_mute(ours: &std::fs::File) {
    use rustix::termios::{LocalModes, tcgetattr};
    let until = Instant::now() + Duration::from_secs(60);
    while tcgetattr(ours).expect("its modes").local_modes.contains(LocalModes::ECHO) {
        assert!(Instant::now() < until, "what is typed is shown");
        std::thread::yield_now();
    }
}

#[test]
fn a_password_is_typed_and_not_shown() {
    let (env, registry) = (Env::new(), registry());
    let host = registry.host();
    for (password, code) in [("wrong", 125), ("swordfish", 0)] {
        let (mut ours, theirs) = terminal();
        let mut login = start_at(theirs, env.ctr(["login", PLAIN, &host]));
        assert_eq!(shown_until(&ours, ": "), "Username: ");
        ours.write_all(b"bob\n").expect("the terminal");
        assert_eq!(shown_until(&ours, "d: "), "bob\r\nPassword: ");
        wait_until_mute(&ours);
        ours.write_all(format!("{password}\n").as_bytes()).expect("the terminal");
        let rest = shown_until(&ours, "\0");
        assert_eq!(login.wait().expect("its end").code(), Some(code), "{rest}");
        assert!(!rest.contains(password), "{rest}");
        assert_eq!(rest.contains("Login Succeeded!"), code == 0, "{rest}");
        assert_eq!(env.home().join(KEPT).exists(), code == 0);
    }
    assert_eq!(read(env.home().join(KEPT))["auths"][&host]["auth"], base64(b"bob:swordfish"));
}

#[test]
fn dockers_login_is_dockers_to_forget() {
    let (env, registry) = (Env::new(), registry());
    let host = registry.host();
    std::fs::create_dir(env.home().join(".docker")).expect("a folder");
    let docker = |password: &str| {
        let auth = base64(format!("bob:{password}").as_bytes());
        let text = serde_json::json!({"auths": {&host: {"auth": auth}}}).to_string();
        std::fs::write(env.home().join(".docker/config.json"), text).expect("a file");
    };
    let insecure = format!("[[registry]]\nlocation = \"{host}\"\ninsecure = true\n");
    let conf = env.file("registries.conf", insecure);
    let podman = || env.named("podman", ["logout", &host]).var("CONTAINERS_REGISTRIES_CONF", &conf).run();
    docker("swordfish");
    assert_eq!(
        podman().success(),
        format!(
            "Not logged into {host} with current tool. Existing credentials were established via docker login. \
             Please use docker logout instead."
        )
    );
    let said = env.ctr(["logout", &host]).run().fails(125);
    assert!(said.contains(".docker/config.json") && said.contains("hint: ctr auth why"), "{said}");
    // One that is worth nothing is nobody's.
    docker("wrong");
    assert_eq!(podman().fails(125), format!("Error: not logged into {host}\n"));
}

#[test]
fn who_is_not_let_in_hears_what_may_help() {
    let (env, registry) = (Env::new(), registry());
    let host = registry.host();
    let login = |host: &str, plain: &[&str]| {
        let words = ["login", "-u", "bob", "--password-stdin"];
        env.ctr(words).args(plain).args([host]).stdin("wrong\n").run().fails(125)
    };
    let said = login(&host, &[PLAIN]);
    assert!(said.contains(&format!("pinging container registry {host} as bob: ")), "{said}");
    assert!(said.contains(&format!("hint: ctr login {host}")) && !said.contains("wrong"), "{said}");
    let said = login(&host, &[]);
    assert!(said.contains("http: server gave HTTP response to HTTPS client"), "{said}");
    assert!(said.contains("hint: ") && said.contains(PLAIN), "{said}");
    let folder = tempfile::tempdir().expect("a folder");
    let tls = Some(Tls { server: Authority::new(folder.path()).server(), clients: None });
    let strange = Registry::with(Options { tls, ..Options::default() });
    let said = login(&strange.host(), &[]);
    assert!(said.contains(&format!("certs.d/{}/ca.crt", strange.host())) && said.contains(PLAIN), "{said}");
    // Nobody is there: port 443 of an address of loopback's that is nobody's.
    let said = login("127.77.77.77", &[]);
    assert!(said.contains("cannot connect to 127.77.77.77"), "{said}");
    assert!(said.contains("hint: name its port, if that is not 443: 127.77.77.77:5000"), "{said}");
}
