//! Compaction: a room's snapshot and tail become a new snapshot, off the hot path.

use std::sync::Arc;
use std::time::Instant;

use inkwire_document::{FoldError, Snapshot, SnapshotError};
use inkwire_protocol::room::FoldInput;
use inkwire_storage::{DocumentKey, Store, StoreError};
use tokio::sync::Semaphore;
use tokio::task::JoinError;

use crate::metrics::Metrics;

/// Folds that may run at a time in the whole process: they are pure computation, and edits come first.
const FOLDS_AT_A_TIME: usize = 1;

/// Why there is no new snapshot.
#[derive(Debug, thiserror::Error)]
pub enum FoldFailure {
    /// The batches do not make a document.
    #[error(transparent)]
    Fold(#[from] FoldError),
    /// What was folded cannot be read back.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The store did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The computation ended early: a fault of ours.
    #[error("the fold ended early: {0}")]
    Ended(#[from] JoinError),
    /// The relay is leaving.
    #[error("the relay is shutting down")]
    Leaving,
}

/// Folds, one document after the other.
pub struct Folder {
    permits: Semaphore,
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
}

impl Folder {
    /// Commits what it folds to `store`.
    pub fn new(store: Arc<dyn Store>, metrics: Arc<Metrics>) -> Self {
        Self { permits: Semaphore::new(FOLDS_AT_A_TIME), store, metrics }
    }

    /// Makes the new snapshot of `document` and commits it.
    pub async fn fold(&self, document: &DocumentKey, input: FoldInput) -> Result<Snapshot, FoldFailure> {
        let _permit = self.permits.acquire().await.map_err(|_| FoldFailure::Leaving)?;
        let start = Instant::now();
        let FoldInput { snapshot, batches, actors, .. } = input;
        let batch_count = batches.len();
        let snapshot = tokio::task::spawn_blocking(move || {
            let bytes = inkwire_document::fold(snapshot.as_ref(), &batches)?;
            Ok::<_, FoldFailure>(Snapshot::parse(bytes)?)
        })
        .await??;
        self.store.commit_snapshot(document, snapshot.bytes().clone(), snapshot.version().clone(), actors).await?;
        self.metrics.folds.increment(1);
        self.metrics.fold_seconds.record(start.elapsed());
        tracing::debug!(%document, batch_count, bytes = snapshot.bytes().len(), "a new snapshot is committed");
        Ok(snapshot)
    }
}
