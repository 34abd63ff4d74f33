//! A fleeting container: this process is its parent, waits for it, and removes everything.

use std::borrow::Cow;
use std::os::fd::AsFd;

use ctr_core::lock::{Lock, Waiting};
use ctr_net::control::Netd;
use ctr_net::publish::bind::{Bound, Ports};
use ctr_store::Image;
use ctr_userns::level_a::LevelA;
use ctr_userns::level_b::{Choice, Plan};

use super::capture;
use super::container::{Container, OwnPaths};
use super::join::{Joined, Target};
use super::kept::open_folder;
use super::network::{Network, Tended};
use super::share::Shares;
use super::streams::Streams;
use super::{
    Host, Note, RunError, check_preserved, check_subscriptions, enter, find, flags, now, root, settle_ports,
};
use crate::containers::{Containers, Kind};
use crate::dependencies;
use crate::namespaces::Mode;
use crate::network::VERB;
use crate::ports::{PortsRequest, When};
use crate::request::Request;
use crate::supervise::{End, Rules, Waited, Watch};
use crate::volumes::{self as all_volumes, Found};

/// Runs a container and removes it.
///
/// # Errors
/// It could not be started, or its end could not be learned; everything that was made is removed all the same.
pub fn foreground(host: Host<'_>, request: &Request, note: &mut dyn FnMut(Note)) -> Result<End, RunError> {
    let mut request = Cow::Borrowed(request);
    if dependencies::has_any(&request) {
        dependencies::settle(request.to_mut(), &Containers::new(host.dirs))?;
    }
    check_preserved(&request.process.preserve_fds)?;
    let choice = flags(&request).choose()?;
    let containers = Containers::new(host.dirs);
    let is_sharing =
        request.namespaces.owners().next().is_some() || matches!(request.namespaces.network, Mode::Path(_));
    let shares = match is_sharing {
        true => Shares::find(&containers, request.to_mut())?,
        false => Shares::default(),
    };
    let target = shares.target(&choice)?;
    let request = &*request;
    let reading = host.store.reading(&mut |waiting| note(Note::Waiting(waiting.clone())))?;
    let image = find(host, request)?;
    let mut request = Cow::Borrowed(request);
    let ports = match request.ports == PortsRequest::default() {
        true => Ports::default(),
        false => settle_ports(request.to_mut(), image.as_ref(), When::Now, &containers, note)?,
    };
    let (settled, found) = all_volumes::settle(host.store, &containers, &request, image.as_ref(), now())?;
    let parts = (found, &*ports.sockets);
    let result =
        with_volumes(host, &settled, image.as_ref(), parts, reading, (&choice, target, &shares), note);
    let names: Vec<String> = all_volumes::names(&settled.storage.mounts).map(str::to_owned).collect();
    let discarded = all_volumes::discard(host.store, &names);
    let end = result?;
    discarded.map(|()| end).map_err(RunError::from)
}

/// The same with nothing left to decide about volumes.
fn with_volumes(
    host: Host<'_>,
    request: &Request,
    image: Option<&Image>,
    (found, sockets): (Found, &[Bound]),
    reading: Lock,
    (choice, target, shares): (&Choice, Option<Target>, &Shares),
    note: &mut dyn FnMut(Note),
) -> Result<End, RunError> {
    check_subscriptions(request)?;
    let capture = capture::open(request)?;
    let begun = enter(host, note)?;
    let paths = OwnPaths::of(request)?;
    let containers = Containers::new(host.dirs);
    let claim = containers.claim(Kind::Fleeting, request.name.as_deref())?;
    let mut on_wait = |waiting: &Waiting| note(Note::Waiting(waiting.clone()));
    let marked = match dependencies::mark(&containers, request, &claim.id, &mut on_wait) {
        Ok(marked) => marked,
        Err(error) => {
            claim.discard()?;
            return Err(error.into());
        }
    };
    let Found { layers, held } = found;
    let reading = ((reading, held), marked);
    let container = Container {
        host,
        request,
        image,
        paths: &paths,
        claim: &claim,
        more_layers: &layers,
        waits: false,
        sockets,
        capture: capture.as_ref(),
    };
    let rules = Rules { proxy: request.sig_proxy, timeout: request.timeout, terminal: false };
    note(Note::Made(container.who()));
    let result = match target {
        None => container.publish_in_u(choice, &begun, reading).and_then(|plan| {
            let a = begun.finish()?;
            shares.enter(&a)?;
            container.foreground(&a, &plan, None, rules, note)
        }),
        Some(target) => container
            .publish_in_a(target, shares, begun, reading)
            .and_then(|(a, joined)| container.foreground(&a, &joined.plan, Some(&joined), rules, note)),
    };
    let removed = paths.remove().and(claim.discard().map_err(RunError::from));
    let end = result?;
    removed.map(|()| end)
}

impl Container<'_> {
    /// From a decision about ids to the end.
    fn foreground(
        &self,
        a: &LevelA,
        plan: &Plan,
        joined: Option<&Joined>,
        rules: Rules,
        note: &mut dyn FnMut(Note),
    ) -> Result<End, RunError> {
        let streams = Streams::inherited(self.request.process.interactive)?;
        let (started, watch) = self.start(a, plan, joined, streams, |_| Ok(Watch::begin(rules)?), note)?;
        note(Note::Running(self.who()));
        root::tidy(self);
        let waited = Waited::alone(started.running.pidfd.as_fd());
        let Some(Network { netd, succession, .. }) = started.network else {
            return Ok(watch.wait(waited, None, None)?);
        };
        let arguments = Netd::arguments(VERB);
        let folder = open_folder(&self.claim.dir)?;
        let mut network = Tended::new(netd, (&succession, &arguments), folder, note)?;
        let end = watch.wait(waited, None, Some(&mut network));
        network.end();
        Ok(end?)
    }
}
