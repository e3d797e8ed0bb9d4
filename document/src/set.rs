//! A set of values with the meaning of `crdts::Orswot`: adding wins over a removal that did not know of it.
//!
//! Every addition has a dot. A removal names the additions that its author saw, so it carries no clock; one that it did not
//! see stays. An author's addition of a member replaces its earlier one. Of an addition that was removed or replaced, its
//! dot remains and the dot of what did it, never its member: that makes differences exact, as with deleted characters of a
//! text. Of several removals of one addition the least dot is remembered; a removal goes before a replacement.

use bytes::Bytes;

use crate::ids::Actor;
use crate::ordered::OrderedMap;
use crate::text::span::Id;

/// What became of an addition.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) struct Gone {
    /// The removal's dot, or the author's next addition of the member.
    pub(crate) by: Id,
    pub(crate) is_replaced: bool,
}

/// A set's whole state.
#[derive(Clone, Debug, Default)]
pub(crate) struct Set {
    /// By members, as they are encoded: their additions, one for each author.
    members: OrderedMap<Bytes, Vec<Id>>,
    /// The additions of what is in it.
    additions: OrderedMap<Id, Bytes>,
    gone: OrderedMap<Id, Gone>,
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
        self.gone.get(&id).map(|gone| gone.by)
    }

    pub(crate) fn additions(&self) -> impl ExactSizeIterator<Item = (Id, &Bytes)> {
        self.additions.iter().map(|(&id, member)| (id, member))
    }

    pub(crate) fn gone(&self) -> impl ExactSizeIterator<Item = (Id, Gone)> {
        self.gone.iter().map(|(&id, &gone)| (id, gone))
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
                self.gone.insert(replaced, Gone { by: id, is_replaced: true });
            }
            None => ids.push(id),
        }
        self.additions.insert(id, member);
        is_new
    }

    /// Takes an addition away, or remembers the lesser dot that did; without effect on what is no addition of this set.
    /// Returns the member if it is not there any more.
    pub(crate) fn remove(&mut self, actors: &[Actor], id: Id, gone: Gone) -> Option<Bytes> {
        if let Some(held) = self.gone.get_mut(&id) {
            let order = |gone: &Gone| (gone.is_replaced, actors[gone.by.actor as usize], gone.by.counter);
            if order(&gone) < order(held) {
                *held = gone;
            }
            return None;
        }
        let member = self.additions.remove(&id)?;
        self.gone.insert(id, gone);
        let ids = self.members.get_mut(&member)?;
        ids.retain(|&held| held != id);
        if !ids.is_empty() {
            return None;
        }
        self.members.remove(&member);
        Some(member)
    }

    /// The additions among a run of dots, those that are gone too: what a removal may be about.
    pub(crate) fn known(&self, from: Id, length: u32) -> Vec<Id> {
        let to = Id { actor: from.actor, counter: from.counter.saturating_add(length) };
        let (here, gone) = (self.additions.range(from..to), self.gone.range(from..to));
        here.map(|(&id, _)| id).chain(gone.map(|(&id, _)| id)).collect()
    }

    /// An addition of which only its end is known, from a snapshot.
    pub(crate) fn insert_gone(&mut self, id: Id, gone: Gone) {
        self.gone.insert(id, gone);
    }
}
