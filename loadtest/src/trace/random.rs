//! Seeded choices.

use inkwire_protocol::random;

/// Choices that follow from a seed: the same seed is the same trace, or the same crash run. Not for secrets.
#[derive(Clone, Debug)]
pub struct Random(random::Random);

impl Random {
    /// A generator; equal seeds make equal choices.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(random::Random::new(seed))
    }

    /// Any 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `limit`; 0 if `limit` is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0.below(limit as u64) as usize
    }

    /// A number from `low` to `high`, both possible.
    ///
    /// # Panics
    ///
    /// If `high` is below `low`.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    /// True in `percent` of 100 cases.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of `choices`.
    ///
    /// # Panics
    ///
    /// If there are none.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }
}
