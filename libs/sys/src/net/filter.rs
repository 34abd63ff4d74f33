//! Classic BPF: small programs that choose frames for a socket, or system calls for a thread.

#![expect(unsafe_code, reason = "the kernel takes a program by its address")]

use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::io::{Errno, Result};

use crate::userns::last_errno;

/// One instruction, as the kernel reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    code: u16,
    if_true: u8,
    if_false: u8,
    operand: u32,
}

/// How much is loaded.
#[derive(Debug, Clone, Copy)]
pub enum Width {
    /// Four bytes.
    Word,
    /// Two.
    Half,
    /// One.
    Byte,
}

impl Instruction {
    const fn new(code: u16, operand: u32) -> Self {
        Self { code, if_true: 0, if_false: 0, operand }
    }

    /// The accumulator becomes what stands at an offset.
    #[must_use]
    pub const fn load(width: Width, offset: u32) -> Self {
        // BPF_LD | BPF_ABS, with the width.
        Self::new(0x20 | width.bits(), offset)
    }

    /// The accumulator becomes what stands at an offset from the index.
    #[must_use]
    pub const fn load_indexed(width: Width, offset: u32) -> Self {
        // BPF_LD | BPF_IND, with the width.
        Self::new(0x40 | width.bits(), offset)
    }

    /// The index becomes the length of the IPv4 header at an offset.
    #[must_use]
    pub const fn index_header(offset: u32) -> Self {
        // BPF_LDX | BPF_B | BPF_MSH.
        Self::new(0xb1, offset)
    }

    /// Keeps the bits of the accumulator that are in the mask.
    #[must_use]
    pub const fn and(mask: u32) -> Self {
        // BPF_ALU | BPF_AND | BPF_K.
        Self::new(0x54, mask)
    }

    /// Passes over so many instructions where the accumulator is that, or is not.
    #[must_use]
    pub const fn jump_equal(operand: u32, if_true: u8, if_false: u8) -> Self {
        // BPF_JMP | BPF_JEQ | BPF_K.
        Self { code: 0x15, if_true, if_false, operand }
    }

    /// Passes over so many instructions where the accumulator is at least that, or is not.
    #[must_use]
    pub const fn jump_at_least(operand: u32, if_true: u8, if_false: u8) -> Self {
        // BPF_JMP | BPF_JGE | BPF_K.
        Self { code: 0x35, if_true, if_false, operand }
    }

    /// Ends with this answer.
    #[must_use]
    pub const fn answer(answer: u32) -> Self {
        // BPF_RET | BPF_K.
        Self::new(0x06, answer)
    }

    /// As the eight bytes of [`crate::cred`]'s programs.
    #[must_use]
    pub const fn bytes(self) -> [u8; 8] {
        let ([a, b], [c, d, e, f]) = (self.code.to_ne_bytes(), self.operand.to_ne_bytes());
        [a, b, self.if_true, self.if_false, c, d, e, f]
    }
}

impl Width {
    const fn bits(self) -> u16 {
        match self {
            Self::Word => 0x00,
            Self::Half => 0x08,
            Self::Byte => 0x10,
        }
    }
}

/// The kernel's `struct sock_fprog`.
#[repr(C)]
struct Program {
    length: u16,
    instructions: *const Instruction,
}

/// Has a program choose what a socket receives.
///
/// # Errors
/// EINVAL if the kernel refuses the program.
pub(super) fn attach(socket: BorrowedFd<'_>, instructions: &[Instruction]) -> Result<()> {
    let length = u16::try_from(instructions.len()).map_err(|_long| Errno::INVAL)?;
    let program = Program { length, instructions: instructions.as_ptr() };
    let size = libc::socklen_t::try_from(size_of::<Program>()).map_err(|_large| Errno::INVAL)?;
    // SAFETY: the kernel reads the structure and, through it, `length` instructions: both live until the call is over.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const program).cast(),
            size,
        )
    };
    if done >= 0 { Ok(()) } else { Err(last_errno()) }
}
