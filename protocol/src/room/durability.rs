//! What the store has, and who is told.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use inkwire_document::{Actor, Dot, VersionVector};

use super::catch_up::durable_frames;
use super::tail::{Kind, Position};
use super::{Clock, MemberId, RecordNumber, Room};
use crate::record::LogRecord;
use crate::{Code, Frame, frame};

/// An accepted batch that is not durable.
#[derive(Debug)]
struct Pending {
    number: RecordNumber,
    position: Position,
    actor: Actor,
    last: u64,
    cost: usize,
}

/// The records between acceptance and the store's word.
#[derive(Debug, Default)]
pub(super) struct Durability {
    pending: VecDeque<Pending>,
    bytes: usize,
    accepted: u64,
    taken: u64,
    /// Groups that the store completed before an earlier one: last record by first.
    early: BTreeMap<RecordNumber, RecordNumber>,
    /// Everything before this position is durable.
    position: Position,
    /// What was not said to everybody yet, and when it will be.
    untold: BTreeMap<Actor, u64>,
    due: Option<Duration>,
    /// Whose batches were dropped because too much is not durable.
    starved: BTreeSet<(MemberId, Actor)>,
}

impl Durability {
    /// A new record; everything that was loaded lies before `position`.
    pub(super) fn accepted(&mut self, position: Position, actor: Actor, last: u64, cost: usize) {
        if self.pending.is_empty() {
            self.position = position;
        }
        self.accepted += 1;
        self.pending.push_back(Pending { number: RecordNumber(self.accepted), position, actor, last, cost });
        self.bytes += cost;
    }

    /// Bytes that are not durable.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_settled(&self) -> bool {
        self.pending.is_empty()
    }

    pub(super) fn due(&self) -> Option<Duration> {
        self.due
    }

    /// What is before it is durable, when `end` is the tail's end.
    pub(super) fn position(&self, end: Position) -> Position {
        if self.pending.is_empty() { end } else { self.position }
    }

    /// Notes that a batch of this member was dropped. Returns whether it is the first.
    pub(super) fn starve(&mut self, id: MemberId, actor: Actor) -> bool {
        self.starved.insert((id, actor))
    }

    pub(super) fn is_starved(&self, id: MemberId) -> bool {
        self.starved.range((id, Actor(0))..).next().is_some_and(|(starved, _)| *starved == id)
    }

    pub(super) fn leave(&mut self, id: MemberId) {
        self.starved.retain(|(starved, _)| *starved != id);
    }
}

impl Room {
    /// Appends to `out`, in order of arrival, what was accepted since the last call and returns the number of the last of
    /// them; `None` if there is nothing.
    pub fn take_records(&mut self, out: &mut Vec<LogRecord>) -> Option<RecordNumber> {
        let durability = &mut self.durability;
        let first = durability.pending.partition_point(|pending| pending.number.0 <= durability.taken);
        let new = durability.pending.range(first..);
        let records = new.filter_map(|pending| match &self.tail.at(pending.position)?.kind {
            Kind::Batch { record, .. } => Some(record.clone()),
            Kind::Durable => None,
        });
        out.extend(records);
        if durability.taken == durability.accepted {
            return None;
        }
        durability.taken = durability.accepted;
        Some(RecordNumber(durability.taken))
    }

    /// Everything up to the record is durable.
    pub fn stored(&mut self, clock: Clock, number: RecordNumber) {
        let mut told = BTreeSet::new();
        while let Some(pending) = self.durability.pending.front()
            && pending.number <= number
        {
            let Some(pending) = self.durability.pending.pop_front() else { break };
            self.durability.bytes -= pending.cost;
            self.durability.position =
                self.durability.pending.front().map_or(pending.position + 1, |next| next.position);
            if let Some(holder) = self.say_durable(clock.monotonic, pending.actor, pending.last) {
                told.insert(holder);
            }
        }
        for id in told {
            self.wake(id);
        }
        // Readers have moved on meanwhile.
        if self.tail.front() < self.tail.base() {
            self.trim();
        }
        self.ask_starved();
        self.retry_waiting(clock);
    }

