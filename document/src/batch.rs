//! Batches: consecutive operations of one actor, encoded once by their author.

mod check;
mod cut;
mod edits;
pub(crate) mod encode;
pub(crate) mod format;
pub(crate) mod operation;

use bytes::Bytes;

use crate::ids::{Actor, HybridTime};
pub use crate::messagepack::Malformed;
pub use edits::Edit;

/// Consecutive operations of one actor. Immutable: stored, forwarded and checked as the bytes that its author encoded.
#[derive(Clone, Eq, PartialEq, Debug)]
pub struct Batch {
    /// Who wrote it.
    pub actor: Actor,
    /// The counter of its first operation, from 1.
    pub first: u64,
    /// How many counters its operations take, from 1.
    pub count: u32,
    /// The encoded operations, a sequence of MessagePack values.
    pub operations: Bytes,
}

impl Batch {
    /// The last counter that the batch takes.
    pub fn last(&self) -> u64 {
        self.first.saturating_add(u64::from(self.count)).saturating_sub(1)
    }
}

/// The type of a root; with its name it is the root's identity.
#[derive(Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Hash, Debug)]
#[non_exhaustive]
pub enum RootType {
    /// A text.
    Text,
    /// A map, last writer wins per key.
    Map,
    /// A list of values.
    List,
    /// A set of values.
    Set,
    /// A counter.
    Counter,
    /// Written by an operation that this version does not know.
    Unknown,
}

/// What [`Batch::check`] learned.
#[derive(Clone, Eq, PartialEq, Debug, Default)]
pub struct Checked {
    /// Per other actor the highest counter that the batch refers to; it may be accepted where all of them are held.
    /// References to the actor's own operations are always to earlier ones.
    pub references: Vec<(Actor, u64)>,
    /// The latest hybrid time in it, if any operation has one.
    pub latest_time: Option<HybridTime>,
    /// The roots that it writes, each once.
    pub roots: Vec<(RootType, Box<str>)>,
    /// How many of its operations are of kinds that this version does not know.
    pub unknown: u32,
}

/// Why a batch is refused.
#[derive(Clone, Eq, PartialEq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// More bytes than a batch may have.
    #[error("the batch has {bytes} bytes, the limit is {limit}")]
    TooLarge {
        /// Its bytes.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// A first counter of 0, no operations, or a counter beyond [`MAX_COUNTER`](crate::ids::MAX_COUNTER).
    #[error("counters {first} to {last} are not allowed")]
    Counters {
        /// The first counter.
        first: u64,
        /// The last counter.
        last: u64,
    },
    /// The operations take another number of counters than the batch says.
    #[error("the batch says {said} counters, its operations take {taken}")]
    Count {
        /// What the batch says.
        said: u32,
        /// What they take.
        taken: u64,
    },
    /// Not MessagePack, or not what belongs there.
    #[error("byte {at}: {problem}")]
    Malformed {
        /// Where, in the operations.
        at: usize,
        /// What.
        #[source]
        problem: Malformed,
    },
    /// An operation before any root's name.
    #[error("byte {at}: an operation before the name of its root")]
    NoRoot {
        /// Where, in the operations.
        at: usize,
    },
    /// An operation with too few or too many elements, or an empty insert.
    #[error("byte {at}: an operation of kind {kind} has another shape")]
    Shape {
        /// Where, in the operations.
        at: usize,
        /// Its kind.
        kind: u64,
    },
    /// A reference to what cannot exist: to itself or later, to counter 0, or to an actor that the batch does not name.
    #[error("byte {at}: a reference to what cannot exist")]
    Reference {
        /// Where, in the operations.
        at: usize,
    },
    /// A name, key or value over its limit, or too many actors.
    #[error("byte {at}: {what} of {size} is over the limit of {limit}")]
    OverLimit {
        /// Where, in the operations.
        at: usize,
        /// What.
        what: &'static str,
        /// Its size.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// The stored form does not begin with three numbers.
    #[error("the stored batch's header is cut off or too long")]
    Header,
}
