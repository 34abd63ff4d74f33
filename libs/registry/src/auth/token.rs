//! Tokens: asked for with a password or a longer-lived token, shown until they are nearly over.

use std::time::{Duration, Instant};

use ctr_core::limits;
use serde::Deserialize;

/// How long a token lasts whose answer does not say (as Docker has it).
const DEFAULT: u64 = 60;
/// Nobody hands out one for longer, whatever is said.
const LONGEST: u64 = 24 * 3600;

/// A token.
#[derive(Clone)]
pub(crate) struct Token {
    value: String,
    /// From when on another one is asked for.
    until: Instant,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token").field("until", &self.until).finish_non_exhaustive()
    }
}

/// What is answered.
#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

impl Token {
    /// Reads the answer of who hands tokens out.
    pub(crate) fn parse(bytes: &[u8], now: Instant) -> Option<Self> {
        let answer: Answer = serde_json::from_slice(bytes).ok()?;
        let filled =
            |text: Option<String>| text.filter(|text| !text.is_empty() && text.len() <= limits::TOKEN);
        let value = filled(answer.token).or(filled(answer.access_token))?;
        let lasts = answer.expires_in.filter(|&seconds| seconds > 0).unwrap_or(DEFAULT).min(LONGEST);
        // The last fifth is left: what is asked now must still be allowed when it arrives.
        Some(Self { value, until: now + Duration::from_secs(lasts) * 4 / 5 })
    }

    /// The value of `Authorization`, as long as the token lasts.
    pub(crate) fn bearer(&self, now: Instant) -> Option<String> {
        (now < self.until).then(|| bearer(&self.value))
    }
}

/// The value of `Authorization` for a token.
pub(crate) fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_names_of_the_token_and_how_long_it_lasts() {
        let now = Instant::now();
        let one = Token::parse(br#"{"token":"a","access_token":"b","expires_in":100}"#, now).unwrap();
        assert_eq!(one.bearer(now).as_deref(), Some("Bearer a"));
        assert!(one.bearer(now + Duration::from_secs(79)).is_some());
        assert!(one.bearer(now + Duration::from_secs(81)).is_none());
        let two = Token::parse(br#"{"access_token":"b"}"#, now).unwrap();
        assert!(two.bearer(now + Duration::from_secs(47)).is_some());
        assert!(two.bearer(now + Duration::from_secs(49)).is_none());
        for bad in [&b"{}"[..], b"", b"[]", br#"{"token":""}"#, br#"{"token":1}"#] {
            assert!(Token::parse(bad, now).is_none());
        }
        assert!(Token::parse(br#"{"token":"a","expires_in":18446744073709551615}"#, now).is_some());
    }
}
