//! The plan: what `ctr-init` does on the way from a clone to the container's command, as data.
//!
//! A plan is a flat list of [`Step`]s, encoded as bytes by whoever launches, decoded and executed by `ctr-init`, which
//! has no heap: everything a decoded step names lies in the plan itself. The launcher keeps the plan, so that a failure
//! needs to name no more than a step's number and an errno, and prints it: [`Step`]'s `Display` is a phrase that fits
//! after "cannot", its alternate form (`{:#}`) adds all that the phrase leaves out, for the golden tests.
//!
//! # Slots
//! Descriptors have numbers of the plan's own, [`Slot`]s: those the launcher sends come first, others are made by steps.
//!
//! # Format
//! A step is a byte for its kind and its fields in order: integers in the machine's byte order, strings with a length
//! and a NUL. A kind with [`TRY`] set is best effort: its failure is reported and does not end the plan.

mod codec;
mod display;
mod enter;
mod fill;
mod identity;
mod run;
mod supervise;

use core::ffi::CStr;

pub use codec::{Decode, Sink, Strings, Words, encode, steps};
pub use run::serve;

pub(crate) use codec::{Field, Reader};

/// Marks a kind as best effort.
const TRY: u8 = 0x80;

/// How many slots there are.
pub const MAX_SLOTS: usize = 768;

/// A descriptor of the plan's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u16);

impl Slot {
    /// No slot: where a step can do without.
    pub const NONE: Self = Self(u16::MAX);
}

/// One step of a plan, and whether it is best effort.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planned<'a> {
    /// What is done.
    pub step: Step<'a>,
    /// Whether the plan goes on when it fails.
    pub best_effort: bool,
}

