//! When a failed statement is repeated: always the same statement, with the same key, value and timestamp.
//!
//! The driver repeats some failures itself, on another node and at once. A write that timed out it never repeats, and it is
//! right not to: it may have taken effect. Ours are made so that repeating them changes nothing.

use std::time::Duration;

use super::cluster::{Failure, FailureKind};

/// The first pause, doubled each time up to the second.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));

/// For how long a call repeats its statements before it hands the failure to its caller.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Patience(pub Duration);

/// What follows a failure.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Decision {
    /// The same statement again, after this long.
    Again(Duration),
    /// The caller is told.
    GiveUp,
}

impl Patience {
    /// What follows the `attempt`th failure (from 1) of one statement, `elapsed` after it was first sent. `jitter` is drawn
    /// anew each time, from 0 to 255: relays that failed together do not come back together.
    pub fn decide(self, failure: &Failure, attempt: u32, elapsed: Duration, jitter: u8) -> Decision {
        if !failure.may_pass() || elapsed >= self.0 {
            return Decision::GiveUp;
        }
        let full = PAUSE.0.saturating_mul(1 << attempt.saturating_sub(1).min(10)).min(PAUSE.1);
        let pause = match failure.kind {
            // The server took its own time already.
            FailureKind::TimedOut => PAUSE.0,
            _ => full.mul_f64(0.5 + f64::from(jitter) / 510.0),
        };
        Decision::Again(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_repeated_for_a_while() {
        let patience = Patience(Duration::from_secs(10));
        let failure = |kind| Failure { kind, reason: String::new() };
        let millis = Duration::from_millis;
        let cases = [
            (FailureKind::Refused, 1, millis(0), 0, Decision::GiveUp),
            (FailureKind::TimedOut, 1, millis(2_000), 0, Decision::Again(millis(20))),
            (FailureKind::TimedOut, 5, millis(10_000), 0, Decision::GiveUp),
            (FailureKind::Unavailable, 1, millis(0), 255, Decision::Again(millis(20))),
            (FailureKind::Unavailable, 1, millis(0), 0, Decision::Again(millis(10))),
            (FailureKind::Unavailable, 4, millis(300), 255, Decision::Again(millis(160))),
            (FailureKind::Unavailable, 4_000_000, millis(9_999), 255, Decision::Again(millis(1_000))),
        ];
        for (kind, attempt, elapsed, jitter, expected) in cases {
            let decision = patience.decide(&failure(kind), attempt, elapsed, jitter);
            assert_eq!(decision, expected, "{kind:?}, {attempt}, {elapsed:?}");
        }
    }
}
