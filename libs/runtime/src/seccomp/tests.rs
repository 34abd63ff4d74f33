//! Tests of whole programs.

mod cost;
mod kernel;
mod libseccomp;
mod random;

use std::collections::BTreeSet;
use std::fs;

use super::bpf::Data;
use super::*;
use crate::caps::{self, Cap};

/// Says why a test does not run, and fails where it must.
pub(super) fn skip(what: &str, why: &str) {
    let required = std::env::var("CTR_TEST_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|name| name == what), "{what} is required: {why}");
    println!("skipped: {why}");
}

fn usual() -> Facts {
    Facts { caps: caps::DEFAULT, kernel: Kernel { version: 6, revision: 1 } }
}

/// Calls at which programs are compared.
struct Samples {
    /// Values of each argument at which something may change.
    values: [Vec<u64>; 6],
    /// Numbers, bit of x32 left out, for which arguments matter.
    numbers: BTreeSet<u32>,
}

impl Samples {
    /// Collects the values around each one of a profile, and the numbers that conditions are for.
    fn of(profile: &Profile) -> Self {
        let mut values: [BTreeSet<u64>; 6] = Default::default();
        // The calls by which i386 makes others.
        let mut numbers = BTreeSet::from([102, 117]);
        for rule in profile.syscalls.iter().filter(|rule| !rule.args.is_empty()) {
            for Condition { index, value, value_two, .. } in rule.args.iter() {
                let around = |value: u64| [value.wrapping_sub(1), value, value.wrapping_add(1), !value];
                let far = |value: u64| [value, value ^ 1 << 32, value ^ 1 << 63, value << 32, value >> 32];
                let one = |value| around(value).into_iter().flat_map(far);
                let mixed = [*value_two, value & value_two, value | value_two, value_two & !value];
                values[*index as usize].extend(one(*value).chain(mixed.into_iter().flat_map(one)));
            }
            for name in rule.names() {
                let Some(call) = syscalls::find(name) else { continue };
                let direct = [Abi::Amd64, Abi::I386, Abi::X32].map(|abi| call.numbers(abi).direct);
                numbers.extend(direct.into_iter().flatten().map(|number| number & !X32_BIT));
            }
        }
        let values = values.map(|mut values| {
            values.extend([0, 1, 20, 24, u64::MAX, 1 << 32]);
            values.into_iter().collect()
        });
        Self { values, numbers }
    }

    /// Shows each call of each architecture with a choice of arguments.
    fn each(&self, mut show: impl FnMut(&Data)) {
        let low = 0..600;
        let x32 = (0..600).map(|number| X32_BIT | number);
        let odd = [
            X32_BIT - 1,
            0x7fff_ffff,
            0x8000_0000,
            0x8000_0001,
            0xbfff_ffff,
            0xc000_0000,
            u32::MAX - 1,
            u32::MAX,
        ];
        for number in low.chain(x32).chain(odd) {
            for arch in [arch::X86_64, arch::I386, 0xc000_00b7] {
                let plain = Data { number, arch, ..Data::default() };
                show(&plain);
                show(&Data { arguments: [u64::MAX; 6], instruction_pointer: u64::MAX, ..plain });
                if self.numbers.contains(&(number & !X32_BIT)) {
                    self.arguments(|arguments| show(&Data { arguments, ..plain }));
                }
            }
        }
    }

    /// Shows every value of every argument, beside a rotating choice of the others.
    fn arguments(&self, mut show: impl FnMut([u64; 6])) {
        let mut turn = 0;
        for argument in 0..6 {
            for &value in &self.values[argument] {
                for round in 0..3 {
                    turn += 1;
                    let mut arguments = [0, 1, 2, 3, 4, 5].map(|other| {
                        let values = &self.values[other];
                        if round == 0 { 0 } else { values[turn * (other * 2 + 3 + round) % values.len()] }
                    });
                    arguments[argument] = value;
                    show(arguments);
                }
            }
        }
    }
}

#[test]
fn the_built_in_program_is_what_the_compiler_makes() {
    let program = compile_anew(&default_profile(), &usual()).unwrap();
    bpf::check(&program.instructions()).unwrap();
    println!("{} instructions", program.instructions().len());
    if std::env::var_os("CTR_BLESS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/seccomp/default.bpf");
        fs::write(path, program.bytes()).unwrap();
    }
    assert!(program.bytes() == DEFAULT, "run again with CTR_BLESS=1 and look at what changed");
}