    /// Asks for what was dropped because there was no room, once there is.
    pub(super) fn ask_starved(&mut self) {
        if self.paused || self.durability.bytes > self.config.undurable_bytes / 2 {
            return;
        }
        for (id, actor) in std::mem::take(&mut self.durability.starved) {
            self.ask_again(id, actor);
            self.acknowledge(id);
        }
    }

    /// The records from `first` to `last` are durable, whatever is with the ones before: for a store that completes writes in
    /// any order. Nothing is called durable before all that came earlier is, so what is durable never refers to what is not.
    pub fn stored_group(&mut self, clock: Clock, first: RecordNumber, last: RecordNumber) {
        if self.config.sabotage().durable_out_of_order {
            return self.stored_alone(clock, first, last);
        }
        self.durability.early.insert(first, last);
        let mut through = None;
        let mut next = self.durability.pending.front().map(|pending| pending.number);
        while let Some(first) = next
            && let Some(last) = self.durability.early.remove(&first)
        {
            through = Some(last);
            next = Some(RecordNumber(last.0 + 1));
        }
        if let Some(through) = through {
            self.stored(clock, through);
        }
    }

    /// Against the rule; see [`Sabotage`](super::Sabotage).
    fn stored_alone(&mut self, clock: Clock, first: RecordNumber, last: RecordNumber) {
        let pending = self.durability.pending.iter();
        let group: Vec<_> = pending
            .filter(|pending| pending.number >= first && pending.number <= last)
            .map(|pending| (pending.actor, pending.last))
            .collect();
        self.durability.early.insert(first, last);
        for (actor, counter) in group {
            if let Some(holder) = self.say_durable(clock.monotonic, actor, counter) {
                self.wake(holder);
            }
        }
        // The queue itself moves in order all the same, or nothing would ever be folded.
        while let Some(first) = self.durability.pending.front().map(|pending| pending.number)
            && let Some(last) = self.durability.early.remove(&first)
        {
            self.stored(clock, last);
        }
    }

    /// The store refused: nothing more is taken, and every member is told to come back later. The shell drops the room when
    /// they have left; what was not durable is with those who saw it.
    pub fn store_failed(&mut self, _clock: Clock, reason: &str) {
        self.close((Code::StoreUnavailable, reason.to_owned()));
    }

    /// Ends the room for everybody, with a last `Close` on every lane.
    pub fn close(&mut self, (code, reason): super::Reason) {
        if self.closing.is_some() {
            return;
        }
        let close = Frame::from(frame::Close { code, reason: reason.clone() }).encode();
        self.closing = Some((code, reason));
        let ids: Vec<MemberId> = self.members.keys().copied().collect();
        for id in ids {
            if let Some(member) = self.members.get_mut(&id) {
                member.queue.push_back(close.clone());
            }
            self.wake(id);
        }
    }

    /// Why the room takes nothing more, once it does.
    pub fn closing(&self) -> Option<&super::Reason> {
        self.closing.as_ref()
    }

    /// Notes that an actor's operations are durable, for its holder at once and for all others with the next delta. Returns
    /// the holder, to be woken.
    pub(super) fn say_durable(&mut self, now: Duration, actor: Actor, last: u64) -> Option<MemberId> {
        let state = self.actors.entry(actor);
        state.durable = state.durable.max(last);
        let durable = state.durable;
        let holder = state.holder;
        self.end_lease(actor, holder);
        self.durability.untold.insert(actor, durable);
        self.durability.due.get_or_insert(now + self.config.durable_delay);
        let member = self.members.get_mut(&holder?)?;
        if member.lease == Some(actor) {
            member.durable_moved = true;
        }
        holder
    }

    /// Appends the collected delta to the tail when it is due.
    pub(super) fn tell_durable(&mut self, now: Duration) {
        if self.durability.due.is_none_or(|due| due > now) {
            return;
        }
        self.durability.due = None;
        let untold = std::mem::take(&mut self.durability.untold);
        let vector: VersionVector = untold.into_iter().map(|(actor, last)| Dot::new(actor, last)).collect();
        for frame in durable_frames(vector, self.config.vector_entries) {
            self.tail.push(frame, Kind::Durable);
        }
        self.wake_everyone = true;
    }
}
