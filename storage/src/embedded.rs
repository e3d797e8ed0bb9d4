//! The engine for one node: a journal that makes appends durable, and tables (redb) that keep them.
//!
//! An append is one row in a journal: one write and one sync for all that wait, then it is durable. Full journals are
//! settled: their rows move into the tables, in the background. A load merges the tables with the rows that are not
//! settled. Why two parts, with the figures: `docs/src/decisions/storage.md`; what they keep, byte by byte:
//! `docs/src/protocol/storage-format.md`.
//!
//! - [`disk`]: the files, behind a trait that tests replace.
//! - `row`: a row as bytes. `queue`: what waits for the writer.
//! - `writer`: the thread that owns the journal. `journal`: its files, and what their ends mean.
//! - `pending`: rows that are not settled. `settler`: the thread that writes the tables. `tables`: the redb file.
//! - `recovery`: opening. `history`: lists, kept snapshots, deleting.
//!
//! After a failed write or sync the store reads but writes nothing more until it is opened anew.

pub mod disk;

mod backend;
mod history;
mod journal;
mod pending;
mod queue;
mod recovery;
mod row;
mod settler;
mod tables;
mod writer;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;

use ::bytes::Bytes;
use async_trait::async_trait;
use inkwire_document::VersionVector;
use inkwire_protocol::record::ActorRecord;
use parking_lot::{Condvar, Mutex, RwLock};
use tokio::sync::{Semaphore, oneshot};

use self::disk::{Directory, Disk};
use self::journal::Journal;
use self::pending::Pending;
use self::queue::{Queue, Request};
use self::row::Row;
use self::settler::{Job, Settler, Snapshot, remove_journal};
use self::tables::Tables;
use self::writer::Writer;
use crate::archive::Archive;
use crate::contents::covers;
use crate::error::StoreError;
use crate::retention::HistoryRules;
use crate::store::{Append, DocumentKey, Loaded, Store};

/// The largest snapshot that is taken, in bytes.
pub const MAX_SNAPSHOT_BYTES: usize = 1 << 30;

/// How many snapshots may wait to be committed; who brings another waits for room.
const MAX_SNAPSHOTS: usize = 8;

/// How an [`EmbeddedStore`] uses the machine. Worst-case memory is about `cache_bytes + queue_bytes + 8 ×
/// journal_bytes`, and the snapshots that are being committed: rows that are not settled are kept in memory too, those of
/// three journals at most.
#[derive(Clone, Debug)]
pub struct Options {
    /// Memory for pages of the tables, in bytes; 64 MiB.
    pub cache_bytes: usize,
    /// Bytes of appends that may wait for the disk; who comes later waits for room. 32 MiB, at least 1 MiB.
    pub queue_bytes: usize,
    /// The size at which a journal is full and its rows move into the tables, in bytes; 8 MiB.
    pub journal_bytes: u64,
    /// Whether opening reads all of the tables and checks every page; `true`. Without, damage to a page is found when
    /// a document with rows in it is loaded, except that to the index that finds documents.
    pub verify: bool,
    /// What is kept of documents' past; nothing but what is named.
    pub history: HistoryRules,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_bytes: 64 << 20,
            queue_bytes: 32 << 20,
            journal_bytes: 8 << 20,
            verify: true,
            history: HistoryRules::default(),
        }
    }
}

/// A store in a directory of one machine, for one process at a time.
///
/// Dropping it finishes what was handed over, blocking for a commit or two, and leaves the rest to the next opening;
/// [`close`](Store::close) also moves all rows into the tables, so that the next opening has less to do.
#[derive(Debug)]
pub struct EmbeddedStore {
    shared: Arc<Shared>,
    settler: Sender<Job>,
    queue_bytes: usize,
    threads: Mutex<Option<Threads>>,
}

#[derive(Debug)]
struct Threads {
    writer: JoinHandle<Journal>,
    settler: JoinHandle<()>,
}

