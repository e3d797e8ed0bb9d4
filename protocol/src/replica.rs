//! The client's half of one document: its state, its outbox, what it retains for others, and its resynchronisation.
//!
//! A [`Replica`] lives through any number of connections. On each, it opens the document with the version vector that it
//! has, offers again what it has seen of others and the relay lacks, sends again what is its own and not durable, and
//! takes in what it missed. [`crate::client::Client`] drives it; applications read it through
//! [`crate::client::Client::replica`].
//!
//! # What is bounded, and how
//! | what | bound | past it |
//! |---|---|---|
//! | own edits that are not durable | [`ReplicaConfig::outbox_bytes`], and one edit | edits are refused with `OutboxFull` |
//! | others' batches that are not durable | [`ReplicaConfig::retained_bytes`] | the newest are not retained |
//! | batches that came early | the document's own bound | the document is opened anew |
//! | a snapshot that is coming in | [`ReplicaConfig::snapshot_bytes`] | the document is closed |
//! | others' presence | 4,096 sessions | further ones are not shown |
//! | changes for the application | what was applied since it took them last | take them at each `Changed` |

mod assembly;
mod difference;
mod editing;
mod moved;
mod outbox;
mod presence;
mod receive;
mod refusal;
mod remaking;
mod retained;
mod sabotage;
mod transmit;

use std::collections::VecDeque;
use std::mem;

use bytes::Bytes;
use inkwire_document::ordered::OrderedMap;
use inkwire_document::{Actor, Change, Document, EditError, HybridTime, Unit, VersionVector};

pub use presence::Peer;
pub use sabotage::Sabotage;

pub use refusal::{MAX_REFUSED_BYTES, Refusal, RefusedContent, RefusedEdit};

use crate::frame::{self, Frame, Role};
use crate::random::Random;
use crate::{Code, limits};
use assembly::Assembly;
use outbox::Outbox;
use presence::Presence;
use retained::Retained;

/// A replica's bounds.
#[derive(Clone, Debug)]
pub struct ReplicaConfig {
    /// The role to ask for. The relay may grant less.
    pub role: Role,
    /// Bytes of own edits that are not durable, bookkeeping included. 48 MiB: 300,000 one-character edits take some 10 MiB
    /// of it when they are made while disconnected, each at another place, and some 36 MiB as batches of one edit each.
    pub outbox_bytes: usize,
    /// Bytes of others' batches that were seen and are not durable. 16 MiB: a relay lets 8 MiB of a document be undurable.
    pub retained_bytes: usize,
    /// Bytes of one snapshot. 256 MiB.
    pub snapshot_bytes: usize,
    /// While nothing can be sent, so many edits go into one batch; typing then costs a fraction of its bytes. 1,000.
    pub max_batch_edits: usize,
    /// What changes' positions count.
    pub unit: Unit,
    /// Entries of a vector in one frame; longer ones are split. [`limits::VECTOR_PART_ENTRIES`].
    pub vector_entries: usize,
    #[cfg(feature = "sabotage")]
    /// Rules taken out, so that tests see the simulator fail without them.
    pub sabotage: Sabotage,
}

impl Default for ReplicaConfig {
    fn default() -> Self {
        Self {
            role: Role::Editor,
            outbox_bytes: 48 << 20,
            retained_bytes: 16 << 20,
            snapshot_bytes: 256 << 20,
            max_batch_edits: 1_000,
            unit: Unit::default(),
            vector_entries: limits::VECTOR_PART_ENTRIES,
            #[cfg(feature = "sabotage")]
            sabotage: Sabotage::default(),
        }
    }
}

impl ReplicaConfig {
    /// The rules that are taken out: none, unless a test did it.
    #[inline]
    pub(crate) fn sabotage(&self) -> Sabotage {
        #[cfg(feature = "sabotage")]
        return self.sabotage;
        #[cfg(not(feature = "sabotage"))]
        Sabotage::default()
    }
}

/// How many of a replica's own edits are in which state; each is in exactly one.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Status {
    /// Made here, and not handed to the present connection.
    pub local: u64,
    /// Handed to the connection or held by the relay, and not known to be durable.
    pub sent: u64,
    /// In the relay's store.
    pub durable: u64,
    /// Refused by the relay, taken back and not made again.
    pub refused: u64,
}

impl Status {
    /// Edits that were ever made.
    pub fn made(&self) -> u64 {
        self.local + self.sent + self.durable + self.refused
    }

    /// Edits whose fate is decided: an edit that was the `n`-th is once this is at least `n`, as they are decided in order.
    pub fn settled(&self) -> u64 {
        self.durable + self.refused
    }
}

