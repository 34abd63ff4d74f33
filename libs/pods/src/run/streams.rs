//! Standard input, output and error of a container's first process.
//!
//! A child has the descriptors 0, 1 and 2 of whoever clones it; so for the moment of the clone they are the container's,
//! and then ours again, since an error of the start is still to be said.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use ctr_core::file::FileError;
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::stdio;

use super::RunError;

/// What the container's first process is born with, and what we keep of it.
#[derive(Debug, Default)]
pub(super) struct Streams {
    /// 0, 1 and 2; nothing is what we have ourselves.
    lent: [Option<OwnedFd>; 3],
    /// Our end of its input.
    pub(super) input: Option<OwnedFd>,
    /// Our ends of its output and its errors.
    pub(super) output: Option<(OwnedFd, OwnedFd)>,
}

impl Streams {
    /// Ours, for as long as we live. Where nobody types, the command reads the end of a file.
    pub(super) fn inherited(interactive: bool) -> Result<Self, RunError> {
        if !interactive {
            stdio::dup2_stdin(null()?).map_err(RunError::Streams)?;
        }
        Ok(Self::default())
    }

    /// Those of a terminal that is to be, which `ctr-init` puts in place.
    pub(super) fn none() -> Result<Self, RunError> {
        let null = || null().map(Some);
        Ok(Self { lent: [null()?, null()?, null()?], ..Self::default() })
    }

    /// Pipes.
    pub(super) fn piped(interactive: bool) -> Result<Self, RunError> {
        let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(RunError::Streams);
        let ((output, its_output), (errors, its_errors)) = (pipe()?, pipe()?);
        let (its_input, input) = if interactive {
            let (theirs, ours) = pipe()?;
            (theirs, Some(ours))
        } else {
            (null()?, None)
        };
        Ok(Self {
            lent: [Some(its_input), Some(its_output), Some(its_errors)],
            input,
            output: Some((output, errors)),
        })
    }

    /// Ours, but for the input if nobody types.
    pub(super) fn passed_through(interactive: bool) -> Result<Self, RunError> {
        let input = if interactive { None } else { Some(null()?) };
        Ok(Self { lent: [input, None, None], ..Self::default() })
    }

    /// Does something while 0, 1 and 2 are the container's. Our copies of its ends are closed then: else the end of its
    /// output would never be seen.
    pub(super) fn lend<T>(&mut self, act: impl FnOnce() -> T) -> Result<T, RunError> {
        let lent = std::mem::take(&mut self.lent);
        let mut ours = [None, None, None];
        for (number, fd) in lent.iter().enumerate() {
            if let Some(fd) = fd {
                ours[number] = Some(save(number).map_err(RunError::Streams)?);
                put(number, fd).map_err(RunError::Streams)?;
            }
        }
        let done = act();
        for (number, fd) in ours.iter().enumerate() {
            if let Some(fd) = fd {
                put(number, fd).map_err(RunError::Streams)?;
            }
        }
        Ok(done)
    }
}

fn null() -> Result<OwnedFd, RunError> {
    let file = File::options().read(true).write(true).open("/dev/null");
    Ok(file.map_err(|error| FileError::new("open", "/dev/null", error))?.into())
}

fn save(number: usize) -> Result<OwnedFd, Errno> {
    let stream = match number {
        0 => stdio::stdin(),
        1 => stdio::stdout(),
        _ => stdio::stderr(),
    };
    fcntl_dupfd_cloexec(stream, 3)
}

fn put(number: usize, fd: &OwnedFd) -> Result<(), Errno> {
    match number {
        0 => stdio::dup2_stdin(fd.as_fd()),
        1 => stdio::dup2_stdout(fd.as_fd()),
        _ => stdio::dup2_stderr(fd.as_fd()),
    }
}
