//! One container as `ps` shows it: to a template, and in JSON.

use std::collections::BTreeMap;
use std::rc::Rc;

use ctr_cli::human::ago::{ago, span};
use ctr_cli::human::size;
use ctr_cli::human::time::Timestamp;
use ctr_cli::template::{Struct, Time, Value};
use ctr_pods::brief::Brief;
use ctr_pods::status::{Exit, Status};
use serde_json::{Value as Json, json};

use crate::cmd::select;
use crate::cmd::size::Size;

/// The names that a template can ask for.
pub(super) const FIELDS: &[&str] = &[
    "AutoRemove",
    "Cgroup",
    "CIDFile",
    "Command",
    "Created",
    "CreatedAt",
    "CreatedHuman",
    "ExitCode",
    "Exited",
    "ExitedAt",
    "ExposedPorts",
    "ID",
    "IPC",
    "Image",
    "ImageID",
    "IsInfra",
    "Labels",
    "MNT",
    "Mounts",
    "NET",
    "Names",
    "Namespaces",
    "Networks",
    "PIDNS",
    "Pid",
    "Pod",
    "PodName",
    "Ports",
    "Restarts",
    "RunningFor",
    "Size",
    "StartedAt",
    "State",
    "Status",
    "UTS",
    "User",
];

/// The names that it must give a word to.
pub(super) const METHODS: &[&str] = &["Label"];

/// Headers that are not the name of the field in words.
pub(super) const HEADERS: &[(&str, &str)] = &[
    ("Cgroup", "CGROUPNS"),
    ("CreatedHuman", "CREATED"),
    ("ID", "CONTAINER ID"),
    ("IPC", "IPC"),
    ("MNT", "MNT"),
    ("NET", "NET"),
    ("PIDNS", "PIDNS"),
    ("Pod", "POD ID"),
    ("PodName", "PODNAME"),
    ("RunningFor", "RUNNING FOR"),
    ("UTS", "UTS"),
    ("User", "USERNS"),
];

/// Kinds of namespaces, as a template calls them and as the kernel does.
const NAMESPACES: [(&str, &str); 7] = [
    ("Cgroup", "cgroup"),
    ("IPC", "ipc"),
    ("MNT", "mnt"),
    ("NET", "net"),
    ("PIDNS", "pid"),
    ("UTS", "uts"),
    ("User", "user"),
];

/// When nothing has ended: the year 1, in seconds since 1970.
const NEVER: i64 = -62_135_596_800;

/// One container.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) shown_id: String,
    pub(super) image: String,
    image_id: String,
    shown_image_id: String,
    pub(super) command: Vec<String>,
    shown_command: String,
    pub(super) created: u64,
    pub(super) started: u64,
    pub(super) state: &'static str,
    status: String,
    exit_code: i64,
    /// When it ended, if it did.
    exited: Option<u64>,
    pub(super) name: String,
    labels: BTreeMap<String, String>,
    mounts: Vec<String>,
    networks: Vec<String>,
    pid: u32,
    auto_remove: bool,
    cidfile: String,
    namespaces: BTreeMap<&'static str, String>,
    /// Of its own, and with the image.
    pub(super) size: Option<Size>,
    human: String,
}

impl Row {
    pub(super) fn of(brief: Brief, status: Status, full: bool, namespaces: bool) -> Self {
        let now = Timestamp::now();
        let started = brief.started();
        let Brief { id, name, created, auto_remove, image, image_name, command, labels, mounts, .. } = brief;
        let (id, image_id) = (id.to_string(), image.map(|id| id.to_string()).unwrap_or_default());
        let short = |text: &str| if full { text.to_owned() } else { text.chars().take(12).collect() };
        let pid = brief.start.filter(|_| status.is_alive()).map_or(0, |start| start.init.pid);
        let exit = status.exit();
        Self {
            shown_id: short(&id),
            id,
            image: image_name,
            shown_image_id: short(&image_id),
            image_id,
            shown_command: shown_command(&command, full),
            command,
            created,
            started,
            state: status.word(),
            status: shown_status(status, started, now),
            exit_code: exit.map_or(0, Exit::shown),
            exited: exit.map(|exit| exit.finished.unwrap_or(started)),
            name,
            labels: labels.into_iter().collect(),
            mounts: mounts.into_iter().map(|mount| mount.destination).collect(),
            networks: Vec::new(),
            pid,
            auto_remove,
            cidfile: brief.cidfile.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default(),
            namespaces: if namespaces { of_process(pid) } else { BTreeMap::new() },
            size: None,
            human: ago(select::moment(created), now),
        }
    }

    /// What a template sees.
    pub(super) fn value(self) -> Value {
        let row = Rc::new(self);
        let labelled = Rc::clone(&row);
        let label = move |arguments: &[Value]| {
            let key = arguments.first().map(Value::display).unwrap_or_default();
            Ok(labelled.labels.get(&key).cloned().unwrap_or_default().into())
        };
        Struct::lazy("containers.psReporter", FIELDS, move |name| row.field(name))
            .method("Label", 1, label)
            .into()
    }

