//! `--security-opt`.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A security option cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecurityError {
    /// Nobody knows it.
    #[error("invalid --security-opt 2: {0:?}")]
    Unknown(String),
    /// A value it cannot have.
    #[error("invalid --security-opt {name}: {value:?}")]
    Value {
        /// The option.
        name: &'static str,
        /// What was given.
        value: String,
    },
    /// A path that is not absolute.
    #[error("invalid --security-opt {name}: {value:?} is not an absolute path")]
    Relative {
        /// The option.
        name: &'static str,
        /// What was given.
        value: String,
    },
}

/// Which system calls are allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Seccomp {
    /// The usual list.
    #[default]
    Default,
    /// Podman's wider list, for containers in containers.
    Nested,
    /// All.
    Unconfined,
    /// A profile in a file.
    File(PathBuf),
}

/// Which paths of /proc and /sys appear as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unmask {
    /// None of the masked ones.
    #[default]
    None,
    /// All.
    All,
    /// Those that a pattern of these fits.
    Paths(Vec<String>),
}

/// What all values of the flag say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Security {
    /// `seccomp=`.
    pub seccomp: Seccomp,
    /// `no-new-privileges`.
    pub no_new_privileges: bool,
    /// `mask=`: more paths that are hidden.
    pub mask: Vec<String>,
    /// `unmask=`.
    pub unmask: Unmask,
    /// `proc-opts=`: options of the mount of /proc.
    pub proc_opts: Vec<String>,
    /// `label=`, as `key:value` or `disable`.
    pub label: Vec<String>,
    /// `apparmor=`.
    pub apparmor: Option<String>,
    /// All values as they were written, for the record.
    pub written: Vec<String>,
}

impl Security {
    /// Parses all values of the flag.
    ///
    /// # Errors
    /// Refuses what nobody knows.
    pub fn parse(values: &[String]) -> Result<Self, SecurityError> {
        let mut security = Self { written: values.to_vec(), ..Self::default() };
        for value in values {
            security.take(value)?;
        }
        Ok(security)
    }

    fn take(&mut self, text: &str) -> Result<(), SecurityError> {
        let (name, value) = split(text);
        match name {
            "no-new-privileges" => {
                self.no_new_privileges = match value {
                    "" | "true" => true,
                    "false" => false,
                    other => return Err(wrong("no-new-privileges", other)),
                };
            }
            "seccomp" => {
                self.seccomp = match value {
                    "" => return Err(wrong("seccomp", value)),
                    "unconfined" => Seccomp::Unconfined,
                    "nested" => Seccomp::Nested,
                    "default" => Seccomp::Default,
                    path => Seccomp::File(PathBuf::from(path)),
                };
            }
            "mask" => self.mask.extend(paths("mask", value)?),
            "unmask" => self.unmask("unmask", value)?,
            // Docker's spelling of `unmask=ALL`.
            "systempaths" if value == "unconfined" => self.unmask = Unmask::All,
            "proc-opts" => self.proc_opts.extend(proc_opts(value)?),
            "label" => self.label.push(label(value)?),
            "apparmor" if !value.is_empty() => self.apparmor = Some(value.to_owned()),
            "apparmor" => return Err(wrong("apparmor", value)),
            _ => return Err(SecurityError::Unknown(text.to_owned())),
        }
        Ok(())
    }

    fn unmask(&mut self, name: &'static str, value: &str) -> Result<(), SecurityError> {
        if value.eq_ignore_ascii_case("all") {
            self.unmask = Unmask::All;
            return Ok(());
        }
        let more = paths(name, value)?;
        match &mut self.unmask {
            Unmask::All => {}
            Unmask::Paths(known) => known.extend(more),
            Unmask::None => self.unmask = Unmask::Paths(more),
        }
        Ok(())
    }

    /// Whether a path that is masked by default appears as it is.
    #[must_use]
    pub fn unmasks(&self, path: &str) -> bool {
        match &self.unmask {
            Unmask::None => false,
            Unmask::All => true,
            Unmask::Paths(patterns) => patterns.iter().any(|pattern| fits(pattern, path)),
        }
    }
}

/// `name=value`, and Docker's older `name:value`.
fn split(text: &str) -> (&str, &str) {
    text.split_once('=').or_else(|| text.split_once(':')).unwrap_or((text, ""))
}

fn wrong(name: &'static str, value: &str) -> SecurityError {
    SecurityError::Value { name, value: value.to_owned() }
}

