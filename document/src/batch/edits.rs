//! What a batch does, in terms that mean the same to every replica: for edits that must be made again as another actor's.

use super::format::Edge;
use super::operation::{Item, Operation, Parser, Placed, Reference};
use super::{Batch, BatchError};
use crate::document::Anchor;
use crate::formatting::Side;
use crate::ids::{Actor, Dot, HybridTime};
use crate::limits::Limits;
use crate::messagepack::Reader;
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
    /// Values of a list after an element, `None` for the list's start. They have the dots from `first` on.
    ListInsert {
        /// The counter of the first value.
        first: u64,
        /// What they were inserted after.
        left: Option<Dot>,
        /// The values.
        values: Vec<Value>,
    },
    /// Elements of a list that are deleted.
    ListDelete {
        /// Runs of dots: the first of each, and how many.
        ranges: Vec<(Dot, u32)>,
    },
    /// Members that are added to a set. Their additions have the dots from `first` on.
    SetAdd {
        /// The counter of the first member.
        first: u64,
        /// The members.
        members: Vec<Value>,
    },
    /// Additions to a set that are removed.
    SetRemove {
        /// Runs of dots: the first of each, and how many.
        ranges: Vec<(Dot, u32)>,
    },
    /// An amount that is added to a counter.
    Count {
        /// The amount; below zero it is taken away.
        amount: i64,
    },
    /// A mark over a range. Without a value the kind is taken away there.
    Mark {
        /// Where it begins: after a character or the text's start, or before a character.
        start: Anchor,
        /// Where it ends: after a character, or before one or the text's end.
        end: Anchor,
        /// Its kind.
        key: String,
        /// Its value; [`Value::Null`] takes the kind away.
        value: Value,
        /// When.
        time: HybridTime,
    },
    /// An attribute of lines.
    Block {
        /// The characters that end the lines; [`Anchor::End`] for the last one.
        lines: Vec<Anchor>,
        /// Its name.
        key: String,
        /// Its value; [`Value::Null`] removes it.
        value: Value,
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
    let values = |mut reader: Reader<'_>| (0..placed.count).filter_map(|_| Value::read(&mut reader).ok()).collect();
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
        Operation::ListInsert { origins, values: reader } => {
            let left = match origins {
                Some((left, _)) => left.map(dot),
                None => Some(Dot::new(author, first - 1)),
            };
            Edit::ListInsert { first, left, values: values(reader) }
        }
        Operation::ListDelete(ranges) => {
            Edit::ListDelete { ranges: ranges.map(|(from, length)| (dot(from), length)).collect() }
        }
        Operation::SetAdd { members } => Edit::SetAdd { first, members: values(members) },
        Operation::SetRemove(ranges) => {
            Edit::SetRemove { ranges: ranges.map(|(from, length)| (dot(from), length)).collect() }
        }
        Operation::Count { amount } => Edit::Count { amount },
        Operation::Mark { start, end, key, mut value, time } => {
            let anchor = |edge: Edge, none| match (edge.at.map(dot), edge.side) {
                (None, _) => none,
                (Some(dot), Side::Before) => Anchor::Before(dot),
                (Some(dot), Side::After) => Anchor::After(dot),
            };
            Edit::Mark {
                start: anchor(start, Anchor::Start),
                end: anchor(end, Anchor::End),
                key: key.to_owned(),
                value: Value::read(&mut value).unwrap_or_default(),
                time: HybridTime(time),
            }
        }
        Operation::Block { targets, key, mut value, time } => Edit::Block {
            lines: targets.map(|target| target.map_or(Anchor::End, |target| Anchor::Before(dot(target)))).collect(),
            key: key.to_owned(),
            value: Value::read(&mut value).unwrap_or_default(),
            time: HybridTime(time),
        },
        Operation::Unknown { .. } => Edit::Unknown,
    }
}
