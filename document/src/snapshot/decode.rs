//! From bytes to a state. Nothing is believed: a snapshot with a right checksum may still be anything.

use std::borrow::Cow;

use super::blocks::Block;
use super::columns::read_deletion;
use super::format;
use super::pack::unpack;
use super::state::{ActorRange, MapState, State, TextState};
use super::{SnapshotError, section};
use crate::batch::encode::read_number;
use crate::ids::{Actor, HybridTime, MAX_COUNTER, VersionVector};
use crate::kept::KeptOperation;
use crate::map::{Marker, Register};
use crate::messagepack::Reader;
use crate::text::span::{Deletion, Id, Span};
use crate::value::Value;

const TEXT_ORDER: SnapshotError = SnapshotError::Malformed("texts are not in order");
pub(super) const CUT_OFF: SnapshotError = SnapshotError::Malformed("a part is cut off");
pub(super) const RANGE: SnapshotError = SnapshotError::Malformed("a number is out of its range");

/// Reads numbers and parts off the front of bytes.
#[derive(Copy, Clone)]
pub(super) struct Input<'a>(pub(super) &'a [u8]);

impl<'a> Input<'a> {
    #[inline]
    pub(super) fn number(&mut self) -> Result<u64, SnapshotError> {
        // Most are small.
        match *self.0 {
            [first @ 0..0x80, ref rest @ ..] => {
                self.0 = rest;
                return Ok(u64::from(first));
            }
            [first, second @ 0..0x80, ref rest @ ..] => {
                self.0 = rest;
                return Ok(u64::from(first & 0x7f) | u64::from(second) << 7);
            }
            [first, second, third @ 0..0x80, ref rest @ ..] => {
                self.0 = rest;
                return Ok(u64::from(first & 0x7f) | u64::from(second & 0x7f) << 7 | u64::from(third) << 14);
            }
            _ => {}
        }
        read_number(&mut self.0).ok_or(CUT_OFF)
    }

    pub(super) fn small(&mut self) -> Result<u32, SnapshotError> {
        u32::try_from(self.number()?).ok().filter(|&small| u64::from(small) <= MAX_COUNTER).ok_or(RANGE)
    }

    /// How many things follow; each takes a byte at least, so no more than there are bytes.
    pub(super) fn count(&mut self) -> Result<usize, SnapshotError> {
        let count = usize::try_from(self.number()?).map_err(|_| RANGE)?;
        if count > self.0.len() { Err(CUT_OFF) } else { Ok(count) }
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], SnapshotError> {
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(CUT_OFF)?;
        self.0 = rest;
        Ok(bytes)
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
}

pub(super) fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

pub(super) fn counter(number: i64) -> Result<u32, SnapshotError> {
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

/// All of it.
pub(super) fn decode(body: &[u8]) -> Result<State, SnapshotError> {
    decode_with(body, &decode_text)
}

/// What a reader at `have` may lack of it: of texts only what it does lack.
pub(super) fn decode_lacking(body: &[u8], have: &VersionVector) -> Result<State, SnapshotError> {
    let (_, actors) = decode_head(&mut Input(body))?;
    let held: Vec<u32> = actors.iter().map(|range| range.held(have)).collect();
    decode_with(body, &|input, actors| decode_lacking_text(input, actors, &held))
}

/// Reads a text off the front.
type ReadText<'f> = &'f dyn Fn(&mut Input<'_>, &[ActorRange]) -> Result<TextState, SnapshotError>;

fn decode_with(body: &[u8], read: ReadText<'_>) -> Result<State, SnapshotError> {
    let mut state = State::default();
    for_sections(body, &mut state, |input, state| {
        let text = read(input, &state.actors)?;
        if state.texts.last().is_some_and(|last| last.name >= text.name) {
            return Err(TEXT_ORDER);
        }
        state.texts.push(text);
        Ok(())
    })?;
    Ok(state)
}

/// All but the texts.
pub(super) fn decode_other_sections(body: &[u8]) -> Result<State, SnapshotError> {
    let mut state = State::default();
    for_sections(body, &mut state, |input, state| EncodedText::read(input, &state.actors).map(drop))?;
    Ok(state)
}

/// The texts of a whole snapshot, their blocks not looked into.
pub(super) fn text_sections(body: &[u8]) -> Result<Vec<EncodedText<'_>>, SnapshotError> {
    let mut input = Input(body);
    let (_, actors) = decode_head(&mut input)?;
    let mut texts: Vec<EncodedText<'_>> = Vec::new();
    while !input.0.is_empty() {
        let (kind, mut section) = (input.number()?, Input(input.bytes()?));
        if kind != section::TEXTS {
            continue;
        }
        for _ in 0..section.count()? {
            let text = EncodedText::read(&mut section, &actors)?;
            if texts.last().is_some_and(|last| last.name >= text.name) {
                return Err(TEXT_ORDER);
            }
            texts.push(text);
        }
    }
    Ok(texts)
}

/// What the blocks of texts and lists say that they come to.
pub(super) fn declared_bytes(body: &[u8]) -> Result<usize, SnapshotError> {
    let mut input = Input(body);
    let (_, actors) = decode_head(&mut input)?;
    let mut declared = 0usize;
    while !input.0.is_empty() {
        let (kind, mut section) = (input.number()?, Input(input.bytes()?));
        if kind != section::TEXTS && kind != section::LISTS {
            continue;
        }
        for _ in 0..section.count()? {
            for block in EncodedText::read(&mut section, &actors)?.blocks {
                declared = declared.saturating_add(block.decoded_len()?);
            }
            if kind == section::LISTS {
                section.part()?;
            }
        }
    }
    Ok(declared)
}

fn for_sections<'a>(
    body: &'a [u8],
    state: &mut State,
    mut each_text: impl FnMut(&mut Input<'a>, &mut State) -> Result<(), SnapshotError>,
) -> Result<(), SnapshotError> {
    let mut input = Input(body);
    (state.is_whole, state.actors) = decode_head(&mut input)?;
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
                section::TEXTS => each_text(&mut section, state)?,
                section::MAPS => state.maps.push(decode_map(&mut section, &state.actors)?),
                section::KEPT => state.kept.push(decode_kept(&mut section, &state.actors)?),
                section::FORMATS => {
                    let format = format::decode(&mut section, &state.actors)?;
                    if state.formats.last().is_some_and(|last| last.name >= format.name) {
                        return Err(SnapshotError::Malformed("formatted texts are not in order"));
                    }
                    state.formats.push(format);
                }
                _ => state.containers.decode(kind, &mut section, &state.actors)?,
            }
        }
        if !section.0.is_empty() {
            return Err(SnapshotError::Malformed("bytes follow a section's end"));
        }
    }
    Ok(())
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
    decode_sequence(input, actors, |block, text, visible| block.decode_text(text, visible)).map(|text| text.0)
}

