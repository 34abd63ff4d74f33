//! Requests and answers as values, and the few codings that their parts are in.

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::fault::Tap;

/// Header fields in the order in which they came, or go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(String, String)>);

impl Headers {
    /// The first field of this name, in whatever case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// All fields of this name, joined as one list.
    #[must_use]
    pub fn list(&self, name: &str) -> Option<String> {
        let values = self.0.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        let values: Vec<_> = values.map(|(_, value)| value.as_str()).collect();
        (!values.is_empty()).then(|| values.join(","))
    }

    /// Puts one field in place of all of this name.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.remove(name);
        self.0.push((name.to_owned(), value.into()));
    }

    /// Takes all fields of this name out.
    pub fn remove(&mut self, name: &str) {
        self.0.retain(|(key, _)| !key.eq_ignore_ascii_case(name));
    }
}

/// The head of a request.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) method: String,
    /// As it was sent.
    pub(super) path: String,
    /// As it was sent, without the question mark.
    pub(super) query: String,
    pub(super) headers: Headers,
}

impl Request {
    /// Reads a head, without the empty line at its end. `None` when it is none.
    pub(super) fn parse(head: &str) -> Option<Self> {
        let mut lines = head.split("\r\n");
        let mut words = lines.next()?.split(' ');
        let (method, target, version) = (words.next()?, words.next()?, words.next()?);
        let whole = version.starts_with("HTTP/1.") && words.next().is_none();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let fields = lines.map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_owned(), value.trim().to_owned()))
        });
        let headers = Headers(fields.collect::<Option<_>>()?);
        whole.then(|| Self { method: method.into(), path: path.into(), query: query.into(), headers })
    }

    /// The path with its escapes read.
    pub(super) fn decoded_path(&self) -> String {
        unescape(&self.path)
    }

    /// All values of a parameter of the query.
    pub(super) fn parameters(&self, name: &str) -> Vec<String> {
        form(&self.query).into_iter().filter(|(key, _)| key == name).map(|(_, value)| value).collect()
    }

    /// The first value of a parameter of the query.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        self.parameters(name).into_iter().next()
    }
}

/// What follows the head of an answer.
pub(super) enum Body {
    /// A part of some bytes.
    Bytes(Arc<Vec<u8>>, Range<usize>),
    /// What is made while it is sent; nobody knows its length.
    Pieces(Box<dyn Iterator<Item = Vec<u8>> + Send>),
}

impl std::fmt::Debug for Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bytes(_, range) => write!(f, "{} bytes", range.len()),
            Self::Pieces(_) => f.write_str("pieces"),
        }
    }
}

/// An answer, and how it goes over the wire.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Headers,
    pub(super) body: Body,
    pub(super) wire: Box<Wire>,
}

/// How an answer goes over the wire, where that is not as it should.
#[derive(Debug, Default)]
pub(super) struct Wire {
    /// The connection ends after this many bytes of the body.
    pub(super) cut: Option<u64>,
    /// It ends with a reset.
    pub(super) reset: bool,
    /// What follows the answer.
    pub(super) trailing: Vec<u8>,
    /// What must be open before the head goes.
    pub(super) hold: Option<Tap>,
    /// What lets the body through.
    pub(super) pace: Option<Tap>,
    /// These bytes instead of an answer, the last of them for ever.
    pub(super) raw: Option<(Vec<u8>, Vec<u8>)>,
    /// The connection is closed behind it, as it says.
    pub(super) close: bool,
}

impl Answer {
    /// An answer without a body.
    pub(super) fn status(status: u16) -> Self {
        Self::bytes(status, Vec::new())
    }

    /// An answer with this body.
    pub(super) fn bytes(status: u16, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        let range = 0..body.len();
        Self {
            status,
            headers: Headers::default(),
            body: Body::Bytes(Arc::new(body), range),
            wire: Box::default(),
        }
    }

