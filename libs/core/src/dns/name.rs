//! Names of domains (RFC 1035 §3.1): labels of at most 63 bytes, 255 bytes in all, the same in capitals.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes of a label.
const LABEL: usize = 63;
/// Bytes of a name with the lengths of its labels.
const NAME: usize = 255;

/// A name, as it is written when nothing is left out. Two that differ in capitals are equal.
#[derive(Clone)]
pub struct Name {
    /// Each label behind its length; the last one is empty. Lengths are no letters, so all bytes may be compared alike.
    wire: Vec<u8>,
}

impl Name {
    /// The name of nothing but the root.
    #[must_use]
    pub fn root() -> Self {
        Self { wire: vec![0] }
    }

    /// A name as it is typed, with a dot at its end or without; nothing is escaped.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let mut builder = Builder::default();
        for label in text.split('.').filter(|_| !text.is_empty()) {
            builder.push(label.as_bytes())?;
        }
        Some(builder.finish())
    }

    /// What an address is called when its name is asked for (RFC 1035 §3.5, RFC 3596 §2.5).
    #[must_use]
    pub fn reverse(address: IpAddr) -> Self {
        let mut labels: Vec<String> = match address {
            IpAddr::V4(four) => four.octets().iter().rev().map(u8::to_string).collect(),
            IpAddr::V6(six) => six
                .octets()
                .iter()
                .rev()
                .flat_map(|byte| [byte & 15, byte >> 4])
                .map(|half| format!("{half:x}"))
                .collect(),
        };
        labels.push(if address.is_ipv4() { "in-addr" } else { "ip6" }.to_owned());
        labels.push("arpa".to_owned());
        let mut builder = Builder::default();
        for label in labels {
            // 34 labels of two bytes fit.
            if builder.push(label.as_bytes()).is_none() {
                return Self::root();
            }
        }
        builder.finish()
    }

    /// The address whose name is asked for.
    #[must_use]
    pub fn reversed(&self) -> Option<IpAddr> {
        let labels: Vec<String> =
            self.labels().map(|label| String::from_utf8_lossy(label).to_ascii_lowercase()).collect();
        match labels.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            [octets @ .., "in-addr", "arpa"] => {
                let text: Vec<&str> = octets.iter().rev().copied().collect();
                text.join(".").parse::<Ipv4Addr>().ok().map(IpAddr::V4)
            }
            [halves @ .., "ip6", "arpa"] if halves.len() == 32 => {
                let mut bits = 0u128;
                for half in halves.iter().rev() {
                    let is_half = half.len() == 1 && half.bytes().all(|byte| byte.is_ascii_hexdigit());
                    let half = u128::from_str_radix(half, 16).ok().filter(|_| is_half)?;
                    bits = bits << 4 | half;
                }
                Some(Ipv6Addr::from_bits(bits).into())
            }
            _ => None,
        }
    }

    /// Its labels without the root's.
    pub fn labels(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.wire.as_slice();
        std::iter::from_fn(move || {
            let (length, after) = rest.split_first()?;
            let (label, after) = after.split_at_checked((*length).into())?;
            rest = after;
            (!label.is_empty()).then_some(label)
        })
    }

    /// Whether it is a domain or a name in it.
    #[must_use]
    pub fn is_within(&self, domain: &Self) -> bool {
        let (own, other) = (self.labels().count(), domain.labels().count());
        own >= other && self.labels().skip(own - other).eq_by_case(domain.labels())
    }

    /// As it is written in a message.
    #[must_use]
    pub fn as_wire(&self) -> &[u8] {
        &self.wire
    }

    fn folded(&self) -> impl Iterator<Item = u8> + '_ {
        self.wire.iter().map(u8::to_ascii_lowercase)
    }
}

/// Labels compared without regard to capitals.
trait ByCase {
    fn eq_by_case<'a>(self, other: impl Iterator<Item = &'a [u8]>) -> bool;
}

impl<'l, L: Iterator<Item = &'l [u8]>> ByCase for L {
    fn eq_by_case<'a>(self, other: impl Iterator<Item = &'a [u8]>) -> bool {
        self.zip(other).all(|(one, other)| one.eq_ignore_ascii_case(other))
    }
}

