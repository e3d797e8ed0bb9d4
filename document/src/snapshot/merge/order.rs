//! Which of two characters comes first that are at one place and of which each side knows only one.
//!
//! Between two neighbouring characters that both sides know, each side has a forest: a character's parent is another one
//! there, or one that both know (else what is between a character and its parent, below the parent too, would have come
//! before it). Trees of the two forests do not mix, so their roots decide. Of two roots
//!
//! - right children come before left children: what is below a character on its right before what is below a later one on
//!   its left,
//! - of two right children the one whose parent is later comes first: that parent is below the other one; and so it is with
//!   left children,
//! - children of one parent on one side are in the order of the text's definition ([`crate::text`]).

use std::cell::OnceCell;
use std::cmp::Ordering;
use std::collections::HashMap;

use super::super::SnapshotError;
use super::super::blocks::Block;
use super::super::state::TextState;
use super::Table;
use super::blocks::Packed;
use crate::text::span::Id;

const CIRCLE: SnapshotError = SnapshotError::Malformed("origins go round in a circle");
const MISSING: SnapshotError = SnapshotError::Malformed("an origin is not there");

/// One side's text. Its blocks have the merged indices of actors.
pub(super) struct Side<'a, 's> {
    pub(super) blocks: Vec<Block<'a>>,
    /// The blocks by their first characters.
    by_first: HashMap<Id, usize>,
    ranges: Vec<super::ActorRange>,
    pub(super) version: &'s [u32],
    jumps: &'s [Vec<(u32, u64)>],
    whole: OnceCell<Whole>,
}

impl<'a, 's> Side<'a, 's> {
    pub(super) fn new(
        mut blocks: Vec<Block<'a>>,
        table: &'s Table,
        jumps: &'s [Vec<(u32, u64)>],
    ) -> Result<Self, SnapshotError> {
        for (index, _) in blocks.iter_mut().flat_map(|block| &mut block.actors) {
            *index = table.merged[*index as usize];
            if *index == u32::MAX {
                return Err(MISSING);
            }
        }
        let firsts = blocks.iter().enumerate().map(|(index, block)| block.first().map(|first| (first, index)));
        let by_first = firsts.collect::<Result<_, _>>()?;
        let mut ranges = vec![super::ActorRange::default(); jumps.len()];
        for (range, &merged) in table.ranges.iter().zip(&table.merged) {
            if let Some(slot) = ranges.get_mut(merged as usize) {
                *slot = *range;
            }
        }
        Ok(Self { blocks, by_first, ranges, version: &table.version, jumps, whole: OnceCell::new() })
    }

    /// The block that begins with the same character as one of the other side.
    pub(super) fn beginning_like(&self, block: &Block<'_>) -> Option<usize> {
        self.by_first.get(&block.first().ok()?).copied()
    }

    pub(super) fn knows(&self, id: Id) -> bool {
        self.version[id.actor as usize] >= id.counter
    }

    /// Some of its blocks, taken apart; and how their texts were packed.
    pub(super) fn decode(&self, blocks: std::ops::Range<usize>) -> Result<(TextState, Vec<Packed<'a>>), SnapshotError> {
        let mut text = TextState { jumps: self.jumps.to_vec(), ..TextState::default() };
        let mut packed = Vec::new();
        for block in &self.blocks[blocks] {
            packed.extend(Packed::decode(block, &self.ranges, &mut text)?);
        }
        Ok((text, packed))
    }

    fn whole(&self) -> Result<&Whole, SnapshotError> {
        if let Some(whole) = self.whole.get() {
            return Ok(whole);
        }
        let mut text = TextState { jumps: self.jumps.to_vec(), ..TextState::default() };
        for block in &self.blocks {
            block.decode(&self.ranges, &mut text)?;
        }
        let order = text.by_id().ok_or(SnapshotError::Malformed("a character is there twice"))?;
        Ok(self.whole.get_or_init(|| Whole { text, order }))
    }
}

/// A side's characters without their content, all of them, with a way from dots to characters.
struct Whole {
    text: TextState,
    order: Vec<u32>,
}

/// A place: the span, and the offset in it.
type Place = (u32, u32);

impl Whole {
    fn find(&self, id: Id) -> Result<Place, SnapshotError> {
        let after = self.order.partition_point(|&index| {
            let first = self.text.spans[index as usize].id;
            (first.actor, first.counter) <= (id.actor, id.counter)
        });
        let index = *after.checked_sub(1).and_then(|at| self.order.get(at)).ok_or(MISSING)?;
        let span = self.text.spans[index as usize];
        if span.contains(id) { Ok((index, id.counter - span.id.counter)) } else { Err(MISSING) }
    }

