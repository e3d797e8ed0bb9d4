use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use inkwire_document::{Actor, VersionVector};

use super::catch_up::CatchUp;
use super::tail::Position;
use crate::{Channel, Frame, Role};

/// The most frames of a member's own that may wait for it: answers to what it sent, so it earns them itself.
pub(super) const MAX_QUEUED_FRAMES: usize = 256;

/// One reader, perhaps writer.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) session: u64,
    pub(super) subject: Arc<str>,
    pub(super) role: Role,
    /// When its session began, and the lane in it: of two members that claim one actor, the later one is the client that is
    /// still there.
    pub(super) since: (Duration, Channel),
    /// The actor that it writes as.
    pub(super) lease: Option<Actor>,
    /// Actors of which a batch was refused: what of theirs is still on its way is passed over.
    pub(super) retired: BTreeSet<Actor>,
    /// What came of each actor on this lane.
    pub(super) uploads: BTreeMap<Actor, Upload>,
    pub(super) place: Place,
    /// Frames for it alone, before anything else.
    pub(super) queue: VecDeque<Bytes>,
    /// Its own batches arrived, or became durable, since it was last told.
    pub(super) received_moved: bool,
    pub(super) durable_moved: bool,
    /// It was handed out by `take_ready` and has not run dry since.
    pub(super) woken: bool,
    /// It is among those that `take_ready` will hand out.
    pub(super) listed: bool,
    /// The next frame of presence.
    pub(super) presence: Position,
}

/// Where a member is in what it reads.
#[derive(Debug)]
pub(super) enum Place {
    /// It joins, or comes back from far behind.
    CatchUp(Box<CatchUp>),
    /// It gets everything from this position on.
    Live(Position),
    /// It fell so far behind that the tail moved on. It holds at least this.
    Behind(Arc<VersionVector>),
}

/// The order of one actor's batches within a lane.
#[derive(Debug)]
pub(super) struct Upload {
    /// The counter after the last batch that came.
    pub(super) next: u64,
    /// What was last asked for again and has not come yet.
    pub(super) asked: Option<u64>,
}

impl Member {
    /// Appends a frame for this member alone.
    pub(super) fn tell(&mut self, frame: impl Into<Frame>) {
        self.queue.push_back(frame.into().encode());
    }
}
