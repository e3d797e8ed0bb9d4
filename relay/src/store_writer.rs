//! The way of what rooms accepted into the store: each document has one write under way at a time, and documents do not wait
//! for each other.
//!
//! While one write of a document is under way, its next one gathers: the slower the store, the larger the writes. The engines
//! commit what several documents bring together. Nothing is dropped here; when too much waits, [`StoreWriter::ready`] keeps
//! sessions from being read.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use inkwire_protocol::Code;
use inkwire_protocol::record::LogRecord;
use inkwire_protocol::room::RecordNumber;
use inkwire_storage::{Append, Store, StoreError};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;

use crate::metrics::Metrics;
use crate::rooms::DELETED;
use crate::rooms::RoomHandle;

/// The most bytes of one write. What is left goes into the next.
const MAX_GROUP_BYTES: usize = 8 << 20;

/// The most bytes of one room that may wait before its sessions are read slower. A room itself takes 8 MiB, and past that
/// asks for what it dropped again: far enough away that many sessions can have read on meanwhile.
const ROOM_BYTES: usize = 4 << 20;

/// What a record costs beside its operations: about what the room counts for it, its frame's head and receipt included.
const RECORD_OVERHEAD: usize = 384;

/// How long to wait before a write is tried again that failed for a passing reason: doubled each time up to the second, and
/// then half of it to all, so that documents that failed together do not come back together.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// After how long a write is late: what gathers behind it is then kept on this machine, where the store has a spool.
const LATE: Duration = Duration::from_millis(500);

/// Records that a room handed over at once.
#[derive(Debug)]
struct Handed {
    records: Vec<LogRecord>,
    last: RecordNumber,
    bytes: usize,
}

/// What of one room waits for the store.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Bytes that were handed over and are not durable.
    bytes: AtomicUsize,
    queue: Mutex<Queue>,
    /// Told when something was handed over.
    more: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    handed: Vec<Handed>,
    /// So many of them, from the first, are kept by the store already.
    kept: usize,
    /// Whether a write is under way or about to be.
    busy: bool,
}

impl Outbox {
    /// What waits and was not given here before.
    fn not_kept(&self) -> Vec<LogRecord> {
        let mut queue = self.queue.lock();
        let all = queue.handed.len();
        let from = std::mem::replace(&mut queue.kept, all);
        queue.handed[from..].iter().flat_map(|handed| handed.records.iter().cloned()).collect()
    }

    /// What the next write takes; nothing when nothing waits, and then the room is idle.
    fn take(&self) -> Vec<Handed> {
        let mut queue = self.queue.lock();
        let mut bytes = 0;
        let fits = |handed: &&Handed| {
            let fits = bytes == 0 || bytes + handed.bytes <= MAX_GROUP_BYTES;
            bytes += handed.bytes;
            fits
        };
        let count = queue.handed.iter().take_while(fits).count();
        queue.busy = count > 0;
        queue.kept = queue.kept.saturating_sub(count);
        if count == queue.handed.len() {
            std::mem::take(&mut queue.handed)
        } else {
            queue.handed.drain(..count).collect()
        }
    }
}

/// What runs the documents' writes, and what they wait for.
pub struct StoreWriter {
    /// Rooms that have something to write, each once; as many as there are rooms at most.
    ready: mpsc::UnboundedSender<Arc<RoomHandle>>,
    /// The other end, until it is run.
    rooms: Mutex<Option<mpsc::UnboundedReceiver<Arc<RoomHandle>>>>,
    /// Bytes that were handed over and are not durable.
    waiting: AtomicUsize,
    /// Told, without memory, whenever `waiting` went down.
    went_down: Notify,
    /// Whether the store is away and what waits is no reason to read slower.
    away: AtomicBool,
    /// Whether the last write failed for a passing reason: said once, not for each document.
    failing: AtomicBool,
    capacity: usize,
    metrics: Arc<Metrics>,
}

impl StoreWriter {
    /// A writer that pushes back past `capacity` bytes.
    pub fn new(capacity: usize, metrics: Arc<Metrics>) -> Self {
        let (ready, rooms) = mpsc::unbounded_channel();
        Self {
            ready,
            rooms: Mutex::new(Some(rooms)),
            waiting: AtomicUsize::new(0),
            went_down: Notify::new(),
            away: AtomicBool::new(false),
            failing: AtomicBool::new(false),
            capacity,
            metrics,
        }
    }

    /// Takes a room's records, in the order in which it accepted them. Called under the room's lock, which keeps that order.
    pub fn hand_over(&self, room: &Arc<RoomHandle>, records: Vec<LogRecord>, last: RecordNumber) {
        let bytes = records.iter().map(|record| record.batch.operations.len() + RECORD_OVERHEAD).sum();
        self.waiting.fetch_add(bytes, Ordering::Relaxed);
        room.outbox.bytes.fetch_add(bytes, Ordering::Relaxed);
        let mut queue = room.outbox.queue.lock();
        queue.handed.push(Handed { records, last, bytes });
        // Once nobody writes any more, what is handed over stays with the clients.
        if !std::mem::replace(&mut queue.busy, true) && self.ready.send(Arc::clone(room)).is_err() {
            queue.handed.clear();
        }
        room.outbox.more.notify_one();
    }

