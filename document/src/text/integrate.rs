//! Where an insert belongs: FugueMax (Weidner and Kleppmann, "The Art of the Fugue", 2023), as a total order that follows
//! from the operations alone.
//!
//! Characters form a tree. A character with left origin `L` and right origin `R` is
//!
//! - `R`'s left child when `R`'s own left origin is `L`; `R`'s left children are in order of their dots,
//! - `L`'s right child otherwise; `L`'s right children are in order of their right origins, the one furthest to the right
//!   first, and of their dots where those are the same.
//!
//! The text is the tree read in order: left children, the character, right children. All of it is decided by what each
//! operation says and by what it refers to, which is there before it: so any two replicas with the same operations have
//! the same text, whatever those operations say. For operations that an honest replica makes this is exactly FugueMax.
//!
//! Two facts make it quick. A character is in `L`'s right subtree exactly if its left origin is `L` or lies in that
//! subtree, and the subtree follows `L` without a gap. And where the next character after `L` is `R`, nothing needs to be
//! looked at: between them is the place. Only inserts that were concurrent at one place take the slow path, and where
//! they are very many, [`far`](super::far) does not pass them one by one.

use std::cmp::Ordering;

use super::far::NEAR;
use super::origins::Run;
use super::span::{Deletion, Id, Span};
use super::tree::{NOWHERE, utf16_len};
use super::{Place, Text};
use crate::ids::Actor;
use crate::snapshot::state::char_end;
use crate::transaction::Insert;

impl Text {
    /// Inserts characters between two others; none stands for the text's start and end. Without effect where an origin
    /// is not a character of this text: then what it refers to never was one, and never will be.
    pub(crate) fn integrate(&mut self, actors: &[Actor], span: Span, text: &str, left: Id, right: Id) -> bool {
        let Some(gap) = self.gap_after(left) else { return false };
        let gap = if self.at(gap) == right {
            gap
        } else if right.is_none() || self.find(right).is_some() {
            self.search(actors, span.id, left, right, gap)
        } else {
            return false;
        };
        self.insert_at(gap, span, text, left, right);
        true
    }

    /// Inserts characters after the actor's character of the counter before, as if typed on with it.
    pub(crate) fn integrate_next(&mut self, actors: &[Actor], id: Id, text: &str, scalars: u32) -> bool {
        let left = Id { actor: id.actor, counter: id.counter - 1 };
        let Some(place) = self.find(left) else { return false };
        let right = self.run(left).right;
        let gap = Place { offset: place.offset + 1, ..place };
        let gap = if self.at(gap) == right { gap } else { self.search(actors, id, left, right, gap) };
        self.insert_at(gap, Span::new(id, scalars, Deletion::NONE), text, left, right);
        true
    }

    /// A local insert before the visible character of that index.
    pub(crate) fn insert_local(&mut self, index: usize, id: Id, text: &str, scalars: u32) -> Insert {
        let (gap, left, start) = match index.checked_sub(1) {
            None => (Place { leaf: 0, span: 0, offset: 0 }, Id::NONE, 0),
            Some(before) => {
                let (leaf, start) = self.locate(before);
                let (span, offset) = self.leaves[leaf as usize].visible_at(before - start);
                let left = self.leaves[leaf as usize].spans[span].id.plus(offset);
                (Place { leaf, span, offset: offset + 1 }, left, start)
            }
        };
        let Gap { place: gap, left: id_before } = self.past_edges(gap, left);
        let is_moved = id_before != left;
        let (left, right) = (id_before, self.at(gap));
        self.hint = Some((gap.leaf, start)).filter(|_| !is_moved);
        let continues = self.insert_at(gap, Span::new(id, scalars, Deletion::NONE), text, left, right);
        Insert { left, right, continues, scalars }
    }

    /// The leaf of a visible character and what is visible before it; quick near the last local edit.
    pub(super) fn locate(&self, index: usize) -> (u32, usize) {
        if let Some((leaf, start)) = self.hint
            && index >= start
            && index - start < self.leaves[leaf as usize].scalars as usize
        {
            return (leaf, start);
        }
        self.descend(index)
    }

    /// The gap after a character, or at the text's start.
    pub(super) fn gap_after(&self, left: Id) -> Option<Place> {
        if left.is_none() {
            return Some(Place { leaf: 0, span: 0, offset: 0 });
        }
        self.find(left).map(|place| Place { offset: place.offset + 1, ..place })
    }

    /// The character after a gap; none at the text's end.
    pub(super) fn at(&self, gap: Place) -> Id {
        let mut leaf = &self.leaves[gap.leaf as usize];
        match leaf.spans.get(gap.span) {
            Some(span) if gap.offset < span.len() => return span.id.plus(gap.offset),
            _ => {}
        }
        let mut next = gap.span + 1;
        loop {
            if let Some(span) = leaf.spans.get(next) {
                return span.id;
            }
            if leaf.next == NOWHERE {
                return Id::NONE;
            }
            leaf = &self.leaves[leaf.next as usize];
            next = 0;
        }
    }

