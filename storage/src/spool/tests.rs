//! Outages, restarts and nodes that lose what they acknowledged, with a store in memory as the far one.

use std::path::Path;
use std::time::Duration;

use inkwire_document::{Actor, Batch};
use inkwire_protocol::record::LogRecord;
use tokio::task::JoinHandle;

use super::*;
use crate::memory::MemoryStore;

/// Nothing here takes nearly as long.
const PATIENCE: Duration = Duration::from_secs(60);

/// The far store: away, or there; and when its one node was started, where it acknowledges before it syncs.
#[derive(Debug, Default)]
struct Far {
    store: Mutex<MemoryStore>,
    away: AtomicBool,
    start: Mutex<Option<i64>>,
}

impl Far {
    fn unavailable() -> StoreError {
        StoreError::Unavailable { reason: "it is away".to_owned(), source: None }
    }

    fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::Relaxed);
        self.store.lock().refuse(away.then(Self::unavailable));
    }

    async fn rows(&self, document: &DocumentKey) -> usize {
        let store = self.store.lock().clone();
        store.load(document).await.map_or(0, |loaded| loaded.records.len())
    }
}

/// What the far store is at the moment, which changes when its node loses what it had.
struct Through(Arc<Far>);

#[async_trait]
impl Store for Through {
    async fn load(&self, document: &DocumentKey) -> Result<Loaded, StoreError> {
        let store = self.0.store.lock().clone();
        store.load(document).await
    }

    async fn append(&self, records: Vec<Append>) -> Result<(), StoreError> {
        let store = self.0.store.lock().clone();
        store.append(records).await
    }

    async fn commit_snapshot(
        &self,
        document: &DocumentKey,
        snapshot: Bytes,
        version: VersionVector,
        actors: Vec<ActorRecord>,
    ) -> Result<(), StoreError> {
        let store = self.0.store.lock().clone();
        store.commit_snapshot(document, snapshot, version, actors).await
    }

    async fn incarnation(&self, name: &str) -> Result<u64, StoreError> {
        let store = self.0.store.lock().clone();
        store.incarnation(name).await
    }

    async fn health(&self) -> Result<(), StoreError> {
        let store = self.0.store.lock().clone();
        store.health().await
    }

    async fn close(&self) {}
}

#[async_trait]
impl Restarts for Through {
    async fn starts(&self) -> BTreeMap<String, Option<i64>> {
        [("node".to_owned(), *self.0.start.lock())].into()
    }

    fn window(&self) -> Duration {
        Duration::from_millis(500)
    }
}

#[derive(Debug)]
struct Way(Arc<Far>);

#[async_trait]
impl Remote for Way {
    async fn connect(&self) -> Result<Connected, StoreError> {
        if self.0.away.load(Ordering::Relaxed) {
            return Err(Far::unavailable());
        }
        let through = || Arc::new(Through(Arc::clone(&self.0)));
        let unsynced = self.0.start.lock().is_some();
        Ok(Connected { store: through(), restarts: unsynced.then(|| through() as Arc<dyn Restarts>) })
    }
}

async fn open(far: &Arc<Far>, directory: &Path, bytes: u64) -> Result<Arc<SpoolStore>, StoreError> {
    let options = Options { directory: Some(directory.to_owned()), bytes };
    SpoolStore::open(Arc::new(Way(Arc::clone(far))), &options).await.map(Arc::new)
}

/// Ends it as a crash does, as far as a process can do that to itself: what was under way stays under way.
async fn crash(store: Arc<SpoolStore>, under_way: Vec<JoinHandle<Result<(), StoreError>>>) {
    for append in under_way {
        append.abort();
        assert!(append.await.is_err(), "it waits");
    }
    let keeper = store.keeper.lock().take().expect("it runs");
    keeper.abort();
    let _ = keeper.await;
    assert!(Arc::into_inner(store).is_some(), "nobody else has it");
}

fn document(name: &str) -> DocumentKey {
    DocumentKey::new(name, 0)
}

fn row(name: &str, counter: u64, bytes: usize) -> Append {
    let batch = Batch { actor: Actor(7), first: counter, count: 1, operations: vec![counter as u8; bytes].into() };
    Append { document: document(name), record: LogRecord::new(batch, "ada".into(), 5) }
}

fn append(store: &Arc<SpoolStore>, rows: Vec<Append>) -> JoinHandle<Result<(), StoreError>> {
    let store = Arc::clone(store);
    tokio::spawn(async move { store.append(rows).await })
}

