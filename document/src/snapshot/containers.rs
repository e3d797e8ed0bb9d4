//! Lists, sets and counters in snapshots, each kind in a section of its own.

use super::columns::{read_deletion, write_deletion};
use super::decode::{Input, RANGE, decode_sequence, known, written};
use super::encode::{bytes, encode_sequence, number, part, section};
use super::state::{ActorRange, TextState};
use super::{SnapshotError, section as kinds};
use crate::counter::Share;
use crate::list::elements;
use crate::messagepack::Reader;
use crate::set::GoneRun;
use crate::text::span::{Id, Span};
use crate::value::pass_canonical;

/// Encoded values, one after another.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Values {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Values {
    pub(crate) fn push(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
        self.ends.push(self.bytes.len() as u32);
    }

    /// Adds what `write` writes.
    pub(crate) fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(&mut self.bytes);
        self.ends.push(self.bytes.len() as u32);
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn get(&self, index: usize) -> &[u8] {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        &self.bytes[start..self.ends[index] as usize]
    }
}

/// A list: its sequence, and the values of what is visible of it, in order.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct ListState {
    pub(crate) text: TextState,
    pub(crate) values: Values,
}

/// A set: additions that keep a member in, and runs of those that are gone, both in order of their dots.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct SetState {
    pub(crate) name: Box<str>,
    pub(crate) additions: Vec<Id>,
    pub(crate) members: Values,
    pub(crate) gone: Vec<GoneRun>,
}

/// A counter: what each actor added, in order of the actors.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct CounterState {
    pub(crate) name: Box<str>,
    pub(crate) shares: Vec<(u32, Share)>,
}

/// All of them.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Containers {
    pub(crate) lists: Vec<ListState>,
    pub(crate) sets: Vec<SetState>,
    pub(crate) counters: Vec<CounterState>,
}

impl Containers {
    /// What a reader who holds so much of each actor lacks.
    pub(super) fn difference(&self, held: &[u32]) -> Self {
        let lists = self.lists.iter().map(|list| list.difference(held)).filter(|list| !list.text.is_empty());
        let sets = self.sets.iter().map(|set| set.difference(held));
        let counters = self.counters.iter().map(|counter| counter.difference(held));
        Self {
            lists: lists.collect(),
            sets: sets.filter(|set| !set.additions.is_empty() || !set.gone.is_empty()).collect(),
            counters: counters.filter(|counter| !counter.shares.is_empty()).collect(),
        }
    }

    /// Every dot that is written or referred to.
    pub(super) fn ids(&self, mut each: impl FnMut(Id)) {
        self.lists.iter().for_each(|list| list.text.ids(&mut each));
        for set in &self.sets {
            set.additions.iter().copied().for_each(&mut each);
            set.gone.iter().flat_map(|run| [run.span.id, run.span.deletion().dot]).for_each(&mut each);
        }
    }

    /// Gives actors other indices.
    pub(crate) fn renumber(&mut self, moved: impl Fn(Id) -> Id) {
        self.lists.iter_mut().for_each(|list| list.text.renumber(&moved));
        for set in &mut self.sets {
            set.additions.iter_mut().for_each(|id| *id = moved(*id));
            set.gone.iter_mut().for_each(|run| *run = run.renumbered(&moved));
        }
        for (actor, share) in self.counters.iter_mut().flat_map(|counter| &mut counter.shares) {
            *actor = moved(Id { actor: *actor, counter: share.last }).actor;
        }
    }

    /// Each in a section of its own.
    pub(super) fn encode(&self, actors: &[ActorRange], out: &mut Vec<u8>) {
        section(kinds::LISTS, &self.lists, out, |list, out| {
            encode_sequence(&list.text, actors, false, out);
            part(&list.values.bytes, out);
        });
        section(kinds::SETS, &self.sets, out, SetState::encode);
        section(kinds::COUNTERS, &self.counters, out, CounterState::encode);
    }

