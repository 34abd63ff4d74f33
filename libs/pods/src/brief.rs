//! What lists show of a container and filters ask for: little enough that a thousand are read at a glance.

use std::path::PathBuf;

use ctr_core::id::ContainerId;
use ctr_core::process::{Identity, Serial};
use ctr_store::ImageId;
use serde::{Deserialize, Serialize};

use crate::containers::Container;
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
    pub auto_remove: bool,
    /// Its image.
    pub image: Option<ImageId>,
    /// The name that image was found by.
    pub image_name: String,
    /// What runs.
    pub command: Vec<String>,
    /// Metadata.
    pub labels: Vec<(String, String)>,
    /// What is mounted beyond the image.
    pub mounts: Vec<MountBrief>,
    /// Its network.
    pub network: String,
    /// `--cidfile`.
    pub cidfile: Option<PathBuf>,
    /// Its last start.
    pub start: Option<Start>,
    /// It was started, and what is written of that cannot be read.
    pub damaged: bool,
    /// How that ended.
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
    pub waiting: bool,
    /// Its control group.
    pub cgroup: Option<PathBuf>,
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
            network: record.host.network.clone(),
            cidfile: record.cidfile.clone(),
            start: state.as_ref().map(Start::of),
            damaged: *damaged,
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
