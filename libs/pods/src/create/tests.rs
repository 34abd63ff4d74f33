use super::*;
use crate::device;
use crate::mounts::{arrange, parse_mount, parse_tmpfs, parse_volume};
use crate::namespaces::Namespaces;
use crate::request::{
    HostsRequest, PasswdRequest, Privileges, ProcessRequest, Source, Storage, UsernsRequest,
};
use crate::security::Security;
use crate::user::UserSpec;
use ctr_runtime::caps::CapSet;

fn request() -> Request {
    Request {
        source: Source::Image("app".to_owned()),
        platform: None,
        name: None,
        hostname: None,
        name_as_hostname: false,
        labels: vec![],
        annotations: vec![],
        process: ProcessRequest::default(),
        passwd: PasswdRequest::default(),
        storage: Storage::default(),
        privileges: Privileges::default(),
        namespaces: Namespaces::default(),
        ports: Default::default(),
        userns: UsernsRequest::default(),
        hosts: HostsRequest::default(),
        resolver: Default::default(),
        timezone: None,
        cidfile: None,
        pidfile: None,
        timeout: None,
        sig_proxy: true,
        auto_remove: false,
        requires: Vec::new(),
        log: crate::request::LogRequest::default(),
        no_keyring: false,
        no_cgroup: false,
        stop_timeout: 10,
        command_line: vec![],
    }
}

fn image() -> RunConfig {
    RunConfig {
        env: vec!["PATH=/bin".to_owned(), "A=1".to_owned()],
        entrypoint: Some(ctr_core::oci::Words(vec!["/entry".to_owned()])),
        cmd: Some(ctr_core::oci::Words(vec!["serve".to_owned()])),
        working_dir: "/srv".to_owned(),
        ..RunConfig::default()
    }
}

fn root() -> Identity {
    crate::user::identify(&UserSpec::default(), &crate::user::Accounts::default()).unwrap()
}

fn someone() -> Identity {
    crate::user::identify(&UserSpec::parse("1000:100").unwrap(), &crate::user::Accounts::default()).unwrap()
}

fn make(request: &Request, image: &RunConfig, identity: &Identity) -> Result<Spec, CreateError> {
    make_on((false, false), request, image, identity)
}

/// On a host with these security modules.
fn make_on(
    (selinux, apparmor): (bool, bool),
    request: &Request,
    image: &RunConfig,
    identity: &Identity,
) -> Result<Spec, CreateError> {
    let map = [IdMapping { container_id: 0, host_id: 0, size: 65_537 }];
    let limits = [Ulimit { name: "nofile", soft: 1024, hard: 4096 }];
    let files = [OwnFile { target: "/etc/hosts".to_owned(), source: "/run/x/hosts".to_owned() }];
    spec(
        request,
        &Facts {
            image,
            identity,
            more_groups: &[],
            hostname: "0123456789ab",
            home: "/",
            limits: &limits,
            oom_score_adj: None,
            uid_map: &map,
            gid_map: &map,
            joined: &[],
            files: &files,
            devices: &request.storage.devices,
            queues: true,
            settings: true,
            selinux,
            apparmor,
            terminal_size: None,
        },
    )
}

fn lines(created: &Spec) -> Vec<String> {
    created
        .mounts
        .iter()
        .map(|mount| {
            format!("{} {} {} {}", mount.destination, mount.kind, mount.source, mount.options.join(","))
        })
        .collect()
}

fn mount_of(created: &Spec, target: &str) -> String {
    lines(created).into_iter().find(|line| line.starts_with(&format!("{target} "))).unwrap_or_default()
}

#[test]
fn the_default_is_podmans() {
    let created = make(&request(), &image(), &root()).unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&created).unwrap());
}

#[test]
fn privileged_hides_nothing_and_may_everything() {
    let mut request = request();
    request.privileges.privileged = true;
    request.privileges.security = Security::parse(&["mask=/proc/x".to_owned()]).unwrap();
    let created = make(&request, &image(), &root()).unwrap();
    let linux = &created.linux;
    assert_eq!((linux.masked_paths.clone(), linux.readonly_paths.len()), (vec!["/proc/x".to_owned()], 0));
    assert_eq!(created.process.capabilities.unwrap().effective, ctr_runtime::caps::CapSet::ALL);
    assert!(mount_of(&created, "/sys").ends_with("rw"));
}

