//! What comes in on a document's lane.

use inkwire_document::{Actor, Applied, ApplyError, Batch, Checked, Limits, MergeError, Snapshot, VersionVector};

use super::assembly::AssemblyError;
use super::{Phase, Replica, Want, Writer};
use crate::Code;
use crate::copies::CopyFate;
use crate::frame::{self, Frame, Role};

/// After so many lanes in a row that end for what a batch said, the batch is taken for refused.
const MAX_STRIKES: u32 = 2;

/// Entries of a vector that spans frames.
const MAX_VECTOR_ENTRIES: usize = 1 << 20;

/// The relay broke the protocol: the session ends with this.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Violation {
    pub(crate) code: Code,
    pub(crate) reason: &'static str,
}

const fn unexpected(reason: &'static str) -> Result<(), Violation> {
    Err(Violation { code: Code::UnexpectedFrame, reason })
}

impl Replica {
    /// Takes in one frame of the document's lane.
    ///
    /// # Errors
    /// When the frame may not come now or from a relay.
    pub(crate) fn receive(&mut self, frame: Frame) -> Result<(), Violation> {
        if self.want.is_some() {
            // The lane is about to be given up; what still comes on it is for a state that is gone.
            return Ok(());
        }
        match (frame, self.phase) {
            (Frame::Close(close), _) => self.on_close(close),
            (Frame::Vector(vector), Phase::Opened | Phase::Syncing | Phase::Live) => {
                self.vector_parts.dots.extend(vector.part.dots);
                if self.vector_parts.dots.len() > MAX_VECTOR_ENTRIES {
                    return Err(Violation { code: Code::FrameTooLarge, reason: "a vector without end" });
                }
            }
            (Frame::Opened(opened), Phase::Opened) => self.on_opened(opened),
            (Frame::Snapshot(chunk), Phase::Syncing | Phase::Live) => return self.on_snapshot(chunk),
            (Frame::Batch(batch), Phase::Syncing | Phase::Live) => self.on_batch(batch),
            (Frame::Synced(_), Phase::Syncing | Phase::Live) => self.on_synced(),
            (Frame::Received(received), Phase::Syncing | Phase::Live) => {
                self.strikes = 0;
                self.news.status |= std::mem::replace(&mut self.paused, received.paused) != received.paused;
            }
            (Frame::Durable(durable), Phase::Syncing | Phase::Live) => self.on_durable(&durable.vector),
            (Frame::ResendFrom(resend), Phase::Syncing | Phase::Live) => {
                if self.outbox.resume_after(resend.counter.saturating_sub(1)).is_err() {
                    self.rebuild(Code::StoreRolledBack, "the relay asked for edits that it had called durable");
                }
                self.news.status = true;
            }
            (Frame::Refused(refused), Phase::Syncing | Phase::Live) => self.on_refused(&refused),
            (Frame::Leased(leased), Phase::Syncing | Phase::Live) => {
                self.on_lease(leased.into());
            }
            (Frame::RoleChanged(changed), Phase::Syncing | Phase::Live) => self.on_role(changed.role),
            (Frame::Released(_), Phase::Syncing | Phase::Live) => {}
            // Presence is not in order with the rest: it may come before the answer.
            (Frame::PresenceUpdate(update), Phase::Opened | Phase::Syncing | Phase::Live) => {
                self.news.presence |= self.presence.receive(self.session, update.entries);
            }
            (_, Phase::Offline | Phase::Closed) => {}
            _ => return unexpected("a frame that a relay does not send on a document's lane, or not now"),
        }
        Ok(())
    }

    /// Takes in what came as a datagram; anything out of place is only late. Of a copy of a batch it says what became of it.
    pub(crate) fn receive_datagram(&mut self, frame: Frame) -> Option<CopyFate> {
        match (frame, self.phase) {
            (Frame::PresenceUpdate(update), Phase::Opened | Phase::Syncing | Phase::Live) => {
                self.news.presence |= self.presence.receive(self.session, update.entries);
                None
            }
            (Frame::Batch(batch), _) => Some(self.on_copy(batch)),
            _ => None,
        }
    }

