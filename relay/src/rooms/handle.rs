//! One room behind its lock, and who must be told what after each step of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use inkwire_protocol::copies::CopyFate;
use inkwire_protocol::record::LogRecord;
use inkwire_protocol::room::{Clock, Drops, FoldInput, Join, MemberId, Reason, RecordNumber, Room, Usage};
use inkwire_protocol::{Frame, Role};
use inkwire_storage::{Condition, DocumentKey};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::Budget;
use crate::clock::RelayClock;
use crate::store_writer::{Outbox, StoreWriter};

/// Told when a member has something to be sent. Called under the room's lock: it may only take a note.
pub trait Ready: Send + Sync {
    /// Takes the note.
    fn ready(&self);
}

impl Ready for Notify {
    fn ready(&self) {
        self.notify_one();
    }
}

/// What waited for a member.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Waiting {
    /// So many bytes of frames.
    Bytes(usize),
    /// Nothing: the member is told when that changes.
    Nothing,
    /// Nothing, and nothing will: the room has ended, and has said why.
    Over,
}

/// An open document: its state machine, and the wires to transports, store and timers.
pub struct RoomHandle {
    /// Which document.
    pub key: DocumentKey,
    /// What of it waits for the store.
    pub outbox: Outbox,
    /// Told when timers, folds or membership have changed; the room's task waits for it.
    pub(super) changed: Notify,
    state: Mutex<State>,
    /// It is to be unloaded without waiting, as soon as nobody has it open.
    early: AtomicBool,
    clock: RelayClock,
    writer: Arc<StoreWriter>,
    budget: Arc<Budget>,
}

struct State {
    room: Room,
    members: HashMap<MemberId, Arc<dyn Ready>>,
    /// When the room's task will wake by itself.
    armed: Option<Duration>,
    /// What the room's task is to fold.
    fold: Option<FoldInput>,
    ready: Vec<MemberId>,
    /// What the budget was told of this room.
    accounted: usize,
    /// Batches are not taken because memory is short.
    memory_is_short: bool,
    /// Batches are not taken because the store is away and nothing more can be kept for it.
    store_is_full: bool,
}

impl State {
    fn pause(&mut self) {
        self.room.set_paused(self.memory_is_short || self.store_is_full);
    }
}

impl RoomHandle {
    pub(super) fn new(
        key: DocumentKey,
        room: Room,
        clock: RelayClock,
        writer: Arc<StoreWriter>,
        budget: Arc<Budget>,
    ) -> Self {
        let accounted = room.shared_bytes();
        budget.change(0, accounted);
        Self {
            key,
            outbox: Outbox::default(),
            changed: Notify::new(),
            state: Mutex::new(State {
                room,
                members: HashMap::new(),
                armed: None,
                fold: None,
                ready: Vec::new(),
                accounted,
                memory_is_short: false,
                store_is_full: false,
            }),
            early: AtomicBool::new(false),
            clock,
            writer,
            budget,
        }
    }

    /// Takes a member in; `ready` is told whenever something waits for it.
    pub fn join(self: &Arc<Self>, join: Join, ready: Arc<dyn Ready>) -> Result<(), Reason> {
        self.step(|state, clock| {
            let member = join.member;
            state.members.insert(member, ready);
            let outcome = state.room.join(clock, join);
            if outcome.is_err() {
                state.members.remove(&member);
            }
            outcome
        })
    }

    /// A member's lane is gone.
    pub fn leave(self: &Arc<Self>, member: MemberId) {
        self.step(|state, clock| {
            state.members.remove(&member);
            state.room.leave(clock, member);
        });
    }

    /// Frames of a member's lane, in one step. Stops at the first that is refused.
    pub fn receive(self: &Arc<Self>, member: MemberId, frames: impl IntoIterator<Item = Frame>) -> Result<(), Reason> {
        self.step(|state, clock| frames.into_iter().try_for_each(|frame| state.room.receive(clock, member, frame)))
    }

    /// A frame that came as a datagram; of a copy of a batch, what became of it.
    pub fn receive_datagram(self: &Arc<Self>, member: MemberId, frame: Frame) -> Option<CopyFate> {
        self.step(|state, clock| state.room.receive_datagram(clock, member, frame))
    }

    /// The member may do more or less from now on.
    pub fn set_role(self: &Arc<Self>, member: MemberId, role: Role) {
        self.step(|state, _| state.room.set_role(member, role));
    }

    /// What waits for a member, up to about `max_bytes`.
    pub fn transmit(&self, member: MemberId, max_bytes: usize, out: &mut Vec<Bytes>) -> Waiting {
        let clock = self.clock.now();
        let mut state = self.state.lock();
        match state.room.poll_transmit(clock, member, max_bytes, out) {
            0 if state.room.closing().is_some() => Waiting::Over,
            0 => Waiting::Nothing,
            bytes => Waiting::Bytes(bytes),
        }
    }

    /// The next frame of presence for a member.
    pub fn datagram(&self, member: MemberId) -> Option<Bytes> {
        let clock = self.clock.now();
        self.state.lock().room.poll_datagram(clock, member)
    }

    /// Whether the store is so far behind that the member should be read slower.
    pub fn is_behind(&self) -> bool {
        self.writer.is_full(self)
    }

    /// Resolves once the store has caught up.
    pub async fn caught_up(&self) {
        self.writer.ready(self).await;
    }

    /// Everything up to the record is durable.
    pub fn stored(self: &Arc<Self>, last: RecordNumber) {
        self.step(|state, clock| {
            state.room.stored(clock, last);
            if state.fold.is_none() {
                state.fold = state.room.fold_wanted();
            }
        });
    }

