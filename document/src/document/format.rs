//! Formatting: edits, and what others wrote.

use std::sync::Arc;

use super::local::{fits, position, within};
use super::{Anchor, Document, EditError, Position, TextRef};
use crate::batch::format::{Edge, MAX_TARGETS};
use crate::batch::operation::{Operation, Reference};
use crate::change::Origin;
use crate::formatting::{Attributes, Growth, growth};
use crate::ids::HybridTime;
use crate::limits::Limits;
use crate::map::Marker;
use crate::ordered::OrderedMap;
use crate::snapshot::format::{FormatState, Written};
use crate::text::Text;
use crate::text::format::Attribute;
use crate::text::marks::{Mark, Slot};
use crate::text::span::Id;
use crate::transaction::{FormatEdit, FormatPlace};
use crate::value::Value;

impl Document {
    /// Lays a mark over `length` units from a position on; [`Value::Null`] takes the kind away there. It grows as its
    /// [kind](growth) does. The edit's time is `now`, or just after the text's latest formatting where that is later. Over
    /// nothing it is no edit.
    ///
    /// # Errors
    /// See [`EditError`].
    pub fn mark(
        &mut self,
        name: &str,
        at: Position,
        length: usize,
        kind: &str,
        value: Value,
        now: HybridTime,
    ) -> Result<(), EditError> {
        self.mark_growing(name, at, length, kind, value, growth(kind), now)
    }

    /// Takes a kind of mark away from `length` units. The same as [`mark`](Self::mark) with [`Value::Null`].
    ///
    /// # Errors
    /// See [`EditError`].
    pub fn unmark(
        &mut self,
        name: &str,
        at: Position,
        length: usize,
        kind: &str,
        now: HybridTime,
    ) -> Result<(), EditError> {
        self.mark(name, at, length, kind, Value::Null, now)
    }

    /// As [`mark`](Self::mark), growing as it is told.
    ///
    /// # Errors
    /// See [`EditError`].
    #[expect(clippy::too_many_arguments, reason = "a mark is where, what and when")]
    pub fn mark_growing(
        &mut self,
        name: &str,
        at: Position,
        length: usize,
        kind: &str,
        value: Value,
        growth: Growth,
        now: HybridTime,
    ) -> Result<(), EditError> {
        let text = self.texts.get(name);
        let (from, to) = range(text, at, length)?;
        match text {
            Some(text) if from < to => {
                let (start, end) = text.slots(from, to, growth);
                let marker = self.format_marker(name, now)?;
                self.mark_slots(name, start, end, kind, value, marker)
            }
            _ => self.next_dot(name, 0).map(|_| ()),
        }
    }

    /// Lays a mark between two anchors, as a batch's [`Edit::Mark`](crate::batch::Edit::Mark) says it. Where an anchor's
    /// character has not come, or the end does not come after the start, it is no edit.
    ///
    /// # Errors
    /// See [`EditError`].
    pub fn mark_between(
        &mut self,
        name: &str,
        start: Anchor,
        end: Anchor,
        kind: &str,
        value: Value,
        now: HybridTime,
    ) -> Result<(), EditError> {
        match (self.slot(name, start), self.slot(name, end)) {
            (Some(start), Some(end)) => {
                let marker = self.format_marker(name, now)?;
                self.mark_slots(name, start, end, kind, value, marker)
            }
            _ => self.next_dot(name, 0).map(|_| ()),
        }
    }

    /// Writes an attribute of every line that `length` units from a position on touch; [`Value::Null`] removes it.
    ///
    /// # Errors
    /// See [`EditError`].
    pub fn set_block(
        &mut self,
        name: &str,
        at: Position,
        length: usize,
        key: &str,
        value: Value,
        now: HybridTime,
    ) -> Result<(), EditError> {
        let text = self.texts.get(name);
        let (from, to) = range(text, at, length)?;
        let lines = text.map_or_else(|| vec![Id::NONE], |text| text.lines(from, to));
        self.set_lines(name, &lines, key, value, now)
    }

    /// Writes an attribute of the lines that characters end; [`Anchor::End`] is the last line. Others than
    /// [`Anchor::After`] and [`Anchor::Before`] a line break that is there are passed over.
    ///
    /// # Errors
    /// See [`EditError`].
    pub fn set_block_at(
        &mut self,
        name: &str,
        lines: &[Anchor],
        key: &str,
        value: Value,
        now: HybridTime,
    ) -> Result<(), EditError> {
        let lines: Vec<Id> = lines
            .iter()
            .filter_map(|&line| self.slot(name, line).filter(|&slot| slot != Slot::START))
            .map(|slot| slot.id)
            .collect();
        self.set_lines(name, &lines, key, value, now)
    }

