//! What decides whether a batch becomes part of the document, and what happens when it does.

use bytes::Bytes;
use inkwire_document::{Actor, Batch, BatchError, Checked};

use super::actors::Refusal;
use super::member::Upload;
use super::tail::{ENTRY_OVERHEAD, Kind};
use super::{Clock, MemberId, Place, Reason, Room};
use crate::chain::Link;
use crate::receipt::Proof;
use crate::record::{Digest, LogRecord};
use crate::{Chain, Code, Frame, frame, receipt};

use std::sync::Arc;

/// How many refused actors a lane may have: each costs a new lease.
const MAX_RETIRED: usize = 64;

/// Of so many members it is known that they offered a batch that waits. It waits as long as one of them is there.
const MAX_ORIGINS: usize = 16;

/// An offered batch that refers to what is not here yet.
#[derive(Debug)]
pub(super) struct Waiting {
    batch: Batch,
    subject: Arc<str>,
    digest: Digest,
    /// What of its actor it follows.
    link: Link,
    /// Who offered it, up to [`MAX_ORIGINS`]: each believes that it was taken.
    origins: Vec<MemberId>,
    /// It is what a load left over, and waits whoever leaves.
    stored: bool,
    /// The counter of the actor that must be held first.
    needs: (Actor, u64),
}

impl Waiting {
    pub(super) fn is_of(&self, actor: Actor) -> bool {
        self.batch.actor == actor
    }

    pub(super) fn cost(&self) -> usize {
        self.batch.operations.len() + ENTRY_OVERHEAD
    }

    /// One who offered it is gone. Returns whether it still waits: for another who did, or because it is in the store.
    pub(super) fn leave(&mut self, id: MemberId) -> bool {
        self.origins.retain(|origin| *origin != id);
        self.stored || !self.origins.is_empty()
    }
}

/// What is to be done with a batch that is not new, not next or not allowed.
pub(super) enum Obstacle {
    /// It is held already.
    Duplicate,
    /// An earlier one of its actor, or what it refers to, is not held: this counter of that actor.
    Early((Actor, u64), Reason),
    /// It can never be taken.
    Refused(Reason),
}

impl Room {
    /// A batch of the member's own. If it is `proven`, by a receipt with this link, it was taken once, and its times are not
    /// looked at.
    pub(super) fn receive_batch(
        &mut self,
        clock: Clock,
        id: MemberId,
        batch: Batch,
        proven: Option<Link>,
    ) -> Result<(), Reason> {
        let Some(member) = self.members.get_mut(&id) else { return Ok(()) };
        let actor = batch.actor;
        if member.retired.contains(&actor) {
            return Ok(());
        }
        let jumped = member.uploads.get(&actor).is_some_and(|upload| batch.first > upload.next);
        if jumped {
            let next = member.uploads[&actor].next;
            let text = format!("counter {} of actor {actor} after {} in one stream", batch.first, next - 1);
            return Err((Code::CounterGap, text));
        }
        let own = member.lease == Some(actor);
        if own {
            member.uploads.entry(actor).or_insert(Upload { next: 1, asked: None });
        }
        if let Some(upload) = member.uploads.get_mut(&actor) {
            upload.next = batch.last().saturating_add(1);
        }
        if !member.role.may_write() {
            return self.retire(id, &batch, (Code::ReadOnly, "a viewer may not write".into()));
        }
        let state = self.actors.get(actor);
        if !own {
            // What is held already may be sent again under an older lease; anything else needs this one.
            let theirs =
                state.and_then(|state| state.subject.as_ref()).is_some_and(|subject| *subject == member.subject);
            let held = state.is_some_and(|state| batch.last() <= state.held);
            if theirs && held {
                return Ok(());
            }
            let reason = if theirs {
                (Code::ActorReused, format!("actor {actor} is held by a newer session"))
            } else {
                (Code::ForeignActor, format!("actor {actor} is not this session's"))
            };
            return self.retire(id, &batch, reason);
        }
        let digest = Digest::of(&batch.operations);
        let subject = member.subject.clone();
        let examined = match proven {
            Some(link) => self.examine_proven(&batch, &digest, &subject, link),
            None => self.examine(Some(clock), &batch, &digest, &subject),
        };
        match examined {
            Ok(checked) => {
                // What was asked for came; if it is dropped below, it has to be asked for again.
                if let Some(upload) = self.members.get_mut(&id).and_then(|member| member.uploads.get_mut(&actor)) {
                    upload.asked = None;
                }
                let waiting = self.durability.bytes();
                let full =
                    waiting > 0 && waiting + batch.operations.len() + ENTRY_OVERHEAD > self.config.undurable_bytes;
                if full || self.paused {
                    self.drops.batches += 1;
                    if self.durability.starve(id, actor) {
                        // Told once, with how far it came.
                        self.acknowledge(id);
                    }
                    return Ok(());
                }
                let origin = if proven.is_some() { Some(id) } else { origin_of(&checked, id) };
                self.accept(clock, origin, batch, digest, subject, &checked);
                self.acknowledge(id);
                self.retry_waiting(clock);
                Ok(())
            }
            Err(Obstacle::Duplicate) => {
                self.acknowledge(id);
                Ok(())
            }
            Err(Obstacle::Early(_, (Code::CounterGap, _))) => {
                self.ask_again(id, actor);
                Ok(())
            }
            Err(Obstacle::Early(_, reason) | Obstacle::Refused(reason)) => {
                // What is held is not taken back; the rest is its author's to make again.
                if batch.first > self.actors.held(actor) && !self.config.sabotage().forget_refusals {
                    let refusal = Refusal { first: batch.first, code: reason.0, digest };
                    self.actors.refuse(actor, refusal);
                    self.refuse_waiting(actor, refusal);
                }
                self.retire(id, &batch, reason)
            }
        }
    }

