//! Opening a document: every complete snapshot that no other covers, and every segment that is still listed.
//!
//! A fold may remove what a load is reading. It takes it off the list first, so the list is read again at the end: if
//! something that was used is gone from it, the load starts over.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::{Bytes, BytesMut};
use inkwire_document::{Actor, Document, Snapshot, VersionVector};
use inkwire_protocol::record::{ActorRecord, Digest};
use tokio::time::Instant;

use super::cluster::{Place, Row, SegmentId, SegmentRow, SnapshotId, SnapshotRow};
use super::engine::{Counters, Engine, damage, row_bytes, store_error};
use super::head::{Head, checksum};
use super::lane::Current;
use super::segments::{Found, Size, choose};
use crate::contents::{RowKey, covers};
use crate::error::StoreError;
use crate::store::{DocumentKey, Loaded, StoredSnapshot};

/// How often a load starts over before it is an error: folds of one document are a minute apart.
const MAX_STARTS: u32 = 5;

/// A snapshot that was read, chunks and all.
struct Whole {
    row: SnapshotRow,
    stored: StoredSnapshot,
}

/// Reads `document`.
pub(super) async fn load(engine: &Engine, document: &DocumentKey) -> Result<Loaded, StoreError> {
    for _ in 0..MAX_STARTS {
        let read = Instant::now();
        let segments = segments(engine, document).await?;
        let listed = engine.patiently(|| engine.cluster.snapshots(document)).await.map_err(store_error)?;
        if let Some(loaded) = attempt(engine, document, &segments, &listed, read).await? {
            return Ok(loaded);
        }
        Counters::add(&engine.counters.loads_started_over, 1);
    }
    let reason = format!("{document} was folded {MAX_STARTS} times while it was read");
    Err(StoreError::Unavailable { reason, source: None })
}

async fn segments(engine: &Engine, document: &DocumentKey) -> Result<Vec<SegmentRow>, StoreError> {
    engine.patiently(|| engine.cluster.segments(document)).await.map_err(store_error)
}

/// Reads what is listed; `None` when something of it is gone meanwhile.
async fn attempt(
    engine: &Engine,
    document: &DocumentKey,
    segments: &[SegmentRow],
    listed: &[SnapshotRow],
    read: Instant,
) -> Result<Option<Loaded>, StoreError> {
    let Some(heads) = heads(engine, document, listed).await? else { return Ok(None) };
    let mut whole = Vec::new();
    for (row, head) in undominated(heads) {
        match body(engine, document, &row, &head).await? {
            Some(snapshot) => {
                let stored = StoredSnapshot { snapshot, version: head.version, actors: head.actors };
                whole.push(Whole { row, stored });
            }
            None => return Ok(None),
        }
    }
    let mut rows = Vec::new();
    let mut open = Vec::new();
    for segment in segments {
        let size = read_segment(engine, document, segment.id, &mut rows).await?;
        if !segment.sealed {
            open.push(Found { id: segment.id, size });
        }
    }

    let still: HashSet<SegmentId> = self::segments(engine, document).await?.into_iter().map(|row| row.id).collect();
    if segments.iter().any(|row| !still.contains(&row.id)) {
        return Ok(None);
    }
    if !whole.is_empty() {
        let now = engine.patiently(|| engine.cluster.snapshots(document)).await.map_err(store_error)?;
        let still: HashSet<SnapshotId> = now.into_iter().map(|row| row.id).collect();
        if whole.iter().any(|used| !still.contains(&used.row.id)) {
            return Ok(None);
        }
    }

    adopt(engine, document, &open, read);
    let snapshot = merge(document, whole)?;
    let none = VersionVector::new();
    let version = snapshot.as_ref().map_or(&none, |snapshot| &snapshot.version);
    let records = in_order(engine, document, rows, version);
    Ok(Some(Loaded { snapshot, records, ..Loaded::default() }))
}

/// Goes on with a segment that was found, unless there is one already.
fn adopt(engine: &Engine, document: &DocumentKey, open: &[Found], read: Instant) {
    let Some((segment, room)) = choose(open, engine.options.segment) else { return };
    let lane = engine.lane(document);
    let mut current = lane.current.lock();
    if current.is_none() {
        *current = Some(Current { segment, size: Size::default(), limit: room, read });
    }
}

/// The heads of the listed snapshots; `None` when one lacks a chunk and is not listed any more either.
pub(super) async fn heads(
    engine: &Engine,
    document: &DocumentKey,
    listed: &[SnapshotRow],
) -> Result<Option<Vec<(SnapshotRow, Head)>>, StoreError> {
    let mut heads = Vec::with_capacity(listed.len());
    for row in listed {
        let Some(bytes) = chunks(engine, document, row, row.chunks().0).await? else { return Ok(None) };
        let head = Head::from_bytes(&bytes).ok_or_else(|| {
            damage("snapshot_chunks", document, format_args!("snapshot {:016x}", row.id.0), "its head is malformed")
        })?;
        heads.push((row.clone(), head));
    }
    Ok(Some(heads))
}

