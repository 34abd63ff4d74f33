//! Compiles seccomp profiles to the classic BPF programs that the kernel runs.
//!
//! # Theory of operation
//! A [`Profile`] says in names what a container may call. [`compile`] turns it into a [`Program`] for one
//! container, whose capabilities and kernel ([`Facts`]) decide which of the rules count:
//!
//! 1. `rules` gives every number of every ABI (x86_64, i386, x32) a verdict, by libseccomp's rules for rules.
//! 2. This module makes a graph of decisions of them: first the architecture, then a balanced search over
//!    intervals of numbers with equal verdicts, then the arguments. x32 differs from x86_64 in few numbers, so
//!    that both share one search, and only verdicts that differ look at the bit that tells them apart.
//! 3. `assemble` puts the graph in a row of instructions.
//!
//! The kernel's time to load a program grows with its length, and libseccomp's search is a list of all calls:
//! moby's profile is a thousand instructions there, and 260 here.
//!
//! The program for the default profile and the usual capabilities is part of this program
//! ([`default_program`]); a test compares it with what the compiler makes.
//!
//! # Failure
//! Nothing is loaded here: a profile that makes no sense is an error before anything of a container exists.
//!
//! # References
//! seccomp(2); `config-linux.md` §Seccomp of the runtime specification; crun's `seccomp.c` for what a profile
//! means where the specification leaves it open.

mod assemble;
pub mod bpf;
mod graph;
mod moby;
mod podman;
mod profile;
mod rules;
mod syscalls;

use std::borrow::Cow;
use std::fmt;

use bpf::{Instruction, low_and_high};
use graph::{Compare, Graph, Id, Test, Word};
pub use profile::{
    Action, ArchMap, Condition, Flag, Kernel, KernelError, Operator, Profile, ProfileError, Rule, Text, When,
};
use rules::{Calls, Case, Checked, Verdict};
use syscalls::{Abi, X32_BIT};

use crate::caps::CapSet;

/// What rules of a profile may depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The container's bounding set.
    pub caps: CapSet,
    /// The running kernel.
    pub kernel: Kernel,
}

/// A profile cannot be made a program.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// The profile itself is wrong.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// An architecture that nobody knows.
    #[error("unknown architecture {0:?} in the seccomp profile")]
    Architecture(String),
    /// A number for an action without one, or one that does not fit.
    #[error("errno value {number} specified for action {action:?}")]
    Number {
        /// The action.
        action: Action,
        /// The number.
        number: u32,
    },
    /// An argument beyond the sixth.
    #[error("invalid seccomp index {0}")]
    Index(u32),
    /// Rules that contradict each other.
    #[error("the seccomp profile has rules for {name:?} with the same conditions and different actions")]
    Contradiction {
        /// The call.
        name: String,
    },
    /// Nobody could ask the listener about calls that it needs itself.
    #[error("SCMP_ACT_NOTIFY cannot be the default action")]
    NotifyDefault,
    /// The one who sends the listener away has to write.
    #[error("SCMP_ACT_NOTIFY cannot be used for the write syscall")]
    NotifyWrite,
    /// Nobody would get the listener.
    #[error("SCMP_ACT_NOTIFY is used, and listenerPath is not set")]
    NoListener,
    /// More instructions than the kernel takes.
    #[error("the seccomp profile makes a filter of more than {limit} instructions", limit = bpf::MAX_INSTRUCTIONS)]
    TooLong,
}

/// A filter, ready to be loaded.
#[derive(Clone, PartialEq, Eq)]
pub struct Program {
    bytes: Cow<'static, [u8]>,
    flags: u32,
    notifies: bool,
}

impl Program {
    /// Returns the instructions as the kernel reads them, [`Instruction::BYTES`] each.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the instructions.
    pub fn instructions(&self) -> Vec<Instruction> {
        let (chunks, _) = self.bytes.as_chunks();
        chunks.iter().map(|&bytes| Instruction::from_bytes(bytes)).collect()
    }

    /// Returns the `SECCOMP_FILTER_FLAG_*` to load it with.
    ///
    /// The one for a listener is among them if [`Self::notifies`].
    pub fn flags(&self) -> u32 {
        self.flags
    }

    /// Tells whether loading makes a listener, which has to be sent to the profile's `listenerPath`.
    pub fn notifies(&self) -> bool {
        self.notifies
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "flags {:#x}", self.flags)?;
        for (at, instruction) in self.instructions().iter().enumerate() {
            writeln!(f, "{at:4} {instruction:?}")?;
        }
        Ok(())
    }
}