/// Returns the names of the calls that a filter does not simply allow on an ABI, with what they get.
fn restricted(program: &Program, abi: Abi) -> Vec<String> {
    let instructions = program.instructions();
    let filter = bpf::Filter::new(&instructions).unwrap();
    let arch = if abi == Abi::I386 { arch::I386 } else { arch::X86_64 };
    let mut restricted = Vec::new();
    for name in syscalls::names() {
        let Some(number) = syscalls::find(name).and_then(|call| call.numbers(abi).direct) else { continue };
        let answers: BTreeSet<u32> = [0, 1, 38, 40, u64::MAX]
            .map(|argument| filter.run(&Data { number, arch, arguments: [argument; 6], ..Data::default() }))
            .into();
        if answers != BTreeSet::from([rules::answer::ALLOW]) {
            restricted.push(format!("{name} {answers:x?}"));
        }
    }
    restricted
}

/// Class T of the security table: what of the kernel a container does not get to see.
#[test]
fn the_default_keeps_dangerous_calls_from_containers() {
    let program = compile(&default_profile(), &usual()).unwrap();
    let restricted = restricted(&program, Abi::Amd64);
    for name in [
        "add_key",
        "bpf",
        "clone3",
        "fsconfig",
        "fsmount",
        "fsopen",
        "init_module",
        "io_uring_enter",
        "io_uring_register",
        "io_uring_setup",
        "kexec_load",
        "keyctl",
        "mount",
        "mount_setattr",
        "move_mount",
        "open_by_handle_at",
        "open_tree",
        "perf_event_open",
        "pivot_root",
        "request_key",
        "setns",
        "unshare",
        "userfaultfd",
    ] {
        let errno = if name == "clone3" { 38 } else { 1 };
        let expected = format!("{name} {:x?}", BTreeSet::from([rules::answer::ERRNO | errno]));
        assert!(restricted.contains(&expected), "{expected} {restricted:#?}");
    }
    insta::assert_snapshot!(restricted.join("\n"));
}

#[test]
fn sockets_of_dangerous_families_are_denied() {
    let instructions = compile(&default_profile(), &usual()).unwrap().instructions();
    let filter = bpf::Filter::new(&instructions).unwrap();
    for (number, arch) in [(41, arch::X86_64), (41 | X32_BIT, arch::X86_64), (359, arch::I386)] {
        for family in 0..60 {
            let data = Data { number, arch, arguments: [family, 5, 0, 0, 0, 0], ..Data::default() };
            // AF_ALG and AF_VSOCK.
            let denied = matches!(family, 38 | 40);
            let expected = if denied { rules::answer::ERRNO | 1 } else { rules::answer::ALLOW };
            assert_eq!(filter.run(&data), expected, "{family} on {arch:x}");
        }
    }
}

#[test]
fn new_namespaces_need_sys_admin() {
    let with = |caps| compile(&default_profile(), &Facts { caps, ..usual() }).unwrap().instructions();
    let [usual, admin] = [caps::DEFAULT, caps::DEFAULT.with(Cap::SysAdmin)].map(with);
    let clone = |flags| Data { number: 56, arch: arch::X86_64, arguments: [flags; 6], ..Data::default() };
    for (flags, allowed) in [(0x11, true), (0x1000_0011, false), (0x0002_0011, false), (0x003d_0f00, true)] {
        let expected = if allowed { rules::answer::ALLOW } else { rules::answer::ERRNO | 1 };
        assert_eq!(bpf::run(&usual, &clone(flags)), Ok(expected), "{flags:x}");
        assert_eq!(bpf::run(&admin, &clone(flags)), Ok(rules::answer::ALLOW), "{flags:x}");
    }
}

