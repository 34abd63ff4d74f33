//! `ctr events`: what happened, and what happens.

use std::os::fd::AsFd as _;

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::human::time::{TimeError, Timestamp};
use ctr_cli::json;
use ctr_cli::report::CommandError;
use ctr_cli::template::{Struct, Template, Value, asks_for_json};
use ctr_cli::usage::{Flag, Parsed, Verb};
use ctr_core::watch::Waited;
use ctr_pods::events::{Event, Filters, Kind, Reader, Status};

use super::format;
use crate::place::Place;

/// The verb.
pub const VERB: Verb = Verb::new("[options]", "Show podman system events")
    .long("Monitor podman system events.\n\n  By default, streaming mode is used, printing new events as they occur.  Previous events can be listed via --since and --until.")
    .examples(&["events", "events --filter event=create", "events --format {{.Image}}", "events --since 1h30s"])
    .flags(&[
        Flag::array("filter", "filter output").short('f'),
        Flag::string("format", "format the output using a Go template"),
        Flag::bool("no-trunc", "do not truncate the output").default("true"),
        Flag::string("since", "show all events created since `TIMESTAMP`"),
        Flag::bool("stream", "stream events and do not exit when returning the last known event").default("true"),
        Flag::string("until", "show all events until `TIMESTAMP`"),
    ]);

/// How events are printed.
enum Look {
    Json,
    Template(Box<Template>),
    Human { full_ids: bool },
}

/// Prints events until there are no more, the time is over, or nobody reads any more.
///
/// # Errors
/// The flags make no sense, or events are not logged.
pub fn run(call: &Call) -> Result<Exit, CommandError> {
    let flags = &call.flags;
    let place = Place::find(&call.globals)?;
    let filters = filters(flags)?;
    let look = Look::of(flags)?;
    let Some(mut reader) = place.events.read()? else {
        return Err(CommandError::user("cannot read events with the \"none\" backend"));
    };
    let stream = flags.bool("stream");
    if stream {
        reader.watch()?;
        if filters.since.is_none() && filters.until.is_none() {
            while reader.next_event()?.is_some() {}
        }
    }
    loop {
        let left = filters.until.map(|until| Timestamp::now().until(until));
        print_all(call, &mut reader, &filters, &look)?;
        if !stream || left.is_some_and(|left| left <= 0) {
            return Ok(Exit::SUCCESS);
        }
        let limit = left.map(|left| u64::try_from(left).unwrap_or(0));
        if reader.wait(std::io::stdout().as_fd(), limit)? == Waited::ReaderGone {
            return Ok(Exit::SUCCESS);
        }
    }
}

fn filters(flags: &Parsed) -> Result<Filters, CommandError> {
    let now = Timestamp::now();
    let wrong = |text: String| CommandError::usage(format!("failed to parse event filters: {text}"));
    let conditions = flags.strings("filter");
    let mut filters =
        Filters::parse(conditions.iter().map(AsRef::as_ref)).map_err(|error| wrong(error.to_string()))?;
    let time = |flag: &str, parse: fn(&str, Timestamp) -> Result<Timestamp, TimeError>| {
        let text = flags.get(flag).filter(|text| !text.is_empty());
        let parse = |text: &str| {
            parse(text, now)
                .map_err(|error| wrong(format!("unable to convert {flag} time of {text}: {error}")))
        };
        text.map(parse).transpose()
    };
    filters.since = time("since", Timestamp::parse_since)?;
    filters.until = time("until", Timestamp::parse_until)?;
    Ok(filters)
}

/// Prints what there is now.
fn print_all(call: &Call, reader: &mut Reader, filters: &Filters, look: &Look) -> Result<(), CommandError> {
    while let Some(event) = reader.next_event()? {
        match event {
            Ok(event) if filters.fit(&event) => call.ui.print(&look.show(&event)?)?,
            Ok(_) => {}
            Err(error) => call.ui.warn(&format!("an event is left out, as it cannot be understood: {error}")),
        }
    }
    Ok(())
}

impl Look {
    fn of(flags: &Parsed) -> Result<Self, CommandError> {
        Ok(match flags.get("format") {
            Some(text) if asks_for_json(text) => Self::Json,
            Some(text) => Self::Template(Box::new(format::parsed("events", text)?)),
            None => Self::Human { full_ids: flags.bool("no-trunc") },
        })
    }