/// `AUDIT_ARCH_*` of the callers that a filter knows.
mod arch {
    pub(super) const X86_64: u32 = 0xc000_003e;
    pub(super) const I386: u32 = 0x4000_0003;
}

/// `SECCOMP_FILTER_FLAG_*`.
mod flag {
    pub(super) const TSYNC: u32 = 1;
    pub(super) const LOG: u32 = 1 << 1;
    pub(super) const SPEC_ALLOW: u32 = 1 << 2;
    pub(super) const NEW_LISTENER: u32 = 1 << 3;
    pub(super) const WAIT_KILLABLE_RECV: u32 = 1 << 5;
}

/// Returns the default profile: moby's.
pub fn default_profile() -> Profile {
    moby::PROFILE
}

/// Returns the profile for containers in containers: podman's.
pub fn nested() -> Profile {
    podman::PROFILE
}

/// The default profile's program for containers without capabilities that open calls.
static DEFAULT: &[u8] = include_bytes!("default.bpf");

/// Returns the default profile's program, where it is the one that is built in.
///
/// It is for every set of capabilities that has CAP_SYS_CHROOT and no other that a rule asks for, podman's
/// default set among them. The file is written anew by `CTR_BLESS=1 cargo test -p ctr-runtime seccomp`.
pub fn default_program(facts: &Facts) -> Option<Program> {
    let built_in = moby::ASKED_FOR.intersection(facts.caps) == moby::BUILT_IN && facts.kernel >= moby::KERNEL;
    built_in.then_some(Program { bytes: Cow::Borrowed(DEFAULT), flags: flag::SPEC_ALLOW, notifies: false })
}

/// Compiles a profile for one container.
///
/// # Errors
/// A profile that contradicts itself, or asks for what cannot be had.
pub fn compile(profile: &Profile, facts: &Facts) -> Result<Program, CompileError> {
    if is_default(profile)
        && let Some(program) = default_program(facts)
    {
        return Ok(program);
    }
    compile_anew(profile, facts)
}

/// Tells whether a profile is the untouched default.
fn is_default(profile: &Profile) -> bool {
    // The rules are the same where they are in the same place; what else there is, is short.
    let built_in = matches!(&profile.syscalls, Cow::Borrowed(rules) if std::ptr::eq(*rules, moby::RULES));
    let without_rules = |profile: Profile| Profile { syscalls: Cow::Borrowed(&[]), ..profile };
    built_in && without_rules(profile.clone()) == without_rules(moby::PROFILE)
}

/// Compiles a profile, be it the default one.
fn compile_anew(profile: &Profile, facts: &Facts) -> Result<Program, CompileError> {
    let default = rules::answer(profile.default_action, profile.default_errno()?)?;
    if profile.default_action == Action::Notify {
        return Err(CompileError::NotifyDefault);
    }
    let notifies = profile.syscalls.iter().any(|rule| rule.action == Action::Notify)
        && profile.applicable(facts)?.any(|rule| rule.action == Action::Notify);
    if notifies && profile.listener_path.is_none() {
        return Err(CompileError::NoListener);
    }
    let newer = match profile.newer_errno_ret {
        Some(errno) => rules::answer(Action::Errno, Some(errno))?,
        None => default,
    };
    let abis = abis(profile)?;
    let calls = rules::sort_out(profile, facts, default, &abis)?;
    let mut builder = Builder { graph: Graph::default(), default, newer };
    let root = builder.program(&calls)?;
    let instructions = assemble::assemble(&builder.graph, root).ok_or(CompileError::TooLong)?;
    Ok(Program {
        bytes: instructions.into_iter().flat_map(Instruction::to_bytes).collect(),
        flags: flags(profile, notifies),
        notifies,
    })
}

/// Lists the ABIs that a profile knows, the host's own always first.
fn abis(profile: &Profile) -> Result<Vec<Abi>, CompileError> {
    let mut abis = vec![Abi::Amd64];
    for name in profile.architectures()? {
        let abi = match name.strip_prefix("SCMP_ARCH_").unwrap_or(name).to_ascii_uppercase().as_str() {
            "NATIVE" | "X86_64" => Abi::Amd64,
            "X86" => Abi::I386,
            "X32" => Abi::X32,
            "AARCH64" | "ARM" | "LOONGARCH64" | "M68K" | "MIPS" | "MIPS64" | "MIPS64N32" | "MIPSEL"
            | "MIPSEL64" | "MIPSEL64N32" | "PARISC" | "PARISC64" | "PPC" | "PPC64" | "PPC64LE"
            | "RISCV64" | "S390" | "S390X" | "SH" | "SHEB" => continue,
            _ => return Err(CompileError::Architecture(name.to_string())),
        };
        if !abis.contains(&abi) {
            abis.push(abi);
        }
    }
    Ok(abis)
}

