//! What the launcher of a container, its monitor, and the clients of both agree on.
//!
//! # Theory of operation
//! ```text
//! launcher M (a fork of the command, in A)      starts the container, is the parent of its init
//!    │ become(): exec of a sealed memory file
//! ctr-monitor                                   output, log, clients, the end
//!    │ exec of the task's `ended` program
//! ctr-run __ended …                             event, removal
//! ```
//! It is one process all the way, so init keeps its parent and the lock its holder. What the monitor is to do is a
//! [`Task`]: its scalars lie in a memory file at [`TASK_AT`], its descriptors follow at the numbers behind that, in the
//! order in which [`Task::map`] visits them; the lock is the first of them and stays at [`LOCK_AT`] to the end. Behind those are
//! the descriptors of the network's [`Script`].
//!
//! # Protocol
//! Sequenced packets of at most [`MESSAGE`] bytes; the first byte of each is its kind ([`kind`]).
//!
//! A client that comes by the socket in the folder begins with [`kind::HELLO`] and a byte of [`wants`], and with it sends
//! a descriptor of its own `/proc/self/ns/user`: the monitor talks only to those in the namespaces of its own user
//! ([`Task::trusted`]). A container's root has the same user id for the kernel, but cannot show such a descriptor. The
//! client that the launcher hands over is known already and says nothing first.
//!
//! All ends are the same build of the same program, but a monitor lives on when the program is updated: kinds are only
//! ever added, and an unknown one is passed over.

use core::ffi::CStr;

mod launch;
pub mod ports;
mod proof;
mod script;
mod serving;
mod socket;
mod task;

pub use launch::{Environment, become_ended, become_monitor, inherited_lock};
pub use proof::{user_namespace, user_of_peer};
pub use script::{Message, Script};
pub use serving::{ASKS, Beside, COUNT, COUNT_NAME, Death, Forget, MOST_ADDED, RESOLVERS, Serving};
pub use socket::{connect, listen};
pub use task::{FileId, Log, Network, Output, Task};

/// The name of the socket in a container's folder that clients connect to.
pub const SOCKET_NAME: &CStr = c"attach";

/// What is written of a start that waits, in the container's folder: the monitor renames it to [`STATE_NAME`].
pub const NEXT_NAME: &CStr = c"state.next.json";

/// What is written of a start.
pub const STATE_NAME: &CStr = c"state.json";

/// The descriptor at which the monitor finds its task.
pub const TASK_AT: i32 = 3;

/// The descriptor of the container's lock, in the monitor and in the program that it becomes in the end.
pub const LOCK_AT: i32 = 4;

/// The most bytes of an encoded task.
pub const MAX_TASK: usize = 32 << 10;

/// The longest message that a monitor sends: a byte for its kind, and a piece of output.
pub const MESSAGE: usize = 1 + (32 << 10);

/// The longest message that a monitor takes: a byte for its kind, and a piece of input.
pub const INPUT_MESSAGE: usize = 1 + (16 << 10);

/// First bytes of messages.
pub mod kind {
    /// To the monitor: here I am. A byte of [`super::wants`] follows. To a client: it is believed, and gets all output
    /// from here on.
    pub const HELLO: u8 = b'H';
    /// To the monitor: input, the rest of the message.
    pub const INPUT: u8 = b'I';
    /// To the monitor: the end of input.
    pub const END_OF_INPUT: u8 = b'E';
    /// To the monitor: the terminal has another size, rows and columns as 16 bit numbers, the low byte first.
    pub const RESIZE: u8 = b'R';
    /// To the monitor of a container that is initialised: let the command run, [`super::NEXT_NAME`] being what is true
    /// then. To the client that said it: so it was done; an errno follows, 32 bits with the low byte first, 0 if it runs.
    pub const START: u8 = b'S';
    /// To the monitor: publish more ports, the sockets beside it; see [`super::ports`]. To the client that said it: an errno,
    /// as for `START`.
    pub const PUBLISH: u8 = super::ports::PUBLISH;
    /// To the monitor, and back, in the same way: one port less.
    pub const WITHDRAW: u8 = super::ports::WITHDRAW;
    /// To the monitor: have whoever serves the network say what it has counted, to the socket beside it. To the client that said
    /// it: an errno, as for `START`, whether that was passed on.
    pub const COUNT: u8 = super::COUNT;
    /// To a client: what the container wrote to standard output or to its terminal.
    pub const OUTPUT: u8 = b'O';
    /// To a client: what the container wrote to standard error.
    pub const ERROR_OUTPUT: u8 = b'X';
    /// To a client: the container ended; its exit code and the signal, or 0. The last message.
    pub const ENDED: u8 = b'Z';
    /// To a client: it was too slow, or one too many. The last message.
    pub const LEFT_BEHIND: u8 = b'L';
}

/// What a client says it is there for.
pub mod wants {
    /// It takes output.
    pub const OUTPUT: u8 = 1;
    /// It will send input.
    pub const INPUT: u8 = 2;
}
