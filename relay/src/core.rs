//! What every session needs of the relay.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use inkwire_document::ordered::OrderedMap;
use inkwire_protocol::copies::CopyMode;
use inkwire_protocol::limits::{MAX_FRAME_BYTES, MAX_PRESENCE_BYTES};
use inkwire_protocol::room::MemberId;
use tokio::sync::Notify;

use crate::clock::RelayClock;
use crate::drain::Phases;
use crate::http::Origins;
use crate::metrics::Metrics;
use crate::readiness::Readiness;
use crate::rooms::Rooms;
use crate::settings::Bounds;
use crate::store_writer::StoreWriter;
use crate::token::Verifier;

/// The relay without its listeners.
pub struct Core {
    /// Both clocks.
    pub clock: RelayClock,
    /// Limits.
    pub bounds: Bounds,
    /// When small batches are sent once more as datagrams, and whether clients' are taken.
    pub datagram_copies: CopyMode,
    /// Checks access tokens.
    pub verifier: Verifier,
    /// Checks pages' origins.
    pub origins: Origins,
    /// Open documents.
    pub rooms: Arc<Rooms>,
    /// The way to the store.
    pub writer: Arc<StoreWriter>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Whether edits are accepted.
    pub readiness: Arc<Readiness>,
    /// How far the relay is on its way out.
    pub phases: Phases,
    /// This node's name, for people.
    pub node: String,
    /// Sessions that are open.
    pub(crate) sessions: AtomicUsize,
    /// Told, without memory, when a session ends.
    pub(crate) sessions_changed: Notify,
    pub(crate) last_member: AtomicU64,
}

impl Core {
    /// An id that no member has had.
    pub fn next_member(&self) -> MemberId {
        MemberId(self.last_member.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Resolves once no session is left.
    pub async fn no_sessions(&self) {
        loop {
            let mut changed = std::pin::pin!(self.sessions_changed.notified());
            changed.as_mut().enable();
            if self.sessions.load(Ordering::Relaxed) == 0 {
                return;
            }
            changed.await;
        }
    }

    /// What `Welcome` says of limits.
    pub fn limits(&self) -> OrderedMap<String, u64> {
        OrderedMap::from([
            ("documents".to_owned(), u64::from(self.bounds.max_documents)),
            ("frame_bytes".to_owned(), MAX_FRAME_BYTES as u64),
            ("presence_bytes".to_owned(), MAX_PRESENCE_BYTES as u64),
        ])
    }
}
