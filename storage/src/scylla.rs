//! The engine for a fleet: a CQL cluster, ScyllaDB or Apache Cassandra.
//!
//! A document's log lies in segments, one partition each, and its state in snapshots; lists name both, and what is not listed
//! does not exist. Nothing needs a lightweight transaction: keys are the operations' identities, lists only go forward, and
//! [`fence`] says when a write counts and when a segment may go. The tables: `docs/src/protocol/cluster-format.md`.
//!
//! - [`address`]: `scylla://…` as a person writes it.
//! - [`cluster`]: the statements, as a trait. [`driver`]: by the driver of ScyllaDB. [`model`]: in memory, with failures.
//! - [`fence`], [`segments`], [`split`], [`retry`], `arrival`, `head`: rules without I/O.
//! - `archive`: lists and deleting. `lane`: writing. `load`: reading. `commit`: snapshots. `sweep`: deleting what they cover. `engine`: what these share.

pub mod address;
pub mod cluster;
pub mod driver;
pub mod fence;
pub mod model;
pub mod retry;
pub mod segments;
pub mod split;

mod archive;
mod arrival;
mod commit;
mod engine;
mod head;
mod lane;
mod load;
mod sweep;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use inkwire_document::VersionVector;
use inkwire_protocol::record::ActorRecord;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use self::address::Address;
use self::cluster::{Cluster, Row};
use self::driver::{CommitLog, Driver};
use self::engine::{Engine, row_bytes, store_error};
use self::fence::Rules;
use self::lane::Request;
use self::retry::Patience;
use self::segments::Size;
use crate::archive::Archive;
use crate::error::StoreError;
use crate::store::{Append, Counts, DocumentKey, Loaded, Store};

/// The most bytes of operations in one row: servers warn of cells over 1 MB.
pub const MAX_OPERATIONS_BYTES: usize = 1_000_000;

/// The most bytes of a document's name and of a subject, which are part of keys or repeated in each row.
const MAX_TEXT_BYTES: usize = 4096;

/// How a [`ScyllaStore`] uses cluster and machine.
#[derive(Clone, Debug)]
pub struct Options {
    /// Documents that are written at a time; 128. What comes meanwhile goes with each one's next write.
    pub lanes: usize,
    /// Bytes of rows that may wait; who comes later waits for room. 32 MiB.
    pub queue_bytes: usize,
    /// When a segment is full.
    pub segment: Size,
    /// The lengths of the fence.
    pub fence: Rules,
    /// For how long a statement is repeated before its caller is told; 10 s.
    pub patience: Patience,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            lanes: 128,
            queue_bytes: 32 << 20,
            segment: Size::LIMIT,
            fence: Rules::default(),
            patience: Patience(Duration::from_secs(10)),
        }
    }
}

/// A store on a cluster, for any number of processes at a time.
///
/// Dropping it ends its work at once; who still waits is told [`StoreError::Closed`]. [`close`](Store::close) finishes what was
/// handed over first.
#[derive(Debug)]
pub struct ScyllaStore {
    engine: Arc<Engine>,
    commit_log: Option<CommitLog>,
    driver: Option<Arc<Driver>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    sweeper: JoinHandle<()>,
}

impl Drop for ScyllaStore {
    fn drop(&mut self) {
        self.engine.ready.lock().take();
        self.sweeper.abort();
        if let Some(writer) = self.writer.lock().take() {
            writer.abort();
        }
    }
}

impl ScyllaStore {
    /// Connects to the cluster at `address`, whose schema [`driver::init`] made. Must be called within a tokio runtime, which
    /// then runs its tasks.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] when no node answers, [`StoreError::Schema`] when the tables are missing, older or newer,
    /// [`StoreError::Refused`] when the cluster refuses what was asked, user and password included.
    pub async fn connect(address: &Address, options: Options) -> Result<Self, StoreError> {
        let driver = Driver::connect(address).await?;
        driver.check_schema().await?;
        let commit_log = driver.commit_log(address).await?;
        let driver = Arc::new(driver);
        let mut store = Self::on(Arc::clone(&driver) as Arc<dyn Cluster>, options);
        (store.commit_log, store.driver) = (Some(commit_log), Some(driver));
        Ok(store)
    }