/// What the store, its threads and its readers share.
#[derive(Debug)]
struct Shared {
    queue: Queue,
    /// Room in the queue, one permit a byte.
    room: Arc<Semaphore>,
    /// Room for snapshots that wait for the settler, one permit each.
    snapshots: Arc<Semaphore>,
    pending: RwLock<Pending>,
    failure: Mutex<Option<StoreError>>,
    /// The next journal, when it was made ahead of its time.
    spare: Mutex<Option<Journal>>,
    settled: Condvar,
    settling: Mutex<()>,
    files: RwLock<Option<Files>>,
    rules: HistoryRules,
    /// The names that were deleted once, and in which incarnations they go on.
    incarnations: RwLock<HashMap<Arc<str>, u64>>,
}

#[derive(Clone, Debug)]
struct Files {
    disk: Arc<dyn Disk>,
    tables: Arc<Tables>,
}

impl Shared {
    fn failure(&self) -> Option<StoreError> {
        self.failure.lock().clone()
    }

    /// Refuses writes from now on. The first reason stays.
    fn fail(&self, error: StoreError) {
        let mut failure = self.failure.lock();
        if failure.is_none() {
            tracing::error!(%error, "the store takes no more writes until it is opened anew");
            *failure = Some(error);
        }
        drop(failure);
        self.settled();
    }

    fn fail_on_error(&self, result: Result<(), StoreError>) {
        if let Err(error) = result {
            self.fail(error);
        }
    }

    /// Wakes who waits for the settler.
    fn settled(&self) {
        let _settling = self.settling.lock();
        self.settled.notify_all();
    }

    /// Waits until fewer than `limit` journals wait for the settler, or none will be settled any more.
    fn wait_for_settler(&self, limit: usize) {
        let mut settling = self.settling.lock();
        while self.pending.read().sealed() >= limit && self.failure().is_none() {
            self.settled.wait(&mut settling);
        }
    }

    fn files(&self) -> Result<Files, StoreError> {
        self.files.read().clone().ok_or(StoreError::Closed)
    }

    /// Refuses a document that was deleted: its name goes on in another incarnation.
    fn check_alive(&self, document: &DocumentKey) -> Result<(), StoreError> {
        match self.incarnations.read().get(&document.name) {
            Some(incarnation) if *incarnation != document.incarnation => {
                Err(StoreError::Deleted { document: document.clone() })
            }
            _ => Ok(()),
        }
    }

    fn load(&self, document: &DocumentKey) -> Result<Loaded, StoreError> {
        self.check_alive(document)?;
        let Files { disk, tables } = self.files()?;
        // First what is not settled: a row that is settled meanwhile is then seen twice, never not at all.
        let pending = self.pending.read().rows(document);
        let mut found = tables.load(document)?;
        found.rows.extend(pending);

        let none = VersionVector::new();
        let version = found.snapshot.as_ref().map_or(&none, |snapshot| &snapshot.version);
        let mut seen = HashSet::new();
        let mut records = Vec::with_capacity(found.rows.len());
        for (arrival, row) in &found.rows {
            if !seen.insert(row.key) {
                continue;
            }
            let record = row.record().ok_or_else(|| {
                let place = format!("row {arrival} of {document}");
                StoreError::corrupt(disk.directory().join(tables::FILE), place, "the row is not a record")
            })?;
            if !covers(version, &record.batch) {
                records.push(record);
            }
        }
        Ok(Loaded { snapshot: found.snapshot, records, ..Loaded::default() })
    }
}

impl EmbeddedStore {
    /// Opens the store in `directory`, making both if they are missing. Blocks while it reads and, after a crash,
    /// writes; with [`Options::verify`] for as long as reading the whole store takes.
    ///
    /// # Errors
    ///
    /// [`StoreError::Locked`] when another process has it open, [`StoreError::Format`] when another version wrote it,
    /// [`StoreError::Corrupt`] when something acknowledged is damaged, [`StoreError::Unavailable`] when the directory
    /// cannot be used.
    pub fn open(directory: &Path, options: &Options) -> Result<Self, StoreError> {
        Self::open_on(Arc::new(Directory::open(directory)?), options)
    }

