//! Help pages, laid out as podman's.

use super::flag::{Flag, Kind};
use super::verb::Verb;
use crate::text::Put as _;

/// One line of a list of commands: its name and what it does.
pub type Entry = (&'static str, &'static str);

/// The page of a verb.
///
/// `program` is the name of the program, `path` that of the verb with its groups (`container ps`).
#[must_use]
pub fn of_verb(program: &str, path: &str, verb: &Verb) -> String {
    let options = options(program, verb.all_flags());
    // A verb whose every flag is hidden has no options to speak of.
    let words =
        if options.is_empty() { verb.words.trim_start_matches("[options]").trim_start() } else { verb.words };
    let mut page = heading(&named(verb.short, program), &named(verb.long, program));
    page.put(format_args!("Usage:\n  {}\n", joined(&[program, path, words])));
    let name = path.rsplit(' ').next().unwrap_or(path);
    let others: Vec<&str> = verb.aliases.iter().copied().filter(|alias| *alias != name).collect();
    if !others.is_empty() {
        page.put(format_args!("\nAliases:\n  {name}, {}\n", others.join(", ")));
    }
    if !verb.examples.is_empty() {
        page.push_str("\nExamples:\n");
        for example in verb.examples {
            page.put(format_args!("  {}\n", joined(&[program, example])));
        }
    }
    if !options.is_empty() {
        page.push_str("\nOptions:\n");
        page.push_str(&options);
    }
    page.push('\n');
    page
}

/// The page of a group of verbs.
#[must_use]
pub fn of_group(program: &str, path: &str, short: &str, entries: &[Entry]) -> String {
    let short = named(short, program);
    let mut page = heading(&short, &short);
    page.put(format_args!("Usage:\n  {program} {path} [command]\n\n"));
    page.push_str(&commands(program, entries));
    page.push('\n');
    page
}

/// The page of the program itself.
pub fn of_program<'a>(
    program: &str,
    short: &str,
    entries: &[Entry],
    flags: impl IntoIterator<Item = &'a Flag>,
) -> String {
    let mut page = format!("{short}\n\nUsage:\n  {program} [options] [command]\n\n");
    page.push_str(&commands(program, entries));
    let options = options(program, flags);
    if !options.is_empty() {
        page.push_str("\nOptions:\n");
        page.push_str(&options);
    }
    page
}

/// A text of podman's under another program's name.
#[must_use]
pub fn named(text: &str, program: &str) -> String {
    text.replace("podman", program).replace("Podman", if program == "podman" { "Podman" } else { program })
}

/// The page of `help` itself.
#[must_use]
pub fn of_help(program: &str) -> String {
    format!(
        "Help about any command\n\nDescription:\n  Help provides help for any command in the application.\n  Simply type \
         {program} help [path to command] for full details.\n\nUsage:\n  {program} help [command]\n\n"
    )
}

fn heading(short: &str, long: &str) -> String {
    format!("{short}\n\nDescription:\n  {}\n\n", long.trim_end().replace('\n', "\n  "))
}

/// Words with one space between them, empty ones left out.
fn joined(words: &[&str]) -> String {
    let words: Vec<&str> = words.iter().copied().filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

fn commands(program: &str, entries: &[Entry]) -> String {
    let width = entries.iter().map(|(name, _)| name.len()).max().unwrap_or(0).max(11);
    let mut text = String::from("Available Commands:\n");
    for (name, short) in entries {
        text.put(format_args!("  {name:width$} {}\n", named(short, program)));
    }
    text
}

/// Flags as help shows them, sorted by name: the flag with its letter and the name of its value, and its description.
#[must_use]
pub fn option_lines<'a>(program: &str, flags: impl IntoIterator<Item = &'a Flag>) -> Vec<(String, String)> {
    let mut shown: Vec<&Flag> = flags.into_iter().filter(|flag| !flag.hidden).collect();
    shown.sort_by_key(|flag| flag.name);
    let lines = shown.into_iter().map(line);
    lines.map(|(flag, help)| (flag, named(&help, program))).collect()
}

