//! Who comes in, as whom, and who leaves.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use inkwire_document::Actor;

use super::catch_up::{CatchUp, vector_frames};
use super::member::{Member, Place};
use super::{Clock, Join, MemberId, Reason, Room};
use crate::frame::{self, Lease};
use crate::{Code, Frame, Role};

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
        let Join { member: id, session, since, subject, role, open } = join;
        if let Some(known) = open.incarnation.filter(|known| *known != self.incarnation) {
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
        let claim = open.claim.map(|claim| (claim.actor, claim.last));
        let lease = if role.may_write() { Some(self.lease(id, claim)) } else { None };
        let opened = |vector| Frame::from(frame::Opened { incarnation: self.incarnation, role, lease, vector, base });
        let frames = vector_frames(self.actors.held_vector(), self.config.vector_entries, opened);
        if let Some(member) = self.members.get_mut(&id) {
            member.queue.extend(frames);
        }
        self.presence.announce_all(clock.monotonic);
        self.tick_presence(clock.monotonic);
        self.wake(id);
        Ok(())
    }

    /// The member's lane is gone. Its actor stays bound to its subject, for the session that resumes it.
    pub fn leave(&mut self, clock: Clock, id: MemberId) {
        let Some(member) = self.members.remove(&id) else { return };
        if let Some(actor) = member.lease {
            self.actors.let_go(actor, id);
        }
        self.ready.retain(|ready| *ready != id);
        self.durability.leave(id);
        // Whoever offered these offers them again when it is back.
        self.waiting.retain(|offer| offer.origin != Some(id));
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

    /// The actor that a member writes as: the one that it claims if nobody else may have it and it lacks nothing of what was
    /// written under it, otherwise a new one.
    fn lease(&mut self, id: MemberId, claim: Option<(Actor, u64)>) -> Lease {
        if let Some((actor, last)) = claim
            && self.may_claim(id, actor, last)
        {
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

    fn may_claim(&self, id: MemberId, actor: Actor, last: u64) -> bool {
        let (Some(member), state) = (self.members.get(&id), self.actors.get(actor)) else { return false };
        let Some(state) = state else { return true };
        // A client that used fewer counters than the room holds has lost some: what it would write next is taken.
        if last < state.held
            || state.subject.as_ref().is_some_and(|subject| *subject != member.subject)
            || (state.subject.is_none() && state.held > 0)
        {
            return false;
        }
        // Bytes of a lane that its client has given up may arrive after those of the next one.
        let holder = state.holder.and_then(|holder| self.members.get(&holder));
        holder.is_none_or(|holder| holder.since <= member.since || self.config.sabotage().older_takes_over)
    }

    fn grant(&mut self, id: MemberId, actor: Actor) -> Lease {
        let state = self.actors.entry(actor);
        let older = state.holder.replace(id);
        let next = state.held + 1;
        if let Some(older) = older.filter(|older| *older != id).and_then(|older| self.members.get_mut(&older)) {
            older.lease = None;
        }
        if let Some(member) = self.members.get_mut(&id) {
            state.subject.get_or_insert_with(|| member.subject.clone());
            member.lease = Some(actor);
            (member.received_moved, member.durable_moved) = (false, false);
        }
        Lease { actor, next, ticket: None }
    }

    /// Gives the member a new actor instead of the one that it had.
    pub(super) fn lease_new(&mut self, id: MemberId) {
        let Lease { actor, next, ticket } = self.lease(id, None);
        if let Some(member) = self.members.get_mut(&id) {
            member.tell(frame::Leased { actor, next, ticket });
        }
    }
}
