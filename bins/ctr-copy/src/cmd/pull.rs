//! `pull`: images from registries, or any other place, into the store.
//!
//! A name is looked for in the store first, since what it means there is what it means. What it may mean else registries.conf
//! says; each candidate is tried in turn, and if none does, all is told.

mod names;

use std::io::IsTerminal as _;

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::report::{CommandError, chain};
use ctr_cli::usage::{Arity, Flag, Verb};
use ctr_core::events::{Event, Kind, Status};
use ctr_core::reference::Spelling;
use ctr_core::{Platform, Reference};
use ctr_registry::config::policy::Policy;
use ctr_registry::source::RemoteImage;
use ctr_store::copy::store_sink::StoreSink;
use ctr_store::copy::watch::Heard;
use ctr_store::copy::watch::{News, Watcher};
use ctr_store::copy::{Choice, Options, Sink, copy};
use ctr_store::ingest::Ingest;
use ctr_store::refs::Target;
use ctr_store::session::Session;
use ctr_store::transport::{Offer, Place, PlaceError, Source};
use ctr_store::{Image, Store};

use super::load::parallel;
use crate::context::{Context, told};
use crate::error::{of, of_copy, of_registry, of_resolve};
use crate::lines::Lines;
use crate::places::Origin;
use crate::policy;
use crate::registries::{Access, Registries};
use names::Meant;

pub(super) const VERB: Verb = Verb::new("[options] IMAGE [IMAGE...]", "Pull an image from a registry")
    .long("Pulls an image from a registry and stores it locally.\n\nAn image can be pulled by tag or digest. If a tag is not specified, the image with the 'latest' tag is pulled.")
    .examples(&["pull quay.io/team/app:1", "pull --platform linux/arm64 docker.io/library/debian:12"])
    .flags(&[
        Flag::bool("all-tags", "All tagged images in the repository will be pulled").short('a'),
        Flag::string("arch", "Use `ARCH` instead of the architecture of the machine for choosing images"),
        Flag::path("authfile", "Path of the authentication file. Use REGISTRY_AUTH_FILE environment variable to override"),
        Flag::path("cert-dir", "`Pathname` of a directory containing TLS certificates and keys"),
        Flag::string("creds", "`Credentials` (USERNAME:PASSWORD) to use for authenticating to a registry"),
        Flag::bool("disable-content-trust", "This is a Docker specific option and is a NOOP"),
        Flag::string("os", "Use `OS` instead of the running OS for choosing images"),
        Flag::string("platform", "Specify the platform for selecting the image.  (Conflicts with arch and os)"),
        Flag::string("policy", "Pull image policy (\"always\"|\"missing\"|\"never\"|\"newer\")").default("always"),
        Flag::bool("quiet", "Suppress output information when pulling images").short('q'),
        Flag::uint("retry", "number of times to retry in case of failure when performing pull"),
        Flag::duration("retry-delay", "delay between retries in case of pull failures"),
        Flag::path("signature-policy", "`Pathname` of signature policy file (not usually used)").hidden(),
        Flag::bool("tls-verify", "Require HTTPS and verify certificates when contacting registries").default("true"),
        Flag::string("variant", "Use VARIANT instead of the running architecture variant for choosing images"),
    ])
    .refuses(&[&["decryption-key"]])
    .arity(Arity::AtLeast(1));

pub(super) fn run(call: &Call) -> Result<Exit, CommandError> {
    let texts = call.flags.texts()?;
    let pull = Pull::new(call)?;
    let mut errors = Vec::new();
    for text in texts {
        match pull.pull(text) {
            Ok(images) => {
                for id in images {
                    call.ui.line(&id)?;
                }
            }
            Err(error) => {
                let event = Event::now(Kind::Image, Status::PullError).of(String::new(), text.to_owned());
                let event = Event { error: error.to_string(), ..event };
                pull.context.log(&call.ui, &[event]);
                errors.push(error);
            }
        }
    }
    CommandError::several(errors).map_or(Ok(Exit::SUCCESS), Err)
}

