//! A host's resolv.conf: there is always somebody to ask, and a file of ours made of it says the same.
#![no_main]

use ctr_net::dns::resolv_conf::{ResolvConf, render};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let conf = ResolvConf::parse(bytes);
    assert!(!conf.servers.is_empty() && conf.servers.len() <= 8);
    assert!((1..=5).contains(&conf.attempts) && conf.timeout.as_secs() >= 1);
    let again = ResolvConf::parse(render(&conf.servers, &conf.search, &conf.options).as_bytes());
    assert!(again.ignored.is_empty(), "{:?}", again.ignored);
    assert_eq!((&again.search, &again.options), (&conf.search, &conf.options));
    assert_eq!(again.servers, conf.servers);
});
