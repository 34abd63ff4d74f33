//! What the peers print of a copy: a line for each step, on standard error; skopeo on standard output. On a terminal blobs that
//! are on their way are bars below the lines.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use ctr_cli::app::Call;
use ctr_cli::human::size::human;
use ctr_cli::log::Level;
use ctr_cli::progress::{Progress, Stream};
use ctr_cli::ui::Ui;
use ctr_cli::voice::Voice;
use ctr_core::Digest;
use ctr_core::foreign::for_terminal;
use ctr_core::oci::Descriptor;
use ctr_store::copy::watch::{News, Watcher};

/// Prints lines, unless it is to be quiet.
pub(crate) struct Lines<'a> {
    ui: &'a Ui,
    is_quiet: bool,
    on_stdout: bool,
    bars: Option<Progress>,
    /// Whether something was copied.
    began: AtomicBool,
}

impl<'a> Lines<'a> {
    /// Prints for this user.
    pub(crate) fn new(ui: &'a Ui, is_quiet: bool) -> Self {
        Self::on(ui, is_quiet, false)
    }

    /// Prints for a verb of skopeo's, too.
    pub(crate) fn of(call: &'a Call, is_quiet: bool) -> Self {
        Self::on(&call.ui, is_quiet, call.caller.voice == Voice::Skopeo)
    }

    fn on(ui: &'a Ui, is_quiet: bool, on_stdout: bool) -> Self {
        let stream = if on_stdout { Stream::Output } else { Stream::Errors };
        let bars = if is_quiet { None } else { Progress::on(stream) };
        Self { ui, is_quiet, on_stdout, bars, began: AtomicBool::new(false) }
    }

    /// Says that nothing was to be done, if nothing was.
    pub(crate) fn end(&self, to: &str, digest: &Digest) {
        if !self.began.load(Ordering::Relaxed) {
            self.say(&format!("Nothing to do: {to} is {digest} already"));
        }
    }

    /// Says something.
    pub(crate) fn say(&self, text: &str) {
        if self.is_quiet {
            return;
        }
        if let Some(bars) = &self.bars {
            bars.line(&for_terminal(text.as_bytes()));
        } else if self.on_stdout {
            // Nobody needs these lines: whether they can be written decides nothing.
            drop(self.ui.line(text));
        } else {
            self.ui.note(text);
        }
    }
}

impl fmt::Debug for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("is_quiet", &self.is_quiet).finish_non_exhaustive()
    }
}

impl Watcher for Lines<'_> {
    fn hear(&self, news: News<'_>) {
        if !self.began.swap(true, Ordering::Relaxed) {
            self.say("Getting image source signatures");
        }
        match (news, &self.bars) {
            (News::Blob(blob, here), Some(bars)) => return bars.begin(&label(blob), blob.size, here),
            (News::Config(_), Some(bars)) => bars.end(),
            _ => {}
        }
        match news {
            News::Blob(blob, 0) => self.say(&format!("Copying blob {}", blob.digest)),
            News::Blob(blob, here) => {
                self.say(&format!("Copying blob {}, of which {} are here", blob.digest, human(here)));
            }
            News::Here(blob) => self.say(&format!("Copying blob {} skipped: already exists", blob.digest)),
            News::Waits(blob, waiting) => {
                let holders: Vec<_> = waiting
                    .holders
                    .iter()
                    .map(|holder| format!("process {} ({})", holder.pid, holder.command.for_terminal()))
                    .collect();
                let holders =
                    if holders.is_empty() { "another process".to_owned() } else { holders.join(", ") };
                let text = format!("waiting for {holders}, which fetches blob {}", blob.digest);
                if self.is_quiet {
                    self.ui.log(Level::Info, &text);
                } else {
                    self.say(&text);
                }
            }
            News::Config(config) => self.say(&format!("Copying config {}", config.digest)),
            News::Manifest => self.say("Writing manifest to image destination"),
        }
    }

    fn read(&self, blob: &Descriptor, bytes: u64) {
        if let Some(bars) = &self.bars {
            bars.advance(&label(blob), bytes);
        }
    }
}

/// What a blob's bar is called.
fn label(blob: &Descriptor) -> String {
    format!("Copying blob {}", blob.digest.short())
}