/// When an image that is here is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Always,
    Missing,
    Newer,
    Never,
}

impl When {
    fn parse(text: &str) -> Result<Self, CommandError> {
        Ok(match text.to_ascii_lowercase().as_str() {
            "always" => Self::Always,
            "missing" | "ifmissing" | "ifnotpresent" | "" => Self::Missing,
            "newer" | "ifnewer" => Self::Newer,
            "never" => Self::Never,
            _ => return Err(CommandError::usage(format!("unsupported pull policy {text:?}"))),
        })
    }
}

/// What the flags say.
struct Pull<'a> {
    call: &'a Call,
    context: Context,
    store: Store,
    registries: Registries,
    access: Access,
    policy: Policy,
    when: When,
    /// The platform, if one is asked for.
    platform: Option<Platform>,
}

impl<'a> Pull<'a> {
    fn new(call: &'a Call) -> Result<Self, CommandError> {
        let platform = platform(call)?;
        let when = When::parse(call.flags.string("policy"))?;
        let access = Access::of(call, "")?;
        let context = Context::new(&call.globals)?;
        Ok(Self {
            store: context.store()?,
            context,
            registries: Registries::new(call)?,
            access,
            policy: policy::policy(call)?,
            // What is here may be said to be for another platform than it is.
            when: if platform.is_some() && when == When::Missing { When::Newer } else { when },
            platform,
            call,
        })
    }

