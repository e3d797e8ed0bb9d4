//! From a state to bytes. `docs/src/protocol/snapshots.md` has every byte.

use bytes::Bytes;

use super::checksum::xxh64;
use super::pack::pack;
use super::predict::predict;
use super::state::{MapState, State, TextState};
use super::{FORMAT, HEADER, MAGIC, section};
use crate::batch::encode::write_number;
use crate::kept::KeptOperation;
use crate::messagepack::Writer;
use crate::text::span::{Deletion, Id, Step};

/// Small numbers of either sign as small ones without: 0, -1, 1, -2 become 0, 1, 2, 3.
fn zigzag(number: i64) -> u64 {
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

/// A dot or none, its counter relative to another.
fn reference(id: Id, near: u32, out: &mut Vec<u8>) {
    if id.is_none() {
        number(0u32, out);
    } else {
        number(u64::from(id.actor) + 1, out);
        number(zigzag(i64::from(id.counter) - i64::from(near)), out);
    }
}

pub(crate) fn encode(state: &State) -> Bytes {
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
    section(section::TEXTS, &state.texts, &mut out, |text, out| encode_text(text, state.actors.len(), out));
    section(section::MAPS, &state.maps, &mut out, |map, out| encode_map(map, state, out));
    section(section::KEPT, &state.kept, &mut out, |(id, kept), out| encode_kept(*id, kept, out));
    state.containers.encode(state.actors.len(), &mut out);
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

fn encode_text(text: &TextState, actors: usize, out: &mut Vec<u8>) {
    encode_sequence(text, actors, out);
    part(text.text.as_bytes(), out);
}

/// A text's characters, or a list's elements, without their content.
pub(super) fn encode_sequence(text: &TextState, actors: usize, out: &mut Vec<u8>) {
    bytes(text.name.as_bytes(), out);
    // One column after another: equal things lie together.
    let mut jumps = Vec::new();
    for (actor, list) in text.jumps.iter().enumerate().filter(|(_, list)| !list.is_empty()) {
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
    number(text.spans.len() as u64, out);
    let (mut lengths, mut counters, mut deleted) = (Vec::new(), Vec::new(), Vec::new());
    let mut near = Near::new(actors);
    for span in &text.spans {
        let deletion = span.deletion();
        let kind = near.kind(span.id.actor, !span.is_visible());
        let step = match deletion.step {
            Step::Same => 0,
            Step::Up => 1,
            Step::Down => 2,
        };
        // Two bits of kind; what they leave open follows.
        number(u64::from(span.len() - 1) << 2 | kind, &mut lengths);
        if kind & 2 != 0 {
            number(span.id.actor, &mut counters);
        }
        number(zigzag(i64::from(span.id.counter) - near.expected(span.id.actor)), &mut counters);
        if !span.is_visible() {
            near.deletion(span.id, span.len(), deletion.dot, step, &mut deleted);
        }
        near.pass(span.id, span.len());
    }
    part(&lengths, out);
    part(&counters, out);
    part(&deleted, out);
    part(&exceptions(text), out);
    let mut others = Vec::new();
    number(text.deletions.len() as u64, &mut others);
    for &(id, length, deletion) in &text.deletions {
        number(id.actor, &mut others);
        number(id.counter, &mut others);
        number(length - 1, &mut others);
        let step = match deletion.step {
            Step::Same => 0,
            Step::Up => 1,
            Step::Down => 2,
        };
        near.deletion(id, length, deletion.dot, step, &mut others);
    }
    part(&others, out);
}

/// What the numbers of spans are relative to.
pub(super) struct Near {
    actor: u32,
    /// Per actor, the counter after the last span's.
    after: Vec<u32>,
}

impl Near {
    pub(super) fn new(actors: usize) -> Self {
        Self { actor: 0, after: vec![1; actors] }
    }

    fn kind(&mut self, actor: u32, is_deleted: bool) -> u64 {
        let is_other = actor != self.actor;
        u64::from(is_deleted) | u64::from(is_other) << 1
    }

    pub(super) fn actor(&self) -> u32 {
        self.actor
    }

    pub(super) fn expected(&self, actor: u32) -> i64 {
        i64::from(self.after[actor as usize])
    }

    pub(super) fn pass(&mut self, id: Id, length: u32) {
        self.actor = id.actor;
        self.after[id.actor as usize] = id.counter + length;
    }

    /// By the actor itself and not far from the characters' own counters is the usual case.
    fn deletion(&self, id: Id, length: u32, dot: Id, step: u64, out: &mut Vec<u8>) {
        let near = i64::from(id.counter) + i64::from(length);
        // Of the last character: that is what was deleted first, where one deletes backwards.
        let counter = match step {
            1 => i64::from(dot.counter) + i64::from(length) - 1,
            2 => i64::from(dot.counter) - i64::from(length) + 1,
            _ => i64::from(dot.counter),
        };
        let is_other = dot.actor != id.actor;
        number(zigzag(counter - near) << 3 | step << 1 | u64::from(is_other), out);
        if is_other {
            number(dot.actor, out);
        }
    }
}

/// What deleted a run.
pub(super) fn encode_deletion(id: Id, length: u32, deletion: Deletion, out: &mut Vec<u8>) {
    let step = match deletion.step {
        Step::Same => 0,
        Step::Up => 1,
        Step::Down => 2,
    };
    Near::new(0).deletion(id, length, deletion.dot, step, out);
}

/// The origins that are not as predicted.
fn exceptions(text: &TextState) -> Vec<u8> {
    let mut out = Vec::new();
    let predicted = predict(text);
    let mut turns = text.turns.iter().peekable();
    let mut before = 0;
    for (index, (head, expected)) in text.heads.iter().zip(&predicted).enumerate() {
        let span = text.spans[index];
        let differs = u64::from(head.left != expected.left) | u64::from(head.right != expected.right) << 1;
        if differs != 0 {
            number((index as u64 - before) << 2 | differs, &mut out);
            before = index as u64;
            if differs & 1 != 0 {
                reference(head.left, span.id.counter, &mut out);
            }
            if differs & 2 != 0 {
                reference(head.right, span.id.counter, &mut out);
            }
        }
        while let Some(&&(_, offset, right)) = turns.peek().filter(|turn| turn.0 as usize == index) {
            number((index as u64 - before) << 2, &mut out);
            before = index as u64;
            number(offset, &mut out);
            reference(right, span.id.counter + offset, &mut out);
            turns.next();
        }
    }
    out
}
