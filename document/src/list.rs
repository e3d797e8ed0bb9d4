//! A list of values: the same sequence as a text, one placeholder for each element, and the values beside it by their dots.

use crate::ids::Actor;
use crate::ordered::OrderedMap;
use crate::text::delete::Ranges;
use crate::text::span::{Deletion, Id, Span};
use crate::text::{Splice, Text};
use crate::transaction::Insert;
use crate::value::Value;

/// What stands for an element in the sequence: one byte, one scalar, one UTF-16 unit.
pub(crate) const ELEMENT: &str = "\0";

/// A list's whole state.
#[derive(Clone, Debug)]
pub(crate) struct List {
    pub(crate) order: Text,
    /// Those of all visible elements, and no others.
    values: OrderedMap<Id, Value>,
}

/// So many placeholders.
pub(crate) fn elements(count: usize) -> String {
    ELEMENT.repeat(count)
}

impl List {
    pub(crate) fn new() -> Self {
        Self { order: Text::new(), values: OrderedMap::new() }
    }

    /// From the sequence, and the values of what is visible in it, in order.
    pub(crate) fn from_parts(order: Text, values: impl Iterator<Item = Value>) -> Self {
        let ids = order.runs_from(0).flat_map(|(id, length)| (0..length).map(move |offset| id.plus(offset)));
        let values = ids.zip(values).collect();
        Self { order, values }
    }

    pub(crate) fn len(&self) -> usize {
        self.order.len_scalars()
    }

    pub(crate) fn is_unwritten(&self) -> bool {
        self.order.is_unwritten()
    }

    pub(crate) fn get(&self, index: usize) -> Option<&Value> {
        self.values.get(&self.order.runs_from(index).next()?.0)
    }

    /// The values from an index on.
    pub(crate) fn values_from(&self, index: usize) -> impl Iterator<Item = &Value> {
        self.order
            .runs_from(index)
            .flat_map(|(id, length)| self.values.range(id..).take(length as usize).map(|(_, value)| value))
    }

    /// Inserts a run between two elements, with the values of those that are visible: all or none. No effect where one of
    /// the two is no element of this list.
    pub(crate) fn integrate(&mut self, actors: &[Actor], span: Span, left: Id, right: Id, values: Vec<Value>) {
        if self.order.integrate(actors, span, &elements(values.len()), left, right) {
            self.keep(span.id, values);
        }
    }

    /// Inserts a run after the author's element of the counter before.
    pub(crate) fn integrate_next(&mut self, actors: &[Actor], id: Id, values: Vec<Value>) {
        let count = values.len() as u32;
        if self.order.integrate_next(actors, id, &elements(values.len()), count) {
            self.keep(id, values);
        }
    }

    pub(crate) fn insert_local(&mut self, index: usize, id: Id, values: Vec<Value>) -> Insert {
        let count = values.len();
        let insert = self.order.insert_local(index, id, &elements(count), count as u32);
        self.keep(id, values);
        insert
    }

    /// A local insert right after an element, be it deleted.
    pub(crate) fn insert_after(&mut self, left: Id, id: Id, values: Vec<Value>) -> Option<Insert> {
        let count = values.len();
        let insert = self.order.insert_after(left, id, &elements(count), count as u32)?;
        self.keep(id, values);
        Some(insert)
    }

    fn keep(&mut self, id: Id, values: Vec<Value>) {
        self.values.extend((0..).zip(values).map(|(offset, value)| (id.plus(offset), value)));
    }

    /// Deletes whatever of a run of dots are elements of this list.
    pub(crate) fn delete(&mut self, actors: &[Actor], from: Id, length: u32, deletion: Deletion) {
        self.order.delete(actors, from, length, deletion);
        self.drop_values(from, length);
    }

    /// Deletes elements from an index on, for as long as one operation has room for what they are.
    pub(crate) fn delete_local(&mut self, index: usize, length: usize, dot: Id, (start, ranges): Ranges<'_>) {
        let runs: Vec<(Id, u32)> = self.order.runs(index, length).collect();
        let mut left = self.len();
        self.order.delete_local(index, length, dot, (start, ranges));
        left -= self.len();
        for (id, length) in runs {
            let taken = (length as usize).min(left);
            self.drop_values(id, taken as u32);
            left -= taken;
        }
    }

    fn drop_values(&mut self, from: Id, length: u32) {
        let to = Id { actor: from.actor, counter: from.counter.saturating_add(length) };
        let mut next = from;
        loop {
            let found = self.values.range(next..to).next().map(|(&id, _)| id);
            let Some(id) = found else { return };
            self.values.remove(&id);
            next = id;
        }
    }

    /// What changed since the last call, while somebody observes.
    pub(crate) fn take_splices(&mut self) -> Vec<Splice> {
        self.order.splices.as_mut().map(std::mem::take).unwrap_or_default()
    }
}