    /// Opens the store on `disk`, which nobody else uses: [`open`](Self::open) for a test's own disk.
    ///
    /// # Errors
    ///
    /// As for `open`.
    pub fn open_on(disk: Arc<dyn Disk>, options: &Options) -> Result<Self, StoreError> {
        let recovered = recovery::recover(disk.as_ref(), options.cache_bytes, options.verify)?;
        let tables = Arc::new(recovered.tables);
        let incarnations = tables.deleted(None, usize::MAX)?;
        let incarnations = incarnations.into_iter().map(|key| (key.name, key.incarnation)).collect();
        let queue_bytes = options.queue_bytes.clamp(1 << 20, Semaphore::MAX_PERMITS.min(u32::MAX as usize));
        let shared = Arc::new(Shared {
            queue: Queue::default(),
            room: Arc::new(Semaphore::new(queue_bytes)),
            snapshots: Arc::new(Semaphore::new(MAX_SNAPSHOTS)),
            pending: RwLock::new(Pending::new(recovered.journal.number())),
            failure: Mutex::new(None),
            spare: Mutex::new(None),
            settled: Condvar::new(),
            settling: Mutex::new(()),
            files: RwLock::new(Some(Files { disk: disk.clone(), tables: tables.clone() })),
            rules: options.history.clone(),
            incarnations: RwLock::new(incarnations),
        });
        let (jobs, received) = mpsc::channel();
        let settler = Settler { shared: shared.clone(), disk: disk.clone(), tables, jobs: received };
        let writer = Writer {
            shared: shared.clone(),
            disk,
            journal: recovered.journal,
            next_arrival: recovered.next_arrival,
            journal_bytes: options.journal_bytes,
            asked_for_spare: false,
            settler: jobs.clone(),
        };
        let no_thread = |error| StoreError::unavailable("starting a thread", error);
        let settler = thread("store-settler").spawn(move || settler.run()).map_err(no_thread)?;
        let writer = thread("store-writer").spawn(move || writer.run()).map_err(no_thread)?;
        let threads = Mutex::new(Some(Threads { writer, settler }));
        Ok(Self { shared, settler: jobs, queue_bytes, threads })
    }

    /// Every document that had something in the store when it was opened, before anything is appended. Blocks while it reads.
    pub(crate) fn documents_at_opening(&self) -> Result<Vec<DocumentKey>, StoreError> {
        // Opening moved all rows into the tables.
        self.shared.files()?.tables.all_documents()
    }

    /// Ends both threads after what was handed over; with `settle`, moves all rows into the tables. Returns when the
    /// directory is free for another process, unless a load is still running.
    fn end(shared: &Shared, settler: &Sender<Job>, threads: Threads, settle: bool) {
        shared.queue.close();
        let journal = threads.writer.join();
        // The settler may have ended with its receiver only if it panicked, which joining tells.
        let _ = settler.send(Job::End);
        if threads.settler.join().is_err() || journal.is_err() {
            tracing::error!("a thread of the store panicked");
        }
        let files = shared.files.write().take();
        if let (Some(files), Ok(journal)) = (files, journal) {
            if settle && shared.failure().is_none() {
                shared.fail_on_error(Self::settle_rest(shared, &files, &journal));
            }
            let Files { disk: _disk, tables } = files;
            if let Some(tables) = Arc::into_inner(tables)
                && let Err(error) = tables.close()
            {
                tracing::warn!(%error, "the tables could not be closed");
            }
        }
    }

