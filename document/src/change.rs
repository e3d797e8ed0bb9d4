//! What an edit or a batch changed, for an editor to follow without comparing texts.

use crate::formatting::Attributes;
use crate::value::Value;

/// Where a change came from.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub enum Origin {
    /// Made on this replica.
    Local,
    /// Came in a batch or a snapshot.
    Remote,
    /// Made on this replica by an undo or redo: an editor has not shown it yet.
    Undo,
}

/// What positions and lengths count.
#[derive(Copy, Clone, Eq, PartialEq, Debug, Default)]
pub enum Unit {
    /// Unicode scalar values, as on the wire.
    Scalar,
    /// UTF-16 code units, as in a browser.
    #[default]
    Utf16,
}

/// One step of a text's change, from its start; of a delta in the form of Quill, too.
///
/// A text's last line has a line break that is not in the text: a delta counts it, as editors do. Line breaks show the
/// attributes of their line, and other characters their marks.
#[derive(Clone, PartialEq, Debug)]
pub enum TextDelta {
    /// So many units stay, and show these from now on; [`Value::Null`] says what they do not show any more.
    Retain(usize, Attributes),
    /// This comes in, and shows these.
    Insert(String, Attributes),
    /// So many units go.
    Delete(usize),
}

/// One step of a list's change, from its start.
#[derive(Clone, PartialEq, Debug)]
pub enum ListDelta {
    /// So many elements stay.
    Retain(usize),
    /// These come in.
    Insert(Vec<Value>),
    /// So many elements go.
    Delete(usize),
}

impl TextDelta {
    /// So many units stay as they are.
    pub fn retain(length: usize) -> Self {
        TextDelta::Retain(length, Attributes::new())
    }

    /// Text that shows nothing comes in.
    pub fn insert(text: impl Into<String>) -> Self {
        TextDelta::Insert(text.into(), Attributes::new())
    }
}

/// One root's change.
#[derive(Clone, PartialEq, Debug)]
pub struct Change {
    /// The root's name.
    pub root: String,
    /// Made here or elsewhere.
    pub origin: Origin,
    /// What changed.
    pub delta: Delta,
}

/// What changed, by the root's type.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Delta {
    /// A text's steps, from its start, relative to the text after the change before this one.
    Text(Vec<TextDelta>),
    /// One key of a map.
    Map {
        /// The key.
        key: String,
        /// What it holds now; `None` when it was removed.
        value: Option<Value>,
    },
    /// A list's steps, from its start, relative to the list after the change before this one.
    List(Vec<ListDelta>),
    /// One member of a set.
    Set {
        /// The member.
        member: Value,
        /// Whether it is in the set now.
        is_in: bool,
    },
    /// A counter.
    Counter {
        /// Its value now.
        value: i64,
    },
}
