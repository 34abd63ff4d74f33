//! `ctr run` and `ctr create`: new containers.

mod asked;
mod flags;
mod hello;
mod names;
mod pull;
mod request;
mod subscriptions;
mod trees;

use std::process::{Command, Stdio};

use ctr_cli::app::Call;
use ctr_cli::authfile;
use ctr_cli::dispatch;
use ctr_cli::exit::Exit;
use ctr_cli::log::Level;
use ctr_cli::release;
use ctr_cli::report::CommandError;
use ctr_cli::ui::Ui;
use ctr_cli::usage::Parsed;
use ctr_cli::verbs::Program;
use ctr_core::events::{self, Status as Event};
use ctr_pods::attach::{DetachKeys, Rules};
use ctr_pods::containers::{Containers, ContainersError};
use ctr_pods::dependencies;
use ctr_pods::env::HostEnv;
use ctr_pods::mounts::What;
use ctr_pods::ports::{self, When};
use ctr_pods::request::{LogDriver, Request, Source};
use ctr_pods::run::kept::{self, Held};
use ctr_pods::run::{self, Host, Note, visit};
use ctr_pods::terminal;
use ctr_store::Store;

pub(super) use flags::DETACH_KEYS;
pub use flags::{CREATE, VERB};
pub(super) use request::preserved;

use super::{begin, standing};
use asked::Asked;

use crate::error;
use crate::place::{self, Place};

/// Runs a container: in the foreground it ends as the container ends.
///
/// # Errors
/// It could not be started.
pub fn run(call: &Call) -> Result<Exit, CommandError> {
    let flags = &call.flags;
    let detached = flags.bool("detach");
    if detached && flags.has("attach") {
        return Err(CommandError::usage("cannot specify both --attach and --detach"));
    }
    let detach_keys = detach_keys(call)?;
    let mut request = request(call)?;
    // What the machine does not allow is known before anything is looked for.
    ports::check(&request.ports, &request.namespaces).map_err(error::of_ports)?;
    let rules = Rules { detach_keys, proxy: flags.bool("sig-proxy"), ..streams(flags, &request)? };
    warn_without_terminal(call, &request);
    let place = Place::find(&call.globals)?;
    let store = Store::open(&place.layout()).map_err(CommandError::environment)?;
    let host = prepare(call, &mut request, &place, &store)?;
    if dependencies::has_any(&request) {
        dependencies::settle(&mut request, &Containers::new(&place.dirs)).map_err(CommandError::user)?;
        let dependent = request.name.as_deref().unwrap_or("that is to be run");
        super::start::start_all(call, &place, &store, dependent, &dependencies::of(&request))?;
    }
    // Nothing but the command that runs it needs to know of such a container.
    let fleeting = request.auto_remove && !detached && !request.process.terminal && !flags.has("attach");
    if fleeting && !flags.has("log-driver") && !flags.has("log-opt") {
        return foreground(call, &place, host, &request);
    }
    check_passthrough(&request)?;
    let held =
        kept::create(host, &request, When::Now, &mut |note| tell(&call.ui, &note)).map_err(error::of_run)?;
    call.ui.happened(&place.events, &[begin::created(call, &place, &store, &held.who(host))]);
    begin::started(call, &place, host, held, if detached { None } else { Some(rules) })
}

/// A terminal for the container is of little use to whoever has none. Podman says so only where there is input to lose,
/// and then of a detached container too.
fn warn_without_terminal(call: &Call, request: &Request) {
    let process = &request.process;
    if !process.terminal || terminal::stdin_is_terminal() {
        return;
    }
    if !call.caller.voice.is_peer() {
        if !call.flags.bool("detach") {
            tell(&call.ui, &Note::NoTerminal);
        }
    } else if process.interactive {
        call.ui
            .warn("The input device is not a TTY. The --tty and --interactive flags might not work properly");
    }
}

