//! One container on its way: what it is to be called, its maps, its record, and then its start.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use ctr_core::file::FileError;
use ctr_core::oci::RunConfig;
use ctr_core::rooted::Root;
use ctr_net::publish::bind::Bound;
use ctr_store::Image;
use ctr_userns::entry::Begun;
use ctr_userns::level_a::LevelA;
use ctr_userns::level_b::{self, Choice, Given, Plan};
use ctr_userns::map::IdMaps;
use ctr_userns::ranges::Files as IdFiles;

use super::join::{Joined, Target};
use super::share::Shares;
use super::start::{Settled, Start, Started};
use super::streams::Streams;
use super::{Host, Note, RunError, accounts, record, root};
use crate::containers::{Claim, Containers, Kind};
use crate::dependencies::Marked;
use crate::happened::Who;
use crate::namespaces::Mode;
use crate::request::Request;
use crate::volumes::Naming;

/// What is spared as long as no record says by whom it is used: images and volumes, and containers that are needed.
pub(super) type Reading = (Naming, Marked);

/// One container on its way.
#[derive(Debug)]
pub(super) struct Container<'a> {
    pub(super) host: Host<'a>,
    pub(super) request: &'a Request,
    pub(super) image: Option<&'a Image>,
    pub(super) paths: &'a OwnPaths,
    pub(super) claim: &'a Claim,
    /// Of images that are mounted.
    pub(super) more_layers: &'a [ctr_core::Digest],
    /// The command waits until somebody starts it.
    pub(super) waits: bool,
    /// Of its published ports.
    pub(super) sockets: &'a [Bound],
    /// The file for its frames.
    pub(super) capture: Option<&'a OwnedFd>,
}

