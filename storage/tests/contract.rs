//! One suite for every engine: what the trait promises, as scripts of steps and what is loaded after them.

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use inkwire_storage::embedded::Options;
use inkwire_storage::{Append, EmbeddedStore, MemoryStore, Store, StoreError};
use support::cluster;
use support::{Random, actors, append, document, record, snapshot_bytes, summary, version};

/// The engines, and what happens to a durable one after every step.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Engine {
    Memory,
    Embedded,
    /// Every group fills its journal, so that rows move into the tables at once.
    EmbeddedSettling,
    EmbeddedDropped,
    EmbeddedClosed,
    /// The cluster's engine on a cluster in memory: segments of five rows, and swept as soon as they are sealed.
    Model,
    ModelReopened,
    /// The same on the cluster that `INKWIRE_CQL_STORE` names.
    Cluster,
    ClusterReopened,
}

const ENGINES: [Engine; 7] = [
    Engine::Memory,
    Engine::Embedded,
    Engine::EmbeddedSettling,
    Engine::EmbeddedDropped,
    Engine::EmbeddedClosed,
    Engine::Model,
    Engine::ModelReopened,
];

/// All engines that there are: `cargo xtask test cql` brings a cluster, and there the others were tried before.
fn engines() -> Vec<Engine> {
    match cluster::address() {
        Some(_) => vec![Engine::Memory, Engine::Cluster, Engine::ClusterReopened],
        None => ENGINES.to_vec(),
    }
}

impl Engine {
    async fn open(self, directory: &Path) -> Arc<dyn Store> {
        match self {
            Self::Memory => Arc::new(MemoryStore::new()),
            Self::Model | Self::ModelReopened => cluster::model(directory),
            Self::Cluster | Self::ClusterReopened => cluster::real(directory).await,
            _ => {
                let journal_bytes = if self == Self::EmbeddedSettling { 1 } else { 16 << 20 };
                let options = Options { journal_bytes, ..Options::default() };
                Arc::new(EmbeddedStore::open(directory, &options).expect("the store opens"))
            }
        }
    }

    async fn after_step(self, store: Arc<dyn Store>, directory: &Path) -> Arc<dyn Store> {
        match self {
            Self::Memory | Self::Embedded | Self::EmbeddedSettling | Self::Model | Self::Cluster => store,
            Self::EmbeddedDropped | Self::ModelReopened => {
                drop(store);
                self.open(directory).await
            }
            Self::EmbeddedClosed | Self::ClusterReopened => {
                store.close().await;
                drop(store);
                self.open(directory).await
            }
        }
    }
}