    fn settle_rest(shared: &Shared, files: &Files, journal: &Journal) -> Result<(), StoreError> {
        let disk = files.disk.as_ref();
        let next = journal.number() + 1;
        if shared.spare.lock().take().is_none_or(|spare| spare.number() != next) {
            Journal::create(disk, next)?;
        }
        let mut pending = shared.pending.write();
        pending.seal(next);
        while let Some(sealed) = pending.oldest() {
            files.tables.settle(sealed.number, &sealed.rows())?;
            remove_journal(disk, sealed.number);
            pending.settled();
        }
        Ok(())
    }
}

fn thread(name: &str) -> std::thread::Builder {
    std::thread::Builder::new().name(name.to_owned())
}

#[async_trait]
impl Store for EmbeddedStore {
    async fn load(&self, document: &DocumentKey) -> Result<Loaded, StoreError> {
        // A reader that outlives the store must not keep the directory locked for longer than its read.
        let shared: Weak<Shared> = Arc::downgrade(&self.shared);
        let document = document.clone();
        blocking(move || shared.upgrade().ok_or(StoreError::Closed)?.load(&document)).await
    }

    async fn append(&self, records: Vec<Append>) -> Result<(), StoreError> {
        if let Some(failure) = self.shared.failure() {
            return Err(failure);
        }
        for append in &records {
            self.shared.check_alive(&append.document)?;
        }
        let rows = Row::encode_all(records)?;
        if rows.is_empty() {
            return Ok(());
        }
        let bytes: usize = rows.iter().map(Row::journal_len).sum();
        // More than the whole queue waits for all of it.
        let permits = u32::try_from(bytes.min(self.queue_bytes)).unwrap_or(u32::MAX);
        let room = self.shared.room.clone().acquire_many_owned(permits).await.map_err(|_| StoreError::Closed)?;
        let (done, result) = oneshot::channel();
        self.shared.queue.push(Request { rows, bytes, done, _room: room }).map_err(|_| StoreError::Closed)?;
        result.await.unwrap_or(Err(StoreError::Closed))
    }

    async fn commit_snapshot(
        &self,
        document: &DocumentKey,
        snapshot: Bytes,
        version: VersionVector,
        actors: Vec<ActorRecord>,
    ) -> Result<(), StoreError> {
        self.health().await?;
        self.shared.check_alive(document)?;
        if snapshot.len() > MAX_SNAPSHOT_BYTES {
            let (bytes, limit) = (snapshot.len(), MAX_SNAPSHOT_BYTES);
            return Err(StoreError::TooLarge { what: "a snapshot", bytes, limit });
        }
        let room = self.shared.snapshots.clone().acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let (done, result) = oneshot::channel();
        let job = Snapshot { document: document.clone(), snapshot, version, actors, done, _room: room };
        self.settler.send(Job::Snapshot(Box::new(job))).map_err(|_| StoreError::Closed)?;
        result.await.unwrap_or(Err(StoreError::Closed))
    }

    async fn incarnation(&self, name: &str) -> Result<u64, StoreError> {
        self.shared.files()?;
        Ok(self.shared.incarnations.read().get(name).copied().unwrap_or(0))
    }

    async fn health(&self) -> Result<(), StoreError> {
        self.shared.files()?;
        self.shared.failure().map_or(Ok(()), Err)
    }

    fn archive(&self) -> Option<&dyn Archive> {
        Some(self)
    }

    async fn close(&self) {
        let Some(threads) = self.threads.lock().take() else { return };
        let (shared, settler) = (self.shared.clone(), self.settler.clone());
        let ended = blocking(move || {
            Self::end(&shared, &settler, threads, true);
            Ok(())
        });
        // It fails only when the runtime is going away, and then there is nobody to tell.
        let _ = ended.await;
    }
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        if let Some(threads) = self.threads.lock().take() {
            Self::end(&self.shared, &self.settler, threads, false);
        }
    }
}

/// Runs `work`, which blocks, off the runtime's threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(StoreError::Closed),
    }
}
