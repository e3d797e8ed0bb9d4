//! A whole replica's state.

use std::fmt;

use bytes::Bytes;

use crate::batch::{Batch, BatchError};
use crate::change::{Change, Unit};
use crate::ids::{Actor, HybridTime, VersionVector};
use crate::snapshot::{MergeError, Snapshot};
use crate::value::Value;

/// A place in a text.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub enum Position {
    /// So many Unicode scalar values from the start.
    Scalar(usize),
    /// So many UTF-16 code units from the start. Within a surrogate pair it means the pair's start.
    Utf16(usize),
}

/// What became of a batch.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub enum Applied {
    /// Applied, and with it whatever had waited for it.
    New,
    /// Held already; nothing changed.
    Duplicate,
    /// It came early: it waits for what it refers to, or for its actor's earlier operations.
    Buffered,
}

/// Why a batch was not taken. The document is as it was.
#[derive(Clone, Eq, PartialEq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// [`Batch::check`] refuses it.
    #[error("the batch is refused")]
    Batch(#[from] BatchError),
    /// It came early, and what waits already takes all the room that there is.
    #[error("{bytes} bytes wait for earlier batches, the limit is {limit}")]
    EarlyBufferFull {
        /// Bytes that would wait.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
}

/// Why an edit was not made. The document is as it was.
#[derive(Clone, Eq, PartialEq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// [`Document::set_actor`] was not called.
    #[error("the document has no actor to edit as")]
    NoActor,
    /// The actor wrote operations elsewhere that this replica does not hold yet.
    #[error("the actor wrote up to {wrote}, this replica holds up to {holds}")]
    Behind {
        /// The last counter that the actor used.
        wrote: u64,
        /// The last counter that is held.
        holds: u64,
    },
    /// The actor used up its counters; go on as another.
    #[error("the actor used up its counters")]
    CountersUsedUp,
    /// Beyond the end.
    #[error("position {position} is beyond the length {length}")]
    OutOfRange {
        /// The position, or the end of the range, in the unit that was asked in.
        position: usize,
        /// The text's length in that unit.
        length: usize,
    },
    /// A root's name, a key or a value over its limit.
    #[error("{what} of {size} bytes is over the limit of {limit}")]
    TooLarge {
        /// What.
        what: &'static str,
        /// Its bytes.
        size: usize,
        /// The limit.
        limit: usize,
    },
}

/// The whole replica state of one document.
#[derive(Clone, Debug, Default)]
pub struct Document {
    version: VersionVector,
}

impl Document {
    /// An empty document.
    pub fn new() -> Self {
        Self::default()
    }

    /// Per actor the highest counter applied without a gap, own edits included as soon as they are made.
    pub fn version(&self) -> &VersionVector {
        &self.version
    }

    /// Applies a batch. What [`Batch::check`] accepts is applied everywhere with the same outcome.
    ///
    /// # Errors
    /// When the check refuses it, or it came early and the buffer is full.
    pub fn apply(&mut self, _batch: &Batch) -> Result<Applied, ApplyError> {
        Ok(Applied::New)
    }

    /// Bytes of batches that wait for what they refer to.
    pub fn early_bytes(&self) -> usize {
        0
    }

    /// Bounds what waits for earlier batches, in bytes; 1 MiB by default.
    pub fn set_early_limit(&mut self, _bytes: usize) {}

    /// Edits from now on are `actor`'s, from counter `next` on. Ends the open transaction of the actor before: take its
    /// batches first, or they are lost.
    pub fn set_actor(&mut self, _actor: Actor, _next: u64) {}

    /// No more edits, until [`set_actor`](Self::set_actor).
    pub fn clear_actor(&mut self) {}

    /// Who edits.
    pub fn actor(&self) -> Option<Actor> {
        None
    }

    /// The counter of the next edit.
    pub fn next_counter(&self) -> Option<u64> {
        None
    }

