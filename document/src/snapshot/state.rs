//! A state, or the difference between two, taken apart: what a snapshot encodes.

use super::containers::Containers;
use super::format::FormatState;
use crate::ids::{Actor, VersionVector};
use crate::kept::KeptOperation;
use crate::map::Register;
use crate::text::span::{Deletion, Id, Span, Step};

/// An actor, with the counters that the reader holds and that it holds after.
#[derive(Copy, Clone, Eq, PartialEq, Debug, Default)]
pub(crate) struct ActorRange {
    pub(crate) actor: Actor,
    pub(crate) base: u32,
    pub(crate) version: u32,
}

impl ActorRange {
    /// The counter up to which a reader at `have` holds what this brings.
    pub(crate) fn held(&self, have: &VersionVector) -> u32 {
        have.get(&self.actor).min(u64::from(self.version)).max(u64::from(self.base)) as u32
    }
}

/// A whole state or a difference. Actors are known by their index in the table, which is in order of the actors.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct State {
    /// Whether this is all of a state, so that ranks come with it.
    pub(crate) is_whole: bool,
    pub(crate) actors: Vec<ActorRange>,
    pub(crate) texts: Vec<TextState>,
    pub(crate) maps: Vec<MapState>,
    pub(crate) kept: Vec<(Id, KeptOperation)>,
    pub(crate) containers: Containers,
    /// Of the texts that have any formatting, in order of their names.
    pub(crate) formats: Vec<FormatState>,
}

/// A map's registers; each marker's actor is in the table.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct MapState {
    pub(crate) name: Box<str>,
    pub(crate) registers: Vec<(Box<str>, Register)>,
}

/// The origins of the character at `offset` of a span.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) struct Head {
    pub(crate) left: Id,
    pub(crate) right: Id,
}

/// A text's characters that the reader lacks, in order, and what deleted others.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct TextState {
    pub(crate) name: Box<str>,
    pub(crate) spans: Vec<Span>,
    /// The origins of each span's first character.
    pub(crate) heads: Vec<Head>,
    /// Characters within spans (span, offset, right origin) from which on the right origin is another.
    pub(crate) turns: Vec<(u32, u32, Id)>,
    /// What is visible of the spans.
    pub(crate) text: String,
    /// Deletions of characters that the reader holds.
    pub(crate) deletions: Vec<(Id, u32, Deletion)>,
    /// Per actor of the table, where its ranks go ahead of its counters; only in whole states.
    pub(crate) jumps: Vec<Vec<(u32, u64)>>,
    /// The indices of the spans in order of their ids, once a decoder looked.
    pub(crate) order: Vec<u32>,
}

impl TextState {
    pub(crate) fn is_empty(&self) -> bool {
        self.spans.is_empty() && self.deletions.is_empty()
    }

    /// Adds a span that follows the last one, joined as far as it goes: what results depends on the characters alone,
    /// not on how they came to be divided.
    pub(crate) fn push(&mut self, span: Span, head: Head) {
        if let Some(last) = self.spans.last_mut()
            && head.left == last.last()
        {
            let follows = self.turns.last().filter(|turn| turn.0 as usize + 1 == self.heads.len());
            let right = follows.map_or_else(|| self.heads.last().map(|head| head.right), |turn| Some(turn.2));
            let index = self.heads.len() as u32 - 1;
            let offset = last.len();
            if let Some(joined) = last.joined(&span) {
                *last = joined;
                if right != Some(head.right) {
                    self.turns.push((index, offset, head.right));
                }
                return;
            }
            if span.len() > 1
                && let Some(joined) = last.joined(&span.part(0, 1))
            {
                *last = joined;
                if right != Some(head.right) {
                    self.turns.push((index, offset, head.right));
                }
                self.spans.push(span.part(1, span.len()));
                self.heads.push(Head { left: span.id, right: head.right });
                return;
            }
        }
        self.spans.push(span);
        self.heads.push(head);
    }

    /// The spans in parts with one right origin each.
    pub(crate) fn parts(&self) -> Parts<'_> {
        Parts { text: self, index: 0, offset: 0, turn: 0 }
    }

    /// The indices of the spans in order of their ids; `None` when a character is there twice.
    pub(crate) fn by_id(&self) -> Option<Vec<u32>> {
        let keys: Vec<u64> =
            self.spans.iter().map(|span| u64::from(span.id.actor) << 32 | u64::from(span.id.counter)).collect();
        let order = sort(&keys);
        let is_disjoint = order.windows(2).all(|pair| {
            let (before, after) = (pair[0] as usize, pair[1] as usize);
            keys[before] + u64::from(self.spans[before].len()) <= keys[after]
        });
        is_disjoint.then_some(order)
    }
}