    /// The store takes nothing more.
    pub fn store_failed(self: &Arc<Self>, reason: &str) {
        self.step(|state, clock| state.room.store_failed(clock, reason));
        self.changed.notify_one();
    }

    /// Ends the room for everybody, who are told why.
    pub fn close(self: &Arc<Self>, reason: Reason) {
        self.step(|state, _| state.room.close(reason));
        self.changed.notify_one();
    }

    /// What only this machine's spool had of the document goes on as if it had just been written.
    pub(super) fn restore(self: &Arc<Self>, records: Vec<LogRecord>) -> Result<(), Reason> {
        self.step(|state, clock| state.room.restore(clock, records))
    }

    /// How the store is from now on.
    pub(super) fn set_store(self: &Arc<Self>, condition: Condition) {
        self.step(|state, _| {
            state.store_is_full = condition == Condition::Full;
            state.room.set_store_away(condition != Condition::Serving);
            state.pause();
        });
    }

    /// What the room keeps, whether it is paused for want of memory, and what it dropped since it was last asked.
    pub(super) fn survey(&self) -> (Usage, bool, Drops) {
        let mut state = self.state.lock();
        let drops = state.room.take_drops();
        (state.room.usage(), state.memory_is_short, drops)
    }

    /// Has the room unloaded as soon as nobody has it open. Returns whether that is new.
    pub(super) fn leave_early(&self) -> bool {
        let new = !self.early.swap(true, Ordering::Relaxed);
        self.changed.notify_one();
        new
    }

    /// Whether it is not to stay for those who may come back.
    pub(super) fn leaves_early(&self) -> bool {
        self.early.load(Ordering::Relaxed)
    }

    /// Somebody came in: the room is worth keeping again.
    pub(super) fn stay(&self) {
        self.early.store(false, Ordering::Relaxed);
    }

    /// Has what is durable folded, however little it is. Returns whether that is new.
    pub(super) fn fold_early(self: &Arc<Self>) -> bool {
        self.step(|state, _| {
            if state.fold.is_some() {
                return false;
            }
            state.fold = state.room.fold_now();
            state.fold.is_some()
        })
    }

    /// Gives back what is kept for slow readers: so many bytes.
    pub(super) fn shed_readers(self: &Arc<Self>) -> usize {
        self.step(|state, _| state.room.shed_readers())
    }

    /// Stops taking batches for want of memory, or goes on. Returns whether that is new.
    pub(super) fn set_paused(self: &Arc<Self>, paused: bool) -> bool {
        self.step(|state, _| {
            let new = state.memory_is_short != paused;
            state.memory_is_short = paused;
            state.pause();
            new
        })
    }

    /// Does what is due and says when to come again, and what is to be folded.
    pub(super) fn tend(self: &Arc<Self>) -> Tended {
        self.step(|state, clock| {
            if state.room.poll_timeout().is_some_and(|due| due <= clock.monotonic) {
                state.room.handle_timeout(clock);
            }
            let fold = state.fold.take();
            // Set here, so that the step's end does not wake the task that is asking.
            state.armed = state.room.poll_timeout();
            let usage = state.room.usage();
            Tended {
                due: state.armed.map(|due| self.clock.instant(due)),
                fold,
                is_idle: state.room.is_idle(),
                is_closing: state.room.closing().is_some(),
                tail_bytes: usage.tail_bytes,
            }
        })
    }

    /// Whether nothing is lost when the room is dropped, or nothing can be saved.
    pub(super) fn may_go(&self) -> bool {
        let state = self.state.lock();
        state.room.is_idle() || state.room.closing().is_some()
    }

    /// What to fold before the room is unloaded.
    pub(super) fn last_fold(self: &Arc<Self>) -> Option<FoldInput> {
        self.step(|state, _| state.room.fold_now())
    }

    /// The new snapshot is stored, or there is none.
    pub(super) fn folded(self: &Arc<Self>, snapshot: Option<inkwire_document::Snapshot>) -> bool {
        self.step(|state, _| match snapshot {
            Some(snapshot) => {
                let taken = state.room.folded(snapshot);
                // What came meanwhile may be as much again, and nothing more may come to ask for it.
                if taken && state.fold.is_none() {
                    state.fold = state.room.fold_wanted();
                }
                taken
            }
            None => {
                state.room.fold_failed();
                true
            }
        })
    }

    /// One step of the room, and then everything that follows from it: records to the store, wakes to members, timers.
    fn step<R>(self: &Arc<Self>, step: impl FnOnce(&mut State, Clock) -> R) -> R {
        let clock = self.clock.now();
        let mut state = self.state.lock();
        let result = step(&mut state, clock);
        let State { room, members, armed, fold, ready, accounted, .. } = &mut *state;
        let mut records = Vec::new();
        if let Some(last) = room.take_records(&mut records) {
            self.writer.hand_over(self, records, last);
        }
        room.take_ready(ready);
        for member in ready.drain(..) {
            if let Some(ready) = members.get(&member) {
                ready.ready();
            }
        }
        let bytes = room.shared_bytes();
        if bytes != *accounted {
            self.budget.change(*accounted, bytes);
            *accounted = bytes;
        }
        let due = room.poll_timeout();
        let earlier = match (due, *armed) {
            (Some(due), Some(armed)) => due < armed,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if earlier || fold.is_some() {
            *armed = due;
            self.changed.notify_one();
        }
        result
    }
}

impl Drop for RoomHandle {
    fn drop(&mut self) {
        self.budget.change(self.state.get_mut().accounted, 0);
    }
}

/// What a room's task learns when it looks after it.
pub(super) struct Tended {
    pub(super) due: Option<tokio::time::Instant>,
    pub(super) fold: Option<FoldInput>,
    pub(super) is_idle: bool,
    pub(super) is_closing: bool,
    pub(super) tail_bytes: usize,
}