    /// The place of a right origin: none is the end.
    fn right_place(&self, id: Id) -> Result<Place, SnapshotError> {
        if id.is_none() { Ok((u32::MAX, 0)) } else { self.find(id) }
    }

    /// Where the right origin last changed at or before a place of its span, and what it has been since.
    fn turn(&self, (index, offset): Place) -> (u32, Id) {
        let after = self.text.turns.partition_point(|turn| (turn.0, turn.1) <= (index, offset));
        match after.checked_sub(1).map(|at| self.text.turns[at]).filter(|turn| turn.0 == index) {
            Some((_, from, right)) => (from, right),
            None => (0, self.text.heads[index as usize].right),
        }
    }

    fn left(&self, (index, offset): Place) -> Id {
        match offset.checked_sub(1) {
            Some(before) => self.text.spans[index as usize].id.plus(before),
            None => self.text.heads[index as usize].left,
        }
    }

    /// The next character after a place that the other side knows.
    fn next_known(&self, (index, offset): Place, other: &Side<'_, '_>) -> Id {
        let mut from = offset;
        for span in &self.text.spans[index as usize..] {
            // Of one span, the other side knows the beginning.
            if from < span.len() && other.knows(span.id.plus(from)) {
                return span.id.plus(from);
            }
            from = 0;
        }
        Id::NONE
    }

    /// The root of a character's tree among those that the other side does not know.
    fn root(&self, id: Id, other: &Side<'_, '_>) -> Result<Root, SnapshotError> {
        let mut id = id;
        for _ in 0..self.text.spans.len() + self.text.turns.len() + 1 {
            let place = self.find(id)?;
            let (from, right) = self.turn(place);
            // Within a run each character is the right child of the one before it.
            let place = (place.0, from.max(self.known_offset(place, other)));
            id = self.text.spans[place.0 as usize].id.plus(place.1);
            let left = self.left(place);
            let is_left_child = !right.is_none() && self.left(self.find(right)?) == left;
            let parent = if is_left_child { right } else { left };
            if parent.is_none() || other.knows(parent) {
                return Ok(Root { id, parent, right, is_left_child });
            }
            id = parent;
        }
        Err(CIRCLE)
    }

    /// The offset of the first character of a span that the other side does not know.
    fn known_offset(&self, (index, _): Place, other: &Side<'_, '_>) -> u32 {
        let span = self.text.spans[index as usize];
        (other.version[span.id.actor as usize] + 1).saturating_sub(span.id.counter).min(span.len() - 1)
    }
}

#[derive(Copy, Clone)]
struct Root {
    id: Id,
    parent: Id,
    right: Id,
    is_left_child: bool,
}

/// Which of two characters at one place comes first, `a` of one side and `b` of the other, each known there alone.
pub(super) fn compare(one: &Side<'_, '_>, a: Id, other: &Side<'_, '_>, b: Id) -> Result<Ordering, SnapshotError> {
    let (whole, other_whole) = (one.whole()?, other.whole()?);
    let (mut a, mut b, mut is_reversed) = (a, b, false);
    for _ in 0..whole.text.spans.len() + whole.text.turns.len() + 1 {
        let (root, other_root) = (whole.root(a, other)?, other_whole.root(b, one)?);
        let dots = (root.id.actor, root.id.counter).cmp(&(other_root.id.actor, other_root.id.counter));
        let order = if root.is_left_child != other_root.is_left_child {
            root.is_left_child.cmp(&other_root.is_left_child)
        } else if root.parent != other_root.parent {
            // Both sides know both parents; none is the start.
            let place = |id: Id| if id.is_none() { Ok(None) } else { whole.find(id).map(Some) };
            place(other_root.parent)?.cmp(&place(root.parent)?)
        } else if root.is_left_child || root.right == other_root.right {
            dots
        } else {
            // Whichever right origin is further to the right comes first.
            let (right, other_right) = (root.right, other_root.right);
            let is_known = |side: &Side<'_, '_>, id: Id| id.is_none() || side.knows(id);
            if is_known(other, right) {
                other_whole.right_place(other_right)?.cmp(&other_whole.right_place(right)?)
            } else if is_known(one, other_right) {
                whole.right_place(other_right)?.cmp(&whole.right_place(right)?)
            } else {
                let next = whole.next_known(whole.find(right)?, other);
                let other_next = other_whole.next_known(other_whole.find(other_right)?, one);
                if next == other_next {
                    (a, b, is_reversed) = (right, other_right, !is_reversed);
                    continue;
                }
                whole.right_place(other_next)?.cmp(&whole.right_place(next)?)
            }
        };
        return Ok(if is_reversed { order.reverse() } else { order });
    }
    Err(CIRCLE)
}
