//! Operations as they are read from a batch.
//!
//! The operations of a batch are a sequence of MessagePack values: a string names the root that the operations after
//! it are about, an unsigned integer appends an actor to the batch's table (index 0 is the author), and an array is an
//! operation. `docs/src/protocol/operations.md` has every byte.

mod containers;

use super::format::{Edge, Targets};
use super::{Batch, BatchError};
use crate::ids::{Actor, MAX_COUNTER};
use crate::limits::Limits;
use crate::messagepack::{Malformed, Reader, Token};

/// Numbers of the kinds of operations. Everything from `FIRST_UNKNOWN` on says how many counters it takes.
pub(crate) mod kind {
    pub(crate) const INSERT: u64 = 0;
    pub(crate) const CONTINUE: u64 = 1;
    pub(crate) const DELETE: u64 = 2;
    pub(crate) const SET: u64 = 3;
    pub(crate) const REMOVE: u64 = 4;
    pub(crate) const LIST_INSERT: u64 = 5;
    pub(crate) const LIST_DELETE: u64 = 6;
    pub(crate) const SET_ADD: u64 = 7;
    pub(crate) const SET_REMOVE: u64 = 8;
    pub(crate) const COUNT: u64 = 9;
    pub(crate) const MARK: u64 = 10;
    pub(crate) const BLOCK: u64 = 11;
    /// What follows has its count of counters as second element, as marks and blocks have.
    pub(crate) const FIRST_UNKNOWN: u64 = 12;
}

/// A dot within a batch: the actor by its index in the batch's table.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) struct Reference {
    pub(crate) index: u32,
    pub(crate) counter: u32,
}

/// The left and the right origin; `None` is the start or the end.
pub(crate) type Origins = (Option<Reference>, Option<Reference>);

/// One operation, its parts still in the batch's bytes.
#[derive(Copy, Clone)]
pub(crate) enum Operation<'a> {
    /// Text between two characters; `None` is the text's start or end.
    Insert {
        left: Option<Reference>,
        right: Option<Reference>,
        text: &'a str,
    },
    /// Text after the author's character of the counter before, with that character's right origin.
    Continue {
        text: &'a str,
    },
    Delete(Ranges<'a>),
    /// Sets a key, or removes it where there is no value.
    Set {
        key: &'a str,
        value: Option<Reader<'a>>,
        time: u64,
    },
    /// As many values as counters, between two elements, or after the author's element of the counter before.
    ListInsert {
        origins: Option<Origins>,
        values: Reader<'a>,
    },
    ListDelete(Ranges<'a>),
    /// As many members as counters.
    SetAdd {
        members: Reader<'a>,
    },
    SetRemove(Ranges<'a>),
    Count {
        amount: i64,
    },
    /// Lays a mark over a range; a value of nil takes the kind away.
    Mark {
        start: Edge,
        end: Edge,
        key: &'a str,
        value: Reader<'a>,
        time: u64,
    },
    /// Writes an attribute of lines; a value of nil removes it.
    Block {
        targets: Targets<'a>,
        key: &'a str,
        value: Reader<'a>,
        time: u64,
    },
    /// A kind that this version does not know.
    Unknown {
        bytes: &'a [u8],
    },
}

/// An operation with its place.
pub(crate) struct Placed<'a> {
    pub(crate) root: &'a str,
    pub(crate) first: u32,
    pub(crate) count: u32,
    pub(crate) operation: Operation<'a>,
}

impl Placed<'_> {
    /// Every run of dots that it refers to.
    pub(crate) fn references(&self, mut each: impl FnMut(Reference, u32)) {
        match self.operation {
            Operation::Insert { left, right, .. } | Operation::ListInsert { origins: Some((left, right)), .. } => {
                [left, right].into_iter().flatten().for_each(|origin| each(origin, 1));
            }
            Operation::Continue { .. } | Operation::ListInsert { origins: None, .. } => {
                each(Reference { index: 0, counter: self.first - 1 }, 1);
            }
            Operation::Delete(ranges) | Operation::ListDelete(ranges) | Operation::SetRemove(ranges) => {
                ranges.for_each(|(from, length)| each(from, length));
            }
            Operation::Mark { start, end, .. } => {
                [start.at, end.at].into_iter().flatten().for_each(|at| each(at, 1));
            }
            Operation::Block { targets, .. } => targets.flatten().for_each(|target| each(target, 1)),
            Operation::Set { .. } | Operation::SetAdd { .. } | Operation::Count { .. } | Operation::Unknown { .. } => {}
        }
    }
}

