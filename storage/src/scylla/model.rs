//! A cluster in memory, for tests and simulators: each statement takes effect at once and for all, or fails as it is told.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use inkwire_document::Actor;
use parking_lot::Mutex;

use super::cluster::{
    Cluster, Failure, FailureKind, Page, Place, Row, RowHead, SegmentId, SegmentRow, SnapshotId, SnapshotRow,
};
use crate::contents::RowKey;
use crate::store::DocumentKey;

/// Rows of a page: few, so that paging is tried.
const PAGE_ROWS: usize = 7;

/// How long a client waits for an answer that does not come, as for a server's own timeout.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Which statement is about to run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Statement {
    /// [`Cluster::segments`]
    Segments,
    /// [`Cluster::segment`]
    Segment,
    /// [`Cluster::list_segment`]
    ListSegment,
    /// [`Cluster::seal_segment`]
    SealSegment,
    /// [`Cluster::unlist_segment`]
    UnlistSegment,
    /// [`Cluster::delete_segment`]
    DeleteSegment,
    /// [`Cluster::write`]
    Write,
    /// [`Cluster::rows`]
    Rows,
    /// [`Cluster::heads`]
    Heads,
    /// [`Cluster::snapshots`]
    Snapshots,
    /// [`Cluster::list_snapshot`]
    ListSnapshot,
    /// [`Cluster::unlist_snapshot`]
    UnlistSnapshot,
    /// [`Cluster::delete_chunks`]
    DeleteChunks,
    /// [`Cluster::write_chunk`]
    WriteChunk,
    /// [`Cluster::chunk`]
    Chunk,
    /// [`Cluster::documents`]
    Documents,
    /// [`Cluster::deleted`]
    Deleted,
    /// [`Cluster::set_incarnation`]
    SetIncarnation,
    /// [`Cluster::incarnation`]
    Incarnation,
    /// [`Cluster::health`]
    Health,
}

/// What happens to a statement.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fate {
    /// It is done.
    Done,
    /// It is done, after a time in which others go first.
    Later(Duration),
    /// It is done, and its answer is delayed.
    AnsweredLater(Duration),
    /// It is done, and its answer is lost: the client is told of a timeout.
    AnswerLost,
    /// It is lost, and the client is told of a timeout.
    Lost,
    /// It is refused for want of replicas.
    Unavailable,
    /// It is refused for good.
    Refused,
}

type Judge = Arc<dyn Fn(Statement) -> Fate + Send + Sync>;

/// What a partition of the log holds.
#[derive(Debug, Default)]
struct Partition {
    rows: BTreeMap<(Actor, u64, [u8; 32]), Row>,
    deleted: bool,
}

/// An entry's place in its life; it only goes forward.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Life {
    Listed,
    Sealed,
    Unlisted,
}

#[derive(Debug, Default)]
struct Tables {
    segments: HashMap<DocumentKey, BTreeMap<SegmentId, Life>>,
    log: HashMap<(DocumentKey, SegmentId), Partition>,
    snapshots: HashMap<DocumentKey, BTreeMap<SnapshotId, (SnapshotRow, bool)>>,
    chunks: HashMap<(DocumentKey, SnapshotId, u32), Bytes>,
    incarnations: BTreeMap<String, (i64, u64)>,
}

/// The cluster; clones share it.
#[derive(Clone, Default)]
pub struct ModelCluster {
    tables: Arc<Mutex<Tables>>,
    judge: Arc<Mutex<Option<Judge>>>,
}

impl fmt::Debug for ModelCluster {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ModelCluster").finish_non_exhaustive()
    }
}

impl ModelCluster {
    /// An empty cluster on which nothing fails.
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on `judge` says what happens to each statement.
    pub fn judge(&self, judge: impl Fn(Statement) -> Fate + Send + Sync + 'static) {
        *self.judge.lock() = Some(Arc::new(judge));
    }

    /// The same tables, with fates of their own: as another process sees them.
    #[must_use]
    pub fn seen_by_another(&self) -> Self {
        Self { tables: self.tables.clone(), judge: Arc::default() }
    }

    /// How many rows each partition of the log has.
    pub fn partition_rows(&self) -> Vec<usize> {
        self.tables
            .lock()
            .log
            .values()
            .filter(|partition| !partition.deleted)
            .map(|partition| partition.rows.len())
            .collect()
    }

    /// How many chunks there are, of all snapshots.
    pub fn chunks(&self) -> usize {
        self.tables.lock().chunks.len()
    }

