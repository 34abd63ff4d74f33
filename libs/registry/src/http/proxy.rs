//! Which proxy stands before a host: `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`, as curl and Go read them.

use std::net::IpAddr;

use super::url::{Origin, Scheme, Url, UrlError};

/// What the environment says of proxies; the caller reads it.
#[derive(Debug, Clone, Default)]
pub struct Variables {
    /// `http_proxy`, else `HTTP_PROXY`.
    pub http: Option<String>,
    /// `https_proxy`, else `HTTPS_PROXY`.
    pub https: Option<String>,
    /// `no_proxy`, else `NO_PROXY`.
    pub except: Option<String>,
}

/// A proxy.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Proxy {
    /// Where it is.
    pub origin: Origin,
    /// What it is told about who we are: `user:password`.
    pub user: Option<String>,
}

/// A variable does not name a proxy that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{variable} does not name a proxy that can be used")]
pub struct BadProxy {
    /// The variable.
    pub variable: &'static str,
    /// Why not.
    #[source]
    pub source: UrlError,
}

/// The proxies of this process.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
    except: Vec<Except>,
}

/// A host, or several, that are spoken to without a proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Except {
    All,
    /// A domain and all in it, or only what is in it, and maybe one port of it.
    Domain {
        name: String,
        itself: bool,
        port: Option<u16>,
    },
    Addresses {
        network: IpAddr,
        bits: u8,
    },
}

impl Proxies {
    /// Reads the variables.
    pub fn new(variables: &Variables) -> Result<Self, BadProxy> {
        let read = |variable, value: &Option<String>| match value.as_deref().map(str::trim) {
            None | Some("") => Ok(None),
            Some(text) => proxy(text).map(Some).map_err(|source| BadProxy { variable, source }),
        };
        let except = variables.except.as_deref().unwrap_or_default();
        Ok(Self {
            http: read("HTTP_PROXY", &variables.http)?,
            https: read("HTTPS_PROXY", &variables.https)?,
            except: except.split([',', ' ']).filter_map(|word| Except::parse(word.trim())).collect(),
        })
    }

    /// The proxy before an origin. This machine itself has none.
    #[must_use]
    pub fn before(&self, origin: &Origin) -> Option<&Proxy> {
        let proxy = match origin.scheme {
            Scheme::Http => self.http.as_ref(),
            Scheme::Https => self.https.as_ref(),
        }?;
        let address = origin.host.parse::<IpAddr>().ok();
        let is_here = origin.host == "localhost" || address.is_some_and(|address| address.is_loopback());
        let is_excepted = self.except.iter().any(|except| except.matches(origin, address));
        (!is_here && !is_excepted).then_some(proxy)
    }
}

/// Reads `[http://][user:password@]host[:port]`.
fn proxy(text: &str) -> Result<Proxy, UrlError> {
    // One that speaks TLS itself is not supported: its password would be told in the clear.
    let rest = match text.split_once("://") {
        Some(("http", rest)) => rest,
        Some(_) => return Err(UrlError::Proxy),
        None => text,
    };
    let rest = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    let (user, host) = match rest.rsplit_once('@') {
        Some((user, host)) => (Some(unescape(user)), host),
        None => (None, rest),
    };
    let origin = Url::parse(&format!("http://{host}/"))?.origin;
    Ok(Proxy { origin, user })
}

fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match code.and_then(|two| u8::from_str_radix(two, 16).ok()).filter(|_| byte == b'%') {
            Some(code) => {
                bytes.push(code);
                rest = &after[2..];
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Except {
    fn parse(word: &str) -> Option<Self> {
        if word == "*" {
            return Some(Self::All);
        }
        if let Some((network, bits)) = word.split_once('/') {
            return Some(Self::Addresses { network: network.parse().ok()?, bits: bits.parse().ok()? });
        }
        if let Ok(network) = word.trim_matches(['[', ']']).parse::<IpAddr>() {
            return Some(Self::Addresses { network, bits: if network.is_ipv4() { 32 } else { 128 } });
        }
        let (name, port) = match word.rsplit_once(':') {
            Some((name, port)) => (name, Some(port.parse().ok()?)),
            None => (word, None),
        };
        let name = name.to_ascii_lowercase();
        // ".example.org" is what is in it, "*.example.org" too, "example.org" itself as well.
        let within = name.strip_prefix("*.").or_else(|| name.strip_prefix('.'));
        let (itself, name) = (within.is_none(), within.unwrap_or(&name).to_owned());
        (!name.is_empty()).then_some(Self::Domain { name, itself, port })
    }

    fn matches(&self, origin: &Origin, address: Option<IpAddr>) -> bool {
        match self {
            Self::All => true,
            Self::Domain { name, itself, port } => {
                let is_port = port.is_none_or(|port| port == origin.port);
                let within = origin.host.strip_suffix(name.as_str());
                let is_host =
                    within.is_some_and(|before| before.ends_with('.') || (*itself && before.is_empty()));
                is_port && is_host
            }
            Self::Addresses { network, bits } => match (network, address) {
                (IpAddr::V4(network), Some(IpAddr::V4(address))) => {
                    same_start(&network.octets(), &address.octets(), *bits)
                }
                (IpAddr::V6(network), Some(IpAddr::V6(address))) => {
                    same_start(&network.octets(), &address.octets(), *bits)
                }
                _ => false,
            },
        }
    }
}

fn same_start(one: &[u8], other: &[u8], bits: u8) -> bool {
    one.iter().zip(other).enumerate().all(|(index, (one, other))| {
        let left = usize::from(bits).saturating_sub(index * 8).min(8);
        let mask = if left == 0 { 0 } else { 0xffu8 << (8 - left) };
        one & mask == other & mask
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(except: &str) -> Proxies {
        let variables = Variables {
            http: Some("proxy:3128".to_owned()),
            https: Some("http://me:p%40ss@proxy.example:8080/".to_owned()),
            except: Some(except.to_owned()),
        };
        Proxies::new(&variables).unwrap()
    }

    fn is_before(proxies: &Proxies, host: &str) -> bool {
        proxies.before(&Origin::parse(Scheme::Https, host).unwrap()).is_some()
    }

    #[test]
    fn each_scheme_has_its_own() {
        let proxies = proxies("");
        let http = proxies.before(&Origin::parse(Scheme::Http, "quay.io").unwrap()).unwrap();
        assert_eq!((http.origin.to_string().as_str(), &http.user), ("http://proxy:3128", &None));
        let https = proxies.before(&Origin::parse(Scheme::Https, "quay.io").unwrap()).unwrap();
        assert_eq!(https.origin.port, 8080);
        assert_eq!(https.user.as_deref(), Some("me:p@ss"));
        for here in ["localhost:5000", "127.0.0.1", "[::1]:5000"] {
            assert!(!is_before(&proxies, here), "{here}");
        }
    }

    #[test]
    fn some_hosts_have_none() {
        for (except, host, wanted) in [
            ("quay.io", "quay.io", false),
            ("quay.io", "cdn.quay.io", false),
            ("quay.io", "notquay.io", true),
            (".quay.io", "quay.io", true),
            (".quay.io", "cdn.quay.io", false),
            ("*.quay.io", "cdn.quay.io", false),
            ("x, QUAY.io:5000", "quay.io:5000", false),
            ("quay.io:5000", "quay.io", true),
            ("10.0.0.0/8", "10.1.2.3:5000", false),
            ("10.0.0.0/8", "11.1.2.3", true),
            ("10.1.2.3", "10.1.2.3", false),
            ("fd00::/8", "[fd00::1]:5000", false),
            ("fd00::/8", "10.1.2.3", true),
            ("*", "anything", false),
            ("10.0.0.0/99", "10.0.0.1", true),
        ] {
            assert_eq!(is_before(&proxies(except), host), wanted, "{except} {host}");
        }
    }

    #[test]
    fn what_is_no_proxy_is_said() {
        for other in ["socks5://x:1", "https://me:secret@proxy:3129"] {
            let variables = Variables { https: Some(other.to_owned()), ..Variables::default() };
            assert_eq!(Proxies::new(&variables).unwrap_err().variable, "HTTPS_PROXY");
        }
    }
}
