//! One container as `ps` shows it: to a template, and in JSON.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use ctr_cli::human::ago::{ago, span};
use ctr_cli::human::size;
use ctr_cli::human::time::Timestamp;
use ctr_cli::template::{Struct, Value};
use ctr_pods::brief::Brief;
use ctr_pods::ports::publish::{self, Exposed};
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

/// How many letters are shown of an id.
const SHORT: usize = 12;

/// One container. What is shown of it is made when it is asked for: of a long list, most never is.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) brief: Box<Brief>,
    pub(super) status: Status,
    now: Timestamp,
    /// Nothing is cut short.
    full: bool,
    namespaces: BTreeMap<&'static str, String>,
    /// Of its own, and with the image.
    pub(super) size: Option<Size>,
}

impl Row {
    pub(super) fn of(
        brief: Box<Brief>,
        status: Status,
        now: Timestamp,
        full: bool,
        namespaces: bool,
    ) -> Self {
        let mut row = Self { brief, status, now, full, namespaces: BTreeMap::new(), size: None };
        if namespaces {
            row.namespaces = of_process(row.pid());
        }
        row
    }

    pub(super) fn id(&self) -> &str {
        self.brief.id.as_str()
    }

    pub(super) fn shown_id(&self) -> &str {
        self.cut(self.id())
    }

