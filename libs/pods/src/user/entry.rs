//! The lines that are added for a user whom an image does not know.

/// What the placeholders of `--passwd-entry` and `--group-entry` stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryFacts<'a> {
    /// `$USERNAME`, `$GROUPNAME`.
    pub name: &'a str,
    /// `$UID`.
    pub uid: u32,
    /// `$GID`.
    pub gid: u32,
    /// `$NAME`: who it is in words.
    pub comment: &'a str,
    /// `$HOME`.
    pub home: &'a str,
}

/// A line for passwd, from the user's template or the usual one.
#[must_use]
pub fn passwd_entry(facts: &EntryFacts<'_>, template: Option<&str>) -> String {
    let template = template.unwrap_or("$USERNAME:*:$UID:$GID:$NAME:$HOME:/bin/sh");
    line(template, facts)
}

/// A line for group, from the user's template or the usual one.
#[must_use]
pub fn group_entry(facts: &EntryFacts<'_>, template: Option<&str>) -> String {
    line(template.unwrap_or("$GROUPNAME:x:$GID:$USERLIST"), facts)
}

/// Replaces the placeholders and ends the line.
fn line(template: &str, facts: &EntryFacts<'_>) -> String {
    let (uid, gid) = (facts.uid.to_string(), facts.gid.to_string());
    // Longer names first: `$USERNAME` begins as `$USER…` and `$NAME` ends it.
    let names = [
        ("$USERNAME", facts.name),
        ("$USERLIST", facts.name),
        ("$GROUPNAME", facts.name),
        ("$NAME", facts.comment),
        ("$HOME", facts.home),
        ("$UID", &uid),
        ("$GID", &gid),
    ];
    let mut text = template.to_owned();
    for (placeholder, value) in names {
        text = text.replace(placeholder, &field(value));
    }
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// A value that stays within its field and line.
fn field(value: &str) -> String {
    value.chars().filter(|character| !matches!(character, ':' | '\n' | '\r' | '\0')).collect()
}
