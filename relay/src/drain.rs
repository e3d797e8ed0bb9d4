//! How far the relay is on its way out.

use std::time::Duration;

use tokio::sync::watch;

/// Where the relay is between start and end. Ordered.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Phase {
    /// Everything is served.
    Running,
    /// Sessions are told to go, nothing more is read from documents' lanes, and what was accepted is made durable.
    Draining,
    /// What waits for readers is written, then sessions end.
    Closing,
}

/// Tells every session the phase.
#[derive(Debug)]
pub struct Phases {
    sender: watch::Sender<Phase>,
}

impl Default for Phases {
    fn default() -> Self {
        Self { sender: watch::Sender::new(Phase::Running) }
    }
}

impl Phases {
    /// The phase from now on.
    pub fn enter(&self, phase: Phase) {
        self.sender.send_replace(phase);
    }

    /// The phase now.
    pub fn current(&self) -> Phase {
        *self.sender.borrow()
    }

    /// Follows the phase.
    pub fn watch(&self) -> Follow {
        Follow(self.sender.subscribe())
    }
}

/// One follower of the phase.
#[derive(Clone, Debug)]
pub struct Follow(watch::Receiver<Phase>);

impl Follow {
    /// The phase now.
    pub fn current(&self) -> Phase {
        *self.0.borrow()
    }

    /// Resolves at the next change.
    pub async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            // The relay is gone; whoever waits here is about to be dropped.
            std::future::pending::<()>().await;
        }
    }
}

/// When a client that was told to go should come back: spread, so that a relay that restarts is not met by all at once.
pub fn reconnect_after(random: u64) -> Duration {
    const LEAST: u64 = 200;
    const SPREAD: u64 = 1800;
    Duration::from_millis(LEAST + random % SPREAD)
}