/// Waits until something is so.
async fn until<F: Future<Output = bool>>(what: &str, mut is: impl FnMut() -> F) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !is().await {
            // What is asked for has no event of its own: it is looked at again, and only the patience fails a test.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "in vain: {what}");
}

async fn becomes(store: &SpoolStore, condition: Condition) {
    let mut told = store.condition();
    let told = tokio::time::timeout(PATIENCE, told.wait_for(|now| *now == condition));
    assert!(told.await.is_ok_and(|told| told.is_ok()), "in vain: {condition:?}");
}

fn counters(records: &[LogRecord]) -> Vec<u64> {
    records.iter().map(|record| record.batch.first).collect()
}

fn numbers(directory: &Path) -> Vec<u64> {
    let entries = std::fs::read_dir(directory).expect("it is there");
    let mut numbers: Vec<u64> =
        entries.filter_map(|entry| entry.expect("an entry").file_name().to_str()?.parse().ok()).collect();
    numbers.sort_unstable();
    numbers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_while_the_store_is_away_becomes_durable_when_it_is_back() {
    let (far, directory) = (Arc::new(Far::default()), tempfile::tempdir().expect("a directory"));
    let store = open(&far, directory.path(), 1 << 30).await.expect("it opens");
    store.load(&document("plan")).await.expect("it loads");
    store.append(vec![row("plan", 1, 10)]).await.expect("it is durable");
    far.set_away(true);
    let waiting = append(&store, vec![row("plan", 2, 10)]);
    becomes(&store, Condition::Away).await;
    store.health().await.expect("edits are taken");
    assert!(!waiting.is_finished(), "nothing is durable");
    far.set_away(false);
    waiting.await.expect("it ends").expect("it is durable");
    becomes(&store, Condition::Serving).await;
    assert_eq!(far.rows(&document("plan")).await, 2);
    assert_eq!(store.counts().outages, 1);
    store.close().await;
    assert!(numbers(directory.path()).is_empty(), "all is stored, so nothing has to stay");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_in_an_outage_serves_what_was_open_and_nothing_else() {
    let (far, directory) = (Arc::new(Far::default()), tempfile::tempdir().expect("a directory"));
    let version: VersionVector = VersionVector { dots: [(Actor(3), 9)].into() };
    let actors = vec![ActorRecord { actor: Actor(3), subject: "bob".into(), chain: None }];
    let snapshot = Bytes::from_static(b"the document until then");
    let inner = far.store.lock().clone();
    inner.commit_snapshot(&document("plan"), snapshot.clone(), version.clone(), actors).await.expect("it is stored");
    inner.append(vec![row("plan", 1, 10), row("other", 1, 10)]).await.expect("it is stored");

    let store = open(&far, directory.path(), 1 << 30).await.expect("it opens");
    store.load(&document("plan")).await.expect("it loads");
    store.append(vec![row("plan", 2, 10)]).await.expect("it is durable");
    far.set_away(true);
    let waiting = append(&store, vec![row("plan", 3, 10)]);
    becomes(&store, Condition::Away).await;
    until("the row is on this disk", async || {
        store.shared.disk.as_ref().expect("a spool").load(&document("plan")).await.expect("it loads").records.len() == 3
    })
    .await;
    crash(store, vec![waiting]).await;

    for again in 0..2 {
        let store = open(&far, directory.path(), 1 << 30).await.expect("it opens though the store is away");
        assert_eq!(*store.condition().borrow(), Condition::Away);
        assert_eq!(store.incarnation("plan").await.expect("it is known"), 0);
        let loaded = store.load(&document("plan")).await.expect("it is served");
        assert_eq!(
            loaded.snapshot.map(|stored| (stored.snapshot, stored.version)),
            Some((snapshot.clone(), version.clone()))
        );
        assert_eq!((loaded.records, counters(&loaded.spooled)), (Vec::new(), vec![1, 2, 3]), "{again}");
        let refused = store.load(&document("other")).await.expect_err("it was not open");
        assert!(refused.is_transient(), "{refused}");
        store.incarnation("other").await.expect_err("it was not open");
        if again == 0 {
            crash(store, Vec::new()).await;
            continue;
        }
        // A room goes on where it was: the same rows, and a new one.
        let waiting = append(&store, vec![row("plan", 3, 10), row("plan", 4, 10)]);
        far.set_away(false);
        waiting.await.expect("it ends").expect("it is durable");
        until("old generations are gone", async || numbers(directory.path()).len() == 1).await;
        assert_eq!(far.rows(&document("plan")).await, 4);
        // It is still held whole, in the generation that is left.
        assert!(store.shared.disk.as_ref().expect("a spool").is_based(&document("plan")));
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_earlier_life_left_is_drained_and_loaded_as_not_durable() {
    let (far, directory) = (Arc::new(Far::default()), tempfile::tempdir().expect("a directory"));
    let store = open(&far, directory.path(), 1 << 30).await.expect("it opens");
    far.set_away(true);
    let names: Vec<String> = (0..40).map(|number| format!("plan/{number}")).collect();
    let waiting = names.iter().map(|name| append(&store, vec![row(name, 1, 10)])).collect();
    until("all are on this disk", async || {
        let all = store.shared.disk.as_ref().expect("a spool").all();
        all.iter().map(|generation| generation.documents.lock().len()).sum::<usize>() == names.len()
    })
    .await;
    crash(store, waiting).await;

    let store = open(&far, directory.path(), 1 << 30).await.expect("it opens");
    far.set_away(false);
    for name in &names {
        until(name, async || far.rows(&document(name)).await == 1).await;
    }
    until("it is counted", async || store.counts().drained == 40).await;
    until("nothing is left", async || numbers(directory.path()).len() == 1).await;
    assert_eq!(store.load(&document("plan/7")).await.expect("it loads").spooled.len(), 0);
    store.close().await;

    // The far store refuses nothing, and a row that it lacks is not called durable by who loads it.
    let left = Loaded { records: vec![row("plan", 1, 1).record, row("plan", 2, 1).record], ..Loaded::default() };
    let stored = Loaded { records: vec![row("plan", 1, 1).record], ..Loaded::default() };
    let loaded = merge::with_left(stored, left);
    assert_eq!((counters(&loaded.records), counters(&loaded.spooled)), (vec![1], vec![2]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_spool_says_so_and_goes_on_when_it_is_drained() {
    let (far, directory) = (Arc::new(Far::default()), tempfile::tempdir().expect("a directory"));
    let store = open(&far, directory.path(), 100_000).await.expect("it opens");
    far.set_away(true);
    let mut waiting: Vec<_> = (1..=10).map(|counter| append(&store, vec![row("plan", counter, 10_000)])).collect();
    becomes(&store, Condition::Full).await;
    let refused = store.health().await.expect_err("edits are not taken");
    assert!(refused.to_string().contains("full"), "{refused}");
    waiting.push(append(&store, vec![row("plan", 11, 10)]));
    far.set_away(false);
    for append in waiting {
        append.await.expect("it ends").expect("it is durable");
    }
    becomes(&store, Condition::Serving).await;
    assert_eq!(far.rows(&document("plan")).await, 11);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_lost_what_it_had_not_synced_gets_it_again() {
    let (far, directory) = (Arc::new(Far::default()), tempfile::tempdir().expect("a directory"));
    *far.start.lock() = Some(1);
    let none = Options { directory: None, ..Options::default() };
    let refused = SpoolStore::open(Arc::new(Way(Arc::clone(&far))), &none).await.expect_err("nothing would be durable");
    assert!(matches!(&refused, StoreError::Refused { reason } if reason.contains("commitlog_sync")), "{refused}");

    let store = open(&far, directory.path(), 1 << 30).await.expect("it opens");
    store.append(vec![row("plan", 1, 10)]).await.expect("it is durable");
    assert_eq!(far.rows(&document("plan")).await, 1);
    // Its power is cut, and it comes back without the row.
    *far.store.lock() = MemoryStore::new();
    *far.start.lock() = Some(2);
    until("the row is there again", async || far.rows(&document("plan")).await == 1).await;
    // After a window without a start nothing has to be kept.
    until("nothing is kept", async || numbers(directory.path()).len() == 1).await;

    // This process dies with it, before anything was noticed.
    store.append(vec![row("plan", 2, 10)]).await.expect("it is durable");
    crash(store, Vec::new()).await;
    *far.store.lock() = MemoryStore::new();
    *far.start.lock() = Some(3);
    let store = open(&far, directory.path(), 1 << 30).await.expect("it opens");
    until("the row is there again", async || far.rows(&document("plan")).await == 1).await;
    store.close().await;
    assert!(!numbers(directory.path()).is_empty(), "nobody has seen yet that it is synced");
}
