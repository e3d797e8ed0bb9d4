//! The definition of a text, written down as plainly as can be: every character a node of a tree, its place found by
//! comparing paths. It shares no code with the real one but the reading of batches.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use crate::batch::operation::{Item, Operation, Parser, Placed, Reference};
use crate::{Actor, Batch, Limits, VersionVector};

type Id = (Actor, u64);

/// A map's write: its time, its dot, its value as it is encoded.
type Write = (u64, Id, Option<Vec<u8>>);

#[derive(Clone)]
struct Node {
    left: Option<Id>,
    right: Option<Id>,
    character: char,
    deleted: BTreeSet<Id>,
}

#[derive(Clone, Default)]
pub(crate) struct ModelText {
    nodes: BTreeMap<Id, Node>,
}

#[derive(Default)]
pub(crate) struct Model {
    pub(crate) texts: BTreeMap<String, ModelText>,
    pub(crate) maps: BTreeMap<String, BTreeMap<String, Write>>,
    pub(crate) version: VersionVector,
}

impl ModelText {
    fn is_left_child(&self, id: Id) -> bool {
        let node = &self.nodes[&id];
        node.right.is_some_and(|right| self.nodes[&right].left == node.left)
    }

    fn parent(&self, id: Id) -> Option<Id> {
        let node = &self.nodes[&id];
        if self.is_left_child(id) { node.right } else { node.left }
    }

    /// From the top down.
    fn path(&self, id: Id) -> Vec<Id> {
        let mut path = vec![id];
        while let Some(above) = self.parent(path[path.len() - 1]) {
            path.push(above);
        }
        path.reverse();
        path
    }

    fn compare(&self, a: Id, b: Id) -> Ordering {
        if a == b {
            return Ordering::Equal;
        }
        let (a_path, b_path) = (self.path(a), self.path(b));
        let common = a_path.iter().zip(&b_path).take_while(|(a, b)| a == b).count();
        let side = |id: &Id| if self.is_left_child(*id) { Ordering::Less } else { Ordering::Greater };
        match (a_path.get(common), b_path.get(common)) {
            (Some(a), None) => side(a),
            (None, Some(b)) => side(b).reverse(),
            (Some(a), Some(b)) if side(a) != side(b) => side(a),
            (Some(a), Some(b)) if side(a) == Ordering::Less => a.cmp(b),
            (Some(a), Some(b)) => match (self.nodes[a].right, self.nodes[b].right) {
                (None, None) => a.cmp(b),
                (None, Some(_)) => Ordering::Less,
                (Some(_), None) => Ordering::Greater,
                (Some(a_right), Some(b_right)) => self.compare(b_right, a_right).then(a.cmp(b)),
            },
            (None, None) => Ordering::Equal,
        }
    }

    fn insert(&mut self, first: Id, left: Option<Id>, right: Option<Id>, text: &str) {
        if [left, right].into_iter().flatten().any(|origin| !self.nodes.contains_key(&origin)) {
            return;
        }
        let mut left = left;
        for (offset, character) in text.chars().enumerate() {
            let id = (first.0, first.1 + offset as u64);
            self.nodes.insert(id, Node { left, right, character, deleted: BTreeSet::new() });
            left = Some(id);
        }
    }

    pub(crate) fn text(&self) -> String {
        let mut ids: Vec<Id> = self.nodes.keys().copied().collect();
        ids.sort_by(|a, b| self.compare(*a, *b));
        ids.iter().map(|id| &self.nodes[id]).filter(|node| node.deleted.is_empty()).map(|node| node.character).collect()
    }
}

impl Model {
    /// Applies a batch that comes in causal order.
    pub(crate) fn apply(&mut self, batch: &Batch) {
        let held = self.version.get(&batch.actor);
        if batch.last() <= held {
            return;
        }
        assert_eq!(batch.first, held + 1, "in order");
        let limits = Limits::STANDARD;
        let mut parser = Parser::new(batch, &limits).unwrap();
        let mut table = vec![batch.actor];
        while let Some(item) = parser.next().unwrap() {
            match item {
                Item::Actor(actor) => table.push(actor),
                Item::Operation(placed) => self.operation(batch.actor, &table, &placed),
            }
        }
        self.version.dots.insert(batch.actor, batch.last());
    }

    fn operation(&mut self, author: Actor, table: &[Actor], placed: &Placed<'_>) {
        let id = |of: Reference| (table[of.index as usize], u64::from(of.counter));
        let dot = (author, u64::from(placed.first));
        let root = placed.root.to_owned();
        match placed.operation {
            Operation::Insert { left, right, text } => {
                self.texts.entry(root).or_default().insert(dot, left.map(id), right.map(id), text);
            }
            Operation::Continue { text } => {
                let state = self.texts.entry(root).or_default();
                let left = (author, dot.1 - 1);
                if let Some(node) = state.nodes.get(&left) {
                    let right = node.right;
                    state.insert(dot, Some(left), right, text);
                }
            }
            Operation::Delete(ranges) => {
                let Some(state) = self.texts.get_mut(&root) else { return };
                for (from, length) in ranges {
                    let (actor, counter) = id(from);
                    let range = (actor, counter)..(actor, counter + u64::from(length));
                    state.nodes.range_mut(range).for_each(|(_, node)| {
                        node.deleted.insert(dot);
                    });
                }
            }
            Operation::Set { key, value, time } => {
                let value = value.map(|mut reader| {
                    let value = crate::Value::read(&mut reader).unwrap();
                    let mut bytes = Vec::new();
                    value.write(&mut crate::messagepack::Writer(&mut bytes));
                    bytes
                });
                let write = (time, dot, value);
                let held = self.maps.entry(root).or_default().entry(key.to_owned()).or_insert_with(|| write.clone());
                if (held.0, held.1) < (write.0, write.1) {
                    *held = write;
                }
            }
            Operation::Unknown { .. } => {}
        }
    }
}