    /// Reads one item of a section, which comes after those before it.
    pub(super) fn decode(
        &mut self,
        kind: u64,
        input: &mut Input<'_>,
        actors: &[ActorRange],
    ) -> Result<(), SnapshotError> {
        match kind {
            kinds::LISTS => push(&mut self.lists, ListState::decode(input, actors)?, |list| &list.text.name),
            kinds::SETS => push(&mut self.sets, SetState::decode(input, actors)?, |set| &set.name),
            kinds::COUNTERS => push(&mut self.counters, CounterState::decode(input, actors)?, |counter| &counter.name),
            _ => Err(SnapshotError::Section(kind)),
        }
    }
}

fn push<T>(items: &mut Vec<T>, item: T, name: impl Fn(&T) -> &str) -> Result<(), SnapshotError> {
    if items.last().is_some_and(|last| name(last) >= name(&item)) {
        return Err(SnapshotError::Malformed("containers are not in order"));
    }
    items.push(item);
    Ok(())
}

/// Reads values that are each in their one form, as many as `count` says, up to the end.
fn decode_values(bytes: Vec<u8>, count: usize) -> Result<Values, SnapshotError> {
    const PROBLEM: SnapshotError = SnapshotError::Malformed("values are not as many, or not as they must be");
    let mut values = Values { ends: Vec::with_capacity(count.min(bytes.len())), bytes };
    let (mut reader, mut short) = (Reader::new(&values.bytes), Vec::new());
    for _ in 0..count {
        pass_canonical(&mut reader, &mut short).map_err(|_| PROBLEM)?;
        values.ends.push(u32::try_from(reader.position()).map_err(|_| PROBLEM)?);
    }
    if reader.is_empty() { Ok(values) } else { Err(PROBLEM) }
}

impl ListState {
    fn difference(&self, held: &[u32]) -> Self {
        let mut part = Self { text: self.text.difference(held), values: Values::default() };
        let mut at = 0;
        for span in self.text.spans.iter().filter(|span| span.is_visible()) {
            let known = (held[span.id.actor as usize] + 1).saturating_sub(span.id.counter).min(span.len());
            let (from, to) = (at + known as usize, at + span.len() as usize);
            (from..to).for_each(|index| part.values.push(self.values.get(index)));
            at = to;
        }
        part
    }

    fn decode(input: &mut Input<'_>, actors: &[ActorRange]) -> Result<Self, SnapshotError> {
        let (mut text, visible) = decode_sequence(input, actors, |_, _, _| Ok(()))?;
        let values = decode_values(input.part()?.into_owned(), visible)?;
        text.text = elements(visible);
        Ok(Self { text, values })
    }
}

impl SetState {
    /// Adds a run that follows the last one, joined with it as far as it goes on: what results depends on the additions alone,
    /// not on how they came to be divided.
    pub(crate) fn push_gone(&mut self, run: GoneRun) {
        if let Some(last) = self.gone.last_mut() {
            if let Some(joined) = last.joined(&run) {
                *last = joined;
                return;
            }
            if run.span.len() > 1
                && let Some(joined) = last.joined(&run.part(0, 1))
            {
                *last = joined;
                self.gone.push(run.part(1, run.span.len()));
                return;
            }
        }
        self.gone.push(run);
    }

    fn difference(&self, held: &[u32]) -> Self {
        let mut part = Self { name: self.name.clone(), ..Self::default() };
        for (index, &id) in self.additions.iter().enumerate() {
            if id.counter > held[id.actor as usize] {
                part.additions.push(id);
                part.members.push(self.members.get(index));
            }
        }
        for run in &self.gone {
            let (id, length) = (run.span.id, run.span.len());
            let known = (held[id.actor as usize] + 1).saturating_sub(id.counter).min(length);
            if known > 0
                && let Some((from, to)) = run.span.part(0, known).lacked_deletions(held)
            {
                part.push_gone(run.part(from, to));
            }
            if known < length {
                part.push_gone(run.part(known, length));
            }
        }
        part
    }

