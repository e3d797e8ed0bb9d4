//! The spool's directory: generations, of which the last is written.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use inkwire_document::VersionVector;
use inkwire_protocol::record::ActorRecord;
use parking_lot::Mutex;
use tokio::sync::{Notify, RwLock};

use super::generation::{Generation, Held, cost};
use super::merge;
use crate::embedded::blocking;
use crate::error::StoreError;
use crate::store::{Append, DocumentKey, Loaded, Store};

/// A generation of which this part of the spool is written, is followed by the next one.
const GENERATIONS: u64 = 4;

/// What is being deleted is called so, that nobody opens half of it.
const GONE: &str = "gone";

#[derive(Debug)]
pub(super) struct Disk {
    directory: PathBuf,
    limit: u64,
    /// The generation that is written. Who writes holds it shared, so that nobody writes into one that is not the last.
    active: RwLock<Arc<Generation>>,
    /// All of them, the active one last.
    generations: Mutex<Vec<Arc<Generation>>>,
    /// Told, without memory, when there is more room.
    room: Notify,
}

impl Disk {
    /// Opens what is there, and begins a new generation.
    pub(super) async fn open(directory: PathBuf, limit: u64) -> Result<Self, StoreError> {
        blocking(move || {
            make(&directory)?;
            let mut numbers = Vec::new();
            let failed = |error| StoreError::unavailable(format!("reading {}", directory.display()), error);
            for entry in std::fs::read_dir(&directory).map_err(failed)? {
                let path = entry.map_err(failed)?.path();
                if path.extension().is_some_and(|extension| extension == GONE) {
                    std::fs::remove_dir_all(&path).map_err(failed)?;
                } else if let Some(number) = path.file_name().and_then(|name| name.to_str()?.parse::<u64>().ok()) {
                    numbers.push(number);
                }
            }
            numbers.sort_unstable();
            let mut generations = Vec::new();
            for number in &numbers {
                generations.push(Arc::new(Generation::open(&directory.join(number.to_string()), *number)?));
            }
            let next = numbers.last().map_or(1, |last| last + 1);
            let active = begin(&directory, next)?;
            generations.push(Arc::clone(&active));
            let generations = Mutex::new(generations);
            Ok(Self { directory, limit, active: RwLock::new(active), generations, room: Notify::new() })
        })
        .await
    }

    /// Whether an earlier life left documents.
    pub(super) fn has_documents(&self) -> bool {
        self.all().iter().any(|generation| !generation.documents.lock().is_empty())
    }

    pub(super) fn all(&self) -> Vec<Arc<Generation>> {
        self.generations.lock().clone()
    }

    /// All but the one that is written.
    pub(super) fn sealed(&self) -> Vec<Arc<Generation>> {
        let mut all = self.all();
        all.pop();
        all
    }

    pub(super) fn bytes(&self) -> u64 {
        self.all().iter().map(|generation| generation.bytes.load(Ordering::Relaxed)).sum()
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes() >= self.limit
    }

    /// Whether a generation holds `document` whole.
    pub(super) fn is_based(&self, document: &DocumentKey) -> bool {
        self.all().iter().any(|generation| generation.based.lock().contains(document))
    }

    /// Whether rows of `document` are to be offered again.
    pub(super) fn is_left(&self, document: &DocumentKey) -> bool {
        self.all().iter().any(|generation| generation.left.lock().contains(document))
    }

    /// The incarnation of the document called `name` that is held whole, where there is one and no other.
    pub(super) fn incarnation(&self, name: &str) -> Option<u64> {
        let mut found: Vec<u64> = Vec::new();
        for generation in self.all() {
            let based = generation.based.lock();
            found.extend(based.iter().filter(|held| *held.name == *name).map(|held| held.incarnation));
        }
        found.dedup();
        match found[..] {
            [incarnation] => Some(incarnation),
            _ => None,
        }
    }

    /// What all generations have of `document`.
    pub(super) async fn load(&self, document: &DocumentKey) -> Result<Loaded, StoreError> {
        let mut found = Loaded::default();
        for generation in self.all() {
            found = merge::older_with_newer(found, generation.store.load(document).await?);
        }
        Ok(found)
    }

    /// Writes rows, once there is room for them.
    pub(super) async fn append(&self, records: Vec<Append>) -> Result<Held, StoreError> {
        self.has_room().await;
        let active = self.active.read().await;
        let held = Held::new(&active);
        active.append(records).await?;
        Ok(held)
    }

    /// Writes rows that will be appended, once there is room for them.
    pub(super) async fn keep(&self, records: Vec<Append>) -> Result<(), StoreError> {
        self.has_room().await;
        self.active.read().await.append(records).await
    }

    async fn has_room(&self) {
        loop {
            let mut room = std::pin::pin!(self.room.notified());
            // Registered before looking, so that a change in between is not missed.
            room.as_mut().enable();
            if !self.is_full() {
                return;
            }
            room.await;
        }
    }

