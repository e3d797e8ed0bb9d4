//! Which segment of a document's log a writer writes into, and when it begins a new one.
//!
//! A partition may have about 10,000 rows and 10 MB. A segment that the writer began itself takes that much; one that it
//! found takes a share, since others may have found it too: eight at a time stay within the limit.

use super::cluster::SegmentId;

/// How much there is in a segment, or may be.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Size {
    /// Rows.
    pub rows: u64,
    /// Bytes of the rows, keys and texts included.
    pub bytes: u64,
}

impl Size {
    /// The most that a segment takes.
    pub const LIMIT: Self = Self { rows: 10_000, bytes: 10_000_000 };

    fn part(self, denominator: u64) -> Self {
        Self { rows: self.rows / denominator, bytes: self.bytes / denominator }
    }

    /// The sum of both.
    pub fn plus(self, other: Self) -> Self {
        Self { rows: self.rows.saturating_add(other.rows), bytes: self.bytes.saturating_add(other.bytes) }
    }

    /// Whether neither rows nor bytes are more than `limit`'s.
    pub fn fits(self, limit: Self) -> bool {
        self.rows <= limit.rows && self.bytes <= limit.bytes
    }
}

/// A segment that was found at loading.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Found {
    /// Which one.
    pub id: SegmentId,
    /// What was read of it.
    pub size: Size,
}

/// What a writer may still write into a segment that it found, or `None` if it should begin its own.
///
/// An empty one is never taken: it may be the entry of a deleted segment that a replica kept, and what is written into that
/// is gone.
pub fn adopted(found: Found, limit: Size) -> Option<Size> {
    (found.size.rows > 0 && found.size.fits(limit.part(4))).then(|| limit.part(10))
}

/// The open segment that a writer goes on with: the fullest that may be taken.
pub fn choose(open: &[Found], limit: Size) -> Option<(SegmentId, Size)> {
    open.iter()
        .filter_map(|found| adopted(*found, limit).map(|room| (*found, room)))
        .max_by_key(|(found, _)| (found.size.rows, found.id))
        .map(|(found, room)| (found.id, room))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(id: u64, rows: u64, bytes: u64) -> Found {
        Found { id: SegmentId(id), size: Size { rows, bytes } }
    }

    #[test]
    fn writers_that_find_one_segment_keep_it_within_the_limit() {
        let limit = Size::LIMIT;
        for writers in 1..=7 {
            let mut size = limit.part(4);
            for _ in 0..writers {
                size = size.plus(adopted(Found { id: SegmentId(1), size: limit.part(4) }, limit).expect("it has room"));
            }
            assert!(size.fits(limit), "{writers} writers: {size:?}");
        }
    }

    #[test]
    fn the_fullest_with_room_is_taken() {
        let cases: &[(&[Found], Option<u64>)] = &[
            (&[], None),
            (&[found(1, 0, 0)], None),
            (&[found(1, 10, 10), found(2, 900, 10), found(3, 2_501, 10)], Some(2)),
            (&[found(1, 10, 2_500_001)], None),
            (&[found(1, 2_500, 2_500_000)], Some(1)),
        ];
        for (open, expected) in cases {
            let chosen = choose(open, Size::LIMIT).map(|(id, _)| id.0);
            assert_eq!(chosen, *expected, "{open:?}");
        }
    }
}