    pub(super) fn check_attribute(&self, key: &str, value: &Value) -> Result<(), EditError> {
        within("a kind", key.len(), Limits::STANDARD.max_key_bytes)?;
        fits(value)
    }

    /// What a formatting edit's marker is to be: later than all that the text has.
    pub(super) fn format_marker(&self, name: &str, now: HybridTime) -> Result<Marker, EditError> {
        let id = self.next_dot(name, 1)?;
        let latest = self.texts.get(name).and_then(|text| text.format.as_ref()).map(|format| format.latest);
        let time = latest.map_or(now, |latest| now.max(latest.next()));
        Ok(Marker { time, actor: self.actors[id.actor as usize], counter: id.counter })
    }

    /// Lays a mark between two places with a marker of the next dot.
    pub(super) fn mark_slots(
        &mut self,
        name: &str,
        start: Slot,
        end: Slot,
        key: &str,
        value: Value,
        marker: Marker,
    ) -> Result<(), EditError> {
        self.check_attribute(key, &value)?;
        let id = self.next_dot(name, 1)?;
        if self.texts.get(name).is_some_and(|text| !text.is_range(start, end)) {
            return Ok(());
        }
        let mark = Mark { start, end, marker, value: shared(value.clone()) };
        self.note_mark(name, id, start, end, key);
        self.with_formatted(name, self.own_origin(), |text| text.mark(key, mark));
        let place = FormatPlace::Range(start, end);
        self.transaction.format(name, id.counter, FormatEdit { place, key: key.into(), value, time: marker.time });
        self.advance(id.actor, 1);
        Ok(())
    }

    pub(super) fn set_lines(
        &mut self,
        name: &str,
        lines: &[Id],
        key: &str,
        value: Value,
        now: HybridTime,
    ) -> Result<(), EditError> {
        self.check_attribute(key, &value)?;
        let dots = lines.len().div_ceil(MAX_TARGETS);
        self.next_dot(name, dots)?;
        for lines in lines.chunks(MAX_TARGETS) {
            let marker = self.format_marker(name, now)?;
            self.write_lines(name, lines, key, value.clone(), marker)?;
        }
        Ok(())
    }

    /// As [`set_lines`](Self::set_lines) for lines that one operation takes, with a marker of the next dot.
    pub(super) fn write_lines(
        &mut self,
        name: &str,
        lines: &[Id],
        key: &str,
        value: Value,
        marker: Marker,
    ) -> Result<(), EditError> {
        let id = self.next_dot(name, 1)?;
        let val = shared(value.clone());
        self.note_lines(name, id, lines, key);
        self.with_formatted(name, self.own_origin(), |text| {
            lines.iter().for_each(|&line| text.write_block(line, key, Attribute { val: val.clone(), marker }));
        });
        let place = FormatPlace::Lines(lines.to_vec());
        self.transaction.format(name, id.counter, FormatEdit { place, key: key.into(), value, time: marker.time });
        self.advance(id.actor, 1);
        Ok(())
    }

    /// Applies an operation of formatting by an author.
    pub(super) fn format_operation(&mut self, root: &str, dot: Id, indices: &[u32], operation: Operation<'_>) {
        let id = |reference: Reference| Id { actor: indices[reference.index as usize], counter: reference.counter };
        let actor = self.actors[dot.actor as usize];
        let marker = |time| Marker { time: HybridTime(time), actor, counter: dot.counter };
        match operation {
            Operation::Mark { start, end, key, mut value, time } => {
                let value = Value::read(&mut value).ok().and_then(shared);
                let slot = |edge: Edge, none| edge.at.map_or(none, |at| Slot { id: id(at), side: edge.side });
                let (start, end) = (slot(start, Slot::START), slot(end, Slot::END));
                let mark = Mark { start, end, marker: marker(time), value };
                self.note_mark_of_another(root, key, &mark);
                self.with_formatted(root, Origin::Remote, |text| text.mark(key, mark));
            }
            Operation::Block { targets, key, mut value, time } => {
                let write = Attribute { val: Value::read(&mut value).ok().and_then(shared), marker: marker(time) };
                let targets = targets.map(|target| target.map_or(Id::NONE, id));
                if self.undo.is_some() {
                    targets.clone().for_each(|target| self.note_line_of_another(root, key, target, &write));
                }
                self.with_formatted(root, Origin::Remote, |text| {
                    targets.for_each(|target| text.write_block(target, key, write.clone()));
                });
            }
            _ => {}
        }
    }