/// What a reader lacks who holds so much of each actor. Blocks without any of it are not looked into, and the characters
/// of those that only brings deletions are not unpacked.
fn decode_lacking_text(input: &mut Input<'_>, actors: &[ActorRange], held: &[u32]) -> Result<TextState, SnapshotError> {
    let encoded = EncodedText::read(input, actors)?;
    let mut part = TextState { name: encoded.name.into(), ..TextState::default() };
    let mut whole = TextState { jumps: encoded.jumps, ..TextState::default() };
    for block in encoded.blocks.iter().filter(|block| block.is_lacked(held)) {
        whole.clear();
        let visible = block.decode(actors, &mut whole)?;
        if whole.spans.iter().any(|span| span.is_visible() && span.last().counter > held[span.id.actor as usize]) {
            block.decode_text(&mut whole, visible)?;
        }
        whole.add_difference(held, &mut part);
    }
    whole.clear();
    whole.deletions = encoded.deletions;
    whole.add_difference(held, &mut part);
    Ok(part)
}

/// A text's characters, or a list's elements, and how many of them are visible. Their content is up to `content`, which is
/// called after each block.
pub(super) fn decode_sequence<'a>(
    input: &mut Input<'a>,
    actors: &[ActorRange],
    content: impl Fn(&Block<'a>, &mut TextState, usize) -> Result<(), SnapshotError>,
) -> Result<(TextState, usize), SnapshotError> {
    let encoded = EncodedText::read(input, actors)?;
    let mut text = TextState { name: encoded.name.into(), jumps: encoded.jumps, ..TextState::default() };
    text.deletions = encoded.deletions;
    let spans = encoded.blocks.iter().map(|block| block.spans as usize).sum();
    text.spans.reserve_exact(spans);
    text.heads.reserve_exact(spans);
    let mut all = 0;
    for block in &encoded.blocks {
        let visible = block.decode(actors, &mut text)?;
        content(block, &mut text, visible)?;
        all += visible;
    }
    text.order = text.by_id().ok_or(SnapshotError::Malformed("a character is there twice"))?;
    Ok((text, all))
}

/// A text whose blocks were not looked into.
pub(super) struct EncodedText<'a> {
    pub(super) name: &'a str,
    pub(super) jumps: Vec<Vec<(u32, u64)>>,
    pub(super) deletions: Vec<(Id, u32, Deletion)>,
    pub(super) blocks: Vec<Block<'a>>,
}

impl<'a> EncodedText<'a> {
    pub(super) fn read(input: &mut Input<'a>, actors: &[ActorRange]) -> Result<Self, SnapshotError> {
        let name = input.str()?;
        let jumps = decode_jumps(Input(&input.part()?), actors.len())?;
        let others = input.part()?;
        let (mut others, mut deletions) = (Input(&others), Vec::new());
        while !others.0.is_empty() {
            let id = Id { actor: others.small()?, counter: others.small()? };
            let length = others.small()?.checked_add(1).filter(|&length| length <= Span::MAX_LENGTH).ok_or(RANGE)?;
            known(actors, id, length)?;
            let deletion = read_deletion(&mut others, id, length, actors)?;
            deletions.push((id, length, deletion));
        }
        Ok(Self { name, jumps, deletions, blocks: Block::read_all(input, actors)? })
    }
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
