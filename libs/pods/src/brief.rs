//! What lists show of a container and filters ask for: little enough that a thousand are read at a glance.

use std::path::PathBuf;

use ctr_core::id::ContainerId;
use ctr_core::process::{Identity, Serial};
use ctr_net::publish::Mapping;
use ctr_store::ImageId;
use serde::{Deserialize, Serialize};

use crate::containers::Container;
use crate::freezer;
use crate::record::{Ending, State, Time};
use crate::status::Evidence;

/// A container in brief.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Brief {
    /// Who it is.
    pub id: ContainerId,
    /// What people call it.
    pub name: String,
    /// When it was made.
    pub created: Time,
    /// It goes away when it ends.
    #[serde(default, skip_serializing_if = "is_false")]
    pub auto_remove: bool,
    /// Its image.
    pub image: Option<ImageId>,
    /// The name that image was found by.
    pub image_name: String,
    /// What runs.
    pub command: Vec<String>,
    /// Metadata.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<(String, String)>,
    /// What is mounted beyond the image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<MountBrief>,
    /// What it publishes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Mapping>,
    /// What it exposes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exposed: Vec<String>,
    /// Its network.
    pub network: String,
    /// `--cidfile`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cidfile: Option<PathBuf>,
    /// Its last start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Start>,
    /// It was started, and what is written of that cannot be read.
    #[serde(default, skip_serializing_if = "is_false")]
    pub damaged: bool,
    /// It was frozen once: it may be now.
    #[serde(default, skip_serializing_if = "is_false")]
    pub was_frozen: bool,
    /// How its last start ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ending: Option<Ending>,
}

/// Something mounted into a container, in brief.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountBrief {
    /// On the host.
    pub source: String,
    /// In the container.
    pub destination: String,
    /// The volume that it is.
    pub volume: Option<String>,
}

/// The last start of a container, in brief.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// Its init.
    pub init: Identity,
    /// The kernel's number for it.
    pub serial: Option<Serial>,
    /// When it was started.
    pub at: Time,
    /// Its command is not running yet.
    #[serde(default, skip_serializing_if = "is_false")]
    pub waiting: bool,
    /// Its control group.
    pub cgroup: Option<PathBuf>,
}

/// What need not be said.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}

impl Brief {
    /// A container in brief.
    #[must_use]
    pub fn of(container: &Container) -> Self {
        let Container { record, state, damaged, ending, .. } = container;
        let mount = |mount: &crate::record::MountRecord| MountBrief {
            source: mount.source.clone(),
            destination: mount.destination.clone(),
            volume: mount.volume.clone(),
        };
        Self {
            id: record.id.clone(),
            name: record.name.clone(),
            created: record.created,
            auto_remove: record.auto_remove,
            image: record.image,
            image_name: record.image_name.clone(),
            command: record.process.args.clone(),
            labels: record.labels.clone(),
            mounts: record.mounts.iter().map(mount).collect(),
            ports: record.ports.clone(),
            exposed: record.exposed.clone(),
            network: record.host.network.clone(),
            cidfile: record.cidfile.clone(),
            start: state.as_ref().map(Start::of),
            damaged: *damaged,
            was_frozen: freezer::was_frozen(&container.folder),
            ending: *ending,
        }
    }

    /// When it was started last; 0 is never.
    #[must_use]
    pub fn started(&self) -> Time {
        self.start.as_ref().map_or(0, |start| start.at)
    }

    pub(crate) fn evidence(&self) -> Evidence<'_> {
        Evidence {
            damaged: self.damaged,
            ending: self.ending,
            init: self.start.as_ref().map(|start| (&start.init, start.serial)),
            waiting: self.start.as_ref().is_some_and(|start| start.waiting),
            cgroup: self.start.as_ref().and_then(|start| start.cgroup.as_deref()),
        }
    }
}

impl Start {
    fn of(state: &State) -> Self {
        Self {
            init: state.init.clone(),
            serial: state.serial,
            at: state.started,
            waiting: state.waiting,
            cgroup: state.cgroup.clone(),
        }
    }
}
