//! What the embedded engine promises beside the contract: one sync for all that wait, one process, one format, and
//! rows that vouch for themselves.

mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use inkwire_storage::embedded::Options;
use inkwire_storage::{Append, EmbeddedStore, Store, StoreError};
use redb::{Database, ReadableTable, TableDefinition};
use support::disk::SimulatedDisk;
use support::{append, document, record, summary};

fn open(directory: &Path) -> Result<EmbeddedStore, StoreError> {
    EmbeddedStore::open(directory, &Options::default())
}

#[tokio::test]
async fn all_that_wait_share_one_sync() {
    let disk = SimulatedDisk::new();
    let store = Arc::new(EmbeddedStore::open_on(Arc::new(disk.clone()), &Options::default()).unwrap());
    disk.hold_syncs();
    let mut calls = tokio::task::JoinSet::new();
    let called = Arc::new(AtomicU64::new(0));
    let mut call = |actor| {
        let (store, called) = (store.clone(), called.clone());
        calls.spawn(async move {
            // Counted and handed over without a pause between the two: the runtime has one thread.
            called.fetch_add(1, Ordering::Relaxed);
            store.append(vec![append(actor, actor, 1, 1)]).await
        });
    };
    call(1);
    while called.load(Ordering::Relaxed) < 1 {
        tokio::task::yield_now().await;
    }
    disk.wait_for_held_sync();
    let before = disk.syncs();
    for actor in 2..=1000 {
        call(actor);
    }
    while called.load(Ordering::Relaxed) < 1000 {
        tokio::task::yield_now().await;
    }
    disk.release_syncs();
    while let Some(result) = calls.join_next().await {
        result.unwrap().unwrap();
    }
    // That of the first, one for all the others, and that of the mark should the machine be slow enough for a pause.
    let syncs = disk.syncs() - before;
    assert!((2..=3).contains(&syncs), "{syncs}");
}

#[tokio::test]
async fn a_full_queue_makes_callers_wait() {
    let disk = SimulatedDisk::new();
    let options = Options { queue_bytes: 1 << 20, ..Options::default() };
    let store = Arc::new(EmbeddedStore::open_on(Arc::new(disk.clone()), &options).unwrap());
    disk.hold_syncs();
    let mut calls = tokio::task::JoinSet::new();
    for first in 1..=40 {
        let store = store.clone();
        calls.spawn(async move {
            let mut record = record(1, first, 1, 0);
            record.batch.operations = vec![first as u8; 100_000].into();
            // One call is larger than the whole queue.
            let records = if first == 20 { vec![record; 12] } else { vec![record] };
            let records = records.into_iter().map(|record| Append { document: document(1), record });
            store.append(records.collect()).await
        });
    }
    // The first call is in its sync; whoever finds no room waits.
    tokio::task::yield_now().await;
    disk.wait_for_held_sync();
    disk.release_syncs();
    while let Some(result) = calls.join_next().await {
        result.unwrap().unwrap();
    }
    assert_eq!(store.load(&document(1)).await.unwrap().records.len(), 40);
}

#[tokio::test]
async fn one_process_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a/b");
    let first = open(&path).unwrap();
    let error = open(&path).unwrap_err();
    assert!(matches!(&error, StoreError::Locked { directory } if *directory == path), "{error}");
    first.close().await;
    open(&path).unwrap();
    assert!(matches!(first.health().await, Err(StoreError::Closed)));
    drop(open(&path).unwrap());
    open(&path).unwrap();
}

#[tokio::test]
async fn another_format_is_refused_by_number() {
    const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
    for (found, advice) in [(0, "older"), (2, "newer"), (77, "newer")] {
        // In the tables.
        let directory = tempfile::tempdir().unwrap();
        open(directory.path()).unwrap().close().await;
        let tables = Database::open(directory.path().join("store.redb")).unwrap();
        let transaction = tables.begin_write().unwrap();
        transaction.open_table(META).unwrap().insert("format", u64::from(found)).unwrap();
        transaction.commit().unwrap();
        drop(tables);
        check_format(&open(directory.path()).unwrap_err(), found, advice);

        // In a journal.
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path()).unwrap();
        store.append(vec![append(1, 1, 1, 1)]).await.unwrap();
        drop(store);
        let files = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path());
        let journal = files.into_iter().find(|path| path.to_string_lossy().contains("journal-")).unwrap();
        let mut bytes = std::fs::read(&journal).unwrap();
        bytes[8..12].copy_from_slice(&found.to_le_bytes());
        let sum = blake3::hash(&bytes[..28]);
        bytes[28..36].copy_from_slice(&sum.as_bytes()[..8]);
        std::fs::write(&journal, bytes).unwrap();
        check_format(&open(directory.path()).unwrap_err(), found, advice);
    }
}