    /// The line or lines of an event.
    fn show(&self, event: &Event) -> Result<String, CommandError> {
        match self {
            Self::Json => {
                Ok(json::document(&as_json(event), json::Style::COMPACT).trim_end().to_owned() + "\n")
            }
            Self::Template(template) => template.render(&as_value(event)).map_err(CommandError::usage),
            Self::Human { full_ids } => Ok(human(event, *full_ids) + "\n"),
        }
    }
}

/// Podman's line for people.
fn human(event: &Event, full_id: bool) -> String {
    let id: String = if full_id { event.id.clone() } else { event.id.chars().take(12).collect() };
    let head = format!("{} {} {}", event.time, event.kind.name(), event.status.name());
    let name = &event.name;
    match event.kind {
        Kind::Container | Kind::Pod => {
            let mut line = format!("{head} {id} (image={}, name={name}", event.image);
            let mut more = |key: &str, value: &str| line.extend([", ", key, "=", value]);
            if !event.pod_id.is_empty() {
                more("pod_id", &event.pod_id);
            }
            if event.status == Status::HealthStatus {
                more("health_status", &event.health_status);
            }
            for (key, value) in &event.attributes {
                more(key, value);
            }
            line + ")"
        }
        Kind::Network if matches!(event.status, Status::Create | Status::Remove) => {
            let driver = event.attributes.iter().find(|(key, _)| key == "driver");
            let driver = driver.map(|(_, value)| value.as_str()).unwrap_or_default();
            format!("{head} {} (name={}, type={driver})", event.id, event.network)
        }
        Kind::Network => format!("{head} {id} (container={id}, name={})", event.network),
        Kind::Image | Kind::Artifact => {
            let error = if event.error.is_empty() { String::new() } else { format!(" {}", event.error) };
            format!("{head} {id} {name}{error}")
        }
        Kind::System if name.is_empty() => head,
        Kind::System | Kind::Volume | Kind::Machine => format!("{head} {name}"),
        Kind::Secret => format!("{head} {id}"),
    }
}

/// Nanoseconds since 1970.
fn nanos(time: Timestamp) -> i64 {
    Timestamp::from_seconds(0).until(time)
}

/// What `--format json` prints, with podman's keys in podman's order.
fn as_json(event: &Event) -> serde_json::Value {
    let mut object = serde_json::Map::new();
    let mut put = |key: &str, value: serde_json::Value| {
        let empty = value.is_null() || value.as_str().is_some_and(str::is_empty);
        if !empty || key == "Attributes" {
            object.insert(key.to_owned(), value);
        }
    };
    put("ContainerExitCode", event.exit_code.into());
    put("OOMKilled", event.oom_killed.into());
    put("ID", event.id.as_str().into());
    put("Image", event.image.as_str().into());
    put("Name", event.name.as_str().into());
    put("network", event.network.as_str().into());
    put("Status", event.status.name().into());
    put("time", event.time.seconds.into());
    put("timeNano", nanos(event.time).into());
    put("Type", event.kind.name().into());
    put("health_status", event.health_status.as_str().into());
    put("Error", event.error.as_str().into());
    put("ContainerInspectData", event.inspect.as_str().into());
    put("PodID", event.pod_id.as_str().into());
    let attributes: serde_json::Map<_, _> =
        event.attributes.iter().map(|(key, value)| (key.clone(), value.as_str().into())).collect();
    let none = attributes.is_empty() && event.kind != Kind::Container;
    put("Attributes", if none { serde_json::Value::Null } else { attributes.into() });
    object.into()
}

/// What a template sees.
fn as_value(event: &Event) -> Value {
    let attributes = event.attributes.iter().map(|(key, value)| (key, value));
    Struct::new("system.Event")
        .field(
            "ContainerExitCode",
            event.exit_code.map_or(Value::NilPointer("int"), |code| i64::from(code).into()),
        )
        .field("OOMKilled", event.oom_killed.map_or(Value::NilPointer("bool"), Value::Bool))
        .field("ID", event.id.as_str())
        .field("Image", event.image.as_str())
        .field("Name", event.name.as_str())
        .field("Network", event.network.as_str())
        .field("Status", event.status.name())
        .field("Time", event.time.seconds)
        .field("TimeNano", nanos(event.time))
        .field("Type", event.kind.name())
        .field("HealthStatus", event.health_status.as_str())
        .field("Error", event.error.as_str())
        .field("ContainerInspectData", event.inspect.as_str())
        .field("PodID", event.pod_id.as_str())
        .field("Attributes", Value::string_map(attributes))
        .into()
}
