//! Latencies, and what is said of them.

use serde::Serialize;

use super::watch::Reached;
use super::write::Written;

/// The median and the 99th percentile, in milliseconds.
#[derive(Copy, Clone, PartialEq, Default, Debug, Serialize)]
pub struct Percentiles {
    /// Half of the edits were faster.
    pub p50: f64,
    /// One edit in a hundred was slower.
    pub p99: f64,
}

/// How long after it was made each edit was reached.
pub(super) fn latencies(written: &[Written], reached: &[Reached]) -> Percentiles {
    percentiles(samples(written, reached))
}

/// In milliseconds, each with the number of edits that it stands for.
pub(super) fn samples(written: &[Written], reached: &[Reached]) -> Vec<(f64, usize)> {
    let mut reached = reached.iter().peekable();
    let mut samples: Vec<(f64, usize)> = Vec::with_capacity(written.len());
    for written in written {
        while reached.peek().is_some_and(|reached| reached.counter < written.counter) {
            reached.next();
        }
        let Some(reached) = reached.peek() else {
            break;
        };
        samples.push((reached.at.saturating_duration_since(written.at).as_secs_f64() * 1e3, written.edits));
    }
    samples
}

/// All samples are kept and sorted: percentiles are exact.
pub(super) fn percentiles(mut samples: Vec<(f64, usize)>) -> Percentiles {
    samples.sort_unstable_by(|(left, _), (right, _)| left.total_cmp(right));
    Percentiles { p50: percentile(&samples, 50), p99: percentile(&samples, 99) }
}

/// The smallest sample that `percent` of 100 edits do not exceed (nearest rank); 0 without any.
fn percentile(sorted: &[(f64, usize)], percent: usize) -> f64 {
    let total: usize = sorted.iter().map(|(_, edits)| edits).sum();
    let rank = (total * percent).div_ceil(100);
    let mut below = 0;
    for (milliseconds, edits) in sorted {
        below += edits;
        if below >= rank {
            return *milliseconds;
        }
    }
    0.0
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn edits_are_matched_with_what_reached_them() {
        let begin = Instant::now();
        let at = |milliseconds| begin + Duration::from_millis(milliseconds);
        let written: Vec<_> =
            (0..100).map(|edit| Written { at: at(edit), counter: 10 * (edit + 1), edits: 1 }).collect();
        // All but the last come together at 200 ms, the last at 1 s.
        let reached = [(0, 0), (200, 990), (1_000, 1_000)].map(|(then, counter)| Reached { at: at(then), counter });
        let percentiles = latencies(&written, &reached);
        assert_eq!((percentiles.p50.round(), percentiles.p99.round()), (151.0, 200.0));
    }

    #[test]
    fn ranks_count_edits() {
        let sorted = [(1.0, 98), (2.0, 1), (3.0, 1)];
        assert_eq!([50, 98, 99, 100].map(|percent| percentile(&sorted, percent)), [1.0, 1.0, 2.0, 3.0]);
        assert_eq!(percentile(&[], 50), 0.0);
    }
}