/// The order of keys, least first, by their bytes that differ at all: a table of spans is sorted in two or three passes.
fn sort(keys: &[u64]) -> Vec<u32> {
    let differing = keys.iter().fold(0, |bits, key| bits | key ^ keys[0]);
    let mut order: Vec<u32> = (0..keys.len() as u32).collect();
    let mut sorted = vec![0; keys.len()];
    for shift in (0..64).step_by(8).filter(|shift| differing >> shift & 0xff != 0) {
        let mut starts = [0u32; 256];
        for key in keys {
            starts[(key >> shift & 0xff) as usize] += 1;
        }
        let mut before = 0;
        for start in &mut starts {
            before += std::mem::replace(start, before);
        }
        for &index in &order {
            let start = &mut starts[(keys[index as usize] >> shift & 0xff) as usize];
            sorted[*start as usize] = index;
            *start += 1;
        }
        std::mem::swap(&mut order, &mut sorted);
    }
    order
}

/// See [`TextState::parts`].
pub(crate) struct Parts<'a> {
    text: &'a TextState,
    index: usize,
    offset: u32,
    turn: usize,
}

impl Iterator for Parts<'_> {
    type Item = (Span, Head);

    fn next(&mut self) -> Option<Self::Item> {
        let whole = *self.text.spans.get(self.index)?;
        let mut head = self.text.heads[self.index];
        let from = self.offset;
        if from > 0 {
            // The turn that the last part ended at.
            head = Head { left: whole.id.plus(from - 1), right: self.text.turns[self.turn - 1].2 };
        }
        match self.text.turns.get(self.turn).filter(|turn| turn.0 as usize == self.index) {
            Some(&(_, offset, _)) => {
                self.turn += 1;
                self.offset = offset;
                Some((whole.part(from, offset), head))
            }
            None => {
                self.index += 1;
                self.offset = 0;
                Some((if from == 0 { whole } else { whole.part(from, whole.len()) }, head))
            }
        }
    }
}

impl State {
    /// The index of an actor in the table.
    pub(crate) fn index(&self, actor: Actor) -> Option<u32> {
        self.actors.binary_search_by_key(&actor, |range| range.actor).ok().map(|index| index as u32)
    }

    /// What a reader at `have` lacks of a whole state; or of a difference, where the reader holds its base.
    pub(crate) fn difference(&self, have: &VersionVector) -> State {
        let held: Vec<u32> = self.actors.iter().map(|range| range.held(have)).collect();
        let lacks = |id: Id| id.counter > held[id.actor as usize];
        let mut uses: Vec<bool> = self.actors.iter().zip(&held).map(|(range, &held)| range.version > held).collect();
        let is_whole = self.is_whole && held.iter().all(|&held| held == 0);
        if is_whole {
            return self.clone();
        }
        let mut state = State::default();
        for text in &self.texts {
            let part = text.difference(&held);
            if !part.is_empty() {
                part.ids(|id| uses[id.actor as usize] = true);
                state.texts.push(part);
            }
        }
        for map in &self.maps {
            let is_lacked = |register: &Register| {
                self.index(register.marker.actor)
                    .is_some_and(|actor| lacks(Id { actor, counter: register.marker.counter }))
            };
            let registers: Vec<_> = map.registers.iter().filter(|(_, register)| is_lacked(register)).cloned().collect();
            if !registers.is_empty() {
                state.maps.push(MapState { name: map.name.clone(), registers });
            }
        }
        state.containers = self.containers.difference(&held);
        state.containers.ids(|id| uses[id.actor as usize] = true);
        state.kept.extend(self.kept.iter().filter(|(id, _)| lacks(*id)).cloned());
        for format in self.formats.iter().filter_map(|format| format.difference(lacks)) {
            format.ids(|id| uses[id.actor as usize] = true);
            state.formats.push(format);
        }
        // Only the actors that are written or referred to; their indices move up.
        let mut indices = Vec::with_capacity(uses.len());
        for (index, used) in uses.into_iter().enumerate() {
            indices.push(state.actors.len() as u32);
            if used {
                state.actors.push(ActorRange { base: held[index], ..self.actors[index] });
            }
        }
        let moved = |id: Id| if id.is_none() { id } else { Id { actor: indices[id.actor as usize], ..id } };
        for text in &mut state.texts {
            text.renumber(moved);
        }
        for (id, _) in &mut state.kept {
            *id = moved(*id);
        }
        state.containers.renumber(moved);
        state.formats.iter_mut().for_each(|format| format.renumber(moved));
        state
    }
}

