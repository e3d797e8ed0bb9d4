//! Handshakes at a time: who comes when there are too many takes the place of the one that has taken longest.
//!
//! An honest handshake takes a round trip or two, one that is never finished takes as long as it may. If those who come had to
//! wait or were refused, as many unfinished ones as there are places would keep everybody out.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// The handshakes of some listeners.
pub struct Handshakes {
    most: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    begun: u64,
    /// By when they began.
    under_way: BTreeMap<u64, Arc<Notify>>,
}

impl Handshakes {
    /// At most so many at a time, at least one.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most: most.max(1), state: Mutex::default() })
    }

    /// How many are under way.
    pub fn under_way(&self) -> usize {
        self.state.lock().under_way.len()
    }

    /// Begins one; the oldest is given up for it if there are as many as may be.
    pub fn begin(self: &Arc<Self>) -> Handshake {
        let mut state = self.state.lock();
        if state.under_way.len() >= self.most
            && let Some((_, oldest)) = state.under_way.pop_first()
        {
            oldest.notify_one();
        }
        let number = state.begun;
        state.begun += 1;
        let given_up = Arc::new(Notify::new());
        state.under_way.insert(number, Arc::clone(&given_up));
        drop(state);
        Handshake { all: Arc::clone(self), number, given_up }
    }
}

/// One handshake under way, for as long as it lives.
pub struct Handshake {
    all: Arc<Handshakes>,
    number: u64,
    given_up: Arc<Notify>,
}

impl Handshake {
    /// Resolves if a newer one takes its place.
    pub async fn given_up(&self) {
        self.given_up.notified().await;
    }
}

impl Drop for Handshake {
    fn drop(&mut self) {
        self.all.state.lock().under_way.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn the_oldest_gives_way() {
        let handshakes = Handshakes::new(2);
        let is_given_up = |handshake: &Handshake| handshake.given_up().now_or_never().is_some();
        let first = handshakes.begin();
        let second = handshakes.begin();
        assert!(!is_given_up(&first) && !is_given_up(&second));
        let third = handshakes.begin();
        assert!(is_given_up(&first) && !is_given_up(&second) && !is_given_up(&third));
        // It has lost its place already: its end frees none.
        drop(first);
        assert_eq!(handshakes.under_way(), 2);
        // Who is done makes room.
        drop(second);
        let fourth = handshakes.begin();
        assert!(!is_given_up(&third) && !is_given_up(&fourth));
        drop((third, fourth));
        assert_eq!(handshakes.under_way(), 0);
    }
}
