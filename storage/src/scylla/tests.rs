//! Schedules on virtual time: each loses an edit, or says more than is true, where a rule of the engine is missing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use inkwire_document::{Actor, Batch, Document, Position, Snapshot, VersionVector, fold};
use inkwire_protocol::record::{ActorRecord, LogRecord};
use tokio::time::{Instant, sleep};

use super::cluster::{Cluster as _, SegmentId};
use super::fence::Rules;
use super::model::{Fate, ModelCluster, Statement};
use super::segments::Size;
use super::{Options, ScyllaStore};
use crate::error::StoreError;
use crate::store::{Append, DocumentKey, Loaded, Store};

const HOUR: Duration = Duration::from_secs(3600);

/// Longer than a grace.
const SWEPT: Duration = Duration::from_secs(90);

fn document() -> DocumentKey {
    DocumentKey::new("acme/specs/roadmap", 0)
}

fn record(actor: u64, first: u64) -> LogRecord {
    let operations = Bytes::from(format!("operation {first} of {actor}"));
    logged(Batch { actor: Actor(actor), first, count: 1, operations })
}

fn logged(batch: Batch) -> LogRecord {
    LogRecord::new(batch, "ada".into(), 1_700_000_000_000)
}

fn by_ada(actor: Actor) -> ActorRecord {
    ActorRecord { actor, subject: "ada".into(), chain: None }
}

fn open(cluster: &ModelCluster) -> Arc<ScyllaStore> {
    Arc::new(ScyllaStore::on(Arc::new(cluster.clone()), Options::default()))
}

async fn append(store: &ScyllaStore, record: LogRecord) -> Result<(), StoreError> {
    store.append(vec![Append { document: document(), record }]).await
}

/// Commits a snapshot that covers these dots; what it says is of no matter.
async fn commit(store: &ScyllaStore, dots: &[(u64, u64)]) -> Result<(), StoreError> {
    let mut version = VersionVector::new();
    version.dots.extend(dots.iter().map(|(actor, counter)| (Actor(*actor), *counter)));
    let actors = dots.iter().map(|(actor, _)| by_ada(Actor(*actor))).collect();
    store.commit_snapshot(&document(), Bytes::from_static(b"state"), version, actors).await
}

/// What a load holds: what the snapshot covers, and the rows.
async fn held(store: &ScyllaStore) -> (Vec<(u64, u64)>, Vec<(u64, u64)>) {
    let Loaded { snapshot, records, .. } = store.load(&document()).await.expect("it loads");
    let covered = snapshot.map(|snapshot| snapshot.version).unwrap_or_default();
    let rows = records.iter().map(|record| (record.batch.actor.0, record.batch.first));
    (covered.dots.iter().map(|(actor, counter)| (actor.0, *counter)).collect(), rows.collect())
}

