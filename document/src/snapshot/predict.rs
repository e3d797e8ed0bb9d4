//! Origins that need not be written: most follow from the order of the characters and from who could have seen whom.
//!
//! Where nobody types at the same place at the same time, a character's left origin is the nearest one before it that
//! was there first, and its right origin the nearest one after it. Ranks say what was there first.

use super::state::{Head, TextState};
use crate::text::span::Id;

/// The rank of a character by a text's jumps.
fn rank(jumps: &[Vec<(u32, u64)>], id: Id) -> u64 {
    let jumps = jumps.get(id.actor as usize).map_or(&[][..], |jumps| jumps);
    let after = jumps.partition_point(|&(from, _)| from <= id.counter);
    u64::from(id.counter).saturating_add(after.checked_sub(1).map_or(0, |index| jumps[index].1))
}

/// What the origins of each span's first character most likely are.
pub(crate) fn predict(text: &TextState) -> Vec<Head> {
    let mut heads = vec![Head { left: Id::NONE, right: Id::NONE }; text.spans.len()];
    // Spans to the left of the present one, each older than the one after it.
    let mut older: Vec<(u64, u32, u32)> = Vec::new();
    for (index, span) in text.spans.iter().enumerate() {
        let key = (rank(&text.jumps, span.id), span.id.actor);
        while let Some(&(top_rank, top_actor, top)) = older.last()
            && (top_rank, top_actor) > key
        {
            heads[top as usize].right = span.id;
            older.pop();
        }
        if let Some(&(_, _, top)) = older.last() {
            heads[index].left = text.spans[top as usize].last();
        }
        older.push((key.0, key.1, index as u32));
    }
    heads
}
