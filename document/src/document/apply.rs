//! Batches of others.

use super::{Applied, ApplyError, Document};
use crate::batch::operation::{Item, Operation, Parser, Placed, Reference};
use crate::batch::{Batch, BatchError};
use crate::change::Origin;
use crate::early::Need;
use crate::ids::{Actor, HybridTime};
use crate::kept::{self, KeptOperation};
use crate::limits::Limits;
use crate::map::{Marker, Register};
use crate::messagepack::Reader;
use crate::text::Text;
use crate::text::span::{Deletion, Id, Span};
use crate::value::Value;

impl Document {
    /// Applies a batch. What [`Batch::check`] accepts is applied everywhere with the same outcome: an operation without
    /// sense, such as deleting what is no character, is a no-op. Operations that are held already are passed over.
    ///
    /// # Errors
    /// When the check refuses it (with [`Limits::STANDARD`]), or it came early and the buffer is full. The document is as
    /// it was.
    pub fn apply(&mut self, batch: &Batch) -> Result<Applied, ApplyError> {
        let need = self.examine(batch)?;
        let held = u64::from(self.held(batch.actor));
        if batch.last() <= held {
            return Ok(Applied::Duplicate);
        }
        if let Some(need) = need {
            return match self.early.insert(batch, need) {
                Ok(()) => Ok(Applied::Buffered),
                Err(bytes) => Err(ApplyError::EarlyBufferFull { bytes, limit: self.early.limit }),
            };
        }
        self.run(batch);
        if !self.early.is_empty() {
            self.release(batch.actor);
        }
        Ok(Applied::New)
    }

    /// Whether [`apply`](Self::apply) would take a batch.
    pub(super) fn may_apply(&self, batch: &Batch) -> Result<(), ApplyError> {
        let need = self.examine(batch)?;
        let is_held = batch.last() <= u64::from(self.held(batch.actor));
        if need.is_none() || is_held {
            return Ok(());
        }
        self.early.has_room(batch).map_err(|bytes| ApplyError::EarlyBufferFull { bytes, limit: self.early.limit })
    }

    /// Bytes of batches that wait for what they refer to.
    pub fn early_bytes(&self) -> usize {
        self.early.bytes()
    }

    /// Bounds what waits for earlier batches, in bytes; 1 MiB by default.
    pub fn set_early_limit(&mut self, bytes: usize) {
        self.early.limit = bytes;
    }

    /// Checks a batch, and says what it refers to that is not held.
    fn examine(&self, batch: &Batch) -> Result<Option<Need>, BatchError> {
        let mut parser = Parser::new(batch, &Limits::STANDARD)?;
        let mut need = None;
        let held = u64::from(self.held(batch.actor));
        if batch.first > held + 1 {
            need = Some((batch.actor, batch.first - 1));
        }
        let mut table: Vec<(Actor, u32)> = Vec::new();
        let refer = |table: &[(Actor, u32)], need: &mut Option<Need>, from: Option<Reference>, length: u32| {
            let Some(Reference { index: 1.., counter }) = from else { return };
            let (actor, held) = table[from.map_or(0, |from| from.index as usize - 1)];
            let last = u64::from(counter) + u64::from(length) - 1;
            if last > u64::from(held) && need.is_none() {
                *need = Some((actor, last));
            }
        };
        while let Some(item) = parser.next()? {
            match item {
                Item::Actor(actor) => table.push((actor, self.held(actor))),
                Item::Operation(Placed { operation, .. }) => match operation {
                    Operation::Insert { left, right, .. } => {
                        refer(&table, &mut need, left, 1);
                        refer(&table, &mut need, right, 1);
                    }
                    Operation::Mark { start, end, .. } => {
                        refer(&table, &mut need, start.at, 1);
                        refer(&table, &mut need, end.at, 1);
                    }
                    Operation::Block { targets, .. } => {
                        targets.for_each(|target| refer(&table, &mut need, target, 1));
                    }
                    Operation::Delete(ranges) | Operation::ListDelete(ranges) | Operation::SetRemove(ranges) => {
                        ranges.for_each(|(from, length)| refer(&table, &mut need, Some(from), length));
                    }
                    Operation::ListInsert { origins: Some((left, right)), .. } => {
                        refer(&table, &mut need, left, 1);
                        refer(&table, &mut need, right, 1);
                    }
                    _ => {}
                },
            }
        }
        Ok(need)
    }

    /// Applies what waited for an actor's operations, and what waited for that.
    pub(super) fn release(&mut self, actor: Actor) {
        let mut moved = vec![actor];
        while let Some(actor) = moved.pop() {
            while let Some(batch) = self.early.take(actor, u64::from(self.held(actor))) {
                match self.examine(&batch) {
                    Ok(Some(need)) => self.early.put_back(batch, need),
                    Ok(None) if batch.last() > u64::from(self.held(batch.actor)) => {
                        self.run(&batch);
                        moved.push(batch.actor);
                    }
                    // Came another way meanwhile. It was checked when it was put there.
                    Ok(None) | Err(_) => {}
                }
            }
        }
    }

