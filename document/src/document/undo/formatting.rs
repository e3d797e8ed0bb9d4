//! Formatting taken back: where the own mark or attribute still holds, what held before it holds again.

use std::sync::Arc;

use super::Touched;
use crate::batch::RootType;
use crate::document::{Document, EditError};
use crate::formatting::Side;
use crate::ids::HybridTime;
use crate::map::Marker;
use crate::text::Text;
use crate::text::marks::{Mark, Slot};
use crate::text::span::Id;
use crate::undo::{Deed, Had, Line, Stretch};
use crate::value::Value;

/// A part of what came back that must be marked, as the mark `by` marks the deleted part that began with `old`.
struct Again {
    id: Id,
    length: u32,
    old: Id,
    kind: Box<str>,
    value: Value,
    by: Option<Id>,
}

fn plain(value: Option<&Arc<Value>>) -> Value {
    value.map_or(Value::Null, |value| Value::clone(value))
}

impl Document {
    fn marker_dot(&self, marker: Marker) -> Option<Id> {
        Some(Id { actor: *self.index.get(&marker.actor)?, counter: marker.counter })
    }

    /// What a mark is about to change.
    pub(in crate::document) fn note_mark(&mut self, name: &str, dot: Id, start: Slot, end: Slot, key: &str) {
        if self.undo.is_none() {
            return;
        }
        let winners = self.texts.get(name).map(|text| text.winners(key, start, end)).unwrap_or_default();
        let before = winners.into_iter().map(|(start, end, mark)| Stretch {
            start,
            end,
            value: mark.and_then(|mark| mark.value.clone()),
            by: mark.and_then(|mark| self.marker_dot(mark.marker)),
        });
        let deed = Deed::Marked { key: key.into(), written: vec![dot], before: before.collect() };
        self.note(dot, RootType::Text, name, || deed);
    }

    /// What a write to lines is about to change.
    pub(in crate::document) fn note_lines(&mut self, name: &str, dot: Id, lines: &[Id], key: &str) {
        if self.undo.is_none() {
            return;
        }
        let before = lines.iter().map(|&line| {
            let held = self.texts.get(name).and_then(|text| text.line_attribute(line, key));
            let by = held.and_then(|held| self.marker_dot(held.marker));
            Line { line, value: held.and_then(|held| held.val.clone()), by }
        });
        let deed = Deed::Lined { key: key.into(), written: vec![dot], before: before.collect() };
        self.note(dot, RootType::Text, name, || deed);
    }

    /// Lays what held before a mark again where that still holds.
    pub(super) fn unmark_again(
        &mut self,
        name: &str,
        key: &str,
        (written, before): (&[Id], Vec<Stretch>),
        now: HybridTime,
        touched: &mut Vec<Touched>,
    ) -> Result<(), EditError> {
        let Some(text) = self.texts.get(name) else { return Ok(()) };
        let mut again = Vec::new();
        for held in &before {
            for (start, end, mark) in text.winners(key, held.start, held.end) {
                let Some(mark) = mark.filter(|mark| mark.value != held.value) else { continue };
                let is_own = self.marker_dot(mark.marker).is_some_and(|dot| written.contains(&dot));
                let (from, to) = (text.scalars_before(start), text.scalars_before(end));
                if is_own && from < to {
                    let (first, last) = (text.character_at(from), text.character_at(to - 1));
                    touched.push((RootType::Text, name.into(), first, last));
                    again.push((start, end, plain(held.value.as_ref()), held.by));
                }
            }
        }
        for (start, end, value, by) in again {
            let dot = self.next_dot(name, 1)?;
            self.mark_slots(name, start, end, key, value, now)?;
            if let (Some(undo), Some(by)) = (&mut self.undo, by) {
                undo.also(by, dot);
            }
        }
        Ok(())
    }

    /// Writes what lines had before again, where the own write is still their last.
    pub(super) fn unline(
        &mut self,
        name: &str,
        key: &str,
        (written, before): (&[Id], Vec<Line>),
        now: HybridTime,
    ) -> Result<(), EditError> {
        for Line { line, value, by } in before {
            let held = self.texts.get(name).and_then(|text| text.line_attribute(line, key));
            let is_own = held.and_then(|held| self.marker_dot(held.marker)).is_some_and(|dot| written.contains(&dot));
            if !is_own || held.is_some_and(|held| held.val == value) {
                continue;
            }
            let dot = self.next_dot(name, 1)?;
            self.set_lines(name, &[line], key, plain(value.as_ref()), now)?;
            if let (Some(undo), Some(by)) = (&mut self.undo, by) {
                undo.also(by, dot);
            }
        }
        Ok(())
    }

