//! A text: a run-length sequence CRDT (FugueMax) and the rope that holds its characters, in one tree.
//!
//! Every character has a dot, and remembers what was at its left and right when it was typed. Its place follows from
//! these two origins alone (see [`integrate`]), so the order of arrival does not matter. Characters that follow one another
//! and have consecutive counters are one *span*. Deleted characters stay as spans without content.
//!
//! - [`span`]: spans, how they split and join
//! - [`tree`]: leaves of spans with their text, counts of visible characters above them
//! - [`places`]: from a dot to the leaf that holds it
//! - [`origins`]: what was left and right of each inserted run
//! - [`integrate`], [`far`]: where an insert belongs, also among very many at one place
//! - [`delete`]: hiding characters, remembering one dot that did it
//! - [`read`]: the visible text
//! - [`runs`]: the dots of what is visible, places beside deleted characters
//! - [`anchor`]: places that stay with their characters
//! - [`marks`], [`format`], [`shown`], [`edges`]: marks and what belongs to lines, how they come, show and grow
//! - [`compare`]: what became of one state's characters in another
//! - [`winners`]: which mark of a kind holds where
//! - [`build`]: out to a snapshot and in from one

mod anchor;
mod build;
pub(crate) mod compare;
pub(crate) mod delete;
mod edges;
mod far;
pub(crate) mod format;
mod integrate;
pub(crate) mod marks;
mod origins;
mod places;
mod read;
mod runs;
mod shown;
pub(crate) mod span;
mod tree;
mod winners;

use format::Format;
use origins::Origins;
use places::Places;
use span::Id;
use tree::{Leaf, Node};

use crate::formatting::Attributes;

/// A change of the visible text, for whoever observes.
#[derive(Clone, Debug)]
pub(crate) enum Splice {
    Insert { scalar: usize, utf16: usize, text: String, attributes: Attributes },
    Delete { scalar: usize, utf16: usize, scalars: usize, utf16s: usize },
    Format { scalar: usize, utf16: usize, scalars: usize, utf16s: usize, attributes: Attributes },
}

/// A text's whole state.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    leaves: Vec<Leaf>,
    nodes: Vec<Node>,
    root: u32,
    /// Totals of what is visible.
    scalars: usize,
    utf16: usize,
    bytes: usize,
    /// By the document's index of the actor.
    actors: Vec<ActorState>,
    /// The leaf of the last local edit and the visible characters before it.
    hint: Option<(u32, usize)>,
    /// What is not plain of it.
    pub(crate) format: Option<Box<Format>>,
    /// Filled while somebody observes.
    pub(crate) splices: Option<Vec<Splice>>,
}

/// What a text knows of one actor's characters.
#[derive(Clone, Debug, Default)]
struct ActorState {
    places: Places,
    origins: Origins,
}

/// A character: the leaf, the span in it, the offset in that.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
struct Place {
    leaf: u32,
    span: usize,
    offset: u32,
}

impl Text {
    pub(crate) fn new() -> Self {
        Self {
            leaves: vec![Leaf::default()],
            nodes: vec![Node::bottom(0)],
            root: 0,
            scalars: 0,
            utf16: 0,
            bytes: 0,
            actors: Vec::new(),
            hint: None,
            format: None,
            splices: None,
        }
    }

    /// Whether a character is in it, be it deleted.
    pub(crate) fn has(&self, id: Id) -> bool {
        self.find(id).is_some()
    }

    /// Whether it never had a character.
    pub(crate) fn is_unwritten(&self) -> bool {
        self.leaves[0].spans.is_empty()
    }

    fn actor(&mut self, actor: u32) -> &mut ActorState {
        let index = actor as usize;
        if index >= self.actors.len() {
            self.actors.resize_with(index + 1, ActorState::default);
        }
        &mut self.actors[index]
    }

    /// Where a character is; `None` when no character of this text has that dot.
    fn find(&self, id: Id) -> Option<Place> {
        let leaf = self.actors.get(id.actor as usize)?.places.leaf(id.counter)?;
        let spans = &self.leaves[leaf as usize].spans;
        let span = spans.iter().position(|span| span.contains(id))?;
        Some(Place { leaf, span, offset: id.counter - spans[span].id.counter })
    }
}
