//! Reading a command line as pflag reads it.
//!
//! The habits that scripts lean on: letters cluster (`-it`), a letter's value may follow at once (`-eA=B`, `-e=A=B`), a
//! flag that wants a value takes the next word whatever it looks like, a switch takes one only after `=`, `--` ends the
//! flags, and for a verb that runs a command the first plain word ends them too. The first mistake ends the reading.

use super::flag::Flag;
use super::values;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

/// A mistake in the flags of a command line, in pflag's words.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FlagError {
    /// No flag has that name.
    #[error("unknown flag: --{0}")]
    Unknown(String),
    /// No flag has that letter.
    #[error("unknown shorthand flag: {letter:?} in -{cluster}")]
    UnknownLetter {
        /// The letter.
        letter: char,
        /// The rest of the word from that letter on.
        cluster: String,
    },
    /// The value is missing.
    #[error("flag needs an argument: --{0}")]
    NoValue(String),
    /// The value after a letter is missing.
    #[error("flag needs an argument: {letter:?} in -{cluster}")]
    NoLetterValue {
        /// The letter.
        letter: char,
        /// The rest of the word from that letter on.
        cluster: String,
    },
    /// The value cannot be read.
    #[error("invalid argument {value} for \"{flag}\" flag: {cause}")]
    Invalid {
        /// The value, in quotes.
        value: String,
        /// The flag with its letter.
        flag: String,
        /// What is wrong with the value.
        cause: String,
    },
    /// No flag can be spelled so.
    #[error("bad flag syntax: {0}")]
    Syntax(String),
    /// The flag is podman's, and not built yet.
    #[error("{0} is not supported yet")]
    NotBuilt(String),
    /// The flag is podman's, and cannot work.
    #[error("{0}")]
    Never(&'static str),
}

/// Flags that are not built, of which 0 asks for what is anyway: no limit.
const NO_LIMIT: [&[u8]; 6] =
    [b"blkio-weight", b"cpu-shares", b"cpus", b"memory", b"memory-reservation", b"memory-swap"];

/// Flags that are not built since they cannot work where we are, with the peers' words for that.
const NEVER: [(&[u8], &str); 1] = [(
    b"device-cgroup-rule",
    "device cgroup rules are not supported in rootless mode or in a user namespace",
)];

/// What a command line is read with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grammar<'a> {
    /// The tables of flags; the first that knows a name or letter has it.
    pub(super) tables: [&'a [Flag]; 4],
    /// Flags that are known but not built, as `name` or `name,letter`.
    pub(super) refused: &'a [&'a [&'a str]],
    /// Whether flags may follow plain words.
    pub(super) interspersed: bool,
}

impl<'a> Grammar<'a> {
    fn long(&self, name: &[u8]) -> Option<&'a Flag> {
        self.flags().find(|flag| flag.name.as_bytes() == name)
    }

    fn letter(&self, letter: u8) -> Option<&'a Flag> {
        self.flags().find(|flag| flag.short == Some(char::from(letter)))
    }

    fn flags(&self) -> impl Iterator<Item = &'a Flag> + use<'a> {
        self.tables.into_iter().flatten()
    }

    fn refuses(&self, name: &[u8]) -> bool {
        self.refusals().any(|(known, _)| known.as_bytes() == name)
    }

    fn refuses_letter(&self, letter: u8) -> bool {
        self.refusals().any(|(_, known)| known.as_bytes() == [letter])
    }

    fn refusals(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.refused
            .iter()
            .flat_map(|names| names.iter())
            .map(|name| name.split_once(',').unwrap_or((name, "")))
    }
}

/// What was found on a command line.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Values by the name of their flag, in the order of the line.
    pub(super) values: Vec<(&'static str, OsString)>,
    /// The plain words.
    pub(super) args: Vec<OsString>,
    /// How many plain words stood before `--`.
    pub(super) dash: Option<usize>,
}

