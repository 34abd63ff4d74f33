//! One event, and how it is written.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::time::Timestamp;

/// Names of an enumeration's values.
macro_rules! named {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $value:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$doc])* #[serde(rename = $text)] $value,)*
        }

        impl $name {
            /// Every one of them.
            pub const ALL: &[Self] = &[$(Self::$value,)*];

            /// As podman calls it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$value => $text,)* }
            }
        }
    };
}

named! {
    /// What an event is about.
    Kind {
        /// An artifact.
        Artifact = "artifact",
        /// A container.
        Container = "container",
        /// An image.
        Image = "image",
        /// A machine.
        Machine = "machine",
        /// A network.
        Network = "network",
        /// A pod.
        Pod = "pod",
        /// A secret.
        Secret = "secret",
        /// All of it.
        System = "system",
        /// A volume.
        Volume = "volume",
    }
}

named! {
    /// What happened.
    Status {
        /// Somebody listens to a container.
        Attach = "attach",
        /// An image was renewed by itself.
        AutoUpdate = "auto-update",
        /// An image was built.
        Build = "build",
        /// A container was frozen to disk.
        Checkpoint = "checkpoint",
        /// What an ended container held is freed.
        Cleanup = "cleanup",
        /// An image was made of a container.
        Commit = "commit",
        /// A container is on a network.
        Connect = "connect",
        /// Files were copied.
        Copy = "copy",
        /// It was made.
        Create = "create",
        /// A container ended.
        Died = "died",
        /// A container left a network.
        Disconnect = "disconnect",
        /// A command was started in a container.
        Exec = "exec",
        /// Such a command ended.
        ExecDied = "exec_died",
        /// Files of it were written to an archive.
        Export = "export",
        /// A health check was made.
        HealthStatus = "health_status",
        /// Its history was asked for.
        History = "history",
        /// It was made of an archive.
        Import = "import",
        /// A container is ready to start.
        Init = "init",
        /// A container got a signal.
        Kill = "kill",
        /// An image was loaded.
        Load = "loadfromarchive",
        /// Its files can be seen.
        Mount = "mount",
        /// A container was halted.
        Pause = "pause",
        /// Unused ones were removed.
        Prune = "prune",
        /// An image came from a registry.
        Pull = "pull",
        /// An image did not come.
        PullError = "pull-error",
        /// An image was sent to a registry.
        Push = "push",
        /// State was renewed after a boot.
        Refresh = "refresh",
        /// It went away.
        Remove = "remove",
        /// It has another name.
        Rename = "rename",
        /// Locks were numbered anew.
        Renumber = "renumber",
        /// It was stopped and started.
        Restart = "restart",
        /// A container came back from disk.
        Restore = "restore",
        /// This log was rotated.
        Rotate = "log-rotation",
        /// An image was written to an archive.
        Save = "save",
        /// A container runs.
        Start = "start",
        /// A container was asked to end.
        Stop = "stop",
        /// State was compared with the kernel's.
        Sync = "sync",
        /// An image has one name more.
        Tag = "tag",
        /// Its files can no longer be seen.
        Unmount = "unmount",
        /// A container goes on.
        Unpause = "unpause",
        /// An image has one name less.
        Untag = "untag",
        /// Its limits were changed.
        Update = "update",
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// To what.
    pub kind: Kind,
    /// What.
    pub status: Status,
    /// When.
    pub time: Timestamp,
    /// The id of the container, image, …; empty where there is none, as in all texts here.
    pub id: String,
    /// Its name.
    pub name: String,
    /// A container's image.
    pub image: String,
    /// The name of the network.
    pub network: String,
    /// The pod.
    pub pod_id: String,
    /// What a container ended with.
    pub exit_code: Option<i32>,
    /// Whether it ran out of memory.
    pub oom_killed: Option<bool>,
    /// How healthy it is.
    pub health_status: String,
    /// Why something did not come about.
    pub error: String,
    /// What `inspect` says of a container just made, if that was asked for.
    pub inspect: String,
    /// Labels, and whatever else there is to say.
    pub attributes: Vec<(String, String)>,
}

impl Event {
    /// Something that happened just now.
    #[must_use]
    pub fn now(kind: Kind, status: Status) -> Self {
        Self {
            kind,
            status,
            time: Timestamp::now(),
            id: String::new(),
            name: String::new(),
            image: String::new(),
            network: String::new(),
            pod_id: String::new(),
            exit_code: None,
            oom_killed: None,
            health_status: String::new(),
            error: String::new(),
            inspect: String::new(),
            attributes: Vec::new(),
        }
    }

    /// Says to which object it happened.
    #[must_use]
    pub fn of(mut self, id: impl Into<String>, name: impl Into<String>) -> Self {
        (self.id, self.name) = (id.into(), name.into());
        self
    }

    /// Says which image the container has.
    #[must_use]
    pub fn with_image(mut self, image: impl Into<String>) -> Self {
        self.image = image.into();
        self
    }

    /// Says what the container ended with.
    #[must_use]
    pub const fn with_exit_code(mut self, code: i32) -> Self {
        self.exit_code = Some(code);
        self
    }

    /// Adds labels.
    #[must_use]
    pub fn with_attributes<K: Into<String>, V: Into<String>>(
        mut self,
        attributes: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        self.attributes.extend(attributes.into_iter().map(|(key, value)| (key.into(), value.into())));
        self
    }

    /// The event as one line, with its end.
    pub(super) fn line(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        serde_json::to_writer(&mut *out, &Line::from(self))?;
        out.push(b'\n');
        Ok(())
    }

    /// Reads a line, with or without its end.
    ///
    /// # Errors
    /// It is no event that is known here.
    pub fn parse(line: &[u8]) -> serde_json::Result<Self> {
        let line: Line = serde_json::from_slice(line)?;
        let time = Timestamp::parse(&line.time).map_err(<serde_json::Error as serde::de::Error>::custom)?;
        let mut event = Self { time, ..Self::now(line.kind, line.status) };
        (event.id, event.name, event.image) = (line.id, line.name, line.image);
        (event.network, event.pod_id, event.error) = (line.network, line.pod_id, line.error);
        (event.exit_code, event.oom_killed) = (line.exit_code, line.oom_killed);
        (event.health_status, event.inspect) = (line.health_status, line.inspect);
        let text = |(key, value): (String, Value)| match value {
            Value::String(text) => (key, text),
            other => (key, other.to_string()),
        };
        event.attributes = line.attributes.unwrap_or_default().into_iter().map(text).collect();
        Ok(event)
    }
}

/// An event in podman's file, its keys in podman's order.
#[derive(Debug, Serialize, Deserialize)]
struct Line {
    #[serde(rename = "ContainerExitCode", default, skip_serializing_if = "Option::is_none")]
    exit_code: Option<i32>,
    #[serde(rename = "OOMKilled", default, skip_serializing_if = "Option::is_none")]
    oom_killed: Option<bool>,
    #[serde(rename = "ID", default, skip_serializing_if = "String::is_empty")]
    id: String,
    #[serde(rename = "Image", default, skip_serializing_if = "String::is_empty")]
    image: String,
    #[serde(rename = "Name", default, skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    network: String,
    #[serde(rename = "Status")]
    status: Status,
    #[serde(rename = "Time")]
    time: String,
    #[serde(rename = "Type")]
    kind: Kind,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    health_status: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    error: String,
    #[serde(rename = "ContainerInspectData", default, skip_serializing_if = "String::is_empty")]
    inspect: String,
    #[serde(rename = "PodID", default, skip_serializing_if = "String::is_empty")]
    pod_id: String,
    #[serde(rename = "Attributes", default)]
    attributes: Option<Map<String, Value>>,
}

impl From<&Event> for Line {
    fn from(event: &Event) -> Self {
        let mut attributes: Vec<&(String, String)> = event.attributes.iter().collect();
        attributes.sort();
        let attributes =
            attributes.into_iter().map(|(key, value)| (key.clone(), Value::from(value.as_str()))).collect();
        Self {
            exit_code: event.exit_code,
            oom_killed: event.oom_killed,
            id: event.id.clone(),
            image: event.image.clone(),
            name: event.name.clone(),
            network: event.network.clone(),
            status: event.status,
            time: event.time.rfc3339(),
            kind: event.kind,
            health_status: event.health_status.clone(),
            error: event.error.clone(),
            inspect: event.inspect.clone(),
            pod_id: event.pod_id.clone(),
            // A container has labels, be there none; others have nothing to have.
            attributes: (event.kind == Kind::Container || !event.attributes.is_empty()).then_some(attributes),
        }
    }
}
