//! The definition of every container, written down as plainly as can be: of a sequence every character or value is a node
//! of a tree, its place found by comparing paths. It shares no code with the real ones but the reading of batches.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use crdts::orswot::Op;
use crdts::{CmRDT, Orswot};

use crate::batch::operation::{Item, Operation, Parser, Placed, Reference};
use crate::messagepack::Reader;
use crate::{Actor, Batch, Dot, Limits, Value, VersionVector};

type Id = (Actor, u64);

/// A map's write: its time, its dot, its value as it is encoded.
type Write = (u64, Id, Option<Vec<u8>>);

#[derive(Clone)]
struct Node<T> {
    left: Option<Id>,
    right: Option<Id>,
    item: T,
    deleted: BTreeSet<Id>,
}

#[derive(Clone)]
pub(crate) struct Sequence<T> {
    nodes: BTreeMap<Id, Node<T>>,
}

/// A set: what was ever added, and which additions were ever removed. Beside it, what the `crdts` crate makes of it.
#[derive(Default)]
pub(crate) struct ModelSet {
    additions: BTreeMap<Id, Value>,
    removed: BTreeSet<Id>,
    pub(crate) orswot: Orswot<Vec<u8>, Actor>,
}

#[derive(Default)]
pub(crate) struct Model {
    pub(crate) texts: BTreeMap<String, Sequence<char>>,
    pub(crate) lists: BTreeMap<String, Sequence<Value>>,
    pub(crate) maps: BTreeMap<String, BTreeMap<String, Write>>,
    pub(crate) sets: BTreeMap<String, ModelSet>,
    pub(crate) counters: BTreeMap<String, i128>,
    pub(crate) version: VersionVector,
}

impl<T> Default for Sequence<T> {
    fn default() -> Self {
        Self { nodes: BTreeMap::new() }
    }
}

impl ModelSet {
    /// By their encodings: of each author's additions of a member the last one counts.
    pub(crate) fn members(&self) -> BTreeMap<Vec<u8>, Value> {
        let mut last = BTreeMap::new();
        for (&(actor, counter), member) in &self.additions {
            last.insert((actor, member.encoded().to_vec()), ((actor, counter), member.clone()));
        }
        let here = last.into_iter().filter(|(_, (id, _))| !self.removed.contains(id));
        here.map(|((_, encoded), (_, member))| (encoded, member)).collect()
    }

    fn add(&mut self, id: Id, member: Value) {
        self.orswot.apply(Op::Add { dot: Dot::new(id.0, id.1), members: vec![member.encoded().to_vec()] });
        self.additions.insert(id, member);
    }

    fn remove(&mut self, ids: impl Iterator<Item = Id>) {
        for id in ids.filter(|id| self.additions.contains_key(id)).collect::<Vec<_>>() {
            let members = vec![self.additions[&id].encoded().to_vec()];
            self.orswot.apply(Op::Rm { clock: VersionVector::from(Dot::new(id.0, id.1)), members });
            self.removed.insert(id);
        }
    }
}

impl<T: Clone> Sequence<T> {
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

    fn insert(&mut self, first: Id, left: Option<Id>, right: Option<Id>, items: impl Iterator<Item = T>) {
        if [left, right].into_iter().flatten().any(|origin| !self.nodes.contains_key(&origin)) {
            return;
        }
        let mut left = left;
        for (offset, item) in items.enumerate() {
            let id = (first.0, first.1 + offset as u64);
            self.nodes.insert(id, Node { left, right, item, deleted: BTreeSet::new() });
            left = Some(id);
        }
    }

    /// After the author's own of the counter before.
    fn insert_next(&mut self, first: Id, items: impl Iterator<Item = T>) {
        let left = (first.0, first.1 - 1);
        if let Some(node) = self.nodes.get(&left) {
            let right = node.right;
            self.insert(first, Some(left), right, items);
        }
    }

    fn delete(&mut self, dot: Id, ranges: impl Iterator<Item = (Id, u32)>) {
        for ((actor, counter), length) in ranges {
            let range = (actor, counter)..(actor, counter + u64::from(length));
            self.nodes.range_mut(range).for_each(|(_, node)| {
                node.deleted.insert(dot);
            });
        }
    }

    /// All that ever were, in order; without an item where it is deleted.
    pub(crate) fn all(&self) -> Vec<(Id, Option<T>)> {
        let mut ids: Vec<Id> = self.nodes.keys().copied().collect();
        ids.sort_by(|a, b| self.compare(*a, *b));
        let shown = |id: &Id| Some(self.nodes[id].item.clone()).filter(|_| self.nodes[id].deleted.is_empty());
        ids.iter().map(|id| (*id, shown(id))).collect()
    }

    pub(crate) fn items<C: FromIterator<T>>(&self) -> C {
        self.all().into_iter().filter_map(|(_, item)| item).collect()
    }

    /// The dots of what is visible.
    pub(crate) fn visible(&self) -> Vec<Id> {
        self.all().into_iter().filter(|(_, item)| item.is_some()).map(|(id, _)| id).collect()
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
        let values = |mut reader: Reader<'_>| -> Vec<Value> {
            (0..placed.count).map(|_| Value::read(&mut reader).unwrap()).collect()
        };
        match placed.operation {
            Operation::Insert { left, right, text } => {
                self.texts.entry(root).or_default().insert(dot, left.map(id), right.map(id), text.chars());
            }
            Operation::Continue { text } => self.texts.entry(root).or_default().insert_next(dot, text.chars()),
            Operation::Delete(ranges) => {
                let Some(state) = self.texts.get_mut(&root) else { return };
                state.delete(dot, ranges.map(|(from, length)| (id(from), length)));
            }
            Operation::ListInsert { origins, values: reader } => {
                let (list, values) = (self.lists.entry(root).or_default(), values(reader).into_iter());
                match origins {
                    Some((left, right)) => list.insert(dot, left.map(id), right.map(id), values),
                    None => list.insert_next(dot, values),
                }
            }
            Operation::ListDelete(ranges) => {
                let Some(state) = self.lists.get_mut(&root) else { return };
                state.delete(dot, ranges.map(|(from, length)| (id(from), length)));
            }
            Operation::SetAdd { members } => {
                let set = self.sets.entry(root).or_default();
                (0..).zip(values(members)).for_each(|(offset, member)| set.add((dot.0, dot.1 + offset), member));
            }
            Operation::SetRemove(ranges) => {
                let ids = ranges.flat_map(|(from, length)| {
                    let (actor, counter) = id(from);
                    (0..u64::from(length)).map(move |offset| (actor, counter + offset))
                });
                self.sets.entry(root).or_default().remove(ids);
            }
            // None here comes near the ends.
            Operation::Count { amount } => *self.counters.entry(root).or_default() += i128::from(amount),
            Operation::Set { key, value, time } => {
                let value = value.map(|mut reader| {
                    let value = Value::read(&mut reader).unwrap();
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
            Operation::Mark { .. } | Operation::Block { .. } | Operation::Unknown { .. } => {}
        }
    }
}
