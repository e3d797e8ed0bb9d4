//! Sets: reading, editing, and taking in what others did.

use crate::ordered::OrderedMap;

use bytes::Bytes;

use super::lists::member;
use super::local::fits;
use super::{Document, EditError};
use crate::batch::RootType;
use crate::change::{Change, Delta, Origin};
use crate::ids::Dot;
use crate::set::{GoneRun, Set};
use crate::sorted::sort_by_key;
use crate::text::span::{Deletion, Id, Span};
use crate::transaction::MAX_RANGES;
use crate::undo::Deed;
use crate::value::Value;

impl Document {
    /// Members of a set; none where nobody wrote it yet.
    pub fn set_len(&self, name: &str) -> usize {
        self.sets.get(name).map_or(0, Set::len)
    }

    /// Whether a value is in a set.
    pub fn set_contains(&self, name: &str, member: &Value) -> bool {
        self.sets.get(name).is_some_and(|set| set.contains(&member.encoded()))
    }

    /// A set's members, in order of their encodings.
    pub fn set_members(&self, name: &str) -> impl Iterator<Item = Value> {
        self.sets.get(name).into_iter().flat_map(|set| set.members().map(member))
    }

    /// Names of the sets that were ever written, in order.
    pub fn set_names(&self) -> impl Iterator<Item = &str> {
        self.sets.keys().map(|name| &**name)
    }

    /// What the addition of a dot added to a set, while it keeps that in.
    pub fn set_addition(&self, name: &str, dot: Dot) -> Option<Value> {
        self.sets.get(name)?.member_of(self.id_of(dot)?).map(member)
    }

    /// Adds a value to a set. Adding what is in it is an edit as well: then it stays where another removes it at the same
    /// time.
    ///
    /// # Errors
    /// See [`EditError`].
    pub fn set_add(&mut self, name: &str, member: &Value) -> Result<(), EditError> {
        let id = self.next_dot(name, 1)?;
        fits(member)?;
        let encoded = member.encoded();
        self.transaction.set_add(name, id.counter, encoded.clone());
        let replaced = self.sets.get(name).and_then(|set| set.addition_of(&encoded, id.actor));
        self.add_member(name, id, encoded, self.own_origin());
        self.advance(id.actor, 1);
        self.note(id, RootType::Set, name, || Deed::Added { id, replaced });
        Ok(())
    }

    /// Removes a value from a set, as far as this replica knows of its additions. Removing what is not there is no edit.
    ///
    /// # Errors
    /// See [`EditError`].
    pub fn set_remove(&mut self, name: &str, member: &Value) -> Result<(), EditError> {
        self.next_dot(name, 0)?;
        let encoded = member.encoded();
        let mut additions = self.sets.get(name).map_or(Vec::new(), |set| set.additions_of(&encoded).to_vec());
        sort_by_key(&mut additions, |&addition| addition);
        self.remove_additions(name, &additions)
    }

    /// Removes additions by their dots, those that still keep a member in. Without any it is no edit.
    ///
    /// # Errors
    /// See [`EditError`].
    pub fn set_remove_additions(&mut self, name: &str, dots: &[Dot]) -> Result<(), EditError> {
        self.next_dot(name, 0)?;
        let Some(set) = self.sets.get(name) else { return Ok(()) };
        let ids = dots.iter().filter_map(|&dot| self.id_of(dot)).filter(|&id| set.member_of(id).is_some());
        let ids: Vec<Id> = ids.collect();
        self.remove_additions(name, &ids)
    }

    pub(super) fn remove_additions(&mut self, name: &str, ids: &[Id]) -> Result<(), EditError> {
        let origin = self.own_origin();
        for ids in ids.chunks(MAX_RANGES) {
            let dot = self.next_dot(name, 1)?;
            if self.undo.is_some() {
                self.note_removed(name, dot, ids);
            }
            self.transaction.set_remove(name, dot.counter, ids);
            let by = Deletion { dot, ..Deletion::NONE };
            ids.iter().for_each(|&id| self.remove_run(name, GoneRun::new(id, 1, by, false), origin));
            self.advance(dot.actor, 1);
        }
        self.transaction.edits += usize::from(!ids.is_empty());
        Ok(())
    }

    fn note_removed(&mut self, name: &str, dot: Id, ids: &[Id]) {
        let mut removed: OrderedMap<Bytes, Vec<Id>> = OrderedMap::new();
        for &id in ids {
            if let Some(member) = self.sets.get(name).and_then(|set| set.member_of(id)) {
                removed.entry(member.clone()).or_default().push(id);
            }
        }
        for (member, additions) in removed {
            self.note(dot, RootType::Set, name, || Deed::Removed { member, additions });
        }
    }

    pub(super) fn add_member(&mut self, root: &str, id: Id, member: Bytes, origin: Origin) {
        if !self.sets.contains_key(root) {
            self.sets.insert(root.into(), Set::default());
        }
        if self.sets.get_mut(root).is_some_and(|set| set.add(id, member.clone())) {
            self.note_set(root, &member, true, origin);
        }
    }

    pub(super) fn remove_run(&mut self, root: &str, run: GoneRun, origin: Origin) {
        let Some(set) = self.sets.get_mut(root) else { return };
        for member in set.remove(&self.actors, run) {
            self.note_set(root, &member, false, origin);
        }
    }

    fn note_set(&mut self, root: &str, encoded: &Bytes, is_in: bool, origin: Origin) {
        if self.observes {
            let delta = Delta::Set { member: member(encoded), is_in };
            self.changes.push(Change { root: root.to_owned(), origin, delta });
        }
    }

    /// What is held of the members is passed over.
    pub(super) fn apply_set_add(&mut self, root: &str, dot: Id, held: u32, members: Vec<Value>) {
        for (offset, member) in (0..).zip(members) {
            let id = dot.plus(offset);
            if id.counter > held {
                self.add_member(root, id, member.encoded(), Origin::Remote);
            }
        }
    }

    pub(super) fn apply_set_remove(&mut self, root: &str, dot: Id, ranges: impl Iterator<Item = (Id, u32)>) {
        let by = Deletion { dot, ..Deletion::NONE };
        for (from, length) in ranges {
            // No run is as long as that; what is cut off is no addition.
            let length = length.min(Span::MAX_LENGTH);
            self.remove_run(root, GoneRun::new(from, length, by, false), Origin::Remote);
        }
    }
}
