//! Places that stay with their characters.

use super::Text;
use super::span::Id;

impl Text {
    /// The character before a place, by visible characters; none at the start.
    pub(crate) fn character_before(&self, scalar: usize) -> Id {
        let Some(last) = scalar.min(self.scalars).checked_sub(1) else { return Id::NONE };
        let (leaf, before) = self.descend(last);
        let state = &self.leaves[leaf as usize];
        let (span, offset) = state.visible_at(last - before);
        state.spans.get(span).map_or(Id::NONE, |span| span.id.plus(offset))
    }

    /// The visible characters up to and including one; up to where it was, if it is deleted. `None` when it is not here.
    pub(crate) fn scalars_through(&self, id: Id) -> Option<usize> {
        let place = self.find(id)?;
        let state = &self.leaves[place.leaf as usize];
        let itself = usize::from(state.spans[place.span].is_visible());
        Some(self.before(place.leaf).0 + state.visible_before(place.span, place.offset) + itself)
    }
}
