//! From a profile to what each call of each ABI gets, by libseccomp's rules for rules.
//!
//! # Which rule counts
//! Profiles name a call several times, and were written against what libseccomp makes of that:
//!
//! 1. A rule with the default action is no rule (crun leaves it out, libseccomp would refuse it).
//! 2. The first rule without a condition decides about a call. Rules after it, and those before it that had
//!    conditions, are void.
//! 3. Else the first rule whose conditions hold decides, in the order of [`in_precedence`], not of the profile.
//! 4. Equal conditions with different answers are refused, and so are conditions that an earlier rule narrows
//!    down for another answer. The later of two equal rules is void.
//! 5. A rule with several conditions on one argument stands for as many rules with one each (crun, runc).
//!
//! A masked comparison with an empty mask is no condition. On i386 and x32, only the lower half of an argument
//! is looked at. On i386, a rule for `socket` or `shmget` and the like is also one for `socketcall` or `ipc`
//! with the right first argument, in place of a condition on the call's own first argument.
//!
//! # Not as libseccomp
//! - Conflicts among the rules for `socketcall` and `ipc` that come of other calls' rules are no error: the
//!   first counts. libseccomp refuses the profile, though nobody wrote a contradiction.
//! - libseccomp's faults are its own. Where less and greater meet on one argument it compares the halves of values
//!   crosswise; where two inequalities do, it judges the halves by different rules, and where four greater values
//!   do, it can forget their order; and where the first call of its list has no number in an ABI, it never looks at
//!   the number. Here the first case that holds decides.
//! - Numbers that go with an action are refused if they do not fit, not cut off.
//! - Architectures of other processors are left out: their programs do not run here, so that their calls get
//!   what every unknown architecture gets.
//!
//! `tests/libseccomp.rs` shows each of these, and compares all else call by call.

use std::cmp::Ordering;

use super::profile::{Action, Condition, Operator, Profile};
use super::syscalls::{Abi, Known, X32_BIT, X32_LAST, find, is_own_of_x32, newest};
use super::{CompileError, Facts};

/// The arguments of a call.
const ARGUMENTS: u32 = 6;
/// Conditional rules of all calls together that are looked at, twice the instructions that a program may have.
const LIMIT: usize = 1 << 13;
/// The highest errno that the kernel passes on.
const MAX_ERRNO: u32 = 4095;

/// Values that a filter returns, `SECCOMP_RET_*`.
pub(super) mod answer {
    pub(crate) const KILL_PROCESS: u32 = 0x8000_0000;
    pub(crate) const KILL_THREAD: u32 = 0;
    pub(crate) const TRAP: u32 = 0x0003_0000;
    pub(crate) const ERRNO: u32 = 0x0005_0000;
    pub(crate) const NOTIFY: u32 = 0x7fc0_0000;
    pub(crate) const TRACE: u32 = 0x7ff0_0000;
    pub(crate) const LOG: u32 = 0x7ffc_0000;
    pub(crate) const ALLOW: u32 = 0x7fff_0000;
}

/// EPERM, the errno of an action that names none.
const EPERM: u32 = 1;

/// Returns what a filter returns for an action.
pub(super) fn answer(action: Action, number: Option<u32>) -> Result<u32, CompileError> {
    let fitting = |limit| match number.unwrap_or(EPERM) {
        number if number > limit => Err(CompileError::Number { action, number }),
        number => Ok(number),
    };
    let plain = match action {
        Action::Errno => return Ok(answer::ERRNO | fitting(MAX_ERRNO)?),
        Action::Trace => return Ok(answer::TRACE | fitting(u16::MAX.into())?),
        Action::KillProcess => answer::KILL_PROCESS,
        Action::KillThread => answer::KILL_THREAD,
        Action::Trap => answer::TRAP,
        Action::Notify => answer::NOTIFY,
        Action::Log => answer::LOG,
        Action::Allow => answer::ALLOW,
    };
    match number {
        Some(number) => Err(CompileError::Number { action, number }),
        None => Ok(plain),
    }
}

/// A condition as an ABI sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Checked {
    pub(super) argument: u8,
    pub(super) operator: Operator,
    /// The bits that count.
    pub(super) mask: u64,
    /// What they are compared with.
    pub(super) value: u64,
}

impl Checked {
    /// Takes a condition over, or nothing where it always holds.
    fn new(condition: &Condition, argument: u8, abi: Abi) -> Option<Self> {
        let Condition { value, value_two, op: operator, .. } = *condition;
        let (mask, value) =
            if operator == Operator::MaskedEqual { (value, value_two) } else { (u64::MAX, value) };
        let mask = if abi == Abi::Amd64 { mask } else { mask & u64::from(u32::MAX) };
        (mask != 0).then_some(Self { argument, operator, mask, value: value & mask })
    }

