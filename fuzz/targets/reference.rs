//! An image reference that parses prints itself, and parses again to the same.
#![no_main]

use ctr_core::reference::Reference;

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(reference) = Reference::parse(text) {
        let printed = reference.to_string();
        assert_eq!(Reference::parse(&printed).as_ref(), Ok(&reference), "{printed}");
    }
});
