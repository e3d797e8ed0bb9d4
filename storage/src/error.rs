//! What can go wrong in a store, in the kinds that a caller acts on.

use std::path::PathBuf;
use std::sync::Arc;

use crate::store::DocumentKey;

/// Why a store did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The store cannot be reached or read now; the same call may succeed later.
    #[error("the store is unavailable: {reason}")]
    Unavailable {
        /// What failed.
        reason: String,
        /// The error of the operating system, where there was one.
        #[source]
        source: Option<Arc<std::io::Error>>,
    },

    /// Something that was acknowledged is damaged. Repeating the call does not help; a backup may.
    #[error("{} is damaged at {place}: {reason}", file.display())]
    Corrupt {
        /// The damaged file.
        file: PathBuf,
        /// Where in the file: an offset or a table and its key.
        place: String,
        /// What does not hold there.
        reason: String,
    },

    /// An earlier sync failed, so that nobody knows what the disk holds: no write is accepted until the store is opened
    /// anew. What was acknowledged before can still be read.
    #[error("the store refuses writes until it is reopened, because writing {} failed: {reason}", file.display())]
    ReadOnly {
        /// The file whose write or sync failed.
        file: PathBuf,
        /// How it failed.
        reason: String,
    },

    /// The store is in use by another process.
    #[error("{} is in use by another process", directory.display())]
    Locked {
        /// The data directory.
        directory: PathBuf,
    },

    /// The store was written in another format.
    #[error("{} has storage format {found}; this version reads format {supported}{}", file.display(), advice(*found, *supported))]
    Format {
        /// The file that says so.
        file: PathBuf,
        /// The format that the file has.
        found: u32,
        /// The format that this version reads and writes.
        supported: u32,
    },

    /// A snapshot neither covers the stored one nor is covered by it: one of the two folds lacked something.
    #[error("the snapshot of {document} neither covers the stored one nor is covered by it")]
    Diverged {
        /// The document.
        document: DocumentKey,
    },

    /// The document was deleted; its name goes on in another incarnation.
    #[error("{document} was deleted")]
    Deleted {
        /// The document.
        document: DocumentKey,
    },

    /// What was handed over is larger than the store takes.
    #[error("{what} has {bytes} bytes; the limit is {limit}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its size.
        bytes: usize,
        /// The most that is taken.
        limit: usize,
    },

    /// The tables of a cluster are missing, or have another format.
    #[error("the tables in keyspace {keyspace} {}", schema_advice(*found, *supported))]
    Schema {
        /// The keyspace that was looked into.
        keyspace: String,
        /// The format that the tables have; `None` when they are not there.
        found: Option<u32>,
        /// The format that this version reads and writes.
        supported: u32,
    },

    /// The store refuses the call for what it says or who asks: repeating it does not help.
    #[error("the store refuses: {reason}")]
    Refused {
        /// The store's own words.
        reason: String,
    },

    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

fn advice(found: u32, supported: u32) -> &'static str {
    if found > supported {
        " (it was written by a newer one: upgrade the relay)"
    } else {
        " (it was written by an older one: see the upgrade notes)"
    }
}

fn schema_advice(found: Option<u32>, supported: u32) -> String {
    match found {
        None => "are missing: make them with inkwire store init --store ADDRESS".to_owned(),
        Some(found) => {
            format!("have format {found}; this version reads format {supported}{}", advice(found, supported))
        }
    }
}

impl StoreError {
    /// Whether the same call may succeed later without anybody's help.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    pub(crate) fn unavailable(what: impl std::fmt::Display, error: std::io::Error) -> Self {
        Self::Unavailable { reason: format!("{what}: {error}"), source: Some(Arc::new(error)) }
    }

    pub(crate) fn corrupt(file: impl Into<PathBuf>, place: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Corrupt { file: file.into(), place: place.into(), reason: reason.into() }
    }
}
