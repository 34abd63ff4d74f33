//! The compiler against libseccomp, profile by profile, in the interpreter.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::super::syscalls::{self, Abi};
use super::super::*;
use super::random::{Family, OPERATORS, profiles};
use super::{Data, Samples, one, skip, usual};
use crate::caps::{self, Cap};

/// A running libseccomp.
struct Reference {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    _folder: tempfile::TempDir,
}

impl Reference {
    /// Compiles and starts the fixture; nothing where it cannot be had.
    fn start() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("libseccomp");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/seccomp/tests/libseccomp.c");
        let made = Command::new("gcc")
            .args(["-O1", "-Wall", "-Werror", "-o"])
            .args([program.as_os_str(), source.as_ref(), "-lseccomp".as_ref()])
            .output();
        match made {
            Ok(made) if made.status.success() => {}
            Ok(made) => {
                let said = String::from_utf8_lossy(&made.stderr);
                assert!(
                    said.contains("seccomp.h: No such file") || said.contains("find -lseccomp"),
                    "{said}"
                );
                skip("libseccomp", "libseccomp-dev is not installed");
                return None;
            }
            Err(_) => {
                skip("libseccomp", "gcc is not installed");
                return None;
            }
        }
        let mut child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Some(Self { input: child.stdin.take(), output, child, _folder: folder })
    }

    fn say(&mut self, text: &str) {
        let input = self.input.as_mut().unwrap();
        input.write_all(text.as_bytes()).unwrap();
        input.flush().unwrap();
    }

    fn hear(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Returns the numbers of a name on x86_64, i386 and x32.
    fn numbers(&mut self, name: &str) -> [Option<u32>; 3] {
        self.say(&format!("name {name}\n"));
        let line = self.hear();
        let numbers: Vec<_> = line.split(' ').map(|number| number.parse::<u32>().ok()).collect();
        numbers.try_into().unwrap()
    }

    /// Compiles a profile as crun does, or returns libseccomp's errno.
    fn compile(&mut self, profile: &Profile, facts: &Facts) -> Result<Vec<Instruction>, i32> {
        let text = as_crun(&profile.resolved(facts).unwrap());
        self.say(&text);
        let answer = self.hear();
        match answer.split_once(' ').unwrap() {
            ("ok", length) => {
                let mut bytes = vec![0; length.parse().unwrap()];
                self.output.read_exact(&mut bytes).unwrap();
                let (chunks, rest) = bytes.as_chunks();
                assert!(rest.is_empty());
                Ok(chunks.iter().map(|&bytes| Instruction::from_bytes(bytes)).collect())
            }
            (_, errno) => Err(errno.parse().unwrap()),
        }
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        drop(self.input.take());
        self.child.wait().unwrap();
    }
}

/// Writes a profile for the fixture, with what crun does before it asks libseccomp.
fn as_crun(profile: &Profile) -> String {
    let action = |action, errno| match action {
        Action::KillProcess => 0x8000_0000_u32,
        Action::KillThread => 0,
        Action::Trap => 0x3_0000,
        Action::Errno => 0x5_0000 | errno,
        Action::Notify => 0x7fc0_0000,
        Action::Trace => 0x7ff0_0000 | errno,
        Action::Log => 0x7ffc_0000,
        Action::Allow => 0x7fff_0000,
    };
    let default = action(profile.default_action, profile.default_errno_ret.unwrap_or(1));
    let mut text = format!("default {default}\n");
    for name in profile.architectures.iter() {
        let token = match name.as_ref() {
            "SCMP_ARCH_X86" => 0x4000_0003u32,
            "SCMP_ARCH_X86_64" => 0xc000_003e,
            "SCMP_ARCH_X32" => 0x4000_003e,
            other => panic!("{other}"),
        };
        writeln!(text, "arch {token}").unwrap();
    }
    for rule in profile.syscalls.iter() {
        let action = action(rule.action, rule.errno_ret.unwrap_or(1));
        if action == default {
            continue;
        }
        let mut indexes: Vec<_> = rule.args.iter().map(|condition| condition.index).collect();
        indexes.sort_unstable();
        let single = indexes.windows(2).any(|pair| pair[0] == pair[1]);
        for name in rule.names.iter() {
            for conditions in rule
                .args
                .chunks(if single { 1 } else { 6 })
                .chain(rule.args.is_empty().then_some([].as_slice()))
            {
                write!(text, "rule {action} {name}").unwrap();
                for Condition { index, value, value_two, op } in conditions {
                    let op = match op {
                        Operator::NotEqual => 1,
                        Operator::Less => 2,
                        Operator::LessOrEqual => 3,
                        Operator::Equal => 4,
                        Operator::GreaterOrEqual => 5,
                        Operator::Greater => 6,
                        Operator::MaskedEqual => 7,
                    };
                    write!(text, " {index} {op} {value} {value_two}").unwrap();
                }
                text += "\n";
            }
        }
    }
    text + "end\n"
}

