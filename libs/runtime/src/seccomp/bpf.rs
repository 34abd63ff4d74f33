//! Classic BPF as seccomp allows it: instructions, the kernel's check of a program, and an interpreter.
//!
//! The interpreter judges compiled programs in tests and in fuzzing, where loading ten thousand filters into
//! the kernel would cost ten thousand processes. It refuses what the kernel refuses, by [`check`].
//!
//! # References
//! seccomp(2); `Documentation/networking/filter.rst`; `seccomp_check_filter` and `bpf_check_classic` in the
//! kernel.

use std::fmt;

/// The most instructions that the kernel takes in one program (`BPF_MAXINSNS`).
pub const MAX_INSTRUCTIONS: usize = 4096;

/// Bytes of `struct seccomp_data`.
const DATA_BYTES: u32 = 64;
/// Words of scratch memory.
const MEMORY_WORDS: usize = 16;

/// Codes of instructions.
pub(super) mod code {
    pub(crate) const LOAD: u16 = 0x20;
    pub(crate) const AND: u16 = 0x54;
    pub(crate) const JUMP: u16 = 0x05;
    pub(crate) const JUMP_EQ: u16 = 0x15;
    pub(crate) const JUMP_GT: u16 = 0x25;
    pub(crate) const JUMP_GE: u16 = 0x35;
    pub(crate) const RETURN: u16 = 0x06;
}

/// One instruction, `struct sock_filter`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Instruction {
    /// What to do.
    pub code: u16,
    /// Instructions to skip where a comparison holds.
    pub jt: u8,
    /// Instructions to skip where it does not.
    pub jf: u8,
    /// The operand.
    pub k: u32,
}

impl Instruction {
    /// Bytes of one in memory.
    pub const BYTES: usize = 8;

    /// Makes an instruction without a conditional jump.
    pub(super) const fn plain(code: u16, k: u32) -> Self {
        Self { code, jt: 0, jf: 0, k }
    }

    /// Returns the bytes as the kernel reads them.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[0..2].copy_from_slice(&self.code.to_ne_bytes());
        bytes[2] = self.jt;
        bytes[3] = self.jf;
        bytes[4..8].copy_from_slice(&self.k.to_ne_bytes());
        bytes
    }

    /// Reads what [`Self::to_bytes`] wrote.
    pub fn from_bytes([a, b, jt, jf, k @ ..]: [u8; Self::BYTES]) -> Self {
        Self { code: u16::from_ne_bytes([a, b]), jt, jf, k: u32::from_ne_bytes(k) }
    }
}

impl fmt::Debug for Instruction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, jt, jf, k } = *self;
        match code {
            code::LOAD => write!(f, "ld  [{k}]"),
            code::AND => write!(f, "and {k:#x}"),
            code::JUMP => write!(f, "ja  +{k}"),
            code::JUMP_EQ => write!(f, "jeq {k:#x} +{jt} +{jf}"),
            code::JUMP_GT => write!(f, "jgt {k:#x} +{jt} +{jf}"),
            code::JUMP_GE => write!(f, "jge {k:#x} +{jt} +{jf}"),
            code::RETURN => write!(f, "ret {k:#010x}"),
            _ => write!(f, "{code:#04x} {k:#x} +{jt} +{jf}"),
        }
    }
}

/// Splits a value in its lower and its upper half.
pub(super) const fn low_and_high(wide: u64) -> (u32, u32) {
    ((wide & 0xffff_ffff) as u32, (wide >> 32) as u32)
}

/// What the kernel tells a filter about a call, `struct seccomp_data`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Data {
    /// The number of the call.
    pub number: u32,
    /// `AUDIT_ARCH_*` of the caller.
    pub arch: u32,
    /// Where it was called from.
    pub instruction_pointer: u64,
    /// The six arguments.
    pub arguments: [u64; 6],
}

impl Data {
    /// Returns the 32-bit word at an offset, where the kernel allows one to be read.
    fn word(&self, offset: u32) -> Option<u32> {
        let halves = |wide: u64| {
            let (low, high) = low_and_high(wide);
            if cfg!(target_endian = "little") { [low, high] } else { [high, low] }
        };
        if !offset.is_multiple_of(4) || offset >= DATA_BYTES {
            return None;
        }
        Some(match offset / 4 {
            0 => self.number,
            1 => self.arch,
            at @ 2..=3 => halves(self.instruction_pointer)[at as usize - 2],
            at => halves(self.arguments[(at as usize - 4) / 2])[at as usize % 2],
        })
    }
}

