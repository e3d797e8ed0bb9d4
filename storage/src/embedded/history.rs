//! Lists of documents, what is kept of their past, and deleting: reads of the tables and jobs for the settler.

use std::sync::Weak;

use async_trait::async_trait;
use tokio::sync::oneshot;

use super::settler::{Change, Job};
use super::{EmbeddedStore, MAX_SNAPSHOT_BYTES, Shared, blocking, tables};
use crate::archive::{Archive, Finding, LogPage, SnapshotEntry, SnapshotNumber, check_name};
use crate::error::StoreError;
use crate::store::{DocumentKey, Store as _, StoredSnapshot};

/// The page of the log after those of the tables: what no journal was settled of yet. No segment has the number.
const PENDING: u64 = u64::MAX;

impl Shared {
    fn log(&self, document: &DocumentKey, from: u64) -> Result<LogPage, StoreError> {
        let files = self.files()?;
        // What is settled while the pages are read is then on a page of the tables or on the last one, or on both.
        let (rows, next) = if from == PENDING {
            (self.pending.read().rows(document), None)
        } else {
            let (rows, next) = files.tables.log_segment(document, from)?;
            (rows, Some(next.unwrap_or(PENDING)))
        };
        let record = |(arrival, row): &(u64, super::Row)| {
            row.record().ok_or_else(|| {
                let file = files.disk.directory().join(tables::FILE);
                StoreError::corrupt(file, format!("row {arrival} of {document}"), "the row is not a record")
            })
        };
        Ok(LogPage { records: rows.iter().map(record).collect::<Result<_, _>>()?, next })
    }

    fn documents(&self, after: Option<&DocumentKey>, limit: usize) -> Result<Vec<DocumentKey>, StoreError> {
        // Before the tables: what is settled meanwhile is seen twice, never not at all.
        let pending = self.pending.read().documents();
        let mut documents = self.files()?.tables.documents(after, limit)?;
        documents.extend(pending.into_iter().filter(|document| Some(document) > after));
        documents.retain(|document| self.check_alive(document).is_ok());
        documents.sort_unstable();
        documents.dedup();
        documents.truncate(limit);
        Ok(documents)
    }
}

impl EmbeddedStore {
    /// Runs `work` on what the store shares, off the runtime's threads.
    async fn on_tables<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        // A reader that outlives the store must not keep the directory locked for longer than its read.
        let shared: Weak<Shared> = std::sync::Arc::downgrade(&self.shared);
        blocking(move || work(&*shared.upgrade().ok_or(StoreError::Closed)?)).await
    }

    async fn change<T>(
        &self,
        change: Change,
        answer: oneshot::Receiver<Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.health().await?;
        let _room = self.shared.snapshots.clone().acquire_owned().await.map_err(|_| StoreError::Closed)?;
        self.settler.send(Job::Change(Box::new(change))).map_err(|_| StoreError::Closed)?;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }
}

#[async_trait]
impl Archive for EmbeddedStore {
    async fn documents(&self, after: Option<&DocumentKey>, limit: usize) -> Result<Vec<DocumentKey>, StoreError> {
        let after = after.cloned();
        self.on_tables(move |shared| shared.documents(after.as_ref(), limit)).await
    }

    async fn deleted(&self, after: Option<&str>, limit: usize) -> Result<Vec<DocumentKey>, StoreError> {
        let after = after.map(str::to_owned);
        self.on_tables(move |shared| shared.files()?.tables.deleted(after.as_deref(), limit)).await
    }

    async fn snapshots(&self, document: &DocumentKey) -> Result<Vec<SnapshotEntry>, StoreError> {
        let document = document.clone();
        self.on_tables(move |shared| shared.files()?.tables.snapshots(&document)).await
    }

    async fn snapshot(
        &self,
        document: &DocumentKey,
        number: SnapshotNumber,
    ) -> Result<Option<StoredSnapshot>, StoreError> {
        let document = document.clone();
        self.on_tables(move |shared| shared.files()?.tables.snapshot(&document, number)).await
    }

    async fn log(&self, document: &DocumentKey, from: Option<u64>) -> Result<LogPage, StoreError> {
        let document = document.clone();
        self.on_tables(move |shared| shared.log(&document, from.unwrap_or(0))).await
    }

    async fn keep(
        &self,
        document: &DocumentKey,
        snapshot: StoredSnapshot,
        taken_millis: u64,
        name: Option<&str>,
    ) -> Result<SnapshotNumber, StoreError> {
        check_name(name)?;
        if snapshot.snapshot.len() > MAX_SNAPSHOT_BYTES {
            let (bytes, limit) = (snapshot.snapshot.len(), MAX_SNAPSHOT_BYTES);
            return Err(StoreError::TooLarge { what: "a snapshot", bytes, limit });
        }
        let (done, answer) = oneshot::channel();
        let (document, name) = (document.clone(), name.map(str::to_owned));
        self.change(Change::Keep { document, snapshot, taken_millis, name, done }, answer).await
    }

    async fn delete(&self, document: &DocumentKey, next: u64) -> Result<(), StoreError> {
        let (done, answer) = oneshot::channel();
        self.change(Change::Delete { document: document.clone(), next, done }, answer).await
    }

    async fn strays(&self) -> Result<Vec<Finding>, StoreError> {
        self.on_tables(|shared| shared.files()?.tables.strays()).await
    }
}