/// Declares [`Step`] with its encoding, so that the two cannot drift apart.
macro_rules! declare {
    ($($(#[$doc:meta])* $kind:literal $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })+) => {
        /// One thing `ctr-init` does.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Step<'a> {
            $($(#[$doc])* $name { $($(#[$field_doc])* $field: $type,)* },)+
        }

        impl<'a> Step<'a> {
            fn put(&self, mark: u8, sink: &mut impl Sink) {
                match self {
                    $(Self::$name { $($field,)* } => {
                        sink.put(&[$kind | mark]);
                        $(Field::put($field, sink);)*
                    })+
                }
            }

            fn take(kind: u8, reader: &mut Reader<'a>) -> Option<Self> {
                match kind {
                    $($kind => Some(Self::$name { $($field: Field::take(reader)?,)* }),)+
                    _ => None,
                }
            }
        }
    };
}

declare! {
    /// Forbids other processes of the namespace to look into this one, until an exec.
    0 Guard {}
    /// Joins a namespace.
    1 Join {
        /// Which.
        namespace: Slot,
        /// `CLONE_NEW…`
        kind: u32,
    }
    /// Makes the process that goes on with the next plan, a sibling of this one, and ends this one.
    2 Bear {
        /// The new one's namespaces, `CLONE_NEW…`.
        namespaces: u64,
    }
    /// Takes id 0 of the user namespace, with all capabilities.
    3 Root {}
    /// Makes new namespaces and enters them.
    4 Unshare {
        /// `CLONE_NEW…`
        namespaces: u32,
    }
    /// Lets no mount of this namespace travel to the one it was copied from.
    5 Isolate {}
    /// Sets the host name.
    6 Hostname {
        /// The name.
        name: &'a CStr,
    }
    /// Sets the NIS domain name.
    7 Domainname {
        /// The name.
        name: &'a CStr,
    }
    /// Brings the loopback interface up.
    8 Loopback {}
    /// Makes a file system, detached.
    9 Fresh {
        /// Its type.
        kind: &'a CStr,
        /// Its options: names and values in turn, an empty value for a flag.
        options: Strings<'a>,
        /// `MOUNT_ATTR_…`
        attributes: u64,
        /// Where it is going to be, for people.
        on: &'a CStr,
        /// The tree of the host that is used where the kernel refuses a new file system; none if empty.
        fallback: &'a CStr,
        /// Where the mount goes.
        to: Slot,
    }
    /// Copies a mount tree of the host, detached.
    10 Copy {
        /// The host's path.
        path: &'a CStr,
        /// Whether mounts below come along.
        recursive: bool,
        /// The character device it has to be, as `makedev` counts, or 0.
        device: u64,
        /// `MOUNT_ATTR_…` to set.
        attributes: u64,
        /// Where the mount goes.
        to: Slot,
    }
    /// Attaches a mount on top of the root directory of the namespace.
    11 Cover {
        /// The mount.
        mount: Slot,
    }
    /// Makes a directory in one of our own.
    12 Folder {
        /// Ours.
        inside: Slot,
        /// The name.
        name: &'a CStr,
        /// Its mode.
        mode: u32,
    }
    /// Makes a symbolic link in a directory of our own.
    13 Link {
        /// Ours.
        inside: Slot,
        /// The name.
        name: &'a CStr,
        /// Where it leads.
        target: &'a CStr,
    }
    /// Attaches a mount at a name in a directory of our own.
    14 Place {
        /// The mount.
        mount: Slot,
        /// Ours.
        inside: Slot,
        /// The name.
        name: &'a CStr,
        /// 0: it is there. 1: a directory is made. 2: a file is made.
        make: u8,
    }
    /// Attaches a mount at a path of the container's root.
    15 Attach {
        /// The mount.
        mount: Slot,
        /// The root.
        root: Slot,
        /// The path.
        path: &'a CStr,
        /// 0: it is there. 1: a directory is made. 2: a file is made. 3: whichever the mount is.
        make: u8,
        /// Whether a symbolic link on the way is refused.
        plain: bool,
    }
    /// Changes what a mount allows, and how mounts travel through it.
    16 Attributes {
        /// The mount.
        mount: Slot,
        /// `MOUNT_ATTR_…` to set.
        set: u64,
        /// `MOUNT_ATTR_…` to clear.
        clear: u64,
        /// `MS_SHARED` and its like, or 0.
        propagation: u64,
        /// Whether mounts below are changed too.
        recursive: bool,
        /// Where it is or is going to be, for people.
        on: &'a CStr,
    }
    /// Hides a file behind the null device, or a directory behind an empty one.
    17 Hide {
        /// Where the path starts.
        base: Slot,
        /// What is hidden; nothing is done if it is not there.
        path: &'a CStr,
        /// The mount of a null device.
        null: Slot,
        /// The mount of an empty directory.
        empty: Slot,
    }
    /// Makes a tree read-only.
    18 Freeze {
        /// Where the path starts.
        base: Slot,
        /// What; nothing is done if it is not there.
        path: &'a CStr,
    }
    /// Writes to a file of procfs.
    19 Write {
        /// A mount of procfs.
        base: Slot,
        /// The file in it.
        path: &'a CStr,
        /// What is written.
        value: &'a CStr,
    }
    /// Makes a mount the root of the namespace, the old one still attached on top.
    20 Pivot {
        /// The mount.
        root: Slot,
    }
    /// Lets go of the staging area and of the old root, and makes sure that nothing is left of them.
    21 Depart {
        /// The new root.
        root: Slot,
    }
    /// Copies what lies at a path of the root into a mount that is going to cover it.
    22 Fill {
        /// The mount.
        mount: Slot,
        /// Whether the mount's own root directory takes the owner and mode of the original.
        adopt: bool,
        /// The root.
        root: Slot,
        /// The path.
        path: &'a CStr,
    }
    /// Makes a directory of the container's root, and those above it, where they are missing.
    23 Folders {
        /// The root.
        root: Slot,
        /// The path.
        path: &'a CStr,
    }
    /// Opens a terminal of the container's, whose master side is sent to the launcher.
    24 Terminal {
        /// The container's devpts.
        devpts: Slot,
        /// Who owns the slave side.
        uid: u32,
        /// Rows.
        rows: u16,
        /// Columns.
        columns: u16,
        /// Where the master side goes instead of to the launcher, or no slot at all.
        keep: Slot,
        /// Where the slave side goes.
        to: Slot,
    }
    /// Attaches the slave side of a terminal at a name in a directory of our own.
    25 Console {
        /// The terminal.
        terminal: Slot,
        /// Ours.
        inside: Slot,
        /// The name.
        name: &'a CStr,
    }
    /// Starts a session.
    26 Session {}
    /// Makes a terminal the session's, and standard input, output and error.
    27 Control {
        /// The terminal.
        terminal: Slot,
    }
    /// Takes a new session keyring; where that fails, forbids the use of keyrings.
    28 Keyring {}
    /// Limits a resource.
    29 Limit {
        /// `RLIMIT_…`
        resource: u32,
        /// What holds.
        soft: u64,
        /// What it may be raised to.
        hard: u64,
    }
    /// Gives every signal its default action and blocks none.
    30 Signals {}
    /// Sets the file creation mask.
    31 Umask {
        /// The mask.
        mask: u32,
    }
    /// Drops capabilities from the bounding set.
    32 Bound {
        /// What is kept.
        keep: u64,
    }
    /// Sets the supplementary groups.
    33 Groups {
        /// Their ids.
        ids: Words<'a>,
    }
    /// Becomes a user, still with all capabilities.
    34 User {
        /// The user id.
        uid: u32,
        /// The group id.
        gid: u32,
    }
    /// Changes to a directory of the container's root.
    35 Workdir {
        /// The root.
        root: Slot,
        /// The path.
        path: &'a CStr,
    }
    /// Sets the inheritable and the ambient capabilities.
    36 Ambient {
        /// The inheritable set.
        inheritable: u64,
        /// The ambient set.
        ambient: u64,
    }
    /// Forbids to gain privileges by an exec.
    37 NoNewPrivileges {}
    /// Ends with the parent.
    38 DieWithParent {
        /// By which signal.
        signal: u32,
    }
    /// Sees to it that no descriptor but the standard ones and those named outlives an exec.
    39 Close {
        /// Those kept, in ascending order.
        keep: Words<'a>,
    }
    /// Sets the effective, permitted and inheritable capabilities.
    40 Capabilities {
        /// What is checked.
        effective: u64,
        /// What may be made effective.
        permitted: u64,
        /// What an exec may pass on.
        inheritable: u64,
    }
    /// Loads a seccomp program.
    41 Seccomp {
        /// Its instructions.
        program: &'a [u8],
        /// `SECCOMP_FILTER_FLAG_*`; with the one for a listener, that is sent to the launcher.
        flags: u32,
    }
    /// Stays as the container's init, and lets a child go on.
    42 Supervise {
        /// Whether the child gets the terminal.
        terminal: bool,
    }
    /// Becomes the container's command.
    43 Exec {
        /// The files to try, in order.
        files: Strings<'a>,
        /// The command and its arguments.
        arguments: Strings<'a>,
        /// The whole environment.
        environment: Strings<'a>,
    }
    /// Opens a directory of the container's root, where no link is on the way to it.
    44 Locate {
        /// The root.
        root: Slot,
        /// The path.
        path: &'a CStr,
        /// Where an open place at it goes.
        to: Slot,
    }
    /// Enters namespaces of a process, all at once.
    45 Enter {
        /// A descriptor of the process.
        process: Slot,
        /// `CLONE_NEW…`
        namespaces: u32,
        /// Where an open place at the root directory there goes.
        root: Slot,
    }
    /// Makes the process that goes on with this plan inside the pid namespace that was entered.
    46 Descend {
        /// Whether this one stays, as the other's parent, until that ends; else it ends at once and leaves the other to
        /// its own parent.
        stays: bool,
        /// The master side of a terminal that this one reads empty while it stays, or no slot at all.
        drains: Slot,
        /// A socket by which this one, while it stays, may be handed such a master side, or no slot at all.
        leash: Slot,
    }
    /// Looks whether the command is there, and waits until it shall be run.
    47 Await {
        /// The files to look for, in order.
        files: Strings<'a>,
        /// The capabilities that the command will be run with.
        effective: u64,
        /// Numbers of descriptors that stay open meanwhile, in ascending order.
        keep: Words<'a>,
    }
    /// Forbids the use of keyrings, and takes none.
    48 NoKeyring {}
}
