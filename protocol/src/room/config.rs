use std::sync::Arc;
use std::time::Duration;

use inkwire_document::{Batch, Limits, Snapshot};

use super::sabotage::Sabotage;
use crate::frame::{Open, SeenBatch};
use crate::limits::{MAX_CLOCK_AHEAD, PRESENCE_TTL, VECTOR_PART_ENTRIES};
use crate::record::{ActorRecord, LogRecord};
use crate::{Code, Role};

/// One open of one session in a room. The shell makes them; they are never used again.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct MemberId(pub u64);

/// The place of a record in the order in which a room accepted it since it was loaded: 1, 2, 3, …
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RecordNumber(pub u64);

/// Why a member or its input is turned away: the code, and for people the value and the limit.
pub type Reason = (Code, String);

/// The bounds of a room. Bytes count frames as they are encoded and a fixed overhead for each.
#[derive(Clone, Debug)]
pub struct RoomConfig {
    /// A fold is wanted when the durable part of the tail exceeds this many bytes. Default 1 MiB.
    pub tail_bytes: usize,
    /// A reader that is further behind than this when the tail is folded loses its place in it, and is brought up to date
    /// from the new snapshot when it drains. Default 256 KiB; also the most that the tail keeps for such readers beyond
    /// what is not folded yet.
    pub member_bytes: usize,
    /// The most bytes that are accepted and not durable. Past it the room takes no batches until half of it is stored; what
    /// came meanwhile is asked for again. Default 8 MiB.
    pub undurable_bytes: usize,
    /// The most bytes of offered batches that wait for what they refer to. Default 1 MiB.
    pub waiting_bytes: usize,
    /// Of so many batches that are folded and gone the room still knows what they were. A reader that comes back with an older
    /// one that it does not know to be durable is sent the document anew. Default 2,048, some 120 KiB.
    pub known_batches: usize,
    /// How long `Durable` deltas to those who did not write are collected. The author is told at once. Default 200 ms.
    pub durable_delay: Duration,
    /// The least time between two encodings of presence. Default 34 ms: at most 30 a second.
    pub presence_interval: Duration,
    /// The most bytes of presence that are encoded in one interval, for all subscribers alike. Default 2 KiB, which makes
    /// 60 KiB a second for each subscriber; who has changed most recently waits longest.
    pub presence_bytes: usize,
    /// How long a presence state that is not set again is kept. Default 30 s.
    pub presence_ttl: Duration,
    /// How far an operation's time may be ahead of the relay's clock and of the highest that the room holds. Default 60 s.
    pub clock_ahead: Duration,
    /// What a batch may hold; the same on both ends.
    pub limits: Limits,
    /// The most entries of a vector in one frame; longer ones are split. Default
    /// [`VECTOR_PART_ENTRIES`](crate::limits::VECTOR_PART_ENTRIES).
    pub vector_entries: usize,
    #[cfg(feature = "sabotage")]
    /// Rules taken out, so that tests see the simulator fail without them.
    pub sabotage: Sabotage,
}

impl Default for RoomConfig {
    fn default() -> Self {
        Self {
            tail_bytes: 1 << 20,
            member_bytes: 256 << 10,
            undurable_bytes: 8 << 20,
            waiting_bytes: 1 << 20,
            known_batches: 2_048,
            durable_delay: Duration::from_millis(200),
            presence_interval: Duration::from_millis(34),
            presence_bytes: 2 << 10,
            presence_ttl: PRESENCE_TTL,
            clock_ahead: MAX_CLOCK_AHEAD,
            limits: Limits::default(),
            vector_entries: VECTOR_PART_ENTRIES,
            #[cfg(feature = "sabotage")]
            sabotage: Sabotage::default(),
        }
    }
}

impl RoomConfig {
    /// The rules that are taken out: none, unless a test did it.
    #[inline]
    pub(super) fn sabotage(&self) -> Sabotage {
        #[cfg(feature = "sabotage")]
        return self.sabotage;
        #[cfg(not(feature = "sabotage"))]
        Sabotage::default()
    }
}

/// What the store holds of a document when its room opens.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The newest snapshot.
    pub snapshot: Option<Snapshot>,
    /// Who wrote as the actors that the snapshot covers, with the running digest of what it covers of each.
    pub actors: Vec<ActorRecord>,
    /// The log after the snapshot, in the order in which it was written. What the snapshot covers already is passed over.
    pub batches: Vec<LogRecord>,
}

/// A member that comes in. The role is what the shell has authorised: at most what was asked for and is granted.
#[derive(Debug)]
pub struct Join {
    /// The member's id.
    pub member: MemberId,
    /// The session's id, which its presence carries.
    pub session: u64,
    /// When the session was welcomed, on the monotonic clock. Of two members that claim one actor the later one gets it: bytes
    /// of a connection that its client gave up may arrive after those of the next.
    pub since: Duration,
    /// The authenticated subject, at most [`MAX_SUBJECT_BYTES`](crate::limits::MAX_SUBJECT_BYTES) long.
    pub subject: Arc<str>,
    /// The authorised role.
    pub role: Role,
    /// The client's frame.
    pub open: Open,
    /// What the client says it has seen, of [`Opening::take_seen`](crate::Opening::take_seen).
    pub seen: Vec<SeenBatch>,
}

/// What a fold starts from: run [`inkwire_document::fold`] on it, store the result, then call
/// [`Room::folded`](super::Room::folded), or [`Room::fold_failed`](super::Room::fold_failed).
#[derive(Clone, Debug)]
pub struct FoldInput {
    /// The snapshot that the batches come after.
    pub snapshot: Option<Snapshot>,
    /// Durable batches, in log order.
    pub batches: Vec<Batch>,
    /// Who wrote as every actor of the snapshot and the batches, with the running digest up to there; stored beside the new
    /// snapshot.
    pub actors: Vec<ActorRecord>,
}
