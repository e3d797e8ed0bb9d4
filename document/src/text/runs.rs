//! Visible characters by their dots, and places beside deleted ones.

use super::span::{Deletion, Id, Span};
use super::tree::NOWHERE;
use super::{Place, Text};
use crate::transaction::Insert;

impl Text {
    /// Runs of visible characters with consecutive counters, from an index on; the last one may reach beyond what is wanted.
    pub(crate) fn runs_from(&self, index: usize) -> impl Iterator<Item = (Id, u32)> + use<'_> {
        let (mut leaf, mut skip) = (NOWHERE, 0);
        if index < self.scalars {
            let (found, before) = self.descend(index);
            (leaf, skip) = (found, (index - before) as u32);
        }
        let mut span = 0;
        std::iter::from_fn(move || {
            loop {
                let state = self.leaves.get(leaf as usize).filter(|_| leaf != NOWHERE)?;
                let Some(at) = state.spans.get(span) else {
                    (leaf, span) = (state.next, 0);
                    continue;
                };
                span += 1;
                let visible = at.visible();
                if skip < visible {
                    let run = (at.id.plus(skip), visible - skip);
                    skip = 0;
                    return Some(run);
                }
                skip -= visible;
            }
        })
    }

    /// The runs of a range of visible characters; stops at the end.
    pub(crate) fn runs(&self, index: usize, length: usize) -> impl Iterator<Item = (Id, u32)> + use<'_> {
        let mut left = length;
        self.runs_from(index).map_while(move |(id, length)| {
            let taken = (length as usize).min(left);
            left -= taken;
            (taken > 0).then_some((id, taken as u32))
        })
    }

    /// From a character on, those of the same actor with the next counters that follow it without a gap and are as visible
    /// as it is: how many, and the dots that deleted them. `None` where there is no such character.
    pub(crate) fn stretch(&self, id: Id) -> Option<(u32, Deletion)> {
        let place = self.find(id)?;
        let span = self.leaves[place.leaf as usize].spans[place.span];
        Some((span.len() - place.offset, span.deletion().from(place.offset)))
    }

    /// The character after another, be it deleted; none at the end.
    pub(crate) fn follower(&self, id: Id) -> Option<Id> {
        let place = self.find(id)?;
        Some(self.at(Place { offset: place.offset + 1, ..place }))
    }

    /// How many visible characters come before one.
    pub(crate) fn index_of(&self, id: Id) -> Option<usize> {
        let place = self.find(id)?;
        let state = &self.leaves[place.leaf as usize];
        Some(self.before(place.leaf).0 + state.visible_before(place.span, place.offset))
    }

    /// A local insert right after a character, be it deleted.
    pub(crate) fn insert_after(&mut self, left: Id, id: Id, text: &str, scalars: u32) -> Option<Insert> {
        let gap = self.gap_after(left)?;
        let right = self.at(gap);
        let continues = self.insert_at(gap, Span::new(id, scalars, Deletion::NONE), text, left, right);
        Some(Insert { left, right, continues, scalars })
    }
}
