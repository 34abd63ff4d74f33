//! The flags and words of a command line, read and checked.

use super::flag::{Flag, Kind};
use super::parse::Found;
use super::values;
use crate::report::CommandError;
use std::ffi::{OsStr, OsString};
use std::path::Path;

/// A command line that was read. Values were checked while reading: each can be read as what its flag is.
#[derive(Debug)]
pub struct Parsed {
    tables: [&'static [Flag]; 2],
    values: Vec<(&'static str, OsString)>,
    args: Vec<OsString>,
    dash: Option<usize>,
}

impl Parsed {
    pub(super) fn new(tables: [&'static [Flag]; 2], found: Found) -> Self {
        Self { tables, values: found.values, args: found.args, dash: found.dash }
    }

    /// Whether the flag was given, with whatever value.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.given(name).next().is_some()
    }

    /// Whether a switch is on.
    #[must_use]
    pub fn bool(&self, name: &str) -> bool {
        values::bool(self.string(name)).unwrap_or(false)
    }

    /// The state of a switch, if it was given.
    #[must_use]
    pub fn switch(&self, name: &str) -> Option<bool> {
        values::bool(self.get(name)?).ok()
    }

    /// The last value that was given.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.given(name).next_back().and_then(OsStr::to_str)
    }

    /// The last value that was given, or else the default, which is empty if there is none.
    #[must_use]
    pub fn string(&self, name: &str) -> &str {
        self.get(name).unwrap_or_else(|| self.flag(name).map_or("", |flag| flag.default))
    }

    /// The last path that was given.
    #[must_use]
    pub fn path(&self, name: &str) -> Option<&Path> {
        self.given(name).next_back().map(Path::new)
    }

    /// All values that were given: split at commas for [`Kind::Strings`], as they are for the others.
    #[must_use]
    pub fn strings(&self, name: &str) -> Vec<String> {
        let split = self.flag(name).is_some_and(|flag| flag.kind == Kind::Strings);
        let texts = self.given(name).filter_map(OsStr::to_str);
        if split {
            texts.flat_map(|text| values::csv(text).unwrap_or_default()).collect()
        } else {
            texts.map(str::to_owned).collect()
        }
    }

    /// All paths that were given.
    pub fn paths(&self, name: &str) -> impl Iterator<Item = &Path> {
        self.given(name).map(Path::new)
    }

    /// A signed number, if it was given or has a default.
    #[must_use]
    pub fn int(&self, name: &str) -> Option<i64> {
        values::int(self.string(name)).ok()
    }

    /// A number, if it was given or has a default.
    #[must_use]
    pub fn uint(&self, name: &str) -> Option<u64> {
        values::uint(self.string(name)).ok()
    }

    /// A number with a fraction, if it was given or has a default.
    #[must_use]
    pub fn float(&self, name: &str) -> Option<f64> {
        values::float(self.string(name)).ok()
    }

    /// A duration in nanoseconds, if it was given or has a default.
    #[must_use]
    pub fn duration(&self, name: &str) -> Option<i64> {
        crate::human::time::parse_duration(self.string(name)).ok()
    }

    /// Every flag that was given, in the order of the command line, with its value as it stood there.
    pub fn in_order(&self) -> impl Iterator<Item = (&'static str, &OsStr)> {
        self.values.iter().map(|(name, value)| (*name, &**value))
    }

    /// What was given of the program's own options.
    pub(crate) fn outside(&self) -> impl Iterator<Item = (&'static str, &OsStr)> {
        self.in_order().filter(|(name, _)| self.flag(name).is_none())
    }

    /// The plain words.
    #[must_use]
    pub fn args(&self) -> &[OsString] {
        &self.args
    }

    /// The plain words as text.
    ///
    /// # Errors
    /// A word is not UTF-8.
    pub fn texts(&self) -> Result<Vec<&str>, CommandError> {
        let text = |word: &'_ OsString| -> Result<(), CommandError> {
            let shown = values::quoted(word);
            Err(CommandError::usage(format!("the argument {shown} is not valid UTF-8")))
        };
        let mut texts = Vec::with_capacity(self.args.len());
        for word in &self.args {
            match word.to_str() {
                Some(word) => texts.push(word),
                None => text(word)?,
            }
        }
        Ok(texts)
    }

