//! What is kept of documents' past.

use std::collections::BTreeMap;
use std::ops::Bound;

use async_trait::async_trait;
use inkwire_protocol::record::LogRecord;

use super::{Document, MemoryStore};
use crate::archive::{Archive, Finding, LogPage, SnapshotEntry, SnapshotNumber, check_name, name_is_taken};
use crate::error::StoreError;
use crate::retention::{Kept, Retention};
use crate::store::{DocumentKey, StoredSnapshot};

/// A document's past: older snapshots, and rows that snapshots cover.
#[derive(Debug, Default)]
pub(super) struct Past {
    snapshots: BTreeMap<u64, KeptSnapshot>,
    /// The current snapshot's number, and when it was taken.
    current: (u64, u64),
    last_number: u64,
    segments: BTreeMap<u64, Vec<LogRecord>>,
}

#[derive(Debug)]
struct KeptSnapshot {
    stored: StoredSnapshot,
    taken_millis: u64,
    name: Option<String>,
}

impl Past {
    /// A new snapshot takes the place of `before` and covers all of `segments`.
    pub(super) fn succeed(
        &mut self,
        before: Option<StoredSnapshot>,
        segments: impl Iterator<Item = (u64, Vec<LogRecord>)>,
        now_millis: u64,
        retention: &Retention,
    ) {
        if let Some(stored) = before {
            let (number, taken_millis) = self.current;
            self.snapshots.insert(number, KeptSnapshot { stored, taken_millis, name: None });
        }
        self.thin(now_millis, retention);
        if retention.whole_log {
            self.segments.extend(segments);
        }
        self.last_number += 1;
        self.current = (self.last_number, now_millis);
    }

    fn thin(&mut self, now_millis: u64, retention: &Retention) {
        let mut kept: Vec<(u64, Kept)> = self
            .snapshots
            .iter()
            .map(|(number, kept)| (*number, Kept { taken_millis: kept.taken_millis, is_named: kept.name.is_some() }))
            .collect();
        kept.sort_by_key(|(number, kept)| (kept.taken_millis, *number));
        let entries: Vec<Kept> = kept.iter().map(|(_, kept)| *kept).collect();
        for index in retention.thin(now_millis, &entries) {
            self.snapshots.remove(&kept[index].0);
        }
    }
}

impl Document {
    fn entries(&self) -> Vec<SnapshotEntry> {
        let kept = self.past.snapshots.iter().map(|(number, kept)| SnapshotEntry {
            number: SnapshotNumber(*number),
            taken_millis: kept.taken_millis,
            name: kept.name.clone(),
            bytes: kept.stored.snapshot.len() as u64,
            is_current: false,
        });
        let (number, taken_millis) = self.past.current;
        let current = self.snapshot.iter().map(|stored| SnapshotEntry {
            number: SnapshotNumber(number),
            taken_millis,
            name: None,
            bytes: stored.snapshot.len() as u64,
            is_current: true,
        });
        let mut entries: Vec<SnapshotEntry> = kept.chain(current).collect();
        entries.sort_by_key(|entry| (entry.taken_millis, entry.number));
        entries
    }
}

#[async_trait]
impl Archive for MemoryStore {
    async fn documents(&self, after: Option<&DocumentKey>, limit: usize) -> Result<Vec<DocumentKey>, StoreError> {
        self.with_state(|state| {
            let mut keys: Vec<&DocumentKey> = state.documents.keys().filter(|key| Some(*key) > after).collect();
            keys.sort_unstable();
            Ok(keys.into_iter().take(limit).cloned().collect())
        })
    }

    async fn deleted(&self, after: Option<&str>, limit: usize) -> Result<Vec<DocumentKey>, StoreError> {
        self.with_state(|state| {
            let all = state.incarnations.iter().map(|(name, incarnation)| DocumentKey::new(name.clone(), *incarnation));
            let mut keys: Vec<DocumentKey> = all.filter(|key| Some(&*key.name) > after).collect();
            keys.sort_unstable();
            keys.truncate(limit);
            Ok(keys)
        })
    }

    async fn snapshots(&self, document: &DocumentKey) -> Result<Vec<SnapshotEntry>, StoreError> {
        self.with_state(|state| Ok(state.documents.get(document).map(Document::entries).unwrap_or_default()))
    }

    async fn snapshot(
        &self,
        document: &DocumentKey,
        number: SnapshotNumber,
    ) -> Result<Option<StoredSnapshot>, StoreError> {
        self.with_state(|state| {
            let Some(document) = state.documents.get(document) else { return Ok(None) };
            let kept = document.past.snapshots.get(&number.0).map(|kept| &kept.stored);
            let current = document.snapshot.as_ref().filter(|_| document.past.current.0 == number.0);
            Ok(kept.or(current).cloned())
        })
    }

    async fn log(&self, document: &DocumentKey, from: Option<u64>) -> Result<LogPage, StoreError> {
        self.with_state(|state| {
            let Some(document) = state.documents.get(document) else { return Ok(LogPage::default()) };
            let (kept, live) = (&document.past.segments, &document.segments);
            let beyond = |after: Bound<u64>| {
                let range = (after, Bound::Unbounded);
                let next = kept.range(range).map(|(number, _)| *number).next();
                next.into_iter().chain(live.range(range).map(|(number, _)| *number).next()).min()
            };
            let Some(number) = beyond(from.map_or(Bound::Unbounded, Bound::Included)) else {
                return Ok(LogPage::default());
            };
            let records = kept.get(&number).or_else(|| live.get(&number).map(|segment| &segment.records));
            let records = records.cloned().unwrap_or_default();
            Ok(LogPage { records, next: beyond(Bound::Excluded(number)) })
        })
    }

    async fn keep(
        &self,
        document: &DocumentKey,
        snapshot: StoredSnapshot,
        taken_millis: u64,
        name: Option<&str>,
    ) -> Result<SnapshotNumber, StoreError> {
        check_name(name)?;
        self.with_state(|state| {
            state.check_alive(document)?;
            let past = &mut state.documents.entry(document.clone()).or_default().past;
            if let Some(name) = name
                && let Some((number, kept)) = past.snapshots.iter().find(|(_, kept)| kept.name.as_deref() == Some(name))
            {
                return if kept.stored == snapshot {
                    Ok(SnapshotNumber(*number))
                } else {
                    Err(name_is_taken(document, name))
                };
            }
            past.last_number += 1;
            let kept = KeptSnapshot { stored: snapshot, taken_millis, name: name.map(str::to_owned) };
            past.snapshots.insert(past.last_number, kept);
            Ok(SnapshotNumber(past.last_number))
        })
    }

    async fn delete(&self, document: &DocumentKey, next: u64) -> Result<(), StoreError> {
        self.with_state(|state| {
            if state.incarnations.get(&document.name) == Some(&next) {
                return Ok(());
            }
            state.check_alive(document)?;
            state.incarnations.insert(document.name.clone(), next);
            state.documents.remove(document);
            Ok(())
        })
    }

    async fn strays(&self) -> Result<Vec<Finding>, StoreError> {
        Ok(Vec::new())
    }
}