#[test]
fn the_built_in_program_is_for_who_it_is_for() {
    let facts = |caps| Facts { caps, ..usual() };
    for (caps, built_in) in [
        (caps::DEFAULT, true),
        (caps::DEFAULT.with(Cap::NetRaw), true),
        (CapSet::of(&[Cap::SysChroot]), true),
        (CapSet::EMPTY, false),
        (CapSet::ALL, false),
        (caps::DEFAULT.with(Cap::SysAdmin), false),
        (caps::DEFAULT.with(Cap::Perfmon), false),
    ] {
        assert_eq!(default_program(&facts(caps)).is_some(), built_in, "{caps:?}");
        let anew = compile_anew(&default_profile(), &facts(caps)).unwrap();
        assert_eq!(compile(&default_profile(), &facts(caps)).unwrap(), anew, "{caps:?}");
    }
    let old = Facts { kernel: Kernel { version: 4, revision: 7 }, ..usual() };
    assert!(default_program(&old).is_none());
}

#[test]
fn all_that_rules_ask_for_is_noted() {
    let profile = default_profile();
    let rules = profile.syscalls.iter();
    let asked: Vec<_> =
        rules.flat_map(|rule| rule.includes.caps.iter().chain(rule.excludes.caps.iter())).collect();
    let caps: CapSet = asked.iter().map(|name| name.parse::<Cap>().unwrap()).collect();
    assert_eq!(caps, moby::ASKED_FOR);
    let kernels =
        profile.syscalls.iter().filter_map(|rule| rule.includes.min_kernel.max(rule.excludes.min_kernel));
    assert_eq!(kernels.max(), Some(moby::KERNEL));
}

#[test]
fn a_changed_default_profile_is_not_the_default() {
    let changed = Profile { default_errno_ret: Some(2), ..default_profile() };
    let program = compile(&changed, &usual()).unwrap();
    assert_ne!(program.bytes(), DEFAULT);
    let flags = Profile { flags: Some(vec![]), ..default_profile() };
    assert_eq!(compile(&flags, &usual()).unwrap().flags(), 0);
    assert_eq!(compile(&default_profile(), &usual()).unwrap().flags(), flag::SPEC_ALLOW);
}

/// The tables against their sources, whose paths are in the environment when somebody updates a table:
/// moby's `seccomp/default.json`, container-libs' `common/pkg/seccomp/seccomp.json`.
#[test]
fn tables_say_what_their_sources_say() {
    for (variable, table) in [("CTR_MOBY_SECCOMP", default_profile()), ("CTR_PODMAN_SECCOMP", nested())] {
        let Some(path) = std::env::var_os(variable) else {
            skip(variable, &format!("{variable} names no file"));
            continue;
        };
        let source = Profile::from_json(&fs::read(path).unwrap()).unwrap().unwrap();
        let table = Profile { newer_errno_ret: None, ..table };
        assert_eq!(table.syscalls.len(), source.syscalls.len());
        assert_eq!(table.arch_map, source.arch_map);
        for caps in [CapSet::EMPTY, caps::DEFAULT, CapSet::ALL] {
            let facts = Facts { caps, ..usual() };
            assert_eq!(table.resolved(&facts).unwrap(), source.resolved(&facts).unwrap());
        }
    }
}

/// Makes a profile of rules that allow and all else fails.
fn allowing(rules: Vec<Rule>) -> Profile {
    Profile { syscalls: rules.into(), newer_errno_ret: None, ..default_profile() }
}

fn equal(index: u32, value: u64) -> Condition {
    Condition { index, value, value_two: 0, op: Operator::Equal }
}

/// Makes a rule that allows one call on conditions.
fn one(name: &'static str, args: Vec<Condition>) -> Rule {
    Rule { names: vec![profile::text(name)].into(), args: args.into(), ..profile::RULE }
}

