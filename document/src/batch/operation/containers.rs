//! Operations of lists, sets and counters. Their second element is how many counters they take, as with every kind from
//! 5 on: versions that do not know them pass over them.

use super::{Operation, Parser, Ranges, kind};
use crate::batch::BatchError;
use crate::messagepack::{Malformed, Token};
use crate::value::{Unfit, pass};

impl<'a> Parser<'a> {
    /// An operation of at least three elements whose kind was read, and the counters that it takes.
    pub(super) fn container(
        &mut self,
        at: usize,
        first: u32,
        kind: u64,
        elements: u32,
    ) -> Result<(Operation<'a>, u64), BatchError> {
        let malformed = |problem| BatchError::Malformed { at, problem };
        let shape = BatchError::Shape { at, kind };
        let count = self.reader.uint().map_err(malformed)?;
        let more = elements - 2;
        let is_one = count == 1;
        let operation = match kind {
            kind::LIST_INSERT if count > 0 && (count == u64::from(more) || count + 2 == u64::from(more)) => {
                let mut origins = None;
                if count != u64::from(more) {
                    origins = Some((self.reference(at, first)?, self.reference(at, first)?));
                } else if first == 1 {
                    return Err(BatchError::Reference { at });
                }
                let values = self.reader;
                self.values(at, count)?;
                Operation::ListInsert { origins, values }
            }
            kind::SET_ADD if count == u64::from(more) => {
                let members = self.reader;
                self.values(at, count)?;
                Operation::SetAdd { members }
            }
            kind::LIST_DELETE | kind::SET_REMOVE if is_one && (more == 1 || more.is_multiple_of(2)) => {
                let alone = more == 1;
                let left = if alone { 1 } else { more / 2 };
                let ranges = Ranges { reader: self.reader, left, alone, counter: first };
                self.ranges(at, first, ranges)?;
                if kind == kind::LIST_DELETE { Operation::ListDelete(ranges) } else { Operation::SetRemove(ranges) }
            }
            kind::COUNT if is_one && more == 1 => {
                let amount = match self.reader.token().map_err(malformed)? {
                    Token::Uint(amount) => i64::try_from(amount).map_err(|_| malformed(Malformed::Type))?,
                    Token::Negative(amount) => amount,
                    _ => return Err(malformed(Malformed::Type)),
                };
                Operation::Count { amount }
            }
            _ => return Err(shape),
        };
        Ok((operation, count))
    }

    fn values(&mut self, at: usize, count: u64) -> Result<(), BatchError> {
        (0..count).try_for_each(|_| self.value(at))
    }

    /// Passes over a value that a container may hold.
    pub(in crate::batch) fn value(&mut self, at: usize) -> Result<(), BatchError> {
        pass(&mut self.reader, self.limits).map_err(|problem| match problem {
            Unfit::Malformed(problem) => BatchError::Malformed { at, problem },
            Unfit::Over(what, size, limit) => BatchError::OverLimit { at, what, size, limit },
        })
    }
}