impl TextState {
    pub(super) fn difference(&self, held: &[u32]) -> TextState {
        let mut part = TextState { name: self.name.clone(), ..TextState::default() };
        self.add_difference(held, &mut part);
        part
    }

    /// Adds what a reader lacks who holds so much of each actor.
    pub(super) fn add_difference(&self, held: &[u32], part: &mut TextState) {
        let (mut rest, is_ascii) = (&*self.text, self.text.is_ascii());
        for (span, head) in self.parts() {
            let visible = span.visible() as usize;
            let (text, after) = rest.split_at(char_end(rest, is_ascii, visible));
            rest = after;
            let known = (held[span.id.actor as usize] + 1).saturating_sub(span.id.counter).min(span.len());
            if known > 0 {
                part.delete(span.part(0, known), held);
            }
            if known < span.len() {
                let head = if known == 0 { head } else { Head { left: span.id.plus(known - 1), right: head.right } };
                part.push(span.part(known, span.len()), head);
                if visible > 0 {
                    part.text.push_str(&text[char_end(text, is_ascii, known as usize)..]);
                }
            }
        }
        for &(id, length, deletion) in &self.deletions {
            part.delete(Span::new(id, length, deletion), held);
        }
    }

    /// Drops the characters, and keeps the room for others.
    pub(super) fn clear(&mut self) {
        self.spans.clear();
        self.heads.clear();
        self.turns.clear();
        self.text.clear();
    }

    /// Adds what is lacked of the deletions of characters that are held.
    fn delete(&mut self, span: Span, held: &[u32]) {
        if let Some((from, to)) = span.lacked_deletions(held) {
            self.push_deletion(span.part(from, to));
        }
    }

    pub(crate) fn push_deletion(&mut self, span: Span) {
        if let Some((id, length, deletion)) = self.deletions.last_mut()
            && let Some(joined) = Span::new(*id, *length, *deletion).joined(&span)
        {
            (*length, *deletion) = (joined.len(), joined.deletion());
            return;
        }
        self.deletions.push((span.id, span.len(), span.deletion()));
    }

    pub(super) fn ids(&self, mut each: impl FnMut(Id)) {
        let heads = self.heads.iter().flat_map(|head| [head.left, head.right]);
        let spans = self.spans.iter().flat_map(|span| [span.id, span.deletion().dot]);
        let deletions = self.deletions.iter().flat_map(|&(id, _, deletion)| [id, deletion.dot]);
        let turns = self.turns.iter().map(|turn| turn.2);
        heads.chain(spans).chain(deletions).chain(turns).filter(|id| !id.is_none()).for_each(&mut each);
    }

    /// Gives actors other indices.
    pub(crate) fn renumber(&mut self, moved: impl Fn(Id) -> Id) {
        let deletion = |old: Deletion| Deletion { dot: moved(old.dot), step: old.step };
        for span in &mut self.spans {
            *span = Span::new(moved(span.id), span.len(), deletion(span.deletion()));
        }
        for head in &mut self.heads {
            *head = Head { left: moved(head.left), right: moved(head.right) };
        }
        for turn in &mut self.turns {
            turn.2 = moved(turn.2);
        }
        for (id, _, old) in &mut self.deletions {
            (*id, *old) = (moved(*id), deletion(*old));
        }
    }
}

impl Span {
    /// The characters of a deleted span whose deletions a reader lacks who holds so much of each actor.
    pub(super) fn lacked_deletions(&self, held: &[u32]) -> Option<(u32, u32)> {
        let Deletion { dot, step } = self.deletion();
        if dot.is_none() {
            return None;
        }
        let (held, length) = (held[dot.actor as usize], self.len());
        let (from, to) = match step {
            Step::Same => (0, if dot.counter > held { length } else { 0 }),
            Step::Up => ((held + 1).saturating_sub(dot.counter).min(length), length),
            Step::Down => (0, dot.counter.saturating_sub(held).min(length)),
        };
        (from < to).then_some((from, to))
    }
}

/// The byte at which the character of that index begins, or the length.
pub(crate) fn char_end(text: &str, is_ascii: bool, index: usize) -> usize {
    if is_ascii { index.min(text.len()) } else { text.char_indices().nth(index).map_or(text.len(), |(at, _)| at) }
}