    /// An answer whose body is JSON.
    pub(super) fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::bytes(status, body.to_string()).with("Content-Type", "application/json")
    }

    /// The protocol's envelope of an error.
    pub(super) fn error(status: u16, code: &str, message: &str) -> Self {
        let error = serde_json::json!({ "errors": [{ "code": code, "message": message }] });
        Self::json(status, &error)
    }

    /// Adds a header field.
    pub(super) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.set(name, value);
        self
    }

    /// Changes the body's bytes; what has no length is left as it is.
    pub(super) fn change_body(&mut self, change: impl FnOnce(&mut Vec<u8>)) {
        if let Body::Bytes(bytes, range) = &self.body {
            let mut bytes = bytes[range.clone()].to_vec();
            change(&mut bytes);
            let range = 0..bytes.len();
            self.body = Body::Bytes(Arc::new(bytes), range);
        }
    }
}

/// The words for a status.
pub(super) fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        307 => "Temporary Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        413 => "Content Too Large",
        416 => "Range Not Satisfiable",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "As It Is",
    }
}

/// Reads `%XX`.
pub(super) fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escaped = after.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let escaped = escaped.and_then(|hex| u8::from_str_radix(hex, 16).ok()).filter(|_| *first == b'%');
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads a query, or the body of a form.
pub(super) fn form(text: &str) -> Vec<(String, String)> {
    let decode = |part: &str| unescape(&part.replace('+', " "));
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(a, b)| (decode(a), decode(b)))
        .collect()
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base64 with padding.
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, n| bits << 8 | u32::from(three.get(n).copied().unwrap_or(0)));
        for n in 0..4 {
            let sextet = bits >> (18 - 6 * n) & 63;
            let letter = char::from(BASE64[sextet as usize]);
            text.push(if n <= three.len() { letter } else { '=' });
        }
    }
    text
}

/// Base64 as tokens have it: for URLs, without padding.
#[must_use]
pub fn base64url(bytes: &[u8]) -> String {
    base64(bytes).replace('+', "-").replace('/', "_").replace('=', "")
}

/// Reads base64 with padding.
pub(super) fn unbase64(text: &str) -> Option<Vec<u8>> {
    let digits =
        text.trim_end_matches('=').bytes().map(|letter| BASE64.iter().position(|one| *one == letter));
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0usize, 0);
    for digit in digits {
        (bits, held) = (bits << 6 | digit?, held + 6);
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 255).ok()?);
        }
    }
    Some(bytes)
}

/// A moment as HTTP writes it, this many seconds from now.
#[must_use]
pub fn http_date(from_now: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970").as_secs();
    date(now + from_now)
}

fn date(seconds: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (mut day, second) = (seconds / 86_400, seconds % 86_400);
    let week_day = DAYS[usize::try_from(day % 7).expect("less than 7")];
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let mut year = 1970;
    while day >= 365 + u64::from(leap(year)) {
        day -= 365 + u64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while day >= lengths[month] {
        day -= lengths[month];
        month += 1;
    }
    let mut text = String::new();
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let name = MONTHS[month];
    write!(text, "{week_day}, {:02} {name} {year} {hour:02}:{minute:02}:{second:02} GMT", day + 1)
        .expect("memory");
    text
}

#[cfg(test)]
mod tests {
    use super::{base64, base64url, date, form, unbase64, unescape};

    #[test]
    fn codings() {
        for (text, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(base64(text.as_bytes()), coded);
            assert_eq!(unbase64(coded).expect(coded), text.as_bytes());
        }
        assert_eq!(base64url(&[255, 254, 253, 252]), "__79_A");
        assert!(unbase64("a b").is_none());
        assert_eq!(unescape("sha256%3Aab%2"), "sha256:ab%2");
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(form("a=b+c&d=%2B&&e"), [pair("a", "b c"), pair("d", "+"), pair("e", "")]);
    }

    #[test]
    fn dates() {
        assert_eq!(date(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(date(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(date(1_709_210_096), "Thu, 29 Feb 2024 12:34:56 GMT");
    }
}
