//! The visible text.

use super::tree::NOWHERE;
use super::{Splice, Text};
use crate::snapshot::state::char_end;

impl Text {
    pub(crate) fn len_scalars(&self) -> usize {
        self.scalars
    }

    pub(crate) fn len_utf16(&self) -> usize {
        self.utf16
    }

    pub(crate) fn len_bytes(&self) -> usize {
        self.bytes
    }

    /// The scalars before a UTF-16 position that is within the text.
    pub(crate) fn scalar_at(&self, utf16: usize) -> usize {
        self.scalar_of_utf16(utf16)
    }

    /// The UTF-16 units before a visible character.
    pub(crate) fn utf16_at(&self, scalar: usize) -> usize {
        if self.utf16 == self.scalars {
            return scalar;
        }
        if scalar >= self.scalars {
            return self.utf16;
        }
        let (leaf, before) = self.descend(scalar);
        self.utf16_in(leaf, scalar - before)
    }

    /// The UTF-16 units before the visible character of that index in a leaf, from the text's start.
    pub(super) fn utf16_in(&self, leaf: u32, index: usize) -> usize {
        let state = &self.leaves[leaf as usize];
        let within = super::tree::utf16_len(&state.text[..state.byte_of(index)]);
        self.before(leaf).1 + within
    }

    /// The text in pieces, from a leaf on.
    pub(super) fn chunks_from(&self, leaf: u32) -> impl Iterator<Item = &str> + use<'_> {
        let mut at = leaf;
        std::iter::from_fn(move || {
            let leaf = self.leaves.get(at as usize).filter(|_| at != NOWHERE)?;
            at = leaf.next;
            Some(leaf.text.as_str())
        })
    }

    pub(crate) fn chunks(&self) -> impl Iterator<Item = &str> + use<'_> {
        // The first leaf stays the first: what divides off goes behind.
        self.chunks_from(0)
    }

    pub(crate) fn slice(&self, range: std::ops::Range<usize>) -> String {
        let end = range.end.min(self.scalars);
        let mut slice = String::new();
        if range.start >= end {
            return slice;
        }
        let (leaf, before) = self.descend(range.start);
        let (mut skip, mut left) = (range.start - before, end - range.start);
        for chunk in self.chunks_from(leaf) {
            let from = char_end(chunk, false, skip);
            let rest = &chunk[from..];
            let taken = &rest[..char_end(rest, false, left)];
            slice.push_str(taken);
            left -= taken.chars().count();
            if left == 0 {
                break;
            }
            skip = 0;
        }
        slice
    }

    pub(super) fn note(&mut self, splice: impl FnOnce(&Self) -> Splice) {
        if self.splices.is_some() {
            let splice = splice(self);
            if let Some(splices) = &mut self.splices {
                splices.push(splice);
            }
        }
    }
}
