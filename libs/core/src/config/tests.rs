use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::keys::{CONTAINERS, STORAGE};
use super::*;

struct Machine {
    folder: tempfile::TempDir,
    places: Places,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let places = Places {
            vendor: at("usr"),
            admin: at("etc"),
            user: Some(at("home")),
            uid: 1000,
            ..Places::default()
        };
        Self { folder, places }
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(&path, text).expect("a file");
        path
    }

    /// Writes a file that sets the variable of its own name.
    fn says(&self, name: &str) {
        let stem = Path::new(name).file_stem().expect("a name").to_string_lossy().into_owned();
        self.write(name, &format!("[containers]\nenv = ['{stem}={name}', {{append=true}}]\ntz = '{name}'"));
    }

    fn read(&self) -> Config {
        self.try_read().expect("a configuration")
    }

    fn try_read(&self) -> Result<Config, ConfigError> {
        Config::read(&CONTAINERS, &self.places, &Folders::of(&self.places))
    }

    fn env(&self) -> Vec<String> {
        self.read().list("containers.env").unwrap_or_default().to_vec()
    }
}

#[test]
fn no_file_is_no_setting() {
    let machine = Machine::new();
    assert_eq!(machine.read(), Config::default());
    machine.write("etc/other.conf", "nonsense");
    assert_eq!(machine.read(), Config::default());
}

#[test]
fn the_highest_main_file_counts_alone() {
    let machine = Machine::new();
    for (name, folder) in [("usr", "usr"), ("etc", "etc"), ("home", "home")] {
        machine.says(&format!("{folder}/containers.conf"));
        assert_eq!(machine.read().text("containers.tz"), Some(format!("{name}/containers.conf").as_str()));
    }
    assert_eq!(machine.env(), ["containers=home/containers.conf"]);
}

#[test]
fn drop_ins_come_by_name_and_the_higher_folder_has_a_name_first() {
    let mut machine = Machine::new();
    for name in [
        "usr/containers.conf",
        "usr/containers.conf.d/10-a.conf",
        "usr/containers.conf.d/20-b.conf",
        "usr/containers.conf.d/30-c.conf.off",
        "usr/containers.rootless.conf.d/20-b.conf",
        "usr/containers.rootless.conf.d/1000/20-b.conf",
        "usr/containers.rootless.conf.d/1001/99-other.conf",
        "usr/containers.rootful.conf.d/05-root.conf",
        "etc/containers.conf.d/10-a.conf",
        "home/containers.conf.d/00-z.conf",
        "home/containers.rootless.conf.d/98-unused.conf",
    ] {
        machine.says(name);
    }
    assert_eq!(
        machine.env(),
        [
            "containers=usr/containers.conf",
            "00-z=home/containers.conf.d/00-z.conf",
            "10-a=etc/containers.conf.d/10-a.conf",
            "20-b=usr/containers.rootless.conf.d/1000/20-b.conf",
        ]
    );
    machine.places.uid = 0;
    assert_eq!(
        machine.env(),
        [
            "containers=usr/containers.conf",
            "00-z=home/containers.conf.d/00-z.conf",
            "05-root=usr/containers.rootful.conf.d/05-root.conf",
            "10-a=etc/containers.conf.d/10-a.conf",
            "20-b=usr/containers.conf.d/20-b.conf",
        ]
    );
}

#[test]
fn a_named_file_is_the_only_one_but_for_modules_and_the_last() {
    let mut machine = Machine::new();
    machine.says("etc/containers.conf");
    machine.says("etc/containers.conf.d/1.conf");
    machine.says("etc/containers.conf.modules/in-etc");
    machine.says("home/containers.conf.modules/in-etc.not");
    machine.says("only");
    machine.says("abs");
    machine.says("last");
    let at = |name: &str| machine.folder.path().join(name);
    let (only, last, module) = (at("only"), at("last"), at("abs"));
    let in_etc = at("etc/containers.conf.modules/in-etc");
    machine.places.only = Some(only.clone());
    machine.places.last = Some(last.clone());
    machine.places.modules = vec![module.display().to_string(), "in-etc".to_owned()];
    let config = machine.read();
    assert_eq!(config.files(), [only.clone(), module.clone(), in_etc.clone(), last.clone()]);
    assert_eq!(config.modules(), [module, in_etc]);
    assert_eq!(config.text("containers.tz"), Some("last"));
    assert_eq!(config.origin("containers.tz"), Some(last.as_path()));
    for missing in ["only", "last"] {
        fs::rename(at_of(&machine, missing), at_of(&machine, "away")).expect("moved");
        let error = machine.try_read().expect_err("it must be there");
        assert!(matches!(&error, ConfigError::File(error) if error.is_missing()), "{error}");
        fs::rename(at_of(&machine, "away"), at_of(&machine, missing)).expect("moved");
    }
    machine.places.modules = vec!["absent".to_owned()];
    let error = machine.try_read().expect_err("no module");
    let ConfigError::Module { looked, .. } = &error else { panic!("{error}") };
    let looked: Vec<_> = looked.iter().map(|error| error.path.clone()).collect();
    let folders = search::module_folders(&CONTAINERS, &machine.places);
    assert_eq!(looked, folders.iter().map(|folder| folder.join("absent")).collect::<Vec<_>>());
    assert_eq!(looked.len(), 3);
}

fn at_of(machine: &Machine, name: &str) -> PathBuf {
    machine.folder.path().join(name)
}

