//! Content digests, and readers and writers that compute them on the way.
//!
//! A [`Digest`] can only come from a hash that was computed or from text that was checked, so nothing that holds
//! one can be steered to another path by its spelling.

use std::fmt;
use std::io::{self, Read, Write};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Digest as _;

/// The hash functions that a digest may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// SHA-256: what everybody writes, and we too.
    Sha256,
    /// SHA-512: read and verified only.
    Sha512,
}

impl Algorithm {
    /// Returns the name before the colon.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    const fn size(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

/// The digest of some bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest {
    algorithm: Algorithm,
    bytes: [u8; 64],
}

/// A text is no digest that we know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// No colon, a wrong length or something that is not lower-case hexadecimal.
    #[error("invalid digest format")]
    Malformed,
    /// The part before the colon names no algorithm of ours.
    #[error("unsupported digest algorithm")]
    Algorithm,
}

/// The bytes were not those that the digest promised.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the content is {found}, where {expected} was promised")]
pub struct Mismatch {
    /// What was promised.
    pub expected: Box<Digest>,
    /// What came.
    pub found: Box<Digest>,
}

impl Digest {
    /// Computes the SHA-256 of some bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::sha256();
        hasher.update(bytes);
        hasher.finish()
    }

    /// Reads `algorithm:hex`.
    pub fn parse(text: &str) -> Result<Self, DigestError> {
        let (algorithm, hex) = text.split_once(':').ok_or(DigestError::Malformed)?;
        let algorithm = match algorithm {
            "sha256" => Algorithm::Sha256,
            "sha512" => Algorithm::Sha512,
            _ => return Err(DigestError::Algorithm),
        };
        Self::from_hex(algorithm, hex)
    }

    /// Reads the hexadecimal part alone.
    pub fn from_hex(algorithm: Algorithm, hex: &str) -> Result<Self, DigestError> {
        if hex.len() != algorithm.size() * 2 {
            return Err(DigestError::Malformed);
        }
        let mut bytes = [0; 64];
        for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Ok(Self { algorithm, bytes })
    }

    /// Reads the 64 hexadecimal digits of a SHA-256.
    pub fn from_sha256_hex(hex: &str) -> Result<Self, DigestError> {
        Self::from_hex(Algorithm::Sha256, hex)
    }

    /// Wraps a SHA-256 that was computed.
    #[must_use]
    pub const fn from_sha256(hash: [u8; 32]) -> Self {
        let mut bytes = [0; 64];
        bytes.split_at_mut(32).0.copy_from_slice(&hash);
        Self { algorithm: Algorithm::Sha256, bytes }
    }

    /// Returns the hash, if it is a SHA-256.
    #[must_use]
    pub fn sha256(&self) -> Option<[u8; 32]> {
        match self.algorithm {
            Algorithm::Sha256 => self.bytes.first_chunk().copied(),
            Algorithm::Sha512 => None,
        }
    }

    /// Returns the algorithm.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Returns the raw hash.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.algorithm.size()]
    }

    /// Returns the hexadecimal part.
    #[must_use]
    pub fn hex(&self) -> String {
        let mut hex = String::with_capacity(self.algorithm.size() * 2);
        push_hex(&mut hex, self.as_bytes());
        hex
    }

    /// Returns the first twelve hexadecimal digits, the form that people see.
    #[must_use]
    pub fn short(&self) -> String {
        let mut hex = String::with_capacity(12);
        push_hex(&mut hex, &self.bytes[..6]);
        hex
    }

    /// Checks that the bytes are those of this digest.
    pub fn verify(&self, bytes: &[u8]) -> Result<(), Mismatch> {
        let mut hasher = Hasher::new(self.algorithm);
        hasher.update(bytes);
        self.expect(hasher.finish())
    }

    /// Checks that a computed digest is this one.
    pub fn expect(&self, found: Self) -> Result<(), Mismatch> {
        if *self == found {
            Ok(())
        } else {
            Err(Mismatch { expected: Box::new(*self), found: Box::new(found) })
        }
    }
}

