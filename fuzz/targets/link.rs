//! Whatever a registry writes into Link, reading it ends; and where it leads is an address, or nowhere.
#![no_main]

use ctr_registry::client::link::next;
use ctr_registry::http::Url;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let Some(address) = next(text.lines()) else { return };
    assert!(text.contains(address));
    let home = Url::parse("https://registry.example:5000/v2/a/b/tags/list?n=2").expect("an address");
    if let Ok(url) = home.join(address) {
        let whole = format!("{}{}", url.origin, url.target);
        assert_eq!(Url::parse(&whole).as_ref(), Ok(&url), "{whole}");
    }
});