    /// Lists the comparisons of words that libseccomp makes of the condition: upper half, lower half.
    fn words(&self, abi: Abi) -> impl Iterator<Item = Compared> {
        let Self { argument, operator, mask, value } = *self;
        let group = match operator {
            Operator::Equal | Operator::NotEqual | Operator::MaskedEqual => Group::Equality,
            Operator::Less | Operator::LessOrEqual => Group::Less,
            Operator::Greater | Operator::GreaterOrEqual => Group::Greater,
        };
        let word = move |shift: u32, strict| Compared {
            argument,
            group,
            value: value >> shift & u64::from(u32::MAX),
            kind: (operator == Operator::MaskedEqual, strict, mask >> shift & u64::from(u32::MAX)),
        };
        let strict = matches!(operator, Operator::LessOrEqual | Operator::Greater);
        let high = (abi == Abi::Amd64).then(|| word(32, false));
        high.into_iter().chain([word(0, strict)])
    }
}

/// How conditions compare, in the order in which libseccomp looks at them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    Equality,
    Less,
    Greater,
}

/// A comparison of one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Compared {
    argument: u8,
    group: Group,
    value: u64,
    /// What else tells comparisons apart: whether there is a mask, whether equal values fail, the mask.
    kind: (bool, bool, u64),
}

impl Compared {
    /// Orders comparisons: later arguments first, then by group, then the narrower before the wider.
    fn precedence(&self, other: &Self) -> Ordering {
        let value = match self.group {
            Group::Less => self.value.cmp(&other.value),
            Group::Equality | Group::Greater => other.value.cmp(&self.value),
        };
        other.argument.cmp(&self.argument).then(self.group.cmp(&other.group)).then(value)
    }
}

/// Conditions that must all hold, in the order of the arguments, and the answer then.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Case {
    pub(super) conditions: Vec<Checked>,
    pub(super) answer: u32,
}

/// Puts cases in the order in which libseccomp asks for them.
///
/// It keeps the comparisons of all cases in one tree. On each level, comparisons are ordered by
/// [`Compared::precedence`], those that this leaves equal by age; a case that goes on below another's comparison
/// comes when that one does. A case that ends goes before those that go on.
fn in_precedence(cases: Vec<Case>, abi: Abi) -> Vec<Case> {
    let words = |case: &Case| case.conditions.iter().flat_map(|condition| condition.words(abi)).collect();
    let mut branches: Vec<(Vec<Compared>, Case)> =
        cases.into_iter().map(|case| (words(&case), case)).collect();
    order(&mut branches, 0);
    branches.into_iter().map(|(_, case)| case).collect()
}

/// Orders branches that are equal down to a level.
fn order(branches: &mut [(Vec<Compared>, Case)], level: usize) {
    if branches.len() < 2 {
        return;
    }
    branches.sort_by(|(one, _), (other, _)| match (one.get(level), other.get(level)) {
        (Some(one), Some(other)) => one.precedence(other),
        (one, other) => one.is_some().cmp(&other.is_some()),
    });
    let mut start = 0;
    while start < branches.len() {
        let rest = &mut branches[start..];
        let first = rest[0].0.get(level).copied();
        // Branches with the same comparison move up to the oldest of them.
        let mut same = 1;
        for at in 1..rest.len() {
            let word = rest[at].0.get(level).copied();
            if word == first {
                rest[same..=at].rotate_right(1);
                same += 1;
            } else if let (Some(first), Some(word)) = (first, word)
                && first.precedence(&word).is_ne()
            {
                break;
            }
        }
        if first.is_some() {
            order(&mut rest[..same], level + 1);
        }
        start += same;
    }
}

/// What a call gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Verdict {
    /// No rule names it.
    #[default]
    Unnamed,
    /// Always the same.
    Always(u32),
    /// The first case that holds, in this order; else the default.
    Cases(Vec<Case>),
}

impl Verdict {
    /// Adds a rule without a condition.
    fn always(&mut self, answer: u32) {
        if !matches!(self, Self::Always(_)) {
            *self = Self::Always(answer);
        }
    }

    /// Adds a case, and fails where it contradicts another.
    fn case(&mut self, case: Case) -> Result<(), Contradiction> {
        let cases = match self {
            Self::Always(_) => return Ok(()),
            Self::Cases(cases) => cases,
            Self::Unnamed => {
                *self = Self::Cases(vec![case]);
                return Ok(());
            }
        };
        for earlier in cases.iter() {
            if earlier.conditions == case.conditions && earlier.answer == case.answer {
                return Ok(());
            }
            if earlier.conditions.starts_with(&case.conditions) && earlier.answer != case.answer {
                return Err(Contradiction);
            }
        }
        cases.push(case);
        Ok(())
    }
}

/// Two rules want different things of the same call.
struct Contradiction;

/// The verdicts about all calls of one ABI.
#[derive(Debug)]
pub(super) struct Calls {
    pub(super) abi: Abi,
    verdicts: Vec<Verdict>,
    /// Conditional rules that were looked at.
    cases: usize,
    /// The highest number of a call that the profile names, x32's own range not counting.
    newest: u32,
}

impl Calls {
    /// Sorts out the rules that count for a container.
    pub(super) fn new(abi: Abi) -> Self {
        let numbers = if abi == Abi::X32 { X32_LAST } else { newest() };
        Self { abi, verdicts: vec![Verdict::Unnamed; numbers as usize + 1], cases: 0, newest: 0 }
    }