    /// Refuses what others offer of an actor to which it was refused.
    fn refuse_waiting(&mut self, actor: Actor, refusal: Refusal) {
        let void = |offer: &Waiting| offer.batch.actor == actor && offer.batch.last() >= refusal.first;
        while let Some(index) = self.waiting.iter().position(void) {
            let Some(offer) = self.waiting.remove(index) else { return };
            self.waiting_bytes -= offer.cost();
            self.refuse_offer(&offer, &refused_before(actor, refusal));
        }
    }

    /// A batch that the member has seen, with its receipt.
    pub(super) fn receive_offer(&mut self, clock: Clock, id: MemberId, offer: frame::Offer) -> Result<(), Reason> {
        if self.config.sabotage().ignore_offers {
            return Ok(());
        }
        let (batch, receipt) = offer.into_parts();
        let digest = Digest::of(&batch.operations);
        let Proof { subject, link } = match receipt::verify(&self.keys, self.scope(), &batch, &digest, &receipt) {
            Ok(proof) => proof,
            Err(error) => {
                self.refuse(id, &batch, (Code::BadReceipt, error.to_string()));
                return Ok(());
            }
        };
        if self.members.get(&id).is_some_and(|member| member.lease == Some(batch.actor) && member.subject == subject) {
            return self.receive_batch(clock, id, batch, Some(link));
        }
        let needs = (batch.actor, 0);
        let offer = Waiting { batch, subject, digest, link, origins: vec![id], stored: false, needs };
        self.place_offer(clock, offer)?;
        self.retry_waiting(clock);
        Ok(())
    }

    /// The receipt proves that a batch was accepted once, within the bound. So offers have as much again; beyond it the one who
    /// offers comes back later.
    fn has_room_for(&self, offer: &Waiting) -> bool {
        self.durability.bytes() + offer.cost() <= 2 * self.config.undurable_bytes
    }

    fn refuse_offer(&mut self, offer: &Waiting, reason: &Reason) {
        for origin in &offer.origins {
            self.refuse(*origin, &offer.batch, reason.clone());
        }
    }

    /// Remembers a loaded record that refers to what is not there. It was never called durable; if what it refers to comes, it
    /// is part of the document from then on, and not only from the next load.
    pub(super) fn set_aside(&mut self, record: LogRecord, needs: (Actor, u64)) {
        let LogRecord { batch, subject, digest, .. } = record;
        let waiting =
            Waiting { batch, subject, digest, link: Link::default(), origins: Vec::new(), stored: true, needs };
        if self.waiting_bytes + waiting.cost() <= self.config.waiting_bytes {
            self.waiting_bytes += waiting.cost();
            self.waiting.push_back(waiting);
        }
    }

