//! Decisions: a graph of tests on words of a call, whose leaves are answers.
//!
//! Equal nodes exist once, so that calls with equal rules share their tests, and whole subtrees where the ABIs
//! agree. All that knows BPF is in [`super::assemble`].

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A word of `struct seccomp_data`, as its offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Word(pub(super) u8);

impl Word {
    /// The number of the call.
    pub(super) const NUMBER: Self = Self(0);
    /// The architecture of the caller.
    pub(super) const ARCH: Self = Self(4);

    /// The lower half of an argument.
    pub(super) const fn low(argument: u8) -> Self {
        Self(16 + argument * 8 + if cfg!(target_endian = "little") { 0 } else { 4 })
    }

    /// The upper half of an argument.
    pub(super) const fn high(argument: u8) -> Self {
        Self(16 + argument * 8 + if cfg!(target_endian = "little") { 4 } else { 0 })
    }
}

/// How a word is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Compare {
    Equal,
    Greater,
    GreaterOrEqual,
}

/// A question about a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Test {
    pub(super) word: Word,
    /// The bits of the word that count.
    pub(super) mask: u32,
    pub(super) compare: Compare,
    pub(super) value: u32,
}

impl Test {
    /// Makes a question about the whole word.
    pub(super) const fn whole(word: Word, compare: Compare, value: u32) -> Self {
        Self { word, mask: u32::MAX, compare, value }
    }
}

/// A place in a [`Graph`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Id(usize);

impl Id {
    /// Returns the place as an index below [`Graph::len`].
    pub(super) fn at(self) -> usize {
        self.0
    }
}

/// An answer, or a question with what follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Node {
    Answer(u32),
    Ask { test: Test, yes: Id, no: Id },
}

/// A hash of a few words, in a tenth of the standard one's time.
///
/// Who writes a profile could make its nodes collide. That costs him time in his own command, bounded by
/// [`Graph::LIMIT`].
#[derive(Debug, Default)]
struct Mixer(u64);

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(byte.into());
        }
    }

    fn write_u8(&mut self, word: u8) {
        self.write_u64(word.into());
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(word.into());
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn write_isize(&mut self, word: isize) {
        self.write_usize(word.cast_unsigned());
    }
}

/// Nodes, each after those that it leads to.
#[derive(Debug, Default)]
pub(super) struct Graph {
    nodes: Vec<Node>,
    known: HashMap<Node, Id, BuildHasherDefault<Mixer>>,
}

/// The graph would have more nodes than any program has instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Overflow;

impl Graph {
    /// Nodes that may be made in all; the program that comes of them is measured by its own limit.
    const LIMIT: usize = 1 << 18;

    /// Returns a node.
    pub(super) fn node(&self, id: Id) -> Node {
        self.nodes[id.0]
    }

    /// Counts the nodes made so far.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Returns the place of an answer.
    pub(super) fn answer(&mut self, answer: u32) -> Id {
        self.place(Node::Answer(answer))
    }

    /// Returns the place of a question, or of what follows where the answer makes no difference.
    pub(super) fn ask(&mut self, test: Test, yes: Id, no: Id) -> Id {
        if yes == no { yes } else { self.place(Node::Ask { test, yes, no }) }
    }

    fn place(&mut self, node: Node) -> Id {
        let Self { nodes, known } = self;
        *known.entry(node).or_insert_with(|| {
            nodes.push(node);
            Id(nodes.len() - 1)
        })
    }

    /// Fails where so much was made that no program can come of it.
    pub(super) fn check(&self) -> Result<(), Overflow> {
        if self.nodes.len() > Self::LIMIT { Err(Overflow) } else { Ok(()) }
    }

    /// Counts the nodes that a node leads to, itself included, up to a limit.
    fn size(&self, root: Id, limit: usize) -> usize {
        let mut seen = std::collections::HashSet::new();
        let mut open = vec![root];
        while let Some(id) = open.pop() {
            if seen.insert(id) {
                if seen.len() >= limit {
                    break;
                }
                if let Node::Ask { yes, no, .. } = self.node(id) {
                    open.extend([yes, no]);
                }
            }
        }
        seen.len()
    }

