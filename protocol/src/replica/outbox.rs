//! A replica's own batches that are not durable yet.

use std::collections::VecDeque;

use bytes::Bytes;
use inkwire_document::Batch;

use crate::Chain;
use crate::record::Digest;

/// What a batch costs beside its operations: its entry and the operations' allocation.
const OVERHEAD_BYTES: usize = 96;

#[derive(Clone, Debug)]
pub(super) struct Own {
    pub(super) batch: Batch,
    /// The relay took it: proves that to a relay that has lost it.
    pub(super) receipt: Option<Bytes>,
    /// Edits of the application that end with this batch: they are durable once it is.
    pub(super) edits: u64,
    /// How often they were made again.
    pub(super) remakes: u8,
}

impl Own {
    fn bytes(&self) -> usize {
        OVERHEAD_BYTES + self.batch.operations.len() + self.receipt.as_ref().map_or(0, Bytes::len)
    }
}

/// Own batches in the order of their counters, from the first that is not durable. Its size is bounded by the replica,
/// which refuses edits when it is full.
#[derive(Clone, Debug, Default)]
pub(super) struct Outbox {
    batches: VecDeque<Own>,
    /// How many of `batches`, from the front, were handed to the connection or are held by the relay.
    sent: usize,
    /// The last counter that was ever handed to a connection.
    sent_through: u64,
    /// What is settled: the last counter before `batches`, and the running digest there, if it is known.
    settled: (u64, Option<Chain>),
    bytes: usize,
    edits: u64,
    sent_edits: u64,
    durable_edits: u64,
}

/// The relay asked for batches that are gone here, because it had said that they are durable.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Gone;

impl Outbox {
    pub(super) fn push(&mut self, batch: Batch, edits: u64) {
        self.push_remade(batch, edits, 0);
    }

    pub(super) fn push_remade(&mut self, batch: Batch, edits: u64, remakes: u8) {
        let own = Own { batch, receipt: None, edits, remakes };
        self.bytes += own.bytes();
        self.edits += edits;
        self.batches.push_back(own);
    }

    /// Counts edits that took no operation: they are as safe as what was written before them.
    pub(super) fn count_edits(&mut self, edits: u64) {
        match self.batches.back_mut() {
            Some(last) => {
                last.edits += edits;
                self.edits += edits;
                if self.sent == self.batches.len() {
                    self.sent_edits += edits;
                }
            }
            None => self.durable_edits += edits,
        }
    }

    /// A new author, who goes on after `counter`, where the running digest is `chain`.
    pub(super) fn begin(&mut self, counter: u64, chain: Option<Chain>) {
        (self.settled, self.sent_through) = ((counter, chain), counter);
    }

    /// Whether a relay that holds everything up to `held`, with the running digest `theirs`, holds other operations than these.
    pub(super) fn disagrees(&self, held: u64, theirs: Chain) -> bool {
        let (mut counter, Some(mut chain)) = self.settled else { return false };
        if held < counter {
            return false;
        }
        for Own { batch, .. } in self.batches.iter().take_while(|own| own.batch.last() <= held) {
            counter = batch.last();
            chain = chain.then(batch.first, batch.count, &Digest::of(&batch.operations));
        }
        counter != held || chain != theirs
    }

    /// Whether a relay that holds everything up to `held`, with the running digest `theirs`, is known to hold these operations.
    pub(super) fn agrees(&self, held: u64, theirs: Chain) -> bool {
        let (counter, chain) = self.settled;
        chain.is_some() && held >= counter && !self.disagrees(held, theirs)
    }

    /// Whether a batch of the own actor that came from elsewhere is none of these.
    pub(super) fn is_foreign(&self, batch: &Batch) -> bool {
        let own = self.batches.get(self.batches.partition_point(|own| own.batch.first < batch.first));
        batch.last() > self.settled.0 && own.is_none_or(|own| own.batch != *batch)
    }

    /// Keeps the receipt of a batch that is here: a copy, because it comes as a slice of a read buffer. Returns whether it is.
    pub(super) fn keep_receipt(&mut self, batch: &Batch, receipt: &Bytes) -> bool {
        let index = self.batches.partition_point(|own| own.batch.first < batch.first);
        let Some(own) = self.batches.get_mut(index).filter(|own| own.batch == *batch) else { return false };
        if own.receipt.is_none() {
            own.receipt = Some(Bytes::copy_from_slice(receipt));
            self.bytes += receipt.len();
        }
        true
    }

    /// Whether the relay has something up to `counter` that was never sent from here.
    pub(super) fn is_ahead(&self, counter: u64) -> bool {
        counter > self.sent_through && self.batches.back().is_some_and(|own| own.batch.last() > self.sent_through)
    }

    /// The next batch to send.
    pub(super) fn send(&mut self) -> Option<&Own> {
        let own = self.batches.get(self.sent)?;
        self.sent += 1;
        self.sent_edits += own.edits;
        self.sent_through = self.sent_through.max(own.batch.last());
        Some(own)
    }

