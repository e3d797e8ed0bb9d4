//! Edits, and the transaction that they collect in.

use super::{Document, EditError, Position};
use crate::batch::{Batch, RootType};
use crate::ids::{Actor, HybridTime, MAX_COUNTER};
use crate::limits::Limits;
use crate::map::{Marker, Register};
use crate::text::Text;
use crate::text::span::Id;
use crate::undo::Deed;
use crate::value::Value;

/// Who edits.
#[derive(Copy, Clone, Debug)]
pub(super) struct Local {
    pub(super) index: u32,
    /// The counter of the next edit.
    pub(super) next: u64,
}

impl Document {
    /// Edits from now on are `actor`'s, from counter `next` (at least 1) on, or later if more of it is held. Edits that
    /// were not taken yet, of an actor before, are dropped from the transaction: call [`take_batches`](Self::take_batches) first.
    pub fn set_actor(&mut self, actor: Actor, next: u64) {
        self.clear_actor();
        let index = self.intern(actor);
        let next = next.max(u64::from(self.held[index as usize]) + 1);
        self.local = Some(Local { index, next });
    }

    /// No more edits, until [`set_actor`](Self::set_actor).
    pub fn clear_actor(&mut self) {
        self.take_batches();
        self.local = None;
    }

    /// Who edits.
    pub fn actor(&self) -> Option<Actor> {
        self.local.map(|local| self.actors[local.index as usize])
    }

    /// The counter of the next edit.
    pub fn next_counter(&self) -> Option<u64> {
        self.local.map(|local| local.next)
    }

    /// The dot of the next edit, if it may take that many counters.
    pub(super) fn next_dot(&self, name: &str, counters: usize) -> Result<Id, EditError> {
        let Local { index, next } = self.local.ok_or(EditError::NoActor)?;
        let holds = u64::from(self.held[index as usize]);
        if holds + 1 != next {
            return Err(EditError::Behind { wrote: next - 1, holds });
        }
        within("a root's name", name.len(), Limits::STANDARD.max_name_bytes)?;
        if counters as u64 > MAX_COUNTER + 1 - next {
            return Err(EditError::CountersUsedUp);
        }
        Ok(Id { actor: index, counter: next as u32 })
    }

    /// Takes counters for an edit that was made.
    pub(super) fn advance(&mut self, index: u32, counters: u32) {
        let held = self.held[index as usize] + counters;
        self.hold(index, held);
        if let Some(local) = &mut self.local {
            local.next = u64::from(held) + 1;
        }
    }

    /// Inserts into a text. An empty insert is none.
    ///
    /// # Errors
    /// See [`EditError`].
    pub fn insert(&mut self, name: &str, at: Position, text: &str) -> Result<(), EditError> {
        let scalars = if text.is_ascii() { text.len() } else { text.chars().count() };
        let id = self.next_dot(name, scalars)?;
        let known = self.texts.get(name);
        let (index, is_new) = (position(known, at)?, known.is_none());
        if scalars == 0 {
            return Ok(());
        }
        if is_new {
            self.texts.insert(name.into(), self.new_text());
        }
        if let Some(state) = self.texts.get_mut(name) {
            let insert = state.insert_local(index, id, text, scalars as u32);
            self.transaction.insert(name, id.counter, insert, text);
        }
        self.advance(id.actor, scalars as u32);
        self.collect_text(name, self.own_origin());
        self.note(id, RootType::Text, name, || Deed::Inserted { runs: vec![(id, scalars as u32)] });
        Ok(())
    }

    /// Inserts right after a character, be it deleted: what an undo brings back.
    pub(super) fn insert_text_after(&mut self, name: &str, left: Id, id: Id, text: &str, scalars: u32) {
        let Some(state) = self.texts.get_mut(name) else { return };
        let Some(insert) = state.insert_after(left, id, text, scalars) else { return };
        self.transaction.insert(name, id.counter, insert, text);
        self.advance(id.actor, scalars);
        self.collect_text(name, self.own_origin());
        self.note(id, RootType::Text, name, || Deed::Inserted { runs: vec![(id, scalars)] });
    }

    /// Deletes `length` units of the position's kind. Half a surrogate pair means the whole of it. Deleting nothing is no edit.
    ///
    /// # Errors
    /// See [`EditError`].
    pub fn delete(&mut self, name: &str, at: Position, length: usize) -> Result<(), EditError> {
        let dot = self.next_dot(name, 0)?;
        let text = self.texts.get(name);
        let (index, end) = match at {
            Position::Scalar(_) => {
                let start = position(text, at)?;
                (start, position(text, Position::Scalar(start.saturating_add(length)))?)
            }
            Position::Utf16(start) => {
                let end = start.saturating_add(length);
                let from = position(text, at)?;
                let to = position(text, Position::Utf16(end))?;
                // An end within a pair was moved to the pair's start.
                let is_within = text.is_some_and(|text| text.utf16_at(to) < end);
                (from, to + usize::from(is_within))
            }
        };
        if length == 0 {
            return Ok(());
        }
        if let Some(pieces) = self.pieces(RootType::Text, name, index, end - index) {
            self.note(dot, RootType::Text, name, || Deed::Deleted { pieces, guard: None });
        }
        let mut left = end - index;
        while left > 0 {
            let deleted = self.delete_some(name, index, left)?;
            if deleted == 0 {
                break;
            }
            left -= deleted;
        }
        self.transaction.edits += 1;
        self.collect_text(name, self.own_origin());
        Ok(())
    }