    /// Applies what was examined and lacks nothing.
    fn run(&mut self, batch: &Batch) {
        let Ok(mut parser) = Parser::new(batch, &Limits::STANDARD) else { return };
        let author = self.intern(batch.actor);
        let held = self.held[author as usize];
        let mut table: Vec<Actor> = Vec::new();
        let mut indices = vec![author];
        while let Ok(Some(item)) = parser.next() {
            match item {
                Item::Actor(actor) => {
                    table.push(actor);
                    // One that is not known is only named: what is referred to is held.
                    indices.push(self.index.get(&actor).copied().unwrap_or(u32::MAX));
                }
                // A batch may begin before what is lacked, where another one ended within it.
                Item::Operation(placed) if placed.first + (placed.count - 1) <= held => {}
                Item::Operation(placed) => self.operation(author, held, &table, &indices, &placed),
            }
        }
        self.hold(author, batch.last() as u32);
        if let Some(local) = &mut self.local
            && local.index == author
        {
            local.next = local.next.max(batch.last() + 1);
        }
    }

    pub(super) fn operation(&mut self, author: u32, held: u32, table: &[Actor], indices: &[u32], placed: &Placed<'_>) {
        let id = |reference: Reference| Id { actor: indices[reference.index as usize], counter: reference.counter };
        let Placed { root, first, count, operation } = *placed;
        let dot = Id { actor: author, counter: first };
        match operation {
            Operation::Insert { left, right, text } => {
                let (left, right) = (left.map_or(Id::NONE, id), right.map_or(Id::NONE, id));
                self.with_text(root, |state, actors| {
                    if first > held {
                        let span = Span::new(dot, count, Deletion::NONE);
                        state.integrate(actors, span, text, left, right);
                    } else {
                        type_on(state, actors, dot, count, held, text);
                    }
                });
            }
            Operation::Continue { text } => {
                self.with_text(root, |state, actors| type_on(state, actors, dot, count, held, text));
            }
            Operation::Delete(ranges) => {
                if let Some(undo) = &mut self.undo {
                    ranges.for_each(|(from, length)| undo.deleted_by_another(author, id(from), length));
                }
                if let Some(state) = self.texts.get_mut(root) {
                    let deletion = Deletion { dot, ..Deletion::NONE };
                    ranges.for_each(|(from, length)| state.delete(&self.actors, id(from), length, deletion));
                    self.collect_text(root, Origin::Remote);
                }
            }
            Operation::Set { key, value, time } => {
                let val = value.and_then(|mut reader| Value::read(&mut reader).ok());
                let marker = Marker { time: HybridTime(time), actor: self.actors[author as usize], counter: first };
                self.write(root, key, Register { val, marker }, Origin::Remote);
            }
            Operation::ListInsert { origins, values } => {
                let origins = origins.map(|(left, right)| (left.map_or(Id::NONE, id), right.map_or(Id::NONE, id)));
                self.apply_list_insert(root, dot, held, origins, read_values(values, count));
            }
            Operation::ListDelete(ranges) => {
                if let Some(undo) = &mut self.undo {
                    ranges.for_each(|(from, length)| undo.deleted_by_another(author, id(from), length));
                }
                self.apply_list_delete(root, dot, ranges.map(|(from, length)| (id(from), length)));
            }
            Operation::SetAdd { members } => self.apply_set_add(root, dot, held, read_values(members, count)),
            Operation::SetRemove(ranges) => {
                if let Some(undo) = &mut self.undo {
                    ranges.for_each(|(from, length)| undo.deleted_by_another(author, id(from), length));
                }
                self.apply_set_remove(root, dot, ranges.map(|(from, length)| (id(from), length)));
            }
            Operation::Count { amount } => self.apply_count(root, dot, amount),
            Operation::Mark { .. } | Operation::Block { .. } => self.format_operation(root, dot, indices, operation),
            Operation::Unknown { bytes } => {
                let operations = kept::alone(table, root, bytes);
                self.kept.insert((self.actors[author as usize], first), KeptOperation { count, operations });
            }
        }
    }

    pub(super) fn with_text(&mut self, root: &str, change: impl FnOnce(&mut Text, &[Actor])) {
        match self.texts.get_mut(root) {
            Some(text) => change(text, &self.actors),
            None => {
                let mut text = self.new_text();
                change(&mut text, &self.actors);
                self.texts.insert(root.into(), text);
            }
        }
        self.collect_text(root, Origin::Remote);
    }

    /// Writes a map's key, and notes the change if it is one.
    pub(super) fn write(&mut self, root: &str, key: &str, register: Register, origin: Origin) {
        let seen = self.observes.then(|| register.val.clone());
        if !self.maps.contains_key(root) {
            self.maps.insert(root.into(), Default::default());
        }
        let is_later = self.maps.get_mut(root).is_some_and(|map| map.apply(key, register));
        if let Some(value) = seen.filter(|_| is_later) {
            self.note_map(root, key, value, origin);
        }
    }
}

/// Values that the check let through.
fn read_values(mut reader: Reader<'_>, count: u32) -> Vec<Value> {
    (0..count).map(|_| Value::read(&mut reader).unwrap_or_default()).collect()
}

/// Inserts what an author typed after its own character of the counter before, without what is held of it.
fn type_on(state: &mut Text, actors: &[Actor], dot: Id, count: u32, held: u32, text: &str) {
    let skip = (held + 1).saturating_sub(dot.counter);
    let from = text.char_indices().nth(skip as usize).map_or(text.len(), |(at, _)| at);
    state.integrate_next(actors, dot.plus(skip), &text[from..], count - skip);
}
