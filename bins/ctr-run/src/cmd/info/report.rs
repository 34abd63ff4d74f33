//! What `info` tells, put together in podman's order.

use std::path::Path;

use ctr_cli::template::Value;
use ctr_cli::voice::Voice;
use ctr_pods::request::LogDriver;
use ctr_userns::ranges::{self, Facts, Files};
use std::collections::BTreeMap;

use super::host;
use super::tree::{Entry, count, field, record};
use crate::cmd::version;

/// What the report is about besides the machine.
pub(crate) struct Subject<'a> {
    /// Whose words are spoken.
    pub(crate) voice: Voice,
    /// The store's directory.
    pub(crate) data: &'a Path,
    /// The run directory.
    pub(crate) run: &'a Path,
    /// Whether new containers are kept until the next boot only.
    pub(crate) transient: bool,
    /// Where volumes lie.
    pub(crate) volumes: &'a Path,
    /// `overlay` or `vfs`.
    pub(crate) driver: &'static str,
    /// `--storage-opt`, each.
    pub(crate) storage_opts: &'a [String],
    /// Additional stores that a file names.
    pub(crate) image_stores: &'a [String],
    /// storage.conf, where it is or would be.
    pub(crate) config_file: &'a Path,
    /// Where archives are unpacked before they are in the store.
    pub(crate) temporary: &'a Path,
    /// Names of the plugins for volumes that the configuration has: nothing here asks them.
    pub(crate) volume_plugins: Vec<&'a str>,
    /// How many images there are.
    pub(crate) images: usize,
    /// How many containers there are.
    pub(crate) containers: Counts,
    /// Where events go.
    pub(crate) events: &'a str,
    /// Where logs of containers go when nobody says it.
    pub(crate) log_driver: &'a str,
    /// Who we are.
    pub(crate) facts: &'a Facts,
}

/// How many containers there are.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    /// Those whose command runs.
    pub(crate) running: usize,
    /// Those that are frozen.
    pub(crate) paused: usize,
    /// All others.
    pub(crate) stopped: usize,
}

/// The whole report.
pub(crate) fn report(subject: &Subject<'_>) -> Value {
    record(
        "system.infoReport",
        vec![
            field("Host", "host", record("define.HostInfo", machine(subject))),
            field("Store", "store", record("define.StoreInfo", store(subject))),
            field("Registries", "registries", host::nothing()),
            field("Plugins", "plugins", record("define.Plugins", plugins(subject))),
            field("Version", "version", version::client(subject.voice)),
        ],
    )
}

/// One long list of fields, in podman's order.
fn machine(subject: &Subject<'_>) -> Vec<Entry> {
    let memory = host::memory_fields();
    let amount = |name: &str| memory.iter().find(|(known, _)| *known == name).map_or(0, |(_, bytes)| *bytes);
    let (controllers, groups) = host::control_groups();
    let system = rustix::system::uname();
    let text = |value: &std::ffi::CStr| value.to_string_lossy().into_owned();
    let seconds =
        host::read("/proc/uptime").split('.').next().and_then(|text| text.parse().ok()).unwrap_or(0);
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let mut fields = vec![
        field("Arch", "arch", host::go_architecture()),
        field("BuildahVersion", "buildahVersion", version::BUILDAH),
        field("CgroupManager", "cgroupManager", "cgroupfs"),
        field("CgroupsVersion", "cgroupVersion", groups),
        field("CgroupControllers", "cgroupControllers", controllers),
        field("Conmon", "conmon", record("define.ConmonInfo", supervisor(subject.voice))),
        field("CPUs", "cpus", count(processors)),
        field(
            "CPUUtilization",
            "cpuUtilization",
            record("define.CPUUsage", host::processor_time(&host::read("/proc/stat"))),
        ),
        // Plain files; podman knows only its one.
        field("DatabaseBackend", "databaseBackend", if subject.voice.is_peer() { "sqlite" } else { "files" }),
        field(
            "Distribution",
            "distribution",
            record("define.DistributionInfo", host::distribution(&host::read("/etc/os-release"))),
        ),
        field("EventLogger", "eventLogger", subject.events),
        field("Hostname", "hostname", text(system.nodename())),
        field("IDMappings", "idMappings", record("define.IDMappings", id_mappings(subject.facts))),
        field("Kernel", "kernel", text(system.release())),
        field("LogDriver", "logDriver", subject.log_driver),
        field("MemFree", "memFree", amount("free")),
        field("MemTotal", "memTotal", amount("total")),
        field("NetworkBackend", "networkBackend", network_backend(subject.voice)),
        field(
            "NetworkBackendInfo",
            "networkBackendInfo",
            record("types.NetworkInfo", network(subject.voice)),
        ),
        field("OCIRuntime", "ociRuntime", record("define.OCIRuntimeInfo", runtime(subject.voice))),
        field("OS", "os", "linux"),
        field(
            "RemoteSocket",
            "remoteSocket",
            record("define.RemoteSocket", vec![field("Path", "path", ""), field("Exists", "exists", false)]),
        ),
        field("RootlessNetworkCmd", "rootlessNetworkCmd", "pasta"),
        field("ServiceIsRemote", "serviceIsRemote", false),
        field("Security", "security", record("define.SecurityInfo", security(subject))),
        field("Pasta", "pasta", record("define.PastaInfo", program("", "", ""))),
        field("SwapFree", "swapFree", amount("swap_free")),
        field("SwapTotal", "swapTotal", amount("swap_total")),
        field("Uptime", "uptime", host::uptime(seconds)),
        field("Variant", "variant", ""),
        field("Linkmode", "linkmode", "static"),
    ];
    let emulated = host::emulated();
    if !emulated.is_empty() {
        fields.push(field("EmulatedArchitectures", "emulatedArchitectures", emulated));
    }
    fields
}