    fn place_offer(&mut self, clock: Clock, mut offer: Waiting) -> Result<(), Reason> {
        match self.examine_proven(&offer.batch, &offer.digest, &offer.subject, offer.link) {
            Ok(_) if !self.has_room_for(&offer) => {
                let limit = 2 * self.config.undurable_bytes;
                return Err((Code::Overloaded, format!("{limit} bytes wait to be stored")));
            }
            Ok(checked) => {
                let Waiting { batch, subject, digest, origins, .. } = offer;
                self.accept(clock, origins.first().copied(), batch, digest, subject, &checked);
            }
            Err(Obstacle::Duplicate) => {}
            Err(Obstacle::Early(needs, reason)) => {
                // It comes from one who held what it refers to: that is still on its way, perhaps from its own author.
                let same = |other: &Waiting| other.batch == offer.batch && other.subject == offer.subject;
                if let Some(known) = self.waiting.iter_mut().find(|other| same(other)) {
                    let new = offer.origins.into_iter().filter(|origin| !known.origins.contains(origin));
                    let new: Vec<_> = new.take(MAX_ORIGINS - known.origins.len()).collect();
                    known.origins.extend(new);
                    return Ok(());
                }
                let never = self.config.sabotage().offers_never_wait;
                if never || self.waiting_bytes + offer.cost() > self.config.waiting_bytes {
                    self.drops.offers += 1;
                    self.refuse_offer(&offer, &reason);
                    return Ok(());
                }
                offer.needs = needs;
                self.waiting_bytes += offer.cost();
                self.waiting.push_back(offer);
            }
            Err(Obstacle::Refused(reason)) => self.refuse_offer(&offer, &reason),
        }
        Ok(())
    }

    /// Takes records that are part of the document and that the store does not have for certain, as a relay before this one
    /// accepted them: they go to the store like new ones, and are not durable until then.
    ///
    /// # Errors
    ///
    /// [`Code::Overloaded`] when they are more than a room may hold that is not durable.
    pub fn restore(&mut self, clock: Clock, records: Vec<LogRecord>) -> Result<(), Reason> {
        for LogRecord { batch, subject, digest, .. } in records {
            let needs = (batch.actor, batch.first.saturating_sub(1));
            let offer =
                Waiting { batch, subject, digest, link: Link::default(), origins: Vec::new(), stored: true, needs };
            self.place_offer(clock, offer)?;
        }
        self.retry_waiting(clock);
        Ok(())
    }

    /// Tries again what waited for what has come meanwhile, as far as there is room.
    pub(super) fn retry_waiting(&mut self, clock: Clock) {
        // Each round takes one out that may go in now; what it brings may be what another waits for.
        let may_go =
            |room: &Self, offer: &Waiting| room.actors.held(offer.needs.0) >= offer.needs.1 && room.has_room_for(offer);
        while let Some(index) = self.waiting.iter().position(|offer| may_go(self, offer)) {
            let Some(offer) = self.waiting.remove(index) else { return };
            self.waiting_bytes -= offer.cost();
            let _room_was_looked_at = self.place_offer(clock, offer);
        }
    }

    /// What has a receipt may follow nothing but what it followed when it was accepted.
    fn examine_proven(
        &self,
        batch: &Batch,
        digest: &Digest,
        subject: &Arc<str>,
        link: Link,
    ) -> Result<Checked, Obstacle> {
        let checked = self.examine(None, batch, digest, subject)?;
        let chain = self.actors.get(batch.actor).map_or(Some(Chain::default()), |state| state.chain);
        if link.follows(chain) || self.config.sabotage().ignore_links {
            return Ok(checked);
        }
        let text = format!("what is held of actor {} is not what counter {} followed", batch.actor, batch.first);
        Err(Obstacle::Refused((Code::ActorReused, text)))
    }

