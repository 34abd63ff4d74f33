//! Manual pages, made from the same tables as the help.
//!
//! The pages are committed under `man/`; a test makes them again and compares. Written as roff by hand: what a page of
//! ours needs is five macros.

use crate::globals;
use crate::release;
use crate::usage::{Flag, Verb, page};
use crate::verbs::{self, GROUPS};
use crate::voice::Voice;

/// The name of a page's file: `ctr-container-ps.1`, or `ctr.1` for the program itself.
#[must_use]
pub fn file(program: &str, path: &str) -> String {
    format!("{}.1", title(program, path))
}

/// The page of a verb.
#[must_use]
pub fn of_verb(program: &str, path: &str, verb: &Verb) -> String {
    let mut roff = Roff::new(program, path, &page::named(verb.short(), program));
    roff.section("SYNOPSIS");
    roff.synopsis(program, path, verb.words());
    let others: Vec<&str> = verb.other_names().iter().copied().filter(|name| !path.ends_with(name)).collect();
    if !others.is_empty() {
        roff.section("ALIASES");
        roff.text(&others.join(", "));
    }
    roff.section("DESCRIPTION");
    roff.text(&page::named(verb.description(), program));
    roff.options(program, verb.all_flags());
    if !verb.all_examples().is_empty() {
        roff.section("EXAMPLES");
        roff.line(".nf");
        for example in verb.all_examples() {
            roff.text(&format!("{program} {example}"));
        }
        roff.line(".fi");
    }
    roff.see_also(program, parent(path));
    roff.0
}

/// The page of a group of verbs.
#[must_use]
pub fn of_group(program: &str, path: &str, short: &str) -> String {
    let short = &page::named(short, program);
    let mut roff = Roff::new(program, path, short);
    roff.section("SYNOPSIS");
    roff.synopsis(program, path, "command");
    roff.section("DESCRIPTION");
    roff.text(short);
    roff.commands(program, &verbs::entries(Voice::Ctr, path));
    roff.see_also(program, parent(path));
    roff.0
}

/// The page of the program itself.
#[must_use]
pub fn of_program(program: &str) -> String {
    let short = "Manage pods, containers and images";
    let mut roff = Roff::new(program, "", short);
    roff.section("SYNOPSIS");
    roff.synopsis(program, "", "[options] command");
    roff.section("DESCRIPTION");
    roff.text(
        "Runs containers as an unprivileged user, without a daemon. Started under the name podman, docker, buildah or \
         skopeo, it speaks that program's language.",
    );
    let (tables, _) = globals::tables(Voice::Ctr);
    let built = |flag: &&Flag| !globals::REMOTE.contains(&flag.name());
    roff.options(program, tables.into_iter().flatten().filter(built));
    roff.commands(program, &verbs::entries(Voice::Ctr, ""));
    roff.section("EXIT STATUS");
    for (code, meaning) in [
        ("125", "ctr failed, or was asked for something that cannot be."),
        ("126", "The command of the container cannot be executed."),
        ("127", "The command of the container was not found."),
        ("128+n", "The command of the container died of signal n."),
    ] {
        roff.item(code, meaning);
    }
    roff.0
}

/// Every page of the program itself and its groups; those of verbs are made from the commands of each program.
#[must_use]
pub fn of_groups(program: &str) -> Vec<(String, String)> {
    let mut pages = vec![(file(program, ""), of_program(program))];
    for group in GROUPS.iter().filter(|group| verbs::is_built(group)) {
        pages.push((file(program, group.path), of_group(program, group.path, group.short)));
    }
    pages
}

fn title(program: &str, path: &str) -> String {
    if path.is_empty() { program.to_owned() } else { format!("{program}-{}", path.replace(' ', "-")) }
}

fn parent(path: &str) -> &str {
    path.rsplit_once(' ').map_or("", |(parent, _)| parent)
}

/// A page being written.
struct Roff(String);

