//! `-v`, `--mount` and `--tmpfs`: a target that is taken is absolute, and has no NUL and no way up.
#![no_main]

use ctr_pods::mounts::{arrange, parse_mount, parse_tmpfs, parse_volume};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let taken: Vec<_> = [parse_volume(text), parse_mount(text), parse_tmpfs(text)].into_iter().flatten().collect();
    for mount in &taken {
        let target = mount.target.as_str();
        assert!(target.starts_with('/') && !target.contains('\0'), "{target:?}");
        assert!(!target.split('/').any(|part| part == ".."), "{target:?}");
    }
    drop(arrange(taken));
});
