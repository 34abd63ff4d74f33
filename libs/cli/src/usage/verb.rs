//! A verb: its flags, how many words it takes, and its texts.

use super::flag::Flag;
use super::parse::{FlagError, Grammar, parse};
use super::parsed::Parsed;
use crate::report::CommandError;
use crate::usage::values;
use std::ffi::OsString;

/// How many plain words a verb takes, and the words for another number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arity {
    /// None: `` `podman version` takes no arguments ``.
    None,
    /// So many.
    Exactly(usize),
    /// So many or fewer.
    AtMost(usize),
    /// So many or more.
    AtLeast(usize),
    /// From one number to another.
    Between(usize, usize),
    /// Any number; the verb has its own words for a wrong one.
    Any,
}

/// A wrong number of words, in cobra's words.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ArityError {
    /// The verb takes none.
    #[error("`{0}` takes no arguments")]
    None(String),
    /// The verb takes another number.
    #[error("accepts {0} arg(s), received {1}")]
    Exactly(usize, usize),
    /// The verb takes fewer.
    #[error("accepts at most {0} arg(s), received {1}")]
    AtMost(usize, usize),
    /// The verb takes more.
    #[error("requires at least {0} arg(s), only received {1}")]
    AtLeast(usize, usize),
    /// The verb takes another number.
    #[error("accepts between {0} and {1} arg(s), received {2}")]
    Between(usize, usize, usize),
}

impl Arity {
    /// Counts.
    ///
    /// # Errors
    /// The verb takes another number of words.
    pub fn check(self, command: &str, count: usize) -> Result<(), ArityError> {
        match self {
            Self::None if count > 0 => Err(ArityError::None(command.to_owned())),
            Self::Exactly(n) if count != n => Err(ArityError::Exactly(n, count)),
            Self::AtMost(n) if count > n => Err(ArityError::AtMost(n, count)),
            Self::AtLeast(n) if count < n => Err(ArityError::AtLeast(n, count)),
            Self::Between(least, most) if count < least || count > most => {
                Err(ArityError::Between(least, most, count))
            }
            _ => Ok(()),
        }
    }
}

/// What a command line turned out to be.
#[derive(Debug)]
pub enum Reading {
    /// Something to do.
    Do(Parsed),
    /// The help page was asked for.
    Help,
}

/// A verb as constant data.
#[derive(Debug, Clone, Copy)]
pub struct Verb {
    pub(crate) words: &'static str,
    pub(crate) short: &'static str,
    pub(crate) long: &'static str,
    pub(crate) aliases: &'static [&'static str],
    pub(crate) examples: &'static [&'static str],
    pub(crate) tables: [&'static [Flag]; 2],
    pub(crate) refused: &'static [&'static [&'static str]],
    pub(crate) arity: Arity,
    pub(crate) interspersed: bool,
}

/// The flag that every verb has.
pub(super) const HELP: Flag = Flag::bool("help", "Help for this command").hidden();
const HELP_LONG: &[Flag] = &[HELP];
const HELP_BOTH: &[Flag] = &[HELP.short('h')];

impl Verb {
    /// A verb with the words that follow its name in the usage line (`[options] IMAGE [COMMAND [ARG...]]`), and one
    /// line that describes it. It takes no flags and no words.
    #[must_use]
    pub const fn new(words: &'static str, short: &'static str) -> Self {
        Self {
            words,
            short,
            long: short,
            aliases: &[],
            examples: &[],
            tables: [&[], &[]],
            refused: &[],
            arity: Arity::None,
            interspersed: true,
        }
    }

    /// Describes it at length.
    #[must_use]
    pub const fn long(mut self, text: &'static str) -> Self {
        self.long = text;
        self
    }

    /// Gives it further names, beside the one in its path.
    #[must_use]
    pub const fn aliases(mut self, names: &'static [&'static str]) -> Self {
        self.aliases = names;
        self
    }

    /// Adds examples, each without the name of the program.
    #[must_use]
    pub const fn examples(mut self, lines: &'static [&'static str]) -> Self {
        self.examples = lines;
        self
    }

    /// Gives it flags.
    #[must_use]
    pub const fn flags(mut self, flags: &'static [Flag]) -> Self {
        self.tables[0] = flags;
        self
    }

    /// Gives it flags that it shares with another verb.
    #[must_use]
    pub const fn shared_flags(mut self, flags: &'static [Flag]) -> Self {
        self.tables[1] = flags;
        self
    }

    /// Names flags that podman has and that are not built yet, as `name` or `name,letter`: each is refused by name.
    #[must_use]
    pub const fn refuses(mut self, flags: &'static [&'static [&'static str]]) -> Self {
        self.refused = flags;
        self
    }

    /// Says how many words it takes.
    #[must_use]
    pub const fn arity(mut self, arity: Arity) -> Self {
        self.arity = arity;
        self
    }

    /// The first plain word ends the flags: what follows belongs to a command of the user's.
    #[must_use]
    pub const fn runs_a_command(mut self) -> Self {
        self.interspersed = false;
        self
    }

    /// Whether flags may follow plain words.
    #[must_use]
    pub const fn is_interspersed(&self) -> bool {
        self.interspersed
    }

    /// The line that describes it.
    #[must_use]
    pub const fn short(&self) -> &'static str {
        self.short
    }

    /// The words that follow its name in the usage line.
    #[must_use]
    pub const fn words(&self) -> &'static str {
        self.words
    }

    /// What it does, at length.
    #[must_use]
    pub const fn description(&self) -> &'static str {
        self.long
    }

    /// Its examples, without the name of the program.
    #[must_use]
    pub const fn all_examples(&self) -> &'static [&'static str] {
        self.examples
    }

    /// Its further names.
    #[must_use]
    pub const fn other_names(&self) -> &'static [&'static str] {
        self.aliases
    }

    /// Every flag, also hidden ones.
    pub fn all_flags(&self) -> impl Iterator<Item = &'static Flag> + use<> {
        self.tables.into_iter().flatten()
    }

    /// The names and letters of flags that are refused, without dashes.
    pub fn refusals(&self) -> impl Iterator<Item = (&'static str, Option<char>)> + use<> {
        self.refused.iter().flat_map(|names| names.iter()).map(|name| match name.split_once(',') {
            Some((name, letter)) => (name, letter.chars().next()),
            None => (*name, None),
        })
    }

    /// Reads what follows the verb on a command line.
    ///
    /// # Errors
    /// A flag is wrong, or the number of words is.
    pub fn parse(&self, command: &str, args: &[OsString]) -> Result<Reading, CommandError> {
        self.parse_with(command, args, &[])
    }

    /// Reads what follows the verb, where options of the program may stand too.
    pub(crate) fn parse_with(
        &self,
        command: &str,
        args: &[OsString],
        program: &'static [Flag],
    ) -> Result<Reading, CommandError> {
        let taken = self.all_flags().any(|flag| flag.short == Some('h'))
            || self.refusals().any(|(_, letter)| letter == Some('h'));
        let help = if taken { HELP_LONG } else { HELP_BOTH };
        let grammar = Grammar {
            tables: [self.tables[0], self.tables[1], help, program],
            refused: self.refused,
            interspersed: self.interspersed,
        };
        let found = parse(&grammar, args).map_err(|error| wrong_flag(&error, command))?;
        let asked = |(name, value): &(&str, OsString)| {
            *name == HELP.name && value.to_str().is_some_and(|text| values::bool(text) == Ok(true))
        };
        if found.values.iter().any(asked) {
            return Ok(Reading::Help);
        }
        self.arity.check(command, found.args.len()).map_err(CommandError::usage)?;
        Ok(Reading::Do(Parsed::new(self.tables, found)))
    }
}