    fn field(&self, name: &str) -> Value {
        let seconds = |nanos: u64| i64::try_from(nanos / 1_000_000_000).unwrap_or(i64::MAX);
        let created =
            Time::new(seconds(self.created), u32::try_from(self.created % 1_000_000_000).unwrap_or(0));
        match name {
            "AutoRemove" => self.auto_remove.into(),
            "CIDFile" => self.cidfile.as_str().into(),
            "Command" => self.shown_command.as_str().into(),
            "Created" => created.into(),
            "CreatedAt" => Value::from(created).display().into(),
            "CreatedHuman" | "RunningFor" => self.human.as_str().into(),
            "ExitCode" => self.exit_code.into(),
            "Exited" => self.exited.is_some().into(),
            "ExitedAt" => self.exited.map_or(NEVER, seconds).into(),
            "ExposedPorts" => BTreeMap::<String, String>::new().into(),
            "ID" => self.shown_id.as_str().into(),
            "Image" => self.image.as_str().into(),
            "ImageID" => self.shown_image_id.as_str().into(),
            "IsInfra" => false.into(),
            "Labels" => {
                let labels = self.labels.iter().map(|(key, value)| format!("{key}={value}"));
                labels.collect::<Vec<_>>().join(",").into()
            }
            "Mounts" => self.mounts.clone().into(),
            "Names" => self.name.as_str().into(),
            "Namespaces" => self.all_namespaces().into(),
            "Networks" => self.networks.join(",").into(),
            "Pid" => self.pid.into(),
            "Pod" | "PodName" | "Ports" => "".into(),
            "Restarts" => "0".into(),
            "Size" => self.shown_size().into(),
            "StartedAt" => if self.started == 0 { NEVER } else { seconds(self.started) }.into(),
            "State" => self.state.into(),
            "Status" => self.status.as_str().into(),
            namespace => self.namespaces.get(namespace).cloned().unwrap_or_default().into(),
        }
    }

    fn all_namespaces(&self) -> Struct {
        let number = |name: &str| self.namespaces.get(name).cloned().unwrap_or_default();
        NAMESPACES.into_iter().fold(Struct::new("types.ListContainerNamespaces"), |all, (name, _)| {
            all.field(name, number(name))
        })
    }

    fn shown_size(&self) -> String {
        self.size.map_or_else(String::new, |Size { own, all }| {
            format!("{} (virtual {})", size::brief(own), size::brief(all))
        })
    }

    /// The container in JSON, with Podman's keys.
    pub(super) fn json(&self) -> Json {
        let seconds = |nanos: u64| nanos / 1_000_000_000;
        let namespaces: serde_json::Map<String, Json> =
            self.namespaces.iter().map(|(name, text)| ((*name).to_owned(), json!(text))).collect();
        json!({
            "AutoRemove": self.auto_remove,
            "Command": self.command,
            "CreatedAt": self.human,
            "CIDFile": self.cidfile,
            "Exited": self.exited.is_some(),
            "ExitedAt": self.exited.map_or(NEVER, |nanos| i64::try_from(seconds(nanos)).unwrap_or(0)),
            "ExitCode": self.exit_code,
            "ExposedPorts": null,
            "Id": self.id,
            "Image": self.image,
            "ImageID": self.image_id,
            "IsInfra": false,
            "Labels": if self.labels.is_empty() { Json::Null } else { json!(self.labels) },
            "Mounts": self.mounts,
            "Names": [self.name],
            "Namespaces": namespaces,
            "Networks": self.networks,
            "Pid": self.pid,
            "Pod": "",
            "PodName": "",
            "Ports": null,
            "Restarts": 0,
            "Size": self.size.map(|Size { own, all }| json!({ "rootFsSize": all, "rwSize": own })),
            "StartedAt": if self.started == 0 { NEVER } else { i64::try_from(seconds(self.started)).unwrap_or(0) },
            "State": self.state,
            "Status": self.status,
            "Created": seconds(self.created),
        })
    }
}

/// What a container is doing, and since when.
fn shown_status(status: Status, started: u64, now: Timestamp) -> String {
    match status {
        Status::Created => "Created".to_owned(),
        Status::Initialized => "Initialized".to_owned(),
        Status::Running => format!("Up {}", span(select::moment(started).until(now))),
        Status::Paused => "Paused".to_owned(),
        Status::Leaving | Status::Stopping => "Stopping".to_owned(),
        Status::Exited(exit) => match exit.finished {
            Some(finished) => format!("Exited ({}) {}", exit.shown(), ago(select::moment(finished), now)),
            None => format!("Exited ({}), monitor killed", exit.code),
        },
    }
}

fn shown_command(command: &[String], full: bool) -> String {
    let joined = command.join(" ");
    match joined.char_indices().nth(17) {
        Some((at, _)) if !full => format!("{}...", &joined[..at]),
        _ => joined,
    }
}

/// The namespaces of a process, each by its number; what cannot be read is empty.
fn of_process(pid: u32) -> BTreeMap<&'static str, String> {
    let number = |kind: &str| {
        let link = std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).ok()?;
        let text = link.to_string_lossy().into_owned();
        Some(text.split_once('[')?.1.trim_end_matches(']').to_owned())
    };
    NAMESPACES.into_iter().map(|(name, kind)| (name, number(kind).unwrap_or_default())).collect()
}