/// The lines of flags, their descriptions aligned.
fn options<'a>(program: &str, flags: impl IntoIterator<Item = &'a Flag>) -> String {
    let lines = option_lines(program, flags);
    let width = lines.iter().map(|(flag, _)| flag.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for (flag, help) in lines {
        let indented = help.replace('\n', &format!("\n{:1$}", "", width + 3));
        text.push_str(format!("{flag:width$}   {indented}").trim_end());
        text.push('\n');
    }
    text
}

/// The flag with its letter and the name of its value, and its description with the default.
fn line(flag: &Flag) -> (String, String) {
    let mut left = match flag.short {
        Some(letter) => format!("  -{letter}, --{}", flag.name),
        None => format!("      --{}", flag.name),
    };
    let (name, mut help) = unquoted(flag);
    if !name.is_empty() {
        left.push(' ');
        left.push_str(&name);
    }
    match (flag.alone, flag.kind) {
        (Some(alone), Kind::String) => left.put(format_args!("[=\"{alone}\"]")),
        (Some(alone), kind) if kind != Kind::Bool || alone != "true" => left.put(format_args!("[={alone}]")),
        _ => {}
    }
    if let Some(default) = shown_default(flag) {
        help.put(format_args!(" (default {default})"));
    }
    (left, help)
}

/// The name of the value, which may stand in backquotes in the description, and the description without them.
fn unquoted(flag: &Flag) -> (String, String) {
    let mut parts = flag.help.splitn(3, '`');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(before), Some(name), Some(after)) => (name.to_owned(), format!("{before}{name}{after}")),
        _ => (flag.kind.name().to_owned(), flag.help.to_owned()),
    }
}

/// The default as pflag shows it; that of a zero value is not shown.
fn shown_default(flag: &Flag) -> Option<String> {
    let default = flag.default;
    match flag.kind {
        _ if default.is_empty() => None,
        Kind::Bool => (default != "false").then(|| default.to_owned()),
        Kind::Int | Kind::Uint | Kind::Float => (default != "0").then(|| default.to_owned()),
        Kind::Duration => (default != "0s").then(|| default.to_owned()),
        Kind::String | Kind::Path => Some(crate::template::quote::double(default.as_bytes())),
        Kind::Strings | Kind::Array => Some(format!("[{default}]")),
        Kind::Choice(_) => Some(default.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PS: Verb = Verb::new("[options]", "List containers")
        .long("Prints out information about the containers")
        .aliases(&["ls", "ps"])
        .examples(&["ps -a"])
        .flags(&[
            Flag::bool("latest", "Act on the latest container podman is aware of\nNot supported remotely")
                .short('l'),
            Flag::bool("all", "Show all the containers").short('a'),
            Flag::int("last", "Print the n last created containers").short('n').default("-1"),
            Flag::string("arch", "use `ARCH` instead of the machine's"),
            Flag::string("pull", "Pull image").default("missing").alone("always"),
            Flag::bool("passwd", "add entries").default("true"),
            Flag::strings("filter", "Filter output").short('f'),
            Flag::array("env", "Set variables").default("A=B"),
            Flag::bool("hide", "").hidden(),
        ]);

    #[test]
    fn a_verb_has_podmans_page() {
        let expected = "\
List containers

Description:
  Prints out information about the containers

Usage:
  podman ps [options]

Aliases:
  ps, ls

Examples:
  podman ps -a

Options:
  -a, --all                      Show all the containers
      --arch ARCH                use ARCH instead of the machine's
      --env stringArray          Set variables (default [A=B])
  -f, --filter strings           Filter output
  -n, --last int                 Print the n last created containers (default -1)
  -l, --latest                   Act on the latest container podman is aware of
                                 Not supported remotely
      --passwd                   add entries (default true)
      --pull string[=\"always\"]   Pull image (default \"missing\")

";
        assert_eq!(of_verb("podman", "ps", &PS), expected);
    }

    #[test]
    fn a_group_lists_its_verbs() {
        let page = of_group("podman", "image", "Manage images", &[("ls", "List"), ("very-long-name", "X")]);
        assert_eq!(
            page,
            "Manage images\n\nDescription:\n  Manage images\n\nUsage:\n  podman image [command]\n\nAvailable \
             Commands:\n  ls             List\n  very-long-name X\n\n"
        );
    }

    #[test]
    fn the_program_lists_verbs_and_options() {
        let flags = [Flag::string("root", "Path to the store")];
        let page = of_program("podman", "Manage pods", &[("ps", "List containers")], &flags);
        assert_eq!(
            page,
            "Manage pods\n\nUsage:\n  podman [options] [command]\n\nAvailable Commands:\n  ps          List \
             containers\n\nOptions:\n      --root string   Path to the store\n"
        );
    }
}
