use std::collections::VecDeque;

use bytes::Bytes;

use super::MemberId;
use inkwire_document::{Actor, Batch};

use crate::record::{Digest, LogRecord};

/// A place in the tail's endless sequence; 0 is the first entry since the room was loaded.
pub(super) type Position = u64;

/// What an entry costs beside its frame: the entry, its record and its part of the queues that refer to it.
pub(super) const ENTRY_OVERHEAD: usize = 256;

/// What a batch was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) actor: Actor,
    pub(super) first: u64,
    pub(super) count: u32,
    pub(super) digest: Digest,
}

impl Known {
    /// Whether it has counters that `batch` has too.
    pub(super) fn meets(&self, batch: &Batch) -> bool {
        self.actor == batch.actor && self.first <= batch.last() && batch.first < self.first + u64::from(self.count)
    }
}

/// One frame that goes to everyone, encoded once.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) frame: Bytes,
    pub(super) kind: Kind,
    /// Cost of all entries before this one since the room was loaded.
    before: u64,
}

#[derive(Debug)]
pub(super) enum Kind {
    /// A batch, and who brought it: it is not sent back there.
    Batch { record: LogRecord, origin: Option<MemberId> },
    /// A `Durable` delta.
    Durable,
}

impl Entry {
    pub(super) fn cost(&self) -> usize {
        self.frame.len() + ENTRY_OVERHEAD
    }
}

/// The shared sequence of encoded frames. Members hold nothing but a position in it.
///
/// ```text
/// front          base                          end
///   │ kept for     │ not folded yet: what joins  │
///   │ slow readers │ and folds read              │
/// ```
#[derive(Debug, Default)]
pub(super) struct Tail {
    entries: VecDeque<Entry>,
    front: Position,
    base: Position,
    /// Cost of everything ever pushed.
    pushed: u64,
    /// The last batches before the front.
    gone: VecDeque<Known>,
}

impl Tail {
    pub(super) fn push(&mut self, frame: Bytes, kind: Kind) {
        let entry = Entry { frame, kind, before: self.pushed };
        self.pushed += entry.cost() as u64;
        self.entries.push_back(entry);
    }

    /// The position after the last entry.
    pub(super) fn end(&self) -> Position {
        self.front + self.entries.len() as u64
    }

    /// The first entry that is still here.
    pub(super) fn front(&self) -> Position {
        self.front
    }

    /// The first entry that the snapshot does not cover.
    pub(super) fn base(&self) -> Position {
        self.base
    }

    /// `None` before the front and from the end on.
    pub(super) fn at(&self, position: Position) -> Option<&Entry> {
        self.entries.get(usize::try_from(position.checked_sub(self.front)?).ok()?)
    }

    /// Entries from `from` up to, not including, `to`; both are moved inside what is here.
    pub(super) fn range(&self, from: Position, to: Position) -> impl DoubleEndedIterator<Item = &Entry> {
        let index = |position: Position| (position.clamp(self.front, self.end()) - self.front) as usize;
        let (from, to) = (index(from), index(to));
        self.entries.range(from.min(to)..to)
    }

    /// The cost of the entries from `from`, which must not be before the front, up to `to`.
    pub(super) fn cost(&self, from: Position, to: Position) -> usize {
        let before = |position| self.at(position).map_or(self.pushed, |entry| entry.before);
        before(to).saturating_sub(before(from)) as usize
    }

    /// The cost of everything that is here.
    pub(super) fn total_cost(&self) -> usize {
        self.cost(self.front, self.end())
    }

    /// Bytes of what is known of batches that are gone.
    pub(super) fn known_bytes(&self) -> usize {
        self.gone.len() * size_of::<Known>()
    }

    /// What the batches were, from the latest backwards, as far as it is known.
    pub(super) fn known(&self) -> impl Iterator<Item = Known> {
        let here = self.entries.iter().rev().filter_map(|entry| match &entry.kind {
            Kind::Batch { record, .. } => Some(known(record)),
            Kind::Durable => None,
        });
        here.chain(self.gone.iter().rev().copied())
    }

    /// From now on a snapshot covers what is before `base`.
    pub(super) fn rebase(&mut self, base: Position) {
        self.base = base;
    }

    /// Forgets what is before `position`, and never what is not folded yet. Of the last `known_batches` it still knows what they
    /// were.
    pub(super) fn trim(&mut self, position: Position, known_batches: usize) {
        let count = position.min(self.base).saturating_sub(self.front) as usize;
        for entry in self.entries.drain(..count) {
            if let Kind::Batch { record, .. } = entry.kind {
                self.gone.push_back(known(&record));
                if self.gone.len() > known_batches {
                    self.gone.pop_front();
                }
            }
        }
        self.front += count as u64;
    }
}

fn known(record: &LogRecord) -> Known {
    let Batch { actor, first, count, .. } = record.batch;
    Known { actor, first, count, digest: record.digest }
}