    /// The one place that says what may become part of the document. Without a clock times are not looked at: a receipt says
    /// that they were, by the clock of that moment.
    pub(super) fn examine(
        &self,
        clock: Option<Clock>,
        batch: &Batch,
        digest: &Digest,
        subject: &Arc<str>,
    ) -> Result<Checked, Obstacle> {
        let refused = |code: Code, text: String| Err(Obstacle::Refused((code, text)));
        let (actor, state) = (batch.actor, self.actors.get(batch.actor));
        let held = state.map_or(0, |state| state.held);
        if let Some(owner) = state.and_then(|state| state.subject.as_ref())
            && owner != subject
        {
            return refused(Code::ForeignActor, format!("actor {actor} belongs to another subject"));
        }
        if batch.count > 0 && batch.first > 0 && batch.first <= held {
            if batch.last() > held {
                return refused(
                    Code::ActorReused,
                    format!("counters {} to {} of actor {actor}, of which {held} were held", batch.first, batch.last()),
                );
            }
            // Duplicates are of what came last, so the search goes backwards; it is short, and only duplicates pay for it.
            let known = self.tail.known().find(|known| known.meets(batch));
            let same =
                known.map(|known| (known.first, known.count, known.digest) == (batch.first, batch.count, *digest));
            return if same == Some(false) {
                refused(Code::ActorReused, format!("counter {} of actor {actor} was other operations", batch.first))
            } else {
                Err(Obstacle::Duplicate)
            };
        }
        if let Some(mut refusal) = self.actors.refused(actor).filter(|refusal| batch.last() >= refusal.first) {
            // An author who did not hear of it comes with the same batch; with another comes somebody else.
            if clock.is_some() && (batch.first, *digest) != (refusal.first, refusal.digest) {
                refusal.code = Code::ActorReused;
            }
            return Err(Obstacle::Refused(refused_before(actor, refusal)));
        }
        let checked = match batch.check(&self.config.limits) {
            Ok(checked) => checked,
            Err(error @ BatchError::TooLarge { .. }) => return refused(Code::BatchTooLarge, error.to_string()),
            Err(error) => return refused(Code::BadBatch, error.to_string()),
        };
        if batch.first > held + 1 {
            let text = format!("counter {} of actor {actor} after {held}", batch.first);
            return Err(Obstacle::Early((actor, batch.first - 1), (Code::CounterGap, text)));
        }
        for (other, counter) in &checked.references {
            let there = self.actors.held(*other);
            if there < *counter && *other != actor {
                let text = format!("it refers to counter {counter} of actor {other}, of which {there} are held");
                return Err(Obstacle::Early((*other, *counter), (Code::MissingDependency, text)));
            }
        }
        if let (Some(time), Some(clock)) = (checked.latest_time, clock) {
            let limit = clock
                .unix_millis
                .max(self.latest_time.millis())
                .saturating_add(self.config.clock_ahead.as_millis() as u64);
            if time.millis() > limit {
                let text = format!("time {} ms is ahead of the limit {limit} ms", time.millis());
                return refused(Code::ClockAhead, text);
            }
        }
        Ok(checked)
    }

    /// The hot path: receipt, one encoding, one append.
    pub(super) fn accept(
        &mut self,
        clock: Clock,
        origin: Option<MemberId>,
        batch: Batch,
        digest: Digest,
        subject: Arc<str>,
        checked: &Checked,
    ) {
        let before = self.actors.get(batch.actor).map_or(Some(Chain::default()), |state| state.chain);
        let receipt = receipt::issue(&self.keys, self.scope(), &batch, &digest, &subject, before);
        let (frame, batch) = encode(batch, Some(receipt));
        if let Some(time) = checked.latest_time {
            self.latest_time = self.latest_time.max(time);
        }
        let state = self.actors.entry(batch.actor);
        state.hold(&batch, &digest);
        state.subject.get_or_insert_with(|| subject.clone());
        let position = self.tail.end();
        self.durability.accepted(position, batch.actor, batch.last(), frame.len() + ENTRY_OVERHEAD);
        let early = self.config.sabotage().durable_early.then_some((batch.actor, batch.last()));
        let record = LogRecord { batch, subject, received_millis: clock.unix_millis, digest };
        self.tail.push(frame, Kind::Batch { record, origin });
        // Who has read everything needs not be told of what it just sent.
        if let Some(Place::Live(cursor)) =
            origin.and_then(|origin| self.members.get_mut(&origin)).map(|member| &mut member.place)
            && *cursor == position
        {
            *cursor += 1;
        }
        self.wake_everyone = true;
        if let Some((actor, last)) = early {
            self.say_durable(clock.monotonic, actor, last);
        }
    }

