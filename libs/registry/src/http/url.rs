//! Addresses of what registries have: `http` and `https`, with a host, a port, a path and a query.
//!
//! Nothing is decoded or put into a normal form: what a registry said is sent back as it was. Names and passwords within an
//! address are refused, since they would end up in messages.

use std::fmt;

/// Bytes of an address: those of content networks are signed and long.
const LONGEST: usize = 16 << 10;

/// How one talks to a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// The port where none is said.
    #[must_use]
    pub const fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }

    /// As it stands in an address.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// Who is talked to, and how: credentials are for one of these and for no other.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    /// How.
    pub scheme: Scheme,
    /// A name in lower case, or an address; one of IPv6 without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Origin {
    /// Reads `host[:port]`.
    pub fn parse(scheme: Scheme, text: &str) -> Result<Self, UrlError> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or(UrlError::Host)?;
                let is_address = host.parse::<std::net::Ipv6Addr>().is_ok();
                (Some(host).filter(|_| is_address).ok_or(UrlError::Host)?, rest)
            }
            None => text.find(':').map_or((text, ""), |colon| text.split_at(colon)),
        };
        let port = match port {
            "" | ":" => scheme.port(),
            port => port
                .strip_prefix(':')
                .and_then(|port| port.parse().ok())
                .filter(|&port| port != 0)
                .ok_or(UrlError::Port)?,
        };
        let is_name = |host: &str| {
            !host.is_empty()
                && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        };
        if !text.starts_with('[') && !is_name(host) {
            return Err(UrlError::Host);
        }
        Ok(Self { scheme, host: host.to_ascii_lowercase(), port })
    }

    /// What stands in the `Host` field: the port only where it is not the usual one.
    #[must_use]
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == self.scheme.port() { host } else { format!("{host}:{}", self.port) }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.authority())
    }
}

/// A text is no address that we can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// It begins with neither `http://` nor `https://`.
    #[error("neither http:// nor https://")]
    Scheme,
    /// It is of a proxy that does not speak plain HTTP with us.
    #[error("only proxies at http:// are supported")]
    Proxy,
    /// There is no host, or it has characters that no host has.
    #[error("not a host")]
    Host,
    /// The port is no number of one.
    #[error("not a port")]
    Port,
    /// A name or password is in it.
    #[error("a user name or password in an address")]
    User,
    /// It has spaces, control characters or others that must be escaped.
    #[error("characters that have no place in an address")]
    Characters,
    /// It is too long.
    #[error("longer than any address")]
    TooLong,
}

/// An address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Url {
    /// Who is talked to.
    pub origin: Origin,
    /// The path and the query, which begin with a slash.
    pub target: String,
}

impl Url {
    /// Reads an address; what stands behind `#` is nobody's business.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        check(text)?;
        let (scheme, rest) = scheme(text).ok_or(UrlError::Scheme)?;
        let (authority, target) = match rest.find(['/', '?']) {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        if authority.contains('@') {
            return Err(UrlError::User);
        }
        let target = if target.starts_with('?') { format!("/{target}") } else { target.to_owned() };
        Ok(Self { origin: Origin::parse(scheme, authority)?, target })
    }

    /// An address at an origin.
    #[must_use]
    pub fn at(origin: &Origin, target: impl Into<String>) -> Self {
        Self { origin: origin.clone(), target: target.into() }
    }

    /// Reads what a `Location` or a `Link` says, seen from here (RFC 3986 §5, without dots in paths, which no registry sends).
    pub fn join(&self, text: &str) -> Result<Self, UrlError> {
        check(text)?;
        let text = text.split('#').next().unwrap_or(text);
        if scheme(text).is_some() {
            return Self::parse(text);
        }
        if let Some(rest) = text.strip_prefix("//") {
            return Self::parse(&format!("{}://{rest}", self.origin.scheme.as_str()));
        }
        let path = self.target.split('?').next().unwrap_or("/");
        let target = if text.starts_with('/') {
            text.to_owned()
        } else if text.is_empty() || text.starts_with('?') {
            format!("{path}{text}")
        } else {
            let folder = path.rfind('/').map_or("/", |slash| &path[..=slash]);
            format!("{folder}{text}")
        };
        Ok(Self { origin: self.origin.clone(), target })
    }