enum Step {
    /// Rows of one call: (document, actor, first, count, body).
    Append(&'static [(u64, u64, u64, u32, u8)]),
    /// A snapshot: document, what it covers, its length.
    Snapshot(u64, &'static [(u64, u64)], usize),
    /// A snapshot that is refused because it diverged.
    Diverged(u64, &'static [(u64, u64)]),
}
use Step::{Append as Rows, Diverged, Snapshot};

struct Case {
    name: &'static str,
    steps: &'static [Step],
    /// Of document 1: what its snapshot covers, and its rows (actor, first, count).
    snapshot: Option<&'static [(u64, u64)]>,
    rows: &'static [(u64, u64, u32)],
}

const CASES: &[Case] = &[
    Case { name: "a document that was never written", steps: &[], snapshot: None, rows: &[] },
    Case {
        name: "rows come back in the order of their arrival",
        steps: &[Rows(&[(1, 9, 1, 2, 0), (1, 3, 1, 1, 0)]), Rows(&[(1, 9, 3, 1, 0)]), Rows(&[(1, 1, 1, 5, 0)])],
        snapshot: None,
        rows: &[(9, 1, 2), (3, 1, 1), (9, 3, 1), (1, 1, 5)],
    },
    Case {
        name: "a row that is there changes nothing, in one call or several",
        steps: &[Rows(&[(1, 1, 1, 1, 0), (1, 1, 1, 1, 0)]), Rows(&[(1, 1, 2, 1, 0), (1, 1, 1, 1, 0)])],
        snapshot: None,
        rows: &[(1, 1, 1), (1, 2, 1)],
    },
    Case {
        name: "two bodies of one operation both survive",
        steps: &[Rows(&[(1, 1, 1, 1, 0)]), Rows(&[(1, 1, 1, 1, 7)])],
        snapshot: None,
        rows: &[(1, 1, 1), (1, 1, 1)],
    },
    Case {
        name: "other documents are other logs",
        steps: &[Rows(&[(2, 1, 1, 1, 0), (4, 1, 1, 1, 0)]), Rows(&[(1, 1, 1, 3, 0)]), Snapshot(4, &[(1, 1)], 10)],
        snapshot: None,
        rows: &[(1, 1, 3)],
    },
    Case {
        name: "a snapshot covers rows, and what comes later stays",
        steps: &[
            Rows(&[(1, 1, 1, 2, 0), (1, 2, 1, 1, 0)]),
            Snapshot(1, &[(1, 2), (2, 1)], 1000),
            Rows(&[(1, 1, 3, 1, 0)]),
        ],
        snapshot: Some(&[(1, 2), (2, 1)]),
        rows: &[(1, 3, 1)],
    },
    Case {
        name: "rows beyond the snapshot keep their segment",
        steps: &[
            Rows(&[(1, 1, 1, 2, 0), (1, 2, 1, 1, 0), (1, 2, 2, 4, 0)]),
            Snapshot(1, &[(1, 2), (2, 3)], 0),
            Rows(&[(1, 3, 1, 1, 0)]),
        ],
        snapshot: Some(&[(1, 2), (2, 3)]),
        // The second row of actor 2 is covered in part only.
        rows: &[(2, 2, 4), (3, 1, 1)],
    },
    Case {
        name: "a kept segment goes with the snapshot that covers the rest",
        steps: &[
            Rows(&[(1, 1, 1, 1, 0), (1, 2, 1, 1, 0)]),
            Snapshot(1, &[(1, 1)], 10),
            Rows(&[(1, 1, 2, 1, 0)]),
            Snapshot(1, &[(1, 2), (2, 1)], 10),
        ],
        snapshot: Some(&[(1, 2), (2, 1)]),
        rows: &[],
    },
    Case {
        name: "the order of arrival holds across segments",
        steps: &[
            Rows(&[(1, 5, 1, 1, 0), (1, 1, 1, 1, 0)]),
            Snapshot(1, &[(1, 1)], 10),
            Rows(&[(1, 2, 1, 1, 0), (1, 5, 2, 1, 0)]),
            Snapshot(1, &[(1, 1), (2, 1)], 10),
            Rows(&[(1, 3, 1, 1, 0)]),
        ],
        snapshot: Some(&[(1, 1), (2, 1)]),
        rows: &[(5, 1, 1), (5, 2, 1), (3, 1, 1)],
    },
    Case {
        name: "a row that is repeated after its segment is another one is still there once",
        steps: &[
            Rows(&[(1, 1, 1, 1, 0), (1, 2, 1, 1, 0)]),
            Snapshot(1, &[(1, 1)], 10),
            Rows(&[(1, 2, 1, 1, 0), (1, 3, 1, 1, 0)]),
        ],
        snapshot: Some(&[(1, 1)]),
        rows: &[(2, 1, 1), (3, 1, 1)],
    },
    Case {
        name: "a row that is repeated after it was folded changes nothing",
        steps: &[Rows(&[(1, 1, 1, 4, 0)]), Snapshot(1, &[(1, 4)], 10), Rows(&[(1, 1, 1, 4, 0)])],
        snapshot: Some(&[(1, 4)]),
        rows: &[],
    },
    Case {
        name: "a newer snapshot replaces the older, an older one changes nothing",
        steps: &[
            Rows(&[(1, 1, 1, 9, 0)]),
            Snapshot(1, &[(1, 4)], 300_000),
            Snapshot(1, &[(1, 9)], 600_000),
            Snapshot(1, &[(1, 4)], 100),
            Snapshot(1, &[(1, 9)], 600_000),
        ],
        snapshot: Some(&[(1, 9)]),
        rows: &[],
    },
    Case {
        name: "a snapshot that diverged is refused and changes nothing",
        steps: &[
            Rows(&[(1, 1, 1, 2, 0), (1, 2, 1, 2, 0)]),
            Snapshot(1, &[(1, 2), (2, 1)], 10),
            Diverged(1, &[(1, 1), (2, 2)]),
        ],
        snapshot: Some(&[(1, 2), (2, 1)]),
        rows: &[(2, 1, 2)],
    },
    Case {
        name: "a snapshot of a document without rows",
        steps: &[Snapshot(1, &[(7, 100)], 256 * 1024)],
        snapshot: Some(&[(7, 100)]),
        rows: &[],
    },
];

#[tokio::test]
async fn every_engine_keeps_the_contract() {
    for engine in engines() {
        for case in CASES {
            let directory = tempfile::tempdir().unwrap();
            let mut store = engine.open(directory.path()).await;
            let mut length = 0;
            for step in case.steps {
                match step {
                    Rows(rows) => {
                        let rows = rows.iter().map(|(number, actor, first, count, body)| Append {
                            document: document(*number),
                            record: record(*actor, *first, *count, *body),
                        });
                        store.append(rows.collect()).await.unwrap();
                    }
                    Snapshot(number, dots, bytes) => {
                        let version = version(dots);
                        let (snapshot, actors) = (snapshot_bytes(&version, *bytes), actors(&version));
                        length = length.max(*bytes);
                        store.commit_snapshot(&document(*number), snapshot, version, actors).await.unwrap();
                    }
                    Diverged(number, dots) => {
                        let version = version(dots);
                        let (snapshot, actors) = (snapshot_bytes(&version, 10), actors(&version));
                        let refused = store.commit_snapshot(&document(*number), snapshot, version, actors).await;
                        let is_diverged = matches!(&refused, Err(StoreError::Diverged { .. }));
                        assert!(is_diverged, "{engine:?}, {}: {refused:?}", case.name);
                    }
                }
                store = engine.after_step(store, directory.path()).await;
            }
            let loaded = store.load(&document(1)).await.unwrap();
            let expected = (case.snapshot.map(<[_]>::to_vec), case.rows.to_vec());
            assert_eq!(summary(&loaded), expected, "{engine:?}, {}", case.name);
            for stored in &loaded.records {
                let (batch, plain) =
                    (&stored.batch, record(stored.batch.actor.0, stored.batch.first, stored.batch.count, 0));
                let other = record(batch.actor.0, batch.first, batch.count, 7);
                assert!(*stored == plain || *stored == other, "{engine:?}, {}: {stored:?}", case.name);
            }
            if let Some(snapshot) = &loaded.snapshot {
                assert_eq!(snapshot.snapshot, snapshot_bytes(&snapshot.version, snapshot.snapshot.len()));
                assert_eq!(snapshot.actors, actors(&snapshot.version), "{engine:?}, {}", case.name);
                assert!(snapshot.snapshot.len() == length || case.name.contains("other documents"));
            }
            // A life of the name that was never written.
            let other = inkwire_storage::DocumentKey::new(document(1).name, 99);
            assert_eq!(summary(&store.load(&other).await.unwrap()), (None, vec![]), "{engine:?}, {}", case.name);
            assert_eq!(store.incarnation(&document(1).name).await.unwrap(), 0);
        }
    }
}

#[tokio::test]
async fn every_engine_gives_what_memory_gives() {
    for engine in engines().into_iter().skip(1) {
        // Each of its steps is some twenty round trips on a real cluster.
        let seeds = if cluster::address().is_some() { 1 } else { 6 };
        for seed in 0..seeds {
            let directory = tempfile::tempdir().unwrap();
            let (memory, mut store) = (MemoryStore::new(), engine.open(directory.path()).await);
            let mut random = Random(seed);
            let mut counters: BTreeMap<(u64, u64), u64> = BTreeMap::new();
            for step in 0..40 {
                if random.chance(75) {
                    let mut rows = Vec::new();
                    for _ in 0..=random.below(5) {
                        let (number, actor) = (random.below(3), 1 + random.below(4));
                        let next = counters.entry((number, actor)).or_default();
                        // Mostly the next counter, sometimes one that is there.
                        let first = if random.chance(85) { *next + 1 } else { 1 + random.below(*next + 1) };
                        // As in a real log, the same operations are as many each time.
                        let count = 1 + ((actor * 7 + first) % 3) as u32;
                        *next = (*next).max(first + u64::from(count) - 1);
                        rows.push(append(number, actor, first, count));
                    }
                    memory.append(rows.clone()).await.unwrap();
                    store.append(rows).await.unwrap();
                } else {
                    let number = random.below(3);
                    let mut covered = version(&[]);
                    for ((of, actor), counter) in &counters {
                        if *of == number {
                            let counter = counter - random.below(3).min(*counter);
                            covered.dots.insert(inkwire_document::Actor(*actor), counter.max(1));
                        }
                    }
                    let bytes = snapshot_bytes(&covered, 500);
                    let of = document(number);
                    let expected = memory.commit_snapshot(&of, bytes.clone(), covered.clone(), actors(&covered)).await;
                    let got = store.commit_snapshot(&of, bytes, covered.clone(), actors(&covered)).await;
                    assert_eq!(format!("{got:?}"), format!("{expected:?}"), "{engine:?}, seed {seed}, step {step}");
                }
                if step % 7 == 0 {
                    store = engine.after_step(store, directory.path()).await;
                }
                for number in 0..3 {
                    let expected = memory.load(&document(number)).await.unwrap();
                    let got = store.load(&document(number)).await.unwrap();
                    let context = format!("{engine:?}, seed {seed}, step {step}, document {number}");
                    assert_eq!(summary(&got), summary(&expected), "{context}");
                    assert!(got == expected, "{context}");
                }
            }
        }
    }
}

#[tokio::test]
async fn calls_at_once_are_all_kept() {
    for engine in engines() {
        let directory = tempfile::tempdir().unwrap();
        let store = engine.open(directory.path()).await;
        let mut calls = tokio::task::JoinSet::new();
        for actor in 1..=64 {
            let store = store.clone();
            calls.spawn(async move {
                for first in 1..=20 {
                    store.append(vec![append(actor % 5, actor, first, 1)]).await.unwrap();
                }
            });
        }
        while let Some(call) = calls.join_next().await {
            call.unwrap();
        }
        let store = engine.after_step(store, directory.path()).await;
        for number in 0..5 {
            let loaded = store.load(&document(number)).await.unwrap();
            let mut counters: BTreeMap<u64, u64> = BTreeMap::new();
            for record in &loaded.records {
                let counter = counters.entry(record.batch.actor.0).or_default();
                *counter += 1;
                assert_eq!(record.batch.first, *counter, "{engine:?}: an actor's order");
            }
            assert_eq!(loaded.records.len(), counters.len() * 20, "{engine:?}");
        }
    }
}

#[tokio::test]
async fn a_closed_store_says_so() {
    for engine in engines() {
        let directory = tempfile::tempdir().unwrap();
        let store = engine.open(directory.path()).await;
        store.append(vec![append(1, 1, 1, 1)]).await.unwrap();
        store.close().await;
        store.close().await;
        let answers = [
            store.append(vec![append(1, 1, 2, 1)]).await,
            store.load(&document(1)).await.map(|_| ()),
            store.commit_snapshot(&document(1), snapshot_bytes(&version(&[]), 1), version(&[]), vec![]).await,
            store.incarnation("acme").await.map(|_| ()),
            store.health().await,
        ];
        for answer in answers {
            assert!(matches!(answer, Err(StoreError::Closed)), "{engine:?}: {answer:?}");
        }
    }
}
