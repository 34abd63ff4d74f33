//! What a user wants to see of a network while it serves, and where that goes: descriptors, since whoever serves opens nothing.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::{Errno, fcntl_dupfd_cloexec};
use serde::{Deserialize, Serialize};

/// Nothing, unless it is asked for.
#[derive(Debug, Default)]
pub struct Looking {
    /// What becomes of each flow.
    pub trace: Option<Trace>,
    /// The file that its frames go to: what lies before its offset counts.
    pub capture: Option<OwnedFd>,
}

/// Lines about flows.
#[derive(Debug)]
pub struct Trace {
    /// How each line looks.
    pub form: Form,
    /// Where they are written to.
    pub to: OwnedFd,
}

/// How a line of the trace looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Form {
    /// `trace: …`, for a user who waits for the container: until its end.
    Plain,
    /// The same for programs that read logrus, as podman's log is.
    Logrus,
    /// With the time before it, in a file that is kept short.
    Dated,
}

/// The same in words: the descriptors follow in the order of the fields.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Words {
    trace: Option<Form>,
    capture: bool,
}

impl Looking {
    /// Whether there is nothing to look at.
    pub(crate) const fn is_nothing(&self) -> bool {
        self.trace.is_none() && self.capture.is_none()
    }

    pub(crate) fn words(&self) -> Words {
        Words { trace: self.trace.as_ref().map(|trace| trace.form), capture: self.capture.is_some() }
    }

    pub(crate) fn beside(&self) -> Vec<BorrowedFd<'_>> {
        let trace = self.trace.iter().map(|trace| trace.to.as_fd());
        trace.chain(self.capture.iter().map(OwnedFd::as_fd)).collect()
    }

    /// The same descriptors for somebody who comes later.
    pub(crate) fn copies(&self) -> Result<Vec<OwnedFd>, Errno> {
        self.beside().into_iter().map(|fd| fcntl_dupfd_cloexec(fd, 0)).collect()
    }

    pub(crate) fn of(words: &Words, beside: Vec<OwnedFd>) -> Result<Self, Errno> {
        let mut beside = beside.into_iter();
        let mut next = || beside.next().ok_or(Errno::BADMSG);
        let trace = words.trace.map(|form| Ok(Trace { form, to: next()? })).transpose()?;
        let capture = words.capture.then(next).transpose()?;
        if beside.next().is_some() { Err(Errno::BADMSG) } else { Ok(Self { trace, capture }) }
    }
}