/// The kernel would not take a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// No instruction, or more than [`MAX_INSTRUCTIONS`].
    #[error("a filter of {0} instructions")]
    Length(usize),
    /// An instruction that seccomp does not have.
    #[error("instruction {0} is none that a filter may use")]
    Code(usize),
    /// A jump that ends outside of the program.
    #[error("instruction {0} jumps out of the filter")]
    Jump(usize),
    /// A load from outside of what is known of a call, a shift of more than a word, a division by zero.
    #[error("instruction {0} has an operand out of range")]
    Operand(usize),
    /// A read of scratch memory that a path to it did not write.
    #[error("instruction {0} reads memory that was not written")]
    Unwritten(usize),
    /// The last instruction does not return.
    #[error("the filter does not end")]
    Endless,
}

/// Checks a program as the kernel does before it takes it.
///
/// # Errors
/// What the kernel answers with EINVAL.
pub fn check(program: &[Instruction]) -> Result<(), CheckError> {
    if program.is_empty() || program.len() > MAX_INSTRUCTIONS {
        return Err(CheckError::Length(program.len()));
    }
    for (at, instruction) in program.iter().enumerate() {
        check_one(at, *instruction, program.len())?;
    }
    if !program.last().is_some_and(|last| matches!(last.code, 0x06 | 0x16)) {
        return Err(CheckError::Endless);
    }
    check_memory(program)
}

/// Checks the code, the operand and the jumps of one instruction.
fn check_one(at: usize, instruction: Instruction, length: usize) -> Result<(), CheckError> {
    let Instruction { code, jt, jf, k } = instruction;
    let inside = |skip: u64| (at as u64) + 1 + skip < length as u64;
    match code {
        0x20 if k >= DATA_BYTES || !k.is_multiple_of(4) => Err(CheckError::Operand(at)),
        // Loads of the data's length, of constants, of memory; stores; moves between the registers.
        0x20 | 0x80 | 0x81 | 0x00 | 0x01 | 0x07 | 0x87 => Ok(()),
        0x60 | 0x61 | 0x02 | 0x03 if k as usize >= MEMORY_WORDS => Err(CheckError::Operand(at)),
        0x60 | 0x61 | 0x02 | 0x03 => Ok(()),
        // Division by nothing; shifts of the whole word.
        0x34 if k == 0 => Err(CheckError::Operand(at)),
        0x64 | 0x74 if k >= 32 => Err(CheckError::Operand(at)),
        0x04 | 0x0c | 0x14 | 0x1c | 0x24 | 0x2c | 0x34 | 0x3c | 0x44 | 0x4c | 0x54 | 0x5c | 0x64 | 0x6c
        | 0x74 | 0x7c | 0x84 | 0xa4 | 0xac => Ok(()),
        0x05 if inside(u64::from(k)) => Ok(()),
        0x15 | 0x1d | 0x25 | 0x2d | 0x35 | 0x3d | 0x45 | 0x4d
            if inside(u64::from(jt)) && inside(u64::from(jf)) =>
        {
            Ok(())
        }
        0x05 | 0x15 | 0x1d | 0x25 | 0x2d | 0x35 | 0x3d | 0x45 | 0x4d => Err(CheckError::Jump(at)),
        0x06 | 0x16 => Ok(()),
        _ => Err(CheckError::Code(at)),
    }
}