#[test]
fn capabilities_of_another_user_are_only_those_added() {
    let mut request = request();
    request.privileges.cap_add = vec!["net_raw".to_owned()];
    let created = make(&request, &image(), &someone()).unwrap();
    let caps = created.process.capabilities.unwrap();
    let added = CapSet::EMPTY.with("CAP_NET_RAW".parse().unwrap());
    assert_eq!(
        (caps.effective, caps.permitted, caps.inheritable, caps.ambient),
        (added, added, added, added)
    );
    assert_eq!(caps.bounding, ctr_runtime::caps::DEFAULT.union(added));

    request.privileges.cap_add.clear();
    let caps = make(&request, &image(), &someone()).unwrap().process.capabilities.unwrap();
    assert!(caps.effective.is_empty() && caps.ambient.is_empty() && caps.inheritable.is_empty());
    request.privileges.cap_drop = vec!["all".to_owned()];
    let caps = make(&request, &image(), &root()).unwrap().process.capabilities.unwrap();
    assert!(caps.bounding.is_empty() && caps.effective.is_empty());
    assert!(caps.inheritable.is_empty() && caps.ambient.is_empty());
}

#[test]
fn an_image_can_ask_for_less() {
    let mut less = image();
    less.labels.insert("io.containers.capabilities".to_owned(), "chown, setuid".to_owned());
    let caps = make(&request(), &less, &root()).unwrap().process.capabilities.unwrap();
    assert_eq!(caps.bounding.names(), ["CAP_CHOWN", "CAP_SETUID"]);
    less.labels.insert("io.containers.capabilities".to_owned(), "SYS_ADMIN".to_owned());
    let caps = make(&request(), &less, &root()).unwrap().process.capabilities.unwrap();
    assert_eq!(caps.bounding, ctr_runtime::caps::DEFAULT, "never for more");
}

#[test]
fn what_is_asked_for_takes_the_place_of_a_default() {
    let mut request = request();
    let mounts = ["/h:/etc/hosts:ro", "./src:/a/b:Z,exec,suid,dev,rslave", "/x:/dev/shm"];
    let mut mounts: Vec<_> = mounts.iter().map(|text| parse_volume(text).unwrap()).collect();
    mounts.push(parse_tmpfs("/a:size=1m,mode=700").unwrap());
    mounts.push(parse_mount("type=devpts,dst=/dev/pts,gid=7").unwrap());
    request.storage.mounts = arrange(mounts).unwrap();
    request.storage.devices = vec![device::parse("/dev/zero:/dev/nul").unwrap()];
    let created = make(&request, &image(), &someone()).unwrap();
    insta::assert_snapshot!(lines(&created).join("\n"));
}

#[test]
fn read_only_containers_have_memory_to_write_to() {
    let mut request = request();
    request.storage.read_only = true;
    let created = make(&request, &image(), &root()).unwrap();
    assert!(created.root.readonly);
    assert_eq!(lines(&created).iter().filter(|line| line.ends_with("tmpcopyup")).count(), 3);
    assert!(mount_of(&created, "/tmp").contains("tmpfs"));
    assert!(!mount_of(&created, "/dev/shm").ends_with(",ro"));

    request.storage.read_only_tmpfs = false;
    let created = make(&request, &image(), &root()).unwrap();
    assert!(mount_of(&created, "/tmp").is_empty());
    assert!(mount_of(&created, "/dev").ends_with(",ro") && mount_of(&created, "/dev/shm").ends_with(",ro"));
}