    /// A copy is taken like its batch, but only where its batch could come next: all that was taken before is retained before it,
    /// so that it may be offered in that order.
    fn on_copy(&mut self, frame: frame::Batch) -> CopyFate {
        let held = |actor: &Actor| self.document.version().get(actor);
        let (first, last) = (frame.first, frame.first.saturating_add(u64::from(frame.count)).saturating_sub(1));
        if last <= held(&frame.actor) {
            return CopyFate::Late;
        }
        let own = self.writer.as_ref().is_some_and(|writer| writer.actor == frame.actor);
        if own || !self.synced() || self.want.is_some() || first != held(&frame.actor).saturating_add(1) {
            return CopyFate::Passed;
        }
        let (batch, receipt) = frame.into_parts();
        let Ok(checked) = batch.check(&Limits::STANDARD) else { return CopyFate::Passed };
        if checked.references.iter().any(|(actor, counter)| *actor != batch.actor && held(actor) < *counter) {
            return CopyFate::Passed;
        }
        self.on_batch(frame::Batch::new(batch, receipt));
        CopyFate::First
    }

    fn on_opened(&mut self, opened: frame::Opened) {
        let mut held = std::mem::take(&mut self.vector_parts);
        held.dots.extend(opened.vector.dots);
        if self.incarnation.is_some_and(|incarnation| incarnation != opened.incarnation) {
            return self.leave_incarnation();
        }
        self.incarnation = Some(opened.incarnation);
        self.end_transaction();
        self.phase = Phase::Syncing;
        self.news.opened = true;
        self.news.status = true;
        self.retained.durable(&self.durable);
        self.on_role(opened.role);
        if self.want.is_none() && opened.role.may_write() {
            if let Some(lease) = opened.lease {
                self.on_lease(lease);
            }
            self.resume_own(&held);
        }
        self.claimed = None;
        self.retained.offer_beyond(held);
    }

    /// Sends again what the relay lacks of the own batches.
    fn resume_own(&mut self, held: &VersionVector) {
        let Some(writer) = &self.writer else { return };
        if self.want.is_none() && self.outbox.resume_after(held.get(&writer.actor)).is_err() {
            self.rebuild(Code::StoreRolledBack, "the relay lacks edits that it had called durable");
        }
    }

    fn on_role(&mut self, role: Role) {
        self.role = Some(role);
        self.news.opened = true;
        if role.may_write() {
            return;
        }
        self.writer = None;
        if self.document.pending_edits() > 0 || !self.outbox.is_empty() {
            return self.rebuild(Code::ReadOnly, "the document is read-only for this session");
        }
        self.document.clear_actor();
    }

    fn on_lease(&mut self, lease: frame::Lease) {
        let frame::Lease { actor, next, ticket, digest } = lease;
        let settled = self.outbox.is_empty() && self.document.pending_edits() == 0;
        match &mut self.writer {
            Some(writer) if writer.actor == actor => {
                writer.ticket = ticket.or(writer.ticket.take());
                let held = next.saturating_sub(1);
                writer.agreed = if digest.is_some_and(|digest| self.outbox.agrees(held, digest)) { held } else { 0 };
                let twice = digest.is_some_and(|digest| self.outbox.disagrees(held, digest));
                if twice || next > self.next_counter() {
                    self.rebuild(Code::ActorReused, "the actor was used by another replica");
                }
            }
            _ if settled => self.write_as(Writer { actor, ticket, agreed: 0 }, next, digest),
            // Another of the own subject's, for one who had not written yet when it asked, but has since.
            Some(_) if self.claimed == Some(0) => {
                self.declined = Some((actor, next.saturating_sub(1)));
                self.want = Some(Want::Reopen { pause: false });
            }
            _ => self.rebuild(Code::ForeignActor, "the relay does not let this session go on as its actor"),
        }
    }

    /// The document lives another life: nothing of the old one may be merged into it.
    fn leave_incarnation(&mut self) {
        self.incarnation = None;
        self.retained.clear();
        self.rebuild(Code::IncarnationMismatch, "the document was deleted and made again");
    }

