//! What the side of a store off the path of edits promises, on every engine that has it: lists, history, deleting, checks, copies.
#![cfg(feature = "scylla")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use inkwire_document::{Actor, Document, Position, Snapshot, fold};
use inkwire_protocol::record::{ActorRecord, LogRecord};
use inkwire_storage::check::check;
use inkwire_storage::copy::{compare, copy};
use inkwire_storage::embedded::Options;
use inkwire_storage::retention::Tier;
use inkwire_storage::{
    Append, Archive, DocumentKey, EmbeddedStore, Finding, HistoryRules, MemoryStore, Retention, Store, StoreError,
    StoredSnapshot,
};

const HOUR: u64 = 3_600_000;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Engine {
    Memory,
    Embedded,
    /// The cluster's engine on a cluster in memory. It keeps no older snapshots.
    Model,
    /// Rows move into the tables at once, and it is opened anew after every step.
    EmbeddedReopened,
}

const ENGINES: [Engine; 3] = [Engine::Memory, Engine::Embedded, Engine::EmbeddedReopened];

const ALL: [Engine; 4] = [Engine::Memory, Engine::Embedded, Engine::EmbeddedReopened, Engine::Model];

/// An engine with a clock of its own: the snapshots of every hour are kept for a day, and the log of `law/**`.
struct Bench {
    engine: Engine,
    directory: tempfile::TempDir,
    clock: Arc<AtomicU64>,
    store: Option<Arc<dyn Store>>,
}

fn rules(clock: &Arc<AtomicU64>) -> HistoryRules {
    let clock = clock.clone();
    let rule = |name: &str| Retention {
        tiers: vec![Tier { every: Duration::from_millis(HOUR), keep_for: Duration::from_millis(24 * HOUR) }],
        whole_log: name.starts_with("law/"),
    };
    HistoryRules::new(rule).on_clock(move || clock.load(Ordering::Relaxed))
}

fn open(engine: Engine, directory: &Path, clock: &Arc<AtomicU64>) -> Arc<dyn Store> {
    match engine {
        Engine::Memory => Arc::new(MemoryStore::with_rules(rules(clock))),
        Engine::Model => support::cluster::model(directory),
        _ => {
            let journal_bytes = if engine == Engine::EmbeddedReopened { 1 } else { 16 << 20 };
            let options = Options { journal_bytes, history: rules(clock), ..Options::default() };
            Arc::new(EmbeddedStore::open(directory, &options).unwrap())
        }
    }
}

impl Bench {
    fn new(engine: Engine) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(AtomicU64::new(1_000_000 * HOUR));
        let store = Some(open(engine, directory.path(), &clock));
        Self { engine, directory, clock, store }
    }

    fn store(&self) -> &dyn Store {
        &**self.store.as_ref().unwrap()
    }

    fn archive(&self) -> &dyn Archive {
        self.store().archive().unwrap()
    }

    fn pass(&self, millis: u64) {
        self.clock.fetch_add(millis, Ordering::Relaxed);
    }

    async fn step(&mut self) {
        if self.engine == Engine::EmbeddedReopened {
            self.store().close().await;
            self.store = None;
            self.store = Some(open(self.engine, self.directory.path(), &self.clock));
        }
    }

    async fn keys(&self, document: &DocumentKey) -> Vec<(u64, u64)> {
        let mut keys = std::collections::BTreeSet::new();
        let mut page = Some(None);
        while let Some(place) = page {
            let read = self.archive().log(document, place).await.unwrap();
            keys.extend(read.records.iter().map(|record| (record.batch.actor.0, record.batch.first)));
            page = read.next.map(Some);
        }
        keys.into_iter().collect()
    }
}

/// One author of one document: what it wrote, and snapshots of it.
struct Author {
    key: DocumentKey,
    document: Document,
    records: Vec<LogRecord>,
}

impl Author {
    fn new(name: &str, incarnation: u64) -> Self {
        let mut document = Document::new();
        document.set_actor(Actor(7), 1);
        Self { key: DocumentKey::new(name, incarnation), document, records: Vec::new() }
    }