    /// The formatting of all texts that have any.
    pub(super) fn format_states(&self, moved: impl Fn(Id) -> Id) -> Vec<FormatState> {
        let mut states = Vec::new();
        let mut keys: OrderedMap<&str, Arc<str>> = OrderedMap::new();
        for (name, text) in &self.texts {
            let Some(format) = text.format.as_ref().filter(|format| !format.is_empty()) else { continue };
            let mut state = FormatState { name: name.clone(), ..FormatState::default() };
            let mut written = |key, marker: Marker, value: &Option<Arc<Value>>| {
                let key = keys.entry(key).or_insert_with(|| key.into()).clone();
                // Every marker's actor wrote.
                let actor = self.index.get(&marker.actor).copied().unwrap_or(0);
                let dot = Id { actor, counter: marker.counter };
                Written { dot, time: marker.time, key, value: value.clone() }
            };
            for (kind, marks) in &format.marks {
                let marks = marks.iter().map(|mark| (mark.start, mark.end, written(kind, mark.marker, &mark.value)));
                state.marks.extend(marks);
            }
            for (&line, attributes) in &format.blocks {
                let blocks = attributes.iter().map(|(key, held)| (line, written(key, held.marker, &held.val)));
                state.blocks.extend(blocks);
            }
            state.renumber(&moved);
            states.push(state);
        }
        states
    }

    /// Takes in the formatting that a snapshot has of a text.
    pub(super) fn merge_format(&mut self, state: &FormatState, moved: impl Fn(Id) -> Id) {
        let marker = |document: &Self, written: &Written| {
            let dot = moved(written.dot);
            Marker { time: written.time, actor: document.actors[dot.actor as usize], counter: dot.counter }
        };
        for (start, end, written) in &state.marks {
            let (start, end) = (start.moved(&moved), end.moved(&moved));
            let mark = Mark { start, end, marker: marker(self, written), value: written.value.clone() };
            self.note_mark_of_another(&state.name, &written.key, &mark);
            self.with_formatted(&state.name, Origin::Remote, |text| text.mark(&written.key, mark));
        }
        for (line, written) in &state.blocks {
            let write = Attribute { val: written.value.clone(), marker: marker(self, written) };
            self.note_line_of_another(&state.name, &written.key, moved(*line), &write);
            self.with_formatted(&state.name, Origin::Remote, |text| {
                text.write_block(moved(*line), &written.key, write);
            });
        }
    }

    /// Changes a text's formatting and notes what changed of what it shows.
    pub(super) fn with_formatted(&mut self, name: &str, origin: Origin, change: impl FnOnce(&mut Text)) {
        if !self.texts.contains_key(name) {
            self.texts.insert(name.into(), self.new_text());
        }
        if let Some(text) = self.texts.get_mut(name) {
            change(text);
        }
        self.collect_text(name, origin);
    }
}

impl TextRef<'_> {
    /// What the character at a position shows: its marks, or its line's attributes if it is a line break. At the text's
    /// end those of the last line.
    pub fn attributes_at(&self, at: Position) -> Attributes {
        let Some(text) = self.text else { return Attributes::new() };
        text.attributes_at(match at {
            Position::Scalar(scalar) => scalar,
            Position::Utf16(utf16) => text.scalar_at(utf16.min(text.len_utf16())),
        })
    }
}

/// No value for null: that is how a kind is taken away.
pub(super) fn shared(value: Value) -> Option<Arc<Value>> {
    (value != Value::Null).then(|| Arc::new(value))
}

/// The scalars of a range. Half a surrogate pair at its end means the whole of it.
fn range(text: Option<&Text>, at: Position, length: usize) -> Result<(usize, usize), EditError> {
    let from = position(text, at)?;
    Ok(match at {
        Position::Scalar(start) => (from, position(text, Position::Scalar(start.saturating_add(length)))?),
        Position::Utf16(start) => {
            let end = start.saturating_add(length);
            let to = position(text, Position::Utf16(end))?;
            (from, to + usize::from(length > 0 && text.is_some_and(|text| text.utf16_at(to) < end)))
        }
    })
}