    /// Makes characters that came back show what those that were deleted show, whatever now lies around them: marks lie over
    /// deleted characters too. A line has what it had when it went.
    pub(super) fn show_again(
        &mut self,
        name: &str,
        (runs, new): (&[(Id, u32)], Id),
        lines: Vec<Had>,
        now: HybridTime,
    ) -> Result<(), EditError> {
        let mut again = Vec::new();
        if let Some(text) = self.texts.get(name).filter(|text| text.is_formatted()) {
            let mut at = new;
            for &(old, length) in runs {
                self.marks_again(text, old, at, length, &mut again);
                at = at.plus(length);
            }
        }
        // It goes with the text when that is deleted again.
        self.undo_pause(true);
        let outcome = self.lay_again(name, again, now).and_then(|()| self.lines_again(name, new, lines, now));
        self.undo_pause(false);
        outcome
    }

    /// Where a run that came back shows something else than the deleted run does: from where, how many, the kind, and the mark.
    fn marks_again(&self, text: &Text, old: Id, new: Id, length: u32, again: &mut Vec<Again>) {
        for kind in text.format.iter().flat_map(|format| format.marks.keys()) {
            let winners = |id: Id| text.winners(kind, Slot::before(id), Slot::after(id.plus(length - 1)));
            // How far into the run a place is.
            let offset = |slot: Slot, id: Id| {
                slot.id.counter.wrapping_sub(id.counter).saturating_add(u32::from(slot.side == Side::After)).min(length)
            };
            for (start, end, was) in winners(old) {
                let (from, to) = (offset(start, old), offset(end, old));
                for (start, end, is) in winners(new) {
                    let (from, to) = (from.max(offset(start, new)), to.min(offset(end, new)));
                    let value = |mark: Option<&Mark>| mark.and_then(|mark| mark.value.clone());
                    if from < to && value(was) != value(is) {
                        again.push(Again {
                            id: new.plus(from),
                            length: to - from,
                            old: old.plus(from),
                            kind: (**kind).into(),
                            value: plain(value(was).as_ref()),
                            by: was.and_then(|mark| self.marker_dot(mark.marker)),
                        });
                    }
                }
            }
        }
    }

    fn lay_again(&mut self, name: &str, again: Vec<Again>, now: HybridTime) -> Result<(), EditError> {
        for Again { id, length, old, kind, value, by } in again {
            let (start, end) = (Slot::before(id), Slot::after(id.plus(length - 1)));
            let dot = self.next_dot(name, 1)?;
            self.mark_slots(name, start, end, &kind, value, now)?;
            let (Some(text), Some(undo)) = (self.texts.get(name), &mut self.undo) else { continue };
            if let Some(by) = by {
                undo.also(by, dot);
            }
            undo.extend_marks(name, &kind, |stretch| text.holds(stretch.start, stretch.end, old), (start, end));
        }
        Ok(())
    }

    fn lines_again(&mut self, name: &str, new: Id, lines: Vec<Had>, now: HybridTime) -> Result<(), EditError> {
        for Had { offset, key, value, by } in lines {
            let dot = self.next_dot(name, 1)?;
            self.set_lines(name, &[new.plus(offset as u32)], &key, plain(value.as_ref()), now)?;
            if let (Some(undo), Some(by)) = (&mut self.undo, by) {
                undo.also(by, dot);
            }
        }
        Ok(())
    }

    /// What the lines have that a run of characters ends.
    pub(super) fn had(&self, text: &Text, id: Id, run: &str) -> Vec<Had> {
        let breaks = run.chars().enumerate().filter(|&(_, character)| character == '\n');
        breaks
            .flat_map(|(offset, _)| {
                text.line_attributes(id.plus(offset as u32)).map(move |(key, held)| Had {
                    offset,
                    key: key.into(),
                    value: held.val.clone(),
                    by: self.marker_dot(held.marker),
                })
            })
            .collect()
    }
}
