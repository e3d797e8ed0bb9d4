//! Others' batches that were seen and are not known to be durable: whoever saw an edit can bring it back.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use inkwire_document::{Actor, Batch, VersionVector};

use crate::frame::Offer;

const OVERHEAD_BYTES: usize = 160;

#[derive(Clone, Debug)]
struct Seen {
    batch: Batch,
    receipt: Bytes,
}

impl Seen {
    fn bytes(&self) -> usize {
        self.batch.operations.len() + self.receipt.len() + OVERHEAD_BYTES
    }
}

/// Retained batches in the order in which they came, which is one in which nothing refers to what comes later.
///
/// A relay lets at most 8 MiB of a document be undurable, so the bound is out of an honest relay's reach; past it the
/// newest are not retained.
#[derive(Clone, Debug, Default)]
pub(super) struct Retained {
    seen: VecDeque<Seen>,
    highest: BTreeMap<Actor, u64>,
    bytes: usize,
    /// While offering: the next to look at, and what the relay held when the document was opened.
    offering: Option<(usize, VersionVector)>,
}

impl Retained {
    /// Keeps a copy of the batch: the original may be a slice of a large read buffer.
    pub(super) fn push(&mut self, batch: &Batch, receipt: &Bytes, max_bytes: usize) {
        let highest = self.highest.get(&batch.actor).copied().unwrap_or(0);
        let size = batch.operations.len() + receipt.len();
        if batch.last() <= highest || self.bytes + size + OVERHEAD_BYTES > max_bytes {
            return;
        }
        let mut copy = Vec::with_capacity(size);
        copy.extend_from_slice(&batch.operations);
        copy.extend_from_slice(receipt);
        let mut operations = Bytes::from(copy);
        let receipt = operations.split_off(batch.operations.len());
        self.highest.insert(batch.actor, batch.last());
        self.bytes += size + OVERHEAD_BYTES;
        self.seen.push_back(Seen { batch: Batch { operations, ..batch.clone() }, receipt });
    }

    /// Forgets what is durable. The relay says so in the order of arrival, so only the front is looked at; what an
    /// unusual order leaves behind goes when the front does.
    pub(super) fn durable(&mut self, durable: &VersionVector) {
        while let Some(front) = self.seen.front() {
            if front.batch.last() > durable.get(&front.batch.actor) {
                break;
            }
            self.pop_front();
        }
    }

    fn pop_front(&mut self) {
        let Some(seen) = self.seen.pop_front() else { return };
        self.bytes -= seen.bytes();
        if self.highest.get(&seen.batch.actor) == Some(&seen.batch.last()) {
            self.highest.remove(&seen.batch.actor);
        }
        if let Some((next, _)) = &mut self.offering {
            *next = next.saturating_sub(1);
        }
    }

    /// Starts to offer what a relay that holds `held` lacks.
    pub(super) fn offer_beyond(&mut self, held: VersionVector) {
        self.offering = (!self.seen.is_empty()).then_some((0, held));
    }

    /// The next batch to offer; `None` when all are offered.
    pub(super) fn next_offer(&mut self) -> Option<Offer> {
        let (next, held) = self.offering.as_mut()?;
        while let Some(seen) = self.seen.get(*next) {
            *next += 1;
            if seen.batch.last() > held.get(&seen.batch.actor) {
                return Some(Offer::new(seen.batch.clone(), seen.receipt.clone()));
            }
        }
        self.offering = None;
        None
    }

    /// The connection is gone.
    pub(super) fn stop_offering(&mut self) {
        self.offering = None;
    }

    /// Forgets the actor's batches from `first` on: the relay refused them.
    pub(super) fn forget(&mut self, actor: Actor, first: u64) {
        self.seen.retain(|seen| seen.batch.actor != actor || seen.batch.first < first);
        self.bytes = self.seen.iter().map(Seen::bytes).sum();
        self.highest.remove(&actor);
        self.offering = None;
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn len(&self) -> usize {
        self.seen.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(actor: u64, first: u64) -> Batch {
        Batch { actor: Actor(actor), first, count: 1, operations: Bytes::from_static(b"operations") }
    }

    fn vector(entries: &[(u64, u64)]) -> VersionVector {
        VersionVector { dots: entries.iter().map(|(actor, counter)| (Actor(*actor), *counter)).collect() }
    }

    #[test]
    fn offers_in_order_of_arrival_what_the_relay_lacks() {
        let receipt = Bytes::from_static(b"receipt");
        let mut retained = Retained::default();
        for (actor, first) in [(1, 1), (2, 1), (1, 2), (2, 2), (1, 2)] {
            retained.push(&batch(actor, first), &receipt, 10_000);
        }
        assert_eq!(retained.len(), 4, "a batch is retained once");
        retained.durable(&vector(&[(1, 1)]));
        assert_eq!(retained.len(), 3);
        retained.offer_beyond(vector(&[(2, 1)]));
        let offered = std::iter::from_fn(|| retained.next_offer());
        let offered: Vec<_> = offered.map(|offer| (offer.actor.0, offer.first, offer.receipt)).collect();
        assert_eq!(offered, [(1, 2, receipt.clone()), (2, 2, receipt.clone())]);
        assert!(retained.next_offer().is_none());
        retained.durable(&vector(&[(1, 2), (2, 2)]));
        assert_eq!((retained.len(), retained.bytes()), (0, 0));
        retained.push(&batch(1, 3), &receipt, 100);
        assert_eq!(retained.len(), 0, "past the bound the newest are not retained");
    }
}
