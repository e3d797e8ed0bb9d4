//! Whether a node may have lost what it acknowledged: one that was restarted before it had synced.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// What is known of the nodes' starts.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Each node's start, and the beginning of the first round that saw it.
    nodes: BTreeMap<String, (i64, Instant)>,
    /// The beginning of the last round in which every node answered.
    complete: Option<Instant>,
}

impl Watch {
    /// Takes the answers of a round that began at `began`.
    pub(super) fn take(&mut self, began: Instant, round: BTreeMap<String, Option<i64>>) {
        let mut complete = !round.is_empty();
        for (node, start) in round {
            let Some(start) = start else {
                complete = false;
                continue;
            };
            let known = self.nodes.entry(node).or_insert((start, began));
            if known.0 != start {
                *known = (start, began);
            }
        }
        if complete {
            self.complete = Some(began);
        }
    }

    /// Whether a node was started, or came, after `first`: what it acknowledged around then may be lost.
    pub(super) fn doubts(&self, first: Instant) -> bool {
        self.nodes.values().any(|(_, since)| *since > first)
    }

    /// Whether everything that the nodes acknowledged between the two moments is synced on each: all of them were up, without
    /// a restart, from before the first until `window` after the last.
    pub(super) fn vouches(&self, (first, last): (Instant, Instant), window: Duration) -> bool {
        self.complete.is_some_and(|asked| asked >= last + window) && !self.doubts(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_window_without_a_restart_counts() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let window = Duration::from_secs(15);
        let round =
            |starts: [Option<i64>; 2]| BTreeMap::from([("a".to_owned(), starts[0]), ("b".to_owned(), starts[1])]);
        let mut watch = Watch::default();
        assert!(!watch.vouches((at(0), at(0)), window), "nobody was asked");
        watch.take(at(0), round([Some(1), Some(1)]));
        watch.take(at(10), round([Some(1), Some(1)]));
        assert!(!watch.vouches((at(1), at(2)), window), "too early");
        watch.take(at(18), round([Some(1), None]));
        assert!(!watch.vouches((at(1), at(2)), window), "one does not answer");
        watch.take(at(20), round([Some(1), Some(1)]));
        assert!(watch.vouches((at(1), at(2)), window));
        assert!(!watch.vouches((at(1), at(6)), window));
        watch.take(at(30), round([Some(2), Some(1)]));
        assert!(watch.doubts(at(21)) && !watch.doubts(at(31)));
        watch.take(at(60), round([Some(2), Some(1)]));
        assert!(!watch.vouches((at(21), at(22)), window), "a start lies in between, however long ago");
        assert!(watch.vouches((at(31), at(40)), window));
    }
}
