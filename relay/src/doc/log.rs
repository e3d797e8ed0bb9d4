//! What happened to a document, for people: edits that one actor made one soon after the other are one entry.

use inkwire_protocol::record::LogRecord;
use inkwire_storage::SnapshotEntry;

use super::request::Entry;

/// Edits of one actor are one entry while not more than this lies between two.
const PAUSE_MILLIS: u64 = 60_000;

/// The entries of a document, the latest first, at most `limit`.
pub fn entries(snapshots: &[SnapshotEntry], log: &[LogRecord], limit: usize) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for record in log {
        let batch = &record.batch;
        let (actor, bytes) = (format!("{:x}", batch.actor.0), batch.operations.len() as u64);
        // The last entry of the actor, unless it is long ago.
        let open = entries.iter_mut().rev().take(64).find_map(|entry| match entry {
            Entry::Edits { actor: of, to_millis, last, batches, bytes, .. }
                if *of == actor
                    && *last + 1 == batch.first
                    && record.received_millis.saturating_sub(*to_millis) <= PAUSE_MILLIS =>
            {
                Some((to_millis, last, batches, bytes))
            }
            _ => None,
        });
        match open {
            Some((to_millis, last, batches, sum)) => {
                *to_millis = record.received_millis.max(*to_millis);
                *last = batch.last();
                *batches += 1;
                *sum += bytes;
            }
            None => entries.push(Entry::Edits {
                from_millis: record.received_millis,
                to_millis: record.received_millis,
                subject: record.subject.to_string(),
                actor,
                first: batch.first,
                last: batch.last(),
                batches: 1,
                bytes,
            }),
        }
    }
    entries.extend(snapshots.iter().map(|entry| Entry::Snapshot {
        number: entry.number.0,
        taken_millis: entry.taken_millis,
        name: entry.name.clone(),
        bytes: entry.bytes,
        is_current: entry.is_current,
    }));
    entries.sort_by_key(|entry| {
        std::cmp::Reverse(match entry {
            Entry::Snapshot { taken_millis, .. } => *taken_millis,
            Entry::Edits { to_millis, .. } => *to_millis,
        })
    });
    entries.truncate(limit);
    entries
}

#[cfg(test)]
mod tests {
    use inkwire_document::{Actor, Batch};
    use inkwire_storage::SnapshotNumber;

    use super::*;

    #[test]
    fn edits_that_follow_one_another_are_one_entry() {
        let record = |actor, first, received| {
            let batch = Batch { actor: Actor(actor), first, count: 2, operations: vec![0; 10].into() };
            LogRecord::new(batch, format!("user-{actor}").into(), received)
        };
        let log = [record(1, 1, 1_000), record(2, 1, 2_000), record(1, 3, 61_000), record(1, 5, 200_000)];
        let snapshot =
            SnapshotEntry { number: SnapshotNumber(4), taken_millis: 70_000, name: None, bytes: 9, is_current: true };
        let entries = entries(&[snapshot], &log, 10);
        let seen: Vec<(u64, u64)> = entries
            .iter()
            .map(|entry| match entry {
                Entry::Edits { first, last, .. } => (*first, *last),
                Entry::Snapshot { number, .. } => (*number, 0),
            })
            .collect();
        assert_eq!(seen, [(5, 6), (4, 0), (1, 4), (1, 2)]);
        assert_eq!(super::entries(&[], &log, 1).len(), 1);
    }
}
