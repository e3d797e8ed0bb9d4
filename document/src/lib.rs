//! The CRDT document: containers, batches, version vectors, snapshots.
//!
//! No I/O, no clock, no randomness: bytes and times come in, bytes and changes come out. The same code runs in the
//! relay, in native clients and, compiled to wasm, in a page.
//!
//! - [`ids`]: actors, dots, version vectors, hybrid times
//! - [`batch`]: consecutive operations of one actor, their encoding and *the* check
//! - [`Document`]: a whole replica's state; local edits, remote batches, snapshots
//! - [`Snapshot`]: an encoded state or a difference between two; [`fold`] makes a new one
//! - [`formatting`]: marks, attributes of lines, how kinds behave, deltas as JSON
//! - [`messagepack`]: the one reader and writer of operations, snapshots and frames
//! - [`ordered`]: a map whose code is small
//! - [`History`]: a document as it was, what changed between two times, who wrote what
//! - [`change`]: what an edit or a batch changed, for an editor to follow
//!
//! ```
//! use inkwire_document::{Actor, Document, Position};
//!
//! let mut ours = Document::new();
//! ours.set_actor(Actor(1), 1);
//! ours.insert("body", Position::Scalar(0), "Hello")?;
//!
//! let mut theirs = Document::new();
//! for batch in ours.take_batches() {
//!     theirs.apply(&batch)?;
//! }
//! assert_eq!(theirs.text("body").to_string(), "Hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod batch;
pub mod change;
mod counter;
mod document;
mod early;
pub mod formatting;
mod history;
pub mod ids;
mod kept;
pub mod limits;
mod list;
mod map;
pub mod messagepack;
pub mod ordered;
mod set;
pub mod snapshot;
mod sorted;
mod text;
mod transaction;
mod undo;
pub mod value;

#[cfg(test)]
mod tests;

pub use batch::{Batch, BatchError, Checked, RootType};
pub use change::{Change, Delta, ListDelta, Origin, TextDelta, Unit};
pub use document::{
    Anchor, AnchorError, Applied, ApplyError, Document, EditError, Position, TextRef, Undone, UndonePlace,
};
pub use formatting::{Attributes, Growth, Side};
pub use history::{History, HistoryError, RestoreError, Written, changes_between};
pub use ids::{Actor, Dot, HybridTime, VersionVector};
pub use limits::Limits;
pub use snapshot::{FoldError, MergeError, Snapshot, SnapshotError, fold};
pub use undo::UndoOptions;
pub use value::Value;