fn check_format(error: &StoreError, expected: u32, advice: &str) {
    assert!(matches!(error, StoreError::Format { found, supported: 1, .. } if *found == expected), "{error}");
    assert!(error.to_string().contains(advice), "{error}");
}

/// Pages are whole and rows are not: what a fault in memory before the write would leave.
#[tokio::test]
async fn a_row_that_is_wrong_missing_or_extra_fails_its_document_alone() {
    const LOG: TableDefinition<&[u8], &[u8]> = TableDefinition::new("log");
    for (kind, reason) in [("changed", "checksum"), ("removed", "instead of"), ("moved", "checksum")] {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path()).unwrap();
        store.append(vec![append(1, 1, 1, 1), append(1, 2, 1, 1), append(2, 1, 1, 1)]).await.unwrap();
        store.close().await;

        let tables = Database::open(directory.path().join("store.redb")).unwrap();
        let transaction = tables.begin_write().unwrap();
        {
            let mut log = transaction.open_table(LOG).unwrap();
            let first = log.first().unwrap().unwrap();
            let (mut key, mut value) = (first.0.value().to_vec(), first.1.value().to_vec());
            drop(first);
            match kind {
                "changed" => {
                    value[20] ^= 1;
                    log.insert(key.as_slice(), value.as_slice()).unwrap();
                }
                "removed" => drop(log.remove(key.as_slice()).unwrap()),
                _ => {
                    log.remove(key.as_slice()).unwrap();
                    key[31] += 1;
                    log.insert(key.as_slice(), value.as_slice()).unwrap();
                }
            }
        }
        transaction.commit().unwrap();
        drop(tables);

        let store = open(directory.path()).unwrap();
        let mut failed = 0;
        for number in 1..=2 {
            match store.load(&document(number)).await {
                Ok(loaded) => assert_eq!(summary(&loaded).1.len(), if number == 1 { 2 } else { 1 }, "{kind}"),
                Err(error @ StoreError::Corrupt { .. }) => {
                    failed += 1;
                    let message = error.to_string();
                    assert!(message.contains("store.redb") && message.contains("table `log`"), "{message}");
                    assert!(message.contains(&*document(number).name) && message.contains(reason), "{message}");
                }
                Err(error) => panic!("{kind}: {error}"),
            }
        }
        assert_eq!(failed, 1, "{kind}");
        store.health().await.unwrap();
    }
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_nothing_is_stored() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).unwrap();
    let mut large = record(1, 1, 1, 0);
    large.batch.operations = vec![0; (16 << 20) + 1].into();
    let mut talkative = record(1, 1, 1, 0);
    talkative.subject = "s".repeat(70_000).into();
    for (record, bytes, limit) in [(large, (16 << 20) + 1, 16 << 20), (talkative, 70_000, 65_535)] {
        let error = store.append(vec![append(1, 1, 2, 1), Append { document: document(1), record }]).await.unwrap_err();
        let StoreError::TooLarge { bytes: found, limit: of, .. } = error else { panic!("{error}") };
        assert_eq!((found, of), (bytes, limit));
        assert_eq!(summary(&store.load(&document(1)).await.unwrap()).1, []);
    }
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_its_call_whole_and_the_queue_usable() {
    let disk = SimulatedDisk::new();
    let options = Options { queue_bytes: 1 << 20, ..Options::default() };
    let store = Arc::new(EmbeddedStore::open_on(Arc::new(disk.clone()), &options).unwrap());
    for round in 0..50 {
        disk.hold_syncs();
        let mut calls = Vec::new();
        for call in 0..3 {
            let (store, first) = (store.clone(), 1 + round * 10 + call * 3);
            // Nearly half of the queue: the third of a round has to wait for room.
            let mut large = record(1, first + 1, 1, 0);
            large.batch.operations = vec![1; 400_000].into();
            let rows = vec![append(1, 1, first, 1), Append { document: document(1), record: large }];
            calls.push(tokio::spawn(async move { store.append(rows).await }));
        }
        tokio::task::yield_now().await;
        disk.wait_for_held_sync();
        for call in calls {
            call.abort();
        }
        tokio::task::yield_now().await;
        disk.release_syncs();
        store.append(vec![append(2, 1, 1 + round, 1)]).await.unwrap();
    }
    let loaded = store.load(&document(1)).await.unwrap();
    let firsts: Vec<u64> = loaded.records.iter().map(|record| record.batch.first).collect();
    assert!(firsts.len() >= 50, "the calls that were being written are there");
    for pair in firsts.chunks(2) {
        assert_eq!(pair[1], pair[0] + 1, "a call is there as a whole or not at all");
    }
    assert_eq!(store.load(&document(2)).await.unwrap().records.len(), 50);
}
