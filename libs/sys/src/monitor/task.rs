//! The task of a monitor, and its encoding.

use super::Script;
use crate::step::{Field, Reader, Sink, Strings};

/// Which file, for the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileId {
    /// Its device.
    pub dev: u64,
    /// Its number there.
    pub ino: u64,
}

/// Where a container's output comes from; `F` is how a descriptor is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output<F> {
    /// It goes somewhere by itself.
    None,
    /// Two pipes.
    Pipes {
        /// The end to read standard output from.
        stdout: F,
        /// The end to read standard error from.
        stderr: F,
    },
    /// A terminal, which also takes input.
    Terminal(F),
}

/// The log of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log<'a, F> {
    /// The folder it lies in.
    pub folder: F,
    /// The name of its newest file, without a NUL; those of older ones are this with `.1`, `.2`, …
    pub name: &'a [u8],
    /// The most bytes of one file; 0 is no limit.
    pub limit: u64,
    /// How many files there may be, the newest included.
    pub files: u32,
}

/// How the network of a container is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network<'a, F> {
    /// The socket to the process that serves it, which ends when nobody has it.
    pub control: F,
    /// That process, a pidfd; the monitor is its parent.
    pub process: F,
    /// The arguments of the next one, its name first: the program is that which comes in the end.
    pub arguments: Strings<'a>,
    /// What the next one is told; the descriptors follow those of the task.
    pub script: Script<'a>,
}

/// What a monitor does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Task<'a, F> {
    /// The container's lock, which the monitor holds and passes on.
    pub lock: F,
    /// The container's folder: `exit.json` is written there.
    pub folder: F,
    /// The container's init, a pidfd; the monitor is its parent.
    pub init: F,
    /// The program that the monitor becomes in the end.
    pub program: F,
    /// That program's arguments, its name first.
    pub ended: Strings<'a>,
    /// Where output comes from.
    pub output: Output<F>,
    /// The end of a pipe that input is written to, if the container has no terminal and takes input.
    pub input: Option<F>,
    /// Where output is kept.
    pub log: Option<Log<'a, F>>,
    /// The socket that clients connect to.
    pub listener: Option<F>,
    /// The socket of the starting command: trusted, and never left behind.
    pub client: Option<F>,
    /// A pipe that gets one byte when the monitor is at work.
    pub ready: Option<F>,
    /// `memory.events` of the container's cgroup.
    pub memory_events: Option<F>,
    /// The socket to an init whose command waits for a client that says [`START`](super::kind::START).
    pub gate: Option<F>,
    /// The container's network, if it has one of its own.
    pub network: Option<Network<'a, F>>,
    /// How long the container may run, in milliseconds; 0 is for ever.
    pub timeout: u64,
    /// The user namespaces whose processes may be clients: U and A.
    pub trusted: [FileId; 2],
}

/// Kinds of output as they are encoded.
const NONE: u8 = 0;
const PIPES: u8 = 1;
const TERMINAL: u8 = 2;

impl<'a, F> Task<'a, F> {
    /// The same task with its descriptors held otherwise. They are visited in the order of their numbers in the monitor.
    pub fn map<G>(self, mut hold: impl FnMut(F) -> G) -> Task<'a, G> {
        Task {
            lock: hold(self.lock),
            folder: hold(self.folder),
            init: hold(self.init),
            program: hold(self.program),
            ended: self.ended,
            output: match self.output {
                Output::None => Output::None,
                Output::Pipes { stdout, stderr } => {
                    Output::Pipes { stdout: hold(stdout), stderr: hold(stderr) }
                }
                Output::Terminal(master) => Output::Terminal(hold(master)),
            },
            input: self.input.map(&mut hold),
            log: self.log.map(|log| Log {
                folder: hold(log.folder),
                name: log.name,
                limit: log.limit,
                files: log.files,
            }),
            listener: self.listener.map(&mut hold),
            client: self.client.map(&mut hold),
            ready: self.ready.map(&mut hold),
            memory_events: self.memory_events.map(&mut hold),
            gate: self.gate.map(&mut hold),
            network: self.network.map(|network| Network {
                control: hold(network.control),
                process: hold(network.process),
                arguments: network.arguments,
                script: network.script,
            }),
            timeout: self.timeout,
            trusted: self.trusted,
        }
    }

    /// Encodes all but the descriptors.
    pub fn encode(&self, sink: &mut impl Sink) {
        self.ended.put(sink);
        match &self.output {
            Output::None => NONE,
            Output::Pipes { stdout: _, stderr: _ } => PIPES,
            Output::Terminal(_) => TERMINAL,
        }
        .put(sink);
        let maybe = [&self.input, &self.listener, &self.client, &self.ready, &self.memory_events, &self.gate];
        for there in maybe {
            there.is_some().put(sink);
        }
        self.network.is_some().put(sink);
        if let Some(network) = &self.network {
            network.arguments.put(sink);
            network.script.put(sink);
        }
        self.log.is_some().put(sink);
        if let Some(log) = &self.log {
            log.name.put(sink);
            log.limit.put(sink);
            log.files.put(sink);
        }
        self.timeout.put(sink);
        for FileId { dev, ino } in self.trusted {
            dev.put(sink);
            ino.put(sink);
        }
    }
}