    /// The run of a character. A snapshot may bring origins that are nowhere: they count as typed at the text's start.
    pub(super) fn run(&self, id: Id) -> Run {
        let state = self.actors.get(id.actor as usize);
        state.map_or(Run { first: id.counter, left: Id::NONE, right: Id::NONE }, |state| state.origins.run(id.counter))
    }

    pub(super) fn left_origin(&self, id: Id) -> Id {
        let run = self.run(id);
        if run.first == id.counter { run.left } else { Id { actor: id.actor, counter: id.counter - 1 } }
    }

    pub(super) fn right_origin(&self, id: Id) -> Id {
        self.run(id).right
    }

    fn rank(&self, id: Id) -> u64 {
        if id.is_none() {
            0
        } else {
            self.actors.get(id.actor as usize).map_or(0, |state| state.origins.rank(id.counter))
        }
    }

    /// Whether a character is the left child of its right origin.
    pub(super) fn is_left_child(&self, left: Id, right: Id) -> bool {
        !right.is_none() && self.left_origin(right) == left
    }

    /// Which of two characters comes first; the text's start is before all, so none as a left origin is less.
    pub(super) fn compare(&self, a: Id, b: Id) -> Ordering {
        if a == b {
            return Ordering::Equal;
        }
        match (self.find(a), self.find(b)) {
            (Some(a), Some(b)) if a.leaf == b.leaf => (a.span, a.offset).cmp(&(b.span, b.offset)),
            (Some(a), Some(b)) => self.compare_leaves(a.leaf, b.leaf),
            // Only none is nowhere: origins are in the text before what refers to them.
            (a, b) => a.is_some().cmp(&b.is_some()),
        }
    }

    /// Which of two right origins is further to the right; the text's end is beyond all.
    fn compare_right(&self, a: Id, b: Id) -> Ordering {
        match (a.is_none(), b.is_none()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => self.compare(a, b),
        }
    }

    fn search(&self, actors: &[Actor], id: Id, left: Id, right: Id, gap: Place) -> Place {
        let dot = |id: Id| (actors[id.actor as usize], id.counter);
        if self.is_left_child(left, right) {
            self.search_left(dot, id, left, right).unwrap_or(gap)
        } else {
            self.search_right(dot, id, left, right, gap)
        }
    }

    /// Among the right children of `left`: forwards from it.
    fn search_right(&self, dot: impl Fn(Id) -> (Actor, u32), id: Id, left: Id, right: Id, gap: Place) -> Place {
        // Where the subtree of the sibling that is being passed began; it is known only at the sibling itself, which
        // comes after its own left children.
        let mut found = gap;
        let (mut begins, mut is_first) = (true, true);
        let comes_before = |head: Id| {
            let order = self.compare_right(right, self.right_origin(head));
            order == Ordering::Greater || order == Ordering::Equal && dot(id) < dot(head)
        };
        let mut unit = self.normal(gap);
        let mut passed = 0;
        while let Some(place) = unit {
            passed += 1;
            if passed == NEAR
                && let Some(place) = self.first_after_right(left, comes_before)
            {
                return place;
            }
            let head = self.head(place);
            let head_left = self.left_origin(head);
            let is_anchored = head_left == left;
            if !is_anchored && self.compare(head_left, left) == Ordering::Less {
                break;
            }
            if is_anchored && begins {
                // Right after `left` the gap itself says more: there the span of `left` may go on.
                found = if is_first { gap } else { place };
                begins = false;
            }
            is_first = false;
            let head_right = self.right_origin(head);
            if is_anchored && !self.is_left_child(left, head_right) {
                if comes_before(head) {
                    return found;
                }
                begins = true;
            }
            unit = self.next_unit(place);
        }
        match unit {
            _ if is_first || !begins => found,
            Some(place) => place,
            None => self.end(),
        }
    }

    /// Among the left children of `right`, whose left origin is `left`: backwards from it.
    fn search_left(&self, dot: impl Fn(Id) -> (Actor, u32), id: Id, left: Id, right: Id) -> Option<Place> {
        let start = self.find(right)?;
        let mut found = start;
        let mut unit = self.previous_unit(start, left);
        let mut passed = 0;
        while let Some(place) = unit {
            passed += 1;
            if passed == NEAR
                && let Some(place) = self.first_after_left(left, right, |head| dot(id) < dot(head))
            {
                return Some(place);
            }
            let head = self.head(place);
            if self.left_origin(head) == left {
                let head_right = self.right_origin(head);
                let is_within =
                    self.is_left_child(left, head_right) && self.compare(head_right, right) != Ordering::Greater;
                if !is_within || head_right == right && dot(head) < dot(id) {
                    break;
                }
                found = place;
            }
            unit = self.previous_unit(place, left);
        }
        Some(found)
    }

    fn head(&self, place: Place) -> Id {
        self.leaves[place.leaf as usize].spans[place.span].id.plus(place.offset)
    }

    /// The same gap, as the place of the character after it.
    fn normal(&self, gap: Place) -> Option<Place> {
        match self.leaves[gap.leaf as usize].spans.get(gap.span) {
            Some(span) if gap.offset < span.len() => Some(gap),
            _ => self.next_unit(gap),
        }
    }