/// A container that lives and dies with this command. Its life is two lines to the log of events: each costs some
/// microseconds, of which the first's go by while the container runs.
fn foreground(call: &Call, place: &Place, host: Host<'_>, request: &Request) -> Result<Exit, CommandError> {
    let (mut made, mut running) = (None, None);
    let end = run::foreground(host, request, &mut |note| match note {
        Note::Running(who) => {
            let mut life = vec![begin::created(call, place, host.store, &who)];
            life.extend([Event::Init, Event::Start, Event::Attach].map(|status| who.event(status)));
            call.ui.happened(&place.events, &life);
            running = Some(who);
        }
        Note::Made(who) => made = Some(who),
        other => tell(&call.ui, &other),
    });
    if let (None, Some(who)) = (&running, made) {
        // It could not be started: that it was there is told once it is gone.
        begin::happened(call, place, &who, &[Event::Create, Event::Remove]);
    }
    if let Some(who) = running {
        let code = end.as_ref().ok().map(|end| end.code().into());
        let ended =
            [Event::Died, Event::Remove].map(|status| events::Event { exit_code: code, ..who.event(status) });
        call.ui.happened(&place.events, &ended);
    }
    end.map(|end| Exit::code(end.code())).map_err(error::of_run)
}

/// Makes a container that is not started.
///
/// # Errors
/// It could not be made.
pub fn create(call: &Call) -> Result<Exit, CommandError> {
    let mut request = request(call)?;
    check_passthrough(&request)?;
    let place = Place::find(&call.globals)?;
    let store = Store::open(&place.layout()).map_err(CommandError::environment)?;
    let host = prepare(call, &mut request, &place, &store)?;
    let held: Held = kept::create(host, &request, When::AtStart, &mut |note| tell(&call.ui, &note))
        .map_err(error::of_run)?;
    call.ui.happened(&place.events, &[begin::created(call, &place, &store, &held.who(host))]);
    held.flush().map_err(error::of_run)?;
    let id = held.id().to_owned();
    if call.globals.config.containers.bool("containers.prepare_volume_on_create") == Some(true) {
        prepare_volumes(call, &place, host, held)?;
    }
    call.ui.line(&id)?;
    Ok(Exit::SUCCESS)
}

/// Fills volumes before the first start. A container whose volumes cannot be filled is not made.
fn prepare_volumes(call: &Call, place: &Place, host: Host<'_>, held: Held) -> Result<(), CommandError> {
    let prepared = visit::prepare_volumes(host, &held, &mut |note| tell(&call.ui, &note));
    if prepared.is_err() {
        let who = held.who(host);
        // Why it is not there is what counts.
        held.discard(host).ok();
        begin::happened(call, place, &who, &[Event::Remove]);
    }
    prepared.map_err(super::mount::told)
}

fn request(call: &Call) -> Result<Request, CommandError> {
    let flags = &call.flags;
    if flags.has("kernel-memory") {
        call.ui.warn("The --kernel-memory flag is no longer supported. This flag is a noop.");
    }
    pull::When::of(call)?;
    if let Some(path) = flags.path("authfile").filter(|path| !path.as_os_str().is_empty()) {
        authfile::check(path)?;
    }
    check_restart(flags.string("restart"))?;
    let words = flags.texts()?;
    let command_line = without_passwords(std::env::args_os().map(|word| word.to_string_lossy().into_owned()));
    let mut request =
        request::build(asked(call), &words, host_env(call), command_line).map_err(CommandError::usage)?;
    if let Some(network) = &mut request.namespaces.user_network
        && call.caller.voice.is_peer()
        && !asked(call).is_chosen("network")
    {
        // What podman calls the network of who asks for none.
        "pasta".clone_into(&mut network.word);
    }
    request.storage.subscriptions = subscriptions::find(call)?;
    request.userns.auto_sizes = call.globals.config.auto_userns_sizes();
    Ok(request)
}