impl Container<'_> {
    /// The image's part of the configuration.
    pub(super) fn config(&self) -> &RunConfig {
        static NONE: std::sync::LazyLock<RunConfig> = std::sync::LazyLock::new(RunConfig::default);
        self.image.map_or(&NONE, |image| &image.config.config)
    }

    /// Who it is to those who read events.
    pub(super) fn who(&self) -> Who {
        Who {
            id: self.claim.id.to_string(),
            name: self.claim.name.clone(),
            image: self.image.map(|image| record::image_name(image, self.request)).unwrap_or_default(),
            labels: crate::happened::labels(self.image, self.request),
        }
    }

    /// Decides about ids and makes the container visible.
    pub(super) fn publish_in_u(
        &self,
        choice: &Choice,
        begun: &Begun,
        reading: Reading,
    ) -> Result<Plan, RunError> {
        let containers = Containers::new(self.host.dirs);
        let auto = is_auto(choice);
        // Two that look for free ids must see each other's records.
        let alone = if auto { Some(containers.choosing_ids()?) } else { None };
        let plan = self.plan(choice, begun, &containers)?;
        self.publish(Some(&plan))?;
        // From here on the record spares the image's layers, and what is needed.
        drop((alone, reading));
        Ok(plan)
    }

    /// The same where the user namespace is there already. Its map is known only in A, which can look into it.
    pub(super) fn publish_in_a(
        &self,
        target: Target,
        shares: &Shares,
        begun: Begun,
        reading: Reading,
    ) -> Result<(LevelA, Joined), RunError> {
        let a = begun.finish()?;
        let mut joined = target.open(&Containers::new(self.host.dirs), &a)?;
        shares.open(&mut joined)?;
        shares.enter(&a)?;
        self.publish(Some(&joined.plan))?;
        drop(reading);
        Ok((a, joined))
    }

    /// Decides about ids.
    pub(super) fn plan(
        &self,
        choice: &Choice,
        begun: &Begun,
        containers: &Containers,
    ) -> Result<Plan, RunError> {
        let a = begun.maps();
        let auto = is_auto(choice);
        let in_use = if auto { containers.maps()? } else { Vec::new() };
        let given = Given {
            a,
            user: user_ids(a),
            root_of_host: begun.root_of_host(),
            ids_of_image: if auto { root::highest_id(self.host.store, self.image, a)? } else { 0 },
            auto_sizes: {
                let (least, most) = self.request.userns.auto_sizes;
                (least.unwrap_or(level_b::AUTO_SIZES.0), most.unwrap_or(level_b::AUTO_SIZES.1))
            },
            in_use: &in_use,
            files: &IdFiles::default(),
        };
        Ok(level_b::plan(choice, &given)?)
    }

    /// Makes the container visible.
    pub(super) fn publish(&self, plan: Option<&Plan>) -> Result<(), RunError> {
        self.claim.publish(&record::make(self, plan, &self.hostname())?)?;
        OwnPaths::write(self.paths.cid.as_ref(), self.claim.id.as_str())
    }

    /// Its writable layer goes with its end.
    pub(super) fn goes_with_its_end(&self) -> bool {
        self.claim.kind == Kind::Fleeting || self.request.auto_remove
    }

    /// Nothing of its root is ever flushed, since it is thrown away, with the container or with the boot.
    pub(super) fn is_volatile(&self) -> bool {
        self.claim.kind == Kind::Transient || self.goes_with_its_end()
    }

    /// The container's name for itself.
    pub(super) fn hostname(&self) -> String {
        let modes = &self.request.namespaces;
        match &self.request.hostname {
            Some(name) => name.clone(),
            None if modes.uts == Mode::Host || modes.has_network_of_machine() => {
                rustix::system::uname().nodename().to_string_lossy().into_owned()
            }
            None => self.own_hostname(),
        }
    }

    fn own_hostname(&self) -> String {
        let name =
            self.claim.name.chars().filter(|next| next.is_ascii_alphanumeric() || matches!(next, '-' | '.'));
        let name: String = name.take(64).collect();
        if self.request.name_as_hostname && crate::hosts::check_hostname(&name).is_ok() {
            return name;
        }
        self.claim.id.short().to_owned()
    }

    /// In A: everything from the first process to the running command. `before` happens right before that process is
    /// cloned.
    pub(super) fn start<W>(
        &self,
        a: &LevelA,
        plan: &Plan,
        joined: Option<&Joined>,
        streams: Streams,
        before: impl FnOnce(&Streams) -> Result<W, RunError>,
        note: &mut dyn FnMut(Note),
    ) -> Result<(Started, W), RunError> {
        let (start, watch) = Start::begin(self, a, plan, joined, streams, before)?;
        let root = Root::from_dir(root::mount(self, a, plan, note)?);
        let mut accounts = accounts::read(&root)?;
        let of_host = self.users_of_host()?;
        if accounts::add_of_host(&root, &accounts, &of_host, &self.request.passwd)? {
            accounts = accounts::read(&root)?;
        }
        let identity = self.identity(plan, &accounts)?;
        let newcomer = self.newcomer(plan, &identity, a);
        accounts::add(&root, &accounts, &identity, &newcomer, &self.request.passwd)?;
        let who = Settled {
            more_groups: self.request.process.groups.ids(&accounts)?,
            home: newcomer.home,
            identity,
        };
        Ok((start.finish(a, &root, &who, note)?, watch))
    }
}

pub(super) fn is_auto(choice: &Choice) -> bool {
    matches!(choice, Choice::Mode(level_b::Mode::Auto { .. }))
}

/// The user's ids in U, who is 0 in A.
fn user_ids(a: &IdMaps) -> (u32, u32) {
    (a.uid.to_outer(0).unwrap_or_default(), a.gid.to_outer(0).unwrap_or_default())
}

/// Files that the user asked us to write, removed with the container.
#[derive(Debug)]
pub(super) struct OwnPaths {
    pub(super) cid: Option<PathBuf>,
    pub(super) pid: Option<PathBuf>,
}

impl OwnPaths {
    pub(super) fn of(request: &Request) -> Result<Self, RunError> {
        let absolute =
            |path: &PathBuf| std::path::absolute(path).map_err(|error| FileError::new("write", path, error));
        Ok(Self {
            cid: request.cidfile.as_ref().map(absolute).transpose()?,
            pid: request.pidfile.as_ref().map(absolute).transpose()?,
        })
    }

    pub(super) fn write(path: Option<&PathBuf>, text: &str) -> Result<(), RunError> {
        let Some(path) = path else { return Ok(()) };
        Ok(std::fs::write(path, text).map_err(|error| FileError::new("write", path, error))?)
    }

    pub(super) fn remove(&self) -> Result<(), RunError> {
        let mut paths = self.cid.iter().chain(&self.pid);
        Ok(paths.try_for_each(|path| ctr_core::atomic::remove(path))?)
    }
}
