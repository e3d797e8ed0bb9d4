//! What a member is sent, and when.

use std::sync::Arc;

use bytes::Bytes;
use inkwire_document::{Dot, VersionVector};

use super::actors::Actors;
use super::catch_up::{Base, CatchUp, covers, durable_frames, vector_frames};
use super::member::{Member, Place};
use super::tail::{Kind, Tail};
use super::{Clock, MemberId, Room};
use crate::{Code, Frame, frame};

/// Collects frames up to a number of bytes; the first always fits, so that a small limit never stops a lane.
struct Budget<'a> {
    left: usize,
    taken: usize,
    out: &'a mut Vec<Bytes>,
}

impl Budget<'_> {
    /// Whether the frame was taken.
    fn push(&mut self, frame: &Bytes) -> bool {
        if frame.len() > self.left && self.taken > 0 {
            return false;
        }
        self.left = self.left.saturating_sub(frame.len());
        self.taken += frame.len();
        self.out.push(frame.clone());
        true
    }
}

impl Room {
    /// What waits for the member: whole encoded frames, without a length before them, appended to `out` until they are about
    /// `max_bytes`, at least one if any waits. Returns their bytes; 0 when nothing waits, and then the member comes out of
    /// [`take_ready`](Self::take_ready) again when something does.
    ///
    /// A member that polls rarely finds everything that came meanwhile: that is all the batching there is.
    pub fn poll_transmit(&mut self, _clock: Clock, id: MemberId, max_bytes: usize, out: &mut Vec<Bytes>) -> usize {
        let Some(member) = self.members.get_mut(&id) else { return 0 };
        let source = Source {
            tail: &self.tail,
            base: self.base.as_ref(),
            actors: &self.actors,
            front_version: &self.front_version,
            entries: self.config.vector_entries,
            paused: self.durability.is_starved(id).then_some(match self.store_is_away {
                true => Code::StoreUnavailable,
                false => Code::Overloaded,
            }),
        };
        let mut budget = Budget { left: max_bytes, taken: 0, out };
        source.fill(id, member, &mut budget);
        member.woken = budget.taken > 0;
        budget.taken
    }

    /// The next frame of presence for the member, to be sent as a datagram, or after everything else where there are none.
    /// What a member does not fetch for about two seconds is dropped.
    pub fn poll_datagram(&mut self, _clock: Clock, id: MemberId) -> Option<Bytes> {
        self.presence.next(&mut self.members.get_mut(&id)?.presence)
    }

    /// Forgets what is folded and has been read by all who are near.
    pub(super) fn trim(&mut self) {
        let base = self.tail.base();
        let places = self.members.values().filter_map(|member| match &member.place {
            Place::Live(cursor) => Some(*cursor),
            Place::CatchUp(plan) => plan.cursor,
            Place::Behind(_) => None,
        });
        let front = places.min().map_or(base, |cursor| cursor.min(base));
        self.tail.trim(front, self.config.known_batches);
        if self.tail.front() == base
            && let Some(base) = &self.base
        {
            debug_assert!(covers(&base.version, &self.front_version));
            self.front_version = base.version.clone();
        }
    }
}

/// What members are served from; none of it changes while one of them is.
struct Source<'a> {
    tail: &'a Tail,
    base: Option<&'a Base>,
    actors: &'a Actors,
    front_version: &'a Arc<VersionVector>,
    /// Of a vector in one frame.
    entries: usize,
    /// Why the member's batches are not taken for now.
    paused: Option<Code>,
}

impl Source<'_> {
    fn fill(&self, id: MemberId, member: &mut Member, budget: &mut Budget<'_>) {
        loop {
            while let Some(frame) = member.queue.front() {
                if !budget.push(frame) {
                    return;
                }
                member.queue.pop_front();
            }
            self.acknowledgements(member, budget);
            match &mut member.place {
                Place::Live(cursor) => {
                    while let Some(entry) = self.tail.at(*cursor) {
                        let own = matches!(&entry.kind, Kind::Batch { origin, .. } if *origin == Some(id));
                        if !own && !budget.push(&entry.frame) {
                            return;
                        }
                        *cursor += 1;
                    }
                    if *cursor >= self.tail.front() {
                        return;
                    }
                    // Folding marks whom it leaves behind, so this place cannot be reached; if it were, this is the way on.
                    member.place = Place::Behind(self.front_version.clone());
                }
                Place::Behind(known) => {
                    // What of it the member knows to be durable is not known, so all of that is said again.
                    let plan = CatchUp::plan((**known).clone(), VersionVector::new(), self.base);
                    member.place = Place::CatchUp(Box::new(plan));
                }
                Place::CatchUp(plan) => {
                    if !self.catch_up(id, plan, budget) {
                        return;
                    }
                    let durable = self.actors.durable_beyond(&plan.durable);
                    member.queue.extend(durable_frames(durable, self.entries));
                    let held = self.actors.held_vector();
                    member
                        .queue
                        .extend(vector_frames(held, self.entries, |vector| Frame::from(frame::Synced { vector })));
                    member.place = Place::Live(self.tail.end());
                }
            }
        }
    }

    /// Sends on from where `plan` is. Returns whether it is at the tail's end.
    fn catch_up(&self, id: MemberId, plan: &mut CatchUp, budget: &mut Budget<'_>) -> bool {
        loop {
            if let Some(chunks) = &mut plan.chunks {
                while let Some(frame) = chunks.peek() {
                    if !budget.push(frame) {
                        return false;
                    }
                    chunks.advance();
                }
                plan.chunks = None;
            }
            let Some(cursor) = &mut plan.cursor else {
                // A fold meanwhile: what it has more comes as one more difference.
                if !plan.extend(self.base) {
                    plan.cursor = Some(self.tail.base());
                }
                continue;
            };
            while let Some(entry) = self.tail.at(*cursor) {
                if let Kind::Batch { record, origin } = &entry.kind
                    && plan.known.get(&record.batch.actor) < record.batch.last()
                {
                    if *origin != Some(id) && !budget.push(&entry.frame) {
                        return false;
                    }
                    plan.known.dots.insert(record.batch.actor, record.batch.last());
                }
                *cursor += 1;
            }
            return true;
        }
    }

    /// What became of the member's own batches since it was last told, in one frame each.
    fn acknowledgements(&self, member: &mut Member, budget: &mut Budget<'_>) {
        let Some((actor, state)) = member.lease.and_then(|actor| Some((actor, self.actors.get(actor)?))) else {
            return;
        };
        if member.received_moved {
            let received = frame::Received { counter: state.held, paused: self.paused };
            member.received_moved = !budget.push(&Frame::from(received).encode());
        }
        if member.durable_moved {
            let vector = VersionVector::from(Dot::new(actor, state.durable));
            if budget.push(&Frame::from(frame::Durable { vector }).encode()) {
                member.durable_moved = false;
            }
        }
    }
}