    /// Whether a session of `room` should be read slower.
    pub fn is_full(&self, room: &RoomHandle) -> bool {
        // While the store is away sessions are read on: what cannot be held is refused by name, not by silence.
        let too_much = self.waiting.load(Ordering::Relaxed) >= self.capacity
            || room.outbox.bytes.load(Ordering::Relaxed) >= ROOM_BYTES;
        too_much && !self.away.load(Ordering::Relaxed)
    }

    /// The store is away from now on, or back.
    pub fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::Relaxed);
        self.went_down.notify_waiters();
    }

    /// Resolves once a session of `room` may be read on.
    pub async fn ready(&self, room: &RoomHandle) {
        self.until(|| !self.is_full(room)).await;
    }

    /// Resolves once everything that was handed over is durable.
    pub async fn idle(&self) {
        self.until(|| self.waiting.load(Ordering::Relaxed) == 0).await;
    }

    async fn until(&self, done: impl Fn() -> bool) {
        loop {
            let mut went_down = std::pin::pin!(self.went_down.notified());
            // Registered before looking, so that a change in between is not missed.
            went_down.as_mut().enable();
            if done() {
                return;
            }
            went_down.await;
        }
    }

    /// Writes for ever, once. When this is dropped, what is under way and what waits is dropped with it.
    pub async fn run(self: Arc<Self>, store: Arc<dyn Store>) {
        let Some(mut rooms) = self.rooms.lock().take() else { return };
        let mut writes = JoinSet::new();
        loop {
            tokio::select! {
                Some(room) = rooms.recv() => {
                    writes.spawn(Arc::clone(&self).write_all(Arc::clone(&store), room));
                }
                Some(ended) = writes.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "a document's writes ended early");
                    }
                }
                else => return,
            }
        }
    }

    /// Writes what a room handed over until nothing of it waits.
    async fn write_all(self: Arc<Self>, store: Arc<dyn Store>, room: Arc<RoomHandle>) {
        loop {
            let handed = room.outbox.take();
            let Some(last) = handed.last().map(|handed| handed.last) else { return };
            self.write(&*store, &room, handed, last).await;
        }
    }

    async fn write(&self, store: &dyn Store, room: &Arc<RoomHandle>, handed: Vec<Handed>, last: RecordNumber) {
        let bytes: usize = handed.iter().map(|handed| handed.bytes).sum();
        let records = handed.into_iter().flat_map(|handed| handed.records);
        let records: Vec<Append> = records.map(|record| Append { document: room.key.clone(), record }).collect();
        let count = records.len();
        let start = Instant::now();
        let outcome = tokio::select! {
            outcome = self.append(store, records) => outcome,
            never = keep_what_gathers(store, room) => match never {},
        };
        self.metrics.store_seconds.record(start.elapsed());
        self.metrics.store_batches.record(count as f64);
        match &outcome {
            Ok(()) => room.stored(last),
            Err(StoreError::Deleted { .. }) => room.close((Code::DocumentDeleted, DELETED.to_owned())),
            Err(error) => room.store_failed(&error.to_string()),
        }
        // Only now: whoever reads on must find that the room has room.
        self.waiting.fetch_sub(bytes, Ordering::Relaxed);
        room.outbox.bytes.fetch_sub(bytes, Ordering::Relaxed);
        if outcome.is_ok() {
            self.metrics.batches_stored.increment(count as u64);
        }
        self.metrics.store_queue_bytes.set(self.waiting.load(Ordering::Relaxed) as f64);
        self.went_down.notify_waiters();
    }

    /// Appends until it is done or can never be: the same records are the same rows, however often they are written.
    async fn append(&self, store: &dyn Store, records: Vec<Append>) -> Result<(), StoreError> {
        let mut pause = RETRY.0;
        loop {
            match store.append(records.clone()).await {
                Ok(()) => {
                    if self.failing.swap(false, Ordering::Relaxed) {
                        tracing::info!("the store takes writes again");
                    }
                    return Ok(());
                }
                Err(error) if error.is_transient() => {
                    self.metrics.store_failures.increment(1);
                    if !self.failing.swap(true, Ordering::Relaxed) {
                        tracing::warn!(%error, "the store did not take a write; it is tried until it does");
                    }
                    // Without randomness they come back together, which costs time alone.
                    let jitter = getrandom::u32().map_or(0, |random| random & 0xff);
                    tokio::time::sleep(pause.mul_f64(0.5 + f64::from(jitter) / 510.0)).await;
                    pause = (pause * 2).min(RETRY.1);
                }
                Err(error) => {
                    self.metrics.store_failures.increment(1);
                    tracing::error!(%error, "the store refuses writes");
                    return Err(error);
                }
            }
        }
    }
}

/// Has the store keep what a room hands over while a write of it is late.
async fn keep_what_gathers(store: &dyn Store, room: &RoomHandle) -> Infallible {
    tokio::time::sleep(LATE).await;
    loop {
        let records = room.outbox.not_kept();
        if records.is_empty() {
            room.outbox.more.notified().await;
            continue;
        }
        let records = records.into_iter().map(|record| Append { document: room.key.clone(), record }).collect();
        if let Err(error) = store.keep(records).await {
            tracing::debug!(document = %room.key, %error, "what waits for the store is not kept beside it");
        }
    }
}