#[test]
fn far_jumps_arrive() {
    // Each of these 500 cases takes some seven instructions, and the answers come last.
    let rules = (0..500).map(|value| one("read", vec![equal(0, value), equal(1, value)])).collect();
    let profile = Profile { arch_map: Cow::Borrowed(&[]), ..allowing(rules) };
    let program = compile(&profile, &usual()).unwrap().instructions();
    assert!(program.len() > 3000, "{}", program.len());
    let filter = bpf::Filter::new(&program).unwrap();
    for (first, second) in [(0, 0), (0, 1), (400, 400), (400, 399), (499, 499), (500, 500), (1 << 32, 0)] {
        let data =
            Data { number: 0, arch: arch::X86_64, arguments: [first, second, 0, 0, 0, 0], ..Data::default() };
        let allowed = first == second && first < 500;
        let expected = if allowed { rules::answer::ALLOW } else { rules::answer::ERRNO | 1 };
        assert_eq!(filter.run(&data), expected, "{first} {second}");
    }
}

#[test]
fn programs_are_as_long_as_the_kernel_takes() {
    let profile = |cases| {
        let rules = (0..cases).map(|value| one("read", vec![equal(0, value * 2), equal(1, value)])).collect();
        Profile { arch_map: Cow::Borrowed(&[]), ..allowing(rules) }
    };
    let fits = |cases| match compile(&profile(cases), &usual()) {
        Ok(program) => {
            bpf::check(&program.instructions()).unwrap();
            true
        }
        Err(CompileError::TooLong) => false,
        Err(error) => panic!("{error}"),
    };
    // The longest that fits, to the case.
    let (mut low, mut high) = (1, 5000);
    while low + 1 < high {
        let middle = (low + high) / 2;
        if fits(middle) { low = middle } else { high = middle }
    }
    let longest = compile(&profile(low), &usual()).unwrap().instructions().len();
    assert!((4080..=4096).contains(&longest), "{low} cases make {longest}");
    assert!(!fits(20_000), "more cases than are looked at");
}

