//! Places in a text that stay with their characters: cursors, comments.

use super::{Document, EditError, Position};
use crate::change::Unit;
use crate::ids::Dot;
use crate::text::span::Id;

/// A place in a text that stays with the character before it, whatever is edited around it. It means the same to every
/// replica that holds that character.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub enum Anchor {
    /// Before the first character.
    Start,
    /// After the character of this dot; where it was, once it is deleted.
    After(Dot),
}

impl Document {
    /// The anchor of a position. Within a surrogate pair it is the pair's start.
    ///
    /// # Errors
    /// [`EditError::OutOfRange`].
    pub fn anchor(&self, name: &str, at: Position) -> Result<Anchor, EditError> {
        let text = self.text(name);
        let (position, length) = match at {
            Position::Scalar(position) => (position, text.len_scalars()),
            Position::Utf16(position) => (position, text.len_utf16()),
        };
        if position > length {
            return Err(EditError::OutOfRange { position, length });
        }
        let Some(text) = self.texts.get(name) else { return Ok(Anchor::Start) };
        let id = text.character_before(match at {
            Position::Scalar(scalar) => scalar,
            Position::Utf16(utf16) => text.scalar_at(utf16),
        });
        let Some(&actor) = self.actors.get(id.actor as usize).filter(|_| !id.is_none()) else {
            return Ok(Anchor::Start);
        };
        Ok(Anchor::After(Dot::new(actor, u64::from(id.counter))))
    }

    /// Where an anchor is now; `None` while its character has not come.
    pub fn anchored(&self, name: &str, anchor: Anchor, unit: Unit) -> Option<usize> {
        let dot = match anchor {
            Anchor::Start => return Some(0),
            Anchor::After(dot) => dot,
        };
        let text = self.texts.get(name)?;
        let counter = u32::try_from(dot.counter).ok().filter(|&counter| counter > 0)?;
        let scalar = text.scalars_through(Id { actor: *self.index.get(&dot.actor)?, counter })?;
        Some(match unit {
            Unit::Scalar => scalar,
            Unit::Utf16 => text.utf16_at(scalar),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Actor;

    #[test]
    fn an_anchor_stays_with_its_character() {
        let mut ours = Document::new();
        ours.set_actor(Actor(1), 1);
        ours.insert("t", Position::Scalar(0), "a😀bc").unwrap();
        let at = |document: &Document, utf16| document.anchor("t", Position::Utf16(utf16)).unwrap();
        let (start, after_face, after_b, end) = (at(&ours, 0), at(&ours, 3), at(&ours, 4), at(&ours, 5));
        assert_eq!(at(&ours, 2), at(&ours, 1), "within the pair is its start");
        assert_eq!(start, Anchor::Start);

        let mut theirs = Document::new();
        assert_eq!(theirs.anchored("t", after_b, Unit::Utf16), None, "the character has not come");
        for batch in ours.take_batches() {
            theirs.apply(&batch).unwrap();
        }
        theirs.set_actor(Actor(2), 1);
        theirs.insert("t", Position::Scalar(0), ">>").unwrap();
        theirs.delete("t", Position::Scalar(4), 1).unwrap();
        assert_eq!(theirs.text("t").to_string(), ">>a😀c");
        let table = [(start, 0, 0), (after_face, 5, 4), (after_b, 5, 4), (end, 6, 5)];
        for (anchor, utf16, scalar) in table {
            assert_eq!(theirs.anchored("t", anchor, Unit::Utf16), Some(utf16), "{anchor:?}");
            assert_eq!(theirs.anchored("t", anchor, Unit::Scalar), Some(scalar), "{anchor:?}");
        }
        assert_eq!(theirs.anchored("t", Anchor::After(Dot::new(Actor(1), 99)), Unit::Utf16), None);
        assert_eq!(theirs.anchored("other", end, Unit::Utf16), None);
        let beyond = ours.anchor("t", Position::Utf16(6));
        assert_eq!(beyond, Err(EditError::OutOfRange { position: 6, length: 5 }));
    }
}