    /// An id as it is shown.
    fn cut<'a>(&self, id: &'a str) -> &'a str {
        if self.full { id } else { id.get(..SHORT).unwrap_or(id) }
    }

    fn image_id(&self) -> String {
        self.brief.image.map(|id| id.to_string()).unwrap_or_default()
    }

    fn pid(&self) -> u32 {
        let start = self.brief.start.as_ref().filter(|_| self.status.is_alive());
        start.map_or(0, |start| start.init.pid)
    }

    fn exit_code(&self) -> i64 {
        self.status.exit().map_or(0, Exit::shown)
    }

    /// When it ended, if it did.
    fn exited(&self) -> Option<u64> {
        self.status.exit().map(|exit| exit.finished.unwrap_or(self.brief.started()))
    }

    /// The same in seconds, or when nothing ends.
    fn exited_at(&self) -> i64 {
        self.exited().map_or(NEVER, seconds)
    }

    fn started_at(&self) -> i64 {
        match self.brief.started() {
            0 => NEVER,
            started => seconds(started),
        }
    }

    fn age(&self) -> String {
        ago(select::moment(self.brief.created), self.now)
    }

    fn status(&self) -> String {
        shown_status(self.status, self.brief.started(), self.now)
    }

    /// Its labels by their keys, of which the last one counts.
    fn labels(&self) -> BTreeMap<&str, &str> {
        self.brief.labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
    }

    fn mounts(&self) -> Vec<String> {
        self.brief.mounts.iter().map(|mount| mount.destination.clone()).collect()
    }

    fn cidfile(&self) -> Cow<'_, str> {
        self.brief.cidfile.as_deref().map(Path::to_string_lossy).unwrap_or_default()
    }

    /// What a template sees.
    pub(super) fn value(self) -> Value {
        let row = Rc::new(self);
        let labelled = Rc::clone(&row);
        let label = move |arguments: &[Value]| {
            let key = arguments.first().map(Value::display).unwrap_or_default();
            Ok(labelled.labels().get(key.as_str()).copied().unwrap_or_default().into())
        };
        Struct::lazy("containers.psReporter", FIELDS, move |name| row.field(name))
            .method("Label", 1, label)
            .into()
    }

    fn field(&self, name: &str) -> Value {
        let created = select::moment(self.brief.created);
        match name {
            "AutoRemove" => self.brief.auto_remove.into(),
            "CIDFile" => self.cidfile().as_ref().into(),
            "Command" => shown_command(&self.brief.command, self.full).into(),
            "Created" => created.into(),
            "CreatedAt" => Value::from(created).display().into(),
            "CreatedHuman" | "RunningFor" => self.age().into(),
            "ExitCode" => self.exit_code().into(),
            "Exited" => self.exited().is_some().into(),
            "ExitedAt" => self.exited_at().into(),
            "ExposedPorts" => self.exposed_ports().into(),
            "ID" => self.shown_id().into(),
            "Image" => self.brief.image_name.as_str().into(),
            "ImageID" => self.cut(&self.image_id()).into(),
            "IsInfra" => false.into(),
            "Labels" => {
                let labels = self.labels();
                let labels = labels.iter().map(|(key, value)| format!("{key}={value}"));
                labels.collect::<Vec<_>>().join(",").into()
            }
            "Mounts" => self.mounts().into(),
            "Names" => self.brief.name.as_str().into(),
            "Namespaces" => self.all_namespaces().into(),
            "Pid" => self.pid().into(),
            "Networks" | "Pod" | "PodName" => "".into(),
            "Ports" => self.ports().into(),
            "Restarts" => "0".into(),
            "Size" => self.shown_size().into(),
            "StartedAt" => self.started_at().into(),
            "State" => self.status.word().into(),
            "Status" => self.status().into(),
            namespace => self.namespaces.get(namespace).cloned().unwrap_or_default().into(),
        }
    }

    /// The cell of a list. What cannot be read was written by nobody.
    fn ports(&self) -> String {
        let mut exposed = Exposed::default();
        for text in &self.brief.exposed {
            exposed.add(text).ok();
        }
        publish::listed(&self.brief.ports, &exposed)
    }

    /// What is exposed and not published: protocols by port.
    fn exposed_by_port(&self) -> BTreeMap<&str, Vec<&str>> {
        let mut all: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let published = publish::bindings(&self.brief.ports);
        for text in self.brief.exposed.iter().filter(|text| !published.contains_key(*text)) {
            let (port, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
            all.entry(port).or_default().push(protocol);
        }
        all
    }

    fn exposed_ports(&self) -> BTreeMap<String, String> {
        let words =
            |(port, protocols): (&str, Vec<&str>)| (port.to_owned(), format!("[{}]", protocols.join(" ")));
        self.exposed_by_port().into_iter().map(words).collect()
    }

    fn exposed_json(&self) -> Json {
        let exposed = self.exposed_by_port();
        if exposed.is_empty() { Json::Null } else { json!(exposed) }
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
        let namespaces: serde_json::Map<String, Json> =
            self.namespaces.iter().map(|(name, text)| ((*name).to_owned(), json!(text))).collect();
        let labels = self.labels();
        json!({
            "AutoRemove": self.brief.auto_remove,
            "Command": self.brief.command,
            "CreatedAt": self.age(),
            "CIDFile": self.cidfile(),
            "Exited": self.exited().is_some(),
            "ExitedAt": self.exited_at(),
            "ExitCode": self.exit_code(),
            "ExposedPorts": self.exposed_json(),
            "Id": self.id(),
            "Image": self.brief.image_name,
            "ImageID": self.image_id(),
            "IsInfra": false,
            "Labels": if labels.is_empty() { Json::Null } else { json!(labels) },
            "Mounts": self.mounts(),
            "Names": [self.brief.name],
            "Namespaces": namespaces,
            "Networks": [],
            "Pid": self.pid(),
            "Pod": "",
            "PodName": "",
            "Ports": if self.brief.ports.is_empty() { Json::Null } else { json!(self.brief.ports) },
            "Restarts": 0,
            "Size": self.size.map(|Size { own, all }| json!({ "rootFsSize": all, "rwSize": own })),
            "StartedAt": self.started_at(),
            "State": self.status.word(),
            "Status": self.status(),
            "Created": seconds(self.brief.created),
        })
    }
}

/// Nanoseconds since 1970 in seconds.
fn seconds(nanos: u64) -> i64 {
    i64::try_from(nanos / 1_000_000_000).unwrap_or(i64::MAX)
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
