//! The time that a shell hands in with every call.

use std::time::Duration;

/// The relay's time at one moment.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Clock {
    /// Time since any fixed origin; never goes back. Every deadline is measured with it.
    pub monotonic: Duration,
    /// Milliseconds since the Unix epoch; may jump. Only bounds how far ahead an operation's hybrid time may be, and is
    /// written beside stored batches for people.
    pub unix_millis: u64,
}