    /// The first character of the next span.
    fn next_unit(&self, place: Place) -> Option<Place> {
        let (mut leaf, mut span) = (place.leaf, place.span + 1);
        while span >= self.leaves[leaf as usize].spans.len() {
            leaf = self.leaves[leaf as usize].next;
            span = 0;
            if leaf == NOWHERE {
                return None;
            }
        }
        Some(Place { leaf, span, offset: 0 })
    }

    /// The first character of what precedes a place in its own or the previous span, after `left`.
    fn previous_unit(&self, place: Place, left: Id) -> Option<Place> {
        let (mut leaf, mut span) = (place.leaf, place.span);
        if place.offset == 0 {
            while span == 0 {
                leaf = self.leaves[leaf as usize].previous;
                if leaf == NOWHERE {
                    return None;
                }
                span = self.leaves[leaf as usize].spans.len();
            }
            span -= 1;
        }
        let state = &self.leaves[leaf as usize].spans[span];
        let reach = if place.offset == 0 { state.len() } else { place.offset };
        let offset = if state.contains(left) { left.counter - state.id.counter + 1 } else { 0 };
        (offset < reach).then_some(Place { leaf, span, offset })
    }

    fn end(&self) -> Place {
        let mut at = self.root;
        loop {
            let node = &self.nodes[at as usize];
            // A node has at least one child.
            let last = node.children.last().map_or(0, |child| child.index);
            if node.is_bottom {
                return Place { leaf: last, span: self.leaves[last as usize].spans.len(), offset: 0 };
            }
            at = last;
        }
    }

    /// Puts a span into a gap, with its text if it is visible.
    /// Says whether its origins go on as those of the author's characters before it.
    pub(super) fn insert_at(&mut self, gap: Place, span: Span, text: &str, left: Id, right: Id) -> bool {
        let id = span.id;
        let leaf = &mut self.leaves[gap.leaf as usize];
        let index = leaf.visible_before(gap.span, gap.offset);
        let left_is_before = !left.is_none() && left.plus(1) == id;
        let follows = self.splices.is_some()
            && self.format.is_some()
            && gap.offset.checked_sub(1).is_some_and(|last| {
                let span = self.leaves[gap.leaf as usize].spans.get(gap.span);
                span.is_some_and(|span| span.id.plus(last) == left)
            });
        let leaf = &mut self.leaves[gap.leaf as usize];
        place_span(&mut leaf.spans, gap, span, left_is_before);
        let visible = span.visible() as usize;
        if visible > 0 {
            let byte = char_end(&leaf.text, leaf.text.len() == leaf.scalars as usize, index);
            if leaf.text.capacity() - leaf.text.len() < text.len() {
                leaf.text.reserve_exact(text.len() + 48);
            }
            leaf.text.insert_str(byte, text);
            self.bytes += text.len();
            let utf16 = if text.len() == visible { visible } else { utf16_len(text) };
            self.count(gap.leaf, visible as isize, utf16 as isize);
        }
        if (!left.is_none() && left.actor != id.actor) || (!right.is_none() && right.actor != id.actor) {
            let rank = self.rank(left).max(self.rank(right)) + 1;
            self.actor(id.actor).origins.raise(id.counter, rank);
        }
        let state = self.actor(id.actor);
        let continues = state.origins.push(Run { first: id.counter, left, right }, left_is_before);
        state.places.set(id.counter, span.len(), gap.leaf);
        if visible > 0 && self.splices.is_some() {
            self.note_insert(gap.leaf, index, span, text, left, follows);
        }
        self.hint = self.hint.filter(|&(leaf, _)| leaf == gap.leaf);
        self.settle(gap.leaf);
        continues
    }
}

/// A place for text, and the character that it is typed after.
pub(super) struct Gap {
    pub(super) place: Place,
    pub(super) left: Id,
}

/// Puts a span into a gap of a leaf, into the span before it where it goes on.
fn place_span(spans: &mut Vec<Span>, gap: Place, new: Span, left_is_before: bool) {
    let Some(at) = spans.get_mut(gap.span) else {
        reserve(spans);
        spans.push(new);
        return;
    };
    if gap.offset == 0 {
        reserve(spans);
        spans.insert(gap.span, new);
    } else if gap.offset == at.len() {
        if left_is_before && at.last().plus(1) == new.id && new.is_visible() && at.extend_visible(new.len()) {
            return;
        }
        reserve(spans);
        spans.insert(gap.span + 1, new);
    } else {
        let whole = *at;
        *at = whole.part(0, gap.offset);
        reserve(spans);
        let after = gap.span + 1;
        spans.splice(after..after, [new, whole.part(gap.offset, whole.len())]);
    }
}

/// Room for two more, without doubling: spans are most of a document's memory.
pub(super) fn reserve(spans: &mut Vec<Span>) {
    if spans.capacity() - spans.len() < 2 {
        spans.reserve_exact(8);
    }
}