#[test]
fn the_hosts_namespaces_are_bound() {
    let mut request = request();
    request.namespaces = Namespaces {
        pid: Mode::Host,
        ipc: Mode::Host,
        uts: Mode::Host,
        cgroup: Mode::Host,
        network: Mode::Host,
        ..Namespaces::default()
    };
    let created = make(&request, &image(), &root()).unwrap();
    let own: Vec<_> = created.linux.namespaces.iter().map(|namespace| namespace.kind).collect();
    assert_eq!(own, [NamespaceKind::User, NamespaceKind::Mount]);
    assert_eq!(created.hostname, "");
    for (target, line) in [
        ("/proc", "/proc bind /proc rbind,nosuid,noexec,nodev"),
        ("/sys", "/sys bind /sys rprivate,nosuid,noexec,nodev,ro,rbind"),
        ("/dev/shm", "/dev/shm bind /dev/shm bind,nosuid,noexec,nodev"),
        ("/dev/mqueue", "/dev/mqueue bind /dev/mqueue bind,nosuid,noexec,nodev"),
    ] {
        assert_eq!(mount_of(&created, target), line);
    }
    request.privileges.sysctls = vec!["net.core.somaxconn=1".to_owned()];
    assert!(matches!(make(&request, &image(), &root()), Err(CreateError::Sysctl(_))));
}

#[test]
fn groups_limits_and_places_come_from_the_request() {
    let mut request = request();
    request.process.umask = Some(0o77);
    request.process.words = vec!["hi".to_owned()];
    request.process.workdir = Some("/w".to_owned());
    request.privileges.security =
        Security::parse(&["no-new-privileges".to_owned(), "unmask=/proc/a*".to_owned()]).unwrap();
    let created = make(&request, &image(), &someone()).unwrap();
    let process = &created.process;
    assert_eq!((process.user.uid, process.user.gid, process.user.umask), (1000, 100, Some(0o77)));
    assert_eq!(
        (process.args.clone(), process.cwd.as_str()),
        (vec!["/entry".to_owned(), "hi".to_owned()], "/w")
    );
    assert!(process.no_new_privileges);
    assert!(!created.linux.masked_paths.iter().any(|path| path == "/proc/acpi"));
    assert!(!created.linux.readonly_paths.iter().any(|path| path == "/proc/asound"));
    assert!(
        process.env.contains(&"HOME=/".to_owned())
            && process.env.contains(&"HOSTNAME=0123456789ab".to_owned())
    );
}

/// Labels say nothing where SELinux is off; a profile needs AppArmor.
#[test]
fn security_modules_do_what_they_are_asked_where_they_are() {
    let asked = |selinux: bool, apparmor: bool, option: &str| {
        let mut request = request();
        request.privileges.security = Security::parse(&[option.to_owned()]).unwrap();
        let made = make_on((selinux, apparmor), &request, &image(), &root());
        made.map(|spec| spec.process.apparmor_profile).map_err(|error| error.to_string())
    };
    for option in ["label=disable", "apparmor=unconfined"] {
        for (selinux, apparmor) in [(false, false), (true, true)] {
            assert_eq!(asked(selinux, apparmor, option), Ok(String::new()), "{option}");
        }
    }
    for option in ["user:u", "role:r", "type:t", "level:s0", "filetype:t", "nested"] {
        assert_eq!(asked(false, false, &format!("label={option}")), Ok(String::new()), "{option}");
        let refused = format!("--security-opt label={option} is not supported yet on a host with SELinux");
        assert_eq!(asked(true, false, &format!("label={option}")), Err(refused));
    }
    assert_eq!(asked(false, true, "apparmor=narrow"), Ok("narrow".to_owned()));
}

#[test]
fn what_contradicts_itself_is_refused() {
    let bare = RunConfig::default();
    assert!(matches!(make(&request(), &bare, &root()), Err(CreateError::Command(_))));
    let refused = |options: &str| {
        let mut request = request();
        request.privileges.security = Security::parse(&[options.to_owned()]).unwrap();
        make(&request, &image(), &root()).unwrap_err().to_string()
    };
    assert_eq!(
        refused("apparmor=x"),
        "apparmor profile \"x\" specified, but Apparmor is not enabled on this system"
    );
    let mut nul = image();
    nul.cmd = Some(ctr_core::oci::Words(vec!["a\0b".to_owned()]));
    assert!(matches!(make(&request(), &nul, &root()), Err(CreateError::Nul(_))));
    let mut nul = image();
    nul.working_dir = "\0".to_owned();
    assert!(matches!(make(&request(), &nul, &root()), Err(CreateError::Workdir(_))));
}
