//! What a batch does, in terms that mean the same to every replica: for edits that must be made again as another actor's.

use super::operation::{Item, Operation, Parser, Placed, Reference};
use super::{Batch, BatchError};
use crate::ids::{Actor, Dot, HybridTime};
use crate::limits::Limits;
use crate::value::Value;

/// One operation of a batch.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Edit {
    /// Text after a character, `None` for the text's start. Its scalars have the dots from `first` on.
    Insert {
        /// The counter of the first scalar.
        first: u64,
        /// What it was inserted after.
        left: Option<Dot>,
        /// The text.
        text: String,
    },
    /// Characters that are deleted.
    Delete {
        /// Runs of dots: the first of each, and how many.
        ranges: Vec<(Dot, u32)>,
    },
    /// A key that is set, or removed where there is no value.
    Set {
        /// The key.
        key: String,
        /// Its value.
        value: Option<Value>,
        /// When.
        time: HybridTime,
    },
    /// Of a later version.
    Unknown,
}

impl Batch {
    /// The batch's operations in their order, each with the name of its root.
    ///
    /// # Errors
    /// Those of [`check`](Self::check).
    pub fn edits(&self, limits: &Limits) -> Result<Vec<(Box<str>, Edit)>, BatchError> {
        let mut parser = Parser::new(self, limits)?;
        let (mut table, mut edits) = (vec![self.actor], Vec::new());
        while let Some(item) = parser.next()? {
            match item {
                Item::Actor(actor) => table.push(actor),
                Item::Operation(placed) => edits.push((placed.root.into(), edit(&placed, &table))),
            }
        }
        Ok(edits)
    }
}

fn edit(placed: &Placed<'_>, table: &[Actor]) -> Edit {
    let author = table.first().copied().unwrap_or(Actor(0));
    let dot = |Reference { index, counter }: Reference| {
        Dot::new(table.get(index as usize).copied().unwrap_or(author), u64::from(counter))
    };
    let first = u64::from(placed.first);
    match placed.operation {
        Operation::Insert { left, text, .. } => Edit::Insert { first, left: left.map(dot), text: text.to_owned() },
        Operation::Continue { text } => {
            Edit::Insert { first, left: Some(Dot::new(author, first - 1)), text: text.to_owned() }
        }
        Operation::Delete(ranges) => {
            Edit::Delete { ranges: ranges.map(|(from, length)| (dot(from), length)).collect() }
        }
        Operation::Set { key, value, time } => Edit::Set {
            key: key.to_owned(),
            value: value.and_then(|mut reader| Value::read(&mut reader).ok()),
            time: HybridTime(time),
        },
        Operation::Unknown { .. } => Edit::Unknown,
    }
}
