//! What was handed to a store and what it acknowledged, kept outside of it.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use inkwire_document::VersionVector;
use inkwire_protocol::record::LogRecord;
use inkwire_storage::{Append, EmbeddedStore, Store, StoreError};

use super::{Random, actors, document, record, snapshot_bytes, version};

pub const DOCUMENTS: u64 = 4;

#[derive(Clone, Debug, Default)]
pub struct Ledger {
    documents: BTreeMap<u64, Document>,
}

#[derive(Clone, Debug, Default)]
struct Document {
    /// Per actor the last counter that was handed over.
    counters: BTreeMap<u64, u64>,
    attempted: Vec<LogRecord>,
    /// Acknowledged rows as (actor, first), in the order of their acknowledgements.
    acknowledged: Vec<(u64, u64)>,
    attempted_snapshots: Vec<VersionVector>,
    acknowledged_snapshot: Option<VersionVector>,
}

impl Document {
    /// The next row of one of three actors.
    fn next(&mut self, random: &mut Random) -> LogRecord {
        let actor = 1 + random.below(3);
        let last = self.counters.entry(actor).or_default();
        let count = 1 + random.below(3) as u32;
        let record = record(actor, *last + 1, count, 0);
        *last += u64::from(count);
        self.attempted.push(record.clone());
        record
    }

    /// What the acknowledged rows of each actor cover without a gap.
    fn covered(&self) -> VersionVector {
        let mut covered = version(&[]);
        let acknowledged: HashSet<_> = self.acknowledged.iter().collect();
        for record in &self.attempted {
            let batch = &record.batch;
            if acknowledged.contains(&(batch.actor.0, batch.first)) && covered.get(&batch.actor) + 1 == batch.first {
                covered.dots.insert(batch.actor, batch.last());
            }
        }
        covered
    }
}

impl Ledger {
    /// Appends and commits snapshots until `steps` are done or the store fails.
    pub async fn work(
        &mut self,
        store: &Arc<EmbeddedStore>,
        random: &mut Random,
        steps: u64,
    ) -> Result<(), StoreError> {
        for _ in 0..steps {
            if random.chance(88) {
                self.append(store, random).await?;
            } else {
                self.snapshot(store, random).await?;
            }
        }
        Ok(())
    }

    /// A few calls at once, of a few rows each.
    async fn append(&mut self, store: &Arc<EmbeddedStore>, random: &mut Random) -> Result<(), StoreError> {
        let mut calls = Vec::new();
        for _ in 0..=random.below(3) {
            let mut rows = Vec::new();
            for _ in 0..=random.below(3) {
                let number = random.below(DOCUMENTS);
                rows.push((number, self.documents.entry(number).or_default().next(random)));
            }
            let appends =
                rows.iter().map(|(number, record)| Append { document: document(*number), record: record.clone() });
            let (store, appends) = (store.clone(), appends.collect());
            calls.push((rows, tokio::spawn(async move { store.append(appends).await })));
        }
        let mut first_error = Ok(());
        for (rows, call) in calls {
            match call.await.expect("the call does not panic") {
                Ok(()) => {
                    for (number, record) in rows {
                        let batch = &record.batch;
                        let acknowledged = &mut self.documents.entry(number).or_default().acknowledged;
                        acknowledged.push((batch.actor.0, batch.first));
                    }
                }
                Err(error) => first_error = Err(error),
            }
        }
        first_error
    }

    async fn snapshot(&mut self, store: &EmbeddedStore, random: &mut Random) -> Result<(), StoreError> {
        let number = random.below(DOCUMENTS);
        let stored = self.documents.entry(number).or_default();
        let covered = stored.covered();
        // Snapshots of an earlier life of the store may not have been acknowledged and be there all the same.
        if !stored.attempted_snapshots.iter().all(|earlier| *earlier < covered) {
            return Ok(());
        }
        stored.attempted_snapshots.push(covered.clone());
        let bytes = snapshot_bytes(&covered, random.below(3000) as usize);
        store.commit_snapshot(&document(number), bytes, covered.clone(), actors(&covered)).await?;
        stored.acknowledged_snapshot = Some(covered);
        Ok(())
    }

    /// Whether all that was acknowledged is there, in order, and nothing else than what was handed over; `Err` is the
    /// store's own word that something is damaged.
    pub async fn check(&self, store: &EmbeddedStore, context: &str) -> Result<(), StoreError> {
        for (number, expected) in &self.documents {
            let context = format!("{context}, document {number}");
            let loaded = store.load(&document(*number)).await?;
            let mut covered = version(&[]);
            if let Some(snapshot) = &loaded.snapshot {
                covered = snapshot.version.clone();
                assert!(expected.attempted_snapshots.contains(&covered), "{context}: a snapshot that nobody took");
                assert_eq!(snapshot.snapshot, snapshot_bytes(&covered, snapshot.snapshot.len()), "{context}");
                assert_eq!(snapshot.actors, actors(&covered), "{context}");
            }
            if let Some(acknowledged) = &expected.acknowledged_snapshot {
                assert!(*acknowledged <= covered, "{context}: an acknowledged snapshot is missing");
            }
            let mut places = BTreeMap::new();
            for (place, record) in loaded.records.iter().enumerate() {
                assert!(expected.attempted.contains(record), "{context}: a row that nobody wrote: {record:?}");
                let twice = places.insert((record.batch.actor.0, record.batch.first), place);
                assert_eq!(twice, None, "{context}: a row is there twice");
            }
            let mut last = BTreeMap::new();
            for (actor, first) in &expected.acknowledged {
                let record = expected
                    .attempted
                    .iter()
                    .find(|record| (record.batch.actor.0, record.batch.first) == (*actor, *first));
                let batch = &record.expect("it was handed over").batch;
                if batch.last() <= covered.get(&batch.actor) {
                    continue;
                }
                let place = places.get(&(*actor, *first));
                let place = place.unwrap_or_else(|| panic!("{context}: actor {actor}'s row from {first} is missing"));
                if let Some(before) = last.insert(*actor, *place) {
                    assert!(before < *place, "{context}: actor {actor}'s rows are out of order");
                }
            }
        }
        Ok(())
    }
}