/// Why an edit was not made. The document is as it was.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EditRefused {
    /// The session may only read the document.
    #[error("the document is read-only for this session")]
    ReadOnly,
    /// Too many bytes of edits wait to become durable.
    #[error("{bytes} bytes of edits wait to become durable, the limit is {limit}")]
    OutboxFull {
        /// Bytes that wait.
        bytes: usize,
        /// [`ReplicaConfig::outbox_bytes`].
        limit: usize,
    },
    /// The replica is being rebuilt after a refused batch; try again once it is synced.
    #[error("the document is being rebuilt")]
    NotReady,
    /// The document was closed.
    #[error("the document is closed")]
    Closed,
    /// The document refused it.
    #[error(transparent)]
    Edit(EditError),
}

impl From<EditError> for EditRefused {
    fn from(error: EditError) -> Self {
        match error {
            // A lease on an actor whose operations are still coming in.
            EditError::Behind { .. } => Self::NotReady,
            error => Self::Edit(error),
        }
    }
}

/// Where the replica stands with the relay.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    /// No lane.
    Offline,
    /// A lane, and `Open` is the next frame to send.
    Opening,
    /// `Open` was sent.
    Opened,
    /// The answer came; what was missed is coming in. Own batches may go out.
    Syncing,
    /// Everything came in.
    Live,
    /// `CloseDocument` was sent, or the relay closed the lane.
    Closed,
}

/// What the replica asks of the session after it received something.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Want {
    /// A new lane for the document; after a pause if the relay may need one.
    Reopen { pause: bool },
    /// The document is closed for good.
    Close,
}

/// What the application has not been told yet; one flag each, so that a slow application costs nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct News {
    pub(crate) opened: bool,
    pub(crate) synced: bool,
    pub(crate) changed: bool,
    pub(crate) status: bool,
    pub(crate) durable: bool,
    pub(crate) presence: bool,
    pub(crate) refused: Option<Refusal>,
    pub(crate) closed: Option<(Code, String)>,
}

/// Who the replica writes as.
#[derive(Clone, Debug)]
struct Writer {
    actor: Actor,
    ticket: Option<Bytes>,
    /// Up to this counter the relay's digest of what was written as it is the own one.
    agreed: u64,
}

/// The client's half of one document.
#[derive(Clone, Debug)]
pub struct Replica {
    name: String,
    config: ReplicaConfig,
    random: Random,
    document: Document,
    /// While rebuilding: what the application still sees.
    shown: Option<Document>,
    observing: bool,
    /// What rebuilding changed in the application's view.
    changes: Vec<Change>,
    incarnation: Option<u64>,
    role: Option<Role>,
    writer: Option<Writer>,
    /// While rebuilding: the last counter of the retired actor that was not refused. Until all up to it is durable the replica
    /// goes on as that actor, to send what it has of it, and writes nothing new.
    sealed: Option<u64>,
    /// `document.next_counter()` when the open transaction began.
    transaction_start: u64,
    outbox: Outbox,
    refused_edits: u64,
    /// What a rebuilding took back and will make again.
    taken: Vec<remaking::Taken>,
    /// What of it the application is to be told.
    refused: refusal::Refused,
    /// What it took back and found at the relay: actor, last counter, edits.
    adopted: Vec<(Actor, u64, u64)>,
    /// Why it was rebuilt last.
    cause: (Code, String),
    retained: Retained,
    durable: VersionVector,
    /// The highest time in what came from others and in own edits: an edit is later, whatever the relay's clock was.
    latest_time: HybridTime,
    phase: Phase,
    session: u64,
    /// Parts of the vector that belongs to the next `Opened` or `Synced`.
    vector_parts: VersionVector,
    assembly: Assembly,
    /// What is left to send of `Open`: its last frame, and those that have to come before it.
    opening: VecDeque<Frame>,
    presence: Presence,
    /// Why the relay takes no batches for now.
    paused: Option<Code>,
    /// The last counter that the present lane's `Open` claimed, if any.
    claimed: Option<u64>,
    /// A lease to give back before the lane is left.
    declined: Option<(Actor, u64)>,
    /// `Open` was sent on the present lane, and the relay has not closed it.
    lane_open: bool,
    /// Lanes in a row that the relay closed for what a batch said, without taking any.
    strikes: u32,
    want: Option<Want>,
    news: News,
}

