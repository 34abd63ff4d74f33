//! Base64 (RFC 4648 §4), which names and passwords are written in: so that they are in the way of nothing, not to hide them.

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Writes bytes.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let at = |index: usize| three.get(index).copied().map_or(0, u32::from);
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for place in 0..4 {
            let digit = (bits >> (18 - 6 * place)) & 63;
            text.push(if place > three.len() { '=' } else { DIGITS[digit as usize].into() });
        }
    }
    text
}

/// Reads what [`encode`] writes, and nothing else: one value has one form.
#[must_use]
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let text = text.as_bytes();
    if !text.len().is_multiple_of(4) {
        return None;
    }
    for (index, four) in text.chunks(4).enumerate() {
        let is_last = (index + 1) * 4 == text.len();
        let filled = four.iter().rev().take_while(|&&byte| byte == b'=').count();
        if filled > 2 || (filled > 0 && !is_last) {
            return None;
        }
        let mut bits = 0u32;
        for &byte in &four[..4 - filled] {
            let digit = DIGITS.iter().position(|&digit| digit == byte)?;
            bits = bits << 6 | u32::try_from(digit).ok()?;
        }
        bits <<= 6 * filled;
        let [_, three @ ..] = bits.to_be_bytes();
        // What does not fit into whole bytes must be nothing.
        if three[3 - filled..].iter().any(|&byte| byte != 0) {
            return None;
        }
        bytes.extend_from_slice(&three[..3 - filled]);
    }
    Some(bytes)
}

/// The value of `Authorization` for `user:password` (RFC 7617).
#[must_use]
pub fn basic(user: &str) -> String {
    format!("Basic {}", encode(user.as_bytes()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn as_the_standard_has_it() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encode(plain.as_bytes()), coded);
            assert_eq!(decode(coded).as_deref(), Some(plain.as_bytes()));
        }
        for bad in ["Z", "Zg=", "Zg", "Zh==", "Z===", "Zg==Zg==", "Z-9v", "Zm8=\n", "===="] {
            assert_eq!(decode(bad), None, "{bad}");
        }
        assert_eq!(basic("me:secret"), "Basic bWU6c2VjcmV0");
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(bytes: Vec<u8>) {
            prop_assert_eq!(decode(&encode(&bytes)), Some(bytes));
        }

        #[test]
        fn one_value_has_one_form(text in "[A-Za-z0-9+/=]{0,16}") {
            if let Some(bytes) = decode(&text) {
                prop_assert_eq!(encode(&bytes), text);
            }
        }
    }
}