    async fn write(&mut self, store: &dyn Store, text: &str) {
        self.document.insert("body", Position::Scalar(0), text).unwrap();
        let batches = self.document.take_batches();
        let records: Vec<LogRecord> =
            batches.into_iter().map(|batch| LogRecord::new(batch, "ada".into(), 1_000)).collect();
        self.records.extend(records.iter().cloned());
        let appends = records.into_iter().map(|record| Append { document: self.key.clone(), record });
        store.append(appends.collect()).await.unwrap();
    }

    fn snapshot(&self) -> StoredSnapshot {
        let batches: Vec<_> = self.records.iter().map(|record| record.batch.clone()).collect();
        let snapshot = Snapshot::parse(fold(None, &batches).unwrap()).unwrap();
        let actors = vec![ActorRecord { actor: Actor(7), subject: "ada".into(), chain: None }];
        StoredSnapshot { version: snapshot.version().clone(), snapshot: snapshot.bytes().clone(), actors }
    }

    async fn fold(&self, store: &dyn Store) {
        let StoredSnapshot { snapshot, version, actors } = self.snapshot();
        store.commit_snapshot(&self.key, snapshot, version, actors).await.unwrap();
    }
}

async fn findings(store: &dyn Store) -> Vec<Finding> {
    let mut findings = Vec::new();
    check(store, None, |finding| findings.push(finding)).await.unwrap();
    findings
}

#[tokio::test]
async fn snapshots_and_logs_are_kept_by_the_rules_across_folds() {
    for engine in ENGINES {
        for name in ["acme/plan", "law/contract"] {
            let mut bench = Bench::new(engine);
            let mut author = Author::new(name, 0);
            // Two folds an hour for two days.
            for half_hour in 0..96 {
                author.write(bench.store(), "x").await;
                author.fold(bench.store()).await;
                if half_hour == 3 {
                    let named = author.snapshot();
                    bench.archive().keep(&author.key, named, 5, Some("first draft")).await.unwrap();
                }
                bench.pass(HOUR / 2);
                if half_hour % 24 == 0 {
                    bench.step().await;
                }
            }
            let entries = bench.archive().snapshots(&author.key).await.unwrap();
            assert_eq!(entries.iter().filter(|entry| entry.is_current).count(), 1, "{engine:?}");
            let hourly = entries.iter().filter(|entry| !entry.is_current && entry.name.is_none()).count();
            assert!((24..=26).contains(&hourly), "{engine:?}: {hourly}");
            let named: Vec<_> = entries.iter().filter(|entry| entry.name.as_deref() == Some("first draft")).collect();
            assert_eq!(named.len(), 1, "{engine:?}");
            let stored = bench.archive().snapshot(&author.key, named[0].number).await.unwrap().unwrap();
            let mut document = Document::new();
            document.merge(&Snapshot::parse(stored.snapshot).unwrap()).unwrap();
            assert_eq!(document.text("body").to_string(), "xxxx", "{engine:?}");
            let rows = bench.keys(&author.key).await.len();
            if name.starts_with("law/") {
                assert_eq!(rows, 96, "{engine:?}");
            } else {
                // What was in a journal when it was covered goes with the fold after it is settled.
                let most = match engine {
                    Engine::Memory | Engine::Model => 0,
                    Engine::Embedded => 96,
                    Engine::EmbeddedReopened => 8,
                };
                assert!(rows <= most, "{engine:?}: {rows}");
            }
            // What is kept costs opening nothing.
            assert!(bench.store().load(&author.key).await.unwrap().records.is_empty(), "{engine:?}");
            assert_eq!(findings(bench.store()).await, [], "{engine:?}");
        }
    }
}