/// Returns what to load a profile's program with.
fn flags(profile: &Profile, notifies: bool) -> u32 {
    let said = match &profile.flags {
        None => flag::SPEC_ALLOW,
        Some(flags) => flags.iter().fold(0, |bits, flag| {
            bits | match flag {
                Flag::Tsync => flag::TSYNC,
                Flag::Log => flag::LOG,
                Flag::SpecAllow => flag::SPEC_ALLOW,
                Flag::WaitKillableRecv => flag::WAIT_KILLABLE_RECV,
            }
        }),
    };
    // A program with a listener must not be for all threads, and one without has nobody to wait for: both are EINVAL
    // to the kernel. There is only one thread when it is loaded, so that nothing is lost.
    if notifies { said & !flag::TSYNC | flag::NEW_LISTENER } else { said & !flag::WAIT_KILLABLE_RECV }
}

/// Makes the graph of decisions.
struct Builder {
    graph: Graph,
    default: u32,
    /// The answer to calls newer than the profile.
    newer: u32,
}

impl Builder {
    /// Makes the whole decision about a call.
    fn program(&mut self, all: &[Calls]) -> Result<Id, CompileError> {
        let of = |abi| all.iter().find(|calls| calls.abi == abi);
        // What libseccomp does with callers of an architecture that the filter does not know.
        let mut root = self.graph.answer(rules::answer::KILL_THREAD);
        if let Some(i386) = of(Abi::I386) {
            let calls = self.i386(i386)?;
            root = self.graph.ask(Test::whole(Word::ARCH, Compare::Equal, arch::I386), calls, root);
        }
        if let Some(amd64) = of(Abi::Amd64) {
            let calls = match of(Abi::X32) {
                Some(x32) => self.amd64_and_x32(amd64, x32)?,
                None => self.amd64(amd64)?,
            };
            root = self.graph.ask(Test::whole(Word::ARCH, Compare::Equal, arch::X86_64), calls, root);
        }
        Ok(root)
    }

    /// Decides about an i386 call.
    fn i386(&mut self, calls: &Calls) -> Result<Id, CompileError> {
        let verdicts = self.verdicts(calls)?;
        Ok(self.search(&verdicts, u32::MAX))
    }

    /// Decides about an x86_64 call where x32 is unknown, and so its calls are as those of an unknown
    /// architecture; but −1, which a tracer sets to skip a call, is none of them.
    fn amd64(&mut self, calls: &Calls) -> Result<Id, CompileError> {
        let verdicts = self.verdicts(calls)?;
        let search = self.search(&verdicts, u32::MAX);
        let [unknown, default] = [rules::answer::KILL_THREAD, self.default].map(|a| self.graph.answer(a));
        let skipped = Test::whole(Word::NUMBER, Compare::Equal, u32::MAX);
        let other = self.graph.ask(skipped, default, unknown);
        Ok(self.graph.ask(Test::whole(Word::NUMBER, Compare::GreaterOrEqual, X32_BIT), other, search))
    }

    /// Decides about a call of x86_64 or x32: one search over numbers without the bit that tells them apart.
    fn amd64_and_x32(&mut self, amd64: &Calls, x32: &Calls) -> Result<Id, CompileError> {
        let amd64 = self.verdicts(amd64)?;
        let x32 = self.verdicts(x32)?;
        let newer = self.graph.answer(self.newer);
        let is_x32 = Test { word: Word::NUMBER, mask: X32_BIT, compare: Compare::Equal, value: X32_BIT };
        let both: Vec<Id> = (0..amd64.len().max(x32.len()))
            .map(|number| {
                let [amd64, x32] = [&amd64, &x32].map(|ids| ids.get(number).copied().unwrap_or(newer));
                self.graph.ask(is_x32, x32, amd64)
            })
            .collect();
        let search = self.search(&both, !X32_BIT);
        let end = X32_BIT + syscalls::X32_LAST;
        Ok(self.graph.ask(Test::whole(Word::NUMBER, Compare::Greater, end), newer, search))
    }