    fn encode(&self, out: &mut Vec<u8>) {
        bytes(self.name.as_bytes(), out);
        let mut ids = Vec::new();
        let mut before = Id::NONE;
        for &id in &self.additions {
            step(&mut before, id, 1, &mut ids);
        }
        number(self.additions.len() as u64, out);
        part(&ids, out);
        part(&self.members.bytes, out);
        let mut gone = Vec::new();
        before = Id::NONE;
        for &GoneRun { span, is_replaced } in &self.gone {
            let length = span.len();
            step(&mut before, span.id, length, &mut gone);
            number(u64::from(length - 1) << 1 | u64::from(is_replaced), &mut gone);
            write_deletion(span.id, length, span.deletion(), |actor| actor, &mut gone);
        }
        number(self.gone.len() as u64, out);
        part(&gone, out);
    }

    fn decode(input: &mut Input<'_>, actors: &[ActorRange]) -> Result<Self, SnapshotError> {
        let mut set = Self { name: input.str()?.into(), ..Self::default() };
        let count = usize::try_from(input.number()?).map_err(|_| RANGE)?;
        let ids = input.part()?;
        let mut ids = Input(&ids);
        let mut before = Id::NONE;
        for _ in 0..count {
            let id = read_step(&mut before, &mut ids)?;
            written(actors, id, 1)?;
            set.additions.push(id);
        }
        set.members = decode_values(input.part()?.into_owned(), count)?;
        let count = usize::try_from(input.number()?).map_err(|_| RANGE)?;
        let gone = input.part()?;
        let mut gone = Input(&gone);
        before = Id::NONE;
        for _ in 0..count {
            let id = read_step(&mut before, &mut gone)?;
            let head = gone.number()?;
            let length = u32::try_from(head >> 1).ok().filter(|&length| length < Span::MAX_LENGTH).ok_or(RANGE)? + 1;
            known(actors, id, length)?;
            before.counter = id.counter + (length - 1);
            let by = read_deletion(&mut gone, id, length, actors)?;
            set.gone.push(GoneRun::new(id, length, by, head & 1 != 0));
        }
        if ids.0.is_empty() && gone.0.is_empty() { Ok(set) } else { Err(RANGE) }
    }
}

/// A dot after another: how many actors further, and the counter, less the one before where the actor is the same.
fn step(before: &mut Id, id: Id, length: u32, out: &mut Vec<u8>) {
    number(id.actor - before.actor, out);
    number(if id.actor == before.actor { id.counter - before.counter } else { id.counter }, out);
    *before = id.plus(length - 1);
}

fn read_step(before: &mut Id, input: &mut Input<'_>) -> Result<Id, SnapshotError> {
    let further = input.small()?;
    let actor = before.actor.checked_add(further).ok_or(RANGE)?;
    let counter = if further == 0 { before.counter } else { 0 };
    let id = Id { actor, counter: counter.checked_add(input.small()?).ok_or(RANGE)? };
    if id.counter == counter {
        return Err(RANGE);
    }
    *before = id;
    Ok(id)
}

impl CounterState {
    fn difference(&self, held: &[u32]) -> Self {
        let is_lacked = |&&(actor, share): &&(u32, Share)| share.last > held[actor as usize];
        Self { name: self.name.clone(), shares: self.shares.iter().filter(is_lacked).copied().collect() }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        bytes(self.name.as_bytes(), out);
        number(self.shares.len() as u64, out);
        for (actor, share) in &self.shares {
            number(*actor, out);
            number(share.last, out);
            number(share.plus, out);
            number(share.minus, out);
        }
    }

    fn decode(input: &mut Input<'_>, actors: &[ActorRange]) -> Result<Self, SnapshotError> {
        let mut counter = Self { name: input.str()?.into(), shares: Vec::new() };
        for _ in 0..input.count()? {
            let actor = input.small()?;
            let share = Share { last: input.small()?, plus: input.number()?, minus: input.number()? };
            written(actors, Id { actor, counter: share.last }, 1)?;
            if counter.shares.last().is_some_and(|last| last.0 >= actor) {
                return Err(SnapshotError::Malformed("a counter's actors are not in order"));
            }
            counter.shares.push((actor, share));
        }
        Ok(counter)
    }
}
