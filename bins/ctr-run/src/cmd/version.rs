//! `ctr version`: podman's layout, with what there is to say of ourselves.

use std::time::UNIX_EPOCH;

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::human::time::Timestamp;
use ctr_cli::release;
use ctr_cli::report::CommandError;
use ctr_cli::template::{Value, asks_for_json};
use ctr_cli::usage::{Flag, Verb};
use ctr_cli::voice::Voice;
use serde_json::Value as Json;

use crate::cmd::format::template;
use crate::cmd::info::tree::{record, same};

/// The podman whose behaviour we have under its name.
pub(crate) const PODMAN: &str = ctr_cli::release::PODMAN;

/// The buildah that belongs to it.
pub(crate) const BUILDAH: &str = ctr_cli::release::BUILDAH;

/// What is known of this build, under podman's names.
pub(crate) fn client(voice: Voice) -> Value {
    let version = if voice.is_peer() { PODMAN } else { release::VERSION };
    let built = built();
    let time = Timestamp::from(UNIX_EPOCH + std::time::Duration::from_secs(built)).ansic();
    record(
        "define.Version",
        vec![
            same("APIVersion", version),
            same("Version", version),
            same("GoVersion", concat!("none (rustc ", env!("CARGO_PKG_RUST_VERSION"), ")")),
            same("GitCommit", release::COMMIT.unwrap_or_default()),
            same("BuiltTime", time),
            same("Built", i64::try_from(built).unwrap_or_default()),
            same("OsArch", format!("linux/{}", super::info::architecture())),
            same("Os", "linux"),
        ],
    )
}

/// The verb.
pub const VERB: Verb = Verb::new("[options]", "Display the Podman version information")
    .examples(&["version", "version --format json", "version --format '{{.Client.Version}}'"])
    .flags(&[Flag::string("format", "Change the output format to JSON or a Go template").short('f')]);

/// Prints the version.
///
/// # Errors
/// The template is wrong.
pub fn run(call: &Call) -> Result<Exit, CommandError> {
    let ui = &call.ui;
    let client = client(ui.voice());
    let told = record("entities.SystemVersionReport", vec![same("Client", client.clone())]);
    match call.flags.get("format") {
        Some(format) if asks_for_json(format) => ui.line(&told.to_json().to_string())?,
        Some(format) => {
            let server = Value::NilPointer("define.Version");
            let both = record(
                "entities.SystemVersionReport",
                vec![same("Client", client.clone()), same("Server", server)],
            );
            if template("version", format, &both, ui).is_err() {
                // A script that asks for the version of the server wants ours, as with podman.
                template("version", &format.replace(".Server.", "."), &client, ui)?;
            }
        }
        None => ui.print(&table(ui.voice(), &client.to_json()))?,
    }
    Ok(Exit::SUCCESS)
}

/// Podman's table, two blanks after the longest label.
fn table(voice: Voice, client: &Json) -> String {
    let text = |name: &str| client[name].as_str().unwrap_or_default().to_owned();
    let engine = if voice.is_peer() { "Podman Engine" } else { "ctr" };
    let mut rows = vec![
        ("Client", engine.to_owned()),
        ("Version", text("Version")),
        ("API Version", text("APIVersion")),
        ("Go Version", text("GoVersion")),
        ("Git Commit", text("GitCommit")),
        ("Built", text("BuiltTime")),
        ("OS/Arch", text("OsArch")),
    ];
    rows.retain(|(_, value)| !value.is_empty());
    rows.iter().map(|(label, value)| format!("{:<14}{value}\n", format!("{label}:"))).collect()
}

/// When this was built: as the build was told, else when the program's file was written.
fn built() -> u64 {
    let told = release::built().and_then(|seconds| u64::try_from(seconds).ok());
    let written = || {
        let time = std::fs::metadata("/proc/self/exe").and_then(|meta| meta.modified()).ok()?;
        Some(time.duration_since(UNIX_EPOCH).ok()?.as_secs())
    };
    told.or_else(written).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_podmans() {
        let mut client = client(Voice::Podman).to_json();
        client["BuiltTime"] = "Thu Jan  1 00:00:00 1970".into();
        client["GitCommit"] = "".into();
        let text = table(Voice::Podman, &client);
        assert!(
            text.starts_with("Client:       Podman Engine\nVersion:      6.0.0\nAPI Version:  6.0.0\n"),
            "{text}"
        );
        assert!(
            text.ends_with("Built:        Thu Jan  1 00:00:00 1970\nOS/Arch:      linux/amd64\n"),
            "{text}"
        );
        assert!(!text.contains("Git Commit"));
    }

    #[test]
    fn ours_is_ours() {
        assert_eq!(client(Voice::Ctr).to_json()["Version"], release::VERSION);
    }

    #[test]
    fn the_time_of_the_build_is_known() {
        assert!(built() > 1_546_300_800, "not before 2019");
    }
}
