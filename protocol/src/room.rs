//! The relay's half of one document: everybody who has it open, what they wrote, and what waits for each of them.
//!
//! A room never builds the document. A batch is checked, stamped with a receipt, encoded once and appended to one shared
//! sequence, the [tail](tail); every member holds a position in it and nothing else. The store gets the records in the
//! order of arrival, and what it has is called durable in that order.
//!
//! The shell that owns a room calls it with the time and acts on what it hands out:
//!
//! 1. [`Room::join`], [`Room::leave`], [`Room::receive`], [`Room::receive_datagram`]: what the network says.
//! 2. [`Room::take_ready`]: whose transports to wake; for each of them [`Room::poll_transmit`] until it gives nothing, then
//!    [`Room::poll_datagram`].
//! 3. [`Room::take_records`]: what to store; [`Room::stored`] when it is.
//! 4. [`Room::fold_wanted`]: what to fold off the hot path; [`Room::folded`] when the result is stored.
//! 5. [`Room::poll_timeout`], [`Room::handle_timeout`]: when to call again.
//!
//! Where to look: `accept` decides what is refused, `catch_up` and `transmit` what a member is sent, `durability` what is
//! said to be safe, `presence` what is forgotten, `memory` what is given back.

mod accept;
mod actors;
mod catch_up;
mod config;
mod copies;
mod durability;
mod fold;
mod join;
mod member;
mod memory;
mod presence;
mod sabotage;
mod tail;
#[cfg(test)]
mod tests;
mod transmit;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use inkwire_document::HybridTime;

pub use config::{FoldInput, Join, Loaded, MemberId, Reason, RecordNumber, RoomConfig};
pub use memory::{Drops, Usage};
pub use sabotage::Sabotage;

pub use crate::clock::Clock;
use crate::copies::CopyFate;
use crate::random::Random;
use crate::receipt::{ReceiptKeys, Scope};
use crate::{Code, Frame};
use actors::Actors;
use catch_up::Base;
use durability::Durability;
use member::{MAX_QUEUED_FRAMES, Member, Place};
use presence::Presence;
use tail::Tail;

/// One open document on one relay. See the [module](self).
#[derive(Debug)]
pub struct Room {
    config: RoomConfig,
    name: Arc<str>,
    incarnation: u64,
    keys: ReceiptKeys,
    random: Random,
    tail: Tail,
    base: Option<Base>,
    /// A lower bound of what a reader at the tail's front holds.
    front_version: Arc<inkwire_document::VersionVector>,
    actors: Actors,
    /// The highest hybrid time in any batch.
    latest_time: HybridTime,
    members: BTreeMap<MemberId, Member>,
    ready: Vec<MemberId>,
    wake_everyone: bool,
    /// Offered batches that refer to what is not here yet, with who offered them.
    waiting: VecDeque<accept::Waiting>,
    waiting_bytes: usize,
    durability: Durability,
    fold: fold::Fold,
    presence: Presence,
    closing: Option<Reason>,
    unusable_records: usize,
    /// The host is short of memory, or of room for what its store does not take.
    paused: bool,
    /// Why batches are not taken, where they are not: the store is away.
    store_is_away: bool,
    drops: Drops,
}

impl Room {
    /// A room of what the store holds. `seed` makes the actor ids of new leases: a different one for every room.
    pub fn new(
        config: RoomConfig,
        name: Arc<str>,
        incarnation: u64,
        loaded: Loaded,
        keys: ReceiptKeys,
        seed: u64,
    ) -> Self {
        let mut room = Self {
            config,
            name,
            incarnation,
            keys,
            random: Random::new(seed),
            tail: Tail::default(),
            base: None,
            front_version: Arc::default(),
            actors: Actors::default(),
            latest_time: HybridTime::default(),
            members: BTreeMap::new(),
            ready: Vec::new(),
            wake_everyone: false,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            durability: Durability::default(),
            fold: fold::Fold::default(),
            presence: Presence::default(),
            closing: None,
            unusable_records: 0,
            paused: false,
            store_is_away: false,
            drops: Drops::default(),
        };
        room.load(loaded);
        room
    }

    /// The document's name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The document's incarnation.
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// How many loaded records were passed over because an earlier one of their actor is missing or the operation was there
    /// with other bytes. Not 0 means that the store lost something or that an actor was used twice.
    pub fn unusable_records(&self) -> usize {
        self.unusable_records
    }