#[test]
fn hostile_profiles_end() {
    let text =
        |count: usize, text: &dyn Fn(usize) -> String| (0..count).map(text).collect::<Vec<_>>().join(",");
    let rule = |names: &str, args: &str| {
        format!(r#"{{"names": [{names}], "action": "SCMP_ACT_LOG", "args": [{args}]}}"#)
    };
    let condition = |op: &str, at: usize| format!(r#"{{"index": 0, "value": {at}, "op": "SCMP_CMP_{op}"}}"#);
    let names = |count| text(count, &|at| ["\"read\"", "\"socket\"", "\"nothing\""][at % 3].to_owned());
    let profiles = [
        // Many conditions on one argument, which are as many rules, for many names.
        rule(&names(50_000), &text(10_000, &|at| condition("LT", at))),
        rule(&names(50_000), &text(10_000, &|_| condition("EQ", 7))),
        [rule("\"read\"", ""), rule(&names(9_999), &text(9_999, &|at| condition("EQ", at)))].join(","),
        // A rule for each of many answers and for each of many intervals.
        text(8_000, &|at| rule("\"read\"", &condition(["GT", "LT", "NE", "EQ"][at % 4], at * 7_919 % 8_009))),
        rule(&names(300_000), ""),
    ];
    for (at, rules) in profiles.iter().enumerate() {
        let json = format!(
            r#"{{"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"],
            "syscalls": [{rules}]}}"#
        );
        let profile = Profile::from_json(json.as_bytes()).unwrap().unwrap();
        match compile(&profile, &usual()) {
            Ok(program) => bpf::check(&program.instructions()).unwrap(),
            Err(CompileError::TooLong) => {}
            Err(error) => panic!("{at}: {error}"),
        }
    }
    let deep = format!("{}1{}", r#"{"syscalls":["#.repeat(1000), "]}".repeat(1000));
    assert!(Profile::from_json(deep.as_bytes()).is_err());
}

#[test]
fn profiles_that_make_no_sense_are_refused() {
    let rule = |action, errno_ret| Rule { action, errno_ret, ..one("read", vec![]) };
    let refused = |profile: Profile| compile(&profile, &usual()).unwrap_err().to_string();
    assert_eq!(refused(allowing(vec![one("read", vec![equal(6, 0)])])), "invalid seccomp index 6");
    assert_eq!(
        refused(allowing(vec![rule(Action::Allow, Some(1))])),
        "errno value 1 specified for action Allow"
    );
    assert_eq!(
        refused(allowing(vec![rule(Action::Errno, Some(4096))])),
        "errno value 4096 specified for action Errno"
    );
    assert_eq!(
        refused(allowing(vec![rule(Action::Trace, Some(65_536))])),
        "errno value 65536 specified for action Trace"
    );
    let unknown = Profile {
        arch_map: Cow::Borrowed(&[]),
        architectures: vec![profile::text("SCMP_ARCH_Z80")].into(),
        ..allowing(vec![])
    };
    assert_eq!(refused(unknown), "unknown architecture \"SCMP_ARCH_Z80\" in the seccomp profile");
    let contradiction =
        [Action::Allow, Action::Log].map(|action| Rule { action, ..one("read", vec![equal(0, 1)]) });
    assert_eq!(
        refused(allowing(contradiction.into())),
        "the seccomp profile has rules for \"read\" with the same conditions and different actions"
    );
}

#[test]
fn listeners_are_asked_for() {
    let notify = |name| Rule { action: Action::Notify, ..one(name, vec![]) };
    let profile = Profile { listener_path: Some("/run/listener".into()), ..allowing(vec![notify("mkdir")]) };
    let program = compile(&profile, &usual()).unwrap();
    assert!(program.notifies());
    assert_eq!(program.flags(), flag::SPEC_ALLOW | flag::NEW_LISTENER);
    let mkdir = Data { number: 83, arch: arch::X86_64, ..Data::default() };
    assert_eq!(bpf::run(&program.instructions(), &mkdir), Ok(rules::answer::NOTIFY));

    let nobody = Profile { listener_path: None, ..profile.clone() };
    assert!(matches!(compile(&nobody, &usual()), Err(CompileError::NoListener)));
    let write = Profile { syscalls: vec![notify("write")].into(), ..profile.clone() };
    assert!(matches!(compile(&write, &usual()), Err(CompileError::NotifyWrite)));
    let all = Profile { default_action: Action::Notify, default_errno_ret: None, ..profile };
    assert!(matches!(compile(&all, &usual()), Err(CompileError::NotifyDefault)));
}

#[test]
fn flags_are_the_kernels() {
    let flags = vec![Flag::Tsync, Flag::Log, Flag::SpecAllow, Flag::WaitKillableRecv];
    let profile = Profile { flags: Some(flags), ..default_profile() };
    // Nobody is notified who could be waited for.
    assert_eq!(compile(&profile, &usual()).unwrap().flags(), 0b111);
}

#[test]
fn foreign_architectures_are_left_out() {
    let with = |architectures: &[&'static str]| Profile {
        arch_map: Cow::Borrowed(&[]),
        architectures: architectures.iter().map(|&name| profile::text(name)).collect(),
        ..default_profile()
    };
    let plain = compile(&with(&["SCMP_ARCH_X86"]), &usual()).unwrap();
    let more = compile(&with(&["SCMP_ARCH_AARCH64", "SCMP_ARCH_X86", "SCMP_ARCH_NATIVE"]), &usual()).unwrap();
    assert_eq!(plain, more);
}

#[test]
fn a_small_profile_is_a_small_program() {
    let profile = Profile {
        arch_map: Cow::Borrowed(&[]),
        ..allowing(vec![
            one("read", vec![]),
            one("write", vec![]),
            one("personality", vec![equal(0, 8)]),
            one("personality", vec![equal(0, 0xffff_ffff)]),
        ])
    };
    insta::assert_debug_snapshot!(compile(&profile, &usual()).unwrap());
}
