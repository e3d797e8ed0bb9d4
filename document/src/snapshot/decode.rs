//! From bytes to a state. Nothing is believed: a snapshot with a right checksum may still be anything.

use std::borrow::Cow;

use super::encode::Near;
use super::pack::unpack;
use super::predict::predict;
use super::state::{ActorRange, MapState, State, TextState};
use super::{SnapshotError, section};
use crate::batch::encode::read_number;
use crate::ids::{Actor, HybridTime, MAX_COUNTER};
use crate::kept::KeptOperation;
use crate::map::{Marker, Register};
use crate::messagepack::Reader;
use crate::text::span::{Deletion, Id, Span, Step};
use crate::value::Value;

const CUT_OFF: SnapshotError = SnapshotError::Malformed("a part is cut off");
pub(super) const RANGE: SnapshotError = SnapshotError::Malformed("a number is out of its range");

/// Reads numbers and parts off the front of bytes.
#[derive(Copy, Clone)]
pub(super) struct Input<'a>(pub(super) &'a [u8]);

impl<'a> Input<'a> {
    pub(super) fn number(&mut self) -> Result<u64, SnapshotError> {
        read_number(&mut self.0).ok_or(CUT_OFF)
    }

    pub(super) fn small(&mut self) -> Result<u32, SnapshotError> {
        u32::try_from(self.number()?).ok().filter(|&small| u64::from(small) <= MAX_COUNTER).ok_or(RANGE)
    }

    fn signed(&mut self) -> Result<i64, SnapshotError> {
        Ok(unzigzag(self.number()?))
    }

    /// How many things follow; each takes a byte at least, so no more than there are bytes.
    pub(super) fn count(&mut self) -> Result<usize, SnapshotError> {
        let count = usize::try_from(self.number()?).map_err(|_| RANGE)?;
        if count > self.0.len() { Err(CUT_OFF) } else { Ok(count) }
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], SnapshotError> {
        let length = self.count()?;
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        Ok(bytes)
    }

    /// A part that may be packed.
    pub(super) fn part(&mut self) -> Result<Cow<'a, [u8]>, SnapshotError> {
        let head = self.number()?;
        let length = usize::try_from(head >> 1).map_err(|_| RANGE)?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(CUT_OFF)?;
        self.0 = rest;
        if head & 1 == 0 { Ok(Cow::Borrowed(bytes)) } else { unpack(bytes).map(Cow::Owned) }
    }

    pub(super) fn str(&mut self) -> Result<&'a str, SnapshotError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| SnapshotError::Malformed("a string is not UTF-8"))
    }

    fn reference(&mut self, near: u32) -> Result<Id, SnapshotError> {
        let actor = self.number()?;
        if actor == 0 {
            return Ok(Id::NONE);
        }
        let counter = counter(i64::from(near).checked_add(self.signed()?).ok_or(RANGE)?)?;
        Ok(Id { actor: u32::try_from(actor - 1).map_err(|_| RANGE)?, counter })
    }
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

fn counter(number: i64) -> Result<u32, SnapshotError> {
    u32::try_from(number).ok().filter(|&small| small > 0 && u64::from(small) <= MAX_COUNTER).ok_or(RANGE)
}

/// Whether it is a whole state, and the table of actors.
pub(super) fn decode_head(input: &mut Input<'_>) -> Result<(bool, Vec<ActorRange>), SnapshotError> {
    let is_whole = match input.number()? {
        0 => false,
        1 => true,
        _ => return Err(RANGE),
    };
    let count = input.count()?;
    let mut actors: Vec<ActorRange> = Vec::with_capacity(count);
    for index in 0..count {
        let step = input.number()?;
        let before = actors.last().map_or(0, |range| range.actor.0);
        let actor = before.checked_add(step).filter(|_| index == 0 || step > 0).ok_or(RANGE)?;
        let (base, more) = (input.small()?, input.small()?);
        let version = base.checked_add(more).filter(|&version| u64::from(version) <= MAX_COUNTER).ok_or(RANGE)?;
        if is_whole && base > 0 {
            return Err(RANGE);
        }
        actors.push(ActorRange { actor: Actor(actor), base, version });
    }
    Ok((is_whole, actors))
}

