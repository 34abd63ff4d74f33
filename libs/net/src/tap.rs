//! The tap: copies of the first packets of what a container begins.

use ctr_sys::net::filter::{Instruction, Width};

/// Chooses, of frames that begin with the header of IP, those that begin a connection and requests for an echo.
///
/// It only spares the rest the way up here: what comes is read anew, by [`crate::wire`].
pub(crate) fn program() -> Vec<Instruction> {
    /// Everything up to the longest packet there is.
    const TAKE: u32 = 0x0004_0000;
    const LEAVE: u32 = 0;
    let (load, at) = (Instruction::load, Instruction::load_indexed);
    let (equal, answer) = (Instruction::jump_equal, Instruction::answer);
    // SYN, and neither ACK nor RST.
    let begins = [Instruction::and(0x16), equal(0x02, 0, 1), answer(TAKE), answer(LEAVE)];
    let is = |number| [equal(number, 0, 1), answer(TAKE), answer(LEAVE)];
    let tcp4 = [&[Instruction::index_header(0), at(Width::Byte, 13)][..], &begins].concat();
    let echo4 = [&[Instruction::index_header(0), at(Width::Byte, 0)][..], &is(8)].concat();
    let tcp6 = [&[load(Width::Byte, 53)][..], &begins].concat();
    let echo6 = [&[load(Width::Byte, 40)][..], &is(128)].concat();
    let four = branch(load(Width::Byte, 9), (6, &tcp4), (1, &echo4));
    let six = branch(load(Width::Byte, 6), (6, &tcp6), (58, &echo6));
    let version = [load(Width::Byte, 0), Instruction::and(0xf0)];
    [&version[..], &otherwise(&[(0x40, &four), (0x60, &six)])].concat()
}

/// Loads something, and goes on by what it is.
fn branch(loaded: Instruction, one: (u32, &[Instruction]), two: (u32, &[Instruction])) -> Vec<Instruction> {
    [&[loaded][..], &otherwise(&[one, two])].concat()
}

/// Goes on with what belongs to the accumulator's value, or leaves the frame.
fn otherwise(cases: &[(u32, &[Instruction])]) -> Vec<Instruction> {
    let mut program = Vec::new();
    for (value, then) in cases {
        // These are a dozen of instructions each.
        let over = u8::try_from(then.len()).unwrap_or(u8::MAX);
        program.push(Instruction::jump_equal(*value, 0, over));
        program.extend_from_slice(then);
    }
    program.push(Instruction::answer(0));
    program
}