/// Appends bytes as lower-case hexadecimal digits.
pub fn push_hex(text: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

const fn nibble(digit: u8) -> Result<u8, DigestError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(DigestError::Malformed),
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        Self::parse(text)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// A digest in the making.
#[derive(Debug, Clone)]
pub struct Hasher(State);

#[derive(Debug, Clone)]
enum State {
    Sha256(sha2::Sha256),
    Sha512(sha2::Sha512),
}

impl Hasher {
    /// Starts a digest of the algorithm.
    #[must_use]
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Sha256 => State::Sha256(sha2::Sha256::new()),
            Algorithm::Sha512 => State::Sha512(sha2::Sha512::new()),
        })
    }

    /// Starts a SHA-256.
    #[must_use]
    pub fn sha256() -> Self {
        Self::new(Algorithm::Sha256)
    }

    /// Takes in some bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha256(state) => state.update(bytes),
            State::Sha512(state) => state.update(bytes),
        }
    }

    /// Returns the digest of all that was taken in.
    #[must_use]
    pub fn finish(self) -> Digest {
        let mut bytes = [0; 64];
        let algorithm = match self.0 {
            State::Sha256(state) => {
                bytes[..32].copy_from_slice(&state.finalize());
                Algorithm::Sha256
            }
            State::Sha512(state) => {
                bytes.copy_from_slice(&state.finalize());
                Algorithm::Sha512
            }
        };
        Digest { algorithm, bytes }
    }
}

/// A reader that hashes what passes through it.
#[derive(Debug)]
pub struct HashingReader<R> {
    inner: R,
    hasher: Hasher,
    count: u64,
}

impl<R: Read> HashingReader<R> {
    /// Hashes with SHA-256.
    pub fn new(inner: R) -> Self {
        Self::with(inner, Algorithm::Sha256)
    }

    /// Hashes with the algorithm that the promised digest has.
    pub fn with(inner: R, algorithm: Algorithm) -> Self {
        Self { inner, hasher: Hasher::new(algorithm), count: 0 }
    }

    /// Reads what is left, then returns digest and size of the whole.
    pub fn drain(mut self) -> io::Result<(Digest, u64)> {
        let mut buffer = vec![0; 128 << 10];
        while self.read(&mut buffer)? > 0 {}
        Ok(self.finish())
    }

    /// Returns digest and size of what was read so far.
    pub fn finish(self) -> (Digest, u64) {
        (self.hasher.finish(), self.count)
    }

    /// The same, with the inner reader.
    pub fn into_parts(self) -> (R, Digest, u64) {
        (self.inner, self.hasher.finish(), self.count)
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let size = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..size]);
        self.count += size as u64;
        Ok(size)
    }
}

/// A writer that hashes what passes through it.
#[derive(Debug)]
pub struct HashingWriter<W> {
    inner: W,
    hasher: Hasher,
    count: u64,
}

impl<W: Write> HashingWriter<W> {
    /// Hashes with SHA-256.
    pub fn new(inner: W) -> Self {
        Self { inner, hasher: Hasher::sha256(), count: 0 }
    }

    /// Returns the inner writer, and digest and size of what was written.
    pub fn finish(self) -> (W, Digest, u64) {
        (self.inner, self.hasher.finish(), self.count)
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let size = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..size]);
        self.count += size as u64;
        Ok(size)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn known_answers() {
        assert_eq!(Digest::of(b"").to_string(), EMPTY);
        let mut long = Hasher::new(Algorithm::Sha512);
        long.update(b"abc");
        assert!(long.finish().to_string().starts_with("sha512:ddaf35a193617abacc417349ae204131"));
    }

    #[test]
    fn text_is_checked() {
        let digest = Digest::parse(EMPTY).unwrap();
        assert_eq!(digest.short(), "e3b0c44298fc");
        assert_eq!(digest.to_string(), EMPTY);
        let upper = EMPTY.replace('e', "E");
        for bad in [
            "",
            "sha256:",
            "sha256:ab",
            &EMPTY[7..],
            &upper,
            "md5:aa",
            "sha256:../../etc/passwd",
            &EMPTY[..70],
        ] {
            assert!(Digest::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(Digest::parse("md5:aa"), Err(DigestError::Algorithm));
    }

    #[test]
    fn verifying_tells_both_sides() {
        let digest = Digest::of(b"a");
        assert!(digest.verify(b"a").is_ok());
        let error = digest.verify(b"b").unwrap_err();
        assert_eq!((*error.expected, *error.found), (digest, Digest::of(b"b")));
    }

    #[test]
    fn readers_and_writers_agree() {
        let text = vec![7; 300_000];
        let (digest, size) = HashingReader::new(&text[..]).drain().unwrap();
        let mut writer = HashingWriter::new(Vec::new());
        writer.write_all(&text).unwrap();
        let (written, same, count) = writer.finish();
        assert_eq!((digest, size), (same, count));
        assert_eq!(written, text);
        assert_eq!(digest, Digest::of(&text));
    }

    #[test]
    fn json_holds_the_text() {
        let digest = Digest::of(b"x");
        let json = serde_json::to_string(&digest).unwrap();
        assert_eq!(json, format!("\"{digest}\""));
        assert_eq!(serde_json::from_str::<Digest>(&json).unwrap(), digest);
        assert!(serde_json::from_str::<Digest>("\"sha256:0\"").is_err());
    }
}
