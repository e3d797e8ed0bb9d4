//! Keeping to a rate.

use std::time::{Duration, Instant};

/// Lets so many edits a second through. Who falls behind catches up: the rate is kept on the whole.
#[derive(Debug)]
pub(super) struct Pace {
    begin: Instant,
    per_second: f64,
    edits: u64,
}

impl Pace {
    pub(super) fn new(per_second: f64) -> Self {
        Self { begin: Instant::now(), per_second, edits: 0 }
    }

    /// Waits until it is the next edits' turn.
    pub(super) async fn wait(&mut self, edits: usize) {
        let due = self.begin + Duration::from_secs_f64(self.edits as f64 / self.per_second);
        self.edits += edits as u64;
        if due > Instant::now() {
            tokio::time::sleep_until(due.into()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_rate_is_kept_on_the_whole() {
        let mut pace = Pace::new(1_000.0);
        let begin = Instant::now();
        for _ in 0..10 {
            pace.wait(5).await;
        }
        assert!(begin.elapsed() >= Duration::from_millis(45), "{:?}", begin.elapsed());
    }
}