    /// The member's own batches have moved: it is told how far when it is next polled.
    pub(super) fn acknowledge(&mut self, id: MemberId) {
        if let Some(member) = self.members.get_mut(&id) {
            member.received_moved = true;
        }
        self.wake(id);
    }

    /// Asks for the member's batches from the first that is lacking, once for each place.
    pub(super) fn ask_again(&mut self, id: MemberId, actor: Actor) {
        if self.config.sabotage().never_resend || self.durability.is_starved(id) {
            return;
        }
        let counter = self.actors.held(actor) + 1;
        let Some(member) = self.members.get_mut(&id).filter(|member| member.lease == Some(actor)) else { return };
        let upload = member.uploads.entry(actor).or_insert(Upload { next: 1, asked: None });
        if upload.asked != Some(counter) {
            upload.asked = Some(counter);
            member.tell(frame::ResendFrom { counter });
            self.wake(id);
        }
    }

    /// Refuses a batch: its sender is told, and if it was its own, goes on as a new actor.
    fn refuse(&mut self, id: MemberId, batch: &Batch, (code, reason): Reason) {
        if let Some(member) = self.members.get_mut(&id) {
            self.drops.refused += 1;
            member.tell(frame::Refused { actor: batch.actor, first: batch.first, code, reason });
            self.wake(id);
        }
    }

    /// Refuses a batch that the member sent as its own: it goes on as a new actor.
    fn retire(&mut self, id: MemberId, batch: &Batch, reason: Reason) -> Result<(), Reason> {
        let Some(member) = self.members.get_mut(&id) else { return Ok(()) };
        if member.retired.len() >= MAX_RETIRED {
            return Err((
                Code::Overloaded,
                format!("batches of {MAX_RETIRED} actors were refused; the last: {}", reason.1),
            ));
        }
        member.retired.insert(batch.actor);
        let lease = member.lease;
        let wants_lease = member.role.may_write() && lease.is_none_or(|lease| lease == batch.actor);
        self.refuse(id, batch, reason);
        if let Some(lease) = lease.filter(|lease| *lease == batch.actor) {
            self.actors.let_go(lease, id);
        }
        if wants_lease {
            self.lease_new(id);
        }
        Ok(())
    }
}

/// Who needs not be sent what it sent itself: the author, unless the batch has times. One with times it gets back, with its
/// receipt: a relay that comes back with a clock that is behind refuses the batch from its author, and takes it as an offer.
pub(super) fn origin_of(checked: &Checked, author: MemberId) -> Option<MemberId> {
    checked.latest_time.is_none().then_some(author)
}

/// Why a batch is refused that its author was refused before: it has made again what is in it, and it must not be there twice.
fn refused_before(actor: Actor, Refusal { first, code, .. }: Refusal) -> Reason {
    (code, format!("actor {actor} was refused its counter {first}, and makes again what came from there on"))
}

/// The batch's frame, and the batch with its operations as a slice of it: the buffer that they came in is let go.
pub(super) fn encode(batch: Batch, receipt: Option<Bytes>) -> (Bytes, Batch) {
    let (actor, first, count, length) = (batch.actor, batch.first, batch.count, batch.operations.len());
    let after = receipt.as_ref().map_or(1, |receipt| receipt.len() + bin_header(receipt.len()));
    let frame = Frame::from(frame::Batch::new(batch, receipt)).encode();
    let end = frame.len() - after;
    let operations = frame.slice(end - length..end);
    (frame, Batch { actor, first, count, operations })
}

/// The bytes before a MessagePack `bin` of that length.
fn bin_header(length: usize) -> usize {
    match length {
        0..=0xff => 2,
        0x100..=0xffff => 3,
        _ => 5,
    }
}
