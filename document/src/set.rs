//! A set of values with the meaning of `crdts::Orswot`: adding wins over a removal that did not know of it.
//!
//! Every addition has a dot. A removal names the additions that its author saw, so it carries no clock; one that it did not
//! see stays. An author's addition of a member replaces its earlier one. Of an addition that was removed or replaced, its
//! dot remains and the dot of what did it, never its member: that makes differences exact, as with deleted characters of a
//! text. Of several removals of one addition the least dot is remembered; a removal goes before a replacement.

mod gone;

use bytes::Bytes;

use crate::ids::Actor;
use crate::ordered::OrderedMap;
use crate::text::span::{Deletion, Id};
pub(crate) use gone::GoneRun;
use gone::GoneRuns;

/// A set's whole state.
#[derive(Clone, Debug, Default)]
pub(crate) struct Set {
    /// By members, as they are encoded: their additions, one for each author.
    members: OrderedMap<Bytes, Vec<Id>>,
    /// The additions of what is in it.
    additions: OrderedMap<Id, Bytes>,
    gone: GoneRuns,
}

impl Set {
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    pub(crate) fn contains(&self, member: &[u8]) -> bool {
        self.members.contains_key(member)
    }

    /// In order of the encodings.
    pub(crate) fn members(&self) -> impl ExactSizeIterator<Item = &Bytes> {
        self.members.keys()
    }

    /// The additions that keep a member in it.
    pub(crate) fn additions_of(&self, member: &[u8]) -> &[Id] {
        self.members.get(member).map_or(&[], |ids| ids)
    }

    /// What an addition added, while that keeps it in.
    pub(crate) fn member_of(&self, id: Id) -> Option<&Bytes> {
        self.additions.get(&id)
    }

    /// What took an addition away.
    pub(crate) fn gone_by(&self, id: Id) -> Option<Id> {
        let span = self.gone.find(id)?.span;
        Some(span.deletion().at(id.counter - span.id.counter))
    }

    pub(crate) fn additions(&self) -> impl ExactSizeIterator<Item = (Id, &Bytes)> {
        self.additions.iter().map(|(&id, member)| (id, member))
    }

    pub(crate) fn gone(&self) -> impl ExactSizeIterator<Item = GoneRun> {
        self.gone.iter()
    }

    /// An author's addition of a member, while that keeps it in.
    pub(crate) fn addition_of(&self, member: &[u8], actor: u32) -> Option<Id> {
        self.additions_of(member).iter().copied().find(|id| id.actor == actor)
    }

    /// Adds a member; an author's additions come in their order. Says whether it was not there before.
    pub(crate) fn add(&mut self, id: Id, member: Bytes) -> bool {
        let ids = self.members.entry(member.clone()).or_default();
        let is_new = ids.is_empty();
        match ids.iter_mut().find(|held| held.actor == id.actor) {
            Some(held) if held.counter >= id.counter => return false,
            Some(held) => {
                let replaced = std::mem::replace(held, id);
                self.additions.remove(&replaced);
                let by = Deletion { dot: id, ..Deletion::NONE };
                self.gone.put(GoneRun::new(replaced, 1, by, true));
            }
            None => ids.push(id),
        }
        self.additions.insert(id, member);
        is_new
    }

    /// Takes a run of additions away, and remembers the lesser dots that did; without effect on what is no addition of this
    /// set. Returns the members that are not there any more.
    pub(crate) fn remove(&mut self, actors: &[Actor], run: GoneRun) -> Vec<Bytes> {
        let (from, length) = (run.span.id, run.span.len());
        let part = |id: Id, length: u32| {
            let offset = id.counter - from.counter;
            GoneRun { span: run.span.part(offset, offset + length), ..run }
        };
        for held in self.gone.within(from, length) {
            self.gone.lessen(actors, part(held.span.id, held.span.len()));
        }
        let to = Id { counter: from.counter.saturating_add(length), ..from };
        let here: Vec<Id> = self.additions.range(from..to).map(|(&id, _)| id).collect();
        let mut left = Vec::new();
        for id in here {
            let Some(member) = self.additions.remove(&id) else { continue };
            self.gone.put(part(id, 1));
            let ids = self.members.get_mut(&member);
            if ids.is_some_and(|ids| {
                ids.retain(|&held| held != id);
                ids.is_empty()
            }) {
                self.members.remove(&member);
                left.push(member);
            }
        }
        left
    }

    /// Additions of which only their end is known, from a snapshot.
    pub(crate) fn insert_gone(&mut self, run: GoneRun) {
        if self.gone.within(run.span.id, run.span.len()).is_empty() {
            self.gone.put(run);
        }
    }
}