    /// Everything up to `counter` is durable. Says whether that was news.
    pub(super) fn durable(&mut self, counter: u64) -> bool {
        let before = self.batches.len();
        while self.batches.front().is_some_and(|own| own.batch.last() <= counter) {
            let Some(own) = self.batches.pop_front() else { break };
            let Batch { first, count, operations, .. } = &own.batch;
            let chain = self.settled.1.map(|chain| chain.then(*first, *count, &Digest::of(operations)));
            self.settled = (own.batch.last(), chain);
            self.bytes -= own.bytes();
            self.edits -= own.edits;
            self.durable_edits += own.edits;
            if self.sent > 0 {
                self.sent -= 1;
                self.sent_edits -= own.edits;
            }
        }
        self.batches.len() != before
    }

    /// The connection is gone: nothing is under way any more.
    pub(super) fn unsend(&mut self) {
        self.sent = 0;
        self.sent_edits = 0;
    }

    /// Goes on after `held`, the last counter that the relay holds.
    pub(super) fn resume_after(&mut self, held: u64) -> Result<(), Gone> {
        if self.batches.front().is_some_and(|own| own.batch.first > held + 1) {
            return Err(Gone);
        }
        self.sent = self.batches.partition_point(|own| own.batch.last() <= held);
        self.sent_edits = self.batches.iter().take(self.sent).map(|own| own.edits).sum();
        Ok(())
    }

    /// Takes out what begins at the counter `first` or later. The rest is still the old actor's; none is under way.
    pub(super) fn take_from(&mut self, first: u64) -> VecDeque<Own> {
        self.unsend();
        let kept = self.batches.partition_point(|own| own.batch.first < first);
        let taken = self.batches.split_off(kept);
        if kept == 0 {
            *self = Self { durable_edits: self.durable_edits, ..Self::default() };
        }
        for own in taken.iter().filter(|_| kept > 0) {
            self.bytes -= own.bytes();
            self.edits -= own.edits;
        }
        taken
    }

    /// The last counter of the batches that are here.
    pub(super) fn last(&self) -> Option<u64> {
        self.batches.back().map(|own| own.batch.last())
    }

    /// Counts edits that are durable although they are not here any more.
    pub(super) fn count_durable(&mut self, edits: u64) {
        self.durable_edits += edits;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn unsent_edits(&self) -> u64 {
        self.edits - self.sent_edits
    }

    pub(super) fn sent_edits(&self) -> u64 {
        self.sent_edits
    }

    pub(super) fn durable_edits(&self) -> u64 {
        self.durable_edits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use inkwire_document::Actor;

    fn batch(first: u64, count: u32) -> Batch {
        Batch { actor: Actor(1), first, count, operations: Bytes::from_static(b"abc") }
    }

    fn counts(outbox: &Outbox) -> (u64, u64, u64) {
        (outbox.unsent_edits(), outbox.sent_edits(), outbox.durable_edits())
    }

    #[test]
    fn every_edit_is_in_exactly_one_state() {
        let mut outbox = Outbox::default();
        for number in 0..4 {
            outbox.push(batch(1 + number * 2, 2), 10);
        }
        assert_eq!(counts(&outbox), (40, 0, 0));
        assert_eq!(outbox.send().map(|own| own.batch.first), Some(1));
        assert_eq!(outbox.send().map(|own| own.batch.first), Some(3));
        assert_eq!(counts(&outbox), (20, 20, 0));
        assert!(!outbox.durable(1), "half a batch is none");
        assert!(outbox.durable(2));
        assert_eq!(counts(&outbox), (20, 10, 10));
        outbox.unsend();
        assert_eq!(counts(&outbox), (30, 0, 10));
        assert_eq!(outbox.resume_after(4), Ok(()));
        assert_eq!(counts(&outbox), (20, 10, 10));
        assert_eq!(outbox.send().map(|own| own.batch.first), Some(5));
        assert_eq!(outbox.resume_after(1), Err(Gone), "3 is there, 2 is not");
        assert_eq!(outbox.resume_after(2), Ok(()));
        assert_eq!(outbox.send().map(|own| own.batch.first), Some(3));
        assert!(outbox.durable(8), "durable also covers what this connection has not sent");
        assert_eq!(counts(&outbox), (0, 0, 40));
        assert_eq!((outbox.bytes(), outbox.is_empty()), (0, true));
        outbox.count_edits(1);
        outbox.push(batch(9, 1), 1);
        outbox.count_edits(1);
        assert_eq!(counts(&outbox), (2, 0, 41));
        outbox.push(batch(10, 2), 5);
        outbox.push(batch(12, 2), 5);
        assert_eq!(outbox.send().map(|own| own.batch.first), Some(9));
        assert!(outbox.keep_receipt(&batch(12, 2), &Bytes::from_static(b"receipt")));
        assert!(!outbox.keep_receipt(&batch(11, 2), &Bytes::from_static(b"another's")));
        assert_eq!(outbox.bytes(), 3 * (3 + OVERHEAD_BYTES) + 7);
        assert_eq!(outbox.take_from(12).len(), 1);
        assert_eq!((counts(&outbox), outbox.last()), ((7, 0, 41), Some(11)), "what comes before stays");
        assert_eq!(outbox.bytes(), 2 * (3 + OVERHEAD_BYTES));
        assert_eq!(outbox.take_from(0).len(), 2);
        assert_eq!((counts(&outbox), outbox.bytes(), outbox.last()), ((0, 0, 41), 0, None));
    }
}