impl Replica {
    /// An empty replica of the document `name`. `seed` must be unpredictable and never used twice: an actor that is made
    /// offline comes from it.
    pub fn new(name: &str, config: ReplicaConfig, seed: u64) -> Self {
        let mut replica = Self {
            name: name.to_owned(),
            document: Document::new(),
            config,
            random: Random::new(seed),
            shown: None,
            observing: false,
            changes: Vec::new(),
            incarnation: None,
            role: None,
            writer: None,
            sealed: None,
            transaction_start: 0,
            outbox: Outbox::default(),
            refused_edits: 0,
            taken: Vec::new(),
            refused: refusal::Refused::default(),
            adopted: Vec::new(),
            cause: (Code::None, String::new()),
            retained: Retained::default(),
            durable: VersionVector::new(),
            latest_time: HybridTime::default(),
            phase: Phase::Offline,
            session: 0,
            vector_parts: VersionVector::new(),
            assembly: Assembly::default(),
            opening: VecDeque::new(),
            presence: Presence::default(),
            paused: None,
            claimed: None,
            declined: None,
            lane_open: false,
            strikes: 0,
            want: None,
            news: News::default(),
        };
        replica.document = replica.empty_document();
        replica
    }

    fn empty_document(&self) -> Document {
        let mut document = Document::new();
        document.set_change_unit(self.config.unit);
        document
    }

    /// The document's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the application sees: its own edits at once, others' as they come. While the replica is rebuilt after a
    /// refusal it is the state before it.
    pub fn document(&self) -> &Document {
        self.shown.as_ref().unwrap_or(&self.document)
    }

    /// The document's incarnation, once a relay said it.
    pub fn incarnation(&self) -> Option<u64> {
        self.incarnation
    }

    /// The role that the relay granted; `None` before its first answer.
    pub fn role(&self) -> Option<Role> {
        self.role
    }

    /// Whether everything that the relay held when the present lane was opened has come in.
    pub fn synced(&self) -> bool {
        self.phase == Phase::Live && self.sealed.is_none()
    }

    /// Whether the document was closed, by either side.
    pub fn closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// How many own edits are local, sent and durable.
    pub fn status(&self) -> Status {
        Status {
            local: self.outbox.unsent_edits() + self.document.pending_edits() as u64 + self.between().0,
            sent: self.outbox.sent_edits() + self.between().1,
            durable: self.outbox.durable_edits(),
            refused: self.refused_edits,
        }
    }

    /// Why the relay takes no edits for now: [`Code::Overloaded`] while too much of the document waits for its store, or while it
    /// is short of memory. Edits may be made all the same: they stay sent and not durable, and are asked for once there is room.
    pub fn paused(&self) -> Option<Code> {
        self.paused
    }

    /// Whether every own edit is durable.
    pub fn all_durable(&self) -> bool {
        self.outbox.is_empty() && self.document.pending_edits() == 0 && self.between() == (0, 0)
    }

    /// Whether nothing is lost when the document is left.
    pub(crate) fn settled(&self) -> bool {
        self.all_durable() || self.config.sabotage().release_early
    }

    /// Why edits were taken back, while what the relay holds is coming in anew; until then the document shows what was.
    pub fn rebuilding(&self) -> Option<(Code, &str)> {
        self.shown.as_ref().map(|_| (self.cause.0, self.cause.1.as_str()))
    }

    /// What the relay called durable, of everybody's.
    pub fn durable(&self) -> &VersionVector {
        &self.durable
    }

    /// Bytes of own edits that are not durable, by the measure of [`ReplicaConfig::outbox_bytes`].
    pub fn outbox_bytes(&self) -> usize {
        self.outbox.bytes() + self.transaction_bytes()
    }

    /// Others' batches that are retained until they are durable, and their bytes.
    pub fn retained(&self) -> (usize, usize) {
        (self.retained.len(), self.retained.bytes())
    }

    /// Others' presence by session.
    pub fn presence(&self) -> &OrderedMap<u64, Peer> {
        self.presence.peers()
    }

    /// The own presence as it was set last.
    pub fn own_presence(&self) -> Option<&Bytes> {
        self.presence.own()
    }

    pub(crate) fn news(&mut self) -> &mut News {
        &mut self.news
    }

    pub(crate) fn take_want(&mut self) -> Option<Want> {
        self.want.take()
    }

    pub(crate) fn set_presence(&mut self, state: Option<Bytes>) {
        debug_assert!(state.as_ref().is_none_or(|state| state.len() <= limits::MAX_PRESENCE_BYTES));
        self.presence.set(state);
    }

    pub(crate) fn observe_changes(&mut self, observe: bool) {
        self.observing = observe;
        if self.shown.is_none() {
            self.document.observe_changes(observe);
        }
        if !observe {
            self.changes.clear();
        }
    }

    /// The changes since the last call, in order.
    pub(crate) fn take_changes(&mut self) -> Vec<Change> {
        if self.changes.is_empty() {
            // While rebuilding, the application still sees `shown`; its last changes were taken when that began.
            return if self.shown.is_none() { self.document.take_changes() } else { Vec::new() };
        }
        let mut changes = mem::take(&mut self.changes);
        if self.shown.is_none() {
            changes.append(&mut self.document.take_changes());
        }
        changes
    }

