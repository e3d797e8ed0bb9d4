//! Operations of formatting as they are read from a batch.

use super::BatchError;
use super::operation::{Operation, Parser, Reference, kind, reference};
use crate::formatting::Side;
use crate::messagepack::Reader;

/// Lines that one operation may name.
pub(crate) const MAX_TARGETS: usize = 1000;

/// A place beside a character; without one it is the text's start or end.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) struct Edge {
    pub(crate) at: Option<Reference>,
    pub(crate) side: Side,
}

/// The ends of lines that an operation names; none is the text's end.
#[derive(Copy, Clone)]
pub(crate) struct Targets<'a> {
    reader: Reader<'a>,
    left: u32,
    counter: u32,
}

impl Iterator for Targets<'_> {
    type Item = Option<Reference>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        // The parser read every one once before it handed this out.
        reference(&mut self.reader, self.counter).ok()
    }
}

impl<'a> Parser<'a> {
    /// Reads an operation of formatting after its kind.
    pub(super) fn formatting(
        &mut self,
        at: usize,
        kind: u64,
        elements: u32,
        first: u32,
    ) -> Result<Operation<'a>, BatchError> {
        let malformed = |problem| BatchError::Malformed { at, problem };
        let shape = BatchError::Shape { at, kind };
        if self.reader.uint().map_err(malformed)? != 1 {
            return Err(shape);
        }
        if kind == kind::MARK {
            if elements != 8 {
                return Err(shape);
            }
            let sides = self.reader.uint().map_err(malformed)?;
            if sides > 3 {
                return Err(shape);
            }
            let side = |bit| if sides & bit == 0 { Side::Before } else { Side::After };
            let start = Edge { at: self.reference(at, first)?, side: side(1) };
            let end = Edge { at: self.reference(at, first)?, side: side(2) };
            let (key, value, time) = self.attribute(at)?;
            return Ok(Operation::Mark { start, end, key, value, time });
        }
        if elements < 6 {
            return Err(shape);
        }
        let count = elements as usize - 5;
        self.limit(at, "the lines of an operation", count, MAX_TARGETS)?;
        let (key, value, time) = self.attribute(at)?;
        let targets = Targets { reader: self.reader, left: count as u32, counter: first };
        for _ in 0..count {
            self.reference(at, first)?;
        }
        Ok(Operation::Block { targets, key, value, time })
    }

    /// A kind, its value, its time.
    fn attribute(&mut self, at: usize) -> Result<(&'a str, Reader<'a>, u64), BatchError> {
        let malformed = |problem| BatchError::Malformed { at, problem };
        let key = self.reader.str().map_err(malformed)?;
        self.limit(at, "a kind", key.len(), self.limits.max_key_bytes)?;
        let value = self.reader;
        self.value(at)?;
        Ok((key, value, self.reader.uint().map_err(malformed)?))
    }
}