/// The ranges that a delete names.
#[derive(Copy, Clone)]
pub(crate) struct Ranges<'a> {
    reader: Reader<'a>,
    left: u32,
    alone: bool,
    counter: u32,
}

impl Ranges<'_> {
    fn read(&mut self) -> Result<(Reference, u32), Malformed> {
        let from = reference(&mut self.reader, self.counter)?.ok_or(Malformed::Type)?;
        let length = if self.alone { 1 } else { self.reader.uint()? };
        Ok((from, u32::try_from(length).map_err(|_| Malformed::Type)?))
    }
}

impl Iterator for Ranges<'_> {
    type Item = (Reference, u32);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        // The parser read every range once before it handed this out.
        self.read().ok()
    }
}

/// What the top level of a batch holds.
pub(crate) enum Item<'a> {
    /// An actor for the table.
    Actor(Actor),
    Operation(Placed<'a>),
}

/// A counter of 0, which no operation has, stands for a reference to nothing that could exist.
pub(super) fn reference(reader: &mut Reader<'_>, own: u32) -> Result<Option<Reference>, Malformed> {
    Ok(match reader.token()? {
        Token::Nil => None,
        Token::Uint(distance) => {
            let counter = if distance == 0 { 0 } else { u64::from(own).saturating_sub(distance) };
            Some(Reference { index: 0, counter: counter as u32 })
        }
        Token::Array(2) => {
            let index = u32::try_from(reader.uint()?).unwrap_or(u32::MAX);
            let counter = reader.uint()?;
            Some(Reference { index, counter: if counter > MAX_COUNTER { 0 } else { counter as u32 } })
        }
        _ => return Err(Malformed::Type),
    })
}

/// Reads a batch's operations one after another and checks them on the way.
pub(crate) struct Parser<'a> {
    bytes: &'a [u8],
    pub(super) reader: Reader<'a>,
    pub(super) limits: &'a Limits,
    author: Actor,
    root: Option<&'a str>,
    actors: u32,
    /// The counter of the next operation; beyond the last one at the end.
    counter: u64,
    begin: u64,
    end: u64,
}

impl<'a> Parser<'a> {
    /// Checks the envelope.
    pub(crate) fn new(batch: &'a Batch, limits: &'a Limits) -> Result<Self, BatchError> {
        let bytes = batch.operations.len();
        if bytes > limits.max_batch_bytes {
            return Err(BatchError::TooLarge { bytes, limit: limits.max_batch_bytes });
        }
        let last = batch.last();
        if batch.first == 0 || batch.count == 0 || last > MAX_COUNTER {
            return Err(BatchError::Counters { first: batch.first, last });
        }
        Ok(Self {
            bytes: &batch.operations,
            reader: Reader::new(&batch.operations),
            limits,
            author: batch.actor,
            root: None,
            actors: 0,
            counter: batch.first,
            begin: batch.first,
            end: last + 1,
        })
    }

    pub(super) fn limit(&self, at: usize, what: &'static str, size: usize, limit: usize) -> Result<(), BatchError> {
        if size > limit { Err(BatchError::OverLimit { at, what, size, limit }) } else { Ok(()) }
    }

