//! Profiles at random, from few calls and few values, so that rules meet.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::super::*;
use super::{Data, Samples, usual};

/// Calls of every kind: plain, of one ABI only, with other numbers in x32, made through another on i386.
pub(super) const EVERY_KIND: &[&str] =
    &["read", "clone", "execve", "waitpid", "socket", "send", "shmget", "socketcall", "ipc", "no_such_call"];

/// Values at the ends of words, of halves, and amid them.
const VALUES: &[u64] =
    &[0, 1, 5, 9, 0x7fff_ffff, 0xffff_ffff, 0x1_0000_0000, 0x1_0000_0005, 0x9_0000_0001, 1 << 63, u64::MAX];

/// What profiles are made of.
#[derive(Clone, Copy)]
pub(super) struct Family {
    pub(super) names: &'static [&'static str],
    pub(super) operators: &'static [Operator],
    pub(super) arguments: u32,
    pub(super) conditions: usize,
    pub(super) rules: usize,
}

/// Every comparison.
pub(super) const OPERATORS: &[Operator] = &[
    Operator::NotEqual,
    Operator::Less,
    Operator::LessOrEqual,
    Operator::Equal,
    Operator::GreaterOrEqual,
    Operator::Greater,
    Operator::MaskedEqual,
];

fn text(text: &'static str) -> Text {
    Text::Borrowed(text)
}

fn condition(family: Family) -> impl Strategy<Value = Condition> {
    let value = || select(VALUES);
    (0..family.arguments, select(family.operators), value(), value())
        .prop_map(|(index, op, value, value_two)| Condition { index, value, value_two, op })
}

fn action() -> impl Strategy<Value = (Action, Option<u32>)> {
    use Action::{Allow, Errno, KillProcess, KillThread, Log, Trace, Trap};
    prop_oneof![
        3 => Just((Allow, None)),
        3 => option::of(1..40u32).prop_map(|errno| (Errno, errno)),
        1 => (0..=65_535u32).prop_map(|number| (Trace, Some(number))),
        1 => select(vec![KillProcess, KillThread, Log, Trap]).prop_map(|action| (action, None)),
    ]
}

fn rule(family: Family) -> impl Strategy<Value = Rule> {
    let names = vec(select(family.names).prop_map(text), 1..3);
    (names, action(), vec(condition(family), 0..=family.conditions)).prop_map(
        |(names, (action, errno_ret), args)| Rule {
            names: names.into(),
            action,
            errno_ret,
            args: args.into(),
            ..profile::RULE
        },
    )
}

/// Profiles of a family.
pub(super) fn profiles(family: Family) -> impl Strategy<Value = Profile> {
    let architectures = subsequence(vec!["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"], 0..=3);
    (action(), architectures, vec(rule(family), 0..=family.rules)).prop_map(
        |((default_action, default_errno_ret), architectures, syscalls)| Profile {
            default_action,
            default_errno_ret,
            architectures: architectures.into_iter().map(text).collect(),
            arch_map: Cow::Borrowed(&[]),
            newer_errno_ret: None,
            syscalls: syscalls.into(),
            ..default_profile()
        },
    )
}

/// A profile's meaning, word for word.
struct Meaning {
    default: u32,
    all: Vec<Calls>,
}

impl Meaning {
    fn of(profile: &Profile) -> Result<Self, CompileError> {
        let default = rules::answer(profile.default_action, profile.default_errno()?)?;
        let all = rules::sort_out(profile, &usual(), default, &abis(profile)?)?;
        Ok(Self { default, all })
    }

    /// Returns what a call gets, and what it may get whatever the order of the rules is.
    fn of_call(&self, data: &Data) -> (u32, Vec<u32>) {
        let of = |abi| self.all.iter().find(|calls| calls.abi == abi);
        let is_x32 = data.number & X32_BIT != 0 && data.number >> 31 == 0;
        let calls = match data.arch {
            arch::X86_64 if data.number >= X32_BIT && of(Abi::X32).is_none() => {
                let answer = if data.number == u32::MAX { self.default } else { 0 };
                return (answer, vec![answer]);
            }
            arch::X86_64 => of(if is_x32 { Abi::X32 } else { Abi::Amd64 }),
            arch::I386 => of(Abi::I386),
            _ => None,
        };
        let Some(calls) = calls else { return (0, vec![0]) };
        let number = if is_x32 && data.arch == arch::X86_64 { data.number ^ X32_BIT } else { data.number };
        match calls.verdicts().get(number as usize) {
            None | Some(Verdict::Unnamed) => (self.default, vec![self.default]),
            Some(Verdict::Always(answer)) => (*answer, vec![*answer]),
            Some(Verdict::Cases(cases)) => {
                let holding = cases.iter().filter(|case| holds(case, calls.abi, data));
                let answers: Vec<u32> = holding.map(|case| case.answer).collect();
                (answers.first().copied().unwrap_or(self.default), answers)
            }
        }
    }
}

/// Tells whether all conditions of a case hold.
fn holds(case: &Case, abi: Abi, data: &Data) -> bool {
    case.conditions.iter().all(|&Checked { argument, operator, mask, value }| {
        let argument = data.arguments[usize::from(argument)];
        let argument = if abi == Abi::Amd64 { argument } else { argument & 0xffff_ffff };
        let argument = argument & mask;
        match operator {
            Operator::NotEqual => argument != value,
            Operator::Less => argument < value,
            Operator::LessOrEqual => argument <= value,
            Operator::Equal | Operator::MaskedEqual => argument == value,
            Operator::GreaterOrEqual => argument >= value,
            Operator::Greater => argument > value,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn programs_do_what_profiles_say(profile in profiles(Family {
        names: EVERY_KIND, operators: OPERATORS, arguments: 3, conditions: 3, rules: 8,
    })) {
        match (compile(&profile, &usual()), Meaning::of(&profile)) {
            (Ok(program), Ok(meaning)) => {
                let instructions = program.instructions();
                let filter = bpf::Filter::new(&instructions).unwrap();
                let mut wrong = None;
                Samples::of(&profile).each(|data| {
                    let answer = filter.run(data);
                    let (expected, possible) = meaning.of_call(data);
                    let possible = if possible.is_empty() { vec![meaning.default] } else { possible };
                    if answer != expected || !possible.contains(&answer) {
                        wrong = Some((*data, answer, expected));
                    }
                });
                prop_assert!(wrong.is_none(), "{wrong:x?}\n{program:?}");
            }
            (Err(CompileError::Contradiction { name }), Err(CompileError::Contradiction { name: again })) => {
                prop_assert_eq!(name, again);
            }
            (program, meaning) => prop_assert!(false, "{:?} {:?}", program, meaning.err()),
        }
    }
}
