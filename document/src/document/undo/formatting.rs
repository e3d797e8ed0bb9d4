//! Formatting taken back: where the own mark or attribute still holds, what would hold without it holds again.
//!
//! What holds again is written anew with the time of what it takes back, not with the present one: it is later than that and
//! than all that lay under it, and what another wrote since, be it not known here yet, is later still.

use std::sync::Arc;

use super::Touched;
use crate::batch::RootType;
use crate::document::{Document, EditError};
use crate::map::Marker;
use crate::text::Text;
use crate::text::format::Attribute;
use crate::text::marks::{Mark, Slot};
use crate::text::span::Id;
use crate::undo::stretches::{Stretch, Stretches, offset};
use crate::undo::{Deed, Had, Line};
use crate::value::Value;

/// A part of what came back that must be marked, as the mark `by` marks the deleted part that began with `old`.
struct Again {
    id: Id,
    length: u32,
    kind: Box<str>,
    value: Value,
    by: Option<Marker>,
    /// What it must be later than.
    over: Marker,
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
            by: mark.map(|mark| mark.marker),
        });
        let before = Stretches::new(before.collect());
        let deed = Deed::Marked { key: key.into(), written: vec![dot], before };
        self.note(dot, RootType::Text, name, || deed);
    }

    /// What a write to lines is about to change.
    pub(in crate::document) fn note_lines(&mut self, name: &str, dot: Id, lines: &[Id], key: &str) {
        if self.undo.is_none() {
            return;
        }
        let before = lines.iter().map(|&line| {
            let held = self.texts.get(name).and_then(|text| text.line_attribute(line, key));
            let by = held.map(|held| held.marker);
            Line { line, value: held.and_then(|held| held.val.clone()), by }
        });
        let deed = Deed::Lined { key: key.into(), written: vec![dot], before: before.collect() };
        self.note(dot, RootType::Text, name, || deed);
    }

    /// Another laid a mark, which may lie under own ones: then it is what holds without them.
    pub(in crate::document) fn note_mark_of_another(&mut self, name: &str, key: &str, mark: &Mark) {
        let author = self.index.get(&mark.marker.actor);
        let (Some(text), Some(undo)) = (self.texts.get(name), &mut self.undo) else { return };
        if author.is_some_and(|&author| !undo.is_own(author)) && text.is_range(mark.start, mark.end) {
            undo.marked_by_another(name, key, |a, b| text.compare_slots(a, b), mark);
        }
    }

    /// Another wrote an attribute of a line: likewise.
    pub(in crate::document) fn note_line_of_another(&mut self, name: &str, key: &str, line: Id, write: &Attribute) {
        let author = self.index.get(&write.marker.actor);
        let Some(undo) = &mut self.undo else { return };
        if author.is_some_and(|&author| !undo.is_own(author)) {
            undo.lined_by_another(name, key, line, (&write.val, write.marker));
        }
    }

    /// What is to be the least marker of an own write that is later than another write.
    fn marker_after(&self, name: &str, held: Marker) -> Result<Marker, EditError> {
        let id = self.next_dot(name, 1)?;
        let marker = Marker { time: held.time, actor: self.actors[id.actor as usize], counter: id.counter };
        Ok(if marker > held { marker } else { Marker { time: held.time.next(), ..marker } })
    }

    fn is_own(&self, marker: Marker) -> bool {
        let dot = self.marker_dot(marker);
        self.undo.as_ref().is_some_and(|undo| dot.is_some_and(|dot| undo.is_own(dot.actor)))
    }

    /// What one write said another says now.
    fn also(&mut self, old: Option<Marker>, new: Id) {
        let old = old.and_then(|old| self.marker_dot(old));
        if let (Some(undo), Some(old)) = (&mut self.undo, old) {
            undo.also(old, new);
        }
    }

    /// Makes an edit that is no step of its own.
    fn apart(&mut self, edit: impl FnOnce(&mut Self) -> Result<(), EditError>) -> Result<(), EditError> {
        self.undo_pause(true);
        let outcome = edit(self);
        self.undo_pause(false);
        outcome
    }

    /// Lays what holds without a mark again where the mark still holds.
    pub(super) fn unmark_again(
        &mut self,
        name: &str,
        key: &str,
        (written, before): (&[Id], Stretches),
        touched: &mut Vec<Touched>,
    ) -> Result<(), EditError> {
        let Some(text) = self.texts.get(name) else { return Ok(()) };
        let (mut again, mut is_shown) = (Vec::new(), false);
        for (start, end, held) in before.within(|a, b| text.compare_slots(a, b), Slot::START, Slot::END) {
            for (start, end, mark) in text.winners(key, start, end) {
                let Some(mark) = mark else { continue };
                let is_written = self.marker_dot(mark.marker).is_some_and(|dot| written.contains(&dot));
                // What shows the same is said again only if it is an own mark that may be taken back in its turn. What is
                // deleted may come back.
                let differs = mark.value != held.value;
                if is_written && (differs || held.by.is_some_and(|by| self.is_own(by))) {
                    let (from, to) = (text.scalars_before(start), text.scalars_before(end));
                    if differs && from < to {
                        let (first, last) = (text.character_at(from), text.character_at(to - 1));
                        touched.push((RootType::Text, name.into(), first, last));
                        is_shown = true;
                    }
                    let over = Stretch { start, end, value: mark.value.clone(), by: Some(mark.marker) };
                    again.push((over, mark.marker, plain(held.value.as_ref()), held.by));
                }
            }
        }
        // One step, so that what is deleted goes with what is shown.
        let (mut laid, mut under) = (Vec::new(), Vec::new());
        for (over, marker, value, by) in again {
            let marker_now = self.marker_after(name, marker)?;
            let dot = self.next_dot(name, 1)?;
            self.apart(|document| document.mark_slots(name, over.start, over.end, key, value, marker_now))?;
            self.also(by, dot);
            if !is_shown {
                // It is passed over: what the mark stood for, this one does.
                self.also(Some(marker), dot);
            }
            laid.push(dot);
            under.push(over);
        }
        if let Some(&dot) = laid.last().filter(|_| is_shown) {
            let (key, before) = (key.into(), Stretches::new(under));
            self.note(dot, RootType::Text, name, || Deed::Marked { key, written: laid, before });
        }
        Ok(())
    }

    /// Writes what lines have without a write again, where the own write is still their last.
    pub(super) fn unline(
        &mut self,
        name: &str,
        key: &str,
        (written, before): (&[Id], Vec<Line>),
    ) -> Result<(), EditError> {
        for Line { line, value, by } in before {
            let held = self.texts.get(name).and_then(|text| text.line_attribute(line, key));
            let Some(held) = held else { continue };
            let is_written = self.marker_dot(held.marker).is_some_and(|dot| written.contains(&dot));
            let is_shown = held.val != value;
            if !is_written || !is_shown && !by.is_some_and(|by| self.is_own(by)) {
                continue;
            }
            let over = held.marker;
            let marker = self.marker_after(name, over)?;
            let dot = self.next_dot(name, 1)?;
            let value = plain(value.as_ref());
            if is_shown {
                self.write_lines(name, &[line], key, value, marker)?;
            } else {
                self.apart(|document| document.write_lines(name, &[line], key, value, marker))?;
                self.also(Some(over), dot);
            }
            self.also(by, dot);
        }
        Ok(())
    }

    /// Makes characters that came back show what those that were deleted show, whatever now lies around them: marks lie over
    /// deleted characters too. A line has what it had when it went. Nothing of it is a step: it goes with the text when that
    /// is deleted again.
    pub(super) fn show_again(
        &mut self,
        name: &str,
        (runs, new): (&[(Id, u32)], Id),
        lines: Vec<Had>,
    ) -> Result<(), EditError> {
        let mut again = Vec::new();
        if let (Some(text), Some(undo)) = (self.texts.get(name), &mut self.undo)
            && text.is_formatted()
        {
            let mut at = new;
            for &(old, length) in runs {
                undo.replace_marked(name, |a, b| text.compare_slots(a, b), (old, length, at));
                at = at.plus(length);
            }
        }
        if let Some(text) = self.texts.get(name).filter(|text| text.is_formatted()) {
            let mut at = new;
            for &(old, length) in runs {
                self.marks_again(text, old, at, length, &mut again);
                at = at.plus(length);
            }
        }
        self.apart(|document| document.lay_again(name, again).and_then(|()| document.lines_again(name, new, lines)))
    }

    /// Where a run that came back is marked otherwise than the deleted run is: from where, how many, the kind, and the mark.
    fn marks_again(&self, text: &Text, old: Id, new: Id, length: u32, again: &mut Vec<Again>) {
        let order = |a, b| text.compare_slots(a, b);
        for kind in text.format.iter().flat_map(|format| format.marks.keys()) {
            let winners = |id: Id| {
                let winners = text.winners(kind, Slot::before(id), Slot::after(id.plus(length - 1)));
                let parts = winners.into_iter().map(move |(start, end, mark)| {
                    (offset(order, start, id, length), offset(order, end, id, length), mark)
                });
                parts.collect::<Vec<_>>()
            };
            let now = winners(new);
            for (start, end, was) in winners(old) {
                for &(from, to, is) in &now {
                    let (from, to) = (from.max(start), to.min(end));
                    let (was_by, is_by) = (was.map(|mark| mark.marker), is.map(|mark| mark.marker));
                    let value = |mark: Option<&Mark>| mark.and_then(|mark| mark.value.clone());
                    // What shows the same matters where it may be taken back.
                    let is_own = [was_by, is_by].into_iter().flatten().any(|by| self.is_own(by));
                    let differs = was_by != is_by && (is_own || value(was) != value(is));
                    let Some(over) = was_by.max(is_by).filter(|_| from < to && differs) else { continue };
                    again.push(Again {
                        id: new.plus(from),
                        length: to - from,
                        kind: (**kind).into(),
                        value: plain(value(was).as_ref()),
                        by: was_by,
                        over,
                    });
                }
            }
        }
    }

    fn lay_again(&mut self, name: &str, again: Vec<Again>) -> Result<(), EditError> {
        for Again { id, length, kind, value, by, over } in again {
            let (start, end) = (Slot::before(id), Slot::after(id.plus(length - 1)));
            let marker = self.marker_after(name, over)?;
            let dot = self.next_dot(name, 1)?;
            self.mark_slots(name, start, end, &kind, value, marker)?;
            self.also(by, dot);
        }
        Ok(())
    }

    fn lines_again(&mut self, name: &str, new: Id, lines: Vec<Had>) -> Result<(), EditError> {
        for Had { offset, key, value, by } in lines {
            let marker = self.marker_after(name, by)?;
            let dot = self.next_dot(name, 1)?;
            self.write_lines(name, &[new.plus(offset as u32)], &key, plain(value.as_ref()), marker)?;
            self.also(Some(by), dot);
        }
        Ok(())
    }

    /// What the lines have that a run of characters ends.
    pub(super) fn had(text: &Text, id: Id, run: &str) -> Vec<Had> {
        let breaks = run.chars().enumerate().filter(|&(_, character)| character == '\n');
        breaks
            .flat_map(|(offset, _)| {
                text.line_attributes(id.plus(offset as u32)).map(move |(key, held)| Had {
                    offset,
                    key: key.into(),
                    value: held.val.clone(),
                    by: held.marker,
                })
            })
            .collect()
    }
}