/// A command line as it is kept: a password that only fetched the image is nobody's business later.
fn without_passwords(words: impl Iterator<Item = String>) -> Vec<String> {
    const HIDDEN: &str = "***";
    let mut is_password = false;
    let shown = words.map(|word| match word.split_once('=') {
        _ if std::mem::replace(&mut is_password, word == "--creds") => HIDDEN.to_owned(),
        Some(("--creds", _)) => format!("--creds={HIDDEN}"),
        _ => word,
    });
    shown.collect()
}

/// Nobody starts a container again by itself yet.
fn check_restart(policy: &str) -> Result<(), CommandError> {
    match policy.split(':').next().unwrap_or_default() {
        "no" | "never" | "" => Ok(()),
        "always" | "unless-stopped" | "on-failure" => {
            Err(CommandError::not_supported(&format!("--restart {policy}")))
        }
        _ => Err(CommandError::usage(format!("{policy:?} is not a valid restart policy: invalid argument"))),
    }
}

/// What has to be there before a container is made: its image, and its name.
fn prepare<'a>(
    call: &Call,
    request: &mut Request,
    place: &'a Place,
    store: &'a Store,
) -> Result<Host<'a>, CommandError> {
    place.say(&call.ui);
    ctr_views::place::say(&call.globals, &call.ui);
    if let Source::Image(name) = &mut request.source {
        hello::provide(name, place, store)?;
        let platform = request.platform.as_deref();
        if let Some(found) = pull::provide(call, name, platform, pull::When::of(call)?, (place, store))? {
            *name = found;
        }
        trees::provide(name, request.platform.as_deref(), place, store)?;
    }
    // What is mounted is pulled where it is missing, unless nothing is to be.
    let when = match pull::When::of(call)? {
        pull::When::Never => pull::When::Never,
        _ => pull::When::Missing,
    };
    for mount in &mut request.storage.mounts {
        if let What::Image(asked) = &mut mount.what {
            if let Some(found) = pull::provide(call, &asked.image, None, when, (place, store))? {
                asked.image = found;
            }
            trees::provide(&asked.image, None, place, store)?;
        }
    }
    if call.flags.bool("replace") {
        replace(request, place)?;
    }
    Ok(begin::host(place, store, &call.ui))
}

/// Removes the container that has the name. In a process of its own: whoever removes moves into A, and this process is
/// still needed in U.
fn replace(request: &Request, place: &Place) -> Result<(), CommandError> {
    let Some(name) = &request.name else {
        return Err(CommandError::usage("cannot replace container without --name being set"));
    };
    let old = match Containers::new(&place.dirs).find(name) {
        Ok(old) if old.record.name == name.trim_start_matches('/') => old,
        Ok(_) | Err(ContainersError::NotFound(_)) => return Ok(()),
        Err(error) => return Err(error::of_containers(error)),
    };
    let mut remove = Command::new(dispatch::path(Program::Run)?);
    remove.arg("--root").arg(&place.dirs.data).arg("--runroot").arg(&place.dirs.run);
    remove.args(["rm", "--force", "--volumes", old.record.id.as_str()]).env(dispatch::BUILD, release::id());
    let ended = remove.stdin(Stdio::null()).stdout(Stdio::null()).status();
    let ended = ended.map_err(CommandError::environment)?;
    // Why not, it has said itself.
    if ended.success() { Ok(()) } else { Err(CommandError::quiet(Exit::FAILURE)) }
}

/// The streams that are carried: all, or those of `--attach`.
fn streams(flags: &Parsed, request: &Request) -> Result<Rules, CommandError> {
    let all = !flags.has("attach");
    let mut rules = Rules {
        input: all && request.process.interactive,
        stdout: all,
        stderr: all,
        terminal: request.process.terminal,
        proxy: true,
        detach_keys: DetachKeys::none(),
    };
    for name in flags.strings("attach") {
        match name.to_ascii_lowercase().as_str() {
            "stdin" => rules.input = request.process.interactive,
            "stdout" => rules.stdout = true,
            "stderr" => rules.stderr = true,
            _ => {
                return Err(CommandError::usage(format!(
                    "invalid stream {name:?} for --attach - must be one of stdin, stdout, or stderr"
                )));
            }
        }
    }
    Ok(rules)
}

