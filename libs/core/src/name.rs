//! Random names for containers that got none: an adjective and somebody who made computers what they are.

use crate::id::fill_random;

const ADJECTIVES: &[&str] = &[
    "able", "agile", "amber", "ample", "azure", "basic", "brave", "breezy", "brief", "bright", "brisk",
    "bronze", "calm", "candid", "careful", "cheery", "chief", "civic", "clean", "clear", "clever", "cobalt",
    "cool", "copper", "coral", "cosmic", "crisp", "curious", "daring", "deft", "dewy", "eager", "early",
    "earnest", "easy", "even", "exact", "fair", "fancy", "fast", "fine", "firm", "fleet", "fluent", "fond",
    "frank", "free", "fresh", "frosty", "gentle", "glad", "golden", "grand", "green", "handy", "happy",
    "hardy", "hazel", "hearty", "honest", "humble", "indigo", "ivory", "jolly", "keen", "kind", "lively",
    "loyal", "lucid", "lucky", "mellow", "merry", "mild", "modest", "neat", "nimble", "noble", "novel",
    "olive", "open", "patient", "placid", "plain", "polite", "proud", "quick", "quiet", "rapid", "ready",
    "ruby", "rustic", "sage", "sandy", "serene", "sharp", "silent", "silver", "simple", "sleek", "smart",
    "snowy", "sober", "solid", "spry", "steady", "still", "stout", "sunny", "swift", "tidy", "topaz",
    "tough", "tranquil", "trim", "true", "upbeat", "vivid", "warm", "wise", "witty", "young", "zesty",
];

const SURNAMES: &[&str] = &[
    "abel",
    "adams",
    "aho",
    "allen",
    "andreessen",
    "backus",
    "baran",
    "bartik",
    "bell",
    "berners",
    "blum",
    "boole",
    "borg",
    "brin",
    "brooks",
    "bush",
    "carmack",
    "cerf",
    "chomsky",
    "church",
    "clark",
    "clarke",
    "codd",
    "conway",
    "cook",
    "cormack",
    "cray",
    "curry",
    "dahl",
    "date",
    "diffie",
    "dijkstra",
    "eckert",
    "engelbart",
    "erlang",
    "estrin",
    "euler",
    "feinler",
    "floyd",
    "forrester",
    "gauss",
    "godel",
    "goldberg",
    "gosling",
    "gray",
    "gries",
    "haibt",
    "hamilton",
    "hamming",
    "hellman",
    "hoare",
    "holberton",
    "hollerith",
    "hopcroft",
    "hopper",
    "huffman",
    "iverson",
    "jacobson",
    "jacquard",
    "joy",
    "karp",
    "kahn",
    "kay",
    "kemeny",
    "kernighan",
    "kilburn",
    "kilby",
    "kleene",
    "kleinrock",
    "knuth",
    "lamarr",
    "lamport",
    "landin",
    "lebesgue",
    "lempel",
    "liskov",
    "lovelace",
    "markov",
    "mauchly",
    "mccarthy",
    "mcilroy",
    "meltzer",
    "merkle",
    "milner",
    "minsky",
    "moler",
    "moore",
    "naur",
    "newell",
    "noyce",
    "nygaard",
    "ousterhout",
    "papert",
    "pascal",
    "perlis",
    "perlman",
    "pike",
    "postel",
    "rabin",
    "ritchie",
    "rivest",
    "sammet",
    "scott",
    "shamir",
    "shannon",
    "shaw",
    "spence",
    "stallman",
    "steele",
    "strachey",
    "sutherland",
    "tarjan",
    "tanenbaum",
    "thompson",
    "torvalds",
    "turing",
    "ullman",
    "viterbi",
    "wall",
    "wexelblat",
    "wilkes",
    "wing",
    "wirth",
    "yao",
    "ziv",
    "zuse",
];

/// Draws a name; whoever claims it tries again when it is taken.
pub fn random() -> std::io::Result<String> {
    let mut bytes = [0; 8];
    fill_random(&mut bytes)?;
    Ok(pick(u64::from_le_bytes(bytes)))
}

fn pick(number: u64) -> String {
    let (adjectives, surnames) = (ADJECTIVES.len() as u64, SURNAMES.len() as u64);
    let at = |list: &[&'static str], index: u64| {
        usize::try_from(index).ok().and_then(|index| list.get(index).copied())
    };
    let adjective = at(ADJECTIVES, number % adjectives).unwrap_or("plain");
    let surname = at(SURNAMES, number / adjectives % surnames).unwrap_or("turing");
    format!("{adjective}_{surname}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_sorted_enough_to_stay_unique() {
        for list in [ADJECTIVES, SURNAMES] {
            let mut seen = list.to_vec();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), list.len());
            assert!(list.iter().all(|word| word.bytes().all(|byte| byte.is_ascii_lowercase())));
        }
    }

    #[test]
    fn every_number_gives_a_name() {
        assert_eq!(pick(0), "able_abel");
        assert_ne!(pick(u64::MAX), "");
        assert!(random().unwrap().contains('_'));
    }
}