/// Options before the first plain word, and what follows them.
type Leading<'a> = (Vec<(&'static str, OsString)>, &'a [OsString]);

/// Reads flags up to the first plain word.
pub(crate) fn leading<'a>(
    tables: [&'static [Flag]; 3],
    refused: &'static [&'static [&'static str]],
    args: &'a [OsString],
) -> Result<Leading<'a>, FlagError> {
    let [first, second, third] = tables;
    let grammar = Grammar { tables: [first, second, third, &[]], refused, interspersed: false };
    let found = parse(&grammar, args)?;
    Ok((found.values, &args[args.len() - found.args.len()..]))
}

/// The error with the line that says where to read on.
pub(crate) fn wrong_flag(error: &FlagError, command: &str) -> CommandError {
    match error {
        FlagError::NotBuilt(_) | FlagError::Never(_) => CommandError::usage(error.to_string()),
        _ => CommandError::usage(format!("{error}\nSee '{command} --help'")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::voice::Voice;

    const PS: Verb = Verb::new("[options]", "List containers")
        .flags(&[Flag::bool("all", "Show all").short('a')])
        .refuses(&[&["watch,w"], &["sync"]]);
    const RUN: Verb = Verb::new("[options] IMAGE [COMMAND [ARG...]]", "Run")
        .shared_flags(&[Flag::string("hostname", "Set the name").short('h')])
        .arity(Arity::AtLeast(1))
        .runs_a_command();

    fn read(verb: &Verb, name: &str, args: &[&str]) -> Result<Reading, String> {
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        verb.parse(name, &args).map_err(|error| error.render(Voice::Podman))
    }

    #[test]
    fn mistakes_are_told_as_podman_tells_them() {
        for (verb, args, expected) in [
            (&PS, &["--foo"][..], "Error: unknown flag: --foo\nSee 'podman x --help'\n"),
            (&PS, &["extra"], "Error: `podman x` takes no arguments\n"),
            (&PS, &["-aw"], "Error: -w is not supported yet\n"),
            (&PS, &["--sync"], "Error: --sync is not supported yet\n"),
            (&RUN, &[], "Error: requires at least 1 arg(s), only received 0\n"),
            (&RUN, &["--help", "--foo"], "Error: unknown flag: --foo\nSee 'podman x --help'\n"),
        ] {
            assert_eq!(read(verb, "podman x", args).err().as_deref(), Some(expected), "{args:?}");
        }
    }

    #[test]
    fn counts_have_cobras_words() {
        for (arity, count, expected) in [
            (Arity::Exactly(1), 2, "accepts 1 arg(s), received 2"),
            (Arity::AtMost(1), 2, "accepts at most 1 arg(s), received 2"),
            (Arity::AtLeast(2), 0, "requires at least 2 arg(s), only received 0"),
            (Arity::Between(1, 2), 3, "accepts between 1 and 2 arg(s), received 3"),
            (Arity::None, 1, "`x` takes no arguments"),
        ] {
            assert_eq!(arity.check("x", count).expect_err("wrong count").to_string(), expected);
        }
        assert!(Arity::Any.check("x", 9).is_ok() && Arity::AtLeast(1).check("x", 9).is_ok());
    }

    #[test]
    fn help_comes_before_counting() {
        assert!(matches!(read(&RUN, "x", &["--help"]), Ok(Reading::Help)));
        assert!(matches!(read(&PS, "x", &["-h", "extra"]), Ok(Reading::Help)));
        assert!(read(&RUN, "x", &["-h"]).is_err_and(|text| text.contains("flag needs an argument")));
        assert!(matches!(read(&RUN, "x", &["img", "--help"]), Ok(Reading::Do(_))));
    }
}