/// A container that has our streams cannot have a terminal of its own, nor write to ours unasked.
fn check_passthrough(request: &Request) -> Result<(), CommandError> {
    let driver = request.log.driver;
    if !matches!(driver, LogDriver::Passthrough | LogDriver::PassthroughTty) {
        return Ok(());
    }
    if request.process.terminal {
        return Err(CommandError::usage(
            "the '--log-driver passthrough' option cannot be used with a terminal",
        ));
    }
    if driver == LogDriver::Passthrough && terminal::stdin_is_terminal() {
        return Err(CommandError::usage(
            "the '--log-driver passthrough' option cannot be used on a TTY. If you really want it, use \
             '--log-driver passthrough-tty'",
        ));
    }
    Ok(())
}

/// The keys that leave a container alone, as they were given or as the configuration has them.
pub(super) fn detach_keys(call: &Call) -> Result<DetachKeys, CommandError> {
    DetachKeys::parse(asked(call).string("detach-keys")).map_err(CommandError::usage)
}

/// The flags, and below them the configuration.
pub(super) fn asked(call: &Call) -> Asked<'_> {
    Asked::new(&call.flags, &call.globals.config.containers)
}

/// The environment that this command has, with what the configuration adds for engines.
pub(super) fn host_env(call: &Call) -> HostEnv {
    let mut env = HostEnv::new(std::env::vars_os());
    for line in call.globals.config.containers.list("engine.env").unwrap_or_default() {
        match line.split_once('=') {
            Some((name, value)) => env.set_default(name, value),
            None => call.ui.warn(&format!(
                "invalid environment variable for engine {line}, valid configuration is KEY=value pair"
            )),
        }
    }
    env
}

/// Says what is no error.
pub(super) fn tell(ui: &Ui, note: &Note) {
    match note {
        Note::Waiting(waiting) => place::waits(waiting, ui),
        Note::Ids(note) => ui.warn(&format!("{note}; ignored")),
        Note::Root(text) => ui.warn(text),
        Note::Start(notice) => ui.log(Level::Info, &notice.to_string()),
        Note::DeviceAccess(path) => ui.warn(&format!(
            "the container can do all that you can with {}: nothing here limits the use of a device",
            path.display()
        )),
        Note::OomScore { asked, now } => ui.warn(&format!(
            "Requested oom_score_adj={asked} is lower than the current one, changing to {now}"
        )),
        Note::NoSource(path) => {
            ui.warn(&format!("{} is not there: the container is taken without it", path.display()));
        }
        Note::NotCopied(path, why) => {
            ui.warn(&format!("Failed to mount subscriptions, skipping {}: {why}", path.display()));
        }
        Note::NoSettings => ui.warn(
            "default_sysctls of containers.conf are not set: /proc/sys is a mount of its own here, where nothing is ours to write; without them: default_sysctls = []",
        ),
        Note::Trace(path) => ui.log(
            Level::Trace,
            &format!("what becomes of each flow of the container's network is written to {}", path.display()),
        ),
        Note::Network(death) => ui.warn(&death.to_string()),
        Note::Standing(standing) => ui.warn(&standing::explain(standing)),
        // As podman says it, in a line of its own.
        Note::NoPorts(network) => ui.note(&format!(
            "Port mappings have been discarded because \"{network}\" network namespace mode does not support them"
        )),
        // Whoever logs events takes that.
        Note::Made(_) | Note::Initialized(_) | Note::Running(_) => {}
        Note::NoTerminal => {
            ui.warn("the input device is not a terminal: --tty and --interactive may not work as expected");
        }
    }
}
