//! A connection's flow-control credit: lanes that are not read do not use up what the others need.
//!
//! QUIC counts unread bytes of all streams together. A lane that waits for the store, or for its document to be loaded, keeps its
//! bytes unread, at most a stream's window; a few of them would fill the connection's window, and nothing would come any more, not
//! even a ping on the control lane. So as long as a lane is not read, its window comes on top.

use std::sync::Arc;

use parking_lot::Mutex;
use quinn::{Connection, VarInt};

use crate::settings::Bounds;

/// One connection's credit, shared by its lanes.
pub(super) struct Credit {
    connection: Connection,
    window: u64,
    lane_window: u64,
    /// Lanes that are not read. Held while the connection is told, so that it is told in order.
    unread: Mutex<u64>,
}

impl Credit {
    pub(super) fn new(connection: Connection, bounds: &Bounds) -> Arc<Self> {
        let (window, lane_window) = (bounds.connection_receive_window, bounds.stream_receive_window);
        Arc::new(Self { connection, window, lane_window, unread: Mutex::new(0) })
    }

    /// For a lane that is not read, as long as the loan lives.
    pub(super) fn lend(self: &Arc<Self>) -> Loan {
        self.change(|unread| unread + 1);
        Loan(Arc::clone(self))
    }

    fn change(&self, change: impl FnOnce(u64) -> u64) {
        let mut unread = self.unread.lock();
        *unread = change(*unread);
        let window = self.window.saturating_add(self.lane_window.saturating_mul(*unread));
        self.connection.set_receive_window(VarInt::from_u64(window).unwrap_or(VarInt::MAX));
    }
}

/// The credit of one lane that is not read.
pub(super) struct Loan(Arc<Credit>);

impl Drop for Loan {
    fn drop(&mut self) {
        self.0.change(|unread| unread.saturating_sub(1));
    }
}