/// The first such statement meets `fate`, all others are done.
fn once(cluster: &ModelCluster, statement: Statement, fate: Fate) {
    let met = AtomicU32::new(0);
    cluster.judge(
        move |next| {
            if next == statement && met.fetch_add(1, Ordering::Relaxed) == 0 { fate } else { Fate::Done }
        },
    );
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_was_stopped_for_an_hour_writes_again_elsewhere() {
    // Its write lands in a segment that is gone by then, or was sealed; its answer comes in time for nothing.
    for fate in [Fate::Later(HOUR), Fate::AnsweredLater(HOUR), Fate::Later(Duration::from_secs(11))] {
        let cluster = ModelCluster::new();
        let mine = cluster.seen_by_another();
        let (writer, folder) = (open(&mine), open(&cluster));
        append(&writer, record(1, 1)).await.expect("it is stored");
        once(&mine, Statement::Write, fate);
        let late = tokio::spawn({
            let writer = writer.clone();
            async move { append(&writer, record(1, 2)).await }
        });
        sleep(Duration::from_secs(1)).await;
        let rows = held(&folder).await.1;
        commit(&folder, &[(1, rows.len() as u64)]).await.expect("it is committed");
        late.await.expect("it ends").expect("it is stored");
        sleep(SWEPT).await;
        let (covered, rows) = held(&folder).await;
        assert!(covered == [(1, 2)] || rows == [(1, 2)], "{fate:?}: {covered:?} {rows:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_row_that_came_under_the_seal_keeps_its_segment() {
    let cluster = ModelCluster::new();
    let mine = cluster.seen_by_another();
    let (writer, folder) = (open(&mine), open(&cluster));
    append(&writer, record(1, 1)).await.expect("it is stored");
    once(&mine, Statement::Write, Fate::Later(Duration::from_secs(9)));
    let late = tokio::spawn({
        let writer = writer.clone();
        async move { append(&writer, record(1, 2)).await }
    });
    sleep(Duration::from_secs(1)).await;
    commit(&folder, &[(1, 1)]).await.expect("it is committed");
    late.await.expect("it ends").expect("it was in time");
    assert_eq!(writer.counts().repeated_writes, 0, "it is durable where it is");
    sleep(SWEPT).await;
    assert_eq!(held(&folder).await, (vec![(1, 1)], vec![(1, 2)]));
    assert_eq!(folder.counts().segments_deleted, 0);
    // The next snapshot covers it, and then it goes.
    commit(&folder, &[(1, 2)]).await.expect("it is committed");
    sleep(SWEPT).await;
    assert_eq!(held(&folder).await, (vec![(1, 2)], vec![]));
    assert_eq!(folder.counts().segments_deleted, 1);
}

#[tokio::test(start_paused = true)]
async fn a_lone_edit_checks_its_segment_beside_the_write() {
    let cluster = ModelCluster::new();
    let statements = Arc::new(AtomicU32::new(0));
    let counted = statements.clone();
    cluster.judge(move |statement| {
        if statement == Statement::Segment {
            counted.fetch_add(1, Ordering::Relaxed);
        }
        Fate::AnsweredLater(Duration::from_millis(2))
    });
    let writer = open(&cluster);
    append(&writer, record(1, 1)).await.expect("it is stored");
    for first in 2..=10 {
        sleep(Duration::from_secs(30)).await;
        let start = Instant::now();
        append(&writer, record(1, first)).await.expect("it is stored");
        assert_eq!(start.elapsed(), Duration::from_millis(2), "one round trip");
    }
    assert_eq!(statements.load(Ordering::Relaxed), 9, "one check each");
    assert_eq!(cluster.partition_rows(), [10]);
}

/// A document with a text, edited by `actor`.
fn edited(base: &Document, actor: u64, text: &str) -> Vec<Batch> {
    let mut replica = Document::new();
    replica.merge(&Snapshot::parse(base.snapshot()).expect("whole")).expect("merges");
    replica.set_actor(Actor(actor), 1);
    replica.insert("body", Position::Scalar(0), text).expect("fits");
    replica.take_batches()
}

#[tokio::test(start_paused = true)]
async fn two_folders_at_once_lose_nothing_in_either_order() {
    for delays in [[0, 5], [5, 0], [1, 1]] {
        let cluster = ModelCluster::new();
        let writer = open(&cluster);
        let batches = [edited(&Document::new(), 1, "one"), edited(&Document::new(), 2, "two")];
        let mut folders = tokio::task::JoinSet::new();
        for (batches, delay) in batches.iter().zip(delays) {
            for batch in batches {
                append(&writer, logged(batch.clone())).await.expect("it is stored");
            }
            // Each knows its own batch alone, and both find no snapshot before either lists its own.
            let snapshot = Snapshot::parse(fold(None, batches).expect("folds")).expect("whole");
            let view = cluster.seen_by_another();
            view.judge(move |statement| match statement {
                Statement::ListSnapshot => Fate::Later(Duration::from_secs(delay)),
                Statement::WriteChunk => Fate::AnsweredLater(Duration::from_secs(1)),
                _ => Fate::Done,
            });
            let folder = open(&view);
            folders.spawn(async move {
                let (bytes, version) = (snapshot.bytes().clone(), snapshot.version().clone());
                let actors = version.dots.keys().map(|actor| by_ada(*actor)).collect();
                folder.commit_snapshot(&document(), bytes, version, actors).await.expect("it is committed");
                folder
            });
        }
        let folders = folders.join_all().await;
        sleep(SWEPT).await;
        let check = async |context: &str| {
            let loaded = writer.load(&document()).await.expect("it loads");
            let mut whole = Document::new();
            let mut actors = 0;
            if let Some(stored) = loaded.snapshot {
                whole.merge(&Snapshot::parse(stored.snapshot).expect("whole")).expect("merges");
                actors = stored.actors.len();
            }
            for record in &loaded.records {
                whole.apply(&record.batch).expect("applies");
            }
            let text: String = whole.text("body").chunks().collect();
            assert!(text == "onetwo" || text == "twoone", "{delays:?}, {context}: {text:?}");
            assert_eq!(actors + loaded.records.len(), 2, "{delays:?}, {context}");
            whole
        };
        let whole = check("two snapshots").await;
        // The next fold takes both in, and what it replaces goes.
        let actors = whole.version().dots.keys().map(|actor| by_ada(*actor)).collect();
        let version = whole.version().clone();
        writer.commit_snapshot(&document(), whole.snapshot(), version, actors).await.expect("it is committed");
        sleep(SWEPT).await;
        check("one snapshot").await;
        assert_eq!(cluster.chunks(), 2, "{delays:?}: head and state of one snapshot");
        drop(folders);
    }
}

#[tokio::test(start_paused = true)]
async fn a_loader_that_is_overtaken_by_a_fold_starts_over() {
    let cases = [(Statement::Rows, 1), (Statement::Chunk, 1), (Statement::Snapshots, 1), (Statement::Rows, 0)];
    for (statement, folds) in cases {
        let cluster = ModelCluster::new();
        let writer = open(&cluster);
        append(&writer, record(1, 1)).await.expect("it is stored");
        for _ in 0..folds {
            commit(&writer, &[(1, 1)]).await.expect("it is committed");
        }
        append(&writer, record(1, 2)).await.expect("it is stored");
        let view = cluster.seen_by_another();
        once(&view, statement, Fate::Later(HOUR));
        let loader = open(&view);
        let load = tokio::spawn({
            let loader = loader.clone();
            async move { held(&loader).await }
        });
        sleep(Duration::from_secs(1)).await;
        commit(&writer, &[(1, 2)]).await.expect("it is committed");
        let (covered, rows) = load.await.expect("it ends");
        assert_eq!((covered, rows), (vec![(1, 2)], vec![]), "{statement:?} after {folds} folds");
    }
}

#[tokio::test(start_paused = true)]
async fn what_failed_is_sent_again_as_it_was() {
    for fates in [
        [Fate::AnswerLost, Fate::Lost, Fate::Unavailable],
        [Fate::Lost, Fate::AnswerLost, Fate::AnswerLost],
        [Fate::Unavailable, Fate::Unavailable, Fate::AnswerLost],
    ] {
        let cluster = ModelCluster::new();
        let next = AtomicU32::new(0);
        cluster.judge(move |_| {
            let number = next.fetch_add(1, Ordering::Relaxed) as usize % 5;
            fates.get(number).copied().unwrap_or(Fate::Done)
        });
        let store = open(&cluster);
        for first in 1..=5 {
            append(&store, record(1, first)).await.expect("it is stored in the end");
        }
        commit(&store, &[(1, 2)]).await.expect("it is committed in the end");
        assert_eq!(held(&store).await, (vec![(1, 2)], vec![(1, 3), (1, 4), (1, 5)]), "{fates:?}");
        assert!(store.counts().retries > 0);
    }
}

#[tokio::test(start_paused = true)]
async fn what_no_quorum_has_is_not_called_durable() {
    for (fate, is_transient) in [(Fate::Lost, true), (Fate::Unavailable, true), (Fate::Refused, false)] {
        let cluster = ModelCluster::new();
        let store = open(&cluster);
        append(&store, record(1, 1)).await.expect("it is stored");
        cluster.judge(move |statement| if statement == Statement::Write { fate } else { Fate::Done });
        let refused = tokio::time::timeout(HOUR, append(&store, record(1, 2))).await.expect("patience ends");
        assert_eq!(refused.expect_err("it is not stored").is_transient(), is_transient, "{fate:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_goes_with_the_next_write() {
    let cluster = ModelCluster::new();
    let writes = Arc::new(AtomicU32::new(0));
    let counted = writes.clone();
    cluster.judge(move |statement| {
        if statement == Statement::Write {
            counted.fetch_add(1, Ordering::Relaxed);
            Fate::AnsweredLater(Duration::from_secs(1))
        } else {
            Fate::Done
        }
    });
    let store = open(&cluster);
    let mut calls = tokio::task::JoinSet::new();
    for first in 1..=50 {
        let store = store.clone();
        calls.spawn(async move {
            sleep(Duration::from_millis(first * 10)).await;
            append(&store, record(first, 1)).await.expect("it is stored");
        });
    }
    calls.join_all().await;
    assert_eq!(writes.load(Ordering::Relaxed), 2, "the first, and all that came while it was under way");
    assert_eq!(held(&store).await.1.len(), 50);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_took_effect_whole_or_not_at_all() {
    let cluster = ModelCluster::new();
    cluster.judge(|_| Fate::AnsweredLater(Duration::from_millis(10)));
    let store = open(&cluster);
    for millis in 0..40 {
        let rows = (1..=3).map(|actor| Append { document: document(), record: record(actor, millis + 1) });
        let _ = tokio::time::timeout(Duration::from_millis(millis), store.append(rows.collect())).await;
        sleep(Duration::from_secs(1)).await;
    }
    let rows = held(&store).await.1;
    for millis in 0..40 {
        let count = rows.iter().filter(|(_, first)| *first == millis + 1).count();
        assert!(count == 0 || count == 3, "{millis} ms: {count} of 3 rows");
    }
}

#[tokio::test(start_paused = true)]
async fn segments_are_left_when_they_are_full_and_found_again_when_they_are_not() {
    let cluster = ModelCluster::new();
    let options = Options { segment: Size { rows: 40, bytes: 1 << 20 }, ..Options::default() };
    for start in 0..30 {
        let store = ScyllaStore::on(Arc::new(cluster.clone()), options.clone());
        store.load(&document()).await.expect("it loads");
        for first in 1..=3 {
            append(&store, record(1, start * 3 + first)).await.expect("it is stored");
        }
    }
    let partitions = cluster.partition_rows();
    assert!(partitions.iter().all(|rows| *rows <= 40), "{partitions:?}");
    assert!(partitions.len() < 30, "a restart does not begin a segment each time: {partitions:?}");
    assert_eq!(partitions.iter().sum::<usize>(), 90);

    let store = ScyllaStore::on(Arc::new(cluster.clone()), options);
    let rows = (1..=1_000).map(|first| Append { document: document(), record: record(2, first) });
    store.append(rows.collect()).await.expect("it is stored");
    for first in 1_001..=1_100 {
        append(&store, record(2, first)).await.expect("it is stored");
    }
    let largest = cluster.partition_rows().into_iter().max();
    assert!(largest <= Some(40), "one call, or many: {largest:?}");
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_came_back_from_a_dead_replica_is_never_written_into() {
    let cluster = ModelCluster::new();
    let ghost = SegmentId(7);
    cluster.delete_segment(&document(), ghost).await.expect("it is deleted");
    cluster.list_segment(&document(), ghost).await.expect("it is listed");
    let store = open(&cluster);
    assert_eq!(held(&store).await, (vec![], vec![]));
    append(&store, record(1, 1)).await.expect("it is stored");
    assert_eq!(held(&store).await, (vec![], vec![(1, 1)]));
}

#[tokio::test(start_paused = true)]
async fn damage_is_an_error_that_names_its_place() {
    let cluster = ModelCluster::new();
    let store = open(&cluster);
    let mut bad = record(1, 1);
    bad.batch.operations = Bytes::from_static(b"something else");
    append(&store, bad).await.expect("who writes is trusted with its digest");
    match store.load(&document()).await {
        Err(StoreError::Corrupt { file, place, .. }) => {
            assert_eq!(file.to_string_lossy(), "table log");
            assert!(place.contains("acme/specs/roadmap") && place.contains("counter 1"), "{place}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn an_actor_used_twice_is_counted() {
    let cluster = ModelCluster::new();
    let store = open(&cluster);
    let mut other = record(1, 1);
    other.batch.operations = Bytes::from_static(b"another body");
    append(&store, record(1, 1)).await.expect("it is stored");
    append(&store, logged(other.batch)).await.expect("both are kept");
    assert_eq!(held(&store).await.1, [(1, 1), (1, 1)]);
    assert_eq!(store.counts().conflicts, 1);
}

#[test]
fn the_fence_is_as_long_as_the_design_says() {
    let rules = Rules::default();
    assert_eq!((rules.trust, rules.grace), (Duration::from_secs(10), Duration::from_secs(60)));
}
