//! The program of the image `localhost/hello`; compiled by build.rs, linked with nothing.
//!
//! It writes one text and ends. All of it is assembly, so there is nothing unsafe to reason about in Rust.
#![no_std]
#![no_main]

use core::arch::global_asm;

/// What it says.
static TEXT: &str = "\
Hello from a container!

What just happened, with no daemon in sight:
  1. ctr found the image localhost/hello in its own program and unpacked it into your store.
  2. It made namespaces of this container's own: users, processes, mounts, network, names.
  3. It started this program in them, with few rights and a filter on its system calls.

Next:
  ctr load -i FILE          bring an image: what `docker save` or `podman save` wrote
  ctr run --rm -it IMAGE    a shell in it
  ctr doctor                what this machine could do better
";

// write(1, TEXT, len), again after a short write; then exit(0), or exit(1) when nobody reads.
#[cfg(target_arch = "x86_64")]
global_asm!(
    ".globl _start",
    "_start:",
    "lea rsi, [rip + {text}]",
    "mov rsi, [rsi]",
    "mov rdx, {len}",
    "2:",
    "mov edi, 1",
    "mov eax, 1",
    "syscall",
    "test rax, rax",
    "jle 3f",
    "add rsi, rax",
    "sub rdx, rax",
    "jnz 2b",
    "xor edi, edi",
    "jmp 4f",
    "3:",
    "mov edi, 1",
    "4:",
    "mov eax, 231",
    "syscall",
    text = sym TEXT,
    len = const TEXT.len(),
);

#[cfg(target_arch = "aarch64")]
global_asm!(
    ".globl _start",
    "_start:",
    "adrp x1, {text}",
    "add x1, x1, :lo12:{text}",
    "ldr x1, [x1]",
    "mov x2, {len}",
    "2:",
    "mov x0, 1",
    "mov x8, 64",
    "svc 0",
    "cmp x0, 0",
    "b.le 3f",
    "add x1, x1, x0",
    "subs x2, x2, x0",
    "b.ne 2b",
    "mov x0, 0",
    "b 4f",
    "3:",
    "mov x0, 1",
    "4:",
    "mov x8, 94",
    "svc 0",
    text = sym TEXT,
    len = const TEXT.len(),
);

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
