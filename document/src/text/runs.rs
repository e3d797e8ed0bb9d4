//! Visible characters by their dots.

use super::Text;
use super::span::Id;
use super::tree::NOWHERE;

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
}
