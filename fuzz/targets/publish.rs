//! `-p` and `--expose`: ports that are taken exist, a record of them is read back, and one port of the host never leads to two
//! inside.
#![no_main]

use std::collections::BTreeMap;

use ctr_net::publish::{Exposed, Mapping, arrange, bindings, listed, parse};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let (mut mappings, mut exposed) = (Vec::new(), Exposed::default());
    for line in text.lines().take(32) {
        match line.strip_prefix("--expose=") {
            Some(ports) => drop(exposed.add(ports)),
            None => mappings.extend(parse(line).unwrap_or_default()),
        }
    }
    for mapping in &mappings {
        let last = |first: u16| u32::from(first) + u32::from(mapping.count) - 1;
        assert!(mapping.inside != 0 && last(mapping.inside) <= 65535, "{mapping:?}");
        assert!(mapping.outside == 0 || last(mapping.outside) <= 65535, "{mapping:?}");
    }
    let Ok(all) = arrange(&mappings, &exposed) else { return };
    let mut leads = BTreeMap::new();
    for mapping in &all {
        for (outside, inside) in mapping.pairs().filter(|pair| pair.0 != 0) {
            let key = (mapping.transport, mapping.address, outside);
            assert_eq!(leads.insert(key, inside), None, "{mapping:?}");
        }
        let json = serde_json::to_string(mapping).expect("a record");
        assert_eq!(serde_json::from_str::<Mapping>(&json).expect("a record"), *mapping);
    }
    assert!(listed(&all, &exposed).is_empty() == (all.is_empty() && exposed.is_empty()));
    assert!(bindings(&all).is_empty() == all.is_empty());
});
