//! The trait that rooms are stored through.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use inkwire_document::VersionVector;
use inkwire_protocol::record::{ActorRecord, LogRecord};

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

    /// Finishes what was handed over and releases the store; later calls answer [`StoreError::Closed`].
    async fn close(&self);
}
