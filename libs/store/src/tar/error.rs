//! What can be wrong with an archive.

/// An archive cannot be read on.
#[derive(Debug, thiserror::Error)]
#[error("the archive is damaged or unusable at byte {offset}")]
pub struct TarError {
    /// How many bytes of the archive had been taken.
    pub offset: u64,
    /// What is wrong.
    #[source]
    pub fault: Fault,
}

/// What is wrong with an archive.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The stream under it failed.
    #[error("it cannot be read")]
    Read(#[source] std::io::Error),
    /// The stream ends inside an entry.
    #[error("it ends in the middle of an entry")]
    Truncated,
    /// A header's checksum is wrong: damage, a lie about the size of the entry before, or no archive at all.
    #[error("the checksum of a header does not match")]
    Checksum,
    /// A field says something impossible.
    #[error("the {0} of an entry is malformed")]
    Malformed(&'static str),
    /// Something is larger than anybody needs.
    #[error("the {what} of an entry is larger than {limit} bytes")]
    TooLarge {
        /// What it is.
        what: &'static str,
        /// The limit in bytes, or in pieces for a map.
        limit: u64,
    },
    /// An entry of a type that no layer has.
    #[error("an entry has the unknown type {}", flag.escape_ascii())]
    Type {
        /// The type flag.
        flag: u8,
    },
}
