//! What every part of the engine shares.

use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

use super::arrival::Arrivals;
use super::cluster::{Cluster, Failure, FailureKind, Row};
use super::lane::Lane;
use super::retry::Decision;
use super::sweep::Sealed;
use super::{Options, table};
use crate::error::StoreError;
use crate::store::{Counts, DocumentKey};

/// Documents that are remembered without anything waiting for them; beyond, the idle ones are forgotten, which costs each a
/// new segment at its next write.
const REMEMBERED: usize = 50_000;

/// What happened that nobody was told of, since the store was opened.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) retries: AtomicU64,
    pub(super) timeouts: AtomicU64,
    pub(super) repeated_writes: AtomicU64,
    pub(super) conflicts: AtomicU64,
    pub(super) segments_begun: AtomicU64,
    pub(super) segments_deleted: AtomicU64,
    pub(super) loads_started_over: AtomicU64,
}

impl Counters {
    pub(super) fn add(counter: &AtomicU64, number: u64) {
        counter.fetch_add(number, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> Counts {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            retries: of(&self.retries),
            timeouts: of(&self.timeouts),
            repeated_writes: of(&self.repeated_writes),
            conflicts: of(&self.conflicts),
            segments_begun: of(&self.segments_begun),
            segments_deleted: of(&self.segments_deleted),
            loads_started_over: of(&self.loads_started_over),
            ..Counts::default()
        }
    }
}

/// The engine: the cluster, and what this process knows of its documents.
#[derive(Debug)]
pub(super) struct Engine {
    pub(super) cluster: Arc<dyn Cluster>,
    pub(super) options: Options,
    pub(super) arrivals: Arrivals,
    pub(super) counters: Counters,
    /// Room for rows that wait, one permit a byte.
    pub(super) room: Arc<Semaphore>,
    lanes: Mutex<HashMap<DocumentKey, Arc<Lane>>>,
    /// Lanes that have something to write; `None` once the store is closed.
    pub(super) ready: Mutex<Option<mpsc::UnboundedSender<Arc<Lane>>>>,
    /// Segments that were sealed here.
    pub(super) sealed: mpsc::Sender<Sealed>,
}

impl Engine {
    pub(super) fn new(
        cluster: Arc<dyn Cluster>,
        options: Options,
        ready: mpsc::UnboundedSender<Arc<Lane>>,
        sealed: mpsc::Sender<Sealed>,
    ) -> Self {
        Self {
            cluster,
            room: Arc::new(Semaphore::new(options.queue_bytes)),
            options,
            arrivals: Arrivals::default(),
            counters: Counters::default(),
            lanes: Mutex::default(),
            ready: Mutex::new(Some(ready)),
            sealed,
        }
    }

    /// The lane of `document`.
    pub(super) fn lane(&self, document: &DocumentKey) -> Arc<Lane> {
        let mut lanes = self.lanes.lock();
        if let Some(lane) = lanes.get(document) {
            return lane.clone();
        }
        if lanes.len() >= REMEMBERED {
            lanes.retain(|_, lane| Arc::strong_count(lane) > 1);
        }
        let lane = Arc::new(Lane::new(document.clone()));
        lanes.insert(document.clone(), lane.clone());
        lane
    }

    pub(super) fn is_closed(&self) -> bool {
        self.ready.lock().is_none()
    }

    pub(super) fn check_open(&self) -> Result<(), StoreError> {
        if self.is_closed() { Err(StoreError::Closed) } else { Ok(()) }
    }

    /// Refuses a document that was deleted: its name goes on in another incarnation.
    pub(super) async fn check_alive(&self, document: &DocumentKey) -> Result<(), StoreError> {
        match self.patiently(|| self.cluster.incarnation(&document.name)).await.map_err(store_error)? {
            Some(incarnation) if incarnation != document.incarnation => {
                Err(StoreError::Deleted { document: document.clone() })
            }
            _ => Ok(()),
        }
    }

    /// Sends a statement until it succeeds, is refused, or patience ends.
    pub(super) async fn patiently<T, F>(&self, mut statement: impl FnMut() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let started = Instant::now();
        let mut attempt = 0;
        loop {
            let failure = match statement().await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            attempt += 1;
            if failure.kind == FailureKind::TimedOut {
                Counters::add(&self.counters.timeouts, 1);
            }
            let jitter = random().map_or(0, |random| random as u8);
            match self.options.patience.decide(&failure, attempt, started.elapsed(), jitter) {
                Decision::Again(pause) => {
                    Counters::add(&self.counters.retries, 1);
                    tracing::debug!(%failure, attempt, "a statement is sent again");
                    tokio::time::sleep(pause).await;
                }
                Decision::GiveUp => return Err(failure),
            }
        }
    }
}

/// 64 random bits.
pub(super) fn random() -> Result<u64, StoreError> {
    getrandom::u64().map_err(|error| StoreError::Unavailable {
        reason: format!("the system gives no random numbers: {error}"),
        source: None,
    })
}

/// What a failed statement means to the store's caller.
pub(super) fn store_error(failure: Failure) -> StoreError {
    if failure.may_pass() {
        StoreError::Unavailable { reason: failure.reason, source: None }
    } else {
        StoreError::Refused { reason: failure.reason }
    }
}

/// Damage in a document's table.
pub(super) fn damage(name: &str, document: &DocumentKey, place: impl std::fmt::Display, reason: &str) -> StoreError {
    StoreError::corrupt(table(name), format!("document {document}, {place}"), reason)
}

/// About what a row takes in the log.
pub(super) fn row_bytes(row: &Row) -> usize {
    ROW_OVERHEAD + row.record.batch.operations.len() + row.record.subject.len()
}

/// Keys, digest, numbers and timestamps of a row.
const ROW_OVERHEAD: usize = 120;
