//! Who wrote what, and when: actors, dots, version vectors, hybrid times.

use std::fmt;

/// One writing replica of one document. Bound to the authenticated subject that first used it, and never used again
/// after its replica lost state.
#[derive(Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Hash, Debug, Default)]
pub struct Actor(pub u64);

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The identity of an operation: its actor and that actor's counter, from 1.
pub type Dot = crdts::Dot<Actor>;

/// Per actor the highest counter held without a gap; an absent actor counts as 0.
pub type VersionVector = crdts::VClock<Actor>;

/// The highest counter an actor may reach. Counters are kept in 32 bits, which halves what a document costs in memory;
/// at a thousand operations a second it lasts for seven weeks without a pause, and a new lease starts again at 1.
pub const MAX_COUNTER: u64 = u32::MAX as u64 - 1;

/// A hybrid logical clock's reading: milliseconds since the Unix epoch in the upper 48 bits, a logical count in the
/// lower 16. Orders the writes of a map's key.
#[derive(Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Hash, Debug, Default)]
pub struct HybridTime(pub u64);

impl HybridTime {
    /// The first reading of a millisecond. Times beyond 48 bits (the year 10889) stop at the last.
    pub const fn from_millis(millis: u64) -> Self {
        const LAST: u64 = (1 << 48) - 1;
        Self((if millis > LAST { LAST } else { millis }) << 16)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn millis(self) -> u64 {
        self.0 >> 16
    }

    /// The next reading after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}