    fn on_snapshot(&mut self, chunk: frame::Snapshot) -> Result<(), Violation> {
        let whole = match self.assembly.push(chunk, self.config.snapshot_bytes) {
            Ok(Some(whole)) => whole,
            Ok(None) => return Ok(()),
            Err(AssemblyError::OutOfOrder { .. }) => {
                return unexpected("a snapshot's chunk out of order");
            }
            Err(AssemblyError::TooLarge { .. }) => {
                self.close(Code::FrameTooLarge, "the snapshot is over the client's limit");
                return Ok(());
            }
        };
        let Ok(snapshot) = Snapshot::parse(whole) else {
            return Err(Violation { code: Code::BadFrame, reason: "a snapshot that does not parse" });
        };
        if self.config.sabotage().ignore_resync && self.phase == Phase::Live {
            return Ok(());
        }
        let doubt = self.retained.first_doubt(snapshot.version());
        if let Some((actor, first)) = doubt.filter(|_| !self.config.sabotage().ignore_twins)
            && self.forget_twin(actor, first, snapshot.version().get(&actor))
        {
            return Ok(());
        }
        match self.document.merge(&snapshot) {
            Ok(()) => {
                // Only what is durable is ever folded into a snapshot.
                self.on_durable(snapshot.version());
                self.news.changed = true;
                self.latest_time = self.latest_time.max(snapshot.latest_time().unwrap_or_default());
            }
            // The relay's idea of this replica is wrong: it learns the right one from a new `Open`.
            Err(MergeError::Base) => self.want = Some(Want::Reopen { pause: true }),
            Err(_) => {
                return Err(Violation { code: Code::BadFrame, reason: "a snapshot that does not merge" });
            }
        }
        Ok(())
    }

    fn on_batch(&mut self, frame: frame::Batch) {
        let (batch, receipt) = frame.into_parts();
        let own = self.writer.as_ref().is_some_and(|writer| writer.actor == batch.actor);
        if own && self.outbox.is_foreign(&batch) {
            return self.rebuild(Code::ActorReused, "another replica writes as this one's actor");
        }
        self.recognise(&batch);
        if let Some(first) = self.retained.contradicts(&batch).filter(|_| !self.config.sabotage().ignore_twins)
            && self.forget_twin(batch.actor, first, u64::MAX)
        {
            return;
        }
        match self.document.apply(&batch) {
            Ok(Applied::New) => {
                self.news.changed = true;
                self.see_time(&batch);
            }
            Ok(Applied::Buffered | Applied::Duplicate) => {}
            Err(ApplyError::EarlyBufferFull { .. }) => {
                self.want = Some(Want::Reopen { pause: true });
                return;
            }
            Err(_) => return self.close(Code::BadBatch, "the relay sent a batch that does not pass the check"),
        }
        let durable = self.durable.get(&batch.actor);
        match receipt {
            // Not what was written as the own actor before this replica had it.
            Some(receipt) if own && self.outbox.keep_receipt(&batch, &receipt) => {}
            Some(receipt) if batch.last() > durable => {
                self.retained.push(&batch, &receipt, self.config.retained_bytes);
            }
            Some(_) => {}
            // Without a receipt it is durable already.
            None if batch.last() > durable => {
                self.durable.dots.insert(batch.actor, batch.last());
                self.settle_adopted();
                self.settle_own(batch.actor);
            }
            None => {}
        }
    }

    /// The relay means something else by an actor's counters from `first` to `last` than was seen, or perhaps does: its word
    /// counts. If the document shows what was seen, it has to be built anew. Returns whether it is.
    fn forget_twin(&mut self, actor: Actor, first: u64, last: u64) -> bool {
        let shown = self.document.version().get(&actor) >= first;
        self.retained.forget(actor, first, last);
        if shown {
            self.rebuild_from(
                u64::MAX,
                Code::ActorReused,
                "an actor was used by two replicas, and one of them is seen no more",
            );
        }
        shown
    }