    /// Lists the verdicts by number, [`X32_BIT`] left out.
    pub(super) fn verdicts(&self) -> &[Verdict] {
        &self.verdicts
    }

    /// Tells whether a number is that of a call newer than all that the profile names.
    pub(super) fn is_newer(&self, number: u32) -> bool {
        number > self.newest && !is_own_of_x32(number, self.abi)
    }

    /// Notes that the profile names a call.
    fn note(&mut self, known: Known) {
        if let Some(number) = known.numbers(self.abi).direct {
            let number = number & !X32_BIT;
            if !is_own_of_x32(number, self.abi) {
                self.newest = self.newest.max(number);
            }
        }
    }

    /// Returns the verdict about a number, where the table has one so high.
    fn verdict(&mut self, number: u32) -> Option<&mut Verdict> {
        self.verdicts.get_mut((number & !X32_BIT) as usize)
    }

    /// Adds a rule of one name.
    fn add(&mut self, name: &str, known: Known, rule: &Split<'_>) -> Result<(), CompileError> {
        let numbers = known.numbers(self.abi);
        for conditions in rule.alternatives() {
            if self.cases > LIMIT {
                return Err(CompileError::TooLong);
            }
            let conditions: Vec<Checked> = conditions
                .iter()
                .filter_map(|&(argument, condition)| Checked::new(condition, argument, self.abi))
                .collect();
            if let Some((number, first)) = numbers.multiplexed {
                let first = Checked {
                    argument: 0,
                    operator: Operator::Equal,
                    mask: u32::MAX.into(),
                    value: first.into(),
                };
                let rest = conditions.iter().copied().filter(|condition| condition.argument != 0);
                let conditions = std::iter::once(first).chain(rest).collect();
                self.add_case(number, Case { conditions, answer: rule.answer }).ok();
            }
            let Some(number) = numbers.direct else { continue };
            if conditions.is_empty() {
                if let Some(verdict) = self.verdict(number) {
                    verdict.always(rule.answer);
                }
            } else if self.add_case(number, Case { conditions, answer: rule.answer }).is_err() {
                return Err(CompileError::Contradiction { name: name.to_owned() });
            }
        }
        Ok(())
    }

    fn add_case(&mut self, number: u32, case: Case) -> Result<(), Contradiction> {
        // Those that change nothing count too, as each was compared with all before it.
        self.cases += 1;
        match self.verdict(number) {
            Some(verdict) => verdict.case(case),
            None => Ok(()),
        }
    }

    /// Puts all cases in the order in which they count.
    fn sort(&mut self) {
        for verdict in &mut self.verdicts {
            if let Verdict::Cases(cases) = verdict {
                *cases = in_precedence(std::mem::take(cases), self.abi);
            }
        }
    }
}

/// A rule's answer and conditions, the latter by argument.
struct Split<'a> {
    answer: u32,
    conditions: Vec<(u8, &'a Condition)>,
    /// Whether an argument has several, so that each is a rule of its own.
    apart: bool,
}

impl<'a> Split<'a> {
    fn new(conditions: &'a [Condition], answer: u32) -> Result<Self, CompileError> {
        let mut sorted = Vec::new();
        for condition in conditions {
            let index = condition.index;
            let argument = u8::try_from(index).ok().filter(|_| index < ARGUMENTS);
            sorted.push((argument.ok_or(CompileError::Index(index))?, condition));
        }
        sorted.sort_by_key(|(argument, _)| *argument);
        let apart = sorted.windows(2).any(|pair| pair[0].0 == pair[1].0);
        Ok(Self { answer, conditions: sorted, apart })
    }

    /// Lists the conditions of each rule that this one stands for.
    fn alternatives(&self) -> impl Iterator<Item = &[(u8, &'a Condition)]> {
        let whole = (!self.apart).then_some(self.conditions.as_slice());
        whole.into_iter().chain(self.conditions.chunks(1).filter(|_| self.apart))
    }
}

/// Sorts out what each call gets in these ABIs.
pub(super) fn sort_out(
    profile: &Profile,
    facts: &Facts,
    default: u32,
    abis: &[Abi],
) -> Result<Vec<Calls>, CompileError> {
    let mut all: Vec<Calls> = abis.iter().map(|&abi| Calls::new(abi)).collect();
    for rule in profile.applicable(facts)? {
        let answer = answer(rule.action, rule.errno()?)?;
        let split = Split::new(&rule.args, answer)?;
        for name in rule.names() {
            // Names that no ABI has are those of other processors, or newer than the table: crun ignores them.
            let Some(known) = find(name) else { continue };
            if rule.action == Action::Notify && name == "write" {
                return Err(CompileError::NotifyWrite);
            }
            for calls in &mut all {
                calls.note(known);
                if answer != default {
                    calls.add(name, known, &split)?;
                }
            }
        }
    }
    all.iter_mut().for_each(Calls::sort);
    Ok(all)
}
