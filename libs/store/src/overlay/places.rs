//! Places for what every container has mounted over its image.
//!
//! Most images lack some of them, and then each start would make them in the upper directory and each end remove them:
//! half a millisecond, and an `/etc` that was copied up although nobody wrote to it. So an image gets one more tree,
//! below all its layers: what a layer says of a name wins, and directories keep the attributes that the layers gave
//! them.

use ctr_core::rooted::Root;
use rustix::fs::{Mode, OFlags};

use super::Attributes;
use super::assemble::{AssembleError, refused};

/// Directories, the outer ones first.
const DIRECTORIES: [&str; 5] = ["dev", "etc", "proc", "run", "sys"];
/// Files, empty.
const FILES: [&str; 4] = ["etc/hostname", "etc/hosts", "etc/resolv.conf", "run/.containerenv"];

/// Makes the places in an empty directory; `root` tells whose they are and when they were made.
pub fn places(into: &Root, root: &Attributes) -> Result<(), AssembleError> {
    for path in DIRECTORIES {
        into.mkdir(path, Mode::RWXU)?;
    }
    let file = Attributes { mode: 0o644, ..*root };
    for path in FILES {
        let made = into.create_new(path, Mode::from_raw_mode(file.mode))?;
        file.give(&made.into()).map_err(|errno| refused("describe", path.as_ref(), errno))?;
    }
    let directory = Attributes { mode: 0o755, ..*root };
    for path in DIRECTORIES {
        let made = into.open_with(path, OFlags::DIRECTORY, Mode::empty())?;
        directory.give(&made).map_err(|errno| refused("describe", path.as_ref(), errno))?;
    }
    Ok(())
}
