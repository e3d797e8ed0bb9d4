//! Which rooms are in memory: loaded once however many join, unloaded when nobody is there.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use inkwire_document::{Snapshot, SnapshotError};
use inkwire_protocol::Code;
use inkwire_protocol::receipt::ReceiptKeys;
use inkwire_protocol::room::{Loaded, Reason, Room, RoomConfig};
use inkwire_storage::{DocumentKey, Store, StoreError};
use parking_lot::Mutex;
use tokio::sync::{OnceCell, Semaphore};
use tokio::task::JoinSet;

use super::handle::RoomHandle;
use super::{Budget, governor, task};
use crate::clock::RelayClock;
use crate::fold::Folder;
use crate::metrics::Metrics;
use crate::store_writer::StoreWriter;

/// Rooms that may be read from the store at a time; more wait.
const LOADS_AT_A_TIME: usize = 16;

/// What members of a deleted document's room are told.
pub(crate) const DELETED: &str = "the document was deleted";

/// What rooms are made with.
pub struct RoomsConfig {
    /// Bounds of each room.
    pub room: RoomConfig,
    /// Keys of the receipts.
    pub keys: ReceiptKeys,
    /// How long an empty room stays.
    pub unload_after: Duration,
    /// The most bytes of all rooms together, before who is not in one has to wait.
    pub memory_budget: usize,
}

/// The rooms of this relay.
pub struct Rooms {
    config: RoomsConfig,
    clock: RelayClock,
    store: Arc<dyn Store>,
    writer: Arc<StoreWriter>,
    folder: Arc<Folder>,
    metrics: Arc<Metrics>,
    budget: Arc<Budget>,
    loads: Semaphore,
    slots: Mutex<HashMap<Arc<str>, Arc<Slot>>>,
    /// The rooms' tasks end with the registry.
    tasks: Mutex<JoinSet<()>>,
}

/// The place of one document, from the first who asks for it until it is unloaded.
#[derive(Default)]
pub(super) struct Slot {
    room: OnceCell<Arc<RoomHandle>>,
    /// Who uses it. Changed only under the registry's lock, so that nobody comes in while it is unloaded.
    users: AtomicUsize,
    /// Since when its task has seen nobody there.
    empty_since: Mutex<Option<tokio::time::Instant>>,
}

impl Slot {
    pub(super) fn set_empty_since(&self, since: Option<tokio::time::Instant>) {
        *self.empty_since.lock() = since;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.users.load(Ordering::Acquire) == 0
    }
}

/// A room that stays in memory as long as this lives.
pub struct OpenRoom {
    room: Arc<RoomHandle>,
    _user: User,
}

impl std::ops::Deref for OpenRoom {
    type Target = Arc<RoomHandle>;

    fn deref(&self) -> &Self::Target {
        &self.room
    }
}

/// One use of a slot.
struct User {
    rooms: Arc<Rooms>,
    name: Arc<str>,
    slot: Arc<Slot>,
}

impl Drop for User {
    fn drop(&mut self) {
        let mut slots = self.rooms.slots.lock();
        if self.slot.users.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        match self.slot.room.get() {
            // Its task decides when it goes.
            Some(room) => room.changed.notify_one(),
            // It could not be loaded: the next one tries anew.
            None => {
                slots.remove(&self.name);
            }
        }
    }
}

