//! A profile that compiles is a program that the kernel would take, and answers any call.
#![no_main]

use ctr_runtime::caps::CapSet;
use ctr_runtime::seccomp::bpf::{Data, check, run};
use ctr_runtime::seccomp::{Facts, Kernel, Profile, compile};

libfuzzer_sys::fuzz_target!(|json: &[u8]| {
    let Ok(Some(profile)) = Profile::from_json(json) else { return };
    let facts = Facts { caps: CapSet::from_bits(0), kernel: Kernel { version: 6, revision: 1 } };
    let Ok(program) = compile(&profile, &facts) else { return };
    let instructions = program.instructions();
    check(&instructions).expect("a program that the kernel takes");
    for arch in [0xc000_003e, 0x4000_0003, 7] {
        for number in [0, 1, 41, 0x4000_0000, u32::MAX] {
            let data = Data { number, arch, ..Data::default() };
            run(&instructions, &data).expect("an answer");
        }
    }
});
