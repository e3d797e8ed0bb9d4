//! The one writer of the log: what all rooms accepted goes to the store together, one group after the other.
//!
//! While one group is being written, the next one gathers: the slower the store, the larger the groups. Nothing is dropped
//! here; when too much waits, [`StoreWriter::ready`] keeps sessions from being read.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use inkwire_protocol::record::LogRecord;
use inkwire_protocol::room::RecordNumber;
use inkwire_storage::{Append, Store, StoreError};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::metrics::Metrics;
use crate::rooms::RoomHandle;

/// The most bytes of one write. What is left goes into the next.
const MAX_GROUP_BYTES: usize = 8 << 20;

/// The most bytes of one room that may wait before its sessions are read slower. A room itself takes 8 MiB, and past that
/// asks for what it dropped again: far enough away that many sessions can have read on meanwhile.
const ROOM_BYTES: usize = 4 << 20;

/// What a record costs beside its operations: about what the room counts for it, its frame's head and receipt included.
const RECORD_OVERHEAD: usize = 384;

/// How long to wait before a write is tried again that failed for a passing reason: doubled each time up to the second.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Records of one room that became one group.
struct Handed {
    room: Arc<RoomHandle>,
    records: Vec<LogRecord>,
    last: RecordNumber,
    bytes: usize,
}

/// The queue before the store and what runs it.
pub struct StoreWriter {
    /// `None` once nobody writes any more: what is handed over then stays with the clients.
    queue: Mutex<Option<Vec<Handed>>>,
    arrived: Notify,
    /// Bytes that were handed over and are not durable.
    waiting: AtomicUsize,
    /// Told, without memory, whenever `waiting` went down.
    went_down: Notify,
    capacity: usize,
    metrics: Arc<Metrics>,
}

impl StoreWriter {
    /// A writer whose queue pushes back past `capacity` bytes.
    pub fn new(capacity: usize, metrics: Arc<Metrics>) -> Self {
        Self {
            queue: Mutex::new(Some(Vec::new())),
            arrived: Notify::new(),
            waiting: AtomicUsize::new(0),
            went_down: Notify::new(),
            capacity,
            metrics,
        }
    }

    /// Takes a room's records, in the order in which it accepted them. Called under the room's lock, which keeps that order.
    pub fn hand_over(&self, room: &Arc<RoomHandle>, records: Vec<LogRecord>, last: RecordNumber) {
        let bytes = records.iter().map(|record| record.batch.operations.len() + RECORD_OVERHEAD).sum();
        self.waiting.fetch_add(bytes, Ordering::Relaxed);
        room.waiting.fetch_add(bytes, Ordering::Relaxed);
        if let Some(queue) = &mut *self.queue.lock() {
            queue.push(Handed { room: Arc::clone(room), records, last, bytes });
        }
        self.arrived.notify_one();
    }

    /// Whether a session of `room` should be read slower.
    pub fn is_full(&self, room: &RoomHandle) -> bool {
        self.waiting.load(Ordering::Relaxed) >= self.capacity || room.waiting.load(Ordering::Relaxed) >= ROOM_BYTES
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

    /// Writes for ever. When this is dropped, what is queued is dropped with it.
    pub async fn run(&self, store: Arc<dyn Store>) {
        // What is queued keeps its rooms, and they keep the queue: a relay that is dropped at once would leave them all.
        let _end = Ending(self);
        loop {
            let groups = self.next_group();
            if groups.is_empty() {
                self.arrived.notified().await;
                continue;
            }
            self.write(&*store, groups).await;
        }
    }

    fn next_group(&self) -> Vec<Handed> {
        let mut queue = self.queue.lock();
        let Some(queue) = &mut *queue else { return Vec::new() };
        let mut bytes = 0;
        let count = queue
            .iter()
            .take_while(|handed| {
                let fits = bytes == 0 || bytes + handed.bytes <= MAX_GROUP_BYTES;
                bytes += handed.bytes;
                fits
            })
            .count();
        if count == queue.len() { std::mem::take(queue) } else { queue.drain(..count).collect() }
    }

    async fn write(&self, store: &dyn Store, groups: Vec<Handed>) {
        let mut records = Vec::with_capacity(groups.iter().map(|handed| handed.records.len()).sum());
        let mut rooms: HashMap<usize, (Arc<RoomHandle>, RecordNumber, usize)> = HashMap::new();
        for handed in groups {
            let document = &handed.room.key;
            records.extend(handed.records.into_iter().map(|record| Append { document: document.clone(), record }));
            let entry = rooms.entry(Arc::as_ptr(&handed.room).addr()).or_insert((handed.room, handed.last, 0));
            entry.1 = handed.last;
            entry.2 += handed.bytes;
        }
        let count = records.len();
        let start = Instant::now();
        let outcome = self.append(store, records).await;
        self.metrics.store_seconds.record(start.elapsed());
        self.metrics.store_batches.record(count as f64);
        for (room, last, bytes) in rooms.into_values() {
            match &outcome {
                Ok(()) => room.stored(last),
                Err(error) => room.store_failed(&error.to_string()),
            }
            // Only now: whoever reads on must find that the room has room.
            self.waiting.fetch_sub(bytes, Ordering::Relaxed);
            room.waiting.fetch_sub(bytes, Ordering::Relaxed);
        }
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
                Ok(()) => return Ok(()),
                Err(error) if error.is_transient() => {
                    self.metrics.store_failures.increment(1);
                    tracing::warn!(%error, pause_millis = pause.as_millis() as u64, "the store did not take a write; trying again");
                    tokio::time::sleep(pause).await;
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

/// Ends the queue with the one who writes it.
struct Ending<'a>(&'a StoreWriter);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        // Dropped after the lock: a room may go with it.
        let queued = self.0.queue.lock().take();
        drop(queued);
    }
}
