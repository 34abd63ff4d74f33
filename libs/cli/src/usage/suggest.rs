//! "Did you mean this?", as cobra asks it.

/// How far apart a typed word and a suggestion may be.
const DISTANCE: usize = 2;

/// The names that a mistyped one may have meant: those that begin with it or differ in at most two letters, sorted.
#[must_use]
pub fn suggestions<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let typed = typed.to_lowercase();
    // A long word is like none of ours; do not compare it.
    if typed.len() > 64 {
        return Vec::new();
    }
    let close = |name: &&str| distance(&typed, name) <= DISTANCE || name.starts_with(&typed);
    let mut found: Vec<&str> = names.into_iter().filter(close).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// Levenshtein's distance.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found() {
        assert_eq!(suggestions("imagse", ["image", "images", "info"]), ["image", "images"]);
        assert_eq!(suggestions("foo", ["top", "pod", "ps"]), ["pod", "top"]);
        assert_eq!(suggestions("cont", ["container", "ps"]), ["container"]);
        assert!(suggestions("zzzzzz", ["container", "ps"]).is_empty());
        assert!(suggestions(&"x".repeat(10_000), ["xx"]).is_empty());
    }

    #[test]
    fn the_distance_is_levenshteins() {
        for (a, b, expected) in [("", "", 0), ("a", "", 1), ("kitten", "sitting", 3), ("rm", "mr", 2)] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }
}