/// A name that is put together label by label.
#[derive(Debug, Default)]
pub(super) struct Builder {
    wire: Vec<u8>,
}

impl Builder {
    /// Adds a label that is not empty, if there is room for it and the root.
    pub(super) fn push(&mut self, label: &[u8]) -> Option<()> {
        let length =
            u8::try_from(label.len()).ok().filter(|length| (1..=LABEL).contains(&usize::from(*length)))?;
        if self.wire.len() + 1 + label.len() + 1 > NAME {
            return None;
        }
        self.wire.push(length);
        self.wire.extend_from_slice(label);
        Some(())
    }

    pub(super) fn finish(mut self) -> Name {
        self.wire.push(0);
        Name { wire: self.wire }
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.wire.eq_ignore_ascii_case(&other.wire)
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.folded().for_each(|byte| byte.hash(state));
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.folded().cmp(other.folded())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

impl fmt::Display for Name {
    /// As in zone files (RFC 1035 §5.1): what is no ordinary character is a number.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut is_empty = true;
        for label in self.labels() {
            for byte in label {
                match byte {
                    b'.' | b'\\' => write!(out, "\\{}", char::from(*byte))?,
                    0x21..=0x7e => write!(out, "{}", char::from(*byte))?,
                    _ => write!(out, "\\{byte:03}")?,
                }
            }
            out.write_str(".")?;
            is_empty = false;
        }
        if is_empty { out.write_str(".") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> Name {
        Name::from_text(text).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn names_are_the_same_in_capitals() {
        assert_eq!(name("Web.Example."), name("web.example"));
        assert_eq!(name("web.example").to_string(), "web.example.");
        assert_eq!(name(""), Name::root());
        assert_eq!(name(".").to_string(), ".");
        assert_ne!(name("web.example"), name("webexample"));
    }

    #[test]
    fn a_name_is_within_its_domains() {
        assert!(name("host.Containers.internal").is_within(&name("containers.internal")));
        assert!(name("containers.internal").is_within(&name("containers.internal")));
        assert!(name("a").is_within(&Name::root()));
        assert!(!name("mycontainers.internal").is_within(&name("containers.internal")));
        assert!(!name("internal").is_within(&name("containers.internal")));
    }

    #[test]
    fn what_is_too_long_is_no_name() {
        assert!(Name::from_text(&"a".repeat(63)).is_some());
        for text in ["a".repeat(64), "a.".repeat(128), "a..b".to_owned(), "..".to_owned()] {
            assert!(Name::from_text(&text).is_none(), "{text}");
        }
        assert!(Name::from_text(&"a.".repeat(127)).is_some());
    }

    #[test]
    fn an_address_has_a_name_and_is_found_by_it() {
        assert_eq!(Name::reverse([10, 0, 2, 1].into()), name("1.2.0.10.in-addr.arpa"));
        let six: IpAddr = "fd00::1".parse().unwrap();
        let text = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa";
        assert_eq!(Name::reverse(six), name(text));
        assert_eq!(name(&text.to_uppercase()).reversed(), Some(six));
        for text in
            ["1.2.0.10.in-addr", "2.0.10.in-addr.arpa", "256.2.0.10.in-addr.arpa", "1.ip6.arpa", "arpa", ""]
        {
            assert_eq!(name(text).reversed(), None, "{text}");
        }
        assert_eq!(name(&text.replacen('1', "11", 1)).reversed(), None);
        assert_eq!(name(&text.replacen('1', "+", 1)).reversed(), None);
    }

    #[test]
    fn odd_bytes_are_shown_as_numbers() {
        let mut builder = Builder::default();
        builder.push(b"a.b\x1b\\ ").unwrap();
        assert_eq!(builder.finish().to_string(), "a\\.b\\027\\\\\\032.");
    }

    proptest! {
        #[test]
        fn every_address_is_found_by_its_name(bits: u128, four: bool) {
            let [.., a, b, c, d] = bits.to_be_bytes();
            let address: IpAddr =
                if four { Ipv4Addr::new(a, b, c, d).into() } else { Ipv6Addr::from_bits(bits).into() };
            prop_assert_eq!(Name::reverse(address).reversed(), Some(address));
        }
    }
}
