//! The running digest of an actor: whether two ends mean the same operations by the same counters.

use crate::record::Digest;

/// A chain over an actor's batches in the order of their counters. Whoever wrote as the actor and whoever holds what was
/// written have the same one after the same counter; if not, the actor was used twice, by a page that was copied or restored.
///
/// It starts as 16 zero bytes. Each batch makes it the first 16 bytes of BLAKE3 over the chain before (16 bytes), the batch's
/// first counter (8, big-endian), its count (4, big-endian) and the BLAKE3 of its operations (32).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Chain(pub [u8; 16]);

impl Chain {
    /// The chain of one batch alone.
    pub fn of(first: u64, count: u32, digest: &Digest) -> Self {
        Self::default().then(first, count, digest)
    }

    /// Its first 4 bytes, for a receipt to say what its batch follows. Enough to tell what two copies of a page wrote from each
    /// other: nobody but the actor's own subject could make them meet, and would mix up only its own edits.
    pub const fn link(self) -> Link {
        let [first, second, third, fourth, ..] = self.0;
        Link([first, second, third, fourth])
    }

    /// The chain after another batch.
    #[must_use]
    pub fn then(self, first: u64, count: u32, digest: &Digest) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.0);
        hasher.update(&first.to_be_bytes());
        hasher.update(&count.to_be_bytes());
        hasher.update(&digest.0);
        let mut next = [0; 16];
        next.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self(next)
    }
}

/// The start of the running digest before a batch: zeros where it is not known, or where nothing comes before.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Link(pub [u8; 4]);

impl Link {
    /// Whether a batch with this link can follow what has the running digest `chain`, as far as both are known.
    pub fn follows(self, chain: Option<Chain>) -> bool {
        self == Self::default() || chain.is_none_or(|chain| chain.link() == self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_every_batch_counts() {
        let (one, other) = (Digest::of(b"one"), Digest::of(b"other"));
        let chain = Chain::default().then(1, 2, &one);
        assert_ne!(chain, Chain::default().then(1, 2, &other));
        assert_ne!(chain, Chain::default().then(1, 3, &one));
        assert_ne!(chain, Chain::default().then(2, 2, &one));
        assert_ne!(chain.then(3, 1, &other), Chain::default().then(3, 1, &other));
        assert!(chain.link().follows(Some(chain)) && chain.link().follows(None));
        assert!(!chain.link().follows(Some(chain.then(3, 1, &other))));
        assert!(Link::default().follows(Some(chain)), "it is not known what it follows");
    }
}