/// Leaves out names that this libseccomp has other numbers for, or none: it is older than the table.
fn without_newer(profile: &Profile, reference: &mut Reference) -> (Profile, Vec<String>) {
    let mut left_out = Vec::new();
    let mut known = BTreeMap::new();
    let mut profile = profile.clone();
    for rule in profile.syscalls.to_mut() {
        rule.names.to_mut().retain(|name| {
            *known.entry(name.clone()).or_insert_with(|| {
                let theirs = reference.numbers(name);
                let ours =
                    [Abi::Amd64, Abi::I386, Abi::X32].map(|abi| syscalls::find(name)?.numbers(abi).direct);
                // Calls that i386 makes through another have a number of libseccomp's own there, if any.
                let same = (0..3).all(|at| {
                    theirs[at] == ours[at]
                        || at == 1
                            && theirs[at].is_none()
                            && ours[0].is_some()
                            && syscalls::find(name)
                                .is_some_and(|call| call.numbers(Abi::I386).multiplexed.is_some())
                });
                if !same {
                    left_out.push(format!("{name} {theirs:?} {ours:?}"));
                }
                same
            })
        });
    }
    (profile, left_out)
}

/// Runs both programs on samples of calls and lists where they differ.
fn differences(ours: &[Instruction], theirs: &[Instruction], samples: &Samples) -> Vec<String> {
    let [ours, theirs] = [ours, theirs].map(|program| bpf::Filter::new(program).unwrap());
    let mut found = Vec::new();
    samples.each(|data| {
        let [ours, theirs] = [ours, theirs].map(|program| program.run(data));
        if ours != theirs {
            found.push(format!("{data:x?}: {ours:#x} {theirs:#x}"));
        }
    });
    found
}

/// Names that an ABI has another number for than libseccomp's, or none, confuse it: see
/// [`libseccomp_forgets_to_look_at_the_number`].
const SAFE: &[&str] = &["read", "clone", "personality", "execve", "socket", "shmget"];