/// A program as `pasta` is described.
fn program(executable: &str, package: &str, version: &str) -> Vec<Entry> {
    vec![
        field("Executable", "executable", executable),
        field("Package", "package", package),
        field("Version", "version", version),
    ]
}

/// Where our own program lies.
fn ourselves() -> String {
    std::env::current_exe().map(|path| path.display().to_string()).unwrap_or_default()
}

/// Who supervises containers: we do. Scripts that speak to podman look for conmon.
fn supervisor(voice: Voice) -> Vec<Entry> {
    let ours = format!("ctr {}", ctr_cli::release::VERSION);
    let (package, version) =
        if voice.is_peer() { ("conmon", format!("conmon, built into {ours}")) } else { ("ctr", ours) };
    vec![
        field("Package", "package", package),
        field("Path", "path", ourselves()),
        field("Version", "version", version),
    ]
}

/// The runtime, which is built in as well. Scripts branch on `crun` or `runc`.
fn runtime(voice: Voice) -> Vec<Entry> {
    let ours = format!("ctr {}", ctr_cli::release::VERSION);
    let (name, version) = if voice.is_peer() {
        ("crun", format!("crun, built into {ours}\nspec: 1.2.0"))
    } else {
        ("ctr", ours)
    };
    vec![
        field("Name", "name", name),
        field("Package", "package", name),
        field("Path", "path", ourselves()),
        field("Version", "version", version),
    ]
}

const fn network_backend(voice: Voice) -> &'static str {
    if voice.is_peer() { "netavark" } else { "none" }
}

fn network(voice: Voice) -> Vec<Entry> {
    vec![
        field("Backend", "backend", network_backend(voice)),
        field("DNS", "dns", record("types.DNSNetworkInfo", program("", "", ""))),
    ]
}

fn id_mappings(facts: &Facts) -> Vec<Entry> {
    match ranges::discover(facts, &Files::default()) {
        Ok(found) => vec![
            field("GIDMap", "gidmap", host::id_map(&found.source.maps().gid)),
            field("UIDMap", "uidmap", host::id_map(&found.source.maps().uid)),
        ],
        Err(_said_by_doctor) => {
            vec![field("GIDMap", "gidmap", Value::Nil), field("UIDMap", "uidmap", Value::Nil)]
        }
    }
}

fn security(subject: &Subject<'_>) -> Vec<Entry> {
    let capabilities: Vec<String> =
        ctr_runtime::caps::DEFAULT.iter().map(|capability| capability.to_string()).collect();
    let filtered = Path::new("/proc/sys/kernel/seccomp").exists();
    let module = |name: &str| Path::new("/sys/module").join(name).join("parameters/enabled");
    let apparmor = std::fs::read_to_string(module("apparmor")).is_ok_and(|text| text.starts_with('Y'));
    vec![
        field("AppArmorEnabled", "apparmorEnabled", apparmor),
        field("DefaultCapabilities", "capabilities", capabilities.join(",")),
        field("Rootless", "rootless", subject.facts.uid != 0),
        field("SECCOMPEnabled", "seccompEnabled", filtered),
        field("SECCOMPProfilePath", "seccompProfilePath", "default"),
        field("SELinuxEnabled", "selinuxEnabled", Path::new("/sys/fs/selinux/enforce").exists()),
    ]
}