#[tokio::test]
async fn a_name_is_given_once() {
    for engine in ENGINES {
        let mut bench = Bench::new(engine);
        let mut author = Author::new("acme/plan", 0);
        author.write(bench.store(), "one").await;
        let first = bench.archive().keep(&author.key, author.snapshot(), 5, Some("v1")).await.unwrap();
        bench.step().await;
        assert_eq!(bench.archive().keep(&author.key, author.snapshot(), 9, Some("v1")).await.unwrap(), first);
        author.write(bench.store(), "two").await;
        let refused = bench.archive().keep(&author.key, author.snapshot(), 9, Some("v1")).await;
        assert!(matches!(refused, Err(StoreError::Refused { .. })), "{engine:?}: {refused:?}");
        assert!(bench.archive().keep(&author.key, author.snapshot(), 9, Some("")).await.is_err());
        // It goes on.
        bench.archive().keep(&author.key, author.snapshot(), 9, Some("v2")).await.unwrap();
        assert_eq!(bench.archive().snapshots(&author.key).await.unwrap().len(), 2);
    }
}

#[tokio::test]
async fn what_is_deleted_is_gone_for_ever_and_its_late_writers_are_told() {
    for engine in ALL {
        let mut bench = Bench::new(engine);
        let mut author = Author::new("law/contract", 0);
        for text in ["one", "two", "three"] {
            author.write(bench.store(), text).await;
            author.fold(bench.store()).await;
        }
        author.write(bench.store(), "four").await;
        let mut other = Author::new("law/other", 0);
        other.write(bench.store(), "stays").await;
        bench.step().await;
        bench.archive().delete(&author.key, 77).await.unwrap();
        for _ in 0..2 {
            // Again, and after a restart: the same.
            bench.archive().delete(&author.key, 77).await.unwrap();
            let again = bench.archive().delete(&author.key, 78).await;
            assert!(matches!(again, Err(StoreError::Deleted { .. })), "{engine:?}: {again:?}");
            assert_eq!(bench.store().incarnation("law/contract").await.unwrap(), 77);
            let late = Append { document: author.key.clone(), record: author.records[0].clone() };
            let late = bench.store().append(vec![late]).await;
            assert!(matches!(late, Err(StoreError::Deleted { .. })), "{engine:?}: {late:?}");
            let StoredSnapshot { snapshot, version, actors } = author.snapshot();
            let late = bench.store().commit_snapshot(&author.key, snapshot, version, actors).await;
            assert!(matches!(late, Err(StoreError::Deleted { .. })), "{engine:?}: {late:?}");
            assert!(matches!(bench.store().load(&author.key).await, Err(StoreError::Deleted { .. })));
            assert_eq!(bench.archive().documents(None, 10).await.unwrap(), [other.key.clone()], "{engine:?}");
            assert_eq!(findings(bench.store()).await, [], "{engine:?}");
            bench.step().await;
        }
        // The name's next life begins with nothing.
        let mut next = Author::new("law/contract", 77);
        assert!(bench.store().load(&next.key).await.unwrap().records.is_empty());
        next.write(bench.store(), "new").await;
        assert_eq!(bench.keys(&next.key).await, [(7, 1)]);
        assert_eq!(bench.archive().deleted(None, 10).await.unwrap(), [next.key.clone()]);
        assert_eq!(bench.archive().deleted(Some("law/contract"), 10).await.unwrap(), []);
    }
}

#[tokio::test]
async fn documents_are_listed_page_by_page() {
    for engine in ALL {
        let bench = Bench::new(engine);
        let mut expected = Vec::new();
        for number in 0..7 {
            let mut author = Author::new(&format!("acme/{number}"), 0);
            author.write(bench.store(), "x").await;
            if number % 2 == 0 {
                author.fold(bench.store()).await;
            }
            expected.push(author.key);
        }
        let mut listed = Vec::new();
        loop {
            let page = bench.archive().documents(listed.last(), 3).await.unwrap();
            listed.extend(page.iter().cloned());
            if page.len() < 3 {
                break;
            }
        }
        assert_eq!(listed, expected, "{engine:?}");
    }
}