impl<'a> Task<'a, ()> {
    /// Decodes a task; nothing if it is not one, to the last byte.
    #[must_use]
    pub fn decode(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let from = &mut reader;
        let ended = Strings::take(from)?;
        let output = match u8::take(from)? {
            NONE => Output::None,
            PIPES => Output::Pipes { stdout: (), stderr: () },
            TERMINAL => Output::Terminal(()),
            _ => return None,
        };
        let mut there = || bool::take(from).map(|there| there.then_some(()));
        let [input, listener, client, ready, memory_events, gate] =
            [there()?, there()?, there()?, there()?, there()?, there()?];
        let network = match bool::take(from)? {
            false => None,
            true => Some(Network {
                control: (),
                process: (),
                arguments: Strings::take(from)?,
                script: Script::take(from)?,
            }),
        };
        let log = match bool::take(from)? {
            false => None,
            true => Some(Log {
                folder: (),
                name: <&[u8]>::take(from)?,
                limit: u64::take(from)?,
                files: u32::take(from)?,
            }),
        };
        let timeout = u64::take(from)?;
        let mut id = || Some(FileId { dev: u64::take(from)?, ino: u64::take(from)? });
        let trusted = [id()?, id()?];
        let task = Self {
            lock: (),
            folder: (),
            init: (),
            program: (),
            ended,
            output,
            input,
            log,
            listener,
            client,
            ready,
            memory_events,
            gate,
            network,
            timeout,
            trusted,
        };
        reader.0.is_empty().then_some(task)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use proptest::prelude::*;

    use super::super::Message;
    use super::*;

    fn bytes<F>(task: &Task<'_, F>) -> Vec<u8> {
        let mut bytes = Vec::new();
        task.encode(&mut |piece: &[u8]| bytes.extend_from_slice(piece));
        bytes
    }

    fn plain() -> Task<'static, ()> {
        Task {
            lock: (),
            folder: (),
            init: (),
            program: (),
            ended: Strings::new(b"ctr-run\0__ended\0").unwrap(),
            output: Output::Pipes { stdout: (), stderr: () },
            input: None,
            log: Some(Log { folder: (), name: b"ctr.log", limit: 10, files: 3 }),
            listener: Some(()),
            client: None,
            ready: Some(()),
            memory_events: None,
            gate: None,
            network: None,
            timeout: 7,
            trusted: [FileId { dev: 1, ino: 2 }, FileId { dev: 3, ino: 4 }],
        }
    }

    #[test]
    fn the_encoding_is_known() {
        let mut expected = Vec::new();
        expected.extend_from_slice(&16_u32.to_ne_bytes());
        expected.extend_from_slice(b"ctr-run\0__ended\0");
        expected.extend_from_slice(&[PIPES, 0, 1, 0, 1, 0, 0, 0, 1]);
        expected.extend_from_slice(&7_u32.to_ne_bytes());
        expected.extend_from_slice(b"ctr.log");
        expected.extend_from_slice(&10_u64.to_ne_bytes());
        expected.extend_from_slice(&3_u32.to_ne_bytes());
        for number in [7_u64, 1, 2, 3, 4] {
            expected.extend_from_slice(&number.to_ne_bytes());
        }
        assert_eq!(bytes(&plain()), expected);
    }

    #[test]
    fn the_lock_is_the_first_descriptor() {
        let mut next = super::super::LOCK_AT;
        let places = plain().map(|()| {
            next += 1;
            next - 1
        });
        assert_eq!(places.lock, super::super::LOCK_AT);
        assert_eq!(places.output, Output::Pipes { stdout: 8, stderr: 9 });
        assert_eq!((places.log.unwrap().folder, places.listener, places.ready), (10, Some(11), Some(12)));
    }

    #[test]
    fn what_is_cut_short_or_too_long_is_no_task() {
        let whole = bytes(&plain());
        for length in 0..whole.len() {
            assert_eq!(Task::decode(&whole[..length]), None, "{length} bytes");
        }
        let mut longer = whole;
        longer.push(0);
        assert_eq!(Task::decode(&longer), None);
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(
            kind in 0_u8..3,
            there in any::<[bool; 8]>(),
            name in proptest::collection::vec(any::<u8>(), 0..40),
            words in proptest::collection::vec("[^\0]{0,9}", 0..5),
            numbers in any::<[u64; 6]>(),
            files in any::<u32>(),
        ) {
            let mut ended: Vec<u8> = Vec::new();
            for word in &words {
                ended.extend_from_slice(word.as_bytes());
                ended.push(0);
            }
            let [input, listener, client, ready, memory_events, gate, log, network] =
                there.map(|there| there.then_some(()));
            let mut script: Vec<u8> = Vec::new();
            Message { words: &name, descriptors: 3 }.encode(&mut |piece: &[u8]| script.extend_from_slice(piece));
            let [limit, timeout, a, b, c, d] = numbers;
            let task = Task {
                ended: Strings::new(&ended).unwrap(),
                output: match kind {
                    NONE => Output::None,
                    PIPES => Output::Pipes { stdout: (), stderr: () },
                    _ => Output::Terminal(()),
                },
                input, listener, client, ready, memory_events, gate,
                network: network.map(|()| Network {
                    control: (),
                    process: (),
                    arguments: Strings::new(&ended).unwrap(),
                    script: Script::new(&script).unwrap(),
                }),
                log: log.map(|folder| Log { folder, name: &name, limit, files }),
                timeout,
                trusted: [FileId { dev: a, ino: b }, FileId { dev: c, ino: d }],
                ..plain()
            };
            let encoded = bytes(&task);
            prop_assert_eq!(Task::decode(&encoded), Some(task));
        }
    }
}