    /// Keeps what `document` was loaded with.
    pub(super) async fn remember(&self, document: &DocumentKey, loaded: &Loaded) -> Result<(), StoreError> {
        let records = loaded.records.iter().chain(&loaded.spooled);
        let rows: Vec<Append> =
            records.map(|record| Append { document: document.clone(), record: record.clone() }).collect();
        let snapshot_bytes = loaded.snapshot.as_ref().map_or(0, |stored| stored.snapshot.len() as u64);
        let bytes = snapshot_bytes + cost(&rows);
        let held: u64 = self.all().iter().map(|generation| generation.base_bytes.load(Ordering::Relaxed)).sum();
        if held + bytes > self.limit / 2 {
            tracing::debug!(%document, "the spool has no room for what a document was loaded with");
            return Ok(());
        }
        let active = self.active.read().await;
        active.base_bytes.fetch_add(bytes, Ordering::Relaxed);
        active.bytes.fetch_add(snapshot_bytes, Ordering::Relaxed);
        if let Some(stored) = loaded.snapshot.clone() {
            active.documents.lock().insert(document.clone());
            let committed =
                active.store.commit_snapshot(document, stored.snapshot, stored.version, stored.actors).await;
            match committed {
                // Of an earlier time here, and the store has gone another way since: what is loaded is what counts, but
                // this generation cannot hold it.
                Err(StoreError::Diverged { .. }) => return Ok(()),
                outcome => outcome?,
            }
        }
        if !rows.is_empty() {
            active.append(rows).await?;
        }
        active.mark(document).await
    }

    /// Keeps a new snapshot of a document that is open.
    pub(super) async fn commit(
        &self,
        document: &DocumentKey,
        snapshot: Bytes,
        version: VersionVector,
        actors: Vec<ActorRecord>,
    ) -> Result<(), StoreError> {
        let active = self.active.read().await;
        active.bytes.fetch_add(snapshot.len() as u64, Ordering::Relaxed);
        active.documents.lock().insert(document.clone());
        active.store.commit_snapshot(document, snapshot, version, actors).await
    }

    /// Whether the active generation has become large enough.
    pub(super) async fn wants_rotation(&self) -> bool {
        let active = self.active.read().await;
        let written = active.bytes.load(Ordering::Relaxed).saturating_sub(active.base_bytes.load(Ordering::Relaxed));
        written >= self.limit / GENERATIONS
    }

    /// Goes on in a new generation.
    pub(super) async fn rotate(&self) -> Result<(), StoreError> {
        let mut active = self.active.write().await;
        let (directory, next) = (self.directory.clone(), active.number + 1);
        let fresh = blocking(move || begin(&directory, next)).await?;
        self.generations.lock().push(Arc::clone(&fresh));
        *active = fresh;
        Ok(())
    }

    /// Deletes the generations before the active one, which holds `open` documents whole from now on. Nobody writes into
    /// them, and everything in them is stored.
    pub(super) async fn drop_sealed(&self, open: Vec<DocumentKey>) -> Result<(), StoreError> {
        for document in open {
            let active = Arc::clone(&*self.active.read().await);
            if !active.based.lock().contains(&document) && self.is_based(&document) {
                let loaded = self.load(&document).await?;
                self.remember(&document, &loaded).await?;
            }
        }
        let sealed: Vec<Arc<Generation>> = {
            let mut generations = self.generations.lock();
            let keep = generations.len() - 1;
            generations.drain(..keep).collect()
        };
        for generation in sealed {
            remove(&generation).await?;
        }
        self.room.notify_waiters();
        Ok(())
    }

    /// Closes all; with `forget`, what is stored for certain is deleted.
    pub(super) async fn close(&self, forget: bool) {
        let generations = self.all();
        let stored = generations.iter().all(|generation| generation.is_stored());
        for generation in generations {
            if !(forget && stored) {
                generation.store.close().await;
            } else if let Err(error) = remove(&generation).await {
                tracing::warn!(%error, "a part of the spool stays");
            }
        }
    }
}

/// Makes the directory of generation `number`, and opens it.
fn begin(directory: &Path, number: u64) -> Result<Arc<Generation>, StoreError> {
    let generation = Generation::open(&directory.join(number.to_string()), number)?;
    sync(directory)?;
    Ok(Arc::new(generation))
}

/// Made for its owner alone: it holds everybody's documents.
fn make(directory: &Path) -> Result<(), StoreError> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    let made = builder.create(directory);
    made.map_err(|error| StoreError::unavailable(format!("making {}", directory.display()), error))
}

fn sync(directory: &Path) -> Result<(), StoreError> {
    let synced = std::fs::File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(|error| StoreError::unavailable(format!("syncing {}", directory.display()), error))
}

async fn remove(generation: &Generation) -> Result<(), StoreError> {
    generation.store.close().await;
    let directory = generation.directory.clone();
    blocking(move || {
        let gone = directory.with_extension(GONE);
        let removed = std::fs::rename(&directory, &gone).and_then(|()| std::fs::remove_dir_all(&gone));
        removed.map_err(|error| StoreError::unavailable(format!("deleting {}", directory.display()), error))
    })
    .await
}
