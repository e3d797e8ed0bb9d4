//! The spool: editing goes on while the cluster is away.
//!
//! [`SpoolStore`] stands before a store that may be out of reach. Every batch goes to both, the store and a directory of this
//! machine. `append` returns when the store has it, and where the store's nodes acknowledge before they sync, when this disk
//! has it too; while the store is away it waits, and the batch is on this disk. So `durable` means what it always means.
//!
//! The directory also holds what each open document was loaded with, so that a process that starts during an outage serves
//! those: their rows come as [`Loaded::spooled`], which are not durable until they are appended again. Others are
//! [`StoreError::Unavailable`].
//!
//! - `disk`: the directory, as generations that are deleted whole. `generation`: one of them, an embedded store.
//! - `keeper`: the task that looks whether the store is back, drains what an earlier life left, and tidies up.
//! - `restarts`: whether a node may have lost what it acknowledged. `merge`: a document out of two places.
//! - `cluster`: the remote store that is a CQL cluster.

mod cluster;
mod disk;
mod generation;
mod keeper;
mod merge;
mod restarts;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use inkwire_document::VersionVector;
use inkwire_protocol::record::ActorRecord;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinHandle;

use self::disk::Disk;
use crate::error::StoreError;
use crate::store::{Append, Condition, Counts, DocumentKey, Loaded, Store};

pub use self::cluster::ClusterRemote;

/// Appends that may be under way to the store at a time. More wait for their turn, in the order in which they came: so are
/// they drained when the store is back.
const TURNS: usize = 256;

/// The store behind a spool, which may be out of reach when the process starts.
#[async_trait]
pub trait Remote: fmt::Debug + Send + Sync + 'static {
    /// Connects; called again after each failure.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] when it cannot be reached now, others when trying again does not help.
    async fn connect(&self) -> Result<Connected, StoreError>;
}

/// A store that was reached.
#[derive(Clone)]
pub struct Connected {
    /// The store.
    pub store: Arc<dyn Store>,
    /// `None` when what the store acknowledges is synced; else when its nodes were started, which tells what they may have lost.
    pub restarts: Option<Arc<dyn Restarts>>,
}

impl fmt::Debug for Connected {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Connected").field("synced", &self.restarts.is_none()).finish_non_exhaustive()
    }
}

/// When the nodes of a store were started that acknowledge before they sync.
#[async_trait]
pub trait Restarts: Send + Sync + 'static {
    /// For each node that there is, a number that every start of it changes; `None` for one that does not answer.
    async fn starts(&self) -> BTreeMap<String, Option<i64>>;

    /// How long a node may take to sync what it acknowledged, with a margin.
    fn window(&self) -> Duration;
}

/// How a [`SpoolStore`] uses the machine.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the spool is; `None` for none, and then what waits is in memory alone.
    pub directory: Option<PathBuf>,
    /// About how many bytes it may take; past it appends wait. 1 GiB. What open documents were loaded with takes half of it at
    /// most, and of those beyond nothing is kept.
    pub bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { directory: None, bytes: 1 << 30 }
    }
}

/// A store with a spool before it. Dropping it ends its work at once.
#[derive(Debug)]
pub struct SpoolStore {
    shared: Arc<Shared>,
    keeper: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    remote: Arc<dyn Remote>,
    connected: RwLock<Option<Connected>>,
    disk: Option<Disk>,
    /// Whether the store is within reach, as far as is known.
    up: watch::Sender<bool>,
    condition: watch::Sender<Condition>,
    /// Told when there is something for the keeper to do.
    work: Notify,
    turns: Semaphore,
    /// Incarnations of the documents that the caller has open.
    open: Mutex<HashMap<Arc<str>, u64>>,
    outages: AtomicU64,
    drained: AtomicU64,
    closed: AtomicBool,
    /// Whether writing the spool failed, after which it is not used any more.
    broken: AtomicBool,
}

