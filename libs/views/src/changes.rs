//! `--change`: instructions of a Containerfile that alter how an image is run.

use ctr_core::oci::{RunConfig, Words};
use serde_json::json;

/// An instruction is not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid change {change:?} - {why}")]
pub struct ChangeError {
    change: String,
    why: String,
}

/// Applies instructions to an empty configuration.
///
/// # Errors
/// One is not understood.
pub fn config(changes: &[String]) -> Result<RunConfig, ChangeError> {
    let mut config = RunConfig::default();
    change(&mut config, changes)?;
    Ok(config)
}

/// Applies instructions to a configuration.
///
/// # Errors
/// One is not understood.
pub fn change(config: &mut RunConfig, changes: &[String]) -> Result<(), ChangeError> {
    for change in changes {
        let wrong = |why: &str| ChangeError { change: change.clone(), why: why.to_owned() };
        let (word, value) = change
            .split_once(' ')
            .or_else(|| change.split_once('='))
            .ok_or_else(|| wrong("must be formatted as KEY VALUE"))?;
        apply(config, &word.trim().to_ascii_uppercase(), value.trim()).map_err(|why| wrong(&why))?;
    }
    Ok(())
}

fn apply(config: &mut RunConfig, word: &str, value: &str) -> Result<(), String> {
    let some = |what: &str| if value.is_empty() { Err(what.to_owned()) } else { Ok(value.to_owned()) };
    match word {
        "USER" => config.user = some("must provide a value to USER")?,
        "EXPOSE" => {
            config.exposed_ports.insert(port(value)?, json!({}));
        }
        "ENV" => {
            let (key, value) = value.split_once('=').unwrap_or((value, ""));
            if key.is_empty() {
                return Err("ENV must have at least one argument".to_owned());
            }
            let key = unquoted(key);
            // The last one of a name wins, and there is one.
            config.env.retain(|entry| entry.split('=').next() != Some(key));
            config.env.push(format!("{key}={}", unquoted(value)));
        }
        "ENTRYPOINT" => config.entrypoint = Some(Words(words(value, true))),
        "CMD" => config.cmd = Some(Words(words(value, false))),
        "VOLUME" => {
            let list = serde_json::from_str::<Vec<String>>(value);
            let list = list.unwrap_or_else(|_| value.split(' ').map(str::to_owned).collect());
            if list.is_empty() || list.iter().any(String::is_empty) {
                return Err("VOLUME paths must not be empty".to_owned());
            }
            config.volumes.extend(list.into_iter().map(|path| (path, json!({}))));
        }
        "WORKDIR" => {
            config.working_dir = joined(&config.working_dir, &some("must provide a non-empty WORKDIR")?);
        }
        "LABEL" => {
            let (key, value) = value.split_once('=').ok_or("LABEL must be formatted key=value")?;
            if unquoted(key).is_empty() {
                return Err("LABEL must have a non-empty key".to_owned());
            }
            config.labels.insert(unquoted(key).to_owned(), unquoted(value).to_owned());
        }
        "STOPSIGNAL" => config.stop_signal = signal(value)?,
        "ONBUILD" => config.on_build.push(some("ONBUILD must be given an argument")?),
        other => return Err(format!("invalid instruction {other}")),
    }
    Ok(())
}

fn port(text: &str) -> Result<String, String> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let number: u16 =
        number.parse().map_err(|_invalid| "EXPOSE port must be a valid port number".to_owned())?;
    if number == 0 {
        return Err("EXPOSE port must be a valid port number".to_owned());
    }
    match protocol.to_ascii_lowercase().as_str() {
        protocol @ ("tcp" | "udp") => Ok(format!("{number}/{protocol}")),
        _ => Err("EXPOSE protocol must be TCP or UDP".to_owned()),
    }
}

/// A JSON list is the words; anything else is for a shell.
fn words(value: &str, empty_is_none: bool) -> Vec<String> {
    if let Ok(list) = serde_json::from_str::<Vec<String>>(value) {
        return list;
    }
    if value.is_empty() && empty_is_none {
        return Vec::new();
    }
    let shell = ["/bin/sh", "-c", value].map(str::to_owned);
    shell.into_iter().filter(|word| !word.is_empty()).collect()
}

fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

/// Each WORKDIR is relative to the one before.
fn joined(before: &str, next: &str) -> String {
    let whole = if next.starts_with('/') { next.to_owned() } else { format!("{before}/{next}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => _ = parts.pop(),
            part => parts.push(part),
        }
    }
    let path = parts.join("/");
    if whole.starts_with('/') { format!("/{path}") } else { path }
}

/// Names of signals, without SIG, at the place of their numbers.
const SIGNALS: &[&str] = &[
    "", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// A signal by name or number, as its number.
fn signal(text: &str) -> Result<String, String> {
    let wrong = || format!("STOPSIGNAL must be given a valid signal: invalid signal: {text}");
    if let Ok(number) = text.parse::<u8>() {
        return if (1..=64).contains(&number) { Ok(number.to_string()) } else { Err(wrong()) };
    }
    let name = text.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    let found = SIGNALS.iter().position(|known| !known.is_empty() && *known == name);
    found.map(|number| number.to_string()).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(changes: &[&str]) -> Result<RunConfig, String> {
        let changes: Vec<_> = changes.iter().map(|&change| change.to_owned()).collect();
        config(&changes).map_err(|error| error.to_string())
    }

    #[test]
    fn instructions() {
        let config = made(&[
            "CMD [\"a\",\"b\"]",
            "ENTRYPOINT echo hi",
            "ENV A=1",
            "env A=\"2\"",
            "EXPOSE 80",
            "EXPOSE 53/UDP",
            "LABEL \"k\"=\"v w\"",
            "USER=root",
            "VOLUME /a /b",
            "WORKDIR /x",
            "WORKDIR y/../z",
            "STOPSIGNAL SIGTERM",
            "ONBUILD RUN x",
        ])
        .unwrap();
        assert_eq!(config.cmd, Some(Words(vec!["a".into(), "b".into()])));
        assert_eq!(config.entrypoint, Some(Words(vec!["/bin/sh".into(), "-c".into(), "echo hi".into()])));
        assert_eq!(config.env, ["A=2"]);
        assert_eq!(config.exposed_ports.keys().collect::<Vec<_>>(), ["53/udp", "80/tcp"]);
        assert_eq!(config.labels.get("k").map(String::as_str), Some("v w"));
        assert_eq!((config.user.as_str(), config.working_dir.as_str()), ("root", "/x/z"));
        assert_eq!(config.volumes.len(), 2);
        assert_eq!((config.stop_signal.as_str(), config.on_build.len()), ("15", 1));
        assert_eq!(made(&["ENTRYPOINT "]).unwrap().entrypoint, Some(Words(Vec::new())));
    }

    #[test]
    fn mistakes_are_named() {
        for (change, why) in [
            ("CMD", "must be formatted as KEY VALUE"),
            ("FROM x", "invalid instruction FROM"),
            ("EXPOSE 0", "valid port"),
            ("EXPOSE 80/sctp", "TCP or UDP"),
            ("LABEL x", "key=value"),
            ("STOPSIGNAL nosuch", "invalid signal: nosuch"),
            ("WORKDIR ", "non-empty WORKDIR"),
        ] {
            let error = made(&[change]).unwrap_err();
            assert!(
                error.contains(why) && error.starts_with(&format!("invalid change {change:?}")),
                "{error}"
            );
        }
    }
}
