//! Others' batches that were seen and are not known to be durable: whoever saw an edit can bring it back.

use std::collections::VecDeque;

use bytes::Bytes;
use inkwire_document::ordered::OrderedMap;
use inkwire_document::{Actor, Batch, VersionVector};

use crate::Chain;
use crate::frame::{Offer, SeenBatch};
use crate::limits::MAX_SEEN_BATCHES;
use crate::record::Digest;

const OVERHEAD_BYTES: usize = 160;

#[derive(Clone, Debug)]
struct Seen {
    batch: Batch,
    receipt: Bytes,
    /// It came on an earlier lane, and nothing on this one has shown yet that the relay means the same.
    doubtful: bool,
}

impl Seen {
    fn meets(&self, batch: &Batch) -> bool {
        self.batch.first <= batch.last() && batch.first <= self.batch.last()
    }

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
    /// By the order of arrival.
    seen: OrderedMap<u64, Seen>,
    /// Where in it each actor's are, by their counters.
    actors: OrderedMap<Actor, VecDeque<u64>>,
    arrivals: u64,
    bytes: usize,
    /// What the relay held when the document was opened.
    held: VersionVector,
    /// While offering: the next to look at.
    offering: Option<u64>,
}

impl Retained {
    /// Keeps a copy of the batch: the original may be a slice of a large read buffer.
    pub(super) fn push(&mut self, batch: &Batch, receipt: &Bytes, max_bytes: usize) {
        let own = self.actors.get(&batch.actor);
        let latest = own.and_then(|places| self.seen.get(places.back()?));
        let size = batch.operations.len() + receipt.len();
        if latest.is_some_and(|seen| batch.last() <= seen.batch.last())
            || self.bytes + size + OVERHEAD_BYTES > max_bytes
        {
            return;
        }
        let mut copy = Vec::with_capacity(size);
        copy.extend_from_slice(&batch.operations);
        copy.extend_from_slice(receipt);
        let mut operations = Bytes::from(copy);
        let receipt = operations.split_off(batch.operations.len());
        self.bytes += size + OVERHEAD_BYTES;
        self.actors.entry(batch.actor).or_default().push_back(self.arrivals);
        self.seen
            .insert(self.arrivals, Seen { batch: Batch { operations, ..batch.clone() }, receipt, doubtful: false });
        self.arrivals += 1;
    }

    /// Forgets what is durable, wherever it stands: what never becomes so holds nothing else back.
    pub(super) fn durable(&mut self, durable: &VersionVector) {
        let (seen, bytes) = (&mut self.seen, &mut self.bytes);
        self.actors.retain(|actor, places| {
            let counter = durable.get(actor);
            while let Some(first) = places.front()
                && seen.get(first).is_none_or(|seen| seen.batch.last() <= counter)
            {
                *bytes -= seen.remove(first).map_or(0, |seen| seen.bytes());
                places.pop_front();
            }
            !places.is_empty()
        });
    }

    /// A new lane: what is retained from here on has to be found to be what the relay means too. Gives what of it a replica that
    /// holds `version` shows, for the relay to compare.
    pub(super) fn doubt(&mut self, version: &VersionVector) -> Vec<SeenBatch> {
        for seen in self.seen.values_mut() {
            seen.doubtful = seen.batch.first <= version.get(&seen.batch.actor);
        }
        let shown = self.seen.values().filter(|seen| seen.doubtful).take(MAX_SEEN_BATCHES);
        let seen = |Seen { batch, .. }: &Seen| {
            let digest = Chain::of(batch.first, batch.count, &Digest::of(&batch.operations));
            SeenBatch { actor: batch.actor, first: batch.first, count: batch.count, digest }
        };
        shown.map(seen).collect()
    }

    /// The first retained batch that has counters of `batch` and is another: its actor was used twice. If it is the same, there is
    /// no doubt about it any more.
    pub(super) fn contradicts(&mut self, batch: &Batch) -> Option<u64> {
        let places = self.actors.get(&batch.actor)?;
        // Nearly always it is newer than all that is retained of its actor.
        let met = places
            .iter()
            .rev()
            .take_while(|place| self.seen.get(place).is_some_and(|seen| seen.batch.last() >= batch.first));
        let met: Vec<u64> = met.copied().collect();
        let mut other = None;
        for place in met {
            let Some(seen) = self.seen.get_mut(&place).filter(|seen| seen.meets(batch)) else { continue };
            if seen.batch == *batch {
                seen.doubtful = false;
            } else {
                other = Some(seen.batch.first);
            }
        }
        other
    }

    /// The first batch of which a snapshot that covers `version` has the counters, without a word on whether it is this one.
    pub(super) fn first_doubt(&self, version: &VersionVector) -> Option<(Actor, u64)> {
        let doubt = |seen: &&Seen| seen.doubtful && seen.batch.first <= version.get(&seen.batch.actor);
        self.seen.values().find(doubt).map(|seen| (seen.batch.actor, seen.batch.first))
    }