    /// A lane for the document exists: `Open` goes out next.
    pub(crate) fn start(&mut self, session: u64) {
        self.session = session;
        self.phase = Phase::Opening;
        self.want = None;
        self.lane_open = false;
        self.assembly = Assembly::default();
        self.opening.clear();
        (self.claimed, self.declined) = (None, None);
        self.vector_parts = VersionVector::new();
        self.presence.restart();
        self.outbox.unsend();
        self.retained.stop_offering();
    }

    /// Whether the relay has the document open on the present lane, as far as this end knows.
    pub(crate) fn is_open_at_relay(&self) -> bool {
        self.lane_open
    }

    /// What to release before the lane is left: a lease that was not wanted, or the own one, when `leaving` for good with
    /// all that was written as it durable.
    pub(crate) fn release(&mut self, leaving: bool) -> Option<frame::Release> {
        let answered = matches!(self.phase, Phase::Syncing | Phase::Live);
        if let Some((actor, last)) = self.declined.take().filter(|_| answered) {
            return Some(frame::Release { actor, last });
        }
        if !leaving || !answered || !self.settled() {
            return None;
        }
        let actor = self.writer.take()?.actor;
        let last = self.document.next_counter()?.checked_sub(1).filter(|last| *last > 0)?;
        self.document.clear_actor();
        Some(frame::Release { actor, last })
    }

    /// The lane is gone.
    pub(crate) fn stop(&mut self) {
        if self.phase == Phase::Closed {
            return;
        }
        self.phase = Phase::Offline;
        self.paused = None;
        self.outbox.unsend();
        self.retained.stop_offering();
        if self.config.sabotage().forget_retained {
            self.retained.clear();
        }
        self.assembly = Assembly::default();
        self.news.presence |= self.presence.clear_peers();
        self.news.status = true;
    }

    /// The lane ended without a word.
    pub(crate) fn lose_lane(&mut self) {
        self.lane_open = false;
        if self.phase != Phase::Closed && self.want.is_none() {
            self.want = Some(Want::Reopen { pause: true });
        }
    }

    /// Ends the replica; further edits are refused.
    pub(crate) fn finish(&mut self) {
        self.stop();
        self.phase = Phase::Closed;
    }

    /// Takes back everything that is not durable and starts from nothing on the next lane, as a new actor. What it may, it
    /// makes again when it is synced; the rest is refused.
    ///
    /// Others' retained batches stay: they are offered as before.
    fn rebuild(&mut self, code: Code, reason: &str) {
        self.rebuild_from(0, code, reason);
    }

    /// Takes back own batches from the counter `first` on. Those before it may have been seen by others, who can bring them
    /// back: they stay what they are, and are sent as the old actor's until they are durable.
    fn rebuild_from(&mut self, first: u64, code: Code, reason: &str) {
        let edits = self.take_back(first, code);
        self.sealed = self.outbox.last().filter(|_| self.writer.is_some());
        self.cause = (code, reason.to_owned());
        self.refuse(edits);
        let empty = self.empty_document();
        let old = mem::replace(&mut self.document, empty);
        if self.shown.is_none() {
            let mut old = old;
            if self.observing {
                self.changes.append(&mut old.take_changes());
            }
            self.shown = Some(old);
        }
        if self.sealed.is_none() {
            self.writer = None;
        }
        self.transaction_start = 0;
        // Perhaps it was too far ahead; what of it is in the document comes again.
        self.latest_time = HybridTime::default();
        self.durable = VersionVector::new();
        self.strikes = 0;
        // What was synced is gone.
        self.news.synced = false;
        self.news.status = true;
        self.news.durable = true;
        self.want = Some(Want::Reopen { pause: false });
    }

    /// Edits are taken back for good.
    fn refuse(&mut self, edits: u64) {
        if edits == 0 {
            return;
        }
        self.refused_edits += edits;
        let earlier = self.news.refused.take();
        self.news.refused = Some(self.refused.take(self.cause.clone(), edits, earlier));
    }

    /// The rebuilt state is whole: from now on the application sees it.
    fn reveal(&mut self) {
        let Some(mut old) = self.shown.take() else { return };
        // What could be undone still can be; what is made again is no new edit.
        self.document.adopt_undo(&mut old);
        self.document.undo_pause(true);
        let lost = self.remake(&old);
        self.document.undo_pause(false);
        self.refuse(lost);
        self.news.status = true;
        if self.observing {
            self.changes.extend(difference::changes(&old, &self.document, self.config.unit));
            self.document.observe_changes(true);
        }
        self.news.changed = true;
    }
}
