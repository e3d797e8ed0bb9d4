//! Origins that need not be written: most follow from the order of the characters and from who could have seen whom.
//!
//! Where nobody types at the same place at the same time, a character's left origin is the nearest one before it that
//! was there first, and its right origin the nearest one after it. Ranks say what was there first. Only one block is
//! looked at, so that a block means the same whatever is around it; for what lies beyond, the neighbours that look beyond
//! it too have the same answer more often than not.

use super::state::Head;
use crate::text::span::{Id, Span};

/// Per actor of the table, where its ranks go ahead of its counters.
pub(super) type Jumps = [Vec<(u32, u64)>];

/// Stands for an origin that is not in the block. No character has that counter.
pub(super) const BEYOND: Id = Id { actor: u32::MAX, counter: u32::MAX };

/// The rank of a character by a text's jumps.
fn rank(jumps: &Jumps, id: Id) -> u64 {
    let jumps = jumps.get(id.actor as usize).map_or(&[][..], |jumps| jumps);
    let after = jumps.partition_point(|&(from, _)| from <= id.counter);
    u64::from(id.counter).saturating_add(after.checked_sub(1).map_or(0, |index| jumps[index].1))
}

/// What the origins of each span's first character most likely are, [`BEYOND`] where the block does not have them.
pub(super) fn predict(spans: &[Span], jumps: &Jumps, heads: &mut Vec<Head>) {
    if jumps.iter().all(Vec::is_empty) {
        // Nobody has seen another's: the counters alone.
        predict_by(spans, |id| u64::from(id.counter) << 32 | u64::from(id.actor), heads);
    } else {
        predict_by(spans, |id| (rank(jumps, id), id.actor), heads);
    }
}

fn predict_by<K: Copy + Ord>(spans: &[Span], key: impl Fn(Id) -> K, heads: &mut Vec<Head>) {
    let start = heads.len();
    heads.reserve(spans.len());
    // Spans to the left of the present one, each older than the one after it.
    let mut older: Vec<(K, u32)> = Vec::new();
    for (index, span) in spans.iter().enumerate() {
        let key = key(span.id);
        while let Some(&(top_key, top)) = older.last()
            && top_key > key
        {
            heads[start + top as usize].right = span.id;
            older.pop();
        }
        let left = older.last().map_or(BEYOND, |&(_, top)| spans[top as usize].last());
        heads.push(Head { left, right: BEYOND });
        older.push((key, index as u32));
    }
}

/// Which of the first characters' origins are not as predicted: 1 for the left one, 2 for the right one.
pub(super) fn differing(predicted: &[Head], actual: &[Head]) -> Vec<u8> {
    let mut differing = vec![0; actual.len()];
    // What lies beyond the block is expected to be what it was for the neighbour that looked beyond as well.
    let mut beyond = Id::NONE;
    for ((differs, expected), actual) in differing.iter_mut().zip(predicted).zip(actual) {
        let is_beyond = expected.left == BEYOND;
        *differs |= u8::from(actual.left != if is_beyond { beyond } else { expected.left });
        beyond = if is_beyond { actual.left } else { beyond };
    }
    beyond = Id::NONE;
    for ((differs, expected), actual) in differing.iter_mut().zip(predicted).zip(actual).rev() {
        let is_beyond = expected.right == BEYOND;
        *differs |= u8::from(actual.right != if is_beyond { beyond } else { expected.right }) << 1;
        beyond = if is_beyond { actual.right } else { beyond };
    }
    differing
}

/// Makes of predicted origins the actual ones, given those that are not as predicted, in order of the spans.
pub(super) fn resolve(heads: &mut [Head], lefts: &[(u32, Id)], rights: &[(u32, Id)]) {
    let (mut beyond, mut given) = (Id::NONE, lefts.iter().peekable());
    for (index, head) in heads.iter_mut().enumerate() {
        let is_beyond = head.left == BEYOND;
        if let Some(&(_, left)) = given.next_if(|given| given.0 as usize == index) {
            head.left = left;
        } else if is_beyond {
            head.left = beyond;
        }
        beyond = if is_beyond { head.left } else { beyond };
    }
    let mut given = rights.iter().rev().peekable();
    beyond = Id::NONE;
    for (index, head) in heads.iter_mut().enumerate().rev() {
        let is_beyond = head.right == BEYOND;
        if let Some(&(_, right)) = given.next_if(|given| given.0 as usize == index) {
            head.right = right;
        } else if is_beyond {
            head.right = beyond;
        }
        beyond = if is_beyond { head.right } else { beyond };
    }
}
