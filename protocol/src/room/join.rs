//! Who comes in, as whom, and who leaves.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use inkwire_document::Actor;

use super::catch_up::{CatchUp, vector_frames};
use super::member::{Member, Place};
use super::tail::Known;
use super::{Clock, Join, MemberId, Reason, Room};
use crate::frame::{self, Claim, Lease, SeenBatch};
use crate::{Chain, Code, Frame, Role, receipt};

/// Of how many actors a member is told at once that they were used twice; it opens the document anew after the first.
const MAX_REUSED: usize = 64;

impl Room {
    /// Takes a member in. From now on it gets everything; what came before follows `Opened` as snapshot and batches, then
    /// `Synced`.
    ///
    /// # Errors
    /// The reason to close the lane with; the room is as it was.
    pub fn join(&mut self, clock: Clock, join: Join) -> Result<(), Reason> {
        if let Some(reason) = &self.closing {
            return Err(reason.clone());
        }
        let Join { member: id, session, since, subject, role, mut open, seen } = join;
        if let Some(known) = open.incarnation.filter(|known| *known != self.incarnation) {
            if self.incarnation != 0 && self.is_new() {
                return Err((Code::DocumentDeleted, "the document was deleted".to_owned()));
            }
            return Err((
                Code::IncarnationMismatch,
                format!("the document is in incarnation {}, not {known}", self.incarnation),
            ));
        }
        for (actor, counter) in &open.durable.dots {
            let held = self.actors.held(*actor);
            if held < *counter && !self.config.sabotage().ignore_rollback {
                let text = format!("counter {counter} of actor {actor} was durable, the store has {held}");
                return Err((Code::StoreRolledBack, text));
            }
        }
        let doubtful = self.reused(&seen);
        for batch in seen {
            // What of it is not here yet may come from another, who means something else: then the member is to get it.
            if let Some(counter) = open.vector.dots.get_mut(&batch.actor) {
                *counter = (*counter).min(self.actors.held(batch.actor));
            }
        }
        let plan = CatchUp::plan(open.vector, open.durable, self.base.as_ref());
        let base = plan.chunks.as_ref().map(|chunks| frame::Base { bytes: chunks.bytes });
        let member = Member {
            session,
            subject,
            role,
            since: (since, open.channel),
            lease: None,
            retired: BTreeSet::new(),
            uploads: BTreeMap::new(),
            place: Place::CatchUp(Box::new(plan)),
            queue: VecDeque::new(),
            received_moved: false,
            durable_moved: false,
            woken: false,
            listed: false,
            presence: self.presence.end_position(),
        };
        self.members.insert(id, member);
        let lease = if role.may_write() { Some(self.lease(id, open.claim)) } else { None };
        let opened = |vector| Frame::from(frame::Opened { incarnation: self.incarnation, role, lease, vector, base });
        let frames = vector_frames(self.actors.held_vector(), self.config.vector_entries, opened);
        if let Some(member) = self.members.get_mut(&id) {
            member.queue.extend(frames);
            doubtful.into_iter().for_each(|refused| member.tell(refused));
        }
        self.presence.announce_all(clock.monotonic);
        self.tick_presence(clock.monotonic);
        self.wake(id);
        Ok(())
    }

    /// Whether nothing was ever written in this incarnation.
    fn is_new(&self) -> bool {
        self.base.is_none() && self.actors.held_vector().dots.is_empty()
    }

    /// Of what a client has seen, the first batch of each actor under whose counters the room holds something else, or does not
    /// know any more what: its actor was used twice.
    fn reused(&self, seen: &[SeenBatch]) -> Vec<frame::Refused> {
        let held = |batch: &&SeenBatch| batch.first <= self.actors.held(batch.actor);
        let seen: Vec<&SeenBatch> = seen.iter().filter(held).collect();
        if seen.is_empty() || self.config.sabotage().ignore_seen {
            return Vec::new();
        }
        let actors: BTreeSet<Actor> = seen.iter().map(|batch| batch.actor).collect();
        let known = self.tail.known().filter(|known| actors.contains(&known.actor));
        let known: BTreeMap<(Actor, u64), Known> = known.map(|known| ((known.actor, known.first), known)).collect();
        let mut refused = BTreeMap::new();
        for batch in seen {
            let actor = batch.actor;
            let known = known.get(&(actor, batch.first));
            let same = known.is_some_and(|known| {
                known.count == batch.count && Chain::of(known.first, known.count, &known.digest) == batch.digest
            });
            if !same && refused.len() < MAX_REUSED {
                let reason = match known {
                    Some(_) => format!("what is held of actor {actor} is not what was seen"),
                    None => format!("of actor {actor} it is not known any more whether what is held is what was seen"),
                };
                let frame = frame::Refused { actor, first: batch.first, code: Code::ActorReused, reason };
                refused.entry(actor).or_insert(frame);
            }
        }
        refused.into_values().collect()
    }

    /// The member's lane is gone. Its actor stays bound to its subject, for the session that resumes it.
    pub fn leave(&mut self, clock: Clock, id: MemberId) {
        let Some(member) = self.members.remove(&id) else { return };
        if let Some(actor) = member.lease {
            self.actors.let_go(actor, id);
            if self.config.sabotage().leases_end_with_connections {
                self.actors.release(actor, 0);
                self.actors.try_free(actor);
            }
        }
        self.ready.retain(|ready| *ready != id);
        self.durability.leave(id);
        // Whoever offered these offers them again when it is back.
        self.waiting.retain_mut(|offer| offer.leave(id));
        self.waiting_bytes = self.waiting.iter().map(super::accept::Waiting::cost).sum();
        self.presence.leave(clock.monotonic, id);
        self.tick_presence(clock.monotonic);
        self.trim();
    }