#[tokio::test]
async fn a_gap_and_a_wrong_digest_are_found() {
    // The cluster's engine looks at digests whenever it reads, so that its document does not open at all.
    for engine in ENGINES {
        let mut bench = Bench::new(engine);
        let mut author = Author::new("acme/plan", 0);
        for text in ["one", "two", "three"] {
            author.write(bench.store(), text).await;
        }
        assert_eq!(findings(bench.store()).await, []);
        let copy = DocumentKey::new("acme/copy", 0);
        let mut wrong = author.records[2].clone();
        wrong.digest = author.records[0].digest;
        let rows = [author.records[0].clone(), wrong];
        let rows = rows.map(|record| Append { document: copy.clone(), record });
        bench.store().append(rows.into()).await.unwrap();
        bench.step().await;
        let found = findings(bench.store()).await;
        let reasons: Vec<&str> = found.iter().map(|finding| finding.reason.as_str()).collect();
        assert_eq!(found.len(), 2, "{engine:?}: {found:?}");
        assert!(reasons.iter().any(|reason| reason.contains("counters 4 to 6 are missing")), "{reasons:?}");
        assert!(reasons.iter().any(|reason| reason.contains("do not match their digest")), "{reasons:?}");
        assert!(found.iter().all(|finding| finding.is_damage && finding.place.contains("acme/copy")), "{found:?}");
    }
}

#[tokio::test]
async fn a_copy_is_the_same_and_may_be_begun_again() {
    let ways = [
        (Engine::Memory, Engine::EmbeddedReopened),
        (Engine::Embedded, Engine::Memory),
        (Engine::Embedded, Engine::Model),
        (Engine::Model, Engine::Embedded),
    ];
    for (from, to) in ways {
        let source = Bench::new(from);
        for name in ["acme/plan", "law/contract"] {
            let mut author = Author::new(name, 0);
            for text in ["one", "two", "three"] {
                author.write(source.store(), text).await;
                source.pass(HOUR);
                author.fold(source.store()).await;
            }
            author.write(source.store(), "four").await;
            if source.archive().keeps_history() {
                source.archive().keep(&author.key, author.snapshot(), 9, Some("v1")).await.unwrap();
            }
        }
        let gone = Author::new("acme/gone", 0);
        source.archive().delete(&gone.key, 5).await.unwrap();

        let mut target = Bench::new(to);
        target.clock.store(source.clock.load(Ordering::Relaxed), Ordering::Relaxed);
        // A part of it is there from a copy that was cut off.
        let first = source.archive().log(&DocumentKey::new("law/contract", 0), None).await.unwrap().records;
        let rows = first.into_iter().map(|record| Append { document: DocumentKey::new("law/contract", 0), record });
        target.store().append(rows.collect()).await.unwrap();
        let mut steps = Vec::new();
        let done = copy(source.store(), target.store(), |progress| steps.push(progress.documents)).await.unwrap();
        assert_eq!((steps, done.documents), (vec![1, 2], 2));
        target.step().await;
        let mut differences = Vec::new();
        let mut note = |key: &DocumentKey, what: &'static str| differences.push((key.to_string(), what));
        assert_eq!(compare(source.store(), target.store(), &mut note).await.unwrap(), 2);
        assert_eq!(differences, [], "{from:?} to {to:?}");
        assert_eq!(target.store().incarnation("acme/gone").await.unwrap(), 5);
        let law = DocumentKey::new("law/contract", 0);
        if to != Engine::Model && from != Engine::Model {
            assert_eq!(source.keys(&law).await, target.keys(&law).await);
        }
        assert_eq!(findings(target.store()).await, []);
        // Again: nothing is written.
        let again = copy(source.store(), target.store(), |_| ()).await.unwrap();
        assert_eq!((again.documents, again.rows, again.snapshots), (2, 0, 0), "{from:?} to {to:?}");
        // A difference is seen.
        Author::new("acme/more", 0).write(target.store(), "x").await;
        let mut differences = Vec::new();
        compare(source.store(), target.store(), |key, what| differences.push((key.to_string(), what))).await.unwrap();
        assert_eq!(differences, [("acme/more".to_owned(), "only the second store has it")]);
    }
}
