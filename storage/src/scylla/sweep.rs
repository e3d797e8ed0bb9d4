//! What a fold left over, a grace later: sealed segments that a listed snapshot covers, and snapshots that another one covers.
//!
//! Nothing is remembered across a restart: the next commit of the document finds what is left, and waits anew.

use std::cmp::Ordering;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::cluster::SegmentId;
use super::commit::is_covered;
use super::engine::{Counters, Engine, store_error};
use super::load::heads;
use crate::contents::covers;
use crate::error::StoreError;
use crate::store::DocumentKey;

/// How many may wait; what does not fit is found at the document's next commit.
pub(super) const WAITING: usize = 16_384;

/// Something that may be deleted later.
#[derive(Clone, Debug)]
pub(super) struct Sealed {
    pub(super) document: DocumentKey,
    /// A segment that is sealed; none when only a snapshot was replaced.
    pub(super) segment: Option<SegmentId>,
    /// When the seal was complete.
    pub(super) at: Instant,
}

impl Engine {
    /// Hands something over to [`run`].
    pub(super) fn sweep_later(&self, sealed: Sealed) {
        if self.sealed.try_send(sealed).is_err() {
            tracing::debug!("too much waits to be swept: what was left is found at the next commit");
        }
    }
}

/// Sweeps for ever. All wait equally long, so the first in is the first due.
pub(super) async fn run(engine: Arc<Engine>, mut sealed: mpsc::Receiver<Sealed>) {
    while let Some(next) = sealed.recv().await {
        tokio::time::sleep_until(engine.options.fence.last_read(next.at)).await;
        if let Err(error) = sweep(&engine, &next).await {
            tracing::warn!(%error, document = %next.document, "what a fold left over stays until the next one");
        }
    }
}

async fn sweep(engine: &Engine, sealed: &Sealed) -> Result<(), StoreError> {
    let document = &sealed.document;
    let listed = engine.patiently(|| engine.cluster.snapshots(document)).await.map_err(store_error)?;
    let Some(heads) = heads(engine, document, &listed).await? else { return Ok(()) };

    if let Some(segment) = sealed.segment {
        // The last read. Each row must be covered by a snapshot that is listed now; only what such a one covers is ever taken
        // off the list of snapshots.
        let covered = is_covered(engine, document, segment, |row| {
            heads.iter().any(|(_, head)| covers(&head.version, &row.batch()))
        });
        if covered.await? {
            engine.patiently(|| engine.cluster.unlist_segment(document, segment)).await.map_err(store_error)?;
            engine.patiently(|| engine.cluster.delete_segment(document, segment)).await.map_err(store_error)?;
            Counters::add(&engine.counters.segments_deleted, 1);
        } else {
            tracing::debug!(%document, segment = segment.0, "rows came late: the segment stays for the next fold");
        }
    }
    for (row, head) in &heads {
        let dominated = heads.iter().any(|(other, with)| match head.version.partial_cmp(&with.version) {
            Some(Ordering::Less) => true,
            // Of two that cover the same the one with the lower id stays, whoever sweeps.
            Some(Ordering::Equal) => other.id < row.id,
            _ => false,
        });
        if dominated {
            engine.patiently(|| engine.cluster.unlist_snapshot(document, row.id)).await.map_err(store_error)?;
            engine.patiently(|| engine.cluster.delete_chunks(document, row.id)).await.map_err(store_error)?;
        }
    }
    Ok(())
}
