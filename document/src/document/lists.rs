//! Lists: reading, editing, and taking in what others did.

use bytes::Bytes;

use super::local::fits;
use super::{Document, EditError};
use crate::batch::RootType;
use crate::change::{Change, Delta, ListDelta, Origin};
use crate::ids::{Actor, Dot};
use crate::list::List;
use crate::text::Splice;
use crate::text::span::{Deletion, Id, Span};
use crate::undo::Deed;
use crate::value::Value;

impl Document {
    /// Elements of a list; none where nobody wrote it yet.
    pub fn list_len(&self, name: &str) -> usize {
        self.lists.get(name).map_or(0, List::len)
    }

    /// The element of a list at an index.
    pub fn list_get(&self, name: &str, index: usize) -> Option<&Value> {
        self.lists.get(name)?.get(index)
    }

    /// A list's elements from an index on, in order.
    pub fn list_values(&self, name: &str, from: usize) -> impl Iterator<Item = &Value> {
        self.lists.get(name).into_iter().flat_map(move |list| list.values_from(from))
    }

    /// Names of the lists that were ever written, in order.
    pub fn list_names(&self) -> impl Iterator<Item = &str> {
        self.lists.iter().filter(|(_, list)| !list.is_unwritten()).map(|(name, _)| &**name)
    }

    /// How many elements of a list lie before the place right after one: `None` as element is the list's start. Of a
    /// deleted element it is where it was; `None` where the list has no such element.
    pub fn list_index_after(&self, name: &str, element: Option<Dot>) -> Option<usize> {
        let Some(dot) = element else { return Some(0) };
        self.lists.get(name)?.order.scalars_through(self.id_of(dot)?)
    }

    /// The element at an index, by its dot.
    pub fn list_dot(&self, name: &str, index: usize) -> Option<Dot> {
        let (id, _) = self.lists.get(name)?.order.runs(index, 1).next()?;
        Some(Dot::new(self.actors[id.actor as usize], u64::from(id.counter)))
    }

    /// A dot as containers know it.
    pub(super) fn id_of(&self, dot: Dot) -> Option<Id> {
        let counter = u32::try_from(dot.counter).ok().filter(|&counter| counter > 0)?;
        Some(Id { actor: *self.index.get(&dot.actor)?, counter })
    }

    /// Inserts values into a list, the first of them at an index. No values are no edit.
    ///
    /// # Errors
    /// See [`EditError`].
    pub fn list_insert(&mut self, name: &str, index: usize, values: Vec<Value>) -> Result<(), EditError> {
        let id = self.next_dot(name, values.len())?;
        let length = self.list_len(name);
        if index > length {
            return Err(EditError::OutOfRange { position: index, length });
        }
        values.iter().try_for_each(fits)?;
        if values.is_empty() {
            return Ok(());
        }
        let (encoded, count) = (values.iter().map(Value::encoded).collect(), values.len());
        let insert = self.list(name).insert_local(index, id, values);
        self.transaction.list_insert(name, id.counter, insert, encoded);
        self.advance(id.actor, count as u32);
        self.collect_list(name, self.own_origin());
        self.note(id, RootType::List, name, || Deed::Inserted { runs: vec![(id, count as u32)] });
        Ok(())
    }

    /// Inserts values right after an element, be it deleted: what an undo brings back.
    pub(super) fn insert_values_after(&mut self, name: &str, left: Id, id: Id, values: Vec<Value>) {
        let (encoded, count) = (values.iter().map(Value::encoded).collect(), values.len());
        let Some(insert) = self.list(name).insert_after(left, id, values) else { return };
        self.transaction.list_insert(name, id.counter, insert, encoded);
        self.advance(id.actor, count as u32);
        self.collect_list(name, self.own_origin());
        self.note(id, RootType::List, name, || Deed::Inserted { runs: vec![(id, count as u32)] });
    }

    /// Deletes elements of a list. Deleting nothing is no edit.
    ///
    /// # Errors
    /// See [`EditError`].
    pub fn list_delete(&mut self, name: &str, index: usize, count: usize) -> Result<(), EditError> {
        self.list_delete_for(name, index, count, None)
    }

    /// Deletes elements, for the sake of one that takes their place.
    fn list_delete_for(&mut self, name: &str, index: usize, count: usize, guard: Option<Id>) -> Result<(), EditError> {
        let dot = self.next_dot(name, 0)?;
        let length = self.list_len(name);
        let end = index.saturating_add(count);
        if end > length {
            return Err(EditError::OutOfRange { position: end, length });
        }
        if count == 0 {
            return Ok(());
        }
        if let Some(pieces) = self.pieces(RootType::List, name, index, count) {
            self.note(dot, RootType::List, name, || Deed::Deleted { pieces, guard });
        }
        let mut left = count;
        while left > 0 {
            let deleted = self.list_delete_some(name, index, left)?;
            if deleted == 0 {
                break;
            }
            left -= deleted;
        }
        self.transaction.edits += 1;
        self.collect_list(name, self.own_origin());
        Ok(())
    }