    /// Makes the decision about every number that the table knows.
    fn verdicts(&mut self, calls: &Calls) -> Result<Vec<Id>, CompileError> {
        let default = self.graph.answer(self.default);
        let newer = self.graph.answer(self.newer);
        let mut ids = Vec::with_capacity(calls.verdicts().len());
        // Nearly all calls get the same answer: looking it up each time is most of the work.
        let mut last = (self.default, default);
        for (number, verdict) in (0..).zip(calls.verdicts()) {
            ids.push(match verdict {
                Verdict::Always(answer) => {
                    if last.0 != *answer {
                        last = (*answer, self.graph.answer(*answer));
                    }
                    last.1
                }
                Verdict::Cases(cases) => self.cases(cases, calls.abi, default)?,
                Verdict::Unnamed if calls.is_newer(number) => newer,
                Verdict::Unnamed => default,
            });
        }
        Ok(ids)
    }

    /// Makes the decision of cases in the order in which they count.
    fn cases(&mut self, cases: &[Case], abi: Abi, default: Id) -> Result<Id, CompileError> {
        let mut next = default;
        for case in cases.iter().rev() {
            let mut holds = self.graph.answer(case.answer);
            for condition in case.conditions.iter().rev() {
                holds = self.condition(condition, abi, holds, next);
            }
            next = holds;
            self.graph.check().map_err(|graph::Overflow| CompileError::TooLong)?;
        }
        Ok(self.graph.simplified(next))
    }

    /// Makes the decision of one condition.
    fn condition(&mut self, condition: &Checked, abi: Abi, yes: Id, no: Id) -> Id {
        use Operator::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, MaskedEqual, NotEqual};
        let Checked { argument, operator, mask, value } = *condition;
        let graph = &mut self.graph;
        let (low_mask, high_mask) = low_and_high(mask);
        let (low_value, high_value) = low_and_high(value);
        // The negated operators are the others with the ends swapped.
        let (compare, yes, no) = match operator {
            Equal | MaskedEqual => (Compare::Equal, yes, no),
            NotEqual => (Compare::Equal, no, yes),
            Greater => (Compare::Greater, yes, no),
            LessOrEqual => (Compare::Greater, no, yes),
            GreaterOrEqual => (Compare::GreaterOrEqual, yes, no),
            Less => (Compare::GreaterOrEqual, no, yes),
        };
        let low = Test { word: Word::low(argument), mask: low_mask, compare, value: low_value };
        let low = if low_mask == 0 { yes } else { graph.ask(low, yes, no) };
        if abi != Abi::Amd64 || high_mask == 0 {
            return low;
        }
        let high = |compare| Test { word: Word::high(argument), mask: high_mask, compare, value: high_value };
        let equal = graph.ask(high(Compare::Equal), low, no);
        if compare == Compare::Equal { equal } else { graph.ask(high(Compare::Greater), yes, equal) }
    }

    /// Makes the search for a number among verdicts from 0 on; what is beyond them is newer.
    fn search(&mut self, verdicts: &[Id], mask: u32) -> Id {
        let newer = self.graph.answer(self.newer);
        let mut intervals: Vec<Interval> = Vec::new();
        for (start, id) in (0..).zip(verdicts.iter().copied().chain([newer])) {
            if intervals.last().is_none_or(|last| last.id != id) {
                intervals.push(Interval { start, id });
            }
        }
        Search { builder: self, mask }.among(&intervals)
    }
}

/// Numbers from `start` up to the next interval's, whose verdicts are equal.
#[derive(Clone, Copy, Debug)]
struct Interval {
    start: u32,
    id: Id,
}

/// A search over a number, as far as the mask lets it count.
struct Search<'a> {
    builder: &'a mut Builder,
    mask: u32,
}

impl Search<'_> {
    /// Makes the search among intervals next to each other.
    fn among(&mut self, intervals: &[Interval]) -> Id {
        match intervals {
            [] => self.builder.graph.answer(self.builder.default),
            [one] => one.id,
            // A single number amid others takes one comparison instead of two.
            [before, single, after] if before.id == after.id && after.start == single.start + 1 => {
                self.ask(Compare::Equal, single.start, single.id, before.id)
            }
            [a, b, c, d, e]
                if a.id == c.id && c.id == e.id && c.start == b.start + 1 && e.start == d.start + 1 =>
            {
                let second = self.ask(Compare::Equal, d.start, d.id, a.id);
                self.ask(Compare::Equal, b.start, b.id, second)
            }
            _ => {
                let (below, from) = intervals.split_at(intervals.len() / 2);
                let start = from[0].start;
                let [below, from] = [below, from].map(|half| self.among(half));
                self.ask(Compare::GreaterOrEqual, start, from, below)
            }
        }
    }

    fn ask(&mut self, compare: Compare, value: u32, yes: Id, no: Id) -> Id {
        let test = Test { word: Word::NUMBER, mask: self.mask, compare, value };
        self.builder.graph.ask(test, yes, no)
    }
}

#[cfg(test)]
mod tests;
