//! An error and its causes as one line.

use std::error::Error;

/// The error and its sources in one line, each said once, with the name of an errno.
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = one(error);
    let mut next = error.source();
    while let Some(source) = next {
        let said = one(source);
        if !said.is_empty() && !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        next = source.source();
    }
    text
}

/// The error's own words; those of the operating system get the errno's name instead of its number.
fn one(error: &(dyn Error + 'static)) -> String {
    let text = error.to_string();
    let code = error
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::raw_os_error)
        .or_else(|| error.downcast_ref::<rustix::io::Errno>().map(|errno| errno.raw_os_error()));
    let Some(code) = code else { return text };
    let plain = text.strip_suffix(&format!(" (os error {code})")).unwrap_or(&text);
    match crate::errno::name(code) {
        Some(name) => format!("{plain} ({name})"),
        None => format!("{plain} (errno {code})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read {path}")]
    struct Read {
        path: &'static str,
        source: std::io::Error,
    }

    fn read() -> Read {
        Read { path: "/etc/x", source: std::io::Error::from_raw_os_error(13) }
    }

    #[test]
    fn the_chain_is_one_line_with_the_errno() {
        assert_eq!(chain(&read()), "cannot read /etc/x: Permission denied (EACCES)");
        assert_eq!(one(&std::io::Error::other("x")), "x");
        assert_eq!(one(&rustix::io::Errno::PERM), "Operation not permitted (EPERM)");
    }

    #[test]
    fn a_source_is_not_said_twice() {
        #[derive(Debug, thiserror::Error)]
        #[error(transparent)]
        struct Same(#[from] Read);
        assert_eq!(chain(&Same(read())), "cannot read /etc/x: Permission denied (EACCES)");
    }
}
