//! How the rows of one flush become statements: single-partition batches under the servers' limits.
//!
//! Cassandra warns of batches over 5 KiB and refuses those over 50 KiB, ScyllaDB at 128 KiB and 1 MiB; both count only batches
//! of several partitions, which these are not. A batch of ours stays below the lowest refusal all the same.

use std::ops::Range;

/// The most bytes of a batch, unless its only row has more.
pub const MAX_BATCH_BYTES: usize = 40 * 1024;

/// The most rows of a batch.
pub const MAX_BATCH_ROWS: usize = 256;

/// The parts of rows with these sizes, in order: each within the limits and of at most `max_rows`, none empty.
pub fn split(sizes: impl IntoIterator<Item = usize>, max_rows: usize) -> Vec<Range<usize>> {
    let max_rows = max_rows.min(MAX_BATCH_ROWS);
    let mut parts: Vec<Range<usize>> = Vec::new();
    let mut bytes = 0;
    for (at, size) in sizes.into_iter().enumerate() {
        match parts.last_mut() {
            Some(part) if part.len() < max_rows && bytes + size <= MAX_BATCH_BYTES => {
                part.end = at + 1;
                bytes += size;
            }
            _ => {
                parts.push(at..at + 1);
                bytes = size;
            }
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_within_the_limits() {
        const M: usize = MAX_BATCH_BYTES;
        // Sizes, and where the parts end.
        let cases: &[(&[usize], &[usize])] = &[
            (&[], &[]),
            (&[1], &[1]),
            (&[1, 2, 3], &[3]),
            (&[M, 1], &[1, 2]),
            (&[1, M], &[1, 2]),
            (&[M - 1, 1, 1], &[2, 3]),
            (&[1; 11], &[10, 11]),
            (&[2 * M], &[1]),
            (&[1, 2 * M, 1], &[1, 2, 3]),
        ];
        for (sizes, expected) in cases {
            let parts = split(sizes.iter().copied(), 10);
            let ends: Vec<usize> = parts.iter().map(|part| part.end).collect();
            assert_eq!(ends, *expected, "{sizes:?}");
            let begins = std::iter::once(0).chain(ends.iter().copied());
            assert!(parts.iter().zip(begins).all(|(part, begin)| part.start == begin), "{sizes:?}: {parts:?}");
        }
        let many = split(std::iter::repeat_n(1, MAX_BATCH_ROWS * 2 + 1), usize::MAX);
        assert_eq!(
            many,
            [0..MAX_BATCH_ROWS, MAX_BATCH_ROWS..2 * MAX_BATCH_ROWS, 2 * MAX_BATCH_ROWS..2 * MAX_BATCH_ROWS + 1]
        );
    }
}