    /// The next actor or operation; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Item<'a>>, BatchError> {
        loop {
            if self.reader.is_empty() {
                let (said, taken) = (self.end, self.counter);
                return if said == taken { Ok(None) } else { Err(self.count_error(taken)) };
            }
            let at = self.reader.position();
            let malformed = |problem| BatchError::Malformed { at, problem };
            match self.reader.token().map_err(malformed)? {
                Token::Str(name) => {
                    self.limit(at, "a root's name", name.len(), self.limits.max_name_bytes)?;
                    self.root = Some(name);
                }
                Token::Uint(actor) => {
                    self.actors += 1;
                    self.limit(at, "the table of actors", self.actors as usize, self.limits.max_actors)?;
                    if Actor(actor) == self.author {
                        return Err(BatchError::Reference { at });
                    }
                    return Ok(Some(Item::Actor(Actor(actor))));
                }
                Token::Array(elements) => {
                    return self.operation(at, elements).map(|placed| Some(Item::Operation(placed)));
                }
                _ => return Err(malformed(Malformed::Type)),
            }
        }
    }

    fn count_error(&self, taken: u64) -> BatchError {
        BatchError::Count { said: (self.end - self.begin) as u32, taken: taken - self.begin }
    }

    #[inline]
    fn operation(&mut self, at: usize, elements: u32) -> Result<Placed<'a>, BatchError> {
        let malformed = |problem| BatchError::Malformed { at, problem };
        let root = self.root.ok_or(BatchError::NoRoot { at })?;
        if elements == 0 {
            return Err(malformed(Malformed::Type));
        }
        let kind = self.reader.uint().map_err(malformed)?;
        let shape = BatchError::Shape { at, kind };
        // `end` is at most MAX_COUNTER + 1.
        let first = self.counter as u32;
        if self.counter >= self.end {
            return Err(self.count_error(self.counter + 1));
        }
        let (operation, count) = match (kind, elements) {
            (kind::INSERT, 4) => {
                let left = self.reference(at, first)?;
                let right = self.reference(at, first)?;
                let text = self.reader.str().map_err(malformed)?;
                (Operation::Insert { left, right, text }, text.chars().count() as u64)
            }
            (kind::CONTINUE, 2) => {
                if first == 1 {
                    return Err(BatchError::Reference { at });
                }
                let text = self.reader.str().map_err(malformed)?;
                (Operation::Continue { text }, text.chars().count() as u64)
            }
            (kind::DELETE, 2..) if elements == 2 || elements % 2 == 1 => {
                let alone = elements == 2;
                let ranges =
                    Ranges { reader: self.reader, left: if alone { 1 } else { elements / 2 }, alone, counter: first };
                self.ranges(at, first, ranges)?;
                (Operation::Delete(ranges), 1)
            }
            (kind::SET, 4) | (kind::REMOVE, 3) => {
                let key = self.reader.str().map_err(malformed)?;
                self.limit(at, "a key", key.len(), self.limits.max_key_bytes)?;
                let mut value = None;
                if kind == kind::SET {
                    value = Some(self.reader);
                    self.value(at)?;
                }
                let time = self.reader.uint().map_err(malformed)?;
                (Operation::Set { key, value, time }, 1)
            }
            (kind::LIST_INSERT..=kind::COUNT, 3..) => self.container(at, first, kind, elements)?,
            (kind::MARK | kind::BLOCK, 2..) => (self.formatting(at, kind, elements, first)?, 1),
            (kind::FIRST_UNKNOWN.., 2..) => {
                let count = self.reader.uint().map_err(malformed)?;
                for _ in 2..elements {
                    self.reader.skip().map_err(malformed)?;
                }
                (Operation::Unknown { bytes: &self.bytes[at..self.reader.position()] }, count)
            }
            _ => return Err(shape),
        };
        if count == 0 {
            return Err(shape);
        }
        self.counter = self.counter.saturating_add(count);
        if self.counter > self.end {
            return Err(self.count_error(self.counter));
        }
        Ok(Placed { root, first, count: count as u32, operation })
    }

    pub(super) fn reference(&mut self, at: usize, own: u32) -> Result<Option<Reference>, BatchError> {
        let read = reference(&mut self.reader, own).map_err(|problem| BatchError::Malformed { at, problem })?;
        if let Some(read) = read {
            self.exists(at, own, read, 1)?;
        }
        Ok(read)
    }

    /// Whether a run that an operation of counter `own` refers to can exist.
    fn exists(&self, at: usize, own: u32, from: Reference, length: u32) -> Result<(), BatchError> {
        let end = u64::from(from.counter) + u64::from(length);
        let bound = if from.index == 0 { u64::from(own) } else { MAX_COUNTER + 1 };
        if from.counter == 0 || length == 0 || from.index > self.actors || end > bound {
            return Err(BatchError::Reference { at });
        }
        Ok(())
    }

    fn ranges(&mut self, at: usize, own: u32, mut ranges: Ranges<'a>) -> Result<(), BatchError> {
        for _ in 0..ranges.left {
            let (from, length) = ranges.read().map_err(|problem| BatchError::Malformed { at, problem })?;
            self.exists(at, own, from, length)?;
        }
        self.reader = ranges.reader;
        Ok(())
    }
}
