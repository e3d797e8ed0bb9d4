//! Where an insert belongs among very many that were made at one place at the same time.
//!
//! Along the text, whether a character comes after the insert changes once, from no to yes. So the place is found by
//! looking at a few characters on the way down the tree, not at all of those between.

use std::cmp::Ordering;

use super::span::Id;
use super::{Place, Text};

// In tests both are small, so that small histories come here.

/// Spans that are passed one by one before the tree is asked.
pub(super) const NEAR: usize = if cfg!(test) { 2 } else { 32 };
/// Runs from a character back to the place of the insert that are followed. Beyond that the spans are passed one by one.
const MAX_RUNS: usize = if cfg!(test) { 4 } else { 256 };

/// Where a character is, seen from another.
enum Branch {
    /// Not in its right subtree.
    Elsewhere,
    /// Below, or itself, this one whose left origin it is.
    Below(Id),
}

impl Text {
    /// The first of the characters behind `left` that comes after an insert there, of which `is_after` says whether it does;
    /// `None` where that cannot be said, or there is none.
    fn first_after(&self, left: Id, is_after: impl Fn(Id) -> Option<bool>) -> Option<Place> {
        let mut at = self.root;
        let leaf = loop {
            let node = &self.nodes[at as usize];
            // The last child that does not begin after it; the first one, if all do.
            let (mut from, mut to) = (0, node.children.len());
            while from + 1 < to {
                let middle = (from + to) / 2;
                let first = self.first_of(node.children[middle].index, node.is_bottom)?;
                if is_after(first)? {
                    to = middle;
                } else {
                    from = middle;
                }
            }
            let child = node.children.get(from)?.index;
            if node.is_bottom {
                break child;
            }
            at = child;
        };
        for (span, state) in self.leaves[leaf as usize].spans.iter().enumerate() {
            if is_after(state.id)? {
                return Some(Place { leaf, span, offset: 0 });
            }
            // All characters of a span are on one side, but where it begins with `left` and goes on.
            if state.contains(left) && left != state.last() && is_after(left.plus(1))? {
                return Some(Place { leaf, span, offset: left.counter - state.id.counter + 1 });
            }
        }
        let next = self.leaves[leaf as usize].next;
        self.leaves.get(next as usize).map(|_| Place { leaf: next, span: 0, offset: 0 })
    }

    /// The first character of a leaf or node.
    fn first_of(&self, child: u32, is_leaf: bool) -> Option<Id> {
        let (mut at, mut is_leaf) = (child, is_leaf);
        while !is_leaf {
            let node = &self.nodes[at as usize];
            (at, is_leaf) = (node.children.first()?.index, node.is_bottom);
        }
        self.leaves[at as usize].spans.first().map(|span| span.id)
    }

    /// Where a character is, seen from `left`; `None` where that takes too long to find out.
    fn branch(&self, left: Id, id: Id) -> Option<Branch> {
        let mut at = id;
        for _ in 0..MAX_RUNS {
            let run = self.run(at);
            if left.actor == at.actor && (run.first..at.counter).contains(&left.counter) {
                return Some(Branch::Below(left.plus(1)));
            }
            if run.left == left {
                return Some(Branch::Below(Id { actor: at.actor, counter: run.first }));
            }
            // What is before `left` is not below it, nor is what follows from it.
            if run.left.is_none() || self.compare(run.left, left) == Ordering::Less {
                return Some(Branch::Elsewhere);
            }
            at = run.left;
        }
        None
    }

    fn is_up_to(&self, id: Id, left: Id) -> bool {
        !left.is_none() && self.compare(id, left) != Ordering::Greater
    }

    /// The first span after an insert among the right children of `left`. `comes_before` says whether the insert is before
    /// one of them.
    pub(super) fn first_after_right(&self, left: Id, comes_before: impl Fn(Id) -> bool) -> Option<Place> {
        self.first_after(left, |id| {
            if self.is_up_to(id, left) {
                return Some(false);
            }
            let Branch::Below(mut sibling) = self.branch(left, id)? else { return Some(true) };
            for _ in 0..MAX_RUNS {
                let right = self.right_origin(sibling);
                if !self.is_left_child(left, right) {
                    return Some(comes_before(sibling));
                }
                sibling = right;
            }
            None
        })
    }

    /// The first span after an insert among the left children of `right`, whose left origin is `left`.
    pub(super) fn first_after_left(&self, left: Id, right: Id, comes_before: impl Fn(Id) -> bool) -> Option<Place> {
        self.first_after(left, |id| {
            if self.is_up_to(id, left) {
                return Some(false);
            }
            if self.compare(id, right) != Ordering::Less {
                return Some(true);
            }
            let Branch::Below(mut sibling) = self.branch(left, id)? else { return Some(false) };
            for _ in 0..MAX_RUNS {
                let above = self.right_origin(sibling);
                if above == right {
                    return Some(comes_before(sibling));
                }
                if !self.is_left_child(left, above) {
                    return Some(false);
                }
                sibling = above;
            }
            None
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::{Actor, Batch, Document, Position};

    fn apply<'a>(document: &mut Document, batches: impl Iterator<Item = &'a Batch>) {
        for batch in batches {
            document.apply(batch).expect("a batch");
        }
    }

    /// Each of very many types a word at one place; with two, some type on behind their own, and some before it.
    fn crowd(base: &[Batch], at: usize) -> Vec<Batch> {
        (0..600u64)
            .flat_map(|index| {
                let mut document = Document::new();
                apply(&mut document, base.iter());
                document.set_actor(Actor(10 + index * 7919 % 1009), 1);
                document.insert("t", Position::Scalar(at), "word").expect("an edit");
                let mut batches = document.take_batches();
                if index % 3 > 0 {
                    let next = if index % 3 == 1 { at } else { at + 4 };
                    document.insert("t", Position::Scalar(next), "+").expect("an edit");
                    batches.append(&mut document.take_batches());
                }
                batches
            })
            .collect()
    }

    #[test]
    fn a_crowd_at_one_place_is_in_order_whoever_comes_first() {
        for (before, at) in [("", 0), ("ab", 0), ("ab", 1), ("ab", 2)] {
            let mut base = Document::new();
            base.set_actor(Actor(1), 1);
            base.insert("t", Position::Scalar(0), before).expect("an edit");
            let base = base.take_batches();
            let batches = crowd(&base, at);
            let text = |order: Vec<&Batch>| {
                let mut document = Document::new();
                document.set_early_limit(usize::MAX);
                apply(&mut document, base.iter().chain(order));
                assert_eq!(document.early_bytes(), 0);
                document.text("t").to_string()
            };
            let forwards = text(batches.iter().collect());
            assert_eq!(forwards.chars().count(), before.len() + 600 * 4 + 400);
            assert_eq!(text(batches.iter().rev().collect()), forwards);
            let (even, odd) = (batches.iter().step_by(2), batches.iter().skip(1).step_by(2));
            assert_eq!(text(odd.chain(even).collect()), forwards);
            // The words of all, none with another's within it.
            assert_eq!(forwards.matches("word").count(), 600);
        }
    }
}
