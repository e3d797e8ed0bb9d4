//! The columns of one block: its spans, their deletions, and the origins that are not as predicted.

use std::borrow::Cow;
use std::ops::Range;

use super::SnapshotError;
use super::blocks::Block;
use super::decode::{Input, RANGE, counter, known, unzigzag};
use super::encode::{number, zigzag};
use super::pack::{pack, unpack};
use super::predict::{differing, predict, resolve};
use super::state::{ActorRange, Head, TextState};
use crate::sorted::sort_by_key;
use crate::text::span::{Deletion, Id, Span, Step};

/// The actors that a block names.
#[derive(Default)]
pub(super) struct Named {
    /// By the index in the snapshot's table: the newest counter and the index in the block, where it is named.
    newest: Vec<Option<u32>>,
    local: Vec<u32>,
    /// The indices that are named.
    indices: Vec<u32>,
}

impl Named {
    pub(super) fn new(actors: usize) -> Self {
        Self { newest: vec![None; actors], local: vec![0; actors], indices: Vec::new() }
    }

    fn name(&mut self, actor: u32, counter: u32) {
        match &mut self.newest[actor as usize] {
            Some(newest) => *newest = counter.max(*newest),
            newest => {
                *newest = Some(counter);
                self.indices.push(actor);
            }
        }
    }

    /// Looks through the spans of a block, and gives its table.
    fn collect(&mut self, spans: &[Span], heads: &[Head], turns: &[(u32, u32, Id)]) -> Vec<(u32, u32)> {
        self.indices.drain(..).for_each(|index| self.newest[index as usize] = None);
        for span in spans {
            self.name(span.id.actor, span.last().counter);
            if !span.is_visible() {
                let deletion = span.deletion();
                let newest = deletion.dot.counter.max(deletion.at(span.len() - 1).counter);
                self.name(deletion.dot.actor, newest);
            }
        }
        let origins = heads.iter().flat_map(|head| [head.left, head.right]).chain(turns.iter().map(|turn| turn.2));
        origins.filter(|id| !id.is_none()).for_each(|id| self.name(id.actor, 0));
        sort_by_key(&mut self.indices, |&index| index);
        let mut table = Vec::with_capacity(self.indices.len());
        for (local, &index) in self.indices.iter().enumerate() {
            self.local[index as usize] = local as u32;
            table.push((index, self.newest[index as usize].unwrap_or(0)));
        }
        table
    }
}

/// A block as it is written.
pub(super) struct Encoded<'a> {
    pub(super) spans: u32,
    pub(super) actors: Vec<(u32, u32)>,
    pub(super) columns: Vec<u8>,
    pub(super) text: Cow<'a, [u8]>,
    pub(super) is_packed: bool,
}

impl Encoded<'_> {
    pub(super) fn into_owned(self) -> Encoded<'static> {
        Encoded { text: Cow::Owned(self.text.into_owned()), ..self }
    }

    pub(super) fn block(&self) -> Block<'_> {
        Block {
            spans: self.spans,
            actors: self.actors.clone(),
            columns: &self.columns,
            text: &self.text,
            is_packed: self.is_packed,
        }
    }
}

/// The visible text of a block as it is written, and whether that is packed.
pub(super) type Content<'a> = (Cow<'a, [u8]>, bool);

/// Packs the visible text of a block, if it is shorter so.
pub(super) fn content(visible: &[u8]) -> Content<'_> {
    match pack(visible) {
        Some(packed) => (Cow::Owned(packed), true),
        None => (Cow::Borrowed(visible), false),
    }
}

/// Writes the spans of a range of a divided text as a block.
pub(super) fn encode_block<'a>(
    text: &TextState,
    spans: Range<usize>,
    (content, is_packed): Content<'a>,
    named: &mut Named,
) -> Encoded<'a> {
    let first = spans.start as u32;
    let turns = text.turns.partition_point(|turn| turn.0 < first);
    let turns = &text.turns[turns..turns + text.turns[turns..].partition_point(|turn| (turn.0 as usize) < spans.end)];
    let (heads, spans) = (&text.heads[spans.clone()], &text.spans[spans]);
    let actors = named.collect(spans, heads, turns);
    let mut out = Vec::with_capacity(spans.len() * 5);
    let mut near = Near::new(actors.iter().map(|actor| actor.1));
    for span in spans {
        let local = named.local[span.id.actor as usize];
        let is_other = local != near.actor;
        let kind = u64::from(!span.is_visible()) | u64::from(is_other) << 1;
        // Two bits of kind; what they leave open follows.
        number(u64::from(span.len() - 1) << 2 | kind, &mut out);
        if is_other {
            number(local, &mut out);
        }
        number(zigzag(i64::from(span.id.counter) - near.expected(local)), &mut out);
        if !span.is_visible() {
            write_deletion(span.id, span.len(), span.deletion(), |actor| named.local[actor as usize], &mut out);
        }
        near.pass(local, span.id.counter + span.len());
    }
    let mut predicted = Vec::new();
    predict(spans, &text.jumps, &mut predicted);
    let differing = differing(&predicted, heads);
    let mut turns = turns.iter().peekable();
    let mut before = 0;
    for (index, head) in heads.iter().enumerate() {
        let (differs, span) = (differing[index], spans[index]);
        let mut step = |differs: u8, out: &mut Vec<u8>| {
            number((index as u64 - before) << 2 | u64::from(differs), out);
            before = index as u64;
        };
        if differs != 0 {
            step(differs, &mut out);
            if differs & 1 != 0 {
                named.reference(head.left, span.id.counter, &mut out);
            }
            if differs & 2 != 0 {
                named.reference(head.right, span.id.counter, &mut out);
            }
        }
        while let Some(&(_, offset, right)) = turns.next_if(|turn| turn.0 as usize == first as usize + index) {
            step(0, &mut out);
            number(offset, &mut out);
            named.reference(right, span.id.counter + offset, &mut out);
        }
    }
    Encoded { spans: spans.len() as u32, actors, columns: out, text: content, is_packed }
}

