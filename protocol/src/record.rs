//! What a room hands to the store, and what the store gives back: accepted batches, and who wrote what a snapshot covers.

use std::sync::Arc;

use bytes::Bytes;
use inkwire_document::{Actor, Batch};

use crate::Chain;

/// The BLAKE3 digest of a batch's encoded operations. Part of its identity: two bodies of one operation both survive.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of `operations`.
    pub fn of(operations: &[u8]) -> Self {
        Self(*blake3::hash(operations).as_bytes())
    }
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Digest(")?;
        for byte in &self.0[..6] {
            write!(formatter, "{byte:02x}")?;
        }
        formatter.write_str("…)")
    }
}

/// One accepted batch as it is stored: the author's bytes and what the relay knows about them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogRecord {
    /// The author's batch, byte for byte.
    pub batch: Batch,
    /// The authenticated subject that wrote it.
    pub subject: Arc<str>,
    /// When the relay accepted it: milliseconds since the Unix epoch, by the relay's clock. For people; decides nothing.
    pub received_millis: u64,
    /// The digest of the batch's operations.
    pub digest: Digest,
}

impl LogRecord {
    /// A record of `batch`, with its digest computed here.
    pub fn new(batch: Batch, subject: Arc<str>, received_millis: u64) -> Self {
        let digest = Digest::of(&batch.operations);
        Self { batch, subject, received_millis, digest }
    }

    /// The encoded operations: the author's bytes.
    pub fn operations(&self) -> &Bytes {
        &self.batch.operations
    }
}

/// What is stored beside a snapshot of one actor that wrote in it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ActorRecord {
    /// The actor.
    pub actor: Actor,
    /// The authenticated subject that first used it.
    pub subject: Arc<str>,
    /// The running digest of its batches up to the counter that the snapshot covers; `None` when it is not known, because the
    /// snapshot is of a version that stored none.
    pub chain: Option<Chain>,
}