    /// Adds `name=value` to the query; both are escaped.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.target.push(if self.target.contains('?') { '&' } else { '?' });
        escape(name, &mut self.target);
        self.target.push('=');
        escape(value, &mut self.target);
        self
    }

    /// The address without its query, for messages: queries may hold signatures.
    #[must_use]
    pub fn plain(&self) -> String {
        format!("{}{}", self.origin, self.target.split('?').next().unwrap_or("/"))
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.plain())
    }
}

fn check(text: &str) -> Result<(), UrlError> {
    if text.len() > LONGEST {
        return Err(UrlError::TooLong);
    }
    let is_fine = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte);
    if text.bytes().all(is_fine) { Ok(()) } else { Err(UrlError::Characters) }
}

fn scheme(text: &str) -> Option<(Scheme, &str)> {
    let text = text.split('#').next().unwrap_or(text);
    let (scheme, rest) = text.split_once("://")?;
    match scheme.to_ascii_lowercase().as_str() {
        "http" => Some((Scheme::Http, rest)),
        "https" => Some((Scheme::Https, rest)),
        _ => None,
    }
}

/// Escapes a value of a query (RFC 3986 §2.3): what has no meaning anywhere stays.
pub fn escape(text: &str, into: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            into.push(byte.into());
        } else {
            into.push('%');
            into.push(DIGITS[usize::from(byte >> 4)].into());
            into.push(DIGITS[usize::from(byte & 15)].into());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn addresses() {
        let one = url("https://Quay.io/v2/");
        assert_eq!(
            (one.origin.host.as_str(), one.origin.port, one.target.as_str()),
            ("quay.io", 443, "/v2/")
        );
        assert_eq!(url("http://[::1]:5000?a=b").origin.authority(), "[::1]:5000");
        assert_eq!(url("http://[::1]:5000?a=b").target, "/?a=b");
        assert_eq!(url("http://h:80/x#y").origin.authority(), "h");
        for (text, why) in [
            ("ftp://x/", UrlError::Scheme),
            ("https:///x", UrlError::Host),
            ("https://a b/", UrlError::Characters),
            ("https://user:secret@h/", UrlError::User),
            ("https://h:0/", UrlError::Port),
            ("https://h:70000/", UrlError::Port),
            ("https://[::1/", UrlError::Host),
            ("https://[fe80::1%25eth0]/", UrlError::Host),
            ("https://h/\r\nX: y", UrlError::Characters),
        ] {
            assert_eq!(Url::parse(text), Err(why), "{text}");
        }
    }

    #[test]
    fn what_a_registry_says_is_seen_from_where_it_said_it() {
        let base = url("https://h:5000/v2/a/blobs/uploads/?x=1");
        for (text, wanted) in [
            ("/v2/b", "https://h:5000/v2/b"),
            ("http://other/z?q", "http://other/z"),
            ("//cdn/z", "https://cdn/z"),
            ("uuid", "https://h:5000/v2/a/blobs/uploads/uuid"),
        ] {
            assert_eq!(base.join(text).unwrap().plain(), wanted, "{text}");
        }
        assert_eq!(base.join("?last=b").unwrap().target, "/v2/a/blobs/uploads/?last=b");
        assert_eq!(base.join("https://u@h/"), Err(UrlError::User));
    }

    #[test]
    fn values_of_a_query_are_escaped() {
        let one = url("https://h/t").with("scope", "repository:a/b:pull,push").with("s", "é &=");
        assert_eq!(one.target, "/t?scope=repository%3Aa%2Fb%3Apull%2Cpush&s=%C3%A9%20%26%3D");
        assert_eq!(one.to_string(), "https://h/t");
    }

    proptest! {
        #[test]
        fn what_was_read_is_read_again(text in "https?://[a-z0-9.]{1,20}(:[1-9][0-9]{0,3})?/[a-z/?=&%0-9]{0,40}") {
            let one = Url::parse(&text).unwrap();
            let again = Url::parse(&format!("{}{}", one.origin, one.target)).unwrap();
            prop_assert_eq!(one, again);
        }

        #[test]
        fn no_text_breaks_it(text in "\\PC{0,60}") {
            let base = Url::parse("https://h/x/y?z").unwrap();
            drop(Url::parse(&text));
            if let Ok(joined) = base.join(&text) {
                prop_assert!(joined.target.starts_with('/'));
            }
        }
    }
}
