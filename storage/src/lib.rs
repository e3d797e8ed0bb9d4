//! Where batches and snapshots are kept: one narrow trait, and the engines behind it.
//!
//! The log in the store is the truth and rooms are caches of it. What a store acknowledged is durable: no crash of the
//! process or the machine loses it, and damage to it is an error that names the file and the place.
//!
//! - [`store`]: the trait [`Store`], its keys and what loading gives.
//! - [`error`]: what can go wrong, in the kinds that a caller acts on.
//! - [`archive`]: the trait [`Archive`]: lists of documents, their past, deleting; [`retention`]: how much of the past stays.
//! - [`check`]: reading everything, to find what is wrong. [`copy`]: from one store to another.
//! - [`memory`]: an engine that keeps everything in memory, for tests and simulators.
//! - [`embedded`]: the engine for one node, in a directory of its own.
//! - `scylla`: the engine for a fleet, on a CQL cluster; with the feature of that name, which is on by default.
//! - `spool`: what stands before a cluster and keeps editing going while it is away; with the same feature.

pub mod archive;
pub mod check;
pub mod copy;
pub mod embedded;
pub mod error;
pub mod memory;
pub mod retention;
#[cfg(feature = "scylla")]
pub mod scylla;
#[cfg(feature = "scylla")]
pub mod spool;
pub mod store;

mod contents;
mod fields;
mod head;

pub use archive::{Archive, Finding, LogPage, SnapshotEntry, SnapshotNumber};
pub use embedded::EmbeddedStore;
pub use error::StoreError;
pub use memory::MemoryStore;
pub use retention::{HistoryRules, Retention};
#[cfg(feature = "scylla")]
pub use scylla::ScyllaStore;
#[cfg(feature = "scylla")]
pub use spool::SpoolStore;
pub use store::{Append, Condition, Counts, DocumentKey, Loaded, Store, StoredSnapshot};
