//! Puts a graph of decisions in a row of BPF instructions.
//!
//! Instructions are made from the last to the first: as all jumps go forward, every target then has its place
//! before the jump to it is made, and its distance is known. A conditional jump reaches 255 instructions. For a
//! target farther off, the jump goes to a relay, put right behind it: an unconditional jump, which reaches any
//! distance, or the answer itself, again. Later jumps use the nearest of all places that lead to a target.
//!
//! The accumulator holds one word at a time, perhaps with bits cut off. A question that is reached from another
//! about the same bits needs no load; one reached from elsewhere does. It then has two entries, the load and,
//! behind it, the comparison.

use super::bpf::{Instruction, MAX_INSTRUCTIONS, code};
use super::graph::{Compare, Graph, Id, Node, Test};

/// Makes the instructions that start at a node; `None` where they are more than the kernel takes.
pub(super) fn assemble(graph: &Graph, root: Id) -> Option<Vec<Instruction>> {
    let order = order(graph, root);
    let mut assembler = Assembler {
        graph,
        loads: loads(graph, root, &order),
        backward: Vec::new(),
        places: vec![[None; 2]; graph.len()],
    };
    for id in order {
        assembler.node(id)?;
    }
    assembler.backward.reverse();
    Some(assembler.backward)
}

/// Lists the nodes, each behind those that it leads to, and near to them.
fn order(graph: &Graph, root: Id) -> Vec<Id> {
    let mut order = Vec::new();
    let mut seen = vec![false; graph.len()];
    let mut open = vec![(root, false)];
    while let Some((id, ready)) = open.pop() {
        if ready {
            order.push(id);
        } else if !std::mem::replace(&mut seen[id.at()], true) {
            open.push((id, true));
            if let Node::Ask { yes, no, .. } = graph.node(id) {
                // What is pushed last comes first, and so ends up farther off: the usual answer of a
                // comparison that fails goes there.
                open.push((yes, false));
                open.push((no, false));
            }
        }
    }
    order
}

/// Marks the nodes that are reached while something else is in the accumulator.
fn loads(graph: &Graph, root: Id, order: &[Id]) -> Vec<bool> {
    let mut loads = vec![false; graph.len()];
    let mut enter = |target: Target| loads[target.id.at()] |= !target.loaded;
    enter(Target::of(graph, root, None));
    for &id in order {
        if let Node::Ask { test, yes, no } = graph.node(id) {
            enter(Target::of(graph, yes, Some(test)));
            enter(Target::of(graph, no, Some(test)));
        }
    }
    loads
}

/// Where one can go.
#[derive(Clone, Copy)]
struct Target {
    id: Id,
    /// Whether what the node asks about is in the accumulator already.
    loaded: bool,
}

impl Target {
    /// Returns how to enter a node from a question, or from the start.
    fn of(graph: &Graph, id: Id, from: Option<Test>) -> Self {
        let holds = from.map(|test| (test.word, test.mask));
        let loaded = match graph.node(id) {
            Node::Ask { test, .. } => holds == Some((test.word, test.mask)),
            // Answers need nothing loaded, and so have one entry.
            Node::Answer(_) => false,
        };
        Self { id, loaded }
    }
}

/// A program under construction, from its end.
struct Assembler<'a> {
    graph: &'a Graph,
    /// Whether a node needs an entry with a load.
    loads: Vec<bool>,
    backward: Vec<Instruction>,
    /// For each node the nearest places that lead to its two entries, as distances from the end.
    places: Vec<[Option<usize>; 2]>,
}

impl Assembler<'_> {
    /// Adds what a node needs: its instruction, and before it a load where somebody needs one.
    fn node(&mut self, id: Id) -> Option<()> {
        match self.graph.node(id) {
            Node::Answer(answer) => {
                self.push(Instruction::plain(code::RETURN, answer))?;
                self.here(id, false);
            }
            Node::Ask { test, yes, no } => {
                let [yes, no] = [yes, no].map(|to| Target::of(self.graph, to, Some(test)));
                self.jump(test, yes, no)?;
                self.here(id, true);
                if self.loads[id.at()] {
                    self.load(test)?;
                    self.here(id, false);
                }
            }
        }
        Some(())
    }

    /// Adds a load, and the cut where not the whole word counts.
    fn load(&mut self, test: Test) -> Option<()> {
        if test.mask != u32::MAX {
            self.push(Instruction::plain(code::AND, test.mask))?;
        }
        self.push(Instruction::plain(code::LOAD, u32::from(test.word.0)))
    }

    /// Adds a comparison with its two jumps, and relays behind it where a target is too far.
    fn jump(&mut self, test: Test, yes: Target, no: Target) -> Option<()> {
        // A relay for the one makes the way to the other longer by one.
        while let Some(far) = [yes, no].into_iter().find(|&target| self.distance(target) > u8::MAX.into()) {
            self.relay(far)?;
        }
        let code = match test.compare {
            Compare::Equal => code::JUMP_EQ,
            Compare::Greater => code::JUMP_GT,
            Compare::GreaterOrEqual => code::JUMP_GE,
        };
        let [jt, jf] = [yes, no].map(|target| u8::try_from(self.distance(target)).unwrap_or(u8::MAX));
        self.push(Instruction { code, jt, jf, k: test.value })
    }

    /// Adds an instruction that leads to a target, and is near from now on.
    fn relay(&mut self, target: Target) -> Option<()> {
        let relay = match self.graph.node(target.id) {
            Node::Answer(answer) => Instruction::plain(code::RETURN, answer),
            Node::Ask { .. } => Instruction::plain(code::JUMP, u32::try_from(self.distance(target)).ok()?),
        };
        self.push(relay)?;
        self.here(target.id, target.loaded);
        Some(())
    }

    /// Returns how many instructions lie between the next one made and a target.
    fn distance(&self, target: Target) -> usize {
        // Every node comes behind those that it leads to, so that they have their places.
        self.backward.len() - self.places[target.id.at()][usize::from(target.loaded)].unwrap_or_default()
    }

    /// Notes that the instruction made last leads to a target.
    fn here(&mut self, id: Id, loaded: bool) {
        self.places[id.at()][usize::from(loaded)] = Some(self.backward.len());
    }

    fn push(&mut self, instruction: Instruction) -> Option<()> {
        self.backward.push(instruction);
        (self.backward.len() <= MAX_INSTRUCTIONS).then_some(())
    }
}
