//! Whatever a `policy.json` holds, reading it ends; and an image passes only where all that is required of it is nothing.
#![no_main]

use std::path::Path;

use ctr_core::Reference;
use ctr_registry::config::Policy;
use ctr_registry::config::policy::{Requirement, Subject};

libfuzzer_sys::fuzz_target!(|text: &[u8]| {
    let Ok(policy) = Policy::parse(text, Path::new("/policy.json")) else { return };
    let names =
        ["docker.io/library/x:1", "a.b.c:5000/d/e:2"].map(|name| Reference::parse(name).expect("a name"));
    let subjects = [
        Subject::registry(&names[0]),
        Subject::registry(&names[1]),
        Subject::Path { transport: "oci", path: Path::new("/a/b") },
        Subject::Other { transport: "docker-archive" },
    ];
    for subject in subjects {
        let (_, requirements) = policy.requirements(&subject);
        assert!(!requirements.is_empty());
        let nothing = requirements.iter().all(|requirement| *requirement == Requirement::AcceptAnything);
        assert_eq!(policy.check(&subject).is_ok(), nothing);
    }
});
