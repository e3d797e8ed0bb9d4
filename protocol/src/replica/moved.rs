//! Where what an edit refers to is now, when the edit is made again.

use std::collections::BTreeMap;

use inkwire_document::{Anchor, Document, Dot, Position, Unit};

/// Where the scalars and elements of remade inserts are now, and what to take for those that are nowhere.
///
/// An edit may refer to what somebody else wrote and was refused: its author makes it again under dots of its own, which nobody
/// can relate to the old ones. Then the place is found by what stood before it: the nearest character to the left that is still
/// there, in the document as its author saw it when the edit was made.
#[derive(Debug)]
pub(super) struct Moved<'a> {
    ranges: Vec<(Dot, u64, Dot)>,
    /// What the application saw before it was taken back.
    old: &'a Document,
    /// Of a position in a root of `old` where nothing was found at once: what is to the left of it.
    nearest: BTreeMap<(String, usize), Option<Dot>>,
}

impl<'a> Moved<'a> {
    pub(super) fn new(old: &'a Document) -> Self {
        Self { ranges: Vec::new(), old, nearest: BTreeMap::new() }
    }

    pub(super) fn add(&mut self, document: &mut Document, old: Dot, length: u64, new: Dot) {
        document.undo_moved(old, length as u32, new);
        self.ranges.push((old, length, new));
    }

    pub(super) fn find(&self, dot: Dot) -> Dot {
        let within = |(old, length, _): &&(Dot, u64, Dot)| {
            old.actor == dot.actor && (old.counter..old.counter + length).contains(&dot.counter)
        };
        match self.ranges.iter().rev().find(within) {
            Some((old, _, new)) => Dot::new(new.actor, new.counter + (dot.counter - old.counter)),
            None => dot,
        }
    }

    pub(super) fn anchor(&self, anchor: Anchor) -> Anchor {
        match anchor {
            Anchor::After(dot) => Anchor::After(self.find(dot)),
            Anchor::Before(dot) => Anchor::Before(self.find(dot)),
            Anchor::Start | Anchor::End => anchor,
        }
    }

    /// The position in a text behind a character, or behind the nearest to its left.
    pub(super) fn behind_character(&mut self, document: &Document, root: &str, left: Option<Dot>) -> usize {
        let place = |document: &Document, dot| document.anchored(root, Anchor::After(dot), Unit::Scalar);
        let before = |old: &Document, at| match old.anchor(root, Position::Scalar(at)) {
            Ok(Anchor::After(dot)) => Some(dot),
            _ => None,
        };
        self.behind(document, root, left, place, before)
    }

    /// The index in a list behind an element, or behind the nearest to its left.
    pub(super) fn behind_element(&mut self, document: &Document, root: &str, left: Option<Dot>) -> usize {
        let place = |document: &Document, dot| document.list_index_after(root, Some(dot));
        let before = |old: &Document, at: usize| old.list_dot(root, at - 1);
        self.behind(document, root, left, place, before)
    }

    fn behind(
        &mut self,
        document: &Document,
        root: &str,
        left: Option<Dot>,
        place: impl Fn(&Document, Dot) -> Option<usize>,
        before: impl Fn(&Document, usize) -> Option<Dot>,
    ) -> usize {
        let Some(left) = left else { return 0 };
        if let Some(at) = place(document, self.find(left)) {
            return at;
        }
        let Some(start) = place(self.old, left) else { return 0 };
        let mut nearest = None;
        for at in (1..=start).rev() {
            // Whoever stood behind a lost run looks through it once.
            if let Some(known) = self.nearest.get(&(root.to_owned(), at)) {
                nearest = *known;
                break;
            }
            let there = before(self.old, at).map(|dot| self.find(dot)).filter(|dot| place(document, *dot).is_some());
            if there.is_some() {
                nearest = there;
                break;
            }
        }
        self.nearest.insert((root.to_owned(), start), nearest);
        nearest.and_then(|dot| place(document, dot)).unwrap_or(0)
    }
}
