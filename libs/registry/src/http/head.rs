//! The heads of requests and answers (RFC 9112), with a bound on everything: written from what we know, read from what
//! anybody may send.

use super::HttpError;
use super::frame::Framing;
use super::url::Url;

/// Bytes of the head of an answer.
pub(super) const HEAD: usize = 64 << 10;
/// Fields of one.
const FIELDS: usize = 128;

/// What is asked of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// What is there.
    Get,
    /// What would be said of it.
    Head,
    /// Begin something.
    Post,
    /// Put this there.
    Put,
    /// Add this to it.
    Patch,
    /// Take it away.
    Delete,
}

impl Method {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// The fields of an answer's head, in their order; names are in lower case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// The value of the first field of a name, which is given in lower case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The values of all fields of a name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// The head of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The status.
    pub status: u16,
    /// The fields.
    pub fields: Fields,
    /// Whether the connection can be used again.
    pub lasts: bool,
}

impl Head {
    /// Reads a head, if it is there as a whole; and its length.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Self, usize)>, HttpError> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS];
        let mut parsed = httparse::Response::new(&mut fields);
        let length = match parsed.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if bytes.len() >= HEAD => {
                return Err(HttpError::Malformed("a head without an end"));
            }
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(httparse::Error::TooManyHeaders) => return Err(HttpError::Malformed("too many fields")),
            Err(_) => return Err(HttpError::Malformed("not HTTP")),
        };
        let status = parsed.code.filter(|code| (100..600).contains(code));
        let status = status.ok_or(HttpError::Malformed("a status that there is not"))?;
        // Values are text to us; a registry's errors may be in any language.
        let text = |value: &[u8]| String::from_utf8_lossy(value).trim().to_owned();
        let fields = parsed.headers.iter().map(|field| (field.name.to_ascii_lowercase(), text(field.value)));
        let fields = Fields(fields.collect());
        let says = |word: &str| {
            fields
                .all("connection")
                .any(|value| value.split(',').any(|part| part.trim().eq_ignore_ascii_case(word)))
        };
        let lasts = if parsed.version == Some(1) { !says("close") } else { says("keep-alive") };
        Ok(Some((Self { status, fields, lasts }, length)))
    }

    /// How long the body is. One with two lengths is what requests are smuggled with (RFC 9112 §6.3).
    pub fn framing(&self, method: Method) -> Result<Framing, HttpError> {
        let is_empty = method == Method::Head || matches!(self.status, 100..=199 | 204 | 304);
        if is_empty {
            return Ok(Framing::Length(0));
        }
        let mut lengths = self.fields.all("content-length");
        match self.fields.get("transfer-encoding") {
            Some(coding) if coding.eq_ignore_ascii_case("chunked") => match lengths.next() {
                Some(_) => Err(HttpError::Malformed("a length and chunks")),
                None => Ok(Framing::Chunked),
            },
            Some(_) => Err(HttpError::Malformed("a coding that was not asked for")),
            None => match (lengths.next(), lengths.next()) {
                (None, _) => Ok(Framing::Close),
                (Some(one), other) if other.is_none_or(|other| other == one) => {
                    // A sign before a number is no part of one here, though Rust reads it.
                    let is_number = one.bytes().all(|byte| byte.is_ascii_digit());
                    let length = one.parse().ok().filter(|_| is_number);
                    length.map(Framing::Length).ok_or(HttpError::Malformed("a length that is no number"))
                }
                _ => Err(HttpError::Malformed("two lengths")),
            },
        }
    }
}

/// The length of a request's body, as its head says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sends {
    Nothing,
    Length(u64),
    Chunked,
}

