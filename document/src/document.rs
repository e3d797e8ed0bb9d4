//! A whole replica's state.
//!
//! - [`local`]: edits and the transaction that they collect in
//! - [`apply`]: batches of others
//! - [`merge`]: snapshots, whole and partial, out and in
//! - [`lists`], [`sets`], [`counters`]: these containers' reading, editing and merging
//! - [`containers`]: their part of snapshots, out and in
//! - [`observe`]: changes for whoever follows
//! - [`format`], [`delta`]: marks and what belongs to lines, one by one and as deltas
//! - [`undo`]: own edits taken back
//! - [`revive`]: operations that a version kept which did not know them
//! - [`traits`]: those of the `crdts` crate

mod anchor;
mod apply;
mod containers;
mod counters;
mod delta;
mod format;
mod lists;
mod local;
mod merge;
mod observe;
mod revive;
mod sets;
mod traits;
mod undo;

use std::fmt;

use crate::batch::BatchError;
use crate::change::{Change, Unit};
use crate::counter::Counter;
use crate::early::Early;
use crate::ids::{Actor, VersionVector};
use crate::kept::Kept;
use crate::list::List;
use crate::map::Map;
use crate::ordered::OrderedMap;
use crate::set::Set;
use crate::text::Text;
use crate::transaction::Transaction;
use crate::undo::Undo;
use crate::value::Value;

pub use anchor::{Anchor, AnchorError};
use local::Local;
pub use undo::{Undone, UndonePlace};

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
        /// The text's or list's length in that unit.
        length: usize,
    },
    /// A delta that does not fit the text, or says what a delta cannot.
    #[error("step {step} of the delta: {problem}")]
    Delta {
        /// Which of its steps, from 0.
        step: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A root's name, a key or a value over its limit.
    #[error("{what} of {size} is over the limit of {limit}")]
    TooLarge {
        /// What.
        what: &'static str,
        /// Its size: bytes, levels or items.
        size: usize,
        /// The limit.
        limit: usize,
    },
}

/// The whole replica state of one document.
#[derive(Clone, Debug, Default)]
pub struct Document {
    version: VersionVector,
    /// Every actor that wrote, in order of appearance; containers know actors by their index here.
    pub(crate) actors: Vec<Actor>,
    /// The version vector by that index.
    held: Vec<u32>,
    pub(crate) index: OrderedMap<Actor, u32>,
    pub(crate) texts: OrderedMap<Box<str>, Text>,
    maps: OrderedMap<Box<str>, Map>,
    pub(crate) lists: OrderedMap<Box<str>, List>,
    sets: OrderedMap<Box<str>, Set>,
    counters: OrderedMap<Box<str>, Counter>,
    kept: Kept,
    early: Early,
    local: Option<Local>,
    transaction: Transaction,
    undo: Option<Box<Undo>>,
    observes: bool,
    unit: Unit,
    changes: Vec<Change>,
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

    /// A text; empty where nobody wrote it yet.
    pub fn text(&self, name: &str) -> TextRef<'_> {
        TextRef { text: self.texts.get(name) }
    }

    /// Names of the texts that were ever written, in order.
    pub fn text_names(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().filter(|(_, text)| !text.is_unwritten() || text.is_formatted()).map(|(name, _)| &**name)
    }

    /// What a map holds under a key.
    pub fn map_get(&self, name: &str, key: &str) -> Option<&Value> {
        self.maps.get(name)?.get(key)
    }

    /// A map's keys and values, in order of the keys.
    pub fn map_entries(&self, name: &str) -> impl Iterator<Item = (&str, &Value)> {
        self.maps.get(name).into_iter().flat_map(Map::entries)
    }

    /// Names of the maps that were ever written, in order.
    pub fn map_names(&self) -> impl Iterator<Item = &str> {
        self.maps.keys().map(|name| &**name)
    }

    /// The index of an actor, a new one if it is not known.
    fn intern(&mut self, actor: Actor) -> u32 {
        let next = self.actors.len() as u32;
        let index = *self.index.entry(actor).or_insert(next);
        if index == next {
            self.actors.push(actor);
            self.held.push(0);
        }
        index
    }

    /// The counter up to which an actor's operations are held.
    fn held(&self, actor: Actor) -> u32 {
        self.index.get(&actor).map_or(0, |&index| self.held[index as usize])
    }

    fn hold(&mut self, index: u32, counter: u32) {
        self.held[index as usize] = counter;
        self.version.dots.insert(self.actors[index as usize], u64::from(counter));
    }
}

/// A look at a text.
#[derive(Copy, Clone)]
pub struct TextRef<'a> {
    text: Option<&'a Text>,
}

impl<'a> TextRef<'a> {
    /// Unicode scalar values.
    pub fn len_scalars(&self) -> usize {
        self.text.map_or(0, Text::len_scalars)
    }

    /// UTF-16 code units.
    pub fn len_utf16(&self) -> usize {
        self.text.map_or(0, Text::len_utf16)
    }

    /// UTF-8 bytes.
    pub fn len_bytes(&self) -> usize {
        self.text.map_or(0, Text::len_bytes)
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len_scalars() == 0
    }

    /// The text in pieces, in order, without copying.
    pub fn chunks(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.text.into_iter().flat_map(Text::chunks)
    }

    /// The scalars of a range; stops at the end.
    pub fn slice(&self, range: std::ops::Range<usize>) -> String {
        self.text.map_or_else(String::new, |text| text.slice(range))
    }
}

impl fmt::Display for TextRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.chunks().try_for_each(|chunk| f.write_str(chunk))
    }
}

impl fmt::Debug for TextRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_string())
    }
}