impl SpoolStore {
    /// Opens the spool and connects to `remote`. Must be called within a tokio runtime, which then runs its task. Where the
    /// spool holds documents, a store that is out of reach is waited for while they are served.
    ///
    /// # Errors
    ///
    /// Those of opening the spool's stores; those of connecting, where they do not pass or there is nothing to serve.
    pub async fn open(remote: Arc<dyn Remote>, options: &Options) -> Result<Self, StoreError> {
        let disk = match &options.directory {
            Some(directory) => Some(Disk::open(directory.clone(), options.bytes).await?),
            None => None,
        };
        let connected = match remote.connect().await {
            Ok(connected) => {
                check_durable(&connected, disk.is_some())?;
                Some(connected)
            }
            Err(error) if error.is_transient() && disk.as_ref().is_some_and(Disk::has_documents) => {
                tracing::warn!(%error, "the store is away: only documents that the spool holds are served");
                None
            }
            Err(error) => return Err(error),
        };
        let shared = Arc::new(Shared {
            remote,
            up: watch::Sender::new(connected.is_some()),
            condition: watch::Sender::new(Condition::Serving),
            connected: RwLock::new(connected),
            disk,
            work: Notify::new(),
            turns: Semaphore::new(TURNS),
            open: Mutex::default(),
            outages: AtomicU64::new(0),
            drained: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            broken: AtomicBool::new(false),
        });
        shared.refresh();
        let keeper = tokio::spawn(keeper::run(Arc::clone(&shared)));
        Ok(Self { shared, keeper: Mutex::new(Some(keeper)) })
    }
}

/// What nodes acknowledge before they sync it is not durable without a disk of ours.
fn check_durable(connected: &Connected, has_disk: bool) -> Result<(), StoreError> {
    if has_disk || connected.restarts.is_none() {
        return Ok(());
    }
    Err(StoreError::Refused {
        reason: "the cluster's nodes acknowledge writes before they sync them, or do not say, and there is no spool: allow one, set \
                 commitlog_sync to batch on each node (where they do not say it, add ?commitlog=batch to the address), or add \
                 ?unsynced=accept to call durable what a quorum has in memory"
            .to_owned(),
    })
}

impl Drop for SpoolStore {
    fn drop(&mut self) {
        if let Some(keeper) = self.keeper.lock().take() {
            keeper.abort();
        }
    }
}

impl Shared {
    /// The spool, as long as it can be written.
    fn disk(&self) -> Option<&Disk> {
        self.disk.as_ref().filter(|_| !self.broken.load(Ordering::Relaxed))
    }

    fn check_open(&self) -> Result<(), StoreError> {
        if self.closed.load(Ordering::Relaxed) { Err(StoreError::Closed) } else { Ok(()) }
    }

    fn opened(&self, document: &DocumentKey) {
        self.open.lock().insert(Arc::clone(&document.name), document.incarnation);
    }

    /// The store, if it is within reach as far as is known.
    fn reached(&self) -> Option<Connected> {
        if *self.up.borrow() { self.connected.read().clone() } else { None }
    }

    /// Waits until the store is within reach.
    async fn reach(&self) -> Result<Connected, StoreError> {
        let mut up = self.up.subscribe();
        loop {
            self.check_open()?;
            if let Some(connected) = self.reached() {
                return Ok(connected);
            }
            up.changed().await.map_err(|_| StoreError::Closed)?;
        }
    }

    /// The store did not take something: it is away until the keeper finds it again.
    fn lost(&self, error: &StoreError) {
        if self.up.send_replace(false) {
            self.outages.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(%error, "the store is away: what is written waits, and nothing becomes durable");
            self.refresh();
            self.work.notify_one();
        }
    }

    fn found(&self) {
        if !self.up.send_replace(true) {
            tracing::info!("the store is back");
            self.refresh();
        }
    }

