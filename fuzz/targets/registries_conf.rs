//! Whatever a `registries.conf` holds, reading it ends; and what it then says of references are references.
#![no_main]

use std::path::Path;

use ctr_core::Reference;
use ctr_core::reference::Spelling;
use ctr_registry::config::registries::Unconfigured;
use ctr_registry::config::{Registries, UserAliases};

const NAMES: [&str; 6] = [
    "alpine",
    "team/app:1",
    "quay.io/a/b:2",
    "a.example.com:5000/x",
    "localhost/y@sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    "a.b/c",
];

libfuzzer_sys::fuzz_target!(|text: &str| {
    let Ok(registries) = Registries::parse(text, Path::new("/registries.conf")) else { return };
    for name in NAMES {
        let typed = Spelling::parse(name).expect("a name");
        if let Ok(found) = registries.candidates(&typed, &UserAliases::default(), Unconfigured::Docker) {
            assert!(!found.references.is_empty());
        }
        let reference = Reference::parse(name).expect("a reference");
        if let Ok(endpoints) = registries.endpoints(&reference) {
            assert!(!endpoints.tried.is_empty());
            for place in endpoints.tried {
                // What was rewritten is what it says it is.
                assert_eq!(Reference::parse(&place.reference.to_string()).as_ref(), Ok(&place.reference));
                assert_eq!(place.reference.digest, reference.digest);
            }
        }
    }
});
