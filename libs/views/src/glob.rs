//! Patterns as Go's `path.Match` has them: `*` and `?` stop at a slash, `[a-z]` is a class, `\` quotes.

/// Whether a pattern fits all of a text. A malformed pattern fits nothing.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    // One row of a table: which prefixes of the text the pattern so far fits. Linear, whatever the pattern.
    let mut fits = vec![false; text.len() + 1];
    fits[0] = true;
    let mut at = 0;
    while at < pattern.len() {
        let Some((step, next)) = step(&pattern, at) else { return false };
        let mut row = vec![false; text.len() + 1];
        for (end, letter) in text.iter().enumerate() {
            row[end + 1] = match &step {
                Step::Star => (fits[end + 1] || row[end] || fits[end]) && (*letter != '/' || fits[end + 1]),
                Step::One(class) => fits[end] && class.has(*letter),
            };
        }
        row[0] = matches!(step, Step::Star) && fits[0];
        fits = row;
        at = next;
    }
    fits[text.len()]
}

enum Step {
    Star,
    One(Class),
}

enum Class {
    Any,
    Letter(char),
    Set { negated: bool, ranges: Vec<(char, char)> },
}

impl Class {
    fn has(&self, letter: char) -> bool {
        match self {
            Self::Any => letter != '/',
            Self::Letter(own) => *own == letter,
            Self::Set { negated, ranges } => {
                ranges.iter().any(|(from, to)| (*from..=*to).contains(&letter)) != *negated
            }
        }
    }
}

fn step(pattern: &[char], at: usize) -> Option<(Step, usize)> {
    Some(match pattern[at] {
        '*' => (Step::Star, at + 1),
        '?' => (Step::One(Class::Any), at + 1),
        '\\' => (Step::One(Class::Letter(*pattern.get(at + 1)?)), at + 2),
        '[' => {
            let (class, next) = set(pattern, at + 1)?;
            (Step::One(class), next)
        }
        letter => (Step::One(Class::Letter(letter)), at + 1),
    })
}

fn set(pattern: &[char], mut at: usize) -> Option<(Class, usize)> {
    let negated = *pattern.get(at)? == '^';
    at += usize::from(negated);
    let mut ranges = Vec::new();
    while *pattern.get(at)? != ']' || ranges.is_empty() {
        let (from, next) = letter(pattern, at)?;
        at = next;
        let mut to = from;
        if pattern.get(at) == Some(&'-') {
            (to, at) = letter(pattern, at + 1)?;
        }
        ranges.push((from, to));
    }
    Some((Class::Set { negated, ranges }, at + 1))
}

fn letter(pattern: &[char], at: usize) -> Option<(char, usize)> {
    match *pattern.get(at)? {
        '-' | ']' => None,
        '\\' => Some((*pattern.get(at + 1)?, at + 2)),
        letter => Some((letter, at + 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn as_go_has_it() {
        for (pattern, text, expected) in [
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*c", "abc", true),
            ("a*", "a", true),
            ("a*", "ab/c", false),
            ("a*/b", "abc/b", true),
            ("a*/b", "a/c/b", false),
            ("a*b*c*d*e*/f", "axbxcxdxe/f", true),
            ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("a*b?c*x", "abxbbxdbxebxczzy", false),
            ("ab[c]", "abc", true),
            ("ab[b-d]", "abc", true),
            ("ab[^c]", "abc", false),
            ("a\\*b", "a*b", true),
            ("a\\*b", "ab", false),
            ("a?b", "a\u{263a}b", true),
            ("a?b", "a/b", false),
            ("a*b", "a/b", false),
            ("[]a]", "]", false),
            ("[", "a", false),
            ("a[", "ab", false),
            ("", "", true),
            ("**", "", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
        assert!(!matches(&"a*".repeat(40), &"a".repeat(39)), "in no time");
    }
}
