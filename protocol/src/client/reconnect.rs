//! When to try again.

use std::time::Duration;

use crate::random::Random;

/// Full jitter: a pause is anywhere between nothing and a bound that doubles with every failure, so that clients that
/// lost the same relay do not come back together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    pub(super) fn pause(&mut self, random: &mut Random, base: Duration, cap: Duration) -> Duration {
        let bound = base.saturating_mul(1 << self.failures.min(16)).min(cap);
        self.failures = self.failures.saturating_add(1);
        Duration::from_micros(random.below(bound.as_micros() as u64 + 1))
    }

    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_spread_below_a_growing_bound() {
        let (base, cap) = (Duration::from_millis(100), Duration::from_secs(5));
        let mut bounds = vec![Duration::ZERO; 12];
        for seed in 0..500 {
            let mut random = Random::new(seed);
            let mut backoff = Backoff::default();
            for bound in &mut bounds {
                *bound = (*bound).max(backoff.pause(&mut random, base, cap));
            }
        }
        for (failures, longest) in bounds.iter().enumerate() {
            let bound = (base * (1 << failures)).min(cap);
            assert!(*longest <= bound && *longest > bound * 9 / 10, "{failures}: {longest:?}");
        }
    }
}
