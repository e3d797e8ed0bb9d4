use std::collections::BTreeMap;
use std::sync::Arc;

use inkwire_document::{Actor, Dot, VersionVector};

use super::MemberId;

/// What a room knows of one actor.
#[derive(Debug, Default)]
pub(super) struct ActorState {
    /// Who writes as it; bound at its first use. `None` when the store did not know.
    pub(super) subject: Option<Arc<str>>,
    /// The highest counter that the room holds without a gap.
    pub(super) held: u64,
    /// The highest counter that is durable.
    pub(super) durable: u64,
    /// The member that writes as it now.
    pub(super) holder: Option<MemberId>,
}

/// Every actor of the document.
#[derive(Debug, Default)]
pub(super) struct Actors(BTreeMap<Actor, ActorState>);

impl Actors {
    pub(super) fn get(&self, actor: Actor) -> Option<&ActorState> {
        self.0.get(&actor)
    }

    pub(super) fn get_mut(&mut self, actor: Actor) -> Option<&mut ActorState> {
        self.0.get_mut(&actor)
    }

    pub(super) fn entry(&mut self, actor: Actor) -> &mut ActorState {
        self.0.entry(actor).or_default()
    }

    pub(super) fn held(&self, actor: Actor) -> u64 {
        self.get(actor).map_or(0, |state| state.held)
    }

    /// Forgets a lease that was never written under; otherwise only that somebody holds it.
    pub(super) fn let_go(&mut self, actor: Actor, member: MemberId) {
        if let Some(state) = self.0.get_mut(&actor)
            && state.holder == Some(member)
        {
            state.holder = None;
            if state.held == 0 {
                self.0.remove(&actor);
            }
        }
    }

    /// What the room holds.
    pub(super) fn held_vector(&self) -> VersionVector {
        self.vector(|state| state.held)
    }

    /// What is durable beyond `known`.
    pub(super) fn durable_beyond(&self, known: &VersionVector) -> VersionVector {
        self.0
            .iter()
            .filter(|(actor, state)| state.durable > known.get(actor))
            .map(|(actor, state)| Dot::new(*actor, state.durable))
            .collect()
    }

    /// Everybody who wrote something.
    pub(super) fn subjects(&self) -> Vec<(Actor, Arc<str>)> {
        let known =
            |(actor, state): (&Actor, &ActorState)| Some((*actor, state.subject.clone()?)).filter(|_| state.held > 0);
        self.0.iter().filter_map(known).collect()
    }

    fn vector(&self, counter: impl Fn(&ActorState) -> u64) -> VersionVector {
        let dots = self.0.iter().map(|(actor, state)| Dot::new(*actor, counter(state)));
        dots.filter(|dot| dot.counter > 0).collect()
    }
}