/// Reads a command line.
///
/// # Errors
/// The first mistake.
pub(super) fn parse(grammar: &Grammar<'_>, args: &[OsString]) -> Result<Found, FlagError> {
    let mut found = Found::default();
    let mut rest = args;
    while let Some((word, after)) = rest.split_first() {
        rest = after;
        match word.as_bytes() {
            b"--" => {
                found.dash = Some(found.args.len());
                found.args.extend_from_slice(rest);
                break;
            }
            [b'-', b'-', ..] => rest = long(grammar, word, rest, &mut found)?,
            [b'-', _, ..] => rest = cluster(grammar, word, rest, &mut found)?,
            _ if grammar.interspersed => found.args.push(word.clone()),
            _ => {
                found.args.push(word.clone());
                found.args.extend_from_slice(rest);
                break;
            }
        }
    }
    Ok(found)
}

/// Reads `--name`, `--name=value` or `--name value`.
fn long<'a>(
    grammar: &Grammar<'_>,
    word: &OsStr,
    rest: &'a [OsString],
    found: &mut Found,
) -> Result<&'a [OsString], FlagError> {
    let text = &word.as_bytes()[2..];
    if matches!(text.first(), Some(b'-' | b'=')) {
        return Err(FlagError::Syntax(lossy(word.as_bytes())));
    }
    let (name, value) = match text.iter().position(|byte| *byte == b'=') {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let Some(flag) = grammar.long(name) else {
        return unknown(grammar, name, value, rest);
    };
    match (value, flag.alone, rest.split_first()) {
        (Some(value), _, _) => set(flag, OsStr::from_bytes(value), found).map(|()| rest),
        (None, Some(alone), _) => set(flag, OsStr::new(alone), found).map(|()| rest),
        (None, None, Some((value, rest))) => set(flag, value, found).map(|()| rest),
        (None, None, None) => Err(FlagError::NoValue(lossy(name))),
    }
}

/// A flag that is in no table: passed over where it asks for nothing, else refused.
fn unknown<'a>(
    grammar: &Grammar<'_>,
    name: &[u8],
    value: Option<&[u8]>,
    rest: &'a [OsString],
) -> Result<&'a [OsString], FlagError> {
    let shown = lossy(name);
    if !grammar.refuses(name) {
        return Err(FlagError::Unknown(shown));
    }
    if NO_LIMIT.contains(&name) {
        match (value, rest.split_first()) {
            (Some(b"0"), _) => return Ok(rest),
            (None, Some((word, after))) if word == "0" => return Ok(after),
            _ => {}
        }
    }
    match NEVER.iter().find(|(never, _)| *never == name) {
        Some((_, reason)) => Err(FlagError::Never(reason)),
        None => Err(FlagError::NotBuilt(format!("--{shown}"))),
    }
}

/// Reads `-abc`, `-a=value`, `-avalue` or `-a value`.
fn cluster<'a>(
    grammar: &Grammar<'_>,
    word: &OsStr,
    rest: &'a [OsString],
    found: &mut Found,
) -> Result<&'a [OsString], FlagError> {
    let mut letters = &word.as_bytes()[1..];
    while let [letter, after @ ..] = letters {
        let shown = || lossy(letters);
        let Some(flag) = grammar.letter(*letter) else {
            if grammar.refuses_letter(*letter) {
                return Err(FlagError::NotBuilt(format!("-{}", char::from(*letter))));
            }
            return Err(FlagError::UnknownLetter { letter: char::from(*letter), cluster: shown() });
        };
        match (after, flag.alone) {
            ([b'=', value @ ..], _) if !value.is_empty() => {
                return set(flag, OsStr::from_bytes(value), found).map(|()| rest);
            }
            (_, Some(alone)) => {
                set(flag, OsStr::new(alone), found)?;
                letters = after;
            }
            ([_, ..], None) => return set(flag, OsStr::from_bytes(after), found).map(|()| rest),
            ([], None) => {
                let Some((value, rest)) = rest.split_first() else {
                    return Err(FlagError::NoLetterValue { letter: char::from(*letter), cluster: shown() });
                };
                return set(flag, value, found).map(|()| rest);
            }
        }
    }
    Ok(rest)
}

