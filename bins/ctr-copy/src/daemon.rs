//! Docker's daemon, where the flags or the environment say that it is.

use std::cell::RefCell;
use std::io::{self, BufWriter, Write};
use std::rc::Rc;

use ctr_cli::app::Call;
use ctr_cli::report::CommandError;
use ctr_registry::daemon::{Daemon, Loading, USUAL};

use crate::error::of;

/// The daemon that a flag names, else DOCKER_HOST, else the usual one.
pub(crate) fn daemon(call: &Call, flag: &str) -> Result<Daemon, CommandError> {
    let flagged = if call.flags.knows(flag) { call.flags.get(flag) } else { None };
    let flagged = flagged.filter(|host| !host.is_empty()).map(str::to_owned);
    let host = flagged.or_else(|| std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty()));
    Daemon::at(host.as_deref().unwrap_or(USUAL)).map_err(of)
}

/// An archive that is written to a daemon.
#[derive(Debug, Clone)]
pub(crate) struct Sent(Rc<RefCell<BufWriter<Loading>>>);

impl Sent {
    /// Begins to give a daemon an archive.
    pub(crate) fn begin(daemon: &Daemon) -> Result<Self, CommandError> {
        let loading = BufWriter::with_capacity(256 << 10, daemon.load().map_err(of)?);
        Ok(Self(Rc::new(RefCell::new(loading))))
    }

    /// Ends the archive, once all of it was written, and hears what became of it.
    pub(crate) fn finish(self) -> Result<(), CommandError> {
        let only = Rc::try_unwrap(self.0);
        let loading =
            only.map_err(|_shared| CommandError::internal("an archive that is still written to"))?;
        let (loading, _) = loading.into_inner().into_parts();
        loading.finish().map_err(of)
    }
}

impl Write for Sent {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.borrow_mut().flush()
    }
}