    /// Starts to offer what a relay that holds `held` lacks. What it has it was told of, and compares.
    pub(super) fn offer_beyond(&mut self, held: VersionVector) {
        for seen in self.seen.values_mut() {
            seen.doubtful &= seen.batch.last() > held.get(&seen.batch.actor);
        }
        self.offering = (!self.seen.is_empty()).then_some(0);
        self.held = if self.seen.is_empty() { VersionVector::new() } else { held };
    }

    /// The next batch to offer; `None` when all are offered.
    pub(super) fn next_offer(&mut self) -> Option<Offer> {
        let next = self.offering.as_mut()?;
        for (place, seen) in self.seen.range(*next..) {
            *next = place + 1;
            if seen.batch.last() > self.held.get(&seen.batch.actor) {
                return Some(Offer::new(seen.batch.clone(), seen.receipt.clone()));
            }
        }
        self.offering = None;
        None
    }

    /// What the relay held of an actor when the document was opened, if something of it is retained.
    pub(super) fn held(&self, actor: Actor) -> u64 {
        self.held.get(&actor)
    }

    /// The connection is gone.
    pub(super) fn stop_offering(&mut self) {
        self.offering = None;
    }

    /// Forgets the actor's batches that begin at counters from `first` to `last`: the relay refused them, or means something else
    /// by these counters.
    pub(super) fn forget(&mut self, actor: Actor, first: u64, last: u64) {
        let Some(places) = self.actors.get_mut(&actor) else { return };
        let stays = |seen: &Seen| !(first..=last).contains(&seen.batch.first);
        places.retain(|place| self.seen.get(place).is_some_and(stays));
        if places.is_empty() {
            self.actors.remove(&actor);
        }
        self.seen.retain(|_, seen| seen.batch.actor != actor || stays(seen));
        self.bytes = self.seen.values().map(Seen::bytes).sum();
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
        for (actor, first) in [(3, 1), (1, 3), (3, 2), (1, 4)] {
            retained.push(&batch(actor, first), &receipt, 10_000);
        }
        retained.durable(&vector(&[(1, 4)]));
        assert_eq!(retained.len(), 2, "what nobody takes holds nothing back");
        retained.forget(Actor(3), 2, u64::MAX);
        retained.push(&batch(3, 2), &receipt, 10_000);
        assert_eq!(retained.len(), 2, "what was forgotten may come again");
        retained.forget(Actor(3), 1, u64::MAX);
        assert_eq!((retained.len(), retained.bytes()), (0, 0));
        for first in 5..9 {
            retained.push(&batch(1, first), &receipt, 10_000);
        }
        retained.offer_beyond(vector(&[(1, 6)]));
        retained.forget(Actor(1), 5, retained.held(Actor(1)));
        let offered: Vec<u64> = std::iter::from_fn(|| retained.next_offer()).map(|offer| offer.first).collect();
        assert_eq!(offered, [7, 8], "what the relay lacks is brought back all the same");
        retained.clear();
        retained.push(&batch(1, 3), &receipt, 100);
        assert_eq!(retained.len(), 0, "past the bound the newest are not retained");
    }

    #[test]
    fn what_the_relay_means_is_compared() {
        let receipt = Bytes::from_static(b"receipt");
        let other = Batch { operations: Bytes::from_static(b"something else"), ..batch(1, 2) };
        let mut retained = Retained::default();
        for first in 1..5 {
            retained.push(&batch(1, first), &receipt, 10_000);
        }
        assert_eq!(retained.first_doubt(&vector(&[(1, 9)])), None, "it came on this lane");
        let seen = retained.doubt(&vector(&[(1, 3)]));
        assert_eq!(seen.iter().map(|seen| seen.first).collect::<Vec<_>>(), [1, 2, 3], "what is shown");
        assert_eq!(seen[1].digest, Chain::of(2, 1, &Digest::of(b"operations")));
        assert_ne!(seen[1].digest, Chain::of(2, 1, &Digest::of(&other.operations)));
        retained.offer_beyond(vector(&[(1, 1)]));
        assert_eq!(retained.first_doubt(&vector(&[(1, 1)])), None, "the relay has compared it");
        assert_eq!(retained.first_doubt(&vector(&[(1, 2)])), Some((Actor(1), 2)));
        assert_eq!(retained.contradicts(&batch(1, 2)), None);
        assert_eq!(retained.first_doubt(&vector(&[(1, 9)])), Some((Actor(1), 3)), "2 is what it was");
        assert_eq!(retained.contradicts(&other), Some(2));
        assert_eq!(retained.contradicts(&Batch { count: 5, ..batch(1, 4) }), Some(4));
        assert_eq!(retained.contradicts(&batch(1, 5)), None);
        assert_eq!(retained.contradicts(&batch(2, 1)), None);
    }
}
