//! Where batches and snapshots are kept: one narrow trait, and the engines behind it.
//!
//! The log in the store is the truth and rooms are caches of it. What a store acknowledged is durable: no crash of the
//! process or the machine loses it, and damage to it is an error that names the file and the place.
//!
//! - [`store`]: the trait [`Store`], its keys and what loading gives.
//! - [`error`]: what can go wrong, in the kinds that a caller acts on.
//! - [`memory`]: an engine that keeps everything in memory, for tests and simulators.
//! - [`embedded`]: the engine for one node, in a directory of its own.

pub mod embedded;
pub mod error;
pub mod memory;
pub mod store;

mod contents;

pub use embedded::EmbeddedStore;
pub use error::StoreError;
pub use memory::MemoryStore;
pub use store::{Append, DocumentKey, Loaded, Store, StoredSnapshot};