/// Compares random profiles of a family; `fits` says which are asked for.
///
/// The profiles are the same in every run: libseccomp gets about one of ten thousand wrong in a way of its own,
/// such as [`libseccomp_forgets_an_order_among_greater_values`], and what is new of that is for whoever changes the
/// compiler to judge, not for whoever runs the tests. That programs do what profiles say is shown of new profiles
/// in every run, by `random`.
fn compare_family(family: Family, cases: u32, fits: impl Fn(&Profile) -> bool) {
    let Some(mut reference) = Reference::start() else { return };
    let config = Config { failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let (mut compared, mut refused) = (0, 0);
    while compared < cases {
        let profile = profiles(family).new_tree(&mut runner).unwrap().current();
        if !fits(&profile) {
            continue;
        }
        match (compile(&profile, &usual()), reference.compile(&profile, &usual())) {
            (Ok(ours), Ok(theirs)) => {
                let found = differences(&ours.instructions(), &theirs, &Samples::of(&profile));
                assert!(
                    found.is_empty(),
                    "{}{:#?}\n{ours:?}",
                    as_crun(&profile),
                    &found[..found.len().min(9)]
                );
                compared += 1;
            }
            (Err(CompileError::Contradiction { .. }), Err(EEXIST)) => refused += 1,
            (Ok(_), Err(EEXIST)) if is_multiplexed(&profile) => refused += 1,
            (ours, theirs) => panic!("{}{ours:?} {theirs:?}", as_crun(&profile)),
        }
    }
    println!("{compared} profiles are equal, {refused} are refused");
}

/// libseccomp's word for rules that contradict each other.
const EEXIST: i32 = 17;

/// Tells whether a profile has rules that i386 needs twice.
fn is_multiplexed(profile: &Profile) -> bool {
    let i386 = profile.architectures.iter().any(|name| name == "SCMP_ARCH_X86");
    let mut names = profile.syscalls.iter().flat_map(Rule::names);
    i386 && names
        .any(|name| syscalls::find(name).is_some_and(|call| call.numbers(Abi::I386).multiplexed.is_some()))
}

#[test]
fn rules_about_equality_agree() {
    let operators = &[Operator::Equal, Operator::MaskedEqual];
    let family = Family { names: SAFE, operators, arguments: 3, conditions: 3, rules: 6 };
    compare_family(family, 150, |_| true);
}

#[test]
fn rules_about_greater_values_of_one_argument_agree() {
    let operators = &[Operator::Equal, Operator::NotEqual, Operator::Greater, Operator::GreaterOrEqual];
    let family = Family { names: SAFE, operators, arguments: 1, conditions: 1, rules: 6 };
    // Two inequalities with different answers: see `libseccomp_judges_halves_apart`.
    compare_family(family, 150, |profile| {
        let unequal = |rule: &&Rule| rule.args.iter().any(|condition| condition.op == Operator::NotEqual);
        profile.syscalls.iter().filter(unequal).count() < 2
    });
}

#[test]
fn single_rules_of_every_kind_agree() {
    let family = Family { names: SAFE, operators: OPERATORS, arguments: 6, conditions: 6, rules: 4 };
    compare_family(family, 150, |profile| {
        let mut names: Vec<_> = profile.syscalls.iter().flat_map(Rule::names).collect();
        names.sort_unstable();
        let once = names.windows(2).all(|pair| pair[0] != pair[1]);
        // Several conditions on one argument are several rules.
        once && profile.syscalls.iter().all(|rule| {
            rule.args
                .iter()
                .enumerate()
                .all(|(at, one)| rule.args[..at].iter().all(|other| other.index != one.index))
        })
    });
}

#[test]
fn built_in_profiles_agree_for_all_capabilities() {
    let Some(mut reference) = Reference::start() else { return };
    let old = Kernel { version: 4, revision: 7 };
    let single = moby::ASKED_FOR.iter().chain([Cap::AuditWrite]).map(|cap| caps::DEFAULT.with(cap));
    let sets = [caps::DEFAULT, CapSet::EMPTY, CapSet::ALL].into_iter().chain(single);
    let all = sets.map(|caps| Facts { caps, ..usual() }).chain([Facts { kernel: old, ..usual() }]);
    for facts in all {
        for profile in [default_profile(), nested()] {
            let (profile, left_out) = without_newer(&profile, &mut reference);
            assert!(left_out.len() < 40, "{left_out:#?}");
            // See `only_newer_calls_get_another_errno`.
            let profile = Profile { newer_errno_ret: None, ..profile };
            let theirs = reference.compile(&profile, &facts).unwrap();
            let ours = compile(&profile, &facts).unwrap().instructions();
            let found = differences(&ours, &theirs, &Samples::of(&profile));
            assert!(found.is_empty(), "{facts:?} {:#?}", &found[..found.len().min(9)]);
            assert!(ours.len() < 320 && ours.len() * 3 < theirs.len(), "{} {}", ours.len(), theirs.len());
        }
    }
}

#[test]
fn architectures_agree() {
    let Some(mut reference) = Reference::start() else { return };
    for architectures in [
        &[][..],
        &["SCMP_ARCH_X86_64"],
        &["SCMP_ARCH_X86"],
        &["SCMP_ARCH_X32"],
        &["SCMP_ARCH_X86", "SCMP_ARCH_X32"],
    ] {
        let (profile, _) = without_newer(&default_profile(), &mut reference);
        let profile = Profile {
            newer_errno_ret: None,
            arch_map: Cow::Borrowed(&[]),
            architectures: architectures.iter().map(|&name| Text::Borrowed(name)).collect(),
            ..profile
        };
        let theirs = reference.compile(&profile, &usual()).unwrap();
        let ours = compile(&profile, &usual()).unwrap().instructions();
        let found = differences(&ours, &theirs, &Samples::of(&profile));
        assert!(found.is_empty(), "{architectures:?} {:#?}", &found[..found.len().min(9)]);
    }
}

/// What a profile and a call are to be told apart by.
struct Difference<'a> {
    profile: &'a str,
    data: Data,
    ours: u32,
    theirs: u32,
}

