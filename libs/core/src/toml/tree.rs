//! The tables of a file as its lines define them: each thing once.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::{DEPTH, Problem, Table, Value};

/// How a table came to be, which says who may add to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// By a header that names a table below it.
    Implied,
    /// By a header of its own.
    Header,
    /// By a key with dots.
    Dotted,
}

/// What a key stands for while the file is read.
#[derive(Debug)]
enum Node {
    Value(Value),
    Table(Origin, Nodes),
    /// `[[of these]]`, one for each header.
    Tables(Vec<Nodes>),
}

type Nodes = BTreeMap<String, Node>;

/// What the lines so far define.
#[derive(Debug, Default)]
pub(super) struct Tree(Nodes);

impl Tree {
    /// `[path]`.
    pub(super) fn open(&mut self, path: &[String]) -> Result<(), Problem> {
        let (last, parents) = split(path)?;
        match descend(&mut self.0, parents)?.entry(last.clone()) {
            Entry::Vacant(place) => {
                place.insert(Node::Table(Origin::Header, Nodes::new()));
                Ok(())
            }
            Entry::Occupied(mut there) => match there.get_mut() {
                Node::Table(origin @ Origin::Implied, _) => {
                    *origin = Origin::Header;
                    Ok(())
                }
                _ => Err(twice(path)),
            },
        }
    }

    /// `[[path]]`.
    pub(super) fn open_next(&mut self, path: &[String]) -> Result<(), Problem> {
        let (last, parents) = split(path)?;
        let place = descend(&mut self.0, parents)?;
        match place.entry(last.clone()).or_insert_with(|| Node::Tables(Vec::new())) {
            Node::Tables(all) => {
                all.push(Nodes::new());
                Ok(())
            }
            _ => Err(twice(path)),
        }
    }

    /// `key = value` below the header of `table`.
    pub(super) fn set(&mut self, table: &[String], key: &[String], value: Value) -> Result<(), Problem> {
        let (last, parents) = split(key)?;
        let mut at = descend(&mut self.0, table)?;
        for name in parents {
            let node = at.entry(name.clone()).or_insert_with(|| Node::Table(Origin::Dotted, Nodes::new()));
            at = match node {
                Node::Table(Origin::Dotted, nodes) => nodes,
                _ => return Err(twice(key)),
            };
        }
        match at.entry(last.clone()) {
            Entry::Vacant(place) => {
                place.insert(Node::Value(value));
                Ok(())
            }
            Entry::Occupied(_) => Err(twice(key)),
        }
    }

    /// All of it.
    pub(super) fn into_table(self) -> Table {
        table_of(self.0)
    }
}

fn table_of(nodes: Nodes) -> Table {
    let value = |node| match node {
        Node::Value(value) => value,
        Node::Table(_, nodes) => Value::Table(table_of(nodes)),
        Node::Tables(all) => Value::List(all.into_iter().map(|one| Value::Table(table_of(one))).collect()),
    };
    nodes.into_iter().map(|(name, node)| (name, value(node))).collect()
}

fn split(path: &[String]) -> Result<(&String, &[String]), Problem> {
    if path.len() > DEPTH {
        return Err(format!("tables nest deeper than {DEPTH}"));
    }
    path.split_last().ok_or_else(|| "expected a key".to_owned())
}

/// The table that headers name, made where it is not there yet; of many with one name, the last.
fn descend<'a>(root: &'a mut Nodes, path: &[String]) -> Result<&'a mut Nodes, Problem> {
    let mut at = root;
    for name in path {
        let node = at.entry(name.clone()).or_insert_with(|| Node::Table(Origin::Implied, Nodes::new()));
        at = match node {
            Node::Table(_, nodes) => nodes,
            Node::Tables(all) => all.last_mut().ok_or_else(|| twice(path))?,
            Node::Value(_) => return Err(twice(path)),
        };
    }
    Ok(at)
}

fn twice(path: &[String]) -> Problem {
    format!("Key '{}' has already been defined.", path.join("."))
}