fn store(subject: &Subject<'_>) -> Vec<Entry> {
    let place = crate::cmd::doctor::existing(subject.data);
    let (allocated, used) = rustix::fs::statvfs(&place).map_or((0, 0), |stat| {
        let size = stat.f_frsize;
        (size.saturating_mul(stat.f_blocks), size.saturating_mul(stat.f_blocks.saturating_sub(stat.f_bfree)))
    });
    let Counts { running, paused, stopped } = subject.containers;
    let shown = |path: &Path| path.display().to_string();
    vec![
        field("ConfigFile", "configFile", shown(subject.config_file)),
        field(
            "ContainerStore",
            "containerStore",
            record(
                "define.ContainerStore",
                vec![
                    field("Number", "number", count(running + paused + stopped)),
                    field("Paused", "paused", count(paused)),
                    field("Running", "running", count(running)),
                    field("Stopped", "stopped", count(stopped)),
                ],
            ),
        ),
        field("GraphDriverName", "graphDriverName", subject.driver),
        field("GraphOptions", "graphOptions", options(subject)),
        field("GraphRoot", "graphRoot", shown(subject.data)),
        field("GraphRootAllocated", "graphRootAllocated", allocated),
        field("GraphRootUsed", "graphRootUsed", used),
        field("GraphStatus", "graphStatus", status(subject.driver)),
        field("ImageCopyTmpDir", "imageCopyTmpDir", shown(subject.temporary)),
        field(
            "ImageStore",
            "imageStore",
            record("define.ImageStore", vec![field("Number", "number", count(subject.images))]),
        ),
        field("RunRoot", "runRoot", shown(subject.run)),
        field("VolumePath", "volumePath", shown(subject.volumes)),
        field("TransientStore", "transientStore", subject.transient),
    ]
}

/// `--storage-opt a=b` as a map; of an additional store also the list that they are all in, as podman has it.
fn options(subject: &Subject<'_>) -> Value {
    let given = subject.storage_opts.iter().filter(|option| !option.is_empty());
    let given = given.map(|option| option.split_once('=').unwrap_or((option, "")));
    let named = subject.image_stores.iter().map(|path| ("imagestore", path.as_str()));
    let (mut options, mut lists) = (BTreeMap::new(), BTreeMap::<String, Vec<String>>::new());
    for (name, value) in named.chain(given) {
        options.insert(name.to_owned(), Value::from(value));
        if name.ends_with("imagestore") {
            let list = lists.entry(name.replace("imagestore", "additionalImageStores")).or_default();
            list.push(value.to_owned());
        }
    }
    options.extend(lists.into_iter().map(|(name, list)| (name, Value::from(list))));
    Value::from(options)
}

fn status(driver: &str) -> Value {
    let facts = [("Native Overlay Diff", "false"), ("Supports d_type", "true"), ("Using metacopy", "false")];
    let facts = facts.into_iter().filter(|_| driver == "overlay");
    Value::from(facts.map(|(name, value)| (name.to_owned(), value.to_owned())).collect::<BTreeMap<_, _>>())
}

fn plugins(subject: &Subject<'_>) -> Vec<Entry> {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    vec![
        field("Volume", "volume", names(&[&["local"], subject.volume_plugins.as_slice()].concat())),
        field("Network", "network", names(&["none", "host"])),
        field("Log", "log", names(&LogDriver::ALL.map(LogDriver::name))),
        field("Authorization", "authorization", Value::Nil),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(voice: Voice) -> serde_json::Value {
        let facts = Facts::of_this_process().unwrap();
        let subject = Subject {
            voice,
            data: Path::new("/nonexistent/data"),
            run: Path::new("/nonexistent/run"),
            transient: true,
            volumes: Path::new("/nonexistent/volumes"),
            driver: "overlay",
            storage_opts: &["overlay.size=5".to_owned()],
            image_stores: &["/store".to_owned()],
            config_file: Path::new("/nonexistent/storage.conf"),
            temporary: Path::new("/var/tmp"),
            volume_plugins: vec!["far"],
            images: 3,
            containers: Counts { running: 1, paused: 1, stopped: 1 },
            events: "file",
            log_driver: "k8s-file",
            facts: &facts,
        };
        report(&subject).to_json()
    }

    /// What scripts key on: the fields of podman's file 001.
    #[test]
    fn under_podmans_name_scripts_find_what_they_look_for() {
        let told = told(Voice::Podman);
        assert_eq!(told["host"]["ociRuntime"]["name"], "crun");
        assert_eq!(told["host"]["networkBackend"], "netavark");
        assert_eq!(told["host"]["conmon"]["package"], "conmon");
        assert!(told["host"]["buildahVersion"].as_str().unwrap().starts_with(|c: char| c.is_ascii_digit()));
        assert_eq!(told["store"]["graphDriverName"], "overlay");
        assert_eq!(told["store"]["containerStore"]["number"], 3);
        assert_eq!(told["store"]["graphOptions"]["overlay.size"], "5");
        assert_eq!(told["store"]["graphOptions"]["additionalImageStores"][0], "/store");
        assert_eq!(told["store"]["transientStore"], true);
        assert_eq!(told["plugins"]["volume"][0], "local");
        assert_eq!(told["plugins"]["log"][1], "json-file");
    }

    #[test]
    fn under_our_own_name_we_are_what_we_are() {
        let told = told(Voice::Ctr);
        assert_eq!(told["host"]["ociRuntime"]["name"], "ctr");
        assert_eq!(told["version"]["Version"], ctr_cli::release::VERSION);
    }
}
