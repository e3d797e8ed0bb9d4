//! How much of one session waits to be written, in bytes.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// A count of bytes that can be waited for.
#[derive(Default)]
pub(super) struct Queued {
    bytes: AtomicUsize,
    changed: Notify,
}

impl Queued {
    pub(super) fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::AcqRel);
    }

    pub(super) fn remove(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::AcqRel);
        self.changed.notify_waiters();
    }

    /// Waits until it is below `limit`.
    pub(super) async fn below(&self, limit: usize) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Registered before the look, so that a change in between is not missed.
            changed.as_mut().enable();
            if self.bytes.load(Ordering::Acquire) < limit {
                return;
            }
            changed.await;
        }
    }
}
