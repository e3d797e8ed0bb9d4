//! Where a local edit's marks begin and end, and where text goes that is typed at a mark's edge.

use super::integrate::Gap;
use super::marks::Slot;
use super::span::Id;
use super::tree::NOWHERE;
use super::{Place, Text};
use crate::formatting::Growth;

/// Runs of deleted characters that are looked at for a mark's edge. What lies behind so many is seldom meant.
const MAX_RUNS: usize = 4096;

impl Text {
    /// The visible character of an index; none beyond the last.
    pub(crate) fn character_at(&self, index: usize) -> Id {
        if index < self.len_scalars() { self.character_before(index + 1) } else { Id::NONE }
    }

    /// Between which places a mark over visible characters lies.
    pub(crate) fn slots(&self, from: usize, to: usize, growth: Growth) -> (Slot, Slot) {
        let start = if !growth.at_start() {
            Slot::before(self.character_at(from))
        } else if from == 0 {
            Slot::START
        } else {
            Slot::after(self.character_before(from))
        };
        // Without a character at `to` this is the text's end.
        let end =
            if growth.at_end() { Slot::before(self.character_at(to)) } else { Slot::after(self.character_before(to)) };
        (start, end)
    }

    /// Where text that is typed into a gap goes: before deleted characters that follow, but after those at which a mark
    /// ends that does not grow; else the link whose last letters are deleted would take in what is typed behind it.
    pub(super) fn past_edges(&self, gap: Place, left: Id) -> Gap {
        let mut found = Gap { place: gap, left };
        let Some(format) = self.format.as_ref().filter(|format| !format.after.is_empty()) else { return found };
        let (mut leaf, mut index, mut from) = (gap.leaf, gap.span, gap.offset);
        for _ in 0..MAX_RUNS {
            let Some(span) = self.leaves[leaf as usize].spans.get(index) else {
                leaf = self.leaves[leaf as usize].next;
                if leaf == NOWHERE {
                    break;
                }
                (index, from) = (0, 0);
                continue;
            };
            if from < span.len() {
                if span.is_visible() {
                    break;
                }
                let last = format.after.range(span.id.plus(from)..=span.last()).next_back();
                if let Some((&id, _)) = last {
                    let offset = id.counter - span.id.counter + 1;
                    found = Gap { place: Place { leaf, span: index, offset }, left: id };
                }
            }
            (index, from) = (index + 1, 0);
        }
        found
    }
}

impl Text {
    /// The characters that end the lines of a range; none for the last line.
    pub(crate) fn lines(&self, from: usize, to: usize) -> Vec<Id> {
        let mut lines = Vec::new();
        let mut at = from;
        loop {
            let Some(end) = self.line_break(at) else {
                lines.push(Id::NONE);
                return lines;
            };
            lines.push(self.character_at(end));
            at = end + 1;
            // A range that ends right behind a line break does not touch the next line.
            if at >= to {
                return lines;
            }
        }
    }

    /// The index of the first line break at or behind a visible character.
    fn line_break(&self, from: usize) -> Option<usize> {
        if from >= self.len_scalars() {
            return None;
        }
        let (leaf, before) = self.descend(from);
        let state = &self.leaves[leaf as usize];
        let mut at = before;
        let mut skip = state.byte_of(from - before);
        at += from - before;
        for chunk in self.chunks_from(leaf) {
            let rest = &chunk[skip..];
            if let Some(byte) = rest.find('\n') {
                return Some(at + rest[..byte].chars().count());
            }
            at += rest.chars().count();
            skip = 0;
        }
        None
    }
}