    /// A store on `cluster`, whatever that is. Must be called within a tokio runtime.
    pub fn on(cluster: Arc<dyn Cluster>, options: Options) -> Self {
        let (ready, lanes) = mpsc::unbounded_channel();
        let (sealed, swept) = mpsc::channel(sweep::WAITING);
        let engine = Arc::new(Engine::new(cluster, options, ready, sealed));
        let writer = tokio::spawn(lane::run(engine.clone(), lanes));
        let sweeper = tokio::spawn(sweep::run(engine.clone(), swept));
        Self { engine, commit_log: None, driver: None, writer: Mutex::new(Some(writer)), sweeper }
    }

    /// When the cluster's nodes sync their commit logs; `None` for a cluster that is not one of servers.
    pub fn commit_log(&self) -> Option<CommitLog> {
        self.commit_log
    }

    /// The driver, where there is one.
    pub(crate) fn driver(&self) -> Option<Arc<Driver>> {
        self.driver.clone()
    }

    fn rows(&self, records: Vec<Append>) -> Result<HashMap<DocumentKey, Vec<Row>>, StoreError> {
        let mut rows: HashMap<DocumentKey, Vec<Row>> = HashMap::new();
        for Append { document, record } in records {
            check_size("a document's name", document.name.len(), MAX_TEXT_BYTES)?;
            check_size("a subject", record.subject.len(), MAX_TEXT_BYTES)?;
            check_size("a batch", record.batch.operations.len(), MAX_OPERATIONS_BYTES)?;
            rows.entry(document).or_default().push(Row { arrival: self.engine.arrivals.next(), record });
        }
        Ok(rows)
    }
}

fn check_size(what: &'static str, bytes: usize, limit: usize) -> Result<(), StoreError> {
    if bytes > limit { Err(StoreError::TooLarge { what, bytes, limit }) } else { Ok(()) }
}

/// A table's name where errors have a file.
fn table(name: &str) -> PathBuf {
    PathBuf::from(format!("table {name}"))
}

#[async_trait]
impl Store for ScyllaStore {
    async fn load(&self, document: &DocumentKey) -> Result<Loaded, StoreError> {
        self.engine.check_open()?;
        self.engine.check_alive(document).await?;
        load::load(&self.engine, document).await
    }

    async fn append(&self, records: Vec<Append>) -> Result<(), StoreError> {
        self.engine.check_open()?;
        let documents = self.rows(records)?;
        let bytes: usize = documents.values().flatten().map(row_bytes).sum();
        // More than the whole queue waits for all of it.
        let permits = u32::try_from(bytes.min(self.engine.options.queue_bytes)).unwrap_or(u32::MAX);
        let room = self.engine.room.clone().acquire_many_owned(permits).await.map_err(|_| StoreError::Closed)?;
        let room = Arc::new(room);
        let mut answers = Vec::with_capacity(documents.len());
        for (document, rows) in documents {
            let (done, answer) = oneshot::channel();
            self.engine.lane(&document).push(&self.engine, Request { rows, done, room: room.clone() })?;
            answers.push(answer);
        }
        drop(room);
        let mut outcome = Ok(());
        // All are waited for: what failed is told only when nothing of the call is under way.
        for answer in answers {
            let answer = answer.await.unwrap_or(Err(StoreError::Closed));
            outcome = outcome.and(answer);
        }
        outcome
    }

    async fn commit_snapshot(
        &self,
        document: &DocumentKey,
        snapshot: Bytes,
        version: VersionVector,
        actors: Vec<ActorRecord>,
    ) -> Result<(), StoreError> {
        self.engine.check_open()?;
        self.engine.check_alive(document).await?;
        commit::commit(&self.engine, document, snapshot, version, actors).await
    }

    async fn incarnation(&self, name: &str) -> Result<u64, StoreError> {
        self.engine.check_open()?;
        let known = self.engine.patiently(|| self.engine.cluster.incarnation(name)).await.map_err(store_error)?;
        Ok(known.unwrap_or(0))
    }

    async fn health(&self) -> Result<(), StoreError> {
        self.engine.check_open()?;
        self.engine.cluster.health().await.map_err(store_error)
    }

    fn archive(&self) -> Option<&dyn Archive> {
        Some(self)
    }

    fn counts(&self) -> Counts {
        self.engine.counters.read()
    }

    async fn close(&self) {
        // Nothing gets ready from here on, and the writer ends when all is written.
        self.engine.ready.lock().take();
        let writer = self.writer.lock().take();
        if let Some(Err(error)) = match writer {
            Some(writer) => Some(writer.await),
            None => None,
        } {
            tracing::error!(%error, "the store's writer ended early");
        }
        self.sweeper.abort();
    }
}