/// Checks that every path to a read of memory wrote it before.
fn check_memory(program: &[Instruction]) -> Result<(), CheckError> {
    let mut written_at = vec![u16::MAX; program.len()];
    let mut written = 0u16;
    for (at, instruction) in program.iter().enumerate() {
        written &= written_at[at];
        let mut jump = |skip: usize| {
            if let Some(target) = written_at.get_mut(at + 1 + skip) {
                *target &= written;
            }
        };
        match instruction.code {
            0x02 | 0x03 => written |= 1 << instruction.k,
            0x60 | 0x61 if written >> instruction.k & 1 == 0 => return Err(CheckError::Unwritten(at)),
            0x05 => {
                jump(instruction.k as usize);
                written = u16::MAX;
            }
            code if code & 7 == 5 => {
                jump(usize::from(instruction.jt));
                jump(usize::from(instruction.jf));
                written = u16::MAX;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Runs a program on what the kernel would tell of a call, and returns what it would return.
///
/// # Errors
/// A program that [`check`] refuses.
pub fn run(program: &[Instruction], data: &Data) -> Result<u32, CheckError> {
    Ok(Filter::new(program)?.run(data))
}

/// A checked program, to be run often.
#[derive(Clone, Copy, Debug)]
pub struct Filter<'a>(&'a [Instruction]);

impl<'a> Filter<'a> {
    /// Checks a program.
    ///
    /// # Errors
    /// A program that [`check`] refuses.
    pub fn new(program: &'a [Instruction]) -> Result<Self, CheckError> {
        check(program)?;
        Ok(Self(program))
    }

    /// Returns what the kernel would return.
    pub fn run(&self, data: &Data) -> u32 {
        Machine::default().run(self.0, data)
    }
}

/// The registers and the memory of a run.
#[derive(Default)]
struct Machine {
    a: u32,
    x: u32,
    memory: [u32; MEMORY_WORDS],
}

impl Machine {
    /// Runs a checked program; it ends, since jumps only go forward.
    fn run(&mut self, program: &[Instruction], data: &Data) -> u32 {
        let mut at = 0;
        // A checked program cannot run off its end; killing is what the kernel would do if it did.
        while let Some(&Instruction { code, jt, jf, k }) = program.get(at) {
            at += 1;
            let operand = if code & 0x08 == 0 { k } else { self.x };
            match code {
                0x06 => return k,
                0x16 => return self.a,
                0x05 => at += k as usize,
                _ if code & 7 == 5 => {
                    let holds = match code & 0xf0 {
                        0x10 => self.a == operand,
                        0x20 => self.a > operand,
                        0x30 => self.a >= operand,
                        _ => self.a & operand != 0,
                    };
                    at += usize::from(if holds { jt } else { jf });
                }
                _ if code & 7 == 4 => match self.computed(code, operand) {
                    Some(value) => self.a = value,
                    None => return 0,
                },
                _ => self.moved(code, k, data),
            }
        }
        0
    }

    /// Returns the result of an arithmetic instruction; dividing by nothing ends a run with 0.
    fn computed(&self, code: u16, operand: u32) -> Option<u32> {
        Some(match code & 0xf0 {
            0x00 => self.a.wrapping_add(operand),
            0x10 => self.a.wrapping_sub(operand),
            0x20 => self.a.wrapping_mul(operand),
            0x30 => self.a.checked_div(operand)?,
            0x40 => self.a | operand,
            0x50 => self.a & operand,
            0x60 => self.a.wrapping_shl(operand),
            0x70 => self.a.wrapping_shr(operand),
            0x80 => self.a.wrapping_neg(),
            _ => self.a ^ operand,
        })
    }

    /// Loads, stores and moves.
    fn moved(&mut self, code: u16, k: u32, data: &Data) {
        let cell = k as usize % MEMORY_WORDS;
        match code {
            0x20 => self.a = data.word(k).unwrap_or(0),
            0x80 => self.a = DATA_BYTES,
            0x81 => self.x = DATA_BYTES,
            0x00 => self.a = k,
            0x01 => self.x = k,
            0x60 => self.a = self.memory[cell],
            0x61 => self.x = self.memory[cell],
            0x02 => self.memory[cell] = self.a,
            0x03 => self.memory[cell] = self.x,
            0x07 => self.x = self.a,
            _ => self.a = self.x,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ret(k: u32) -> Instruction {
        Instruction::plain(code::RETURN, k)
    }

    fn jump(code: u16, k: u32, jt: u8, jf: u8) -> Instruction {
        Instruction { code, jt, jf, k }
    }

    #[test]
    fn bytes_are_a_sock_filter() {
        let jump = jump(code::JUMP_EQ, 0xc000_003e, 1, 2);
        let bytes = jump.to_bytes();
        if cfg!(target_endian = "little") {
            assert_eq!(bytes, [0x15, 0, 1, 2, 0x3e, 0, 0, 0xc0]);
        }
        assert_eq!(Instruction::from_bytes(bytes), jump);
    }

    #[test]
    fn what_the_kernel_refuses_is_refused() {
        let load = |k| Instruction::plain(code::LOAD, k);
        assert_eq!(check(&[]), Err(CheckError::Length(0)));
        assert_eq!(check(&vec![ret(0); 4097]), Err(CheckError::Length(4097)));
        assert_eq!(check(&vec![ret(0); 4096]), Ok(()));
        assert_eq!(check(&[load(64), ret(0)]), Err(CheckError::Operand(0)));
        assert_eq!(check(&[load(60), load(2), ret(0)]), Err(CheckError::Operand(1)));
        assert_eq!(check(&[load(60)]), Err(CheckError::Endless));
        assert_eq!(check(&[Instruction::plain(0x28, 0), ret(0)]), Err(CheckError::Code(0)), "a half-word");
        assert_eq!(check(&[jump(code::JUMP_EQ, 0, 0, 1), ret(0)]), Err(CheckError::Jump(0)));
        assert_eq!(check(&[Instruction::plain(code::JUMP, u32::MAX), ret(0)]), Err(CheckError::Jump(0)));
        assert_eq!(check(&[Instruction::plain(0x34, 0), ret(0)]), Err(CheckError::Operand(0)), "division");
        assert_eq!(check(&[Instruction::plain(0x60, 3), ret(0)]), Err(CheckError::Unwritten(0)));
    }

    #[test]
    fn memory_must_be_written_on_every_path() {
        let store = Instruction::plain(0x02, 3);
        let load = Instruction::plain(0x60, 3);
        assert_eq!(check(&[store, load, ret(0)]), Ok(()));
        let half = [jump(code::JUMP_EQ, 1, 0, 1), store, load, ret(0)];
        assert_eq!(check(&half), Err(CheckError::Unwritten(2)));
    }

    #[test]
    fn words_are_where_the_kernel_puts_them() {
        let data =
            Data { number: 1, arch: 2, instruction_pointer: 0x4_0000_0003, arguments: [0x6_0000_0005; 6] };
        let at = |offset| run(&[Instruction::plain(code::LOAD, offset), Instruction::plain(0x16, 0)], &data);
        let words: Vec<_> = (0..16).map(|word| at(word * 4).unwrap()).collect();
        if cfg!(target_endian = "little") {
            assert_eq!(words, [1, 2, 3, 4, 5, 6, 5, 6, 5, 6, 5, 6, 5, 6, 5, 6]);
        }
    }

    #[test]
    fn arithmetic_and_registers_work() {
        let plain = Instruction::plain;
        // (((64 - 4) / 3) << 2 ^ 1) kept in memory, added to itself by way of X.
        let program = [
            plain(0x80, 0),
            plain(0x14, 4),
            plain(0x34, 3),
            plain(0x64, 2),
            plain(0xa4, 1),
            plain(0x02, 7),
            plain(0x61, 7),
            plain(0x0c, 0),
            plain(0x16, 0),
        ];
        assert_eq!(run(&program, &Data::default()), Ok(162));
        let by_zero = [plain(0x00, 5), plain(0x01, 0), plain(0x3c, 0), ret(9)];
        assert_eq!(run(&by_zero, &Data::default()), Ok(0));
    }

    #[test]
    fn comparisons_are_unsigned() {
        for (code, a, expected) in [
            (code::JUMP_EQ, 5, [0, 1, 0]),
            (code::JUMP_GT, 5, [0, 0, 1]),
            (code::JUMP_GE, 5, [0, 1, 1]),
            (0x45, 5, [1, 1, 0]),
        ] {
            for (value, expected) in [4, 5, u32::MAX - 5].into_iter().zip(expected) {
                let program = [Instruction::plain(0x00, value), jump(code, a, 0, 1), ret(1), ret(0)];
                assert_eq!(run(&program, &Data::default()), Ok(expected), "{code:#x} {value}");
            }
        }
    }
}
