//! Hiding characters. Of a deleted character its own dot remains, and the least dot of all deletions that cover it.
//!
//! The least one makes differences exact: it is the same on every replica that holds the same operations, and a reader
//! who lacks it needs it, be it only to remember the same dot.

use super::integrate::reserve;
use super::span::{Deletion, Id, Span};
use super::{Place, Splice, Text};
use crate::ids::Actor;
use crate::snapshot::state::char_end;
use crate::transaction::MAX_RANGES;

/// Where one operation's runs of dots go: from which index on, of a list of all.
pub(crate) type Ranges<'a> = (usize, &'a mut Vec<(Id, u32)>);

impl Text {
    /// Deletes whatever of a run of dots are characters of this text.
    pub(crate) fn delete(&mut self, actors: &[Actor], from: Id, length: u32, deletion: Deletion) {
        let (mut at, end) = (from.counter, from.counter.saturating_add(length));
        while at < end {
            let id = Id { actor: from.actor, counter: at };
            let Some(place) = self.find(id) else {
                match self.next_character(id) {
                    Some(next) if next > at => at = next,
                    _ => return,
                }
                continue;
            };
            let span = self.leaves[place.leaf as usize].spans[place.span];
            let reach = (span.len() - place.offset).min(end - at);
            let deletion = deletion.from(at - from.counter);
            at += if span.is_visible() {
                self.hint = None;
                self.hide(place, reach, deletion);
                reach
            } else {
                self.lessen(actors, place, reach, deletion)
            };
        }
    }

    /// Deletes visible characters from an index on, for as long as one operation, whose ranges begin at `start`, has room
    /// for what they are.
    pub(crate) fn delete_local(&mut self, index: usize, length: usize, dot: Id, (start, ranges): Ranges<'_>) {
        let mut left = length;
        while left > 0 && ranges.len() - start < MAX_RANGES {
            let (leaf, before) = self.locate(index);
            let (span, offset) = self.leaves[leaf as usize].visible_at(index - before);
            let Some(state) = self.leaves[leaf as usize].spans.get(span) else { return };
            let reach = (state.len() - offset).min(u32::try_from(left).unwrap_or(u32::MAX));
            let id = state.id.plus(offset);
            self.hint = Some((leaf, before));
            self.hide(Place { leaf, span, offset }, reach, Deletion { dot, ..Deletion::NONE });
            left -= reach as usize;
            join_range(ranges, start, id, reach);
        }
    }

    /// The next counter after one that is no character, at which there may be one.
    fn next_character(&self, id: Id) -> Option<u32> {
        let places = &self.actors.get(id.actor as usize)?.places;
        let leaf = places.leaf(id.counter);
        let within = leaf.and_then(|leaf| {
            let spans = self.leaves[leaf as usize].spans.iter();
            let later = spans.filter(|span| span.id.actor == id.actor && span.id.counter > id.counter);
            later.map(|span| span.id.counter).min()
        });
        let next = places.next_start(id.counter).filter(|&start| start < places.end());
        match (within, next) {
            (Some(within), Some(next)) => Some(within.min(next)),
            (within, next) => within.or(next),
        }
    }

    /// Hides visible characters of one span.
    fn hide(&mut self, place: Place, length: u32, deletion: Deletion) {
        let leaf = &mut self.leaves[place.leaf as usize];
        let index = leaf.visible_before(place.span, place.offset);
        let from = leaf.byte_of(index);
        let is_ascii = leaf.text.len() == leaf.scalars as usize;
        let to = from + char_end(&leaf.text[from..], is_ascii, length as usize);
        let utf16 = if is_ascii { to - from } else { super::tree::utf16_len(&leaf.text[from..to]) };
        self.note(|text| Splice::Delete {
            scalar: text.before(place.leaf).0 + index,
            utf16: text.utf16_in(place.leaf, index),
            scalars: length as usize,
            utf16s: utf16,
        });
        let leaf = &mut self.leaves[place.leaf as usize];
        leaf.text.drain(from..to);
        self.bytes -= to - from;
        if self.format.is_some() {
            let id = leaf.spans[place.span].id.plus(place.offset);
            if let Some(format) = &mut self.format {
                format.forget(id, length);
            }
        }
        self.set_deletion(place, length, deletion);
        self.count(place.leaf, -(length as isize), -(utf16 as isize));
        self.settle(place.leaf);
    }

    /// Keeps the lesser of two deletions, for as many of the characters as one answer holds for; says how many.
    fn lessen(&mut self, actors: &[Actor], place: Place, length: u32, deletion: Deletion) -> u32 {
        let span = self.leaves[place.leaf as usize].spans[place.span];
        let old = span.deletion().from(place.offset);
        let dot = |id: Id| (actors[id.actor as usize], id.counter);
        let is_less = |offset| dot(deletion.at(offset)) < dot(old.at(offset));
        // By two actors one answer holds for all; by one actor the steps may cross.
        let reach = if deletion.dot.actor != old.dot.actor {
            length
        } else {
            (1..length).find(|&offset| is_less(offset) != is_less(0)).unwrap_or(length)
        };
        if is_less(0) {
            self.set_deletion(place, reach, deletion);
            self.settle(place.leaf);
        }
        reach
    }

    /// Writes a deletion over part of a span, and joins it with the spans around it.
    fn set_deletion(&mut self, place: Place, length: u32, deletion: Deletion) {
        let spans = &self.leaves[place.leaf as usize].spans;
        let whole = spans[place.span];
        let (from, to) = (place.offset, place.offset + length);
        let mut new = Span::new(whole.id.plus(from), length, deletion);
        let (mut start, mut end) = (place.span, place.span + 1);
        if from == 0
            && let Some(before) = start.checked_sub(1).map(|before| &spans[before])
            && let Some(joined) = self.join(before, &new)
        {
            new = joined;
            start -= 1;
        }
        if to == whole.len()
            && let Some(after) = spans.get(end)
            && let Some(joined) = self.join(&new, after)
        {
            new = joined;
            end += 1;
        }
        let left = (from > 0).then(|| whole.part(0, from));
        let right = (to < whole.len()).then(|| whole.part(to, whole.len()));
        let spans = &mut self.leaves[place.leaf as usize].spans;
        let parts = 1 + usize::from(left.is_some()) + usize::from(right.is_some());
        if parts == end - start {
            let at = &mut spans[start..end];
            let mut parts = left.into_iter().chain([new]).chain(right);
            at.fill_with(|| parts.next().unwrap_or(new));
        } else {
            reserve(spans);
            spans.splice(start..end, left.into_iter().chain([new]).chain(right));
        }
    }

    /// Both spans as one, where the second's first character was typed right after the first's last.
    fn join(&self, span: &Span, next: &Span) -> Option<Span> {
        let joined = span.joined(next)?;
        (self.left_origin(next.id) == span.last()).then_some(joined)
    }
}

/// Adds a run to a list of runs, to its last one (from `start` on) where that goes on, forwards or backwards.
pub(crate) fn join_range(ranges: &mut Vec<(Id, u32)>, start: usize, id: Id, length: u32) {
    if let Some((last, last_length)) = ranges[start..].last_mut() {
        if last.actor == id.actor && last.counter + *last_length == id.counter {
            *last_length += length;
            return;
        }
        if last.actor == id.actor && id.counter + length == last.counter {
            (*last, *last_length) = (id, *last_length + length);
            return;
        }
    }
    ranges.push((id, length));
}
