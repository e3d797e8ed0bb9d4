//! The rules by which a writer may say `durable` and a segment may be deleted, without either knowing the other.
//!
//! Who removes a segment seals it, waits [`Rules::grace`], reads it a last time and only then deletes it. Who writes says
//! `durable` only if the write's answer came within [`Rules::trust`] of the beginning of a quorum read that found the
//! segment open. Such a read began before the seal was complete, so that the write was complete `trust` after the seal at
//! the latest, and the last read, a grace after it, sees the write: both are quorums. All times are each process's own
//! monotonic ones, and only their lengths are compared: clocks may differ by years, their rates by `grace / trust`.

use std::time::Duration;

use tokio::time::Instant;

/// The lengths of the fence.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rules {
    /// For how long a read that found a segment open counts; 10 s.
    pub trust: Duration,
    /// How long a sealed segment stays before its last read; 60 s. Several times `trust`.
    pub grace: Duration,
    /// How old a writer lets its last such read become before it reads again, beside a write; half of `trust`.
    pub recheck: Duration,
}

impl Rules {
    /// The rules with this `trust`, and the rest in proportion.
    pub const fn of(trust: Duration) -> Self {
        Self { trust, grace: trust.saturating_mul(6), recheck: Duration::from_nanos(trust.as_nanos() as u64 / 2) }
    }

    /// Whether a write may be called durable whose answer came at `answered`, by a read that began at `read` and found the
    /// segment open.
    pub fn is_durable(&self, read: Instant, answered: Instant) -> bool {
        answered.saturating_duration_since(read) <= self.trust
    }

    /// Whether the writer should read the segment's entry again.
    pub fn wants_check(&self, read: Instant, now: Instant) -> bool {
        now.saturating_duration_since(read) >= self.recheck
    }

    /// When the last read of a segment may begin whose seal was complete at `sealed`.
    pub fn last_read(&self, sealed: Instant) -> Instant {
        sealed + self.grace
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self::of(Duration::from_secs(10))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_durable_was_written_before_the_last_read() {
        let rules = Rules::default();
        let origin = Instant::now();
        let at = |seconds: u64| origin + Duration::from_secs(seconds);
        for read in 0..30 {
            for answered in 0..120 {
                for sealed in read..30 {
                    // The seal was complete after a read began that found the segment open.
                    if rules.is_durable(at(read), at(answered)) {
                        assert!(at(answered) < rules.last_read(at(sealed)), "{read} {answered} {sealed}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_read_that_follows_the_answer_counts() {
        let now = Instant::now();
        assert!(Rules::default().is_durable(now + Duration::from_secs(5), now));
    }

    #[test]
    fn a_writer_reads_again_before_its_last_read_is_too_old() {
        let rules = Rules::default();
        assert!(rules.recheck < rules.trust && rules.trust * 2 < rules.grace);
    }
}