    /// The own clock is never behind what was seen. Typing has no times, and costs nothing here.
    fn see_time(&mut self, batch: &Batch) {
        if let Ok(Checked { latest_time: Some(time), .. }) = batch.check(&Limits::STANDARD) {
            self.latest_time = self.latest_time.max(time);
        }
    }

    fn on_synced(&mut self) {
        self.vector_parts = VersionVector::new();
        self.phase = Phase::Live;
        self.news.status = true;
        if self.sealed.is_none() {
            self.news.synced = true;
            self.reveal();
        }
    }

    fn on_durable(&mut self, vector: &VersionVector) {
        for (actor, counter) in &vector.dots {
            let known = self.durable.dots.entry(*actor).or_insert(0);
            *known = (*known).max(*counter);
        }
        self.retained.durable(&self.durable);
        self.settle_adopted();
        if let Some(actor) = self.writer.as_ref().map(|writer| writer.actor) {
            self.settle_own(actor);
        }
    }

    /// Drops own batches from the outbox that are durable now, if `actor` is the own one.
    fn settle_own(&mut self, actor: Actor) {
        let own = self.writer.as_ref().is_some_and(|writer| writer.actor == actor);
        if own && self.outbox.is_ahead(self.durable.get(&actor)) {
            return self.rebuild(Code::ActorReused, "another replica writes as this one's actor");
        }
        if own && self.outbox.durable(self.durable.get(&actor)) {
            self.strikes = 0;
            self.news.durable = true;
            self.news.status = true;
            if self.outbox.is_empty() && self.sealed.take().is_some() {
                // Nothing of the retired actor is at stake any more: the next lane brings a new one.
                self.writer = None;
                self.want = Some(Want::Reopen { pause: false });
            }
        }
    }

    fn on_refused(&mut self, refused: &frame::Refused) {
        let own = self.writer.as_ref().is_some_and(|writer| writer.actor == refused.actor);
        if !own {
            // What was offered for another is refused: it will never be in the log, so it must not stay in the view.
            let held = self.retained.held(refused.actor);
            // What the relay held before, and perhaps means something else by. What was seen beyond it is lost if nobody offers it;
            // its receipt says what it followed, so that the relay can tell whether it still may.
            let compared = refused.code == Code::ActorReused && refused.first <= held;
            self.retained.forget(refused.actor, refused.first, if compared { held } else { u64::MAX });
        } else if refused.code == Code::ActorReused
            && self.writer.as_ref().is_some_and(|own| refused.first <= own.agreed)
        {
            // What was seen of the own actor before this replica had it. A relay that was restarted may not know any more what
            // each batch was; the digest in the lease was of all of them.
            return;
        }
        let first = match refused.code {
            // Somebody else writes as the actor: there is nothing more to be sent as it.
            Code::ActorReused | Code::ForeignActor | Code::ReadOnly if own => 0,
            _ if own => refused.first,
            _ => u64::MAX,
        };
        self.rebuild_from(first, refused.code, &refused.reason);
    }

    fn on_close(&mut self, close: frame::Close) {
        let frame::Close { code, reason } = close;
        self.lane_open = false;
        match code {
            Code::None
            | Code::Forbidden
            | Code::Revoked
            | Code::DocumentDeleted
            | Code::BadDocumentName
            | Code::TooManyDocuments
            | Code::StoreRolledBack
            | Code::UnexpectedFrame => self.close(code, &reason),
            Code::IncarnationMismatch => self.leave_incarnation(),
            Code::ReadOnly | Code::ActorReused | Code::ForeignActor => self.rebuild(code, &reason),
            Code::BadBatch | Code::BatchTooLarge | Code::CounterGap | Code::MissingDependency | Code::ClockAhead => {
                self.strikes += 1;
                if self.strikes >= MAX_STRIKES {
                    self.rebuild(code, &reason);
                } else {
                    self.want = Some(Want::Reopen { pause: false });
                }
            }
            _ => self.want = Some(Want::Reopen { pause: true }),
        }
    }

    fn close(&mut self, code: Code, reason: &str) {
        self.want = Some(Want::Close);
        self.news.closed = Some((code, reason.to_owned()));
        self.finish();
    }
}