    /// What is told of one image.
    fn lines(&self) -> Lines<'a> {
        Lines::new(&self.call.ui, self.call.flags.bool("quiet"))
    }

    /// Pulls what one word names; returns the images' ids.
    fn pull(&self, text: &str) -> Result<Vec<String>, CommandError> {
        let all = self.call.flags.bool("all-tags");
        let images = match Place::parse(text) {
            Ok(Place::Registry(reference)) if all => self.all_tags(&[reference])?,
            Ok(Place::Registry(reference)) => vec![self.named(&reference.to_string())?],
            Ok(_) if all => {
                let transport = text.split(':').next().unwrap_or(text);
                return Err(CommandError::usage(format!(
                    "pulling all tags is not supported for {transport} transport"
                )));
            }
            Ok(place) => vec![self.elsewhere(&place, text)?],
            // `docker:latest` is an image of that name too.
            Err(
                PlaceError::NoTransport { .. } | PlaceError::Unknown { .. } | PlaceError::NoSlashes { .. },
            ) => {
                if all {
                    self.all_tags(&self.meant(text)?.references)?
                } else {
                    vec![self.named(text)?]
                }
            }
            Err(error) => return Err(of(error)),
        };
        let ids: Vec<_> = images.iter().map(|image| image.id.to_string()).collect();
        let events = ids.iter().map(|id| (id.clone(), text.to_owned()));
        self.context.happened(&self.call.ui, Status::Pull, events);
        Ok(ids)
    }

    /// What a name may mean.
    fn meant(&self, text: &str) -> Result<Meant, CommandError> {
        let spelling = Spelling::parse(text)
            .map_err(|error| CommandError::usage(format!("parsing reference {text:?}: {error}")))?;
        names::meant(self.call, &self.registries, &spelling)
    }

    /// Pulls an image by its name.
    fn named(&self, text: &str) -> Result<Image, CommandError> {
        let mut when = self.when;
        let local = match self.store.resolve(text, self.platform.as_ref()) {
            Ok(image) => Some(image),
            Err(error) if when == When::Never => return Err(of_resolve(error)),
            Err(error) if error.is_unknown() => None,
            Err(error) => {
                self.call.ui.warn(&format!("{}; it is pulled again", chain(&error)));
                None
            }
        };
        let known = local.as_ref().and_then(|image| image.name.clone());
        match local {
            Some(image) if matches!(when, When::Never | When::Missing) => return Ok(image),
            Some(image) if known.is_none() => {
                if when == When::Always {
                    let error =
                        format!("pull policy is always but image has been referred to by ID ({text})");
                    return Err(CommandError::usage(error));
                }
                return Ok(image);
            }
            None if when == When::Newer => when = When::Missing,
            _ => {}
        }
        // What it means here is what it means.
        let meant = match known.filter(|_| self.platform.is_none()) {
            Some(name) => self.meant(&name.to_string()),
            None => self.meant(text),
        };
        match (meant, local) {
            (Err(_), Some(image)) if when == When::Newer => Ok(image),
            (Err(error), _) => Err(error),
            (Ok(meant), local) => self.first_of(&meant, when, local),
        }
    }

    /// Pulls the first of several candidates that can be had.
    fn first_of(&self, meant: &Meant, when: When, local: Option<Image>) -> Result<Image, CommandError> {
        let mut errors = Vec::new();
        for candidate in &meant.references {
            if when == When::Missing
                && let Ok(image) = self.store.resolve(&candidate.to_string(), self.platform.as_ref())
            {
                return Ok(image);
            }
            match self.candidate(candidate, when == When::Newer && local.is_some(), &meant.said) {
                Ok(Some(image)) => {
                    meant.remember(self.call, &self.registries, candidate);
                    return Ok(image);
                }
                Ok(None) => {}
                Err(error) => errors.push(error),
            }
        }
        match local {
            Some(image) if when == When::Newer => Ok(image),
            _ => Err(names::none_of(errors)),
        }
    }

    /// Pulls all that a repository has: the first that has any.
    fn all_tags(&self, candidates: &[Reference]) -> Result<Vec<Image>, CommandError> {
        let mut errors = Vec::new();
        for Reference { name, .. } in candidates {
            let registry = self.registries.registry(name, &self.access)?;
            match registry.tags(name.path()) {
                Ok(tags) => {
                    let named = |tag: &String| self.named(&format!("{name}:{tag}"));
                    return tags.iter().map(named).collect();
                }
                Err(error) => errors.push(of_registry(error)),
            }
        }
        Err(names::none_of(errors))
    }

    /// Pulls an image by its whole name; with `only_newer` nothing if what is here is what is there.
    fn candidate(
        &self,
        name: &Reference,
        only_newer: bool,
        said: &str,
    ) -> Result<Option<Image>, CommandError> {
        policy::check(&self.policy, &Place::Registry(name.clone()))?;
        let trying = || {
            if !said.is_empty() {
                self.lines().say(said);
            }
            self.lines().say(&format!("Trying to pull {name}..."));
        };
        if !only_newer {
            trying();
        }
        let remote = self.registries.image(name, &self.access)?;
        if let Some(image) = self.same(name, &remote)? {
            if only_newer {
                return Ok(None);
            }
            self.tell(&image)?;
            return Ok(Some(image));
        }
        if only_newer {
            trying();
        }
        let offer = remote.offer().map_err(of_registry)?;
        self.take(&remote, &offer, std::slice::from_ref(name), &format!("docker://{name}")).map(Some)
    }

    /// The image of a name, if it is the one that its registry has: one question instead of many. If it was found by its digest
    /// alone, it gets the name.
    fn same(&self, name: &Reference, remote: &RemoteImage) -> Result<Option<Image>, CommandError> {
        let Some((target, _)) = self.whole(name)? else { return Ok(None) };
        let there = remote.look().map_err(of_registry)?.and_then(|there| there.digest);
        if there.is_none_or(|there| there != target.digest()) {
            return Ok(None);
        }
        let _guard = self.store.reading(&mut |waiting| told(&self.call.ui, waiting)).map_err(of)?;
        // It may have gone while the registry was asked.
        match self.whole(name)? {
            Some((now, image)) if now.is_same(&target) => {
                if !self.store.has_name(name) {
                    self.store.tag(name, target).map_err(of)?;
                }
                Ok(Some(image))
            }
            _ => Ok(None),
        }
    }

    /// What a name leads to here, if all of it is.
    fn whole(&self, name: &Reference) -> Result<Option<(Target, Image)>, CommandError> {
        let text = name.to_string();
        let (found, image) = (self.store.lookup(&text), self.store.resolve(&text, self.platform.as_ref()));
        let (Ok(found), Ok(image)) = (found, image) else { return Ok(None) };
        for layer in &image.layers {
            if !self.store.has_tree(layer).map_err(of)? {
                return Ok(None);
            }
        }
        Ok(Some((found.target, image)))
    }

    /// Tells of an image that is here what would be told if it came.
    fn tell(&self, image: &Image) -> Result<(), CommandError> {
        let manifest = self.store.manifest(image.id, image.manifest).map_err(of)?;
        let lines = self.lines();
        for layer in &manifest.layers {
            lines.hear(News::Here(layer));
        }
        lines.hear(News::Config(&manifest.config));
        lines.hear(News::Manifest);
        Ok(())
    }

    /// Pulls from another place than a registry.
    fn elsewhere(&self, place: &Place, text: &str) -> Result<Image, CommandError> {
        let session = Session::begin(&self.store).map_err(of)?;
        let worker = self.context.worker()?;
        let ingest = Ingest { session: &session, worker: &worker };
        let origin = Origin {
            call: self.call,
            context: &self.context,
            session: &session,
            ingest: Some(ingest),
            platform: self.platform.as_ref(),
            trusts_stores: true,
            registries: None,
            flags: "",
        };
        origin.with(place, |source, reading| {
            let offer = reading()?;
            let names = names::of_offer(place, &offer);
            self.taken(ingest, source, &offer, &names, text)
        })
    }

    fn take(
        &self,
        source: &dyn Source,
        offer: &Offer,
        names: &[Reference],
        origin: &str,
    ) -> Result<Image, CommandError> {
        let session = Session::begin(&self.store).map_err(of)?;
        let worker = self.context.worker()?;
        self.taken(Ingest { session: &session, worker: &worker }, source, offer, names, origin)
    }

    /// Takes what is on offer into the store.
    fn taken(
        &self,
        ingest: Ingest<'_>,
        source: &dyn Source,
        offer: &Offer,
        names: &[Reference],
        origin: &str,
    ) -> Result<Image, CommandError> {
        let lines = self.lines();
        let mut sink = StoreSink::new(ingest, origin, parallel()).watched(&lines);
        let platform = self.platform.clone().unwrap_or_else(Platform::host);
        let options = Options { choice: Choice::Platform(platform), keep_index: true, ..Options::default() };
        let source = Heard::counting(source, &lines);
        let placed = copy(&source, offer, &mut sink, &options).map_err(of_copy)?;
        sink.name(&placed, names).map_err(of_copy)?;
        let taken = sink.taken.pop().map(|(image, _)| image);
        self.context.settle_later(&self.call.ui);
        taken.ok_or_else(|| CommandError::internal("an image that was copied and is not there"))
    }
}

/// The platform that the flags ask for, if they do.
fn platform(call: &Call) -> Result<Option<Platform>, CommandError> {
    let text = |name: &str| call.flags.get(name).filter(|text| !text.is_empty());
    let (os, arch, variant) = (text("os"), text("arch"), text("variant"));
    if let Some(platform) = text("platform") {
        if os.is_some() || arch.is_some() {
            return Err(CommandError::usage("--platform option can not be specified with --arch or --os"));
        }
        if variant.is_some() {
            return Err(CommandError::usage("--platform option can not be specified with --variant"));
        }
        return Platform::parse(platform).map(Some).map_err(|error| CommandError::usage(error.to_string()));
    }
    if os.is_none() && arch.is_none() && variant.is_none() {
        return Ok(None);
    }
    let host = Platform::host();
    Ok(Some(Platform::new(os.unwrap_or(&host.os), arch.unwrap_or(&host.architecture), variant)))
}

/// Whether somebody can be asked: questions go to standard error.
fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}
