//! Any bytes are read as a tar to an end or to an error.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ctr_store::tar::exercise(bytes));
