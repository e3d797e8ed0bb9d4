//! A document out of two places.

use std::cmp::Ordering;
use std::collections::HashSet;

use crate::contents::{RowKey, covers};
use crate::store::{Loaded, StoredSnapshot};

/// What two generations have, the older one first.
pub(super) fn older_with_newer(older: Loaded, newer: Loaded) -> Loaded {
    let snapshot = further(older.snapshot, newer.snapshot);
    let mut seen = HashSet::new();
    let rows = older.records.into_iter().chain(newer.records);
    let records = rows
        .filter(|row| snapshot.as_ref().is_none_or(|snapshot| !covers(&snapshot.version, &row.batch)))
        .filter(|row| seen.insert(RowKey::of(row)))
        .collect();
    Loaded { snapshot, records, spooled: Vec::new() }
}

/// What the store has, and what is `left` in the spool of an earlier life: that part is not durable.
pub(super) fn with_left(stored: Loaded, left: Loaded) -> Loaded {
    let snapshot = further(left.snapshot, stored.snapshot);
    let outside = |row: &inkwire_protocol::record::LogRecord| {
        snapshot.as_ref().is_none_or(|snapshot| !covers(&snapshot.version, &row.batch))
    };
    let known: HashSet<RowKey> = stored.records.iter().map(RowKey::of).collect();
    let spooled = left.records.into_iter().filter(&outside).filter(|row| !known.contains(&RowKey::of(row))).collect();
    let records = stored.records.into_iter().filter(&outside).collect();
    Loaded { snapshot, records, spooled }
}

/// The snapshot that covers the other. Of two that do not cover each other the second stays: what only the first covers is
/// lost to this reader alone, and the first is offered to the store.
fn further(first: Option<StoredSnapshot>, second: Option<StoredSnapshot>) -> Option<StoredSnapshot> {
    match (first, second) {
        (Some(first), Some(second)) => match first.version.partial_cmp(&second.version) {
            Some(Ordering::Greater) => Some(first),
            _ => Some(second),
        },
        (first, second) => second.or(first),
    }
}