    /// Members that got something to send since they last ran dry, appended to `out`. Each is given once, until
    /// [`poll_transmit`](Self::poll_transmit) has returned 0 for it.
    pub fn take_ready(&mut self, out: &mut Vec<MemberId>) {
        for id in self.ready.drain(..) {
            if let Some(member) = self.members.get_mut(&id) {
                member.listed = false;
                // It may have been polled meanwhile.
                if member.woken {
                    out.push(id);
                }
            }
        }
        if std::mem::take(&mut self.wake_everyone) {
            let (tail_end, presence_end) = (self.tail.end(), self.presence.end_position());
            for (id, member) in &mut self.members {
                let behind = match member.place {
                    Place::Live(position) => position < tail_end,
                    Place::CatchUp(_) | Place::Behind(_) => true,
                };
                if !member.woken && (behind || member.presence < presence_end) {
                    member.woken = true;
                    out.push(*id);
                }
            }
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) next, on the monotonic clock; earlier than now means at once.
    pub fn poll_timeout(&self) -> Option<Duration> {
        let presence = if self.members.is_empty() { None } else { self.presence.poll_timeout() };
        presence.into_iter().chain(self.durability.due()).min()
    }

    /// Does what is due: presence, and `Durable` for those who did not write.
    pub fn handle_timeout(&mut self, clock: Clock) {
        self.tell_durable(clock.monotonic);
        self.tick_presence(clock.monotonic);
    }

    /// No members, nothing that is not durable, no fold under way: the room may be dropped, and loaded again when it is
    /// wanted.
    pub fn is_idle(&self) -> bool {
        self.members.is_empty() && self.durability.is_settled() && !self.fold.is_running()
    }

    /// One frame of a member's lane.
    ///
    /// # Errors
    /// The reason to close this member's lane with; nothing of the frame was taken. A batch that is refused is not an error:
    /// its sender is told on the lane, and goes on under a new actor.
    pub fn receive(&mut self, clock: Clock, id: MemberId, frame: Frame) -> Result<(), Reason> {
        if let Some(reason) = &self.closing {
            return Err(reason.clone());
        }
        let Some(member) = self.members.get(&id) else {
            return Err((Code::UnexpectedFrame, "the document is not open on this lane".into()));
        };
        if member.queue.len() > MAX_QUEUED_FRAMES {
            return Err((Code::Overloaded, format!("more than {MAX_QUEUED_FRAMES} answers wait to be read")));
        }
        match frame {
            Frame::Batch(frame) => self.receive_batch(clock, id, frame.into_parts().0, None),
            Frame::Offer(frame) => self.receive_offer(clock, id, frame),
            Frame::Presence(frame) => self.receive_presence(clock, id, frame),
            Frame::Release(frame) => {
                self.receive_release(id, frame);
                Ok(())
            }
            other => Err((Code::UnexpectedFrame, format!("{} may not come on a document's lane", other.name()))),
        }
    }

    /// One frame that came as a datagram. Whatever is wrong with it, it is only dropped. Of a copy of a batch it says what
    /// became of it.
    pub fn receive_datagram(&mut self, clock: Clock, id: MemberId, frame: Frame) -> Option<CopyFate> {
        match frame {
            Frame::Presence(frame) => {
                let _dropped = self.receive_presence(clock, id, frame);
                None
            }
            Frame::Batch(frame) => Some(self.receive_copy(clock, id, frame.into_parts().0)),
            _ => None,
        }
    }

    fn receive_presence(&mut self, clock: Clock, id: MemberId, frame: crate::frame::Presence) -> Result<(), Reason> {
        let Some(member) = self.members.get(&id) else { return Ok(()) };
        let owner = (member.session, &member.subject);
        self.presence.set(&self.config, clock.monotonic, id, owner, frame)?;
        self.tick_presence(clock.monotonic);
        Ok(())
    }

    fn tick_presence(&mut self, now: Duration) {
        // Nobody to tell: encoding waits for the next one who joins.
        if self.members.is_empty() {
            return;
        }
        self.wake_everyone |= self.presence.tick(&self.config, now);
        self.drops.presence += self.presence.take_dropped();
    }

    fn scope(&self) -> Scope<'_> {
        Scope { document: &self.name, incarnation: self.incarnation }
    }

    /// Has the shell poll this member.
    fn wake(&mut self, id: MemberId) {
        if let Some(member) = self.members.get_mut(&id)
            && !member.woken
        {
            member.woken = true;
            if !std::mem::replace(&mut member.listed, true) {
                self.ready.push(id);
            }
        }
    }
}
