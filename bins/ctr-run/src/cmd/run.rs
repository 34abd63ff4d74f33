//! `ctr run`: a container in the foreground.

mod flags;
mod hello;
mod request;

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::log::Level;
use ctr_cli::report::CommandError;
use ctr_cli::ui::Ui;
use ctr_pods::env::HostEnv;
use ctr_pods::request::Source;
use ctr_pods::run::{self, Host, Note};
use ctr_pods::terminal;
use ctr_store::Store;

pub use flags::VERB;
pub(super) use request::preserved;

use crate::error;
use crate::place::{self, Place};

/// Runs a container and ends as it ends.
///
/// # Errors
/// It could not be started.
pub fn run(call: &Call) -> Result<Exit, CommandError> {
    let flags = &call.flags;
    if !flags.bool("rm") {
        return Err(CommandError::not_supported("a container that outlives its command")
            .hint(format!("{} --rm …", call.command())));
    }
    match flags.string("pull") {
        "missing" | "never" | "false" => {}
        policy @ ("always" | "newer" | "true") => {
            return Err(CommandError::not_supported(&format!("--pull {policy}")));
        }
        other => return Err(CommandError::usage(format!("unsupported pull policy {other:?}"))),
    }
    let words = flags.texts()?;
    let command_line = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let request = request::build(flags, &words, HostEnv::new(std::env::vars_os()), command_line)
        .map_err(CommandError::usage)?;
    if request.process.terminal && !terminal::stdin_is_terminal() && !call.caller.voice.is_peer() {
        tell(&call.ui, &Note::NoTerminal);
    }
    let place = Place::find(&call.globals)?;
    let store = Store::open(&place.layout()).map_err(CommandError::environment)?;
    if let Source::Image(name) = &request.source {
        hello::provide(name, &place, &store)?;
    }
    let host =
        Host { store: &store, dirs: &place.dirs, user_run: &place.own.run, user: place.user.as_deref() };
    match run::foreground(host, &request, &mut |note| tell(&call.ui, &note)) {
        Ok(end) => Ok(Exit::code(end.code())),
        Err(failure) => Err(error::of_run(failure)),
    }
}

/// Says what is no error.
fn tell(ui: &Ui, note: &Note) {
    match note {
        Note::Waiting(waiting) => place::waits(waiting, ui),
        Note::Ids(note) => ui.warn(&format!("{note}; ignored")),
        Note::Root(text) => ui.warn(text),
        Note::Start(notice) => ui.log(Level::Info, &notice.to_string()),
        Note::DeviceAccess(path) => ui.warn(&format!(
            "the container can do all that you can with {}: nothing here limits the use of a device",
            path.display()
        )),
        Note::NoTerminal => {
            ui.warn("the input device is not a terminal: --tty and --interactive may not work as expected");
        }
    }
}
