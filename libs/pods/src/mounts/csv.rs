//! One line of comma-separated fields, quoted as RFC 4180 says: how `--mount` is written.

use super::MountError;

/// Splits one line into its fields.
pub(super) fn fields(text: &str) -> Result<Vec<String>, MountError> {
    let broken = |why| MountError::Csv { text: text.to_owned(), why };
    if text.contains(['\n', '\r']) {
        return Err(broken("a line break"));
    }
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted).ok_or_else(|| broken("a quote that is not closed"))?,
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                (rest[..end].to_owned(), &rest[end..])
            }
        };
        fields.push(field);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(fields),
            None => return Err(broken("text after a closing quote")),
        }
    }
}

/// Reads up to the closing quote; two quotes stand for one.
fn quoted_field(text: &str) -> Option<(String, &str)> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let end = rest.find('"')?;
        field.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(more) => {
                field.push('"');
                rest = more;
            }
            None => return Some((field, rest)),
        }
    }
}