fn set(flag: &Flag, value: &OsStr, found: &mut Found) -> Result<(), FlagError> {
    values::check(flag, value).map_err(|cause| FlagError::Invalid {
        value: values::quoted(value),
        flag: flag.spelled(),
        cause,
    })?;
    found.values.push((flag.target(), value.to_owned()));
    Ok(())
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAGS: &[Flag] = &[
        Flag::bool("all", "").short('a'),
        Flag::bool("tty", "").short('t'),
        Flag::bool("interactive", "").short('i'),
        Flag::array("env", "").short('e'),
        Flag::strings("cap-add", ""),
        Flag::string("name", ""),
        Flag::string("net", "").alias_of("name"),
        Flag::int("last", "").short('n'),
        Flag::string("pull", "").alone("missing"),
        Flag::choice("sort", &["id", "names"], ""),
    ];

    fn read(line: &str, interspersed: bool) -> Result<Found, FlagError> {
        let args: Vec<OsString> =
            line.split(' ').filter(|word| !word.is_empty()).map(OsString::from).collect();
        let grammar =
            Grammar { tables: [FLAGS, &[], &[], &[]], refused: &[&["detach,d", "publish,p"]], interspersed };
        parse(&grammar, &args)
    }

    fn shown(line: &str, interspersed: bool) -> String {
        match read(line, interspersed) {
            Ok(found) => {
                let values: Vec<String> =
                    found.values.iter().map(|(name, value)| format!("{name}={}", value.display())).collect();
                let args: Vec<String> = found.args.iter().map(|arg| arg.display().to_string()).collect();
                format!("{} | {}", values.join(" "), args.join(" "))
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn flags_are_read_as_pflag_reads_them() {
        for (line, expected) in [
            ("", " | "),
            ("-it x", "interactive=true tty=true | x"),
            ("-ite A=B x", "interactive=true tty=true env=A=B | x"),
            ("-eA=B -e=C=D --env E=F", "env=A=B env=C=D env=E=F | "),
            ("-e -a", "env=-a | "),
            ("--name -- x", "name=-- | x"),
            ("--name= x", "name= | x"),
            ("--net y", "name=y | "),
            ("--all=false -t=0", "all=false tty=0 | "),
            ("--pull never", "pull=missing | never"),
            ("--pull=never", "pull=never | "),
            ("x -a y", "all=true | x y"),
            ("x -- -a", " | x -a"),
            ("- x", " | - x"),
            ("-n-1", "last=-1 | "),
            ("-n -1", "last=-1 | "),
            (
                "-n=",
                "invalid argument \"=\" for \"-n, --last\" flag: strconv.ParseInt: parsing \"=\": invalid syntax",
            ),
            ("--foo=1", "unknown flag: --foo"),
            ("-Z", "unknown shorthand flag: 'Z' in -Z"),
            ("-aZb", "unknown shorthand flag: 'Z' in -Zb"),
            ("--name", "flag needs an argument: --name"),
            ("-ae", "flag needs an argument: 'e' in -e"),
            ("---x", "bad flag syntax: ---x"),
            ("--=x", "bad flag syntax: --=x"),
            ("--detach", "--detach is not supported yet"),
            ("--publish=80", "--publish is not supported yet"),
            ("-itd", "-d is not supported yet"),
            (
                "--all=maybe",
                "invalid argument \"maybe\" for \"-a, --all\" flag: strconv.ParseBool: parsing \"maybe\": invalid syntax",
            ),
            (
                "--sort=size",
                "invalid argument \"size\" for \"--sort\" flag: \"size\" is not a valid value.  Choose from: \"id, names\"",
            ),
        ] {
            assert_eq!(shown(line, true), expected, "{line}");
        }
    }

    #[test]
    fn the_first_plain_word_ends_the_flags_of_a_command() {
        for (line, expected) in [
            ("-a x -t --foo", "all=true | x -t --foo"),
            ("-a -- x -t", "all=true | x -t"),
            ("x -- y", " | x -- y"),
        ] {
            assert_eq!(shown(line, false), expected, "{line}");
        }
    }
}