    async fn run<T>(&self, statement: Statement, work: impl FnOnce(&mut Tables) -> T) -> Result<T, Failure> {
        let judge = self.judge.lock().clone();
        let fate = judge.map_or(Fate::Done, |judge| judge(statement));
        let failed = |kind| Err(Failure { kind, reason: format!("{statement:?} was told to fail") });
        match fate {
            Fate::Done => Ok(work(&mut self.tables.lock())),
            Fate::Later(delay) => {
                tokio::time::sleep(delay).await;
                Ok(work(&mut self.tables.lock()))
            }
            Fate::AnsweredLater(delay) => {
                let answer = work(&mut self.tables.lock());
                tokio::time::sleep(delay).await;
                Ok(answer)
            }
            Fate::AnswerLost => {
                work(&mut self.tables.lock());
                tokio::time::sleep(TIMEOUT).await;
                failed(FailureKind::TimedOut)
            }
            Fate::Lost => {
                tokio::time::sleep(TIMEOUT).await;
                failed(FailureKind::TimedOut)
            }
            Fate::Unavailable => failed(FailureKind::Unavailable),
            Fate::Refused => failed(FailureKind::Refused),
        }
    }

    async fn forward(
        &self,
        statement: Statement,
        document: &DocumentKey,
        segment: SegmentId,
        life: Life,
    ) -> Result<(), Failure> {
        self.run(statement, |tables| {
            let entries = tables.segments.entry(document.clone()).or_default();
            // Sealing what was never listed makes an entry too, as an UPDATE does.
            let entry = entries.entry(segment).or_insert(life);
            *entry = (*entry).max(life);
        })
        .await
    }
}

fn page<T>(rows: impl Iterator<Item = T>, from: &Place) -> Page<T> {
    let begin = from.0.as_ref().and_then(|place| <[u8; 8]>::try_from(&place[..]).ok()).map_or(0, u64::from_le_bytes);
    let mut rows: Vec<T> = rows.skip(begin as usize).take(PAGE_ROWS + 1).collect();
    let next = (rows.len() > PAGE_ROWS).then(|| Place(Some(Arc::from((begin + PAGE_ROWS as u64).to_le_bytes()))));
    rows.truncate(PAGE_ROWS);
    Page { rows, next }
}

fn segment_row((id, life): (&SegmentId, &Life)) -> Option<SegmentRow> {
    (*life != Life::Unlisted).then_some(SegmentRow { id: *id, sealed: *life == Life::Sealed })
}

#[async_trait]
impl Cluster for ModelCluster {
    async fn segments(&self, document: &DocumentKey) -> Result<Vec<SegmentRow>, Failure> {
        let read =
            |tables: &mut Tables| tables.segments.get(document).into_iter().flatten().filter_map(segment_row).collect();
        self.run(Statement::Segments, read).await
    }

    async fn segment(&self, document: &DocumentKey, segment: SegmentId) -> Result<Option<SegmentRow>, Failure> {
        self.run(Statement::Segment, |tables| {
            tables.segments.get(document).and_then(|entries| entries.get_key_value(&segment)).and_then(segment_row)
        })
        .await
    }

    async fn list_segment(&self, document: &DocumentKey, segment: SegmentId) -> Result<(), Failure> {
        self.forward(Statement::ListSegment, document, segment, Life::Listed).await
    }

    async fn seal_segment(&self, document: &DocumentKey, segment: SegmentId) -> Result<(), Failure> {
        self.forward(Statement::SealSegment, document, segment, Life::Sealed).await
    }

    async fn unlist_segment(&self, document: &DocumentKey, segment: SegmentId) -> Result<(), Failure> {
        self.forward(Statement::UnlistSegment, document, segment, Life::Unlisted).await
    }

    async fn delete_segment(&self, document: &DocumentKey, segment: SegmentId) -> Result<(), Failure> {
        self.run(Statement::DeleteSegment, |tables| {
            let partition = tables.log.entry((document.clone(), segment)).or_default();
            partition.rows.clear();
            partition.deleted = true;
        })
        .await
    }

    async fn write(&self, document: &DocumentKey, segment: SegmentId, rows: &[Row]) -> Result<(), Failure> {
        self.run(Statement::Write, |tables| {
            let partition = tables.log.entry((document.clone(), segment)).or_default();
            // What is written under a partition's tombstone is not there.
            if partition.deleted {
                return;
            }
            for row in rows {
                let RowKey { actor, first, digest } = row.key();
                let known = partition.rows.entry((actor, first, digest.0)).or_insert_with(|| row.clone());
                if row.arrival < known.arrival {
                    *known = row.clone();
                }
            }
        })
        .await
    }

    async fn rows(&self, document: &DocumentKey, segment: SegmentId, from: Place) -> Result<Page<Row>, Failure> {
        self.run(Statement::Rows, |tables| {
            let partition = tables.log.get(&(document.clone(), segment));
            page(partition.into_iter().flat_map(|partition| partition.rows.values().cloned()), &from)
        })
        .await
    }

