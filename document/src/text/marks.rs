//! The marks of one kind over a text.
//!
//! A mark that a later one of its kind covers wholly says nothing any more and never will: where both are known it is
//! dropped. What is left is the same whatever the order of arrival, since covering is transitive.

use std::cmp::Ordering;
use std::sync::Arc;

use super::span::Id;
use crate::formatting::Side;
use crate::map::Marker;
use crate::value::Value;

/// Marks of one chunk, at most.
const CHUNK: usize = 64;

/// A place beside a character. New characters come between what is after one and what is before the next.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) struct Slot {
    pub(crate) id: Id,
    pub(crate) side: Side,
}

impl Slot {
    /// Before all that ever comes.
    pub(crate) const START: Self = Self { id: Id::NONE, side: Side::After };
    /// After all that ever comes.
    pub(crate) const END: Self = Self { id: Id::NONE, side: Side::Before };

    pub(crate) fn before(id: Id) -> Self {
        Self { id, side: Side::Before }
    }

    pub(crate) fn after(id: Id) -> Self {
        Self { id, side: Side::After }
    }

    /// With the character under another name.
    pub(crate) fn moved(self, moved: impl Fn(Id) -> Id) -> Self {
        Self { id: if self.id.is_none() { Id::NONE } else { moved(self.id) }, side: self.side }
    }
}

/// What one operation says of a range.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Mark {
    pub(crate) start: Slot,
    pub(crate) end: Slot,
    pub(crate) marker: Marker,
    /// None takes the kind away.
    pub(crate) value: Option<Arc<Value>>,
}

/// Sorted by their starts, in chunks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Marks {
    chunks: Vec<Chunk>,
}

#[derive(Clone, Debug)]
struct Chunk {
    marks: Vec<Mark>,
    /// The furthest end of any of them.
    reach: Slot,
}

impl Marks {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Mark> {
        self.chunks.iter().flat_map(|chunk| &chunk.marks)
    }

    /// Whether a mark, or a later one that covers it, is held.
    pub(crate) fn covers(&self, order: &impl Fn(Slot, Slot) -> Ordering, mark: &Mark) -> bool {
        for chunk in &self.chunks {
            if chunk.marks.first().is_some_and(|first| order(first.start, mark.start).is_gt()) {
                return false;
            }
            if order(chunk.reach, mark.end).is_lt() {
                continue;
            }
            // Mostly none is later; what is compared first costs least.
            let later = chunk.marks.iter().filter(|held| held.marker >= mark.marker);
            let mut covering = later.take_while(|held| order(held.start, mark.start).is_le());
            if covering.any(|held| order(held.end, mark.end).is_ge()) {
                return true;
            }
        }
        false
    }

    /// Adds a mark that is not covered, and drops those that it covers; returns these.
    pub(crate) fn insert(&mut self, order: &impl Fn(Slot, Slot) -> Ordering, mark: Mark) -> Vec<Mark> {
        let first = self
            .chunks
            .partition_point(|chunk| chunk.marks.last().is_some_and(|last| order(last.start, mark.start).is_lt()));
        let mut dropped = Vec::new();
        let mut at = first;
        while let Some(chunk) = self.chunks.get_mut(at) {
            if chunk.marks.first().is_some_and(|first| order(first.start, mark.end).is_ge()) {
                break;
            }
            let before = dropped.len();
            chunk.marks.retain(|held| {
                let is_covered = held.marker < mark.marker
                    && order(held.start, mark.start).is_ge()
                    && order(held.end, mark.end).is_le();
                if is_covered {
                    dropped.push(held.clone());
                }
                !is_covered
            });
            if dropped.len() > before {
                chunk.measure(order);
            }
            at += 1;
        }
        if !dropped.is_empty() {
            self.chunks.retain(|chunk| !chunk.marks.is_empty());
        }
        self.place(order, mark);
        dropped
    }

    fn place(&mut self, order: &impl Fn(Slot, Slot) -> Ordering, mark: Mark) {
        let after = self
            .chunks
            .partition_point(|chunk| chunk.marks.first().is_some_and(|first| order(first.start, mark.start).is_le()));
        let Some(chunk) = self.chunks.get_mut(after.saturating_sub(1)) else {
            self.chunks.push(Chunk { reach: mark.end, marks: vec![mark] });
            return;
        };
        let index = chunk.marks.partition_point(|held| order(held.start, mark.start).is_le());
        if order(chunk.reach, mark.end).is_lt() {
            chunk.reach = mark.end;
        }
        chunk.marks.insert(index, mark);
        if chunk.marks.len() > CHUNK {
            let marks = chunk.marks.split_off(CHUNK / 2);
            chunk.measure(order);
            let mut upper = Chunk { marks, reach: Slot::START };
            upper.measure(order);
            self.chunks.insert(after.max(1), upper);
        }
    }

    /// Those that overlap a range.
    pub(crate) fn overlapping<'a, F: Fn(Slot, Slot) -> Ordering + Copy>(
        &'a self,
        order: F,
        start: Slot,
        end: Slot,
    ) -> impl Iterator<Item = &'a Mark> + use<'a, F> {
        self.chunks
            .iter()
            .take_while(move |chunk| chunk.marks.first().is_some_and(|first| order(first.start, end).is_lt()))
            .filter(move |chunk| order(chunk.reach, start).is_gt())
            .flat_map(|chunk| &chunk.marks)
            .filter(move |mark| order(mark.start, end).is_lt() && order(mark.end, start).is_gt())
    }

    /// The latest mark over a character.
    pub(crate) fn at(&self, order: impl Fn(Slot, Slot) -> Ordering + Copy, id: Id) -> Option<&Mark> {
        self.overlapping(order, Slot::before(id), Slot::after(id)).max_by_key(|mark| mark.marker)
    }
}

impl Chunk {
    fn measure(&mut self, order: &impl Fn(Slot, Slot) -> Ordering) {
        let ends = self.marks.iter().map(|mark| mark.end);
        self.reach = ends.reduce(|a, b| if order(a, b).is_lt() { b } else { a }).unwrap_or(Slot::START);
    }
}
