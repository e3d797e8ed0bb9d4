//! The rules of one document's log that every engine shares: when a row is a repetition, what a snapshot covers, and
//! what of two snapshots stays.

use std::cmp::Ordering;

use inkwire_document::{Actor, Batch, VersionVector};
use inkwire_protocol::record::{Digest, LogRecord};

/// What makes a row the same as another in its document.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) struct RowKey {
    pub(crate) actor: Actor,
    pub(crate) first: u64,
    pub(crate) digest: Digest,
}

impl RowKey {
    pub(crate) fn of(record: &LogRecord) -> Self {
        Self { actor: record.batch.actor, first: record.batch.first, digest: record.digest }
    }
}

/// Whether all of `batch` is in `version`.
pub(crate) fn covers(version: &VersionVector, batch: &Batch) -> bool {
    batch.last() <= version.get(&batch.actor)
}

/// What a new snapshot does to the stored one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Succession {
    /// It covers the stored one and takes its place.
    Replaces,
    /// The stored one covers it already.
    Known,
    /// Neither covers the other.
    Diverged,
}

/// Compares a new snapshot's vector with that of the stored one.
pub(crate) fn succession(stored: Option<&VersionVector>, new: &VersionVector) -> Succession {
    let Some(stored) = stored else {
        return Succession::Replaces;
    };
    match stored.partial_cmp(new) {
        Some(Ordering::Less) => Succession::Replaces,
        Some(Ordering::Equal | Ordering::Greater) => Succession::Known,
        None => Succession::Diverged,
    }
}
