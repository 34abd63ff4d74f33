//! `ctr info`: the machine, the store and this program, with podman's fields.

mod host;
mod report;
pub(crate) mod tree;

use std::path::PathBuf;

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::json;
use ctr_cli::report::CommandError;
use ctr_cli::template::{Value, asks_for_json};
use ctr_cli::usage::{Flag, Verb};
use ctr_pods::containers::Containers;
use ctr_pods::request::LogDriver;
use ctr_pods::status::Status;
use ctr_store::{Layout, Store};
use ctr_userns::ranges::Facts;

use crate::cmd::format::template;
use crate::place::Place;
use report::{Counts, Subject, report};

pub(crate) use host::go_architecture as architecture;

/// The verb, which is `system info` too.
pub const VERB: Verb = Verb::new("[options]", "Display podman system information")
    .long("Displays information pertaining to the host, current storage stats, and build of the program.")
    .examples(&["info", "info --format json", "info --format '{{.Store.GraphRoot}}'"])
    .flags(&[
        Flag::bool("debug", "Display additional debug information").short('D').hidden(),
        Flag::string("format", "Change the output format to JSON or a Go template").short('f'),
    ]);

/// Prints the report.
///
/// # Errors
/// The store cannot be read, or the template is wrong.
pub fn run(call: &Call) -> Result<Exit, CommandError> {
    let ui = &call.ui;
    let told = tell(call, &Place::find(&call.globals)?)?;
    match call.flags.get("format") {
        Some(format) if asks_for_json(format) => {
            let text = json::document(&told.to_json(), json::Style::TWO);
            ui.line(&text)?;
        }
        Some(format) => template("info", format, &told, ui)?,
        // Go's encoder ends the text with a line break, and podman adds one.
        None => ui.line(&tree::yaml(&told.to_json()))?,
    }
    Ok(Exit::SUCCESS)
}

fn tell(call: &Call, place: &Place) -> Result<Value, CommandError> {
    let mut facts = Facts::of_this_process().map_err(CommandError::environment)?;
    facts.name = facts.name.or_else(|| place.user.clone());
    let images = images(place)?;
    let containers = containers(place)?;
    let path = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let config = path("XDG_CONFIG_HOME").or_else(|| path("HOME").map(|home| home.join(".config")));
    let config_file = path("CONTAINERS_STORAGE_CONF")
        .or_else(|| config.map(|config| config.join("containers/storage.conf")))
        .unwrap_or_else(|| "/etc/containers/storage.conf".into());
    // Those of the options are among the options.
    let image_stores = call.globals.image_stores.iter().filter(|store| !store.insists);
    let image_stores: Vec<_> = image_stores.map(|store| store.path.display().to_string()).collect();
    let temporary = path("TMPDIR").unwrap_or_else(|| "/var/tmp".into());
    Ok(report(&Subject {
        voice: call.ui.voice(),
        data: &place.dirs.data,
        run: &place.dirs.run,
        transient: place.layout().transient,
        volumes: &place.layout().volumes_in_time(),
        driver: place.driver_name(),
        storage_opts: &call.globals.storage_opts,
        image_stores: &image_stores,
        config_file: &config_file,
        temporary: &temporary,
        volume_plugins: call
            .globals
            .config
            .containers
            .map("engine.volume_plugins")
            .into_iter()
            .flatten()
            .map(|(name, _command)| name.as_str())
            .collect(),
        images,
        containers,
        events: call.globals.events_backend.as_deref().unwrap_or("file"),
        log_driver: log_driver(call),
        facts: &facts,
    }))
}

/// How many images there are; a store that is not there yet has none, and is not made for the asking.
fn images(place: &Place) -> Result<usize, CommandError> {
    let layout = place.layout();
    let mut count = 0;
    let images = layout.images_at().data;
    let stores = std::iter::once(&images).chain(&layout.additional);
    for data in stores.filter(|data| data.join("version").exists()) {
        let layout = Layout::new(data.clone(), layout.run.clone(), layout.driver);
        let store = Store::open_read_only(layout).map_err(CommandError::environment)?;
        count += store.images().map_err(CommandError::environment)?.len();
    }
    Ok(count)
}

/// How many containers there are, by what they do.
fn containers(place: &Place) -> Result<Counts, CommandError> {
    let all = Containers::new(&place.dirs).list().map_err(CommandError::environment)?;
    let mut counts = Counts::default();
    for container in &all {
        let of_its_kind = match container.status().map_err(CommandError::environment)? {
            Status::Running => &mut counts.running,
            Status::Paused => &mut counts.paused,
            _ => &mut counts.stopped,
        };
        *of_its_kind += 1;
    }
    Ok(counts)
}

/// Where logs of containers go when nobody says it: what a journal would get goes to a file.
fn log_driver(call: &Call) -> &str {
    let driver = call.globals.config.containers.text("containers.log_driver");
    driver.filter(|driver| !["", "journald"].contains(driver)).unwrap_or(LogDriver::default().name())
}
