//! Whatever a configuration file holds, reading it ends, in a table or in an error that names a line of it.
#![no_main]

use ctr_core::toml::{Value, parse};

/// How deep a value nests.
fn depth(value: &Value) -> usize {
    match value {
        Value::List(list) => 1 + list.iter().map(depth).max().unwrap_or_default(),
        Value::Table(table) => 1 + table.values().map(depth).max().unwrap_or_default(),
        _ => 1,
    }
}

libfuzzer_sys::fuzz_target!(|text: &str| {
    match parse(text) {
        Ok(table) => assert!(depth(&Value::Table(table)) <= 4 * ctr_core::toml::DEPTH),
        Err(error) => assert!((1..=text.split('\n').count()).contains(&error.line), "{error}"),
    }
});
