//! The time that the relay hands to its state machines.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use inkwire_protocol::room::Clock;

/// Reads both of the relay's clocks.
#[derive(Clone, Copy, Debug)]
pub struct RelayClock {
    start: Instant,
}

impl Default for RelayClock {
    fn default() -> Self {
        Self::new()
    }
}

impl RelayClock {
    /// Monotonic time counts from now.
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }

    /// The time now.
    pub fn now(&self) -> Clock {
        Clock { monotonic: self.start.elapsed(), unix_millis: unix_millis() }
    }

    /// The moment of a monotonic time, for timers.
    pub fn instant(&self, monotonic: Duration) -> tokio::time::Instant {
        // A time beyond what the system can count is as good as never.
        let never = self.start + Duration::from_secs(365 * 24 * 3600);
        self.start.checked_add(monotonic).unwrap_or(never).into()
    }
}

/// Milliseconds since the Unix epoch by the machine's clock.
pub fn unix_millis() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
