//! From a state to bytes. `docs/src/protocol/snapshots.md` has every byte.

use bytes::Bytes;

use super::checksum::xxh64;
use super::columns::{Encoded, Named, content, encode_block, write_deletion};
use super::format;
use super::pack::pack;
use super::state::{ActorRange, MapState, State, TextState};
use super::{FORMAT, HEADER, MAGIC, section};
use crate::batch::encode::write_number;
use crate::kept::KeptOperation;
use crate::messagepack::Writer;
use crate::text::span::{Deletion, Id};

/// Small numbers of either sign as small ones without: 0, -1, 1, -2 become 0, 1, 2, 3.
pub(super) fn zigzag(number: i64) -> u64 {
    (number << 1 ^ number >> 63) as u64
}

pub(super) fn number(value: impl Into<u64>, out: &mut Vec<u8>) {
    write_number(value.into(), out);
}

pub(super) fn bytes(value: &[u8], out: &mut Vec<u8>) {
    number(value.len() as u64, out);
    out.extend_from_slice(value);
}

/// A part that may be packed: its length twice, and one more if it is packed.
pub(super) fn part(value: &[u8], out: &mut Vec<u8>) {
    match pack(value) {
        Some(packed) => {
            number((packed.len() as u64) << 1 | 1, out);
            out.extend_from_slice(&packed);
        }
        None => {
            number((value.len() as u64) << 1, out);
            out.extend_from_slice(value);
        }
    }
}

pub(crate) fn encode(state: &State) -> Bytes {
    let mut texts = Vec::new();
    number(state.texts.len() as u64, &mut texts);
    state.texts.iter().for_each(|text| encode_text(text, &state.actors, &mut texts));
    encode_with_texts(state, (!state.texts.is_empty()).then_some(&texts))
}

/// The state with its texts encoded already.
pub(super) fn encode_with_texts(state: &State, texts: Option<&Vec<u8>>) -> Bytes {
    let mut out = Vec::new();
    out.extend_from_slice(&MAGIC);
    out.push(FORMAT);
    out.extend_from_slice(&[0; 8]);
    out.push(u8::from(state.is_whole));
    number(state.actors.len() as u64, &mut out);
    let mut before = 0;
    for range in &state.actors {
        number(range.actor.0.wrapping_sub(before), &mut out);
        number(range.base, &mut out);
        number(range.version - range.base, &mut out);
        before = range.actor.0;
    }
    // In order of their numbers, and only those that hold something.
    if let Some(texts) = texts {
        number(section::TEXTS, &mut out);
        bytes(texts, &mut out);
    }
    section(section::MAPS, &state.maps, &mut out, |map, out| encode_map(map, state, out));
    section(section::KEPT, &state.kept, &mut out, |(id, kept), out| encode_kept(*id, kept, out));
    state.containers.encode(&state.actors, &mut out);
    section(section::FORMATS, &state.formats, &mut out, format::encode);
    let checksum = xxh64(&out[HEADER..]);
    out[HEADER - 8..HEADER].copy_from_slice(&checksum.to_le_bytes());
    Bytes::from(out)
}

/// A section: its number, its length in bytes, and a list.
pub(super) fn section<T>(kind: u64, items: &[T], out: &mut Vec<u8>, mut each: impl FnMut(&T, &mut Vec<u8>)) {
    if items.is_empty() {
        return;
    }
    let mut content = Vec::new();
    number(items.len() as u64, &mut content);
    items.iter().for_each(|item| each(item, &mut content));
    number(kind, out);
    bytes(&content, out);
}

fn encode_map(map: &MapState, state: &State, out: &mut Vec<u8>) {
    bytes(map.name.as_bytes(), out);
    number(map.registers.len() as u64, out);
    for (key, register) in &map.registers {
        bytes(key.as_bytes(), out);
        number(register.marker.time.0, out);
        // Every marker's actor is in the table: it wrote.
        number(state.index(register.marker.actor).unwrap_or(0), out);
        number(register.marker.counter, out);
        match &register.val {
            Some(value) => {
                number(1u32, out);
                value.write(&mut Writer(out));
            }
            None => number(0u32, out),
        }
    }
}

fn encode_kept(id: Id, kept: &KeptOperation, out: &mut Vec<u8>) {
    number(id.actor, out);
    number(id.counter, out);
    number(kept.count, out);
    bytes(&kept.operations, out);
}

fn encode_text(text: &TextState, ranges: &[ActorRange], out: &mut Vec<u8>) {
    encode_sequence(text, ranges, true, out);
}

/// A text's characters, or a list's elements, with or without their content.
pub(super) fn encode_sequence(text: &TextState, ranges: &[ActorRange], with_text: bool, out: &mut Vec<u8>) {
    write_text_head(&text.name, &text.jumps, &text.deletions, out);
    let text = text.divided();
    let mut named = Named::new(ranges.len());
    let blocks: Vec<Encoded<'_>> = text
        .blocks(ranges)
        .into_iter()
        .map(|(spans, visible)| {
            let visible = if with_text { &text.text.as_bytes()[visible] } else { &[] };
            encode_block(&text, spans, content(visible), &mut named)
        })
        .collect();
    write_blocks(&blocks, ranges, out);
}

/// All that comes before a text's blocks.
pub(super) fn write_text_head(
    name: &str,
    list_of_jumps: &[Vec<(u32, u64)>],
    deletions: &[(Id, u32, Deletion)],
    out: &mut Vec<u8>,
) {
    bytes(name.as_bytes(), out);
    let mut jumps = Vec::new();
    for (actor, list) in list_of_jumps.iter().enumerate().filter(|(_, list)| !list.is_empty()) {
        number(actor as u64, &mut jumps);
        number(list.len() as u64, &mut jumps);
        let mut before = (0, 0);
        for &(from, ahead) in list {
            number(from - before.0, &mut jumps);
            number(ahead - before.1, &mut jumps);
            before = (from, ahead);
        }
    }
    part(&jumps, out);
    let mut others = Vec::new();
    for &(id, length, deletion) in deletions {
        number(id.actor, &mut others);
        number(id.counter, &mut others);
        number(length - 1, &mut others);
        write_deletion(id, length, deletion, |actor| actor, &mut others);
    }
    part(&others, out);
}

/// All heads, then all bodies.
fn write_blocks(blocks: &[Encoded<'_>], ranges: &[ActorRange], out: &mut Vec<u8>) {
    number(blocks.len() as u64, out);
    blocks.iter().for_each(|block| block.block().write_head(ranges, out));
    for block in blocks {
        out.extend_from_slice(&block.columns);
        out.extend_from_slice(&block.text);
    }
}