impl Named {
    /// A dot or none, its counter relative to another.
    fn reference(&self, id: Id, near: u32, out: &mut Vec<u8>) {
        if id.is_none() {
            number(0u32, out);
        } else {
            number(u64::from(self.local[id.actor as usize]) + 1, out);
            number(zigzag(i64::from(id.counter) - i64::from(near)), out);
        }
    }
}

/// What the numbers of spans are relative to.
struct Near {
    actor: u32,
    /// Per actor of the block, the counter after its last span; at first its newest.
    after: Vec<u32>,
}

impl Near {
    fn new(newest: impl Iterator<Item = u32>) -> Self {
        Self { actor: 0, after: newest.collect() }
    }

    fn expected(&self, actor: u32) -> i64 {
        i64::from(self.after[actor as usize])
    }

    fn pass(&mut self, actor: u32, after: u32) {
        self.actor = actor;
        self.after[actor as usize] = after;
    }
}

/// By the actor itself and not far from the characters' own counters is the usual case.
pub(super) fn write_deletion(id: Id, length: u32, deletion: Deletion, index: impl Fn(u32) -> u32, out: &mut Vec<u8>) {
    let near = i64::from(id.counter) + i64::from(length);
    // Of the last character: that is what was deleted first, where one deletes backwards.
    let last = i64::from(deletion.at(length - 1).counter);
    let step = match deletion.step {
        Step::Same => 0,
        Step::Up => 1,
        Step::Down => 2,
    };
    let is_other = deletion.dot.actor != id.actor;
    number(zigzag(last - near) << 3 | step << 1 | u64::from(is_other), out);
    if is_other {
        number(index(deletion.dot.actor), out);
    }
}

/// Reads a deletion whose actors are those of the snapshot's table.
pub(super) fn read_deletion(
    input: &mut Input<'_>,
    id: Id,
    length: u32,
    ranges: &[ActorRange],
) -> Result<Deletion, SnapshotError> {
    let actor = |actor: u32| Some((actor, ranges.get(actor as usize)?.version));
    let (_, highest) = actor(id.actor).ok_or(RANGE)?;
    read_local_deletion(input, id, length, highest, actor)
}

/// Reads a deletion; `actor` makes of an index the actor and its highest counter.
#[inline]
fn read_local_deletion(
    input: &mut Input<'_>,
    id: Id,
    length: u32,
    highest: u32,
    actor: impl Fn(u32) -> Option<(u32, u32)>,
) -> Result<Deletion, SnapshotError> {
    let head = input.number()?;
    let (actor, highest) = if head & 1 != 0 { actor(input.small()?).ok_or(RANGE)? } else { (id.actor, highest) };
    let near = i64::from(id.counter) + i64::from(length);
    let last = counter(near.checked_add(unzigzag(head >> 3)).ok_or(RANGE)?)?;
    let more = length - 1;
    let (step, first) = match head >> 1 & 3 {
        0 => (Step::Same, last),
        1 => (Step::Up, last.checked_sub(more).ok_or(RANGE)?),
        2 => (Step::Down, last.checked_add(more).ok_or(RANGE)?),
        _ => return Err(RANGE),
    };
    if first == 0 || first.max(last) > highest {
        return Err(RANGE);
    }
    Ok(Deletion { dot: Id { actor, counter: first }, step })
}