/// The document's state of a snapshot, whose head was read before.
async fn body(
    engine: &Engine,
    document: &DocumentKey,
    row: &SnapshotRow,
    head: &Head,
) -> Result<Option<Bytes>, StoreError> {
    let Some(body) = chunks(engine, document, row, row.chunks().1).await? else { return Ok(None) };
    if body.len() as u64 != row.body_bytes || checksum(&head.to_bytes(), &body) != row.checksum {
        let place = format_args!("snapshot {:016x}", row.id.0);
        return Err(damage("snapshot_chunks", document, place, "its chunks do not match its checksum"));
    }
    Ok(Some(body))
}

/// Some chunks of a snapshot together; `None` when one is gone, as when a newer snapshot took this one's place.
async fn chunks(
    engine: &Engine,
    document: &DocumentKey,
    row: &SnapshotRow,
    numbers: std::ops::Range<u32>,
) -> Result<Option<Bytes>, StoreError> {
    let mut whole = BytesMut::new();
    for number in numbers {
        let chunk = engine.patiently(|| engine.cluster.chunk(document, row.id, number)).await.map_err(store_error)?;
        match chunk {
            Some(chunk) => whole.extend_from_slice(&chunk),
            None => {
                let now = engine.patiently(|| engine.cluster.snapshots(document)).await.map_err(store_error)?;
                if now.iter().any(|listed| listed.id == row.id) {
                    let place = format_args!("snapshot {:016x}, chunk {number}", row.id.0);
                    return Err(damage("snapshot_chunks", document, place, "the chunk is missing"));
                }
                return Ok(None);
            }
        }
    }
    Ok(Some(whole.freeze()))
}

/// Those that no other covers; of several that cover the same, the one with the lowest id.
fn undominated(mut heads: Vec<(SnapshotRow, Head)>) -> Vec<(SnapshotRow, Head)> {
    heads.sort_unstable_by_key(|(row, _)| row.id);
    let dominated: Vec<bool> = heads
        .iter()
        .enumerate()
        .map(|(at, (_, head))| {
            heads.iter().enumerate().any(|(other, (_, with))| match head.version.partial_cmp(&with.version) {
                Some(Ordering::Less) => true,
                Some(Ordering::Equal) => other < at,
                _ => false,
            })
        })
        .collect();
    heads.into_iter().zip(dominated).filter(|(_, dominated)| !dominated).map(|(entry, _)| entry).collect()
}

/// Reads all rows of a segment, page by page.
async fn read_segment(
    engine: &Engine,
    document: &DocumentKey,
    segment: SegmentId,
    rows: &mut Vec<Row>,
) -> Result<Size, StoreError> {
    let mut size = Size::default();
    let mut place = Some(Place::default());
    while let Some(from) = place {
        let page =
            engine.patiently(|| engine.cluster.rows(document, segment, from.clone())).await.map_err(store_error)?;
        for row in page.rows {
            if Digest::of(&row.record.batch.operations) != row.record.digest {
                let (actor, first) = (row.record.batch.actor.0, row.record.batch.first);
                let place = format_args!("segment {:016x}, actor {actor:016x}, counter {first}", segment.0);
                return Err(damage("log", document, place, "the operations do not match their digest"));
            }
            size = size.plus(Size { rows: 1, bytes: row_bytes(&row) as u64 });
            rows.push(row);
        }
        place = page.next;
    }
    Ok(size)
}

/// All rows of one segment, in the order in which they arrived, covered ones too.
pub(super) async fn segment_log(
    engine: &Engine,
    document: &DocumentKey,
    segment: SegmentId,
) -> Result<Vec<inkwire_protocol::record::LogRecord>, StoreError> {
    let mut rows = Vec::new();
    read_segment(engine, document, segment, &mut rows).await?;
    rows.sort_unstable_by_key(|row| (row.arrival, row.key()));
    Ok(rows.into_iter().map(|row| row.record).collect())
}

/// One listed snapshot; `None` when it is gone.
pub(super) async fn snapshot(
    engine: &Engine,
    document: &DocumentKey,
    row: &SnapshotRow,
) -> Result<Option<StoredSnapshot>, StoreError> {
    let Some(heads) = heads(engine, document, std::slice::from_ref(row)).await? else { return Ok(None) };
    let Some((row, head)) = heads.into_iter().next() else { return Ok(None) };
    let snapshot = body(engine, document, &row, &head).await?;
    Ok(snapshot.map(|snapshot| StoredSnapshot { snapshot, version: head.version, actors: head.actors }))
}

