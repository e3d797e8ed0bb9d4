//! The cluster's engine on a real cluster, whose nodes are killed and stopped under it: `cargo xtask test cql` runs this.
//!
//! `INKWIRE_CQL_STORE` is the store's address. `INKWIRE_CQL_HURT` is the command that hurts the cluster's nodes, `… kill 2`; without
//! it the cluster is not ours, and what needs it says that it was left out.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use inkwire_document::{Actor, VersionVector};
use inkwire_storage::scylla::driver::{self, CommitLog, Replication};
use inkwire_storage::scylla::{Options, ScyllaStore};
use inkwire_storage::{Append, DocumentKey, Store, StoreError};
use parking_lot::Mutex;
use scylla::client::session_builder::SessionBuilder;
use support::cluster::{address, init};
use support::{actors, record, snapshot_bytes};

const WRITERS: u64 = 20;
const DOCUMENTS: u64 = 4;

/// Rows that were acknowledged, by document and writer.
type Ledger = Arc<Mutex<BTreeMap<(u64, u64), u64>>>;

async fn connect() -> Arc<ScyllaStore> {
    let address = address().expect("INKWIRE_CQL_STORE names the store");
    init(&address).await;
    Arc::new(ScyllaStore::connect(&address, Options::default()).await.expect("the cluster is there"))
}

/// Names of one run, so that a cluster may serve many.
fn run_name() -> String {
    let directory = tempfile::tempdir().expect("a directory");
    directory.path().file_name().expect("it has a name").to_string_lossy().into_owned()
}

fn document(run: &str, number: u64) -> DocumentKey {
    DocumentKey::new(format!("{run}/{number}"), 0)
}

/// The command that hurts nodes, where the cluster is ours.
fn hurt(arguments: &[&str]) -> bool {
    let Some(command) = std::env::var_os("INKWIRE_CQL_HURT") else { return false };
    let status = Command::new(command).arg("cql").args(arguments).stdout(std::process::Stdio::null()).status();
    assert!(status.expect("it starts").success(), "cql {arguments:?}");
    true
}

/// Runs a blocking command while the runtime goes on.
async fn hurt_meanwhile(arguments: &'static [&'static str]) {
    assert!(tokio::task::spawn_blocking(|| hurt(arguments)).await.expect("it ends"));
}

fn is_ours() -> bool {
    let is_ours = std::env::var_os("INKWIRE_CQL_HURT").is_some();
    if !is_ours {
        eprintln!("left out: the cluster is not ours, so its nodes are not killed");
    }
    is_ours
}

/// Every writer appends `rows` more rows, one after the other, and enters what is acknowledged. Gives the longest wait.
async fn write(store: &Arc<ScyllaStore>, run: &str, ledger: &Ledger, rows: u64) -> Duration {
    let mut writers = tokio::task::JoinSet::new();
    for writer in 1..=WRITERS {
        let (store, ledger) = (store.clone(), ledger.clone());
        let number = writer % DOCUMENTS;
        let document = document(run, number);
        writers.spawn(async move {
            let mut longest = Duration::ZERO;
            for _ in 0..rows {
                let first = 1 + ledger.lock().get(&(number, writer)).copied().unwrap_or(0);
                let append = Append { document: document.clone(), record: record(writer, first, 1, 0) };
                let start = Instant::now();
                store
                    .append(vec![append])
                    .await
                    .unwrap_or_else(|error| panic!("writer {writer}, row {first}: {error}"));
                longest = longest.max(start.elapsed());
                ledger.lock().insert((number, writer), first);
            }
            longest
        });
    }
    writers.join_all().await.into_iter().max().unwrap_or_default()
}

