//! Lists of documents and deleting, in a cluster. Older snapshots are not kept there yet: a fold replaces the one before.

use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;

use super::ScyllaStore;
use super::cluster::{SegmentId, SnapshotRow};
use super::engine::{Engine, store_error};
use super::load;
use crate::archive::{Archive, Finding, LogPage, SnapshotEntry, SnapshotNumber};
use crate::error::StoreError;
use crate::store::{DocumentKey, StoredSnapshot};

impl Engine {
    async fn listed_snapshots(&self, document: &DocumentKey) -> Result<Vec<SnapshotRow>, StoreError> {
        self.patiently(|| self.cluster.snapshots(document)).await.map_err(store_error)
    }

    /// Takes everything of a deleted document away that is listed now. A segment is sealed first, so that who writes into it leaves.
    async fn clear(&self, document: &DocumentKey) -> Result<(), StoreError> {
        let segments = self.patiently(|| self.cluster.segments(document)).await.map_err(store_error)?;
        for segment in segments.iter().map(|row| row.id) {
            self.patiently(|| self.cluster.seal_segment(document, segment)).await.map_err(store_error)?;
            self.patiently(|| self.cluster.unlist_segment(document, segment)).await.map_err(store_error)?;
            // What is written into it later is gone too.
            self.patiently(|| self.cluster.delete_segment(document, segment)).await.map_err(store_error)?;
        }
        for row in self.listed_snapshots(document).await? {
            self.patiently(|| self.cluster.unlist_snapshot(document, row.id)).await.map_err(store_error)?;
            self.patiently(|| self.cluster.delete_chunks(document, row.id)).await.map_err(store_error)?;
        }
        Ok(())
    }
}

#[async_trait]
impl Archive for ScyllaStore {
    fn keeps_history(&self) -> bool {
        false
    }

    async fn documents(&self, after: Option<&DocumentKey>, limit: usize) -> Result<Vec<DocumentKey>, StoreError> {
        self.engine.check_open()?;
        self.engine.patiently(|| self.engine.cluster.documents(after, limit)).await.map_err(store_error)
    }

    async fn deleted(&self, after: Option<&str>, limit: usize) -> Result<Vec<DocumentKey>, StoreError> {
        self.engine.check_open()?;
        self.engine.patiently(|| self.engine.cluster.deleted(after, limit)).await.map_err(store_error)
    }

    async fn snapshots(&self, document: &DocumentKey) -> Result<Vec<SnapshotEntry>, StoreError> {
        self.engine.check_open()?;
        let listed = self.engine.listed_snapshots(document).await?;
        let current = load::current(&self.engine, document, &listed).await?;
        let entry = |row: &SnapshotRow| SnapshotEntry {
            number: SnapshotNumber(row.id.0),
            taken_millis: 0,
            name: None,
            bytes: row.body_bytes,
            is_current: current.contains(&row.id),
        };
        // What another one covers waits to be swept: it is nothing that anybody kept.
        Ok(listed.iter().map(entry).filter(|entry| entry.is_current).collect())
    }

    async fn snapshot(
        &self,
        document: &DocumentKey,
        number: SnapshotNumber,
    ) -> Result<Option<StoredSnapshot>, StoreError> {
        self.engine.check_open()?;
        let listed = self.engine.listed_snapshots(document).await?;
        match listed.iter().find(|row| row.id.0 == number.0) {
            Some(row) => load::snapshot(&self.engine, document, row).await,
            None => Ok(None),
        }
    }

    async fn log(&self, document: &DocumentKey, from: Option<u64>) -> Result<LogPage, StoreError> {
        self.engine.check_open()?;
        let listed = self.engine.patiently(|| self.engine.cluster.segments(document)).await.map_err(store_error)?;
        let mut ids: Vec<u64> = listed.iter().map(|row| row.id.0).filter(|id| Some(*id) >= from).collect();
        ids.sort_unstable();
        let mut ids = ids.into_iter();
        let Some(id) = ids.next() else { return Ok(LogPage::default()) };
        Ok(LogPage { records: load::segment_log(&self.engine, document, SegmentId(id)).await?, next: ids.next() })
    }

    async fn keep(
        &self,
        _: &DocumentKey,
        _: StoredSnapshot,
        _: u64,
        _: Option<&str>,
    ) -> Result<SnapshotNumber, StoreError> {
        let reason =
            "a cluster keeps no older or named snapshots yet: export the document to a file instead".to_owned();
        Err(StoreError::Refused { reason })
    }

    async fn delete(&self, document: &DocumentKey, next: u64) -> Result<(), StoreError> {
        self.engine.check_open()?;
        let known =
            self.engine.patiently(|| self.engine.cluster.incarnation(&document.name)).await.map_err(store_error)?;
        match known {
            Some(known) if known == next => {}
            Some(known) if known != document.incarnation => {
                return Err(StoreError::Deleted { document: document.clone() });
            }
            _ => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
                let at = i64::try_from(now).unwrap_or(i64::MAX);
                let set = || self.engine.cluster.set_incarnation(&document.name, next, at);
                self.engine.patiently(set).await.map_err(store_error)?;
            }
        }
        // From here on nobody opens it, and whoever begins a segment is told: here at once, elsewhere once theirs is seen sealed.
        *self.engine.lane(document).current.lock() = None;
        self.engine.clear(document).await
    }

    async fn strays(&self) -> Result<Vec<Finding>, StoreError> {
        // Tables of a cluster are not read through: what is not listed does not exist there, and costs room alone.
        Ok(Vec::new())
    }
}