pub(super) fn decode(body: &[u8]) -> Result<State, SnapshotError> {
    let mut input = Input(body);
    let (is_whole, actors) = decode_head(&mut input)?;
    let mut state = State { is_whole, actors, ..State::default() };
    let mut last = 0;
    while !input.0.is_empty() {
        let kind = input.number()?;
        if kind <= last {
            return Err(SnapshotError::Malformed("sections are not in order"));
        }
        last = kind;
        let mut section = Input(input.bytes()?);
        for _ in 0..section.count()? {
            match kind {
                section::TEXTS => {
                    let text = decode_text(&mut section, &state.actors)?;
                    if state.texts.last().is_some_and(|last| last.name >= text.name) {
                        return Err(SnapshotError::Malformed("texts are not in order"));
                    }
                    state.texts.push(text);
                }
                section::MAPS => state.maps.push(decode_map(&mut section, &state.actors)?),
                section::KEPT => state.kept.push(decode_kept(&mut section, &state.actors)?),
                _ => state.containers.decode(kind, &mut section, &state.actors)?,
            }
        }
        if !section.0.is_empty() {
            return Err(SnapshotError::Malformed("bytes follow a section's end"));
        }
    }
    Ok(state)
}

fn decode_kept(input: &mut Input<'_>, actors: &[ActorRange]) -> Result<(Id, KeptOperation), SnapshotError> {
    let id = Id { actor: input.small()?, counter: input.small()? };
    let count = input.small()?;
    written(actors, id, count)?;
    Ok((id, KeptOperation { count, operations: input.bytes()?.into() }))
}

/// Whether a run of counters lies within what the snapshot brings.
pub(super) fn written(actors: &[ActorRange], id: Id, length: u32) -> Result<(), SnapshotError> {
    let range = actors.get(id.actor as usize).ok_or(RANGE)?;
    let is_within = id.counter > range.base && length > 0 && length <= range.version.saturating_sub(id.counter - 1);
    if is_within { Ok(()) } else { Err(RANGE) }
}

/// Whether a run of counters is one that a reader may hold, before or after.
pub(super) fn known(actors: &[ActorRange], id: Id, length: u32) -> Result<(), SnapshotError> {
    let range = actors.get(id.actor as usize).ok_or(RANGE)?;
    let is_within = id.counter > 0 && length > 0 && length <= range.version.saturating_sub(id.counter - 1);
    if is_within { Ok(()) } else { Err(RANGE) }
}

fn decode_map(input: &mut Input<'_>, actors: &[ActorRange]) -> Result<MapState, SnapshotError> {
    let mut map = MapState { name: input.str()?.into(), registers: Vec::new() };
    for _ in 0..input.count()? {
        let key = input.str()?.into();
        let time = HybridTime(input.number()?);
        let id = Id { actor: input.small()?, counter: input.small()? };
        written(actors, id, 1)?;
        let val = match input.number()? {
            0 => None,
            1 => {
                let mut reader = Reader::new(input.0);
                let value =
                    Value::read(&mut reader).map_err(|_| SnapshotError::Malformed("a value is not MessagePack"))?;
                input.0 = &input.0[reader.position()..];
                Some(value)
            }
            _ => return Err(RANGE),
        };
        let marker = Marker { time, actor: actors[id.actor as usize].actor, counter: id.counter };
        map.registers.push((key, Register { val, marker }));
    }
    Ok(map)
}

fn decode_text(input: &mut Input<'_>, actors: &[ActorRange]) -> Result<TextState, SnapshotError> {
    let (mut text, visible) = decode_sequence(input, actors)?;
    text.text =
        String::from_utf8(input.part()?.into_owned()).map_err(|_| SnapshotError::Malformed("a text is not UTF-8"))?;
    if text.text.chars().count() != visible {
        return Err(SnapshotError::Malformed("a text is not as long as its spans say"));
    }
    Ok(text)
}