    /// Leaves out questions whose answer is known from those before, where that makes the graph smaller.
    pub(super) fn simplified(&mut self, root: Id) -> Id {
        let simple = Simplifier { graph: self, done: HashMap::new() }.simplify(root, &Known::default(), 0);
        let before = self.size(root, usize::MAX);
        if self.size(simple, before) < before { simple } else { root }
    }
}

/// What is known of the words of a call at some place: bounds, by word and mask.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Known(Vec<(Word, u32, u32, u32)>);

impl Known {
    /// Returns the bounds of a word's bits.
    fn bounds(&self, word: Word, mask: u32) -> (u32, u32) {
        let bounds =
            |mask| self.0.iter().find(|known| known.0 == word && known.1 == mask).map(|k| (k.2, k.3));
        match bounds(u32::MAX) {
            // The whole word is known, so its bits are.
            Some((low, high)) if low == high => (low & mask, low & mask),
            _ => bounds(mask).unwrap_or((0, mask)),
        }
    }

    /// Returns the answer to a question, where it is known.
    fn answer(&self, test: Test) -> Option<bool> {
        let (low, high) = self.bounds(test.word, test.mask);
        let Test { value, .. } = test;
        match test.compare {
            Compare::Equal if low == high => Some(low == value),
            Compare::Equal if value < low || value > high => Some(false),
            Compare::Greater if low > value => Some(true),
            Compare::Greater if high <= value => Some(false),
            Compare::GreaterOrEqual if low >= value => Some(true),
            Compare::GreaterOrEqual if high < value => Some(false),
            _ => None,
        }
    }

    /// Adds the answer to a question that was open.
    fn with(&self, test: Test, holds: bool) -> Self {
        let Test { word, mask, compare, value } = test;
        let (mut low, mut high) = self.bounds(word, mask);
        match (compare, holds) {
            (Compare::Equal, true) => (low, high) = (value, value),
            // A value in the middle cannot be told from bounds.
            (Compare::Equal, false) if value == low => low += 1,
            (Compare::Equal, false) if value == high => high -= 1,
            (Compare::Equal, false) => {}
            (Compare::Greater, true) => low = value + 1,
            (Compare::Greater, false) => high = value,
            (Compare::GreaterOrEqual, true) => low = value,
            (Compare::GreaterOrEqual, false) => high = value - 1,
        }
        let mut known = self.clone();
        known.0.retain(|known| known.0 != word || known.1 != mask);
        let at = known.0.partition_point(|known| (known.0, known.1) < (word, mask));
        known.0.insert(at, (word, mask, low, high));
        known
    }
}

/// One run of [`Graph::simplified`].
struct Simplifier<'a> {
    graph: &'a mut Graph,
    done: HashMap<(Id, Known), Id>,
}

impl Simplifier<'_> {
    /// Pairs of node and knowledge to look at; more would only come of a profile that nobody writes by hand.
    const LIMIT: usize = 10_000;
    /// Open questions in a row, each of which takes some of the stack.
    const DEPTH: usize = 200;

    /// Returns the node without the questions whose answer is known; what is too much work stays as it is.
    fn simplify(&mut self, mut id: Id, known: &Known, depth: usize) -> Id {
        let (test, yes, no) = loop {
            let Node::Ask { test, yes, no } = self.graph.node(id) else { return id };
            match known.answer(test) {
                Some(true) => id = yes,
                Some(false) => id = no,
                None => break (test, yes, no),
            }
        };
        let key = (id, known.clone());
        if let Some(&done) = self.done.get(&key) {
            return done;
        }
        if self.done.len() > Self::LIMIT || depth > Self::DEPTH {
            return id;
        }
        let yes = self.simplify(yes, &known.with(test, true), depth + 1);
        let no = self.simplify(no, &known.with(test, false), depth + 1);
        let simple = self.graph.ask(test, yes, no);
        self.done.insert(key, simple);
        simple
    }
}