    /// Whether the verb has such a flag: for what is shared by verbs that differ in it.
    #[must_use]
    pub fn knows(&self, name: &str) -> bool {
        self.flag(name).is_some()
    }

    /// How many plain words stood before `--`, if it was there.
    #[must_use]
    pub const fn dash(&self) -> Option<usize> {
        self.dash
    }

    fn given(&self, name: &str) -> impl DoubleEndedIterator<Item = &OsStr> {
        debug_assert!(self.flag(name).is_some(), "the verb has no flag --{name}");
        self.values.iter().filter(move |(known, _)| *known == name).map(|(_, value)| &**value)
    }

    fn flag(&self, name: &str) -> Option<&'static Flag> {
        self.tables.into_iter().flatten().find(|flag| flag.name == name)
    }
}

#[cfg(test)]
mod tests {
    use crate::usage::{Arity, Flag, Parsed, Reading, Verb};
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt as _;
    use std::path::Path;

    const VERB: Verb = Verb::new("[options] [ARG...]", "")
        .flags(&[
            Flag::bool("all", "").short('a'),
            Flag::bool("passwd", "").default("true"),
            Flag::strings("cap-add", ""),
            Flag::array("env", "").short('e'),
            Flag::string("pull", "").default("missing"),
            Flag::int("last", "").default("-1"),
            Flag::uint("preserve-fds", ""),
            Flag::path("cidfile", ""),
            Flag::duration("interval", ""),
        ])
        .arity(Arity::Any);

    fn parsed(args: &[&[u8]]) -> Parsed {
        let args: Vec<OsString> = args.iter().map(|arg| OsString::from_vec(arg.to_vec())).collect();
        match VERB.parse("x", &args) {
            Ok(Reading::Do(parsed)) => parsed,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_was_not_given_has_its_default() {
        let none = parsed(&[]);
        assert!(!none.bool("all") && none.bool("passwd") && !none.has("passwd"));
        assert_eq!((none.string("pull"), none.get("pull")), ("missing", None));
        assert_eq!((none.int("last"), none.uint("preserve-fds")), (Some(-1), None));
        assert!(none.strings("env").is_empty() && none.path("cidfile").is_none());
    }

    #[test]
    fn the_last_scalar_wins_and_slices_collect() {
        let all = parsed(&[
            b"-a",
            b"--all=false",
            b"--cap-add=A,B",
            b"--cap-add",
            b"C",
            b"-e",
            b"X=1,2",
            b"-eY=",
            b"--last=3",
            b"--interval=1m30s",
            b"w",
            b"--",
            b"--x",
        ]);
        assert_eq!((all.bool("all"), all.switch("all"), all.switch("passwd")), (false, Some(false), None));
        assert_eq!(all.strings("cap-add"), ["A", "B", "C"]);
        assert_eq!(all.strings("env"), ["X=1,2", "Y="]);
        assert_eq!((all.int("last"), all.duration("interval")), (Some(3), Some(90_000_000_000)));
        assert_eq!(all.texts().expect("text"), ["w", "--x"]);
        assert_eq!(all.dash(), Some(1));
        assert_eq!(all.in_order().count(), 8);
    }

    #[test]
    fn only_paths_may_be_any_bytes() {
        let path = parsed(&[b"--cidfile=/a\xff", b"\xff"]);
        assert_eq!(
            path.path("cidfile").map(Path::as_os_str).map(std::os::unix::ffi::OsStrExt::as_bytes),
            Some(&b"/a\xff"[..])
        );
        assert!(path.texts().is_err());
        let args = [OsString::from_vec(b"--pull=\xff".to_vec())];
        assert!(VERB.parse("x", &args).is_err());
    }
}