/// A text's characters, or a list's elements, without their content, and how many of them are visible.
pub(super) fn decode_sequence(
    input: &mut Input<'_>,
    actors: &[ActorRange],
) -> Result<(TextState, usize), SnapshotError> {
    let mut text = TextState { name: input.str()?.into(), ..TextState::default() };
    text.jumps = decode_jumps(Input(&input.part()?), actors.len())?;
    let count = usize::try_from(input.number()?).map_err(|_| RANGE)?;
    let columns = [input.part()?, input.part()?, input.part()?];
    // Each has a byte there at least.
    if count > columns[0].len() {
        return Err(CUT_OFF);
    }
    let mut columns = [Input(&columns[0]), Input(&columns[1]), Input(&columns[2])];
    text.spans.reserve_exact(count);
    let mut near = Near::new(actors.len());
    let mut visible = 0;
    for _ in 0..count {
        let [lengths, counters, deleted] = &mut columns;
        let head = lengths.number()?;
        let length = u32::try_from(head >> 2).ok().filter(|&length| length < Span::MAX_LENGTH).ok_or(RANGE)? + 1;
        let actor = if head & 2 != 0 { counters.small()? } else { near.actor() };
        if actor as usize >= actors.len() {
            return Err(RANGE);
        }
        let id = Id { actor, counter: counter(near.expected(actor).checked_add(counters.signed()?).ok_or(RANGE)?)? };
        written(actors, id, length)?;
        let deletion = if head & 1 != 0 { decode_deletion(deleted, actors, id, length)? } else { Deletion::NONE };
        visible += if head & 1 != 0 { 0 } else { length as usize };
        near.pass(id, length);
        text.spans.push(Span::new(id, length, deletion));
    }
    text.order = text.by_id().ok_or(SnapshotError::Malformed("a character is there twice"))?;
    text.heads = predict(&text);
    decode_exceptions(&mut text, Input(&input.part()?), actors)?;
    let others = input.part()?;
    let mut others = Input(&others);
    for _ in 0..others.count()? {
        let id = Id { actor: others.small()?, counter: others.small()? };
        let length = others.small()?.checked_add(1).filter(|&length| length <= Span::MAX_LENGTH).ok_or(RANGE)?;
        known(actors, id, length)?;
        let deletion = decode_deletion(&mut others, actors, id, length)?;
        text.deletions.push((id, length, deletion));
    }
    Ok((text, visible))
}

fn decode_jumps(mut input: Input<'_>, actors: usize) -> Result<Vec<Vec<(u32, u64)>>, SnapshotError> {
    let mut jumps = Vec::new();
    while !input.0.is_empty() {
        let actor = input.small()? as usize;
        if actor >= actors || actor < jumps.len() {
            return Err(RANGE);
        }
        jumps.resize_with(actor + 1, Vec::new);
        let mut at = (0u32, 0u64);
        for _ in 0..input.count()? {
            at = (at.0.checked_add(input.small()?).ok_or(RANGE)?, at.1.checked_add(input.number()?).ok_or(RANGE)?);
            // Ranks are far below what could overflow.
            if at.1 > u64::MAX >> 2 {
                return Err(RANGE);
            }
            jumps[actor].push(at);
        }
    }
    Ok(jumps)
}

pub(super) fn decode_deletion(
    input: &mut Input<'_>,
    actors: &[ActorRange],
    id: Id,
    length: u32,
) -> Result<Deletion, SnapshotError> {
    let head = input.number()?;
    let actor = if head & 1 != 0 { input.small()? } else { id.actor };
    let near = i64::from(id.counter) + i64::from(length);
    let last = counter(near.checked_add(unzigzag(head >> 3)).ok_or(RANGE)?)?;
    let more = length - 1;
    let (step, first, low, high) = match head >> 1 & 3 {
        0 => (Step::Same, Some(last), Some(last), Some(last)),
        1 => (Step::Up, last.checked_sub(more), last.checked_sub(more), Some(last)),
        2 => (Step::Down, last.checked_add(more), Some(last), last.checked_add(more)),
        _ => return Err(RANGE),
    };
    let (Some(first), Some(low), Some(high)) = (first, low, high) else { return Err(RANGE) };
    known(actors, Id { actor, counter: low.max(1) }, 1)?;
    known(actors, Id { actor, counter: high }, 1)?;
    if low == 0 { Err(RANGE) } else { Ok(Deletion { dot: Id { actor, counter: first }, step }) }
}

fn decode_exceptions(text: &mut TextState, mut input: Input<'_>, actors: &[ActorRange]) -> Result<(), SnapshotError> {
    let mut index = 0usize;
    while !input.0.is_empty() {
        let head = input.number()?;
        index = usize::try_from(head >> 2).ok().and_then(|step| index.checked_add(step)).ok_or(RANGE)?;
        let span = *text.spans.get(index).ok_or(RANGE)?;
        let mut read = |near| {
            let id = input.reference(near)?;
            if !id.is_none() {
                known(actors, id, 1)?;
            }
            Ok(id)
        };
        if head & 1 != 0 {
            text.heads[index].left = read(span.id.counter)?;
        }
        if head & 2 != 0 {
            text.heads[index].right = read(span.id.counter)?;
        }
        if head & 3 == 0 {
            let offset = input.small()?;
            if offset == 0 || offset >= span.len() {
                return Err(RANGE);
            }
            let right = input.reference(span.id.counter + offset)?;
            if !right.is_none() {
                known(actors, right, 1)?;
            }
            if text.turns.last().is_some_and(|last| (last.0 as usize, last.1) >= (index, offset)) {
                return Err(RANGE);
            }
            text.turns.push((index as u32, offset, right));
        }
    }
    Ok(())
}