    /// Tells whoever waits for it how things are.
    fn refresh(&self) {
        let now = match self.disk() {
            Some(disk) if disk.is_full() => Condition::Full,
            _ if *self.up.borrow() => Condition::Serving,
            _ => Condition::Away,
        };
        self.condition.send_if_modified(|known| std::mem::replace(known, now) != now);
    }

    /// Appends to the store, however long it is away.
    async fn through(&self, records: &[Append]) -> Result<(), StoreError> {
        loop {
            let remote = self.reach().await?;
            let _turn = self.turns.acquire().await.map_err(|_| StoreError::Closed)?;
            // It may have gone while this waited for its turn.
            if self.reached().is_none() {
                continue;
            }
            match remote.store.append(records.to_vec()).await {
                Err(error) if error.is_transient() => self.lost(&error),
                outcome => return outcome,
            }
        }
    }

    /// Whether a quorum's word alone is not durable.
    fn needs_disk(&self) -> bool {
        self.connected.read().as_ref().is_some_and(|connected| connected.restarts.is_some())
    }

    /// After a failed write nobody knows what the spool holds. Where a quorum's word is enough, work goes on without it.
    fn spool_failed(&self, error: StoreError) -> Result<(), StoreError> {
        if self.needs_disk() || matches!(error, StoreError::Closed) {
            return Err(error);
        }
        if !self.broken.swap(true, Ordering::Relaxed) {
            tracing::error!(%error, "the spool cannot be written: what waits in an outage is in memory alone from now on");
            self.refresh();
        }
        Ok(())
    }

    /// What the spool has of `document`, none of it durable.
    async fn serve(&self, document: &DocumentKey) -> Result<Loaded, StoreError> {
        let disk = self.disk().filter(|disk| disk.is_based(document)).ok_or_else(|| StoreError::Unavailable {
            reason: format!("the cluster is away, and the spool does not hold {document}"),
            source: None,
        })?;
        let Loaded { snapshot, records, .. } = disk.load(document).await?;
        Ok(Loaded { snapshot, records: Vec::new(), spooled: records })
    }
}

#[async_trait]
impl Store for SpoolStore {
    async fn load(&self, document: &DocumentKey) -> Result<Loaded, StoreError> {
        let shared = &self.shared;
        shared.check_open()?;
        if let Some(remote) = shared.reached() {
            // First the spool: what is drained meanwhile is then seen twice, never not at all.
            let left = match shared.disk().filter(|disk| disk.is_left(document)) {
                Some(disk) => disk.load(document).await?,
                None => Loaded::default(),
            };
            match remote.store.load(document).await {
                Ok(loaded) => {
                    let loaded = merge::with_left(loaded, left);
                    shared.opened(document);
                    if let Some(disk) = shared.disk()
                        && let Err(error) = disk.remember(document, &loaded).await
                    {
                        shared.spool_failed(error)?;
                    }
                    shared.refresh();
                    return Ok(loaded);
                }
                Err(error) if error.is_transient() => shared.lost(&error),
                Err(error) => return Err(error),
            }
        }
        let served = shared.serve(document).await?;
        shared.opened(document);
        Ok(served)
    }

    async fn append(&self, records: Vec<Append>) -> Result<(), StoreError> {
        let shared = &self.shared;
        shared.check_open()?;
        let spool = async {
            let Some(disk) = shared.disk() else { return Ok(None) };
            let written = disk.append(records.clone()).await;
            shared.refresh();
            match written {
                Ok(held) => Ok(Some(held)),
                Err(error) => shared.spool_failed(error).map(|()| None),
            }
        };
        let (held, stored) = tokio::join!(spool, shared.through(&records));
        if let Some(held) = held?
            && !matches!(stored, Err(StoreError::Closed))
        {
            // Refused is done, too: it would be refused again.
            held.release();
            shared.work.notify_one();
        }
        stored
    }

    async fn keep(&self, records: Vec<Append>) -> Result<(), StoreError> {
        let shared = &self.shared;
        shared.check_open()?;
        let Some(disk) = shared.disk() else { return Ok(()) };
        // What is kept and then lost with its generation was never called durable, and is appended all the same.
        let kept = disk.keep(records).await;
        shared.refresh();
        kept.or_else(|error| shared.spool_failed(error))
    }

