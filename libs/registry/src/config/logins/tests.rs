use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::base64;
use crate::config::environment::Machine;
use crate::config::helper::tests::Keyring;

struct Home {
    keyring: Keyring,
    environment: Environment,
    registries: Registries,
    files: Files,
}

impl Home {
    fn new() -> Self {
        let keyring = Keyring::new();
        let at = |name: &str| keyring.folder.path().join(name);
        let environment = Environment {
            home: Some(at("home")),
            xdg_runtime_dir: Some(at("run")),
            uid: 1000,
            helpers: keyring.environment.clone(),
            machine: Machine { run: at("machine"), ..Machine::default() },
            ..Environment::default()
        };
        fs::create_dir(at("run")).unwrap();
        Self { keyring, environment, registries: Registries::default(), files: Files::Usual }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.keyring.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.at(name).parent().unwrap()).unwrap();
        fs::write(self.at(name), text).unwrap();
    }

    /// Writes a file with one login.
    fn login(&self, name: &str, key: &str, user: &str) {
        let auth = base64::encode(format!("{user}:x").as_bytes());
        self.write(name, &format!("{{\"auths\": {{\"{key}\": {{\"auth\": \"{auth}\"}}}}}}"));
    }

    fn helpers(&mut self, list: &str) {
        self.registries =
            Registries::parse(&format!("credential-helpers = {list}"), Path::new("/r")).unwrap();
    }

    fn logins(&self) -> Logins<'_> {
        Logins::new(&self.environment, &self.registries, self.files.clone())
    }

    /// The user that is found, and where: a file's name in the folder or a helper's.
    fn who(&self, wanted: &str) -> String {
        let found = self.logins().lookup(&key(wanted)).into_found().unwrap();
        let Some(found) = found else { return "nobody".to_owned() };
        let place = match &found.place {
            Place::File(source) => self.relative(&source.path),
            Place::Helper(name) => format!("!{name}"),
        };
        let helper = found.helper.map(|helper| format!(" by {helper}")).unwrap_or_default();
        format!("{} {place}{helper}", found.credentials.username)
    }

    fn relative(&self, path: &Path) -> String {
        path.strip_prefix(self.keyring.folder.path()).unwrap_or(path).display().to_string()
    }

    fn store(&self, wanted: &str, user: &str, keep: Keep) -> Result<Kept, LoginError> {
        self.logins().store(&key(wanted), &Credentials::new(user, "x"), keep, &mut |_| ())
    }

    fn remove(&self, wanted: &str, keep: Keep) -> Vec<Kept> {
        self.logins().remove(&key(wanted), keep, &mut |_| ()).unwrap()
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.at(name)).unwrap()
    }
}

fn key(text: &str) -> LoginKey {
    LoginKey::parse(text).unwrap()
}

const SESSION: &str = "run/containers/auth.json";
const USER: &str = "home/.config/containers/auth.json";
const DOCKER: &str = "home/.docker/config.json";
const LEGACY: &str = "home/.dockercfg";

#[test]
fn files_answer_in_their_order() {
    let mut home = Home::new();
    assert_eq!(home.who("a.b"), "nobody");
    home.write(LEGACY, &format!("{{\"http://a.b/v1/\": {{\"auth\": \"{}\"}}}}", base64::encode(b"legacy:x")));
    assert_eq!(home.who("a.b/x"), "legacy home/.dockercfg");
    for (file, user) in [(DOCKER, "docker"), (USER, "user"), (SESSION, "session")] {
        home.login(file, "a.b", user);
        assert_eq!(home.who("a.b/x"), format!("{user} {file}"));
    }
    home.environment.registry_auth_file = Some(home.at("variable.json"));
    assert_eq!(home.who("a.b"), "nobody", "it is the only one");
    home.login("variable.json", "a.b", "variable");
    assert_eq!(home.who("a.b"), "variable variable.json");
    home.files = Files::Only(home.at("option.json"));
    home.login("option.json", "a.b", "option");
    assert_eq!(home.who("a.b"), "option option.json");
}

