//! What the engine asks of a cluster, statement by statement: a seam between the engine's rules and the driver.
//!
//! Each call is one or more idempotent statements at LOCAL_QUORUM. One that failed with [`Failure::may_pass`] may have taken
//! effect, and may take effect later; repeating it with the same arguments is harmless. The timestamps are part of that:
//! index rows only ever go forward (listed, sealed, unlisted), and of two writes of one row of the log the one with the
//! earlier arrival stays.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use inkwire_document::{Actor, Batch};
use inkwire_protocol::record::{Digest, LogRecord};

use crate::contents::RowKey;
use crate::store::{DocumentKey, SNAPSHOT_CHUNK_BYTES};

/// Identifies a segment of a document's log: random, and never used again.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SegmentId(pub u64);

/// Identifies a snapshot of a document: random, and never used again.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SnapshotId(pub u64);

/// Why a statement failed, in the kinds that decide what follows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FailureKind {
    /// No answer in time: it may have taken effect, or may yet.
    TimedOut,
    /// Too few replicas, no connection, or too much to do. It may have taken effect all the same.
    Unavailable,
    /// Refused for what it says or who asks: repeating it does not help.
    Refused,
}

/// Why a statement failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{reason}")]
pub struct Failure {
    /// What kind of failure it was.
    pub kind: FailureKind,
    /// The cluster's or the driver's own words.
    pub reason: String,
}

impl Failure {
    /// Whether the same statement may succeed later.
    pub fn may_pass(&self) -> bool {
        self.kind != FailureKind::Refused
    }
}

/// A row of a document's log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Row {
    /// Its place in the order of arrival: microseconds since the Unix epoch where clocks are right; what the writer saw
    /// before has a smaller one in any case.
    pub arrival: i64,
    /// What is kept.
    pub record: LogRecord,
}

impl Row {
    pub(crate) fn key(&self) -> RowKey {
        RowKey::of(&self.record)
    }
}

/// A row's key with the number of operations, which tells what it covers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RowHead {
    /// The actor that wrote it.
    pub actor: Actor,
    /// Its first counter.
    pub first: u64,
    /// How many counters it has.
    pub count: u32,
}

impl RowHead {
    /// A batch without content, for questions about what a vector covers.
    pub(crate) fn batch(self) -> Batch {
        Batch { actor: self.actor, first: self.first, count: self.count, operations: Bytes::new() }
    }
}

/// An entry of a document's list of segments.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SegmentRow {
    /// Which segment.
    pub id: SegmentId,
    /// Whether writers were told to leave it.
    pub sealed: bool,
}

/// An entry of a document's list of snapshots: written last, it commits one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SnapshotRow {
    /// Which snapshot.
    pub id: SnapshotId,
    /// Bytes of its head, which the first chunks hold: what it covers, and the actors' subjects.
    pub head_bytes: u64,
    /// Bytes of the document's state, which the chunks after those hold.
    pub body_bytes: u64,
    /// The BLAKE3 hash of all chunks together.
    pub checksum: Digest,
}

impl SnapshotRow {
    /// The numbers of the chunks that hold the head, and of those that hold the state.
    pub(crate) fn chunks(&self) -> (Range<u32>, Range<u32>) {
        let count = |bytes: u64| u32::try_from(bytes.div_ceil(SNAPSHOT_CHUNK_BYTES as u64)).unwrap_or(u32::MAX);
        let head = count(self.head_bytes);
        (0..head, head..head.saturating_add(count(self.body_bytes)))
    }
}

/// Where a page of a segment begins; opaque.
#[derive(Clone, Debug, Default)]
pub struct Place(pub Option<Arc<[u8]>>);

/// A page of a segment, and where the next one begins.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// Its rows, by actor, first counter and digest.
    pub rows: Vec<T>,
    /// The beginning of the next page; `None` when this was the last.
    pub next: Option<Place>,
}

/// The statements.
#[async_trait]
pub trait Cluster: fmt::Debug + Send + Sync + 'static {
    /// The listed segments of `document`.
    async fn segments(&self, document: &DocumentKey) -> Result<Vec<SegmentRow>, Failure>;

    /// The entry of one segment; `None` when it is not listed.
    async fn segment(&self, document: &DocumentKey, segment: SegmentId) -> Result<Option<SegmentRow>, Failure>;

    /// Lists a new segment, before its first row.
    async fn list_segment(&self, document: &DocumentKey, segment: SegmentId) -> Result<(), Failure>;

    /// Tells writers to leave the segment. One that is not listed any more stays unlisted.
    async fn seal_segment(&self, document: &DocumentKey, segment: SegmentId) -> Result<(), Failure>;

    /// Takes the segment off the list.
    async fn unlist_segment(&self, document: &DocumentKey, segment: SegmentId) -> Result<(), Failure>;

    /// Deletes the segment's rows, as a partition, and whatever is written into it later.
    async fn delete_segment(&self, document: &DocumentKey, segment: SegmentId) -> Result<(), Failure>;

    /// Writes `rows` as one unlogged batch of one partition.
    async fn write(&self, document: &DocumentKey, segment: SegmentId, rows: &[Row]) -> Result<(), Failure>;

    /// A page of the segment's rows.
    async fn rows(&self, document: &DocumentKey, segment: SegmentId, from: Place) -> Result<Page<Row>, Failure>;

    /// A page of the segment's keys, read so that it sees what was acknowledged in any datacentre.
    async fn heads(&self, document: &DocumentKey, segment: SegmentId, from: Place) -> Result<Page<RowHead>, Failure>;

    /// The listed snapshots of `document`.
    async fn snapshots(&self, document: &DocumentKey) -> Result<Vec<SnapshotRow>, Failure>;

    /// Lists a snapshot, after its last chunk.
    async fn list_snapshot(&self, document: &DocumentKey, snapshot: &SnapshotRow) -> Result<(), Failure>;

    /// Takes the snapshot off the list.
    async fn unlist_snapshot(&self, document: &DocumentKey, snapshot: SnapshotId) -> Result<(), Failure>;

    /// Deletes the snapshot's chunks, as a partition.
    async fn delete_chunks(&self, document: &DocumentKey, snapshot: SnapshotId) -> Result<(), Failure>;

    /// Writes one chunk.
    async fn write_chunk(
        &self,
        document: &DocumentKey,
        snapshot: SnapshotId,
        number: u32,
        bytes: &Bytes,
    ) -> Result<(), Failure>;

    /// One chunk; `None` when it is not there.
    async fn chunk(&self, document: &DocumentKey, snapshot: SnapshotId, number: u32) -> Result<Option<Bytes>, Failure>;

    /// Up to `limit` documents that have a listed segment or snapshot, in the order of their keys, after `after`. Reads the lists of
    /// all documents: for copies and checks.
    async fn documents(&self, after: Option<&DocumentKey>, limit: usize) -> Result<Vec<DocumentKey>, Failure>;

    /// Up to `limit` names that were deleted once, with their incarnations, in the order of names, after `after`. Reads all of them.
    async fn deleted(&self, after: Option<&str>, limit: usize) -> Result<Vec<DocumentKey>, Failure>;

    /// Says in which incarnation a name goes on, at a time in microseconds: of two that are said the later one stays.
    async fn set_incarnation(&self, name: &str, incarnation: u64, at: i64) -> Result<(), Failure>;

    /// The current incarnation of the document called `name`; `None` when it was never deleted.
    async fn incarnation(&self, name: &str) -> Result<Option<u64>, Failure>;

    /// Whether a quorum of some partition answers.
    async fn health(&self) -> Result<(), Failure>;
}
