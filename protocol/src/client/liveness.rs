//! Whether the relay is still there.

use std::time::Duration;

use crate::limits::{LIVENESS_TIMEOUT, PING_INTERVAL};

/// A timer that fires so much later than asked means that this process was not running: a laptop slept, a page was frozen.
/// Then silence proves nothing yet, and the relay gets another chance to answer.
const SUSPENDED: Duration = Duration::from_secs(2);

/// What the time says about a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    Fine,
    Ping,
    Lost,
}

/// When the relay was last heard and last asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Liveness {
    heard: Duration,
    pinged: Duration,
    looked: Duration,
}

impl Liveness {
    pub(super) fn new(now: Duration) -> Self {
        Self { heard: now, pinged: now, looked: now }
    }

    pub(super) fn hear(&mut self, now: Duration) {
        self.heard = now;
        self.looked = now;
    }

    /// When to look next.
    pub(super) fn due(&self) -> Duration {
        (self.heard.max(self.pinged) + PING_INTERVAL).min(self.heard + LIVENESS_TIMEOUT)
    }

    pub(super) fn look(&mut self, now: Duration) -> Verdict {
        let suspended = now > self.due().max(self.looked) + SUSPENDED;
        self.looked = now;
        if suspended {
            self.heard = self.heard.max(now.saturating_sub(PING_INTERVAL));
            self.pinged = now;
            return Verdict::Ping;
        }
        if now >= self.heard + LIVENESS_TIMEOUT {
            Verdict::Lost
        } else if now >= self.heard.max(self.pinged) + PING_INTERVAL {
            self.pinged = now;
            Verdict::Ping
        } else {
            Verdict::Fine
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Verdict::{Fine, Lost, Ping};

    #[test]
    fn silence_is_asked_about_and_then_means_loss() {
        let at = Duration::from_millis;
        let mut liveness = Liveness::new(at(0));
        let seen: Vec<_> = (0..=6).map(|second| liveness.look(at(second * 1_000))).collect();
        assert_eq!(seen, [Fine, Fine, Ping, Fine, Ping, Fine, Lost]);
        liveness.hear(at(6_500));
        assert_eq!(liveness.due(), at(8_500));
        assert_eq!(liveness.look(at(8_499)), Fine);
        assert_eq!(liveness.look(at(8_500)), Ping);
        assert_eq!(liveness.look(at(60_000)), Ping, "the process slept: silence proves nothing");
        assert_eq!(liveness.look(at(62_000)), Ping);
        assert_eq!(liveness.look(at(64_000)), Lost);
    }
}