    async fn heads(&self, document: &DocumentKey, segment: SegmentId, from: Place) -> Result<Page<RowHead>, Failure> {
        self.run(Statement::Heads, |tables| {
            let partition = tables.log.get(&(document.clone(), segment));
            let rows = partition.into_iter().flat_map(|partition| partition.rows.values());
            let head = |row: &Row| {
                let batch = &row.record.batch;
                RowHead { actor: batch.actor, first: batch.first, count: batch.count }
            };
            page(rows.map(head), &from)
        })
        .await
    }

    async fn snapshots(&self, document: &DocumentKey) -> Result<Vec<SnapshotRow>, Failure> {
        self.run(Statement::Snapshots, |tables| {
            let entries = tables.snapshots.get(document).into_iter().flat_map(BTreeMap::values);
            entries.filter(|(_, listed)| *listed).map(|(row, _)| row.clone()).collect()
        })
        .await
    }

    async fn list_snapshot(&self, document: &DocumentKey, snapshot: &SnapshotRow) -> Result<(), Failure> {
        self.run(Statement::ListSnapshot, |tables| {
            let entries = tables.snapshots.entry(document.clone()).or_default();
            entries.entry(snapshot.id).or_insert_with(|| (snapshot.clone(), true));
        })
        .await
    }

    async fn unlist_snapshot(&self, document: &DocumentKey, snapshot: SnapshotId) -> Result<(), Failure> {
        self.run(Statement::UnlistSnapshot, |tables| {
            if let Some((_, listed)) = tables.snapshots.get_mut(document).and_then(|entries| entries.get_mut(&snapshot))
            {
                *listed = false;
            }
        })
        .await
    }

    async fn delete_chunks(&self, document: &DocumentKey, snapshot: SnapshotId) -> Result<(), Failure> {
        self.run(Statement::DeleteChunks, |tables| {
            tables.chunks.retain(|(of, id, _), _| of != document || *id != snapshot);
        })
        .await
    }

    async fn write_chunk(
        &self,
        document: &DocumentKey,
        snapshot: SnapshotId,
        number: u32,
        bytes: &Bytes,
    ) -> Result<(), Failure> {
        self.run(Statement::WriteChunk, |tables| {
            tables.chunks.insert((document.clone(), snapshot, number), bytes.clone());
        })
        .await
    }

    async fn chunk(&self, document: &DocumentKey, snapshot: SnapshotId, number: u32) -> Result<Option<Bytes>, Failure> {
        self.run(Statement::Chunk, |tables| tables.chunks.get(&(document.clone(), snapshot, number)).cloned()).await
    }

    async fn documents(&self, after: Option<&DocumentKey>, limit: usize) -> Result<Vec<DocumentKey>, Failure> {
        self.run(Statement::Documents, |tables| {
            let has_segment =
                |entries: &BTreeMap<SegmentId, Life>| entries.values().any(|life| *life != Life::Unlisted);
            let segments = tables.segments.iter().filter(|(_, entries)| has_segment(entries)).map(|(key, _)| key);
            let is_listed =
                |entries: &BTreeMap<SnapshotId, (SnapshotRow, bool)>| entries.values().any(|(_, listed)| *listed);
            let snapshots = tables.snapshots.iter().filter(|(_, entries)| is_listed(entries)).map(|(key, _)| key);
            let keys: std::collections::BTreeSet<&DocumentKey> =
                segments.chain(snapshots).filter(|key| Some(*key) > after).collect();
            keys.into_iter().take(limit).cloned().collect()
        })
        .await
    }

    async fn deleted(&self, after: Option<&str>, limit: usize) -> Result<Vec<DocumentKey>, Failure> {
        self.run(Statement::Deleted, |tables| {
            let beyond = tables.incarnations.iter().filter(|(name, _)| Some(name.as_str()) > after);
            beyond.take(limit).map(|(name, (_, incarnation))| DocumentKey::new(name.as_str(), *incarnation)).collect()
        })
        .await
    }

    async fn set_incarnation(&self, name: &str, incarnation: u64, at: i64) -> Result<(), Failure> {
        self.run(Statement::SetIncarnation, |tables| {
            let known = tables.incarnations.entry(name.to_owned()).or_insert((at, incarnation));
            *known = (*known).max((at, incarnation));
        })
        .await
    }

    async fn incarnation(&self, name: &str) -> Result<Option<u64>, Failure> {
        self.run(Statement::Incarnation, |tables| tables.incarnations.get(name).map(|(_, incarnation)| *incarnation))
            .await
    }

    async fn health(&self) -> Result<(), Failure> {
        self.run(Statement::Health, |_| ()).await
    }
}