    /// A text; empty where nobody wrote it yet.
    pub fn text(&self, _name: &str) -> TextRef<'_> {
        TextRef { document: self }
    }

    /// Names of the texts that were ever written, in order.
    pub fn text_names(&self) -> impl Iterator<Item = &str> {
        std::iter::empty()
    }

    /// Inserts into a text. An empty insert is none.
    ///
    /// # Errors
    /// See [`EditError`].
    pub fn insert(&mut self, _name: &str, _at: Position, _text: &str) -> Result<(), EditError> {
        Ok(())
    }

    /// Deletes `length` units of the position's kind. Half a surrogate pair means the whole of it. Deleting nothing is no edit.
    ///
    /// # Errors
    /// See [`EditError`].
    pub fn delete(&mut self, _name: &str, _at: Position, _length: usize) -> Result<(), EditError> {
        Ok(())
    }

    /// Sets a map's key. The edit's time is `now`, or just after the time of what it replaces where that is later.
    ///
    /// # Errors
    /// See [`EditError`].
    pub fn map_set(
        &mut self,
        _name: &str,
        _key: &str,
        _value: Value,
        _now: HybridTime,
    ) -> Result<(), EditError> {
        Ok(())
    }

    /// Removes a map's key. Removing what is not there is no edit.
    ///
    /// # Errors
    /// See [`EditError`].
    pub fn map_delete(
        &mut self,
        _name: &str,
        _key: &str,
        _now: HybridTime,
    ) -> Result<(), EditError> {
        Ok(())
    }

    /// What a map holds under a key.
    pub fn map_get(&self, _name: &str, _key: &str) -> Option<&Value> {
        None
    }

    /// A map's keys and values, in order of the keys.
    pub fn map_entries(&self, _name: &str) -> impl Iterator<Item = (&str, &Value)> {
        std::iter::empty()
    }

    /// Names of the maps that were ever written, in order.
    pub fn map_names(&self) -> impl Iterator<Item = &str> {
        std::iter::empty()
    }

    /// Ends the transaction: the edits since the last call, as batches in order, each within the limits.
    pub fn take_batches(&mut self) -> Vec<Batch> {
        Vec::new()
    }

    /// Edits in the open transaction: calls that changed something.
    pub fn pending_edits(&self) -> usize {
        0
    }

    /// Whether to collect changes, off at first.
    pub fn observe_changes(&mut self, _observe: bool) {}

    /// What texts' changes count in; UTF-16 at first.
    pub fn set_change_unit(&mut self, _unit: Unit) {}

    /// The changes since the last call, in order.
    pub fn take_changes(&mut self) -> Vec<Change> {
        Vec::new()
    }

    /// The encoded state with the version vector that it covers.
    pub fn snapshot(&self) -> Bytes {
        Bytes::new()
    }

    /// What a replica at `have` lacks of this state, as a partial snapshot.
    pub fn difference(&self, _have: &VersionVector) -> Bytes {
        Bytes::new()
    }

    /// Takes in a snapshot, whole or a difference. Batches that waited for what it brings are applied.
    ///
    /// # Errors
    /// When it is a difference to what this replica does not hold, or does not fit together. The document is as it was.
    pub fn merge(&mut self, _snapshot: &Snapshot) -> Result<(), MergeError> {
        Ok(())
    }
}

/// A look at a text.
#[derive(Copy, Clone)]
pub struct TextRef<'a> {
    document: &'a Document,
}

impl<'a> TextRef<'a> {
    /// Unicode scalar values.
    pub fn len_scalars(&self) -> usize {
        0
    }

    /// UTF-16 code units.
    pub fn len_utf16(&self) -> usize {
        0
    }

    /// UTF-8 bytes.
    pub fn len_bytes(&self) -> usize {
        0
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len_scalars() == 0
    }

    /// The text in pieces, in order, without copying.
    pub fn chunks(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let _ = self.document;
        std::iter::empty()
    }

    /// The scalars of a range; stops at the end.
    pub fn slice(&self, _range: std::ops::Range<usize>) -> String {
        String::new()
    }
}

impl fmt::Display for TextRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.chunks().try_for_each(|chunk| f.write_str(chunk))
    }
}
