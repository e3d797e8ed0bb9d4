//! Formatting of texts: what a mark and a line's attribute are, and how each kind behaves.
//!
//! - **Marks** lie over ranges of characters: bold, a link, a comment. Each has a kind, which is its name, and a value.
//! - **Block attributes** belong to a line: heading, list item, quote. They sit on the line break that ends the line; the
//!   last line has none, so its attributes sit on the text's end.
//!
//! Of two that say different things about one character the later one holds, by (hybrid time, actor, counter). A kind
//! may have an identity behind a colon, `comment:7`: then it is a kind of its own and lies over others of its family.

#[cfg(any(test, feature = "html"))]
pub mod html;
pub mod json;
#[cfg(any(test, feature = "html", feature = "markdown"))]
mod lines;
#[cfg(any(test, feature = "markdown"))]
pub mod markdown;

use crate::ordered::OrderedMap;
use crate::value::Value;

#[cfg(any(test, feature = "html", feature = "markdown"))]
pub use lines::safe_url;

/// Kinds with their values, in order of their names. [`Value::Null`] says that a kind is taken away.
pub type Attributes = OrderedMap<String, Value>;

/// Kinds that one character or line shows, at most: the first by their names. It bounds what a delta of a hostile text
/// costs; 256.
pub const MAX_SHOWN: usize = 256;

/// Which side of a character.
#[derive(Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Hash, Debug)]
pub enum Side {
    /// Before it.
    Before,
    /// After it.
    After,
}

/// What becomes of text that is typed at a mark's edges.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub enum Growth {
    /// It is not marked, at either edge: links, comments.
    None,
    /// It is marked at the end: bold, italic and all that is not named otherwise.
    End,
    /// It is marked at the start.
    Start,
    /// It is marked at both.
    Both,
}

impl Growth {
    pub(crate) fn at_start(self) -> bool {
        matches!(self, Growth::Start | Growth::Both)
    }

    pub(crate) fn at_end(self) -> bool {
        matches!(self, Growth::End | Growth::Both)
    }
}

/// The kinds of marks that do not grow. All others grow at their end.
const FIXED: [&str; 4] = ["comment", "link", "mention", "suggestion"];

/// The kinds that are of a line and never of characters. A name that is in neither list is a mark on text and a block's
/// attribute where it is given to line breaks alone.
const BLOCKS: [&str; 7] = ["align", "blockquote", "code-block", "direction", "header", "indent", "list"];

/// The kinds that are of characters and never of a line.
const INLINE: [&str; 16] = [
    "background",
    "bold",
    "code",
    "color",
    "comment",
    "font",
    "italic",
    "link",
    "mention",
    "script",
    "size",
    "strike",
    "strong",
    "em",
    "suggestion",
    "underline",
];

/// A kind's name without its identity: `comment` of `comment:7`.
fn family(kind: &str) -> &str {
    kind.split(':').next().unwrap_or(kind)
}

/// How marks of a kind grow unless they are made otherwise. Every operation says it of itself, so replicas that know
/// other kinds agree all the same.
pub fn growth(kind: &str) -> Growth {
    if FIXED.contains(&family(kind)) { Growth::None } else { Growth::End }
}

/// Whether a kind is always of a line.
pub fn is_block(kind: &str) -> bool {
    BLOCKS.contains(&family(kind))
}

/// Whether a kind is always of characters.
pub fn is_inline(kind: &str) -> bool {
    INLINE.contains(&family(kind))
}