/// Writes the head of a request. `through` is for a proxy that is told the whole address.
pub(super) fn request(
    method: Method,
    url: &Url,
    through: bool,
    fields: &[(&str, &str)],
    sends: Sends,
) -> Result<Vec<u8>, HttpError> {
    let mut head = String::with_capacity(512);
    let origin = if through { url.origin.to_string() } else { String::new() };
    for part in [method.as_str(), " ", &origin, &url.target, " HTTP/1.1\r\nHost: ", &url.origin.authority()] {
        head.push_str(part);
    }
    for (name, value) in fields {
        // What ends a line would begin a field of somebody else's.
        if value.bytes().any(|byte| byte < b' ' || byte == 127) {
            return Err(HttpError::Malformed("a field of the request with a control character"));
        }
        for part in ["\r\n", name, ": ", value] {
            head.push_str(part);
        }
    }
    match sends {
        Sends::Nothing if matches!(method, Method::Get | Method::Head | Method::Delete) => {}
        Sends::Nothing => head.push_str("\r\nContent-Length: 0"),
        Sends::Length(length) => {
            head.push_str("\r\nContent-Length: ");
            head.push_str(&length.to_string());
        }
        Sends::Chunked => head.push_str("\r\nTransfer-Encoding: chunked"),
    }
    head.push_str("\r\n\r\n");
    Ok(head.into_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn head(text: &str) -> Result<Head, HttpError> {
        Head::parse(text.as_bytes()).map(|head| head.expect("whole").0)
    }

    #[test]
    fn heads_are_read() {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: a\r\nx:  b \r\n\r\nhello";
        let (one, length) = Head::parse(text.as_bytes()).unwrap().unwrap();
        assert_eq!((one.status, one.lasts, length), (200, true, text.len() - 5));
        assert_eq!(one.fields.all("x").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(one.framing(Method::Get).unwrap(), Framing::Length(5));
        assert_eq!(one.framing(Method::Head).unwrap(), Framing::Length(0));
        assert_eq!(Head::parse(b"HTTP/1.1 200 OK\r\nA:").unwrap(), None);
        assert!(!head("HTTP/1.0 200 OK\r\n\r\n").unwrap().lasts);
        assert!(head("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n\r\n").unwrap().lasts);
        assert!(!head("HTTP/1.1 200 OK\r\nConnection: x, close\r\n\r\n").unwrap().lasts);
    }

    #[test]
    fn a_body_has_one_end() {
        let of =
            |fields: &str| head(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n")).unwrap().framing(Method::Get);
        assert_eq!(of("").unwrap(), Framing::Close);
        assert_eq!(of("Transfer-Encoding: Chunked\r\n").unwrap(), Framing::Chunked);
        assert_eq!(of("Content-Length: 3\r\nContent-Length: 3\r\n").unwrap(), Framing::Length(3));
        for bad in [
            "Content-Length: 3\r\nContent-Length: 4\r\n",
            "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
            "Content-Length: +3\r\n",
            "Content-Length: -3\r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Transfer-Encoding: gzip\r\n",
        ] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for bad in ["SSH-2.0-OpenSSH\r\n\r\n", "HTTP/1.1 999 x\r\n\r\n", "HTTP/1.1 20\r\n\r\n"] {
            assert!(Head::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "y".repeat(HEAD));
        assert!(Head::parse(endless.as_bytes()).is_err());
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(FIELDS + 1));
        assert!(Head::parse(many.as_bytes()).is_err());
    }

    #[test]
    fn no_field_makes_another_one() {
        let url = Url::parse("https://h/v2/").unwrap();
        let made = |value: &str| request(Method::Put, &url, false, &[("X", value)], Sends::Length(3));
        assert_eq!(
            String::from_utf8(made("y").unwrap()).unwrap(),
            "PUT /v2/ HTTP/1.1\r\nHost: h\r\nX: y\r\nContent-Length: 3\r\n\r\n"
        );
        assert!(made("y\r\nAuthorization: z").is_err());
        let whole = request(Method::Post, &url, true, &[], Sends::Nothing).unwrap();
        assert!(whole.starts_with(b"POST https://h/v2/ HTTP/1.1\r\n"));
        assert!(whole.ends_with(b"Content-Length: 0\r\n\r\n"));
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(bytes: Vec<u8>, cut in 0usize..80) {
            let mut text = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: x\r\n\r\n".to_vec();
            text.splice(cut.min(text.len()).., bytes);
            if let Ok(Some((head, length))) = Head::parse(&text) {
                prop_assert!(length <= text.len());
                drop(head.framing(Method::Get));
            }
        }
    }
}