impl Block<'_> {
    /// The dot of its first character, of which nothing is known yet but that its actor is named.
    pub(super) fn first(&self) -> Result<Id, SnapshotError> {
        let mut input = Input(self.columns);
        let local = if input.number()? & 2 != 0 { input.number()? as usize } else { 0 };
        let &(actor, newest) = self.actors.get(local).ok_or(RANGE)?;
        let first = i64::from(newest).checked_add(unzigzag(input.number()?)).ok_or(RANGE)?;
        Ok(Id { actor, counter: counter(first)? })
    }

    /// Appends its spans to a text that has blocks before it, or nothing; says how much of them is visible.
    pub(super) fn decode(&self, ranges: &[ActorRange], text: &mut TextState) -> Result<usize, SnapshotError> {
        let mut input = Input(self.columns);
        let (start, count) = (text.spans.len(), self.spans as usize);
        text.spans.reserve(count);
        let actor = |local: u32| self.actors.get(local as usize).copied();
        // Per actor of the block, the counter after its last span; that of the present one is apart.
        let mut near = Near::new(self.actors.iter().map(|actor| actor.1));
        let (mut index, mut newest) = actor(0).ok_or(RANGE)?;
        let (mut base, mut expected) = (ranges[index as usize].base, near.expected(0));
        let mut visible = 0usize;
        for _ in 0..count {
            let head = input.number()?;
            let length = u32::try_from(head >> 2).ok().filter(|&length| length < Span::MAX_LENGTH).ok_or(RANGE)? + 1;
            if head & 2 != 0 {
                let local = input.small()?;
                (index, newest) = actor(local).ok_or(RANGE)?;
                near.pass(near.actor, expected as u32);
                near.actor = local;
                (base, expected) = (ranges[index as usize].base, near.expected(local));
            }
            let first = expected.checked_add(unzigzag(input.number()?)).ok_or(RANGE)?;
            let id = Id { actor: index, counter: counter(first)? };
            // What a reader holds already is in no snapshot for it, and the head says what is newest.
            if id.counter <= base || length > newest.saturating_sub(id.counter - 1) {
                return Err(RANGE);
            }
            let deletion = if head & 1 != 0 {
                read_local_deletion(&mut input, id, length, newest, actor)?
            } else {
                visible += length as usize;
                Deletion::NONE
            };
            expected = i64::from(id.counter) + i64::from(length);
            text.spans.push(Span::new(id, length, deletion));
        }
        predict(&text.spans[start..], &text.jumps, &mut text.heads);
        self.decode_exceptions(input, ranges, text, start)?;
        Ok(visible)
    }

    fn decode_exceptions(
        &self,
        mut input: Input<'_>,
        ranges: &[ActorRange],
        text: &mut TextState,
        start: usize,
    ) -> Result<(), SnapshotError> {
        let (mut lefts, mut rights) = (Vec::new(), Vec::new());
        let mut index = 0usize;
        while !input.0.is_empty() {
            let head = input.number()?;
            index = usize::try_from(head >> 2).ok().and_then(|step| index.checked_add(step)).ok_or(RANGE)?;
            let span = *text.spans.get(start + index).ok_or(RANGE)?;
            if head & 1 != 0 {
                lefts.push((index as u32, self.reference(&mut input, span.id.counter, ranges)?));
            }
            if head & 2 != 0 {
                rights.push((index as u32, self.reference(&mut input, span.id.counter, ranges)?));
            }
            if head & 3 == 0 {
                let offset = input.small()?;
                if offset == 0 || offset >= span.len() {
                    return Err(RANGE);
                }
                let right = self.reference(&mut input, span.id.counter + offset, ranges)?;
                if text.turns.last().is_some_and(|last| (last.0 as usize, last.1) >= (start + index, offset)) {
                    return Err(RANGE);
                }
                text.turns.push(((start + index) as u32, offset, right));
            }
        }
        let is_once = |list: &[(u32, Id)]| list.windows(2).all(|pair| pair[0].0 < pair[1].0);
        if !is_once(&lefts) || !is_once(&rights) {
            return Err(RANGE);
        }
        resolve(&mut text.heads[start..], &lefts, &rights);
        Ok(())
    }

    fn reference(&self, input: &mut Input<'_>, near: u32, ranges: &[ActorRange]) -> Result<Id, SnapshotError> {
        let Some(local) = input.number()?.checked_sub(1) else { return Ok(Id::NONE) };
        let local = usize::try_from(local).map_err(|_| RANGE)?;
        let &(actor, _) = self.actors.get(local).ok_or(RANGE)?;
        let counter = counter(i64::from(near).checked_add(unzigzag(input.number()?)).ok_or(RANGE)?)?;
        let id = Id { actor, counter };
        known(ranges, id, 1)?;
        Ok(id)
    }

    /// Appends its visible characters.
    pub(super) fn decode_text(&self, text: &mut TextState, visible: usize) -> Result<(), SnapshotError> {
        let bytes = if self.is_packed { Cow::Owned(unpack(self.text)?) } else { Cow::Borrowed(self.text) };
        let new = std::str::from_utf8(&bytes).map_err(|_| SnapshotError::Malformed("a text is not UTF-8"))?;
        if new.chars().count() != visible {
            return Err(SnapshotError::Malformed("a text is not as long as its spans say"));
        }
        text.text.push_str(new);
        Ok(())
    }
}
