//! Whatever a registry writes into WWW-Authenticate, reading it ends; and a way that is found has what it takes to go it.
#![no_main]

use ctr_registry::auth::challenge::{Challenge, challenges};
use ctr_registry::http::Url;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let found = challenges(text.lines());
    assert_eq!(challenges(text.lines()), found);
    for challenge in found {
        if let Challenge::Bearer(bearer) = challenge
            && let Ok(url) = Url::parse(&bearer.realm)
        {
            // What the registry says goes into a question, and nowhere else in the request.
            let url = url.with("service", &bearer.service.unwrap_or_default());
            let url = url.with("scope", &bearer.scope.unwrap_or_default());
            assert!(!url.target.contains(|letter: char| letter.is_whitespace() || letter.is_control()));
        }
    }
});