#[test]
fn lists_replace_until_one_appends() {
    let append = |on: &str| format!("[containers]\nenv = ['{on}', {{append={on}}}]");
    for (files, expected) in [
        (vec!["[containers]\nenv = ['a']", "[containers]\nenv = ['b']"], vec!["b"]),
        (vec!["[containers]\nenv = ['a']", "[containers]\nenv = ['b', {append=true}]"], vec!["a", "b"]),
        (vec!["[containers]\nenv = ['a', {append=true}]", "[containers]\nenv = ['b']"], vec!["a", "b"]),
        (vec!["[containers]\nenv = [{append=true}, 'a']", &append("false")], vec!["false"]),
        (vec!["[containers]\nenv = ['a', {append=true}]", "[containers]\nenv = []"], vec!["a"]),
    ] {
        let machine = Machine::new();
        for (at, text) in files.iter().enumerate() {
            machine.write(&format!("etc/containers.conf.d/{at}.conf"), text);
        }
        assert_eq!(machine.env(), expected, "{files:?}");
    }
}

#[test]
fn maps_gain_keys_and_scalars_are_replaced() {
    let machine = Machine::new();
    machine.write(
        "etc/containers.conf",
        "[engine.volume_plugins]\na = '/a'\nb = '/b'\n[engine]\nstop_timeout = 3",
    );
    machine.write(
        "etc/containers.conf.d/1.conf",
        "engine.stop_timeout = 4\nengine.volume_plugins.b = '/c'\nengine.events_logfile_max_size = 5",
    );
    let config = machine.read();
    let plugins: Vec<_> = config.map("engine.volume_plugins").expect("plugins").values().collect();
    assert_eq!(plugins, ["/a", "/c"]);
    assert_eq!(config.integer("engine.stop_timeout"), Some(4));
    assert_eq!(config.text("engine.events_logfile_max_size"), Some("5"));
}

#[test]
fn a_value_of_the_wrong_kind_is_refused_by_name() {
    for (text, expected) in [
        ("containers.env = 'A=1'", "containers.env is of kind string where array of strings is needed"),
        ("containers.env = [1]", "containers.env is of kind array where array of strings is needed"),
        (
            "containers.env = [{apend=true}]",
            "containers.env is of kind array where array of strings is needed",
        ),
        ("containers.init = 'true'", "containers.init is of kind string where boolean is needed"),
        (
            "engine.stop_timeout = -1",
            "engine.stop_timeout is of kind integer where integer of at least 0 is needed",
        ),
        (
            "engine.volume_plugins = {a=1}",
            "engine.volume_plugins is of kind table where table of strings is needed",
        ),
    ] {
        let machine = Machine::new();
        let path = machine.write("etc/containers.conf", text);
        let error = machine.try_read().expect_err(text).to_string();
        assert_eq!(error, format!("cannot understand {}: {expected}", path.display()));
    }
}

#[test]
fn nothing_is_ignored_in_silence() {
    let machine = Machine::new();
    let path = machine.write(
        "etc/containers.conf",
        "[containers]\nenv = []\nkeyring = true\ncgroup_conf = ['a=b']\ntypo = 1\n[engine]\nruntime = 'runc'\nstatic_dir = '/x'\nhooks_dir = []\n[nonsense]\nx = 1",
    );
    let found: Vec<_> = machine.read().findings(&CONTAINERS).iter().map(ToString::to_string).collect();
    let path = path.display();
    assert_eq!(
        found,
        [
            format!("{path}: containers.cgroup_conf is not supported yet"),
            format!(
                "{path}: engine.runtime has no meaning here: containers are started by this program itself"
            ),
            format!(
                "{path}: engine.static_dir cannot be used: there is no database to be apart from the store: a container's \
                 records lie beside its files (see graphroot of storage.conf)"
            ),
            format!("{path}: unknown key containers.typo"),
            format!("{path}: unknown key nonsense"),
        ]
    );
}

#[test]
fn keys_are_sorted_and_none_is_a_table_too() {
    for family in [&CONTAINERS, &STORAGE] {
        assert!(family.keys.is_sorted_by(|one, next| one.name < next.name), "{}", family.file);
        for key in family.keys {
            assert!(!family.is_table(key.name), "{}", key.name);
        }
    }
}

#[test]
fn a_file_is_bounded() {
    let machine = Machine::new();
    machine.write(
        "etc/containers.conf",
        &"#".repeat(usize::try_from(crate::limits::CONFIG_FILE).expect("a size") + 1),
    );
    let error = machine.try_read().expect_err("too large");
    let ConfigError::File(error) = error else { panic!("{error}") };
    assert_eq!(error.source.kind(), std::io::ErrorKind::FileTooLarge);
}

#[test]
fn what_was_not_seen_in_a_folder_need_not_be_looked_for() {
    let machine = Machine::new();
    machine.write("etc/here.conf", "nothing");
    let at = |name: &str| machine.folder.path().join(name);
    let folders = Folders::of(&machine.places);
    assert!(folders.may_have(&at("etc/other.conf")), "nobody has looked");
    let listed = || {
        let folders = Folders::of(&machine.places);
        let _config = Config::read(&CONTAINERS, &machine.places, &folders).expect("a configuration");
        folders
    };
    let folders = listed();
    assert_eq!(
        ["etc/here.conf", "other/a.conf", "etc/sub/a.conf"].map(|name| folders.may_have(&at(name))),
        [true; 3]
    );
    assert_eq!(
        ["etc/a.conf", "home/here.conf", "usr/here.conf"].map(|name| folders.may_have(&at(name))),
        [false; 3]
    );
    // A folder that is open to those who know what is in it; root may list it too.
    std::fs::set_permissions(at("etc"), PermissionsExt::from_mode(0o100)).expect("a mode");
    assert_eq!(listed().may_have(&at("etc/a.conf")), !rustix::process::geteuid().is_root());
    // Else it could not be removed.
    std::fs::set_permissions(at("etc"), PermissionsExt::from_mode(0o700)).expect("a mode");
}
