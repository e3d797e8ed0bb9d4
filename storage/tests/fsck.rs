//! Damaged embedded stores: what a check of everything finds, by kind and place. Pages are whole, and what is in them is not.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;

use inkwire_document::{Actor, Document, Position, Snapshot, fold};
use inkwire_protocol::record::{ActorRecord, LogRecord};
use inkwire_storage::check::check;
use inkwire_storage::embedded::Options;
use inkwire_storage::retention::Tier;
use inkwire_storage::{Append, DocumentKey, EmbeddedStore, Finding, HistoryRules, Retention, Store};
use redb::{Database, ReadableTable as _, TableDefinition};

const LOG: TableDefinition<&[u8], &[u8]> = TableDefinition::new("log");
const DOCUMENTS: TableDefinition<(&str, u64), &[u8]> = TableDefinition::new("documents");
const SEGMENTS: TableDefinition<(u64, u64), &[u8]> = TableDefinition::new("segments");
const SNAPSHOTS: TableDefinition<(u64, u64), &[u8]> = TableDefinition::new("snapshots");
const HISTORY: TableDefinition<(u64, u64), &[u8]> = TableDefinition::new("history");
const CHUNKS: TableDefinition<(u64, u64, u32), &[u8]> = TableDefinition::new("snapshot_chunks");

fn open(directory: &Path) -> EmbeddedStore {
    let keep_all = |_: &str| Retention {
        tiers: vec![Tier { every: std::time::Duration::from_millis(1), keep_for: std::time::Duration::MAX }],
        whole_log: false,
    };
    let clock = std::sync::atomic::AtomicU64::new(1_000);
    let history =
        HistoryRules::new(keep_all).on_clock(move || clock.fetch_add(1_000, std::sync::atomic::Ordering::Relaxed));
    EmbeddedStore::open(directory, &Options { history, ..Options::default() }).unwrap()
}

/// Two documents with an older and a newest snapshot and a row after it.
async fn fill(directory: &Path) {
    for name in ["acme/one", "acme/two"] {
        let key = DocumentKey::new(name, 0);
        let mut document = Document::new();
        document.set_actor(Actor(7), 1);
        let mut batches = Vec::new();
        for text in ["one", "two", "three"] {
            let store = open(directory);
            document.insert("body", Position::Scalar(0), text).unwrap();
            for batch in document.take_batches() {
                batches.push(batch.clone());
                let record = LogRecord::new(batch, "ada".into(), 1_000);
                store.append(vec![Append { document: key.clone(), record }]).await.unwrap();
            }
            if text != "three" {
                let snapshot = Snapshot::parse(fold(None, &batches).unwrap()).unwrap();
                let actors = vec![ActorRecord { actor: Actor(7), subject: "ada".into(), chain: None }];
                let (bytes, version) = (snapshot.bytes().clone(), snapshot.version().clone());
                store.commit_snapshot(&key, bytes, version, actors).await.unwrap();
            }
            store.close().await;
        }
    }
}

async fn findings(directory: &Path) -> Vec<Finding> {
    let store = open(directory);
    let mut findings = Vec::new();
    check(&store, None, |finding| findings.push(finding)).await.unwrap();
    store.close().await;
    findings
}

type Harm = fn(&redb::WriteTransaction);

/// What is done to the tables of document 1, `acme/one`; whether it is damage; and what a finding says.
const HARMS: &[(&str, Harm, bool, &str)] = &[
    (
        "a row is changed",
        |transaction| {
            let mut log = transaction.open_table(LOG).unwrap();
            let first = log.first().unwrap().unwrap();
            let (key, mut value) = (first.0.value().to_vec(), first.1.value().to_vec());
            drop(first);
            value[20] ^= 1;
            log.insert(key.as_slice(), value.as_slice()).unwrap();
        },
        true,
        "checksum",
    ),
    (
        "a row is gone",
        |transaction| drop(transaction.open_table(LOG).unwrap().pop_first().unwrap()),
        true,
        "instead of",
    ),
    (
        "a chunk of the newest snapshot is gone",
        |transaction| drop(transaction.open_table(CHUNKS).unwrap().remove((1, 2, 0)).unwrap()),
        true,
        "the row is missing",
    ),
    (
        "a chunk of an older snapshot is gone",
        |transaction| drop(transaction.open_table(CHUNKS).unwrap().remove((1, 1, 0)).unwrap()),
        true,
        "the row is missing",
    ),
    (
        "an older snapshot is gone",
        |transaction| drop(transaction.open_table(SNAPSHOTS).unwrap().remove((1, 1)).unwrap()),
        true,
        "the row is missing",
    ),
    (
        "a name's row is changed",
        |transaction| drop(transaction.open_table(HISTORY).unwrap().insert((1, 1), &[0; 18][..]).unwrap()),
        true,
        "checksum",
    ),
    (
        "a document's row is changed",
        |transaction| drop(transaction.open_table(DOCUMENTS).unwrap().insert(("acme/one", 0), &[0; 32][..]).unwrap()),
        true,
        "checksum",
    ),
    (
        "a chunk is left over",
        |transaction| drop(transaction.open_table(CHUNKS).unwrap().insert((1, 9, 0), &[0; 9][..]).unwrap()),
        false,
        "chunks of snapshot 9",
    ),
    (
        "a snapshot is left over",
        |transaction| drop(transaction.open_table(SNAPSHOTS).unwrap().insert((8, 1), &[0; 9][..]).unwrap()),
        false,
        "snapshot 1 of document 8",
    ),
    (
        "a segment is left over",
        |transaction| drop(transaction.open_table(SEGMENTS).unwrap().insert((8, 1), &[0; 9][..]).unwrap()),
        false,
        "segment 1 of document 8",
    ),
    (
        "rows are left over",
        |transaction| drop(transaction.open_table(LOG).unwrap().insert(&[1; 64][..], &[0; 9][..]).unwrap()),
        false,
        "1 rows of segment",
    ),
];

#[tokio::test]
async fn every_harm_is_found_and_named() {
    for (name, harm, is_damage, expected) in HARMS {
        let directory = tempfile::tempdir().unwrap();
        fill(directory.path()).await;
        assert_eq!(findings(directory.path()).await, [], "{name}");
        let tables = Database::open(directory.path().join("store.redb")).unwrap();
        let transaction = tables.begin_write().unwrap();
        harm(&transaction);
        transaction.commit().unwrap();
        drop(tables);
        let found = findings(directory.path()).await;
        let says = |finding: &Finding| finding.reason.contains(expected) || finding.place.contains(expected);
        assert!(found.iter().any(|finding| says(finding) && finding.is_damage == *is_damage), "{name}: {found:?}");
        if *is_damage {
            assert!(found.iter().any(|finding| finding.place.contains("acme/one")), "{name}: {found:?}");
        } else {
            assert!(found.iter().all(|finding| !finding.is_damage), "{name}: {found:?}");
        }
        // The other document is well.
        assert!(!found.iter().any(|finding| finding.place.contains("acme/two")), "{name}: {found:?}");
    }
}