impl Roff {
    fn new(program: &str, path: &str, short: &str) -> Self {
        let title = title(program, path);
        let mut roff = Self(String::new());
        let version = release::VERSION;
        roff.line(&format!(".TH {} 1 \"\" \"{program} {version}\"", escape(&title).to_uppercase()));
        roff.section("NAME");
        roff.line(&format!("{} \\- {}", escape(&title), escape(short)));
        roff
    }

    /// A line as it is.
    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    /// Text, one line for each of its own.
    fn text(&mut self, text: &str) {
        for line in text.lines() {
            let line = escape(line);
            // A point or quote at the beginning would be a macro.
            let guard = if line.starts_with(['.', '\'']) { "\\&" } else { "" };
            self.line(&format!("{guard}{line}"));
        }
    }

    fn section(&mut self, name: &str) {
        self.line(&format!(".SH {name}"));
    }

    fn item(&mut self, term: &str, text: &str) {
        self.line(".TP");
        self.line(&format!("\\fB{}\\fR", escape(term)));
        self.text(text);
    }

    fn synopsis(&mut self, program: &str, path: &str, words: &str) {
        let command = if path.is_empty() { program.to_owned() } else { format!("{program} {path}") };
        self.line(&format!("\\fB{}\\fR {}", escape(&command), escape(words)));
    }

    fn options<'a>(&mut self, program: &str, flags: impl IntoIterator<Item = &'a Flag>) {
        let lines = page::option_lines(program, flags);
        if lines.is_empty() {
            return;
        }
        self.section("OPTIONS");
        for (flag, help) in lines {
            self.item(flag.trim(), &help);
        }
    }

    fn commands(&mut self, program: &str, entries: &[page::Entry]) {
        self.section("COMMANDS");
        for (name, short) in entries {
            self.item(name, &page::named(short, program));
        }
    }

    fn see_also(&mut self, program: &str, group: &str) {
        self.section("SEE ALSO");
        self.line(&format!("\\fB{}\\fR(1)", escape(&title(program, group))));
    }
}

/// Letters that roff would read.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' => out.push_str("\\e"),
            '-' => out.push_str("\\-"),
            '`' => out.push_str("\\(ga"),
            '^' => out.push_str("\\(ha"),
            '~' => out.push_str("\\(ti"),
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const PS: Verb = Verb::new("[options]", "List containers")
        .long("Prints containers.\n.hidden lines are text")
        .aliases(&["ls", "ps"])
        .examples(&["ps -a"])
        .flags(&[
            Flag::bool("all", "Show `all`").short('a'),
            Flag::int("last", "Print n\nmore").default("-1"),
        ]);

    #[test]
    fn a_verb_has_a_page() {
        assert_eq!(file("ctr", "container ps"), "ctr-container-ps.1");
        assert_eq!(
            of_verb("ctr", "container ps", &PS),
            format!(
                ".TH CTR\\-CONTAINER\\-PS 1 \"\" \"ctr {}\"\n.SH NAME\nctr\\-container\\-ps \\- List containers\n.SH \
                 SYNOPSIS\n\\fBctr container ps\\fR [options]\n.SH ALIASES\nls\n.SH DESCRIPTION\nPrints \
                 containers.\n\\&.hidden lines are text\n.SH OPTIONS\n.TP\n\\fB\\-a, \\-\\-all all\\fR\nShow \
                 all\n.TP\n\\fB\\-\\-last int\\fR\nPrint n\nmore (default \\-1)\n.SH EXAMPLES\n.nf\nctr ps \
                 \\-a\n.fi\n.SH SEE ALSO\n\\fBctr\\-container\\fR(1)\n",
                release::VERSION
            )
        );
    }

    #[test]
    fn the_program_and_its_groups_have_pages() {
        let pages = of_groups("ctr");
        let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        assert!(names.contains(&"ctr.1") && names.contains(&"ctr-system-connection.1"));
        assert!(!names.contains(&"ctr-kube.1"));
        assert!(pages.iter().all(|(_, page)| page.starts_with(".TH CTR")));
    }
}
