use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use inkwire_document::{Actor, Batch, Dot, VersionVector};

use super::MemberId;
use crate::record::{ActorRecord, Digest};
use crate::{Chain, Code};

/// So many refusals a room remembers.
const MAX_REFUSED: usize = 4_096;

/// What was refused to the one who writes as an actor: everything from a counter on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusal {
    pub(super) first: u64,
    pub(super) code: Code,
    /// Of the batch that began there.
    pub(super) digest: Digest,
}

/// What a room knows of one actor.
#[derive(Debug)]
pub(super) struct ActorState {
    /// Who writes as it; bound at its first use. `None` when the store did not know.
    pub(super) subject: Option<Arc<str>>,
    /// The highest counter that the room holds without a gap.
    pub(super) held: u64,
    /// The highest counter that is durable.
    pub(super) durable: u64,
    /// The running digest of what is held, if it is known: a snapshot says nothing of the batches in it, and what is stored
    /// beside an old one does not either.
    pub(super) chain: Option<Chain>,
    /// The running digest up to what the newest snapshot covers.
    pub(super) folded: Option<Chain>,
    /// The member that writes as it now.
    pub(super) holder: Option<MemberId>,
    /// Its lease ends when this counter is durable.
    releasing: Option<u64>,
    /// Its lease has ended: the subject may have it again.
    free: bool,
}

impl Default for ActorState {
    fn default() -> Self {
        Self {
            subject: None,
            held: 0,
            durable: 0,
            chain: Some(Chain::default()),
            folded: Some(Chain::default()),
            holder: None,
            releasing: None,
            free: false,
        }
    }
}

impl ActorState {
    /// Holds another batch.
    pub(super) fn hold(&mut self, batch: &Batch, digest: &Digest) {
        self.held = batch.last();
        self.chain = self.chain.map(|chain| chain.then(batch.first, batch.count, digest));
    }
}

/// Every actor of the document.
#[derive(Debug, Default)]
pub(super) struct Actors {
    states: BTreeMap<Actor, ActorState>,
    /// Actors whose lease has ended, by subject; the last is leased again first.
    free: BTreeMap<Arc<str>, Vec<Actor>>,
    /// What was refused to its author, of the last [`MAX_REFUSED`], in order.
    refused: BTreeMap<Actor, Refusal>,
    refused_order: VecDeque<Actor>,
}

impl Actors {
    pub(super) fn get(&self, actor: Actor) -> Option<&ActorState> {
        self.states.get(&actor)
    }

    pub(super) fn get_mut(&mut self, actor: Actor) -> Option<&mut ActorState> {
        self.states.get_mut(&actor)
    }

    pub(super) fn entry(&mut self, actor: Actor) -> &mut ActorState {
        self.states.entry(actor).or_default()
    }

    pub(super) fn held(&self, actor: Actor) -> u64 {
        self.get(actor).map_or(0, |state| state.held)
    }

    /// The member writes as the actor from now on. Returns the next counter and who did before.
    pub(super) fn take(&mut self, actor: Actor, member: MemberId, subject: &Arc<str>) -> (u64, Option<MemberId>) {
        let state = self.states.entry(actor).or_default();
        if state.held == 0 || state.subject.is_none() {
            state.subject = Some(subject.clone());
        }
        state.releasing = None;
        if std::mem::take(&mut state.free)
            && let Some(free) = self.free.get_mut(subject)
        {
            free.retain(|other| *other != actor);
            if free.is_empty() {
                self.free.remove(subject);
            }
        }
        (state.held + 1, state.holder.replace(member))
    }

    /// The holder was refused what it sent, and makes it again as another actor.
    pub(super) fn refuse(&mut self, actor: Actor, refusal: Refusal) {
        if let Some(known) = self.refused.get_mut(&actor) {
            if refusal.first < known.first {
                *known = refusal;
            }
            return;
        }
        self.refused.insert(actor, refusal);
        self.refused_order.push_back(actor);
        if self.refused_order.len() > MAX_REFUSED
            && let Some(oldest) = self.refused_order.pop_front()
        {
            self.refused.remove(&oldest);
        }
    }

    /// What was refused to the one who writes as the actor.
    pub(super) fn refused(&self, actor: Actor) -> Option<Refusal> {
        self.refused.get(&actor).copied()
    }

    /// An actor of the subject's whose lease has ended.
    pub(super) fn free(&self, subject: &Arc<str>) -> Option<Actor> {
        self.free.get(subject)?.last().copied()
    }

    /// The holder will write no more after `last`; see [`try_free`](Self::try_free).
    pub(super) fn release(&mut self, actor: Actor, last: u64) {
        if let Some(state) = self.get_mut(actor) {
            state.releasing = Some(last);
        }
    }

    /// Ends the lease if it was released and all of it is durable. Returns whether it ended now.
    pub(super) fn try_free(&mut self, actor: Actor) -> bool {
        let Some(state) = self.states.get_mut(&actor) else { return false };
        let done = state.releasing.is_some_and(|last| state.durable >= last && state.durable == state.held);
        if !done {
            return false;
        }
        (state.releasing, state.holder) = (None, None);
        match &state.subject {
            _ if state.held == 0 => drop(self.states.remove(&actor)),
            Some(subject) if !state.free => {
                state.free = true;
                self.free.entry(subject.clone()).or_default().push(actor);
            }
            _ => {}
        }
        true
    }

    /// Forgets a lease that was never written under; otherwise only that somebody holds it.
    pub(super) fn let_go(&mut self, actor: Actor, member: MemberId) {
        if let Some(state) = self.states.get_mut(&actor)
            && state.holder == Some(member)
        {
            state.holder = None;
            if state.held == 0 {
                self.states.remove(&actor);
            }
        }
    }

    /// What the room holds.
    pub(super) fn held_vector(&self) -> VersionVector {
        self.vector(|state| state.held)
    }

    /// What is durable beyond `known`.
    pub(super) fn durable_beyond(&self, known: &VersionVector) -> VersionVector {
        self.states
            .iter()
            .filter(|(actor, state)| state.durable > known.get(actor))
            .map(|(actor, state)| Dot::new(*actor, state.durable))
            .collect()
    }

    /// Everybody who wrote something, as it is to be stored beside a snapshot: `moved` are the running digests that the newest
    /// one does not have yet.
    pub(super) fn records(&self, moved: &BTreeMap<Actor, Option<Chain>>) -> Vec<ActorRecord> {
        let record = |(actor, state): (&Actor, &ActorState)| {
            let subject = state.subject.clone().filter(|_| state.held > 0)?;
            let chain = moved.get(actor).copied().unwrap_or(state.folded);
            Some(ActorRecord { actor: *actor, subject, chain })
        };
        self.states.iter().filter_map(record).collect()
    }

    fn vector(&self, counter: impl Fn(&ActorState) -> u64) -> VersionVector {
        let dots = self.states.iter().map(|(actor, state)| Dot::new(*actor, counter(state)));
        dots.filter(|dot| dot.counter > 0).collect()
    }
}
