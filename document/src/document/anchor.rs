//! Places in a text that stay with their characters: cursors, comments.

use super::{Document, EditError, Position};
use crate::batch::encode::{read_number, write_number};
use crate::change::Unit;
use crate::formatting::Side;
use crate::ids::{Actor, Dot, MAX_COUNTER};
use crate::text::marks::Slot;
use crate::text::span::Id;

/// A place in a text that stays with the character at one of its sides, whatever is edited around it. It means the same
/// to every replica that holds that character; once it is deleted, the place is where it was.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub enum Anchor {
    /// Before the first character, whatever comes.
    Start,
    /// After the character of this dot.
    After(Dot),
    /// Before the character of this dot.
    Before(Dot),
    /// After the last character, whatever comes.
    End,
}

/// Why bytes are no anchor.
#[derive(Copy, Clone, Eq, PartialEq, Debug, thiserror::Error)]
#[error("not an encoded anchor")]
pub struct AnchorError;

impl Anchor {
    /// The encoded form: one byte for what it is (0 start, 1 after, 2 before, 3 end), and for 1 and 2 the character's actor
    /// and counter as LEB128 numbers. At most 16 bytes.
    pub fn to_bytes(self) -> Vec<u8> {
        let (what, dot) = match self {
            Anchor::Start => (0, None),
            Anchor::After(dot) => (1, Some(dot)),
            Anchor::Before(dot) => (2, Some(dot)),
            Anchor::End => (3, None),
        };
        let mut bytes = vec![what];
        if let Some(dot) = dot {
            write_number(dot.actor.0, &mut bytes);
            write_number(dot.counter, &mut bytes);
        }
        bytes
    }

    /// Reads the encoded form. Whether the character exists is up to [`Document::anchored`].
    ///
    /// # Errors
    /// When the bytes are not an anchor's, or more than that.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, AnchorError> {
        let (&what, mut rest) = bytes.split_first().ok_or(AnchorError)?;
        let anchor = match what {
            0 => Anchor::Start,
            3 => Anchor::End,
            1 | 2 => {
                let actor = Actor(read_number(&mut rest).ok_or(AnchorError)?);
                let counter = read_number(&mut rest).ok_or(AnchorError)?;
                if counter == 0 || counter > MAX_COUNTER {
                    return Err(AnchorError);
                }
                let dot = Dot::new(actor, counter);
                if what == 1 { Anchor::After(dot) } else { Anchor::Before(dot) }
            }
            _ => return Err(AnchorError),
        };
        if rest.is_empty() { Ok(anchor) } else { Err(AnchorError) }
    }
}

impl Document {
    /// The anchor of a position that stays with the character before it. Within a surrogate pair it is the pair's start.
    ///
    /// # Errors
    /// [`EditError::OutOfRange`].
    pub fn anchor(&self, name: &str, at: Position) -> Result<Anchor, EditError> {
        self.anchor_beside(name, at, Side::After)
    }

    /// The anchor of a position: after the character before it, or before the character after it. What is inserted right
    /// there comes behind the former and in front of the latter. Within a surrogate pair it is the pair's start.
    ///
    /// # Errors
    /// [`EditError::OutOfRange`].
    pub fn anchor_beside(&self, name: &str, at: Position, side: Side) -> Result<Anchor, EditError> {
        let text = self.text(name);
        let (position, length) = match at {
            Position::Scalar(position) => (position, text.len_scalars()),
            Position::Utf16(position) => (position, text.len_utf16()),
        };
        if position > length {
            return Err(EditError::OutOfRange { position, length });
        }
        let nowhere = if side == Side::After { Anchor::Start } else { Anchor::End };
        let Some(text) = self.texts.get(name) else { return Ok(nowhere) };
        let scalar = match at {
            Position::Scalar(scalar) => scalar,
            Position::Utf16(utf16) => text.scalar_at(utf16),
        };
        let id = if side == Side::After { text.character_before(scalar) } else { text.character_at(scalar) };
        let Some(&actor) = self.actors.get(id.actor as usize).filter(|_| !id.is_none()) else { return Ok(nowhere) };
        let dot = Dot::new(actor, u64::from(id.counter));
        Ok(if side == Side::After { Anchor::After(dot) } else { Anchor::Before(dot) })
    }

