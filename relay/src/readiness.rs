//! Whether edits are accepted now.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use inkwire_storage::Store;

/// How long the store may take to say that it is well.
const STORE_PATIENCE: Duration = Duration::from_secs(2);

/// Answers `/readyz`.
pub struct Readiness {
    draining: AtomicBool,
    store: Arc<dyn Store>,
}

impl Readiness {
    /// Ready as long as `store` is.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { draining: AtomicBool::new(false), store }
    }

    /// From now on not ready: no new sessions either.
    pub fn start_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether the relay is about to leave.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Whether edits are accepted, or why not.
    pub async fn check(&self) -> Result<(), String> {
        if self.is_draining() {
            return Err("the relay is shutting down".to_owned());
        }
        match tokio::time::timeout(STORE_PATIENCE, self.store.health()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the store does not answer".to_owned()),
        }
    }
}
