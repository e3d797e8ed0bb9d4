//! Two whole snapshots made one, block by block: what both have is copied as it is, and only what differs is read.
//!
//! The texts of both are parts of one order (see [`crate::text`]). Going through both at once, whichever character the
//! other side knows but has not reached yet must come later; only where each side has characters that the other does not
//! know, at one place, do their origins decide ([`order`]).

mod blocks;
mod order;
mod weave;

use std::ops::Range;

use bytes::Bytes;

use super::decode::{EncodedText, Input, decode_other_sections, text_sections};
use super::encode::{encode_with_texts, number, write_text_head};
use super::state::{ActorRange, State};
use super::{HEADER, MergeError, Snapshot, SnapshotError};
use crate::document::Document;

use blocks::{Out, Stream};
use order::Side;

/// Makes of two whole snapshots the one that covers what either of them does: the same bytes that a document would give
/// that had merged both. Builds no text, unless some of it is formatted; the work is in proportion to what differs, and a little for each block.
///
/// # Errors
/// [`MergeError::Base`] when one is a difference; or its content does not hold together.
pub fn merge(one: &Snapshot, other: &Snapshot) -> Result<Bytes, MergeError> {
    if !one.is_whole() || !other.is_whole() {
        return Err(MergeError::Base);
    }
    let covers =
        |a: &Snapshot, b: &Snapshot| b.version().dots.iter().all(|(actor, &last)| a.version().get(actor) >= last);
    for (a, b) in [(one, other), (other, one)] {
        if covers(a, b) {
            return Ok(a.bytes().clone());
        }
    }
    let bodies = [one, other].map(|snapshot| &snapshot.bytes()[HEADER..]);
    let [one_rest, other_rest] = bodies.map(decode_other_sections);
    let rests = [one_rest?, other_rest?];
    // What formatting is in effect depends on where characters are, and what was kept may be about them.
    if rests.iter().any(|rest| !rest.formats.is_empty() || !rest.kept.is_empty()) {
        let mut document = Document::new();
        document.merge(one)?;
        document.merge(other)?;
        return Ok(document.snapshot());
    }
    let rest = Document::merged_states(rests)?;
    let tables = [side_table(bodies[0], &rest)?, side_table(bodies[1], &rest)?];
    let texts = [text_sections(bodies[0])?, text_sections(bodies[1])?];
    Ok(merge_texts(texts, &tables, &rest)?)
}

/// One side's own table of actors, and what each is in the merged one.
struct Table {
    ranges: Vec<ActorRange>,
    merged: Vec<u32>,
    /// By the merged index, up to where the side knows each actor.
    version: Vec<u32>,
}

fn side_table(body: &[u8], state: &State) -> Result<Table, SnapshotError> {
    let (_, ranges) = super::decode::decode_head(&mut Input(body))?;
    let mut version = vec![0; state.actors.len()];
    let mut merged = Vec::with_capacity(ranges.len());
    for range in &ranges {
        // One that wrote nothing is named by nothing either.
        let index = state.index(range.actor).unwrap_or(u32::MAX);
        if let Some(version) = version.get_mut(index as usize) {
            *version = range.version;
        }
        merged.push(index);
    }
    Ok(Table { ranges, merged, version })
}

fn merge_texts(texts: [Vec<EncodedText<'_>>; 2], tables: &[Table; 2], state: &State) -> Result<Bytes, SnapshotError> {
    let [mut ones, mut others] = texts.map(|list| list.into_iter().peekable());
    let (mut content, mut count) = (Vec::new(), 0u64);
    loop {
        let pair = match (ones.peek(), others.peek()) {
            (None, None) => break,
            (Some(one), Some(other)) if one.name == other.name => [ones.next(), others.next()],
            (Some(one), Some(other)) if one.name < other.name => [ones.next(), None],
            (Some(_), None) => [ones.next(), None],
            _ => [None, others.next()],
        };
        merge_text(pair, tables, state, &mut content)?;
        count += 1;
    }
    let mut section = Vec::with_capacity(content.len() + 2);
    number(count, &mut section);
    section.append(&mut content);
    Ok(encode_with_texts(state, (count > 0).then_some(&section)))
}

fn merge_text(
    texts: [Option<EncodedText<'_>>; 2],
    tables: &[Table; 2],
    state: &State,
    content: &mut Vec<u8>,
) -> Result<(), SnapshotError> {
    let name = texts.iter().flatten().map(|text| text.name).next().unwrap_or_default();
    // An actor's ranks are those of whoever knows more of it.
    let mut jumps = vec![Vec::new(); state.actors.len()];
    let mut known = vec![0; state.actors.len()];
    for (text, table) in texts.iter().zip(tables) {
        for (own, &merged) in table.merged.iter().enumerate().filter(|&(_, &merged)| merged != u32::MAX) {
            let (merged, version) = (merged as usize, table.version[merged as usize]);
            if let Some(text) = text.as_ref().filter(|_| version > known[merged]) {
                known[merged] = version;
                jumps[merged] = text.jumps.get(own).cloned().unwrap_or_default();
            }
        }
    }
    let mut sides = Vec::with_capacity(2);
    for (text, table) in texts.into_iter().zip(tables) {
        let blocks = text.map(|text| text.blocks).unwrap_or_default();
        sides.push(Side::new(blocks, table, &jumps)?);
    }
    let [one, other] = &sides[..] else { return Ok(()) };
    let mut stream = Stream::new(&state.actors, &jumps);
    let (mut at, mut other_at) = (0, 0);
    // Where blocks of both begin with the same character, what is before it is before it on both sides.
    for (index, block) in one.blocks.iter().enumerate() {
        let Some(same) = other.beginning_like(block).filter(|&same| same >= other_at) else { continue };
        merge_stretch((one, at..index), (other, other_at..same), &mut stream)?;
        (at, other_at) = (index, same);
    }
    merge_stretch((one, at..one.blocks.len()), (other, other_at..other.blocks.len()), &mut stream)?;
    let out: Vec<Out<'_>> = stream.finish()?;
    write_text_head(name, &jumps, &[], content);
    blocks::write(&out, &state.actors, content);
    Ok(())
}

/// Merges blocks between the same places. Where one side has all that the other has, its blocks are taken over as they are.
fn merge_stretch<'a>(
    (one, blocks): (&Side<'a, '_>, Range<usize>),
    (other, other_blocks): (&Side<'a, '_>, Range<usize>),
    stream: &mut Stream<'a, '_>,
) -> Result<(), SnapshotError> {
    let (ours, theirs) = (&one.blocks[blocks.clone()], &other.blocks[other_blocks.clone()]);
    if !theirs.iter().any(|block| block.is_lacked(one.version)) {
        ours.iter().try_for_each(|block| stream.same(block))
    } else if !ours.iter().any(|block| block.is_lacked(other.version)) {
        theirs.iter().try_for_each(|block| stream.same(block))
    } else {
        stream.differing(weave::weave(one, blocks, other, other_blocks)?)
    }
}