/// Which listed snapshots no other covers: the numbers of those that opening reads.
pub(super) async fn current(
    engine: &Engine,
    document: &DocumentKey,
    listed: &[SnapshotRow],
) -> Result<Vec<SnapshotId>, StoreError> {
    let heads = heads(engine, document, listed).await?.unwrap_or_default();
    Ok(undominated(heads).into_iter().map(|(row, _)| row.id).collect())
}

/// The rows that are not covered, each once, in the order in which they arrived.
fn in_order(
    engine: &Engine,
    document: &DocumentKey,
    rows: Vec<Row>,
    version: &VersionVector,
) -> Vec<inkwire_protocol::record::LogRecord> {
    let mut first: HashMap<RowKey, Row> = HashMap::with_capacity(rows.len());
    for row in rows {
        engine.arrivals.saw(row.arrival);
        if covers(version, &row.record.batch) {
            continue;
        }
        match first.entry(row.key()) {
            std::collections::hash_map::Entry::Occupied(mut known) => {
                if row.arrival < known.get().arrival {
                    known.insert(row);
                }
            }
            std::collections::hash_map::Entry::Vacant(free) => {
                free.insert(row);
            }
        }
    }
    let bodies: HashSet<(Actor, u64)> = first.keys().map(|key| (key.actor, key.first)).collect();
    let conflicts = (first.len() - bodies.len()) as u64;
    if conflicts > 0 {
        Counters::add(&engine.counters.conflicts, conflicts);
        tracing::warn!(%document, conflicts, "rows have the key of another row and other bytes: an actor was used twice");
    }
    let mut rows: Vec<Row> = first.into_values().collect();
    rows.sort_unstable_by_key(|row| (row.arrival, row.key()));
    rows.into_iter().map(|row| row.record).collect()
}

/// One snapshot of all that were read: two folders at once may each have committed one.
fn merge(document: &DocumentKey, whole: Vec<Whole>) -> Result<Option<StoredSnapshot>, StoreError> {
    let mut whole = whole.into_iter();
    let Some(first) = whole.next() else { return Ok(None) };
    let rest: Vec<Whole> = whole.collect();
    if rest.is_empty() {
        return Ok(Some(first.stored));
    }
    let mut merged = Document::new();
    // Of each actor what the snapshot says that covers most of it.
    let mut actors: BTreeMap<Actor, (u64, ActorRecord)> = BTreeMap::new();
    for Whole { row, stored } in std::iter::once(first).chain(rest) {
        let place = format!("snapshot {:016x}", row.id.0);
        let parsed = Snapshot::parse(stored.snapshot)
            .map_err(|error| damage("snapshot_chunks", document, &place, &error.to_string()))?;
        merged.merge(&parsed).map_err(|error| damage("snapshot_chunks", document, &place, &error.to_string()))?;
        for record in stored.actors {
            let covered = stored.version.get(&record.actor);
            if actors.get(&record.actor).is_none_or(|(known, _)| *known < covered) {
                actors.insert(record.actor, (covered, record));
            }
        }
    }
    let actors = actors.into_values().map(|(_, record)| record).collect();
    let snapshot = merged.snapshot();
    let version = Snapshot::parse(snapshot.clone())
        .map_err(|error| damage("snapshot_chunks", document, "the merged snapshot", &error.to_string()))?
        .version()
        .clone();
    Ok(Some(StoredSnapshot { snapshot, version, actors }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_no_other_covers_is_read() {
        let head = |id: u64, dots: &[(u64, u64)]| {
            let mut version = VersionVector::new();
            version.dots.extend(dots.iter().map(|(actor, counter)| (Actor(*actor), *counter)));
            let checksum = Digest([0; 32]);
            let row = SnapshotRow { id: SnapshotId(id), head_bytes: 8, body_bytes: 0, checksum };
            (row, Head { version, actors: vec![] })
        };
        type Heads = Vec<(SnapshotRow, Head)>;
        let cases: [(Heads, &[u64]); 5] = [
            (vec![], &[]),
            (vec![head(1, &[(1, 1)]), head(2, &[(1, 2)])], &[2]),
            (vec![head(2, &[(1, 2)]), head(1, &[(1, 1), (2, 1)])], &[1, 2]),
            (vec![head(9, &[(1, 2)]), head(3, &[(1, 2)])], &[3]),
            (vec![head(1, &[]), head(2, &[(1, 1)]), head(3, &[(2, 1)]), head(4, &[(1, 1), (2, 1)])], &[4]),
        ];
        for (heads, expected) in cases {
            let ids: Vec<u64> = undominated(heads).iter().map(|(row, _)| row.id.0).collect();
            assert_eq!(ids, expected);
        }
    }
}
