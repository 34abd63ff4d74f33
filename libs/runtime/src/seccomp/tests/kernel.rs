//! Programs in a real kernel: it takes them, and answers as the interpreter says.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::super::*;
use super::{Data, skip, usual};

/// The compiled fixture, and files for it.
struct Kernel {
    folder: tempfile::TempDir,
    fixture: PathBuf,
}

/// A call to be made.
#[derive(Clone, Copy, Debug)]
struct Call {
    arch: u32,
    number: u32,
    argument: u64,
}

impl Kernel {
    fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let fixture = folder.path().join("kernel");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/seccomp/tests/kernel.c");
        let arguments =
            ["-O1".as_ref(), "-Wall".as_ref(), "-o".as_ref(), fixture.as_os_str(), source.as_ref()];
        let Ok(made) = Command::new("gcc").args(arguments).output() else {
            skip("gcc", "gcc is not installed");
            return None;
        };
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Some(Self { fixture, folder })
    }

    /// Loads a program, makes the calls, and returns what each gave; an errno if the kernel did not take the program.
    fn run(&self, program: &Program, calls: &[Call]) -> Result<Vec<i64>, i32> {
        let file = self.folder.path().join("program");
        fs::write(&file, program.bytes()).unwrap();
        let mut child = Command::new(&self.fixture)
            .args([file.as_os_str(), program.flags().to_string().as_ref()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        let writer = std::thread::scope(|scope| {
            let writer = scope.spawn(move || {
                for Call { arch, number, argument } in calls {
                    let abi = if *arch == arch::I386 { "i386" } else { "amd64" };
                    // A fixture that was refused its program reads nothing.
                    if writeln!(input, "{abi} {number} {argument}").is_err() {
                        break;
                    }
                }
            });
            let output = child.wait_with_output().unwrap();
            writer.join().unwrap();
            output
        });
        assert!(writer.status.success(), "{writer:?}");
        let text = String::from_utf8(writer.stdout).unwrap();
        if let Some(errno) = text.strip_prefix("refused ") {
            return Err(errno.trim().parse().unwrap());
        }
        Ok(text.lines().map(|line| line.parse().unwrap()).collect())
    }
}

/// uretprobe and uprobe, which the kernel itself plants in programs that are traced: newer kernels (6.14, 6.18) let no
/// filter see them, and refuse them to whoever calls by himself.
const PAST_FILTERS: [u32; 2] = [335, 336];

/// Lists every call that a program answers with an errno, so that none of them does anything.
fn denied(program: &Program) -> Vec<(Call, i64)> {
    let instructions = program.instructions();
    let filter = bpf::Filter::new(&instructions).unwrap();
    let numbers = || (0..600).chain((0..600).map(|number| number | X32_BIT));
    let mut denied = Vec::new();
    for (arch, number) in
        numbers().map(|number| (arch::X86_64, number)).chain((0..600).map(|number| (arch::I386, number)))
    {
        if PAST_FILTERS.contains(&number) && arch == arch::X86_64 {
            continue;
        }
        for argument in [0, 38, 40, 0x1000_0000, 0xffff_fffe] {
            let arguments = [argument, argument, argument, 0, 0, 0];
            let answer = filter.run(&Data { number, arch, arguments, ..Data::default() });
            if answer >> 16 == rules::answer::ERRNO >> 16 {
                denied.push((Call { arch, number, argument }, -i64::from(answer & 0xffff)));
            }
        }
    }
    denied
}

#[test]
fn a_kernel_denies_what_the_interpreter_denies() {
    let Some(kernel) = Kernel::new() else { return };
    for profile in [default_profile(), nested()] {
        let program = compile(&profile, &usual()).unwrap();
        let denied = denied(&program);
        assert!(denied.len() > 1000, "{}", denied.len());
        let calls: Vec<Call> = denied.iter().map(|(call, _)| *call).collect();
        let answers = kernel.run(&program, &calls).unwrap();
        assert_eq!(answers.len(), calls.len());
        for ((call, expected), answer) in denied.iter().zip(answers) {
            assert_eq!(answer, *expected, "{call:x?}");
        }
    }
}

#[test]
fn a_kernel_lets_pass_what_is_allowed() {
    let Some(kernel) = Kernel::new() else { return };
    let program = compile(&default_profile(), &usual()).unwrap();
    let getpid = [(arch::X86_64, 39), (arch::I386, 20)];
    let calls = getpid.map(|(arch, number)| Call { arch, number, argument: 0 });
    let answers = kernel.run(&program, &calls).unwrap();
    assert!(answers[0] > 1 && answers[0] == answers[1], "{answers:?}");
}

#[test]
fn a_kernel_takes_programs_of_every_shape() {
    let Some(kernel) = Kernel::new() else { return };
    // The longest, with relays over long distances, and each flag that can stand without a listener.
    let equal = |index, value| Condition { index, value, value_two: 0, op: Operator::Equal };
    let rules = (0..400).map(|value| Rule {
        names: vec![Text::Borrowed("mkdir")].into(),
        action: Action::Errno,
        errno_ret: Some(u32::try_from(value).unwrap() + 1),
        args: vec![equal(0, value * 3 + (1 << 33)), equal(1, value * 3 + (1 << 33))].into(),
        ..profile::RULE
    });
    let flags = vec![Flag::Tsync, Flag::Log, Flag::SpecAllow, Flag::WaitKillableRecv];
    let profile = Profile {
        default_action: Action::Allow,
        default_errno_ret: None,
        newer_errno_ret: None,
        flags: Some(flags),
        syscalls: rules.collect(),
        ..default_profile()
    };
    let profile = Profile { arch_map: Cow::Borrowed(&[]), ..profile };
    let program = compile(&profile, &usual()).unwrap();
    assert!(program.bytes().len() > 3000 * Instruction::BYTES, "{}", program.bytes().len());
    let call = |argument| Call { arch: arch::X86_64, number: 83, argument };
    let third = 1 << 33;
    let answers = kernel.run(&program, &[call(third), call(third + 3 * 250), call(third + 3 * 399), call(0)]);
    // The last is allowed, and fails for want of a path.
    assert_eq!(answers, Ok(vec![-1, -251, -400, -14]));
}
