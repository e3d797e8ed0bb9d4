//! Whether this end sends copies, and what became of those that came.

use std::time::Duration;

use super::{Client, ClientConfig, Now};
use crate::copies::{CopyCounts, CopyMode, LossMeter, MAX_WANTED_FOR, PacketCounts};
use crate::frame::WantCopies;

/// What the client knows of its present path, and its counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Copies {
    /// Until then the relay wants some.
    wanted_until: Duration,
    meter: LossMeter,
    pub(super) counts: CopyCounts,
}

impl Copies {
    pub(super) fn sending(&self, config: &ClientConfig, now: Duration) -> bool {
        match config.copies {
            CopyMode::Auto => now < self.wanted_until || self.meter.is_lossy(),
            CopyMode::On => true,
            CopyMode::Off => false,
        }
    }

    /// Another connection takes another path, perhaps.
    pub(super) fn start(&mut self) {
        self.wanted_until = Duration::ZERO;
        self.meter = LossMeter::default();
    }
}

impl Client {
    /// How many copies of batches were sent and came, over all connections.
    pub fn copies(&self) -> CopyCounts {
        self.copies.counts
    }

    /// Whether batches are sent once more as datagrams at present, where there are some.
    pub fn sends_copies(&self) -> bool {
        self.copies.sending(&self.config, self.now)
    }

    /// Sets [`ClientConfig::copies`].
    pub fn set_copies(&mut self, mode: CopyMode) {
        self.config.copies = mode;
    }

    /// Whether the shell should call [`look_at_path`](Self::look_at_path), if its transport counts packets at all. At most once a
    /// second.
    pub fn wants_look_at_path(&self, now: Now) -> bool {
        self.config.copies == CopyMode::Auto && self.copies.meter.is_due(now.monotonic)
    }

    /// What the present connection's transport has counted of packets from this end. Where it counts none the relay's word is
    /// enough: it sees what is lost on the way here.
    pub fn look_at_path(&mut self, now: Now, counts: PacketCounts) {
        self.advance(now);
        self.copies.meter.look(self.now, counts);
    }

    pub(super) fn on_want_copies(&mut self, want: &WantCopies) {
        self.copies.wanted_until = self.now + Duration::from_millis(want.millis).min(MAX_WANTED_FOR);
    }
}