impl Difference<'_> {
    /// Checks that the difference is there, so that its description goes when libseccomp changes.
    fn check(&self, reference: &mut Reference) {
        let profile = Profile::from_json(self.profile.as_bytes()).unwrap().unwrap();
        let theirs = reference.compile(&profile, &usual()).unwrap();
        let ours = compile(&profile, &usual()).unwrap().instructions();
        let answers = [ours, theirs].map(|program| bpf::run(&program, &self.data).unwrap());
        assert_eq!(answers, [self.ours, self.theirs], "{}", self.profile);
    }
}

fn call(number: u32, argument: u64) -> Data {
    Data { number, arch: arch::X86_64, arguments: [argument, 0, 0, 0, 0, 0], ..Data::default() }
}

/// libseccomp leaves out the load of the number where the first call of its list, ordered by how much is asked
/// about it, has none in the ABI, here `send` on i386. It then compares numbers with the architecture, so that
/// nothing but the default is ever reached.
#[test]
fn libseccomp_forgets_to_look_at_the_number() {
    let Some(mut reference) = Reference::start() else { return };
    let read_of_i386 = 3;
    Difference {
        profile: r#"{"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86"], "syscalls": [
            {"names": ["send"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["read"], "action": "SCMP_ACT_ALLOW",
             "args": [{"index": 0, "op": "SCMP_CMP_EQ", "value": 0}]}]}"#,
        data: Data { number: read_of_i386, arch: arch::I386, ..Data::default() },
        ours: rules::answer::ALLOW,
        theirs: rules::answer::ERRNO | 1,
    }
    .check(&mut reference);
}

/// Where a less and a greater meet on one argument, libseccomp compares the lower half of the argument with the
/// upper half of the rule, and answers what no rule says.
#[test]
fn libseccomp_mixes_up_halves_of_less_and_greater() {
    let Some(mut reference) = Reference::start() else { return };
    Difference {
        profile: r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": ["read"], "action": "SCMP_ACT_ERRNO",
             "args": [{"index": 0, "op": "SCMP_CMP_GE", "value": 4294967301}]},
            {"names": ["read"], "action": "SCMP_ACT_LOG",
             "args": [{"index": 0, "op": "SCMP_CMP_LT", "value": 38654705665}]}]}"#,
        data: call(0, 38_654_705_665),
        ours: rules::answer::ERRNO | 1,
        theirs: rules::answer::ALLOW,
    }
    .check(&mut reference);
}

/// Of two inequalities of one argument, libseccomp takes the higher value's answer where the upper halves are
/// equal, and the older rule's where they are not. Here the higher value's answer always counts.
#[test]
fn libseccomp_judges_halves_apart() {
    let Some(mut reference) = Reference::start() else { return };
    let profile = r#"{"defaultAction": "SCMP_ACT_LOG", "syscalls": [
        {"names": ["read"], "action": "SCMP_ACT_ALLOW",
         "args": [{"index": 0, "op": "SCMP_CMP_NE", "value": 1}]},
        {"names": ["read"], "action": "SCMP_ACT_ERRNO",
         "args": [{"index": 0, "op": "SCMP_CMP_NE", "value": 5}]}]}"#;
    let [allow, errno] = [rules::answer::ALLOW, rules::answer::ERRNO | 1];
    Difference { profile, data: call(0, 9), ours: errno, theirs: errno }.check(&mut reference);
    Difference { profile, data: call(0, 1 << 32), ours: errno, theirs: allow }.check(&mut reference);
}