/// Everything that was acknowledged is there, once, in order, as another process reads it.
async fn check(run: &str, ledger: &Ledger) {
    let store = connect().await;
    let expected = ledger.lock().clone();
    for number in 0..DOCUMENTS {
        let loaded = store.load(&document(run, number)).await.expect("it loads");
        let mut last: BTreeMap<u64, u64> = BTreeMap::new();
        for stored in &loaded.records {
            let (actor, first) = (stored.batch.actor.0, stored.batch.first);
            assert_eq!(*stored, record(actor, first, 1, 0), "document {number}");
            assert_eq!(last.insert(actor, first).unwrap_or(0) + 1, first, "document {number}, writer {actor}: order");
        }
        for ((of, writer), first) in &expected {
            let held = last.get(writer).copied().unwrap_or(0);
            assert!(*of != number || held >= *first, "document {number}, writer {writer}: {held} of {first} rows");
        }
    }
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_made_once_and_checked() {
    let mut address = address().expect("INKWIRE_CQL_STORE names the store");
    init(&address).await;
    driver::init(&address, Replication::default()).await.expect("it may be repeated");

    let ours = address.keyspace.clone();
    address.keyspace = "inkwire_nowhere".to_owned();
    let missing = ScyllaStore::connect(&address, Options::default()).await.expect_err("there are no tables");
    assert!(matches!(&missing, StoreError::Schema { found: None, .. }), "{missing}");
    assert!(missing.to_string().contains("inkwire store init"), "{missing}");

    let hosts = address.nodes.iter().map(|(host, port)| format!("{host}:{port}"));
    let session = SessionBuilder::new().known_nodes(hosts).build().await.expect("the cluster is there");
    address.keyspace = "inkwire_newer".to_owned();
    driver::init(&address, Replication(1)).await.expect("tables are made");
    session
        .query_unpaged("INSERT INTO inkwire_newer.meta (key, value) VALUES ('format', '2')", ())
        .await
        .expect("it is written");
    let newer = ScyllaStore::connect(&address, Options::default()).await.expect_err("the tables are newer");
    assert!(newer.to_string().contains("upgrade the relay"), "{newer}");
    let newer = driver::init(&address, Replication::default()).await.expect_err("and stay as they are");
    assert!(matches!(newer, StoreError::Schema { found: Some(2), supported: 1, .. }), "{newer}");
    session.query_unpaged("DROP KEYSPACE inkwire_newer", ()).await.expect("it is dropped");
    address.keyspace = ours;
    let store = ScyllaStore::connect(&address, Options::default()).await.expect("ours are as they were");
    if is_ours() {
        assert_eq!(store.commit_log(), Some(CommitLog::Synced), "the suite's cluster syncs in batches");
    }
    store.health().await.expect("it serves");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_snapshot_is_read_back_in_chunks() {
    let (store, run) = (connect().await, run_name());
    let mut version = VersionVector::new();
    version.dots.insert(Actor(1), 1_000_000);
    let bytes = snapshot_bytes(&version, 5 << 20);
    let of = document(&run, 0);
    store.commit_snapshot(&of, bytes.clone(), version.clone(), actors(&version)).await.expect("it is committed");
    let loaded = connect().await.load(&of).await.expect("it loads").snapshot.expect("it is there");
    assert!(loaded.snapshot == bytes && loaded.version == version);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_and_stopped_nodes_lose_nothing() {
    let (store, run, ledger) = (connect().await, run_name(), Ledger::default());
    let quiet = write(&store, &run, &ledger, 40).await;
    check(&run, &ledger).await;
    if !is_ours() {
        return;
    }
    let shown = |duration: Duration| format!("{} ms", duration.as_millis());
    eprintln!("longest wait for durable, all nodes up: {}", shown(quiet));

    // A node that hangs: nobody is told, and its connections stay open.
    hurt(&["pause", "2"]);
    let longest = write(&store, &run, &ledger, 40).await;
    hurt(&["resume", "2"]);
    eprintln!("longest wait for durable, one of three stopped: {}", shown(longest));

    // A node that dies, under the writers.
    let (longest, ()) = tokio::join!(write(&store, &run, &ledger, 80), hurt_meanwhile(&["kill", "3"]));
    eprintln!("longest wait for durable, one of three killed: {}", shown(longest));
    check(&run, &ledger).await;

    // Two of three: nothing is durable until one is back.
    hurt(&["kill", "2"]);
    let lone = Append { document: document(&run, 99), record: record(7, 1, 1, 0) };
    let refused = store.append(vec![lone.clone()]).await.expect_err("no quorum has it");
    assert!(refused.is_transient(), "{refused}");
    hurt(&["start", "2"]);
    loop {
        match store.append(vec![lone.clone()]).await {
            Ok(()) => break,
            Err(error) => assert!(error.is_transient(), "{error}"),
        }
    }
    let held: BTreeSet<u64> =
        store.load(&lone.document).await.expect("it loads").records.iter().map(|row| row.batch.first).collect();
    assert_eq!(held, [1].into(), "once, however often it was sent");

    // All of them: what was acknowledged was synced.
    for node in ["1", "2"] {
        hurt(&["kill", node]);
    }
    hurt_meanwhile(&["up", "--nodes", "3", "--sync", "batch", "--quick"]).await;
    check(&run, &ledger).await;
    write(&connect().await, &run, &ledger, 5).await;
    check(&run, &ledger).await;
}