    /// Where an anchor is now; `None` while its character has not come. Takes time in proportion to the logarithm of the
    /// text's length.
    pub fn anchored(&self, name: &str, anchor: Anchor, unit: Unit) -> Option<usize> {
        if anchor == Anchor::Start {
            return Some(0);
        }
        let Some(text) = self.texts.get(name) else { return (anchor == Anchor::End).then_some(0) };
        let scalar = text.scalars_before(self.slot(name, anchor)?);
        Some(match unit {
            Unit::Scalar => scalar,
            Unit::Utf16 => text.utf16_at(scalar),
        })
    }

    /// The place that an anchor means, if its character is there.
    pub(super) fn slot(&self, name: &str, anchor: Anchor) -> Option<Slot> {
        let (dot, side) = match anchor {
            Anchor::Start => return Some(Slot::START),
            Anchor::End => return Some(Slot::END),
            Anchor::After(dot) => (dot, Side::After),
            Anchor::Before(dot) => (dot, Side::Before),
        };
        let counter = u32::try_from(dot.counter).ok().filter(|&counter| counter > 0)?;
        let id = Id { actor: *self.index.get(&dot.actor)?, counter };
        self.texts.get(name)?.has(id).then_some(Slot { id, side })
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

    #[test]
    fn the_side_says_where_what_comes_there_goes() {
        let mut document = Document::new();
        document.set_actor(Actor(1), 1);
        document.insert("t", Position::Scalar(0), "abcd").unwrap();
        let anchors = |document: &Document, at| {
            [Side::After, Side::Before].map(|side| document.anchor_beside("t", Position::Scalar(at), side).unwrap())
        };
        let (start, middle, end) = (anchors(&document, 0), anchors(&document, 2), anchors(&document, 4));
        assert_eq!(end[1], Anchor::End);
        assert_eq!(anchors(&Document::new(), 0), [Anchor::Start, Anchor::End]);
        document.insert("t", Position::Scalar(4), "$").unwrap();
        document.insert("t", Position::Scalar(2), "++").unwrap();
        document.insert("t", Position::Scalar(0), "^").unwrap();
        let at = |document: &Document, anchor| document.anchored("t", anchor, Unit::Scalar);
        assert_eq!(document.text("t").to_string(), "^ab++cd$");
        for (pair, places) in [(start, [0, 1]), (middle, [3, 5]), (end, [7, 8])] {
            assert_eq!(pair.map(|anchor| at(&document, anchor)), places.map(Some));
        }
        document.delete("t", Position::Scalar(2), 4).unwrap();
        assert_eq!(document.text("t").to_string(), "^ad$");
        assert_eq!(middle.map(|anchor| at(&document, anchor)), [Some(2), Some(2)], "where they were");
    }

    #[test]
    fn anchors_have_bytes() {
        let dot = Dot::new(Actor(300), 7);
        let table = [
            (Anchor::Start, vec![0]),
            (Anchor::After(dot), vec![1, 0xac, 2, 7]),
            (Anchor::Before(dot), vec![2, 0xac, 2, 7]),
            (Anchor::End, vec![3]),
            (Anchor::After(Dot::new(Actor(u64::MAX), MAX_COUNTER)), Vec::new()),
        ];
        for (anchor, bytes) in table {
            let written = anchor.to_bytes();
            assert!(written.len() <= 16 && (bytes.is_empty() || written == bytes));
            assert_eq!(Anchor::from_bytes(&written), Ok(anchor));
            for end in 0..written.len() {
                assert_eq!(Anchor::from_bytes(&written[..end]), Err(AnchorError));
            }
        }
        let refused: [&[u8]; 5] = [
            &[0, 0],
            &[4],
            &[1, 1, 0],
            &[2, 1, 0xff, 0xff, 0xff, 0xff, 0x0f],
            &[1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80],
        ];
        for bytes in refused {
            assert_eq!(Anchor::from_bytes(bytes), Err(AnchorError), "{bytes:?}");
        }
    }
}
