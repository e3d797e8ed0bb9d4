//! Loading, and folding what is durable into a new snapshot.

use std::collections::BTreeMap;
use std::sync::Arc;

use inkwire_document::{Actor, Snapshot, VersionVector};

use super::accept::encode;
use super::catch_up::{Base, covers};
use super::member::Place;
use super::tail::{Kind, Position};
use super::{FoldInput, Loaded, Room};
use crate::Chain;
use crate::record::{ActorRecord, LogRecord};

/// The fold that is under way, if any.
#[derive(Debug, Default)]
pub(super) struct Fold {
    /// It covers what is before this position. Of the actors that wrote between the snapshot before and there: the running
    /// digest up to there.
    running: Option<(Position, BTreeMap<Actor, Option<Chain>>)>,
}

impl Fold {
    pub(super) fn is_running(&self) -> bool {
        self.running.is_some()
    }
}

impl Room {
    pub(super) fn load(&mut self, loaded: Loaded) {
        let Loaded { snapshot, actors, batches } = loaded;
        if let Some(snapshot) = snapshot {
            for dot in snapshot.version().iter() {
                let state = self.actors.entry(*dot.actor);
                (state.held, state.durable) = (dot.counter, dot.counter);
                (state.chain, state.folded) = (None, None);
            }
            self.latest_time = snapshot.latest_time().unwrap_or_default();
            let base = Base::new(snapshot);
            self.front_version = base.version.clone();
            self.base = Some(base);
        }
        for ActorRecord { actor, subject, chain } in actors {
            if let Some(state) = self.actors.get_mut(actor) {
                state.subject = Some(subject);
                (state.chain, state.folded) = (chain, chain);
            }
        }
        // The order of the log is that of arrival, except where a store took a write first that was made later, or kept one of
        // which nobody was told: what refers to what comes later, or never came, waits for it.
        let mut rest = batches;
        while !rest.is_empty() {
            let before = rest.len();
            let mut early = Vec::new();
            for record in rest {
                early.extend(self.load_record(record));
            }
            if early.len() == before {
                self.unusable_records += before;
                early.into_iter().for_each(|(record, needs)| self.set_aside(record, needs));
                break;
            }
            rest = early.into_iter().map(|(record, _)| record).collect();
        }
    }

    /// Takes a record from the log, or gives it back with the counter that must be there first.
    fn load_record(&mut self, record: LogRecord) -> Option<(LogRecord, (Actor, u64))> {
        let batch = &record.batch;
        let held = self.actors.held(batch.actor);
        if batch.last() <= held {
            return None;
        }
        if batch.first > held + 1 {
            let needs = (batch.actor, batch.first - 1);
            return Some((record, needs));
        }
        let checked = batch.check(&self.config.limits);
        let Some(checked) = checked.ok().filter(|_| batch.first == held + 1) else {
            self.unusable_records += 1;
            return None;
        };
        let missing = |(other, counter): &&(Actor, u64)| *other != batch.actor && self.actors.held(*other) < *counter;
        if let Some(needs) = checked.references.iter().find(missing).filter(|_| !self.config.sabotage().load_unchecked)
        {
            return Some((record, *needs));
        }
        let LogRecord { batch, subject, received_millis, digest } = record;
        let state = self.actors.entry(batch.actor);
        state.hold(&batch, &digest);
        state.durable = batch.last();
        state.subject.get_or_insert_with(|| subject.clone());
        self.latest_time = self.latest_time.max(checked.latest_time.unwrap_or_default());
        let (frame, batch) = encode(batch, None);
        let record = LogRecord { batch, subject, received_millis, digest };
        self.tail.push(frame, Kind::Batch { record, origin: None });
        None
    }

    /// What to fold, when the durable part of the tail exceeds its budget and no fold is under way. From then on one is, until
    /// [`folded`](Self::folded) or [`fold_failed`](Self::fold_failed).
    pub fn fold_wanted(&mut self) -> Option<FoldInput> {
        let (base, durable) = (self.tail.base(), self.durability.position(self.tail.end()));
        if self.fold.is_running() || self.tail.cost(base, durable) <= self.config.tail_bytes {
            return None;
        }
        self.fold_now()
    }