    /// The member may do more or less than before. Its lease begins or ends with it.
    pub fn set_role(&mut self, id: MemberId, role: Role) {
        let Some(member) = self.members.get_mut(&id) else { return };
        if member.role == role {
            return;
        }
        member.role = role;
        member.tell(frame::RoleChanged { role });
        if role.may_write() {
            self.lease_new(id);
        } else if let Some(actor) = member.lease.take() {
            self.actors.let_go(actor, id);
        }
        self.wake(id);
    }

    /// The member will write no more after `last` as the actor that it was leased. The lease ends when that is durable; a lost
    /// connection ends none.
    pub(super) fn receive_release(&mut self, id: MemberId, release: frame::Release) {
        let frame::Release { actor, last } = release;
        if self.members.get(&id).is_some_and(|member| member.lease == Some(actor)) {
            self.actors.release(actor, last);
            self.end_lease(actor, Some(id));
        }
    }

    /// Ends the actor's lease if it was released and is due; its holder is told.
    pub(super) fn end_lease(&mut self, actor: Actor, holder: Option<MemberId>) {
        if !self.actors.try_free(actor) {
            return;
        }
        if let Some(id) = holder
            && let Some(member) = self.members.get_mut(&id).filter(|member| member.lease == Some(actor))
        {
            member.lease = None;
            member.tell(frame::Released { actor });
            self.wake(id);
        }
    }

    /// The actor that a member writes as: the one that it claims if nobody else may have it and it lacks nothing of what was
    /// written under it; otherwise one that its subject has released, or a new one.
    fn lease(&mut self, id: MemberId, claim: Option<Claim>) -> Lease {
        let released = self
            .members
            .get(&id)
            .and_then(|member| self.actors.free(&member.subject).filter(|actor| !member.retired.contains(actor)));
        if let Some(claim) = claim
            // Who has not written yet may as well go on as an actor that is there.
            && (claim.last > 0 || released.is_none())
            && self.may_claim(id, &claim)
        {
            return self.grant(id, claim.actor);
        }
        if let Some(actor) = released {
            return self.grant(id, actor);
        }
        let actor = loop {
            let actor = Actor(self.random.next_u64());
            if self.actors.get(actor).is_none() {
                break actor;
            }
        };
        self.grant(id, actor)
    }

    fn may_claim(&self, id: MemberId, claim: &Claim) -> bool {
        let Claim { actor, last, .. } = *claim;
        let (Some(member), state) = (self.members.get(&id), self.actors.get(actor)) else { return false };
        let ticket = claim.ticket.as_deref();
        let proof = ticket
            .map(|ticket| receipt::verify_ticket(&self.keys, self.scope(), actor, &member.subject, ticket).is_ok());
        // Nothing proves an actor that the client made itself, until something of it is here, or was.
        let held = state.map_or(0, |state| state.held);
        let unknown = held == 0
            && self.actors.refused(actor).is_none()
            && !self.waiting.iter().any(|waiting| waiting.is_of(actor));
        if !proof.unwrap_or(unknown) && !self.config.sabotage().claims_unproven {
            return false;
        }
        let Some(state) = state else { return true };
        // A client that used fewer counters than the room holds has lost some: what it would write next is taken.
        // Somebody else's claim to what was never written under is worth less than a proof.
        let proven = proof == Some(true) && held == 0;
        if last < state.held
            || state.subject.as_ref().is_some_and(|subject| *subject != member.subject && !proven)
            || (state.subject.is_none() && state.held > 0)
        {
            return false;
        }
        // Bytes of a lane that its client has given up may arrive after those of the next one.
        let holder = state.holder.and_then(|holder| self.members.get(&holder));
        holder.is_none_or(|holder| holder.since <= member.since || self.config.sabotage().older_takes_over)
    }

    fn grant(&mut self, id: MemberId, actor: Actor) -> Lease {
        let Some(subject) = self.members.get(&id).map(|member| member.subject.clone()) else {
            return Lease { actor, next: 1, ticket: None, digest: None };
        };
        let (next, older) = self.actors.take(actor, id, &subject);
        let mut superseded = None;
        if let Some(older_id) = older.filter(|older| *older != id)
            && let Some(older) = self.members.get_mut(&older_id)
        {
            older.lease = None;
            // If it is not the same client's, it must know before it is told that what the other writes is durable.
            let reason = format!("actor {actor} is held by a newer session");
            older.retired.insert(actor);
            older.tell(frame::Refused { actor, first: next, code: Code::ActorReused, reason });
            superseded = Some(older_id);
        }
        if let Some(member) = self.members.get_mut(&id) {
            member.lease = Some(actor);
            (member.received_moved, member.durable_moved) = (false, false);
        }
        let ticket = Some(receipt::issue_ticket(&self.keys, self.scope(), actor, &subject));
        if let Some(older) = superseded {
            self.wake(older);
        }
        let known = self.actors.get(actor).and_then(|state| state.chain);
        let digest = known.filter(|_| !self.config.sabotage().lease_without_digest);
        Lease { actor, next, ticket, digest }
    }

    /// Gives the member a new actor instead of the one that it had.
    pub(super) fn lease_new(&mut self, id: MemberId) {
        let Lease { actor, next, ticket, digest } = self.lease(id, None);
        if let Some(member) = self.members.get_mut(&id) {
            member.tell(frame::Leased { actor, next, ticket, digest });
        }
    }
}
