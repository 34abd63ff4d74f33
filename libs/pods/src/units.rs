//! Small values of flags: sizes, signals, file modes, durations, time zones.

/// A value cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// Not a number with a unit.
    #[error("invalid size: {0:?}")]
    Size(String),
    /// No such signal.
    #[error("invalid signal: {0}")]
    Signal(String),
    /// Not an octal mask.
    #[error("invalid umask {0:?}: it must be an octal number up to 0777")]
    Umask(String),
    /// Not the name of a zone.
    #[error("unrecognized timezone {0:?}")]
    Timezone(String),
    /// Not `key=value`.
    #[error("invalid {what} {text:?}: it must be key=value")]
    Pair {
        /// The flag.
        what: &'static str,
        /// What was given.
        text: String,
    },
}

/// Bytes, with Docker's units: `b`, `k`, `m`, `g`, `t`, each also with `b` or `ib`, all of them powers of 1024.
///
/// # Errors
/// Refuses what is not a number with such a unit.
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    parse_bytes(text, 1024)
}

/// The same in powers of 1000, which is how the sizes of logs are meant.
///
/// # Errors
/// As [`parse_size`].
pub fn parse_log_size(text: &str) -> Result<u64, UnitError> {
    parse_bytes(text, 1000)
}

fn parse_bytes(text: &str, base: u128) -> Result<u64, UnitError> {
    let wrong = || UnitError::Size(text.to_owned());
    let digits_end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits_end);
    let power = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        _ => return Err(wrong()),
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || part.len() > 9 || part.contains('.') || (part.is_empty() && number.contains('.')) {
        return Err(wrong());
    }
    let whole: u64 = whole.parse().map_err(|_overflow| wrong())?;
    let scale = 10u128.pow(u32::try_from(part.len()).unwrap_or(0));
    let part: u128 = if part.is_empty() { 0 } else { part.parse().map_err(|_overflow| wrong())? };
    let bytes = (u128::from(whole) * scale + part).checked_mul(base.pow(power)).ok_or_else(wrong)? / scale;
    u64::try_from(bytes).map_err(|_overflow| wrong())
}

/// Names of the signals 1 to 31, in order.
const SIGNALS: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// A signal by number or name, with or without `SIG`, `RTMIN+n` and `RTMAX-n` too, and all of them as kill(1) has them: with a
/// dash before them.
///
/// # Errors
/// Refuses what names none.
pub fn parse_signal(text: &str) -> Result<i32, UnitError> {
    let text = text.strip_prefix('-').unwrap_or(text);
    let wrong = || UnitError::Signal(text.to_owned());
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let digits = |text: &str| -> Option<i32> {
        let plain = !text.is_empty() && text.len() < 4 && text.bytes().all(|byte| byte.is_ascii_digit());
        if plain { text.parse().ok() } else { None }
    };
    if let Some(number) = digits(&upper) {
        return if (1..=64).contains(&number) { Ok(number) } else { Err(wrong()) };
    }
    if let Some(at) = SIGNALS.iter().position(|known| *known == name) {
        return i32::try_from(at + 1).map_err(|_never| wrong());
    }
    let number = match name {
        "IOT" => Some(6),
        "CLD" => Some(17),
        "POLL" => Some(29),
        // The C library keeps 32 and 33 for itself.
        "RTMIN" => Some(34),
        "RTMAX" => Some(64),
        _ => match (name.strip_prefix("RTMIN+"), name.strip_prefix("RTMAX-")) {
            (Some(more), _) => digits(more).map(|more| 34 + more),
            (_, Some(less)) => digits(less).map(|less| 64 - less),
            _ => None,
        },
    };
    number.filter(|number| (1..=64).contains(number)).ok_or_else(wrong)
}

/// `SIGTERM` and its like.
#[must_use]
pub fn signal_name(number: i32) -> String {
    let at = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
    match at.and_then(|at| SIGNALS.get(at)) {
        Some(name) => format!("SIG{name}"),
        None => number.to_string(),
    }
}

/// `--umask`.
///
/// # Errors
/// Refuses what is not octal or above 0777.
pub fn parse_umask(text: &str) -> Result<u32, UnitError> {
    let plain = !text.is_empty() && text.len() <= 4 && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    let mask = if plain { u32::from_str_radix(text, 8).ok() } else { None };
    mask.filter(|mask| *mask <= 0o777).ok_or_else(|| UnitError::Umask(text.to_owned()))
}

/// `--tz`: the name of a zone as a relative path below the zone files, or `local`.
///
/// # Errors
/// Refuses what could leave that folder.
pub fn check_timezone(name: &str) -> Result<(), UnitError> {
    let part_fits = |part: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+');
        !part.is_empty() && part.bytes().all(plain)
    };
    if name.len() < 128 && name.split('/').all(part_fits) {
        Ok(())
    } else {
        Err(UnitError::Timezone(name.to_owned()))
    }
}

/// `key=value` of `--label` and `--annotation`; a label without `=` is empty.
///
/// # Errors
/// Refuses an empty key, and for annotations a missing value.
pub fn parse_pair(what: &'static str, text: &str, needs_value: bool) -> Result<(String, String), UnitError> {
    let wrong = || UnitError::Pair { what, text: text.to_owned() };
    let (key, value) = match text.split_once('=') {
        Some(pair) => pair,
        None if needs_value => return Err(wrong()),
        None => (text, ""),
    };
    if key.is_empty() { Err(wrong()) } else { Ok((key.to_owned(), value.to_owned())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_dockers_units() {
        for (text, bytes) in [
            ("0", 0),
            ("64", 64),
            ("1k", 1024),
            ("64m", 64 << 20),
            ("64MB", 64 << 20),
            ("1.5GiB", 3 << 29),
            ("2 t", 2 << 40),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for bad in
            ["", "k", "-1", "+1", "1x", ".5", "1.", "1.2.3", "99999999999999999999", "18446744073709551615k"]
        {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn signals_have_names_and_numbers() {
        for (text, number) in [
            ("TERM", 15),
            ("SIGKILL", 9),
            ("sigint", 2),
            ("1", 1),
            ("64", 64),
            ("RTMIN", 34),
            ("SIGRTMIN+3", 37),
            ("RTMAX-1", 63),
            ("-1", 1),
            ("-SIGUSR1", 10),
        ] {
            assert_eq!(parse_signal(text), Ok(number), "{text}");
        }
        for bad in ["", "0", "65", "-", "-0", "--1", "NOPE", "SIG", "RTMIN+31", "RTMIN+-1", "99999"] {
            assert!(parse_signal(bad).is_err(), "{bad}");
        }
        assert_eq!((signal_name(15), signal_name(40)), ("SIGTERM".to_owned(), "40".to_owned()));
    }

    #[test]
    fn masks_zones_and_pairs() {
        assert_eq!((parse_umask("0022"), parse_umask("777")), (Ok(0o22), Ok(0o777)));
        for bad in ["", "8", "01777", "-1", "00022"] {
            assert!(parse_umask(bad).is_err(), "{bad}");
        }
        for good in ["local", "UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5"] {
            assert!(check_timezone(good).is_ok(), "{good}");
        }
        for bad in ["", "/etc/passwd", "../x", "a//b", "a/../b", "a b"] {
            assert!(check_timezone(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_pair("label", "a=b=c", false), Ok(("a".to_owned(), "b=c".to_owned())));
        assert_eq!(parse_pair("label", "a", false), Ok(("a".to_owned(), String::new())));
        assert!(parse_pair("annotation", "a", true).is_err());
        assert!(parse_pair("label", "=a", false).is_err());
    }
}