    /// What to fold, however little it is; `None` if there is nothing or a fold is under way. For a room that is about to be
    /// unloaded.
    pub fn fold_now(&mut self) -> Option<FoldInput> {
        let (base, durable) = (self.tail.base(), self.durability.position(self.tail.end()));
        if self.fold.is_running() {
            return None;
        }
        let entries = self.tail.range(base, durable);
        let batches: Vec<_> = entries
            .filter_map(|entry| match &entry.kind {
                Kind::Batch { record, .. } => Some(record.batch.clone()),
                Kind::Durable => None,
            })
            .collect();
        if batches.is_empty() {
            return None;
        }
        let moved = self.chains_at(durable);
        let actors = self.actors.records(&moved);
        self.fold.running = Some((durable, moved));
        let snapshot = self.base.as_ref().map(|base| base.snapshot.clone());
        Some(FoldInput { snapshot, batches, actors })
    }

    /// The running digests at a position in the tail, of those who wrote between its base and there.
    fn chains_at(&self, position: Position) -> BTreeMap<Actor, Option<Chain>> {
        let mut chains = BTreeMap::new();
        for entry in self.tail.range(self.tail.base(), position) {
            if let Kind::Batch { record, .. } = &entry.kind
                && let Some(state) = self.actors.get(record.batch.actor)
            {
                let batch = &record.batch;
                let chain = chains.entry(batch.actor).or_insert(state.folded);
                *chain = chain.map(|chain| chain.then(batch.first, batch.count, &record.digest));
            }
        }
        chains
    }

    /// The fold's result is stored. Readers that are near keep their place; those that are further behind than their budget are
    /// brought up to date from the new snapshot when they drain. A snapshot that lacks something of what was to be folded is
    /// not taken; returns whether it was.
    pub fn folded(&mut self, snapshot: Snapshot) -> bool {
        let Some((position, chains)) = self.fold.running.take() else { return false };
        if !self.is_covered(snapshot.version(), position) {
            return false;
        }
        for (actor, chain) in chains {
            self.actors.entry(actor).folded = chain;
        }
        let old_base = self.tail.base();
        let old_version = self.base.as_ref().map_or_else(Arc::default, |base| base.version.clone());
        self.base = Some(Base::new(snapshot));
        self.tail.rebase(position);
        for member in self.members.values_mut() {
            let cursor = match &mut member.place {
                Place::Live(cursor) => *cursor,
                Place::CatchUp(plan) => match plan.cursor {
                    Some(cursor) => cursor,
                    None => continue,
                },
                Place::Behind(_) => continue,
            };
            if cursor >= position || self.tail.cost(cursor, self.tail.end()) <= self.config.member_bytes {
                continue;
            }
            self.drops.readers += 1;
            match &mut member.place {
                Place::Live(cursor) if self.config.sabotage().skip_resync => *cursor = position,
                Place::CatchUp(plan) => plan.cursor = None,
                // What it was sent for certain. Exact would be a walk over the tail and a vector for each such reader.
                place => {
                    *place =
                        Place::Behind(if cursor >= old_base { old_version.clone() } else { self.front_version.clone() })
                }
            }
        }
        self.trim();
        if self.tail.front() >= old_base && self.tail.front() < position {
            self.front_version = old_version;
        }
        true
    }

    /// There is no result: it may be wanted again.
    pub fn fold_failed(&mut self) {
        self.fold.running = None;
    }

    fn is_covered(&self, version: &VersionVector, position: Position) -> bool {
        let base = self.base.as_ref().is_none_or(|base| covers(version, &base.version));
        base && self.tail.range(self.tail.base(), position).all(|entry| match &entry.kind {
            Kind::Batch { record, .. } => version.get(&record.batch.actor) >= record.batch.last(),
            Kind::Durable => true,
        })
    }
}