#[test]
fn docker_and_sessions_may_be_elsewhere() {
    let mut home = Home::new();
    home.login("docker/config.json", "a.b", "docker");
    home.environment.docker_config = Some(home.at("docker"));
    assert_eq!(home.who("a.b"), "docker docker/config.json");
    // Docker's own folder is the only one then.
    home.environment.xdg_runtime_dir = None;
    home.login("machine/1000/auth.json", "a.b", "machine");
    assert_eq!(home.who("a.b"), "docker docker/config.json");
    home.environment.docker_config = None;
    assert_eq!(home.who("a.b"), "machine machine/1000/auth.json");
}

#[test]
fn the_steps_say_who_was_asked_and_why_the_answer_is_what_it_is() {
    let home = Home::new();
    home.login(USER, "c.d", "other");
    home.write(DOCKER, r#"{"auths": {"a.b": {}}, "credsStore": "gone"}"#);
    home.write(LEGACY, "{}");
    let lookup = home.logins().lookup(&key("a.b"));
    assert!(lookup.found.is_none());
    let said: Vec<_> = lookup.steps.iter().map(|step| &step.outcome).collect();
    assert!(
        matches!(
            said.as_slice(),
            [Outcome::Missing, Outcome::Nothing, Outcome::Ignored(_), Outcome::Nothing]
        ),
        "{said:?}"
    );
    assert_eq!(lookup.into_found().unwrap(), None, "a store that is not there harms nobody");
}

#[test]
fn a_broken_file_is_an_error_with_its_name_unless_one_before_answers() {
    let home = Home::new();
    home.write(DOCKER, "{\"auths\": nonsense");
    let error = chain(&home.logins().lookup(&key("a.b")).into_found().unwrap_err());
    assert!(error.contains(DOCKER) && error.contains("line 1"), "{error}");
    home.login(SESSION, "a.b", "bob");
    assert_eq!(home.who("a.b"), format!("bob {SESSION}"));
}

#[test]
fn helpers_of_files_and_of_registries_conf_are_asked() {
    let mut home = Home::new();
    home.keyring.keeping("one");
    home.keyring.script("two", r#"echo '{"Username":"eve","Secret":"x"}'"#);
    home.keyring.script("locked", "echo locked; exit 1");
    home.write(
        USER,
        r#"{"credHelpers": {"a.b": "two", "locked.example": "locked", "empty.example": "one"}}"#,
    );
    assert_eq!(home.who("a.b/x/y"), format!("eve {USER} by two"));
    assert_eq!(home.who("empty.example"), "nobody");
    let error = chain(&home.logins().lookup(&key("locked.example")).into_found().unwrap_err());
    assert!(error.contains("docker-credential-locked") && error.contains(USER), "{error}");
    home.write(DOCKER, r#"{"credsStore": "two"}"#);
    assert_eq!(home.who("c.d"), format!("eve {DOCKER} by two"));

    home.helpers("['locked', 'one', 'containers-auth.json', 'two']");
    home.login(USER, "a.b", "bob");
    fs::remove_file(home.at(DOCKER)).unwrap();
    assert_eq!(home.who("a.b"), format!("bob {USER}"), "one that fails is passed by");
    assert_eq!(home.who("c.d"), "eve !two");
    home.helpers("['one', 'locked', 'gone']");
    let error = chain(&home.logins().lookup(&key("a.b")).into_found().unwrap_err());
    assert!(
        error.contains("docker-credential-locked") && error.contains("docker-credential-gone"),
        "{error}"
    );
}

#[test]
fn a_login_is_kept_for_good_or_for_the_session() {
    let home = Home::new();
    assert_eq!(home.store("a.b", "bob", Keep::Session).unwrap(), Kept::File(home.at(SESSION)));
    assert_eq!(home.who("a.b"), format!("bob {SESSION}"));
    assert_eq!(home.store("a.b/team", "eve", Keep::Always).unwrap(), Kept::File(home.at(USER)));
    assert_eq!(home.who("a.b/team/x"), format!("bob {SESSION}"), "a file that answers is believed");
    // The same key in the session's file would hide the new login.
    home.store("a.b", "new", Keep::Always).unwrap();
    assert_eq!(home.who("a.b"), format!("new {USER}"));
    assert_eq!(home.who("a.b/team/x"), format!("eve {USER}"));
    for (file, mode) in [(USER, 0o600), (SESSION, 0o600), ("home/.config/containers", 0o700)] {
        assert_eq!(fs::metadata(home.at(file)).unwrap().permissions().mode() & 0o777, mode, "{file}");
    }
    home.login(SESSION, "a.b", "hidden");
    let removed = home.remove("a.b", Keep::Always);
    assert_eq!(removed, [Kept::File(home.at(USER)), Kept::File(home.at(SESSION))]);
    assert_eq!(home.who("a.b"), "nobody");
    assert_eq!(home.who("a.b/team"), format!("eve {USER}"));
    assert_eq!(home.remove("a.b", Keep::Always), []);
}

#[test]
fn as_podman_has_it_only_the_sessions_file_is_touched() {
    let home = Home::new();
    home.login(USER, "a.b", "bob");
    home.store("a.b", "eve", Keep::Session).unwrap();
    assert_eq!(home.remove("a.b", Keep::Session), [Kept::File(home.at(SESSION))]);
    assert_eq!(home.who("a.b"), format!("bob {USER}"));
}

#[test]
fn named_files_get_the_login() {
    let mut home = Home::new();
    home.environment.docker_config = Some(home.at("docker"));
    home.store("docker.io", "bob", Keep::Always).unwrap();
    assert!(home.text("docker/config.json").contains("https://index.docker.io/v1/"));
    assert_eq!(home.who("docker.io/library/x"), "bob docker/config.json");
    assert!(matches!(home.store("a.b/team", "bob", Keep::Always), Err(LoginError::Namespaced { .. })));
    home.environment.registry_auth_file = Some(home.at("variable.json"));
    assert_eq!(home.store("a.b", "bob", Keep::Always).unwrap(), Kept::File(home.at("variable.json")));
    home.files = Files::Docker(home.at("compat.json"));
    assert_eq!(home.store("a.b", "bob", Keep::Session).unwrap(), Kept::File(home.at("compat.json")));
    home.files = Files::Only(home.at("option.json"));
    assert_eq!(home.store("a.b/x", "bob", Keep::Session).unwrap(), Kept::File(home.at("option.json")));
    assert_eq!(home.remove("a.b/x", Keep::Always), [Kept::File(home.at("option.json"))]);
    assert_eq!(home.text("option.json"), "{\n\t\"auths\": {}\n}");
}

#[test]
fn what_others_wrote_stays_and_a_link_is_replaced() {
    let home = Home::new();
    let text = "{\n\t\"auths\": {\n\t\t\"c.d\": {\"auth\": \"eDp5\"}\n\t},\n\t\"psFormat\": \"{{.ID}}\"\n}";
    home.write("dotfiles/auth.json", text);
    fs::create_dir_all(home.at(USER).parent().unwrap()).unwrap();
    symlink(home.at("dotfiles/auth.json"), home.at(USER)).unwrap();
    home.store("a.b", "bob", Keep::Always).unwrap();
    home.remove("a.b", Keep::Always);
    assert_eq!(home.text(USER), text);
    assert!(!fs::symlink_metadata(home.at(USER)).unwrap().is_symlink());
    assert_eq!(home.text("dotfiles/auth.json"), text);
}

#[test]
fn a_file_that_names_a_helper_gets_no_passwords() {
    let mut home = Home::new();
    home.keyring.keeping("file");
    home.write(USER, r#"{"credHelpers": {"a.b": "file"}, "auths": {}}"#);
    assert_eq!(home.store("a.b", "bob", Keep::Always).unwrap(), Kept::Helper("file".to_owned()));
    assert_eq!(home.text(USER), r#"{"credHelpers": {"a.b": "file"}, "auths": {}}"#);
    assert_eq!(home.who("a.b"), format!("bob {USER} by file"));
    assert!(matches!(home.store("a.b/x", "bob", Keep::Always), Err(LoginError::Namespaced { .. })));
    assert_eq!(home.remove("a.b", Keep::Always), [Kept::Helper("file".to_owned())]);
    assert_eq!(home.who("a.b"), "nobody");

    home.files = Files::Docker(home.at("config.json"));
    home.write("config.json", "{\n\t\"auths\": {},\n\t\"credsStore\": \"file\"\n}");
    home.store("docker.io", "bob", Keep::Always).unwrap();
    let marked =
        "{\n\t\"auths\": {\n\t\t\"https://index.docker.io/v1/\": {}\n\t},\n\t\"credsStore\": \"file\"\n}";
    assert_eq!(home.text("config.json"), marked);
    assert_eq!(home.who("docker.io"), "bob config.json by file");
    let removed = home.remove("docker.io", Keep::Always);
    assert_eq!(removed, [Kept::File(home.at("config.json")), Kept::Helper("file".to_owned())]);
}

#[test]
fn all_are_forgotten_at_once() {
    let mut home = Home::new();
    home.keyring.keeping("file");
    home.login(SESSION, "a.b", "bob");
    home.write(USER, r#"{"credHelpers": {"c.d": "file"}, "auths": {"e.f": {"auth": "eDp5"}}}"#);
    home.store("c.d", "bob", Keep::Always).unwrap();
    let removed = home.logins().remove_all(Keep::Always, &mut |_| ()).unwrap();
    let expected = [Kept::File(home.at(USER)), Kept::Helper("file".to_owned()), Kept::File(home.at(SESSION))];
    assert_eq!(removed, expected);
    for gone in ["a.b", "c.d", "e.f"] {
        assert_eq!(home.who(gone), "nobody", "{gone}");
    }
    assert!(home.text(USER).contains("credHelpers"), "which helper is whose is no login");
    home.helpers("['gone', 'containers-auth.json']");
    assert_eq!(home.logins().remove_all(Keep::Always, &mut |_| ()).unwrap(), []);
}

#[test]
fn the_first_helper_that_takes_it_keeps_a_login() {
    let mut home = Home::new();
    home.keyring.keeping("file");
    home.helpers("['gone', 'file', 'containers-auth.json']");
    assert_eq!(home.store("a.b", "bob", Keep::Always).unwrap(), Kept::Helper("file".to_owned()));
    assert_eq!(home.store("a.b/x", "bob", Keep::Always).unwrap(), Kept::File(home.at(USER)));
    home.helpers("['gone']");
    assert!(home.store("a.b", "bob", Keep::Always).is_err());
}

#[test]
fn a_session_that_is_not_there_is_said() {
    let mut home = Home::new();
    home.environment.xdg_runtime_dir = Some(home.at("nowhere"));
    let error = home.store("a.b", "bob", Keep::Session).unwrap_err();
    assert!(matches!(error, LoginError::NoSession { .. }), "{error}");
    home.store("a.b", "bob", Keep::Always).unwrap();
    home.environment.home = None;
    assert!(matches!(home.store("a.b", "bob", Keep::Always), Err(LoginError::NoPlace)));
}

#[test]
fn logins_at_the_same_time_are_all_kept() {
    let home = Home::new();
    std::thread::scope(|scope| {
        for at in 0..8 {
            let home = &home;
            scope.spawn(move || home.store(&format!("r{at}.example"), "bob", Keep::Always).unwrap());
        }
    });
    let text = home.text(USER);
    assert!((0..8).all(|at| text.contains(&format!("r{at}.example"))), "{text}");
}