    /// Deletes with one operation as many elements as it may hold ranges for; says how many.
    fn list_delete_some(&mut self, name: &str, index: usize, count: usize) -> Result<usize, EditError> {
        let id = self.next_dot(name, 1)?;
        let (counter, start) = match self.transaction.open_list_delete(name) {
            Some(open) => open,
            None => (id.counter, self.transaction.ranges().len()),
        };
        let Some(list) = self.lists.get_mut(name) else { return Ok(0) };
        let before = list.len();
        let dot = Id { actor: id.actor, counter };
        list.delete_local(index, count, dot, (start, self.transaction.ranges()));
        let deleted = before - list.len();
        self.transaction.list_delete(name, counter, start);
        if counter == id.counter {
            self.advance(id.actor, 1);
        }
        Ok(deleted)
    }

    /// Puts another value in the place of one. It is an insert and a deletion: whoever replaces the same element at the
    /// same time leaves both values there, side by side, and who deletes it deletes the old one alone.
    ///
    /// # Errors
    /// See [`EditError`].
    pub fn list_set(&mut self, name: &str, index: usize, value: Value) -> Result<(), EditError> {
        let id = self.next_dot(name, 2)?;
        let length = self.list_len(name);
        if index >= length {
            return Err(EditError::OutOfRange { position: index, length });
        }
        self.list_insert(name, index + 1, vec![value])?;
        self.list_delete_for(name, index, 1, Some(id))?;
        // One edit, of two operations.
        self.transaction.edits -= 1;
        Ok(())
    }

    /// A list to write, a new one where there is none.
    fn list(&mut self, name: &str) -> &mut List {
        let observes = self.observes;
        let list = self.lists.entry(name.into()).or_insert_with(List::new);
        if observes && list.order.splices.is_none() {
            list.order.splices = Some(Vec::new());
        }
        list
    }

    /// Changes a list as others did.
    pub(super) fn with_list(&mut self, root: &str, origin: Origin, change: impl FnOnce(&mut List, &[Actor])) {
        self.list(root);
        if let Some(list) = self.lists.get_mut(root) {
            change(list, &self.actors);
        }
        self.collect_list(root, origin);
    }

    /// Without origins the values go after the author's element of the counter before. What is held of them is passed over.
    pub(super) fn apply_list_insert(
        &mut self,
        root: &str,
        dot: Id,
        held: u32,
        origins: Option<(Id, Id)>,
        mut values: Vec<Value>,
    ) {
        let skip = (held + 1).saturating_sub(dot.counter);
        values.drain(..(skip as usize).min(values.len()));
        self.with_list(root, Origin::Remote, |list, actors| match origins {
            Some((left, right)) if skip == 0 => {
                let span = Span::new(dot, values.len() as u32, Deletion::NONE);
                list.integrate(actors, span, left, right, values);
            }
            _ => list.integrate_next(actors, dot.plus(skip), values),
        });
    }

    pub(super) fn apply_list_delete(&mut self, root: &str, dot: Id, ranges: impl Iterator<Item = (Id, u32)>) {
        if self.lists.contains_key(root) {
            let deletion = Deletion { dot, ..Deletion::NONE };
            self.with_list(root, Origin::Remote, |list, actors| {
                ranges.for_each(|(from, length)| list.delete(actors, from, length, deletion));
            });
        }
    }

    /// Makes one change of what a list noted: at most one insert, whose values are still where it put them.
    pub(super) fn collect_list(&mut self, root: &str, origin: Origin) {
        if !self.observes {
            return;
        }
        let Some(list) = self.lists.get_mut(root) else { return };
        for splice in list.take_splices() {
            let (at, step) = match splice {
                Splice::Insert { scalar, text, .. } => {
                    (scalar, ListDelta::Insert(list.values_from(scalar).take(text.len()).cloned().collect()))
                }
                Splice::Delete { scalar, scalars, .. } => (scalar, ListDelta::Delete(scalars)),
                // A list has no formatting.
                Splice::Format { .. } => continue,
            };
            let steps = if at == 0 { vec![step] } else { vec![ListDelta::Retain(at), step] };
            self.changes.push(Change { root: root.to_owned(), origin, delta: Delta::List(steps) });
        }
    }
}

/// What a snapshot has of values, read.
pub(super) fn read_value(bytes: &[u8]) -> Value {
    Value::read(&mut crate::messagepack::Reader::new(bytes)).unwrap_or_default()
}

/// An encoded member, as a value.
pub(super) fn member(bytes: &Bytes) -> Value {
    read_value(bytes)
}
