//! What `top` can show of a process, by podman's names, ps(1)'s letters and a part of ps(1)'s flags.

use super::TopError;

/// One thing to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) what: What,
    pub(super) header: &'static str,
}

macro_rules! columns {
    ($($what:ident $name:literal $letter:literal $header:literal,)+) => {
        /// What can be shown.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum What { $($what,)+ }

        /// Name, letter, header.
        const ALL: &[(What, &str, &str, &str)] = &[$((What::$what, $name, $letter, $header),)+];
    };
}

columns! {
    Args "args" "%a" "COMMAND",
    CapAmb "capamb" "" "AMBIENT CAPS",
    CapBnd "capbnd" "" "BOUNDING CAPS",
    CapEff "capeff" "" "EFFECTIVE CAPS",
    CapInh "capinh" "" "INHERITED CAPS",
    CapPrm "capprm" "" "PERMITTED CAPS",
    Comm "comm" "%c" "COMMAND",
    Elapsed "etime" "%t" "ELAPSED",
    Group "group" "%G" "GROUP",
    Groups "groups" "" "GROUPS",
    HostGroup "hgroup" "" "HGROUP",
    HostGroups "hgroups" "" "HGROUPS",
    HostPid "hpid" "" "HPID",
    HostUid "huid" "" "HUID",
    HostUser "huser" "" "HUSER",
    Label "label" "" "LABEL",
    Nice "nice" "%n" "NI",
    Cpu "pcpu" "%C" "%CPU",
    ProcessGroup "pgid" "%r" "PGID",
    Pid "pid" "%p" "PID",
    Parent "ppid" "%P" "PPID",
    RealGroup "rgroup" "%g" "RGROUP",
    Resident "rss" "" "RSS",
    RealUser "ruser" "%u" "RUSER",
    Seccomp "seccomp" "" "SECCOMP",
    State "state" "" "STATE",
    Started "stime" "" "STIME",
    Time "time" "%x" "TIME",
    Terminal "tty" "%y" "TTY",
    Uid "uid" "" "UID",
    User "user" "%U" "USER",
    Size "vsz" "%z" "VSZ",
}

/// What is shown when nothing was asked for, as by `ps -ef`.
const DEFAULT: &str = "user,pid,ppid,pcpu,etime,tty,time,args";

/// Other names of ps(1) for the same things.
const ALIASES: [(&str, &str); 13] = [
    ("%cpu", "pcpu"),
    ("cmd", "args"),
    ("command", "args"),
    ("euid", "uid"),
    ("euser", "user"),
    ("ni", "nice"),
    ("pgrp", "pgid"),
    ("rssize", "rss"),
    ("s", "state"),
    ("tname", "tty"),
    ("tt", "tty"),
    ("ucmd", "comm"),
    ("vsize", "vsz"),
];

/// The names of all that can be shown, in order.
pub fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|(_, name, ..)| *name)
}

/// What the words after the container ask for: names and letters, or flags of ps(1).
pub(super) fn parse(words: &[String]) -> Result<Vec<Column>, TopError> {
    if words.first().is_some_and(|word| word.starts_with('-')) {
        return of_flags(words);
    }
    let list = words.join(",");
    let columns = list.split(',').map(str::trim).filter(|name| !name.is_empty());
    let columns: Vec<Column> = columns
        .map(|name| find(name).ok_or_else(|| TopError::Unknown(name.to_owned())))
        .collect::<Result<_, _>>()?;
    if columns.is_empty() { named(DEFAULT) } else { Ok(columns) }
}

fn find(name: &str) -> Option<Column> {
    let found = ALL.iter().find(|(_, known, letter, _)| *known == name || *letter == name);
    found.map(|(what, _, _, header)| Column { what: *what, header })
}

/// The flags of ps(1) that say "everybody" and "these columns".
fn of_flags(words: &[String]) -> Result<Vec<Column>, TopError> {
    let mut columns = Vec::new();
    // One word may hold them all.
    let mut words = words.iter().flat_map(|word| word.split_ascii_whitespace()).peekable();
    while let Some(word) = words.next() {
        let refused = || TopError::Flag(word.to_owned());
        let mut letters = word.strip_prefix('-').filter(|letters| !letters.is_empty()).ok_or_else(refused)?;
        while let Some(letter) = letters.chars().next() {
            letters = &letters[letter.len_utf8()..];
            match letter {
                'e' | 'A' => {}
                'f' => columns = named(DEFAULT)?,
                'o' => {
                    let mut lists = vec![letters.to_owned()];
                    if letters.is_empty() {
                        lists.clear();
                        while let Some(list) = words.next_if(|word| !word.starts_with('-')) {
                            lists.push(list.to_owned());
                        }
                    }
                    columns.extend(named(&lists.join(","))?);
                    letters = "";
                }
                _ => return Err(refused()),
            }
        }
    }
    if columns.is_empty() { named(DEFAULT) } else { Ok(columns) }
}

/// Columns by the names that ps(1) has for them.
fn named(list: &str) -> Result<Vec<Column>, TopError> {
    list.split(',')
        .filter(|name| !name.is_empty())
        .map(|name| {
            let alias = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, name)| *name);
            find(alias).ok_or_else(|| TopError::Unknown(name.to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(words: &[&str]) -> Result<Vec<&'static str>, TopError> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        Ok(parse(&words)?.into_iter().map(|column| column.header).collect())
    }

    #[test]
    fn names_letters_and_flags() {
        let usual = ["USER", "PID", "PPID", "%CPU", "ELAPSED", "TTY", "TIME", "COMMAND"];
        assert_eq!(headers(&[]).unwrap(), usual);
        assert_eq!(headers(&["-ef"]).unwrap(), usual);
        assert_eq!(headers(&["pid", "seccomp,args", "%C"]).unwrap(), ["PID", "SECCOMP", "COMMAND", "%CPU"]);
        for words in
            [&["-eo", "pid,comm"][..], &["-eo", "pid comm"], &["-e", "-opid,ucmd"], &["-A -o pid -o comm"]]
        {
            assert_eq!(headers(words).unwrap(), ["PID", "COMMAND"], "{words:?}");
        }
        for words in
            [&["nonsense"][..], &["aux"], &["-x"], &["-e", "aux"], &["-o", "wchan"], &["-"], &["-eü"]]
        {
            assert!(headers(words).is_err(), "{words:?}");
        }
    }
}