/// Of greater values of one argument, the highest counts here. libseccomp lets a lower one count where the upper
/// half of the argument alone decides, if a rule about a yet higher upper half came last.
#[test]
fn libseccomp_forgets_an_order_among_greater_values() {
    let Some(mut reference) = Reference::start() else { return };
    let profile = r#"{"defaultAction": "SCMP_ACT_LOG", "syscalls": [
        {"names": ["read"], "action": "SCMP_ACT_ALLOW",
         "args": [{"index": 0, "op": "SCMP_CMP_GE", "value": 5}]},
        {"names": ["read"], "action": "SCMP_ACT_ERRNO",
         "args": [{"index": 0, "op": "SCMP_CMP_GT", "value": 2147483647}]},
        {"names": ["read"], "action": "SCMP_ACT_TRAP",
         "args": [{"index": 0, "op": "SCMP_CMP_GE", "value": 9}]},
        {"names": ["read"], "action": "SCMP_ACT_KILL",
         "args": [{"index": 0, "op": "SCMP_CMP_GE", "value": 38654705665}]}]}"#;
    let [errno, trap] = [rules::answer::ERRNO | 1, rules::answer::TRAP];
    Difference { profile, data: call(0, 1 << 31), ours: errno, theirs: errno }.check(&mut reference);
    Difference { profile, data: call(0, 1 << 32), ours: errno, theirs: trap }.check(&mut reference);
}

/// Rules of two calls that i386 makes through one are no contradiction: the first counts.
#[test]
fn libseccomp_refuses_what_nobody_contradicted() {
    let Some(mut reference) = Reference::start() else { return };
    let profile = r#"{"defaultAction": "SCMP_ACT_LOG", "architectures": ["SCMP_ARCH_X86"], "syscalls": [
        {"names": ["socket"], "action": "SCMP_ACT_ALLOW",
         "args": [{"index": 0, "op": "SCMP_CMP_EQ", "value": 1}]},
        {"names": ["socket"], "action": "SCMP_ACT_ERRNO",
         "args": [{"index": 0, "op": "SCMP_CMP_EQ", "value": 2}]}]}"#;
    let profile = Profile::from_json(profile.as_bytes()).unwrap().unwrap();
    assert_eq!(reference.compile(&profile, &usual()), Err(EEXIST));
    let ours = compile(&profile, &usual()).unwrap().instructions();
    let socketcall = Data { number: 102, arch: arch::I386, arguments: [1, 0, 0, 0, 0, 0], ..Data::default() };
    assert_eq!(bpf::run(&ours, &socketcall), Ok(rules::answer::ALLOW));
}

/// The errno of newer calls is the whole difference between our default and moby's profile.
#[test]
fn only_newer_calls_get_another_errno() {
    let Some(mut reference) = Reference::start() else { return };
    let (known, _) = without_newer(&default_profile(), &mut reference);
    // An unknown name of the highest number, so that both know the same calls.
    let newest = Rule { action: Action::Errno, ..one("removexattrat", vec![]) };
    let profile = Profile { syscalls: known.syscalls.iter().cloned().chain([newest]).collect(), ..known };
    let theirs = reference.compile(&Profile { newer_errno_ret: None, ..profile.clone() }, &usual()).unwrap();
    let ours = compile(&profile, &usual()).unwrap().instructions();
    let [ours, theirs] = [&ours, &theirs].map(|program| bpf::Filter::new(program).unwrap());
    let mut newer = 0;
    Samples::of(&profile).each(|data| {
        let [ours, theirs] = [ours, theirs].map(|program| program.run(data));
        let number = if data.arch == arch::X86_64 { data.number & !X32_BIT } else { data.number };
        let x32s_own = data.number == number | X32_BIT && (512..=547).contains(&number);
        // removexattrat is the newest call of moby's list.
        if number > 466 && !x32s_own && data.arch != 0xc000_00b7 {
            newer += 1;
            assert_eq!([ours, theirs], [rules::answer::ERRNO | 38, rules::answer::ERRNO | 1], "{data:x?}");
        } else {
            assert_eq!(ours, theirs, "{data:x?}");
        }
    });
    assert!(newer > 200, "{newer}");
}