/// Why a room cannot be loaded.
#[derive(Debug, thiserror::Error)]
enum LoadError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the stored snapshot: {0}")]
    Snapshot(#[from] SnapshotError),
    #[error("no randomness for a room's actors: {0}")]
    Random(#[from] getrandom::Error),
    #[error("what the spool has: {}", .0.1)]
    Spool(Reason),
    #[error("open documents use {used} of {limit} bytes: others wait")]
    Spent { used: usize, limit: usize },
}

impl LoadError {
    fn code(&self) -> Code {
        if matches!(self, Self::Spent { .. }) { Code::Overloaded } else { Code::StoreUnavailable }
    }
}

impl Rooms {
    /// An empty registry.
    pub fn new(
        config: RoomsConfig,
        clock: RelayClock,
        store: Arc<dyn Store>,
        writer: Arc<StoreWriter>,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        let budget = Arc::new(Budget::new(config.memory_budget));
        metrics.memory_budget_bytes.set(budget.limit() as f64);
        let rooms = Arc::new(Self {
            config,
            clock,
            folder: Arc::new(Folder::new(Arc::clone(&store), Arc::clone(&metrics))),
            store,
            writer,
            metrics,
            budget,
            loads: Semaphore::new(LOADS_AT_A_TIME),
            slots: Mutex::default(),
            tasks: Mutex::default(),
        });
        rooms.tasks.lock().spawn(governor::run(Arc::downgrade(&rooms)));
        rooms
    }

    /// The room of `name`, read from the store if it is not in memory. However many ask at once, it is read once.
    pub async fn open(self: &Arc<Self>, name: &str) -> Result<OpenRoom, Reason> {
        let user = self.enter(name);
        let room = user.slot.room.get_or_try_init(|| self.load(&user.name, &user.slot)).await;
        match room {
            Ok(room) => {
                room.stay();
                Ok(OpenRoom { room: Arc::clone(room), _user: user })
            }
            Err(error @ LoadError::Spent { .. }) => {
                self.metrics.relief.opens.increment(1);
                tracing::warn!(document = name, %error, "a document is not opened");
                Err((error.code(), error.to_string()))
            }
            Err(error) => {
                tracing::error!(document = name, %error, "a document cannot be opened");
                Err((error.code(), error.to_string()))
            }
        }
    }

    /// How many rooms are in memory or being loaded.
    pub fn len(&self) -> usize {
        self.slots.lock().len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What all rooms may use together.
    pub fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Every room that is in memory, and since when nobody has it open.
    pub(super) fn loaded(&self) -> Vec<(Arc<RoomHandle>, Option<tokio::time::Instant>)> {
        let slots = self.slots.lock();
        let rooms = slots.values().filter_map(|slot| {
            let since = if slot.is_empty() { *slot.empty_since.lock() } else { None };
            Some((Arc::clone(slot.room.get()?), since))
        });
        rooms.collect()
    }

    /// A document was deleted in the store: its room ends, and whoever has it open is told.
    pub fn deleted(&self, key: &DocumentKey) {
        let slot = self.slots.lock().get(&key.name).cloned();
        if let Some(room) = slot.as_ref().and_then(|slot| slot.room.get()).filter(|room| room.key == *key) {
            room.close((Code::DocumentDeleted, DELETED.to_owned()));
        }
    }

    fn enter(self: &Arc<Self>, name: &str) -> User {
        let mut slots = self.slots.lock();
        let (name, slot) = match slots.get_key_value(name) {
            Some((name, slot)) => (Arc::clone(name), Arc::clone(slot)),
            None => {
                let name: Arc<str> = name.into();
                let slot = Arc::default();
                slots.insert(Arc::clone(&name), Arc::clone(&slot));
                (name, slot)
            }
        };
        slot.users.fetch_add(1, Ordering::AcqRel);
        User { rooms: Arc::clone(self), name, slot }
    }

    async fn load(self: &Arc<Self>, name: &Arc<str>, slot: &Arc<Slot>) -> Result<Arc<RoomHandle>, LoadError> {
        let start = Instant::now();
        // The semaphore is never closed.
        let _permit = self.loads.acquire().await.ok();
        if self.budget.is_spent() {
            return Err(LoadError::Spent { used: self.budget.used(), limit: self.budget.limit() });
        }
        let key = DocumentKey::new(Arc::clone(name), self.store.incarnation(name).await?);
        let loaded = self.store.load(&key).await?;
        let seed = getrandom::u64()?;
        let (snapshot, actors) = match loaded.snapshot {
            Some(stored) => (Some(Snapshot::parse(stored.snapshot)?), stored.actors),
            None => (None, Vec::new()),
        };
        let batches = loaded.records.len();
        let spooled = loaded.spooled;
        let loaded = Loaded { snapshot, actors, batches: loaded.records };
        let room = Room::new(
            self.config.room.clone(),
            Arc::clone(name),
            key.incarnation,
            loaded,
            self.config.keys.clone(),
            seed,
        );
        if room.unusable_records() > 0 {
            tracing::error!(document = %key, records = room.unusable_records(), "stored batches cannot be used: an actor has a gap, or was used twice");
        }
        let room = Arc::new(RoomHandle::new(key, room, self.clock, Arc::clone(&self.writer), Arc::clone(&self.budget)));
        if !spooled.is_empty() {
            tracing::info!(document = %room.key, batches = spooled.len(), "what only the spool had goes to the store again");
            room.restore(spooled).map_err(LoadError::Spool)?;
        }
        self.spawn_task(&room, slot);
        self.metrics.rooms.increment(1.0);
        self.metrics.rooms_loaded.increment(1);
        self.metrics.room_load_seconds.record(start.elapsed());
        tracing::debug!(document = %room.key, batches, "a room is loaded");
        Ok(room)
    }

    fn spawn_task(self: &Arc<Self>, room: &Arc<RoomHandle>, slot: &Arc<Slot>) {
        let mut tasks = self.tasks.lock();
        while tasks.try_join_next().is_some() {}
        let span = tracing::info_span!(parent: None, "room", document = %room.key);
        let task = task::run(
            Arc::clone(room),
            Arc::clone(slot),
            Arc::downgrade(self),
            Arc::clone(&self.folder),
            self.store.condition(),
            self.config.unload_after,
        );
        tasks.spawn(tracing::Instrument::instrument(task, span));
    }

    /// Forgets a room unless somebody has come in meanwhile; says whether it did.
    pub(super) fn unload(&self, room: &Arc<RoomHandle>, slot: &Arc<Slot>) -> bool {
        let mut slots = self.slots.lock();
        // Nobody can come in while the registry is locked, so what is idle now stays idle.
        if !slot.is_empty() || !room.may_go() {
            return false;
        }
        slots.remove(&room.key.name);
        drop(slots);
        self.store.release(&room.key);
        self.metrics.rooms.decrement(1.0);
        tracing::debug!(document = %room.key, "a room is unloaded");
        true
    }
}
