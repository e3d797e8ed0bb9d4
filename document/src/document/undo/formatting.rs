//! Formatting taken back: where the own mark or attribute still holds, what held before it holds again.

use std::sync::Arc;

use super::Touched;
use crate::batch::RootType;
use crate::document::{Document, EditError};
use crate::formatting::Attributes;
use crate::ids::HybridTime;
use crate::map::Marker;
use crate::text::marks::Slot;
use crate::text::span::Id;
use crate::undo::{Deed, Line, Shown, Stretch};
use crate::value::Value;

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
        let (Some(first), Some(last)) = (before.first(), before.last()) else { return Ok(()) };
        let Some(text) = self.texts.get(name) else { return Ok(()) };
        let mut again = Vec::new();
        for (start, end, mark) in text.winners(key, first.start, last.end) {
            let Some(mark) = mark else { continue };
            if !self.marker_dot(mark.marker).is_some_and(|dot| written.contains(&dot)) {
                continue;
            }
            for held in before.iter().filter(|held| held.value != mark.value) {
                if let Some((start, end)) = text.common((start, end), (held.start, held.end)) {
                    let (from, to) = (text.scalars_before(start), text.scalars_before(end));
                    touched.push((RootType::Text, name.into(), text.character_at(from), text.character_at(to - 1)));
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

    /// Makes what came back show what it showed, be it for others' marks or none.
    pub(super) fn show_again(
        &mut self,
        name: &str,
        id: Id,
        shown: Vec<Shown>,
        now: HybridTime,
    ) -> Result<(), EditError> {
        let Some(mut at) = self.texts.get(name).and_then(|text| text.index_of(id)) else { return Ok(()) };
        let mut ranges: Vec<(usize, usize, Attributes)> = Vec::new();
        for Shown { scalars, attributes } in shown {
            ranges.push((at, at + scalars, attributes));
            at += scalars;
        }
        // It goes with the text when that is deleted again.
        self.undo_pause(true);
        let outcome = self.show(name, ranges, now);
        self.undo_pause(false);
        outcome
    }
}
