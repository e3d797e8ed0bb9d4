//! The trait that rooms are stored through.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use inkwire_document::VersionVector;
use inkwire_protocol::record::{ActorRecord, LogRecord};
use tokio::sync::watch;

use crate::archive::Archive;
use crate::error::StoreError;

/// The most bytes that a snapshot's chunk has in a store; larger cells trouble every engine that a fleet may use.
pub const SNAPSHOT_CHUNK_BYTES: usize = 256 * 1024;

/// One life of one document.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct DocumentKey {
    /// The document's path, UTF-8, at most 256 bytes.
    pub name: Arc<str>,
    /// 0 for a name that was never deleted, else the random number that the re-creation drew.
    pub incarnation: u64,
}

impl DocumentKey {
    /// The key of `name` in its life `incarnation`.
    pub fn new(name: impl Into<Arc<str>>, incarnation: u64) -> Self {
        Self { name: name.into(), incarnation }
    }
}

impl fmt::Display for DocumentKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.incarnation == 0 {
            write!(formatter, "{}", self.name)
        } else {
            write!(formatter, "{}#{:016x}", self.name, self.incarnation)
        }
    }
}

/// One row to add to a document's log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Append {
    /// Whose log it belongs to.
    pub document: DocumentKey,
    /// What is to be kept.
    pub record: LogRecord,
}

/// A committed snapshot, as it was handed to [`Store::commit_snapshot`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoredSnapshot {
    /// The document's encoded state.
    pub snapshot: Bytes,
    /// What the state covers.
    pub version: VersionVector,
    /// Which subject first used each actor, and the running digest of what the snapshot covers of it; for every actor in
    /// `version`.
    pub actors: Vec<ActorRecord>,
}

/// Everything that opening a document needs. A document that was never written is the default: no snapshot, no rows.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Loaded {
    /// The newest complete snapshot.
    pub snapshot: Option<StoredSnapshot>,
    /// The rows that the snapshot does not cover, in the order in which they arrived. A row is covered when its last
    /// counter is; two rows with one actor and counter but different digests are both here.
    pub records: Vec<LogRecord>,
    /// Rows that only this machine has for certain: they are part of the document and not durable until an `append` of them has
    /// returned. Only a [`SpoolStore`](crate::SpoolStore) has any.
    pub spooled: Vec<LogRecord>,
}

/// Whether a store takes edits, and whether it can make them durable.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Condition {
    /// All is well as far as is known.
    #[default]
    Serving,
    /// Nothing becomes durable for now; what is appended is kept, and waits.
    Away,
    /// Nothing more can be kept either: appends wait for room.
    Full,
}

/// What a store did beside what it was asked, since it was opened.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Statements that were sent again after a failure.
    pub retries: u64,
    /// Statements that had no answer in time; each may have taken effect.
    pub timeouts: u64,
    /// Rows that were written into a second segment, because the first was sealed meanwhile.
    pub repeated_writes: u64,
    /// Rows that were read with the key of another row and other bytes: an actor was used twice, or an attack.
    pub conflicts: u64,
    /// Segments that were begun.
    pub segments_begun: u64,
    /// Segments that were deleted after a fold.
    pub segments_deleted: u64,
    /// Loads that were overtaken by a fold and started over.
    pub loads_started_over: u64,
    /// Times that the cluster was found to be away.
    pub outages: u64,
    /// Rows that were written to the cluster out of the spool of an earlier life of this process.
    pub drained: u64,
    /// Bytes that the spool takes now, about.
    pub spool_bytes: u64,
}

/// Keeps documents' logs and snapshots.
///
/// Every call may be dropped at any await: it then took effect as a whole or not at all, and repeating it is harmless.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// The newest complete snapshot of `document` and the rest of its log, as of some moment after the call: rows whose
    /// `append` has returned are there.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] when a checksum does not hold, [`StoreError::Unavailable`] when it could not be read.
    async fn load(&self, document: &DocumentKey) -> Result<Loaded, StoreError>;

    /// Adds `records` and returns when all are durable. What waits while a commit runs goes into the next one, whoever
    /// called. A record whose document, actor, first counter and digest are stored already changes nothing.
    ///
    /// When the engine's queue is full the call waits for room; nothing is dropped.
    ///
    /// # Errors
    ///
    /// Any kind; the records may then be stored or not, and the caller may append them again.
    async fn append(&self, records: Vec<Append>) -> Result<(), StoreError>;

    /// Keeps `records` on this machine for a time in which an `append` of rows before them takes long, so that a process that
    /// starts meanwhile has them. It says nothing of durability: each record is appended all the same. A store that keeps
    /// nothing here does nothing.
    ///
    /// # Errors
    ///
    /// As for `append`.
    async fn keep(&self, records: Vec<Append>) -> Result<(), StoreError> {
        let _ = records;
        Ok(())
    }

    /// Commits `snapshot`, which covers `version`, and removes the older snapshot and every segment of the log whose
    /// rows are all covered; rows that come later start a new segment. All of it takes effect at once or not at all.
    /// A snapshot that the stored one covers already changes nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError::Diverged`] when neither the stored snapshot nor this one covers the other, else as for `append`.
    async fn commit_snapshot(
        &self,
        document: &DocumentKey,
        snapshot: Bytes,
        version: VersionVector,
        actors: Vec<ActorRecord>,
    ) -> Result<(), StoreError>;

    /// The current incarnation of the document called `name`; 0 when it was never deleted or never existed.
    ///
    /// # Errors
    ///
    /// As for `load`.
    async fn incarnation(&self, name: &str) -> Result<u64, StoreError>;

    /// Whether writes are accepted now.
    ///
    /// # Errors
    ///
    /// What an `append` would be refused with.
    async fn health(&self) -> Result<(), StoreError>;

    /// The side of the store that knows its documents' past; `None` when the engine keeps none.
    fn archive(&self) -> Option<&dyn Archive> {
        None
    }

    /// Whether edits are taken now, and whether they become durable; whoever waits for a change is told. A store that never
    /// changes is [`Condition::Serving`], and its receiver's sender is gone.
    fn condition(&self) -> watch::Receiver<Condition> {
        watch::channel(Condition::Serving).1
    }

    /// The caller, which loaded `document`, does not have it open any more.
    fn release(&self, document: &DocumentKey) {
        let _ = document;
    }

    /// What was done beside what was asked.
    fn counts(&self) -> Counts {
        Counts::default()
    }

    /// Finishes what was handed over and releases the store; later calls answer [`StoreError::Closed`].
    async fn close(&self);
}