/// Absolute paths with colons between them.
fn paths(name: &'static str, value: &str) -> Result<Vec<String>, SecurityError> {
    let mut paths = Vec::new();
    for path in value.split(':') {
        if !path.starts_with('/') || path.split('/').any(|part| part == "..") {
            return Err(SecurityError::Relative { name, value: path.to_owned() });
        }
        let trimmed = path.trim_end_matches('/');
        paths.push(if trimmed.is_empty() { "/".to_owned() } else { trimmed.to_owned() });
    }
    Ok(paths)
}

/// The options that procfs has.
fn proc_opts(value: &str) -> Result<Vec<String>, SecurityError> {
    let mut options = Vec::new();
    for option in value.split(',') {
        let (name, argument) = option.split_once('=').unwrap_or((option, ""));
        let fits = match name {
            "hidepid" => {
                matches!(argument, "0" | "1" | "2" | "4" | "off" | "noaccess" | "invisible" | "ptraceable")
            }
            "subset" => argument == "pid",
            "gid" => !argument.is_empty() && argument.bytes().all(|byte| byte.is_ascii_digit()),
            "nosuid" | "nodev" | "noexec" | "ro" | "rw" => argument.is_empty() && !option.contains('='),
            _ => false,
        };
        if !fits {
            return Err(wrong("proc-opts", option));
        }
        options.push(option.to_owned());
    }
    Ok(options)
}

fn label(value: &str) -> Result<String, SecurityError> {
    let known = match value.split_once([':', '=']) {
        Some(("user" | "role" | "type" | "level" | "filetype", argument)) => !argument.is_empty(),
        Some(_) => false,
        None => matches!(value, "disable" | "nested"),
    };
    if known { Ok(value.to_owned()) } else { Err(wrong("label", value)) }
}

/// Shell patterns of one path, where `*` and `?` stay within a name.
fn fits(pattern: &str, path: &str) -> bool {
    let (pattern, path): (Vec<&str>, Vec<&str>) = (pattern.split('/').collect(), path.split('/').collect());
    pattern.len() == path.len()
        && pattern.iter().zip(&path).all(|(pattern, name)| name_fits(pattern.as_bytes(), name.as_bytes()))
}

/// One name, with the last `*` as the only place to go back to.
fn name_fits(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(byte) if *byte == b'?' || *byte == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                None => return false,
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    n = from + 1;
                }
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(values: &[&str]) -> Result<Security, SecurityError> {
        Security::parse(&values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn options_are_understood_in_both_spellings() {
        let security = parse(&[
            "no-new-privileges",
            "seccomp=/p.json",
            "mask=/proc/a:/sys/b/",
            "unmask=/proc/acpi",
            "unmask=/sys/fir*:/proc/k?ys",
            "proc-opts=hidepid=2,subset=pid",
            "label=disable",
            "label=type:spc_t",
            "apparmor=unconfined",
        ])
        .unwrap();
        assert!(security.no_new_privileges);
        assert_eq!(security.seccomp, Seccomp::File("/p.json".into()));
        assert_eq!(security.mask, ["/proc/a", "/sys/b"]);
        assert_eq!(security.proc_opts, ["hidepid=2", "subset=pid"]);
        assert_eq!(security.label, ["disable", "type:spc_t"]);
        for (path, shown) in
            [("/proc/acpi", true), ("/sys/firmware", true), ("/proc/keys", true), ("/proc/kcore", false)]
        {
            assert_eq!(security.unmasks(path), shown, "{path}");
        }
        assert!(parse(&["unmask=ALL", "unmask=/x"]).unwrap().unmasks("/proc/kcore"));
        assert!(parse(&["systempaths=unconfined"]).unwrap().unmasks("/proc/kcore"));
        assert!(parse(&["no-new-privileges:true"]).unwrap().no_new_privileges);
        assert!(!parse(&["no-new-privileges=false"]).unwrap().no_new_privileges);
        assert_eq!(parse(&["seccomp:unconfined"]).unwrap().seccomp, Seccomp::Unconfined);
    }

    #[test]
    fn what_nobody_knows_is_refused() {
        for bad in [
            "",
            "nope",
            "seccomp=",
            "no-new-privileges=maybe",
            "mask=proc",
            "mask=/a/../b",
            "unmask=",
            "proc-opts=hidepid=9",
            "proc-opts=dev",
            "proc-opts=hidepid=2,lowerdir=/",
            "label=nope",
            "label=type:",
            "apparmor",
            "systempaths=all",
        ] {
            assert!(parse(&[bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn patterns_stay_within_a_name_and_end() {
        assert!(!fits("/proc/*", "/proc/a/b"));
        assert!(fits("/proc/*/b", "/proc/a/b"));
        assert!(name_fits(b"a*b*c", b"aXbYbZc"));
        assert!(!name_fits(b"*a*a*a*a*b", &[b'a'; 200]));
    }
}
