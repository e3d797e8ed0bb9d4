//! Encoded states and differences between them.

mod blocks;
mod checksum;
mod columns;
pub(crate) mod containers;
mod decode;
pub(crate) mod encode;
pub(crate) mod format;
mod huffman;
mod latest;
mod merge;
mod pack;
mod predict;
pub(crate) mod state;

use bytes::Bytes;

use crate::batch::{Batch, BatchError};
use crate::document::{Applied, ApplyError, Document};
use crate::ids::{Actor, VersionVector};

use checksum::xxh64;
pub use merge::merge;
use state::State;

/// What a snapshot begins with.
const MAGIC: [u8; 4] = *b"IKWS";
/// The format that this version writes, and the newest that it reads.
const FORMAT: u8 = 2;
/// Bytes of magic, format and checksum.
const HEADER: usize = 13;

/// Numbers of the sections. A new one raises the format: who does not know it cannot keep it.
mod section {
    pub(super) const TEXTS: u64 = 1;
    pub(super) const MAPS: u64 = 2;
    pub(super) const KEPT: u64 = 3;
    pub(super) const LISTS: u64 = 4;
    pub(super) const SETS: u64 = 5;
    pub(super) const COUNTERS: u64 = 6;
    pub(super) const FORMATS: u64 = 10;
}

/// A parsed, checked, still encoded snapshot: a state, or the difference between two. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Snapshot {
    bytes: Bytes,
    is_whole: bool,
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
    /// A section that this version does not know.
    #[error("snapshot section {0} is unknown to this version")]
    Section(u64),
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
        let header = bytes.first_chunk::<HEADER>().filter(|header| header[..4] == MAGIC).ok_or(SnapshotError::Magic)?;
        if header[4] != FORMAT {
            return Err(SnapshotError::Format(header[4]));
        }
        let [_, _, _, _, _, checksum @ ..] = *header;
        if xxh64(&bytes[HEADER..]) != u64::from_le_bytes(checksum) {
            return Err(SnapshotError::Checksum);
        }
        let (mut base, mut version) = (VersionVector::new(), VersionVector::new());
        let (is_whole, actors) = decode::decode_head(&mut decode::Input(&bytes[HEADER..]))?;
        for range in actors {
            if range.base > 0 {
                base.dots.insert(range.actor, u64::from(range.base));
            }
            if range.version > 0 {
                version.dots.insert(range.actor, u64::from(range.version));
            }
        }
        Ok(Self { bytes, is_whole, base, version })
    }

    /// Takes it apart.
    pub(crate) fn state(&self) -> Result<State, SnapshotError> {
        decode::decode(&self.bytes[HEADER..])
    }

    /// Whether it is a whole state, not a difference.
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// What a reader must hold before it merges this; empty for a whole state.
    pub fn base(&self) -> &VersionVector {
        &self.base
    }

    /// What a reader holds after it merged this, at least.
    pub fn version(&self) -> &VersionVector {
        &self.version
    }

    /// Bytes that its texts and lists say that they come to: the visible text, and 48 for each span of characters. Taking it
    /// apart allocates at most four times this and its own size together; a text that says more than
    /// [`MAX_DECODED_BYTES`](crate::limits::MAX_DECODED_BYTES) is refused before.
    ///
    /// # Errors
    /// When the content does not hold together although its checksum fits.
    pub fn declared_bytes(&self) -> Result<usize, SnapshotError> {
        decode::declared_bytes(&self.bytes[HEADER..])
    }

    /// The encoded form.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// What a reader at `have` lacks of this, as a (partial) snapshot. Does not build the text, and reads only those blocks
    /// of it in which something may be missing: its bytes and the work are in proportion to what is.
    ///
    /// # Errors
    /// When the content does not hold together although its checksum fits.
    pub fn difference(&self, have: &VersionVector) -> Result<Bytes, SnapshotError> {
        let lacks = |(actor, &version): (&Actor, &u64)| version > have.get(actor).max(self.base.get(actor));
        if self.is_whole && self.version.dots.keys().all(|actor| have.get(actor) == 0) {
            return Ok(self.bytes.clone());
        }
        if !self.version.dots.iter().any(lacks) {
            return Ok(encode::encode(&State::default()));
        }
        Ok(encode::encode(&decode::decode_lacking(&self.bytes[HEADER..], have)?.difference(have)))
    }
}

/// Folds a whole snapshot and batches, in the log's order, into a new snapshot. What is covered already is skipped.
///
/// # Errors
/// See [`FoldError`].
pub fn fold(snapshot: Option<&Snapshot>, batches: &[Batch]) -> Result<Bytes, FoldError> {
    let mut document = Document::new();
    document.set_early_limit(usize::MAX);
    if let Some(snapshot) = snapshot {
        if !snapshot.is_whole() {
            return Err(FoldError::Partial);
        }
        document.merge(snapshot)?;
    }
    let mut waits = Vec::new();
    for (index, batch) in batches.iter().enumerate() {
        match document.apply(batch) {
            Ok(Applied::New | Applied::Duplicate) => {}
            Ok(Applied::Buffered) | Err(ApplyError::EarlyBufferFull { .. }) => waits.push(index),
            Err(ApplyError::Batch(error)) => return Err(FoldError::Batch { index, error }),
        }
    }
    waits.retain(|&index| batches[index].last() > document.version().get(&batches[index].actor));
    match waits.first() {
        Some(&index) => Err(FoldError::Missing { index }),
        None => Ok(document.snapshot()),
    }
}

/// A header before a snapshot's content, with the checksum that fits it. For tools and tests that make snapshots of their
/// own: whether the content holds together is another matter.
pub fn with_header(content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + content.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.push(FORMAT);
    bytes.extend_from_slice(&xxh64(content).to_le_bytes());
    bytes.extend_from_slice(content);
    bytes
}
