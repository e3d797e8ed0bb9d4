//! What came early: batches that wait for what they refer to, or for their actor's earlier ones.

use bytes::Bytes;

use crate::batch::Batch;
use crate::ids::Actor;
use crate::ordered::OrderedMap;

/// What a batch waits for: that an actor's counter is held.
pub(crate) type Need = (Actor, u64);

/// Bytes that one waiting batch costs beside its operations.
const OVERHEAD: usize = 128;

/// A bounded buffer. A batch waits under the first thing that it lacks; when that comes it is looked at again.
#[derive(Clone, Debug)]
pub(crate) struct Early {
    batches: OrderedMap<(Actor, u64), Batch>,
    waiting: OrderedMap<Need, Vec<(Actor, u64)>>,
    bytes: usize,
    pub(crate) limit: usize,
}

impl Default for Early {
    fn default() -> Self {
        Self { batches: OrderedMap::new(), waiting: OrderedMap::new(), bytes: 0, limit: 1 << 20 }
    }
}

impl Early {
    pub(crate) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    fn cost(batch: &Batch) -> usize {
        batch.operations.len() + OVERHEAD
    }

    /// What waits.
    pub(crate) fn batches(&self) -> impl Iterator<Item = &Batch> {
        self.batches.values()
    }

    fn is_there(&self, batch: &Batch) -> bool {
        self.batches.get(&(batch.actor, batch.first)).is_some_and(|held| held.count >= batch.count)
    }

    /// Whether a batch may wait, or waits already; else the bytes that would wait.
    pub(crate) fn has_room(&self, batch: &Batch) -> Result<(), usize> {
        let bytes = self.bytes + Self::cost(batch);
        if bytes > self.limit && !self.is_there(batch) { Err(bytes) } else { Ok(()) }
    }

    /// Keeps a batch until `need` is held. Fails with the bytes that would wait.
    pub(crate) fn insert(&mut self, batch: &Batch, need: Need) -> Result<(), usize> {
        let key = (batch.actor, batch.first);
        self.has_room(batch)?;
        if self.is_there(batch) {
            return Ok(());
        }
        let bytes = self.bytes + Self::cost(batch);
        // A copy, so that a few bytes do not keep the whole message that they came in.
        let copy = Batch { operations: Bytes::copy_from_slice(&batch.operations), ..*batch };
        self.bytes = bytes;
        match self.batches.insert(key, copy) {
            Some(shorter) => self.bytes -= Self::cost(&shorter),
            None => self.waiting.entry(need).or_default().push(key),
        }
        Ok(())
    }

    /// Keeps a batch that was taken out and lacks something else.
    pub(crate) fn put_back(&mut self, batch: Batch, need: Need) {
        let key = (batch.actor, batch.first);
        self.bytes += Self::cost(&batch);
        self.batches.insert(key, batch);
        self.waiting.entry(need).or_default().push(key);
    }

    /// Takes out one batch that waited for no more than an actor's `counter`.
    pub(crate) fn take(&mut self, actor: Actor, counter: u64) -> Option<Batch> {
        let (&need, keys) = self.waiting.range_mut((actor, 0)..=(actor, counter)).next()?;
        let key = keys.pop();
        if keys.is_empty() {
            self.waiting.remove(&need);
        }
        let batch = self.batches.remove(&key?)?;
        self.bytes -= Self::cost(&batch);
        Some(batch)
    }
}
