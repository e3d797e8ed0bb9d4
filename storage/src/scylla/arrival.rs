//! The order of arrival.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Numbers rows in the order in which they arrive, over every writer of a document that has seen what came before.
///
/// A number is the time in microseconds, or one more than the highest number that was given or seen. So it only grows within
/// a process whatever its clock does, and what refers to another row comes after it: a room has read that row, or has it from
/// a peer whose number was read with it.
#[derive(Debug, Default)]
pub(super) struct Arrivals(AtomicI64);

/// Far enough from the end of the range that no row seen can bring the numbers to it.
const MAX: i64 = i64::MAX / 2;

impl Arrivals {
    /// The next number.
    pub(super) fn next(&self) -> i64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
        let now = i64::try_from(now).unwrap_or(MAX).min(MAX);
        let step = |last: i64| Some(now.max(last.saturating_add(1)));
        match self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step) {
            Ok(last) | Err(last) => now.max(last.saturating_add(1)),
        }
    }

    /// Takes note of a row that was read.
    pub(super) fn saw(&self, arrival: i64) {
        self.0.fetch_max(arrival.min(MAX), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_grow_past_what_was_seen() {
        let arrivals = Arrivals::default();
        let first = arrivals.next();
        assert!(arrivals.next() > first);
        let far = first + 1_000_000_000_000;
        arrivals.saw(far);
        assert_eq!(arrivals.next(), far + 1);
        arrivals.saw(i64::MAX);
        assert_eq!(arrivals.next(), MAX + 1);
    }
}