    /// Deletes with one operation as many characters as it may hold ranges for; says how many.
    fn delete_some(&mut self, name: &str, index: usize, length: usize) -> Result<usize, EditError> {
        let id = self.next_dot(name, 1)?;
        let Some(state) = self.texts.get_mut(name) else { return Ok(0) };
        let (counter, start) = match self.transaction.open_delete(name) {
            Some(open) => open,
            None => (id.counter, self.transaction.ranges().len()),
        };
        let before = state.len_scalars();
        let dot = Id { actor: id.actor, counter };
        state.delete_local(index, length, dot, (start, self.transaction.ranges()));
        let deleted = before - state.len_scalars();
        self.transaction.delete(name, counter, start);
        if counter == id.counter {
            self.advance(id.actor, 1);
        }
        Ok(deleted)
    }

    /// Sets a map's key. The edit's time is `now`, or just after the time of what it replaces where that is later.
    ///
    /// # Errors
    /// See [`EditError`].
    pub fn map_set(&mut self, name: &str, key: &str, value: Value, now: HybridTime) -> Result<(), EditError> {
        fits(&value)?;
        self.map_write(name, key, Some(value), now)
    }

    /// Removes a map's key. Removing what is not there is no edit.
    ///
    /// # Errors
    /// See [`EditError`].
    pub fn map_delete(&mut self, name: &str, key: &str, now: HybridTime) -> Result<(), EditError> {
        if self.map_get(name, key).is_none() {
            return self.next_dot(name, 0).map(|_| ());
        }
        self.map_write(name, key, None, now)
    }

    /// Writes a key; without a value it is removed.
    pub(super) fn map_write(
        &mut self,
        name: &str,
        key: &str,
        val: Option<Value>,
        now: HybridTime,
    ) -> Result<(), EditError> {
        let id = self.next_dot(name, 1)?;
        within("a key", key.len(), Limits::STANDARD.max_key_bytes)?;
        let before = self.maps.get(name).and_then(|map| map.marker(key));
        let time = before.map_or(now, |before| now.max(before.time.next()));
        let marker = Marker { time, actor: self.actors[id.actor as usize], counter: id.counter };
        self.transaction.set(name, id.counter, key, val.clone(), time);
        if self.undo.is_some() {
            let replaced = before.map(|before| Id { actor: self.intern(before.actor), counter: before.counter });
            let before = self.map_get(name, key).cloned();
            self.note(id, RootType::Map, name, || Deed::Wrote { key: key.into(), written: id, before, replaced });
        }
        self.write(name, key, Register { val, marker }, self.own_origin());
        self.advance(id.actor, 1);
        Ok(())
    }

    /// Ends the transaction: the edits since the last call, as batches in order, each within the limits.
    pub fn take_batches(&mut self) -> Vec<Batch> {
        match self.local {
            Some(Local { index, .. }) => {
                self.transaction.take(self.actors[index as usize], index, &self.actors, &Limits::STANDARD)
            }
            None => Vec::new(),
        }
    }

    /// Edits in the open transaction: calls that changed something.
    pub fn pending_edits(&self) -> usize {
        self.transaction.edits
    }
}

pub(super) fn within(what: &'static str, size: usize, limit: usize) -> Result<(), EditError> {
    if size > limit { Err(EditError::TooLarge { what, size, limit }) } else { Ok(()) }
}

/// Whether a value is within the limits.
pub(super) fn fits(value: &Value) -> Result<(), EditError> {
    match value.over(&Limits::STANDARD) {
        Some((what, size, limit)) => Err(EditError::TooLarge { what, size, limit }),
        None => Ok(()),
    }
}

/// The scalars before a position.
pub(super) fn position(text: Option<&Text>, at: Position) -> Result<usize, EditError> {
    let (position, length) = match at {
        Position::Scalar(position) => (position, text.map_or(0, Text::len_scalars)),
        Position::Utf16(position) => (position, text.map_or(0, Text::len_utf16)),
    };
    if position > length {
        return Err(EditError::OutOfRange { position, length });
    }
    Ok(match at {
        Position::Scalar(position) => position,
        Position::Utf16(position) => text.map_or(0, |text| text.scalar_at(position)),
    })
}