    async fn commit_snapshot(
        &self,
        document: &DocumentKey,
        snapshot: Bytes,
        version: VersionVector,
        actors: Vec<ActorRecord>,
    ) -> Result<(), StoreError> {
        let shared = &self.shared;
        shared.check_open()?;
        let Some(remote) = shared.reached() else {
            return Err(StoreError::Unavailable { reason: "the cluster is away".to_owned(), source: None });
        };
        // Where nodes may lose what they acknowledged, this disk has the snapshot before anything that it covers may go.
        let first = shared.needs_disk();
        let mirror = async {
            match shared.disk() {
                Some(disk) => disk.commit(document, snapshot.clone(), version.clone(), actors.clone()).await,
                None => Ok(()),
            }
        };
        if first {
            mirror.await?;
            return remote.store.commit_snapshot(document, snapshot, version, actors).await;
        }
        if let Err(error) =
            remote.store.commit_snapshot(document, snapshot.clone(), version.clone(), actors.clone()).await
        {
            if error.is_transient() {
                shared.lost(&error);
            }
            return Err(error);
        }
        match mirror.await {
            Err(error @ StoreError::Diverged { .. }) => tracing::warn!(%error, "the spool keeps its own snapshot"),
            Err(error) => shared.spool_failed(error)?,
            Ok(()) => {}
        }
        Ok(())
    }

    async fn incarnation(&self, name: &str) -> Result<u64, StoreError> {
        let shared = &self.shared;
        shared.check_open()?;
        if let Some(remote) = shared.reached() {
            match remote.store.incarnation(name).await {
                Err(error) if error.is_transient() => shared.lost(&error),
                outcome => return outcome,
            }
        }
        let open = shared.open.lock().get(name).copied();
        open.or_else(|| shared.disk()?.incarnation(name)).ok_or_else(|| StoreError::Unavailable {
            reason: format!("the cluster is away, and the spool does not hold {name}"),
            source: None,
        })
    }

    async fn health(&self) -> Result<(), StoreError> {
        let shared = &self.shared;
        shared.check_open()?;
        let unavailable = |reason: &str| Err(StoreError::Unavailable { reason: reason.to_owned(), source: None });
        match *shared.condition.borrow() {
            Condition::Serving => Ok(()),
            Condition::Away if shared.disk().is_some() => Ok(()),
            Condition::Away => unavailable("the cluster is away, and there is no spool"),
            Condition::Full => unavailable("the spool is full"),
        }
    }

    fn condition(&self) -> watch::Receiver<Condition> {
        self.shared.condition.subscribe()
    }

    fn release(&self, document: &DocumentKey) {
        self.shared.open.lock().remove(&document.name);
    }

    fn counts(&self) -> Counts {
        let shared = &self.shared;
        let remote = shared.connected.read().as_ref().map(|connected| connected.store.counts()).unwrap_or_default();
        Counts {
            outages: shared.outages.load(Ordering::Relaxed),
            drained: shared.drained.load(Ordering::Relaxed),
            spool_bytes: shared.disk.as_ref().map_or(0, Disk::bytes),
            ..remote
        }
    }

    async fn close(&self) {
        let shared = &self.shared;
        shared.closed.store(true, Ordering::Relaxed);
        // Who waits for the store looks up, and is told.
        shared.up.send_modify(|_| {});
        let keeper = self.keeper.lock().take();
        if let Some(keeper) = keeper {
            keeper.abort();
            // It was cancelled, which is no news.
            let _ = keeper.await;
        }
        let connected = shared.connected.read().clone();
        if let Some(connected) = &connected {
            connected.store.close().await;
        }
        if let Some(disk) = &shared.disk {
            disk.close(connected.is_some_and(|connected| connected.restarts.is_none())).await;
        }
    }
}
