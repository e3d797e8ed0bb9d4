//! What a room keeps in memory, what it dropped for want of it, and how it gives some back.

use std::collections::BTreeSet;

use super::Room;
use super::member::Place;

/// What a room keeps in memory, for metrics and budgets.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Usage {
    /// Members.
    pub members: usize,
    /// Bytes of the tail, overhead included.
    pub tail_bytes: usize,
    /// Bytes that are accepted and not durable; part of the tail.
    pub undurable_bytes: usize,
    /// Bytes that are folded and kept for readers that lag; part of the tail.
    pub kept_bytes: usize,
    /// Bytes of what is known of batches that are folded and gone.
    pub known_bytes: usize,
    /// Bytes of offered batches that wait for what they refer to.
    pub waiting_bytes: usize,
    /// Bytes of presence.
    pub presence_bytes: usize,
    /// Bytes of the snapshot, and of the frames that are made of it for joiners.
    pub snapshot_bytes: usize,
    /// Bytes of snapshots' frames that are on their way to single members: differences, and what a fold has replaced since.
    /// Those of the present snapshot are not counted again.
    pub pinned_bytes: usize,
    /// Bytes of frames that wait for single members; what they share is not counted again.
    pub queued_bytes: usize,
}

impl Usage {
    /// What only single members need of the room.
    pub fn members_bytes(&self) -> usize {
        self.pinned_bytes + self.queued_bytes + self.presence_bytes
    }
}

/// What a room dropped because a bound was reached, since it was last asked.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Drops {
    /// Batches that were not taken while too much was not durable, or while the room was paused; asked for again later.
    pub batches: u64,
    /// Readers that lost their place in the tail, or had to begin a snapshot anew; brought up to date later.
    pub readers: u64,
    /// Offers that were refused because too many waited.
    pub offers: u64,
    /// Frames of presence that went unread by whoever had not fetched them.
    pub presence: u64,
    /// Batches that were refused for what they are: of another's actor, other operations under a known counter, malformed.
    pub refused: u64,
}

impl Room {
    /// Bytes of tail, snapshot and waiting offers: what grows with what is written, told in constant time.
    pub fn shared_bytes(&self) -> usize {
        self.tail.total_cost()
            + self.tail.known_bytes()
            + self.waiting_bytes
            + self.base.as_ref().map_or(0, super::Base::memory)
    }

    /// What the room keeps in memory. Looks at every member.
    pub fn usage(&self) -> Usage {
        let mut pinned = BTreeSet::new();
        let mut pinned_bytes = 0;
        for member in self.members.values() {
            if let Place::CatchUp(plan) = &member.place
                && let Some(chunks) = &plan.chunks
                && !self.base.as_ref().is_some_and(|base| base.shares(chunks))
                && pinned.insert(chunks.address())
            {
                pinned_bytes += chunks.bytes as usize;
            }
        }
        Usage {
            members: self.members.len(),
            tail_bytes: self.tail.total_cost(),
            undurable_bytes: self.durability.bytes(),
            kept_bytes: self.tail.cost(self.tail.front(), self.tail.base()),
            known_bytes: self.tail.known_bytes(),
            waiting_bytes: self.waiting_bytes,
            presence_bytes: self.presence.bytes(),
            snapshot_bytes: self.base.as_ref().map_or(0, super::Base::memory),
            pinned_bytes,
            queued_bytes: self.members.values().flat_map(|member| &member.queue).map(bytes::Bytes::len).sum(),
        }
    }

    /// What was dropped since the last call.
    pub fn take_drops(&mut self) -> Drops {
        std::mem::take(&mut self.drops)
    }

    /// Keeps nothing for single readers any more: those that are still reading what is folded lose their place, as after a fold,
    /// and those that are being sent a snapshot that is not the present one are sent that from its start, in frames that all of
    /// them share. For a host that is short of memory; who reads slowly pays with bytes that are sent twice. Returns how many
    /// bytes are given back.
    pub fn shed_readers(&mut self) -> usize {
        let before = self.usage();
        let base_position = self.tail.base();
        for member in self.members.values_mut() {
            let shed = match &mut member.place {
                Place::Live(cursor) if *cursor < base_position => {
                    member.place = Place::Behind(self.front_version.clone());
                    true
                }
                Place::Live(_) | Place::Behind(_) => false,
                Place::CatchUp(plan) => {
                    let lags = plan.cursor.is_some_and(|cursor| cursor < base_position);
                    if lags {
                        plan.cursor = None;
                    }
                    let own = match (&self.base, &plan.chunks) {
                        (Some(base), Some(chunks)) => !base.shares(chunks),
                        _ => false,
                    };
                    if let Some(base) = self.base.as_ref().filter(|_| own) {
                        plan.send_whole(base);
                    }
                    lags || own
                }
            };
            self.drops.readers += u64::from(shed);
        }
        self.trim();
        let after = self.usage();
        (before.kept_bytes + before.pinned_bytes).saturating_sub(after.kept_bytes + after.pinned_bytes)
    }

    /// Takes no batches from now on, or takes them again: what came meanwhile is asked for then. Its authors are told, as when
    /// too much is not durable. Readers, offers and presence go on.
    pub fn set_paused(&mut self, paused: bool) {
        if std::mem::replace(&mut self.paused, paused) && !paused {
            self.ask_starved();
        }
    }

    /// From now on, or no longer, it is because the store is away that batches are not taken where they are not: their authors
    /// are told so.
    pub fn set_store_away(&mut self, away: bool) {
        self.store_is_away = away;
    }

    /// Whether [`set_paused`](Self::set_paused) holds it back.
    pub fn is_paused(&self) -> bool {
        self.paused
    }
}
