//! The side of a store that is not on an edit's path: which documents there are, what is kept of their past, and deleting.

use async_trait::async_trait;
use inkwire_protocol::record::LogRecord;

use crate::error::StoreError;
use crate::store::{DocumentKey, StoredSnapshot};

/// The longest name of a snapshot, in bytes.
pub const MAX_SNAPSHOT_NAME_BYTES: usize = 256;

/// Which snapshot of a document: a number that its store gave it, and gives no other of the same document.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SnapshotNumber(pub u64);

/// A snapshot that is there.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SnapshotEntry {
    /// Which one.
    pub number: SnapshotNumber,
    /// When it was taken: milliseconds since the Unix epoch; 0 where an earlier version did not note it.
    pub taken_millis: u64,
    /// The name that somebody gave it.
    pub name: Option<String>,
    /// Bytes of the encoded state.
    pub bytes: u64,
    /// Whether it is the one that opening the document reads.
    pub is_current: bool,
}

/// A part of a document's log.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LogPage {
    /// Rows in the order in which they arrived, covered by snapshots or not. A row may be on several pages: it is one row.
    pub records: Vec<LogRecord>,
    /// Where the next page begins; `None` when this was the last.
    pub next: Option<u64>,
}

/// Something that a check found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// Whether acknowledged data is damaged or missing; else it only takes room.
    pub is_damage: bool,
    /// Where: a document, a table and its key, a file.
    pub place: String,
    /// What does not hold there.
    pub reason: String,
}

/// Reads, keeps and removes what documents were. None of it is on the path of an edit.
///
/// Every call may be dropped at any await and repeated, like those of [`Store`](crate::Store).
#[async_trait]
pub trait Archive: Send + Sync {
    /// Whether the engine keeps older snapshots and names: then [`keep`](Self::keep) does.
    fn keeps_history(&self) -> bool {
        true
    }

    /// Up to `limit` documents that have something stored, in the order of their keys, after `after`.
    ///
    /// # Errors
    ///
    /// As for [`Store::load`](crate::Store::load).
    async fn documents(&self, after: Option<&DocumentKey>, limit: usize) -> Result<Vec<DocumentKey>, StoreError>;

    /// Up to `limit` names that were deleted once, with their incarnations, in the order of names, after `after`.
    ///
    /// # Errors
    ///
    /// As for `documents`.
    async fn deleted(&self, after: Option<&str>, limit: usize) -> Result<Vec<DocumentKey>, StoreError>;

    /// The snapshots of `document`, those that were taken first at the front.
    ///
    /// # Errors
    ///
    /// As for `documents`.
    async fn snapshots(&self, document: &DocumentKey) -> Result<Vec<SnapshotEntry>, StoreError>;

    /// One snapshot; `None` when it is not there.
    ///
    /// # Errors
    ///
    /// As for `documents`.
    async fn snapshot(
        &self,
        document: &DocumentKey,
        number: SnapshotNumber,
    ) -> Result<Option<StoredSnapshot>, StoreError>;

    /// A page of what is there of `document`'s log: about one segment. The first one with `from` `None`.
    ///
    /// # Errors
    ///
    /// As for `documents`.
    async fn log(&self, document: &DocumentKey, from: Option<u64>) -> Result<LogPage, StoreError>;

    /// Adds a snapshot to the document's past: opening does not read it. With a name it stays for ever, else as long as the
    /// [rules](crate::HistoryRules) say. The same snapshot under the same name again changes nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError::Refused`] when another snapshot has the name or the engine keeps none, [`StoreError::Deleted`] when the document was deleted, else as
    /// for [`Store::commit_snapshot`](crate::Store::commit_snapshot).
    async fn keep(
        &self,
        document: &DocumentKey,
        snapshot: StoredSnapshot,
        taken_millis: u64,
        name: Option<&str>,
    ) -> Result<SnapshotNumber, StoreError>;

    /// Deletes `document` with all its past, for ever. The name goes on in the incarnation `next`, which is not 0 and was never
    /// used; what comes for the deleted one is answered [`StoreError::Deleted`]. Repeating it with the same `next` changes nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError::Deleted`] when the document was deleted before with another `next`, else as for `keep`.
    async fn delete(&self, document: &DocumentKey, next: u64) -> Result<(), StoreError>;

    /// Looks for what no document refers to, and for what the engine alone can check. What documents hold is checked by reading
    /// them: [`check`](crate::check::check) does both.
    ///
    /// # Errors
    ///
    /// Only what keeps it from looking; damage is among the findings.
    async fn strays(&self) -> Result<Vec<Finding>, StoreError>;
}

/// Refuses what is no name for a snapshot.
pub(crate) fn check_name(name: Option<&str>) -> Result<(), StoreError> {
    match name {
        Some("") => Err(StoreError::Refused { reason: "a snapshot's name has at least one character".to_owned() }),
        Some(name) if name.len() > MAX_SNAPSHOT_NAME_BYTES => {
            Err(StoreError::TooLarge { what: "a snapshot's name", bytes: name.len(), limit: MAX_SNAPSHOT_NAME_BYTES })
        }
        _ => Ok(()),
    }
}

/// The error of giving two snapshots one name.
pub(crate) fn name_is_taken(document: &DocumentKey, name: &str) -> StoreError {
    StoreError::Refused { reason: format!("another snapshot of {document} is called {name:?}: choose another name") }
}
